// SPDX-License-Identifier: GPL-2.0-only
/*
 * Messages out. Every message that falls due is counted as scheduled and ends
 * exactly once, as acknowledged or failed; until then it is in one of three
 * places: the backlog, the shard's or the device's write buffer (QoS 0), or the
 * window of unacknowledged ones (QoS 1 and 2).
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include "sim/device/lean.h"

#define BUSY_WRITES 8 /* of a device without interval in a row */
/* Messages that may fall due in a device's turn; what is left has its turn after the others'. */
#define TURN_MSGS 4096
/* Intervals below the wheel's tick fall due several at a time; that is none missed. */
#define OVERRUN_NS   1000000ull
#define FORGOTTEN_NS 3600000000000ull

static bool finished(const struct stype *ty, const struct device *d)
{
	return !*ty->p.topic || (ty->p.count && d->published >= ty->p.count);
}

/* --- schedule ---------------------------------------------------------------- */

static uint64_t on_grid(const struct stype *ty, uint64_t at)
{
	return at - at % ty->p.interval_ns % ty->grid;
}

static uint64_t jittered(const struct stype *ty, struct device *d)
{
	double part;

	if (!ty->p.jitter_ppm)
		return d->base_ns;
	part = (double)ty->p.jitter_ppm * 1e-6 * (2 * sim_rand1(&d->rng) - 1);
	return on_grid(ty, d->base_ns + (uint64_t)(int64_t)(part * (double)ty->p.interval_ns));
}

void pub_schedule(struct lean *ln, struct device *d, bool rephase)
{
	struct stype *ty = type_of(ln, d);

	wheel_cancel(&ln->wheel, &d->pub);
	busy_del(ln, d);
	if (finished(ty, d) || ln->quiet || !d->ever_online || d->state == D_DRAIN ||
	    d->state == D_OFF)
		return;
	if (!ty->p.interval_ns) {
		if (d->state == D_ONLINE)
			busy_add(ln, d);
		return;
	}
	if (rephase) {
		/* Devices that connect together must not publish together. */
		d->base_ns = on_grid(ty, ln->led.now + (uint64_t)((double)ty->p.interval_ns *
								  sim_rand1(&d->rng)));
		d->due_ns = jittered(ty, d);
		if (d->due_ns < ln->led.now)
			d->due_ns = ln->led.now;
	}
	wheel_arm(&ln->wheel, &d->pub, d->due_ns);
}

/* --- encoding ---------------------------------------------------------------- */

/* What the cap holds back leaves with the next second, if nothing brings the device back before. */
static void at_next_second(struct lean *ln, struct device *d)
{
	uint64_t at = (d->cap_sec + 1) * 1000000000ull;

	if (d->state == D_ONLINE && (!d->life.pprev || d->life.tick << WHEEL_SHIFT > at))
		wheel_arm(&ln->wheel, &d->life, at + (1u << WHEEL_SHIFT));
}

static bool can_send(struct lean *ln, struct device *d)
{
	const struct stype *ty = type_of(ln, d);
	uint32_t sec;

	if (d->blocked || d->fail || (d->state != D_ONLINE && d->state != D_DRAIN))
		return false;
	/* What is sent again keeps its place before what is new. */
	if (d->win && d->win->resend)
		return false;
	if (ty->p.qos && d->win && d->win->n >= win_size(ty, d))
		return false;
	if (ty->p.publish_cap) {
		sec = (uint32_t)(ln->led.now / 1000000000ull);
		if (d->cap_sec != sec) {
			d->cap_sec = sec;
			d->cap_n = 0;
		}
		if (d->cap_n >= ty->p.publish_cap) {
			at_next_second(ln, d);
			return false;
		}
	}
	return true;
}

/* --- backlog ------------------------------------------------------------------- */

static void backlog_push(struct lean *ln, struct device *d, uint64_t sched_ns)
{
	struct backlog *b = d->back;

	if (b && b->n == SIM_BACKLOG_MAX) {
		msg_failed(&ln->led, d->type, SIM_PUBLISH, F_BACKLOG, 0);
		return;
	}
	if (!b || b->n == b->cap) {
		uint16_t cap = b && b->cap ? (uint16_t)(b->cap * 2) : 16;
		struct backlog *grown = malloc(sizeof(*b) + cap * sizeof(uint64_t));

		if (!grown) {
			msg_failed(&ln->led, d->type, SIM_PUBLISH, F_MEMORY, 0);
			return;
		}
		grown->head = 0;
		grown->n = b ? b->n : 0;
		grown->cap = cap;
		for (uint16_t i = 0; b && i < b->n; i++)
			grown->sched_ns[i] = b->sched_ns[(b->head + i) % b->cap];
		free(b);
		d->back = b = grown;
	}
	b->sched_ns[(b->head + b->n++) % b->cap] = sched_ns;
}

