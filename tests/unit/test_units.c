// SPDX-License-Identifier: GPL-2.0-only
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <squall/abi.h>
#include <squall/rule.h>
#include <squall/units.h>

struct good {
	const char *text;
	uint64_t value;
};

#define EACH(table, i) for (size_t i = 0; i < sizeof(table) / sizeof((table)[0]); i++)
#define UNTOUCHED      0x5a5a5a5a5a5a5a5aull

static int rate_no_link(const char *text, uint64_t *ret)
{
	return sq_parse_rate(text, 0, ret);
}

static void check_good(int (*parse)(const char *, uint64_t *), const struct good *g)
{
	uint64_t v = UNTOUCHED;
	int r = parse(g->text, &v);

	if (r || v != g->value)
		fail_msg("\"%s\": %d, %llu, not %llu", g->text, r, (unsigned long long)v,
			 (unsigned long long)g->value);
}

static void check_bad(int (*parse)(const char *, uint64_t *), const char *text)
{
	uint64_t v = UNTOUCHED;
	int r = parse(text, &v);

	if (r != -EINVAL && r != -ERANGE)
		fail_msg("\"%s\" gives %d", text, r);
	if (v != UNTOUCHED)
		fail_msg("\"%s\" failed but wrote %llu", text, (unsigned long long)v);
}

static void times(void **state)
{
	static const struct good good[] = {
		{"100ms", 100000000},
		{"1.5s", 1500000000},
		{"20usecs", 20000},
		{"250us", 250000},
		{"10ns", 10},
		{"2m", 120000000000ull},
		{"1h", 3600000000000ull},
		{"100", 100000},
		{"0", 0},
		{"0ms", 0},
		{"1e3ms", 1000000000},
		{"1E-3s", 1000000},
		{".5s", 500000000},
		{"5.s", 5000000000ull},
		{"1sec", 1000000000},
		{"1secs", 1000000000},
		{"7msec", 7000000},
		{"7msecs", 7000000},
		{"7usec", 7000},
		{"3nsecs", 3},
		{"10MS", 10000000},
		{"0.1ms", 100000},
		{"1.1s", 1100000000},
		{"0.000000001s", 1},
		{"0e400s", 0},
		{"000001ms", 1000000},
		{"1min", 60000000000ull},
		{"4611686018427387904ns", 1ull << 62},
		{"0.1234567891234567891234567891234s", 123456789},
		{"2.5", 2500},
		{"50.29ms", 50290000},
	};
	static const char *const bad[] = {
		"",
		" ",
		"ms",
		"-1ms",
		"+1ms",
		"1e400s",
		"1e400",
		"nan",
		"inf",
		"infs",
		"nanms",
		"0x10",
		"10 ms",
		" 10ms",
		"10ms ",
		"10xs",
		"10mss",
		"1..5s",
		"1.5.s",
		"1e",
		"1es",
		"1e+s",
		"4611686018427387905ns",
		"1e-10s",
		"0.1ns",
		"99999999999999999999h",
		"1,5s",
		"10%",
		"ten",
		".",
		".s",
		"1_000",
		"10\xc2\xb5s",
		"1d",
	};
	uint64_t v;

	(void)state;
	EACH(good, i) check_good(sq_parse_time, &good[i]);
	EACH(bad, i) check_bad(sq_parse_time, bad[i]);
	/* A duration wants its unit. */
	assert_int_equal(sq_parse_duration("60", &v), -EINVAL);
	assert_int_equal(sq_parse_duration("60s", &v), 0);
	assert_int_equal(v, 60000000000ull);
}

static void rates(void **state)
{
	static const struct good good[] = {
		{"1mbit", 1000000},
		{"500kbit", 500000},
		{"1.5gbit", 1500000000},
		{"64kibit", 65536},
		{"1mbps", 8000000},
		{"1Mbit", 1000000},
		{"8bit", 8},
		{"1000", 1000},
		{"1bps", 8},
		{"1kbps", 8000},
		{"1gbps", 8000000000ull},
		{"1tbps", 8000000000000ull},
		{"1kibps", 8192},
		{"1mibps", 8388608},
		{"1gibps", 8589934592ull},
		{"1tibps", 8796093022208ull},
		{"1mibit", 1048576},
		{"1gibit", 1073741824},
		{"1tibit", 1099511627776ull},
		{"1tbit", 1000000000000ull},
		{"0.5kbit", 500},
		{"1", 1},
	};
	static const char *const bad[] = {
		"",    "0",   "0mbit", "-1mbit",   "1mb",      "1m",	 "mbit",   "1 mbit",
		"50%", "nan", "inf",   "1e400bit", "1e19mbit", "0.1bit", "1mbits", "1kb/s"};
	uint64_t v = UNTOUCHED;

	(void)state;
	EACH(good, i) check_good(rate_no_link, &good[i]);
	EACH(bad, i) check_bad(rate_no_link, bad[i]);
	assert_int_equal(sq_parse_rate("70.5%", 10000000000ull, &v), 0);
	assert_int_equal(v, 7050000000ull);
	assert_int_equal(sq_parse_rate("100%", UINT64_MAX, &v), 0);
	assert_true(v == UINT64_MAX);
	assert_int_equal(sq_parse_rate("101%", 1000, &v), -ERANGE);
	assert_int_equal(sq_parse_rate("0%", 1000, &v), -ERANGE);
	assert_int_equal(sq_parse_rate("5%%", 1000, &v), -EINVAL);
}

