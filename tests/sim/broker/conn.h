/* SPDX-License-Identifier: GPL-2.0-only */
/* Connections of one worker, what goes out on them, and their subscriptions. */
#ifndef SINK_CONN_H
#define SINK_CONN_H

#include <string.h>
#include "broker.h"

#define RBUF	(1u << 20) /* largest packet accepted, and one read's worth */
#define SCRATCH (64u << 10)

struct conn {
	uint32_t gen; /* tells a reused descriptor from the one a timer meant */
	uint8_t ver;  /* 0 until CONNECT */
	bool live, tls_done, want_out, dirty, closing;
	uint16_t next_id;
	uint32_t npub;
	uint8_t *part; /* start of a packet that has not arrived whole */
	uint32_t part_len;
	uint8_t *out;
	uint32_t out_len, out_off, out_cap;
	uint16_t *q2; /* ids of QoS 2 messages between PUBREC and PUBREL */
	uint32_t nq2;
	SSL *ssl;
	struct sub *subs;
};

extern struct conn *conns; /* by descriptor */
extern int ep;

static inline int fd_of(const struct conn *c)
{
	return c - conns;
}

/* --- conn.c ---------------------------------------------------------------------- */
extern struct conn *cur; /* the one being read */
extern uint8_t scratch[SCRATCH];
extern uint32_t scratch_len;

void conns_init(int max_fd);
void watch(struct conn *c, bool out);
void conn_close(struct conn *c, bool reset);
void append(struct conn *c, const void *p, uint32_t n);
void flush(struct conn *c);
void flush_all(void);

/* Answers to the connection being read gather in one scratch buffer: no malloc, one write. */
static inline void emit(struct conn *c, const void *p, uint32_t n)
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

/* --- packets.c ------------------------------------------------------------------- */
/* Takes whole packets off p..p+n; returns the bytes used, or -1 when the connection is gone. */
int64_t parse(struct conn *c, const uint8_t *p, uint32_t n);
uint32_t put_varint(uint8_t *p, uint32_t v);

/* --- subs.c ---------------------------------------------------------------------- */
struct message {
	uint8_t qos;
	const char *topic, *props, *body;
	uint32_t topic_len, props_len, body_len;
};

extern uint64_t nsubs;
void route(const struct message *m);
uint8_t subscribe(struct conn *c, const char *filter, uint32_t n, uint8_t qos); /* for SUBACK */
void unsubscribe(struct conn *c, const char *filter, uint32_t n);
void unsubscribe_all(struct conn *c);

/* --- worker.c -------------------------------------------------------------------- */
void accept_again(void); /* where there were no descriptors left, now there is one */

#endif
