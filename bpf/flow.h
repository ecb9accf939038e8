/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Flows: whose bucket, loss chain and draws a packet meets, and connections that hang or are reset.
 *
 *   classify -> match -> flow_track()  is its flow meant, and has its hour come?   } only if the
 *                     -> flow_place()  the flow's own link in place of the rule's  } clause asks
 *
 * A flow's fate is a hash of (seed, flow) and its draws a stream of its own: what other flows do
 * changes neither. Its place in the table is explained in abi.h.
 */
#ifndef SQUALL_BPF_FLOW_H
#define SQUALL_BPF_FLOW_H

#include <vmlinux.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
#include <squall/abi.h>
#include "consts.h"
#include "decide.h"
#include "maps.h"
#include "mqtt.h"
#include "packet.h"
#include "random.h"
#include "tls.h"

#define HELLO_MAX 65536 /* a ClientHello with all that may come again with it */

enum flow_fate { FLOW_GOES, FLOW_SPARED, FLOW_HUNG, FLOW_RESET, FLOW_REFUSED };

/* What a flow is told apart by: the ends as the target sees them, or its own address alone. */
#define FLOW_KEY_ADDRESS 2 /* beside enum sq_dir */
__noinline __u64 flow_hash(const struct packet *p, __u64 seed, __u32 how)
{
	const __u64 k = 0x9e3779b97f4a7c15ull, m = 0xff51afd7ed558ccdull;
	const __u32 *local, *remote;
	__u64 h = seed ^ k, ports;

	if (!p)
		return 2;
	if (how & SQ_DOWN) {
		local = p->daddr;
		remote = p->saddr;
		ports = (__u32)p->dport << 16 | p->sport;
	} else {
		local = p->saddr;
		remote = p->daddr;
		ports = (__u32)p->sport << 16 | p->dport;
	}
	ports = ports << 8 | p->family;
	if (how & FLOW_KEY_ADDRESS)
		ports = p->family;
	else
		ports |= (__u64)(p->proto + 1) << 40;
	h = (h ^ ((__u64)local[0] << 32 | local[1])) * m;
	h = (h ^ h >> 32 ^ ((__u64)local[2] << 32 | local[3])) * m;
	if (!(how & FLOW_KEY_ADDRESS)) {
		h = (h ^ h >> 32 ^ ((__u64)remote[0] << 32 | remote[1])) * m;
		h = (h ^ h >> 32 ^ ((__u64)remote[2] << 32 | remote[3])) * m;
	}
	h = draw64(h ^ h >> 32, ports, 0);
	return h > SQ_FLOW_BUSY ? h : h + 2;
}

/* Global functions, so that the verifier looks at sixteen comparisons once and not at their
 * combinations: as part of a caller they took it past a million instructions. SQ_FLOW_WAYS: none.
 */
__noinline __u32 flow_way(const struct sq_flow_tags *tags, __u64 tag)
{
	if (!tags)
		return SQ_FLOW_WAYS;
#pragma clang loop unroll(full)
	for (__u32 i = 0; i < SQ_FLOW_WAYS; i++)
		if (tags->tag[i] == tag)
			return i;
	return SQ_FLOW_WAYS;
}

__noinline __u32 flow_used(const struct sq_flow_tags *tags)
{
	__u32 n = 0;

	if (!tags)
		return SQ_FLOW_WAYS;
#pragma clang loop unroll(full)
	for (__u32 i = 0; i < SQ_FLOW_WAYS; i++)
		n += !!tags->tag[i];
	return n;
}

/* The place is the caller's, who fills it in and then writes its tag. */
__noinline __u32 flow_claim(struct sq_flow_tags *tags)
{
	if (!tags)
		return SQ_FLOW_WAYS;
#pragma clang loop unroll(full)
	for (__u32 i = 0; i < SQ_FLOW_WAYS; i++)
		if (!tags->tag[i] && !__sync_val_compare_and_swap(&tags->tag[i], 0, SQ_FLOW_BUSY))
			return i;
	return SQ_FLOW_WAYS;
}

