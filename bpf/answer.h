/* SPDX-License-Identifier: GPL-2.0-only */
/* Answers made in place from the packet at hand, for whoever sent it. */
#ifndef SQUALL_BPF_ANSWER_H
#define SQUALL_BPF_ANSWER_H

#include <vmlinux.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
#include "consts.h"
#include "packet.h"

static __always_inline __u16 csum_fold(__u64 sum)
{
	sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* An ingress redirect looks at the addresses again, and would find the answer to be for another
 * host. */
static __always_inline int swap_macs(struct __sk_buff *skb)
{
	__u8 from[2 * ETH_ALEN], to[2 * ETH_ALEN];

	if (bpf_skb_load_bytes(skb, 0, from, sizeof(from)))
		return -1;
	__builtin_memcpy(to, from + ETH_ALEN, ETH_ALEN);
	__builtin_memcpy(to + ETH_ALEN, from, ETH_ALEN);
	return bpf_skb_store_bytes(skb, 0, to, sizeof(to), 0);
}

/* No answer to an answer (RFC 1122, 3.2.2; RFC 4443, 2.4), and none where a router would have cut
 * the packet and sent it on. */
static __always_inline bool may_be_told(struct __sk_buff *skb, const struct packet *p)
{
	__u16 frag;

	if (p->proto == IPPROTO_ICMPV6)
		return p->icmp_type >= ICMP6_TYPE_ECHO;
	if (p->proto == IPPROTO_ICMP && p->icmp_type != ICMP_TYPE_ECHO &&
	    p->icmp_type != ICMP_TYPE_ECHO_REPLY)
		return false;
	if (p->family == 6)
		return true;
	return !bpf_skb_load_bytes(skb, ETH_HLEN + 6, &frag, sizeof(frag)) &&
	       (frag & bpf_htons(IP_DONT_FRAGMENT));
}

/* The longest IPv4 header and eight bytes of what follows, which every packet that is too big has:
 * no MTU is smaller. */
#define TOLD_QUOTE 68

/*
 * Turns the packet into "fragmentation needed" (RFC 1191) or "packet too big" (RFC 4443) for its
 * sender, as if from the other end. 0: it is that now. Its checksum must be finished (SQ_F_SUM):
 * a sum that the card is to make would be written into the quote.
 */
__noinline int too_big(struct __sk_buff *skb, const struct packet *p, __u32 mtu)
{
	struct {
		__u8 type, code;
		__u16 check;
		__u32 mtu; /* IPv4: in the lower half, the upper is unused */
		__u8 quote[TOLD_QUOTE];
	} icmp = {.mtu = bpf_htonl(mtu)};
	__u32 off = ETH_HLEN;
	__s64 sum = 0;

	if (!p || !may_be_told(skb, p) || bpf_skb_load_bytes(skb, off, icmp.quote, TOLD_QUOTE))
		return -1;
	if (p->family == 4) {
		struct iphdr ip = {.version = 4,
				   .ihl = 5,
				   .ttl = 64,
				   .protocol = IPPROTO_ICMP,
				   .tot_len = bpf_htons(sizeof(ip) + sizeof(icmp)),
				   .saddr = p->daddr[0],
				   .daddr = p->saddr[0]};

		icmp.type = ICMP_TYPE_UNREACHABLE;
		icmp.code = ICMP_CODE_FRAG_NEEDED;
		ip.check = ~csum_fold(bpf_csum_diff(0, 0, (void *)&ip, sizeof(ip), 0));
		if (bpf_skb_change_tail(skb, off + sizeof(ip) + sizeof(icmp), 0) ||
		    bpf_skb_store_bytes(skb, off, &ip, sizeof(ip), 0))
			return -1;
		off += sizeof(ip);
	} else {
		__be32 pseudo[2] = {bpf_htonl(sizeof(icmp)), bpf_htonl(IPPROTO_ICMPV6)};
		struct ipv6hdr ip = {.version = 6,
				     .nexthdr = IPPROTO_ICMPV6,
				     .hop_limit = 64,
				     .payload_len = bpf_htons(sizeof(icmp))};

		icmp.type = ICMP6_TYPE_TOO_BIG;
		__builtin_memcpy(&ip.saddr, p->daddr, 16);
		__builtin_memcpy(&ip.daddr, p->saddr, 16);
		sum = bpf_csum_diff(0, 0, (void *)&ip.saddr, 32, 0);
		sum = bpf_csum_diff(0, 0, pseudo, sizeof(pseudo), sum);
		if (bpf_skb_change_tail(skb, off + sizeof(ip) + sizeof(icmp), 0) ||
		    bpf_skb_store_bytes(skb, off, &ip, sizeof(ip), 0))
			return -1;
		off += sizeof(ip);
	}
	icmp.check = ~csum_fold(bpf_csum_diff(0, 0, (void *)&icmp, sizeof(icmp), sum));
	if (bpf_skb_store_bytes(skb, off, &icmp, sizeof(icmp), 0) || swap_macs(skb))
		return -1;
	bpf_csum_level(skb, BPF_CSUM_LEVEL_RESET);
	return 0;
}

#endif
