// SPDX-License-Identifier: GPL-2.0-only
/*
 * Hierarchical timer wheel: 4 levels of 256 slots, a tick of 2^17 ns (0.13 ms),
 * so about six and a half days ahead. Adding, removing and firing cost the same
 * however many timers there are; a level's bitmap finds the next one due.
 */
#ifndef SQUALL_SIM_WHEEL_H
#define SQUALL_SIM_WHEEL_H

#include <stdint.h>
#include <stddef.h>

#define WHEEL_SHIFT  17
#define WHEEL_LEVELS 4

struct timer {
	struct timer *next, **pprev; /* pprev NULL: not armed */
	uint64_t tick;
	uint8_t kind; /* the owner's */
};

struct wheel {
	uint64_t now; /* the tick up to which everything has fired */
	uint64_t map[WHEEL_LEVELS][4];
	struct timer *slot[WHEEL_LEVELS][256];
};

void wheel_init(struct wheel *w, uint64_t now_ns);
/* Arms or re-arms; fires at the first tick not before `at_ns`. */
void wheel_arm(struct wheel *w, struct timer *t, uint64_t at_ns);
void wheel_cancel(struct wheel *w, struct timer *t);
/* Fires all that are due at `now_ns`. `fire` may arm and cancel any timer. */
void wheel_run(struct wheel *w, uint64_t now_ns, void (*fire)(void *ctx, struct timer *t),
	       void *ctx);
/* No timer fires before this time, in ns; UINT64_MAX when there are none. */
uint64_t wheel_next(const struct wheel *w);

/* The tick at which something due at `ns` fires, as a time. */
static inline uint64_t wheel_round(uint64_t ns)
{
	return (ns + (1u << WHEEL_SHIFT) - 1) >> WHEEL_SHIFT << WHEEL_SHIFT;
}

#endif
