// SPDX-License-Identifier: GPL-2.0-only
/* The paho client: one more shard, whose devices are libpaho-mqtt3as clients. */
#ifndef SQUALL_SIM_PAHO_H
#define SQUALL_SIM_PAHO_H

#include "sim/ledger/arena.h"

/* Past this its global locks and linear searches are what gets measured. */
#define SIM_PAHO_MAX 2000

int sim_paho_start(struct sim_arena *a, unsigned shard, int wakefd);
void sim_paho_join(void);

#endif
