// SPDX-License-Identifier: GPL-2.0-only
/*
 * The data path: classify -> decide -> lane -> deliver.
 *
 *   squall_ingress, squall_egress   on every interface: find the rule, judge
 *   squall_front_{i,e}              the same by tcx, where others would be first
 *   squall_seg_in                   after GSO packets were cut: judge the pieces
 *   squall_{fq,tap}_{out,in}        on our own devices: wait, and come back
 *   squall_prolong                  run by squalld: a rule's other end
 *
 * A packet is judged once up and once down; TC_ACT_UNSPEC lets whatever else is
 * attached run, and, unlike TC_ACT_OK, keeps skb->tc_index, which remembers.
 * A loss is TC_ACT_STOLEN: TC_ACT_SHOT at egress tells TCP of it at once
 * (NET_XMIT_DROP), and 2 % loss caused 0 retransmissions.
 */
#include <vmlinux.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_core_read.h>
#include <squall/abi.h>
#include "maps.h"
#include "packet.h"
#include "random.h"
#include "lane.h"
#include "classify.h"
#include "match.h"
#include "decide.h"
#include "answer.h"
#include "flow.h"
#include "ahead.h"
#include "hosts.h"
#include "trace.h"

char _license[] SEC("license") = "GPL";

#define PASS		     100    /* not a TC verdict: go on */
#define GO_ON		     101    /* nor is this: nothing was decided */
#define CLASSID_FRONT	     0x8000 /* called by squall_front_*: tcx takes other verdicts */
#define CLASSID_ATT(classid) ((classid) & (SQ_MAX_ATTACH - 1))

/* Does the rule act at all now? */
static __always_inline bool in_force(const struct sq_rule *rule, const struct sq_cfg *cfg,
				     __u64 now)
{
	if (rule->expires_ns && now >= rule->expires_ns)
		return false;
	if (!(rule->flags & SQ_R_KEEP) && now > cfg->lease_ns + SQ_LEASE_NS)
		return false;
	/* The tap dies with squalld; what is sent there is lost. */
	if ((rule->flags & SQ_R_LANE) && cfg->lane == SQ_LANE_TAP &&
	    now > cfg->pacer_ns + SQ_PACER_LEASE_NS)
		return false;
	return true;
}

/* Time from which a delay counts. TCP's pacing may have stamped a later
 * departure; a forwarded packet may carry a REALTIME stamp, decades away. */
static __always_inline __u64 not_before(struct __sk_buff *skb, __u64 now)
{
	__u64 t = skb->tstamp;

	return t > now && t < now + 10000000000ull ? t : now;
}

/* Judges by a clause and carries it out. PASS: go on as if nothing had been. No call, which is 3 %
 * of a delayed packet; judge()'s frame has no byte to spare by that (tests/house/stack). */
static __always_inline int carry_out(struct __sk_buff *skb, const struct sq_cfg *cfg,
				     const struct sq_att *att, struct judgement *j,
				     struct packet *p)
{
	__u32 tci = skb->tc_index;
	bool error = false, lives;
	int ret = PASS;

