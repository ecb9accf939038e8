// SPDX-License-Identifier: GPL-2.0-only
/*
 * The outbox. Packets for the device being served collect in the shard's buffer
 * and leave in one write(); what the socket does not take moves to the device's
 * own buffer, and no message is encoded until that is gone. The buffer has an
 * owner: it is empty when another device's turn begins.
 */
#include <assert.h>
#include <stdlib.h>
#include "sim/device/lean.h"

void out_begin(struct lean *ln, struct device *d)
{
	assert(!ln->owner && !ln->tx_len && !ln->tx_n);
	ln->owner = d;
	ln->topic_len = ln->same_len = 0;
}

/* n messages have left; QoS 1 and 2 count as published with that, QoS 0 is done. */
static void left(struct lean *ln, const struct device *d, uint64_t sched_ns, uint32_t bytes,
		 bool count, uint32_t n)
{
	stat_oks(&ln->led, d->type, SIM_PUBLISH, sched_ns, ln->led.now, bytes, n);
	if (count)
		msg_acked(&ln->led, n);
}

/* One of QoS 0 never will. */
static void stayed(struct lean *ln, const struct device *d, uint32_t seq, bool marked,
		   enum sim_fail kind)
{
	msg_failed(&ln->led, d->type, SIM_PUBLISH, kind, 0);
	if (marked)
		msg_unacked(&ln->led, d->type, d->index, seq);
}

static void free_unsent(struct device *d)
{
	if (d->out) {
		stream_free(d->out->stream);
		free(d->out->buf);
		free(d->out->msg);
		free(d->out);
	}
	d->out = NULL;
	d->blocked = false;
}

/* What the socket did not take, and the QoS 0 messages that end in it. */
static bool keep_rest(struct lean *ln, struct device *d, const uint8_t *p, uint32_t len,
		      uint32_t done)
{
	uint32_t rest = len - done, nmsg = 0, start = 0;
	struct unsent *u = calloc(1, sizeof(*u));

	if (!u)
		return false;
	d->out = u;
	u->buf = malloc(rest);
	for (uint32_t i = 0; i < ln->tx_n; i++)
		nmsg += ln->tx_msg[i].end > done && ln->tx_msg[i].count;
	u->msg = malloc((nmsg ? nmsg : 1) * sizeof(*u->msg));
	if (!u->buf || !u->msg) {
		free_unsent(d);
		return false;
	}
	memcpy(u->buf, p + done, rest);
	u->len = rest;
	for (uint32_t i = 0; i < ln->tx_n; start = ln->tx_msg[i++].end) {
		if (ln->tx_msg[i].end <= done || !ln->tx_msg[i].count)
			continue;
		u->msg[u->nmsg].bytes = ln->tx_msg[i].end - start;
		u->msg[u->nmsg].end = ln->tx_msg[i].end - done;
		u->msg[u->nmsg].seq = ln->tx_msg[i].seq | (uint32_t)ln->tx_msg[i].marked << 31;
		u->msg[u->nmsg++].sched_ns = ln->tx_msg[i].sched_ns;
	}
	d->blocked = true;
	return true;
}

/* Only acknowledgements and pings get here; they go behind what waits. */
static void append(struct device *d, const uint8_t *p, uint32_t len)
{
	struct unsent *u = d->out;
	uint8_t *grown = NULL;

	if (u->len + len <= SIM_UNSENT_MAX)
		grown = realloc(u->buf, u->len + len);
	if (!grown) {
		dev_fail(d, F_MEMORY, 0);
		return;
	}
	memcpy(grown + u->len, p, len);
	u->buf = grown;
	u->len += len;
}

/* The buffer's messages up to `done` have left; with the connection lost the rest never will. */
static void tell(struct lean *ln, struct device *d, uint32_t done)
{
	uint32_t start = 0, n;

	for (uint32_t i = 0; i < ln->tx_n; i += n) {
		const struct tx_msg *m = &ln->tx_msg[i];
		uint32_t bytes = m->end - start;

		n = 1;
		if (m->end > done && m->count) {
			if (d->fail)
				stayed(ln, d, m->seq, m->marked, F_UNSENT);
		} else {
			/* Most of a write's are alike, and counted at once. */
			while (i + n < ln->tx_n && m[n].sched_ns == m->sched_ns &&
			       m[n].end - m[n - 1].end == bytes && m[n].count == m->count &&
			       (m[n].end <= done || !m->count))
				n++;
			left(ln, d, m->sched_ns, bytes, m->count, n);
		}
		start = m[n - 1].end;
	}
}

