/* SPDX-License-Identifier: GPL-2.0-only */
/* What happens to one packet: the faults of tc-netem(8) and tc-tbf(8). */
#ifndef SQUALL_BPF_DECIDE_H
#define SQUALL_BPF_DECIDE_H

#include <vmlinux.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>
#include <squall/abi.h>
#include "maps.h"
#include "packet.h"
#include "random.h"

/* What is known before the judgement. */
enum drawn {
	DRAWN_NOTHING,
	DRAWN_NUMBER, /* n */
	DRAWN_NONE,   /* n, and that neither loss nor duplication nor corruption strikes */
};

/* Everything known about the packet under judgement; lives on the stack. */
struct judgement {
	struct sq_rule *rule;
	const struct sq_faults *f;
	const struct sq_flow_ask *ask;
	struct sq_dyn *dyn;
	__u64 seed;
	__u64 n; /* number of this packet in its clause and direction */
	__u64 now;
	__u64 depart; /* until decide(): a wait of its own (dns slow) */
	__u32 bytes;  /* on the wire */
	/* SQ_E_*. Not at a multiple of 8 bytes, or the verifier follows its value
	 * through the stack. Before 6.8 it forgets, for what is read through a
	 * pointer into a caller's frame, that a branch hung on it, takes states as
	 * equal that are not, and removes live code: on 6.1 the counting of
	 * reordered packets and of those over the limit. */
	__u32 what;
	__u32 segs;
	__u32 clause;
	__u32 dir;
	__u32 seq[SQ_DIRS]; /* of a flow that is reset: the ends of what was let through */
	__u16 seq_known;    /* SQ_FLOW_SEQ_* */
	__u8 drawn;	    /* enum drawn */
	__u8 state;	    /* of the loss chain before packet n, if that is DRAWN_NUMBER */
};
_Static_assert(__builtin_offsetof(struct judgement, what) % 8 == 4, "see above");

/* Loss chain states of "state" are netem's 1..4 less one, of "gemodel" 0 good, 1 bad. */
static __noinline bool chain_step(const struct sq_faults *f, __u64 seed, __u64 n, __u32 *state)
{
	__u64 r = draw64(seed, n, DRAW_LOSS);
	__u32 a = r, b = r >> 32, s = *state;

	if (f->loss_model == SQ_LOSS_GEMODEL) {
		/* Lost by the state it meets (1-h in bad, 1-k in good), then p or
		 * r moves the chain. Gilbert 1960, Elliott 1963. */
		bool lost = hit(b, s ? f->loss_p[2] : f->loss_p[3]);

		if (hit(a, s ? f->loss_p[1] : f->loss_p[0]))
			*state = !s;
		return lost;
	}
	/* Salsano et al., "Definition of a general and intuitive loss model for
	 * packet networks" (2012): 0 gap, received; 1 burst, received; 2 burst,
	 * lost; 3 gap, lost alone. loss_p = p13 p31 p32 p23 p14. */
	switch (s) {
	case 0:
		if (hit(a, f->loss_p[4]))
			s = 3;
		else if (hit(a - f->loss_p[4], f->loss_p[0]))
			s = 2;
		break;
	case 1:
		if (hit(a, f->loss_p[3]))
			s = 2;
		break;
	case 2:
		if (hit(a, f->loss_p[2]))
			s = 1;
		else if (hit(a - f->loss_p[2], f->loss_p[1]))
			s = 0;
		break;
	default:
		s = 0;
	}
	*state = s;
	return s >= 2;
}

/* Numbers the packet and tells whether the loss model takes it. Number and
 * chain state change in one atomic word, so no two packets are the same n.
 * Loops are unrolled: up to 6.1 the verifier takes a loop only if a jump, and
 * not the instruction before it, leads back. */
