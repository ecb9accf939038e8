/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where packets wait, and how they come back.
 *
 *   judged at hook H of interface I           same, when its time has come
 *        | redirect                                 ^ redirect (ingress or egress of I)
 *        v                                          |
 *   squall-tap  egress: header in front --> pacer --> squall-tap ingress    (tap lane)
 *   squall-fq0: skb->tstamp is set -------> fq ----> squall-fq1 egress      (fq lane)
 *
 * squall-fq0 is a macvlan over squall-fq1, a dummy: what fq lets out is at the
 * egress of squall-fq1, and goes back, within the same call. Where the kernel
 * lacks one of them, the two are a veth, and the exit is squall-fq1's ingress:
 * one more pass through the CPU's backlog. Who judges sets the time; before 5.18,
 * where a redirect clears it, a program at the egress of squall-fq0 does.
 *
 * skb->tc_index tells where to (it survives redirect, fq and our devices;
 * TC_ACT_OK of others would clear it, but nobody else is on those) and stays
 * on the packet as "judged already":
 */
#ifndef SQUALL_BPF_LANE_H
#define SQUALL_BPF_LANE_H

#include <vmlinux.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <squall/abi.h>
#include "consts.h"
#include "maps.h"
#include "packet.h"

#define TCI_UP_DONE   0x8000
#define TCI_DOWN_DONE 0x4000
#define TCI_DONE      (TCI_UP_DONE | TCI_DOWN_DONE)
#define TCI_ATT(tci)  (((tci) >> 1) & (SQ_MAX_ATTACH - 1))
#define TCI_HOOK(tci) ((tci)&1)

enum hook { AT_INGRESS = 0, AT_EGRESS = 1 };

static __always_inline __u32 tci_done(enum sq_dir dir)
{
	return dir == SQ_UP ? TCI_UP_DONE : TCI_DOWN_DONE;
}

/* skb->cb lives from the judging program to the egress program of the lane or
 * segmenting device, which runs inside the same redirect; cb[3] and cb[4] also
 * through fq, whose own note takes the first three, and through its device: there
 * they are the time to leave in units of 1,024 ns, 0 if it is now, and the slot
 * of the packet's target in sq_waiting. The clock is read by who judges and by
 * who lets out, and nowhere between: until fq, cb[4] is its flow there, over the
 * bit that says of a wait that it is long. */
#define CB_LANE	      0x53514c4e
#define CB_SEG	      0x53515347
#define TICKET_SERIAL 0xffffff /* of ahead.h */
#define TICKET_SEGS   1023

#define HOW_LONG 1

/*
 * fq parks a whole flow until the time of the packet that was its head, so one
 * flow for all that wait equally long, within 4 us: they leave as they came.
 * (nl_fq_set() has fq look at the whole hash.) By the packet's own hash a packet
 * waits for others of its connection, of the other direction, and of strangers:
 * with bursts under `delay 100ms 50ms` 112.5 +- 26 instead of 100 +- 29 ms. And
 * with a flow for each time to leave, one is made and freed for each packet.
 */
static __always_inline __u32 fq_flow(const struct __sk_buff *skb, __u64 depart_ns, __u64 now)
{
	/* Counted from when TCP means it to leave (not_before()), which is not now. */
	if (now == skb->tstamp)
		return (__u32)(depart_ns >> 12) | 1u << 30;
	return (depart_ns - now) >> 12;
}

static __always_inline __u32 fq_how(const struct __sk_buff *skb, __u64 depart_ns, __u64 now,
				    __u32 slot)
{
	return slot && depart_ns > now + SQ_LANE_LONG_NS ? HOW_LONG
							 : fq_flow(skb, depart_ns, now) << 1;
}

static __always_inline void lane_ticket_set(struct __sk_buff *skb, __u64 depart_ns, __u64 now,
					    __u32 slot, __u32 tci)
{
	skb->tc_index = tci;
	skb->cb[0] = (__u32)depart_ns;
	skb->cb[1] = depart_ns >> 32;
	skb->cb[2] = CB_LANE;
	skb->cb[3] = slot;
	skb->cb[4] = fq_how(skb, depart_ns, now, slot);
}

