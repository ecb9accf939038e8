/* SPDX-License-Identifier: GPL-2.0-only */
/* Tells whoever listens what was done to a packet; costs one test of a flag when nobody does. */
#ifndef SQUALL_BPF_TRACE_H
#define SQUALL_BPF_TRACE_H

#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include <squall/abi.h>
#include "decide.h"
#include "maps.h"
#include "packet.h"

static __noinline void trace(struct __sk_buff *skb, const struct sq_cfg *cfg,
			     const struct judgement *j, const struct packet *p)
{
	struct sq_event *e;

	if (cfg->trace_every > 1 && j->n % cfg->trace_every)
		return;
	e = bpf_ringbuf_reserve(&sq_events, sizeof(*e), 0);
	if (!e)
		return;
	e->time_ns = j->now;
	e->target = j->rule->target;
	e->delay_ns = j->depart - j->now;
	__builtin_memcpy(e->saddr, p->saddr, 16);
	__builtin_memcpy(e->daddr, p->daddr, 16);
	e->rule_id = j->rule->id;
	e->len = j->bytes;
	e->ifindex = skb->ifindex;
	e->what = j->what;
	e->sport = p->sport;
	e->dport = p->dport;
	e->segs = j->segs;
	e->family = p->family;
	e->proto = p->proto;
	e->dir = j->dir;
	e->clause = j->clause;
	__builtin_memset(e->pad, 0, sizeof(e->pad));
	bpf_ringbuf_submit(e, 0);
}

#endif