static uint64_t backlog_pop(struct device *d)
{
	struct backlog *b = d->back;
	uint64_t v = b->sched_ns[b->head];

	b->head = (uint16_t)((b->head + 1) % b->cap);
	if (!--b->n) {
		/* Idle devices keep nothing. */
		free(b);
		d->back = NULL;
	}
	return v;
}

/* --- a message ------------------------------------------------------------ */

/*
 * "SQ1:" run, device type and number, sequence, scheduled time in us: 44 bytes.
 * Hexadecimal of fixed width, so that it fits any payload and can be found.
 */
static void make_mark(struct lean *ln, const struct device *d, uint32_t seq, uint64_t sched_ns)
{
	static const char hex[] = "0123456789abcdef";
	uint64_t v[] = {ln->led.a->run_id, (uint64_t)d->type << 32 | d->index, seq,
			sched_ns / 1000};
	unsigned digits[] = {8, 10, 8, 14};
	char *at = ln->mark;

	memcpy(at, "SQ1:", 4);
	at += 4;
	for (unsigned f = 0; f < 4; f++)
		for (unsigned i = digits[f]; i--;)
			*at++ = hex[v[f] >> 4 * i & 15];
}

static long render_payload(struct lean *ln, struct device *d, const struct sim_tmpl *t,
			   uint64_t sched_ns, const char *mark, char *buf, size_t cap)
{
	struct stype *ty = type_of(ln, d);
	struct sim_tmpl_ctx c = names_of(ty, d);
	unsigned walks = sim_tmpl_walks(t);

	c.mark = mark;
	c.sched_ms = ((int64_t)sched_ns + ln->led.a->epoch_off_ns) / 1000000;
	if (walks) {
		struct extra *x = dev_extra(d);

		if (!x)
			return -ENOMEM;
		if (x->nwalk < walks) {
			double *grown = realloc(x->walk, walks * sizeof(double));

			if (!grown)
				return -ENOMEM;
			x->walk = grown;
			while (x->nwalk < walks)
				x->walk[x->nwalk++] = NAN;
		}
		c.walk = x->walk;
	}
	return sim_tmpl_render(t, &c, buf, cap);
}

static struct mqtt_slice render_name(const struct stype *ty, struct device *d,
				     const struct sim_tmpl *t, char *buf, size_t cap)
{
	struct sim_tmpl_ctx c = names_of(ty, d);
	long n = sim_tmpl_render(t, &c, buf, cap);

	return mqtt_slice(buf, n < 0 ? 0 : (size_t)n);
}

/* The schedule's topic: once a turn, unless it is another for each message. */
static struct mqtt_slice own_topic(struct lean *ln, const struct stype *ty, struct device *d)
{
	if (!ln->topic_len || ty->topic_varies)
		ln->topic_len = render_name(ty, d, ty->topic, ln->topic, sizeof(ln->topic)).n;
	return mqtt_slice(ln->topic, ln->topic_len);
}

/* What the next message carries, in m; false when it does not fit. */
static bool make_payload(struct lean *ln, const struct stype *ty, struct device *d,
			 uint64_t sched_ns, struct mqtt_publish *m, bool *ret_marked)
{
	static const char head[] = "{\"state\":{\"reported\":";
	size_t at = 0;
	long n;

	*ret_marked = ty->p.e2e;
	if (ty->p.e2e)
		make_mark(ln, d, d->seq, sched_ns);
	if (ty->bulk) {
		/* Its start is made here, the rest is read when it leaves. */
		m->payload = mqtt_slice(ln->mark, ty->p.e2e ? SIM_MARK_LEN : 0);
		m->more = sim_bulk_len(ty->bulk) - m->payload.n;
		return true;
	}
	if (ty->fixed_payload && !ty->p.e2e && !ty->p.shadow) {
		m->payload = mqtt_slice(ty->fixed_payload, ty->fixed_len);
		return true;
	}
	if (ty->p.shadow) {
		memcpy(ln->payload, head, sizeof(head) - 1);
		at = sizeof(head) - 1;
	}
	n = render_payload(ln, d, ty->payload, sched_ns, ty->p.e2e ? ln->mark : NULL,
			   ln->payload + at, SIM_RENDER_MAX);
	if (n < 0)
		return false;
	if (ty->p.e2e && sim_tmpl_is_size(ty->payload))
		memcpy(ln->payload + at, ln->mark, SIM_MARK_LEN);
	n += (long)at;
	if (ty->p.shadow) {
		memcpy(ln->payload + n, "}}", 2);
		n += 2;
	}
	m->payload = mqtt_slice(ln->payload, (size_t)n);
	return true;
}

