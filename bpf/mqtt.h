/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The broker's acknowledgements in plain MQTT: their fixed headers, walked from packet to packet
 * through the segments of a connection. A retransmission is passed over; of a header that a segment
 * cuts, sq_dyn.record keeps what has come. After a gap, or what is not MQTT, the walk goes on with
 * the next segment that begins with what can hardly be anything but a packet.
 */
#ifndef SQUALL_BPF_MQTT_H
#define SQUALL_BPF_MQTT_H

#include <vmlinux.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
#include <squall/abi.h>
#include "consts.h"
#include "packet.h"

#define MQTT_WALK      64	/* control packets of one segment, or of a GSO packet */
#define MQTT_LEN_BYTES 4	/* of the remaining length (MQTT 3.1.1, 2.2.3; MQTT 5, 2.1.4) */
#define MQTT_LEN_MASK  0x1fffff /* of three of them */
#define MQTT_WHOLE     0x10000
#define MQTT_GUESS     65536 /* as long as a packet is taken to be where none is certain */
#define MQTT_ENDS      (1u << 31)
enum mqtt_got { MQTT_GOES, MQTT_MEETS, MQTT_LOST, MQTT_GUESSED };

/* May a packet of the broker begin so? The flags are fixed, but for PUBLISH's (2.2.2). */
static __always_inline bool mqtt_first(__u8 first)
{
	__u8 type = first >> 4, flags = first & 15;

	if (type == MQTT_PUBLISH)
		return (flags & 6) != 6;
	if (type == MQTT_PUBREL)
		return flags == 2;
	return !flags && (type == MQTT_CONNACK || type == MQTT_SUBACK || type == MQTT_UNSUBACK ||
			  type == MQTT_PINGRESP || type == MQTT_DISCONNECT || type == MQTT_AUTH ||
			  (type >= MQTT_PUBACK && type <= MQTT_PUBCOMP));
}

/* The header at off, or the rest of one that began in the segment before: how many bytes of it are
 * here, MQTT_WHOLE if it ends here, and its first byte from bit 8 on; 0: none that is one. Global,
 * as all that has a loop. */
__noinline __u32 mqtt_header(struct __sk_buff *skb, struct sq_flow *flow, __u32 off)
{
	__u32 known, len;
	struct sq_dyn *d;
	__u8 byte;

	if (!flow)
		return 0;
	d = &flow->dyn[SQ_DOWN];
	/* What has come is kept in d, for the sake of the stack. */
	for (__u32 i = 0; i < 1 + MQTT_LEN_BYTES; i++) {
		known = d->record;
		if (bpf_skb_load_bytes(skb, off + i, &byte, 1))
			return (known >> 21 & 255) << 8 | i;
		if (!known) {
			if (!mqtt_first(byte))
				return 0;
			d->record = 1u << 29 | byte << 21;
			continue;
		}
		len = (known & MQTT_LEN_MASK) | (byte & 0x7f) << ((7 * (known >> 29) - 7) & 31);
		if (!(byte & 0x80)) {
			d->record = 0;
			flow->mqtt_left = len;
			return MQTT_WHOLE | (known >> 21 & 255) << 8 | (i + 1);
		}
		if (known >> 29 == MQTT_LEN_BYTES)
			return 0;
		d->record = ((known & ~MQTT_LEN_MASK) | len) + (1u << 29);
	}
	return 0;
}

/* MQTT 5, 2.4: of acknowledgements; and the codes of 3.1.1, of CONNACK (to 5) and SUBACK. */
static __always_inline bool mqtt_reason(__u8 code)
{
	return code <= 5 || code == 0x10 || code == 0x11 || code == 0x18 ||
	       (code >= 0x80 && code <= 0xa2);
}

/* Where packets begin is not known: may this be one, whose len bytes behind the header are at off?
 * A PUBLISH has a topic. Another is here whole, with what it consists of, and behind it ends the
 * segment or begins a packet. */
__noinline bool mqtt_plausible(struct __sk_buff *skb, __u32 off, __u32 first, __u32 len)
{
	__u8 b[8] = {}; /* as many as there are of the first four, the last, and what follows */
	__u32 n = (len < 4 ? len : 4) - 1; /* of one at least 6.1 knows by this alone */

	if (len > MQTT_GUESS)
		return false;
	if (first >> 4 == MQTT_PUBLISH) /* the topic's length, and an identifier */
		return !bpf_skb_load_bytes(skb, off, b, 3) && b[2] >= ' ' && (b[0] | b[1]) &&
		       (b[0] << 8 | b[1]) + (first & 6 ? 4u : 2u) <= len;
	barrier_var(n);
	if (len && (n > 3 || bpf_skb_load_bytes(skb, off, b, n + 1) ||
		    bpf_skb_load_bytes(skb, off + len - 1, &b[4], 1)))
		return false;
	off += len;
	if (off > skb->len ||
	    (off < skb->len && (bpf_skb_load_bytes(skb, off, &b[5], 1) || !mqtt_first(b[5]))))
		return false;
	if (first >> 4 == MQTT_PINGRESP)
		return !len;
	if (first >> 4 == MQTT_DISCONNECT || first >> 4 == MQTT_AUTH)
		return !len || (mqtt_reason(b[0]) && (len == 1 || b[1] & 0x80 || b[1] == len - 2));
	if (first >> 4 == MQTT_CONNACK)
		return len >= 2 && b[0] <= 1 && mqtt_reason(b[1]) &&
		       (len == 2 || b[2] & 0x80 || b[2] == len - 3);
	if (len < 2 || !(b[0] | b[1])) /* the identifier */
		return false;
	if (first >> 4 == MQTT_SUBACK)
		return len >= 3 && mqtt_reason(b[4]);
	if (first >> 4 == MQTT_UNSUBACK)
		return len == 2 || (len >= 4 && mqtt_reason(b[4]));
	return len == 2 || (mqtt_reason(b[2]) && (len == 3 || b[3] & 0x80 || b[3] == len - 4));
}

