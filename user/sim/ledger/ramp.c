// SPDX-License-Identifier: GPL-2.0-only
/* The arithmetic of a ramp: how many devices are allowed when, and when each one's turn is. */
#include "sim/ledger/arena.h"

uint32_t sim_ramp_at(const struct sim_ramp *r, uint64_t now)
{
	int64_t span = (int64_t)r->to - (int64_t)r->from, n;
	double part;

	if (now >= r->t1 || r->t1 <= r->t0)
		return r->to;
	if (now <= r->t0)
		now = r->t0;
	part = (double)(now - r->t0) / (double)(r->t1 - r->t0);
	/* The first one starts at t0, the last one step before t1. */
	n = (int64_t)(part * (double)(span < 0 ? -span : span)) + 1;
	if (n > (span < 0 ? -span : span))
		n = span < 0 ? -span : span;
	return (uint32_t)((int64_t)r->from + (span < 0 ? -n : n));
}

uint64_t sim_ramp_when(const struct sim_ramp *r, uint32_t index)
{
	uint32_t steps = r->to > r->from ? r->to - r->from : r->from - r->to, k;

	if (!steps || r->t1 <= r->t0)
		return r->t0;
	if (r->to > r->from)
		k = index > r->from ? index - r->from : 0;
	else
		k = index < r->from ? r->from - 1 - index : 0;
	return r->t0 + (uint64_t)((double)(r->t1 - r->t0) * k / steps);
}