/* What a message of the schedule carries besides; NULL: nothing. */
static const struct mqtt_props *own_props(struct lean *ln, const struct stype *ty, struct device *d,
					  struct mqtt_props *ret)
{
	if (ty->p.version != MQTT_V5 || (!ty->props.have && !ty->reply_to && !ty->alias))
		return NULL;
	*ret = ty->props;
	if (ty->reply_to) {
		ret->response_topic =
			render_name(ty, d, ty->reply_to, ln->reply_to, sizeof(ln->reply_to));
		ret->have |= 1ull << MQTT_P_RESPONSE_TOPIC;
	}
	return ret;
}

/* At the outbox's end, by a topic alias; how long it is, or negative. */
static long encode_alias(struct lean *ln, struct device *d, const struct mqtt_publish *m,
			 const struct mqtt_props *props)
{
	struct mqtt_publish short_m = *m;
	struct mqtt_props with = *props;
	long n;

	with.have |= 1ull << MQTT_P_TOPIC_ALIAS;
	if (d->aliased)
		short_m.topic.n = 0;
	n = mqtt_enc_publish(ln->tx + ln->tx_len, SIM_TX_CAP - ln->tx_len, MQTT_V5, &short_m,
			     &with);
	if (n > 0 && (!d->max_packet || n + m->more <= d->max_packet))
		d->aliased = true;
	return n;
}

/* The message that d->seq was given to. */
static void never_sent(struct lean *ln, struct device *d, enum sim_fail kind)
{
	msg_failed(&ln->led, d->type, SIM_PUBLISH, kind, 0);
	if (type_of(ln, d)->p.e2e)
		msg_unacked(&ln->led, d->type, d->index, d->seq);
}

/* The head of a message was made at the outbox's end, n bytes; its rest follows it piece by piece.
 */
static void send_stream(struct lean *ln, struct device *d, uint64_t sched_ns,
			const struct mqtt_publish *m, uint32_t n, bool marked)
{
	struct stream *s = stream_new(ln, d, type_of(ln, d)->bulk, m->payload.n, ln->tx, n, false);

	if (!s) {
		if (!m->qos)
			never_sent(ln, d, F_MEMORY);
		dev_fail(d, F_MEMORY, 0);
		return;
	}
	s->sched_ns = sched_ns;
	s->id = m->id;
	s->count = !m->qos;
	s->marked = marked;
	out_stream(ln, s);
}

/* The outbox holds one message, of which the next ones differ in the identifier only. */
static void same_begins(struct lean *ln, uint32_t topic_len)
{
	uint32_t at = 1;

	while (ln->tx[at++] & 128)
		;
	ln->same_len = ln->same_end = ln->tx_len;
	ln->same_id = at + 2 + topic_len;
}

