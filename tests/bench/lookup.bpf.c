// SPDX-License-Identifier: GPL-2.0-only
/* For flows.c: the data path's own look-up of a flow, beside one in the kernel's hash of the same
 * size, and a program that makes each run's packet another flow's. */
#include "../../bpf/flow.h"

char _license[] SEC("license") = "GPL";

#define SADDR_OFF 26 /* of IPv4 behind an Ethernet header */

__u64 turn;
__u64 flows = 1;
/* Put in one after the other, a hash has its elements in that order: nobody looks for them so. */
__u64 stride = 1;
struct sq_rule rule;

struct key {
	__u32 local[4], remote[4], ports, family;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct key);
	__type(value, struct sq_flow);
} hash SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} jump SEC(".maps");

static __always_inline __u32 next_address(void)
{
	return 10 | (__u32)(turn++ * stride % flows + 1) << 8;
}

static __always_inline void next_packet(struct __sk_buff *skb, struct packet *p)
{
	__builtin_memset(p, 0, sizeof(*p));
	p->family = 4;
	p->proto = IPPROTO_UDP;
	p->saddr[0] = next_address();
	p->daddr[0] = 10 | 2 << 24;
	p->sport = 4000;
	p->dport = 1883;
	p->hdr_len = skb->len;
	asm volatile("" : : "r"(p) : "memory");
}

static __always_inline void next_key(struct __sk_buff *skb, struct key *k)
{
	struct packet p;

	next_packet(skb, &p);
	__builtin_memcpy(k->local, p.saddr, sizeof(k->local));
	__builtin_memcpy(k->remote, p.daddr, sizeof(k->remote));
	k->ports = (__u32)p.sport << 16 | p.dport;
	k->family = p.family;
}

SEC("tc")
int lookup_none(struct __sk_buff *skb)
{
	struct packet p;

	next_packet(skb, &p);
	return 0;
}

SEC("tc")
int lookup_table(struct __sk_buff *skb)
{
	struct packet p;
	struct flow_found found = {};

	next_packet(skb, &p);
	return !!flow_get(&rule, &p, SQ_UP, 1, &found);
}

SEC("tc")
int lookup_hash(struct __sk_buff *skb)
{
	struct key k;

	next_key(skb, &k);
	return !!bpf_map_lookup_elem(&hash, &k);
}

SEC("tc")
int fill_hash(struct __sk_buff *skb)
{
	static struct sq_flow nothing;
	struct key k;

	next_key(skb, &k);
	return !bpf_map_update_elem(&hash, &k, &nothing, BPF_ANY);
}

SEC("tc")
int vary(struct __sk_buff *skb)
{
	__u32 address = next_address();

	skb->tc_index = 0;
	bpf_skb_store_bytes(skb, SADDR_OFF, &address, sizeof(address), 0);
	bpf_tail_call(skb, &jump, 0);
	return -1;
}
