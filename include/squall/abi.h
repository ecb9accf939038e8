/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * The one layout shared by bpf/ and user space.
 *
 * Everything here crosses a BPF map, so: fixed-width fields, widest first, no
 * holes, sizes asserted below. A change of any layout or meaning is a new
 * SQ_ABI_VERSION; squalld refuses pinned maps of another version (libbpf
 * compares sizes only, which would let a reordered struct through).
 *
 * Times are nanoseconds of CLOCK_MONOTONIC (bpf_ktime_get_ns()). Rates are
 * bits per second. Probabilities are fractions of 2^32, and SQ_ALWAYS means 1.
 * "up" leaves the target, "down" reaches it. Ports are in host order,
 * addresses in network order. "Remote" and "local" are seen from the target.
 */
#ifndef SQUALL_ABI_H
#define SQUALL_ABI_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

#define SQ_ABI_VERSION 2u

#define SQ_MAX_CLAUSES 8  /* filters of one rule */
#define SQ_MAX_EXCEPTS 16 /* allow-list entries of one rule */
#define SQ_MAX_HOSTS   4  /* names of one rule */
#define SQ_MAX_LEVELS  12 /* depth of a ruled cgroup below the v2 root */
#define SQ_MAX_RULES   32768
#define SQ_MAX_ATTACH  4096 /* interfaces, over all network namespaces */
#define SQ_ALWAYS      0xffffffffu
#define SQ_MAX_CORR    0xf3333333u /* 95 %: the kernel looks back at most 128 packets */

enum sq_dir { SQ_UP = 0, SQ_DOWN = 1, SQ_DIRS = 2 };

/* Which packets: all given parts must hold. All zero matches everything. */
#define SQ_M_PORT_NAMED 1 /* the user named a port: port exemptions do not apply */
#define SQ_M_ADDR_NAMED 2 /* the user named an address: address exemptions do not apply */
#define SQ_M_FIN	4 /* TCP packets with one of these flags: the header's bits, */
#define SQ_M_SYN	8 /* SQ_M_TCP_SHIFT to the left */
#define SQ_M_RST	16
#define SQ_M_TCP	(SQ_M_FIN | SQ_M_SYN | SQ_M_RST)
#define SQ_M_TCP_SHIFT	2
struct sq_match {
	__u8 addr[16];	/* remote; IPv4 in the first four bytes */
	__u8 mask[16];	/* of the prefix, derived */
	__u16 rport_lo; /* remote port range, inclusive; 0..0 = any */
	__u16 rport_hi;
	__u16 lport_lo; /* local port range, inclusive; 0..0 = any */
	__u16 lport_hi;
	__u16 aport_lo; /* either port (remote or local); 0..0 = any */
	__u16 aport_hi;
	__u8 family;	 /* 0 any, 4, 6 */
	__u8 proto;	 /* IPPROTO_*; 0 any; 1 (icmp) means ICMPv6 too */
	__u8 prefix_len; /* of addr; 0 = any address */
	__u8 flags;	 /* SQ_M_* */
	__u8 host;	 /* of sq_rule.host, from 1 on: one of this host's; 0 = any */
	__u8 pad[7];
};

enum sq_loss_model {
	SQ_LOSS_NONE = 0,
	SQ_LOSS_RANDOM = 1,  /* loss_p[0] = p, loss_corr */
	SQ_LOSS_GEMODEL = 2, /* loss_p = p, r, 1-h, 1-k: tc-netem(8) "gemodel p r 1-h 1-k" */
	SQ_LOSS_STATE = 3,   /* loss_p = p13, p31, p32, p23, p14: tc-netem(8) "state" */
};

/* Jitter distributions: indices of tables in sq_dist; uniform needs none. */
enum sq_distribution {
	SQ_DIST_UNIFORM = 0,
	SQ_DIST_NORMAL = 1,
	SQ_DIST_PARETO = 2,
	SQ_DIST_PARETONORMAL = 3,
	SQ_DIST_CUSTOM = 4, /* first slot for tables loaded from a file */
	SQ_DIST_SLOTS = 12,
};
#define SQ_DIST_SIZE  4096 /* entries of a table */
#define SQ_DIST_SCALE 8192 /* table value of one sigma, as in netem */

