// SPDX-License-Identifier: GPL-2.0-only
/*
 * The window of unacknowledged QoS 1 and 2 messages: a slot by the low bits of
 * the identifier. Sending again after a reconnect is a place in the window that
 * moves on as the socket takes it, so that a full socket only pauses it.
 */
#include <stdlib.h>
#include "sim/device/lean.h"

#define ID_MAX (CON_SUB_ID - 8u) /* the others are SUBSCRIBE's, of which there are 8 at most */

/*
 * What was given up without an acknowledgement still has its place with the broker, until that
 * comes or the connection ends (MQTT 5, 4.9).
 */
uint32_t win_size(const struct stype *ty, const struct device *d)
{
	uint32_t owed, room;

	if (!d->recv_max)
		return ty->p.inflight;
	owed = d->win ? d->win->owed : 0;
	room = d->recv_max > owed ? d->recv_max - owed : 0;
	return room < ty->p.inflight ? room : ty->p.inflight;
}

struct inflight *win_slot(struct stype *ty, struct device *d)
{
	struct window *w = d->win;

	if (!w || w->mask + 1u < ty->p.inflight) {
		struct window *grown;
		uint32_t size = 1;

		while (size < ty->p.inflight)
			size *= 2;
		grown = calloc(1, sizeof(*w) + size * sizeof(w->slot[0]));
		if (!grown)
			return NULL;
		if (w) {
			*grown = *w;
			for (uint32_t i = 0; i <= w->mask; i++)
				if (w->slot[i].id)
					grown->slot[w->slot[i].id & (size - 1)] = w->slot[i];
		}
		grown->mask = (uint16_t)(size - 1);
		free(w);
		d->win = w = grown;
	}
	/* Identifiers go up; one whose slot is still taken is passed over. */
	for (uint32_t i = 0; i < 2 * (w->mask + 1u); i++) {
		if (++d->next_id > ID_MAX)
			d->next_id = 1;
		if (!w->slot[d->next_id & w->mask].id)
			return &w->slot[d->next_id & w->mask];
	}
	return NULL;
}

/*
 * For a session that goes on. An alias ends with its connection: the copy, which another
 * connection may carry, has the topic.
 */
static void keep_copy(struct lean *ln, struct device *d, struct inflight *slot,
		      const struct mqtt_publish *m, const struct mqtt_props *props)
{
	size_t cap = (size_t)m->topic.n + m->payload.n + 16384;
	struct kept *k = malloc(sizeof(*k) + cap), *fits;
	long n = k ? mqtt_enc_publish(k->p, cap, type_of(ln, d)->p.version, m, props) : -1;

	if (n < 0) {
		free(k);
		return;
	}
	k->len = (uint32_t)n;
	k->from = m->payload.n;
	k->rest = m->more ? sim_bulk_ref(type_of(ln, d)->bulk) : NULL;
	fits = realloc(k, sizeof(*k) + (size_t)n);
	slot->copy = fits ? fits : k;
}

void win_put(struct lean *ln, struct device *d, struct inflight *slot, uint64_t sched_ns,
	     const struct mqtt_publish *m, const struct mqtt_props *props, bool marked)
{
	struct stype *ty = type_of(ln, d);

	*slot = (struct inflight){.sched_ns = sched_ns,
				  .sent_ms = ms_of(ln->led.now),
				  .seq = d->seq,
				  .id = m->id,
				  .marked = marked,
				  .sent = true,
				  .await = m->qos == 1 ? MQTT_PUBACK : MQTT_PUBREC};
	if (!ty->p.clean)
		keep_copy(ln, d, slot, m, props);
	d->win->nsent++;
	/* The timer looks at the window from the first message on. */
	if (!d->win->n++ &&
	    (!d->life.pprev || d->life.tick << WHEEL_SHIFT > ln->led.now + ty->p.ack_timeout_ns))
		wheel_arm(&ln->wheel, &d->life, ln->led.now + ty->p.ack_timeout_ns);
}

static void kept_free(struct kept *k)
{
	if (!k)
		return;
	sim_bulk_put(k->rest);
	free(k);
}

static size_t kept_len(const struct kept *k)
{
	return k->len + (k->rest ? sim_bulk_len(k->rest) - k->from : 0);
}

