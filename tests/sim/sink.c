// libs: -lssl -lcrypto
// SPDX-License-Identifier: GPL-2.0-only
/*
 * sink: a counting MQTT broker for tests of the simulator, fast enough that the
 * client under test is what gets measured, and able to misbehave on request.
 *
 * MQTT 3.1.1 and 5; CONNECT, PUBLISH of QoS 0/1/2, SUBSCRIBE (exact topics, +
 * and #), UNSUBSCRIBE, PINGREQ, DISCONNECT; TCP or TLS. No retained messages,
 * no sessions, no wills, nothing is resent: tests that need those have mosquitto.
 *
 * One worker is one process with one epoll: a process may hold 20,000
 * descriptors on the machines we test on, so many connections mean --workers N,
 * over which the kernel spreads them (SO_REUSEPORT). Workers share counters but
 * no subscriptions; with more than one, SUBSCRIBE is answered with failure
 * rather than with a silence that looks like loss.
 *
 * --spin polls without sleeping: then no sender pays for waking the sink, which
 * in a virtual machine costs more than the send itself and would hide what a
 * bench wants to see.
 *
 * stdout carries JSON lines: {"listening":PORT}, then one line of totals for
 * each SIGUSR1, and a last one ("final":true, with the per-second series) on
 * SIGTERM or SIGINT.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define RBUF	(1u << 20)	/* largest packet accepted, and one read's worth */
#define SCRATCH	(64u << 10)
#define OUT_MAX	(8u << 20)	/* a subscriber this far behind is dropped, and counted */
#define SERIES	7200

#define COUNTERS(X) \
	X(accepted) X(open) X(connected) X(connects) X(connects_v5) X(refused) X(disconnects) \
	X(closed_by_peer) X(resets_sent) X(malformed) X(publishes) X(publishes_q0) \
	X(publishes_q1) X(publishes_q2) X(publishes_dup) X(payload_bytes) X(bytes_in) \
	X(bytes_out) X(pubacks_out) X(pubacks_in) X(pubrels_in) X(pubcomps_in) X(subscribes) \
	X(unsubscribes) X(delivered) X(deliveries_lost) X(deliveries_doubled) X(pings) X(reads) \
	X(slow_consumers) X(tls_full) X(tls_resumed) X(tls_failed) X(fd_full)

struct stats {
#define X(n) uint64_t n;
	COUNTERS(X)
#undef X
} __attribute__((aligned(64)));

struct sub {
	struct sub *next;	/* in its hash chain or in the wildcard list */
	struct sub *next_own;	/* of the same connection */
	int fd;
	uint8_t qos;
	bool wild;
	uint16_t len;
	char filter[];
};

struct conn {
	uint32_t gen;		/* tells a reused descriptor from the one a timer meant */
	uint8_t ver;		/* 0 until CONNECT */
	bool live, tls_done, want_out, dirty, closing;
	uint16_t next_id;
	uint32_t npub;
	uint8_t *part;		/* start of a packet that has not arrived whole */
	uint32_t part_len;
	uint8_t *out;
	uint32_t out_len, out_off, out_cap;
	uint16_t *q2;		/* ids of QoS 2 messages between PUBREC and PUBREL */
	uint32_t nq2;
	SSL *ssl;
	struct sub *subs;
};

struct later {
	uint64_t due;
	uint32_t gen;
	int fd;
	uint8_t len, data[8];
};

/* Every entry of one queue waits equally long, so that order of arrival is order of departure. */
struct queue {
	struct later *v;
	uint32_t head, n, cap;
};

static struct {
	const char *addr, *cert, *key, *cafile;
	int port, workers, refuse, tls_version;
	uint32_t delay_connack, delay_puback, reset_after, lose_every, double_every;
	bool no_puback, wrong_ids, garbage, drop_connects, silent, no_pingresp, no_tickets, spin;
} opt = { .addr = "127.0.0.1", .workers = 1, .refuse = -1 };

static struct stats *all_stats, *st;
static struct conn *conns;
static int max_fd, ep, listener;
static uint8_t rbuf[RBUF], scratch[SCRATCH];
static uint32_t scratch_len;
static struct conn *cur;
static struct queue q_connack, q_puback;
static int *dirty;
static uint32_t ndirty;
static struct sub *exact[4096], *wild;
static uint64_t nsubs, ndeliveries;
static SSL_CTX *ctx;
static bool accepting = true;

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

