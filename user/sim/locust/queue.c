// SPDX-License-Identifier: GPL-2.0-only
#include "sim/locust/queue.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "sim/locust/say.h"

void locust_ring(int fd)
{
	uint64_t one = 1;

	if (write(fd, &one, sizeof(one)) < 0)
		return; /* full: it rings already */
}

int locust_queue_init(struct locust_queue *q)
{
	q->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (q->fd < 0)
		return -errno;
	pthread_mutex_init(&q->lock, NULL);
	q->first = NULL;
	q->tail = &q->first;
	q->n = 0;
	q->bytes = 0;
	return 0;
}

void locust_queue_destroy(struct locust_queue *q)
{
	struct locust_event *ev;

	while ((ev = q->first)) {
		q->first = ev->next;
		locust_event_free(ev);
	}
	close(q->fd);
	pthread_mutex_destroy(&q->lock);
}

void locust_queue_post(struct locust_queue *q, enum locust_event_kind kind, struct locust_msg *msg)
{
	struct locust_event *ev = calloc(1, sizeof(*ev));

	pthread_mutex_lock(&q->lock);
	if (!ev || (kind == LOCUST_EV_MSG &&
		    (q->n >= LOCUST_QUEUE_MAX || q->bytes + msg->held > LOCUST_QUEUE_BYTES))) {
		unsigned int n = q->n;

		pthread_mutex_unlock(&q->lock);
		locust_say("dropped '%s': %u messages wait already", msg ? msg->type : "an event",
			   n);
		if (msg)
			locust_msg_free(msg);
		free(ev);
		return;
	}
	ev->kind = kind;
	if (msg)
		ev->msg = *msg;
	*q->tail = ev;
	q->tail = &ev->next;
	q->n++;
	q->bytes += ev->msg.held;
	pthread_mutex_unlock(&q->lock);
	locust_ring(q->fd);
}

struct locust_event *locust_queue_next(struct locust_queue *q)
{
	struct locust_event *ev;
	uint64_t n;

	if (read(q->fd, &n, sizeof(n)) < 0 && errno != EAGAIN)
		return NULL;
	pthread_mutex_lock(&q->lock);
	ev = q->first;
	if (ev) {
		q->first = ev->next;
		if (!q->first)
			q->tail = &q->first;
		q->n--;
		q->bytes -= ev->msg.held;
	}
	pthread_mutex_unlock(&q->lock);
	if (ev)
		locust_ring(q->fd); /* there may be more */
	return ev;
}

void locust_event_free(struct locust_event *ev)
{
	if (!ev)
		return;
	locust_msg_free(&ev->msg);
	free(ev);
}
