// SPDX-License-Identifier: GPL-2.0-only
/*
 * What waits in the lanes, and what they lost: losses that nobody asked for, told apart from those
 * of the rules, so that none is taken for the network's.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "squall.skel.h"
#include "squalld/base/log.h"
#include "squalld/kernel/engine_internal.h"
#include "squalld/flows/hosts.h"

#define DRAIN_NS       5000000000ull
#define LOST_LATELY_NS 60000000000ull

static uint64_t positive(int64_t v)
{
	return v > 0 ? (uint64_t)v : 0;
}

/* Is there a slot that somebody may have, from *slot on? */
static bool slot_next(const struct engine *e, uint32_t *slot)
{
	while (*slot < SQ_WAIT_SETS * SQ_WAIT_WAYS) {
		/* Slot 0 is nobody's, and what waits there is not in waiting_used. */
		if (e->waiting_used[*slot / SQ_WAIT_WAYS] || !*slot)
			return true;
		*slot = (*slot / SQ_WAIT_WAYS + 1) * SQ_WAIT_WAYS;
	}
	return false;
}

/* All targets' together. */
static void waiting_sum(const struct engine *e, int64_t *ret_pkts, int64_t *ret_bytes,
			uint64_t *ret_last_ns)
{
	*ret_pkts = *ret_bytes = *ret_last_ns = 0;
	for (uint32_t i = 0; slot_next(e, &i); i++) {
		int64_t now = __atomic_load_n(&e->waiting[i].now, __ATOMIC_RELAXED);
		uint64_t last = __atomic_load_n(&e->waiting[i].last_ns, __ATOMIC_RELAXED);

		*ret_pkts += sq_wait_pkts(now);
		*ret_bytes += sq_wait_bytes(now);
		if (now && last > *ret_last_ns)
			*ret_last_ns = last;
	}
}

static void slot_forget(struct engine *e, struct sq_waiting *w)
{
	int64_t now = __atomic_exchange_n(&w->now, 0, __ATOMIC_RELAXED);

	__atomic_fetch_sub(&e->lane_state->pages, sq_wait_pages(now), __ATOMIC_RELAXED);
}

uint32_t lane_slot(struct engine *e, uint64_t target)
{
	uint32_t set = (target * 0x9e3779b97f4a7c15ull >> 32) % SQ_WAIT_SETS;
	struct sq_waiting *w = &e->waiting[set * SQ_WAIT_WAYS];
	int free = -1;

	for (int i = SQ_WAIT_WAYS - 1; i >= 0; i--) {
		if (w[i].target == target)
			return set * SQ_WAIT_WAYS + i;
		if (!w[i].target && (set || i))
			free = i;
	}
	if (free < 0)
		return 0;
	e->waiting_used[set]++;
	w[free].target = target;
	return set * SQ_WAIT_WAYS + free;
}

void lane_adopt(struct engine *e)
{
	for (uint32_t i = 0; i < SQ_WAIT_SETS * SQ_WAIT_WAYS; i++)
		e->waiting_used[i / SQ_WAIT_WAYS] += e->waiting[i].target != 0;
}

void engine_lane_stats(struct engine *e, struct engine_lane *ret)
{
	const volatile struct sq_lane_state *s = e->lane_state;
	int64_t pkts, bytes;
	uint64_t last;

	waiting_sum(e, &pkts, &bytes, &last);
	*ret = (struct engine_lane){.waiting_pkts = positive(pkts),
				    .waiting_bytes = positive(bytes),
				    .max_bytes = s->max_bytes,
				    .target_max_bytes = s->target_max_bytes,
				    .mended = s->mended,
				    .lost[LANE_FULL] = s->full_pkts,
				    .lost[LANE_TARGET_FULL] = s->target_full_pkts,
				    .lost[LANE_HORIZON] = s->horizon_pkts,
				    .lost[LANE_VERDICT] = s->verdict_pkts,
				    .lost[LANE_VANISHED] = s->vanished_pkts,
				    .lost[LANE_STRANDED] = e->cfg->stranded_pkts};
	if (e->pacer) {
		struct pacer_stats st;

		pacer_get_stats(e->pacer, &st);
		ret->lost[LANE_PACER] = st.dropped;
	}
	for (int i = 0; i < LATE_SECONDS; i++)
		if (e->late_ns[i] > ret->late_ns)
			ret->late_ns = e->late_ns[i];
	for (int i = 0; i < LANE_LOSSES; i++)
		ret->lost_pkts += ret->lost[i];
}

