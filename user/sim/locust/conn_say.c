// SPDX-License-Identifier: GPL-2.0-only
/* What the worker's thread says to its master: frames, queued for the connection's thread. */
#include <errno.h>
#include <stdio.h>
#include "sim/locust/conn_inside.h"

void locust_conn_drop(struct locust_conn *c)
{
	while (c->n_out)
		locust_frame_free(&c->out[--c->n_out]);
}

/* Locked on success, so that the node cannot change before the frame is queued. */
static int begin(struct locust_conn *c)
{
	int r = 0;

	pthread_mutex_lock(&c->lock);
	if (c->phase != KNOWN || c->reset || c->rejoining)
		r = -ENOTCONN;
	else if (c->n_out == OUT_MAX)
		r = -EAGAIN;
	if (r)
		pthread_mutex_unlock(&c->lock);
	return r;
}

static int commit(struct locust_conn *c, int r)
{
	if (r)
		locust_frame_free(&c->out[c->n_out]);
	else
		c->n_out++;
	pthread_mutex_unlock(&c->lock);
	locust_ring(c->wake_fd);
	return r;
}

int locust_conn_spawning(struct locust_conn *c)
{
	int r = begin(c);

	return r ? r : commit(c, locust_put_simple(&c->out[c->n_out], c->node, "spawning"));
}

int locust_conn_spawning_complete(struct locust_conn *c, const struct locust_class *cl, size_t n)
{
	int r = begin(c);

	return r ? r : commit(c, locust_put_spawning_complete(&c->out[c->n_out], c->node, cl, n));
}

int locust_conn_exception(struct locust_conn *c, const char *msg, const char *traceback)
{
	int r = begin(c);

	return r ? r : commit(c, locust_put_exception(&c->out[c->n_out], c->node, msg, traceback));
}

int locust_conn_fault_answer(struct locust_conn *c, const struct fault_answer *a)
{
	int r = begin(c);

	return r ? r : commit(c, locust_put_fault_answer(&c->out[c->n_out], c->node, a));
}

int locust_conn_stats(struct locust_conn *c, const struct locust_report *rep)
{
	int r = begin(c);

	return r ? r : commit(c, locust_put_stats(&c->out[c->n_out], c->node, rep));
}

int locust_conn_quit(struct locust_conn *c)
{
	int r = begin(c);

	return r ? r : commit(c, locust_put_simple(&c->out[c->n_out], c->node, "quit"));
}

bool locust_conn_ready(struct locust_conn *c)
{
	bool ready;

	pthread_mutex_lock(&c->lock);
	ready = c->phase == KNOWN && !c->reset && !c->rejoining && !c->n_out;
	pthread_mutex_unlock(&c->lock);
	return ready;
}

int locust_conn_rejoin(struct locust_conn *c)
{
	int r = begin(c);

	if (r)
		return r;
	/* After client_stopped the master has no such worker, until client_ready. */
	c->rejoining = true;
	return commit(c, locust_put_simple(&c->out[c->n_out], c->node, "client_stopped"));
}

void locust_conn_reset(struct locust_conn *c)
{
	pthread_mutex_lock(&c->lock);
	c->reset = true;
	pthread_mutex_unlock(&c->lock);
	locust_ring(c->wake_fd);
}

void locust_conn_state(struct locust_conn *c, const char *state)
{
	pthread_mutex_lock(&c->lock);
	snprintf(c->state, sizeof(c->state), "%s", state);
	pthread_mutex_unlock(&c->lock);
}