static __always_inline bool lose(struct judgement *j)
{
	const struct sq_faults *f = j->f;
	struct sq_dyn *dyn = j->dyn;
	bool lost = false;

	if (j->drawn == DRAWN_NONE)
		return false;
	if (j->drawn == DRAWN_NUMBER && f->loss_model >= SQ_LOSS_GEMODEL) {
		__u32 state = j->state;

		lost = chain_step(f, j->seed, j->n, &state);
		j->state = state;
		return lost;
	}
	if (f->loss_model < SQ_LOSS_GEMODEL) {
		if (j->drawn != DRAWN_NUMBER)
			j->n = __sync_fetch_and_add(&dyn->chain, 256) >> 8;
		return f->loss_model &&
		       hit(draw_correlated(j->seed, j->n, DRAW_LOSS, f->loss_corr), f->loss_p[0]);
	}
#pragma clang loop unroll(full)
	for (int i = 0; i < 8; i++) {
		__u64 old = *(volatile __u64 *)&dyn->chain;
		__u32 state = old & 255;

		j->n = old >> 8;
		lost = chain_step(f, j->seed, j->n, &state);
		if (__sync_val_compare_and_swap(&dyn->chain, old, (j->n + 1) << 8 | state) == old)
			break;
	}
	return lost;
}

/*
 * One link shared by all CPUs: dyn->tat is when it will have sent everything
 * accepted so far; a bucket of burst_ns may go ahead of it. A packet that would
 * wait longer than limit_ns is dropped and leaves no trace in tat (tbf's
 * "latency").
 */
static __always_inline bool serialise(struct judgement *j)
{
	const struct sq_faults *f = j->f;
	struct sq_dyn *dyn = j->dyn;
	__u64 rate = f->rate_bps;
	__u64 cost;

	if (!rate)
		return true;
	cost = (__u64)j->bytes * 8 * 1000000000ull / rate;
	for (int i = 0; i < 8; i++) {
		__u64 old = *(volatile __u64 *)&dyn->tat;
		__u64 start = old > j->now ? old : j->now;
		__u64 done = start + cost;
		__u64 depart = done - f->burst_ns;

		if (f->burst_ns > done || depart < j->now)
			depart = j->now;
		if (depart - j->now > f->limit_ns)
			return false;
		if (__sync_val_compare_and_swap(&dyn->tat, old, done) == old) {
			if (depart > j->depart)
				j->depart = depart;
			return true;
		}
	}
	/* Eight CPUs in a row were faster: take the place without the bucket. */
	__sync_fetch_and_add(&dyn->tat, cost);
	return true;
}

static __always_inline __u64 jittered(struct judgement *j)
{
	const struct sq_faults *f = j->f;
	__u64 jitter = f->jitter_ns, delay = f->delay_ns, d;
	__u32 x, key;
	__s16 *entry;

	if (!jitter)
		return delay;
	x = draw(j->seed, j->n, DRAW_DELAY, f->delay_corr);
	if (f->distribution == SQ_DIST_UNIFORM) {
		/* delay - jitter + 2 * jitter * x/2^32, without leaving 64 bits */
		d = jitter >> 32 ? ((jitter >> 16) * x) >> 15 : (jitter * x) >> 31;
		d += delay;
		return d > jitter ? d - jitter : 0;
	}
	key = f->distribution * SQ_DIST_SIZE + (x >> 20);
	entry = bpf_map_lookup_elem(&sq_dist, &key);
	if (!entry)
		return delay;
	if (*entry >= 0)
		return delay + (jitter * (__u64)*entry) / SQ_DIST_SCALE;
	d = (jitter * (__u64) - *entry) / SQ_DIST_SCALE;
	return delay > d ? delay - d : 0;
}

/* Every packet is delayed but the lucky ones, which overtake (tc-netem(8) reorder, gap). */
static __always_inline bool overtakes(struct judgement *j)
{
	const struct sq_faults *f = j->f;

	if (!f->reorder)
		return false;
	if (j->dyn->gap + 1 < f->gap ||
	    !hit(draw(j->seed, j->n, DRAW_REORDER, f->reorder_corr), f->reorder)) {
		/* Plain add: CPUs may lose a count to each other, which moves
		 * one overtaking by a packet. */
		j->dyn->gap++;
		return false;
	}
	j->dyn->gap = 0;
	return true;
}