/* For how long a flow has to be silent before its place is another's. */
static __always_inline __u64 flow_keeps(const struct sq_flow *flow)
{
	if (flow->state & SQ_FLOW_ENDED)
		return SQ_FLOW_ENDED_NS;
	if (flow->proto != IPPROTO_TCP)
		return SQ_FLOW_UDP_NS;
	return flow->state & SQ_FLOW_HUNG ? SQ_FLOW_OPENING_NS : SQ_FLOW_TCP_NS;
}

/* Likewise, of a flow that is over. 16 more: it had not said that it was. */
#define FLOW_EVICTED 16
__noinline __u32 flow_reclaim(struct sq_flow_tags *tags, const union sq_flow_set *set, __u64 now)
{
	if (!tags || !set)
		return SQ_FLOW_WAYS;
#pragma clang loop unroll(full)
	for (__u32 i = 0; i < SQ_FLOW_WAYS; i++) {
		__u64 tag = tags->tag[i], silent = now - set->flow[i].last_ns;

		if (tag > SQ_FLOW_BUSY && (__s64)silent > (__s64)flow_keeps(&set->flow[i]) &&
		    __sync_val_compare_and_swap(&tags->tag[i], tag, SQ_FLOW_BUSY) == tag)
			return set->flow[i].state & SQ_FLOW_ENDED ? i : i | FLOW_EVICTED;
	}
	return SQ_FLOW_WAYS;
}

static __always_inline struct sq_flow_head *flow_head(void *table)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(table, &zero);
}

/* The two sets where a flow may be. */
static __always_inline __u32 flow_index(__u64 tag, __u32 sets, bool second)
{
	__u32 half = second ? tag >> 32 : tag;

	return (__u64)half * sets >> 32;
}

static __always_inline struct sq_flow_tags *flow_tags(void *table, __u32 sets, __u32 set)
{
	__u32 element = SQ_FLOW_TAGS(sets, set);
	union sq_flow_set *e = bpf_map_lookup_elem(table, &element);

	return e ? &e->tags[set % SQ_FLOW_LINES] : 0;
}

static __always_inline union sq_flow_set *flow_set(void *table, __u32 set)
{
	set++;
	return bpf_map_lookup_elem(table, &set);
}

static __always_inline struct sq_flow *flow_at(void *table, __u32 set, __u32 way)
{
	union sq_flow_set *e = flow_set(table, set);

	return e ? &e->flow[way & (SQ_FLOW_WAYS - 1)] : 0;
}

static __always_inline void flow_fill(struct sq_flow *flow, const struct packet *p, __u32 how,
				      __u64 now)
{
	bool down = how & SQ_DOWN, address = how & FLOW_KEY_ADDRESS;

	__builtin_memset(flow, 0, sizeof(*flow));
	flow->born_ns = flow->last_ns = now;
	__builtin_memcpy(flow->local, down ? p->daddr : p->saddr, 16);
	flow->family = p->family;
	if (address)
		return;
	__builtin_memcpy(flow->remote, down ? p->saddr : p->daddr, 16);
	flow->lport = down ? p->dport : p->sport;
	flow->rport = down ? p->sport : p->dport;
	flow->proto = p->proto;
}

/* It no longer counts for max_flows: it is over, or will never carry anything again. */
static __always_inline void flow_give_back(struct sq_flow *flow, struct sq_flow_head *head)
{
	if (!(flow->state & SQ_FLOW_HELD))
		return;
	flow->state &= ~SQ_FLOW_HELD;
	__sync_fetch_and_add(&head->held[flow->clause % SQ_MAX_CLAUSES], -1);
}

struct flow_found {
	__u64 tag;
	bool fresh; /* it had no entry */
};

