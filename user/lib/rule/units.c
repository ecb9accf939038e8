// SPDX-License-Identifier: GPL-2.0-only
/*
 * Units, as tc(8) spells them.
 *
 * Decimal text is kept as an integer of at most 19 digits and a power of ten
 * and scaled in 128 bits, so that 0.1% or 1.1s mean the same on every CPU and
 * under every locale, and formatting can promise to parse back.
 */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <squall/abi.h>
#include <squall/units.h>

typedef unsigned __int128 u128;

#define MAX_TIME_NS (1ull << 62)

struct decimal {
	uint64_t digits; /* below 10^19, so that times a 64-bit factor fits 128 bits */
	int exp10;
};

struct unit {
	const char *name;
	uint64_t mul;
};

static const struct unit time_units[] = {
	{"s", 1000000000},
	{"sec", 1000000000},
	{"secs", 1000000000},
	{"ms", 1000000},
	{"msec", 1000000},
	{"msecs", 1000000},
	{"us", 1000},
	{"usec", 1000},
	{"usecs", 1000},
	{"ns", 1},
	{"nsec", 1},
	{"nsecs", 1},
	{"m", 60000000000ull},
	{"min", 60000000000ull},
	{"h", 3600000000000ull},
	{NULL, 0},
};

#define TWO(n) (1ull << (n))
static const struct unit rate_units[] = {
	{"bit", 1},
	{"kbit", 1000},
	{"mbit", 1000000},
	{"gbit", 1000000000},
	{"tbit", 1000000000000ull},
	{"kibit", TWO(10)},
	{"mibit", TWO(20)},
	{"gibit", TWO(30)},
	{"tibit", TWO(40)},
	{"bps", 8},
	{"kbps", 8000},
	{"mbps", 8000000},
	{"gbps", 8000000000ull},
	{"tbps", 8000000000000ull},
	{"kibps", TWO(13)},
	{"mibps", TWO(23)},
	{"gibps", TWO(33)},
	{"tibps", TWO(43)},
	{"", 1},
	{NULL, 0},
};

static const struct unit size_units[] = {
	{"", 1},	  {"b", 1},	    {"k", TWO(10)},    {"kb", TWO(10)},	  {"m", TWO(20)},
	{"mb", TWO(20)},  {"g", TWO(30)},   {"gb", TWO(30)},   {"kib", TWO(10)},  {"mib", TWO(20)},
	{"gib", TWO(30)}, {"kbit", TWO(7)}, {"mbit", TWO(17)}, {"gbit", TWO(27)}, {NULL, 0},
};

/* No sign, no hex, no "nan" or "inf": only digits, a point and an exponent. */
static int parse_decimal(const char **text, struct decimal *ret)
{
	struct decimal d = {0};
	const char *p = *text;
	bool point = false, any = false;
	int exp = 0, kept = 0;

	for (;; p++) {
		if (*p == '.' && !point) {
			point = true;
			continue;
		}
		if (*p < '0' || *p > '9')
			break;
		any = true;
		if (d.digits == 0 && *p == '0') {
			if (point && d.exp10 > -10000)
				d.exp10--;
			continue;
		}
		if (kept < 19) {
			d.digits = d.digits * 10 + (uint64_t)(*p - '0');
			kept++;
			if (point && d.exp10 > -10000)
				d.exp10--;
		} else if (!point && d.exp10 < 10000) {
			d.exp10++;
		}
	}
	if (!any)
		return -EINVAL;
	if (*p == 'e' || *p == 'E') {
		const char *q = p + 1;
		bool neg = *q == '-';

		if (*q == '-' || *q == '+')
			q++;
		if (*q < '0' || *q > '9')
			return -EINVAL;
		for (; *q >= '0' && *q <= '9'; q++)
			if (exp < 10000)
				exp = exp * 10 + (*q - '0');
		d.exp10 += neg ? -exp : exp;
		p = q;
	}
	*text = p;
	*ret = d;
	return 0;
}

