// SPDX-License-Identifier: GPL-2.0-only
/* What a run looks like: a line per second, a table on a terminal, JSON, the summary. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "sim/report/report.h"

static char *time_text(double ms, char *buf, size_t cap)
{
	if (isnan(ms))
		snprintf(buf, cap, "-");
	else if (ms < 10)
		snprintf(buf, cap, "%.2fms", ms);
	else if (ms < 1000)
		snprintf(buf, cap, "%.0fms", ms);
	else
		snprintf(buf, cap, "%.2fs", ms / 1000);
	return buf;
}

/* Kinds of the last interval, the same kind of several types or requests added up. */
static void kinds_text(const struct sim_error *e, unsigned n, char *buf, size_t cap)
{
	*buf = 0;
	for (unsigned i = 0; i < n; i++) {
		uint64_t sum = 0;
		bool seen = false;
		size_t at = strlen(buf);

		for (unsigned k = 0; k < n; k++) {
			if (strcmp(e[k].kind, e[i].kind))
				continue;
			seen |= k < i;
			sum += e[k].occurrences;
		}
		if (!seen && at < cap)
			snprintf(buf + at, cap - at, "%s%s %llu", at ? ", " : "", e[i].kind,
				 (unsigned long long)sum);
	}
}

void sim_show_line(struct sim_tally *t, FILE *f, bool first)
{
	const struct sim_point *p = t->nhistory ? &t->history[t->nhistory - 1] : NULL;
	char p50[24], p95[24], p99[24], kinds[256];

	if (first)
		fprintf(f, "%7s %9s %9s %10s %9s %9s %9s %9s %9s  %s\n", "time", "connected",
			"msgs/s", "failed/s", "in flight", "p50", "p95", "p99", "scheduled",
			"failures");
	if (!p)
		return;
	kinds_text(t->now_error, t->nnow, kinds, sizeof(kinds));
	fprintf(f, "%6.0fs %9u %9.0f %10.0f %9llu %9s %9s %9s %9llu  %s\n", t->t_s,
		t->counts.connected, (double)p->rate, (double)p->fail_rate,
		(unsigned long long)t->tot.in_flight, time_text((double)p->p50, p50, sizeof(p50)),
		time_text((double)p->p95, p95, sizeof(p95)),
		time_text((double)p->p99, p99, sizeof(p99)), (unsigned long long)t->tot.scheduled,
		kinds);
	fflush(f);
}

static unsigned rows(struct sim_tally *t, FILE *f, const char *eol)
{
	unsigned lines = 1;

	fprintf(f, "%-14s %-10s %10s %9s %9s %9s %9s %9s %9s %9s%s\n", "type", "request",
		"requests", "failed", "now/s", "avg", "p50", "p95", "p99", "max", eol);
	for (unsigned i = 0; i < t->nrows; i++) {
		const struct sim_row *r = &t->row[i];
		uint64_t timed = r->requests - r->failures;
		char b[5][24];

		if (!r->used)
			continue;
		fprintf(f, "%-14.14s %-10s %10llu %9llu %9.0f %9s %9s %9s %9s %9s%s\n",
			sim_engine_type_name(t->e, i / SIM_NAMES),
			sim_name_text((enum sim_name)(i % SIM_NAMES)),
			(unsigned long long)r->requests, (unsigned long long)r->failures,
			t->dt_s > 0 ? (double)r->now_requests / t->dt_s : 0,
			time_text(timed ? r->total_ms / (double)timed : NAN, b[0], 24),
			time_text(timed ? sim_hist_quantile(&r->hist, 0.5) : NAN, b[1], 24),
			time_text(timed ? sim_hist_quantile(&r->hist, 0.95) : NAN, b[2], 24),
			time_text(timed ? sim_hist_quantile(&r->hist, 0.99) : NAN, b[3], 24),
			time_text(timed ? r->max_ms : NAN, b[4], 24), eol);
		lines++;
	}
	return lines;
}