/* The flow's entry, made if it has none. NULL: there is no place, which is counted. */
static __noinline struct sq_flow *flow_get(const struct sq_rule *rule, const struct packet *p,
					   __u32 how, __u64 now, struct flow_found *found)
{
	__u64 tag = found->tag = flow_hash(p, rule->seed, how);
	__u32 slot = rule->flow_slot, sets = rule->flow_sets, way;
	__u32 a = flow_index(tag, sets, false), b = flow_index(tag, sets, true);
	struct sq_flow_tags *first, *second;
	union sq_flow_set *set, *other;
	struct sq_flow_head *head;
	struct sq_flow *flow;
	void *table;

	table = slot ? bpf_map_lookup_elem(&sq_flows, &slot) : 0;
	if (!table)
		return 0;
	first = flow_tags(table, sets, a);
	if (!first)
		return 0;
	way = flow_way(first, tag);
	if (way < SQ_FLOW_WAYS)
		return flow_at(table, a, way);
	second = flow_tags(table, sets, b);
	if (!second)
		return 0;
	way = flow_way(second, tag);
	if (way < SQ_FLOW_WAYS)
		return flow_at(table, b, way);

	head = flow_head(table);
	if (!head)
		return 0;
	if (flow_used(second) < flow_used(first)) {
		struct sq_flow_tags *fuller = first;
		__u32 c = a;

		first = second;
		second = fuller;
		a = b;
		b = c;
	}
	set = flow_set(table, a);
	other = flow_set(table, b);
	if (!set || !other)
		return 0;
	way = flow_claim(first);
	if (way == SQ_FLOW_WAYS)
		way = flow_reclaim(first, set, now);
	if (way == SQ_FLOW_WAYS) {
		first = second;
		set = other;
		way = flow_reclaim(first, set, now);
	}
	if (way == SQ_FLOW_WAYS) {
		__sync_fetch_and_add(&head->full, 1);
		return 0;
	}
	if (way & FLOW_EVICTED)
		__sync_fetch_and_add(&head->evicted, 1);
	way &= SQ_FLOW_WAYS - 1;
	flow = &set->flow[way];
	flow_give_back(flow, head);
	flow_fill(flow, p, how, now);
	__sync_fetch_and_add(how & FLOW_KEY_ADDRESS ? &head->addresses : &head->seen, 1);
	__sync_val_compare_and_swap(&first->tag[way], SQ_FLOW_BUSY, tag);
	found->fresh = true;
	return flow;
}

/* The SYN of a second subflow of MPTCP (RFC 8684): option 30, subtype 1. Its connection may be as
 * old as any, and lives on through it. */
static __noinline bool joins_old(struct __sk_buff *skb, const struct packet *p)
{
	__u32 off = p->l4_off + TCP_HLEN;

	for (int i = 0; i < TCP_OPTIONS_MAX && off + 3 <= p->hdr_len; i++) {
		__u8 option[3];

		if (bpf_skb_load_bytes(skb, off, option, sizeof(option)) || !option[0])
			return false;
		if (option[0] == 1) {
			off++;
			continue;
		}
		if (option[0] == TCP_OPTION_MPTCP && option[2] >> 4 == TCP_MPTCP_JOIN)
			return true;
		if (option[1] < 2)
			return false;
		off += option[1];
	}
	return false;
}

/* Was the connection there before its first packet that we see? UDP has no beginning, but for
 * QUIC's long header on its ports (RFC 9000, 17.2) and DTLS's handshake (RFC 6347, 4.1). */
__noinline bool begun_before(struct __sk_buff *skb, const struct packet *p)
{
	__u8 data[3];

	if (!p)
		return false;
	if (p->proto == IPPROTO_TCP)
		return !(p->tcp_flags & TCP_SYN) || joins_old(skb, p);
	if (p->proto != IPPROTO_UDP ||
	    bpf_skb_load_bytes(skb, p->l4_off + UDP_HLEN, data, sizeof(data)))
		return false;
	if (data[0] == DTLS_APPLICATION_DATA && data[1] == DTLS_VERSION_MAJOR)
		return true;
	if (p->sport != PORT_QUIC && p->dport != PORT_QUIC && p->sport != PORT_MQTT_QUIC &&
	    p->dport != PORT_MQTT_QUIC)
		return false;
	return (data[0] & QUIC_FORM_MASK) == QUIC_SHORT_HEADER;
}