/* sq_faults.flags */
#define SQ_F_BLACKHOLE	1
#define SQ_F_WIRE	2   /* derived: judge wire packets, so GSO packets are segmented first */
#define SQ_F_SUM	4   /* derived: needs a finished checksum before judging (corrupt) */
#define SQ_F_LANE	8   /* derived: may have to wait: delay, jitter or rate */
#define SQ_F_LIMIT_TIME 16  /* the user gave the limit as a time (tbf "latency"), not in bytes */
#define SQ_F_ACTIVE	32  /* derived: at least one fault is set */
#define SQ_F_FLOW	128 /* derived: the clause asks something of flows */
#define SQ_F_AHEAD                                                                                 \
	256 /* derived: what strikes is known by number, so only what is struck is cut             \
	     */
#define SQ_F_MTU_ICMP                                                                              \
	64 /* who sends more than mtu is told, as by a router (RFC 1191, RFC 8201)                 \
	    */

/* What happens to the matched packets of one direction. Zero = not asked for. */
struct sq_faults {
	__u64 delay_ns;
	__u64 jitter_ns;
	__u64 rate_bps;
	__u64 burst_bytes; /* bucket depth as asked; 0 = derived (see sq_rule_finish()) */
	__u64 limit_bytes; /* queue bound as asked in bytes; 0 if asked in time or not at all */
	__u64 burst_ns;	   /* derived: time that the bucket takes at rate_bps */
	__u64 limit_ns;	   /* asked (SQ_F_LIMIT_TIME) or derived: longest wait for the rate */
	__u32 loss_p[5];
	__u32 loss_corr;
	__u32 loss_model; /* enum sq_loss_model */
	__u32 delay_corr;
	__u32 distribution;
	__u32 duplicate;
	__u32 duplicate_corr;
	__u32 corrupt;
	__u32 corrupt_corr;
	__u32 reorder;
	__u32 reorder_corr;
	__u32 gap;
	__u32 flags;
	__u32 counter; /* key in sq_counters, given by squalld; kept over a replace */
	__u32 mtu;     /* bytes of an IP packet; larger ones are lost */
	__u32 pad;
};

/*
 * What a clause asks of flows. A flow is a connection as its target sees it: TCP or UDP ends, both
 * directions one; of other protocols, the two addresses. All zero: nothing.
 */
enum sq_each { SQ_EACH_NONE = 0, SQ_EACH_FLOW = 1, SQ_EACH_ADDRESS = 2 };
enum sq_flow_act { SQ_ACT_NONE = 0, SQ_ACT_HANG = 1, SQ_ACT_RESET = 2 };
enum sq_flow_when {
	SQ_WHEN_NONE = 0,
	SQ_WHEN_OLD = 1,   /* it was there before the rule */
	SQ_WHEN_IDLE = 2,  /* nothing came for value ns, and then something */
	SQ_WHEN_AGE = 3,   /* value ns since it began, or was first seen */
	SQ_WHEN_BYTES = 4, /* more than value bytes of payload, in the directions of dirs */
	SQ_WHEN_MQTT = 5,  /* before the broker's control packet of type value reaches the target */
};
/* Queries for names (DNS over UDP) on their way up. */
enum sq_dns {
	SQ_DNS_NONE = 0,
	SQ_DNS_NXDOMAIN = 1, /* answered in the kernel: there is no such name */
	SQ_DNS_SERVFAIL = 2, /* likewise: the server failed */
	SQ_DNS_TIMEOUT = 3,  /* lost */
	SQ_DNS_SLOW = 4,     /* late by dns_ns */
};
struct sq_flow_ask {
	__u64 value;
	__u64 dns_ns;
	__u32 share;	 /* of the flows, as a probability; 0 = all of them */
	__u32 max_flows; /* that may be alive; what begins beyond is lost; 0 = any number */
	__u8 each;	 /* enum sq_each: whose the bucket, the loss chain, the draws are */
	__u8 act;	 /* enum sq_flow_act */
	__u8 when;	 /* enum sq_flow_when */
	__u8 dirs;	 /* a bit by enum sq_dir */
	__u8 dns;	 /* enum sq_dns */
	__u8 pad[3];
};