/* d * mul / div, rounded to the nearest; -ERANGE if above max. */
static int scale(const struct decimal *d, uint64_t mul, uint64_t div, uint64_t max, uint64_t *ret)
{
	u128 v = (u128)d->digits * mul, den = div;
	int exp = d->exp10;

	if (v == 0) {
		*ret = 0;
		return 0;
	}
	for (; exp > 0; exp--) {
		if (v > ~(u128)0 / 10)
			return -ERANGE;
		v *= 10;
	}
	/* What this drops is 10^-28 of a value that is far below one anyway. */
	for (; exp < -28 && v; exp++)
		v /= 10;
	if (!v) {
		*ret = 0;
		return 0;
	}
	for (; exp < 0; exp++)
		den *= 10;
	v = v / den + (v % den >= den - v % den);
	if (v > max)
		return -ERANGE;
	*ret = (uint64_t)v;
	return 0;
}

static const struct unit *find_unit(const struct unit *u, const char *name)
{
	for (; u->name; u++)
		if (!strcasecmp(u->name, name))
			return u;
	return NULL;
}

static int parse_with(const char *text, const struct unit *units, uint64_t max, uint64_t *ret)
{
	const struct unit *u;
	struct decimal d;
	uint64_t v;
	int r = parse_decimal(&text, &d);

	if (r)
		return r;
	u = find_unit(units, text);
	if (!u)
		return -EINVAL;
	r = scale(&d, u->mul, 1, max, &v);
	if (r)
		return r;
	if (!v && d.digits) /* asked for something, and would get nothing */
		return -ERANGE;
	*ret = v;
	return 0;
}

int sq_parse_duration(const char *text, uint64_t *ret_ns)
{
	return parse_with(text, time_units, MAX_TIME_NS, ret_ns);
}

int sq_parse_time(const char *text, uint64_t *ret_ns)
{
	static const struct unit bare[] = {{"", 1000}, {NULL, 0}};

	if (*text && isdigit((unsigned char)text[strlen(text) - 1]))
		return parse_with(text, bare, MAX_TIME_NS, ret_ns);
	return sq_parse_duration(text, ret_ns);
}

int sq_parse_rate(const char *text, uint64_t link_bps, uint64_t *ret_bps)
{
	const char *p = text;
	struct decimal d;
	uint64_t v;
	int r;

	if (*text && text[strlen(text) - 1] == '%') {
		r = parse_decimal(&p, &d);
		if (r || strcmp(p, "%") || !link_bps)
			return -EINVAL;
		r = scale(&d, link_bps, 100, link_bps, &v);
	} else {
		r = parse_with(text, rate_units, UINT64_MAX, &v);
	}
	if (r)
		return r;
	if (!v)
		return -ERANGE;
	*ret_bps = v;
	return 0;
}

int sq_parse_size(const char *text, uint64_t *ret_bytes)
{
	return parse_with(text, size_units, UINT64_MAX, ret_bytes);
}

static int percent_of(const struct decimal *d, uint32_t *ret)
{
	uint64_t v;
	int r = scale(d, 1ull << 32, 100, 1ull << 32, &v);

	if (r)
		return r;
	if (!v && d->digits)
		v = 1;
	/* "100.000000001%" rounds to 1 but is not a percentage. */
	if (v == 1ull << 32) {
		struct decimal beyond = *d;
		uint64_t pico;

		if (scale(&beyond, 1000000000000ull, 1, 100000000000000ull, &pico))
			return -ERANGE;
	}
	*ret = v > SQ_ALWAYS ? SQ_ALWAYS : (uint32_t)v;
	return 0;
}

int sq_parse_percent(const char *text, uint32_t *ret_fraction)
{
	struct decimal d;
	int r = parse_decimal(&text, &d);

	if (r)
		return r;
	if (*text && strcmp(text, "%"))
		return -EINVAL;
	return percent_of(&d, ret_fraction);
}