static void sizes(void **state)
{
	static const struct good good[] = {
		{"5kb", 5120},	    {"10k", 10240},  {"1mb", 1048576}, {"1500", 1500},
		{"4KiB", 4096},	    {"1500b", 1500}, {"8kbit", 1024},  {"1mbit", 131072},
		{"1g", 1073741824}, {"0", 0},	     {"1.5kb", 1536},
	};
	static const char *const bad[] = {"",	"kb",	  "-5kb", "5 kb", "5kibs",
					  "5%", "1e30gb", "0.1b", "inf"};

	(void)state;
	EACH(good, i) check_good(sq_parse_size, &good[i]);
	EACH(bad, i) check_bad(sq_parse_size, bad[i]);
}

static void percents(void **state)
{
	static const struct {
		const char *text;
		uint32_t value;
	} good[] = {
		{"100%", SQ_ALWAYS},
		{"100", SQ_ALWAYS},
		{"0%", 0},
		{"0", 0},
		{"50%", 1u << 31},
		{"25%", 1u << 30},
		{"0.000000000001%", 1},
		{"1e-300%", 1},
		{"1e2%", SQ_ALWAYS},
		{"10%", 429496730},
		{"12.5", 536870912},
		{"100.000%", SQ_ALWAYS},
	};
	static const char *const bad[] = {
		"",	"%",	"-1%", "101%", "100.0000001%", "100.0000000001%",
		"5 %",	"5%%",	"nan", "nan%", "inf%",	       "1e400%",
		"0x5%", "5,5%", "5pct"};
	uint32_t v;

	(void)state;
	EACH(good, i)
	{
		v = 77;
		if (sq_parse_percent(good[i].text, &v) || v != good[i].value)
			fail_msg("\"%s\" gives %u, not %u", good[i].text, v, good[i].value);
	}
	EACH(bad, i)
	{
		v = 77;
		if (!sq_parse_percent(bad[i], &v) || v != 77)
			fail_msg("\"%s\" is accepted as %u", bad[i], v);
	}
	assert_int_equal(sq_percent_to_fraction(NAN, &v), -EINVAL);
	assert_int_equal(sq_percent_to_fraction(-0.1, &v), -ERANGE);
	assert_int_equal(sq_percent_to_fraction(INFINITY, &v), -ERANGE);
	assert_int_equal(sq_percent_to_fraction(1e-300, &v), 0);
	assert_int_equal(v, 1);
}

/* A cheap, fixed generator: failures must be reproducible. */
static uint64_t next_random(uint64_t *s)
{
	*s = *s * 6364136223846793005ull + 1442695040888963407ull;
	return (*s >> 11) ^ (*s << 40);
}

static void formats_parse_back(void **state)
{
	uint64_t seed = 1, v, back;
	uint32_t f, g;
	char text[64];
	int i;

	(void)state;
	for (i = 0; i < 200000; i++) {
		v = next_random(&seed) >> (1 + i % 63); /* 19 digits at most */
		f = (uint32_t)next_random(&seed);
		if (v <= 1ull << 62) {
			sq_format_time(v, text, sizeof(text));
			if (sq_parse_time(text, &back) || back != v)
				fail_msg("time %llu is \"%s\"", (unsigned long long)v, text);
		}
		if (v) {
			sq_format_rate(v, text, sizeof(text));
			if (sq_parse_rate(text, 0, &back) || back != v)
				fail_msg("rate %llu is \"%s\"", (unsigned long long)v, text);
		}
		sq_format_size(v, text, sizeof(text));
		if (sq_parse_size(text, &back) || back != v)
			fail_msg("size %llu is \"%s\"", (unsigned long long)v, text);
		sq_format_percent(f, text, sizeof(text));
		if (sq_parse_percent(text, &g) || g != f)
			fail_msg("fraction %u is \"%s\"", f, text);
		if (sq_percent_to_fraction(sq_fraction_to_percent(f), &g) || g != f)
			fail_msg("fraction %u is %.17g percent", f, sq_fraction_to_percent(f));
		/* and through a JSON number of SQ_JSON_FLAGS' precision */
		snprintf(text, sizeof(text), "%.12g", sq_fraction_to_percent(f));
		if (sq_parse_percent(text, &g) || g != f)
			fail_msg("fraction %u is %s percent in JSON", f, text);
	}
}

