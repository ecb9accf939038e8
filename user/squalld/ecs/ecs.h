/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fault endpoints of the Amazon ECS agent, served by squalld:
 *
 *   POST /api/ID/fault/v1/TYPE/OP
 *     TYPE  network-latency | network-packet-loss | network-blackhole-port
 *     OP    start | stop | status
 *
 * ID is the container's endpoint id, a UUID that the agent gives each container in ECS_AGENT_URI
 * and ECS_CONTAINER_METADATA_URI_V4; squalld reads it from the container's environment. As with the
 * agent, who knows it may ask: it is the capability.
 *
 * Requests, checks in their order, texts and codes: amazon-ecs-agent 1.105,
 * ecs-agent/tmds/handlers/fault/v1. What differs: bridge mode is served, a task need not have
 * enableFaultInjection, there is no limit of one request in 5 s, all containers of the task are met
 * only where their cgroups have one parent of the task's own.
 */
#ifndef SQUALLD_ECS_H
#define SQUALLD_ECS_H

#include <jansson.h>
#include <pthread.h>
#include "squalld/http/http.h"

struct book;
struct state;
struct targets;

enum ecs_type { ECS_LATENCY, ECS_LOSS, ECS_BLACKHOLE };
enum ecs_op { ECS_START, ECS_STOP, ECS_STATUS };

/*
 * A body -> what it asks for, with the agent's names of fields: {"DelayMilliseconds": 100, ...},
 * only what the type has. Pure. NULL: text is the agent's answer to it, a 400.
 */
json_t *ecs_parse(enum ecs_type type, const char *body, size_t len, char *text, size_t size);
/*
 * The faults on one target -> the text of one rule. faults: {"latency"|"loss": {...},
 * "blackhole": {"ingress-tcp-80": {...}}}, each as ecs_parse() made it. Pure. -ENOSPC: a rule
 * cannot hold so many.
 */
int ecs_rule(const json_t *faults, char *text, size_t size);

/* What the endpoints need; all of it outlives the last call. */
struct ecs {
	pthread_mutex_t *lock; /* of targets and book; ecs_serve() takes it */
	struct targets *targets;
	struct book *book;
	struct state *state;
	json_t *faults; /* target -> the above */
};

bool ecs_is_path(const struct request *r);
enum MHD_Result ecs_serve(struct ecs *ecs, struct request *r);

json_t *ecs_save(void *ecs, bool clean); /* a state_save_fn */
/* After book_restore(). Faults whose rule is gone are forgotten. */
void ecs_restore(struct ecs *ecs, const json_t *saved);

#endif
