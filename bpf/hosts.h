/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which of a rule's hosts (`match host NAME`) a packet belongs to. A target's packets name a host
 * in three places: the query that asks for it and the answer that names its addresses (RFC 1035),
 * and the first thing that a client says in TLS (server_name, RFC 6066, 3). What the answer and the
 * client say is remembered, by address and by connection. QUIC encrypts its ClientHello, and a
 * name that was asked for over TCP or HTTPS is not seen: SNI has to say it.
 */
#ifndef SQUALL_BPF_HOSTS_H
#define SQUALL_BPF_HOSTS_H

#include <vmlinux.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
#include <squall/abi.h>
#include "consts.h"
#include "maps.h"
#include "packet.h"
#include "answer.h"
#include "match.h"

#define LABEL_MAX    63
#define LABEL_POINT  0xc0 /* the rest of the name is elsewhere */
#define LABELS	     16	  /* of a name that is passed over */
#define DNS_ANSWERS  24
#define HELLO_EXTS   48 /* 20 of OpenSSL, 18 of Chromium */
#define HELLO_RANDOM 34 /* version and random */

struct name_walk {
	__u64 hash;
	const struct sq_name *name;
	__u32 labels; /* 0: plain text; of a DNS name 1, or 2 when a label has been */
	__u32 left;   /* bytes of the label */
	int took;     /* of the name, when it has ended; -1 if it is none */
};

/* FNV-1a (draft-eastlake-fnv), as user/lib/rule/match.c. */
static __always_inline __u64 name_add(__u64 hash, __u32 c)
{
	if (c >= 'A' && c <= 'Z')
		c += 'a' - 'A';
	return (hash ^ c) * SQ_HOST_PRIME;
}

static long name_step(__u32 i, void *ctx)
{
	struct name_walk *w = ctx;
	__u32 c = w->name->byte[i & 255];

	if (!w->labels) {
		w->hash = name_add(w->hash, c);
	} else if (w->left) {
		w->left--;
		w->hash = name_add(w->hash, c);
	} else if (!c) {
		w->took = i + 1;
		return 1;
	} else if (c > LABEL_MAX) {
		return 1;
	} else {
		/* Not by the hash: 6.1 took it for what it is in the first step, and removed this.
		 */
		if (w->labels > 1)
			w->hash = name_add(w->hash, '.');
		w->labels = 2;
		w->left = c;
	}
	return 0;
}

/* The hash of len bytes at off, by labels if `labels`. Returns how many it took, or -1. A call of
 * bpf_loop() verifies a step once; 6.1 walked each way of a loop and needed 745,000 instructions
 * of the million that it allows. */
__noinline int name_at(struct __sk_buff *skb, __u32 off_len, __u32 labels, __u64 *ret_hash)
{
	__u32 zero = 0, off = off_len >> 8, len = off_len & 255, size;
	struct sq_name *name = bpf_map_lookup_elem(&sq_name, &zero);
	struct name_walk w = {.hash = SQ_HOST_BASIS, .name = name, .labels = labels, .took = -1};

	if (!name || !ret_hash || !len)
		return -1;
	/* 6.1 does not see by len that it is not 0. */
	size = len - 1;
	asm volatile("" : "+r"(size));
	size = (size & 255) + 1;
	if (bpf_skb_load_bytes(skb, off, name->byte, size))
		return -1;
	if (!labels)
		w.took = len;
	bpf_loop(len, name_step, &w, 0);
	*ret_hash = w.hash;
	return w.took;
}

static __always_inline __u32 name_where(__u32 off, __u32 end, __u32 len)
{
	__u32 left = end > off ? end - off : 0;

	return off << 8 | (left < len ? left : len);
}

/* Where a name that nobody asks for ends. */
__noinline int name_pass(struct __sk_buff *skb, __u32 off)
{
	__u8 c;

	for (int i = 0; i < LABELS; i++) {
		if (bpf_skb_load_bytes(skb, off, &c, 1))
			return -1;
		if (c >= LABEL_POINT)
			return off + 2;
		off += 1 + c;
		if (!c)
			return off;
	}
	return -1;
}