static void __attribute__((noreturn, format(printf, 1, 2))) die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("sink: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	exit(2);
}

static void *must(void *p)
{
	if (!p)
		die("out of memory");
	return p;
}

static int fd_of(const struct conn *c)
{
	return c - conns;
}

static void watch(struct conn *c, bool out)
{
	struct epoll_event ev = { .events = EPOLLIN | (out ? EPOLLOUT : 0), .data.fd = fd_of(c) };

	if (c->want_out == out)
		return;
	c->want_out = out;
	epoll_ctl(ep, EPOLL_CTL_MOD, fd_of(c), &ev);
}

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

static void conn_close(struct conn *c, bool reset)
{
	struct linger lg = { .l_onoff = 1 };

	if (!c->live)
		return;
	while (c->subs) {
		struct sub *s = c->subs;

		c->subs = s->next_own;
		unlink_sub(s);
	}
	if (reset) {
		setsockopt(fd_of(c), SOL_SOCKET, SO_LINGER, &lg, sizeof(lg));
		st->resets_sent++;
	}
	if (c->ssl) {
		/* Without this OpenSSL takes the session for broken and will not resume it. */
		SSL_set_shutdown(c->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
		SSL_free(c->ssl);
	}
	close(fd_of(c));
	free(c->part);
	free(c->out);
	free(c->q2);
	st->open--;
	st->connected -= c->ver != 0;
	if (cur == c)
		scratch_len = 0;
	*c = (struct conn){ .gen = c->gen + 1 };
	if (!accepting) {
		struct epoll_event ev = { .events = EPOLLIN, .data.fd = listener };

		accepting = !epoll_ctl(ep, EPOLL_CTL_ADD, listener, &ev);
	}
}

/* Writes what it can; 0 is "later", < 0 is a dead connection. */
static int conn_send(struct conn *c, const uint8_t *p, uint32_t n)
{
	int r;

	if (c->ssl) {
		ERR_clear_error();
		r = SSL_write(c->ssl, p, n);
		if (r <= 0)
			r = SSL_get_error(c->ssl, r) == SSL_ERROR_WANT_WRITE ? 0 : -1;
	} else {
		r = send(fd_of(c), p, n, MSG_NOSIGNAL);
		if (r < 0 && errno == EAGAIN)
			r = 0;
	}
	if (r > 0)
		st->bytes_out += r;
	return r;
}

static void append(struct conn *c, const void *p, uint32_t n)
{
	if (!c->dirty) {
		c->dirty = true;
		dirty[ndirty++] = fd_of(c);
	}
	if (c->closing || c->out_len + n > OUT_MAX) {
		st->slow_consumers += !c->closing;
		c->closing = true;
		return;
	}
	if (c->out_len + n > c->out_cap) {
		c->out_cap = (c->out_len + n) * 2;
		c->out = must(realloc(c->out, c->out_cap));
	}
	memcpy(c->out + c->out_len, p, n);
	c->out_len += n;
}

/* Answers to the connection being read gather in one scratch buffer: no malloc, one write. */
static void emit(struct conn *c, const void *p, uint32_t n)
{
	if (c == cur && !c->out_len && scratch_len + n <= SCRATCH) {
		memcpy(scratch + scratch_len, p, n);
		scratch_len += n;
		return;
	}
	if (c == cur && scratch_len) {
		append(c, scratch, scratch_len);
		scratch_len = 0;
	}
	append(c, p, n);
}

static void flush(struct conn *c)
{
	while (c->out_off < c->out_len) {
		int r = conn_send(c, c->out + c->out_off, c->out_len - c->out_off);

		if (r < 0) {
			conn_close(c, false);
			return;
		}
		if (!r)
			break;
		c->out_off += r;
	}
	if (c->out_off == c->out_len) {
		free(c->out);
		c->out = NULL;
		c->out_len = c->out_off = c->out_cap = 0;
	}
	watch(c, c->out_len != 0);
}

static void flush_all(void)
{
	if (cur && scratch_len) {
		uint32_t n = scratch_len;
		int r;

		scratch_len = 0;
		r = conn_send(cur, scratch, n);
		if (r < 0)
			conn_close(cur, false);
		else if ((uint32_t)r < n)
			append(cur, scratch + r, n - r);
	}
	for (uint32_t i = 0; i < ndirty; i++) {
		struct conn *c = &conns[dirty[i]];

		if (!c->live || !c->dirty)
			continue;
		c->dirty = false;
		if (c->closing)
			conn_close(c, false);
		else
			flush(c);
	}
	ndirty = 0;
}

static void emit_later(struct queue *q, uint32_t ms, struct conn *c, const uint8_t *p, uint8_t n)
{
	struct later *l;

	if (!ms) {
		emit(c, p, n);
		return;
	}
	if (q->n == q->cap) {
		uint32_t cap = q->cap ? q->cap * 2 : 1024;
		struct later *v = must(malloc(cap * sizeof(*v)));

		for (uint32_t i = 0; i < q->n; i++)
			v[i] = q->v[(q->head + i) % q->cap];
		free(q->v);
		*q = (struct queue){ .v = v, .n = q->n, .cap = cap };
	}
	l = &q->v[(q->head + q->n++) % q->cap];
	*l = (struct later){ .due = now_ns() + ms * 1000000ull, .gen = c->gen, .fd = fd_of(c),
			     .len = n };
	memcpy(l->data, p, n);
}

/* Sends what is due; returns milliseconds until the next is, or -1. */
static int run_queue(struct queue *q)
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

/* --- packets ----------------------------------------------------------------- */

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

static uint32_t put_varint(uint8_t *p, uint32_t v)
{
	uint32_t n = 0;

	do {
		p[n++] = (v & 127) | (v > 127 ? 128 : 0);
		v >>= 7;
	} while (v);
	return n;
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
		if (t == te)	/* "a/#" also matches "a" */
			return fe - f == 2 && f[0] == '/' && f[1] == '#';
		if (*f++ != *t++)
			return false;
	}
	return t == te;
}

