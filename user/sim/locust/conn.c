// SPDX-License-Identifier: GPL-2.0-only
/*
 * One attempt at a master, from the TCP connection to its end:
 *
 *   open --handshake--> announced --ack--> known --loss--> closed, wait, open
 *                        | ^ client_ready every 5 s          (fresh identity)
 *                        +-+
 *
 * libzmq would reconnect by itself, but under the same identity, and a master's
 * ROUTER silently drops a second connection of an identity it still knows: no
 * ack, ever. So libzmq's own reconnecting is off, a monitor socket tells when
 * TCP is lost, and every attempt is a new socket with a new identity. The one
 * before is signed off under its own name once the new one is known; else the
 * master would take it for a second worker for up to a minute and give it load.
 */
#include "sim/locust/conn_inside.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>
#include "sim/locust/addr.h"
#include "sim/locust/say.h"

#define S_NS	       1000000000ull
#define MS_NS	       1000000ull
#define HEARTBEAT_NS   S_NS /* a master counts down once a second, from 3 */
#define HANDSHAKE_NS   (LOCUST_HANDSHAKE_MS * MS_NS)
#define BACKOFF_MIN_NS (S_NS / 5)
#define BACKOFF_MAX_NS (2 * S_NS)
#define SAY_AGAIN_NS   (30 * S_NS)
#define TURN_NS	       (S_NS / 5)

struct locust_event *locust_conn_next(struct locust_conn *c)
{
	return locust_queue_next(&c->events);
}

int locust_conn_fd(const struct locust_conn *c)
{
	return c->events.fd;
}

static void sock_close(struct locust_conn *c, int linger_ms)
{
	if (c->mon)
		zmq_close(c->mon);
	c->mon = NULL;
	if (c->sock) {
		zmq_setsockopt(c->sock, ZMQ_LINGER, &linger_ms, sizeof(linger_ms));
		zmq_close(c->sock);
	}
	c->sock = NULL;
}

static int sock_open(struct locust_conn *c, const char **ret_why)
{
	char url[320], mon[48], node[LOCUST_NAME_MAX];
	int r;

	r = locust_endpoint(c->host, c->opts.port, url, sizeof(url), ret_why);
	if (r)
		return r;
	*ret_why = "out of sockets or memory";
	r = locust_fresh_node(node, sizeof(node));
	if (r)
		return r;
	snprintf(mon, sizeof(mon), "inproc://monitor-%u", c->monitors++);
	r = locust_dealer(c->ctx, url, node, mon, OUT_MAX * 2, &c->sock, &c->mon);
	if (r)
		return r;
	pthread_mutex_lock(&c->lock);
	c->phase = OPENING;
	c->rejoining = false;
	snprintf(c->node, sizeof(c->node), "%s", node);
	pthread_mutex_unlock(&c->lock);
	c->opened = locust_now_ns();
	c->replies = false;
	c->bad_told = false;
	return 0;
}

static int raw_send(struct locust_conn *c, int r, struct locust_frame *f)
{
	if (!r && zmq_send(c->sock, f->data, f->len, ZMQ_DONTWAIT) < 0)
		r = -errno;
	locust_frame_free(f);
	return r;
}

static void announce(struct locust_conn *c)
{
	struct locust_frame f = {0};

	/* node is changed by this thread only: no lock needed to read it here. */
	raw_send(c, locust_put_client_ready(&f, c->node), &f);
	c->announced = locust_now_ns();
}

/* Closes, and says why once; then every half minute while it stays so. */
static void lost(struct locust_conn *c, const char *why)
{
	uint64_t now = locust_now_ns();
	enum phase was = c->phase;
	bool rejoining;

	sock_close(c, 0);
	pthread_mutex_lock(&c->lock);
	rejoining = c->rejoining;
	c->phase = CLOSED;
	locust_conn_drop(c);
	pthread_mutex_unlock(&c->lock);
	if (was == KNOWN || (was == ANNOUNCED && rejoining)) {
		snprintf(c->old_node, sizeof(c->old_node), "%s", c->node);
		c->old_index = c->index;
		c->alone_since = now;
		c->told_at = now;
		c->backoff = BACKOFF_MIN_NS;
		locust_say("lost the master at %s:%u (%s), looking for it", c->host, c->opts.port,
			   why);
		locust_queue_post(&c->events, LOCUST_EV_DOWN, NULL);
	} else if (!c->told_at || now - c->told_at >= SAY_AGAIN_NS) {
		locust_say("no Locust master at %s:%u yet (%s), trying again", c->host,
			   c->opts.port, why);
		c->told_at = now;
	}
	c->retry_at = now + c->backoff;
	c->backoff = c->backoff * 2 > BACKOFF_MAX_NS ? BACKOFF_MAX_NS : c->backoff * 2;
}

