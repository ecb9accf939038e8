/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Watches a Docker engine over its unix socket, by its HTTP API only: no
 * shell, nothing run inside containers. Lives through the engine's restarts.
 */
#ifndef SQUALLD_DOCKER_H
#define SQUALLD_DOCKER_H

#include "squalld/daemon.h"

int docker_start(struct daemon *d); /* 0 also when there is no engine (yet) */
void docker_stop(struct daemon *d);
json_t *docker_status(struct daemon *d);

#endif