void lane_watch(struct engine *e)
{
	uint64_t second = engine_now() / 1000000000u, late;

	late = __atomic_exchange_n(&e->lane_state->late_ns, 0, __ATOMIC_RELAXED);
	if (e->pacer) {
		struct pacer_stats st;

		pacer_get_stats(e->pacer, &st);
		late = st.late_ns > late ? st.late_ns : late;
	}
	/* Seconds that nobody looked at are none. */
	for (uint64_t s = e->late_second + 1; s <= second && s <= e->late_second + LATE_SECONDS;
	     s++)
		e->late_ns[s % LATE_SECONDS] = 0;
	e->late_second = second;
	if (late > e->late_ns[second % LATE_SECONDS])
		e->late_ns[second % LATE_SECONDS] = late;
}

const char *engine_lane_loss(enum lane_loss loss, const char **ret_text)
{
	static const char *const words[LANE_LOSSES][2] = {
		[LANE_FULL] = {"full", "the lane is full (--lane-memory)"},
		[LANE_TARGET_FULL] = {"target_full",
				      "one target's share of the lane, half of --lane-memory, "
				      "is full"},
		[LANE_HORIZON] = {"horizon", "they would have had to wait for more than 590 s"},
		[LANE_VERDICT] = {"verdict", "a program of the lane could not carry them"},
		[LANE_PACER] = {"pacer", "the pacer could not keep or write them"},
		[LANE_STRANDED] = {"stranded", "their interface went away while they waited"},
		[LANE_VANISHED] = {"vanished", "they went into the lane and never came out: its "
					       "devices were changed, or a queue of the kernel "
					       "was full"},
	};

	if (ret_text)
		*ret_text = words[loss][1];
	return words[loss][0];
}

static void note_losses(struct engine *e, const struct engine_lane *st)
{
	bool first = !e->looked_at_losses;

	for (int i = 0; i < LANE_LOSSES; i++) {
		/* What our predecessor lost is long past. */
		if (!first && st->lost[i] > e->lost_before[i])
			__atomic_store_n(&e->lost_ns[i], engine_now(), __ATOMIC_RELAXED);
		e->lost_before[i] = st->lost[i];
	}
	e->looked_at_losses = true;
}

const char *engine_lane_lost(struct engine *e, int *i, unsigned int *ret_ago_s)
{
	const char *text = NULL;

	for (; *i < LANE_LOSSES && !text; ++*i) {
		uint64_t at = __atomic_load_n(&e->lost_ns[*i], __ATOMIC_RELAXED),
			 now = engine_now();

		if (!at || *i == LANE_STRANDED || now > at + LOST_LATELY_NS)
			continue;
		engine_lane_loss(*i, &text);
		*ret_ago_s = now > at ? (now - at) / 1000000000u : 0;
	}
	return text;
}

json_t *lane_json(struct engine *e)
{
	static const char *const names[] = {"none", "fq", "tap"};
	json_t *j = json_pack("{s:s, s:s}", "kind", names[e->lane], "why", e->lane_why);
	json_t *lost = json_object();
	struct engine_lane st;

	engine_lane_stats(e, &st);
	for (int i = 0; i < LANE_LOSSES; i++)
		json_object_set_new(lost, engine_lane_loss(i, NULL),
				    json_integer((json_int_t)st.lost[i]));
	json_object_update_new(j, json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "queued_pkts",
					    (json_int_t)st.waiting_pkts, "queued_bytes",
					    (json_int_t)st.waiting_bytes, "max_bytes",
					    (json_int_t)st.max_bytes, "target_max_bytes",
					    (json_int_t)st.target_max_bytes, "dropped_pkts",
					    (json_int_t)st.lost_pkts, "mended",
					    (json_int_t)st.mended, "lost", lost));
	json_object_set_new(j, "late_ns", json_integer((json_int_t)st.late_ns));
	if (e->pacer) {
		struct pacer_stats p;

		pacer_get_stats(e->pacer, &p);
		json_object_set_new(j, "passed_pkts", json_integer((json_int_t)p.frames));
	}
	return j;
}

