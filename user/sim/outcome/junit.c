// SPDX-License-Identifier: GPL-2.0-only
/* JUnit's XML for those who show tests, Markdown for those who show a job. */
#include <string.h>
#include <time.h>
#include "lib/markup.h"
#include "lib/text.h"
#include "sim/outcome/outcome.h"

static void test_case(const json_t *doc, const json_t *t, FILE *f)
{
	const char *verdict = outcome_text(t, "verdict");

	markup_print(f, "    <testcase classname=\"squall.%s\" name=\"%s %s\"",
		     outcome_text(doc, "name"), outcome_text(t, "metric"),
		     outcome_text(t, "limit"));
	fprintf(f, " time=\"%.3f\"", outcome_number(doc, "duration_s"));
	if (!strcmp(verdict, "ok"))
		fputs("/>\n", f);
	else if (!strcmp(verdict, "skipped"))
		fputs(">\n      <skipped/>\n    </testcase>\n", f);
	else
		markup_print(f,
			     ">\n      <failure type=\"threshold\" message=\"%s\">%s was %s, and "
			     "should be %s</failure>\n    </testcase>\n",
			     outcome_text(t, "said"), outcome_text(t, "metric"),
			     outcome_text(t, "said"), outcome_text(t, "limit"));
}

/* What it takes to run it again. Ant's schema wants properties, output and errors of each suite. */
static void properties(const json_t *doc, FILE *f)
{
	fprintf(f, "    <properties>\n      <property name=\"seed\" value=\"%.0f\"/>\n",
		outcome_number(doc, "seed"));
	markup_print(f,
		     "      <property name=\"version\" value=\"%s\"/>\n"
		     "      <property name=\"kernel\" value=\"%s\"/>\n    </properties>\n",
		     outcome_text(doc, "version"), outcome_text(doc, "kernel"));
}

void outcome_junit(const json_t *doc, FILE *f)
{
	const json_t *list = json_object_get(doc, "thresholds"), *t;
	unsigned failed = 0, skipped = 0;
	/* A run which is no verdict at all is an error of its own case. */
	bool broken = outcome_number(doc, "exit") == 1;
	time_t at = (time_t)(outcome_number(doc, "started_ms") / 1000);
	char when[32];
	struct tm tm;
	size_t i;

	json_array_foreach(list, i, t)
	{
		failed += !strcmp(outcome_text(t, "verdict"), "crossed");
		skipped += !strcmp(outcome_text(t, "verdict"), "skipped");
	}
	gmtime_r(&at, &tm);
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
	markup_print(f,
		     "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n  <testsuite "
		     "id=\"0\" package=\"squall\" name=\"%s\"",
		     outcome_text(doc, "name"));
	fprintf(f,
		" tests=\"%zu\" failures=\"%u\" errors=\"%d\" skipped=\"%u\" time=\"%.3f\" "
		"timestamp=\"%s\" hostname=\"localhost\">\n",
		json_array_size(list) + broken, failed, broken, skipped,
		outcome_number(doc, "duration_s"), when);
	properties(doc, f);
	json_array_foreach(list, i, t) test_case(doc, t, f);
	if (broken)
		markup_print(f,
			     "    <testcase classname=\"squall.%s\" name=\"the run\" time=\"0\">\n"
			     "      <error type=\"run\" message=\"%s: %s\"/>\n    </testcase>\n",
			     outcome_text(doc, "name"), outcome_text(doc, "verdict"),
			     outcome_text(doc, "why"));
	markup_print(f,
		     "    <system-out>%s</system-out>\n    <system-err>%s</system-err>\n"
		     "  </testsuite>\n</testsuites>\n",
		     outcome_text(doc, "again"), outcome_text(doc, "why"));
}

/* A cell of a Markdown table: a bar would begin the next. */
static void cell(FILE *f, const char *s)
{
	char one[TEXT_ONE];

	for (size_t left = strlen(s), n; left; s += n, left -= n) {
		n = text_one(one, s, left);
		if (*s == '|' || *s == '<' || *s == '`')
			fprintf(f, "\\%c", *s);
		else if (*s != '\n')
			fputs(one, f);
	}
}

void outcome_summary(const json_t *doc, FILE *f)
{
	const json_t *o;
	size_t i;

	fputs("### ", f);
	cell(f, outcome_text(doc, "name"));
	fputs(": ", f);
	cell(f, outcome_text(doc, "verdict"));
	fputs("\n\n", f);
	if (*outcome_text(doc, "why")) {
		cell(f, outcome_text(doc, "why"));
		fputs("\n\n", f);
	}
	fputs("| | threshold | limit | measured |\n|---|---|---|---|\n", f);
	json_array_foreach(json_object_get(doc, "thresholds"), i, o)
	{
		const char *verdict = outcome_text(o, "verdict");

		fprintf(f, "| %s | ",
			!strcmp(verdict, "ok")	      ? "✅"
			: !strcmp(verdict, "skipped") ? "⏭️"
						      : "❌");
		cell(f, outcome_text(o, "metric"));
		fputs(" | ", f);
		cell(f, outcome_text(o, "limit"));
		fputs(" | ", f);
		cell(f, outcome_text(o, "said"));
		fputs(" |\n", f);
	}
	if (json_array_size(json_object_get(doc, "faults")))
		fputs("\n| fault | rule | target | recovered after |\n|---|---|---|---|\n", f);
	json_array_foreach(json_object_get(doc, "faults"), i, o)
	{
		const json_t *s = json_object_get(o, "recovery_s");

		fputs("| ", f);
		cell(f, outcome_text(o, "name"));
		fputs(" | ", f);
		cell(f, outcome_text(o, *outcome_text(o, "rule") ? "rule" : "profile"));
		fputs(" | ", f);
		cell(f, outcome_text(o, "target"));
		if (json_is_number(s))
			fprintf(f, " | %.1f s |\n", json_number_value(s));
		else
			fprintf(f, " | %s |\n", json_is_string(s) ? "never" : "-");
	}
	fprintf(f, "\n`%s`\n\n", outcome_text(doc, "again"));
}