static void formats_are_short(void **state)
{
	char text[64];
	uint32_t f;

	(void)state;
	assert_string_equal(sq_format_time(100000000, text, sizeof(text)), "100ms");
	assert_string_equal(sq_format_time(1500000000, text, sizeof(text)), "1.5s");
	assert_string_equal(sq_format_time(0, text, sizeof(text)), "0s");
	assert_string_equal(sq_format_time(50290000, text, sizeof(text)), "50.29ms");
	assert_string_equal(sq_format_duration(600000000000, text, sizeof(text)), "10m");
	assert_string_equal(sq_format_duration(60000000000, text, sizeof(text)), "60s");
	assert_string_equal(sq_format_duration(90000000000, text, sizeof(text)), "90s");
	assert_string_equal(sq_format_duration(7200000000000, text, sizeof(text)), "2h");
	assert_string_equal(sq_format_duration(0, text, sizeof(text)), "0s");
	assert_string_equal(sq_format_rate(1000000, text, sizeof(text)), "1mbit");
	assert_string_equal(sq_format_rate(8, text, sizeof(text)), "8bit");
	assert_string_equal(sq_format_size(5120, text, sizeof(text)), "5kb");
	assert_string_equal(sq_format_size(1500, text, sizeof(text)), "1500b");
	assert_string_equal(sq_format_percent(SQ_ALWAYS, text, sizeof(text)), "100%");
	assert_int_equal(sq_parse_percent("0.1%", &f), 0);
	assert_string_equal(sq_format_percent(f, text, sizeof(text)), "0.1%");
	assert_int_equal(sq_parse_percent("33.3%", &f), 0);
	assert_string_equal(sq_format_percent(f, text, sizeof(text)), "33.3%");
	assert_true(sq_fraction_to_percent(f) == 33.3);
}

static void no_locale(void **state)
{
	char text[64];
	uint64_t v;

	(void)state;
	/* The C locale is all that a test machine is sure to have; where a comma
	 * locale exists, use it. */
	setlocale(LC_ALL, "de_DE.UTF-8");
	assert_int_equal(sq_parse_time("1.5s", &v), 0);
	assert_int_equal(v, 1500000000);
	assert_string_equal(sq_format_time(v, text, sizeof(text)), "1.5s");
	setlocale(LC_ALL, "C");
}

static void moments(enum sq_distribution which, double *mean, double *sd, int16_t *table)
{
	double s = 0, q = 0;
	int i;

	sq_distribution_table(which, table);
	for (i = 0; i < SQ_DIST_SIZE; i++) {
		double v = (double)table[i] / SQ_DIST_SCALE;

		if (i && table[i] < table[i - 1])
			fail_msg("table %d falls at %d", which, i);
		s += v;
		q += v * v;
	}
	*mean = s / SQ_DIST_SIZE;
	*sd = sqrt(q / SQ_DIST_SIZE - *mean * *mean);
}

/* Against the moments of the tables that Debian's iproute2 ships (6.1). */
static void distributions(void **state)
{
	static int16_t t[SQ_DIST_SIZE];
	double mean, sd;

	(void)state;
	moments(SQ_DIST_NORMAL, &mean, &sd, t);
	assert_true(fabs(mean) < 0.001 && fabs(sd - 1) < 0.002);
	/* Known quantiles of the normal distribution. */
	assert_true(fabs(t[3993] / (double)SQ_DIST_SCALE - 1.9600) < 0.01);
	assert_true(fabs(t[102] / (double)SQ_DIST_SCALE + 1.9600) < 0.01);
	assert_true(t[2047] < 0 && t[2048] > 0);
	moments(SQ_DIST_PARETO, &mean, &sd, t);
	assert_true(fabs(mean + 0.0335) < 0.003 && fabs(sd - 0.8197) < 0.003);
	assert_int_equal(t[0], -5461);
	assert_int_equal(t[SQ_DIST_SIZE - 1], 32767);
	moments(SQ_DIST_PARETONORMAL, &mean, &sd, t);
	assert_true(fabs(mean + 0.0253) < 0.003 && fabs(sd - 0.8339) < 0.005);
	moments(SQ_DIST_UNIFORM, &mean, &sd, t);
	assert_true(fabs(mean) < 0.001 && fabs(sd - 1 / sqrt(3)) < 0.001);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(times),
		cmocka_unit_test(rates),
		cmocka_unit_test(sizes),
		cmocka_unit_test(percents),
		cmocka_unit_test(formats_parse_back),
		cmocka_unit_test(formats_are_short),
		cmocka_unit_test(no_locale),
		cmocka_unit_test(distributions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