static void win_free(struct window *w, struct inflight *s)
{
	w->nsent = (uint16_t)(w->nsent - s->sent);
	kept_free(s->copy);
	memset(s, 0, sizeof(*s));
	w->n--;
}

/* n messages of one time are acknowledged. */
static void done(struct lean *ln, const struct device *d, uint64_t sched_ns, uint32_t n)
{
	struct ledger *l = &ln->led;

	stat_oks(l, d->type, SIM_PUBACK, sched_ns, l->now, 0, n);
	msg_acked(l, n);
}

static void failed(struct lean *ln, struct device *d, struct inflight *s, enum sim_fail kind,
		   uint32_t detail, const char *note)
{
	msg_failed_note(&ln->led, d->type, SIM_PUBACK, kind, detail, note);
	if (s->marked)
		msg_unacked(&ln->led, d->type, d->index, s->seq);
	win_free(d->win, s);
}

void win_ack(struct lean *ln, struct device *d, uint8_t type, uint16_t id, uint8_t reason,
	     const struct mqtt_props *props)
{
	struct stype *ty = type_of(ln, d);
	struct inflight *s = d->win ? &d->win->slot[id & d->win->mask] : NULL;

	if (s && s->id == id && type == MQTT_PUBREC && s->await == MQTT_PUBCOMP && reason < 0x80) {
		/* Twice, as when both of us have come back. */
		out_ack(ln, MQTT_PUBREL, id, 0);
		return;
	}
	if (s && s->id == id && type == MQTT_PUBACK && s->await == MQTT_PUBREC) {
		/* RabbitMQ does so: it has the message, as one of QoS 1. */
		failed(ln, d, s, F_DOWNGRADED, 0, NULL);
		return;
	}
	if (!s || s->id != id || s->await != type) {
		/* One that was never given out, seen from the last that was; at first all above it.
		 */
		if (ty->p.clean &&
		    (d->seq < ID_MAX ? id > d->next_id : (uint16_t)(d->next_id - id) >= 32768)) {
			dev_fail(d, F_WRONG_ID, type);
			return;
		}
		/* Of a message given up: nobody waits for it. */
		SIM_ADD(&ln->led.pub->tot.late_acks, 1);
		if (d->win && d->win->owed && (type != MQTT_PUBREC || reason >= 0x80))
			d->win->owed--;
		if (type == MQTT_PUBREC)
			out_ack(ln, MQTT_PUBREL, id, ty->p.version == MQTT_V5 ? 0x92 : 0);
		return;
	}
	/* Of a PUBREL that was sent again the broker has said PUBCOMP before (MQTT 5, 3.7.2.1). */
	if (reason >= 0x80 && !(reason == 0x92 && type == MQTT_PUBCOMP && !s->sent)) {
		char note[SIM_NOTE] = "";

		if (props)
			props_note(props, note);
		failed(ln, d, s, F_ACK_REASON, (uint32_t)type << 8 | reason, note);
		return;
	}
	if (type == MQTT_PUBREC) {
		s->await = MQTT_PUBCOMP;
		s->sent_ms = ms_of(ln->led.now);
		kept_free(s->copy);
		s->copy = NULL;
		out_ack(ln, MQTT_PUBREL, id, 0);
		return;
	}
	done(ln, d, s->sched_ns, 1);
	win_free(d->win, s);
}

uint32_t win_pubacks(struct lean *ln, struct device *d, const uint8_t *p, uint32_t len)
{
	struct window *w = d->win;
	uint64_t sched_ns = 0;
	uint32_t at = 0, n = 0;

	for (; w && len - at >= 4 && p[at] == MQTT_PUBACK << 4 && p[at + 1] == 2; at += 4) {
		uint16_t id = (uint16_t)(p[at + 2] << 8 | p[at + 3]);
		struct inflight *s = &w->slot[id & w->mask];

		if (!id || s->id != id || s->await != MQTT_PUBACK)
			break;
		/* Those of messages that fell due together are counted at once. */
		if (n && s->sched_ns != sched_ns) {
			done(ln, d, sched_ns, n);
			n = 0;
		}
		sched_ns = s->sched_ns;
		n++;
		win_free(w, s);
	}
	if (n)
		done(ln, d, sched_ns, n);
	return at;
}

