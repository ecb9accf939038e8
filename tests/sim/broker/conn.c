// SPDX-License-Identifier: GPL-2.0-only
/* Connections, and what goes out on them. */
#include <errno.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include "conn.h"

#define OUT_MAX (8u << 20) /* a subscriber this far behind is dropped, and counted */

struct conn *conns, *cur;
uint8_t scratch[SCRATCH];
uint32_t scratch_len;
static int *dirty;
static uint32_t ndirty;

void conns_init(int max_fd)
{
	conns = must(calloc(max_fd, sizeof(*conns)));
	dirty = must(calloc(max_fd, sizeof(*dirty)));
}

void watch(struct conn *c, bool out)
{
	struct epoll_event ev = {.events = EPOLLIN | (out ? EPOLLOUT : 0), .data.fd = fd_of(c)};

	if (c->want_out == out)
		return;
	c->want_out = out;
	epoll_ctl(ep, EPOLL_CTL_MOD, fd_of(c), &ev);
}

void conn_close(struct conn *c, bool reset)
{
	struct linger lg = {.l_onoff = 1};

	if (!c->live)
		return;
	unsubscribe_all(c);
	if (reset) {
		setsockopt(fd_of(c), SOL_SOCKET, SO_LINGER, &lg, sizeof(lg));
		st->resets_sent++;
	}
	if (c->ssl) {
		/* Without this OpenSSL takes the session for broken and will not resume it. */
		SSL_set_shutdown(c->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
		SSL_free(c->ssl);
	}
	close(fd_of(c));
	free(c->part);
	free(c->out);
	free(c->q2);
	st->open--;
	st->connected -= c->ver != 0;
	if (cur == c)
		scratch_len = 0;
	*c = (struct conn){.gen = c->gen + 1};
	accept_again();
}

/* Writes what it can; 0 is "later", < 0 is a dead connection. */
static int conn_send(struct conn *c, const uint8_t *p, uint32_t n)
{
	int r;

	if (c->ssl) {
		ERR_clear_error();
		r = SSL_write(c->ssl, p, n);
		if (r <= 0)
			r = SSL_get_error(c->ssl, r) == SSL_ERROR_WANT_WRITE ? 0 : -1;
	} else {
		r = send(fd_of(c), p, n, MSG_NOSIGNAL);
		if (r < 0 && errno == EAGAIN)
			r = 0;
	}
	if (r > 0)
		st->bytes_out += r;
	return r;
}

void append(struct conn *c, const void *p, uint32_t n)
{
	if (!c->dirty) {
		c->dirty = true;
		dirty[ndirty++] = fd_of(c);
	}
	if (c->closing || c->out_len + n > OUT_MAX) {
		st->slow_consumers += !c->closing;
		c->closing = true;
		return;
	}
	if (c->out_len + n > c->out_cap) {
		c->out_cap = (c->out_len + n) * 2;
		c->out = must(realloc(c->out, c->out_cap));
	}
	memcpy(c->out + c->out_len, p, n);
	c->out_len += n;
}

void flush(struct conn *c)
{
	while (c->out_off < c->out_len) {
		int r = conn_send(c, c->out + c->out_off, c->out_len - c->out_off);

		if (r < 0) {
			conn_close(c, false);
			return;
		}
		if (!r)
			break;
		c->out_off += r;
	}
	if (c->out_off == c->out_len) {
		free(c->out);
		c->out = NULL;
		c->out_len = c->out_off = c->out_cap = 0;
	}
	watch(c, c->out_len != 0);
}

void flush_all(void)
{
	if (cur && scratch_len) {
		uint32_t n = scratch_len;
		int r;

		scratch_len = 0;
		r = conn_send(cur, scratch, n);
		if (r < 0)
			conn_close(cur, false);
		else if ((uint32_t)r < n)
			append(cur, scratch + r, n - r);
	}
	for (uint32_t i = 0; i < ndirty; i++) {
		struct conn *c = &conns[dirty[i]];

		if (!c->live || !c->dirty)
			continue;
		c->dirty = false;
		if (c->closing)
			conn_close(c, false);
		else
			flush(c);
	}
	ndirty = 0;
}
