// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is when. Phases: ramp until `before` begins, `before` up to the first
 * fault, each fault's window, between two windows, after the last. Without
 * faults `before` follows the first stage, and the rest is after.
 */
#include <errno.h>
#include <string.h>
#include "sim/experiment/file/node.h"

const char *const exp_phase_words[EXP_PHASES] = {"ramp",    "before", "fault",
						 "between", "after",  "run"};

/* A rule is set, its counters are read, another is put back: a second's room for that. */
#define ROOM_NS EXP_NS

static uint64_t end_of(const struct exp_fault *f)
{
	return f->at_ns + f->for_ns;
}

static uint64_t first_fault(const struct experiment *x)
{
	uint64_t at = UINT64_MAX;

	for (unsigned i = 0; i < x->nfaults; i++)
		at = x->fault[i].at_ns < at ? x->fault[i].at_ns : at;
	return at;
}

static uint64_t last_fault(const struct experiment *x)
{
	uint64_t at = 0;

	for (unsigned i = 0; i < x->nfaults; i++)
		at = end_of(&x->fault[i]) > at ? end_of(&x->fault[i]) : at;
	return at;
}

static bool same_peer(const struct experiment *x, const struct exp_fault *a,
		      const struct exp_fault *b)
{
	const char *p = *a->peer.url ? a->peer.url : x->peer.url;
	const char *q = *b->peer.url ? b->peer.url : x->peer.url;

	return !strcmp(p, q);
}

static int overlaps(struct experiment *x, struct sq_error *err)
{
	for (unsigned i = 0; i < x->nfaults; i++) {
		for (unsigned k = 0; k < i; k++) {
			const struct exp_fault *a = &x->fault[k], *b = &x->fault[i];

			if (strcmp(a->target, b->target) || !same_peer(x, a, b) ||
			    a->at_ns >= end_of(b) + ROOM_NS || b->at_ns >= end_of(a) + ROOM_NS)
				continue;
			return exp_bad_at(
				x, b->mark, err,
				"faults: '%s' (%gs to %gs) and '%s' (%gs to %gs) need the "
				"rule of the same target: a target has one; at least 1s "
				"must lie between them",
				a->name, (double)a->at_ns / 1e9, (double)end_of(a) / 1e9, b->name,
				(double)b->at_ns / 1e9, (double)end_of(b) / 1e9);
		}
	}
	return 0;
}

/* The ramp ends where the load last changes before `before`; in `before` it stands still. */
static int steady(struct experiment *x, struct sq_error *err)
{
	uint64_t at = 0, first = first_fault(x);
	uint32_t now = 0;

	for (unsigned i = 0; i < x->nstages; i++) {
		uint64_t end = at + x->stage[i].over_ns;
		bool moves = x->stage[i].target != now;

		if (x->nfaults && x->before_ns && moves && end > x->before_from_ns && at < first)
			return exp_bad_at(
				x, x->before_mark, err,
				"before: %gs: the load still changes from %gs to %gs, and before "
				"begins at %gs, %gs ahead of the first fault: put the fault later",
				(double)x->before_ns / 1e9, (double)at / 1e9, (double)end / 1e9,
				(double)x->before_from_ns / 1e9, (double)x->before_ns / 1e9);
		at = end;
		now = x->stage[i].target;
	}
	return 0;
}

int exp_timeline(struct experiment *x, struct sq_error *err)
{
	uint64_t end = 0, first = first_fault(x);
	int rc;

	x->most = 0;
	for (unsigned i = 0; i < x->nstages; i++) {
		end += x->stage[i].over_ns;
		x->most = x->stage[i].target > x->most ? x->stage[i].target : x->most;
	}
	x->ramp_end_ns = x->nstages ? x->stage[0].over_ns : 0;
	if (x->nfaults) {
		if (x->before_ns > first)
			return exp_bad_at(x, x->before_mark, err,
					  "before: %gs does not fit in front of the first fault, "
					  "which is at %gs",
					  (double)x->before_ns / 1e9, (double)first / 1e9);
		x->before_from_ns = first - x->before_ns;
		end = end > last_fault(x) + x->after_ns ? end : last_fault(x) + x->after_ns;
	} else {
		x->before_from_ns = x->ramp_end_ns;
		if (end < x->before_from_ns + x->before_ns + x->after_ns)
			end = x->before_from_ns + x->before_ns + x->after_ns;
	}
	x->total_ns = end;
	if (!end)
		return sq_bad(err,
			      "%.100s:1:1: nothing takes any time: give load a duration, or "
			      "before:, faults: or after:",
			      x->path);
	rc = overlaps(x, err);
	return rc ? rc : steady(x, err);
}

