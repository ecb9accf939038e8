// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rates are told by cgroup id, in the shortest form that JSON has, and only
 * those that changed: a page that lists 500 targets gets them each second.
 */
#include "squalld/meter/meter.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include "lib/clock.h"
#include "squalld/control/book.h"
#include "squalld/control/bus.h"
#include "squalld/meter/series.h"
#include "squalld/kernel/kernel.h"

#define OUTCOMES 7
#define COLUMNS	 (2 * OUTCOMES) /* packets and bytes of each, of one direction */

static const char *const names[SQ_DIRS * COLUMNS] = {
	"seen_pkts",	   "seen_bytes",       "lost_pkts",	  "lost_bytes",
	"delayed_pkts",	   "delayed_bytes",    "duplicated_pkts", "duplicated_bytes",
	"corrupted_pkts",  "corrupted_bytes",  "reordered_pkts",  "reordered_bytes",
	"over_limit_pkts", "over_limit_bytes", "seen_pkts",	  "seen_bytes",
	"lost_pkts",	   "lost_bytes",       "delayed_pkts",	  "delayed_bytes",
	"duplicated_pkts", "duplicated_bytes", "corrupted_pkts",  "corrupted_bytes",
	"reordered_pkts",  "reordered_bytes",  "over_limit_pkts", "over_limit_bytes",
};
_Static_assert(SQ_DIRS *COLUMNS == METER_COLUMNS && METER_COLUMNS == SERIES_COLUMNS,
	       "one for each name");
_Static_assert(offsetof(struct sq_counters, errors) == COLUMNS * sizeof(__u64),
	       "the columns are how sq_counters begins");

struct meter {
	struct book *book;
	struct bus *bus;
	struct engine *engine;
	struct series *series;
	uint64_t now_ns, now_ms, last_ms; /* of this tick, and of the one before */
	json_t *rates;			  /* CGROUP ID -> [...], of this tick */
};

int meter_new(struct book *book, struct engine *engine, struct bus *bus, struct meter **ret)
{
	struct meter *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	m->book = book;
	m->engine = engine;
	m->bus = bus;
	m->now_ms = sq_real_ms(); /* what began before is not of the first second */
	m->rates = json_object();
	if (!m->rates || series_new(METER_MAX_BYTES, names, SERIES_COLUMNS, &m->series) < 0) {
		meter_free(m);
		return -ENOMEM;
	}
	*ret = m;
	return 0;
}

void meter_free(struct meter *m)
{
	if (!m)
		return;
	json_decref(m->rates);
	series_free(m->series);
	free(m);
}

struct series *meter_series(struct meter *m)
{
	return m->series;
}

/* How far the rate's bucket is behind, of the direction that is the furthest: what a packet sent
 * now would wait. */
static uint64_t queue_ns(struct meter *m, const struct rule_entry *e)
{
	bool limited = false;
	uint64_t queue = 0;
	struct sq_rule live;

	for (uint32_t i = 0; i < e->rule.n_clauses; i++)
		limited |= e->rule.clause[i].faults[SQ_UP].rate_bps ||
			   e->rule.clause[i].faults[SQ_DOWN].rate_bps;
	if (!limited || engine_get_rule(m->engine, e->cgroup_id, &live) < 0)
		return 0;
	for (uint32_t i = 0; i < e->rule.n_clauses * SQ_DIRS; i++) {
		uint64_t tat = live.dyn[i / SQ_DIRS][i % SQ_DIRS].tat;

		if (live.clause[i / SQ_DIRS].faults[i % SQ_DIRS].rate_bps && tat > m->now_ns &&
		    tat - m->now_ns > queue)
			queue = tat - m->now_ns;
	}
	return queue;
}

static void note_rates(struct meter *m, const struct rule_entry *e, const float *delta)
{
	const float *up = delta, *down = delta + COLUMNS;
	uint64_t queue = queue_ns(m, e);
	char id[24];

	if (up[0] + down[0] == 0 && !queue)
		return;
	snprintf(id, sizeof(id), "%llu", (unsigned long long)e->cgroup_id);
	json_object_set_new(m->rates, id,
			    json_pack("[I,I,I,I]", (json_int_t)(up[0] + down[0]),
				      (json_int_t)(up[2] + down[2]), (json_int_t)(up[4] + down[4]),
				      (json_int_t)(queue / 1000000u)));
}

static int meter_one(struct rule_entry *e, void *arg)
{
	uint64_t sum[SERIES_COLUMNS] = {0};
	float delta[SERIES_COLUMNS];
	struct meter *m = arg;

	if (!e->in_force)
		return 0;
	for (uint32_t i = 0; i < e->rule.n_clauses * SQ_DIRS; i++) {
		struct sq_counters c;

		if (book_counters(m->book, e, i / SQ_DIRS, (int)(i % SQ_DIRS), &c, NULL) < 0)
			continue;
		for (unsigned int k = 0; k < COLUMNS; k++)
			sum[(i % SQ_DIRS) * COLUMNS + k] += ((const __u64 *)&c)[k];
	}
	if (series_put(m->series, e->name, m->now_ns, sum, e->began_ms >= m->last_ms, delta))
		note_rates(m, e, delta);
	return 0;
}

json_t *meter_rates(const struct meter *m)
{
	return json_pack("{s:I,s:O}", "time_ms", (json_int_t)m->now_ms, "rates", m->rates);
}

/* What is other than before; a target that fell silent is told with zeros once. */
static json_t *changed(json_t *before, json_t *now)
{
	json_t *o = json_object(), *was, *is;
	const char *id;

	json_object_foreach(now, id, is) if (!json_equal(is, json_object_get(before, id)))
		json_object_set(o, id, is);
	json_object_foreach(before, id, was) if (!json_object_get(now, id))
		json_object_set_new(o, id, json_pack("[i,i,i,i]", 0, 0, 0, 0));
	return o;
}

void meter_tick(struct meter *m)
{
	json_t *before = m->rates;

	if (book_count(m->book) > METER_MANY && !bus_wanted(m->bus))
		return;

	m->rates = json_object();
	m->last_ms = m->now_ms;
	m->now_ns = sq_mono_ns();
	m->now_ms = sq_real_ms();
	book_each(m->book, meter_one, m);
	if (bus_wanted(m->bus))
		bus_publish(m->bus, "rates",
			    json_pack("{s:I,s:o}", "time_ms", (json_int_t)m->now_ms, "rates",
				      changed(before, m->rates)));
	json_decref(before);
}