struct sq_clause {
	struct sq_match match;
	struct sq_faults faults[SQ_DIRS];
	struct sq_flow_ask ask;
};

/* State the kernel side changes; a replaced rule starts afresh. */
struct sq_dyn {
	__u64 chain; /* packet number << 8 | state of the loss chain, one atomic word */
	__u64 tat;   /* rate: when the link is free again */
	__u32 gap;   /* reorder: packets since the last reordered one */
	/* Of a flow over TLS: bytes of its record that are still to come; or, from bit 16 on how
	 * many bytes of a record's header have come, from 8 on its first and from 0 on its fourth.
	 * Of plain MQTT, on the way down: of a cut header how many bytes have come, from bit 29 on,
	 * from 21 its first, and from 0 its length so far. */
	__u32 record;
	__u64 bytes; /* of a flow: payload let through in this direction */
};

/*
 * A host by its name (RFC 1123, 2.1: at most 253 bytes), in small letters, without the dot of the
 * root. The kernel compares hashes: FNV-1a of 64 bits over the name.
 */
#define SQ_HOST_BASIS 0xcbf29ce484222325ull
#define SQ_HOST_PRIME 0x100000001b3ull
#define SQ_HOST_SIZE  256
struct sq_host {
	__u64 hash;
	char name[SQ_HOST_SIZE];
};

/*
 * What a target's packets have said of its hosts: an address (ports 0) that an answer has named, or
 * a connection by its server_name. Kept as long as it is used; squalld deletes what was not for
 * SQ_HOST_IDLE_NS, and all of a target without such a rule.
 */
#define SQ_HOSTS	262144
#define SQ_HOST_IDLE_NS 7440000000000ull /* as SQ_FLOW_TCP_NS */
struct sq_host_key {
	__u64 target; /* cgroup id */
	__u64 host;   /* its hash */
	__u32 addr[4];
	__u16 rport;
	__u16 lport;
	__u32 pad;
};
struct sq_host_seen {
	__u64 last_ns;
};

/* sq_rule.flags */
#define SQ_R_KEEP	1 /* on-crash keep: acts until its expiry even if squalld is gone */
#define SQ_R_SEED_GIVEN 2 /* the user chose the seed (otherwise squalld drew it) */
#define SQ_R_LANE	4 /* derived: some fault of the rule needs a lane */
#define SQ_R_FLOWS	8 /* derived: some clause needs a table of flows */
/* Who asked, as squalld counts them: its state file may be older than the rule that it finds. */
#define SQ_R_SOURCE_SHIFT 4
#define SQ_R_SOURCE_MASK  (7 << SQ_R_SOURCE_SHIFT)
#define SQ_R_MEMBER	  128 /* by a selector, and not the target's own; noted likewise */

struct sq_rule {
	__u64 target; /* cgroup id */
	__u64 seed;
	__u64 expires_ns; /* 0 = never */
	__u64 for_ns;	  /* as asked; expires_ns = time of setting + for_ns */
	__u64 set_ns;	  /* CLOCK_REALTIME of the setting, for people */
	__u32 id;	  /* unique per version of a rule: key in sq_rules */
	__u32 flags;
	__u32 n_clauses;
	__u32 n_excepts;
	__u32 links;	 /* flows that the table is to hold, as asked; 0 = SQ_LINKS */
	__u32 flow_slot; /* of the table in sq_flows, given by squalld; 0 = none */
	__u32 flow_sets; /* sets of the table, likewise */
	__u16 n_hosts;
	__u16 wait_slot;			 /* of its target in sq_waiting, given by squalld */
	struct sq_clause clause[SQ_MAX_CLAUSES]; /* most specific first */
	struct sq_match except[SQ_MAX_EXCEPTS];
	struct sq_dyn dyn[SQ_MAX_CLAUSES][SQ_DIRS];
	struct sq_host host[SQ_MAX_HOSTS];
};