int sq_percent_to_fraction(double percent, uint32_t *ret_fraction)
{
	double v;

	if (isnan(percent))
		return -EINVAL;
	if (percent < 0 || percent > 100)
		return -ERANGE;
	v = rint(percent * (4294967296.0 / 100));
	if (v == 0 && percent > 0)
		v = 1;
	*ret_fraction = v >= 4294967296.0 ? SQ_ALWAYS : (uint32_t)v;
	return 0;
}

/*
 * Fewest decimals that give the fraction back. Ten always do: a step of the
 * fraction is 2.3e-8 percent.
 */
static void shortest_percent(uint32_t fraction, uint64_t *ret_digits, int *ret_decimals)
{
	u128 scaled = fraction == SQ_ALWAYS ? (u128)1 << 32 : fraction;
	uint64_t pow10 = 1, digits = 0;
	uint32_t back;
	int n;

	for (n = 0; n <= 10; n++, pow10 *= 10) {
		struct decimal d;

		digits = (uint64_t)((scaled * 100 * pow10 + (1ull << 31)) >> 32);
		d = (struct decimal){.digits = digits, .exp10 = -n};
		if (!percent_of(&d, &back) && back == fraction)
			break;
	}
	*ret_digits = digits;
	*ret_decimals = n > 10 ? 10 : n;
}

double sq_fraction_to_percent(uint32_t fraction)
{
	uint64_t digits;
	int decimals;

	shortest_percent(fraction, &digits, &decimals);
	return (double)digits / pow(10, decimals);
}

/* "WHOLE.FRACTION" without trailing zeros: v in units of 10^-decimals. */
static char *format_decimal(uint64_t v, int decimals, const char *unit, char *buf, size_t size)
{
	uint64_t pow10 = 1;
	int i;

	while (decimals > 0 && v % 10 == 0) {
		v /= 10;
		decimals--;
	}
	for (i = 0; i < decimals; i++)
		pow10 *= 10;
	if (decimals)
		snprintf(buf, size, "%llu.%0*llu%s", (unsigned long long)(v / pow10), decimals,
			 (unsigned long long)(v % pow10), unit);
	else
		snprintf(buf, size, "%llu%s", (unsigned long long)v, unit);
	return buf;
}

char *sq_format_percent(uint32_t fraction, char *buf, size_t size)
{
	uint64_t digits;
	int decimals;

	shortest_percent(fraction, &digits, &decimals);
	return format_decimal(digits, decimals, "%", buf, size);
}

char *sq_format_time(uint64_t ns, char *buf, size_t size)
{
	if (ns >= 1000000000 || ns == 0)
		return format_decimal(ns, 9, "s", buf, size);
	if (ns >= 1000000)
		return format_decimal(ns, 6, "ms", buf, size);
	if (ns >= 1000)
		return format_decimal(ns, 3, "us", buf, size);
	return format_decimal(ns, 0, "ns", buf, size);
}

char *sq_format_duration(uint64_t ns, char *buf, size_t size)
{
	const uint64_t minute = 60000000000ull, hour = 60 * minute;

	if (ns && ns % hour == 0)
		return format_decimal(ns / hour, 0, "h", buf, size);
	/* "for 60s" is what everybody writes. */
	if (ns > minute && ns % minute == 0)
		return format_decimal(ns / minute, 0, "m", buf, size);
	return sq_format_time(ns, buf, size);
}

char *sq_format_rate(uint64_t bps, char *buf, size_t size)
{
	static const char *const names[] = {"bit", "kbit", "mbit", "gbit", "tbit"};
	uint64_t unit = 1;
	int i = 0;

	while (i < 4 && bps / 1000 >= unit) {
		unit *= 1000;
		i++;
	}
	return format_decimal(bps, i * 3, names[i], buf, size);
}

char *sq_format_size(uint64_t bytes, char *buf, size_t size)
{
	static const char *const names[] = {"b", "kb", "mb", "gb"};
	int i = 0;

	while (i < 3 && bytes && bytes % 1024 == 0) {
		bytes /= 1024;
		i++;
	}
	return format_decimal(bytes, 0, names[i], buf, size);
}