static void deliver_to(const struct sub *s, uint8_t qos, const char *topic, uint32_t tlen,
		       const char *props, uint32_t plen, const char *body, uint32_t blen)
{
	struct conn *to = &conns[s->fd];
	uint8_t h[16], q = qos < s->qos ? qos : s->qos;
	uint32_t n = 0, rem = 2 + tlen + (q ? 2 : 0) + blen;
	int times = 1;

	if (to->closing)
		return;
	ndeliveries++;
	if (opt.lose_every && ndeliveries % opt.lose_every == 0) {
		st->deliveries_lost++;
		return;
	}
	if (opt.double_every && ndeliveries % opt.double_every == 0) {
		st->deliveries_doubled++;
		times = 2;
	}
	if (to->ver == 5) {
		uint8_t tmp[4];

		rem += put_varint(tmp, plen) + plen;
	}
	while (times--) {
		n = 0;
		h[n++] = 0x30 | q << 1;
		n += put_varint(h + n, rem);
		h[n++] = tlen >> 8;
		h[n++] = tlen;
		emit(to, h, n);
		emit(to, topic, tlen);
		n = 0;
		if (q) {
			if (!++to->next_id)
				to->next_id = 1;
			h[n++] = to->next_id >> 8;
			h[n++] = to->next_id;
		}
		if (to->ver == 5)
			n += put_varint(h + n, plen);
		emit(to, h, n);
		if (to->ver == 5)
			emit(to, props, plen);
		emit(to, body, blen);
		st->delivered++;
	}
}

static void route(uint8_t qos, const char *topic, uint32_t tlen, const char *props, uint32_t plen,
		  const char *body, uint32_t blen)
{
	for (struct sub *s = exact[hash(topic, tlen)]; s; s = s->next)
		if (s->len == tlen && !memcmp(s->filter, topic, tlen))
			deliver_to(s, qos, topic, tlen, props, plen, body, blen);
	for (struct sub *s = wild; s; s = s->next)
		if ((topic[0] != '$' || s->filter[0] == '$') && matches(s, topic, tlen))
			deliver_to(s, qos, topic, tlen, props, plen, body, blen);
}