/*
 * Flows of one rule: an array of sets of eight, the inner map of sq_flows. A flow may lie in two
 * sets, and is put into the emptier; its tag there is a hash of (seed, flow), which is its identity
 * and the seed of its draws. Element 0 is the head, the sets follow, and behind them all their
 * tags, 16 sets an element: a look-up reads these alone, 10 MB of a million flows. Beside their
 * flows they would be one line in each of 44,000 pages, and the page costs as much as the line. Why
 * not an LRU hash: it evicts live flows and tells nobody, and a new flow that was forgotten would
 * come back as an old one.
 */
#define SQ_LINKS      65536
#define SQ_LINKS_MAX  2000000
#define SQ_FLOW_WAYS  8
#define SQ_FLOW_BUSY  1 /* a tag: somebody is filling the place in */
#define SQ_FLOW_SLOTS SQ_MAX_RULES
/* A place is given to another flow, where both sets are full, when its own has ended for so long,
 * or was silent for so long: as NATs do (RFC 4787: UDP 5 min; RFC 5382: TCP 2 h 4 min). */
#define SQ_FLOW_ENDED_NS 10000000000ull
#define SQ_FLOW_UDP_NS	 300000000000ull
#define SQ_FLOW_TCP_NS	 7440000000000ull
/* TCP of which only one end was heard (RFC 5382, REQ-5: 4 min): it gives back one of max_flows. */
#define SQ_FLOW_OPENING_NS 240000000000ull

/* sq_flow.state */
#define SQ_FLOW_OLD	 1
#define SQ_FLOW_HUNG	 2
#define SQ_FLOW_RESET	 4
#define SQ_FLOW_FIN_UP	 8
#define SQ_FLOW_FIN_DOWN 16
#define SQ_FLOW_ENDED	 32 /* FIN both ways, or RST */
#define SQ_FLOW_SEQ_UP	 64 /* seq[SQ_UP] is known */
#define SQ_FLOW_SEQ_DOWN 128
#define SQ_FLOW_ASTRAY	 256  /* MQTT: where its packets begin is not known */
#define SQ_FLOW_HELD	 512  /* one of max_flows */
#define SQ_FLOW_REFUSED	 1024 /* there were so many already: its packets are lost */
/* Of MQTT, where the rule asks for it; over TLS by the lengths of records. */
#define SQ_FLOW_TLS	   0x800
#define SQ_FLOW_TLS_READY  0x1000 /* 1.3: the client's Finished has passed */
#define SQ_FLOW_CONNECT	   0x2000 /* the client has sent data: CONNECT */
#define SQ_FLOW_CONNACK	   0x4000
#define SQ_FLOW_MQTT5	   0x8000  /* by the length of its CONNACK */
#define SQ_FLOW_PINGREQ	   0x10000 /* was sent, or DISCONNECT, and no answer came yet */
#define SQ_FLOW_CLOSING	   0x20000 /* the client's close_notify has passed */
#define SQ_FLOW_ASTRAY_UP  0x40000 /* where its records begin is not known, on the way up */
#define SQ_FLOW_TLS_13	   0x80000
#define SQ_FLOW_TLS_SHA384 0x100000 /* 1.3: the hash of its Finished */
#define SQ_FLOW_TLS_HIDDEN 0x200000 /* by the suite, or ServerHello was not seen */
#define SQ_FLOW_TLS_MAYBE  0x400000 /* 1.3: CONNACK, or a session ticket, has come */
#define SQ_FLOW_TLS_ADDS_SHIFT                                                                     \
	24 /* what the suite adds to a record's length; 0: not known yet                           \
	    */