	lives = decide(j);
	if (!lives) {
		ret = TC_ACT_STOLEN;
		if ((j->what & SQ_E_MTU) && (j->f->flags & SQ_F_MTU_ICMP) &&
		    !too_big(skb, p, j->f->mtu))
			ret = send_back(skb, att, tci);
		goto out;
	}
	if (j->what & SQ_E_CORRUPTED) {
		if (corrupt(skb, p, draw64(j->seed, j->n, DRAW_WHERE))) {
			j->what &= ~SQ_E_CORRUPTED;
			error = true;
		}
	}
	if (j->depart > j->now && !att->lane_ifindex) {
		/* Somebody removed it, and squalld has not made it anew yet. */
		j->depart = j->now;
		j->what &= ~SQ_E_DELAYED;
		error = true;
	}
	if (j->depart > j->now) {
		if (!lane_admit(skb, j->rule->wait_slot, j->what & SQ_E_DUPLICATED ? 2 : 1,
				j->depart, j->now)) {
			j->what = SQ_E_LANE_FULL;
			ret = TC_ACT_STOLEN;
			goto out;
		}
		/* TCI_HOOK and TCI_ATT are in tci: the caller put them there. */
		if (j->what & SQ_E_DUPLICATED) {
			error |= lane_prepare(skb, att, j->depart, j->now, j->rule->wait_slot,
					      tci) ||
				 bpf_clone_redirect(skb, att->lane_ifindex, 0);
		}
		ret = lane_enter(skb, cfg, att, j->depart, j->now, j->rule->wait_slot, tci);
	} else if (j->what & SQ_E_DUPLICATED) {
		skb->tc_index = tci & TCI_DONE;
		error |= !!bpf_clone_redirect(skb, att->ifindex,
					      TCI_HOOK(tci) == AT_INGRESS ? BPF_F_INGRESS : 0);
		skb->tc_index = tci;
	}
out:
	if (cfg->flags & SQ_C_TRACE)
		trace(skb, cfg, j, p);
	count(j, j->f, error);
	return ret;
}

static __always_inline bool judgement_make(struct judgement *j, struct sq_rule *rule, __u32 clause,
					   __u32 dir)
{
	if (clause >= SQ_MAX_CLAUSES || dir >= SQ_DIRS)
		return false;
	j->rule = rule;
	j->f = &rule->clause[clause].faults[dir];
	j->ask = &rule->clause[clause].ask;
	j->dyn = &rule->dyn[clause][dir];
	/* Clauses and directions draw from streams of their own. */
	j->seed = rule->seed ^ ((__u64)(clause * SQ_DIRS + dir) << 56);
	j->clause = clause;
	j->dir = dir;
	return true;
}

/* Not one of those meant: seen, and untouched. */
static __always_inline void spare(struct __sk_buff *skb, struct judgement *j, struct packet *p)
{
	j->segs = wire_segs(skb, p);
	j->bytes = wire_bytes(skb, p, j->segs);
	count(j, j->f, false);
}

/* A flow that hangs or does not begin, or whose both ends are to hear that it is over. */
static __noinline int end_flow(struct __sk_buff *skb, const struct sq_cfg *cfg,
			       const struct sq_att *att, struct judgement *j, struct packet *p)
{
	__u32 dir = j->dir & 1, other = !dir, tci = skb->tc_index;
	int ret = 1;

	j->segs = wire_segs(skb, p);
	j->bytes = wire_bytes(skb, p, j->segs);
	j->depart = j->now;
	if (j->what & SQ_E_RESET) {
		struct reset r = {.ifindex = att->ifindex,
				  .flags = TCI_HOOK(tci) == AT_EGRESS && !(att->flags & SQ_A_LOOP)
						   ? BPF_F_INGRESS
						   : 0,
				  .sent = j->seq[dir],
				  .peer_sent = j->seq[other]};

		if (j->seq_known & (dir == SQ_UP ? SQ_FLOW_SEQ_UP : SQ_FLOW_SEQ_DOWN))
			r.known |= 1;
		if (j->seq_known & (dir == SQ_UP ? SQ_FLOW_SEQ_DOWN : SQ_FLOW_SEQ_UP))
			r.known |= 2;
		skb->tc_index = TCI_DONE;
		ret = reset_ends(skb, p, &r);
	}
	if (cfg->flags & SQ_C_TRACE)
		trace(skb, cfg, j, p);
	count(j, j->f, ret < 0);
	return ret ? TC_ACT_STOLEN : TC_ACT_UNSPEC;
}

/* What the host itself hears of what it sent to a group can be lost, no more: IPv4 drops it when it
 * comes back from a lane, as from an address of its own. */