static void ack(struct conn *c, uint8_t type, uint32_t id)
{
	uint8_t p[4] = { type, 2, id >> 8, id };

	emit_later(&q_puback, opt.delay_puback, c, p, 4);
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
				c->q2 = must(realloc(c->q2, sizeof(*c->q2) *
						     (c->nq2 ? c->nq2 * 2 : 1)));
			c->q2[c->nq2++] = id;
		}
	}
	if (!again) {
		uint64_t *by_qos = qos == 0 ? &st->publishes_q0 :
				   qos == 1 ? &st->publishes_q1 : &st->publishes_q2;

		++*by_qos;
		st->publishes++;
		st->payload_bytes += k->end - k->p;
		if (nsubs)
			route(qos, topic, tlen, props, plen, (const char *)k->p, k->end - k->p);
	}
	c->npub++;
	if (opt.reset_after && c->npub >= opt.reset_after) {
		conn_close(c, true);
		return true;
	}
	if (opt.garbage) {
		/* A reserved packet type whose length never ends. */
		static const uint8_t junk[] = { 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xde, 0xad };

		emit(c, junk, sizeof(junk));
		return true;
	}
	if (!qos || opt.no_puback || opt.silent)
		return true;
	ack(c, qos == 1 ? 0x40 : 0x50, opt.wrong_ids ? (id + 7919) % 65535 + 1 : id);
	st->pubacks_out++;
	return true;
}