static __always_inline int host_by_hash(const struct sq_rule *rule, __u64 hash)
{
	for (int i = 0; i < SQ_MAX_HOSTS; i++)
		if (i < (int)rule->n_hosts && rule->host[i].hash == hash)
			return i;
	return -1;
}

/* Global: 6.1 takes no key that lies in a caller's frame. */
__noinline int host_learn(const struct sq_host_key *what)
{
	struct sq_host_seen seen = {.last_ns = bpf_ktime_get_coarse_ns()};
	struct sq_host_key key;
	__u32 zero = 0;
	struct sq_cfg *cfg;

	if (!what)
		return -1;
	key = *what;
	if (!bpf_map_update_elem(&sq_hosts, &key, &seen, BPF_ANY))
		return 0;
	cfg = bpf_map_lookup_elem(&sq_cfg, &zero);
	if (cfg)
		__sync_fetch_and_add(&cfg->hosts_full, 1);
	return 0;
}

/* One record of an answer, at off: where the next begins. */
__noinline int answer_learn(struct __sk_buff *skb, __u32 off, struct sq_host_key *key)
{
	struct {
		__be16 type, class, ttl[2], len;
	} r;
	int at = name_pass(skb, off);
	__u32 size;

	if (!key || at < 0 || bpf_skb_load_bytes(skb, at, &r, sizeof(r)))
		return -1;
	at += sizeof(r);
	size = bpf_ntohs(r.len);
	__builtin_memset(key->addr, 0, sizeof(key->addr));
	if (r.class == bpf_htons(DNS_CLASS_IN) &&
	    ((r.type == bpf_htons(DNS_TYPE_A) && size == 4 &&
	      !bpf_skb_load_bytes(skb, at, key->addr, 4)) ||
	     (r.type == bpf_htons(DNS_TYPE_AAAA) && size == 16 &&
	      !bpf_skb_load_bytes(skb, at, key->addr, 16))))
		host_learn(key);
	return at + size;
}

/* An answer: the addresses that it names, if the question was for one of the rule's hosts. */
__noinline int answers_learn(struct __sk_buff *skb, const struct sq_rule *rule,
			     const struct packet *p, struct sq_host_key *key)
{
	__be16 head[4]; /* flags, questions, answers */
	__u32 answers;
	int off, n;

	if (!rule || !p || !key)
		return 0;
	off = p->hdr_len;
	if (bpf_skb_load_bytes(skb, off + DNS_FLAGS, head, sizeof(head)) ||
	    !(head[0] & bpf_htons(DNS_RESPONSE)) || head[1] != bpf_htons(1))
		return 0;
	off += DNS_HLEN;
	n = name_at(skb, name_where(off, skb->len, 255), 1, &key->host);
	if (n < 0 || host_by_hash(rule, key->host) < 0)
		return 0;
	key->rport = key->lport = 0;
	off += n + 4;
	answers = bpf_ntohs(head[2]);
	for (__u32 i = 0; i < DNS_ANSWERS && i < answers; i++) {
		off = answer_learn(skb, off, key);
		if (off < 0)
			break;
	}
	return 0;
}

/* Where the name lies in a ClientHello, and its length: as for name_at(); 0: there is none. */
__noinline int hello_name(struct __sk_buff *skb, __u32 off)
{
	__u32 end = skb->len;
	__u8 head[6], n;
	__be16 two, ext[2];

	if (bpf_skb_load_bytes(skb, off, head, sizeof(head)) || head[0] != TLS_HANDSHAKE ||
	    head[1] != TLS_MAJOR || head[5] != TLS_CLIENT_HELLO)
		return 0;
	off += TLS_HELLO_AT + HELLO_RANDOM;
	if (bpf_skb_load_bytes(skb, off, &n, 1))
		return -1;
	off += 1 + n;
	if (bpf_skb_load_bytes(skb, off, &two, 2))
		return -1;
	off += 2 + bpf_ntohs(two);
	if (bpf_skb_load_bytes(skb, off, &n, 1))
		return -1;
	off += 1 + n + 2;
	for (int i = 0; i < HELLO_EXTS; i++) {
		if (bpf_skb_load_bytes(skb, off, ext, sizeof(ext)))
			return -1;
		if (!ext[0])
			break;
		off += sizeof(ext) + bpf_ntohs(ext[1]);
	}
	/* list's length, kind of name, its length */
	if (ext[0] || bpf_skb_load_bytes(skb, off + 4 + 3, &two, 2))
		return -1;
	off += 4 + 5;
	n = bpf_ntohs(two) & 255;
	/* DNS has no longer name (RFC 1035, 2.3.4), and no rule one. */
	return n && !(two & bpf_htons(0xff00)) && off + n <= end ? (int)(off << 8 | n) : -1;
}

