/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel side of squalld: BPF programs and maps, attachments, lanes,
 * lease, and the rules as the kernel has them. Knows nothing of HTTP, Docker
 * or names; a target is a cgroup id, which the caller found with
 * engine_cgroup_id().
 *
 * Functions return 0 or a negative errno and, where they take a struct
 * sq_error, a line for people. All of them may be called from any thread;
 * one internal lock, never held while waiting for the network.
 */
#ifndef SQUALLD_KERNEL_H
#define SQUALLD_KERNEL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <squall/abi.h>
#include <squall/rule.h>

struct engine;

struct engine_options {
	const char *pin_dir;	   /* below a bpffs; made if missing */
	const char *lane;	   /* "auto", "fq", "tap" */
	const char *const *ifaces; /* fnmatch(3) patterns of host interfaces; NULL = all */
	bool lo_off; /* attach to no lo; else to those of namespaces where ruled cgroups live */
	const char *probe_missing; /* comma list: features to treat as missing, for tests */
	uint16_t control_port;
	uint64_t
		lane_memory; /* bytes that may wait in all lanes; of one target half; 0 = 256 MiB */
};

/* Probes, loads or adopts pinned maps, attaches, starts the lane. Nothing is
 * attached if it fails; err says why and what to do. */
int engine_open(const struct engine_options *options, struct engine **ret, struct sq_error *err);

/* Detaches and frees. keep_rules: leave maps pinned and programs attached, so
 * that `on-crash keep` rules go on and a restart adopts them. */
void engine_close(struct engine *engine, bool keep_rules);

/* squalld --cleanup: removes every filter, link, lane and pin of ours. */
int engine_cleanup(const char *pin_dir, struct sq_error *err);

/* cgroup path below the v2 mount ("/a/b", "" or "/" = the root, refused) -> id. */
int engine_cgroup_id(const char *path, uint64_t *ret_id, struct sq_error *err);
/* id -> path below the v2 mount; -ENOENT when the cgroup is gone. */
int engine_cgroup_path(uint64_t id, char *ret_path, size_t size);

/*
 * Attaches wherever this cgroup's packets are, before it gets a rule, and keeps it so until
 * engine_release(). Waits for the plumber, 10 s at most: not for callers with a lock that others
 * need. -ENOENT: no such cgroup. -EIO: some interface of its could not be attached to. -EAGAIN:
 * the plumber did not come. After a failure there is nothing to release. path: where it was a
 * moment ago, or NULL; by its id it is found in three system calls more.
 */
int engine_hold(struct engine *engine, uint64_t cgroup_id, const char *path, struct sq_error *err);
void engine_release(struct engine *engine, uint64_t cgroup_id);

/*
 * Puts a whole rule in force for a target, atomically; the kernel has it when
 * this returns. Waits for nothing: where the target is not held, attaching where it
 * lives follows soon, and engine_health() says if that fails. Draws a seed if none was given, sets
 * id, counters, set_ns and expires_ns. *ret (may be NULL) is the rule as the kernel now has it.
 * -EOPNOTSUPP: this kernel, lane or target cannot do what the rule asks.
 */
int engine_set_rule(struct engine *engine, uint64_t cgroup_id, const struct sq_rule *rule,
		    struct sq_rule *ret, struct sq_error *err);
/*
 * What n first rules will need of the kernel, by whom has the time: to make a version and a counter
 * is half of what such a rule costs. engine_set_rule() takes what is there, and else makes its own.
 * *stop: no more. drop: what nobody has taken goes.
 */
void engine_make_ahead(struct engine *engine, unsigned int n, const atomic_bool *stop);
void engine_drop_ahead(struct engine *engine);
int engine_delete_rule(struct engine *engine, uint64_t cgroup_id); /* -ENOENT if none */
/* The rule in force ends for_ns from now, whatever its end was; all else of it goes on: id, seed,
 * packet numbers, counters. -ENOENT: there is none, or its time is over. */
int engine_prolong(struct engine *engine, uint64_t cgroup_id, uint64_t for_ns,
		   uint64_t *ret_ends_ns);
int engine_get_rule(struct engine *engine, uint64_t cgroup_id, struct sq_rule *ret);
/* Calls fn for each rule in force (expired ones are not). Stops when fn returns non-zero. */
int engine_each_rule(struct engine *engine, int (*fn)(const struct sq_rule *rule, void *arg),
		     void *arg);

