/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A rule as calls of the ECS agent's fault endpoints, which a task that has enableFaultInjection
 * may make for itself, on Fargate too: egress latency or loss, by share of the flows, and
 * blackholes of ports. What the agent has no word for is refused by its name.
 */
#ifndef SQUALL_INJECT_ECS_CALLS_H
#define SQUALL_INJECT_ECS_CALLS_H

#include <jansson.h>
#include <squall/rule.h>

#define ECS_CALLS_MAX SQ_MAX_CLAUSES

struct ecs_call {
	const char *type; /* "network-latency", "network-packet-loss", "network-blackhole-port" */
	json_t *body;
};

/*
 * *ret_n calls, whose bodies are new references. spare: an address that no fault may strike, the
 * master's. -EOPNOTSUPP: err names what the agent cannot, and what it can.
 */
int ecs_calls(const struct sq_rule *rule, const char *spare, struct ecs_call ret[ECS_CALLS_MAX],
	      unsigned int *ret_n, struct sq_error *err);
void ecs_calls_free(struct ecs_call *calls, unsigned int n);

#endif
