/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which packets are cut. Faults strike packets of the wire, and a GSO packet is up to 64 of them
 * and more. Draw n of a rule is a hash of (seed, n), so the draws of all its packets can be looked
 * at before it is cut: where none strikes, it goes on whole. Bulk TCP under `loss 1%` was cut
 * whole, 725 Mbit/s where netem, which judges GSO packets as one, had 1,980.
 *
 * The numbers are taken here for all the pieces at once, so the same packets are lost as if all
 * had been cut.
 *
 * Cut is by sending through a device without offloads. Where that is a vlan over a dummy
 * (SQ_A_CUTS_NOW), the pieces come back within the call, and order is kept. Where it is a veth they
 * come out of the CPU's backlog, so that a packet that is whole would overtake the pieces of the
 * one before it, on another CPU too: all of TCP is cut there. (Tried: whole packets round through
 * a veth as well. With two CPUs and `loss 5%`, 1.5 packets were sent again for each lost one.)
 *
 * At ingress hooks what is cut goes through the backlog in any case, and is followed there for a
 * while by what is whole.
 */
#ifndef SQUALL_BPF_AHEAD_H
#define SQUALL_BPF_AHEAD_H

#include <vmlinux.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>
#include <squall/abi.h>
#include "maps.h"
#include "packet.h"
#include "decide.h"
#include "lane.h"

#define AHEAD_MAX 64 /* packets of one GSO packet; BIG TCP's are cut */
/* For so long after one was cut: a backlog is empty within some microseconds, but for a CPU that
 * has more to do than it can. And a tick, since times may be those of the last. */
#define AWAY_NS 50000000ull

/* What strikes packet n, apart from what needs nothing of its bytes. */
#define STRUCK		1
#define STRUCK_IN_BYTES 2 /* corrupt: its checksum must be finished first */

/* Global, so that it is verified once and not in each turn of the loop. */
__noinline int strikes(const struct sq_faults *f, __u64 seed, __u64 n, __u32 *state)
{
	int what = 0;

	if (!f || !state)
		return 0;
	if (f->loss_model >= SQ_LOSS_GEMODEL)
		what = chain_step(f, seed, n, state);
	else if (f->loss_model)
		what = hit(draw_correlated(seed, n, DRAW_LOSS, f->loss_corr), f->loss_p[0]);
	if (what)
		return STRUCK;
	if (f->duplicate &&
	    hit(draw_correlated(seed, n, DRAW_DUP, f->duplicate_corr), f->duplicate))
		what = STRUCK;
	if (f->corrupt && hit(draw_correlated(seed, n, DRAW_CORRUPT, f->corrupt_corr), f->corrupt))
		what |= STRUCK_IN_BYTES;
	return what;
}

/* Takes numbers for segs packets: *ret_first, and the loss chain's state before it. The answer is
 * what strikes some of them, or -1: another CPU moved the chain meanwhile, nothing was taken. */
__noinline int look_ahead(const struct sq_faults *f, struct sq_dyn *dyn, __u64 seed, __u32 segs,
			  __u64 *ret_first)
{
	bool chain;
	__u32 state;
	__u64 old;
	int what = 0;

	if (!f || !dyn || !ret_first || segs > AHEAD_MAX)
		return -1;
	chain = f->loss_model >= SQ_LOSS_GEMODEL;
	old = chain ? *(volatile __u64 *)&dyn->chain
		    : __sync_fetch_and_add(&dyn->chain, (__u64)segs << 8);
	*ret_first = old;
	state = old & 255;
	for (__u32 i = 0; i < AHEAD_MAX; i++) {
		/* The chain's end must be known, whatever it struck before. */
		if (i >= segs || (what && !chain))
			break;
		what |= strikes(f, seed, (old >> 8) + i, &state);
	}
	if (!chain)
		return what;
	return __sync_val_compare_and_swap(&dyn->chain, old,
					   ((old >> 8) + segs) << 8 | (state & 255)) == old
		       ? what
		       : -1;
}

volatile __u64 cut_ns; /* when one was, on any CPU */

static __always_inline struct cutting *cutting_here(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&sq_cutting, &zero);
}

/* Is one that may be to be cut? Takes its numbers where they are known before its judgement. */
static __noinline bool cut_needed(struct judgement *j, __u32 att_flags)
{
	__u32 flags = j->f->flags, segs = j->segs;
	bool bytes = flags & SQ_F_SUM, cut;
	struct cutting *c;
	__u64 first = 0;
	int what;

	if (!(flags & SQ_F_AHEAD) || !(att_flags & SQ_A_CUTS_NOW) || segs > AHEAD_MAX) {
		cut = true;
	} else if (segs == 1 && !bytes) {
		return false;
	} else {
		what = look_ahead(j->f, j->dyn, j->seed, segs, &first);
		if (what >= 0) {
			j->drawn = what ? DRAWN_NUMBER : DRAWN_NONE;
			j->n = first >> 8;
			j->state = first & 255;
		}
		cut = what && (segs > 1 || (what < 0 ? bytes : what & STRUCK_IN_BYTES));
	}
	if (!cut)
		return false;
	/* Other CPUs read it all the time: seldom written. */
	if (j->now > cut_ns + AWAY_NS / 8)
		cut_ns = j->now;
	c = cutting_here();
	if (c)
		c->sent = (c->sent + 1) & TICKET_SERIAL;
	return true;
}

/* Whole, at an ingress hook: must it go behind the pieces of others? */
static __always_inline bool pieces_before(const struct judgement *j, __u32 att_flags)
{
	return (att_flags & SQ_A_CUTS_NOW) && (j->f->flags & (SQ_F_WIRE | SQ_F_SUM)) &&
	       j->now < cut_ns + AWAY_NS;
}

/* skb->cb on its way through the device: rule; serial, clause and direction; CB_SEG; number, and
 * what is known of it. Numbers above 2^48 come again from 0. */
static __always_inline void ticket_set(struct __sk_buff *skb, __u32 rule_id, __u32 clause_dir,
				       const struct judgement *j)
{
	struct cutting *c = cutting_here();
	__u32 segs = j->segs < TICKET_SEGS ? j->segs : TICKET_SEGS;

	skb->cb[0] = rule_id;
	skb->cb[1] = (c ? c->sent : 0) << 8 | clause_dir;
	skb->cb[2] = CB_SEG;
	skb->cb[3] = (__u32)j->n;
	skb->cb[4] =
		(__u32)(j->n >> 32 & 0xffff) << 16 | segs << 6 | (j->state & 3) << 2 | j->drawn;
}

/* A packet that came back: which of its GSO packet's it is. They come one behind the other. */
static __always_inline void ticket_read(struct __sk_buff *skb, struct judgement *j)
{
	__u32 serial = skb->cb[1] >> 8, segs = skb->cb[4] >> 6 & TICKET_SEGS;
	struct cutting *c = cutting_here();

	j->drawn = skb->cb[4] & 3;
	j->n = skb->cb[3] | (__u64)(skb->cb[4] >> 16) << 32;
	j->state = skb->cb[4] >> 2 & 3;
	if (!c || segs <= 1 || j->drawn != DRAWN_NUMBER)
		return;
	if (c->serial != serial) {
		c->serial = serial;
		c->piece = 0;
		c->state = j->state;
	}
	j->n += c->piece++;
	j->state = c->state;
}

/* For the next piece. */
static __always_inline void ticket_done(const struct judgement *j)
{
	struct cutting *c = cutting_here();

	if (c)
		c->state = j->state;
}

#endif
