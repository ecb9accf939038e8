// SPDX-License-Identifier: GPL-2.0-only
/* How a fleet is spread over processes and shards. */
#ifndef SQUALL_SIM_PLAN_H
#define SQUALL_SIM_PLAN_H

#include "sim/ledger/arena.h"

/*
 * Processes and shards in each. A type with a cgroup of its own has processes of
 * its own, since a socket belongs to the cgroup of the process that made it; so
 * there are `nproc` processes in all, `nproc / ngroups` for each group of types.
 */
struct sim_plan {
	unsigned nproc, nthread, ngroups;
	char cgroup[SIM_MAX_TYPES][256];
	bool forked;
};

/*
 * Raises the soft descriptor limit; makes the types' cgroups; fills a's shards from
 * its max_devices. 0, or -errno with `err` when the fleet does not fit this machine.
 */
int sim_plan(struct sim_plan *pl, struct sim_arena *a, const struct sim_fleet *fleet,
	     unsigned shards, struct sq_error *err);

#endif