/* The tables of jitter end at four sigma. */
uint32_t lane_wait_ms(const struct sq_rule *rule)
{
	uint64_t longest = 0;

	for (uint32_t i = 0; i < rule->n_clauses; i++)
		for (int d = 0; d < SQ_DIRS; d++) {
			const struct sq_faults *f = &rule->clause[i].faults[d];
			uint64_t ns =
				f->delay_ns + 4 * f->jitter_ns + (f->rate_bps ? f->limit_ns : 0);

			if (rule->clause[i].ask.dns == SQ_DNS_SLOW)
				ns += rule->clause[i].ask.dns_ns;
			longest = ns > longest ? ns : longest;
		}
	return (longest + 999999) / 1000000;
}

void lane_shorten(struct engine *e, uint64_t target, uint32_t ms)
{
	if (e->pacer && !e->ending) /* then it is drained, each packet at its time */
		pacer_shorten(e->pacer, target, engine_now() + ms * 1000000ull);
}

/* Of the targets that have nothing waiting any more, and the slots of those without a rule. A
 * packet that comes in between is counted less, which the next drain mends. */
static void targets_sweep(struct engine *e, uint64_t now)
{
	int ruled = bpf_map__fd(e->skel->maps.sq_targets);
	struct sq_target t;

	pthread_mutex_lock(&e->lock);
	for (uint32_t i = 0; slot_next(e, &i); i++) {
		struct sq_waiting *w = &e->waiting[i];

		if (now <= w->last_ns + SQ_LANE_DRAINED_NS)
			continue;
		slot_forget(e, w);
		if (!w->target || !bpf_map_lookup_elem(ruled, &w->target, &t))
			continue;
		__atomic_store_n(&w->last_ns, 0, __ATOMIC_RELAXED);
		w->target = w->refused_pkts = 0;
		e->waiting_used[i / SQ_WAIT_WAYS]--;
	}
	pthread_mutex_unlock(&e->lock);
}

/* To walk through a map that is empty costs 3 million instructions. */
static bool may_know_hosts(struct engine *e)
{
	bool named;

	pthread_mutex_lock(&e->lock);
	named = e->named;
	e->named = e->down_users > 0; /* as a rule with names is, and so may be one in force */
	pthread_mutex_unlock(&e->lock);
	return named || e->hosts;
}

void lane_sweep(struct engine *e)
{
	struct sq_lane_state *s = e->lane_state;
	struct pacer_stats p = {0};
	uint64_t now = engine_now(), last;
	struct engine_lane st;
	int64_t pkts, bytes;

	if (e->pacer)
		pacer_get_stats(e->pacer, &p);
	waiting_sum(e, &pkts, &bytes, &last);
	if (last && now > last + SQ_LANE_DRAINED_NS && !p.queued) {
		uint64_t known = p.dropped - e->pacer_dropped_seen;
		uint64_t gone = positive(pkts);

		s->vanished_pkts += gone > known ? gone - known : 0;
		e->pacer_dropped_seen = p.dropped;
		for (uint32_t i = 0; slot_next(e, &i); i++)
			slot_forget(e, &e->waiting[i]);
	}
	if (now > e->swept_ns + 10000000000ull) {
		e->swept_ns = now;
		targets_sweep(e, now);
		if (may_know_hosts(e))
			e->hosts = hosts_sweep(bpf_map__fd(e->skel->maps.sq_hosts),
					       bpf_map__fd(e->skel->maps.sq_targets), now);
	}
	engine_lane_stats(e, &st);
	note_losses(e, &st);
	for (int i = 0; i < LANE_LOSSES; i++) {
		const char *text;

		if (!st.lost[i] || (e->told & 1u << i))
			continue;
		e->told |= 1u << i;
		engine_lane_loss(i, &text);
		log_warn("lane: %llu packets of targets lost, not by a rule: %s; `squall status` "
			 "counts them, this is told once",
			 (unsigned long long)st.lost[i], text);
	}
}

void lane_drain(struct engine *e)
{
	uint64_t until = engine_now() + DRAIN_NS, last;
	struct timespec nap = {.tv_nsec = 10000000};
	int64_t pkts, bytes;

	for (waiting_sum(e, &pkts, &bytes, &last);
	     pkts > 0 && engine_now() < until && engine_now() < last + SQ_LANE_DRAINED_NS;
	     waiting_sum(e, &pkts, &bytes, &last))
		nanosleep(&nap, NULL);
	if (pkts > 0)
		log_warn("lane: %lld packets that had to wait for more than %llu s are lost",
			 (long long)pkts, DRAIN_NS / 1000000000ull);
}
