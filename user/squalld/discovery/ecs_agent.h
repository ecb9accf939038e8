/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the ECS agent knows of a task and the Docker engine does not: the
 * service that it belongs to. Asked at the agent's own address, never at one
 * that a container's environment names. One thread.
 */
#ifndef SQUALLD_ECS_AGENT_H
#define SQUALLD_ECS_AGENT_H

struct ecs_agent;

int ecs_agent_new(struct ecs_agent **ret);
void ecs_agent_free(struct ecs_agent *agent); /* accepts NULL */

/*
 * Of the task of the container with this id in the URLs that its agent gave it: *ret (new) is its
 * service, "" for a task of none. -EAGAIN: the agent does not answer now, or did not some seconds
 * ago. Waits 1 s at most.
 */
int ecs_agent_service(struct ecs_agent *agent, const char *id, char **ret);

#endif