struct sq_flow {
	struct sq_dyn dyn[SQ_DIRS];
	__u64 born_ns;
	__u64 last_ns;
	__u32 seq[SQ_DIRS]; /* TCP: the end of what was let through, by who sent it */
	__u32 state;
	union {
		__u32 mqtt_left; /* bytes of a control packet that are still to come down */
		__u32 up_ms;	 /* over TLS: when the client has last sent something */
	};
	__u8 local[16]; /* as in sq_match */
	__u8 remote[16];
	__u16 lport;
	__u16 rport;
	__u8 family;
	__u8 proto;	 /* 0: an address (SQ_EACH_ADDRESS) */
	__u8 clause;	 /* whose max_flows it is one of */
	__u8 tls_ticket; /* TLS 1.3: bytes of what may be a session ticket, 255: many */
};
struct sq_flow_tags {
	__u64 tag[SQ_FLOW_WAYS]; /* 0 = free */
};
#define SQ_FLOW_LINES		16
#define SQ_FLOW_ELEMENTS(sets)	(1 + (sets) + ((sets) + SQ_FLOW_LINES - 1) / SQ_FLOW_LINES)
#define SQ_FLOW_TAGS(sets, set) (1 + (sets) + (set) / SQ_FLOW_LINES) /* [set % SQ_FLOW_LINES] */
union sq_flow_set {
	struct sq_flow flow[SQ_FLOW_WAYS];
	struct sq_flow_tags tags[SQ_FLOW_LINES];
};
struct sq_flow_head {
	__u64 seen;  /* flows */
	__u64 ended; /* of these, those that have ended or were begun anew */
	__u64 hung;
	__u64 reset;
	__u64 full;    /* packets whose flow found no place: they passed */
	__u64 evicted; /* silent flows that gave their place to others */
	__u64 addresses;
	__u64 unparsed; /* times that a connection's MQTT could not be followed */
	__u64 refused;	/* packets that would have begun a flow beyond max_flows */
	/* SQ_FLOW_HELD by clause. CPUs race for a flow's state, so squalld counts anew. */
	__s32 held[SQ_MAX_CLAUSES];
};

/* Per CPU, per clause and direction. Packets are wire packets (GSO segments). */
struct sq_counters {
	__u64 seen_pkts, seen_bytes;
	__u64 lost_pkts, lost_bytes;
	__u64 delayed_pkts, delayed_bytes;
	__u64 duplicated_pkts, duplicated_bytes;
	__u64 corrupted_pkts, corrupted_bytes;
	__u64 reordered_pkts, reordered_bytes;
	__u64 over_limit_pkts, over_limit_bytes;
	__u64 errors;	      /* a helper failed and the packet went on unfaulted */
	__u64 lane_lost_pkts; /* refused by a full lane: our loss, asked for by nobody */
};

/* sq_cfg.flags */
#define SQ_C_TRACE     1 /* someone reads the ring buffer */
#define SQ_C_HOST_DOWN 2 /* some ruled target needs a socket look-up at ingress for "down" */
#define SQ_C_NOWHERE   4 /* one has no process yet, so an edge may be its: look up there too */

/* Value of sq_targets: which version of the rule is in force. */
struct sq_target {
	__u32 rule_id;
	__u32 wait_ms; /* the longest that a packet waits by it: those of before leave by then */
};

enum sq_lane { SQ_LANE_NONE = 0, SQ_LANE_FQ = 1, SQ_LANE_TAP = 2 };

/* One element, memory-mapped by squalld: renewing the lease is a store. */
#define SQ_LEASE_NS	  2000000000ull /* "clear" rules stop when the lease is older */
#define SQ_PACER_LEASE_NS 500000000ull	/* lane rules stop when the tap pacer is silent */
struct sq_cfg {
	__u64 lease_ns;
	__u64 pacer_ns;
	__u64 stranded_pkts;  /* lost because their interface went away while they waited */
	__u64 hosts_full;     /* times that a host's address or connection found no place */
	__u64 hosts_unparsed; /* ClientHellos in which the name was not found */
	__u64 levels; /* depths below the v2 root that have ruled cgroups, deepest first, a nibble
			 each */
	__u32 abi_version;
	__u32 flags;
	__u32 lane;	   /* enum sq_lane */
	__u32 trace_every; /* sample one packet in so many; 0 and 1 = all */
	__u32 control_port;
	__u32 newest; /* SQ_CGROUP_SEQ() of the youngest cgroup that scans have seen, 0: unknown */
};

/* Of a cgroup's id: the kernel gives the lower 31 bits in order, and counts their wraps above
 * 2^32. To compare: (__s32)(a - b) > 0. */
#define SQ_CGROUP_SEQ(id) ((__u32)((id)&0x7fffffff) | (__u32)((id) >> 32) << 31)