static __always_inline bool flow_due(const struct sq_flow_ask *ask, const struct sq_flow *flow,
				     __u64 now, __u64 payload, __u32 dir)
{
	__u64 bytes = 0;

	switch (ask->when) {
	case SQ_WHEN_OLD:
		return flow->state & SQ_FLOW_OLD;
	case SQ_WHEN_IDLE:
		return (__s64)(now - flow->last_ns) > (__s64)ask->value;
	case SQ_WHEN_AGE:
		return (__s64)(now - flow->born_ns) >= (__s64)ask->value;
	case SQ_WHEN_BYTES:
		if (ask->dirs & 1 << SQ_UP)
			bytes += flow->dyn[SQ_UP].bytes;
		if (ask->dirs & 1 << SQ_DOWN)
			bytes += flow->dyn[SQ_DOWN].bytes;
		if (ask->dirs & 1 << dir)
			bytes += payload;
		return bytes > ask->value;
	default:
		return false;
	}
}

/* What TCP says of its beginning and end. A SYN on known ports is a new connection: or a device
 * that keeps its port would never come back. Its draws go on, or the SYN that a seed loses would be
 * lost for ever. */
static __always_inline void flow_begin(struct sq_flow *flow, struct sq_flow_head *head, __u64 now,
				       bool old)
{
	const __u32 opening = SQ_FLOW_SEQ_UP | SQ_FLOW_SEQ_DOWN | SQ_FLOW_HELD;

	if (flow->state & ~opening || flow->dyn[SQ_UP].bytes || flow->dyn[SQ_DOWN].bytes) {
		if (!(flow->state & SQ_FLOW_ENDED))
			__sync_fetch_and_add(&head->ended, 1);
		__sync_fetch_and_add(&head->seen, 1);
		flow->state = (old ? SQ_FLOW_OLD : 0) | (flow->state & SQ_FLOW_HELD);
		flow->born_ns = flow->last_ns = now;
		flow->dyn[SQ_UP].bytes = flow->dyn[SQ_DOWN].bytes = 0;
		flow->dyn[SQ_UP].record = flow->dyn[SQ_DOWN].record = 0;
		flow->mqtt_left = 0;
		flow->tls_ticket = 0;
	}
}

static __always_inline void flow_let(struct __sk_buff *skb, struct sq_flow *flow,
				     struct sq_flow_head *head, const struct packet *p, __u32 dir,
				     __u64 payload, bool own_link)
{
	__u32 fin = dir == SQ_UP ? SQ_FLOW_FIN_UP : SQ_FLOW_FIN_DOWN, seq, known;
	const __u32 both = SQ_FLOW_FIN_UP | SQ_FLOW_FIN_DOWN;

	flow->dyn[dir].bytes += payload;
	if (!own_link) /* else lose() numbers them */
		flow->dyn[dir].chain += 256;
	if (p->proto != IPPROTO_TCP)
		return;
	if (!bpf_skb_load_bytes(skb, p->l4_off + TCP_SEQ, &seq, sizeof(seq))) {
		seq = bpf_ntohl(seq) + payload + !!(p->tcp_flags & TCP_SYN) +
		      !!(p->tcp_flags & TCP_FIN);
		known = dir == SQ_UP ? SQ_FLOW_SEQ_UP : SQ_FLOW_SEQ_DOWN;
		if (!(flow->state & known) || (__s32)(seq - flow->seq[dir]) > 0) {
			flow->seq[dir] = seq;
			flow->state |= known;
		}
	}
	if (p->tcp_flags & TCP_FIN)
		flow->state |= fin;
	if (!(flow->state & SQ_FLOW_ENDED) &&
	    ((p->tcp_flags & TCP_RST) || (flow->state & both) == both)) {
		flow->state |= SQ_FLOW_ENDED;
		flow_give_back(flow, head);
		__sync_fetch_and_add(&head->ended, 1);
	}
}

/* May a flow that begins be one of max_flows? Those from before the rule are, whatever their
 * number. One that may not is not counted as seen, and its place in the table is soon another's. */
