/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * MQTT inside TLS, by the lengths of its records: their headers are in the clear, and an AEAD suite
 * adds the same number of bytes to each. Version and suite are those of ServerHello, never guessed.
 * CBC suites round lengths up and hide it; so does a sender that puts several packets into a
 * record.
 */
#ifndef SQUALL_BPF_TLS_H
#define SQUALL_BPF_TLS_H

#include <vmlinux.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
#include <squall/abi.h>
#include "consts.h"
#include "packet.h"

#define TLS_WALK	48 /* records of one segment, or of a GSO packet; 24 were seen */
#define TLS_HLEN	5
#define TLS_HELLO_FIXED 39 /* of ServerHello, up to the length of its session id */
#define TLS_TICKET_MIN	49 /* a session ticket, with a session of 32 bytes (RFC 8446, 4.6.1) */
#define TLS_CONNACK_MAX 96
#define TLS_MEETS	1
#define TLS_LOST	2
#define TLS_QUIET	2 /* beside enum sq_dir: the client has sent nothing for TLS_QUIET_MS */
#define TLS_QUIET_MS	900

/* What a suite adds to a record (RFC 8446, 5.2; RFC 5288; RFC 6655; RFC 7905), for state. */
static __always_inline __u32 tls_suite(__u16 suite)
{
	__u32 add = 0, more = 0;

	if (suite >> 8 == TLS_13_SUITES) {
		add = suite == TLS_13_CCM_8 ? 9 : 17; /* its true type is one of them */
		more = SQ_FLOW_TLS_13 | (suite == TLS_13_SHA384 ? SQ_FLOW_TLS_SHA384 : 0);
	} else if ((suite >= 0x009c && suite <= 0x00ad) || (suite >= 0xc02b && suite <= 0xc032)) {
		add = 24; /* GCM */
	} else if (suite >= 0xcca8 && suite <= 0xccae) {
		add = 16; /* ChaCha20-Poly1305 */
	} else if (suite >= 0xc09c && suite <= 0xc0af) {
		/* CCM and, by fours and in the last two, CCM_8 */
		add = (suite >= 0xc0a0 && suite <= 0xc0a3) ||
				      (suite >= 0xc0a8 && suite <= 0xc0ab) || suite >= 0xc0ae
			      ? 16
			      : 24;
	}
	return add ? more | add << SQ_FLOW_TLS_ADDS_SHIFT : SQ_FLOW_TLS_HIDDEN;
}

/* What the server begins with, at off: a handshake record, and in it ServerHello. Before 6.8 or so
 * all frames of a chain of calls have 512 bytes together, each rounded up to 32, and the longest
 * chain ends here: so bytes by pieces, and few variables. */
__noinline int tls_server_hello(struct __sk_buff *skb, struct sq_flow *flow, __u32 off)
{
	__u8 kind, type, id_len;
	__be16 suite;

	if (!flow || bpf_skb_load_bytes(skb, off, &kind, 1) || kind != TLS_HANDSHAKE)
		return -1;
	off += TLS_HLEN;
	if (bpf_skb_load_bytes(skb, off, &type, 1) || type != TLS_SERVER_HELLO ||
	    bpf_skb_load_bytes(skb, off + TLS_HELLO_FIXED - 1, &id_len, 1) || id_len > 32 ||
	    bpf_skb_load_bytes(skb, off + TLS_HELLO_FIXED + id_len, &suite, sizeof(suite)))
		return -1;
	flow->state |= tls_suite(bpf_ntohs(suite));
	return 0;
}

/*
 * Is the server's record of n bytes CONNACK, where that has not come yet? In TLS 1.3 session
 * tickets come before it, and after CONNECT if the client has sent that with its Finished. A ticket
 * that is the number of a session has 57 bytes with OpenSSL, one that is the session itself 200 and
 * more: what is shorter is CONNACK. Such numbers are of one length (sessions are
 * not), so what is of another one than two before, or than one before CONNECT, is CONNACK too. With
 * a single record before it that other may be a PUBLISH: then CONNACK has come, and it is late for
 * what was to be done at it.
 */
