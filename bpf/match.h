/* SPDX-License-Identifier: GPL-2.0-only */
/* Which clause of a rule a packet falls under. */
#ifndef SQUALL_BPF_MATCH_H
#define SQUALL_BPF_MATCH_H

#include <vmlinux.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
#include <squall/abi.h>
#include "consts.h"
#include "packet.h"

/* A packet as the target sees it. */
struct view {
	__u32 remote[4];
	__u16 rport;
	__u16 lport;
	__u8 family;
	__u8 proto;
	__u8 tcp_flags;
	__u8 hosts; /* a bit for each of the rule's that it belongs to */
};

static __always_inline void view_make(const struct packet *p, __u32 dir, struct view *v)
{
	if (dir == SQ_UP) {
		__builtin_memcpy(v->remote, p->daddr, 16);
		v->rport = p->dport;
		v->lport = p->sport;
	} else {
		__builtin_memcpy(v->remote, p->saddr, 16);
		v->rport = p->sport;
		v->lport = p->dport;
	}
	v->family = p->family;
	v->tcp_flags = p->tcp_flags;
	v->proto = p->proto;
}

static __always_inline bool in_range(__u16 port, __u16 lo, __u16 hi)
{
	return !hi || (port >= lo && port <= hi);
}

__noinline bool match(const struct sq_match *m, const struct view *v)
{
	if (!m || !v)
		return false;
	if (m->host && !(v->hosts >> (m->host - 1) & 1))
		return false;
	/* icmp means both. */
	if (m->proto && m->proto != v->proto &&
	    !(m->proto == IPPROTO_ICMP && v->proto == IPPROTO_ICMPV6))
		return false;
	if ((m->flags & SQ_M_TCP) && !(m->flags >> SQ_M_TCP_SHIFT & v->tcp_flags & 7))
		return false;
	if (!in_range(v->rport, m->rport_lo, m->rport_hi) ||
	    !in_range(v->lport, m->lport_lo, m->lport_hi))
		return false;
	if (m->aport_hi && !in_range(v->rport, m->aport_lo, m->aport_hi) &&
	    !in_range(v->lport, m->aport_lo, m->aport_hi))
		return false;
	if (m->family) {
		const __u32 *a = (const void *)m->addr, *k = (const void *)m->mask;

		if (m->family != v->family || ((v->remote[0] ^ a[0]) & k[0]))
			return false;
		if (m->family == 6 &&
		    (((v->remote[1] ^ a[1]) & k[1]) | ((v->remote[2] ^ a[2]) & k[2]) |
		     ((v->remote[3] ^ a[3]) & k[3])))
			return false;
	}
	return true;
}

static __always_inline bool names_docker_dns(const struct packet *p)
{
	return p->family == 4 && (p->saddr[0] == bpf_htonl(ADDR_DOCKER_DNS) ||
				  p->daddr[0] == bpf_htonl(ADDR_DOCKER_DNS));
}

#define HOSTS_MASK ((1 << SQ_MAX_HOSTS) - 1)

/* Beside SQ_M_*: the clause looks at queries for names wherever they are asked. */
#define NAMED_DNS 128

/*
 * What no catch-all rule may cut: the ways to configure an address, the
 * metadata services, our own control port, and the port by which a Locust
 * worker hears its master. ARP is not IP and never gets here.
 */
static __always_inline bool exempt(const struct packet *p, const struct view *v,
				   const struct sq_cfg *cfg, __u8 named)
{
	if (p->proto == IPPROTO_ICMPV6 && p->icmp_type >= ICMP6_ROUTER_SOLICIT &&
	    p->icmp_type <= ICMP6_REDIRECT)
		return true; /* router and neighbour discovery, redirect */
	if (!(named & SQ_M_PORT_NAMED)) {
		__u16 r = v->rport, l = v->lport;

		if (v->proto == IPPROTO_UDP && (r == PORT_DHCP_SERVER || r == PORT_DHCP_CLIENT ||
						r == PORT_DHCP6_CLIENT || r == PORT_DHCP6_SERVER))
			return true;
		if (v->proto == IPPROTO_TCP && (r == cfg->control_port || l == cfg->control_port ||
						r == PORT_LOCUST || l == PORT_LOCUST))
			return true;
	}
	if (!(named & SQ_M_ADDR_NAMED)) {
		if (v->family == 4 && (v->remote[0] == bpf_htonl(ADDR_METADATA) ||
				       v->remote[0] == bpf_htonl(ADDR_TASK)))
			return true;
		if (!(named & NAMED_DNS) && names_docker_dns(p))
			return true;
		if (v->family == 6 && v->remote[0] == bpf_htonl(ADDR6_METADATA_0) &&
		    !v->remote[1] && !v->remote[2] && v->remote[3] == bpf_htonl(ADDR6_METADATA_3))
			return true;
	}
	return false;
}

/* Index of the clause, or -1: let the packet pass. dir_hosts: hosts_of() above the direction. */
__noinline int match_clause(const struct sq_rule *rule, const struct packet *p,
			    const struct sq_cfg *cfg, __u32 dir_hosts)
{
	__u32 dir = dir_hosts & 1, hosts = dir_hosts >> 1;
	struct view v;

	if (!rule || !p || !cfg)
		return -1;
	view_make(p, dir, &v);
	v.hosts = hosts & HOSTS_MASK;
	for (__u32 i = 0; i < SQ_MAX_EXCEPTS && i < rule->n_excepts; i++)
		if (match(&rule->except[i], &v))
			return -1;
	for (__u32 i = 0; i < SQ_MAX_CLAUSES && i < rule->n_clauses; i++) {
		const struct sq_clause *c = &rule->clause[i];

		v.hosts = c->ask.dns ? hosts >> SQ_MAX_HOSTS : hosts & HOSTS_MASK;
		/* A clause that says nothing of this direction leaves the packet
		 * to a less specific one. */
		if (!(c->faults[dir].flags & SQ_F_ACTIVE) || !match(&c->match, &v))
			continue;
		return exempt(p, &v, cfg, c->match.flags | (c->ask.dns ? NAMED_DNS : 0)) ? -1
											 : (int)i;
	}
	return -1;
}

#endif