static __always_inline struct sq_lane_state *lane_state(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&sq_lane, &zero);
}

/* Returns what waits in the slot now. *ret_room: the lane as a whole has room for the pages that
 * this begins. */
static __always_inline __s64 wait_add(struct sq_waiting *w, struct sq_lane_state *lane, __s64 what,
				      bool *ret_room)
{
	__s64 was = __sync_fetch_and_add(&w->now, what);
	__s64 begun = sq_wait_pages(was + what) - sq_wait_pages(was);

	*ret_room = !begun || (__sync_fetch_and_add(&lane->pages, begun) + begun) * SQ_WAIT_PAGE <=
				      (__s64)lane->max_bytes;
	return was + what;
}

enum wait_taken { WAIT_TAKEN, WAIT_TARGET_FULL, WAIT_LANE_FULL };

static __always_inline enum wait_taken wait_take(struct sq_waiting *w, struct sq_lane_state *lane,
						 __s64 what)
{
	bool room, any;
	__s64 is = wait_add(w, lane, what, &room);
	bool own = sq_wait_bytes(is) <= (__s64)lane->target_max_bytes;

	if (own && room)
		return WAIT_TAKEN;
	wait_add(w, lane, -what, &any);
	return own ? WAIT_LANE_FULL : WAIT_TARGET_FULL;
}

/* There was no room: once more without what was lost on its way out, if nothing of the target can
 * be waiting any more. */
static __noinline bool wait_refused(struct sq_waiting *w, __s64 what, __u32 why)
{
	struct sq_lane_state *lane = lane_state();
	__s64 lost;

	if (!w || !lane)
		return true;
	lost = *(volatile __s64 *)&w->now;
	if (lost && bpf_ktime_get_ns() >= w->last_ns + SQ_LANE_DRAINED_NS) {
		if (__sync_val_compare_and_swap(&w->now, lost, 0) == lost)
			__sync_fetch_and_add(&lane->pages, -sq_wait_pages(lost));
		why = wait_take(w, lane, what);
		if (why == WAIT_TAKEN)
			return false;
	}
	what = sq_wait_pkts(what);
	__sync_fetch_and_add(&w->refused_pkts, what);
	if (why == WAIT_TARGET_FULL)
		__sync_fetch_and_add(&lane->target_full_pkts, what);
	else
		__sync_fetch_and_add(&lane->full_pkts, what);
	return true;
}

/* May `pkts` copies of the packet wait until depart_ns? */
static __always_inline bool lane_admit(struct __sk_buff *skb, __u32 slot, __u32 pkts,
				       __u64 depart_ns, __u64 now)
{
	struct sq_waiting *w = bpf_map_lookup_elem(&sq_waiting, &slot);
	struct sq_lane_state *lane = lane_state();
	__s64 what = pkts * (SQ_WAIT_PKT + skb->len + SQ_LANE_OVERHEAD);
	__u32 taken;

	if (!w || !lane)
		return true;
	if (depart_ns > now + SQ_LANE_HORIZON_NS) {
		__sync_fetch_and_add(&lane->horizon_pkts, pkts);
		return false;
	}
	taken = wait_take(w, lane, what);
	if (taken != WAIT_TAKEN && wait_refused(w, what, taken))
		return false;
	/* CPUs may overwrite each other's: who is late by a packet is still late enough. */
	if (depart_ns > w->last_ns)
		w->last_ns = depart_ns;
	return true;
}

static __always_inline void lane_give_back(struct __sk_buff *skb, __u32 slot)
{
	struct sq_waiting *w = bpf_map_lookup_elem(&sq_waiting, &slot);
	struct sq_lane_state *lane = lane_state();

	bool any;

	if (w && lane)
		wait_add(w, lane, -(SQ_WAIT_PKT + skb->len + SQ_LANE_OVERHEAD), &any);
}

