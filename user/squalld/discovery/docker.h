/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Watches a Docker engine over its unix socket, by its HTTP API only: no
 * shell, nothing run inside containers. Lives through the engine's restarts.
 */
#ifndef SQUALLD_DOCKER_H
#define SQUALLD_DOCKER_H

#include <jansson.h>
#include <pthread.h>

struct docker;
struct engine;
struct targets;

/* What it needs; all of it outlives the watcher. */
struct docker_uses {
	const char *socket;    /* "none": no Docker here */
	pthread_mutex_t *lock; /* of targets; the thread takes it */
	struct targets *targets;
	struct engine *engine; /* told to look again when networks change */
};

/* 0 also when there is no engine (yet); *ret stays NULL for "none". */
int docker_start(const struct docker_uses *uses, struct docker **ret);
void docker_stop(struct docker *k); /* k may be NULL, here and below */
json_t *docker_status(struct docker *k);

#endif
