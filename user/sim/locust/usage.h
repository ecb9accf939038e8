// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the heartbeats tell of this worker's CPU and memory: of all its
 * processes, since the engine may have forked; CPU as a share of what the worker
 * may use (100 is all of it), because a master warns above 90.
 */
#ifndef SQUALL_LOCUST_USAGE_H
#define SQUALL_LOCUST_USAGE_H

#include <stdint.h>

struct locust_usage {
	uint64_t at_ns;
	double cpu_s;
	double cpus;
	double share; /* what was read last, 0 to 100 */
};

void locust_usage_init(struct locust_usage *u);
/*
 * CPU since the call before (0 to 100), resident memory in bytes. Calls within 0.3 s get
 * the share read before: the kernel counts in ticks of 10 ms, and a start is not a load.
 */
void locust_usage_read(struct locust_usage *u, double *ret_cpu, uint64_t *ret_memory);

#endif
