// SPDX-License-Identifier: GPL-2.0-only
/* Bytes, over TCP or TLS: moved, none for now, or the connection is marked as lost. */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <openssl/err.h>
#include "sim/device/lean.h"

static long lost(struct device *d, enum sim_fail kind, uint32_t detail)
{
	dev_fail(d, kind, detail);
	return -1;
}

enum sim_fail io_errno(int e, uint32_t *ret_detail)
{
	*ret_detail = 0;
	switch (e) {
	case ETIMEDOUT:
		return F_SILENT;
	case EHOSTUNREACH:
	case ENETUNREACH:
		/* TCP gave up as well, and this is what a router said meanwhile. */
		*ret_detail = (uint32_t)e;
		return F_UNREACHABLE;
	default:
		return F_RESET;
	}
}

static long broken(struct device *d, int e)
{
	uint32_t detail;
	enum sim_fail kind = io_errno(e, &detail);

	return lost(d, kind, detail);
}

/* What SSL_read() and SSL_write() that moved nothing mean. */
static long tls_none(struct device *d, int rc)
{
	int e = SSL_get_error(d->ssl, rc), en = errno;
	unsigned long why;

	switch (e) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		return 0;
	case SSL_ERROR_ZERO_RETURN:
		return lost(d, F_CLOSED, 0);
	case SSL_ERROR_SSL:
		why = ERR_peek_error();
		/* A broker that was killed sends FIN without close_notify. */
		if (ERR_GET_REASON(why) == SSL_R_UNEXPECTED_EOF_WHILE_READING)
			return lost(d, F_CLOSED, 0);
		return lost(d, F_TLS, (uint32_t)why);
	default:
		return en ? broken(d, en) : lost(d, F_CLOSED, 0);
	}
}

long io_write(struct lean *ln, struct device *d, const uint8_t *p, size_t len)
{
	long n;

	if (d->ssl) {
		ERR_clear_error();
		errno = 0;
		n = SSL_write(d->ssl, p, (int)len);
		if (n <= 0) {
			n = tls_none(d, (int)n);
			d->mute = n < 0;
			return n;
		}
	} else {
		do
			n = send(d->fd, p, len, MSG_NOSIGNAL | MSG_DONTWAIT);
		while (n < 0 && errno == EINTR);
		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n < 0) {
			d->mute = true;
			return broken(d, errno);
		}
	}
	SIM_ADD(&ln->led.pub->tot.bytes_out, (uint64_t)n);
	SIM_ADD(&ln->led.pub->tot.writes, 1);
	return n;
}

long io_read(struct lean *ln, struct device *d, uint8_t *p, size_t room)
{
	long n;

	if (d->ssl) {
		ERR_clear_error();
		errno = 0;
		n = SSL_read(d->ssl, p, (int)room);
		if (n <= 0) {
			n = tls_none(d, (int)n);
			/* Reading a ticket allocates a write buffer of 16 KiB, which only the
			 * next write would give back. */
			if (!n && d->ticket)
				SSL_free_buffers(d->ssl);
			d->ticket = false;
			return n;
		}
	} else {
		do
			n = recv(d->fd, p, room, MSG_DONTWAIT);
		while (n < 0 && errno == EINTR);
		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n < 0)
			return broken(d, errno);
		if (!n)
			return lost(d, F_CLOSED, 0);
	}
	SIM_ADD(&ln->led.pub->tot.bytes_in, (uint64_t)n);
	d->last_in_ms = ms_of(ln->led.now);
	return n;
}

int io_session(SSL *ssl, SSL_SESSION *s)
{
	struct device *d = SSL_get_app_data(ssl);

	/* TLS 1.3 tickets come after the handshake: the last one is the one to keep. */
	SSL_SESSION_free(d->session);
	d->session = s;
	d->ticket = true;
	return 1;
}

void io_again(struct lean *ln, struct device *d)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
				 .data.ptr = d};

	/* Changing what is asked for, to the same, tells anew what is there. */
	if (epoll_ctl(ln->epfd, EPOLL_CTL_MOD, d->fd, &ev))
		lost(d, F_SOCKET, (uint32_t)errno);
}

void io_close(struct lean *ln, struct device *d, bool reset)
{
	if (d->fd < 0)
		return;
	if (d->ssl) {
		if (SSL_is_init_finished(d->ssl)) {
			if (!reset) {
				ERR_clear_error();
				SSL_shutdown(d->ssl);
			}
			/* Else OpenSSL marks the session as not resumable. */
			SSL_set_shutdown(d->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
		}
		SSL_free(d->ssl);
		d->ssl = NULL;
		if (d->session)
			d->session = sim_tls_pack(d->session);
		ln->trim_ns = ln->led.now + SIM_TRIM_NS;
	}
	if (reset) {
		/* No TIME_WAIT: a storm would run out of ports otherwise. */
		struct linger l = {1, 0};

		setsockopt(d->fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
	}
	ws_free(d);
	close(d->fd);
	d->fd = -1;
	free(d->in);
	d->in = NULL;
	d->in_len = 0;
	if (d->x) {
		free(d->x->big);
		d->x->big = NULL;
	}
	d->pinging = d->ended = d->unread = d->passing = d->mute = false;
}
