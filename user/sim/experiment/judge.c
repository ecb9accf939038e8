// SPDX-License-Identifier: GPL-2.0-only
/* The verdict: what was recorded against what was asked. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "sim/experiment/judge.h"

void exp_part_name(const struct experiment *x, unsigned part, char *buf, size_t cap)
{
	if (part >= EXP_PHASES)
		snprintf(buf, cap, "fault:%s", x->fault[part - EXP_PHASES].name);
	else
		snprintf(buf, cap, "%s", exp_phase_words[part]);
}

/* One request of a part, over all types or one. hist is the caller's, zeroed. */
static void sum_row(const struct exp_record *r, unsigned part, int type, unsigned name,
		    struct exp_row *ret, struct sim_hist *hist)
{
	*ret = (struct exp_row){.hist = hist};
	for (unsigned i = 0; i < r->nrows; i++) {
		const struct exp_row *o = &r->part[part].row[i];

		if (i % SIM_NAMES != name || (type >= 0 && i / SIM_NAMES != (unsigned)type))
			continue;
		if (o->requests > o->failures) {
			if (ret->requests == ret->failures || o->min_ms < ret->min_ms)
				ret->min_ms = o->min_ms;
			if (o->max_ms > ret->max_ms)
				ret->max_ms = o->max_ms;
		}
		ret->requests += o->requests;
		ret->failures += o->failures;
		ret->total_ms += o->total_ms;
		if (o->hist && hist)
			sim_hist_merge(hist, o->hist);
	}
}

static void times(const struct exp_row *row, const struct exp_threshold *t, struct exp_verdict *v)
{
	v->of = row->requests - row->failures;
	v->what = "answers";
	v->value = !v->of		? 0
		   : t->what == EXP_AVG ? row->total_ms / (double)v->of
		   : t->what == EXP_MIN ? row->min_ms
		   : t->what == EXP_MAX ? row->max_ms
					: sim_hist_quantile(row->hist, t->quantile);
}

static uint64_t unacked(const struct exp_record *r, unsigned part, int type)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < r->nfailures; i++) {
		const struct sim_error *e = &r->failure[i].e;

		if ((type < 0 || e->type == (unsigned)type) &&
		    (!strcmp(e->kind, "no-puback") || !strcmp(e->kind, "no-pubcomp")))
			n += r->failure[i].by_part[part];
	}
	return n;
}

/* Messages and connects of a part; `of` is what there was at all. */
/* Longer than 70 lines: a table, one case a metric. */
static void counts(const struct exp_record *r, const struct exp_threshold *t, int type,
		   struct exp_verdict *v)
{
	const struct exp_sum *s = &r->part[t->part];
	const struct sim_totals *x = &s->tot;
	struct exp_row pub, ack, con, dis;
	uint64_t n = 0;

	sum_row(r, t->part, type, SIM_PUBLISH, &pub, NULL);
	sum_row(r, t->part, type, SIM_PUBACK, &ack, NULL);
	sum_row(r, t->part, type, SIM_CONNECT, &con, NULL);
	sum_row(r, t->part, type, SIM_DISCONNECT, &dis, NULL);
	v->of = s->ticks;
	v->what = "tenths of a second";
	switch (t->what) {
	case EXP_ERRORS:
		/* A connection that was refused is an error that somebody's device had. */
		n = type >= 0 ? pub.failures + ack.failures + con.failures
			      : x->failed + x->connect_failures;
		v->of = type >= 0 ? pub.requests + con.requests
				  : x->scheduled + x->connects + x->connect_failures;
		if (v->of < n)
			v->of = n; /* they were scheduled in an earlier part */
		v->what = "messages and attempts to connect";
		break;
	case EXP_CONNECT_ERRORS:
		n = con.failures;
		/* None tried means none failed. */
		v->of = t->percent ? con.requests : s->ticks;
		v->what = "attempts to connect";
		break;
	case EXP_NEVER:
		n = x->connects - x->reconnects < r->most_running
			    ? r->most_running - (x->connects - x->reconnects)
			    : 0;
		v->of = r->most_running;
		v->what = "devices";
		break;
	case EXP_CONNECTED_MIN:
		n = s->ticks ? s->connected_min : 0;
		if (t->percent) {
			v->value = s->target_min ? 100.0 * (double)n / s->target_min : 100;
			return;
		}
		break;
	case EXP_DISCONNECTS:
		n = dis.failures;
		break;
	case EXP_UNACKED:
		n = unacked(r, t->part, type);
		break;
	case EXP_LOST:
	case EXP_DUPLICATES:
		n = t->what == EXP_LOST ? x->lost : x->duplicates;
		v->of = x->unique + x->lost;
		v->what = "messages followed to a subscriber";
		break;
	case EXP_SCHEDULED:
		n = x->scheduled;
		break;
	case EXP_ACKED:
		n = x->acked;
		break;
	case EXP_FAILED:
		n = x->failed;
		break;
	case EXP_CONNECTS:
		n = x->connects;
		break;
	default:
		n = x->reconnects;
		break;
	}
	v->value = (double)n;
	if (t->percent && v->of)
		v->value = 100 * v->value / (double)v->of;
	if (t->per_s)
		v->value = s->seconds > 0 ? v->value / s->seconds : 0;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static bool in_part(const struct experiment *x, unsigned part, uint64_t at)
{
	uint32_t faults;
	enum exp_phase p = exp_phase_at(x, at, &faults);

	return part == EXP_WHOLE || part == p ||
	       (part >= EXP_PHASES && faults & 1u << (part - EXP_PHASES));
}

static void of_probe(const struct exp_run *r, const struct exp_threshold *t, unsigned part,
		     struct exp_verdict *v)
{
	unsigned n, up = 0, values = 0;
	struct exp_answer *a = exp_probe_answers(r->probes, (unsigned)t->probe, &n);
	double *value = malloc((n + 1) * sizeof(*value)), sum = 0, last = 0;

