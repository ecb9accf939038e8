// SPDX-License-Identifier: GPL-2.0-only
/* What rules have done to packets, by clause and direction. */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lib/clock.h"
#include "squalld/api/api.h"
#include "squalld/control/book.h"
#include "squalld/meter/loud.h"
#include "squalld/meter/meter.h"
#include "squalld/meter/series.h"
#include "squalld/kernel/kernel.h"

struct collect {
	struct engine *engine;
	struct book *book;
	json_t *list, *flows;
	uint64_t now;
};

static void add_counts(json_t *o, const struct sq_counters *c)
{
	const struct {
		const char *name;
		uint64_t pkts, bytes;
	} what[] = {
		{"seen", c->seen_pkts, c->seen_bytes},
		{"lost", c->lost_pkts, c->lost_bytes},
		{"delayed", c->delayed_pkts, c->delayed_bytes},
		{"duplicated", c->duplicated_pkts, c->duplicated_bytes},
		{"corrupted", c->corrupted_pkts, c->corrupted_bytes},
		{"reordered", c->reordered_pkts, c->reordered_bytes},
		{"over_limit", c->over_limit_pkts, c->over_limit_bytes},
	};
	char key[40];

	for (size_t i = 0; i < sizeof(what) / sizeof(what[0]); i++) {
		snprintf(key, sizeof(key), "%s_pkts", what[i].name);
		json_object_set_new(o, key, json_integer((json_int_t)what[i].pkts));
		snprintf(key, sizeof(key), "%s_bytes", what[i].name);
		json_object_set_new(o, key, json_integer((json_int_t)what[i].bytes));
	}
	json_object_set_new(o, "errors", json_integer((json_int_t)c->errors));
	json_object_set_new(o, "lane_lost_pkts", json_integer((json_int_t)c->lane_lost_pkts));
}

static json_t *one_counter(const struct rule_entry *e, uint32_t clause, int dir,
			   const struct sq_counters *all, const struct sq_counters *version)
{
	json_t *o = json_pack("{s:o,s:i,s:s,s:O?,s:I}", "target", json_text(e->name), "clause",
			      (int)clause, "direction", dir == SQ_UP ? "up" : "down", "match",
			      e->match[clause], "began_ms", (json_int_t)e->began_ms),
	       *v;

	add_counts(o, all);
	if (e->base) {
		v = json_pack("{s:I}", "set_ms", (json_int_t)(e->rule.set_ns / 1000000));
		add_counts(v, version);
		json_object_set_new(o, "version", v);
	}
	return o;
}

static int collect_one(struct rule_entry *e, void *arg)
{
	struct collect *x = arg;
	struct sq_rule live;
	bool have_live = false;
	json_t *flows;

	if (!e->in_force)
		return 0;
	flows = flow_counts_json(x->engine, e);
	if (flows)
		json_array_append_new(x->flows, flows);
	for (uint32_t i = 0; i < e->rule.n_clauses && i < SQ_MAX_CLAUSES; i++) {
		for (int dir = 0; dir < SQ_DIRS; dir++) {
			const struct sq_faults *f = &e->rule.clause[i].faults[dir];
			struct sq_counters c, v;
			uint64_t queue = 0;
			json_t *o;

			if (book_counters(x->book, e, i, dir, &c, &v) < 0)
				continue;
			/* How far the rate's bucket is behind: what a packet sent now would wait.
			 */
			if (f->rate_bps && !have_live)
				have_live = engine_get_rule(x->engine, e->cgroup_id, &live) == 0;
			if (f->rate_bps && have_live && live.dyn[i][dir].tat > x->now)
				queue = live.dyn[i][dir].tat - x->now;
			o = one_counter(e, i, dir, &c, &v);
			json_object_set_new(o, "queue_ns", json_integer((json_int_t)queue));
			json_array_append_new(x->list, o);
		}
	}
	return 0;
}

json_t *counters_json(struct engine *engine, struct book *book, const char *name)
{
	struct collect x = {engine, book, json_array(), json_array(), sq_mono_ns()};
	struct rule_entry *e;

	if (!name)
		book_each(book, collect_one, &x);
	else if ((e = book_find(book, name)))
		collect_one(e, &x);
	return json_pack("{s:I,s:o,s:o}", "time_ms", (json_int_t)sq_real_ms(), "counters", x.list,
			 "flows", x.flows);
}

/*
 * For those who heard them a second ago: entries that say something new. Of a
 * hundred rules whose devices sleep that is nothing, where the whole list is a
 * hundred kilobytes a second.
 */

