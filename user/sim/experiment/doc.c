// SPDX-License-Identifier: GPL-2.0-only
/* The report: what was asked, what was done, what came of it, and how to do it again. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include "lib/text.h"
#include "sim/experiment/doc.h"
#include "sim/sim.h"

static json_t *thresholds(const struct exp_run *r, enum exp_end end, bool *ret_failed)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < r->x->nthresholds; i++) {
		const struct exp_threshold *t = &r->x->threshold[i];
		/* After a steady state that was none there was nothing else to measure. */
		bool skipped = end == EXP_UNSTEADY && t->part != EXP_BEFORE;
		struct exp_verdict v;
		json_t *o;

		exp_judge(r, t, &v);
		o = json_pack("{s:s,s:s,s:s,s:I,s:b,s:s}", "metric", t->metric, "limit", t->limit,
			      "verdict",
			      skipped ? "skipped"
			      : v.ok  ? "ok"
				      : "crossed",
			      "samples", (json_int_t)v.of, "abort", t->abort, "said",
			      skipped ? "not measured" : v.said);
		json_object_set_new(o, "value",
				    v.of && !isnan(v.value) && !skipped ? json_real(v.value)
									: json_null());
		json_object_set_new(o, "unit",
				    json_string(t->unit == EXP_TIME   ? "ms"
						: t->percent	      ? "%"
						: t->unit == EXP_RATE ? "/s"
								      : ""));
		json_array_append_new(list, o);
		if (!skipped)
			*ret_failed |= !v.ok;
	}
	return list;
}

static json_t *faults(const struct exp_run *r)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < r->x->nfaults; i++) {
		json_t *o = exp_inject_json(r->inject, i);
		double s;
		bool known = exp_recovery(r, i, &s);

		/* "never" is an answer; null is none. */
		json_object_set_new(o, "recovery_s",
				    !known   ? json_null()
				    : s >= 0 ? json_real(s)
					     : json_string("never"));
		json_array_append_new(list, o);
	}
	return list;
}

static json_t *figures(const struct exp_run *r)
{
	json_t *o = json_object();

	for (unsigned p = 0; p < EXP_PHASES + r->x->nfaults; p++) {
		char name[EXP_NAME + 8];

		if (r->rec->part[p].seconds <= 0)
			continue;
		exp_part_name(r->x, p, name, sizeof(name));
		json_object_set_new(o, name, exp_figures(r, p));
	}
	return o;
}

static json_t *failures(const struct exp_run *r)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < r->rec->nfailures; i++) {
		const struct exp_failure *f = &r->rec->failure[i];
		json_t *parts = json_object();

		for (unsigned p = 0; p < EXP_PHASES + r->x->nfaults; p++) {
			char name[EXP_NAME + 8];

			exp_part_name(r->x, p, name, sizeof(name));
			if (f->by_part[p] && p != EXP_WHOLE)
				json_object_set_new(parts, name,
						    json_integer((json_int_t)f->by_part[p]));
		}
		json_array_append_new(list,
				      json_pack("{s:s,s:s,s:s,s:o,s:I,s:o}", "type",
						r->x->fleet.type[f->e.type].name, "request",
						sim_name_text(f->e.name), "kind", f->e.kind, "text",
						json_text(f->e.text), "count",
						(json_int_t)f->e.occurrences, "by_phase", parts));
	}
	return list;
}

static json_t *probes(const struct exp_run *r)
{
	static const char *const kinds[] = {"http", "prometheus", "command"};
	json_t *list = json_array();

	for (unsigned i = 0; i < r->x->nprobes; i++) {
		const struct exp_probe *p = &r->x->probe[i];
		json_t *answers = json_array();
		char why[160];
		unsigned n;
		struct exp_answer *a = exp_probe_answers(r->probes, i, &n);

		for (unsigned k = 0; k < n; k++)
			json_array_append_new(
				answers,
				json_pack("[f,b,o]", round((double)a[k].at_ns / 1e6) / 1e3, a[k].up,
					  isnan(a[k].value)
						  ? json_null()
						  : json_real(round(a[k].value * 1000) / 1000)));
		free(a);
		exp_probe_why(r->probes, i, why, sizeof(why));
		json_array_append_new(list, json_pack("{s:s,s:s,s:s,s:o,s:o}", "name", p->name,
						      "kind", kinds[p->kind], "of",
						      p->kind == EXP_COMMAND ? p->argv[0] : p->url,
						      "last_failure", json_text(why), "answers",
						      answers));
	}
	return list;
}

