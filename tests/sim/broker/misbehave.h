/* SPDX-License-Identifier: GPL-2.0-only */
/* What a broker should not do, each by an option of its own. */
#ifndef SINK_MISBEHAVE_H
#define SINK_MISBEHAVE_H

#include "conn.h"

/* Every entry of one queue waits equally long, so that order of arrival is order of departure. */
struct queue {
	struct later *v;
	uint32_t head, n, cap;
};

extern struct queue q_connack, q_puback;

void put_off(struct queue *q, uint32_t ms, struct conn *c, const uint8_t *p, uint8_t n);

static inline void emit_later(struct queue *q, uint32_t ms, struct conn *c, const uint8_t *p,
			      uint8_t n)
{
	if (ms)
		put_off(q, ms, c, p, n);
	else
		emit(c, p, n);
}

/* Sends what is due; returns milliseconds until the next is, or -1. */
int run_queue(struct queue *q);

/* --drop-connects, --refuse: true when that was the connection's end. */
bool refused(struct conn *c, uint8_t version);

/* --reset-after, --garbage: true when there is no answer to give to this PUBLISH. */
static inline bool spoilt(struct conn *c)
{
	/* A reserved packet type whose length never ends. */
	static const uint8_t junk[] = {0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xde, 0xad};

	c->npub++;
	if (opt.reset_after && c->npub >= opt.reset_after)
		conn_close(c, true);
	else if (opt.garbage)
		emit(c, junk, sizeof(junk));
	else
		return false;
	return true;
}

/* --no-puback, --silent, --wrong-ids, --delay-puback; true when the answer was given. */
static inline bool ack(struct conn *c, uint8_t type, uint32_t id)
{
	uint8_t p[4] = {type, 2};

	if (opt.no_puback || opt.silent)
		return false;
	if (opt.wrong_ids)
		id = (id + 7919) % 65535 + 1;
	p[2] = id >> 8;
	p[3] = id;
	emit_later(&q_puback, opt.delay_puback, c, p, sizeof(p));
	return true;
}

/* --lose-every, --double-every: how often a subscriber gets a message. */
int deliveries(void);

#endif
