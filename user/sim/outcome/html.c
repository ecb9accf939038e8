// SPDX-License-Identifier: GPL-2.0-only
/*
 * The report as one page: no script, no request to anybody, readable on a phone
 * and on paper. Of a long run each chart has at most 600 points, so that the
 * page stays below 400 KiB.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "lib/markup.h"
#include "sim/outcome/outcome.h"

#define W	900
#define H	180
#define LEFT	60
#define POINTS	600
#define DEVICES "connected"

static const char style[] =
	":root{--fg:#1f2937;--dim:#4b5563;--line:#d1d5db;--bg:#fff;--ok:#166534;--bad:#b91c1c;"
	"--band:#fde68a;--a:#1d4ed8;--b:#b91c1c;--c:#6d28d9}"
	"body{font:16px/1.5 system-ui,sans-serif;max-width:62rem;margin:0 auto;padding:1rem;"
	"color:var(--fg);background:var(--bg)}h1{font-size:1.5rem;margin:0 0 .3rem}"
	"h2{font-size:1.15rem;margin:2rem 0 .5rem}table{border-collapse:collapse;width:100%}"
	"th,td{padding:.25rem .6rem;border-bottom:1px solid var(--line);text-align:left;"
	"vertical-align:top}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}"
	".ok{color:var(--ok);font-weight:600}.bad{color:var(--bad);font-weight:600}"
	".dim{color:var(--dim)}code{font-size:.9em;overflow-wrap:anywhere}"
	".wide{overflow-x:auto}figure{margin:1.2rem 0}figcaption{font-weight:600}"
	"svg{width:100%;height:auto}svg text{font:12px system-ui,sans-serif;fill:#374151}"
	"@media print{body{max-width:none}h2,figure,tr{break-inside:avoid}.wide{overflow:visible}}";

static double x_of(double t, double span)
{
	return LEFT + (W - LEFT - 10) * (span > 0 ? t / span : 0);
}

struct chart {
	const char *title, *unit;
	struct {
		const char *key, *name, *color;
	} line[3];
};

static double value(const json_t *s, const char *key)
{
	const json_t *v = json_object_get(s, key);
	double per = outcome_number(s, "for_s");

	if (!json_is_number(v))
		return NAN;
	/* Counts of a second which its phase cut short are still rates. */
	if (!strcmp(key, "acked") || !strcmp(key, "failed"))
		return per > 0.05 ? json_number_value(v) / per : NAN;
	return json_number_value(v);
}

static double most(const json_t *seconds, const struct chart *c)
{
	double max = 0;
	const json_t *s;
	size_t i;

	json_array_foreach(seconds, i, s)
	{
		for (unsigned k = 0; k < 3 && c->line[k].key; k++) {
			double v = value(s, c->line[k].key);

			if (!isnan(v) && v > max)
				max = v;
		}
	}
	return max > 0 ? max : 1;
}

/* Each fault's window, with its name: a colour alone says nothing on paper. */
static void windows(FILE *f, const json_t *doc, double span)
{
	const json_t *o;
	size_t i;

	json_array_foreach(json_object_get(doc, "faults"), i, o)
	{
		double from = outcome_number(o, "from_s"), to = outcome_number(o, "to_s");

		if (!json_is_number(json_object_get(o, "from_s")))
			continue;
		to = to > 0 ? to : span;
		fprintf(f,
			"<rect x=\"%.1f\" y=\"16\" width=\"%.1f\" height=\"%d\" fill=\"#fde68a\" "
			"fill-opacity=\".6\"/><text x=\"%.1f\" y=\"%d\">",
			x_of(from, span), x_of(to, span) - x_of(from, span), H - 36,
			x_of(from, span) + 3, 28 + 14 * (int)(i % 3));
		markup_escape(f, outcome_text(o, "name"));
		fputs("</text>", f);
	}
}

