/* SPDX-License-Identifier: GPL-2.0-only */
/* The connection's inside: conn.c has its thread, conn_say.c what the worker's thread says to it.
 */
#ifndef SQUALL_LOCUST_CONN_INSIDE_H
#define SQUALL_LOCUST_CONN_INSIDE_H

#include <pthread.h>
#include <stdbool.h>
#include "sim/locust/conn.h"
#include "sim/locust/queue.h"
#include "sim/locust/usage.h"

#define OUT_MAX 16

enum phase { CLOSED, OPENING, ANNOUNCED, KNOWN };

struct locust_conn {
	struct locust_conn_opts opts;
	char host[256];
	void *ctx, *sock, *mon;
	pthread_t thread;
	int wake_fd;
	struct locust_queue events;

	pthread_mutex_t lock;
	/*
	 * Under the lock. The connection's thread alone writes phase and node, and so
	 * reads its own without it; the rest both threads write.
	 */
	enum phase phase;
	bool rejoining; /* ANNOUNCED again after a stop, same identity */
	bool closing, reset;
	uint64_t close_by;
	char node[LOCUST_NAME_MAX];
	char state[24];
	struct locust_frame out[OUT_MAX];
	unsigned int n_out;

	/* The connection thread's own: */
	char old_node[LOCUST_NAME_MAX]; /* known before, to be signed off */
	int64_t index, old_index;
	bool announce_told, bad_told;
	bool replies; /* this master answers heartbeats */
	uint64_t opened, announced, beat, last_reply, retry_at, backoff;
	uint64_t alone_since, told_at;
	struct locust_usage usage;
	double cpu;
	uint64_t memory;
	unsigned int monitors;
};

/* Forgets what is queued; under the lock, or when no thread is left. */
void locust_conn_drop(struct locust_conn *c);

#endif
