/* SPDX-License-Identifier: GPL-2.0-only */
/* What the Docker engine's JSON says. Any thread; nothing is kept. */
#ifndef SQUALLD_INSPECT_H
#define SQUALLD_INSPECT_H

#include <jansson.h>
#include <stdbool.h>

struct container;

/* Of GET /containers/ID/json, with the cgroup of its process looked up. The caller's, for
 * container_free(). NULL: not what an engine says, or out of memory. */
struct container *container_from_inspect(const json_t *o);
/* As the event of its making tells it, else NULL: its engine answers nobody about a container that
 * it starts. */
struct container *container_from_event(const json_t *event);
/* Of one event: the id of the container to look at again, or NULL; it lives as long as the event.
 * *ret_network: interfaces have changed, too. */
const char *event_container(const json_t *event, bool *ret_network);

#endif