/* A packet that a program of the lane cannot carry on. */
static __always_inline int lane_drop(void)
{
	struct sq_lane_state *lane = lane_state();

	if (lane)
		__sync_fetch_and_add(&lane->verdict_pkts, 1);
	return TC_ACT_SHOT;
}

/* Since 5.18 a stamp may have a type, and then outlives a redirect. */
static __always_inline bool can_stamp(void)
{
	return bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_skb_set_tstamp);
}

/* With a type; 0: none of either. Only what says that it is IP takes one, and of two tags the inner
 * one is in the bytes, so the outer one is put aside meanwhile. */
static __noinline int stamp(struct __sk_buff *skb, __u64 ns)
{
	__u32 type = ns ? BPF_SKB_TSTAMP_DELIVERY_MONO : BPF_SKB_TSTAMP_UNSPEC;
	__be16 proto = skb->vlan_proto;
	__u16 tag = skb->vlan_tci;

	if (!bpf_skb_set_tstamp(skb, ns, type))
		return 0;
	return !skb->vlan_present || bpf_skb_vlan_pop(skb) || bpf_skb_set_tstamp(skb, ns, type) ||
	       bpf_skb_vlan_push(skb, proto, tag);
}

/* What a packet that enters fq has on it. Returns when fq is to let it out: of a long wait, when it
 * comes out to look. */
static __always_inline __u64 fq_mark(struct __sk_buff *skb, __u64 depart_ns, __u32 slot, __u32 how)
{
	__u32 later = 0;

	if (how & HOW_LONG) {
		later = depart_ns >> 10;
		later = later ? later : 1;
		depart_ns = bpf_ktime_get_ns() + SQ_LANE_LOOK_NS;
		how = SQ_LANE_LOOK_NS >> 12 << 1;
	}
	skb->cb[3] = later;
	skb->cb[4] = slot;
	bpf_set_hash(skb, how >> 1);
	/* Until 6.6 fq lets priority 7 (SO_PRIORITY, IGMP, keepalived) go at once, and since 6.8
	 * it has bands by priority. A redirect to ingress clears it in any case. */
	skb->priority = 0;
	return depart_ns;
}

/* What the lane has to know goes onto the packet. */
static __always_inline int lane_prepare(struct __sk_buff *skb, const struct sq_att *att,
					__u64 depart_ns, __u64 now, __u32 slot, __u32 tci)
{
	if (!can_stamp() || !(att->flags & SQ_A_STAMPS)) {
		lane_ticket_set(skb, depart_ns, now, slot, tci);
		return 0;
	}
	skb->tc_index = tci;
	return stamp(skb, fq_mark(skb, depart_ns, slot, fq_how(skb, depart_ns, now, slot)));
}

/* Has the packet let go of its socket, or will it when fq takes it? At ingress hooks it may be
 * given to another socket, and of a listener's packets fq takes the socket away (it means answers
 * to SYNs). squalld has a listener for that in each namespace with an fq lane. */
static __always_inline bool lane_disown(struct __sk_buff *skb, const struct sq_att *att, __u32 tci)
{
	struct bpf_sock *sk;
	bool done;

	if (!skb->sk)
		return true;
	if (TCI_HOOK(tci) != AT_INGRESS)
		return false;
	sk = bpf_map_lookup_elem(&sq_listeners, &att->netns_ino);
	if (!sk)
		return false;
	done = !bpf_sk_assign(skb, sk, 0);
	bpf_sk_release(sk);
	return done;
}

/* To the lane, to leave it at `depart_ns`. A waiting packet must have let go of
 * its socket: TCP small queues count what sits in fq and stop the sender
 * (measured: 0.96 Mbit/s at 50 ms). tun orphans what it takes; for fq, a clone
 * has no socket, and the original is consumed as if it had been sent: 1,300 of
 * the 8,500 instructions that a delayed packet cost. */
