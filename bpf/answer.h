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
	return !bpf_skb_load_bytes(skb, p->l3_off + 6, &frag, sizeof(frag)) &&
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
	__u32 off;
	__s64 sum = 0;

	if (!p)
		return -1;
	off = p->l3_off;
	if (!may_be_told(skb, p) || bpf_skb_load_bytes(skb, off, icmp.quote, TOLD_QUOTE))
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

/* Is it a query for a name? Docker's resolver is asked by a port of its own, to which the
 * container's packet filter sends what was meant for 53: the socket still knows. */
static __noinline bool dns_query(struct __sk_buff *skb, const struct packet *p)
{
	struct bpf_sock *sk = skb->sk;
	__u16 flags, port = 0;

	if (p->proto != IPPROTO_UDP || p->later_fragment)
		return false;
	if (p->dport != PORT_DNS) {
		sk = sk ? bpf_sk_fullsock(sk) : 0;
		if (sk)
			port = sk->dst_port;
		if (port != bpf_htons(PORT_DNS))
			return false;
	}
	return skb->len >= p->hdr_len + DNS_HLEN &&
	       !bpf_skb_load_bytes(skb, p->hdr_len + DNS_FLAGS, &flags, sizeof(flags)) &&
	       !(flags & bpf_htons(DNS_RESPONSE | DNS_OPCODE));
}

/*
 * Turns the query into its answer for whoever asked: 0, it is that now. To swap the ends leaves
 * both checksums what they are, and only the flags change. The question and an EDNS record stay.
 */
__noinline int dns_answer(struct __sk_buff *skb, const struct packet *p, __u32 rcode)
{
	__be16 ports[2], was, is;
	__u32 at, off;

	if (!p)
		return -1;
	at = p->l4_off;
	off = at + UDP_HLEN + DNS_FLAGS;
	if (bpf_skb_load_bytes(skb, off, &was, sizeof(was)))
		return -1;
	is = bpf_htons((bpf_ntohs(was) & DNS_KEPT) | DNS_RESPONSE | DNS_RA | rcode);
	ports[0] = bpf_htons(p->dport);
	ports[1] = bpf_htons(p->sport);
	if (bpf_l4_csum_replace(skb, at + UDP_CHECK, was, is, sizeof(is) | BPF_F_MARK_MANGLED_0) ||
	    bpf_skb_store_bytes(skb, off, &is, sizeof(is), 0) ||
	    bpf_skb_store_bytes(skb, at, ports, sizeof(ports), 0))
		return -1;
	if (p->family == 4) {
		__u32 ends[2] = {p->daddr[0], p->saddr[0]};

		if (bpf_skb_store_bytes(skb, p->l3_off + IP_SADDR, ends, sizeof(ends), 0))
			return -1;
	} else if (bpf_skb_store_bytes(skb, p->l3_off + IP6_SADDR, p->daddr, 16, 0) ||
		   bpf_skb_store_bytes(skb, p->l3_off + IP6_SADDR + 16, p->saddr, 16, 0)) {
		return -1;
	}
	return swap_macs(skb);
}

/* What is known of a connection, from where the packet at hand is. */
struct reset {
	__u32 ifindex, flags; /* of bpf_clone_redirect(): where the packet came from */
	__u32 sent,
		peer_sent; /* the ends of what was let through, by its sender and by the other */
	__u32 known;	   /* bits: 1 sent, 2 peer_sent */
};

struct tcp_head {
	__be16 sport, dport;
	__be32 seq, ack;
	__u8 doff, flags;
	__be16 window;
	__u16 check;
	__be16 urgent;
};
#define TCP_DOFF_BARE 0x50

/* Whether a card is to make the checksum (CHECKSUM_PARTIAL), no field tells. But
 * bpf_l4_csum_replace() leaves the packet's alone then. */
static __noinline int put_tcp(struct __sk_buff *skb, __u32 l4, struct tcp_head *t, __u64 pseudo)
{
	__u16 got, probe = 0;

	t->check = 0;
	if (bpf_skb_store_bytes(skb, l4, t, sizeof(*t), BPF_F_RECOMPUTE_CSUM) ||
	    bpf_l4_csum_replace(skb, l4 + TCP_CHECK, 0, bpf_htons(0x1234), 2) ||
	    bpf_skb_load_bytes(skb, l4 + TCP_CHECK, &got, sizeof(got)))
		return -1;
	if (got == probe)
		t->check = csum_fold(pseudo);
	else
		t->check = ~csum_fold(bpf_csum_diff(0, 0, (void *)t, sizeof(*t), pseudo));
	return bpf_skb_store_bytes(skb, l4 + TCP_CHECK, &t->check, sizeof(t->check),
				   BPF_F_RECOMPUTE_CSUM);
}