static bool on_connect(struct conn *c, struct cursor *k)
{
	uint32_t nlen = get_n(k, 2), idlen, flags;
	const char *name = get_bytes(k, nlen);
	uint8_t p[5] = { 0x20, 2, 0, 0, 0 }, ver;

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
	if (opt.drop_connects) {
		st->refused++;
		conn_close(c, false);
		return true;
	}
	if (opt.refuse >= 0) {
		st->refused++;
		p[1] = ver == 5 ? 3 : 2;
		p[3] = opt.refuse;
		emit(c, p, ver == 5 ? 5 : 4);
		flush_all();
		conn_close(c, false);
		return true;
	}
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

static uint8_t subscribe(struct conn *c, const char *f, uint32_t n, uint8_t qos)
{
	struct sub *s, **chain;

	if (opt.workers > 1 || qos > 2)
		return 0x80;
	s = must(malloc(sizeof(*s) + n + 1));
	*s = (struct sub){ .fd = fd_of(c), .qos = qos, .len = n, .next_own = c->subs };
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

static void unsubscribe(struct conn *c, const char *f, uint32_t n)
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
	struct cursor k = { p, p + n, false };
	uint8_t type = first >> 4, flags = first & 15, pong[2] = { 0xd0, 0 }, rel[4] = { 0x62, 2 };
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
	case 5:		/* PUBREC of a QoS 2 delivery */
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
		if (!opt.no_puback && !opt.silent)
			ack(c, 0x70, opt.wrong_ids ? (id + 7919) % 65535 + 1 : id);
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

/* Takes whole packets off p..p+n; returns the bytes used, or -1 when the connection is gone. */
static int64_t parse(struct conn *c, const uint8_t *p, uint32_t n)
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

/* Handshake; true once there is something to read. */
static bool tls_ready(struct conn *c)
{
	int r;

	if (!c->ssl || c->tls_done)
		return true;
	ERR_clear_error();
	r = SSL_accept(c->ssl);
	if (r == 1) {
		c->tls_done = true;
		if (SSL_session_reused(c->ssl))
			st->tls_resumed++;
		else
			st->tls_full++;
		watch(c, false);
		return true;
	}
	r = SSL_get_error(c->ssl, r);
	if (r == SSL_ERROR_WANT_READ || r == SSL_ERROR_WANT_WRITE) {
		watch(c, r == SSL_ERROR_WANT_WRITE);
		return false;
	}
	st->tls_failed++;
	conn_close(c, false);
	return false;
}

static void on_readable(struct conn *c)
{
	uint32_t have = c->part_len;
	int64_t used;
	int r;

	if (!tls_ready(c))
		return;
	if (have)
		memcpy(rbuf, c->part, have);
	for (;;) {
		if (c->ssl) {
			ERR_clear_error();
			r = SSL_read(c->ssl, rbuf + have, RBUF - have);
			if (r <= 0)
				r = SSL_get_error(c->ssl, r) == SSL_ERROR_WANT_READ ? -EAGAIN : 0;
		} else {
			r = recv(fd_of(c), rbuf + have, RBUF - have, 0);
			if (r < 0)
				r = errno == EAGAIN ? -EAGAIN : 0;
		}
		if (r == -EAGAIN)
			break;
		if (!r) {
			st->closed_by_peer++;
			conn_close(c, false);
			return;
		}
		st->reads++;
		st->bytes_in += r;
		have += r;
		used = parse(c, rbuf, have);
		if (used < 0)
			return;
		have -= used;
		memmove(rbuf, rbuf + used, have);
		if (!c->ssl)
			break;	/* epoll is level-triggered: whatever is left comes back */
	}
	if (have > c->part_len)
		c->part = must(realloc(c->part, have));
	memcpy(c->part, rbuf, have);
	c->part_len = have;
	if (!have) {
		free(c->part);
		c->part = NULL;
	}
}

static void on_accept(void)
{
	for (int i = 0; i < 64; i++) {
		int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), one = 1;
		struct epoll_event ev = { .events = EPOLLIN, .data.fd = fd };
		struct conn *c;

		if (fd < 0) {
			if (errno == EMFILE || errno == ENFILE) {
				st->fd_full++;
				accepting = epoll_ctl(ep, EPOLL_CTL_DEL, listener, NULL);
			}
			return;
		}
		st->accepted++;
		st->open++;
		c = &conns[fd];
		*c = (struct conn){ .gen = c->gen + 1, .live = true };
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
		if (ctx) {
			c->ssl = must(SSL_new(ctx));
			SSL_set_fd(c->ssl, fd);
			SSL_set_accept_state(c->ssl);
		}
	}
}

static int make_listener(void)
{
	struct sockaddr_in6 a6 = { .sin6_family = AF_INET6, .sin6_port = htons(opt.port) };
	struct sockaddr_in a4 = { .sin_family = AF_INET, .sin_port = htons(opt.port) };
	bool v6 = strchr(opt.addr, ':');
	struct sockaddr *sa = v6 ? (void *)&a6 : (void *)&a4;
	socklen_t len = v6 ? sizeof(a6) : sizeof(a4);
	int fd, one = 1;

	if (inet_pton(v6 ? AF_INET6 : AF_INET, opt.addr,
		      v6 ? (void *)&a6.sin6_addr : (void *)&a4.sin_addr) != 1)
		die("--addr %s: not an IP address", opt.addr);
	fd = socket(sa->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		die("socket: %m");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
	if (bind(fd, sa, len) || listen(fd, 4096))
		die("%s port %d: %m", opt.addr, opt.port);
	if (!opt.port) {
		getsockname(fd, sa, &len);
		opt.port = ntohs(v6 ? a6.sin6_port : a4.sin_port);
	}
	return fd;
}

static void __attribute__((noreturn)) worker(void)
{
	struct epoll_event evs[256], ev = { .events = EPOLLIN, .data.fd = listener };
	sigset_t none;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGUSR1, SIG_IGN);
	signal(SIGINT, SIG_IGN);	/* the terminal sends it to all; the parent decides */
	conns = must(calloc(max_fd, sizeof(*conns)));
	dirty = must(calloc(max_fd, sizeof(*dirty)));
	ep = epoll_create1(EPOLL_CLOEXEC);
	if (ep < 0 || epoll_ctl(ep, EPOLL_CTL_ADD, listener, &ev))
		die("epoll: %m");
	for (;;) {
		int a = run_queue(&q_connack), b = run_queue(&q_puback), n;

		flush_all();
		n = epoll_wait(ep, evs, 256, opt.spin ? 0 : a < 0 ? b : b < 0 || a < b ? a : b);
		for (int i = 0; i < n; i++) {
			struct conn *c = &conns[evs[i].data.fd];

			if (evs[i].data.fd == listener) {
				on_accept();
				continue;
			}
			if (!c->live)
				continue;
			if (evs[i].events & EPOLLOUT && tls_ready(c) && c->live)
				flush(c);
			if (c->live && evs[i].events & ~EPOLLOUT) {
				cur = c;
				on_readable(c);
				flush_all();
				cur = NULL;
			}
		}
	}
}

/* --- parent -------------------------------------------------------------------- */

static struct stats sum(void)
{
	struct stats s = { 0 };

	for (int i = 0; i < opt.workers; i++) {
#define X(n) s.n += __atomic_load_n(&all_stats[i].n, __ATOMIC_RELAXED);
		COUNTERS(X)
#undef X
	}
	return s;
}

static void report(const struct stats *s, const uint64_t *series, uint32_t n)
{
	printf("{\"t_ns\":%llu", (unsigned long long)now_ns());
#define X(f) printf(",\"%s\":%lld", #f, (long long)s->f);
	COUNTERS(X)
#undef X
	if (series) {
		printf(",\"publishes_per_second\":[");
		for (uint32_t i = 0; i < n; i++)
			printf("%s%llu", i ? "," : "", (unsigned long long)series[i]);
		printf("],\"final\":true");
	}
	puts("}");
	fflush(stdout);
}

static void make_ctx(void)
{
	ctx = SSL_CTX_new(TLS_server_method());
	if (!ctx || SSL_CTX_use_certificate_chain_file(ctx, opt.cert) != 1 ||
	    SSL_CTX_use_PrivateKey_file(ctx, opt.key, SSL_FILETYPE_PEM) != 1)
		die("--cert/--key: %s", ERR_reason_error_string(ERR_get_error()));
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
			 SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"sink", 4);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);	/* tickets only */
	if (opt.no_tickets) {
		SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
		SSL_CTX_set_num_tickets(ctx, 0);
	} else {
		SSL_CTX_set_num_tickets(ctx, 1);
	}
	if (opt.tls_version) {
		SSL_CTX_set_min_proto_version(ctx, opt.tls_version);
		SSL_CTX_set_max_proto_version(ctx, opt.tls_version);
	}
	if (opt.cafile) {
		if (SSL_CTX_load_verify_locations(ctx, opt.cafile, NULL) != 1)
			die("--cafile %s: %s", opt.cafile, ERR_reason_error_string(ERR_get_error()));
		SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	}
}

