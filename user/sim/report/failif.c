// SPDX-License-Identifier: GPL-2.0-only
/*
 * --fail-if '[REQUEST.]METRIC OP VALUE', evaluated once, over the whole run.
 *   p50 p90 p95 p99 p99.9 avg max   times; of the publish (QoS 0) or puback, or
 *                                   of the REQUEST in front: connect.p99>2s
 *   errors                          failed of scheduled messages: a share or a number
 *   connect-errors disconnects lost duplicates unacked   numbers (connect-errors: share too)
 *   rate                            acknowledged messages per second
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "sim/run/run.h"

enum unit { TIME, COUNT_OR_PERCENT, COUNT, RATE };

static const struct metric {
	const char *name;
	enum unit unit;
	double quantile; /* of TIME; -1 average, -2 maximum */
} metrics[] = {
	{"p50", TIME, 0.5},
	{"p90", TIME, 0.9},
	{"p95", TIME, 0.95},
	{"p99", TIME, 0.99},
	{"p99.9", TIME, 0.999},
	{"avg", TIME, -1},
	{"max", TIME, -2},
	{"errors", COUNT_OR_PERCENT, 0},
	{"connect-errors", COUNT_OR_PERCENT, 0},
	{"disconnects", COUNT, 0},
	{"lost", COUNT, 0},
	{"duplicates", COUNT, 0},
	{"unacked", COUNT, 0},
	{"rate", RATE, 0},
};
#define NMETRICS (sizeof(metrics) / sizeof(*metrics))

struct threshold {
	const struct metric *m;
	int name; /* -1: the run's main one */
	char op[3];
	bool percent;
	double value; /* ms, or as it is */
};

static int parse(const char *text, struct threshold *ret, struct sim_err *err)
{
	size_t n = strcspn(text, "<>="), len = n, skip;
	const char *value, *word = text;
	struct threshold t = {.name = -1};
	char copy[64], *end;
	uint64_t ns;
	uint32_t ppm;

	while (len && word[len - 1] == ' ')
		len--;
	skip = strspn(text + n, "<>=");
	if (!len || len >= sizeof(copy) || skip < 1 || skip > 2)
		goto bad;
	memcpy(t.op, text + n, skip);
	if (strcmp(t.op, ">") && strcmp(t.op, "<") && strcmp(t.op, ">=") && strcmp(t.op, "<="))
		goto bad;
	memcpy(copy, text, len);
	copy[len] = 0;
	word = copy;
	for (int i = 0; i < SIM_NAMES; i++) {
		const char *name = sim_name_text((enum sim_name)i);

		if (!strncmp(copy, name, strlen(name)) && copy[strlen(name)] == '.') {
			t.name = i;
			word = copy + strlen(name) + 1;
		}
	}
	for (size_t i = 0; i < NMETRICS; i++)
		if (!strcmp(word, metrics[i].name))
			t.m = &metrics[i];
	if (!t.m || (t.name >= 0 && t.m->unit != TIME))
		goto bad;
	value = text + n + skip;
	value += strspn(value, " ");
	if (t.m->unit == TIME) {
		if (sim_parse_time(value, &ns) || !strcmp(value, "0"))
			goto bad;
		t.value = (double)ns / 1e6;
	} else if (strchr(value, '%')) {
		if (t.m->unit != COUNT_OR_PERCENT || sim_parse_percent(value, &ppm))
			goto bad;
		t.percent = true;
		t.value = ppm / 1e4;
	} else {
		t.value = strtod(value, &end);
		if (t.m->unit == RATE && !strcmp(end, "/s"))
			end += 2;
		if (end == value || *end || *value == '-' || !isfinite(t.value))
			goto bad;
	}
	if (ret)
		*ret = t;
	return 0;
bad:
	return sim_bad(
		err,
		"fail-if '%.90s': accepted: [connect.|publish.|puback.|receive.]p50, p90, "
		"p95, p99, p99.9, avg, max with a time; errors, connect-errors with a number or "
		"%%; disconnects, lost, duplicates, unacked, rate with a number; and >, >=, <, <= "
		"between, e.g. 'p95>500ms'",
		text);
}

int sim_failif_check(const char *text, struct sim_err *err)
{
	return parse(text, NULL, err);
}

static double measure(struct sim_tally *t, const struct threshold *th)
{
	enum sim_name name = th->name < 0 ? t->main : (enum sim_name)th->name;
	const struct sim_totals *x = &t->tot;
	struct sim_row *row;
	double v = 0, n, of;

	if (th->m->unit == TIME) {
		row = malloc(sizeof(*row));
		if (!row)
			return 0;
		sim_tally_name(t, name, row);
		if (th->m->quantile == -1)
			v = row->requests > row->failures
				    ? row->total_ms / (double)(row->requests - row->failures)
				    : 0;
		else if (th->m->quantile == -2)
			v = row->max_ms;
		else
			v = sim_hist_quantile(&row->hist, th->m->quantile);
		free(row);
		return v;
	}
	if (!strcmp(th->m->name, "errors") || !strcmp(th->m->name, "connect-errors")) {
		bool connect = *th->m->name == 'c';

		n = (double)(connect ? x->connect_failures : x->failed);
		of = (double)(connect ? x->connects + x->connect_failures : x->scheduled);
		return th->percent ? (of > 0 ? 100 * n / of : 0) : n;
	}
	if (!strcmp(th->m->name, "rate"))
		return t->t_s > 0 ? (double)x->acked / t->t_s : 0;
	if (!strcmp(th->m->name, "unacked")) {
		for (unsigned i = 0; i < t->nerrors; i++)
			if (!strcmp(t->error[i].kind, "no-puback") ||
			    !strcmp(t->error[i].kind, "no-pubcomp"))
				v += (double)t->error[i].occurrences;
		return v;
	}
	return (double)(!strcmp(th->m->name, "disconnects") ? x->lost_connections
			: !strcmp(th->m->name, "lost")	    ? x->lost
							    : x->duplicates);
}

unsigned sim_failif_eval(struct sim_tally *t, const struct sim_run *r, FILE *f)
{
	unsigned held = 0;

	for (unsigned i = 0; i < r->nfail_if; i++) {
		struct threshold th;
		struct sim_err err;
		double v;
		bool hit;

		if (parse(r->fail_if[i], &th, &err))
			continue;
		v = measure(t, &th);
		hit = !strcmp(th.op, ">")    ? v > th.value
		      : !strcmp(th.op, "<")  ? v < th.value
		      : !strcmp(th.op, ">=") ? v >= th.value
					     : v <= th.value;
		if (!hit)
			continue;
		held++;
		fprintf(f, "squall-sim: fail-if '%s' holds: %.4g%s\n", r->fail_if[i], v,
			th.m->unit == TIME ? " ms"
			: th.percent	   ? " %"
					   : "");
	}
	return held;
}
