// SPDX-License-Identifier: GPL-2.0-only
/* Packets in, and what a fleet's own subscribers learn about its messages. */
#include <stdlib.h>
#include "sim/engine/shard.h"

/* --- end to end ----------------------------------------------------------------- */

static struct heard *heard_find(struct extra *x, uint32_t key)
{
	uint32_t i, cap = x->capheard;

	if (x->nheard * 4 >= cap * 3) {
		struct heard *old = x->heard, *grown;
		uint32_t want = cap ? cap * 2 : 16;

		grown = calloc(want, sizeof(*grown));
		if (!grown)
			return NULL;
		for (uint32_t k = 0; k < cap; k++) {
			if (!old[k].key)
				continue;
			i = old[k].key * 2654435769u & (want - 1);
			while (grown[i].key)
				i = (i + 1) & (want - 1);
			grown[i] = old[k];
		}
		free(old);
		x->heard = grown;
		x->capheard = cap = want;
	}
	for (i = key * 2654435769u & (cap - 1); x->heard[i].key; i = (i + 1) & (cap - 1))
		if (x->heard[i].key == key)
			return &x->heard[i];
	x->heard[i].key = key;
	x->nheard++;
	return &x->heard[i];
}

/* True when it is new. */
static bool heard_add(struct heard *h, uint32_t seq)
{
	uint32_t behind;

	if (!h->first) {
		h->first = h->high = seq;
		h->seen = 1;
		h->unique = 1;
		return true;
	}
	if (seq > h->high) {
		uint32_t ahead = seq - h->high;

		h->seen = ahead < 64 ? h->seen << ahead | 1 : 1;
		h->high = seq;
		h->unique++;
		return true;
	}
	behind = h->high - seq;
	/* Older than the window remembers: taken for a duplicate. */
	if (behind >= 64 || h->seen >> behind & 1)
		return false;
	h->seen |= 1ull << behind;
	if (seq < h->first)
		h->first = seq;
	h->unique++;
	return true;
}

