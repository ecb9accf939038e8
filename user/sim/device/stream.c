// SPDX-License-Identifier: GPL-2.0-only
/*
 * A message that is read from its source as it leaves: a device holds its head, or
 * what a full socket left of a WebSocket frame, and how far it has come. So a fleet
 * that sends a quarter of a gigabyte each takes no more memory than one that does not.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include "sim/device/lean.h"

#define PIECE 65536u

void stream_free(struct stream *s)
{
	if (!s)
		return;
	sim_bulk_put(s->src);
	free(s->head);
	free(s);
}

/* What goes before the next piece. */
static bool set_head(struct stream *s, const uint8_t *p, uint32_t n)
{
	uint8_t *copy = malloc(n ? n : 1);

	if (!copy)
		return false;
	memcpy(copy, p, n);
	free(s->head);
	s->head = copy;
	s->len = n;
	s->off = 0;
	return true;
}

/* The outbox's buffer is where a frame is made of. */
static const uint8_t *framed(struct lean *ln, struct device *d, const uint8_t *p, uint32_t *n)
{
	if (p != ln->tx)
		memcpy(ln->tx, p, *n);
	return ws_wrap(ln, d, n);
}

struct stream *stream_new(struct lean *ln, struct device *d, struct sim_bulk *src, uint32_t from,
			  const uint8_t *head, uint32_t n, bool again)
{
	struct stream *s = calloc(1, sizeof(*s));
	const uint8_t *p = head;

	assert(!ln->tx_len);
	if (!s)
		return NULL;
	s->src = sim_bulk_ref(src);
	s->at = from;
	s->bytes = n + sim_bulk_len(src) - from;
	s->again = again;
	memcpy(ln->tx, p, n);
	ln->tx[0] |= again ? 8 : 0; /* DUP */
	p = ln->tx;
	if (type_of(ln, d)->p.ws)
		p = framed(ln, d, p, &n);
	if (!p || !set_head(s, p, n)) {
		stream_free(s);
		return NULL;
	}
	return s;
}

/* The source's next bytes, as they go over the connection; NULL when there is no going on. */
static const uint8_t *next(struct lean *ln, struct device *d, struct stream *s, uint32_t *n)
{
	uint32_t rest = sim_bulk_len(s->src) - s->at;
	const uint8_t *p = sim_bulk_read(s->src, s->at, rest < PIECE ? rest : PIECE, ln->tx, n);

	if (!p) {
		snprintf(ln->note, sizeof(ln->note), "the payload's file has become shorter");
		dev_fail(d, F_SOCKET, EIO);
		return NULL;
	}
	if (!type_of(ln, d)->p.ws)
		return p;
	s->at += *n;
	p = framed(ln, d, p, n);
	if (!p)
		dev_fail(d, F_MEMORY, 0);
	return p;
}

bool stream_write(struct lean *ln, struct device *d, struct stream *s)
{
	bool ws = type_of(ln, d)->p.ws;
	uint32_t turn = 0, n;
	const uint8_t *p;
	long done;

	assert(!ln->tx_len);
	while (s->off < s->len || s->at < sim_bulk_len(s->src)) {
		bool head = s->off < s->len;

		if (turn >= SIM_TURN) {
			io_again(ln, d);
			return false;
		}
		n = s->len - s->off;
		p = head ? s->head + s->off : next(ln, d, s, &n);
		if (!p)
			return false;
		done = io_write(ln, d, p, n);
		if (done < 0)
			return false;
		if (done)
			d->last_out_ms = ms_of(ln->led.now);
		turn += (uint32_t)done;
		if (head) {
			s->off += (uint32_t)done;
		} else if (!ws) {
			s->at += (uint32_t)done;
		} else if (done < n && !set_head(s, p + done, n - (uint32_t)done)) {
			dev_fail(d, F_MEMORY, 0);
			return false;
		}
		if (!done)
			return false;
	}
	return true;
}
