// SPDX-License-Identifier: GPL-2.0-only
/* Who gets a message: subscriptions to a topic are hashed, those with wildcards are a list. */
#include <stdlib.h>
#include "conn.h"
#include "misbehave.h"

struct sub {
	struct sub *next;     /* in its hash chain or in the wildcard list */
	struct sub *next_own; /* of the same connection */
	int fd;
	uint8_t qos;
	bool wild;
	uint16_t len;
	char filter[];
};

uint64_t nsubs;
static struct sub *exact[4096], *wild;

static uint32_t hash(const char *s, uint32_t n)
{
	uint32_t h = 2166136261u;

	while (n--)
		h = (h ^ (uint8_t)*s++) * 16777619u;
	return h % (sizeof(exact) / sizeof(*exact));
}

static struct sub **chain_of(const struct sub *s)
{
	return s->wild ? &wild : &exact[hash(s->filter, s->len)];
}

static void unlink_sub(struct sub *s)
{
	struct sub **p = chain_of(s);

	while (*p != s)
		p = &(*p)->next;
	*p = s->next;
	free(s);
	nsubs--;
}

uint8_t subscribe(struct conn *c, const char *f, uint32_t n, uint8_t qos)
{
	struct sub *s, **chain;

	if (opt.workers > 1 || qos > 2)
		return 0x80;
	s = must(malloc(sizeof(*s) + n + 1));
	*s = (struct sub){.fd = fd_of(c), .qos = qos, .len = n, .next_own = c->subs};
	memcpy(s->filter, f, n);
	s->filter[n] = 0;
	s->wild = memchr(f, '+', n) || memchr(f, '#', n);
	c->subs = s;
	chain = chain_of(s);
	s->next = *chain;
	*chain = s;
	nsubs++;
	return qos;
}

void unsubscribe(struct conn *c, const char *f, uint32_t n)
{
	for (struct sub **p = &c->subs; *p; p = &(*p)->next_own) {
		struct sub *s = *p;

		if (s->len == n && !memcmp(s->filter, f, n)) {
			*p = s->next_own;
			unlink_sub(s);
			return;
		}
	}
}

void unsubscribe_all(struct conn *c)
{
	while (c->subs) {
		struct sub *s = c->subs;

		c->subs = s->next_own;
		unlink_sub(s);
	}
}

static bool matches(const struct sub *s, const char *t, uint32_t n)
{
	const char *f = s->filter, *fe = f + s->len, *te = t + n;

	while (f < fe) {
		if (*f == '#')
			return true;
		if (*f == '+') {
			while (t < te && *t != '/')
				t++;
			f++;
			continue;
		}
		if (t == te) /* "a/#" also matches "a" */
			return fe - f == 2 && f[0] == '/' && f[1] == '#';
		if (*f++ != *t++)
			return false;
	}
	return t == te;
}

static void deliver_to(const struct sub *s, const struct message *m)
{
	struct conn *to = &conns[s->fd];
	uint8_t h[16], q = m->qos < s->qos ? m->qos : s->qos;
	uint32_t n, rem = 2 + m->topic_len + (q ? 2 : 0) + m->body_len;

	if (to->closing)
		return;
	if (to->ver == 5)
		rem += put_varint(h, m->props_len) + m->props_len;
	for (int times = deliveries(); times > 0; times--) {
		n = 0;
		h[n++] = 0x30 | q << 1;
		n += put_varint(h + n, rem);
		h[n++] = m->topic_len >> 8;
		h[n++] = m->topic_len;
		emit(to, h, n);
		emit(to, m->topic, m->topic_len);
		n = 0;
		if (q) {
			if (!++to->next_id)
				to->next_id = 1;
			h[n++] = to->next_id >> 8;
			h[n++] = to->next_id;
		}
		if (to->ver == 5)
			n += put_varint(h + n, m->props_len);
		emit(to, h, n);
		if (to->ver == 5)
			emit(to, m->props, m->props_len);
		emit(to, m->body, m->body_len);
		st->delivered++;
	}
}

void route(const struct message *m)
{
	const char *t = m->topic;
	uint32_t n = m->topic_len;

	for (struct sub *s = exact[hash(t, n)]; s; s = s->next)
		if (s->len == n && !memcmp(s->filter, t, n))
			deliver_to(s, m);
	for (struct sub *s = wild; s; s = s->next)
		if ((t[0] != '$' || s->filter[0] == '$') && matches(s, t, n))
			deliver_to(s, m);
}
