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
#include "sim/engine/shard.h"

#define BUSY_WRITES 8 /* of a device without interval in a row */

static struct stype *type_of(struct shard *sh, const struct device *d)
{
	return &sh->type[d->type];
}

static bool finished(const struct stype *ty, const struct device *d)
{
	return !*ty->p.topic || (ty->p.count && d->published >= ty->p.count);
}

/* --- schedule ---------------------------------------------------------------- */

/*
 * Waking up costs as much as sending. So that a device of a small fleet costs what
 * one of a large fleet does, devices fall due in groups of about four: an interval
 * is divided into slots, each a power of two of ticks, but never longer than a
 * hundredth of the interval or 10 ms, and messages are due at the start of a slot. From
 * some 15,000 messages per second and shard on that is the wheel's own tick.
 */
uint64_t pub_grid(uint64_t interval_ns, uint32_t n)
{
	uint64_t most = interval_ns / 100 < 10000000 ? interval_ns / 100 : 10000000,
		 grid = 1ull << WHEEL_SHIFT;

	while (grid * 2 <= most && grid * n < interval_ns * 4)
		grid *= 2;
	return grid;
}

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

void pub_schedule(struct shard *sh, struct device *d, bool rephase)
{
	struct stype *ty = type_of(sh, d);

	wheel_cancel(&sh->wheel, &d->pub);
	busy_del(sh, d);
	if (finished(ty, d) || sh->quiet || !d->ever_online || d->state == D_DRAIN ||
	    d->state == D_OFF)
		return;
	if (!ty->p.interval_ns) {
		if (d->state == D_ONLINE)
			busy_add(sh, d);
		return;
	}
	if (rephase) {
		/* Devices that connect together must not publish together. */
		d->base_ns = on_grid(
			ty, sh->now + (uint64_t)((double)ty->p.interval_ns * sim_rand1(&d->rng)));
		d->due_ns = jittered(ty, d);
		if (d->due_ns < sh->now)
			d->due_ns = sh->now;
	}
	wheel_arm(&sh->wheel, &d->pub, d->due_ns);
}

/* --- encoding ---------------------------------------------------------------- */

static bool can_send(struct shard *sh, struct device *d)
{
	const struct stype *ty = type_of(sh, d);
	uint32_t window = ty->p.inflight, sec;

	if (d->blocked || (d->state != D_ONLINE && d->state != D_DRAIN))
		return false;
	if (d->recv_max && d->recv_max < window)
		window = d->recv_max;
	if (ty->p.qos && d->win && d->win->n >= window)
		return false;
	if (ty->p.publish_cap) {
		sec = (uint32_t)(sh->now / 1000000000ull);
		if (d->cap_sec != sec) {
			d->cap_sec = sec;
			d->cap_n = 0;
		}
		if (d->cap_n >= ty->p.publish_cap)
			return false;
	}
	return true;
}

static struct inflight *window_slot(struct stype *ty, struct device *d)
{
	struct window *w = d->win;
	uint32_t size = 1;

	while (size < ty->p.inflight)
		size *= 2;
	if (!w || w->mask + 1u < size) {
		struct window *grown = calloc(1, sizeof(*w) + size * sizeof(w->slot[0]));

		if (!grown)
			return NULL;
		grown->mask = (uint16_t)(size - 1);
		for (uint32_t i = 0; w && i <= w->mask; i++)
			if (w->slot[i].id)
				grown->slot[w->slot[i].id & grown->mask] = w->slot[i];
		grown->n = w ? w->n : 0;
		free(w);
		d->win = w = grown;
	}
	/* Identifiers go up; one whose slot is still taken is passed over. */
	for (uint32_t i = 0; i <= w->mask + 1u; i++) { /* one more: 0 is none */
		if (!++d->next_id)
			d->next_id = 1;
		if (!w->slot[d->next_id & w->mask].id)
			return &w->slot[d->next_id & w->mask];
	}
	return NULL;
}

static void window_free(struct window *w, struct inflight *s)
{
	free(s->copy);
	memset(s, 0, sizeof(*s));
	w->n--;
}

/* --- backlog ------------------------------------------------------------------- */

