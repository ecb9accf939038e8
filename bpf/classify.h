/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Whose packet is it? The nearest cgroup with a rule, looked for in this order:
 *   the packet's own socket          up, at host egress and at edge ingress
 *   who owns the far side of a veth  packets without a socket (RST, ICMP replies,
 *                                    TIME_WAIT), and down at edge egress; likewise
 *                                    the owner of a namespace entered
 *   the receiving socket             down at host ingress, and where several
 *                                    cgroups share the far side, or nobody knows
 *                                    yet whose it is
 */
#ifndef SQUALL_BPF_CLASSIFY_H
#define SQUALL_BPF_CLASSIFY_H

#include <vmlinux.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_core_read.h>
#include <squall/abi.h>
#include "consts.h"
#include "lane.h"
#include "maps.h"
#include "packet.h"

/* A key of a map, on the stack once: judge()'s callers have no byte to spare. The loops end with
 * their last level, which the verifier sees as well. */
union key {
	__u32 index;
	__u64 id;
};

static __always_inline struct sq_target *target_of_skb(struct __sk_buff *skb, __u64 levels,
						       union key *key)
{
	for (; levels; levels >>= 4) {
		struct sq_target *t;

		key->id = bpf_skb_ancestor_cgroup_id(skb, levels & 15);
		t = key->id ? bpf_map_lookup_elem(&sq_targets, key) : 0;
		if (t)
			return t;
	}
	return 0;
}

static __always_inline struct sq_target *target_of_owner(const struct sq_att *att, __u64 levels,
							 union key *key)
{
	for (; levels; levels >>= 4) {
		__u32 level = (levels & 15) - 1;
		struct sq_target *t;

		key->id = level < SQ_MAX_LEVELS ? att->owner[level] : 0;
		t = key->id ? bpf_map_lookup_elem(&sq_targets, key) : 0;
		if (t)
			return t;
	}
	return 0;
}

/* TC programs may look a socket up but not ask for its cgroup
 * (bpf_sk_ancestor_cgroup_id() is for cgroup_skb), so read it from the socket.
 * `sk` is a referenced full socket and holds its cgroup. The verifier allows no
 * arithmetic on its pointer; going through a map makes it a plain number, and
 * probe reads check what they read. */
static __always_inline struct cgroup *sk_cgroup(const struct bpf_sock *sk)
{
	__u32 zero = 0;
	__u64 *scratch = bpf_map_lookup_elem(&sq_scratch, &zero);

	if (!scratch)
		return 0;
	*(const struct bpf_sock *volatile *)scratch = sk;
	return BPF_CORE_READ((struct sock *)*(volatile __u64 *)scratch, sk_cgrp_data.cgroup);
}

static __always_inline __u64 cgroup_ancestor(struct cgroup *cgroup, __u32 level)
{
	__u64 id = 0;

	if (!cgroup || (int)level > BPF_CORE_READ(cgroup, level))
		return 0;
	if (bpf_core_field_exists(cgroup->ancestors)) {
		struct cgroup *ancestor = 0;

		bpf_core_read(&ancestor, sizeof(ancestor), &cgroup->ancestors[level]);
		return ancestor ? BPF_CORE_READ(ancestor, kn, id) : 0;
	}
	/* Kept below the test: clang would compute the address, which does not
	 * exist on this kernel and fails verification, above it. */
	asm volatile("" : "+r"(cgroup));
	bpf_core_read(&id, sizeof(id),
		      &((struct cgroup___before_6_1 *)cgroup)->ancestor_ids[level]);
	return id;
}

/* nsid -1: the namespace the packet is in. */
static __always_inline struct sq_target *target_of_receiver(struct __sk_buff *skb, __u64 levels,
							    __s32 nsid)
{
	struct bpf_sock_tuple tuple = {};
	struct sq_target *t = 0;
	struct cgroup *cgroup;
	struct bpf_sock *sk;
	struct packet p;
	__u64 netns = nsid < 0 ? (__u64)BPF_F_CURRENT_NETNS : (__u64)nsid;
	__u32 size;

	if (!packet_parse(skb, &p) || (p.later_fragment && !p.dport))
		return 0;
	if (p.family == 4) {
		tuple.ipv4.saddr = p.saddr[0];
		tuple.ipv4.daddr = p.daddr[0];
		tuple.ipv4.sport = bpf_htons(p.sport);
		tuple.ipv4.dport = bpf_htons(p.dport);
		size = sizeof(tuple.ipv4);
	} else {
		__builtin_memcpy(tuple.ipv6.saddr, p.saddr, 16);
		__builtin_memcpy(tuple.ipv6.daddr, p.daddr, 16);
		tuple.ipv6.sport = bpf_htons(p.sport);
		tuple.ipv6.dport = bpf_htons(p.dport);
		size = sizeof(tuple.ipv6);
	}
	if (p.proto == IPPROTO_TCP)
		sk = bpf_sk_lookup_tcp(skb, &tuple, size, netns, 0);
	else if (p.proto == IPPROTO_UDP)
		sk = bpf_sk_lookup_udp(skb, &tuple, size, netns, 0);
	else
		return 0;
	if (!sk)
		return 0;
	cgroup = sk_cgroup(sk);
	for (int i = 0; i < SQ_MAX_LEVELS && levels; i++, levels >>= 4) {
		__u64 id = cgroup_ancestor(cgroup, levels & 15);

		t = id ? bpf_map_lookup_elem(&sq_targets, &id) : 0;
		if (t)
			break;
	}
	bpf_sk_release(sk);
	return t;
}