/* Topic, payload and properties are an answer's; NULL: those of the schedule. */
static void send_message(struct lean *ln, struct device *d, uint64_t sched_ns,
			 const struct mqtt_slice *topic, const struct mqtt_slice *payload,
			 const struct mqtt_props *props)
{
	struct stype *ty = type_of(ln, d);
	struct mqtt_publish m = {.qos = ty->p.qos, .retain = ty->p.retain};
	struct inflight *slot = NULL;
	struct mqtt_props own;
	bool marked = false;
	long n;

	if (ln->tx_len > SIM_TX_FULL || ln->tx_n == SIM_TX_MSGS || (ty->bulk && ln->tx_len)) {
		out_flush(ln);
		if (d->fail || (d->blocked && payload)) {
			msg_failed(&ln->led, d->type, SIM_PUBLISH, F_UNSENT, 0);
			return;
		}
		if (d->blocked) {
			backlog_push(ln, d, sched_ns);
			return;
		}
	}
	d->seq++;
	if (payload) {
		m.payload = *payload;
	} else if (!make_payload(ln, ty, d, sched_ns, &m, &marked)) {
		never_sent(ln, d, F_TOO_BIG);
		return;
	}
	m.topic = topic ? *topic : own_topic(ln, ty, d);
	if (!payload)
		props = own_props(ln, ty, d, &own);
	if (m.qos) {
		slot = win_slot(ty, d);
		if (!slot) {
			never_sent(ln, d, F_MEMORY);
			return;
		}
		m.id = d->next_id;
	}
	ln->same_len = 0;
	if (ty->alias && !topic && d->alias_max && props)
		n = encode_alias(ln, d, &m, props);
	else
		n = mqtt_enc_publish(ln->tx + ln->tx_len, SIM_TX_CAP - ln->tx_len, ty->p.version,
				     &m, props);
	if (n < 0 || (d->limited && n + m.more > d->max_packet)) {
		never_sent(ln, d, F_TOO_BIG);
		return;
	}
	if (!marked && ty->p.e2e)
		msg_unacked(&ln->led, d->type, d->index, d->seq);
	if (marked && ln->led.a->sent)
		SIM_STORE(&ln->led.a->sent[(size_t)d->type * ln->led.a->max_devices + d->index],
			  d->seq);
	if (slot)
		win_put(ln, d, slot, sched_ns, &m, props, marked);
	if (ty->p.publish_cap)
		d->cap_n++;
	if (m.more) {
		send_stream(ln, d, sched_ns, &m, (uint32_t)n, marked);
		return;
	}
	out_wrote(ln, n);
	out_message(ln, d->seq, sched_ns, !m.qos, marked);
	if (ty->same && !payload && ln->tx_len == (uint32_t)n)
		same_begins(ln, m.topic.n);
	if (ln->tx_n >= ty->p.batch)
		out_flush(ln);
}

/*
 * More messages of a type whose messages are all the same: what stands in the outbox since the
 * last write is left there, and copied from its first where it is not.
 */
static void send_same(struct lean *ln, struct device *d, struct stype *ty, uint32_t n)
{
	struct mqtt_publish m = {.qos = ty->p.qos};
	uint32_t len = ln->same_len;

	msg_scheduled(&ln->led, n);
	d->published += n;
	if (ty->p.publish_cap)
		d->cap_n = (uint16_t)(d->cap_n + n);
	while (n--) {
		uint8_t *at = ln->tx + ln->tx_len;

		if (ln->tx_len + len > ln->same_end) {
			memcpy(at, ln->tx, len);
			ln->same_end = ln->tx_len + len;
		}
		d->seq++;
		if (m.qos) {
			struct inflight *slot = win_slot(ty, d);

			if (!slot) {
				never_sent(ln, d, F_MEMORY);
				continue;
			}
			m.id = d->next_id;
			at[ln->same_id] = (uint8_t)(m.id >> 8);
			at[ln->same_id + 1] = (uint8_t)m.id;
			win_put(ln, d, slot, ln->led.now, &m, NULL, false);
		}
		out_wrote(ln, len);
		out_message(ln, d->seq, ln->led.now, !m.qos, false);
	}
	if (ln->tx_n >= ty->p.batch)
		out_flush(ln);
}

/* --- what makes messages ------------------------------------------------------- */

static void due(struct lean *ln, struct device *d, uint64_t sched_ns)
{
	msg_scheduled(&ln->led, 1);
	d->published++;
	if (d->state != D_ONLINE)
		msg_failed(&ln->led, d->type, SIM_PUBLISH, F_NOT_CONNECTED, 0);
	else if (d->back || !can_send(ln, d))
		backlog_push(ln, d, sched_ns);
	else
		send_message(ln, d, sched_ns, NULL, NULL, NULL);
}

void pub_due(struct lean *ln, struct device *d)
{
	struct stype *ty = type_of(ln, d);
	unsigned n = 0;

	if (d->back)
		pub_more(ln, d);
	if (ln->led.now > d->due_ns + FORGOTTEN_NS) {
		/* A machine that slept: the hours before are not made up for. */
		d->base_ns = ln->led.now;
		d->due_ns = jittered(ty, d);
	}
	/* Open loop: intervals that a busy machine slept through are due too, and late. */
	while (d->due_ns <= ln->led.now && !finished(ty, d) && n < TURN_MSGS) {
		uint64_t at = wheel_round(d->due_ns);

		if (at > ln->led.now)
			at = ln->led.now;
		if (n && ln->led.now - at >= OVERRUN_NS)
			SIM_ADD(&ln->led.pub->tot.overruns, 1);
		for (uint32_t i = 0; i < ty->p.burst && !finished(ty, d); i++, n++)
			due(ln, d, at);
		d->base_ns += ty->p.interval_ns;
		d->due_ns = jittered(ty, d);
	}
	out_flush(ln);
	if (finished(ty, d) || d->state == D_OFF || d->state == D_DRAIN)
		return;
	/* More than can be sent: behind what the wheel runs now, so that sockets have a look in. */
	if (n >= TURN_MSGS)
		lean_clock(ln);
	wheel_arm(&ln->wheel, &d->pub,
		  n >= TURN_MSGS ? ln->led.now + (1u << WHEEL_SHIFT) : d->due_ns);
}

