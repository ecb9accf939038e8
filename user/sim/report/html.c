// SPDX-License-Identifier: GPL-2.0-only
/* A run as one HTML page that needs nothing else. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "lib/markup.h"
#include "sim/base/clock.h"
#include "sim/web/web.h"

enum series { RATE, FAILS, P50, P95, P99, CONNECTED };

static double get(const struct sim_point *p, enum series s)
{
	switch (s) {
	case RATE:
		return (double)p->rate;
	case FAILS:
		return (double)p->fail_rate;
	case P50:
		return (double)p->p50;
	case P95:
		return (double)p->p95;
	case P99:
		return (double)p->p99;
	default:
		return p->connected;
	}
}

/* The times a fault was in force, in seconds of the run. */
struct bands {
	struct sim_fault *fault;
	unsigned n;
	uint64_t zero_ms, now_ms;
};

static bool band(const struct bands *b, unsigned i, double span, double *ret_from, double *ret_to)
{
	const struct sim_fault *w = &b->fault[i];
	double from = ((double)w->from_ms - (double)b->zero_ms) / 1000;
	double to = ((double)(w->to_ms ? w->to_ms : b->now_ms) - (double)b->zero_ms) / 1000;

	*ret_from = from < 0 ? 0 : from;
	*ret_to = to > span ? span : to;
	return *ret_to > *ret_from;
}

static double span_of(const struct sim_tally *t)
{
	return t->nhistory ? (double)t->history[t->nhistory - 1].t_s : 1;
}

static void chart(FILE *f, const struct sim_tally *t, const struct bands *b, const char *title,
		  const char *unit, const enum series *s, const char *const *names, unsigned n)
{
	static const char *const colour[] = {"#2563eb", "#d97706", "#dc2626"};
	double top = 0, span = span_of(t), from, to;

	for (unsigned i = 0; i < t->nhistory; i++)
		for (unsigned k = 0; k < n; k++)
			if (get(&t->history[i], s[k]) > top)
				top = get(&t->history[i], s[k]);
	if (span <= 0)
		span = 1;
	if (top <= 0)
		top = 1;
	fprintf(f, "<figure><figcaption>%s", title);
	for (unsigned k = 0; k < n; k++)
		fprintf(f, " <span style=\"color:%s\">&#9632; %s</span>", colour[k], names[k]);
	if (b->n)
		fputs(" <span class=\"band\">&#9632; a fault in force</span>", f);
	fprintf(f, "</figcaption><svg viewBox=\"0 0 860 180\" role=\"img\" aria-label=\"%s\">",
		title);
	for (unsigned i = 0; i < b->n; i++)
		if (band(b, i, span, &from, &to))
			fprintf(f,
				"<rect class=\"fault\" x=\"%.1f\" y=\"10\" width=\"%.1f\" "
				"height=\"140\" "
				"fill=\"#f59e0b\" fill-opacity=\".18\"/>",
				60 + 790 * from / span, 790 * (to - from) / span);
	fprintf(f,
		"<path d=\"M60 10V150H850\" fill=\"none\" stroke=\"#888\"/>"
		"<text x=\"54\" y=\"18\" text-anchor=\"end\">%.4g %s</text>"
		"<text x=\"54\" y=\"154\" text-anchor=\"end\">0</text>"
		"<text x=\"850\" y=\"170\" text-anchor=\"end\">%.0f s</text>",
		top, unit, span);
	for (unsigned k = 0; k < n; k++) {
		/* A gap where there was no sample; a point alone is a line to itself. */
		fprintf(f,
			"<path fill=\"none\" stroke-width=\"1.5\" stroke-linecap=\"round\" "
			"stroke=\"%s\" d=\"",
			colour[k]);
		for (unsigned i = 0, on = 0; i < t->nhistory; i++) {
			double x = 60 + 790 * (double)t->history[i].t_s / span;
			double y = 150 - 140 * get(&t->history[i], s[k]) / top;

			if (!isnan(y) && !on)
				fprintf(f, "M%.1f %.1f", x, y);
			if (!isnan(y))
				fprintf(f, "L%.1f %.1f", x, y);
			on = !isnan(y);
		}
		fputs("\"/>", f);
	}
	fputs("</svg></figure>\n", f);
}

