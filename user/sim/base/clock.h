// SPDX-License-Identifier: GPL-2.0-only
/* The one clock of everything that is measured: CLOCK_MONOTONIC, in nanoseconds. */
#ifndef SQUALL_SIM_CLOCK_H
#define SQUALL_SIM_CLOCK_H

#include <stdint.h>
#include <time.h>
#include "lib/clock.h"

static inline uint64_t sim_now(void)
{
	return sq_mono_ns();
}

static inline uint32_t ms_of(uint64_t ns)
{
	return (uint32_t)(ns / 1000000);
}

#endif
