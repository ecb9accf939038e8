// SPDX-License-Identifier: GPL-2.0-only
/*
 * Packets in. Messages and acknowledgements are dealt with here; what changes the
 * device's life is handed up. Bytes are read into the shard's buffer, so that
 * packets are whole in one piece; a start whose end has not come is kept by the device.
 */
#include <stdlib.h>
#include "sim/device/lean.h"

/* QoS 2: true when this identifier has not been delivered yet. */
static bool qos2_new(struct device *d, uint16_t id)
{
	struct extra *x = dev_extra(d);
	uint16_t *grown;

	if (!x)
		return false;
	for (unsigned i = 0; i < x->nqos2; i++)
		if (x->qos2[i] == id)
			return false;
	if (!(x->nqos2 & (x->nqos2 - 1))) {
		grown = realloc(x->qos2, (x->nqos2 ? x->nqos2 * 2u : 1u) * sizeof(*grown));
		if (!grown)
			return false;
		x->qos2 = grown;
	}
	x->qos2[x->nqos2++] = id;
	return true;
}

static void qos2_release(struct device *d, uint16_t id)
{
	struct extra *x = d->x;

	for (unsigned i = 0; x && i < x->nqos2; i++) {
		if (x->qos2[i] != id)
			continue;
		x->qos2[i] = x->qos2[--x->nqos2];
		if (!x->nqos2) {
			free(x->qos2);
			x->qos2 = NULL;
		}
		return;
	}
}

/* The object that is the value of "state" at the top of a delta document. */
static struct mqtt_slice delta_state(struct mqtt_slice doc)
{
	const uint8_t *p = memmem(doc.p, doc.n, "\"state\"", 7), *end = doc.p + doc.n, *from;
	int depth = 0;
	bool text = false;

	if (!p)
		return (struct mqtt_slice){NULL, 0};
	for (p += 7; p < end && *p != '{'; p++)
		if (*p != ':' && *p != ' ')
			return (struct mqtt_slice){NULL, 0};
	for (from = p; p < end; p++) {
		if (text) {
			if (*p == '\\')
				p++;
			else if (*p == '"')
				text = false;
		} else if (*p == '"') {
			text = true;
		} else if (*p == '{') {
			depth++;
		} else if (*p == '}' && !--depth) {
			return mqtt_slice(from, (size_t)(p + 1 - from));
		}
	}
	return (struct mqtt_slice){NULL, 0};
}

static bool ends_with(struct mqtt_slice s, const char *tail)
{
	size_t n = strlen(tail);

	return s.n >= n && !memcmp(s.p + s.n - n, tail, n);
}

static void answer(struct lean *ln, struct device *d, const struct mqtt_packet *p)
{
	struct stype *ty = &ln->type[d->type];
	struct mqtt_slice none = {NULL, 0}, state;
	char filter[1024], *doc, topic[512];
	struct sim_tmpl_ctx c = names_of(ty, d);
	long n;

	if (ty->p.shadow && ends_with(p->topic, "/shadow/update/delta")) {
		state = delta_state(p->payload);
		doc = state.p ? malloc(state.n + 32) : NULL;
		if (!doc)
			return;
		n = snprintf(doc, state.n + 32, "{\"state\":{\"reported\":%.*s}}", (int)state.n,
			     (const char *)state.p);
		/* .../update/delta -> .../update */
		snprintf(topic, sizeof(topic), "%.*s", (int)(p->topic.n - 6),
			 (const char *)p->topic.p);
		pub_answer(ln, d, mqtt_slice(topic, strlen(topic)), mqtt_slice(doc, (size_t)n),
			   none);
		free(doc);
		return;
	}
	if (!ty->command)
		return;
	n = sim_tmpl_render(ty->command, &c, filter, sizeof(filter));
	if (n <= 0 || !mqtt_match((uint8_t *)filter, (size_t)n, p->topic.p, p->topic.n))
		return;
	if (ty->p.version == MQTT_V5 && MQTT_HAS(&p->props, MQTT_P_RESPONSE_TOPIC))
		pub_answer(ln, d, p->props.response_topic, none, p->props.correlation);
	else if (ty->response)
		pub_answer(ln, d, none, none, p->props.correlation);
}

static void publish(struct lean *ln, struct device *d, const struct mqtt_packet *p)
{
	/* The device announces no Topic Alias Maximum, so it is 0. */
	if (MQTT_HAS(&p->props, MQTT_P_TOPIC_ALIAS)) {
		dev_fail(d, F_PROTOCOL, PROTO_ALIAS);
		return;
	}
	if (p->qos == 2) {
		bool fresh = qos2_new(d, p->id);

		out_ack(ln, MQTT_PUBREC, p->id, 0);
		if (!fresh)
			return;
	} else if (p->qos == 1) {
		out_ack(ln, MQTT_PUBACK, p->id, 0);
	}
	SIM_ADD(&ln->led.pub->tot.received, 1);
	/* What the broker has kept tells nothing of what it delivers. */
	if (ln->led.a->sent && !p->retain)
		e2e_heard(ln, d, p->payload, p->payload_len);
	answer(ln, d, p);
}