static json_t *phases(const struct exp_run *r)
{
	json_t *all = exp_timeline_json(r->x), *list = json_array(), *o;
	double end = (double)r->rec->last_ns / 1e9;
	size_t i;

	/* Of one that was cut short, only what there was. */
	json_array_foreach(json_object_get(all, "phases"), i, o)
	{
		if (json_number_value(json_object_get(o, "from_s")) >= end)
			break;
		if (json_number_value(json_object_get(o, "to_s")) > end)
			json_object_set_new(o, "to_s", json_real(end));
		json_array_append(list, o);
	}
	json_decref(all);
	return list;
}

static json_t *settings(const struct experiment *x)
{
	json_t *o = json_pack("{s:f,s:f,s:f,s:f,s:f}", "before_s", (double)x->before_ns / 1e9,
			      "after_s", (double)x->after_ns / 1e9, "recovery_band_pct",
			      x->band_ppm / 1e4, "recovery_floor_ms", (double)x->floor_ns / 1e6,
			      "recovery_stay_s", (double)x->stay_ns / 1e9);
	json_t *types = json_array();

	for (unsigned i = 0; i < x->fleet.ntypes; i++) {
		const struct sim_profile *p = &x->fleet.type[i];

		json_array_append_new(types,
				      json_pack("{s:s,s:i,s:s,s:s,s:i,s:f}", "name", p->name,
						"weight", (int)p->weight, "broker", p->broker,
						"topic", p->topic, "qos", (int)p->qos,
						"interval_ms", (double)p->interval_ns / 1e6));
	}
	json_object_set_new(o, "devices", json_integer(x->most));
	json_object_set_new(o, "types", types);
	return o;
}

json_t *exp_doc(const struct exp_run *r, const struct exp_cmd *c, enum exp_end end, const char *why,
		uint64_t started_ms, int *ret_code)
{
	static const char *const words[] = {[EXP_UNSTEADY] = "no steady state",
					    [EXP_INTERRUPTED] = "interrupted",
					    [EXP_BROKEN] = "could not run"};
	bool failed = false;
	json_t *t = thresholds(r, end, &failed), *o;
	struct utsname u;
	char again[sizeof(c->command) + 32];

	*ret_code = end == EXP_UNSTEADY				  ? SIM_EXIT_STEADY
		    : end == EXP_INTERRUPTED || end == EXP_BROKEN ? SIM_EXIT_FAIL
		    : failed || end == EXP_ABORTED		  ? SIM_EXIT_THRESHOLD
								  : SIM_EXIT_OK;
	uname(&u);
	snprintf(again, sizeof(again), "%s%s", c->command, c->seed ? "" : " --seed ");
	if (!c->seed)
		snprintf(again + strlen(again), sizeof(again) - strlen(again), "%u", r->x->seed);
	o = json_pack("{s:i,s:s,s:s,s:o,s:s,s:i,s:o,s:I,s:f,s:I,s:s,s:s,s:o}", "format", 1, "name",
		      r->x->name, "description", r->x->description, "file", json_text(r->x->path),
		      "verdict",
		      words[end]  ? words[end]
		      : *ret_code ? "failed"
				  : "passed",
		      "exit", *ret_code, "why", json_text(why), "started_ms",
		      (json_int_t)started_ms, "duration_s", (double)r->rec->last_ns / 1e9, "seed",
		      (json_int_t)r->x->seed, "version", SQUALL_VERSION, "kernel", u.release,
		      "again", json_text(again));
	json_object_set_new(o, "thresholds", t);
	json_object_set_new(o, "phases", phases(r));
	json_object_set_new(o, "faults", faults(r));
	json_object_set_new(o, "figures", figures(r));
	json_object_set_new(o, "failures", failures(r));
	json_object_set_new(o, "probes", probes(r));
	json_object_set_new(o, "settings", settings(r->x));
	json_object_set(o, "seconds", r->rec->seconds);
	return o;
}