static void monitor_event(struct locust_conn *c)
{
	unsigned char body[6] = {0};
	int more = 1;
	size_t len = sizeof(more);
	uint16_t event;

	if (zmq_recv(c->mon, body, sizeof(body), ZMQ_DONTWAIT) < 0)
		return;
	while (!zmq_getsockopt(c->mon, ZMQ_RCVMORE, &more, &len) && more)
		if (zmq_recv(c->mon, NULL, 0, 0) < 0)
			break;
	memcpy(&event, body, sizeof(event));
	switch (event) {
	case ZMQ_EVENT_HANDSHAKE_SUCCEEDED:
		pthread_mutex_lock(&c->lock);
		c->phase = ANNOUNCED;
		pthread_mutex_unlock(&c->lock);
		c->announce_told = false;
		announce(c);
		break;
	case ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL:
	case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
	case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH:
		lost(c, "what answers there does not speak ZeroMQ as Locust does; the worker's "
			"port is "
			"--master-bind-port of the master, 5557 unless set, and not the web port");
		break;
	case ZMQ_EVENT_DISCONNECTED:
		lost(c, c->phase == OPENING ? "it closed the connection; is this the worker's port "
					      "(5557), not the web port?"
					    : "the connection is gone");
		break;
	case ZMQ_EVENT_CLOSED:
	case ZMQ_EVENT_CONNECT_RETRIED:
		lost(c, locust_connect_error(c->host, c->opts.port));
		break;
	default:
		break;
	}
}

/* The identity before this one is still a worker in the eyes of a master that lived on. */
static void sign_off_old(struct locust_conn *c)
{
	struct locust_frame f = {0};

	/* Indexes only grow while a master lives: not greater, so this is another. */
	if (*c->old_node && (c->index < 0 || c->index > c->old_index))
		raw_send(c, locust_put_simple(&f, c->old_node, "client_stopped"), &f);
	*c->old_node = 0;
}

static void acknowledged(struct locust_conn *c, int64_t index)
{
	bool rejoined;

	if (c->phase != ANNOUNCED)
		return; /* the answer to a client_ready sent twice */
	c->index = index;
	pthread_mutex_lock(&c->lock);
	rejoined = c->rejoining;
	c->rejoining = false;
	c->phase = KNOWN;
	/* What client_ready says, until the worker has heard of the new master. */
	snprintf(c->state, sizeof(c->state), "ready");
	pthread_mutex_unlock(&c->lock);
	c->alone_since = 0;
	c->told_at = 0;
	c->backoff = BACKOFF_MIN_NS;
	c->last_reply = locust_now_ns();
	if (!rejoined) {
		c->beat = 0;
		if (index >= 0)
			locust_say("joined the master at %s:%u as %s, worker index %lld", c->host,
				   c->opts.port, c->node, (long long)index);
		else
			locust_say("joined the master at %s:%u as %s", c->host, c->opts.port,
				   c->node);
		sign_off_old(c);
	}
	locust_queue_post(&c->events, rejoined ? LOCUST_EV_REJOINED : LOCUST_EV_UP,
			  &(struct locust_msg){.index = index});
}

