/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the engine's files share:
 *   engine.c    open, close, lease, prolonging  rules.c   rules and counters
 *   plumber.c   its thread, and who waits for it
 *   attach.c    namespaces, interfaces, scans   lane.c    devices of the lanes
 *   heal.c      what others did to lanes, pins  lane_stats.c  what lanes lost
 *   probe.c     what this kernel can            trace.c   sampled packets
 *   load.c      programs, maps, what a squalld before left
 *   seen.c      who lives where
 *   front.c     who runs before us
 *   view.c      what is attached, for people    clean.c   --cleanup
 *
 * Threads: "plumber" makes every change to interfaces (setns is per thread, and
 * an ifindex means nothing without its namespace); "lease" renews the lease;
 * the pacer; callers. engine->lock guards all fields below it.
 */
#ifndef SQUALLD_ENGINE_INTERNAL_H
#define SQUALLD_ENGINE_INTERNAL_H

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <net/if.h>
#include <squall/abi.h>
#include "lib/clock.h"
#include "lib/error.h"
#include "squalld/flows/tables.h"
#include "squalld/kernel/kernel.h"
#include "squalld/net/netns.h"
#include "squalld/net/nl.h"
#include "squalld/net/pacer.h"

#define SEG_OUT	  "squall-seg0"
#define SEG_IN	  "squall-seg1"
#define FQ_OUT	  "squall-fq0"
#define FQ_IN	  "squall-fq1"
#define TAP	  "squall-tap"
#define OUR_LINKS "squall-"

enum feature {
	F_BTF,
	F_CGROUP2,
	F_CLSACT,
	F_FQ,
	F_TAP,
	F_TCX,
	F_DESTROY,
	F_MACVLAN,
	F_STAMP,
	F_FEATURES
};
struct feature_state {
	bool available;
	char why[160];
};

/* Programs by their place, see load.c. */
enum program {
	P_INGRESS,
	P_EGRESS,
	P_FRONT, /* of ingress; that of egress is the next */
	P_FRONT_E,
	P_SEG_IN,
	P_FQ_OUT,
	P_FQ_IN,
	P_TAP_OUT,
	P_TAP_IN,
	P_PROLONG,
	PROGRAMS
};

/* A network namespace in which interfaces are attached. */
struct space {
	uint64_t ino;
	int fd;
	bool host;
	uint32_t seg_ifindex, lane_ifindex;
	bool cuts_now;	 /* seg_ifindex does, see SQ_A_CUTS_NOW */
	bool stacked;	 /* fq: lane_ifindex is a macvlan over a dummy, not one end of a veth */
	bool stamps;	 /* lane_ifindex takes them, see SQ_A_STAMPS */
	int tap_fd;	 /* -1: none; owned by the pacer */
	int listener_fd; /* fq: see listener_ready(); -1: none */
	int lock_fd; /* one squalld per network namespace; -1: the host's, which is the engine's */
	int monitor_fd; /* of its links and filters; -1: the host's, which is the engine's */
	char ill[96];	/* what of its lane is broken and could not be mended, or "" */
	uint64_t mended_ns;
	bool wanted;  /* during a scan */
	bool changed; /* there were events of its links or filters */
	bool touched; /* likewise, and its lane was not looked at since */
	uint64_t looked_ns, healed_ns;
};

/* What each attachment there says of the devices. */
static inline uint32_t space_flags(const struct space *s)
{
	return (s->cuts_now ? SQ_A_CUTS_NOW : 0) | (s->stamps ? SQ_A_STAMPS : 0);
}

/* Who sees packets of one direction before us. */
struct front {
	char filter[72]; /* the tc filter before ours, by the last look; "": none */
	char who[72];	 /* whom we could not overtake; "": nobody is in front */
	int tries;
};

struct attachment {
	struct sq_att att;
	uint64_t ino; /* of its namespace; 0 = free slot */
	char name[IFNAMSIZ];
	bool wanted;	       /* during a scan */
	bool there;	       /* both filters, by the last look */
	bool looked;	       /* front.c has, since it is attached */
	struct front front[2]; /* ingress, egress */
};

/* Slots by the interface, each a chain: with 2,000 of them, looking through all for each was 50 ms
 * of a start. 0: nobody's. */
struct slots {
	uint16_t first[SQ_MAX_ATTACH], next[SQ_MAX_ATTACH];
};

static inline uint32_t slot_hash(uint64_t ino, uint32_t ifindex)
{
	return ((uint32_t)ino * 31 + ifindex) % SQ_MAX_ATTACH;
}

