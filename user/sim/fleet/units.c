// SPDX-License-Identifier: GPL-2.0-only
/* Times, shares, sizes and rates as options have them. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <squall/units.h>
#include "sim/fleet/options.h"

/*
 * Units are the library's, as everywhere in Squall. Only what is special to a
 * fleet is decided here: 0 needs no unit, a percentage needs its sign, and a
 * payload of "21.5" is text.
 */
int sim_parse_time(const char *s, uint64_t *ret_ns)
{
	if (!strcmp(s, "0")) {
		*ret_ns = 0;
		return 0;
	}
	return sq_parse_duration(s, ret_ns) ? -EINVAL : 0;
}

int sim_parse_percent(const char *s, uint32_t *ret_ppm)
{
	uint32_t fraction;

	if (!strchr(s, '%') || sq_parse_percent(s, &fraction))
		return -EINVAL;
	*ret_ppm = (uint32_t)lround(sq_fraction_to_percent(fraction) * 1e4);
	return 0;
}

int sim_parse_size(const char *s, uint64_t *ret)
{
	size_t n = strlen(s);

	if (n && strpbrk(s, ".eE") && s[n - 1] >= '0' && s[n - 1] <= '9')
		return -EINVAL;
	return sq_parse_size(s, ret) ? -EINVAL : 0;
}

/* Events per time, which no rule of the library has. */
int sim_parse_rate(const char *s, uint64_t *ret_milli)
{
	char *unit;
	double v, per;

	/* strtod would take "inf", "0x1p3" and leading blanks. */
	if (!*s || !strchr("0123456789.", *s) || s[1] == 'x' || s[1] == 'X')
		return -EINVAL;
	v = strtod(s, &unit);
	if (unit == s || !isfinite(v))
		return -EINVAL;
	if (!*unit || !strcmp(unit, "/s"))
		per = 1;
	else if (!strcmp(unit, "/m") || !strcmp(unit, "/min"))
		per = 60;
	else if (!strcmp(unit, "/h"))
		per = 3600;
	else
		return -EINVAL;
	if (v > 1e9)
		return -EINVAL;
	*ret_milli = (uint64_t)llround(v * 1000 / per);
	return v > 0 && !*ret_milli ? -EINVAL : 0;
}