static const char usage[] =
"usage: sink [--addr IP] [--port N] [--workers N] [--spin]\n"
"            [--cert PEM --key PEM [--cafile PEM] [--tls 1.2|1.3] [--no-tickets]]\n"
"misbehaviour: --no-puback --delay-puback MS --delay-connack MS --reset-after N\n"
"            --wrong-ids --garbage --refuse CODE --drop-connects --silent --no-pingresp\n"
"            --lose-every N --double-every N   (deliveries to subscribers)\n";

static long number(const char *name, const char *arg, long max)
{
	char *end;
	long v = strtol(arg, &end, 0);

	if (*end || end == arg || v < 0 || v > max)
		die("--%s %s: a number from 0 to %ld", name, arg, max);
	return v;
}

static void options(int argc, char **argv)
{
	enum { ADDR, PORT, WORKERS, CERT, KEY, CAFILE, TLS, NO_TICKETS, NO_PUBACK, DELAY_PUBACK,
	       DELAY_CONNACK, RESET_AFTER, WRONG_IDS, GARBAGE, REFUSE, DROP, SILENT, NO_PING,
	       LOSE, DOUBLE, SPIN };
	static const struct option o[] = {
		{ "addr", 1, NULL, ADDR }, { "port", 1, NULL, PORT },
		{ "workers", 1, NULL, WORKERS }, { "cert", 1, NULL, CERT },
		{ "key", 1, NULL, KEY }, { "cafile", 1, NULL, CAFILE }, { "tls", 1, NULL, TLS },
		{ "no-tickets", 0, NULL, NO_TICKETS }, { "no-puback", 0, NULL, NO_PUBACK },
		{ "delay-puback", 1, NULL, DELAY_PUBACK },
		{ "delay-connack", 1, NULL, DELAY_CONNACK },
		{ "reset-after", 1, NULL, RESET_AFTER }, { "wrong-ids", 0, NULL, WRONG_IDS },
		{ "garbage", 0, NULL, GARBAGE }, { "refuse", 1, NULL, REFUSE },
		{ "drop-connects", 0, NULL, DROP }, { "silent", 0, NULL, SILENT },
		{ "no-pingresp", 0, NULL, NO_PING }, { "lose-every", 1, NULL, LOSE },
		{ "double-every", 1, NULL, DOUBLE }, { "spin", 0, NULL, SPIN }, { 0 },
	};
	int c, i;

	while ((c = getopt_long(argc, argv, "", o, &i)) != -1) {
		switch (c) {
		case ADDR: opt.addr = optarg; break;
		case PORT: opt.port = number(o[i].name, optarg, 65535); break;
		case WORKERS: opt.workers = number(o[i].name, optarg, 64); break;
		case CERT: opt.cert = optarg; break;
		case KEY: opt.key = optarg; break;
		case CAFILE: opt.cafile = optarg; break;
		case TLS:
			if (!strcmp(optarg, "1.2"))
				opt.tls_version = TLS1_2_VERSION;
			else if (!strcmp(optarg, "1.3"))
				opt.tls_version = TLS1_3_VERSION;
			else
				die("--tls %s: 1.2 or 1.3", optarg);
			break;
		case NO_TICKETS: opt.no_tickets = true; break;
		case NO_PUBACK: opt.no_puback = true; break;
		case DELAY_PUBACK: opt.delay_puback = number(o[i].name, optarg, 3600000); break;
		case DELAY_CONNACK: opt.delay_connack = number(o[i].name, optarg, 3600000); break;
		case RESET_AFTER: opt.reset_after = number(o[i].name, optarg, 1 << 30); break;
		case WRONG_IDS: opt.wrong_ids = true; break;
		case GARBAGE: opt.garbage = true; break;
		case REFUSE: opt.refuse = number(o[i].name, optarg, 255); break;
		case DROP: opt.drop_connects = true; break;
		case SILENT: opt.silent = true; break;
		case NO_PING: opt.no_pingresp = true; break;
		case LOSE: opt.lose_every = number(o[i].name, optarg, 1 << 30); break;
		case DOUBLE: opt.double_every = number(o[i].name, optarg, 1 << 30); break;
		case SPIN: opt.spin = true; break;
		default:
			fputs(usage, stderr);
			exit(2);
		}
	}
	if (optind < argc || !opt.workers || !opt.cert != !opt.key) {
		fputs(usage, stderr);
		exit(2);
	}
}

