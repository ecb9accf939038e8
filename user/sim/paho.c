// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include "sim_paho.h"

int sim_paho_start(struct sim_arena *a, unsigned shard, int wakefd)
{
	(void)a;
	(void)shard;
	(void)wakefd;
	return -ENOSYS;
}

void sim_paho_join(void)
{
}
