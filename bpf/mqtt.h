/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The broker's acknowledgements in plain MQTT: their fixed headers, walked from packet to packet
 * through the segments of a connection. A retransmission is passed over. After a gap, or what is
 * not MQTT, the walk goes on with the next segment that begins with a header.
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

#define MQTT_WALK      64 /* control packets of one segment, or of a GSO packet */
#define MQTT_LEN_BYTES 4  /* of the remaining length (MQTT 3.1.1, 2.2.3; MQTT 5, 2.1.4) */

/* May a packet of the broker begin so? The flags are fixed, but for PUBLISH's (2.2.2). */
static __always_inline bool mqtt_header(__u8 first)
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

/* Bytes of the control packet at off, 0: none that is one. Its first byte goes into *first. */
__noinline __u32 mqtt_length(struct __sk_buff *skb, __u32 off, __u32 *first)
{
	__u32 len = 0, have = skb->len > off ? skb->len - off : 0;
	__u8 head[1 + MQTT_LEN_BYTES] = {};

	if (!first || have < 2)
		return 0;
	/* A short packet at the end: what is missing stays 0. */
	if (have >= sizeof(head) ? bpf_skb_load_bytes(skb, off, head, sizeof(head))
				 : bpf_skb_load_bytes(skb, off, head, 2))
		return 0;
	*first = head[0];
	if (!mqtt_header(head[0]))
		return 0;
#pragma clang loop unroll(full)
	for (__u32 i = 0; i < MQTT_LEN_BYTES; i++) {
		len |= (__u32)(head[1 + i] & 0x7f) << (7 * i);
		if (!(head[1 + i] & 0x80))
			return len + 2 + i;
	}
	return 0;
}

/* Does a control packet of this type begin in the segment? Follows the connection either way. */
static __noinline bool mqtt_meets(struct __sk_buff *skb, const struct packet *p,
				  struct sq_flow *flow, struct sq_flow_head *head, __u32 type)
{
	__u32 off = p->hdr_len, end = skb->len, left = flow->mqtt_left, first = 0, seq, len;
	bool lost = flow->state & SQ_FLOW_ASTRAY;

	if (end <= off || bpf_skb_load_bytes(skb, p->l4_off + TCP_SEQ, &seq, sizeof(seq)))
		return false;
	seq = bpf_ntohl(seq);
	if (!(flow->state & SQ_FLOW_SEQ_DOWN)) {
		lost = true; /* it was there before the rule */
	} else if (seq != flow->seq[SQ_DOWN]) {
		if ((__s32)(seq + (end - off) - flow->seq[SQ_DOWN]) <= 0)
			return false;
		lost = true;
	}
	if (lost)
		left = 0;
	for (int i = 0; i < MQTT_WALK && off < end; i++) {
		if (left >= end - off) {
			left -= end - off;
			off = end;
			lost = false;
			break;
		}
		off += left;
		len = mqtt_length(skb, off, &first);
		if (!len) {
			lost = true;
			break;
		}
		if (first >> 4 == MQTT_CONNACK)
			flow->state |= SQ_FLOW_CONNACK;
		if (first >> 4 == type)
			return true;
		left = len;
		lost = false;
	}
	if (off < end && !lost && left < end - off)
		lost = true; /* more of them than are looked at */
	flow->mqtt_left = lost ? 0 : left;
	if (lost && !(flow->state & SQ_FLOW_ASTRAY)) {
		flow->state |= SQ_FLOW_ASTRAY;
		__sync_fetch_and_add(&head->unparsed, 1);
	} else if (!lost) {
		flow->state &= ~SQ_FLOW_ASTRAY;
	}
	return false;
}

#endif