static void one_line(FILE *f, const json_t *seconds, const char *key, const char *color,
		     double span, double max)
{
	size_t n = json_array_size(seconds), step = (n + POINTS - 1) / POINTS;
	bool down = false;

	fprintf(f, "<path fill=\"none\" stroke=\"%s\" stroke-width=\"1.5\" d=\"", color);
	for (size_t i = 0; i < n; i += step ? step : 1) {
		double worst = NAN;
		const json_t *s = json_array_get(seconds, i);

		/* Of several the highest, or for devices the lowest: what would be missed. */
		for (size_t k = i; k < i + step && k < n; k++) {
			double v = value(json_array_get(seconds, k), key);

			if (!isnan(v) &&
			    (isnan(worst) || (strcmp(key, DEVICES) ? v > worst : v < worst)))
				worst = v;
		}
		if (isnan(worst)) {
			down = false;
			continue;
		}
		fprintf(f, "%c%.1f %.1f", down ? 'L' : 'M',
			x_of(outcome_number(s, "t_s") + outcome_number(s, "for_s") / 2, span),
			H - 20 - (H - 36) * worst / max);
		/* A point alone would have no length. */
		if (!down)
			fputs("h.1", f);
		down = true;
	}
	fputs("\"/>", f);
}

static void chart(FILE *f, const json_t *doc, const struct chart *c)
{
	const json_t *seconds = json_object_get(doc, "seconds");
	double span = outcome_number(doc, "duration_s"), max = most(seconds, c);

	fprintf(f,
		"<figure><figcaption>%s</figcaption><svg viewBox=\"0 0 %d %d\" role=\"img\" "
		"aria-label=\"%s over the run, up to %.4g%s%s, with the faults' windows\">",
		c->title, W, H, c->title, max, *c->unit ? " " : "", c->unit);
	windows(f, doc, span);
	fprintf(f,
		"<path stroke=\"#9ca3af\" d=\"M%d 16V%dH%d\" fill=\"none\"/><text x=\"4\" "
		"y=\"22\">%.4g%s%s</text><text x=\"4\" y=\"%d\">0</text>",
		LEFT, H - 20, W - 10, max, *c->unit ? " " : "", c->unit, H - 20);
	for (int i = 0; i <= 5; i++)
		fprintf(f, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"%s\">%.4g s</text>",
			x_of(span * i / 5, span), H - 4, i == 5 ? "end" : "middle", span * i / 5);
	for (unsigned k = 0; k < 3 && c->line[k].key; k++) {
		one_line(f, seconds, c->line[k].key, c->line[k].color, span, max);
		fprintf(f,
			"<path stroke=\"%s\" stroke-width=\"3\" d=\"M%u 8h18\"/><text x=\"%u\" "
			"y=\"12\">%s</text>",
			c->line[k].color, LEFT + 110 * k + 40, LEFT + 110 * k + 62,
			c->line[k].name);
	}
	fputs("</svg></figure>\n", f);
}

static double asked(const json_t *answers, size_t i, double span)
{
	return i < json_array_size(answers)
		       ? json_number_value(json_array_get(json_array_get(answers, i), 0))
		       : span;
}

/* Where a probe was down, as one path: what is less than a unit apart is one piece, so that one
 * which goes up and down all the time does not make the page long. */
static void downs(FILE *f, const json_t *answers, double span, size_t y)
{
	double from = 0, to = -2;
	const json_t *a;
	size_t i;

	fputs("<path stroke=\"#dc2626\" stroke-width=\"12\" d=\"", f);
	json_array_foreach(answers, i, a)
	{
		double x = x_of(asked(answers, i, span), span);

		if (json_is_true(json_array_get(a, 1)))
			continue;
		if (x - to >= 1) {
			if (to > from)
				fprintf(f, "M%.1f %zuh%.1f", from, y, to - from);
			from = x;
		}
		to = x_of(asked(answers, i + 1, span), span);
	}
	if (to > from)
		fprintf(f, "M%.1f %zuh%.1f", from, y, to - from);
	fputs("\"/>", f);
}

