// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bytes. Packets for a device collect in the shard's buffer while the device is
 * served and leave in one write(); what the socket does not take moves to the
 * device's own buffer, and nothing new is encoded until that is gone.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <openssl/err.h>
#include "sim/engine/shard.h"

/* Bytes taken, 0 when it would block, -1 when the connection is broken (dev_lost was called). */
static long put(struct shard *sh, struct device *d, const uint8_t *p, size_t len)
{
	long n;

	if (d->ssl) {
		ERR_clear_error();
		n = SSL_write(d->ssl, p, (int)len);
		if (n <= 0) {
			int e = SSL_get_error(d->ssl, (int)n), en = errno;

			if (e == SSL_ERROR_WANT_WRITE || e == SSL_ERROR_WANT_READ)
				return 0;
			dev_lost(sh, d, e == SSL_ERROR_SSL ? F_TLS : F_RESET,
				 e == SSL_ERROR_SSL ? (uint32_t)ERR_peek_error() : (uint32_t)en);
			return -1;
		}
	} else {
		do
			n = send(d->fd, p, len, MSG_NOSIGNAL | MSG_DONTWAIT);
		while (n < 0 && errno == EINTR);
		if (n < 0) {
			if (errno == EAGAIN)
				return 0;
			dev_lost(sh, d, errno == ETIMEDOUT ? F_TCP_TIMEOUT : F_RESET, 0);
			return -1;
		}
	}
	SIM_ADD(&sh->pub->tot.bytes_out, (uint64_t)n);
	SIM_ADD(&sh->pub->tot.writes, 1);
	return n;
}

static bool keep_rest(struct shard *sh, struct device *d, uint32_t done)
{
	uint32_t left = sh->tx_len - done, nmsg = 0;
	struct unsent *u = calloc(1, sizeof(*u));

	if (!u)
		return false;
	u->buf = malloc(left);
	for (uint32_t i = 0; i < sh->tx_n; i++)
		nmsg += sh->tx_msg[i].end > done && sh->tx_msg[i].count;
	u->msg = malloc((nmsg ? nmsg : 1) * sizeof(*u->msg));
	if (!u->buf || !u->msg) {
		free(u->buf);
		free(u->msg);
		free(u);
		return false;
	}
	memcpy(u->buf, sh->tx + done, left);
	u->len = left;
	for (uint32_t i = 0; i < sh->tx_n; i++) {
		if (sh->tx_msg[i].end <= done || !sh->tx_msg[i].count)
			continue;
		u->msg[u->nmsg].end = sh->tx_msg[i].end - done;
		u->msg[u->nmsg].seq = sh->tx_msg[i].seq | (uint32_t)sh->tx_msg[i].marked << 31;
		u->msg[u->nmsg++].sched_ns = sh->tx_msg[i].sched_ns;
	}
	d->out = u;
	return true;
}

void io_flush(struct shard *sh, struct device *d)
{
	uint32_t done = 0, start = 0;

	if (!sh->tx_len)
		return;
	if (d->out) {
		/* Only acknowledgements and pings get here; they go behind what waits. */
		uint8_t *grown = d->out->len + sh->tx_len > SIM_RX_MAX
					 ? NULL
					 : realloc(d->out->buf, d->out->len + sh->tx_len);

		if (!grown) {
			sh->tx_len = sh->tx_n = 0;
			dev_lost(sh, d, F_MEMORY, 0);
			return;
		}
		memcpy(grown + d->out->len, sh->tx, sh->tx_len);
		d->out->buf = grown;
		d->out->len += sh->tx_len;
		sh->tx_len = sh->tx_n = 0;
		return;
	}
	while (done < sh->tx_len) {
		long n = put(sh, d, sh->tx + done, sh->tx_len - done);

		if (n < 0)
			return; /* dev_lost has dealt with tx_msg */
		if (!n)
			break;
		done += (uint32_t)n;
		/* Plain TCP that takes less is full; TLS writes a record (16 KiB) at a time. */
		if (!d->ssl)
			break;
	}
	d->last_out_ms = ms_of(sh->now);
	if (sh->tx_n) {
		if (++sh->clock_age >= SIM_CLOCK_WRITES || d->ssl)
			shard_clock(sh);
		for (uint32_t i = 0; i < sh->tx_n; i++) {
			bool whole = sh->tx_msg[i].end <= done;

			/* QoS 1 and 2 count as published with the buffer, QoS 0 with the socket. */
			if (whole || !sh->tx_msg[i].count)
				pub_written(sh, d, sh->tx_msg[i].sched_ns,
					    sh->tx_msg[i].end - start, sh->tx_msg[i].marked,
					    sh->tx_msg[i].count);
			start = sh->tx_msg[i].end;
		}
	}
	if (done < sh->tx_len) {
		if (!keep_rest(sh, d, done)) {
			sh->tx_len = sh->tx_n = 0;
			dev_lost(sh, d, F_MEMORY, 0);
			return;
		}
		d->blocked = true;
	}
	sh->tx_len = sh->tx_n = 0;
}