static unsigned failures(struct sim_tally *t, FILE *f, unsigned max, const char *eol)
{
	unsigned lines = 0;

	for (unsigned i = 0; i < t->nerrors && lines < max; i++) {
		const struct sim_error *e = &t->error[i];

		fprintf(f, "  %8llu  %s %s: %s%s\n", (unsigned long long)e->occurrences,
			sim_engine_type_name(t->e, e->type), sim_name_text(e->name), e->text, eol);
		lines++;
	}
	return lines;
}

void sim_show_table(struct sim_tally *t, FILE *f, bool redraw)
{
	static unsigned drawn;
	unsigned lines;

	if (redraw && drawn)
		fprintf(f, "\033[%uA", drawn);
	fprintf(f,
		"%6.0fs  %u of %u devices connected, %u backing off; %.0f msgs/s, %.0f failed/s, "
		"%llu in flight\033[K\n\033[K\n",
		t->t_s, t->counts.connected, t->counts.target, t->counts.backoff,
		t->dt_s > 0 ? (double)t->now.acked / t->dt_s : 0,
		t->dt_s > 0 ? (double)t->now.failed / t->dt_s : 0,
		(unsigned long long)t->tot.in_flight);
	lines = 2 + rows(t, f, "\033[K");
	lines += failures(t, f, 10, "\033[K");
	fputs("\033[J", f);
	drawn = lines;
	fflush(f);
}

void sim_show_summary(struct sim_tally *t, FILE *f)
{
	const struct sim_totals *x = &t->tot;
	double s = sim_tally_publishing_s(t);

	fputc('\n', f);
	rows(t, f, "");
	if (t->nerrors) {
		fputs("\nfailures:\n", f);
		failures(t, f, ~0u, "");
	}
	fprintf(f,
		"\nmessages    %llu scheduled = %llu acknowledged + %llu failed + %llu in "
		"flight%s\n",
		(unsigned long long)x->scheduled, (unsigned long long)x->acked,
		(unsigned long long)x->failed, (unsigned long long)x->in_flight,
		x->scheduled == x->acked + x->failed + x->in_flight && !x->unaccounted
			? ""
			: "  DOES NOT ADD UP");
	fprintf(f, "connections %llu made, %llu failed, %llu lost, %llu reconnects",
		(unsigned long long)x->connects, (unsigned long long)x->connect_failures,
		(unsigned long long)x->lost_connections, (unsigned long long)x->reconnects);
	if (x->resumed)
		fprintf(f, ", %llu TLS sessions resumed", (unsigned long long)x->resumed);
	if (x->not_made)
		fprintf(f, "; %llu devices could not be made", (unsigned long long)x->not_made);
	if (sim_tally_never_connected(t))
		fprintf(f, "; %u of %u devices never connected", sim_tally_never_connected(t),
			t->most_running);
	fputc('\n', f);
	/* Nothing received is what there is to tell, if something was lost. */
	if (x->received || x->lost)
		fprintf(f,
			"received    %llu, of this run %llu once, %llu duplicates, %llu lost end "
			"to "
			"end\n",
			(unsigned long long)x->received, (unsigned long long)x->unique,
			(unsigned long long)x->duplicates, (unsigned long long)x->lost);
	fprintf(f,
		"traffic     %.1f MB out in %llu writes, %.1f MB in; %.1f s, %.0f msgs/s, %.2f CPU "
		"s, %.0f msgs per CPU s\n",
		(double)x->bytes_out / 1e6, (unsigned long long)x->writes,
		(double)x->bytes_in / 1e6, t->t_s, (double)x->acked / s, x->cpu_s,
		x->cpu_s > 0 ? (double)x->acked / x->cpu_s : 0);
	if (x->late_acks || x->overruns)
		fprintf(f,
			"notes       %llu acknowledgements came too late, %llu intervals were "
			"missed and made up for\n",
			(unsigned long long)x->late_acks, (unsigned long long)x->overruns);
	fflush(f);
}

void sim_show_json(struct sim_tally *t, FILE *f, bool summary)
{
	json_t *o = sim_tally_json(t, summary);

	json_object_set_new(o, "event", json_string(summary ? "summary" : "second"));
	json_dumpf(o, f, JSON_COMPACT | JSON_REAL_PRECISION(12));
	fputc('\n', f);
	fflush(f);
	json_decref(o);
}
