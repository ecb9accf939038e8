/* SPDX-License-Identifier: GPL-2.0-only */
/* What a packet says of itself, and what it takes on the wire. */
#ifndef SQUALL_BPF_PACKET_H
#define SQUALL_BPF_PACKET_H

#include <vmlinux.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
#include "consts.h"
#include "maps.h"

struct packet {
	__u32 saddr[4]; /* IPv4: first word */
	__u32 daddr[4];
	__u16 sport; /* host order; 0: ICMP, and later fragments whose first was not seen */
	__u16 dport;
	__u8 family; /* 4, 6 */
	__u8 proto;
	__u8 icmp_type;
	__u8 later_fragment;
	__u16 l3_off; /* behind Ethernet, or behind the inner one of two VLAN tags */
	__u16 l4_off;
	__u16 hdr_len; /* Ethernet to end of the TCP/UDP header: repeated in each GSO segment */
	__u16 tcp_flags;
};

/* Later fragments share what the first said of ports. Two targets whose fragments
 * have one key do not meet: a key names both addresses. */
static __always_inline void fragment_ports(struct packet *p, __u32 id)
{
	struct sq_fragment key = {.id = id, .proto = p->proto};
	struct sq_ports *known, first = {.sport = p->sport, .dport = p->dport};

	__builtin_memcpy(key.saddr, p->saddr, sizeof(key.saddr));
	__builtin_memcpy(key.daddr, p->daddr, sizeof(key.daddr));
	if (!p->later_fragment) {
		bpf_map_update_elem(&sq_fragments, &key, &first, BPF_ANY);
		return;
	}
	known = bpf_map_lookup_elem(&sq_fragments, &key);
	if (known) {
		p->sport = known->sport;
		p->dport = known->dport;
	}
}

static __always_inline bool is_tag(__be16 proto)
{
	return proto == bpf_htons(ETH_P_8021Q) || proto == bpf_htons(ETH_P_8021AD);
}

/*
 * A VLAN tag in the bytes of a frame, where the kernel has left it (reorder_hdr off, packet
 * sockets, a port of a bridge), is put beside it, as the receive path does: the frame is the same
 * for everybody who comes after us. Of two tags the inner one stays, see packet_parse(). False:
 * the frame is broken.
 */
static __always_inline bool tag_beside(struct __sk_buff *skb)
{
	__be16 proto = skb->protocol, tci;

	if (!is_tag(proto) || skb->vlan_present)
		return true;
	return !bpf_skb_load_bytes(skb, ETH_HLEN, &tci, sizeof(tci)) && !bpf_skb_vlan_pop(skb) &&
	       !bpf_skb_vlan_push(skb, proto, bpf_ntohs(tci));
}

/* As skb_header_pointer(): the header where it lies, or a copy of one that is not in the linear
 * part (tun, GRO). A copy by helper costs 9 ns, where a lost packet costs 85 in all. */
static __always_inline const void *header(struct __sk_buff *skb, __u32 off, void *copy, __u32 len)
{
	const void *at = (const void *)(long)skb->data + off;

	if (at + len <= (const void *)(long)skb->data_end)
		return at;
	return bpf_skb_load_bytes(skb, off, copy, len) ? NULL : copy;
}

/* False: not IP, or cut short. Such a packet is never faulted. Global functions
 * are verified once and not once per path that leads to them: with static
 * ones, loading took seconds. */
