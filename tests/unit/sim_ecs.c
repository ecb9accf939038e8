// SPDX-License-Identifier: GPL-2.0-only
/* Rules as calls of the ECS agent's fault endpoints: what it can, and by what name the rest is
 * refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "sim/inject/ecs_calls.h"

#define LATENCY "network-latency "
#define LOSS	"network-packet-loss "
#define HOLE	"network-blackhole-port "
#define ALL	"\"Sources\":[\"0.0.0.0/0\",\"::/0\"]"
#define SPARE	"\"SourcesToFilter\":[\"192.0.2.7\"]"

static const struct {
	const char *rule, *calls; /* joined by "; " */
	const char *cannot;	  /* or how the refusal begins */
} table[] = {
	{"up delay 100ms",
	 LATENCY "{\"DelayMilliseconds\":100,\"JitterMilliseconds\":0," ALL "," SPARE "}", NULL},
	{"up delay 100ms 20ms match to 10.0.0.0/8",
	 LATENCY
	 "{\"DelayMilliseconds\":100,\"JitterMilliseconds\":20,\"Sources\":[\"10.0.0.0/8\"]," SPARE
	 "}",
	 NULL},
	{"up delay 0ms 5ms match to fd00::1",
	 LATENCY
	 "{\"DelayMilliseconds\":0,\"JitterMilliseconds\":5,\"Sources\":[\"fd00::1/128\"]," SPARE
	 "}",
	 NULL},
	{"up loss 7%", LOSS "{\"LossPercent\":7," ALL "," SPARE "}", NULL},
	{"up loss 100%", LOSS "{\"LossPercent\":100," ALL "," SPARE "}", NULL},
	{"up loss 5% flows 25%", LOSS "{\"LossPercent\":5," ALL ",\"FlowsPercent\":25," SPARE "}",
	 NULL},
	{"up loss 5% except to 10.1.0.0/16",
	 LOSS "{\"LossPercent\":5," ALL ",\"SourcesToFilter\":[\"10.1.0.0/16\",\"192.0.2.7\"]}",
	 NULL},
	{"up blackhole match proto tcp dport 8883",
	 HOLE "{\"Port\":8883,\"Protocol\":\"tcp\",\"TrafficType\":\"egress\"," SPARE "}", NULL},
	{"down blackhole match proto udp sport 53",
	 HOLE "{\"Port\":53,\"Protocol\":\"udp\",\"TrafficType\":\"ingress\"," SPARE "}", NULL},
	{"up loss 5% also up blackhole match proto tcp dport 443",
	 HOLE "{\"Port\":443,\"Protocol\":\"tcp\",\"TrafficType\":\"egress\"," SPARE "}; " LOSS
	      "{\"LossPercent\":5," ALL "," SPARE "}",
	 NULL},
	{"up rate 1mbit", NULL, "rate"},
	{"up duplicate 1%", NULL, "duplicate"},
	{"up corrupt 1%", NULL, "corrupt"},
	{"up delay 5ms reorder 1%", NULL, "reorder"},
	{"up mtu 1200", NULL, "mtu"},
	{"up loss 5% 25%", NULL, "loss with a correlation"},
	{"up loss gemodel 1% 10%", NULL, "loss gemodel, loss state"},
	{"up delay 10ms 2ms distribution normal", NULL, "delay with a distribution"},
	{"up delay 10ms loss 1%", NULL, "delay and loss at once"},
	{"up delay 10ms match to 10.0.0.1 also up loss 1%", NULL, "two clauses of delay or loss"},
	{"up loss 0.5%", NULL, "loss in fractions"},
	{"up delay 1500us", NULL, "delay in fractions"},
	{"up loss 5% flows 0.5%", NULL, "flows in fractions"},
	{"down loss 5%", NULL, "down delay, down loss"},
	{"up blackhole", NULL, "up blackhole without"},
	{"up blackhole match proto tcp dport 1-2", NULL, "up blackhole without"},
	{"up blackhole match proto tcp to 10.0.0.1 dport 1", NULL, "up blackhole without"},
	{"down blackhole match proto tcp dport 80", NULL, "down blackhole without"},
	{"up loss 5% match dport 80", NULL, "match of more than an address"},
	{"up loss 5% except port 80", NULL, "except with more than an address"},
	{"up hang old", NULL, "each, hang and reset"},
};

static void rules(void **state)
{
	int bad = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		struct ecs_call calls[ECS_CALLS_MAX];
		struct sq_error err = {0};
		struct sq_rule rule;
		char got[1024] = "";
		unsigned int n = 0;
		bool right;
		int r;

		if (sq_rule_from_text(table[i].rule, strlen(table[i].rule), &rule, &err))
			fail_msg("%s: %s", table[i].rule, err.text);
		r = ecs_calls(&rule, "192.0.2.7", calls, &n, &err);
		for (unsigned int k = 0; k < n; k++) {
			char *body = json_dumps(calls[k].body, JSON_COMPACT);

			snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%s %s",
				 k ? "; " : "", calls[k].type, body);
			free(body);
		}
		ecs_calls_free(calls, n);
		right = table[i].calls ? !r && !strcmp(got, table[i].calls)
				       : r &&
						 !strncmp(err.text, table[i].cannot,
							  strlen(table[i].cannot)) &&
						 strstr(err.text, "the ECS agent can: ");
		if (!right) {
			print_message("%s\n  is   %s\n  want %s\n", table[i].rule,
				      r ? err.text : got,
				      table[i].calls ? table[i].calls : table[i].cannot);
			bad++;
		}
	}
	assert_int_equal(bad, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(rules)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
