// SPDX-License-Identifier: GPL-2.0-only
/* The engine's inside: a shard is the loop over what its devices share, and follows the owner. */
#ifndef SQUALL_SIM_SHARD_H
#define SQUALL_SIM_SHARD_H

#include "sim/engine/engine.h"
#include "sim/device/lean.h"

struct shard {
	unsigned id;
	int wakefd;
	bool coarse; /* no epoll_pwait2(2) here */
	uint32_t gen, storm, settle;
	struct sim_ramp ramp[SIM_MAX_TYPES];
	uint64_t rng;
	struct sim_profile *old; /* while a type takes over new options: 77 KB */
	struct lean l;		 /* last: see sim_shard_init() */
};

void *sim_shard_main(void *shard);
int sim_shard_init(struct shard *sh, struct sim_arena *a, unsigned id, int wakefd);

struct sim_arena *sim_engine_arena(struct sim_engine *e);

#endif