/* Cuts the packet to its headers and says so in them; swapped: from its receiver to its sender. */
static __noinline int put_ip(struct __sk_buff *skb, const struct packet *p, bool swapped)
{
	__u32 len = p->l4_off - p->l3_off + TCP_HLEN;

	if (p->family == 4) {
		struct iphdr ip, was;
		__s64 diff;

		if (bpf_skb_load_bytes(skb, p->l3_off, &was, sizeof(was)))
			return -1;
		ip = was;
		ip.tot_len = bpf_htons(len);
		ip.id = 0;
		ip.frag_off = bpf_htons(IP_DONT_FRAGMENT);
		ip.ttl = 64;
		ip.saddr = swapped ? p->daddr[0] : p->saddr[0];
		ip.daddr = swapped ? p->saddr[0] : p->daddr[0];
		diff = bpf_csum_diff((void *)&was, sizeof(was), (void *)&ip, sizeof(ip), 0);
		return bpf_skb_store_bytes(skb, p->l3_off, &ip, sizeof(ip), 0) ||
		       bpf_l3_csum_replace(skb, p->l3_off + IP_CHECK, 0, diff, 0);
	} else {
		struct ipv6hdr ip;

		if (bpf_skb_load_bytes(skb, p->l3_off, &ip, sizeof(ip)))
			return -1;
		ip.payload_len = bpf_htons(len - sizeof(ip));
		ip.hop_limit = 64;
		__builtin_memcpy(&ip.saddr, swapped ? p->daddr : p->saddr, 16);
		__builtin_memcpy(&ip.daddr, swapped ? p->saddr : p->daddr, 16);
		return bpf_skb_store_bytes(skb, p->l3_off, &ip, sizeof(ip), 0);
	}
}

/*
 * RST to both ends of the packet's connection (RFC 9293, 3.10.7; RFC 5961): the receiver takes one
 * whose sequence is exactly what it expects next, and answers one that is merely in its window with
 * a challenge; the packet's own is that of a keep-alive or a retransmission as often as not. So the
 * highest end of what was let through. 0: the packet is now the RST to its receiver, and is to go
 * on; 1: it was answered and is to end (a SYN: there is nobody else yet).
 */
__noinline int reset_ends(struct __sk_buff *skb, const struct packet *p, const struct reset *r)
{
	struct tcp_head t, to_sender = {.doff = TCP_DOFF_BARE},
			   to_receiver = {.doff = TCP_DOFF_BARE};
	__be32 pseudo[2] = {bpf_htonl(TCP_HLEN), bpf_htonl(IPPROTO_TCP)};
	__u32 l4, end;
	__u64 sum;

	if (!p || !r)
		return -1;
	l4 = p->l4_off;
	if (bpf_skb_load_bytes(skb, l4, &t, sizeof(t)))
		return -1;
	end = bpf_ntohl(t.seq) + !!(t.flags & TCP_SYN) + !!(t.flags & TCP_FIN);
	if (skb->len > p->hdr_len)
		end += skb->len - p->hdr_len;
	to_sender.sport = to_receiver.dport = t.dport;
	to_sender.dport = to_receiver.sport = t.sport;
	to_sender.flags = TCP_RST;
	if (t.flags & TCP_ACK) {
		to_sender.seq = t.ack;
		if ((r->known & 2) && (__s32)(r->peer_sent - bpf_ntohl(t.ack)) > 0)
			to_sender.seq = bpf_htonl(r->peer_sent);
	} else {
		to_sender.flags |= TCP_ACK;
		to_sender.ack = bpf_htonl(end);
	}
	to_receiver.seq = r->known & 1 ? bpf_htonl(r->sent) : t.seq;
	to_receiver.ack = t.ack;
	to_receiver.flags = TCP_RST | TCP_ACK;
	sum = bpf_csum_diff(0, 0, (void *)p->saddr, 32, 0);
	sum = bpf_csum_diff(0, 0, pseudo, sizeof(pseudo), sum);

	/* Makes the packet ours alone, one piece, and no GSO packet. */
	if (bpf_skb_change_tail(skb, l4 + TCP_HLEN, 0) || put_ip(skb, p, true) ||
	    put_tcp(skb, l4, &to_sender, sum) || swap_macs(skb))
		return -1;
	if (!(t.flags & TCP_RST) && bpf_clone_redirect(skb, r->ifindex, r->flags))
		return -1;
	if ((t.flags & (TCP_SYN | TCP_ACK)) == TCP_SYN)
		return 1;
	if (swap_macs(skb) || put_ip(skb, p, false) || put_tcp(skb, l4, &to_receiver, sum))
		return -1;
	return 0;
}

#endif