/* false when there was nothing, or the connection was given up. */
static bool receive(struct locust_conn *c)
{
	struct locust_msg msg;
	const char *why = "";
	zmq_msg_t part;
	int r;

	zmq_msg_init(&part);
	if (zmq_msg_recv(&part, c->sock, ZMQ_DONTWAIT) < 0) {
		zmq_msg_close(&part);
		return false;
	}
	r = locust_decode(zmq_msg_data(&part), zmq_msg_size(&part), &msg, &why);
	if (zmq_msg_more(&part)) {
		while (zmq_msg_more(&part) && zmq_msg_recv(&part, c->sock, ZMQ_DONTWAIT) >= 0)
			;
		if (!r)
			locust_msg_free(&msg);
		r = -EBADMSG;
		why = "more than one frame";
	}
	if (r) {
		if (!c->bad_told)
			locust_say("ignored a message of the master at %s:%u: %s (said once per "
				   "connection)",
				   c->host, c->opts.port, r == -ENOMEM ? "no memory" : why);
		c->bad_told = true;
		goto out;
	}
	switch (msg.kind) {
	case LOCUST_ACK:
		acknowledged(c, msg.index);
		locust_msg_free(&msg);
		break;
	case LOCUST_HEARTBEAT:
		c->replies = true;
		c->last_reply = locust_now_ns();
		locust_msg_free(&msg);
		break;
	case LOCUST_RECONNECT:
		locust_msg_free(&msg);
		lost(c, "it asked to reconnect");
		break;
	default:
		locust_queue_post(&c->events, LOCUST_EV_MSG, &msg);
	}
out:
	zmq_msg_close(&part);
	return c->sock;
}

/* True when nothing is left that waits. */
static bool flush_out(struct locust_conn *c)
{
	unsigned int i;
	bool empty;

	pthread_mutex_lock(&c->lock);
	for (i = 0; i < c->n_out; i++)
		if (zmq_send(c->sock, c->out[i].data, c->out[i].len, ZMQ_DONTWAIT) < 0)
			break;
		else
			locust_frame_free(&c->out[i]);
	memmove(&c->out[0], &c->out[i], (c->n_out - i) * sizeof(c->out[0]));
	c->n_out -= i;
	if (c->rejoining && c->phase == KNOWN && !c->n_out) {
		c->phase = ANNOUNCED;
		pthread_mutex_unlock(&c->lock);
		announce(c);
		return true;
	}
	empty = !c->n_out;
	pthread_mutex_unlock(&c->lock);
	return empty;
}

/* Asked to leave this master: true once. */
static bool take_reset(struct locust_conn *c)
{
	bool asked;

	pthread_mutex_lock(&c->lock);
	asked = c->reset;
	c->reset = false;
	pthread_mutex_unlock(&c->lock);
	return asked;
}

/* Asked to end, and what was queued has left or has had its time. */
static bool may_end(struct locust_conn *c, uint64_t now)
{
	bool end;

	pthread_mutex_lock(&c->lock);
	end = c->closing && (c->phase != KNOWN || !c->n_out || now > c->close_by);
	pthread_mutex_unlock(&c->lock);
	return end;
}

static void heartbeat(struct locust_conn *c, uint64_t now)
{
	struct locust_frame f = {0};
	char state[sizeof(c->state)];

	locust_usage_read(&c->usage, &c->cpu, &c->memory);
	pthread_mutex_lock(&c->lock);
	memcpy(state, c->state, sizeof(state));
	pthread_mutex_unlock(&c->lock);
	raw_send(c, locust_put_heartbeat(&f, c->node, state, c->cpu, c->memory), &f);
	c->beat = now;
}

/* Everything that is due by time; returns when the next thing is. */
static uint64_t tick(struct locust_conn *c)
{
	uint64_t now = locust_now_ns(), next = now + S_NS;
	const char *why = "";

	if (take_reset(c)) {
		if (c->sock)
			lost(c, "it has quit");
		/* Signed off by its own quit: nothing of us is left there. */
		*c->old_node = 0;
		now = locust_now_ns(); /* not before alone_since */
	}
	if (c->opts.give_up_s && c->alone_since &&
	    now - c->alone_since > c->opts.give_up_s * S_NS) {
		c->alone_since = 0;
		locust_queue_post(&c->events, LOCUST_EV_GIVE_UP, NULL);
	}
	switch (c->phase) {
	case CLOSED:
		if (now < c->retry_at)
			return c->retry_at < next ? c->retry_at : next;
		if (sock_open(c, &why))
			lost(c, why);
		return now + S_NS / 10;
	case OPENING:
		if (now - c->opened > HANDSHAKE_NS + S_NS)
			lost(c, "it accepts connections but does not answer; is this the worker's "
				"port (5557)?");
		return next;
	case ANNOUNCED:
		if (now - c->announced >= c->opts.retry_ms * MS_NS) {
			if (!c->announce_told)
				locust_say("what listens at %s:%u speaks ZeroMQ but does not "
					   "acknowledge this worker: "
					   "is it a Locust master of version 2?",
					   c->host, c->opts.port);
			c->announce_told = true;
			announce(c);
		}
		return next;
	case KNOWN:
		if (now - c->beat >= HEARTBEAT_NS)
			heartbeat(c, now);
		if (c->replies && now - c->last_reply > c->opts.reply_ms * MS_NS) {
			lost(c, "it no longer answers heartbeats");
			return now;
		}
		return flush_out(c) ? c->beat + HEARTBEAT_NS : now + S_NS / 100;
	}
	return next;
}