/*
 * What waits in the lanes of all namespaces, and what waits of one target. There is a bound in
 * bytes, since a clone in fq has no socket that could hold its sender back. Each packet counts as
 * its length and what the kernel keeps beside it. A packet that gets lost on its way out never
 * gives its bytes back, so when last_ns is long past, whatever is left is an error and set to 0.
 *
 * A target has a slot of sq_waiting, of the set that its id hashes to, also between two rules: what
 * waits goes on to wait when its rule is replaced. Slot 0 is shared by those that found none.
 * Packets and bytes are one word, and the lane's own bound counts the pages that each target fills,
 * its last one whole: so a packet costs one atomic addition, and a second where a page is begun.
 * The lane's bound is never passed, and met early by up to a page for each target with packets
 * waiting.
 */
#define SQ_LANE_OVERHEAD   768
#define SQ_LANE_DRAINED_NS 1000000000ull
#define SQ_LANE_HORIZON_NS 590000000000ull /* fq drops what leaves later than in 600 s */
/* fq lets nothing go before its time, so who has to wait for longer than this ... */
#define SQ_LANE_LONG_NS 750000000ull
#define SQ_LANE_LOOK_NS                                                                            \
	500000000ull /* ... comes out so often, to see whether his rule still is                   \
		      */
#define SQ_WAIT_WAYS 64
#define SQ_WAIT_SETS (2 * SQ_MAX_RULES / SQ_WAIT_WAYS)
#define SQ_WAIT_BITS 40 /* of a word, for bytes */
#define SQ_WAIT_PKT  (1ll << SQ_WAIT_BITS)
#define SQ_WAIT_PAGE 4096
struct sq_waiting {
	__u64 target;	    /* cgroup id; 0 = free */
	__s64 now;	    /* packets * SQ_WAIT_PKT + bytes; atomic, by squalld too */
	__u64 last_ns;	    /* when the last one will have left */
	__u64 refused_pkts; /* no room */
};
/* Both may be less than none, for what was set to 0 and left all the same. */
static inline __attribute__((always_inline)) __s64 sq_wait_bytes(__s64 now)
{
	return (__s64)((__u64)now << (64 - SQ_WAIT_BITS)) >> (64 - SQ_WAIT_BITS);
}
static inline __attribute__((always_inline)) __s64 sq_wait_pkts(__s64 now)
{
	return (now - sq_wait_bytes(now)) >> SQ_WAIT_BITS;
}
static inline __attribute__((always_inline)) __s64 sq_wait_pages(__s64 now)
{
	return (sq_wait_bytes(now) + SQ_WAIT_PAGE - 1) >> 12;
}

/* One element, memory-mapped by squalld. */
struct sq_lane_state {
	__s64 pages;	 /* of all slots; atomic */
	__u64 max_bytes; /* --lane-memory */
	__u64 target_max_bytes;
	__u64 full_pkts;	/* refused since the whole lane was full */
	__u64 target_full_pkts; /* refused since their target had its share waiting */
	__u64 horizon_pkts;	/* refused since they would have left too late */
	__u64 verdict_pkts;	/* the lane's programs could not carry them */
	__u64 vanished_pkts;	/* went in and never came out: told by squalld */
	__u64 mended;		/* how often squalld made a lane's devices anew */
	__u64 late_ns;		/* fq: how late a packet was at most since squalld last looked */
};

/* Classid of a filter at the egress of a lane's device; at its ingress it is 0. */
#define SQ_CLASSID_EGRESS 1

/* sq_att.flags */
#define SQ_A_EDGE   1 /* veth whose other end is another namespace: up at ingress, down at egress */
#define SQ_A_HOST   2 /* sockets live on this side: up at egress, down at ingress */
#define SQ_A_SHARED 4 /* edge: several cgroups behind it, told apart by socket look-up */
#define SQ_A_LOOP   8 /* lo */
#define SQ_A_CLSACT 16 /* the clsact qdisc there is ours to remove */
#define SQ_A_OWNED                                                                                 \
	32 /* in a namespace that belongs to `owner`, whose are packets without a socket */