int main(int argc, char **argv)
{
	static uint64_t series[SERIES];
	uint64_t last = 0, next;
	uint32_t nseries = 0;
	struct rlimit rl;
	sigset_t set;
	pid_t pids[64];

	options(argc, argv);
	getrlimit(RLIMIT_NOFILE, &rl);
	rl.rlim_cur = rl.rlim_max;
	setrlimit(RLIMIT_NOFILE, &rl);
	max_fd = rl.rlim_cur > 1048576 ? 1048576 : rl.rlim_cur;
	signal(SIGPIPE, SIG_IGN);
	if (opt.cert)
		make_ctx();
	all_stats = mmap(NULL, sizeof(*all_stats) * opt.workers, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (all_stats == MAP_FAILED)
		die("mmap: %m");
	/* A worker may be stopped and continued by a test: that is not its end. */
	sigaction(SIGCHLD, &(struct sigaction){ .sa_handler = SIG_DFL, .sa_flags = SA_NOCLDSTOP },
		  NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	for (int i = 0; i < opt.workers; i++) {
		listener = make_listener();
		st = &all_stats[i];
		pids[i] = fork();
		if (pids[i] < 0)
			die("fork: %m");
		if (!pids[i])
			worker();
		close(listener);
	}
	printf("{\"listening\":%d}\n", opt.port);
	fflush(stdout);
	next = now_ns() + 1000000000;
	for (;;) {
		uint64_t t = now_ns();
		struct timespec ts = { 0, next > t ? (next - t) % 1000000000 : 0 };
		int sig = sigtimedwait(&set, NULL, &ts);
		struct stats s = sum();

		if (now_ns() >= next) {
			if (nseries < SERIES)
				series[nseries++] = s.publishes - last;
			last = s.publishes;
			next += 1000000000;
		}
		if (sig == SIGUSR1)
			report(&s, NULL, 0);
		if (sig == SIGCHLD)
			die("a worker ended unexpectedly");
		if (sig == SIGINT || sig == SIGTERM) {
			report(&s, series, nseries);
			for (int i = 0; i < opt.workers; i++)
				kill(pids[i], SIGKILL);
			return 0;
		}
	}
}
