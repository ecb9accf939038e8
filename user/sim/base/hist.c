// SPDX-License-Identifier: GPL-2.0-only
#include <math.h>
#include "sim/base/hist.h"

/* First value of a cell and how many values it covers, in us. */
static uint64_t cell_low(unsigned cell, uint64_t *ret_width)
{
	unsigned octave, in;

	if (cell < 2048) {
		*ret_width = 1;
		return cell;
	}
	octave = (cell - 2048) / 1024 + 11;
	in = (cell - 2048) % 1024;
	*ret_width = 1ull << (octave - 10);
	return (1024ull + in) << (octave - 10);
}

double sim_hist_ms(unsigned cell)
{
	uint64_t width, low = cell_low(cell, &width);

	return (double)(2 * low + width - 1) / 2000.0;
}

uint64_t sim_hist_count(const struct sim_hist *h)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < SIM_HIST_CELLS; i++)
		n += h->cell[i];
	return n;
}

double sim_hist_quantile(const struct sim_hist *h, double part)
{
	uint64_t total = sim_hist_count(h), rank, seen = 0;

	if (!total)
		return 0;
	rank = (uint64_t)ceil(part * (double)total);
	if (!rank)
		rank = 1;
	for (unsigned i = 0; i < SIM_HIST_CELLS; i++) {
		seen += h->cell[i];
		if (seen >= rank)
			return sim_hist_ms(i);
	}
	return sim_hist_ms(SIM_HIST_CELLS - 1);
}

void sim_hist_merge(struct sim_hist *to, const struct sim_hist *from)
{
	for (unsigned i = 0; i < SIM_HIST_CELLS; i++)
		to->cell[i] += from->cell[i];
}

/* Python's round() of ms to a multiple of `step`: half to even. */
static uint32_t round_to(double ms, double step)
{
	return (uint32_t)(nearbyint(ms / step) * step);
}

void sim_hist_locust(const struct sim_hist *h, void (*emit)(void *ctx, uint32_t ms, uint64_t n),
		     void *ctx)
{
	uint32_t last = 0;
	uint64_t n = 0;

	for (unsigned i = 0; i < SIM_HIST_CELLS; i++) {
		double ms;
		uint32_t key;

		if (!h->cell[i])
			continue;
		ms = sim_hist_ms(i);
		key = round_to(ms, ms < 100 ? 1 : ms < 1000 ? 10 : ms < 10000 ? 100 : 1000);
		if (n && key != last) {
			emit(ctx, last, n);
			n = 0;
		}
		last = key;
		n += h->cell[i];
	}
	if (n)
		emit(ctx, last, n);
}
