// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where a connection comes from. The kernel looks for a free port from one end of an
 * address's range; past half of it each connect() walks over all that are taken, which
 * is twenty times slower. So a fleet that needs much of the range is given ports in
 * turn, and one with --ports has the same address and port for a device each time.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include "sim/device/lean.h"
#include "sim/fleet/bind.h"

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif
#ifndef IP_LOCAL_PORT_RANGE
#define IP_LOCAL_PORT_RANGE 51
#endif
/* Ports in a row that may be others', or of our own connections that live long. */
#define TRIES 64

static void set(int fd, int level, int name, uint32_t value)
{
	int v = (int)value;

	/* Checked against the kernel's bounds when the option was read. */
	setsockopt(fd, level, name, &v, sizeof(v));
}

static void tune(int fd, const struct sim_profile *p)
{
	/* A device's small messages must not wait for each other's ACKs. */
	if (p->nodelay)
		set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	if (p->sndbuf)
		set(fd, SOL_SOCKET, SO_SNDBUF, p->sndbuf);
	if (p->user_timeout_ns)
		set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, (uint32_t)(p->user_timeout_ns / 1000000));
	if (!p->tcp_idle_s)
		return;
	set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	set(fd, IPPROTO_TCP, TCP_KEEPIDLE, p->tcp_idle_s);
	if (p->tcp_interval_s)
		set(fd, IPPROTO_TCP, TCP_KEEPINTVL, p->tcp_interval_s);
	if (p->tcp_probes)
		set(fd, IPPROTO_TCP, TCP_KEEPCNT, p->tcp_probes);
}

static socklen_t len_of(const union sim_addr *a)
{
	return a->sa.sa_family == AF_INET ? sizeof(a->in) : sizeof(a->in6);
}

static void set_port(union sim_addr *a, uint16_t port)
{
	if (a->sa.sa_family == AF_INET)
		a->in.sin_port = htons(port);
	else
		a->in6.sin6_port = htons(port);
}

static int connected(int fd, const union sim_addr *to)
{
	return connect(fd, &to->sa, len_of(to)) && errno != EINPROGRESS ? errno : 0;
}

/* 0 or an errno. The port is chosen at connect(), for the destination: bind() alone would halve
 * them. */
static int from_address(int fd, const union sim_addr *from)
{
	int one = 1;

	setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
	return bind(fd, &from->sa, len_of(from)) ? errno : 0;
}

/*
 * With a range of one port connect() takes that one, and no other program's search for a
 * port passes it over, as it does one that was bound. Outside the system's range, and
 * before Linux 6.3, it is bound all the same.
 */
static int from_port(struct stype *ty, int fd, union sim_addr *from, bool own_address,
		     uint16_t port, const union sim_addr *to)
{
	uint32_t range = (uint32_t)port << 16 | port;
	int one = 1, e = 0;

	if (port >= ty->local_low && port <= ty->local_high &&
	    !setsockopt(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE, &range, sizeof(range))) {
		if (own_address)
			e = from_address(fd, from);
	} else {
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
		set_port(from, port);
		e = bind(fd, &from->sa, len_of(from)) ? errno : 0;
	}
	return e ? e : connected(fd, to);
}

/* The n-th place: each address's first port, then each one's second. */
static void place(const struct stype *ty, uint64_t n, uint64_t addrs, int family,
		  union sim_addr *ret_from, uint16_t *ret_port)
{
	uint32_t low = ty->p.port_low ? ty->p.port_low : ty->local_low,
		 high = ty->p.port_low ? ty->p.port_high : ty->local_high;

	*ret_from = (union sim_addr){.sa.sa_family = (sa_family_t)family};
	if (addrs)
		sim_bind_at(&ty->p, family, n % addrs, ret_from);
	*ret_port = (uint16_t)(low + n / (addrs ? addrs : 1) % (high - low + 1));
}

/* A new socket; 0 or an errno. */
static int try_once(struct lean *ln, struct device *d, const union sim_addr *to, uint64_t addrs)
{
	struct stype *ty = type_of(ln, d);
	int family = to->sa.sa_family, e = 0;
	uint64_t n = (uint64_t)d->index * ln->led.a->ntypes + d->type;
	union sim_addr from;
	uint16_t port;

	d->fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (d->fd < 0)
		return errno;
	tune(d->fd, &ty->p);
	if (!ty->own_ports && !ty->p.port_low) {
		if (addrs) {
			sim_bind_at(&ty->p, family, ty->next_bind++ % addrs, &from);
			e = from_address(d->fd, &from);
		}
		return e ? e : connected(d->fd, to);
	}
	if (!ty->p.port_low)
		n = (uint64_t)ln->next_place++ * ln->led.a->nlean + ln->shard;
	place(ty, n, addrs, family, &from, &port);
	e = from_port(ty, d->fd, &from, addrs != 0, port, to);
	if (e && ty->p.port_low)
		snprintf(ln->note, sizeof(ln->note), "from port %u", port);
	return e;
}

int src_open(struct lean *ln, struct device *d, const union sim_addr *to)
{
	struct stype *ty = type_of(ln, d);
	uint64_t addrs = ty->p.nbinds ? sim_bind_count(&ty->p, to->sa.sa_family) : 0;
	unsigned tries = ty->own_ports && !ty->p.port_low ? TRIES : 1;
	int e;

	for (;;) {
		e = try_once(ln, d, to, addrs);
		if ((e != EADDRNOTAVAIL && e != EADDRINUSE) || !--tries)
			return e;
		close(d->fd);
		d->fd = -1;
	}
}