/* When each probe was down: one strip for each. */
static void strips(FILE *f, const json_t *doc)
{
	const json_t *list = json_object_get(doc, "probes"), *p;
	double span = outcome_number(doc, "duration_s");
	size_t n = json_array_size(list), i;

	if (!n)
		return;
	fprintf(f,
		"<figure><figcaption>Probes: down is red</figcaption><svg viewBox=\"0 0 %d %zu\" "
		"role=\"img\" aria-label=\"When each probe was up and down\">",
		W, 20 + 26 * n);
	json_array_foreach(list, i, p)
	{
		const json_t *answers = json_object_get(p, "answers");
		double from = x_of(asked(answers, 0, span), span);

		fprintf(f,
			"<rect x=\"%.1f\" y=\"%zu\" width=\"%.1f\" height=\"12\" "
			"fill=\"#86efac\"/>",
			from, 18 + 26 * i, x_of(span, span) - from);
		downs(f, answers, span, 24 + 26 * i);
		fprintf(f, "<text x=\"%d\" y=\"%zu\">", LEFT, 14 + 26 * i);
		markup_escape(f, outcome_text(p, "name"));
		fputs("</text>", f);
	}
	fputs("</svg></figure>\n", f);
}

static void verdict(FILE *f, const json_t *doc)
{
	bool good = !outcome_number(doc, "exit");
	const json_t *o;
	size_t i;

	fprintf(f, "<p class=\"%s\">Verdict: ", good ? "ok" : "bad");
	markup_escape(f, outcome_text(doc, "verdict"));
	if (*outcome_text(doc, "why")) {
		fputs(": ", f);
		markup_escape(f, outcome_text(doc, "why"));
	}
	fputs("</p>\n", f);
	if (!json_array_size(json_object_get(doc, "thresholds")))
		return;
	fputs("<h2>Thresholds</h2><section class=\"wide\" tabindex=\"0\" "
	      "aria-label=\"Thresholds\"><table><thead><tr><th scope=\"col\">verdict</th><th "
	      "scope=\"col\">metric</th><th scope=\"col\">limit</th><th "
	      "scope=\"col\">measured</th><th scope=\"col\" "
	      "class=\"n\">samples</th></tr></thead><tbody>\n",
	      f);
	json_array_foreach(json_object_get(doc, "thresholds"), i, o)
	{
		const char *v = outcome_text(o, "verdict");

		fprintf(f, "<tr><td class=\"%s\">%s</td><td><code>",
			!strcmp(v, "ok")	? "ok"
			: !strcmp(v, "skipped") ? "dim"
						: "bad",
			v);
		markup_print(f, "%s</code></td><td>%s</td><td>%s", outcome_text(o, "metric"),
			     outcome_text(o, "limit"), outcome_text(o, "said"));
		fprintf(f, "</td><td class=\"n\">%.0f</td></tr>\n", outcome_number(o, "samples"));
	}
	fputs("</tbody></table></section>\n", f);
}

static void faults(FILE *f, const json_t *doc)
{
	const json_t *list = json_object_get(doc, "faults"), *o, *c, *s;
	size_t i, k;

	if (!json_array_size(list))
		return;
	fputs("<h2>Faults</h2><section class=\"wide\" tabindex=\"0\" "
	      "aria-label=\"Faults\"><table><thead><tr><th scope=\"col\">name</th><th "
	      "scope=\"col\">from, to</th><th scope=\"col\">target</th><th scope=\"col\">rule</th>"
	      "<th scope=\"col\">recovered after</th><th scope=\"col\">packets, by the "
	      "kernel</th></tr></thead><tbody>\n",
	      f);
	json_array_foreach(list, i, o)
	{
		markup_print(f, "<tr><td>%s", outcome_text(o, "name"));
		if (json_is_number(json_object_get(o, "from_s")))
			fprintf(f, "</td><td>%.1f s to %.1f s</td><td><code>",
				outcome_number(o, "from_s"), outcome_number(o, "to_s"));
		else
			fputs("</td><td>never set</td><td><code>", f);
		markup_escape(f, outcome_text(o, "target"));
		fputs("</code></td><td><code>", f);
		markup_escape(f, outcome_text(o, *outcome_text(o, "kernel_rule") ? "kernel_rule"
						 : *outcome_text(o, "rule")	 ? "rule"
										 : "profile"));
		s = json_object_get(o, "recovery_s");
		if (json_is_number(s))
			fprintf(f, "</code></td><td>%.1f s</td><td>", json_number_value(s));
		else
			fprintf(f, "</code></td><td>%s</td><td>",
				json_is_string(s) ? "never" : "not measured");
		json_array_foreach(json_object_get(o, "counters"), k, c)
		{
			fprintf(f, "%s%s: %.0f seen, %.0f lost, %.0f delayed", k ? "<br>" : "",
				outcome_text(c, "direction"), outcome_number(c, "seen_pkts"),
				outcome_number(c, "lost_pkts") +
					outcome_number(c, "over_limit_pkts"),
				outcome_number(c, "delayed_pkts"));
		}
		c = json_object_get(o, "flows");
		if (json_is_object(c))
			fprintf(f, "<br>connections: %.0f seen, %.0f hung, %.0f reset",
				outcome_number(c, "seen"), outcome_number(c, "hung"),
				outcome_number(c, "reset"));
		if (*outcome_text(o, "note"))
			markup_print(f, "<br>%s", outcome_text(o, "note"));
		fputs("</td></tr>\n", f);
	}
	fputs("</tbody></table></section>\n", f);
}