static __always_inline bool tls_connack(struct sq_flow *flow, __u32 n, __u32 type)
{
	__u32 state = flow->state, ticket = flow->tls_ticket,
	      clipped = n > TLS_CONNACK_MAX ? 255 : n;
	bool like = (state & SQ_FLOW_TLS_13) && n >= TLS_TICKET_MIN;

	if (like && (!ticket || ticket == clipped || !(state & SQ_FLOW_CONNECT))) {
		flow->state = (state & SQ_FLOW_CONNECT) && !ticket && n <= TLS_CONNACK_MAX
				      ? state | SQ_FLOW_TLS_MAYBE
				      : state & ~SQ_FLOW_TLS_MAYBE;
		flow->tls_ticket = clipped;
		return false;
	}
	if (!(state & SQ_FLOW_CONNECT) || n < 4 || (!ticket && n > TLS_CONNACK_MAX))
		return false;
	flow->state = state | SQ_FLOW_CONNACK | (n > 4 ? SQ_FLOW_MQTT5 : 0);
	if (type != MQTT_CONNACK)
		return false;
	if (n > 4 && (state & SQ_FLOW_TLS_MAYBE)) {
		flow->state |= SQ_FLOW_TLS_HIDDEN;
		return false;
	}
	return true;
}

/* Of a record with len bytes: does it carry the control packet of this type? Global, or its many
 * ways would be those of each step of the walk. */
__noinline bool tls_record(struct sq_flow *flow, __u32 how, __u32 kind, __u32 len)
{
	__u32 state, adds, n, dir = how & 1, type = how >> 8;

	if (!flow)
		return false;
	state = flow->state;
	adds = state >> SQ_FLOW_TLS_ADDS_SHIFT;
	n = len - adds;
	if (kind == TLS_ALERT && dir == SQ_UP)
		flow->state = state | SQ_FLOW_CLOSING;
	if (kind != TLS_DATA)
		return false;
	if (!adds) {
		flow->state = state | SQ_FLOW_TLS_HIDDEN; /* its ServerHello was not whole */
		return false;
	}
	if ((state & SQ_FLOW_TLS_13) && !(state & SQ_FLOW_TLS_READY)) {
		/* The rest of the handshake looks like data. The client's last word is its
		 * Finished: four bytes and a hash. */
		if (dir == SQ_UP && n == (state & SQ_FLOW_TLS_SHA384 ? 52 : 36))
			flow->state = state | SQ_FLOW_TLS_READY;
		return false;
	}
	if (dir == SQ_UP) {
		if ((state & (SQ_FLOW_CONNECT | SQ_FLOW_CONNACK | SQ_FLOW_TLS_MAYBE)) ==
		    (SQ_FLOW_CONNECT | SQ_FLOW_TLS_MAYBE)) {
			/* The client goes on: so that was CONNACK, and at connack has missed it. */
			state |= SQ_FLOW_CONNACK | SQ_FLOW_MQTT5 |
				 (type == MQTT_CONNACK ? SQ_FLOW_TLS_HIDDEN : 0);
			flow->state = state;
		}
		/* PINGREQ and DISCONNECT are two bytes, and so is the alert that follows the
		 * latter, which TLS 1.3 hides. PINGREQ comes when there was nothing to say for a
		 * keep-alive, which is counted in seconds, and is followed by its answer. */
		if (n != 2)
			flow->state = state | SQ_FLOW_CONNECT;
		else if (state & SQ_FLOW_PINGREQ)
			flow->state = state | SQ_FLOW_CLOSING;
		else if (how & TLS_QUIET)
			flow->state = state | SQ_FLOW_PINGREQ;
		return false;
	}
	if (!(state & SQ_FLOW_CONNACK))
		return tls_connack(flow, n, type);
	if (n == 2) {
		flow->state = state & ~SQ_FLOW_PINGREQ;
		return type == MQTT_PINGRESP && (state & SQ_FLOW_PINGREQ) &&
		       !(state & (SQ_FLOW_CLOSING | SQ_FLOW_FIN_UP));
	}
	/* MQTT 5 has a reason code in PUBACK where it is not success, and a length of properties
	 * in SUBACK. */
	if (n == 4 || (n == 5 && (state & SQ_FLOW_MQTT5)))
		return type == MQTT_PUBACK;
	return type == MQTT_SUBACK && n == (state & SQ_FLOW_MQTT5 ? 6 : 5);
}

/* The rest of a header that began in the segment before: how many bytes of it are here. */
__noinline __u32 tls_header(struct __sk_buff *skb, struct sq_flow *flow, __u32 off, __u32 how)
{
	__u32 have, kind, high, len = 0, n = 0;
	struct sq_dyn *d;
	__u8 byte;

	if (!flow)
		return 0;
	d = &flow->dyn[how & 1];
	have = d->record >> 16 & 7;
	kind = d->record >> 8 & 255;
	high = d->record & 255;
#pragma clang loop unroll(full)
	for (int i = 0; i < TLS_HLEN - 1; i++) {
		if (have >= TLS_HLEN || bpf_skb_load_bytes(skb, off + n, &byte, 1))
			continue;
		if (have == 3)
			high = byte;
		len = high << 8 | byte;
		have++;
		n++;
	}
	if (have < TLS_HLEN) {
		d->record = have << 16 | kind << 8 | high;
		return n;
	}
	d->record = len;
	return tls_record(flow, how, kind, len) ? n | TLS_MEETS << 8 : n;
}

