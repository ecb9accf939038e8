// SPDX-License-Identifier: GPL-2.0-only
/* The list of findings, and how people and programs get to read it. */
#include <stdarg.h>
#include <string.h>
#include "lib/checkup/checkup.h"
#include "lib/text.h"

static const char *const states[] = {"ok", "note", "bad"};

void checkup_add(json_t *list, const char *name, enum checkup_state state, const char *remedy,
		 const char *fmt, ...)
{
	char text[512], safe[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	/* Paths and names come from the machine: they must drive no terminal and be JSON. */
	text_shown(safe, sizeof(safe), text, strlen(text));
	json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s}", "name", name, "state",
					      states[state], "found", safe, "remedy",
					      remedy ? remedy : ""));
}

static const char *text_of(const json_t *one, const char *key)
{
	const char *text = json_string_value(json_object_get(one, key));

	return text ? text : "";
}

int checkup_print(const json_t *list, bool json, bool pretty, FILE *f)
{
	const json_t *one;
	json_t *o;
	size_t i;
	int bad = 0, notes = 0;

	json_array_foreach(list, i, one)
	{
		bad += !strcmp(text_of(one, "state"), "bad");
		notes += !strcmp(text_of(one, "state"), "note");
	}
	if (json) {
		o = json_pack("{s:O, s:i}", "checks", list, "bad", bad);
		json_dumpf(o, f, pretty ? JSON_INDENT(2) : JSON_COMPACT);
		fputc('\n', f);
		json_decref(o);
		return bad;
	}
	json_array_foreach(list, i, one)
	{
		fprintf(f, "%-5s %-12s %s\n", text_of(one, "state"), text_of(one, "name"),
			text_of(one, "found"));
		if (*text_of(one, "remedy"))
			fprintf(f, "%19s-> %s\n", "", text_of(one, "remedy"));
	}
	if (bad)
		fprintf(f, "%d of %zu bad: what to do stands behind each arrow\n", bad, i);
	else
		fprintf(f, "%zu looked at, nothing bad%s\n", i, notes ? ", some to know" : "");
	return bad;
}
