// SPDX-License-Identifier: GPL-2.0-only
/* One process with one epoll: accepts and reads. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include "conn.h"
#include "misbehave.h"

int ep;
static int listener;
static bool accepting = true;
static SSL_CTX *ctx;
static uint8_t rbuf[RBUF];

void accept_again(void)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.fd = listener};

	if (!accepting)
		accepting = !epoll_ctl(ep, EPOLL_CTL_ADD, listener, &ev);
}

/* Handshake; true once there is something to read. */
static bool tls_ready(struct conn *c)
{
	int r;

	if (!c->ssl || c->tls_done)
		return true;
	ERR_clear_error();
	r = SSL_accept(c->ssl);
	if (r == 1) {
		c->tls_done = true;
		if (SSL_session_reused(c->ssl))
			st->tls_resumed++;
		else
			st->tls_full++;
		watch(c, false);
		return true;
	}
	r = SSL_get_error(c->ssl, r);
	if (r == SSL_ERROR_WANT_READ || r == SSL_ERROR_WANT_WRITE) {
		watch(c, r == SSL_ERROR_WANT_WRITE);
		return false;
	}
	st->tls_failed++;
	conn_close(c, false);
	return false;
}

static void on_readable(struct conn *c)
{
	uint32_t have = c->part_len;
	int64_t used;
	int r;

	if (!tls_ready(c))
		return;
	if (have)
		memcpy(rbuf, c->part, have);
	for (;;) {
		if (c->ssl) {
			ERR_clear_error();
			r = SSL_read(c->ssl, rbuf + have, RBUF - have);
			if (r <= 0)
				r = SSL_get_error(c->ssl, r) == SSL_ERROR_WANT_READ ? -EAGAIN : 0;
		} else {
			r = recv(fd_of(c), rbuf + have, RBUF - have, 0);
			if (r < 0)
				r = errno == EAGAIN ? -EAGAIN : 0;
		}
		if (r == -EAGAIN)
			break;
		if (!r) {
			st->closed_by_peer++;
			conn_close(c, false);
			return;
		}
		st->reads++;
		st->bytes_in += r;
		have += r;
		used = parse(c, rbuf, have);
		if (used < 0)
			return;
		have -= used;
		memmove(rbuf, rbuf + used, have);
		if (!c->ssl)
			break; /* epoll is level-triggered: whatever is left comes back */
	}
	if (have > c->part_len)
		c->part = must(realloc(c->part, have));
	memcpy(c->part, rbuf, have);
	c->part_len = have;
	if (!have) {
		free(c->part);
		c->part = NULL;
	}
}

static void on_accept(void)
{
	for (int i = 0; i < 64; i++) {
		int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), one = 1;
		struct epoll_event ev = {.events = EPOLLIN, .data.fd = fd};
		struct conn *c;

		if (fd < 0) {
			if (errno == EMFILE || errno == ENFILE) {
				st->fd_full++;
				accepting = epoll_ctl(ep, EPOLL_CTL_DEL, listener, NULL);
			}
			return;
		}
		st->accepted++;
		st->open++;
		c = &conns[fd];
		*c = (struct conn){.gen = c->gen + 1, .live = true};
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
		if (ctx) {
			c->ssl = must(SSL_new(ctx));
			SSL_set_fd(c->ssl, fd);
			SSL_set_accept_state(c->ssl);
		}
	}
}

void worker(int listener_fd, SSL_CTX *tls, int max_fd)
{
	struct epoll_event evs[256], ev = {.events = EPOLLIN, .data.fd = listener_fd};
	sigset_t none;

	listener = listener_fd;
	ctx = tls;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGUSR1, SIG_IGN);
	signal(SIGINT, SIG_IGN); /* the terminal sends it to all; the parent decides */
	conns_init(max_fd);
	ep = epoll_create1(EPOLL_CLOEXEC);
	if (ep < 0 || epoll_ctl(ep, EPOLL_CTL_ADD, listener, &ev))
		die("epoll: %m");
	for (;;) {
		int a = run_queue(&q_connack), b = run_queue(&q_puback), n;

		flush_all();
		n = epoll_wait(ep, evs, 256, opt.spin ? 0 : a < 0 ? b : b < 0 || a < b ? a : b);
		for (int i = 0; i < n; i++) {
			struct conn *c = &conns[evs[i].data.fd];

			if (evs[i].data.fd == listener) {
				on_accept();
				continue;
			}
			if (!c->live)
				continue;
			if (evs[i].events & EPOLLOUT && tls_ready(c) && c->live)
				flush(c);
			if (c->live && evs[i].events & ~EPOLLOUT) {
				cur = c;
				on_readable(c);
				flush_all();
				cur = NULL;
			}
		}
	}
}
