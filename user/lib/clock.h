/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The two clocks of all programs: the monotonic one decides, the wall clock
 * is only told to people.
 */
#ifndef SQUALL_LIB_CLOCK_H
#define SQUALL_LIB_CLOCK_H

#include <stdint.h>
#include <time.h>

/* CLOCK_MONOTONIC: never set back, stands still while the machine sleeps. */
static inline uint64_t sq_mono_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static inline uint64_t sq_mono_ms(void)
{
	return sq_mono_ns() / 1000000u;
}

/* CLOCK_REALTIME, since 1970. */
static inline uint64_t sq_real_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000u + (uint64_t)ts.tv_nsec / 1000000u;
}

#endif
