/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The tap lane's clock: takes frames out of TAP devices, keeps them in order of
 * their departure time and writes them back. One real-time thread for all
 * TAPs. All functions are thread-safe.
 */
#ifndef SQUALLD_PACER_H
#define SQUALLD_PACER_H

#include <stddef.h>
#include <stdint.h>

struct pacer;

struct pacer_stats {
	uint64_t frames;  /* that came through */
	uint64_t dropped; /* no room (max_bytes), or write refused */
	uint64_t late_ns; /* worst lateness of a write in the last second */
	uint64_t queued;  /* frames waiting now */
	uint64_t queued_bytes;
};

/* heartbeat: written with CLOCK_MONOTONIC ns at least ten times a second. max_bytes bounds what
 * waits. */
int pacer_start(uint64_t *heartbeat, size_t max_bytes, struct pacer **ret);
/* Frames that wait are lost; closes the TAPs. -ETIMEDOUT: the thread got no CPU for 5 s; it, its
 * memory and the heartbeat it writes to must then stay until the process ends. */
int pacer_stop(struct pacer *pacer);

/* Takes over a non-blocking TAP fd (IFF_NO_PI, vnet header of 10 bytes). */
int pacer_add(struct pacer *pacer, int tap_fd);
/* And closes it. -ETIMEDOUT: the thread got no CPU for 5 s, and will do it when it does. */
int pacer_remove(struct pacer *pacer, int tap_fd);

/* What waits of this cgroup and would leave later than at latest_ns leaves then, in the order in
 * which it came. In force a moment after the call. */
void pacer_shorten(struct pacer *pacer, uint64_t target, uint64_t latest_ns);

void pacer_get_stats(struct pacer *pacer, struct pacer_stats *ret);

#endif
