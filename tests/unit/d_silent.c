// SPDX-License-Identifier: GPL-2.0-only
/* Which connections a rule resets although they are silent: only where nothing else can meet them.
 * What a table of flows takes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <squall/rule.h>
#include "squalld/flows/flows.h"
#include "squalld/flows/silent.h"

static void clause_of_a_flow(void **state)
{
	/* to 10.1.2.3:1883 from port 40000 */
	static const struct {
		const char *rule;
		int clause;
	} table[] = {
		{"reset idle 60s", 0},
		{"reset after 30s", 0},
		{"hang idle 60s", -1},
		{"reset old", -1},
		{"reset after 1kb", -1},
		{"reset at puback", -1},
		{"reset idle 60s match dport 1883", 0},
		{"reset idle 60s match dport 8883", -1},
		{"reset idle 60s match sport 40000", 0},
		{"reset idle 60s match to 10.1.2.0/24", 0},
		{"reset idle 60s match to 10.1.3.0/24", -1},
		{"reset idle 60s match to fd00::/8", -1},
		{"reset idle 60s except dport 1883", -1},
		{"reset idle 60s except dport 1884", 0},
		{"up loss 1% match dport 1883 also reset idle 60s", -1},
		{"up loss 1% match dport 1884 also reset idle 60s", 1},
		{"up loss 1% match syn also reset idle 60s", -1},
		{"reset idle 60s match dport 1883 also up loss 1%", 0},
	};
	struct sq_flow flow = {.remote = {10, 1, 2, 3},
			       .rport = 1883,
			       .lport = 40000,
			       .family = 4,
			       .proto = IPPROTO_TCP};
	struct sq_error err;

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		struct sq_rule rule;
		int got;

		if (sq_rule_from_text(table[i].rule, strlen(table[i].rule), &rule, &err))
			fail_msg("%s: %s", table[i].rule, err.text);
		got = silent_clause(&rule, &flow);
		if (got != table[i].clause)
			fail_msg("%s: clause %d", table[i].rule, got);
	}
}

static void bytes_of_a_table(void **state)
{
	static const uint32_t links[] = {SQ_LINKS, 100000, 1000000, SQ_LINKS_MAX};

	(void)state;
	for (size_t i = 0; i < sizeof(links) / sizeof(*links); i++) {
		uint32_t sets = flows_sets(links[i]);

		if (flows_bytes(sets) > 180ull * links[i])
			fail_msg("%u links: %.6f bytes each", links[i],
				 (double)flows_bytes(sets) / links[i]);
		assert_true(sets * SQ_FLOW_WAYS > links[i] * 1.243);
	}
	for (uint32_t sets = 1; sets < 1000; sets++)
		assert_int_equal(flows_sets_in(SQ_FLOW_ELEMENTS(sets)), sets);
	assert_int_equal(flows_sets(1), 1);
	assert_int_equal(flows_sets(7), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(clause_of_a_flow),
					   cmocka_unit_test(bytes_of_a_table)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
