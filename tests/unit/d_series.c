// SPDX-License-Identifier: GPL-2.0-only
/* The last hour of what is counted: by the second, by ten, gaps, and the bound of memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include "squalld/meter/series.h"

static const char *const names[] = {"seen", "lost", "seen", "lost"};
#define SECOND 1000000000ull
#define START  (100000 * SECOND)

static struct series *s;

static int setup(void **state)
{
	(void)state;
	return series_new(1 << 20, names, 4, &s);
}

static int teardown(void **state)
{
	(void)state;
	series_free(s);
	return 0;
}

static bool put(const char *name, unsigned int second, uint64_t up, uint64_t down, bool fresh)
{
	const uint64_t totals[SERIES_COLUMNS] = {up, 0, down, 0};

	return series_put(s, name, START + second * SECOND, totals, fresh, NULL);
}

static json_t *grain(json_t *o, size_t i)
{
	return json_array_get(json_object_get(o, "grains"), i);
}

static json_int_t sum(const json_t *list)
{
	json_int_t n = 0;
	const json_t *v;
	size_t i;

	json_array_foreach(list, i, v) n += json_integer_value(v);
	return n;
}

static json_t *up(json_t *o, size_t i, const char *what)
{
	return json_object_get(json_object_get(grain(o, i), "up"), what);
}

static void an_hour(void **state)
{
	json_t *o;

	(void)state;
	assert_false(put("a", 0, 1000, 0, false)); /* nothing is known of before */
	for (unsigned int i = 1; i <= 2 * SERIES_HOUR; i++)
		assert_true(put("a", i, 1000 + i * 7, 0, false));
	o = series_json(s, "a", START + 2 * SERIES_HOUR * SECOND);
	assert_int_equal(json_array_size(up(o, 0, "seen")), SERIES_SECONDS);
	assert_int_equal(sum(up(o, 0, "seen")), SERIES_SECONDS * 7);
	assert_int_equal(json_array_size(up(o, 1, "seen")), SERIES_HOUR / SERIES_GRAIN);
	assert_int_equal(sum(up(o, 1, "seen")), 7 * sum(json_object_get(grain(o, 1), "seconds")));
	/* What is 0 throughout takes no room. */
	assert_null(up(o, 0, "lost"));
	assert_int_equal(json_object_size(json_object_get(grain(o, 0), "down")), 0);
	json_decref(o);
}

static void gaps(void **state)
{
	json_t *o, *time;

	(void)state;
	assert_true(put("a", 0, 5, 0, true)); /* it began in this second */
	assert_true(put("a", 1, 10, 0, false));
	assert_true(put("a", 3, 20, 0, false));	   /* a late timer: half of it is of second 2 */
	assert_false(put("a", 60, 500, 0, false)); /* an outage: whose second were they of? */
	assert_true(put("a", 61, 501, 0, false));
	assert_true(put("a", 62, 3, 0, false)); /* less than before: counted anew */
	o = series_json(s, "a", START + 62 * SECOND);
	time = json_object_get(grain(o, 0), "time_ms");
	assert_int_equal(json_array_size(time), 6);
	assert_int_equal(sum(up(o, 0, "seen")), 5 + 5 + 10 + 1 + 3);
	assert_int_equal(json_integer_value(json_array_get(up(o, 0, "seen"), 2)), 5);
	assert_int_equal(json_integer_value(json_array_get(time, 5)) -
				 json_integer_value(json_array_get(time, 3)),
			 59000);
	json_decref(o);
	o = series_json(s, "b", START);
	assert_false(json_is_true(json_object_get(o, "kept")));
	json_decref(o);
}

/* Between two moments only what is wholly of them: a fault's packets are none of the minute before.
 */
static void between(void **state)
{
	const uint64_t from = START + 60 * SECOND, to = START + 120 * SECOND;
	double sum[SERIES_COLUMNS];
	uint64_t total = 0;
	unsigned int n;

	(void)state;
	put("a", 0, 0, 0, true);
	for (unsigned int i = 1; i <= 180; i++) /* 3 a second, 1,000 in the minute between */
		put("a", i, total += i > 60 && i <= 120 ? 1000 : 3, i, false);
	n = series_between(s, "a", START + 180 * SECOND, from, to, sum);
	assert_in_range(n, 56, 60);
	assert_true(sum[0] == n * 1000.0 && sum[1] == 0 && sum[2] == n);
	n = series_between(s, "a", START + 180 * SECOND, START, from, sum);
	assert_in_range(n, 56, 60);
	assert_true(sum[0] == n * 3.0);
	/* Later by tens, which are longer, and not of the minute beside either. */
	n = series_between(s, "a", START + 1800 * SECOND, from, to, sum);
	assert_in_range(n, 30, 60);
	assert_true(sum[0] == n * 1000.0);
	n = series_between(s, "a", START + 1800 * SECOND, to, START + 180 * SECOND, sum);
	assert_in_range(n, 30, 60);
	assert_true(sum[0] == n * 3.0);
	/* Nothing, and not 0 of something: of whom nobody knows, of a gap, of what has not been. */
	assert_int_equal(series_between(s, "b", START + 180 * SECOND, from, to, sum), 0);
	assert_int_equal(series_between(s, "a", START + 600 * SECOND, START + 400 * SECOND,
					START + 460 * SECOND, sum),
			 0);
	assert_int_equal(series_between(s, "a", START + 180 * SECOND, to, from, sum), 0);
	assert_int_equal(series_between(s, "a", START + 10000 * SECOND, 0, to, sum), 0);
}

static void bounded(void **state)
{
	unsigned int kept = 0, n = 1000;
	char name[32];
	json_t *o;

	(void)state;
	/* All count: who comes last is not kept, and nobody loses what he has. */
	for (unsigned int second = 0; second < 5; second++)
		for (unsigned int i = 0; i < n; i++) {
			snprintf(name, sizeof(name), "target-%u", i);
			put(name, second, second * 3, second, second == 0);
		}
	assert_true(series_bytes(s) <= 1 << 20);
	assert_true(series_refused(s) > 0);
	for (unsigned int i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "target-%u", i);
		o = series_json(s, name, START + 4 * SECOND);
		kept += json_is_true(json_object_get(o, "kept"));
		json_decref(o);
	}
	assert_in_range(kept, 50, 300);
	/* Who is silent gives his place to who counts. */
	assert_true(put("late", 10, 1, 1, true));
	assert_true(put("late", 11, 2, 2, false));
	assert_true(series_bytes(s) <= 1 << 20);
	/* And an hour later nothing is left of all of them. */
	for (unsigned int i = 0; i < 1024 + 10; i++)
		put("later", 2 * SERIES_HOUR + i, i, 0, false);
	assert_true(series_bytes(s) < 10000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(an_hour, setup, teardown),
		cmocka_unit_test_setup_teardown(gaps, setup, teardown),
		cmocka_unit_test_setup_teardown(between, setup, teardown),
		cmocka_unit_test_setup_teardown(bounded, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
