// SPDX-License-Identifier: GPL-2.0-only
/* Out of memory at every single allocation: an error and an untouched rule, or the whole result. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

static int allocations_left = -1; /* -1: no end */

static int may_allocate(void)
{
	if (allocations_left == 0)
		return 0;
	if (allocations_left > 0)
		allocations_left--;
	return 1;
}

static void *scarce_malloc(size_t n)
{
	return may_allocate() ? malloc(n) : NULL;
}

static void *scarce_calloc(size_t n, size_t size)
{
	return may_allocate() ? calloc(n, size) : NULL;
}

/* The parser itself, with scarce memory; the archive's own copy is not linked then. */
#define malloc scarce_malloc
#define calloc scarce_calloc
#include "lib/rule/text.c"
#undef malloc
#undef calloc

static const char text[] =
	"up loss gemodel 1% 10% 70% 0.1% delay 100ms 20ms 25% distribution normal duplicate 1% 2% "
	"corrupt 1% "
	"reorder 5% gap 3 rate 1mbit burst 9kb latency 20ms down blackhole match proto tcp to "
	"10.0.0.0/8 dport "
	"8883 also both loss 1% except port 5557 except to ::1 for 60s seed 7 on-crash keep";

static void text_without_memory(void **state)
{
	const char *const words[] = {"up", "loss", "1%"};
	struct sq_rule rule, before;
	struct sq_error err;
	int n, r = -1;

	(void)state;
	memset(&before, 0x5a, sizeof(before));
	for (n = 0; r; n++) {
		assert_true(n < 100);
		rule = before;
		allocations_left = n;
		r = sq_rule_from_text(text, strlen(text), &rule, &err);
		allocations_left = -1;
		if (!r)
			break;
		assert_int_equal(r, -ENOMEM);
		assert_string_equal(err.text, "rule: out of memory");
		assert_memory_equal(&rule, &before, sizeof(rule));
	}
	assert_true(n >= 3);
	for (n = 0, r = -1; r; n++) {
		allocations_left = n;
		r = sq_rule_from_words(3, words, &rule, &err);
		allocations_left = -1;
		assert_true(r == 0 || r == -ENOMEM);
	}
}

static void json_without_memory(void **state)
{
	struct sq_rule rule, back;
	struct sq_error err;
	json_t *json = NULL;
	int n;

	(void)state;
	assert_int_equal(sq_rule_from_text(text, strlen(text), &rule, &err), 0);
	rule.id = 1;
	rule.target = 2;
	rule.expires_ns = 3;
	rule.set_ns = 4000000;
	json_set_alloc_funcs(scarce_malloc, free);
	for (n = 0; !json; n++) {
		assert_true(n < 1000);
		allocations_left = n;
		json = sq_rule_to_json(&rule, 0);
		allocations_left = -1;
	}
	/* What came is whole. */
	rule.id = 0;
	rule.target = rule.expires_ns = rule.set_ns = 0;
	assert_int_equal(sq_rule_from_json(json, &back, &err), 0);
	assert_memory_equal(&rule, &back, sizeof(rule));
	assert_true(n > 50);
	json_decref(json);
	json_set_alloc_funcs(malloc, free);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_without_memory),
		cmocka_unit_test(json_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
