/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Watches Docker engines (Podman is one) over their unix sockets, by its HTTP API only: no
 * shell, nothing run inside containers. Lives through the engines' restarts.
 */
#ifndef SQUALLD_DOCKER_H
#define SQUALLD_DOCKER_H

#include <jansson.h>
#include <pthread.h>

struct docker;
struct engine;
struct targets;

/* What it needs; all of it outlives the watchers, one for each socket. */
struct docker_uses {
	const char *const *sockets; /* ends with NULL; "none": no Docker here */
	pthread_mutex_t *lock;	    /* of targets; the thread takes it */
	struct targets *targets;
	struct engine *engine; /* told to look again when networks change */
};

/* 0 also when there is no engine (yet); *ret stays NULL where there is no socket but "none". */
int docker_start(const struct docker_uses *uses, struct docker **ret);
void docker_stop(struct docker *k); /* k may be NULL, here and below */
json_t *docker_status(struct docker *k);

#endif
