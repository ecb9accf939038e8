// SPDX-License-Identifier: GPL-2.0-only
/* A shard's counters. One writer each, so plain adds with relaxed stores. */
#include <stdio.h>
#include "sim/ledger/stats.h"

static void second_add(uint64_t *slots, uint32_t epoch, uint64_t n)
{
	uint64_t *s = &slots[epoch % SIM_SECONDS], v = *s;

	/* Second and count share a word: no reader sees one without the other. */
	if (v >> 32 != epoch)
		v = (uint64_t)epoch << 32;
	__atomic_store_n(s, v + n, __ATOMIC_RELAXED);
}

static uint32_t epoch_of(const struct ledger *l, uint64_t ns)
{
	return (uint32_t)((ns + (uint64_t)l->a->epoch_off_ns) / 1000000000ull);
}

void stat_oks(struct ledger *l, unsigned type, enum sim_name name, uint64_t from_ns, uint64_t now,
	      uint32_t bytes, uint32_t n)
{
	struct sim_stat *s = &l->pub->stat[type * SIM_NAMES + name];
	uint64_t us = now > from_ns ? (now - from_ns) / 1000 : 0;

	SIM_ADD(&s->requests, n);
	SIM_ADD(&s->bytes, (uint64_t)bytes * n);
	SIM_ADD(&s->total_us, us * n);
	__atomic_store_n(&s->last_ns, now, __ATOMIC_RELAXED);
	second_add(s->req_sec, epoch_of(l, now), n);
	sim_hist_add(&s->hist, us, n);
}

/* One more of `key`, which is new as long as less than `most` are there; false: there are. */
static bool count_error(struct ledger *l, uint64_t key, const char *note, unsigned most)
{
	uint32_t i = (uint32_t)((key * 0x9e3779b97f4a7c15ull) >> 54) % SIM_ERRORS;

	for (unsigned tries = 0; tries < SIM_ERRORS; tries++, i = (i + 1) % SIM_ERRORS) {
		if (!l->pub->error[i].key) {
			if (l->pub->nerrors >= most)
				return false;
			l->pub->nerrors++;
			if (note)
				snprintf(l->pub->error[i].note, SIM_NOTE, "%s", note);
			l->pub->error[i].first_ns = l->now;
			SIM_STORE(&l->pub->error[i].key, key);
		}
		if (l->pub->error[i].key == key) {
			SIM_ADD(&l->pub->error[i].n, 1);
			return true;
		}
	}
	return false;
}

void stat_fail(struct ledger *l, unsigned type, enum sim_name name, enum sim_fail kind,
	       uint32_t detail, const char *note)
{
	struct sim_stat *s = &l->pub->stat[type * SIM_NAMES + name];
	uint64_t key = sim_error_key(type, name, kind, detail);
	uint32_t epoch = epoch_of(l, l->now);

	SIM_ADD(&s->requests, 1);
	SIM_ADD(&s->failures, 1);
	__atomic_store_n(&s->last_ns, l->now, __ATOMIC_RELAXED);
	second_add(s->req_sec, epoch, 1);
	second_add(s->fail_sec, epoch, 1);
	/* A broker that has a new reason each time: what does not fit is told by its kind alone. */
	if (!count_error(l, key, note, SIM_ERRORS / 4 * 3))
		count_error(l, sim_error_other(key), NULL, SIM_ERRORS);
}

void msg_unacked(struct ledger *l, unsigned type, uint32_t index, uint32_t seq)
{
	struct sim_arena *a = l->a;
	uint32_t at = type * a->max_devices + index, i;

	if (!a->sent)
		return;
	i = a->last_unacked[at];
	if (i && a->unacked[i - 1].to + 1 == seq) {
		a->unacked[i - 1].to = seq;
		return;
	}
	if (SIM_LOAD(&a->nunacked) >= SIM_UNACKED)
		return;
	i = __atomic_fetch_add(&a->nunacked, 1, __ATOMIC_RELAXED);
	if (i >= SIM_UNACKED)
		return;
	a->unacked[i] = (struct sim_unacked){at, seq, seq};
	a->last_unacked[at] = i + 1;
}