	v->what = "answers";
	for (unsigned i = 0; i < n && value; i++) {
		if (!in_part(r->x, part, a[i].at_ns))
			continue;
		v->of++;
		up += a[i].up;
		if (isnan(a[i].value))
			continue;
		last = value[values++] = a[i].value;
		sum += last;
	}
	if (t->what == EXP_PROBE_UP) {
		v->value = v->of ? 100.0 * up / (double)v->of : 0;
	} else if (value) {
		v->of = values;
		qsort(value, values, sizeof(*value), by_value);
		v->value = !values		       ? 0
			   : t->what == EXP_PROBE_LAST ? last
			   : t->what == EXP_AVG	       ? sum / values
			   : t->what == EXP_MIN	       ? value[0]
			   : t->what == EXP_MAX	       ? value[values - 1]
						: value[(unsigned)ceil(t->quantile * values) - 1];
	}
	free(value);
	free(a);
}

/* Without a fleet: when every probe is up, and stays so. */
static double probes_back(const struct exp_run *r, uint64_t end, uint64_t until)
{
	uint64_t back = end;

	for (unsigned i = 0; i < r->x->nprobes; i++) {
		unsigned n;
		struct exp_answer *a = exp_probe_answers(r->probes, i, &n);
		uint64_t from = UINT64_MAX;

		for (unsigned k = 0; k < n; k++) {
			if (a[k].at_ns < end || a[k].at_ns >= until)
				continue;
			if (!a[k].up)
				from = UINT64_MAX;
			else if (from == UINT64_MAX)
				from = a[k].at_ns;
			/* Long enough: what comes later is another matter. */
			if (a[k].up && a[k].at_ns >= from + r->x->stay_ns)
				break;
		}
		free(a);
		if (from == UINT64_MAX)
			return -1;
		back = from > back ? from : back;
	}
	return until >= back + r->x->stay_ns ? (double)(back - end) / 1e9 : -1;
}

bool exp_recovery(const struct exp_run *r, unsigned i, double *ret_s)
{
	uint64_t from, end, until = r->rec->last_ns;

	exp_inject_window(r->inject, i, &from, &end);
	if (!end)
		return false;
	for (unsigned k = 0; k < r->x->nfaults; k++) {
		uint64_t at = r->x->fault[k].at_ns, over = at + r->x->fault[k].for_ns;

		/* Another fault in force: what is seen is that one's. */
		if (k != i && over > end && at < until)
			until = at > end ? at : end;
	}
	*ret_s = r->rec->e ? exp_record_recovery(r->rec, end, until) : probes_back(r, end, until);
	return true;
}

static void say(const struct exp_threshold *t, struct exp_verdict *v)
{
	if (t->what == EXP_RECOVERY && v->of && isnan(v->value))
		snprintf(v->said, sizeof(v->said), "never");
	else if (!v->of)
		snprintf(v->said, sizeof(v->said), "nothing to judge it by: 0 %s", v->what);
	else if (t->unit == EXP_TIME && v->value >= 1000)
		snprintf(v->said, sizeof(v->said), "%.2f s", v->value / 1000);
	else
		snprintf(v->said, sizeof(v->said), "%.4g%s", v->value,
			 t->unit == EXP_TIME   ? " ms"
			 : t->percent	       ? " %"
			 : t->unit == EXP_RATE ? "/s"
					       : "");
}

bool exp_compare(double a, const char *op, double b)
{
	/* "never" is longer than any time. */
	if (isnan(a))
		return *op == '>' || *op == '!';
	return !strcmp(op, "<")	   ? a < b
	       : !strcmp(op, "<=") ? a <= b
	       : !strcmp(op, ">")  ? a > b
	       : !strcmp(op, ">=") ? a >= b
	       : !strcmp(op, "==") ? a == b
				   : a != b;
}

void exp_judge(const struct exp_run *r, const struct exp_threshold *t, struct exp_verdict *v)
{
	uint64_t seen, struck;
	int type = -1;
	double s;

	memset(v, 0, sizeof(*v));
	v->what = "samples";
	for (unsigned i = 0; *t->type && i < r->x->fleet.ntypes; i++)
		if (!strcmp(r->x->fleet.type[i].name, t->type))
			type = (int)i;
	if (t->probe >= 0) {
		of_probe(r, t, t->part, v);
	} else if (t->what == EXP_RECOVERY) {
		v->what = "faults that ended";
		v->of = exp_recovery(r, t->part - EXP_PHASES, &s);
		v->value = v->of && s >= 0 ? s * 1000 : NAN;
	} else if (t->what == EXP_PACKETS_SEEN || t->what == EXP_PACKETS_STRUCK) {
		v->what = "counters of the kernel's";
		v->of = exp_inject_packets(r->inject, t->part - EXP_PHASES, &seen, &struck);
		v->value = (double)(t->what == EXP_PACKETS_SEEN ? seen : struck);
		if (t->per_s && r->rec->part[t->part].seconds > 0)
			v->value /= r->rec->part[t->part].seconds;
	} else if (t->unit == EXP_TIME) {
		struct sim_hist *h = calloc(1, sizeof(*h));
		struct exp_row row;

		sum_row(r->rec, t->part, type, t->name >= 0 ? (unsigned)t->name : r->rec->main,
			&row, h);
		if (h)
			times(&row, t, v);
		free(h);
	} else {
		counts(r->rec, t, type, v);
	}
	v->ok = v->of && exp_compare(v->value, t->op, t->value);
	say(t, v);
}

static json_t *ms(bool any, double v)
{
	return any ? json_real(round(v * 1000) / 1000) : json_null();
}

json_t *exp_figures(const struct exp_run *r, unsigned part)
{
	const struct exp_sum *s = &r->rec->part[part];
	const struct sim_totals *x = &s->tot;
	json_t *o = json_object(), *reqs = json_object(), *probes = json_object();
	struct sim_hist *h = malloc(sizeof(*h));

	json_object_set_new(o, "seconds", ms(true, s->seconds));
	for (unsigned name = 0; h && r->rec->nrows && name < SIM_DISCONNECT; name++) {
		struct exp_row row;
		uint64_t n;

		memset(h, 0, sizeof(*h));
		sum_row(r->rec, part, -1, name, &row, h);
		n = row.requests - row.failures;
		if (!row.requests)
			continue;
		json_object_set_new(
			reqs, sim_name_text((enum sim_name)name),
			json_pack("{s:I,s:I,s:o,s:o,s:o,s:o,s:o,s:o}", "requests",
				  (json_int_t)row.requests, "failures", (json_int_t)row.failures,
				  "avg_ms", ms(n, n ? row.total_ms / (double)n : 0), "min_ms",
				  ms(n, row.min_ms), "p50_ms", ms(n, sim_hist_quantile(h, 0.5)),
				  "p95_ms", ms(n, sim_hist_quantile(h, 0.95)), "p99_ms",
				  ms(n, sim_hist_quantile(h, 0.99)), "max_ms", ms(n, row.max_ms)));
	}
	free(h);
	if (r->rec->e) {
#define PUT(f) json_object_set_new(o, #f, json_integer((json_int_t)x->f))
		PUT(scheduled), PUT(acked), PUT(failed), PUT(connects), PUT(connect_failures);
		PUT(reconnects), PUT(lost_connections), PUT(bytes_out), PUT(bytes_in);
#undef PUT
		json_object_set_new(o, "connected_min",
				    json_integer(s->ticks ? s->connected_min : 0));
	}
	for (unsigned i = 0; i < r->x->nprobes; i++) {
		struct exp_threshold t = {.probe = (int)i, .what = EXP_PROBE_UP};
		struct exp_verdict up = {0}, p50 = {0}, max = {0};

		of_probe(r, &t, part, &up);
		t.what = EXP_QUANTILE;
		t.quantile = 0.5;
		of_probe(r, &t, part, &p50);
		t.what = EXP_MAX;
		of_probe(r, &t, part, &max);
		json_object_set_new(probes, r->x->probe[i].name,
				    json_pack("{s:I,s:o,s:o,s:o}", "asked", (json_int_t)up.of,
					      "up_pct", ms(up.of, up.value), "p50",
					      ms(p50.of, p50.value), "max", ms(max.of, max.value)));
	}
	json_object_set_new(o, "requests", reqs);
	json_object_set_new(o, "probes", probes);
	return o;
}