/* True when the packet is one for the device's life. */
static bool one_packet(struct lean *ln, struct device *d, const struct mqtt_packet *p)
{
	if (p->type == MQTT_CONNACK && d->state == D_CONNACK)
		return true;
	if (p->type == MQTT_AUTH) {
		dev_fail(d, F_PROTOCOL, PROTO_AUTH);
		return false;
	}
	if (d->state < D_SUBACK) {
		dev_fail(d, F_PROTOCOL, PROTO_CONNACK);
		return false;
	}
	switch (p->type) {
	case MQTT_PUBLISH:
		publish(ln, d, p);
		return false;
	case MQTT_PUBACK:
	case MQTT_PUBREC:
	case MQTT_PUBCOMP:
		win_ack(ln, d, p->type, p->id, p->reason, &p->props);
		ln->rx_acks = true;
		return false;
	case MQTT_PUBREL:
		qos2_release(d, p->id);
		out_ack(ln, MQTT_PUBCOMP, p->id, 0);
		return false;
	case MQTT_PINGRESP:
		d->pinging = false;
		return false;
	case MQTT_UNSUBACK:
		return false;
	case MQTT_SUBACK:
		return true;
	case MQTT_DISCONNECT:
		if (type_of(ln, d)->p.version == MQTT_V5)
			return true;
	}
	/* CONNECT, SUBSCRIBE, a second CONNACK...: not a broker's to send. */
	dev_fail(d, F_PROTOCOL, PROTO_UNEXPECTED);
	return false;
}

/* A message that is longer than the inbox; false when that is all for now. */
static bool big_packet(struct lean *ln, struct device *d)
{
	struct mqtt_packet p;
	bool whole;
	long n = big_take(ln, d, ln->rx + ln->rx_at, ln->rx_len - ln->rx_at, &whole, &p);

	if (n <= 0)
		return false;
	ln->rx_at += (uint32_t)n;
	if (whole) {
		one_packet(ln, d, &p);
		big_free(d);
	}
	return true;
}

/* Decodes what was read, up to a packet for the device's life; false without one. */
static bool decode(struct lean *ln, struct device *d, struct mqtt_packet *ret)
{
	uint8_t version = type_of(ln, d)->p.version;

	while (ln->rx_at < ln->rx_len && !d->fail) {
		const uint8_t *b = ln->rx + ln->rx_at;
		size_t len = ln->rx_len - ln->rx_at;
		long n;

		if (big_passing(d)) {
			if (!big_packet(ln, d))
				return false;
			continue;
		}
		/* The short PUBACK is most of what arrives: no packet struct for it. */
		n = d->state >= D_SUBACK ? win_pubacks(ln, d, b, (uint32_t)len) : 0;
		if (n) {
			ln->rx_acks = true;
			ln->rx_at += (uint32_t)n;
			continue;
		}
		n = mqtt_decode(version, b, len, SIM_RX_MAX, ret);
		if (n == MQTT_TOO_BIG && b[0] >> 4 == MQTT_PUBLISH && d->state >= D_SUBACK) {
			if (!big_packet(ln, d))
				return false;
			continue;
		}
		if (n == MQTT_MORE)
			return false;
		if (n < 0) {
			dev_fail(d, F_MALFORMED,
				 n == MQTT_TOO_BIG ? PROTO_TOO_BIG : PROTO_MALFORMED);
			return false;
		}
		ln->rx_at += (uint32_t)n;
		if (one_packet(ln, d, ret))
			return true;
	}
	return false;
}

void rx_begin(struct lean *ln, struct device *d)
{
	ln->rx_at = 0;
	ln->rx_len = d->in_len;
	ln->rx_acks = ln->rx_emptied = d->unread = false;
	if (d->in)
		memcpy(ln->rx, d->in, d->in_len);
	free(d->in);
	d->in = NULL;
	d->in_len = 0;
}

/* The device's turn ends in the middle of a packet. */
static void keep_start(struct lean *ln, struct device *d)
{
	uint32_t rest = ln->rx_len - ln->rx_at;

	if (!rest || (d->fail && !d->mute))
		return;
	d->in = malloc(rest);
	if (!d->in) {
		dev_fail(d, F_MEMORY, 0);
		return;
	}
	memcpy(d->in, ln->rx + ln->rx_at, rest);
	d->in_len = rest;
}

/* Room in the window is used before more is read. */
static void use_room(struct lean *ln, struct device *d)
{
	if (!ln->rx_acks)
		return;
	ln->rx_acks = false;
	win_resend(ln, d);
	pub_more(ln, d);
}

bool rx_next(struct lean *ln, struct device *d, struct mqtt_packet *ret)
{
	size_t room = 0, turn = 0;
	bool ws = type_of(ln, d)->p.ws && ws_open(d);
	long n, plain;

	for (;;) {
		if (decode(ln, d, ret))
			return true;
		use_room(ln, d);
		out_flush(ln);
		/*
		 * Edge-triggered: a read that did not fill the buffer has emptied the
		 * socket. TLS may hold decrypted bytes still, and an end that came with
		 * the data is only seen by reading once more.
		 */
		if (d->fail || (ln->rx_emptied && !d->ended))
			break;
		/* A broker that floods and does not read: its turn to wait. */
		d->unread = !d->mute && d->out && d->out->len - d->out->off > SIM_UNSENT_STOP;
		if (d->unread)
			break;
		/* Nor may who is sent faster than it can read keep the others waiting. */
		if (turn > 4 * SIM_TURN) {
			io_again(ln, d);
			break;
		}
		memmove(ln->rx, ln->rx + ln->rx_at, ln->rx_len - ln->rx_at);
		ln->rx_len -= ln->rx_at;
		ln->rx_at = 0;
		room = SIM_RX_CAP - ln->rx_len;
		if (ws && ws_closing(d)) {
			dev_fail(d, F_CLOSED, 0);
			break;
		}
		n = io_read(ln, d, ln->rx + ln->rx_len, room);
		if (n <= 0)
			break;
		ln->rx_emptied = !d->ssl && (size_t)n < room;
		turn += (size_t)n;
		plain = ws ? ws_unwrap(ln, d, ln->rx + ln->rx_len, (size_t)n) : n;
		if (plain < 0) {
			d->mute = false; /* in the middle of frames: there is no going on */
			break;
		}
		ln->rx_len += (uint32_t)plain;
	}
	keep_start(ln, d);
	return false;
}
