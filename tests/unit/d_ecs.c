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
#include <string.h>
#include <squall/rule.h>
#include "squalld/ecs/ecs.h"

#define L  ECS_LATENCY
#define P  ECS_LOSS
#define B  ECS_BLACKHOLE
#define GO "json: cannot unmarshal "
static const struct {
	enum ecs_type type;
	const char *body, *want; /* NULL: accepted */
} table[] = {
	{L, "", "required request body is missing"},
	{L, " \n", "required request body is missing"},
	{L, "x", "invalid character 'x' looking for beginning of value"},
	{L, "{\"DelayMilliseconds\":", "unexpected EOF"},
	{L, "[]", GO "array into Go value of type types.NetworkLatencyRequest"},
	{L, "7", GO "number 7 into Go value of type types.NetworkLatencyRequest"},
	{P, "\"a\"", GO "string into Go value of type types.NetworkPacketLossRequest"},
	{B, "true", GO "bool into Go value of type types.NetworkBlackholePortRequest"},
	{L, "{}", "required parameter DelayMilliseconds is missing"},
	{L, "{\"DelayMilliseconds\":null}", "required parameter DelayMilliseconds is missing"},
	{L, "{\"DelayMilliseconds\":1}", "required parameter JitterMilliseconds is missing"},
	{L, "{\"DelayMilliseconds\":1,\"JitterMilliseconds\":1}",
	 "required parameter Sources is missing"},
	{L, "{\"DelayMilliseconds\":1,\"JitterMilliseconds\":1,\"Sources\":[]}",
	 "required parameter Sources is missing"},
	{L, "{\"DelayMilliseconds\":0,\"JitterMilliseconds\":0,\"Sources\":[\"1.2.3.4\"]}",
	 "required either DelayMilliseconds or JitterMilliseconds to be non-zero"},
	{L, "{\"DelayMilliseconds\":\"1\",\"JitterMilliseconds\":1,\"Sources\":[\"1.2.3.4\"]}",
	 GO "string into Go struct field NetworkLatencyRequest.DelayMilliseconds of type uint64"},
	{L, "{\"DelayMilliseconds\":-1,\"JitterMilliseconds\":1,\"Sources\":[\"1.2.3.4\"]}",
	 GO
	 "number -1 into Go struct field NetworkLatencyRequest.DelayMilliseconds of type uint64"},
	{L, "{\"DelayMilliseconds\":1.5,\"JitterMilliseconds\":1,\"Sources\":[\"1.2.3.4\"]}",
	 GO
	 "number 1.5 into Go struct field NetworkLatencyRequest.DelayMilliseconds of type uint64"},
	{L, "{\"DelayMilliseconds\":1,\"JitterMilliseconds\":1,\"Sources\":\"1.2.3.4\"}",
	 GO "string into Go struct field NetworkLatencyRequest.Sources of type []*string"},
	{L, "{\"DelayMilliseconds\":1,\"JitterMilliseconds\":1,\"Sources\":[1]}",
	 GO "array into Go struct field NetworkLatencyRequest.Sources of type []*string"},
	{L, "{\"DelayMilliseconds\":1,\"JitterMilliseconds\":1,\"Sources\":[\"amazon.com\"]}",
	 "invalid value amazon.com for parameter Sources"},
	{L,
	 "{\"DelayMilliseconds\":1,\"JitterMilliseconds\":1,\"Sources\":[\"1.2.3.4\",\"1.2.3\"]}",
	 "invalid value 1.2.3 for parameter Sources"},
	{L, "{\"DelayMilliseconds\":1,\"JitterMilliseconds\":1,\"Sources\":[\"1.2.3.4/33\"]}",
	 "invalid value 1.2.3.4/33 for parameter Sources"},
	{L, "{\"DelayMilliseconds\":1,\"JitterMilliseconds\":1,\"Sources\":[\"1.2.3.4/\"]}",
	 "invalid value 1.2.3.4/ for parameter Sources"},
	{L, "{\"DelayMilliseconds\":1,\"JitterMilliseconds\":1,\"Sources\":[\"fd00::/129\"]}",
	 "invalid value fd00::/129 for parameter Sources"},
	{L, "{\"DelayMilliseconds\":1,\"JitterMilliseconds\":1,\"Sources\":[\"\"]}",
	 "invalid value  for parameter Sources"},
	{L,
	 "{\"DelayMilliseconds\":1,\"JitterMilliseconds\":1,\"Sources\":[\"0.0.0.0/"
	 "0\"],\"SourcesToFilter\":[\"x\"]}",
	 "invalid value x for parameter SourcesToFilter"},
	{L,
	 "{\"DelayMilliseconds\":1,\"JitterMilliseconds\":1,\"Sources\":[\"0.0.0.0/"
	 "0\"],\"FlowsPercent\":0}",
	 "invalid value 0 for parameter flowsPercent"},
	{L,
	 "{\"DelayMilliseconds\":1,\"JitterMilliseconds\":1,\"Sources\":[\"0.0.0.0/"
	 "0\"],\"FlowsPercent\":101}",
	 "invalid value 101 for parameter flowsPercent"},
	{L,
	 "{\"DelayMilliseconds\":1,\"JitterMilliseconds\":1,\"Sources\":[\"0.0.0.0/"
	 "0\"],\"FlowsPercent\":\"5\"}",
	 GO "string into Go struct field NetworkLatencyRequest.FlowsPercent of type int"},
	{L, "{\"DelayMilliseconds\":1,\"JitterMilliseconds\":0,\"Sources\":[\"0.0.0.0/0\"]}", NULL},
	{L, "{\"delaymilliseconds\":1,\"JITTERMILLISECONDS\":0,\"sources\":[\"0.0.0.0/0\"]}", NULL},
	{L,
	 "{\"DelayMilliseconds\":0,\"JitterMilliseconds\":5,\"Sources\":[\"fd00::1\",\"10.0.0.0/"
	 "8\"],\"Other\":{}}",
	 NULL},
	{L,
	 "{\"DelayMilliseconds\":1,\"JitterMilliseconds\":0,\"Sources\":[\"0.0.0.0/0\"]} trailing",
	 NULL},
	{L,
	 "{\"DelayMilliseconds\":1,\"JitterMilliseconds\":0,\"Sources\":[\"0.0.0.0/"
	 "0\"],\"SourcesToFilter\":[],\"FlowsPercent\":100}",
	 NULL},
	{P, "{}", "required parameter LossPercent is missing"},
	{P, "{\"LossPercent\":5}", "required parameter Sources is missing"},
	{P, "{\"LossPercent\":0,\"Sources\":[\"1.2.3.4\"]}",
	 "invalid value 0 for parameter LossPercent"},
	{P, "{\"LossPercent\":101,\"Sources\":[\"1.2.3.4\"]}",
	 "invalid value 101 for parameter LossPercent"},
	{P, "{\"LossPercent\":-5,\"Sources\":[\"1.2.3.4\"]}",
	 GO "number -5 into Go struct field NetworkPacketLossRequest.LossPercent of type uint64"},
	{P, "{\"LossPercent\":true,\"Sources\":[\"1.2.3.4\"]}",
	 GO "bool into Go struct field NetworkPacketLossRequest.LossPercent of type uint64"},
	{P, "{\"LossPercent\":{},\"Sources\":[\"1.2.3.4\"]}",
	 GO "object into Go struct field NetworkPacketLossRequest.LossPercent of type uint64"},
	{P, "{\"LossPercent\":5,\"Sources\":[\"1.2.3.4\"],\"FlowsPercent\":-1}",
	 "invalid value -1 for parameter flowsPercent"},
	{P, "{\"LossPercent\":5,\"Sources\":[\"::ffff:1.2.3.4/96\"]}", NULL},
	{P, "{\"LossPercent\":100,\"Sources\":[\"1.2.3.4\"],\"FlowsPercent\":25}", NULL},
	{B, "{}", "required parameter Port is missing"},
	{B, "{\"Port\":80}", "required parameter Protocol is missing"},
	{B, "{\"Port\":80,\"Protocol\":\"tcp\"}", "required parameter TrafficType is missing"},
	{B, "{\"Port\":80,\"Protocol\":\"TCP\",\"TrafficType\":\"egress\"}",
	 "invalid value TCP for parameter Protocol"},
	{B, "{\"Port\":80,\"Protocol\":\"icmp\",\"TrafficType\":\"egress\"}",
	 "invalid value icmp for parameter Protocol"},
	{B, "{\"Port\":80,\"Protocol\":\"udp\",\"TrafficType\":\"both\"}",
	 "invalid value both for parameter TrafficType"},
	{B, "{\"Port\":65536,\"Protocol\":\"tcp\",\"TrafficType\":\"egress\"}",
	 GO "number 65536 into Go struct field NetworkBlackholePortRequest.Port of type uint16"},
	{B, "{\"Port\":-1,\"Protocol\":\"tcp\",\"TrafficType\":\"egress\"}",
	 GO "number -1 into Go struct field NetworkBlackholePortRequest.Port of type uint16"},
	{B, "{\"Port\":\"80\",\"Protocol\":\"tcp\",\"TrafficType\":\"egress\"}",
	 GO "string into Go struct field NetworkBlackholePortRequest.Port of type uint16"},
	{B, "{\"Port\":80,\"Protocol\":6,\"TrafficType\":\"egress\"}",
	 GO "number 6 into Go struct field NetworkBlackholePortRequest.Protocol of type string"},
	{B,
	 "{\"Port\":80,\"Protocol\":\"tcp\",\"TrafficType\":\"ingress\",\"SourcesToFilter\":[\"h\"]"
	 "}",
	 "invalid value h for parameter SourcesToFilter"},
	{B, "{\"Port\":80,\"Protocol\":\"tcp\",\"TrafficType\":\"ingress\"}", NULL},
	{B,
	 "{\"Port\":65535,\"Protocol\":\"udp\",\"TrafficType\":\"egress\",\"SourcesToFilter\":["
	 "\"10.1.0.0/16\",\"fd00::1\"]}",
	 NULL},
};

static void bodies(void **state)
{
	char text[320];
	int bad = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		json_t *o;

		text[0] = 0;
		o = ecs_parse(table[i].type, table[i].body, strlen(table[i].body), text,
			      sizeof(text));
		if (!o == !table[i].want || (table[i].want && strcmp(text, table[i].want))) {
			print_message("%s\n  is   %s\n  want %s\n", table[i].body, text,
				      table[i].want ? table[i].want : "(accepted)");
			bad++;
		}
		json_decref(o);
	}
	assert_int_equal(bad, 0);
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