/*
 * Flips one bit behind the IP header, where only TCP's or UDP's own checksum
 * can notice. The checksum is finished by now (SQ_F_SUM), or nobody would. And
 * somebody has to look: GRO and network cards mark what they have checked
 * (CHECKSUM_UNNECESSARY), so without the reset 436 of 989 datagrams arrived
 * damaged. Where the card has summed the packet (CHECKSUM_COMPLETE),
 * RECOMPUTE_CSUM keeps the sum that of the bytes as they are now, which then no
 * longer fits the header's.
 */
static __noinline int corrupt(struct __sk_buff *skb, const struct packet *p, __u64 random)
{
	__u32 off = p->l4_off, len = skb->len;
	__u8 byte;

	if (len <= off)
		return -1;
	off += (__u32)random % (len - off);
	if (bpf_skb_load_bytes(skb, off, &byte, 1))
		return -1;
	byte ^= 1 << ((random >> 32) & 7);
	/* Makes the head private first, so the sender's own copy stays whole. */
	if (bpf_skb_store_bytes(skb, off, &byte, 1, BPF_F_RECOMPUTE_CSUM))
		return -1;
	bpf_csum_level(skb, BPF_CSUM_LEVEL_RESET);
	return 0;
}

/* Fills j->what, j->depart. True: the packet lives. */
static __always_inline bool decide(struct judgement *j)
{
	const struct sq_faults *f = j->f;

	j->depart += j->now;
	/* Draws nothing: the fate of those that fit is the same without it. */
	if (f->mtu && j->bytes / j->segs > f->mtu + ETH_HLEN) {
		j->what = SQ_E_LOST | SQ_E_MTU;
		return false;
	}
	if (lose(j)) {
		j->what = SQ_E_LOST;
		return false;
	}
	if (f->flags & SQ_F_BLACKHOLE) {
		j->what = SQ_E_LOST | SQ_E_BLACKHOLE;
		return false;
	}
	if (!serialise(j)) {
		j->what = SQ_E_OVER_LIMIT;
		return false;
	}
	if (f->duplicate && j->drawn != DRAWN_NONE &&
	    hit(draw(j->seed, j->n, DRAW_DUP, f->duplicate_corr), f->duplicate))
		j->what |= SQ_E_DUPLICATED;
	if (f->corrupt && j->drawn != DRAWN_NONE &&
	    hit(draw(j->seed, j->n, DRAW_CORRUPT, f->corrupt_corr), f->corrupt))
		j->what |= SQ_E_CORRUPTED;
	if (overtakes(j))
		j->what |= SQ_E_REORDERED;
	else
		j->depart += jittered(j);
	if (j->depart > j->now)
		j->what |= SQ_E_DELAYED;
	return true;
}

static __always_inline void count(const struct judgement *j, const struct sq_faults *f, bool error)
{
	__u32 key = f->counter, pkts = j->segs, bytes = j->bytes;
	struct sq_counters *c = bpf_map_lookup_elem(&sq_counters, &key);

	if (!c)
		return;
	c->seen_pkts += pkts;
	c->seen_bytes += bytes;
	if (j->what & SQ_E_LOST) {
		c->lost_pkts += pkts;
		c->lost_bytes += bytes;
	}
	if (j->what & SQ_E_DELAYED) {
		c->delayed_pkts += pkts;
		c->delayed_bytes += bytes;
	}
	if (j->what & SQ_E_DUPLICATED) {
		c->duplicated_pkts += pkts;
		c->duplicated_bytes += bytes;
	}
	if (j->what & SQ_E_CORRUPTED) {
		c->corrupted_pkts += pkts;
		c->corrupted_bytes += bytes;
	}
	if (j->what & SQ_E_REORDERED) {
		c->reordered_pkts += pkts;
		c->reordered_bytes += bytes;
	}
	if (j->what & SQ_E_OVER_LIMIT) {
		c->over_limit_pkts += pkts;
		c->over_limit_bytes += bytes;
	}
	if (j->what & SQ_E_LANE_FULL)
		c->lane_lost_pkts += pkts;
	c->errors += error;
}

#endif
