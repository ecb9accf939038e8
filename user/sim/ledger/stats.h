// SPDX-License-Identifier: GPL-2.0-only
/* A shard's counters: one writer each, whatever kind of client its devices are. */
#ifndef SQUALL_SIM_STATS_H
#define SQUALL_SIM_STATS_H

#include "sim/ledger/arena.h"

struct ledger {
	struct sim_arena *a;
	struct sim_pub *pub;
	uint64_t now; /* what is counted has happened at this time */
};

/* n requests that are alike, of `bytes` each. */
void stat_oks(struct ledger *l, unsigned type, enum sim_name name, uint64_t from_ns, uint64_t now,
	      uint32_t bytes, uint32_t n);
static inline void stat_ok(struct ledger *l, unsigned type, enum sim_name name, uint64_t from_ns,
			   uint64_t now, uint32_t bytes)
{
	stat_oks(l, type, name, from_ns, now, bytes, 1);
}
/* `note` (may be NULL): what the broker said; the first one of a failure is kept. */
void stat_fail(struct ledger *l, unsigned type, enum sim_name name, enum sim_fail kind,
	       uint32_t detail, const char *note);

/* A message ends: exactly one of these per scheduled message. */
static inline void msg_acked(struct ledger *l, uint32_t n)
{
	SIM_ADD(&l->pub->tot.acked, n);
	SIM_ADD(&l->pub->tot.in_flight, -(uint64_t)n);
}

static inline void msg_failed_note(struct ledger *l, unsigned type, enum sim_name name,
				   enum sim_fail kind, uint32_t detail, const char *note)
{
	stat_fail(l, type, name, kind, detail, note);
	SIM_ADD(&l->pub->tot.failed, 1);
	SIM_ADD(&l->pub->tot.in_flight, -1);
}

static inline void msg_failed(struct ledger *l, unsigned type, enum sim_name name,
			      enum sim_fail kind, uint32_t detail)
{
	msg_failed_note(l, type, name, kind, detail, NULL);
}

/*
 * The device's message `seq` has failed, or has no mark: the others are those that were
 * acknowledged. Only with --e2e. Past SIM_UNACKED it is forgotten, and then taken for lost when it
 * was not delivered, rather than to hide another.
 */
void msg_unacked(struct ledger *l, unsigned type, uint32_t index, uint32_t seq);

static inline void msg_scheduled(struct ledger *l, uint32_t n)
{
	SIM_ADD(&l->pub->tot.scheduled, n);
	SIM_ADD(&l->pub->tot.in_flight, n);
}

#endif