static __always_inline int lane_enter(struct __sk_buff *skb, const struct sq_cfg *cfg,
				      const struct sq_att *att, __u64 depart_ns, __u64 now,
				      __u32 slot, __u32 tci)
{
	__u32 ifindex = att->lane_ifindex;

	if (lane_prepare(skb, att, depart_ns, now, slot, tci))
		return lane_drop();
	if (cfg->lane == SQ_LANE_FQ && !lane_disown(skb, att, tci)) {
		bpf_clone_redirect(skb, ifindex, 0);
		return TC_ACT_STOLEN;
	}
	return bpf_redirect(ifindex, 0);
}

static __always_inline int lane_leave(struct __sk_buff *skb, __u32 tci)
{
	__u32 key = TCI_ATT(tci);
	struct sq_att *att = bpf_map_lookup_elem(&sq_att, &key);

	if (!att || !att->ifindex) {
		__u32 zero = 0;
		struct sq_cfg *cfg = bpf_map_lookup_elem(&sq_cfg, &zero);

		if (cfg)
			__sync_fetch_and_add(&cfg->stranded_pkts, 1);
		return TC_ACT_SHOT; /* the interface went away while the packet waited */
	}
	skb->tc_index = tci & TCI_DONE;
	/* A veth or tap of ours found the packet to be for another host, and lo,
	 * unlike veth, would believe it. */
	if (skb->pkt_type != PACKET_HOST)
		bpf_skb_change_type(skb, PACKET_HOST);
	return bpf_redirect(att->ifindex, TCI_HOOK(tci) == AT_INGRESS ? BPF_F_INGRESS : 0);
}

/* Where a packet met at hook `tci` of an interface came from. On lo it leaves once more,
 * which keeps its route: what arrives there without one is martian. */
static __always_inline int send_back(struct __sk_buff *skb, const struct sq_att *att, __u32 tci)
{
	skb->tc_index = TCI_DONE;
	return bpf_redirect(att->ifindex, TCI_HOOK(tci) == AT_EGRESS && !(att->flags & SQ_A_LOOP)
						  ? BPF_F_INGRESS
						  : 0);
}

static __always_inline bool lane_ticket(struct __sk_buff *skb, __u64 *depart_ns)
{
	if (skb->cb[2] != CB_LANE)
		return false;
	*depart_ns = skb->cb[0] | (__u64)skb->cb[1] << 32;
	return true;
}

/* Before 5.18: set here and not where it was judged, since a redirect clears stamps without a type.
 * fq's clock is CLOCK_MONOTONIC, like bpf_ktime_get_ns(). */
static __always_inline int fq_out(struct __sk_buff *skb)
{
	__u64 depart_ns;

	if (!lane_ticket(skb, &depart_ns))
		return TC_ACT_SHOT; /* the device's own chatter (router solicitation) */
	skb->tstamp = fq_mark(skb, depart_ns, skb->cb[3], skb->cb[4]);
	return TC_ACT_UNSPEC;
}

/* Out of fq before its time: back, unless its rule is gone by now or lets it go earlier. */
static __always_inline bool fq_again(struct __sk_buff *skb, __u64 now, __u32 *ret_ifindex)
{
	__s32 left = skb->cb[3] - (__u32)(now >> 10); /* good for 36 minutes */
	__u32 tci = skb->tc_index, key = TCI_ATT(tci), slot = skb->cb[4];
	struct sq_waiting *w;
	struct sq_target *t;
	struct sq_att *att;
	__u64 wait;

	/* Nothing is looked up for those that only had to wait once. */
	if (!skb->cb[3] || left <= 0)
		return false;
	w = bpf_map_lookup_elem(&sq_waiting, &slot);
	t = w ? bpf_map_lookup_elem(&sq_targets, &w->target) : NULL;
	att = bpf_map_lookup_elem(&sq_att, &key);
	if (!t || !t->wait_ms || !att || !att->lane_ifindex)
		return false;
	wait = (__u64)t->wait_ms * 1000000;
	if (wait > (__u64)left << 10)
		wait = (__u64)left << 10;
	if (lane_prepare(skb, att, now + wait, now, slot, tci))
		return false;
	*ret_ifindex = att->lane_ifindex;
	return true;
}

/* fq's stamp is still there behind its device. CPUs may overwrite each other's; the next who is as
 * late mends it. */