void win_timeouts(struct lean *ln, struct device *d, uint64_t *next_ns)
{
	uint32_t now = ms_of(ln->led.now), limit = ms_of(type_of(ln, d)->p.ack_timeout_ns);

	for (uint32_t i = 0; d->win && d->win->n && i <= d->win->mask; i++) {
		struct inflight *s = &d->win->slot[i];

		if (!s->id)
			continue;
		/* While it leaves, its time begins with each piece that does. */
		if (d->out && d->out->stream && d->out->stream->id == s->id &&
		    (int32_t)(d->last_out_ms - s->sent_ms) > 0)
			s->sent_ms = d->last_out_ms;
		if (now - s->sent_ms >= limit) {
			if (d->recv_max && s->sent)
				d->win->owed++;
			if (s->await == MQTT_PUBACK)
				failed(ln, d, s, F_NO_PUBACK, 0, NULL);
			else
				failed(ln, d, s, F_NO_PUBCOMP, s->await, NULL);
		} else {
			uint64_t at =
				ln->led.now + (uint64_t)(limit - (now - s->sent_ms)) * 1000000;

			if (at < *next_ns)
				*next_ns = at;
		}
	}
	/* One of QoS 0 has no place in the window, and its time as well. */
	if (d->out && d->out->stream && now - d->last_out_ms < limit) {
		uint64_t at = ln->led.now + (uint64_t)(limit - (now - d->last_out_ms)) * 1000000;

		if (at < *next_ns)
			*next_ns = at;
	}
}

void win_resume(struct lean *ln, struct device *d)
{
	struct window *w = d->win;

	if (!w)
		return;
	w->nsent = w->owed = 0;
	w->resend = w->n ? 1 : 0;
	/* What cannot leave at once has its time for the acknowledgement from now on, too. */
	for (uint32_t i = 0; i <= w->mask; i++) {
		w->slot[i].sent = false;
		w->slot[i].sent_ms = ms_of(ln->led.now);
	}
}

/* False when the connection is lost. */
static bool again(struct lean *ln, struct device *d, const struct inflight *s)
{
	const struct kept *k = s->copy;
	struct stream *st;
	uint8_t *at;
	size_t cap;

	if (!k->rest) {
		at = out_room(ln, k->len, &cap);
		if (!at)
			return false;
		memcpy(at, k->p, k->len);
		at[0] |= 8; /* DUP */
		out_wrote(ln, k->len);
		return true;
	}
	st = stream_new(ln, d, k->rest, k->from, k->p, k->len, true);
	if (!st) {
		dev_fail(d, F_MEMORY, 0);
		return false;
	}
	st->id = s->id;
	out_stream(ln, st);
	return true;
}

void win_resend(struct lean *ln, struct device *d)
{
	struct window *w = d->win;

	/* In the order of their identifiers, from the one after the last given out. */
	while (w && w->resend && !d->blocked && !d->fail) {
		struct inflight *s = &w->slot[(d->next_id + w->resend) & w->mask];

		if (w->resend > w->mask + 1u || !w->n) {
			w->resend = 0;
			return;
		}
		if (s->id && s->await == MQTT_PUBCOMP) {
			out_ack(ln, MQTT_PUBREL, s->id, 0);
		} else if (s->id && s->copy && d->max_packet && kept_len(s->copy) > d->max_packet) {
			/* The broker takes less than it did. */
			failed(ln, d, s, F_TOO_BIG, 0, NULL);
		} else if (s->id && s->copy) {
			if (d->recv_max && w->nsent + w->owed >= d->recv_max)
				return; /* the next acknowledgement brings us back */
			if (ln->tx_len > SIM_TX_FULL || (s->copy->rest && ln->tx_len))
				out_flush(ln);
			if (d->blocked || !again(ln, d, s))
				return;
			s->sent_ms = ms_of(ln->led.now);
			s->sent = true;
			w->nsent++;
		}
		w->resend++;
	}
}

void win_fail(struct lean *ln, struct device *d, enum sim_fail kind)
{
	for (uint32_t i = 0; d->win && d->win->n && i <= d->win->mask; i++) {
		if (d->win->slot[i].id)
			failed(ln, d, &d->win->slot[i], kind, 0, NULL);
	}
}
