// SPDX-License-Identifier: GPL-2.0-only
/*
 * A list of connections under one lock, and a thread that looks at it four
 * times a second. A connection is ended by shutdown(2): libmicrohttpd sees the
 * end and closes it, and tells us before it does, so that no descriptor is
 * touched after its number was given to somebody else.
 *
 * libmicrohttpd's own limits do not do: its time-out counts from the last
 * byte, so a byte a second holds a connection for ever, and when its count is
 * full it accepts nobody, whoever they are.
 */
#include "lib/httpd/gate.h"

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "lib/clock.h"

#define LOOK_US 250000

static const uint64_t limit_ms[] = {
	[HTTPD_IDLE] = 15000,	[HTTPD_HEADER] = 5000,	     [HTTPD_BODY] = 20000,
	[HTTPD_ANSWER] = 60000, [HTTPD_STREAM] = UINT64_MAX,
};

struct guest {
	struct guest *prev, *next;
	struct httpd_door *door;
	uint64_t since_ms; /* began this phase; a body's, with its header */
	enum httpd_phase phase;
	int fd;
	bool told; /* to go */
	unsigned char address[16];
};

struct httpd_gate {
	pthread_mutex_t lock;
	struct guest head;
	pthread_t thread;
	atomic_bool stopping;
};

/* IPv6 by its /64, which is the least that one customer is given. */
static void address_of(const struct sockaddr *sa, unsigned char *ret)
{
	memset(ret, 0, 16);
	if (sa && sa->sa_family == AF_INET)
		memcpy(ret + 12, &((const struct sockaddr_in *)sa)->sin_addr, 4);
	else if (sa && sa->sa_family == AF_INET6)
		memcpy(ret, &((const struct sockaddr_in6 *)sa)->sin6_addr, 8);
}

static void send_away(struct guest *g)
{
	shutdown(g->fd, SHUT_RDWR);
	g->told = true;
	g->door->n--;
}

/* Who is missed least: waiting before receiving before being answered, then the longest. */
static bool before(const struct guest *a, const struct guest *b)
{
	int ra = a->phase < HTTPD_HEADER ? HTTPD_HEADER : a->phase;
	int rb = b->phase < HTTPD_HEADER ? HTTPD_HEADER : b->phase;

	return ra != rb ? ra < rb : a->since_ms < b->since_ms;
}

/* Locked. address NULL: anybody's. False: all of them are streams. */
static bool make_room(struct httpd_gate *gate, const struct httpd_door *door,
		      const unsigned char *address)
{
	struct guest *least = NULL;

	/* Newest first, so that of two from the same millisecond the older one goes. */
	for (struct guest *g = gate->head.next; g != &gate->head; g = g->next)
		if (g->door == door && !g->told && g->phase != HTTPD_STREAM &&
		    (!address || !memcmp(g->address, address, 16)) && (!least || !before(least, g)))
			least = g;
	if (least)
		send_away(least);
	return least;
}

static unsigned int count(struct httpd_gate *gate, const struct guest *like, bool streams)
{
	unsigned int n = 0;

	for (struct guest *g = gate->head.next; g != &gate->head; g = g->next)
		n += g->door == like->door && !g->told && (!streams || g->phase == HTTPD_STREAM) &&
		     !memcmp(g->address, like->address, 16);
	return n;
}

static void enter(struct httpd_door *door, struct MHD_Connection *conn, void **ctx)
{
	struct httpd_gate *gate = door->gate;
	const union MHD_ConnectionInfo *fd, *addr;
	struct guest *g = calloc(1, sizeof(*g));
	bool room = true;

	fd = MHD_get_connection_info(conn, MHD_CONNECTION_INFO_CONNECTION_FD);
	addr = MHD_get_connection_info(conn, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	if (!g || !fd) {
		/* Nobody could end it later. */
		if (fd)
			shutdown(fd->connect_fd, SHUT_RDWR);
		free(g);
		return;
	}
	g->door = door;
	g->fd = fd->connect_fd;
	g->phase = HTTPD_HEADER;
	g->since_ms = sq_mono_ms();
	address_of(addr ? addr->client_addr : NULL, g->address);
	pthread_mutex_lock(&gate->lock);
	if (count(gate, g, false) >= door->per_address)
		room = make_room(gate, door, g->address);
	else if (door->n >= door->total)
		room = make_room(gate, door, NULL);
	g->next = gate->head.next;
	g->prev = &gate->head;
	g->next->prev = g->prev->next = g;
	door->n++;
	if (!room)
		send_away(g);
	pthread_mutex_unlock(&gate->lock);
	*ctx = g;
}

void httpd_door_event(void *arg, struct MHD_Connection *conn, void **ctx,
		      enum MHD_ConnectionNotificationCode code)
{
	struct httpd_door *door = arg;
	struct guest *g = *ctx;

	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		enter(door, conn, ctx);
	} else if (g) {
		pthread_mutex_lock(&door->gate->lock);
		g->prev->next = g->next;
		g->next->prev = g->prev;
		if (!g->told)
			door->n--;
		pthread_mutex_unlock(&door->gate->lock);
		free(g);
		*ctx = NULL;
	}
}

bool httpd_phase(struct MHD_Connection *conn, enum httpd_phase phase)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(conn, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	struct guest *g = info ? info->socket_context : NULL;
	struct httpd_gate *gate;
	bool room;

	if (!g)
		return true;
	gate = g->door->gate;
	pthread_mutex_lock(&gate->lock);
	room = phase != HTTPD_STREAM || count(gate, g, true) < g->door->per_address / 2;
	/* The first header counts from the connect: a client that sends nothing waits as well. */
	if (room && phase != HTTPD_BODY && !(phase == HTTPD_HEADER && g->phase == HTTPD_HEADER))
		g->since_ms = sq_mono_ms();
	if (room)
		g->phase = phase;
	pthread_mutex_unlock(&gate->lock);
	return room;
}

static void *watch(void *arg)
{
	struct httpd_gate *gate = arg;

	pthread_setname_np(pthread_self(), "gate");
	while (!gate->stopping) {
		uint64_t now;

		usleep(LOOK_US);
		pthread_mutex_lock(&gate->lock);
		now = sq_mono_ms();
		for (struct guest *g = gate->head.next; g != &gate->head; g = g->next)
			if (!g->told && now - g->since_ms > limit_ms[g->phase])
				send_away(g);
		pthread_mutex_unlock(&gate->lock);
	}
	return NULL;
}

int httpd_gate_open(struct httpd_gate **ret)
{
	struct httpd_gate *gate = calloc(1, sizeof(*gate));

	if (!gate)
		return -ENOMEM;
	pthread_mutex_init(&gate->lock, NULL);
	gate->head.next = gate->head.prev = &gate->head;
	if (pthread_create(&gate->thread, NULL, watch, gate) != 0) {
		pthread_mutex_destroy(&gate->lock);
		free(gate);
		return -EAGAIN;
	}
	*ret = gate;
	return 0;
}

void httpd_gate_close(struct httpd_gate *gate)
{
	if (!gate)
		return;
	gate->stopping = true;
	pthread_join(gate->thread, NULL);
	pthread_mutex_destroy(&gate->lock);
	free(gate);
}

/* Where no descriptor is left and there is no connection whose end it could wait for, it accepts
 * again at once, says so each time, and takes a whole core. */
void httpd_heard(const char *said)
{
	if (strstr(said, "at FIRST connection"))
		usleep(50000);
}