#define SQ_A_PORT      64   /* of a bridge or bond, where the packet is seen again */
#define SQ_A_LO_ROUTE  128  /* lo: it was we who switched route_localnet on */
#define SQ_A_LO_ACCEPT 256  /* and accept_local */
#define SQ_A_CUTS_NOW  512  /* seg_ifindex: what is cut comes back in the same call, in order */
#define SQ_A_STAMPS    1024 /* lane_ifindex: fq, and who judges sets the time */
struct sq_att {
	__u64 owner[SQ_MAX_LEVELS]; /* edge, owned: cgroup ids of whom the far side belongs to, by
				       level */
	__u32 ifindex;
	__u32 lane_ifindex; /* where packets wait, in the interface's namespace */
	__u32 seg_ifindex;  /* where GSO packets are cut and checksums finished */
	__u32 flags;
	__s32 peer_nsid; /* edge: namespace id of the far side, -1 if none */
	__u32 netns_ino; /* inode of the interface's namespace */
};

/* What was done to a sampled packet. */
#define SQ_E_LOST	1
#define SQ_E_DELAYED	2
#define SQ_E_DUPLICATED 4
#define SQ_E_CORRUPTED	8
#define SQ_E_REORDERED	16
#define SQ_E_OVER_LIMIT 32
#define SQ_E_BLACKHOLE	64
#define SQ_E_LANE_FULL	128  /* lost by us: no room in the lane */
#define SQ_E_HUNG	512  /* its flow hangs; together with SQ_E_LOST */
#define SQ_E_RESET	1024 /* became a reset for both ends; likewise */
#define SQ_E_MTU	256  /* larger than mtu; together with SQ_E_LOST */
#define SQ_E_REFUSED	2048 /* beyond max_flows; likewise */
#define SQ_E_DNS                                                                                   \
	4096 /* a query for a name that was answered, or was to get no answer; likewise            \
	      */
struct sq_event {
	__u64 time_ns;
	__u64 target; /* cgroup id of the rule */
	__u64 delay_ns;
	__u8 saddr[16];
	__u8 daddr[16];
	__u32 rule_id;
	__u32 len;
	__u32 ifindex;
	__u32 what; /* SQ_E_* */
	__u16 sport;
	__u16 dport;
	__u16 segs;
	__u8 family; /* 4, 6 */
	__u8 proto;
	__u8 dir;
	__u8 clause;
	__u8 pad[6];
};

/* In front of each frame on its way into the tap lane; between the Ethernet
 * and the IP header on the way back, where bpf_skb_adjust_room() can take it
 * out. */
struct sq_lane_hdr {
	__u64 depart_ns;
	__u64 target; /* cgroup id of the rule; 0 = in slot 0 */
	__u32 mark;
	__u16 tc_index;
	__u16 magic;
	struct {
		__be16 proto; /* 0: none */
		__u16 tci;
	} tag[2];   /* that stood beside the frame, and one in its bytes behind it */
	__u32 slot; /* of the target in sq_waiting */
	__u32 unused;
};
#define SQ_LANE_MAGIC 0x5153

#define SQ_ASSERT_SIZE(type, size) _Static_assert(sizeof(struct type) == (size), #type)
SQ_ASSERT_SIZE(sq_match, 56);
SQ_ASSERT_SIZE(sq_faults, 136);
SQ_ASSERT_SIZE(sq_clause, 360);
SQ_ASSERT_SIZE(sq_host, 264);
SQ_ASSERT_SIZE(sq_host_key, 40);
SQ_ASSERT_SIZE(sq_flow_ask, 32);
SQ_ASSERT_SIZE(sq_flow, 136);
_Static_assert(sizeof(union sq_flow_set) == 1088, "sq_flow_set"); /* whole cache lines */
SQ_ASSERT_SIZE(sq_dyn, 32);
SQ_ASSERT_SIZE(sq_rule, 72 + 8 * 360 + 16 * 56 + 16 * 32 + 4 * 264);
SQ_ASSERT_SIZE(sq_counters, 128);
SQ_ASSERT_SIZE(sq_cfg, 72);
SQ_ASSERT_SIZE(sq_att, 120);
SQ_ASSERT_SIZE(sq_event, 88);
SQ_ASSERT_SIZE(sq_lane_hdr, 40);
SQ_ASSERT_SIZE(sq_waiting, 32);
SQ_ASSERT_SIZE(sq_lane_state, 80);

#endif