static void *conn_main(void *arg)
{
	struct locust_conn *c = arg;
	unsigned int i;
	uint64_t n;

	/* Best effort: an unprivileged worker has its normal share, as any process. */
	setpriority(PRIO_PROCESS, (id_t)gettid(), -10);
	for (;;) {
		uint64_t next = tick(c), now = locust_now_ns();
		zmq_pollitem_t items[3] = {
			{NULL, c->wake_fd, ZMQ_POLLIN, 0},
			{c->mon, 0, ZMQ_POLLIN, 0},
			{c->sock, 0, ZMQ_POLLIN, 0},
		};

		if (may_end(c, now))
			break;
		if (zmq_poll(items, c->sock ? 3 : 1,
			     next > now ? (long)((next - now) / 1000000) + 1 : 0) < 0 &&
		    errno != EINTR)
			break;
		if (items[0].revents && read(c->wake_fd, &n, sizeof(n)) < 0 && errno != EAGAIN)
			break;
		/* First what came, then what became of the connection: a quit may precede its end.
		 * No longer than a heartbeat can wait. */
		now = locust_now_ns() + TURN_NS;
		for (i = 0; c->sock && i < LOCUST_QUEUE_MAX && locust_now_ns() < now && receive(c);
		     i++)
			;
		if (c->sock && items[1].revents)
			monitor_event(c);
	}
	return NULL;
}

int locust_conn_new(const struct locust_conn_opts *opts, struct locust_conn **ret_conn)
{
	struct locust_conn *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	c->opts = *opts;
	if (!c->opts.reply_ms)
		c->opts.reply_ms = LOCUST_REPLY_MS;
	if (!c->opts.retry_ms)
		c->opts.retry_ms = LOCUST_RETRY_MS;
	snprintf(c->host, sizeof(c->host), "%s", opts->host);
	snprintf(c->state, sizeof(c->state), "ready");
	c->index = c->old_index = -1;
	c->backoff = BACKOFF_MIN_NS;
	c->alone_since = locust_now_ns();
	r = locust_queue_init(&c->events);
	if (r) {
		free(c);
		return r;
	}
	pthread_mutex_init(&c->lock, NULL);
	c->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	c->ctx = zmq_ctx_new();
	if (c->wake_fd < 0 || !c->ctx) {
		r = -errno;
		goto err;
	}
	locust_usage_init(&c->usage);
	r = -pthread_create(&c->thread, NULL, conn_main, c);
	if (r)
		goto err;
	*ret_conn = c;
	return 0;
err:
	if (c->ctx)
		zmq_ctx_term(c->ctx);
	if (c->wake_fd >= 0)
		close(c->wake_fd);
	pthread_mutex_destroy(&c->lock);
	locust_queue_destroy(&c->events);
	free(c);
	return r;
}

void locust_conn_free(struct locust_conn *c, unsigned int wait_ms)
{
	if (!c)
		return;
	pthread_mutex_lock(&c->lock);
	c->closing = true;
	c->close_by = locust_now_ns() + wait_ms * MS_NS;
	pthread_mutex_unlock(&c->lock);
	locust_ring(c->wake_fd);
	pthread_join(c->thread, NULL);
	sock_close(c, (int)wait_ms);
	zmq_ctx_term(c->ctx);
	locust_conn_drop(c);
	locust_queue_destroy(&c->events);
	close(c->wake_fd);
	pthread_mutex_destroy(&c->lock);
	free(c);
}