/* Flows have neither clause nor direction. */
static char *key_of(const json_t *entry)
{
	const char *direction = json_string_value(json_object_get(entry, "direction")),
		   *target = json_string_value(json_object_get(entry, "target"));
	json_int_t clause = json_integer_value(json_object_get(entry, "clause"));
	char *key;

	return asprintf(&key, "%s %lld %s", direction ? direction : "flows", (long long)clause,
			target ? target : "") < 0
		       ? NULL
		       : key;
}

static void add_changed(json_t *told, json_t *next, const json_t *list, json_t *to)
{
	json_t *entry;
	size_t i;

	json_array_foreach(list, i, entry)
	{
		char *key = key_of(entry);

		if (!key)
			continue;
		if (!json_equal(entry, json_object_get(told, key)))
			json_array_append(to, entry);
		json_object_set(next, key, entry);
		free(key);
	}
}

json_t *counters_changed(json_t **told, const json_t *counters)
{
	json_t *next = json_object(), *entries = json_array(), *flows = json_array();

	add_changed(*told, next, json_object_get(counters, "counters"), entries);
	add_changed(*told, next, json_object_get(counters, "flows"), flows);
	json_decref(*told);
	*told = next;
	return json_pack("{s:O,s:o,s:o}", "time_ms", json_object_get(counters, "time_ms"),
			 "counters", entries, "flows", flows);
}

/* Its two lists anew, of what `of` gives for each entry: a new reference, or NULL for none. */
static json_t *rewritten(const json_t *changed, json_t *(*of)(json_t *entry, const char *arg),
			 const char *arg)
{
	static const char *const lists[] = {"counters", "flows"};
	json_t *o = json_pack("{s:O}", "time_ms", json_object_get(changed, "time_ms")), *entry;
	size_t i;

	for (int k = 0; k < 2; k++) {
		json_t *to = json_array();

		json_array_foreach(json_object_get(changed, lists[k]), i, entry)
		{
			json_t *one = of(entry, arg);

			if (one)
				json_array_append_new(to, one);
		}
		json_object_set_new(o, lists[k], to);
	}
	return o;
}

static json_t *if_of_target(json_t *entry, const char *target)
{
	const char *whose = json_string_value(json_object_get(entry, "target"));

	return whose && !strcmp(whose, target) ? json_incref(entry) : NULL;
}

json_t *counters_of_target(const json_t *changed, const char *target)
{
	return rewritten(changed, if_of_target, target);
}

static json_t *brief_entry(json_t *entry, const char *arg)
{
	json_t *o = json_object(), *v;
	const char *k;

	json_object_foreach(entry, k, v)
	{
		if (json_is_object(v))
			json_object_set_new(
				o, k, strcmp(k, "match") ? brief_entry(v, arg) : json_incref(v));
		else if (!json_is_integer(v) || json_integer_value(v) || !strcmp(k, "clause"))
			json_object_set(o, k, v);
	}
	return o;
}

json_t *counters_brief(const json_t *changed)
{
	return rewritten(changed, brief_entry, NULL);
}

enum MHD_Result api_counters(struct request *r, const char *name)
{
	json_t *o;

	(void)name;
	pthread_mutex_lock(api_of(r)->lock);
	o = counters_json(api_of(r)->engine, api_of(r)->book, NULL);
	pthread_mutex_unlock(api_of(r)->lock);
	return reply_json(r, 200, o);
}

enum MHD_Result api_counters_of(struct request *r, const char *name)
{
	struct sq_error p = {0};
	struct target t;
	json_t *o = NULL;

	pthread_mutex_lock(api_of(r)->lock);
	if (target_resolve(api_of(r)->targets, name, &t, &p) == 0)
		o = counters_json(api_of(r)->engine, api_of(r)->book, t.name);
	pthread_mutex_unlock(api_of(r)->lock);
	return p.code ? reply_problem(r, &p) : reply_json(r, 200, o);
}

/* Of a target that is gone there may be a past, so any name is one. */
enum MHD_Result api_series(struct request *r, const char *name)
{
	struct sq_error ignored = {0};
	struct target t;
	json_t *o;

	pthread_mutex_lock(api_of(r)->lock);
	if (target_resolve(api_of(r)->targets, name, &t, &ignored) < 0)
		snprintf(t.name, sizeof(t.name), "%s", name);
	o = series_json(meter_series(api_of(r)->meter), t.name, sq_mono_ns());
	json_object_set_new(o, "traffic",
			    series_json(loud_series(api_of(r)->loud), t.name, sq_mono_ns()));
	pthread_mutex_unlock(api_of(r)->lock);
	json_decref(ignored.candidates);
	json_object_set_new(o, "target", json_text(t.name));
	return reply_json(r, 200, o);
}
