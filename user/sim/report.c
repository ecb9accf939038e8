// SPDX-License-Identifier: GPL-2.0-only
/* A run as one HTML page that needs nothing else. */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "web.h"

static void text(FILE *f, const char *s)
{
	for (; *s; s++) {
		switch (*s) {
		case '<':
			fputs("&lt;", f);
			break;
		case '>':
			fputs("&gt;", f);
			break;
		case '&':
			fputs("&amp;", f);
			break;
		case '"':
			fputs("&quot;", f);
			break;
		default:
			fputc(*s, f);
		}
	}
}

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

static void chart(FILE *f, const struct sim_tally *t, const char *title, const char *unit,
		  const enum series *s, const char *const *names, unsigned n)
{
	static const char *const colour[] = { "#2563eb", "#d97706", "#dc2626" };
	double top = 0, span = 1;

	for (unsigned i = 0; i < t->nhistory; i++)
		for (unsigned k = 0; k < n; k++)
			if (get(&t->history[i], s[k]) > top)
				top = get(&t->history[i], s[k]);
	if (t->nhistory)
		span = (double)t->history[t->nhistory - 1].t_s;
	if (top <= 0)
		top = 1;
	fprintf(f, "<figure><figcaption>%s", title);
	for (unsigned k = 0; k < n; k++)
		fprintf(f, " <span style=\"color:%s\">&#9632; %s</span>", colour[k], names[k]);
	fprintf(f, "</figcaption><svg viewBox=\"0 0 860 180\" role=\"img\" aria-label=\"%s\">"
		   "<path d=\"M60 10V150H850\" fill=\"none\" stroke=\"#888\"/>"
		   "<text x=\"54\" y=\"18\" text-anchor=\"end\">%.4g %s</text>"
		   "<text x=\"54\" y=\"154\" text-anchor=\"end\">0</text>"
		   "<text x=\"850\" y=\"170\" text-anchor=\"end\">%.0f s</text>",
		title, top, unit, span);
	for (unsigned k = 0; k < n; k++) {
		fprintf(f, "<polyline fill=\"none\" stroke-width=\"1.5\" stroke=\"%s\" points=\"",
			colour[k]);
		for (unsigned i = 0; i < t->nhistory; i++)
			fprintf(f, "%.1f,%.1f ",
				60 + 790 * (double)t->history[i].t_s / (span > 0 ? span : 1),
				150 - 140 * get(&t->history[i], s[k]) / top);
		fputs("\"/>", f);
	}
	fputs("</svg></figure>\n", f);
}

static void tables(FILE *f, struct sim_tally *t)
{
	fputs("<h2>Requests</h2><table><tr><th>type<th>request<th>count<th>failed<th>avg ms<th>p50"
	      "<th>p95<th>p99<th>max</tr>\n", f);
	for (unsigned i = 0; i < t->nrows; i++) {
		const struct sim_row *r = &t->row[i];
		uint64_t timed = r->requests - r->failures;

		if (!r->used)
			continue;
		fputs("<tr><td>", f);
		text(f, sim_engine_type_name(t->e, i / SIM_NAMES));
		fprintf(f, "<td>%s<td>%llu<td>%llu<td>%.2f<td>%.2f<td>%.2f<td>%.2f<td>%.2f</tr>\n",
			sim_name_text((enum sim_name)(i % SIM_NAMES)),
			(unsigned long long)r->requests, (unsigned long long)r->failures,
			timed ? r->total_ms / (double)timed : 0, sim_hist_quantile(&r->hist, 0.5),
			sim_hist_quantile(&r->hist, 0.95), sim_hist_quantile(&r->hist, 0.99),
			r->max_ms);
	}
	fputs("</table>\n<h2>Failures</h2>", f);
	if (!t->nerrors)
		fputs("<p>None.</p>\n", f);
	else
		fputs("<table><tr><th>count<th>type<th>request<th>what</tr>\n", f);
	for (unsigned i = 0; i < t->nerrors; i++) {
		const struct sim_error *e = &t->error[i];

		fprintf(f, "<tr><td>%llu<td>", (unsigned long long)e->occurrences);
		text(f, sim_engine_type_name(t->e, e->type));
		fprintf(f, "<td>%s<td>", sim_name_text(e->name));
		text(f, e->text);
		fputs("</tr>\n", f);
	}
	if (t->nerrors)
		fputs("</table>\n", f);
}

char *sim_report_html(struct sim_tally *t, struct sim_engine *e)
{
	static const enum series rate[] = { RATE, FAILS }, lat[] = { P50, P95, P99 },
				 conn[] = { CONNECTED };
	static const char *const rate_n[] = { "acknowledged", "failed" },
				       *const lat_n[] = { "p50", "p95", "p99" },
				       *const conn_n[] = { "connected" };
	struct sim_profile *p = malloc(sizeof(*p));
	const struct sim_totals *x = &t->tot;
	char *out = NULL, when[64];
	time_t now = time(NULL);
	struct tm tm;
	size_t len;
	FILE *f = open_memstream(&out, &len);

	if (!f || !p || sim_engine_profile(e, 0, p)) {
		if (f)
			fclose(f);
		free(out);
		free(p);
		return NULL;
	}
	gmtime_r(&now, &tm);
	strftime(when, sizeof(when), "%Y-%m-%d %H:%M UTC", &tm);
	pthread_mutex_lock(&t->lock);
	fprintf(f, "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>squall-sim report, "
		   "%s</title>\n<style>body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem "
		   "auto;padding:0 1rem;color:#1f2937;background:#fff}table{border-collapse:collapse}"
		   "td,th{padding:.2rem .7rem;border-bottom:1px solid #ddd;text-align:left}svg text{font:"
		   "11px sans-serif;fill:#555}figure{margin:1.5rem 0}figcaption{font-weight:600}</style>\n"
		   "<h1>Load report</h1><p>%s, %.0f s, broker ", when, when, t->t_s);
	text(f, p->broker);
	fprintf(f, "</p>\n<p>%llu messages scheduled = %llu acknowledged + %llu failed + %llu in "
		   "flight. %llu connections, %llu failed, %llu lost, %llu reconnects.</p>\n",
		(unsigned long long)x->scheduled, (unsigned long long)x->acked,
		(unsigned long long)x->failed, (unsigned long long)x->in_flight,
		(unsigned long long)x->connects, (unsigned long long)x->connect_failures,
		(unsigned long long)x->lost_connections, (unsigned long long)x->reconnects);
	chart(f, t, "Messages per second", "", rate, rate_n, 2);
	chart(f, t, "Latency from the scheduled time", "ms", lat, lat_n, 3);
	chart(f, t, "Devices connected", "", conn, conn_n, 1);
	tables(f, t);
	fputs("</html>\n", f);
	pthread_mutex_unlock(&t->lock);
	free(p);
	fclose(f);
	return out;
}