static __always_inline bool passes_itself(struct __sk_buff *skb, const struct sq_faults *f)
{
	bool loses_only =
		!(f->flags & (SQ_F_LANE | SQ_F_SUM | SQ_F_FLOW)) && !f->duplicate && !f->mtu;

	return skb->pkt_type == PACKET_LOOPBACK && !loses_only;
}

/* By a clause with dns. GO_ON: it is not done with the packet, which meets its other faults. */
static __noinline int judge_query(struct __sk_buff *skb, const struct sq_cfg *cfg,
				  const struct sq_att *att, struct judgement *j, struct packet *p)
{
	__u32 dns = j->ask->dns, tci = skb->tc_index;
	bool error = false, dockers = names_docker_dns(p);
	int ret = TC_ACT_STOLEN;

	if ((dockers && dns == SQ_DNS_SLOW) || !dns_query(skb, p)) {
		/* What Docker's resolver is asked goes out, and is judged, in the container's name.
		 */
		skb->tc_index = dockers ? tci & TCI_DONE : tci;
		return dockers ? PASS : GO_ON;
	}
	if (dns == SQ_DNS_SLOW) {
		j->depart = j->ask->dns_ns;
		return GO_ON;
	}
	j->segs = wire_segs(skb, p);
	j->bytes = wire_bytes(skb, p, j->segs);
	j->depart = j->now;
	j->what = SQ_E_LOST | SQ_E_DNS;
	if (cfg->flags & SQ_C_TRACE)
		trace(skb, cfg, j, p);
	if (dns != SQ_DNS_TIMEOUT) {
		bool moved = p->dport != PORT_DNS;

		error = dns_answer(skb, p, dns == SQ_DNS_NXDOMAIN ? DNS_NXDOMAIN : DNS_SERVFAIL);
		/* What the packet filter has moved to another port goes back through it only
		 * from outside; on lo, route_localnet lets it in. */
		if (!error && moved) {
			skb->tc_index = TCI_DONE;
			ret = bpf_redirect(att->ifindex, BPF_F_INGRESS);
		} else if (!error) {
			ret = send_back(skb, att, tci);
		}
	}
	count(j, j->f, error);
	return ret;
}