static inline void slot_put(struct slots *s, uint16_t slot, uint64_t ino, uint32_t ifindex)
{
	uint16_t *first = &s->first[slot_hash(ino, ifindex)];

	s->next[slot] = *first;
	*first = slot;
}

/* An element that a packet may still be reading: deleted when it is old enough. */
#define RETIRE_NS 100000000ull
struct retired {
	uint64_t when_ns;
	uint32_t key;
	bool counter;
};

struct ruled {
	int fd;	   /* the cgroup's directory: its id is not given to another while this is open */
	int level; /* below the root */
	bool elsewhere;	     /* no process in the host's namespace, but in others */
	bool empty;	     /* no process, or one that no scan has found yet */
	uint64_t arrived_ns; /* empty, and has had a process since then; 0: none */
	int wd;		     /* who tells of its first process, -1: nobody */
	struct ruled *next;
	struct ruled *after, *before; /* of all, a ring */
	struct sq_rule rule; /* the last: most of it is never touched, see sq_rule_used() */
};

#define RULE_BUCKETS 16384
#define AHEAD_MAX    1000

/* What is asked of a few rules at each tick: all in turn, as 10,000 would hold up a setter. */
enum turn {
	TURN_OVER,  /* is its time over? */
	TURN_GONE,  /* was its cgroup removed? */
	TURN_PLACE, /* where do its processes live? */
	TURNS
};

/* A cgroup that is about to get a rule: a scan takes it for ruled. */
struct held {
	uint64_t id;
	bool elsewhere; /* as of a rule */
	struct held *next;
};

/* What the last scan could not attach to. Those that no longer fit make ino 0: everything. */
#define SCAN_FAILURES 16
struct scan_failure {
	uint64_t ino;	   /* of the interface's namespace; 0: any */
	int32_t peer_nsid; /* an edge: the namespace behind it; -1 otherwise */
	int error;
	char what[IFNAMSIZ];
};

#define LATE_SECONDS 60
#define WAITING_SIZE (SQ_WAIT_SETS * SQ_WAIT_WAYS * sizeof(struct sq_waiting))

struct engine {
	struct squall_bpf *skel;
	int prog_fd[PROGRAMS]; /* loaded, or those of a squalld before us */
	uint32_t prog_id[PROGRAMS];
	uint64_t build;			  /* of the programs: their pins' names have it */
	struct sq_cfg *cfg;		  /* the kernel's own, mapped */
	struct sq_lane_state *lane_state; /* likewise */
	struct sq_waiting *waiting;	  /* likewise: sq_waiting */
	char *pin_dir;			  /* with the ABI version */
	char **ifaces;
	bool lo_off;
	enum sq_lane lane;
	char lane_why[200];
	struct feature_state features[F_FEATURES];
	struct pacer *pacer;
	uint64_t host_ino;
	int host_fd;
	int netns_lock; /* abstract socket: one squalld per network namespace */
	pthread_t plumber, lease;
	bool plumber_runs, lease_runs;
	int wake_fd, monitor_fd, life_fd;

