// SPDX-License-Identifier: GPL-2.0-only
#include <string.h>
#include "sim/base/wheel.h"

#define HORIZON ((1ull << 8 * WHEEL_LEVELS) - 1)

void wheel_init(struct wheel *w, uint64_t now_ns)
{
	memset(w, 0, sizeof(*w));
	w->now = now_ns >> WHEEL_SHIFT;
}

static void put(struct wheel *w, struct timer *t)
{
	uint64_t tick = t->tick, ahead;
	unsigned level = 0, i;

	/* Slot `now` has fired already: the next one is the earliest that can. */
	if (tick <= w->now)
		tick = t->tick = w->now + 1;
	ahead = tick ^ w->now;
	if (tick - w->now > HORIZON)
		tick = w->now + HORIZON;
	while (level < WHEEL_LEVELS - 1 && ahead >> 8 * (level + 1))
		level++;
	i = tick >> 8 * level & 255;
	t->next = w->slot[level][i];
	t->pprev = &w->slot[level][i];
	if (t->next)
		t->next->pprev = &t->next;
	w->slot[level][i] = t;
	w->map[level][i / 64] |= 1ull << i % 64;
}

void wheel_cancel(struct wheel *w, struct timer *t)
{
	(void)w; /* an empty slot's bit is cleared when the wheel gets there */
	if (!t->pprev)
		return;
	*t->pprev = t->next;
	if (t->next)
		t->next->pprev = t->pprev;
	t->pprev = NULL;
}

void wheel_arm(struct wheel *w, struct timer *t, uint64_t at_ns)
{
	wheel_cancel(w, t);
	t->tick = (at_ns + (1u << WHEEL_SHIFT) - 1) >> WHEEL_SHIFT;
	put(w, t);
}

static struct timer *take(struct wheel *w, unsigned level, unsigned i, struct timer **head)
{
	*head = w->slot[level][i];
	w->slot[level][i] = NULL;
	w->map[level][i / 64] &= ~(1ull << i % 64);
	if (*head)
		(*head)->pprev = head;
	return *head;
}

/* The first set bit at or after `from`, or 256. */
static unsigned next_bit(const uint64_t *map, unsigned from)
{
	while (from < 256) {
		uint64_t rest = map[from / 64] >> from % 64;

		if (rest)
			return from + (unsigned)__builtin_ctzll(rest);
		from = (from / 64 + 1) * 64;
	}
	return 256;
}

/* The first tick after now at which a slot fires or must be spread to the level below. */
static uint64_t next_tick(const struct wheel *w)
{
	for (unsigned level = 0; level < WHEEL_LEVELS; level++) {
		unsigned at = w->now >> 8 * level & 255, bit = next_bit(w->map[level], at + 1);

		if (bit < 256)
			return ((w->now >> 8 * level) + (bit - at)) << 8 * level;
	}
	/* Only the top level wraps. */
	for (unsigned i = 0; i < 256; i++)
		if (w->map[WHEEL_LEVELS - 1][i / 64] >> i % 64 & 1)
			return ((w->now >> 8 * (WHEEL_LEVELS - 1)) -
				(w->now >> 8 * (WHEEL_LEVELS - 1) & 255) + 256 + i)
			       << 8 * (WHEEL_LEVELS - 1);
	return UINT64_MAX;
}

uint64_t wheel_next(const struct wheel *w)
{
	uint64_t tick = next_tick(w);

	return tick == UINT64_MAX ? tick : tick << WHEEL_SHIFT;
}

void wheel_run(struct wheel *w, uint64_t now_ns, void (*fire)(void *ctx, struct timer *t),
	       void *ctx)
{
	uint64_t until = now_ns >> WHEEL_SHIFT, tick;
	struct timer *head, *t;

	for (;;) {
		tick = next_tick(w);
		if (tick > until)
			break;
		w->now = tick;
		/* From the top, so that what comes down can come down further. */
		for (int level = WHEEL_LEVELS - 1; level > 0; level--) {
			if (tick & ((1ull << 8 * level) - 1))
				continue;
			take(w, (unsigned)level, tick >> 8 * level & 255, &head);
			while ((t = head)) {
				wheel_cancel(w, t);
				if (t->tick <= w->now) {
					/* Due in this very tick: into the slot fired below. */
					unsigned i = tick & 255;

					t->next = w->slot[0][i];
					t->pprev = &w->slot[0][i];
					if (t->next)
						t->next->pprev = &t->next;
					w->slot[0][i] = t;
				} else {
					put(w, t);
				}
			}
		}
		take(w, 0, tick & 255, &head);
		while ((t = head)) {
			wheel_cancel(w, t);
			/* What it is part of, too: the owner's line next to it. */
			__builtin_prefetch(head);
			__builtin_prefetch((const char *)head + 64);
			fire(ctx, t);
		}
	}
	if (until > w->now)
		w->now = until;
}