void out_flush_frame(struct lean *ln)
{
	struct device *d = ln->owner;
	const uint8_t *p = ln->tx;
	uint32_t done = 0, len = ln->tx_len;

	/* Acknowledgements of what is still read, and nobody to hear them. */
	if (d->mute && !d->fail) {
		ln->tx_len = ln->tx_n = 0;
		return;
	}
	/* The type first: it is in the cache, and the last line of a device is not. */
	if (type_of(ln, d)->p.ws && ws_open(d) && !d->fail) {
		p = ws_wrap(ln, d, &len);
		if (!p) {
			p = ln->tx;
			dev_fail(d, F_MEMORY, 0);
		}
		/* The frame's head stands in front of the messages. */
		for (uint32_t i = 0; i < ln->tx_n; i++)
			ln->tx_msg[i].end += len - ln->tx_len;
	}
	if (d->out && !d->fail) {
		append(d, p, len);
		done = len = 0;
	}
	while (done < len && !d->fail) {
		long n = io_write(ln, d, p + done, len - done);

		if (n <= 0)
			break;
		done += (uint32_t)n;
		/* Plain TCP that takes less is full; TLS writes a record (16 KiB) at a time. */
		if (!d->ssl)
			break;
	}
	if (done)
		d->last_out_ms = ms_of(ln->led.now);
	if (done < len && !d->fail && !keep_rest(ln, d, p, len, done))
		dev_fail(d, F_MEMORY, 0);
	if (ln->tx_n && (++ln->clock_age >= SIM_CLOCK_WRITES || d->ssl))
		lean_clock(ln);
	tell(ln, d, done);
	ln->tx_len = ln->tx_n = 0;
}

void out_flush(struct lean *ln)
{
	if (ln->tx_len)
		out_flush_frame(ln);
}

void out_end(struct lean *ln)
{
	out_flush(ln);
	assert(!ln->tx_len && !ln->tx_n);
	ln->owner = NULL;
}

uint8_t *out_room(struct lean *ln, size_t need, size_t *ret_cap)
{
	ln->same_len = 0;
	if (SIM_TX_CAP - ln->tx_len < need || ln->tx_n == SIM_TX_MSGS)
		out_flush(ln);
	*ret_cap = SIM_TX_CAP - ln->tx_len;
	return ln->owner->fail || *ret_cap < need ? NULL : ln->tx + ln->tx_len;
}

void out_ack(struct lean *ln, uint8_t type, uint16_t id, uint8_t reason)
{
	size_t cap;
	uint8_t *at = out_room(ln, 8, &cap);

	if (at)
		out_wrote(ln, mqtt_enc_ack(at, cap, type_of(ln, ln->owner)->p.version, type, id,
					   reason));
}

/* The message that was leaving piece by piece has left. */
static void streamed(struct lean *ln, struct device *d, struct stream *s)
{
	struct inflight *slot = s->id && d->win ? &d->win->slot[s->id & d->win->mask] : NULL;

	lean_clock(ln);
	/* The time for its acknowledgement begins. */
	if (slot && slot->id == s->id)
		slot->sent_ms = ms_of(ln->led.now);
	if (!s->again)
		left(ln, d, s->sched_ns, s->bytes, s->count, 1);
	stream_free(s);
	d->out->stream = NULL;
}

void out_stream(struct lean *ln, struct stream *s)
{
	struct device *d = ln->owner;

	assert(!ln->tx_len && !d->out);
	d->out = calloc(1, sizeof(*d->out));
	if (!d->out) {
		if (s->count)
			stayed(ln, d, d->seq, s->marked, F_MEMORY);
		stream_free(s);
		dev_fail(d, F_MEMORY, 0);
		return;
	}
	d->out->stream = s;
	d->blocked = true;
	out_writable(ln);
}

void out_writable(struct lean *ln)
{
	struct device *d = ln->owner;
	struct unsent *u = d->out;

	if (u && u->stream) {
		if (!stream_write(ln, d, u->stream))
			return;
		streamed(ln, d, u->stream);
	}
	while (u && u->off < u->len) {
		long n = io_write(ln, d, u->buf + u->off, u->len - u->off);
		uint32_t gone = 0;

		if (n <= 0)
			return;
		u->off += (uint32_t)n;
		d->last_out_ms = ms_of(ln->led.now);
		for (; gone < u->nmsg && u->msg[gone].end <= u->off; gone++)
			left(ln, d, u->msg[gone].sched_ns, u->msg[gone].bytes, true, 1);
		u->nmsg -= gone;
		if (gone)
			memmove(u->msg, u->msg + gone, u->nmsg * sizeof(*u->msg));
	}
	free_unsent(d);
}

void out_fail(struct lean *ln, struct device *d, enum sim_fail kind)
{
	for (uint32_t i = 0; d->out && i < d->out->nmsg; i++)
		stayed(ln, d, d->out->msg[i].seq & 0x7fffffff, d->out->msg[i].seq >> 31, kind);
	/* Nothing is sent while it leaves: it is the last. */
	if (d->out && d->out->stream && d->out->stream->count)
		stayed(ln, d, d->seq, d->out->stream->marked, kind);
	free_unsent(d);
}
