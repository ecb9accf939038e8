// SPDX-License-Identifier: GPL-2.0-only
/* MQTT 3.1.1 and 5: takes packets in, answers them. */
#include <stdlib.h>
#include "conn.h"
#include "misbehave.h"

struct cursor {
	const uint8_t *p, *end;
	bool bad;
};

static uint32_t get_n(struct cursor *k, uint32_t n)
{
	uint32_t v = 0;

	if (k->bad || k->end - k->p < n) {
		k->bad = true;
		return 0;
	}
	while (n--)
		v = v << 8 | *k->p++;
	return v;
}

static uint32_t get_varint(struct cursor *k)
{
	uint32_t v = 0, b;

	for (int shift = 0; shift < 28; shift += 7) {
		b = get_n(k, 1);
		v |= (b & 127) << shift;
		if (!(b & 128))
			return v;
	}
	k->bad = true;
	return 0;
}

static const char *get_bytes(struct cursor *k, uint32_t n)
{
	const uint8_t *p = k->p;

	if (k->bad || (uint32_t)(k->end - k->p) < n) {
		k->bad = true;
		return "";
	}
	k->p += n;
	return (const char *)p;
}

uint32_t put_varint(uint8_t *p, uint32_t v)
{
	uint32_t n = 0;

	do {
		p[n++] = (v & 127) | (v > 127 ? 128 : 0);
		v >>= 7;
	} while (v);
	return n;
}

static bool on_publish(struct conn *c, uint8_t flags, struct cursor *k)
{
	uint32_t qos = flags >> 1 & 3, id = 0, plen = 0, tlen = get_n(k, 2);
	const char *topic = get_bytes(k, tlen), *props = "";
	bool again = false;

	if (qos)
		id = get_n(k, 2);
	if (c->ver == 5) {
		plen = get_varint(k);
		props = get_bytes(k, plen);
	}
	if (k->bad || qos == 3 || !tlen || (qos && !id) || memchr(topic, '#', tlen) ||
	    memchr(topic, '+', tlen) || (!qos && flags & 8))
		return false;
	st->publishes_dup += flags >> 3 & 1;
	if (qos == 2) {
		for (uint32_t i = 0; i < c->nq2 && !again; i++)
			again = c->q2[i] == id;
		if (!again) {
			if (c->nq2 >= 65535)
				return false;
			if (!(c->nq2 & (c->nq2 - 1)))
				c->q2 = must(
					realloc(c->q2, sizeof(*c->q2) * (c->nq2 ? c->nq2 * 2 : 1)));
			c->q2[c->nq2++] = id;
		}
	}
	if (!again) {
		uint64_t *by_qos = qos == 0   ? &st->publishes_q0
				   : qos == 1 ? &st->publishes_q1
					      : &st->publishes_q2;

		++*by_qos;
		st->publishes++;
		st->payload_bytes += k->end - k->p;
		if (nsubs)
			route(&(struct message){.qos = qos,
						.topic = topic,
						.topic_len = tlen,
						.props = props,
						.props_len = plen,
						.body = (const char *)k->p,
						.body_len = k->end - k->p});
	}
	if (!spoilt(c) && qos)
		st->pubacks_out += ack(c, qos == 1 ? 0x40 : 0x50, id);
	return true;
}

static bool on_connect(struct conn *c, struct cursor *k)
{
	uint32_t nlen = get_n(k, 2), idlen, flags;
	const char *name = get_bytes(k, nlen);
	uint8_t p[5] = {0x20}, ver;

	if (c->ver || k->bad || nlen != 4 || memcmp(name, "MQTT", 4))
		return false;
	ver = get_n(k, 1);
	flags = get_n(k, 1);
	get_n(k, 2);
	if ((ver != 4 && ver != 5) || flags & 1)
		return false;
	if (ver == 5)
		get_bytes(k, get_varint(k));
	idlen = get_n(k, 2);
	get_bytes(k, idlen);
	if (flags & 4) {
		if (ver == 5)
			get_bytes(k, get_varint(k));
		get_bytes(k, get_n(k, 2));
		get_bytes(k, get_n(k, 2));
	}
	if (flags & 128)
		get_bytes(k, get_n(k, 2));
	if (flags & 64)
		get_bytes(k, get_n(k, 2));
	if (k->bad || k->p != k->end)
		return false;
	if (refused(c, ver))
		return true;
	c->ver = ver;
	st->connects++;
	st->connected++;
	st->connects_v5 += ver == 5;
	if (opt.silent)
		return true;
	p[1] = ver == 5 ? 3 : 2;
	emit_later(&q_connack, opt.delay_connack, c, p, ver == 5 ? 5 : 4);
	return true;
}

