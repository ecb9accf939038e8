// SPDX-License-Identifier: GPL-2.0-only
/*
 * A shard of two devices with a fake io, for tests/unit/sim_*.c: sockets are arrays of
 * bytes, and the clock is what the test sets. FDS: sockets that a test makes at most, FAKE_OUT:
 * what each takes.
 */
#ifndef SQUALL_TESTS_FAKE_SHARD_H
#define SQUALL_TESTS_FAKE_SHARD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include "sim/device/lean.h"
#include "sim/fleet/options.h"

/* --- the fake io ----------------------------------------------------------------- */

#ifndef FAKE_OUT
#define FAKE_OUT (1 << 21) /* bytes that a socket takes at most */
#endif
#ifndef FDS
#define FDS 64
#endif
#define FD0 1000 /* above what the test itself has open */

static struct fake {
	uint8_t in[1 << 17], out[FAKE_OUT];
	size_t nin, at, nout, room; /* room: bytes that send() still takes */
	bool open, fin, reset;
	size_t again; /* bytes that come behind `in`: it over and over, as fast as they are read */
	int gone;     /* errno of a connection that TCP gave up; 0: it has not */
} * fake;
static int last_fd, connect_errno;
static bool no_v6;
static struct opt_set {
	int level, name, value;
} opts_set[16];
static unsigned nopts;
static union sim_addr last_to;

static struct fake *of(int fd)
{
	return fd >= FD0 && fd < FD0 + FDS ? &fake[fd - FD0] : NULL;
}

int socket(int domain, int type, int protocol)
{
	(void)domain, (void)type, (void)protocol;
	last_fd = last_fd < FD0 ? FD0 : last_fd + 1;
	assert_true(last_fd < FD0 + FDS);
	*of(last_fd) = (struct fake){.open = true, .room = sizeof(fake->out)};
	return last_fd;
}

int connect(int fd, const struct sockaddr *a, socklen_t n)
{
	(void)fd;
	memcpy(&last_to, a, n);
	errno = connect_errno ? connect_errno : EINPROGRESS;
	if (no_v6 && a->sa_family == AF_INET6)
		errno = ENETUNREACH;
	return -1;
}

int setsockopt(int fd, int level, int name, const void *v, socklen_t n)
{
	(void)fd, (void)n;
	if (nopts < 16)
		opts_set[nopts++] = (struct opt_set){level, name, *(const int *)v};
	return 0;
}

int epoll_ctl(int epfd, int op, int fd, struct epoll_event *ev)
{
	(void)epfd, (void)op, (void)fd;
	assert_true(ev->events & EPOLLRDHUP);
	return 0;
}

ssize_t send(int fd, const void *p, size_t n, int flags)
{
	struct fake *f = of(fd);

	(void)flags;
	assert_true(f && f->open);
	if (f->reset || f->gone) {
		errno = f->gone ? f->gone : ECONNRESET;
		/* The kernel tells it once. */
		f->fin |= f->reset;
		return -1;
	}
	if (!f->room) {
		errno = EAGAIN;
		return -1;
	}
	n = n < f->room ? n : f->room;
	memcpy(f->out + f->nout, p, n);
	f->nout += n;
	f->room -= n;
	return (ssize_t)n;
}

ssize_t recv(int fd, void *p, size_t n, int flags)
{
	struct fake *f = of(fd);

	(void)flags;
	assert_true(f && f->open);
	if (f->again) {
		n = n < f->again ? n : f->again;
		for (size_t i = 0; i < n; i++)
			((uint8_t *)p)[i] = f->in[f->at++ % f->nin];
		f->again -= n;
		if (!f->again)
			f->at = f->nin;
		return (ssize_t)n;
	}
	if (f->at == f->nin) {
		errno = f->gone ? f->gone : f->reset ? ECONNRESET : EAGAIN;
		return f->fin ? 0 : -1;
	}
	n = n < f->nin - f->at ? n : f->nin - f->at;
	memcpy(p, f->in + f->at, n);
	f->at += n;
	return (ssize_t)n;
}

static uint64_t now_ns = 1000000000000ull;

int clock_gettime(clockid_t id, struct timespec *ts)
{
	(void)id;
	*ts = (struct timespec){(time_t)(now_ns / 1000000000), (long)(now_ns % 1000000000)};
	return 0;
}

int close(int fd)
{
	struct fake *f = of(fd);

	if (!f)
		return (int)syscall(SYS_close, fd);
	assert_true(f->open);
	f->open = false;
	return 0;
}

/* --- a shard of two devices, without a loop ---------------------------------------- */

static struct lean *ln;
static struct sim_arena *arena;