	/* Order: att_lock, then lock. att_lock: spaces and atts, which only the
	 * plumber changes. */
	pthread_mutex_t att_lock;
	pthread_mutex_t lock;
	pthread_cond_t scanned;
	bool stop;
	bool ending; /* engine_close() takes the rules away */
	uint64_t scans_done, scans_asked;
	int scan_error;
	uint64_t whole_ns; /* when the last scan of all ended */
	struct held *held;
	struct scan_failure failed[SCAN_FAILURES]; /* of the last scan; att_lock */
	int n_failed;
	struct seen *seen; /* by the last scan; att_lock */
	uint32_t told; /* losses of the lanes that the log has: bits by enum lane_loss; plumber */
	bool looked_at_losses;		   /* plumber */
	uint64_t lost_before[LANE_LOSSES]; /* as the last look found them; plumber */
	uint64_t lost_ns[LANE_LOSSES];	   /* when it found more, 0: never */
	uint64_t pacer_dropped_seen, swept_ns;
	/* How late the lanes' packets were at most, by the second; written by the plumber, atomic
	 */
	_Atomic uint64_t late_ns[LATE_SECONDS];
	uint64_t late_second;
	/* Slots of each set of sq_waiting that are some target's: changed with the lock. */
	_Atomic uint8_t waiting_used[SQ_WAIT_SETS];
	uint32_t hosts; /* known at the last sweep */
	int pin_error;
	uint64_t full_ns;  /* when all namespaces with rules were last looked at; att_lock */
	uint64_t links_ns; /* the same of the host's links */
	struct space *spaces;
	int n_spaces;
	bool lo_there;	    /* the host's lo is attached; atomic, written by the plumber */
	const char *lo_ill; /* why some lo is not attached that should be, or NULL; likewise */
	struct attachment atts[SQ_MAX_ATTACH]; /* [0] is never used: a filter without classid */
	uint32_t next_att, top_att;	       /* top: behind the last that was ever used */
	bool behind;			       /* at some interface somebody is in front of us */
	struct sq_att *before;		       /* as a squalld before us left them; plumber only */
	struct slots now, then;		       /* of atts, and of before */
	struct ruled *rules[RULE_BUCKETS];
	int n_rules;
	/* Of the ring, whose turn it is; NULL while there is no rule. */
	struct ruled *turn[TURNS];
	int level_users[SQ_MAX_LEVELS + 1];
	int down_users;
	bool named;	 /* there may have been a rule with names since sq_hosts was last swept */
	int empty_users; /* whose target has no process */
	bool arrived;	 /* that of some of them may have got one */
	/* Rules whose targets live, or may live, in the host's namespace; changed with the lock,
	 * read without. */
	atomic_int host_users;
	uint32_t next_rule_id, next_counter;
	/* See engine_make_ahead(): versions that no target names, and counters of no clause. */
	uint32_t ahead_rule[AHEAD_MAX], ahead_counter[AHEAD_MAX];
	unsigned int n_ahead_rules, n_ahead_counters;
	struct retired *retired;
	size_t retired_n, retired_head, retired_room;
	struct tables *tables; /* of flows */
	struct engine_trace *traces;
	pthread_t trace_thread;
	struct ring_buffer *ring; /* while the trace thread runs */
	bool trace_running;
};

/*
 * A process that starts in a ruled cgroup is found by the next scan, up to a second later, and
 * until then nobody knows that an edge is its: of `down loss 0.1%` on 6.1 in a guest 187,000 of
 * 190,000 packets went by, with the rule in force. So the sockets behind all edges are looked up
 * while there is such a target (SQ_C_NOWHERE), and until a scan SETTLE_NS after its first process:
 * runc's and nsenter's are in the cgroup before they are in their namespace.
 */
#define SETTLE_NS 1000000000ull
static inline void ruled_set_empty(struct engine *e, struct ruled *r, bool empty)
{
	e->empty_users += empty - r->empty;
	r->empty = empty;
	r->arrived_ns = 0;
}

static inline uint64_t engine_now(void)
{
	return sq_mono_ns();
}

/* load.c: skel, cfg, lane_state, and what is in the maps from the start; then the rules in them. */
int engine_load(struct engine *e, struct sq_error *err);
int rules_adopt(struct engine *e, struct sq_error *err);
const char *program_name(enum program p);
/* Where it is pinned. */
const char *program_path(const struct engine *e, enum program p, char *buf, size_t size);
/* The slot that an interface had under a squalld before us, or 0. */
uint32_t slot_before(const struct engine *e, uint64_t ino, uint32_t ifindex);

/* probe.c: trials in a scratch namespace, by a thread of their own until probe_end(), which fails
 * where this machine will not do. `missing` is a comma list of names to treat as absent. */
struct probe;
int probe_start(struct engine *e, const char *missing, struct probe **ret, struct sq_error *err);
int probe_end(struct probe *probe, struct sq_error *err);
const char *feature_name(enum feature f);
const char *feature_text(enum feature f);

/* lane.c: in the calling thread's current namespace. */
int lane_open(struct engine *e, struct space *s);
int lane_ready(struct engine *e, struct space *s); /* makes right whatever is not */
bool lane_broken(const struct engine *e, const struct space *s, bool *ret_seg, bool *ret_lane,
		 char *why, size_t size);
void lane_close(struct engine *e, struct space *s);
/* Of the current namespace's lo. set: SQ_A_LO_*, what it was that we changed. */
int lo_prepare(uint32_t *ret_set);
void lo_restore(uint32_t set);

/* Not in the host's namespace, as far as is known. */
static inline bool lives_elsewhere(const struct engine *e, uint64_t cgroup_id)
{
	struct netns_place p = netns_place(e->host_ino, cgroup_id);

	return p.elsewhere && !p.here;
}