static __noinline int judge(struct __sk_buff *skb, const struct sq_cfg *cfg,
			    const struct sq_att *att, __u32 rule_id, __u32 dir_hook)
{
	__u32 dir = dir_hook & 1, hook = dir_hook >> 1 & 1, flags, tci;
	struct sq_rule *rule = bpf_map_lookup_elem(&sq_rules, &rule_id);
	struct judgement j = {};
	struct packet p;
	int clause, hosts, ret;
	__u64 now;

	if (!rule)
		return PASS;
	/* A tick's precision is enough for leases and expiries, at a third of the price. */
	now = (rule->flags & SQ_R_LANE) || (cfg->flags & SQ_C_TRACE) ? bpf_ktime_get_ns()
								     : bpf_ktime_get_coarse_ns();
	if (!in_force(rule, cfg, now) || !tag_beside(skb) || !packet_parse(skb, &p))
		return PASS;
	hosts = rule->n_hosts ? hosts_of(skb, rule, &p, dir) : 0;
	clause = match_clause(rule, &p, cfg, dir | hosts << 1);
	if (clause < 0 || !judgement_make(&j, rule, clause, dir) || passes_itself(skb, j.f))
		return PASS;

	flags = j.f->flags;
	tci = (skb->tc_index & TCI_DONE) | (CLASSID_ATT(skb->tc_classid) << 1) | hook |
	      tci_done(dir);
	j.now = now;
	if (flags & SQ_F_FLOW) {
		__u32 fate = flow_track(skb, &j, &p);

		if (fate >= FLOW_HUNG) {
			j.what = SQ_E_LOST | (fate == FLOW_RESET  ? SQ_E_RESET
					      : fate == FLOW_HUNG ? SQ_E_HUNG
								  : SQ_E_REFUSED);
			skb->tc_index = tci; /* its hook, for who looks */
			return end_flow(skb, cfg, att, &j, &p);
		}
		if (fate == FLOW_SPARED) {
			spare(skb, &j, &p);
			skb->tc_index = tci & TCI_DONE;
			return PASS;
		}
	}
	if (j.ask->dns && dir == SQ_UP) {
		skb->tc_index = tci;
		ret = judge_query(skb, cfg, att, &j, &p);
		if (ret != GO_ON)
			return ret;
	}
	j.segs = wire_segs(skb, &p);
	if (att->seg_ifindex &&
	    ((flags & SQ_F_SUM) ||
	     ((flags & SQ_F_WIRE) && (j.segs > 1 || p.proto == IPPROTO_TCP))) &&
	    cut_needed(&j, att->flags)) {
		skb->tc_index = tci;
		ticket_set(skb, rule_id, clause << 1 | dir, &j);
		return bpf_redirect(att->seg_ifindex, 0);
	}
	if (j.ask->each == SQ_EACH_ADDRESS && !flow_place(&j, &p)) {
		skb->tc_index = tci & TCI_DONE;
		return PASS;
	}
	j.now = hook == AT_EGRESS ? not_before(skb, now) : now;
	j.bytes = wire_bytes(skb, &p, j.segs);
	skb->tc_index = tci;
	flags = carry_out(skb, cfg, att, &j, &p);
	if (flags != PASS)
		return flags;
	skb->tc_index = tci & TCI_DONE;
	return hook == AT_INGRESS && pieces_before(&j, att->flags)
		       ? (int)bpf_redirect(att->ifindex, BPF_F_INGRESS)
		       : PASS;
}

/* tcx would let a packet with TC_ACT_STOLEN go on. A redirect to interface 0,
 * which never exists, is a loss there that a sender is not told of. */
static __always_inline int taken(struct __sk_buff *skb, enum hook at, int verdict)
{
	if (verdict != TC_ACT_STOLEN || !(skb->tc_classid & CLASSID_FRONT))
		return verdict;
	return at == AT_EGRESS ? (int)bpf_redirect(0, 0) : TC_ACT_SHOT;
}

static __always_inline int hook(struct __sk_buff *skb, enum hook at)
{
	union key key = {0};
	struct sq_cfg *cfg = bpf_map_lookup_elem(&sq_cfg, &key);
	__u32 done = skb->tc_index, rule_id;
	struct sq_att *att;
	int ret;

	if (!cfg || !cfg->levels || (done & TCI_DONE) == TCI_DONE)
		return TC_ACT_UNSPEC;
	key.index = CLASSID_ATT(skb->tc_classid);
	att = bpf_map_lookup_elem(&sq_att, &key);
	if (!att)
		return TC_ACT_UNSPEC;
	if (!(done & TCI_UP_DONE) && skb->pkt_type != PACKET_LOOPBACK) {
		rule_id = classify_up(skb, cfg, att, at, &key);
		if (rule_id) {
			ret = judge(skb, cfg, att, rule_id, SQ_UP | at << 1);
			if (ret != PASS)
				return taken(skb, at, ret);
		}
	}
	if (!(done & TCI_DOWN_DONE) && comes_down(skb, cfg, att, at)) {
		rule_id = classify_down(skb, cfg, att, at, &key);
		if (rule_id) {
			ret = judge(skb, cfg, att, rule_id, SQ_DOWN | at << 1);
			if (ret != PASS)
				return taken(skb, at, ret);
		}
	}
	return TC_ACT_UNSPEC;
}

SEC("tc")
int squall_ingress(struct __sk_buff *skb)
{
	return hook(skb, AT_INGRESS);
}

SEC("tc")
int squall_egress(struct __sk_buff *skb)
{
	return hook(skb, AT_EGRESS);
}

