// SPDX-License-Identifier: GPL-2.0-only
/* The one clock of everything that is measured: CLOCK_MONOTONIC, in nanoseconds. */
#ifndef SQUALL_SIM_CLOCK_H
#define SQUALL_SIM_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t sim_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

static inline uint32_t ms_of(uint64_t ns)
{
	return (uint32_t)(ns / 1000000);
}

#endif
