// SPDX-License-Identifier: GPL-2.0-only
/*
 * The bodies of the ECS fault endpoints: what the agent answers to each (amazon-ecs-agent 1.105,
 * ecs-agent/tmds/handlers/fault/v1), and the rule that faults make together.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <squall/rule.h>
#include "squalld/ecs/ecs.h"

static const char *const types[] = {
	[ECS_LATENCY] = "network-latency/start",
	[ECS_LOSS] = "network-packet-loss/start",
	[ECS_BLACKHOLE] = "network-blackhole-port/start",
};

/* The starts of tests/tools/ecs-exchanges.jsonl, which a stand-in for the agent and squalld's own
 * endpoints are held against, too. */
static void bodies(void **state)
{
	FILE *f = fopen("tests/tools/ecs-exchanges.jsonl", "re");
	char line[4096], text[320];
	int bad = 0, n = 0;

	(void)state;
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		json_t *x = json_loads(line, 0, NULL), *o;
		const char *call = json_string_value(json_object_get(x, "call"));
		const char *body = json_string_value(json_object_get(x, "body"));
		long long status = json_integer_value(json_object_get(x, "status"));
		const char *want =
			json_string_value(json_object_get(json_object_get(x, "answer"), "Error"));
		int type = 3;

		while (type-- && strcmp(types[type], call))
			;
		if (type >= 0 && (status == 200 || status == 400)) {
			text[0] = 0;
			o = ecs_parse((enum ecs_type)type, body, strlen(body), text, sizeof(text));
			if (!o != (status == 400) || (want && strcmp(text, want))) {
				print_message("%s\n  is   %s\n  want %s\n", body, text,
					      want ? want : "(accepted)");
				bad++;
			}
			json_decref(o);
			n++;
		}
		json_decref(x);
	}
	fclose(f);
	assert_int_equal(bad, 0);
	assert_true(n >= 57);
}

/* Faults as JSON -> the rule as the kernel gets it. */
static void rule_is(const char *faults, const char *want)
{
	json_t *o = json_loads(faults, 0, NULL);
	char text[SQ_RULE_CANONICAL_MAX];
	struct sq_error err;
	struct sq_rule rule;

	assert_non_null(o);
	assert_int_equal(ecs_rule(o, text, sizeof(text)), 0);
	if (sq_rule_from_text(text, strlen(text), &rule, &err))
		fail_msg("%s: %s", text, err.text);
	assert_true(sq_rule_to_text(&rule, text, sizeof(text)) > 0);
	assert_string_equal(text, want);
	json_decref(o);
}

static void rules(void **state)
{
	(void)state;
	rule_is("{\"latency\":{\"DelayMilliseconds\":100,\"JitterMilliseconds\":20,\"Sources\":["
		"\"0.0.0.0/0\"]}}",
		"up delay 100ms 20ms match to 0.0.0.0/0");
	rule_is("{\"latency\":{\"DelayMilliseconds\":0,\"JitterMilliseconds\":20,\"Sources\":[\"10."
		"1.2.3/8\"]}}",
		"up delay 0s 20ms match to 10.0.0.0/8");
	rule_is("{\"loss\":{\"LossPercent\":5,\"Sources\":[\"10.0.0.1\",\"fd00::/"
		"8\"],\"SourcesToFilter\":[\"10.0.0.9\"],\"FlowsPercent\":25}}",
		"up loss 5% flows 25% match to 10.0.0.1 also up loss 5% flows 25% match to "
		"fd00::/8 "
		"except to 10.0.0.9");
	rule_is("{\"blackhole\":{\"ingress-tcp-80\":{\"Port\":80,\"Protocol\":\"tcp\","
		"\"TrafficType\":\"ingress\"},"
		"\"egress-udp-53\":{\"Port\":53,\"Protocol\":\"udp\",\"TrafficType\":\"egress\","
		"\"SourcesToFilter\":[\"10.0.0.2\"]}}}",
		"down blackhole match proto tcp sport 80 also up blackhole match proto udp dport "
		"53 "
		"except proto udp to 10.0.0.2 dport 53");
	/* What is dropped is dropped, also where a latency names the same peer. */
	rule_is("{\"latency\":{\"DelayMilliseconds\":9,\"JitterMilliseconds\":0,\"Sources\":[\"10."
		"0.0.0/8\"]},"
		"\"blackhole\":{\"egress-tcp-443\":{\"Port\":443,\"Protocol\":\"tcp\","
		"\"TrafficType\":\"egress\"}}}",
		"up blackhole match proto tcp to 10.0.0.0/8 dport 443 also up delay 9ms match to "
		"10.0.0.0/8 "
		"also up blackhole match proto tcp dport 443");
}

static void too_many(void **state)
{
	char text[SQ_RULE_CANONICAL_MAX];
	json_t *o = json_pack("{s:{s:i,s:[sssssssss]}}", "loss", "LossPercent", 5, "Sources",
			      "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5",
			      "10.0.0.6", "10.0.0.7", "10.0.0.8", "10.0.0.9");

	(void)state;
	assert_int_equal(ecs_rule(o, text, sizeof(text)), -28);
	json_decref(o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bodies),
		cmocka_unit_test(rules),
		cmocka_unit_test(too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
