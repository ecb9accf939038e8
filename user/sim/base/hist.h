// SPDX-License-Identifier: GPL-2.0-only
/*
 * Log-linear histogram of times, in microseconds, 3 significant digits.
 *
 * Values below 2,048 us have a cell each; every octave above has 1,024 cells,
 * so a cell is never wider than 0.1 % of its value. Values of 2^32 us (71
 * minutes) and more count in the last cell. Cells only ever grow and have one
 * writer, so another thread may read them at any time, and merging is adding.
 */
#ifndef SQUALL_SIM_HIST_H
#define SQUALL_SIM_HIST_H

#include <stdint.h>

#define SIM_HIST_CELLS (2048 + 21 * 1024)

struct sim_hist {
	uint32_t cell[SIM_HIST_CELLS];
};

static inline unsigned sim_hist_cell(uint64_t us)
{
	unsigned octave;

	if (us < 2048)
		return (unsigned)us;
	if (us >> 32)
		return SIM_HIST_CELLS - 1;
	octave = 63 - (unsigned)__builtin_clzll(us); /* 11..31 */
	return 2048 + (octave - 11) * 1024 + (unsigned)((us >> (octave - 10)) - 1024);
}

static inline void sim_hist_add(struct sim_hist *h, uint64_t us, uint32_t n)
{
	uint32_t *c = &h->cell[sim_hist_cell(us)];

	__atomic_store_n(c, *c + n, __ATOMIC_RELAXED);
}

/* The middle of a cell, in milliseconds; exact below 2,048 us. */
double sim_hist_ms(unsigned cell);
uint64_t sim_hist_count(const struct sim_hist *h);
/* The value below which `part` (0..1) of the samples lie, in ms; 0 when empty. */
double sim_hist_quantile(const struct sim_hist *h, double part);
/* Adds `from` to `to`. */
void sim_hist_merge(struct sim_hist *to, const struct sim_hist *from);

/*
 * The histogram in Locust's buckets: calls `emit` with whole milliseconds (below
 * 100 exact, below 1,000 to 10, below 10,000 to 100, else to 1,000) and counts,
 * ascending, each bucket once.
 */
void sim_hist_locust(const struct sim_hist *h, void (*emit)(void *ctx, uint32_t ms, uint64_t n),
		     void *ctx);

#endif