static __always_inline void lane_note_late(const struct __sk_buff *skb, __u64 now)
{
	struct sq_lane_state *lane = lane_state();
	__u64 due;

	/* At an ingress hook, to a program that does not ask for the type, one with a type is 0. */
	if (can_stamp())
		*(volatile __u8 *)&skb->tstamp_type;
	due = skb->tstamp;
	if (lane && due && now > due && now - due > lane->late_ns && now - due < SQ_LANE_HORIZON_NS)
		lane->late_ns = now - due;
}

static __always_inline int fq_in(struct __sk_buff *skb)
{
	__u64 now = bpf_ktime_get_ns();
	__u32 ifindex;

	if (!(skb->tc_index & TCI_DONE))
		return TC_ACT_SHOT; /* the device's own chatter, or somebody's */
	/* A macvlan has put a tag into the bytes. */
	if (!tag_beside(skb))
		return lane_drop();
	/* The listener's still, as somebody has put another queue in fq's place: it would receive
	 * it, and answer with a reset. A clone comes here once more and is nobody's. */
	if (skb->sk) {
		bpf_clone_redirect(skb, skb->ifindex,
				   skb->tc_classid == SQ_CLASSID_EGRESS ? 0 : BPF_F_INGRESS);
		return TC_ACT_SHOT;
	}
	if (fq_again(skb, now, &ifindex))
		return bpf_redirect(ifindex, 0);
	lane_note_late(skb, now);
	lane_give_back(skb, skb->cb[4]);
	/* At an egress hook TCP's stamp keeps its type: who takes the time next, on receipt, would
	 * be taken to have set one to leave. */
	skb->tstamp = 0;
	if (can_stamp())
		stamp(skb, 0);
	bpf_set_hash_invalid(skb);
	return lane_leave(skb, skb->tc_index);
}

static __always_inline int tap_out(struct __sk_buff *skb)
{
	struct sq_lane_hdr hdr = {.slot = skb->cb[3]};
	struct sq_waiting *w = bpf_map_lookup_elem(&sq_waiting, &hdr.slot);

	if (!lane_ticket(skb, &hdr.depart_ns))
		return TC_ACT_SHOT;
	if (w)
		hdr.target = w->target;
	hdr.mark = skb->mark;
	hdr.tc_index = skb->tc_index;
	hdr.magic = SQ_LANE_MAGIC;
	/* tun would put the tag into the frame, in the middle of our header. With the outer one
	 * gone, the inner one is put beside. */
	for (int i = 0; i < 2 && skb->vlan_present; i++) {
		hdr.tag[i].proto = skb->vlan_proto;
		hdr.tag[i].tci = skb->vlan_tci;
		if (bpf_skb_vlan_pop(skb))
			return lane_drop();
	}
	if (bpf_skb_change_head(skb, sizeof(hdr), 0) ||
	    bpf_skb_store_bytes(skb, 0, &hdr, sizeof(hdr), 0))
		return lane_drop();
	return TC_ACT_UNSPEC;
}

/* The pacer moved the header behind the Ethernet header, since only there can
 * BPF cut bytes out. */
static __always_inline int tap_in(struct __sk_buff *skb)
{
	struct sq_lane_hdr hdr;

	if (bpf_skb_load_bytes(skb, ETH_HLEN, &hdr, sizeof(hdr)) || hdr.magic != SQ_LANE_MAGIC)
		return TC_ACT_SHOT;
	if (bpf_skb_adjust_room(skb, -(__s32)sizeof(hdr), BPF_ADJ_ROOM_MAC,
				BPF_F_ADJ_ROOM_FIXED_GSO))
		return lane_drop();
	for (int i = 1; i >= 0; i--)
		if (hdr.tag[i].proto && bpf_skb_vlan_push(skb, hdr.tag[i].proto, hdr.tag[i].tci))
			return lane_drop();
	lane_give_back(skb, hdr.slot);
	skb->mark = hdr.mark;
	return lane_leave(skb, hdr.tc_index);
}

#endif