__noinline bool packet_parse(struct __sk_buff *skb, struct packet *p)
{
	__u32 off = ETH_HLEN, fragment = 0; /* its id, in any form */
	__be16 proto = skb->protocol;
	bool in_pieces = false;
	__u8 next;

	if (!p)
		return false;
	__builtin_memset(p, 0, sizeof(*p));
	/* Of two tags the outer one is beside the frame by now. */
	if (is_tag(proto)) {
		if (bpf_skb_load_bytes(skb, ETH_HLEN + VLAN_HLEN - 2, &proto, sizeof(proto)))
			return false;
		off += VLAN_HLEN;
	}
	p->l3_off = off;
	if (proto == bpf_htons(ETH_P_IP)) {
		struct iphdr copy;
		const struct iphdr *ip = header(skb, off, &copy, sizeof(copy));

		if (!ip || ip->ihl < 5)
			return false;
		p->family = 4;
		p->saddr[0] = ip->saddr;
		p->daddr[0] = ip->daddr;
		p->later_fragment = !!(ip->frag_off & bpf_htons(IP_OFFSET_MASK));
		in_pieces = !!(ip->frag_off & bpf_htons(IP_MORE_FRAGMENTS | IP_OFFSET_MASK));
		fragment = ip->id;
		next = ip->protocol;
		off += ip->ihl * 4;
	} else if (proto == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr ip6;

		if (bpf_skb_load_bytes(skb, off, &ip6, sizeof(ip6)))
			return false;
		p->family = 6;
		__builtin_memcpy(p->saddr, &ip6.saddr, 16);
		__builtin_memcpy(p->daddr, &ip6.daddr, 16);
		next = ip6.nexthdr;
		off += sizeof(ip6);
		/* Hop-by-hop, routing, destination options, fragment: as many as
		 * are seen outside of attacks. */
		for (int i = 0; i < 4; i++) {
			__u8 ext[8];

			if (next != IP6_EXT_HOP_BY_HOP && next != IP6_EXT_ROUTING &&
			    next != IP6_EXT_DESTINATION && next != IP6_EXT_FRAGMENT)
				break;
			if (bpf_skb_load_bytes(skb, off, ext, sizeof(ext)))
				return false;
			if (next == IP6_EXT_FRAGMENT) {
				p->later_fragment = ext[2] || (ext[3] & 0xf8);
				in_pieces = true;
				__builtin_memcpy(&fragment, ext + 4, sizeof(fragment));
				off += IP6_FRAGMENT_HLEN;
			} else {
				off += (ext[1] + 1) * 8;
			}
			next = ext[0];
			if (p->later_fragment)
				break;
		}
	} else {
		return false;
	}

	p->proto = next;
	p->l4_off = off;
	p->hdr_len = off;
	if (p->later_fragment) {
		fragment_ports(p, fragment);
		return true;
	}
	if (next == IPPROTO_TCP) {
		__u8 copy[14];
		const __u8 *tcp = header(skb, off, copy, sizeof(copy));

		if (!tcp)
			return true;
		p->sport = tcp[0] << 8 | tcp[1];
		p->dport = tcp[2] << 8 | tcp[3];
		p->hdr_len = off + (tcp[12] >> 4) * 4;
		p->tcp_flags = tcp[13];
	} else if (next == IPPROTO_UDP || next == IPPROTO_SCTP || next == IPPROTO_DCCP ||
		   next == IPPROTO_UDPLITE) {
		__u8 copy[4];
		const __u8 *udp = header(skb, off, copy, sizeof(copy));

		if (!udp)
			return true;
		p->sport = udp[0] << 8 | udp[1];
		p->dport = udp[2] << 8 | udp[3];
		p->hdr_len = off + UDP_HLEN;
	} else if (next == IPPROTO_ICMP || next == IPPROTO_ICMPV6) {
		bpf_skb_load_bytes(skb, off, &p->icmp_type, 1);
	}
	if (in_pieces)
		fragment_ports(p, fragment);
	return true;
}

/* Packets this skb becomes on the wire. */
static __always_inline __u32 wire_segs(struct __sk_buff *skb, const struct packet *p)
{
	__u32 segs = skb->gso_segs, size = skb->gso_size;

	/* tun and virtio leave the number to whoever needs it (SKB_GSO_DODGY). */
	if (!segs && size && skb->len > p->hdr_len)
		segs = (skb->len - p->hdr_len + size - 1) / size;
	return segs ? segs : 1;
}

/* Bytes on the wire, the headers of every segment included, without VLAN tags, wherever those are.
 * skb->wire_len says the same at egress but is not set at ingress. */
static __always_inline __u32 wire_bytes(struct __sk_buff *skb, const struct packet *p, __u32 segs)
{
	__u32 tag = p->l3_off - ETH_HLEN;

	return skb->len - tag + (segs - 1) * (p->hdr_len - tag);
}

#endif
