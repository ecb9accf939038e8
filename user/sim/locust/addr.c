// SPDX-License-Identifier: GPL-2.0-only
/*
 * Names: of this worker to a master, and of a master to TCP; and the socket
 * between the two, with libzmq's own patience set aside.
 */
#include "sim/locust/addr.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>
#include <zmq.h>

#define WIRE_MAX (16 << 20)
#define WIRE_IN	 64 /* messages that wait in libzmq; its own bound is 1,000 */
/*
 * Unacknowledged TCP data closes the connection after this. Masters before 2.19
 * do not answer heartbeats, and one that has forgotten us (60 s) must never get
 * a message under the old identity: far below that, above a bad minute of Wi-Fi.
 */
#define TCP_MAXRT_MS 15000

int locust_fresh_node(char *buf, size_t len)
{
	static const char hex[] = "0123456789abcdef";
	unsigned char id[16];
	char host[65], text[33];
	unsigned int i;

	if (getrandom(id, sizeof(id), 0) != sizeof(id))
		return -EIO;
	id[6] = (id[6] & 0x0f) | 0x40; /* a UUID of version 4, as Locust's */
	id[8] = (id[8] & 0x3f) | 0x80;
	for (i = 0; i < 16; i++) {
		text[2 * i] = hex[id[i] >> 4];
		text[2 * i + 1] = hex[id[i] & 15];
	}
	text[32] = 0;
	if (gethostname(host, sizeof(host)))
		snprintf(host, sizeof(host), "squall");
	host[sizeof(host) - 1] = 0;
	snprintf(buf, len, "%s_%s", host, text);
	return 0;
}

int locust_endpoint(const char *host, uint16_t port_no, char *buf, size_t len, const char **ret_why)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *ai;
	char addr[NI_MAXHOST], port[8];
	int r;

	snprintf(port, sizeof(port), "%u", port_no);
	r = getaddrinfo(host, port, &hints, &ai);
	if (r) {
		*ret_why = gai_strerror(r);
		return -EHOSTUNREACH;
	}
	r = getnameinfo(ai->ai_addr, ai->ai_addrlen, addr, sizeof(addr), NULL, 0, NI_NUMERICHOST);
	snprintf(buf, len, ai->ai_family == AF_INET6 ? "tcp://[%s]:%u" : "tcp://%s:%u", addr,
		 port_no);
	freeaddrinfo(ai);
	if (r) {
		*ret_why = gai_strerror(r);
		return -EHOSTUNREACH;
	}
	return 0;
}

static int set_int(void *sock, int opt, int v)
{
	return zmq_setsockopt(sock, opt, &v, sizeof(v)) ? -errno : 0;
}

int locust_dealer(void *ctx, const char *url, const char *node, const char *mon_name, int out_max,
		  void **ret_sock, void **ret_mon)
{
	void *sock = zmq_socket(ctx, ZMQ_DEALER), *mon = NULL;
	int64_t max = WIRE_MAX;
	int r, none = 0;

	if (!sock)
		return -errno;
	if (zmq_setsockopt(sock, ZMQ_ROUTING_ID, node, strlen(node)) ||
	    zmq_setsockopt(sock, ZMQ_MAXMSGSIZE, &max, sizeof(max)) ||
	    set_int(sock, ZMQ_RECONNECT_IVL, -1) || set_int(sock, ZMQ_IPV6, 1) ||
	    set_int(sock, ZMQ_TCP_KEEPALIVE, 1) || set_int(sock, ZMQ_TCP_KEEPALIVE_IDLE, 30) ||
	    set_int(sock, ZMQ_TCP_MAXRT, TCP_MAXRT_MS) ||
	    set_int(sock, ZMQ_CONNECT_TIMEOUT, LOCUST_HANDSHAKE_MS) ||
	    set_int(sock, ZMQ_HANDSHAKE_IVL, LOCUST_HANDSHAKE_MS) ||
	    set_int(sock, ZMQ_SNDHWM, out_max) || set_int(sock, ZMQ_RCVHWM, WIRE_IN) ||
	    zmq_socket_monitor(sock, mon_name, ZMQ_EVENT_ALL))
		goto err;
	mon = zmq_socket(ctx, ZMQ_PAIR);
	if (!mon || zmq_connect(mon, mon_name) || zmq_connect(sock, url))
		goto err;
	*ret_sock = sock;
	*ret_mon = mon;
	return 0;
err:
	r = -errno;
	if (mon)
		zmq_close(mon);
	zmq_setsockopt(sock, ZMQ_LINGER, &none, sizeof(none));
	zmq_close(sock);
	return r;
}

const char *locust_connect_error(const char *host, uint16_t port_no)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *ai;
	const char *why = "the connection was closed";
	struct pollfd p = {.events = POLLOUT};
	socklen_t len = sizeof(int);
	char port[8];
	int err = 0;

	snprintf(port, sizeof(port), "%u", port_no);
	if (getaddrinfo(host, port, &hints, &ai))
		return "its name does not resolve";
	p.fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (p.fd >= 0) {
		if (connect(p.fd, ai->ai_addr, ai->ai_addrlen) && errno != EINPROGRESS)
			err = errno;
		else if (poll(&p, 1, 1000) != 1)
			err = ETIMEDOUT;
		else if (getsockopt(p.fd, SOL_SOCKET, SO_ERROR, &err, &len))
			err = 0;
		if (err)
			why = strerror(err);
		close(p.fd);
	}
	freeaddrinfo(ai);
	return why;
}