/* A segment of a connection, from its client: what it says of the host. `key` has target and
 * address; it is not the caller's own, since 6.1 gives a chain of calls 512 bytes of stack. */
__noinline int hello_learn(struct __sk_buff *skb, const struct sq_rule *rule,
			   const struct packet *p, struct sq_host_key *key)
{
	__u32 zero = 0;
	struct sq_cfg *cfg;
	int where;

	if (!rule || !p || !key)
		return 0;
	where = hello_name(skb, p->hdr_len);
	if (where < 0) {
		cfg = bpf_map_lookup_elem(&sq_cfg, &zero);
		if (cfg)
			__sync_fetch_and_add(&cfg->hosts_unparsed, 1);
	}
	if (where <= 0 || name_at(skb, where, 0, &key->host) < 0 ||
	    host_by_hash(rule, key->host) < 0)
		return 0;
	key->rport = p->dport;
	key->lport = p->sport;
	host_learn(key);
	return 0;
}

/* Is what is known of a host at this address, or of this connection if it has ports? `begins`: they
 * are another's from here on. Global, as host_learn(), and so that its ways are not those of a
 * loop. */
__noinline int host_known(const struct sq_host_key *what, __u32 ports, __u32 begins)
{
	struct sq_host_seen *seen;
	struct sq_host_key key;

	if (!what)
		return 0;
	key = *what;
	key.rport = key.lport = 0;
	seen = bpf_map_lookup_elem(&sq_hosts, &key);
	if (!seen && ports) {
		key.rport = ports >> 16;
		key.lport = (__u16)ports;
		if (begins)
			bpf_map_delete_elem(&sq_hosts, &key);
		else
			seen = bpf_map_lookup_elem(&sq_hosts, &key);
	}
	if (!seen)
		return 0;
	seen->last_ns = bpf_ktime_get_coarse_ns();
	return 1;
}

/*
 * Bit i: of host i's. Of a query, bit SQ_MAX_HOSTS + i: it asks for host i, which is what a clause
 * with `dns` means.
 */
__noinline int hosts_of(struct __sk_buff *skb, const struct sq_rule *rule, const struct packet *p,
			__u32 dir)
{
	struct sq_host_key key = {};
	__u32 ports = 0, begins = 0;
	__u64 hash;
	int mask = 0;

	if (!rule || !p)
		return 0;
	if (dir == SQ_UP && dns_query(skb, p)) {
		if (name_at(skb, name_where(p->hdr_len + DNS_HLEN, skb->len, 255), 1, &hash) < 0)
			return 0;
		mask = host_by_hash(rule, hash);
		return mask < 0 ? 0 : 1 << (SQ_MAX_HOSTS + mask);
	}
	key.target = rule->target;
	__builtin_memcpy(key.addr, dir == SQ_UP ? p->daddr : p->saddr, sizeof(key.addr));
	if (dir == SQ_UP && p->proto == IPPROTO_TCP && skb->len > p->hdr_len)
		hello_learn(skb, rule, p, &key);
	if (p->proto == IPPROTO_TCP) {
		ports = dir == SQ_UP ? (__u32)p->dport << 16 | p->sport
				     : (__u32)p->sport << 16 | p->dport;
		begins = dir == SQ_UP && (p->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
	}
	for (int i = 0; i < SQ_MAX_HOSTS && i < (int)rule->n_hosts; i++) {
		key.host = rule->host[i].hash;
		mask |= (host_known(&key, ports, begins) & 1) << i;
	}
	/* Not of the answer itself, if its server has the name. */
	if (dir == SQ_DOWN && p->proto == IPPROTO_UDP &&
	    (p->sport == PORT_DNS || names_docker_dns(p)))
		answers_learn(skb, rule, p, &key);
	return mask;
}

#endif