uint8_t *io_room(struct shard *sh, struct device *d, size_t need, size_t *ret_cap)
{
	if (SIM_TX_CAP - sh->tx_len < need || sh->tx_n == SIM_TX_MSGS)
		io_flush(sh, d);
	*ret_cap = SIM_TX_CAP - sh->tx_len;
	return sh->tx + sh->tx_len;
}

void io_wrote(struct shard *sh, long n)
{
	if (n > 0)
		sh->tx_len += (uint32_t)n;
}

static void free_unsent(struct device *d)
{
	if (!d->out)
		return;
	free(d->out->buf);
	free(d->out->msg);
	free(d->out);
	d->out = NULL;
}

void io_writable(struct shard *sh, struct device *d)
{
	struct unsent *u = d->out;

	if (!u) {
		d->blocked = false;
		return;
	}
	while (u->off < u->len) {
		long n = put(sh, d, u->buf + u->off, u->len - u->off);
		uint32_t gone = 0;

		if (n < 0)
			return;
		if (!n)
			return;
		u->off += (uint32_t)n;
		for (; gone < u->nmsg && u->msg[gone].end <= u->off; gone++)
			pub_written(sh, d, u->msg[gone].sched_ns, 0, u->msg[gone].seq >> 31, true);
		u->nmsg -= gone;
		memmove(u->msg, u->msg + gone, u->nmsg * sizeof(*u->msg));
	}
	d->last_out_ms = ms_of(sh->now);
	free_unsent(d);
	d->blocked = false;
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

void io_readable(struct shard *sh, struct device *d)
{
	/* A packet's start from earlier goes first, so that packets are whole in one piece. */
	for (;;) {
		uint32_t had = d->in_len;
		size_t room = SIM_RX_MAX + 65536 - had;
		long n;

		if (had) {
			memcpy(sh->rx, d->in, had);
			free(d->in);
			d->in = NULL;
			d->in_len = 0;
		}
		if (d->ssl) {
			ERR_clear_error();
			n = SSL_read(d->ssl, sh->rx + had, (int)room);
			if (n <= 0) {
				int e = SSL_get_error(d->ssl, (int)n);

				if (e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE) {
					n = -EAGAIN;
					/* Reading a ticket allocates a write buffer of 16 KiB,
					 * which only the next write would give back. */
					if (d->ticket)
						SSL_free_buffers(d->ssl);
					d->ticket = false;
				} else if (e == SSL_ERROR_ZERO_RETURN)
					n = 0;
				else if (e == SSL_ERROR_SSL) {
					dev_lost(sh, d, F_TLS, (uint32_t)ERR_peek_error());
					return;
				} else
					n = errno ? -errno : 0;
			}
		} else {
			do
				n = recv(d->fd, sh->rx + had, room, MSG_DONTWAIT);
			while (n < 0 && errno == EINTR);
			if (n < 0)
				n = -errno;
		}
		if (n == -EAGAIN) {
			if (had) {
				d->in = malloc(had);
				if (!d->in) {
					dev_lost(sh, d, F_MEMORY, 0);
					return;
				}
				memcpy(d->in, sh->rx, had);
				d->in_len = had;
			}
			return;
		}
		if (n < 0) {
			dev_lost(sh, d, n == -ETIMEDOUT ? F_TCP_TIMEOUT : F_RESET, 0);
			return;
		}
		if (!n) {
			dev_lost(sh, d, F_CLOSED, 0);
			return;
		}
		SIM_ADD(&sh->pub->tot.bytes_in, (uint64_t)n);
		d->last_in_ms = ms_of(sh->now);
		rx_packets(sh, d, had + (size_t)n);
		if (d->fd < 0)
			return;
		/*
		 * Edge-triggered: a read that did not fill the buffer has emptied the
		 * socket. TLS may hold decrypted bytes still, and an end that came with
		 * the data is only seen by reading once more.
		 */
		if (!d->ssl && (size_t)n < room && !d->ended)
			return;
	}
}

void io_close(struct shard *sh, struct device *d, bool reset)
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
		sh->trim_ns = sh->now + SIM_TRIM_NS;
	}
	if (reset) {
		/* No TIME_WAIT: a storm would run out of ports otherwise. */
		struct linger l = {1, 0};

		setsockopt(d->fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
	}
	close(d->fd);
	d->fd = -1;
	free_unsent(d);
	free(d->in);
	d->in = NULL;
	d->in_len = 0;
	d->blocked = d->pinging = d->ended = false;
}