/*
 * A device without an interval: a turn of a few writes, so that what it and its
 * socket have in the kernel is fetched from memory once for all of them; with many
 * thousand connections that is what a write mostly costs. The device stays in the
 * ring only while it can go on; the next PUBACK or a writable socket brings it back
 * through pub_more().
 */
static uint32_t least(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* How many messages a device without interval may make now, as the next part of a write. */
static uint32_t may_send(struct lean *ln, struct device *d, const struct stype *ty, uint32_t most)
{
	uint32_t n = least(most, ty->p.batch - ln->tx_n);

	if (finished(ty, d) || !can_send(ln, d))
		return 0;
	if (!ln->same_len || ln->tx_len > SIM_TX_FULL)
		return 1;
	if (ty->p.count)
		n = least(n, ty->p.count - d->published);
	if (ty->p.qos && d->win)
		n = least(n, win_size(ty, d) - d->win->n);
	if (ty->p.publish_cap)
		n = least(n, ty->p.publish_cap - d->cap_n);
	if (n > 1 && n * (uint64_t)ln->same_len > SIM_TX_FULL - ln->tx_len)
		n = (SIM_TX_FULL - ln->tx_len) / ln->same_len + 1;
	return n;
}

void pub_busy(struct lean *ln, struct device *d)
{
	struct stype *ty = type_of(ln, d);
	uint32_t left = ty->p.batch * BUSY_WRITES, n = 1;

	if (d->busy_next)
		__builtin_prefetch(d->busy_next);
	for (; left && (n = may_send(ln, d, ty, left)); left -= n) {
		if (ln->same_len && ln->tx_len <= SIM_TX_FULL) {
			send_same(ln, d, ty, n);
			continue;
		}
		msg_scheduled(&ln->led, 1);
		d->published++;
		send_message(ln, d, ln->led.now, NULL, NULL, NULL);
	}
	out_flush(ln);
	if (n && !finished(ty, d) && can_send(ln, d))
		busy_add(ln, d);
	else
		busy_del(ln, d);
}

void pub_more(struct lean *ln, struct device *d)
{
	struct stype *ty = type_of(ln, d);

	while (d->back && can_send(ln, d))
		send_message(ln, d, backlog_pop(d), NULL, NULL, NULL);
	if (!ty->p.interval_ns && d->state == D_ONLINE && !ln->quiet && !finished(ty, d) &&
	    can_send(ln, d))
		pub_busy(ln, d);
}

void pub_answer(struct lean *ln, struct device *d, struct mqtt_slice topic,
		struct mqtt_slice payload, struct mqtt_slice correlation)
{
	struct stype *ty = type_of(ln, d);
	struct mqtt_props props = {0};
	char *text = NULL;
	long n;

	msg_scheduled(&ln->led, 1);
	SIM_ADD(&ln->led.pub->tot.answers, 1);
	if (!can_send(ln, d)) {
		msg_failed(&ln->led, d->type, SIM_PUBLISH, F_BACKLOG, 0);
		return;
	}
	if (!payload.p) {
		/* Not ln->payload: the topic may lie in a buffer that rendering uses. */
		text = malloc(SIM_RENDER_MAX);
		n = text ? render_payload(ln, d, ty->answer, ln->led.now, NULL, text,
					  SIM_RENDER_MAX)
			 : -ENOMEM;
		if (n < 0) {
			free(text);
			msg_failed(&ln->led, d->type, SIM_PUBLISH, F_TOO_BIG, 0);
			return;
		}
		payload = mqtt_slice(text, (size_t)n);
	}
	if (correlation.p && ty->p.version == MQTT_V5) {
		props.correlation = correlation;
		props.have = 1ull << MQTT_P_CORRELATION;
	}
	if (!topic.p)
		topic = render_name(ty, d, ty->response, ln->reply_to, sizeof(ln->reply_to));
	send_message(ln, d, ln->led.now, &topic, &payload, &props);
	free(text);
}

void pub_fail(struct lean *ln, struct device *d, enum sim_fail kind)
{
	out_fail(ln, d, kind);
	while (d->back) {
		backlog_pop(d);
		msg_failed(&ln->led, d->type, SIM_PUBLISH, kind, 0);
	}
}