static void number(FILE *f, const json_t *v, const char *unit)
{
	if (json_is_number(v))
		fprintf(f, "<td class=\"n\">%.4g%s</td>", json_number_value(v), unit);
	else
		fputs("<td class=\"n\">-</td>", f);
}

/* Before, during, after: a column each, a figure a line. */
static void figures(FILE *f, const json_t *doc)
{
	static const char *const times[] = {"p50_ms", "p95_ms", "p99_ms", "max_ms", "failures"};
	static const char *const names[] = {"connect", "publish", "puback", "receive"};
	static const char *const counts[] = {"seconds",	   "scheduled",	       "acked",
					     "failed",	   "connected_min",    "connects",
					     "reconnects", "lost_connections", "connect_failures"};
	json_t *all = json_object_get(doc, "figures"), *part, *probe;
	const char *key, *name;

	if (!json_object_size(all))
		return;
	fputs("<h2>Before, during, after</h2><section class=\"wide\" tabindex=\"0\" "
	      "aria-label=\"Figures by phase\"><table><thead><tr><th scope=\"col\">figure</th>",
	      f);
	json_object_foreach(all, key, part)
	{
		markup_print(f, "<th scope=\"col\" class=\"n\">%s</th>", key);
	}
	fputs("</tr></thead><tbody>\n", f);
	for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++) {
		fprintf(f, "<tr><th scope=\"row\">%s</th>", counts[i]);
		json_object_foreach(all, key, part) number(f, json_object_get(part, counts[i]), "");
		fputs("</tr>\n", f);
	}
	for (size_t n = 0; n < sizeof(names) / sizeof(*names); n++) {
		if (!json_object_get(json_object_get(json_object_get(all, "run"), "requests"),
				     names[n]))
			continue;
		for (size_t i = 0; i < sizeof(times) / sizeof(*times); i++) {
			bool ms = strstr(times[i], "_ms");

			fprintf(f, "<tr><th scope=\"row\">%s %.*s</th>", names[n],
				(int)strcspn(times[i], "_"), times[i]);
			json_object_foreach(all, key, part) number(
				f,
				json_object_get(json_object_get(json_object_get(part, "requests"),
								names[n]),
						times[i]),
				ms ? " ms" : "");
			fputs("</tr>\n", f);
		}
	}
	json_object_foreach(json_object_get(json_object_get(all, "run"), "probes"), name, probe)
	{
		markup_print(f, "<tr><th scope=\"row\">%s up</th>", name);
		json_object_foreach(all, key, part) number(
			f,
			json_object_get(json_object_get(json_object_get(part, "probes"), name),
					"up_pct"),
			" %");
		fputs("</tr>\n", f);
	}
	fputs("</tbody></table></section>\n", f);
}

