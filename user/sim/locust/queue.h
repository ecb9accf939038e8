// SPDX-License-Identifier: GPL-2.0-only
/* Events from the connection's thread to the worker's. */
#ifndef SQUALL_LOCUST_QUEUE_H
#define SQUALL_LOCUST_QUEUE_H

#include <pthread.h>
#include "sim/locust/conn.h"

#define LOCUST_QUEUE_MAX 1024
/* Of what its messages hold: a dozen of the longest, and all that masters send. */
#define LOCUST_QUEUE_BYTES (32u << 20)

struct locust_queue {
	pthread_mutex_t lock;
	struct locust_event *first, **tail;
	unsigned int n;
	size_t bytes;
	int fd; /* an eventfd, readable when there is something */
};

/* Makes an eventfd readable. */
void locust_ring(int fd);

int locust_queue_init(struct locust_queue *q);
void locust_queue_destroy(struct locust_queue *q);
/* Takes what msg (may be NULL) holds. A master's messages past the bound are dropped, and said. */
void locust_queue_post(struct locust_queue *q, enum locust_event_kind kind, struct locust_msg *msg);
struct locust_event *locust_queue_next(struct locust_queue *q);

#endif