__noinline bool flow_admit(struct sq_flow *flow, struct sq_flow_head *head, __u32 clause, __s32 max)
{
	__s32 *held;

	if (!flow || !head)
		return false;
	held = &head->held[clause % SQ_MAX_CLAUSES];
	if (flow->state & SQ_FLOW_REFUSED) /* not TCP: each of its packets would begin it */
		__sync_fetch_and_add(&head->seen, 1);
	flow->state &= ~(SQ_FLOW_REFUSED | SQ_FLOW_ENDED);
	if (__sync_fetch_and_add(held, 1) < max || (flow->state & SQ_FLOW_OLD)) {
		flow->clause = clause;
		flow->state |= SQ_FLOW_HELD;
		return true;
	}
	__sync_fetch_and_add(held, -1);
	__sync_fetch_and_add(&head->seen, -1);
	__sync_fetch_and_add(&head->refused, 1);
	flow->state |= SQ_FLOW_REFUSED | SQ_FLOW_ENDED;
	return false;
}

static __always_inline struct sq_flow_head *flow_head_of(const struct sq_rule *rule)
{
	__u32 slot = rule->flow_slot;
	void *table = bpf_map_lookup_elem(&sq_flows, &slot);

	return table ? flow_head(table) : 0;
}

/* how: enum sq_dir, and the type of the control packet from bit 8 on. Global: its ways would be
 * multiplied with those of what follows. */
__noinline bool at_phase(struct __sk_buff *skb, const struct packet *p, struct sq_flow *flow,
			 struct sq_flow_head *head, __u32 how)
{
	bool up = (how & 1) == SQ_UP;

	if (!p || !flow || !head)
		return false;
	if (up && !(flow->state & (SQ_FLOW_TLS | SQ_FLOW_OLD)) && !flow->dyn[SQ_UP].bytes &&
	    tls_begins(skb, p))
		flow->state |= SQ_FLOW_TLS;
	if (flow->state & SQ_FLOW_TLS)
		return tls_meets(skb, p, flow, head, how);
	return !up && mqtt_meets(skb, p, flow, head, how >> 8);
}

/* What a NAT has so many of. */
static __always_inline bool has_ports(const struct packet *p)
{
	return p->proto == IPPROTO_TCP || p->proto == IPPROTO_UDP;
}

/* Does a connection begin here for a clause that knows it by the name in its ClientHello? It never
 * saw the SYN. A ClientHello that comes again begins nothing: it lies before the end of what was
 * let through. */
static __always_inline bool named_by_hello(struct __sk_buff *skb, const struct judgement *j,
					   const struct packet *p, const struct sq_flow *flow,
					   bool fresh)
{
	__u32 seq;

	if ((j->dir & 1) != SQ_UP || p->proto != IPPROTO_TCP ||
	    !j->rule->clause[j->clause % SQ_MAX_CLAUSES].match.host || !tls_begins(skb, p))
		return false;
	if (fresh || !(flow->state & SQ_FLOW_SEQ_UP))
		return true;
	return !bpf_skb_load_bytes(skb, p->l4_off + TCP_SEQ, &seq, sizeof(seq)) &&
	       flow->seq[SQ_UP] - bpf_ntohl(seq) > HELLO_MAX;
}