static bool on_subscribe(struct conn *c, struct cursor *k, bool on)
{
	uint8_t p[256], n = 2;
	uint32_t id = get_n(k, 2);

	p[n++] = id >> 8;
	p[n++] = id;
	if (c->ver == 5) {
		get_bytes(k, get_varint(k));
		p[n++] = 0;
	}
	while (!k->bad && k->p < k->end && n < 120) {
		uint32_t len = get_n(k, 2);
		const char *f = get_bytes(k, len);
		uint8_t o = on ? get_n(k, 1) : 0;

		if (k->bad || !len)
			return false;
		if (on)
			p[n++] = subscribe(c, f, len, o & 3);
		else
			unsubscribe(c, f, len);
		if (!on && c->ver == 5)
			p[n++] = 0;
	}
	if (k->bad || !id || k->p != k->end)
		return false;
	if (on)
		st->subscribes++;
	else
		st->unsubscribes++;
	p[0] = on ? 0x90 : 0xb0;
	p[1] = n - 2;
	if (!opt.silent)
		emit(c, p, n);
	return true;
}

static bool on_packet(struct conn *c, uint8_t first, const uint8_t *p, uint32_t n)
{
	struct cursor k = {p, p + n, false};
	uint8_t type = first >> 4, flags = first & 15, pong[2] = {0xd0, 0}, rel[4] = {0x62, 2};
	uint32_t id;

	if (type == 3)
		return c->ver && on_publish(c, flags, &k);
	if (flags != (type == 6 || type == 8 || type == 10 ? 2 : 0) || (type != 1 && !c->ver))
		return false;
	switch (type) {
	case 1:
		return on_connect(c, &k);
	case 4:
		st->pubacks_in++;
		return n >= 2;
	case 5: /* PUBREC of a QoS 2 delivery */
		id = get_n(&k, 2);
		rel[2] = id >> 8;
		rel[3] = id;
		emit(c, rel, 4);
		return !k.bad;
	case 6:
		id = get_n(&k, 2);
		st->pubrels_in++;
		for (uint32_t i = 0; i < c->nq2; i++) {
			if (c->q2[i] == id) {
				/* Never shrunk: growing is keyed on powers of two. */
				c->q2[i] = c->q2[c->nq2 - 1];
				c->nq2--;
				break;
			}
		}
		ack(c, 0x70, id);
		return !k.bad;
	case 7:
		st->pubcomps_in++;
		return n >= 2;
	case 8:
		return on_subscribe(c, &k, true);
	case 10:
		return on_subscribe(c, &k, false);
	case 12:
		st->pings++;
		if (!opt.no_pingresp && !opt.silent)
			emit(c, pong, 2);
		return n == 0;
	case 14:
		st->disconnects++;
		conn_close(c, false);
		return true;
	default:
		return false;
	}
}

int64_t parse(struct conn *c, const uint8_t *p, uint32_t n)
{
	uint32_t off = 0, gen = c->gen;

	for (;;) {
		uint32_t len = 0, i = 1, b = 128;

		for (int shift = 0; b & 128; shift += 7, i++) {
			if (shift == 28)
				goto bad;
			if (off + i >= n)
				return off;
			b = p[off + i];
			len |= (b & 127) << shift;
		}
		if (len + i > RBUF)
			goto bad;
		if (n - off < len + i)
			return off;
		if (!on_packet(c, p[off], p + off + i, len))
			goto bad;
		if (c->gen != gen)
			return -1;
		off += len + i;
	}
bad:
	st->malformed++;
	conn_close(c, false);
	return -1;
}