/* A listener on 0.0.0.0 matches any destination, also of a packet that is only
 * forwarded here: ask the routing table whether it stays. */
static __always_inline bool delivered_here(struct __sk_buff *skb, const struct sq_att *att)
{
	struct bpf_fib_lookup fib = {};
	struct packet p;
	long ret;

	/* A group's packet stays where somebody has bound its port: there is no route to ask
	 * for. At the port of a bridge it is everybody's, and seen again at the bridge. */
	if (skb->pkt_type != PACKET_HOST)
		return !(att->flags & SQ_A_PORT);
	if (!packet_parse(skb, &p))
		return false;
	fib.family = p.family == 4 ? AF_INET : AF_INET6;
	fib.ifindex = skb->ifindex;
	__builtin_memcpy(fib.ipv6_src, p.saddr, 16);
	__builtin_memcpy(fib.ipv6_dst, p.daddr, 16);
	ret = bpf_fib_lookup(skb, &fib, sizeof(fib), 0);
	return ret == BPF_FIB_LKUP_RET_NOT_FWDED || ret == BPF_FIB_LKUP_RET_FWD_DISABLED;
}

/* By a socket of a cgroup younger than the last scans: a container that has just come to the
 * owner's namespace. Older ones elsewhere send in the owner's name: dockerd's resolver, a mesh's
 * proxy. */
static __always_inline bool of_newcomer(struct __sk_buff *skb, const struct sq_cfg *cfg)
{
	__u64 id = cfg->newest ? bpf_skb_cgroup_id(skb) : 0;

	return id && (__s32)(SQ_CGROUP_SEQ(id) - cfg->newest) > 0;
}

/* Both return the id of the rule in force, 0 for none. Calls only where a socket is looked for:
 * each costs nobody's packet 30 instructions. */
static __always_inline __u32 classify_up(struct __sk_buff *skb, const struct sq_cfg *cfg,
					 const struct sq_att *att, int hook, union key *key)
{
	struct sq_target *t = 0;

	if (att->flags & (hook == AT_EGRESS ? SQ_A_HOST : SQ_A_EDGE))
		t = target_of_skb(skb, cfg->levels, key);
	if (!t && (att->flags & (hook == AT_INGRESS ? SQ_A_EDGE : SQ_A_OWNED))) {
		t = target_of_owner(att, cfg->levels, key);
		if (t && of_newcomer(skb, cfg))
			t = 0;
	}
	return t ? t->rule_id : 0;
}

/* Asked before the call: nobody's packet pays for each. */
static __always_inline bool comes_down(struct __sk_buff *skb, const struct sq_cfg *cfg,
				       const struct sq_att *att, int hook)
{
	if (hook == AT_EGRESS)
		return att->flags & SQ_A_EDGE;
	if (!(att->flags & SQ_A_HOST) || !(cfg->flags & SQ_C_HOST_DOWN))
		return false;
	/* What the host sends to a group and hears itself has no Ethernet header here. (On lo it
	 * comes again as any other.) */
	if (skb->pkt_type == PACKET_LOOPBACK)
		return !(att->flags & SQ_A_LOOP) && !bpf_skb_change_head(skb, ETH_HLEN, 0);
	/* PACKET_HOST, or the group's and everybody's: not what only passes by. */
	return skb->pkt_type <= PACKET_MULTICAST;
}

__noinline __u32 receiver_down(struct __sk_buff *skb, const struct sq_cfg *cfg,
			       const struct sq_att *att, int hook)
{
	struct sq_target *t;

	if (!cfg || !att)
		return 0;
	t = target_of_receiver(skb, cfg->levels, hook == AT_EGRESS ? att->peer_nsid : -1);
	if (t && hook == AT_INGRESS && !delivered_here(skb, att))
		t = 0;
	return t ? t->rule_id : 0;
}

static __always_inline __u32 classify_down(struct __sk_buff *skb, const struct sq_cfg *cfg,
					   const struct sq_att *att, int hook, union key *key)
{
	struct sq_target *t;
	__u32 rule_id = 0;

	if (hook == AT_INGRESS || (att->flags & SQ_A_SHARED) || (cfg->flags & SQ_C_NOWHERE))
		rule_id = receiver_down(skb, cfg, att, hook);
	if (rule_id || (hook == AT_INGRESS && !(att->flags & SQ_A_OWNED)))
		return rule_id;
	t = target_of_owner(att, cfg->levels, key);
	return t ? t->rule_id : 0;
}

#endif