static __noinline __u32 flow_verdict(struct __sk_buff *skb, struct judgement *j,
				     const struct packet *p, struct sq_flow *flow, bool fresh)
{
	struct sq_flow_head *head = flow_head_of(j->rule);
	__u64 payload = skb->len > p->hdr_len ? skb->len - p->hdr_len : 0, now = j->now;
	bool hello = named_by_hello(skb, j, p, flow, fresh);
	bool opens = fresh || hello || (p->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
	bool old = opens && !hello && begun_before(skb, p);
	__u32 dir = j->dir & 1, bit;

	if (!head)
		return FLOW_SPARED;
	if (fresh)
		flow->state = old ? SQ_FLOW_OLD : 0;
	else if (opens && p->proto == IPPROTO_TCP)
		flow_begin(flow, head, now, old);
	if (j->ask->max_flows && has_ports(p) && !(flow->state & SQ_FLOW_HELD) &&
	    (!(flow->state & (SQ_FLOW_ENDED | SQ_FLOW_HUNG | SQ_FLOW_RESET)) ||
	     ((flow->state & SQ_FLOW_REFUSED) && p->proto != IPPROTO_TCP)))
		flow_admit(flow, head, j->clause, j->ask->max_flows);
	if (flow->state & SQ_FLOW_REFUSED) {
		flow->last_ns = now;
		return FLOW_REFUSED;
	}
	if (!(flow->state & (SQ_FLOW_HUNG | SQ_FLOW_RESET)) &&
	    (j->ask->when == SQ_WHEN_MQTT
		     ? p->proto == IPPROTO_TCP &&
			       at_phase(skb, p, flow, head, dir | (__u32)j->ask->value << 8)
		     : flow_due(j->ask, flow, now, payload, dir)) &&
	    (j->ask->act == SQ_ACT_HANG || p->proto == IPPROTO_TCP)) {
		bit = j->ask->act == SQ_ACT_HANG ? SQ_FLOW_HUNG : SQ_FLOW_RESET;
		/* Two CPUs may both come to it: counted twice then. */
		if (bit == SQ_FLOW_RESET && !(flow->state & SQ_FLOW_ENDED)) {
			flow->state |= SQ_FLOW_ENDED;
			__sync_fetch_and_add(&head->ended, 1);
		}
		flow->state |= bit;
		flow_give_back(flow, head);
		__sync_fetch_and_add(bit == SQ_FLOW_HUNG ? &head->hung : &head->reset, 1);
	}
	flow->last_ns = now;
	if (flow->state & SQ_FLOW_HUNG)
		return FLOW_HUNG;
	if (flow->state & SQ_FLOW_RESET) {
		j->seq_known = flow->state;
		j->seq[SQ_UP] = flow->seq[SQ_UP];
		j->seq[SQ_DOWN] = flow->seq[SQ_DOWN];
		return FLOW_RESET;
	}
	flow_let(skb, flow, head, p, dir, payload, j->ask->each == SQ_EACH_FLOW);
	return FLOW_GOES;
}

/* Of a datagram in pieces whose first was not seen, nobody knows the flow: it meets the rule's
 * own link and draws, and does not hang. */
static __always_inline bool no_flow(const struct packet *p)
{
	return p->later_fragment && !p->dport && !p->sport;
}

/* Clauses and directions draw from streams of their own, as those of the rule do. */
static __always_inline void flow_own_link(struct judgement *j, struct sq_flow *flow, __u64 tag)
{
	j->dyn = &flow->dyn[j->dir & 1];
	j->seed ^= tag;
}

/* Once for each packet, before it is cut. */
static __noinline __u32 flow_track(struct __sk_buff *skb, struct judgement *j,
				   const struct packet *p)
{
	struct flow_found found = {};
	struct sq_flow *flow;

	if (no_flow(p))
		return FLOW_GOES;
	if (j->ask->share) {
		__u64 tag = flow_hash(p, j->rule->seed, j->dir & 1);

		if (!hit(draw64(~tag, 0, DRAW_LOSS) >> 32, j->ask->share))
			return FLOW_SPARED;
	}
	/* A flow with a link of its own is followed too: its end gives its place back. */
	if (!j->ask->act && !(j->ask->max_flows && has_ports(p)) && j->ask->each != SQ_EACH_FLOW)
		return FLOW_GOES;
	flow = flow_get(j->rule, p, j->dir & 1, j->now, &found);
	if (!flow)
		return FLOW_SPARED;
	if (j->ask->each == SQ_EACH_FLOW)
		flow_own_link(j, flow, found.tag);
	return flow_verdict(skb, j, p, flow, found.fresh);
}

/* False: it has no place, and passes. */
static __noinline bool flow_place(struct judgement *j, const struct packet *p)
{
	__u32 how = j->dir & 1;
	struct flow_found found = {};
	struct sq_flow *flow;

	if (!j->ask->each || no_flow(p))
		return true;
	if (j->ask->each == SQ_EACH_ADDRESS)
		how |= FLOW_KEY_ADDRESS;
	flow = flow_get(j->rule, p, how, j->now, &found);
	if (!flow)
		return false;
	flow->last_ns = j->now;
	flow_own_link(j, flow, found.tag);
	return true;
}

#endif