/* Sum over CPUs of one clause and direction; counters live until the rule is deleted. */
int engine_counters(struct engine *engine, uint32_t counter, struct sq_counters *ret);

/* Of a target whose rule has a table of flows (-ENOENT: it has none): what was counted since the
 * rule was set, and each flow that the table holds. The kernel changes them under fn's eyes. */
int engine_flow_counts(struct engine *engine, uint64_t cgroup_id, struct sq_flow_head *ret);
int engine_flows(struct engine *engine, uint64_t cgroup_id,
		 int (*fn)(const struct sq_flow *flow, void *arg), void *arg);

/* What there is to know, as JSON: kernel, lane and why, programs, features
 * {name, available, why}, faults {name, available, why}, limits, attachments
 * [{netns, ifindex, name, role, hooks}], lane queue, errors. New reference. */
json_t *engine_status(struct engine *engine);

/* Health: 0; -errno with the reason (detached, lease stale, pacer behind); or 1, degraded:
 * rules act, but not as everybody would expect (another program is in front). ask: each interface
 * is asked for its filters, 10 ms for 500; else what the plumber saw in the last 20 s counts, who
 * hears of each change. */
int engine_health(struct engine *engine, bool ask, struct sq_error *err);

/* Is a program of somebody else in front of ours at any interface? Cheap. */
bool engine_in_front(struct engine *engine);
/* What this target sends over loopback passes unjudged: why, for people, or NULL. unless_known as
 * below. Cheap where lo is attached wherever it should be. */
const char *engine_lo_passes(struct engine *engine, uint64_t cgroup_id, bool unless_known);
/* Why silent connections are reset with their next packet only (squalld/flows/silent.h), or NULL.
 */
const char *engine_late_resets(const struct engine *engine);
/* Has this cgroup a process in the host's network namespace? unless_known: what to answer where it
 * has none anywhere. */
bool engine_on_host(struct engine *engine, uint64_t cgroup_id, bool unless_known);
/* Packets that the machinery itself lost, which no rule asked for, by reason. */
enum lane_loss {
	LANE_FULL,
	LANE_TARGET_FULL,
	LANE_HORIZON,
	LANE_VERDICT,
	LANE_PACER,
	LANE_STRANDED,
	LANE_VANISHED,
	LANE_LOSSES
};
struct engine_lane {
	uint64_t waiting_pkts, waiting_bytes; /* bytes: SQ_LANE_OVERHEAD for each packet included */
	uint64_t max_bytes, target_max_bytes;
	uint64_t mended;  /* how often a lane's devices were made anew */
	uint64_t late_ns; /* how long after its time a packet left, at most, in the last minute */
	uint64_t lost[LANE_LOSSES], lost_pkts;
};
void engine_lane_stats(struct engine *engine, struct engine_lane *ret);
/* One word for programs; *ret_text (may be NULL): a clause for people. */
const char *engine_lane_loss(enum lane_loss loss, const char **ret_text);

/* What the lanes lost in the last minute, one after the other: *i begins at 0. Its text, and how
 * long ago the last was; NULL: no more. An interface that goes with its container is no loss. */
const char *engine_lane_lost(struct engine *engine, int *i, unsigned int *ret_ago_s);

/* Tells the engine that namespaces or processes may have changed (a container
 * started): it rescans who is behind which interface soon. */
void engine_rescan(struct engine *engine);

/* How a target's packets can be seen now, for `target list`: "host", "bridge",
 * "netns" (attached inside its namespace) or "none" (no process yet), its
 * interfaces, and what programs of others are in front of ours there; shared: it
 * lives in a namespace with others that are not below it. */
json_t *engine_target_view(struct engine *engine, uint64_t cgroup_id);
/* Names of the host's interfaces that are up and never attached: tun, WireGuard, ipip. */
json_t *engine_no_ethernet(void);

/* Sampled packets. Each reader gets its own queue; closing the last one turns
 * tracing off in the kernel. next: 1 = event, 0 = none within timeout. */
struct engine_trace;
int engine_trace_open(struct engine *engine, uint32_t every, struct engine_trace **ret);
int engine_trace_next(struct engine_trace *trace, struct sq_event *ret, int timeout_ms);
void engine_trace_close(struct engine_trace *trace);

#endif