static void failures(FILE *f, const json_t *doc)
{
	json_t *list = json_object_get(doc, "failures"), *o, *n;
	const char *key;
	size_t i;

	fputs("<h2>Failures</h2>", f);
	if (!json_array_size(list)) {
		fputs("<p>None.</p>\n", f);
		return;
	}
	fputs("<section class=\"wide\" tabindex=\"0\" aria-label=\"Failures\"><table>"
	      "<thead><tr><th scope=\"col\" class=\"n\">count</th><th scope=\"col\">request</th>"
	      "<th scope=\"col\">what</th><th scope=\"col\">when</th></tr></thead><tbody>\n",
	      f);
	json_array_foreach(list, i, o)
	{
		bool first = true;

		fprintf(f, "<tr><td class=\"n\">%.0f</td><td>", outcome_number(o, "count"));
		markup_print(f, "%s %s</td><td>%s</td><td>", outcome_text(o, "type"),
			     outcome_text(o, "request"), outcome_text(o, "text"));
		json_object_foreach(json_object_get(o, "by_phase"), key, n)
		{
			if (!strcmp(key, "fault"))
				continue;
			fprintf(f, "%s%lld ", first ? "" : ", ", (long long)json_integer_value(n));
			markup_escape(f, key);
			first = false;
		}
		fputs("</td></tr>\n", f);
	}
	fputs("</tbody></table></section>\n", f);
}

static void settings(FILE *f, const json_t *doc)
{
	char *s = json_dumps(json_object_get(doc, "settings"), JSON_INDENT(1));
	const json_t *o;
	size_t i;

	markup_print(f, "<h2>Again</h2><p><code>%s", outcome_text(doc, "again"));
	fprintf(f, "</code></p><p>seed %.0f, squall-sim %s, kernel ", outcome_number(doc, "seed"),
		outcome_text(doc, "version"));
	markup_escape(f, outcome_text(doc, "kernel"));
	json_array_foreach(json_object_get(doc, "faults"), i, o)
	{
		const json_t *lane = json_object_get(o, "lane");
		char *t = json_is_string(lane) ? NULL : json_dumps(lane, JSON_COMPACT);

		fputs(i ? "; " : "; squalld: ", f);
		markup_print(f, "%s at %s, version %s, lane %s", outcome_text(o, "name"),
			     outcome_text(o, "squalld"), outcome_text(o, "version"),
			     t ? t : outcome_text(o, "lane"));
		free(t);
	}
	markup_print(f, "</p><details><summary>Settings</summary><pre>%s</pre></details>\n",
		     s ? s : "");
	free(s);
}

void outcome_html(const json_t *doc, FILE *f)
{
	static const struct chart charts[] = {
		{"Devices connected",
		 "",
		 {{DEVICES, "connected", "#1d4ed8"}, {"target", "asked for", "#6b7280"}}},
		{"Messages per second",
		 "",
		 {{"acked", "acknowledged", "#1d4ed8"}, {"failed", "failed", "#b91c1c"}}},
		{"Time from the scheduled moment",
		 "ms",
		 {{"p50", "p50", "#1d4ed8"}, {"p95", "p95", "#6d28d9"}, {"p99", "p99", "#b91c1c"}}},
	};
	time_t at = (time_t)(outcome_number(doc, "started_ms") / 1000);
	char when[64];
	struct tm tm;

	gmtime_r(&at, &tm);
	strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S UTC", &tm);
	fputs("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta "
	      "name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>",
	      f);
	markup_escape(f, outcome_text(doc, "name"));
	fprintf(f, ": experiment of %s</title><style>%s</style></head>\n<body><main><h1>", when,
		style);
	markup_escape(f, outcome_text(doc, "name"));
	fputs("</h1>\n", f);
	if (*outcome_text(doc, "description")) {
		fputs("<p>", f);
		markup_escape(f, outcome_text(doc, "description"));
		fputs("</p>\n", f);
	}
	fprintf(f, "<p class=\"dim\">%s, %.1f s, from <code>", when,
		outcome_number(doc, "duration_s"));
	markup_escape(f, outcome_text(doc, "file"));
	fputs("</code></p>\n", f);
	verdict(f, doc);
	for (size_t i = 0; i < sizeof(charts) / sizeof(*charts); i++)
		if (json_object_get(json_array_get(json_object_get(doc, "seconds"), 0), DEVICES))
			chart(f, doc, &charts[i]);
	strips(f, doc);
	faults(f, doc);
	figures(f, doc);
	failures(f, doc);
	settings(f, doc);
	fputs("</main></body></html>\n", f);
}
