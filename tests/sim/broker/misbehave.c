// SPDX-License-Identifier: GPL-2.0-only
/* What a broker should not do: what of it is not for the path of every packet. */
#include <stdlib.h>
#include "misbehave.h"

struct later {
	uint64_t due;
	uint32_t gen;
	int fd;
	uint8_t len, data[8];
};

struct queue q_connack, q_puback;

void put_off(struct queue *q, uint32_t ms, struct conn *c, const uint8_t *p, uint8_t n)
{
	struct later *l;

	if (q->n == q->cap) {
		uint32_t cap = q->cap ? q->cap * 2 : 1024;
		struct later *v = must(malloc(cap * sizeof(*v)));

		for (uint32_t i = 0; i < q->n; i++)
			v[i] = q->v[(q->head + i) % q->cap];
		free(q->v);
		*q = (struct queue){.v = v, .n = q->n, .cap = cap};
	}
	l = &q->v[(q->head + q->n++) % q->cap];
	*l = (struct later){
		.due = now_ns() + ms * 1000000ull, .gen = c->gen, .fd = fd_of(c), .len = n};
	memcpy(l->data, p, n);
}

int run_queue(struct queue *q)
{
	while (q->n) {
		struct later *l = &q->v[q->head];
		struct conn *c = &conns[l->fd];
		uint64_t t = now_ns();

		if (l->due > t)
			return (l->due - t + 999999) / 1000000;
		if (c->live && c->gen == l->gen)
			emit(c, l->data, l->len);
		q->head = (q->head + 1) % q->cap;
		q->n--;
	}
	return -1;
}

bool refused(struct conn *c, uint8_t version)
{
	uint8_t p[5] = {0x20, version == 5 ? 3 : 2, 0, opt.refuse, 0};

	if (!opt.drop_connects && opt.refuse < 0)
		return false;
	st->refused++;
	if (!opt.drop_connects) {
		emit(c, p, 2 + p[1]);
		flush_all();
	}
	conn_close(c, false);
	return true;
}

int deliveries(void)
{
	static uint64_t n;

	n++;
	if (opt.lose_every && n % opt.lose_every == 0) {
		st->deliveries_lost++;
		return 0;
	}
	if (opt.double_every && n % opt.double_every == 0) {
		st->deliveries_doubled++;
		return 2;
	}
	return 1;
}