enum exp_phase exp_phase_at(const struct experiment *x, uint64_t t, uint32_t *ret_faults)
{
	*ret_faults = 0;
	for (unsigned i = 0; i < x->nfaults; i++)
		if (t >= x->fault[i].at_ns && t < end_of(&x->fault[i]))
			*ret_faults |= 1u << i;
	if (*ret_faults)
		return EXP_FAULT;
	if (t < x->before_from_ns)
		return EXP_RAMP;
	if (t < x->before_from_ns + x->before_ns)
		return EXP_BEFORE;
	return x->nfaults && t < last_fault(x) ? EXP_BETWEEN : EXP_AFTER;
}

static void nearer(uint64_t at, uint64_t t, uint64_t *best)
{
	if (at > t && at < *best)
		*best = at;
}

uint64_t exp_next_edge(const struct experiment *x, uint64_t t)
{
	uint64_t best = x->total_ns;

	nearer(x->before_from_ns, t, &best);
	nearer(x->before_from_ns + x->before_ns, t, &best);
	for (unsigned i = 0; i < x->nfaults; i++) {
		nearer(x->fault[i].at_ns, t, &best);
		nearer(end_of(&x->fault[i]), t, &best);
	}
	return best;
}

uint32_t exp_load_at(const struct experiment *x, uint64_t t)
{
	uint64_t at = 0;
	uint32_t from = 0;

	for (unsigned i = 0; i < x->nstages; i++) {
		const struct exp_stage *s = &x->stage[i];

		if (t < at + s->over_ns)
			return (uint32_t)(from + ((double)s->target - from) * (double)(t - at) /
							 (double)s->over_ns);
		at += s->over_ns;
		from = s->target;
	}
	return from;
}

static void phase_text(const struct experiment *x, uint64_t t, char *buf, size_t cap)
{
	uint32_t faults;
	enum exp_phase p = exp_phase_at(x, t, &faults);

	snprintf(buf, cap, "%s", exp_phase_words[p]);
	for (unsigned i = 0; i < x->nfaults; i++)
		if (faults & 1u << i)
			snprintf(buf + strlen(buf), cap - strlen(buf), "%s%s",
				 strchr(buf, ':') ? "+" : ":", x->fault[i].name);
}

void exp_show_timeline(const struct experiment *x, FILE *f)
{
	fprintf(f, "%s: %gs, %u fault%s, %u probe%s, %u threshold%s\n", x->name,
		(double)x->total_ns / 1e9, x->nfaults, x->nfaults == 1 ? "" : "s", x->nprobes,
		x->nprobes == 1 ? "" : "s", x->nthresholds, x->nthresholds == 1 ? "" : "s");
	for (uint64_t at = 0; at < x->total_ns; at = exp_next_edge(x, at)) {
		uint64_t to = exp_next_edge(x, at);
		uint32_t faults;
		char phase[200];

		exp_phase_at(x, at, &faults);
		phase_text(x, at, phase, sizeof(phase));
		fprintf(f, "%8.1fs  %-24s %6.1fs", (double)at / 1e9, phase,
			(double)(to - at) / 1e9);
		if (x->fleet.ntypes)
			fprintf(f, "  %u to %u devices", exp_load_at(x, at),
				exp_load_at(x, to - 1));
		fputc('\n', f);
		for (unsigned i = 0; i < x->nfaults; i++) {
			const struct exp_fault *o = &x->fault[i];
			const struct exp_peer *p = *o->peer.url ? &o->peer : &x->peer;

			if (o->at_ns == at)
				fprintf(f, "%9s  + %s: %s %s%s for %gs%s%s\n", "", o->name,
					o->target, *o->rule ? "" : "profile ",
					*o->rule ? o->rule : o->profile, (double)o->for_ns / 1e9,
					*p->url ? " at " : "", p->url);
		}
	}
	for (unsigned i = 0; i < x->nthresholds; i++)
		fprintf(f, "  threshold  %s %s%s\n", x->threshold[i].metric, x->threshold[i].limit,
			x->threshold[i].abort ? " (ends the run)" : "");
}

json_t *exp_timeline_json(const struct experiment *x)
{
	json_t *o = json_object(), *list = json_array();

	for (uint64_t at = 0; at < x->total_ns; at = exp_next_edge(x, at)) {
		uint32_t faults;
		enum exp_phase p = exp_phase_at(x, at, &faults);
		json_t *names = json_array();

		for (unsigned i = 0; i < x->nfaults; i++)
			if (faults & 1u << i)
				json_array_append_new(names, json_string(x->fault[i].name));
		json_array_append_new(list,
				      json_pack("{s:s,s:o,s:f,s:f}", "phase", exp_phase_words[p],
						"faults", names, "from_s", (double)at / 1e9, "to_s",
						(double)exp_next_edge(x, at) / 1e9));
	}
	json_object_set_new(o, "name", json_string(x->name));
	json_object_set_new(o, "duration_s", json_real((double)x->total_ns / 1e9));
	json_object_set_new(o, "phases", list);
	return o;
}