static void set(const char *key, const char *value)
{
	struct sq_error err;

	if (sim_profile_set(&ln->type->p, key, value, &err))
		fail_msg("%s", err.text);
}

static struct sim_totals *tot(void)
{
	return &ln->led.pub->tot;
}

static inline uint64_t failed(enum sim_fail kind)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < SIM_ERRORS; i++)
		if (ln->led.pub->error[i].key && (ln->led.pub->error[i].key >> 40 & 255) == kind)
			n += ln->led.pub->error[i].n;
	return n;
}

/* `options`: "key value key value ...". */
static void shard_new(const char *options)
{
	size_t pub = sizeof(struct sim_pub) + SIM_NAMES * sizeof(struct sim_stat);
	char text[512], *save = NULL, *key;
	struct sq_error err;
	struct stype *ty;

	fake = calloc(FDS, sizeof(*fake));
	last_fd = connect_errno = 0;
	arena = calloc(1, sizeof(*arena) + sizeof(struct sim_profile) + pub);
	ln = calloc(1, sizeof(*ln));
	arena->ntypes = arena->nlean = 1;
	arena->max_devices = 2;
	arena->seed = 7;
	arena->figures = 1;
	ln->led = (struct ledger){arena, calloc(1, pub), now_ns};
	ln->tx = malloc(SIM_TX_CAP);
	ln->rx = malloc(SIM_RX_CAP);
	ln->busy.busy_next = ln->busy.busy_prev = &ln->busy;
	ln->type = ty = calloc(1, sizeof(*ty));
	ty->dev = calloc(2, sizeof(*ty->dev));
	ty->cap = 2;
	ty->nshards = 1;
	wheel_init(&ln->wheel, ln->led.now);
	sim_profile_init(&ty->p);
	set("broker", "mqtt://127.0.0.1:1883");
	set("interval", "10s");
	snprintf(text, sizeof(text), "%s", options);
	for (key = strtok_r(text, " ", &save); key; key = strtok_r(NULL, " ", &save))
		set(key, strtok_r(NULL, " ", &save));
	if (sim_profile_check(&ty->p, &err) || stype_compile(ty, &err))
		fail_msg("%s", err.text);
	ty->grid = stype_grid(ty->p.interval_ns, 2);
}

/* The sum holds, whatever happened; then all is freed. */
static void shard_free(void)
{
	struct sim_totals *t = tot();

	for (unsigned i = 0; i < 2; i++)
		dev_free(ln, &ln->type->dev[i]);
	assert_int_equal(t->scheduled, t->acked + t->failed);
	assert_int_equal(t->in_flight, 0);
	assert_int_equal(ln->led.pub->type[0].running, 0);
	assert_null(ln->owner);
	for (unsigned i = 0; i < FDS; i++)
		assert_false(fake[i].open);
	stype_clear(ln->type);
	free(ln->type->dev);
	free(ln->type);
	free(ln->led.pub);
	free(ln->tx);
	free(ln->rx);
	free(ln->frame);
	free(ln);
	free(arena);
	free(fake);
}

static void fire(void *ctx, struct timer *t)
{
	(void)ctx;
	if (t->kind == T_PUB)
		dev_due(ln, (struct device *)((char *)t - offsetof(struct device, pub)));
	else
		dev_life(ln, (struct device *)((char *)t - offsetof(struct device, life)));
}

/* Time passes, in steps in which no timer is more than 10 ms late. */
static void pass_ms(unsigned ms)
{
	for (unsigned i = 0; i < ms; i += 10) {
		now_ns += 10000000;
		lean_clock(ln);
		wheel_run(&ln->wheel, ln->led.now, fire, NULL);
	}
}

static struct fake *sock(const struct device *d)
{
	assert_true(d->fd >= FD0);
	return of(d->fd);
}

static void gives(struct device *d, const void *p, size_t n, uint32_t events)
{
	struct fake *f = sock(d);

	memcpy(f->in + f->nin, p, n);
	f->nin += n;
	dev_event(ln, d, events | EPOLLIN);
}

static struct device *start(unsigned i)
{
	struct device *d = stype_device(ln, 0, i);

	dev_start(ln, d, ln->led.now);
	return d;
}

static inline void up(struct device *d, const char *connack, size_t n)
{
	dev_event(ln, d, EPOLLOUT);
	assert_int_equal(d->state, D_CONNACK);
	assert_int_equal(sock(d)->out[0], MQTT_CONNECT << 4);
	gives(d, connack, n, 0);
}
#define CONNACK	  "\x20\x02\0\0"
#define CONNACK_S "\x20\x02\1\0" /* session present */
#define UP(d)	  up(d, CONNACK, 4)

#endif