/* A cell with a time that rests upon n samples: of none there is none. */
static void cell(FILE *f, uint64_t n, double ms)
{
	if (n)
		fprintf(f, "<td>%.2f", ms);
	else
		fputs("<td>&ndash;", f);
}

static void tables(FILE *f, struct sim_tally *t)
{
	fputs("<h2>Requests</h2><table><tr><th>type<th>request<th>count<th>failed<th>avg ms<th>p50"
	      "<th>p95<th>p99<th>max</tr>\n",
	      f);
	for (unsigned i = 0; i < t->nrows; i++) {
		const struct sim_row *r = &t->row[i];
		uint64_t timed = r->requests - r->failures;

		if (!r->used)
			continue;
		fputs("<tr><td>", f);
		markup_escape(f, sim_engine_type_name(t->e, i / SIM_NAMES));
		fprintf(f, "<td>%s<td>%llu<td>%llu", sim_name_text((enum sim_name)(i % SIM_NAMES)),
			(unsigned long long)r->requests, (unsigned long long)r->failures);
		cell(f, timed, timed ? r->total_ms / (double)timed : 0);
		cell(f, timed, sim_hist_quantile(&r->hist, 0.5));
		cell(f, timed, sim_hist_quantile(&r->hist, 0.95));
		cell(f, timed, sim_hist_quantile(&r->hist, 0.99));
		cell(f, timed, r->max_ms);
		fputs("</tr>\n", f);
	}
	fputs("</table>\n<h2>Failures</h2>", f);
	if (!t->nerrors)
		fputs("<p>None.</p>\n", f);
	else
		fputs("<table><tr><th>count<th>type<th>request<th>what</tr>\n", f);
	for (unsigned i = 0; i < t->nerrors; i++) {
		const struct sim_error *e = &t->error[i];

		fprintf(f, "<tr><td>%llu<td>", (unsigned long long)e->occurrences);
		markup_escape(f, sim_engine_type_name(t->e, e->type));
		fprintf(f, "<td>%s<td>", sim_name_text(e->name));
		markup_escape(f, e->text);
		fputs("</tr>\n", f);
	}
	if (t->nerrors)
		fputs("</table>\n", f);
}

static void faults(FILE *f, const struct sim_tally *t, const struct bands *b)
{
	double span = span_of(t), from, to;

	if (!b->n)
		return;
	fputs("<h2>Faults in force</h2><table id=\"faults\"><tr><th>from s<th>to "
	      "s<th>target<th>rule</tr>\n",
	      f);
	for (unsigned i = 0; i < b->n; i++) {
		if (!band(b, i, span, &from, &to))
			continue;
		fprintf(f, "<tr><td>%.1f<td>%.1f<td>", from, to);
		markup_escape(f, b->fault[i].target);
		fputs("<td>", f);
		markup_escape(f, b->fault[i].rule);
		fputs("</tr>\n", f);
	}
	fputs("</table>\n", f);
}

/* Each once, in the types' order. p: room for a profile. */
static void brokers(FILE *f, struct sim_engine *e, struct sim_profile *p)
{
	char(*seen)[sizeof(p->broker)] = calloc(sim_engine_types(e), sizeof(*seen));
	unsigned n = 0, k;

	for (unsigned i = 0; seen && i < sim_engine_types(e); i++) {
		if (sim_engine_profile(e, i, p))
			continue;
		for (k = 0; k < n && strcmp(seen[k], p->broker);)
			k++;
		if (k < n)
			continue;
		memcpy(seen[n++], p->broker, sizeof(p->broker));
		fputs(n > 1 ? ", " : "", f);
		markup_escape(f, p->broker);
	}
	free(seen);
}

