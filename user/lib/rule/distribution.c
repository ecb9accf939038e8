// SPDX-License-Identifier: GPL-2.0-only
/*
 * Jitter distributions as tables of the inverse cumulative distribution
 * function, one entry per 1/4096 of probability, taken in its middle.
 *
 * They are the curves of iproute2's normal.dist, pareto.dist and
 * paretonormal.dist, computed from their definitions:
 *   pareto        shape 3, minus its mean 1.5, times 4/3
 *   paretonormal  a quarter of the normal plus three quarters of the pareto
 * cut at four sigma, where 16 bits end. The factor 4/3 is netem's: for sigma
 * 1 it would be 2/sqrt(3), and with the cut the pareto's is 0.82. A figure
 * that was tuned under netem must mean the same here, so this stays.
 */
#include <math.h>
#include <squall/rule.h>

/* Newton's method on erfc, which keeps its precision in the tail. */
static double normal_quantile(double p)
{
	const double tail = p < 0.5 ? p : 1 - p;
	double x = 0;
	int i;

	for (i = 0; i < 100; i++) {
		double cdf = 0.5 * erfc(-x / M_SQRT2);
		double density = exp(-x * x / 2) / sqrt(2 * M_PI);
		double step = (cdf - tail) / density;

		/* From 0 the first steps overshoot in the tail: bound them. */
		if (step > 0.5)
			step = 0.5;
		if (step < -0.5)
			step = -0.5;
		x -= step;
		if (fabs(step) < 1e-12)
			break;
	}
	return p < 0.5 ? x : -x;
}

static double pareto_quantile(double p)
{
	double v = (pow(1 - p, -1.0 / 3) - 1.5) * (4.0 / 3);
	const double cut = 32767.0 / SQ_DIST_SCALE;

	return v > cut ? cut : v;
}

void sq_distribution_table(enum sq_distribution which, int16_t *table)
{
	int i;

	for (i = 0; i < SQ_DIST_SIZE; i++) {
		double p = (i + 0.5) / SQ_DIST_SIZE, v;

		switch (which) {
		case SQ_DIST_NORMAL:
			v = normal_quantile(p);
			break;
		case SQ_DIST_PARETO:
			v = pareto_quantile(p);
			break;
		case SQ_DIST_PARETONORMAL:
			v = 0.25 * normal_quantile(p) + 0.75 * pareto_quantile(p);
			break;
		default: /* uniform over +-sigma: what netem does without a table */
			v = 2 * p - 1;
			break;
		}
		v = rint(v * SQ_DIST_SCALE);
		table[i] = (int16_t)(v > 32767 ? 32767 : v < -32768 ? -32768 : v);
	}
}
