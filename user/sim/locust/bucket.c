// SPDX-License-Identifier: GPL-2.0-only
/*
 * Locust's response time keys. A worker rounds, a master only adds up, so the
 * percentiles of a mixed swarm are right only if every worker rounds alike:
 * below 100 ms to 1, below 1 s to 10, below 10 s to 100, else to 1000 ms, and
 * halves to even, because that is what Python's round() does. (bucket function
 * since 2.43.4, the same arithmetic in line before.)
 */
#include "sim/locust/proto.h"

#include <math.h>

/*
 * Python rounds the exact decimal value of the double. fmod() is exact, so a
 * tie is seen as a tie and nothing else is.
 */
static int64_t round_half_even(double v, double unit)
{
	double rest = fmod(v, unit);
	int64_t q = (int64_t)((v - rest) / unit);

	if (rest > unit / 2 || (rest == unit / 2 && q % 2))
		q++;
	return q * (int64_t)unit;
}

int64_t locust_round_ms(double ms)
{
	if (!(ms > 0)) /* NaN too */
		return 0;
	if (ms > 1e12)
		ms = 1e12;
	if (ms < 100)
		return round_half_even(ms, 1);
	if (ms < 1000)
		return round_half_even(ms, 10);
	if (ms < 10000)
		return round_half_even(ms, 100);
	return round_half_even(ms, 1000);
}