/* heal.c. plumber thread; no lock held. */
void lanes_heal(struct engine *e);
void pins_heal(struct engine *e);
bool lane_ill(struct engine *e, char *why, size_t size); /* any thread */

/* lane_stats.c */
json_t *lane_json(struct engine *e);
void lane_watch(struct engine *e); /* plumber, at least each second: how late it is */
void lane_sweep(struct engine *e); /* plumber: finds what never came out, and tells losses once */
uint32_t lane_wait_ms(const struct sq_rule *rule); /* the longest that a packet waits, rounded up */
/* What waits of the target leaves within ms; any thread. In fq it finds out by itself. */
void lane_shorten(struct engine *e, uint64_t target, uint32_t ms);
/* The target's slot in sq_waiting, 0 if there is none for it; lock held. */
uint32_t lane_slot(struct engine *e, uint64_t target);
void lane_adopt(struct engine *e); /* the slots of a squalld before; once, at the start */
void lane_drain(struct engine *e); /* waits for what waits, a bounded time */

/* Links change with events only, but for what a container does to its own. */
#define FULL_EVERY_NS  10000000000ull
#define LINKS_EVERY_NS 30000000000ull

/* attach.c. plumber thread; lock not held. */
static inline int space_enter(const struct space *s)
{
	return netns_enter(s->fd);
}

static inline void space_leave(struct engine *e)
{
	netns_leave(e->host_fd);
}

int att_publish(struct engine *e, const struct attachment *a);
/* waited: for one that a rule waits for, what a second's look is enough for is left out. */
int attach_scan(struct engine *e, bool links_changed, bool waited);
void attach_stop(struct engine *e, bool keep);
void scan_failed(struct engine *e, uint64_t ino, int32_t peer_nsid, int error, const char *what);

/* plumber.c. start: the first scan is done when it returns. */
int plumber_start(struct engine *e, struct sq_error *err);
void plumber_stop(struct engine *e); /* and whoever looks at e->stop */
/* "interface eth0: No such device"; buf: 160 bytes. */
const char *failure_text(const struct scan_failure *f, char *buf, size_t size);

/* front.c. The plumber, in the host's namespace, att_lock held; front_clean(): anybody,
 * in the interface's namespace. */
int front_probe(uint32_t ifindex); /* 0: this kernel has tcx */
int front_init(struct engine *e);
/* By what a scan has seen: looks where rules act; waited: where they begin to. NULL: at all. */
void front_watch(struct engine *e, const struct seen *seen, bool waited);
void front_clean(uint32_t ifindex);

/* view.c */
json_t *attach_json(struct engine *e);
int attach_check(struct engine *e, bool ask, struct sq_error *err);

/* clean.c; att_fd: the pinned sq_att, or -1 */
void attach_clean_all(int att_fd);
/* The folder of this ABI's pins, made if missing; *ret is the caller's to free. */
int pins_ready(const char *pin_dir, char **ret, struct sq_error *err);

/* rules.c; lock held. */
const struct held *held_find(const struct engine *e, uint64_t cgroup_id); /* by engine_hold() */
void rules_expire(struct engine *e);
/* seen.c: where a few of the targets are now, which at the start may have been nowhere; all in
 * turn, 500 in 16 s. Lock held. */
void rules_place(struct engine *e);
/* seen.c: reads which ruled cgroups have got their first process or lost their last; and a scan
 * that began then has found who had settled. Lock held. */
void life_read(struct engine *e);
void life_found(struct engine *e, uint64_t scan_ns);
void rules_retire_old(struct engine *e, uint64_t older_than_ns);
void rules_clear(struct engine *e); /* out of the kernel too */
void rules_free(struct engine *e);
struct ruled *ruled_find(struct engine *e, uint64_t id);
void ruled_insert(struct engine *e, struct ruled *r, uint64_t id); /* r->level is known */
struct ruled *rules_turn(struct engine *e, enum turn t); /* with the lock; NULL: no rule */
void rules_publish_levels(struct engine *e);
bool rule_keeps_counter(const struct sq_rule *rule, uint32_t counter);
bool rule_has_down(const struct sq_rule *rule);
bool rule_over_for(const struct sq_rule *rule, uint64_t ns); /* expired that long ago */

/* The same, lock not held: engine_set_rule() but for the scan that a first one may need. */
int rules_put(struct engine *e, uint64_t cgroup_id, const struct sq_rule *asked,
	      struct sq_rule *ret, bool *ret_rescan, struct sq_error *err);

void trace_stop(struct engine *e);

#endif