/* The packet whose rest, or whose header, is at off: bytes up to behind its header, or MQTT_ENDS
 * and what came of the segment. sq_dyn.record of the way up, which nothing else needs, counts
 * packets in a row, as plausible as they are. */
__noinline __u32 mqtt_step(struct __sk_buff *skb, struct sq_flow *flow, __u32 off, __u32 how)
{
	__u32 got, left;

	if (!flow)
		return MQTT_ENDS | MQTT_GOES;
	left = flow->mqtt_left;
	if (left >= skb->len - off) {
		left = flow->mqtt_left = left - (skb->len - off);
		/* Only a PUBLISH goes beyond; that it ends with a segment proves it. */
		return MQTT_ENDS |
		       (how >> 8 && left && flow->dyn[SQ_UP].record < 2 ? MQTT_GUESSED : MQTT_GOES);
	}
	flow->mqtt_left = 0;
	got = mqtt_header(skb, flow, off + left);
	if (!got)
		return MQTT_ENDS | MQTT_LOST;
	left += got & 255;
	if (!(got & MQTT_WHOLE))
		return MQTT_ENDS |
		       (how >> 8 && flow->dyn[SQ_UP].record < 2 ? MQTT_GUESSED : MQTT_GOES);
	got = got >> 8 & 255;
	if (how >> 8 && !mqtt_plausible(skb, off + left, got, flow->mqtt_left))
		return MQTT_ENDS | MQTT_LOST;
	got >>= 4;
	flow->dyn[SQ_UP].record += got == MQTT_PUBLISH ? 1 : 2;
	if (got == MQTT_CONNACK)
		flow->state |= SQ_FLOW_CONNACK;
	return got == (how & 255) ? MQTT_ENDS | MQTT_MEETS : left;
}

/* Goes over the control packets from off on. how: their type, and from bit 8 on whether where they
 * begin is not known. */
__noinline __u32 mqtt_walk(struct __sk_buff *skb, struct sq_flow *flow, __u32 off, __u32 how)
{
	__u32 got;

	if (!flow)
		return MQTT_GOES;
	flow->dyn[SQ_UP].record = !!flow->mqtt_left;
	for (int i = 0; i < MQTT_WALK; i++) {
		got = mqtt_step(skb, flow, off, how);
		if (got & MQTT_ENDS)
			return got & 3;
		off += got;
	}
	return MQTT_LOST; /* more of them than are looked at */
}

/* Does a control packet of this type begin in the segment? Follows the connection either way. */
static __always_inline bool mqtt_meets(struct __sk_buff *skb, const struct packet *p,
				       struct sq_flow *flow, struct sq_flow_head *head, __u32 type)
{
	__u32 off = p->hdr_len, end = skb->len, seq, got, was = flow->state;
	__s32 ahead = -1; /* not known: it was there before the rule */

	if (end <= off || bpf_skb_load_bytes(skb, p->l4_off + TCP_SEQ, &seq, sizeof(seq)))
		return false;
	if (was & SQ_FLOW_SEQ_DOWN)
		ahead = flow->seq[SQ_DOWN] - bpf_ntohl(seq);
	if (ahead >= (__s32)(end - off))
		return false;
	if (ahead < 0)
		flow->mqtt_left = flow->dyn[SQ_DOWN].record = 0;
	else
		off += ahead;
	got = mqtt_walk(skb, flow, off, type | (ahead < 0 || was & SQ_FLOW_ASTRAY) << 8);
	if (got == MQTT_LOST)
		flow->mqtt_left = flow->dyn[SQ_DOWN].record = 0;
	if (got == MQTT_GOES || got == MQTT_MEETS) {
		flow->state &= ~SQ_FLOW_ASTRAY;
	} else if (!(was & SQ_FLOW_ASTRAY)) {
		flow->state |= SQ_FLOW_ASTRAY;
		__sync_fetch_and_add(&head->unparsed, 1);
	}
	return got == MQTT_MEETS;
}

#endif
