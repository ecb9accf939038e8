/* SPDX-License-Identifier: GPL-2.0-only */
/* All maps, pinned by squalld under PIN_DIR/v<SQ_ABI_VERSION>/ by these names. */
#ifndef SQUALL_BPF_MAPS_H
#define SQUALL_BPF_MAPS_H

#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include <squall/abi.h>

/* cgroup id -> version of its rule. The value is one word, so replacing a rule
 * is one hash update: a packet sees the old version or the new one. Four times
 * the room, which is what the kernel makes buckets for: with 10,000 rules a
 * packet of nobody's then mostly meets an empty bucket. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 4 * SQ_MAX_RULES);
	__type(key, __u64);
	__type(value, struct sq_target);
} sq_targets SEC(".maps");

/* Versions of rules. A version is written before it is referenced and deleted
 * some time after it no longer is: since 6.1 the kernel reuses a deleted
 * element at once, under the eyes of a reader. Twice the number of rules, for
 * the versions that wait. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 2 * SQ_MAX_RULES);
	__type(key, __u32);
	__type(value, struct sq_rule);
} sq_rules SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 4 * SQ_MAX_RULES);
	__type(key, __u32);
	__type(value, struct sq_counters);
} sq_counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sq_cfg);
} sq_cfg SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sq_lane_state);
} sq_lane SEC(".maps");

/* By sq_rule.wait_slot: an array, since a packet that waits would else pay for
 * two look-ups in a hash. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SQ_WAIT_SETS *SQ_WAIT_WAYS);
	__type(key, __u32);
	__type(value, struct sq_waiting);
} sq_waiting SEC(".maps");

/* Attachments. A filter's classid carries its index here (cls_bpf puts the
 * classid it was created with into skb->tc_classid before each run), so there
 * is no look-up by ifindex, which would be ambiguous across namespaces. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SQ_MAX_ATTACH);
	__type(key, __u32);
	__type(value, struct sq_att);
} sq_att SEC(".maps");

/* By namespace (sq_att.netns_ino), a listening TCP socket of squalld's that nobody can reach: see
 * lane_disown(). Gone when squalld is. */
struct {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, SQ_MAX_ATTACH);
	__type(key, __u32);
	__type(value, __u64);
} sq_listeners SEC(".maps");

/* For the programs that stand in front by tcx: interface of the host's namespace
 * -> its attachment, since tcx hands no classid over; and the hooks they go on with. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, SQ_MAX_ATTACH);
	__type(key, __u32);
	__type(value, __u32);
} sq_front SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u32);
} sq_hooks SEC(".maps");

/* Tables of flows, by sq_rule.flow_slot. The inner maps differ in their size, which needs
 * BPF_F_INNER_MAP (5.10), and have no BTF: 6.1 takes none with it where this one has none. */
struct flow_table {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_INNER_MAP | BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(union sq_flow_set));
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, SQ_FLOW_SLOTS);
	__uint(key_size, sizeof(__u32));
	__array(values, struct flow_table);
} sq_flows SEC(".maps");

/* Not an LRU hash: see union sq_flow_set. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, SQ_HOSTS);
	__type(key, struct sq_host_key);
	__type(value, struct sq_host_seen);
} sq_hosts SEC(".maps");

/* A name on its way from the packet into its hash. */
struct sq_name {
	__u8 byte[256];
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sq_name);
} sq_name SEC(".maps");

/* Of a datagram in pieces only the first has ports: kept here until the others have
 * come. 8,192 at a time; of more, the oldest are forgotten. */
struct sq_fragment {
	__u32 saddr[4];
	__u32 daddr[4];
	__u32 id;
	__u32 proto;
};
struct sq_ports {
	__u16 sport;
	__u16 dport;
};
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct sq_fragment);
	__type(value, struct sq_ports);
} sq_fragments SEC(".maps");

/* Jitter tables, one after the other. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SQ_DIST_SLOTS *SQ_DIST_SIZE);
	__type(key, __u32);
	__type(value, __s16);
} sq_dist SEC(".maps");

/* A socket's address on its way from pointer to number, see sk_cgroup(). */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} sq_scratch SEC(".maps");

/* What this CPU has sent to be cut, see ahead.h. Serials are of TICKET_SERIAL. */
struct cutting {
	__u32 sent;
	__u32 serial, piece, state; /* of which pieces are coming back: the next one's */
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct cutting);
} sq_cutting SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} sq_events SEC(".maps");

#endif