static void backlog_push(struct shard *sh, struct device *d, uint64_t sched_ns)
{
	struct backlog *b = d->back;

	if (b && b->n == SIM_BACKLOG_MAX) {
		msg_failed(sh, d->type, SIM_PUBLISH, F_BACKLOG, 0);
		return;
	}
	if (!b || b->n == b->cap) {
		uint16_t cap = b ? (uint16_t)(b->cap * 2) : 16;
		struct backlog *grown = malloc(sizeof(*b) + cap * sizeof(uint64_t));

		if (!grown) {
			msg_failed(sh, d->type, SIM_PUBLISH, F_MEMORY, 0);
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
static void make_mark(struct shard *sh, const struct device *d, uint32_t seq, uint64_t sched_ns)
{
	static const char hex[] = "0123456789abcdef";
	uint64_t v[] = {sh->a->run_id, (uint64_t)d->type << 32 | d->index, seq, sched_ns / 1000};
	unsigned digits[] = {8, 10, 8, 14};
	char *at = sh->mark;

	memcpy(at, "SQ1:", 4);
	at += 4;
	for (unsigned f = 0; f < 4; f++)
		for (unsigned i = digits[f]; i--;)
			*at++ = hex[v[f] >> 4 * i & 15];
}

static long render_payload(struct shard *sh, struct device *d, const struct sim_tmpl *t,
			   const char *mark, char *buf, size_t cap)
{
	struct stype *ty = type_of(sh, d);
	struct sim_tmpl_ctx c = {.thing = d->thing,
				 .client_id = d->thing,
				 .type = ty->p.name,
				 .index = d->index + ty->p.first,
				 .seq = d->seq,
				 .rng = &d->rng,
				 .mark = mark};
	unsigned walks = sim_tmpl_walks(t);

	if (walks) {
		struct extra *x = dev_extra(d);

		if (!x)
			return -ENOMEM;
		if (!x->walk) {
			x->walk = malloc(walks * sizeof(double));
			if (!x->walk)
				return -ENOMEM;
			for (unsigned i = 0; i < walks; i++)
				x->walk[i] = NAN;
		}
		c.walk = x->walk;
	}
	return sim_tmpl_render(t, &c, buf, cap);
}

static struct mqtt_slice render_topic(struct shard *sh, struct device *d, const struct sim_tmpl *t)
{
	struct stype *ty = type_of(sh, d);
	struct sim_tmpl_ctx c = {.thing = d->thing,
				 .client_id = d->thing,
				 .type = ty->p.name,
				 .index = d->index + ty->p.first};
	long n = sim_tmpl_render(t, &c, sh->topic, sizeof(sh->topic));

	return mqtt_slice(sh->topic, n < 0 ? 0 : (size_t)n);
}

/* What the next message carries; false when it does not fit. */
static bool make_payload(struct shard *sh, struct device *d, uint64_t sched_ns,
			 struct mqtt_slice *ret, bool *ret_marked)
{
	static const char head[] = "{\"state\":{\"reported\":";
	struct stype *ty = type_of(sh, d);
	size_t at = 0;
	long n;

	*ret_marked = ty->p.e2e;
	if (ty->p.e2e)
		make_mark(sh, d, d->seq, sched_ns);
	if (ty->fixed_payload && !ty->p.e2e && !ty->p.shadow) {
		*ret = mqtt_slice(ty->fixed_payload, ty->fixed_len);
		return true;
	}
	if (ty->p.shadow) {
		memcpy(sh->payload, head, sizeof(head) - 1);
		at = sizeof(head) - 1;
	}
	n = render_payload(sh, d, ty->payload, ty->p.e2e ? sh->mark : NULL, sh->payload + at,
			   SIM_RENDER_MAX);
	if (n < 0)
		return false;
	if (ty->p.e2e && sim_tmpl_is_size(ty->payload))
		memcpy(sh->payload + at, sh->mark, SIM_MARK_LEN);
	n += (long)at;
	if (ty->p.shadow) {
		memcpy(sh->payload + n, "}}", 2);
		n += 2;
	}
	*ret = mqtt_slice(sh->payload, (size_t)n);
	return true;
}

static void send_message(struct shard *sh, struct device *d, uint64_t sched_ns,
			 const struct mqtt_slice *topic, const struct mqtt_slice *payload,
			 const struct mqtt_props *props)
{
	struct stype *ty = type_of(sh, d);
	struct mqtt_publish m = {.qos = ty->p.qos, .retain = ty->p.retain};
	struct inflight *slot = NULL;
	bool marked = false;
	uint8_t *at;
	size_t cap;
	long n;

	/* What is left after this holds the longest message. */
	if (sh->tx_len > 60000 || sh->tx_n == SIM_TX_MSGS) {
		io_flush(sh, d);
		if (d->fd < 0 || (d->blocked && payload)) {
			msg_failed(sh, d->type, SIM_PUBLISH, F_UNSENT, 0);
			return;
		}
		if (d->blocked) {
			backlog_push(sh, d, sched_ns);
			return;
		}
	}
	d->seq++;
	if (payload) {
		m.payload = *payload;
	} else if (!make_payload(sh, d, sched_ns, &m.payload, &marked)) {
		msg_failed(sh, d->type, SIM_PUBLISH, F_TOO_BIG, 0);
		return;
	}
	m.topic = topic ? *topic : render_topic(sh, d, ty->topic);
	if (m.qos) {
		slot = window_slot(ty, d);
		if (!slot) {
			msg_failed(sh, d->type, SIM_PUBLISH, F_MEMORY, 0);
			return;
		}
		m.id = d->next_id;
	}
	at = sh->tx + sh->tx_len;
	cap = SIM_TX_CAP - sh->tx_len;
	n = mqtt_enc_publish(at, cap, ty->p.version, &m, props);
	if (n < 0) {
		msg_failed(sh, d->type, SIM_PUBLISH, F_TOO_BIG, 0);
		return;
	}
	if (slot) {
		*slot = (struct inflight){.sched_ns = sched_ns,
					  .sent_ms = ms_of(sh->now),
					  .seq = d->seq,
					  .id = m.id,
					  .marked = marked,
					  .await = m.qos == 1 ? MQTT_PUBACK : MQTT_PUBREC};
		if (!ty->p.clean) {
			slot->copy = malloc((size_t)n);
			if (slot->copy) {
				memcpy(slot->copy, at, (size_t)n);
				slot->copy_len = (uint32_t)n;
			}
		}
		/* The timer looks at the window from the first message on. */
		if (!d->win->n++ && (!d->life.pprev ||
				     d->life.tick << WHEEL_SHIFT > sh->now + ty->p.ack_timeout_ns))
			wheel_arm(&sh->wheel, &d->life, sh->now + ty->p.ack_timeout_ns);
	}
	if (ty->p.publish_cap)
		d->cap_n++;
	io_wrote(sh, n);
	sh->tx_msg[sh->tx_n].end = sh->tx_len;
	sh->tx_msg[sh->tx_n].seq = d->seq & 0x7fffffff;
	sh->tx_msg[sh->tx_n].sched_ns = sched_ns;
	sh->tx_msg[sh->tx_n].count = !m.qos;
	sh->tx_msg[sh->tx_n++].marked = marked;
	if (sh->tx_n >= ty->p.batch)
		io_flush(sh, d);
}

void pub_written(struct shard *sh, struct device *d, uint64_t sched_ns, uint32_t bytes, bool marked,
		 bool count)
{
	stat_ok(sh, d->type, SIM_PUBLISH, sched_ns, sh->now, bytes);
	if (!count)
		return;
	msg_acked(sh);
	if (marked && sh->a->acked)
		SIM_ADD(&sh->a->acked[(size_t)d->type * sh->a->max_devices + d->index], 1);
}

/* --- what makes messages ------------------------------------------------------- */

static void due(struct shard *sh, struct device *d, uint64_t sched_ns)
{
	msg_scheduled(sh);
	d->published++;
	if (d->state != D_ONLINE)
		msg_failed(sh, d->type, SIM_PUBLISH, F_NOT_CONNECTED, 0);
	else if (d->back || !can_send(sh, d))
		backlog_push(sh, d, sched_ns);
	else
		send_message(sh, d, sched_ns, NULL, NULL, NULL);
}

void pub_due(struct shard *sh, struct device *d)
{
	struct stype *ty = type_of(sh, d);
	unsigned missed = 0;

	if (d->back)
		pub_more(sh, d);
	/* Open loop: intervals that a busy machine slept through are due too, and late. */
	while (d->due_ns <= sh->now && !finished(ty, d)) {
		uint64_t at = wheel_round(d->due_ns);

		if (at > sh->now)
			at = sh->now;
		for (uint32_t i = 0; i < ty->p.burst && !finished(ty, d); i++)
			due(sh, d, at);
		d->base_ns += ty->p.interval_ns;
		d->due_ns = jittered(ty, d);
		if (missed++)
			SIM_ADD(&sh->pub->tot.overruns, 1);
		if (missed == 10000) {
			/* Hours behind (a stopped machine): the rest is not made up for. */
			d->base_ns = sh->now + ty->p.interval_ns;
			d->due_ns = jittered(ty, d);
		}
	}
	if (d->fd >= 0)
		io_flush(sh, d);
	if (!finished(ty, d) && d->state != D_OFF && d->state != D_DRAIN)
		wheel_arm(&sh->wheel, &d->pub, d->due_ns);
}

/*
 * A device without an interval: a turn of a few writes, so that what it and its
 * socket have in the kernel is fetched from memory once for all of them; with many
 * thousand connections that is what a write mostly costs. The device stays in the
 * ring only while it can go on; the next PUBACK or a writable socket brings it back
 * through pub_more().
 */
void pub_busy(struct shard *sh, struct device *d)
{
	struct stype *ty = type_of(sh, d);
	bool more = true;

	if (d->busy_next)
		__builtin_prefetch(d->busy_next);
	for (uint32_t i = 0; i < ty->p.batch * BUSY_WRITES; i++) {
		more = d->fd >= 0 && !finished(ty, d) && can_send(sh, d);
		if (!more)
			break;
		msg_scheduled(sh);
		d->published++;
		send_message(sh, d, sh->now, NULL, NULL, NULL);
	}
	if (d->fd >= 0)
		io_flush(sh, d);
	if (more && (d->fd < 0 || finished(ty, d) || !can_send(sh, d)))
		more = false;
	if (more)
		busy_add(sh, d);
	else
		busy_del(sh, d);
}

void pub_more(struct shard *sh, struct device *d)
{
	struct stype *ty = type_of(sh, d);

	while (d->back && can_send(sh, d))
		send_message(sh, d, backlog_pop(d), NULL, NULL, NULL);
	if (!ty->p.interval_ns && d->state == D_ONLINE && !sh->quiet && !finished(ty, d) &&
	    can_send(sh, d))
		pub_busy(sh, d);
}

void pub_answer(struct shard *sh, struct device *d, struct mqtt_slice topic,
		struct mqtt_slice payload, struct mqtt_slice correlation)
{
	struct stype *ty = type_of(sh, d);
	struct mqtt_props props = {0};
	char *text = NULL;
	long n;

	msg_scheduled(sh);
	if (!can_send(sh, d)) {
		msg_failed(sh, d->type, SIM_PUBLISH, F_BACKLOG, 0);
		return;
	}
	if (!payload.p) {
		/* Not sh->payload: the topic may lie in a buffer that rendering uses. */
		text = malloc(SIM_RENDER_MAX);
		n = text ? render_payload(sh, d, ty->answer, NULL, text, SIM_RENDER_MAX) : -ENOMEM;
		if (n < 0) {
			free(text);
			msg_failed(sh, d->type, SIM_PUBLISH, F_TOO_BIG, 0);
			return;
		}
		payload = mqtt_slice(text, (size_t)n);
	}
	if (correlation.p && ty->p.version == MQTT_V5) {
		props.correlation = correlation;
		props.have = 1ull << MQTT_P_CORRELATION;
	}
	if (!topic.p)
		topic = render_topic(sh, d, ty->response);
	send_message(sh, d, sh->now, &topic, &payload, &props);
	free(text);
}

/* --- what becomes of them -------------------------------------------------------- */

static void window_done(struct shard *sh, struct device *d, struct inflight *s)
{
	stat_ok(sh, d->type, SIM_PUBACK, s->sched_ns, sh->now, 0);
	msg_acked(sh);
	if (s->marked && sh->a->acked)
		SIM_ADD(&sh->a->acked[(size_t)d->type * sh->a->max_devices + d->index], 1);
	window_free(d->win, s);
}

void pub_ack(struct shard *sh, struct device *d, uint8_t type, uint16_t id, uint8_t reason)
{
	struct stype *ty = type_of(sh, d);
	struct inflight *s = d->win ? &d->win->slot[id & d->win->mask] : NULL;
	uint8_t *at;
	size_t cap;

	if (!s || s->id != id || s->await != type) {
		/* One that was never given out, seen from the last that was. */
		if ((uint16_t)(d->next_id - id) >= 32768 && ty->p.clean) {
			dev_lost(sh, d, F_WRONG_ID, type);
			return;
		}
		/* Of a message given up: nobody waits for it. */
		SIM_ADD(&sh->pub->tot.late_acks, 1);
		if (type == MQTT_PUBREC) {
			at = io_room(sh, d, 8, &cap);
			io_wrote(sh, mqtt_enc_ack(at, cap, ty->p.version, MQTT_PUBREL, id,
						  ty->p.version == MQTT_V5 ? 0x92 : 0));
		}
		return;
	}
	if (reason >= 0x80) {
		msg_failed(sh, d->type, SIM_PUBACK, F_ACK_REASON, reason);
		window_free(d->win, s);
		return;
	}
	if (type == MQTT_PUBREC) {
		s->await = MQTT_PUBCOMP;
		s->sent_ms = ms_of(sh->now);
		free(s->copy);
		s->copy = NULL;
		at = io_room(sh, d, 8, &cap);
		io_wrote(sh, mqtt_enc_ack(at, cap, ty->p.version, MQTT_PUBREL, id, 0));
		return;
	}
	window_done(sh, d, s);
}

void pub_timeouts(struct shard *sh, struct device *d, uint64_t *next_ns)
{
	struct stype *ty = type_of(sh, d);
	uint32_t now = ms_of(sh->now), limit = ms_of(ty->p.ack_timeout_ns);

	for (uint32_t i = 0; d->win && d->win->n && i <= d->win->mask; i++) {
		struct inflight *s = &d->win->slot[i];

		if (!s->id)
			continue;
		if (now - s->sent_ms >= limit) {
			if (s->await == MQTT_PUBACK)
				msg_failed(sh, d->type, SIM_PUBACK, F_NO_PUBACK, 0);
			else
				msg_failed(sh, d->type, SIM_PUBACK, F_NO_PUBCOMP, s->await);
			window_free(d->win, s);
		} else {
			uint64_t at = sh->now + (uint64_t)(limit - (now - s->sent_ms)) * 1000000;

			if (at < *next_ns)
				*next_ns = at;
		}
	}
}

void pub_resend(struct shard *sh, struct device *d)
{
	struct stype *ty = type_of(sh, d);
	uint32_t size = d->win ? d->win->mask + 1u : 0;

	/* In the order of their identifiers, from the one after the last given out. */
	for (uint32_t i = 1; i <= size && d->win->n; i++) {
		struct inflight *s = &d->win->slot[(d->next_id + i) & d->win->mask];
		uint8_t *at;
		size_t cap;

		if (!s->id)
			continue;
		s->sent_ms = ms_of(sh->now);
		if (s->await == MQTT_PUBCOMP) {
			at = io_room(sh, d, 8, &cap);
			io_wrote(sh, mqtt_enc_ack(at, cap, ty->p.version, MQTT_PUBREL, s->id, 0));
		} else if (s->copy) {
			at = io_room(sh, d, s->copy_len, &cap);
			if (cap < s->copy_len)
				continue;
			memcpy(at, s->copy, s->copy_len);
			at[0] |= 8; /* DUP */
			io_wrote(sh, s->copy_len);
		}
		if (d->fd < 0)
			return;
	}
}

void pub_fail_all(struct shard *sh, struct device *d, enum sim_fail kind, bool keep_window)
{
	/* QoS 0 in the shard's buffer: only when the device being served is this one. */
	for (uint32_t i = 0; i < sh->tx_n; i++) {
		if (sh->tx_msg[i].count)
			msg_failed(sh, d->type, SIM_PUBLISH, kind == F_STOPPED ? kind : F_UNSENT,
				   0);
		else
			pub_written(sh, d, sh->tx_msg[i].sched_ns, 0, false, false);
	}
	sh->tx_len = sh->tx_n = 0;
	for (uint32_t i = 0; d->out && i < d->out->nmsg; i++)
		msg_failed(sh, d->type, SIM_PUBLISH, kind == F_STOPPED ? kind : F_UNSENT, 0);
	if (d->out)
		d->out->nmsg = 0;
	while (d->back) {
		backlog_pop(d);
		msg_failed(sh, d->type, SIM_PUBLISH, kind == F_STOPPED ? kind : F_UNSENT, 0);
	}
	if (keep_window)
		return;
	for (uint32_t i = 0; d->win && d->win->n && i <= d->win->mask; i++) {
		if (!d->win->slot[i].id)
			continue;
		msg_failed(sh, d->type, SIM_PUBACK, kind, 0);
		window_free(d->win, &d->win->slot[i]);
	}
}