/* The sums, as the summary of a terminal has them. */
static void sums(FILE *f, const struct sim_tally *t)
{
	const struct sim_totals *x = &t->tot;

	fprintf(f,
		"<p>%llu messages scheduled = %llu acknowledged + %llu failed + %llu in "
		"flight. %llu connections, %llu failed, %llu lost, %llu reconnects; %u of %u "
		"devices "
		"never connected.</p>\n",
		(unsigned long long)x->scheduled, (unsigned long long)x->acked,
		(unsigned long long)x->failed, (unsigned long long)x->in_flight,
		(unsigned long long)x->connects, (unsigned long long)x->connect_failures,
		(unsigned long long)x->lost_connections, (unsigned long long)x->reconnects,
		sim_tally_never_connected(t), t->most_running);
	if (x->received || x->lost)
		fprintf(f,
			"<p>%llu received; of this run %llu once, %llu duplicates, %llu lost end "
			"to "
			"end.</p>\n",
			(unsigned long long)x->received, (unsigned long long)x->unique,
			(unsigned long long)x->duplicates, (unsigned long long)x->lost);
}

char *sim_report_html(struct sim_tally *t, struct sim_engine *e, struct sim_faults *windows)
{
	static const enum series rate[] = {RATE, FAILS}, lat[] = {P50, P95, P99},
				 conn[] = {CONNECTED};
	static const char *const rate_n[] = {"acknowledged", "failed"},
				 *const lat_n[] = {"p50", "p95", "p99"},
				 *const conn_n[] = {"connected"};
	struct sim_profile *p = malloc(sizeof(*p));
	struct bands b = {.fault = malloc(SIM_FAULTS_MAX * sizeof(*b.fault))};
	char *out = NULL, when[64];
	struct timespec ts;
	struct tm tm;
	time_t now;
	size_t len;
	FILE *f = open_memstream(&out, &len);

	if (!f || !p || !b.fault) {
		if (f)
			fclose(f);
		free(out);
		free(p);
		free(b.fault);
		return NULL;
	}
	b.n = sim_faults_copy(windows, b.fault);
	clock_gettime(CLOCK_REALTIME, &ts);
	now = ts.tv_sec;
	gmtime_r(&now, &tm);
	strftime(when, sizeof(when), "%Y-%m-%d %H:%M UTC", &tm);
	pthread_mutex_lock(&t->lock);
	/* The run's clock is the monotonic one. */
	b.now_ms = (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
	b.zero_ms = b.now_ms - (sim_now() - t->start_ns) / 1000000;
	fprintf(f,
		"<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>squall-sim "
		"report, "
		"%s</title>\n<style>body{font:15px/1.5 "
		"system-ui,sans-serif;max-width:60rem;margin:2rem "
		"auto;padding:0 1rem;color:#1f2937;background:#fff}table{border-collapse:collapse}"
		"td,th{padding:.2rem .7rem;border-bottom:1px solid #ddd;text-align:left}svg "
		"text{font:"
		"11px sans-serif;fill:#555}.band{color:#b45309}figure{margin:1.5rem "
		"0}figcaption{font-weight:600}</style>\n"
		"<h1>Load report</h1><p>%s, %.0f s, broker ",
		when, when, t->t_s);
	brokers(f, e, p);
	fputs("</p>\n", f);
	sums(f, t);
	chart(f, t, &b, "Messages per second", "", rate, rate_n, 2);
	chart(f, t, &b, "Latency from the scheduled time", "ms", lat, lat_n, 3);
	chart(f, t, &b, "Devices connected", "", conn, conn_n, 1);
	faults(f, t, &b);
	tables(f, t);
	fputs("</html>\n", f);
	pthread_mutex_unlock(&t->lock);
	free(p);
	free(b.fault);
	fclose(f);
	return out;
}