static __always_inline int front(struct __sk_buff *skb, enum hook at)
{
	__u32 ifindex = skb->ifindex;
	__u32 *att = bpf_map_lookup_elem(&sq_front, &ifindex);

	if (!att)
		return TC_ACT_UNSPEC;
	skb->tc_classid = CLASSID_FRONT | CLASSID_ATT(*att);
	bpf_tail_call(skb, &sq_hooks, at);
	return TC_ACT_UNSPEC;
}

SEC("tc")
int squall_front_i(struct __sk_buff *skb)
{
	return front(skb, AT_INGRESS);
}

SEC("tc")
int squall_front_e(struct __sk_buff *skb)
{
	return front(skb, AT_EGRESS);
}

/* One packet of the wire, with its checksum finished: what judge() sent here. */
SEC("tc")
int squall_seg_in(struct __sk_buff *skb)
{
	__u32 tci = skb->tc_index, zero = 0, key = TCI_ATT(tci), rule_id = skb->cb[0];
	struct sq_cfg *cfg = bpf_map_lookup_elem(&sq_cfg, &zero);
	struct sq_att *att = bpf_map_lookup_elem(&sq_att, &key);
	struct sq_rule *rule = bpf_map_lookup_elem(&sq_rules, &rule_id);
	struct judgement j = {};
	struct packet p;
	int ret;

	if (skb->cb[2] != CB_SEG || !cfg || !att || !att->ifindex)
		return TC_ACT_SHOT; /* the device's own chatter */
	if (att->flags & SQ_A_CUTS_NOW)
		bpf_skb_vlan_pop(skb); /* of the device */
	if (!rule || !packet_parse(skb, &p) ||
	    !judgement_make(&j, rule, skb->cb[1] >> 1 & 127, skb->cb[1] & 1))
		return lane_leave(skb, tci); /* the rule went away meanwhile */
	/* Of what was cut, only the last piece has the FIN. */
	if ((rule->clause[j.clause % SQ_MAX_CLAUSES].match.flags & SQ_M_TCP) &&
	    !(rule->clause[j.clause % SQ_MAX_CLAUSES].match.flags >> SQ_M_TCP_SHIFT & p.tcp_flags &
	      7))
		return lane_leave(skb, tci);
	j.now = bpf_ktime_get_ns();
	if ((j.f->flags & SQ_F_FLOW) && !flow_place(&j, &p))
		return lane_leave(skb, tci);
	j.segs = wire_segs(skb, &p);
	j.bytes = wire_bytes(skb, &p, j.segs);
	ticket_read(skb, &j);
	ret = carry_out(skb, cfg, att, &j, &p);
	ticket_done(&j);
	return ret == PASS ? lane_leave(skb, tci) : ret;
}

/*
 * Attached nowhere; run by squalld: another end for a version of a rule, where it lies. Written
 * from outside, the whole element would be, and with it the loss chain and the packet number as
 * they had been when it was read.
 */
SEC("tc")
int squall_prolong(struct __sk_buff *skb)
{
	__u32 id = skb->cb[0];
	struct sq_rule *rule = bpf_map_lookup_elem(&sq_rules, &id);

	if (!rule)
		return 0;
	rule->for_ns = skb->cb[3] | (__u64)skb->cb[4] << 32;
	*(volatile __u64 *)&rule->expires_ns = skb->cb[1] | (__u64)skb->cb[2] << 32;
	return 1;
}

SEC("tc")
int squall_fq_out(struct __sk_buff *skb)
{
	return fq_out(skb);
}

SEC("tc")
int squall_fq_in(struct __sk_buff *skb)
{
	return fq_in(skb);
}

SEC("tc")
int squall_tap_out(struct __sk_buff *skb)
{
	return tap_out(skb);
}

SEC("tc")
int squall_tap_in(struct __sk_buff *skb)
{
	return tap_in(skb);
}