static bool hex(const uint8_t *p, unsigned digits, uint64_t *ret)
{
	uint64_t v = 0;

	while (digits--) {
		uint8_t c = *p++;

		if (c >= '0' && c <= '9')
			v = v << 4 | (uint64_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			v = v << 4 | (uint64_t)(c - 'a' + 10);
		else
			return false;
	}
	*ret = v;
	return true;
}

static void e2e(struct shard *sh, struct device *d, struct mqtt_slice payload)
{
	const uint8_t *m =
		payload.n < SIM_MARK_LEN ? NULL : memmem(payload.p, payload.n, "SQ1:", 4);
	uint64_t run, who, seq, us;
	struct extra *x;
	struct heard *h;

	if (!m || payload.p + payload.n - m < SIM_MARK_LEN || !hex(m + 4, 8, &run) ||
	    !hex(m + 12, 10, &who) || !hex(m + 22, 8, &seq) || !hex(m + 30, 14, &us))
		return;
	/* Someone else's, or an earlier run's, kept by the broker. */
	if (run != sh->a->run_id || who >> 32 >= sh->a->ntypes ||
	    (uint32_t)who >= sh->a->max_devices || !seq)
		return;
	x = dev_extra(d);
	h = x ? heard_find(x, (uint32_t)((who >> 32) << 24 | (who & 0xffffff)) + 1) : NULL;
	if (!h)
		return;
	if (heard_add(h, (uint32_t)seq)) {
		SIM_ADD(&sh->pub->tot.unique, 1);
		stat_ok(sh, d->type, SIM_RECEIVE, us * 1000, sh->now, payload.n);
	} else {
		SIM_ADD(&sh->pub->tot.duplicates, 1);
	}
}

/* Does any of the device's filters take this publisher's topic? */
static bool wanted(struct shard *sh, const struct stype *sub, char *const *filters,
		   const struct stype *pubtype, uint32_t index, char *buf, size_t cap)
{
	char thing[256];
	struct sim_tmpl_ctx c = {.type = pubtype->p.name, .index = index + pubtype->p.first};
	long n = sim_tmpl_render(pubtype->thing, &c, thing, sizeof(thing) - 1);

	(void)sh;
	if (n < 0)
		return false;
	thing[n] = 0;
	c.thing = c.client_id = thing;
	n = sim_tmpl_render(pubtype->topic, &c, buf, cap);
	for (unsigned i = 0; n > 0 && i < sub->nsubs; i++)
		if (filters[i] && mqtt_match((const uint8_t *)filters[i], strlen(filters[i]),
					     (const uint8_t *)buf, (size_t)n))
			return true;
	return false;
}

/*
 * At the end: what was acknowledged to its sender and never reached a device of
 * this shard that had subscribed to it. Costs subscribers times publishers.
 */
static void settle_device(struct shard *sh, struct stype *ty, struct device *d)
{
	char *filters[SIM_MAX_SUBS + 4] = {NULL}, topic[1024];
	struct sim_tmpl_ctx c = {.thing = d->thing,
				 .client_id = d->thing,
				 .type = ty->p.name,
				 .index = d->index + ty->p.first};

	for (unsigned i = 0; i < ty->nsubs; i++) {
		long n = sim_tmpl_render(ty->sub[i], &c, topic, sizeof(topic) - 1);

		if (n >= 0) {
			topic[n] = 0;
			filters[i] = strdup(topic);
		}
	}
	for (unsigned t = 0; t < sh->a->ntypes; t++) {
		struct stype *pt = &sh->type[t];

		if (!pt->p.e2e || !*pt->p.topic || !pt->topic)
			continue;
		for (uint32_t i = 0; i < sh->a->max_devices; i++) {
			size_t at = (size_t)t * sh->a->max_devices + i;
			uint32_t acked = sh->a->acked[at], before = 0;
			struct heard *h;

			if (!acked || !wanted(sh, ty, filters, pt, i, topic, sizeof(topic)))
				continue;
			h = heard_find(d->x, ((uint32_t)t << 24 | i) + 1);
			if (!h)
				continue;
			/* What was sent before this device listened is not missing. */
			if (sh->a->first_ms[at] && ms_of(d->x->subscribed_ns) > sh->a->first_ms[at])
				before = h->first ? h->first - 1 : acked;
			if (acked > before + h->unique)
				SIM_ADD(&sh->pub->tot.lost, acked - before - h->unique);
		}
	}
	for (unsigned i = 0; i < ty->nsubs; i++)
		free(filters[i]);
}

void e2e_settle(struct shard *sh)
{
	if (!sh->a->acked)
		return;
	for (unsigned t = 0; t < sh->a->ntypes; t++) {
		struct stype *ty = &sh->type[t];

		for (uint32_t i = 0; ty->lean && ty->nsubs && i < ty->cap; i++) {
			struct device *d = &ty->dev[i];

			/* Devices start in order: the first that never did ends the list. */
			if (!d->thing)
				break;
			if (d->x && d->x->ever_subscribed)
				settle_device(sh, ty, d);
		}
	}
}

/* --- packets ---------------------------------------------------------------------- */

static void ack(struct shard *sh, struct device *d, uint8_t type, uint16_t id, uint8_t reason)
{
	size_t cap;
	uint8_t *at = io_room(sh, d, 8, &cap);

	io_wrote(sh, mqtt_enc_ack(at, cap, sh->type[d->type].p.version, type, id, reason));
}

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

static void answer(struct shard *sh, struct device *d, const struct mqtt_packet *p)
{
	struct stype *ty = &sh->type[d->type];
	struct mqtt_slice none = {NULL, 0}, state;
	char filter[1024], *doc, topic[512];
	struct sim_tmpl_ctx c = {.thing = d->thing,
				 .client_id = d->thing,
				 .type = ty->p.name,
				 .index = d->index + ty->p.first};
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
		pub_answer(sh, d, mqtt_slice(topic, strlen(topic)), mqtt_slice(doc, (size_t)n),
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
		pub_answer(sh, d, p->props.response_topic, none, p->props.correlation);
	else if (ty->response)
		pub_answer(sh, d, none, none, p->props.correlation);
}

static void publish(struct shard *sh, struct device *d, const struct mqtt_packet *p)
{
	if (p->qos == 2) {
		bool fresh = qos2_new(d, p->id);

		ack(sh, d, MQTT_PUBREC, p->id, 0);
		if (!fresh)
			return;
	} else if (p->qos == 1) {
		ack(sh, d, MQTT_PUBACK, p->id, 0);
	}
	SIM_ADD(&sh->pub->tot.received, 1);
	if (sh->a->acked)
		e2e(sh, d, p->payload);
	answer(sh, d, p);
}

static void one_packet(struct shard *sh, struct device *d, const struct mqtt_packet *p)
{
	bool up = d->state == D_ONLINE || d->state == D_DRAIN || d->state == D_SUBACK;

	if (p->type == MQTT_CONNACK && d->state == D_CONNACK) {
		dev_connack(sh, d, p);
		return;
	}
	if (!up) {
		dev_lost(sh, d, F_PROTOCOL, PROTO_CONNACK);
		return;
	}
	switch (p->type) {
	case MQTT_PUBLISH:
		publish(sh, d, p);
		return;
	case MQTT_PUBACK:
	case MQTT_PUBREC:
	case MQTT_PUBCOMP:
		pub_ack(sh, d, p->type, p->id, p->reason);
		return;
	case MQTT_PUBREL:
		qos2_release(d, p->id);
		ack(sh, d, MQTT_PUBCOMP, p->id, 0);
		return;
	case MQTT_SUBACK:
		dev_suback(sh, d, p);
		return;
	case MQTT_UNSUBACK:
		return;
	case MQTT_PINGRESP:
		d->pinging = false;
		return;
	case MQTT_DISCONNECT:
		if (sh->type[d->type].p.version == MQTT_V5) {
			dev_lost(sh, d, F_DISCONNECT, p->reason);
			return;
		}
	}
	/* CONNECT, SUBSCRIBE, a second CONNACK...: not a broker's to send. */
	dev_lost(sh, d, F_PROTOCOL, PROTO_UNEXPECTED);
}

void rx_packets(struct shard *sh, struct device *d, size_t len)
{
	uint8_t version = sh->type[d->type].p.version;
	struct mqtt_packet p;
	size_t at = 0;
	bool acks = false;

	while (at < len && d->fd >= 0) {
		const uint8_t *b = sh->rx + at;
		long n;

		/* The short PUBACK is most of what arrives: no packet struct for it. */
		if (len - at >= 4 && b[0] == MQTT_PUBACK << 4 && b[1] == 2 && (b[2] | b[3]) &&
		    d->state >= D_SUBACK) {
			pub_ack(sh, d, MQTT_PUBACK, (uint16_t)(b[2] << 8 | b[3]), 0);
			acks = true;
			at += 4;
			continue;
		}
		n = mqtt_decode(version, b, len - at, SIM_RX_MAX, &p);
		if (n == MQTT_MORE)
			break;
		if (n < 0) {
			dev_lost(sh, d, F_MALFORMED,
				 n == MQTT_TOO_BIG ? PROTO_TOO_BIG : PROTO_MALFORMED);
			return;
		}
		acks |= p.type == MQTT_PUBACK || p.type == MQTT_PUBCOMP;
		one_packet(sh, d, &p);
		at += (size_t)n;
	}
	if (d->fd < 0)
		return;
	if (at < len) {
		d->in = malloc(len - at);
		if (!d->in) {
			dev_lost(sh, d, F_MEMORY, 0);
			return;
		}
		memcpy(d->in, sh->rx + at, len - at);
		d->in_len = (uint32_t)(len - at);
	}
	if (acks)
		pub_more(sh, d);
	if (d->fd >= 0)
		io_flush(sh, d);
	if (d->fd >= 0 && d->state == D_DRAIN && pub_idle(d))
		dev_drained(sh, d);
}