/* Goes over the records from off on. how: enum sq_dir, TLS_QUIET, and the type of the control
 * packet from bit 8 on. Global, as all that has a loop. */
__noinline __u32 tls_walk(struct __sk_buff *skb, struct sq_flow *flow, __u32 off, __u32 how)
{
	__u32 have;
	struct sq_dyn *d;
	__u8 head[TLS_HLEN];

	if (!flow)
		return 0;
	d = &flow->dyn[how & 1];
	/* What is left of a record is kept in d, for the sake of the stack. */
	for (int i = 0; i < TLS_WALK; i++) {
		have = skb->len - off;
		if (d->record >= have) {
			d->record -= have;
			return 0;
		}
		off += d->record;
		have -= d->record;
		if (have < sizeof(head)) {
			head[3] = 0;
			if (bpf_skb_load_bytes(skb, off, head, 1) ||
			    (have == 4 && bpf_skb_load_bytes(skb, off + 3, &head[3], 1)))
				return TLS_LOST;
			d->record = have << 16 | head[0] << 8 | head[3];
			return 0;
		}
		if (bpf_skb_load_bytes(skb, off, head, sizeof(head)) || head[1] != TLS_MAJOR ||
		    head[0] < TLS_FIRST_KIND || head[0] > TLS_DATA)
			return TLS_LOST;
		d->record = head[3] << 8 | head[4];
		off += sizeof(head);
		if (tls_record(flow, how, head[0], d->record))
			return TLS_MEETS;
	}
	return TLS_LOST; /* more of them than are looked at */
}

/* Does the connection begin with a ClientHello? */
static __always_inline bool tls_begins(struct __sk_buff *skb, const struct packet *p)
{
	__u8 head[2];

	return !bpf_skb_load_bytes(skb, p->hdr_len, head, sizeof(head)) &&
	       head[0] == TLS_HANDSHAKE && head[1] == TLS_MAJOR;
}

/* As mqtt_meets(), of both directions: what the client sends tells what the answers are. */
static __always_inline bool tls_meets(struct __sk_buff *skb, const struct packet *p,
				      struct sq_flow *flow, struct sq_flow_head *head, __u32 how)
{
	__u32 off = p->hdr_len, end = skb->len, dir = how & 1, seq, known, astray, got, was;
	__u32 now_ms;
	__s32 ahead;
	bool lost;

	if (end <= off || (flow->state & SQ_FLOW_TLS_HIDDEN) ||
	    bpf_skb_load_bytes(skb, p->l4_off + TCP_SEQ, &seq, sizeof(seq)))
		return false;
	known = dir == SQ_UP ? SQ_FLOW_SEQ_UP : SQ_FLOW_SEQ_DOWN;
	astray = dir == SQ_UP ? SQ_FLOW_ASTRAY_UP : SQ_FLOW_ASTRAY;
	was = flow->state;
	lost = !(was & known) || (was & astray);
	if (was & known) {
		ahead = flow->seq[dir] - bpf_ntohl(seq);
		if (ahead >= (__s32)(end - off))
			return false;
		if (ahead > 0)
			off += ahead;
		else
			lost |= ahead < 0;
	}
	if (lost)
		flow->dyn[dir].record = 0;
	if (dir == SQ_UP) {
		now_ms = bpf_ktime_get_coarse_ns() / 1000000;
		how |= now_ms - flow->up_ms > TLS_QUIET_MS ? TLS_QUIET : 0;
		flow->up_ms = now_ms;
	}
	if (dir == SQ_DOWN && !(was >> SQ_FLOW_TLS_ADDS_SHIFT) && !flow->dyn[dir].record)
		tls_server_hello(skb, flow, off);
	got = 0;
	if (flow->dyn[dir].record >> 16) {
		got = tls_header(skb, flow, off, how);
		off += got & 255;
		got >>= 8;
	}
	if (!got && !(flow->dyn[dir].record >> 16))
		got = tls_walk(skb, flow, off, how);
	if (got == TLS_LOST)
		flow->state |= astray;
	else
		flow->state &= ~astray;
	if (!(was & (astray | SQ_FLOW_TLS_HIDDEN)) && (flow->state & (astray | SQ_FLOW_TLS_HIDDEN)))
		__sync_fetch_and_add(&head->unparsed, 1);
	return got == TLS_MEETS;
}

#endif
