// SPDX-License-Identifier: GPL-2.0-only
/*
 * The connection to a Locust master: a thread that owns the ZeroMQ socket,
 * keeps it up, announces itself, and sends the heartbeats, so that neither
 * load nor a slow report can delay them (a master waits less than 5 s). The
 * worker's own thread talks to it through two queues and never to ZeroMQ.
 *
 *        worker thread                        connection thread
 *   locust_conn_next()      <-- up/down/msg --   receives
 *   locust_conn_stats() ... --- frames ------>   sends
 */
#ifndef SQUALL_LOCUST_CONN_H
#define SQUALL_LOCUST_CONN_H

#include "sim/locust/proto.h"

struct locust_conn;

#define LOCUST_REPLY_MS 10000 /* twice a master's own patience */
#define LOCUST_RETRY_MS 5000  /* Locust's CONNECT_TIMEOUT */

struct locust_conn_opts {
	const char *host;
	uint16_t port;
	unsigned int give_up_s; /* without a master for so long; 0: never */
	/* 0: as below, which is what fits Locust; tests have no patience. */
	unsigned int reply_ms; /* a master that answers heartbeats is lost without one */
	unsigned int retry_ms; /* between two client_ready */
};

enum locust_event_kind {
	LOCUST_EV_UP,	    /* a master has acknowledged a new identity */
	LOCUST_EV_REJOINED, /* it has acknowledged the client_ready after a stop */
	LOCUST_EV_DOWN,	    /* there is no master now */
	LOCUST_EV_MSG,
	LOCUST_EV_GIVE_UP,
};

struct locust_event {
	struct locust_event *next;
	enum locust_event_kind kind;
	struct locust_msg msg; /* EV_MSG; its index for EV_UP */
};

int locust_conn_new(const struct locust_conn_opts *opts, struct locust_conn **ret_conn);
/* Sends what is queued (bounded by wait_ms), then closes. */
void locust_conn_free(struct locust_conn *c, unsigned int wait_ms);

/* Readable when locust_conn_next() has something. */
int locust_conn_fd(const struct locust_conn *c);
/* NULL when there is nothing; the caller frees with locust_event_free(). */
struct locust_event *locust_conn_next(struct locust_conn *c);
void locust_event_free(struct locust_event *ev);

/* What the heartbeats say from now on. */
void locust_conn_state(struct locust_conn *c, const char *state);

/*
 * Each queues one message: 0, -ENOTCONN when no master knows this worker (a
 * message from a stranger kills the listener of 2.12), -EAGAIN when earlier
 * ones have not left yet, -ENOMEM. From any thread.
 */
int locust_conn_spawning(struct locust_conn *c);
int locust_conn_spawning_complete(struct locust_conn *c, const struct locust_class *cl, size_t n);
int locust_conn_exception(struct locust_conn *c, const char *msg, const char *traceback);
int locust_conn_fault_answer(struct locust_conn *c, const struct fault_answer *a);
int locust_conn_stats(struct locust_conn *c, const struct locust_report *r);
int locust_conn_quit(struct locust_conn *c);
/* client_stopped, then client_ready until it is acknowledged. */
int locust_conn_rejoin(struct locust_conn *c);
/* Leave this master and look for one, under a fresh identity. */
void locust_conn_reset(struct locust_conn *c);
/* Whether a report would be taken now. */
bool locust_conn_ready(struct locust_conn *c);

#endif
