// SPDX-License-Identifier: GPL-2.0-only
/*
 * squall-sim experiment: a file that joins a fleet, faults, probes and
 * thresholds (docs/experiments.md), and what a run of it needs to know.
 *
 * All times are nanoseconds from the run's start. Everything here is filled by
 * file.c and does not change while it runs.
 */
#ifndef SQUALL_SIM_EXPERIMENT_H
#define SQUALL_SIM_EXPERIMENT_H

#include <jansson.h>
#include <yaml.h>
#include <squall/rule.h>
#include "sim/run/run.h"

#define EXP_MAX_FAULTS	   32
#define EXP_MAX_PROBES	   16
#define EXP_MAX_THRESHOLDS 64
#define EXP_MAX_STAGES	   32
#define EXP_NAME	   48
#define EXP_NS		   1000000000ull

enum {
	SIM_EXIT_STEADY = 98, /* the steady state was not reached, so nothing was broken */
};

struct exp_mark { /* where in the file, both from 1 */
	unsigned line, column;
};

struct exp_stage {
	uint64_t over_ns;
	uint32_t target;
};

#define EXP_AGENT "ecs" /* in place of a squalld's address: the ECS agent of our own task */
struct exp_peer {	/* a squalld; all empty: from the environment, else the default socket */
	char url[256], token_file[256], cacert[256];
};

struct exp_fault {
	char name[EXP_NAME], target[512], rule[1024], profile[64];
	uint64_t at_ns, for_ns;
	bool seeded; /* its rule has a seed of its own */
	struct exp_peer peer;
	struct exp_mark mark, target_mark, rule_mark;
};

enum exp_probe_kind { EXP_HTTP, EXP_PROMETHEUS, EXP_COMMAND };
#define EXP_MAX_ARGS 32

struct exp_probe {
	char name[EXP_NAME], url[512], metric[256];
	enum exp_probe_kind kind;
	char *argv[EXP_MAX_ARGS + 1]; /* owned */
	uint64_t every_ns, timeout_ns;
	unsigned expect; /* HTTP status; 0: any of 200 to 299 */
	struct exp_mark mark;
};

/* --- thresholds (metric.c) ------------------------------------------------------------------ */

enum exp_unit { EXP_TIME /* ms */, EXP_SHARE /* a number, or percent */, EXP_COUNT, EXP_RATE };
enum exp_what {
	EXP_QUANTILE,
	EXP_AVG,
	EXP_MIN,
	EXP_MAX,
	EXP_ERRORS,
	EXP_CONNECT_ERRORS,
	EXP_NEVER,
	EXP_DISCONNECTS,
	EXP_UNACKED,
	EXP_LOST,
	EXP_DUPLICATES,
	EXP_SCHEDULED,
	EXP_ACKED,
	EXP_FAILED,
	EXP_CONNECTS,
	EXP_RECONNECTS,
	EXP_CONNECTED_MIN,
	EXP_RECOVERY,
	EXP_PACKETS_SEEN,
	EXP_PACKETS_STRUCK,
	EXP_PROBE_UP,
	EXP_PROBE_LAST,
};

/* Which part of the run: one of the phases, or a fault's window. */
enum exp_phase {
	EXP_RAMP,
	EXP_BEFORE,
	EXP_FAULT, /* while any fault is in force */
	EXP_BETWEEN,
	EXP_AFTER,
	EXP_WHOLE,
	EXP_PHASES, /* + i: fault i */
};
#define EXP_PARTS (EXP_PHASES + EXP_MAX_FAULTS)
extern const char *const exp_phase_words[EXP_PHASES];

struct exp_threshold {
	char metric[128], limit[64]; /* as they were written */
	enum exp_unit unit;
	enum exp_what what;
	double quantile;
	bool per_s, percent, abort;
	uint64_t abort_delay_ns;
	int name; /* enum sim_name, -1: the main one */
	char type[SIM_TYPE_NAME];
	int probe;     /* -1: none */
	unsigned part; /* enum exp_phase, or EXP_PHASES + fault */
	char op[3];
	double value;
	struct exp_mark mark;
};

struct exp_outputs {
	struct exp_mark mark;
	char html[256], junit[256], json[256], grafana[256], grafana_token_file[256];
};

struct experiment {
	char path[256], dir[256], name[128], description[512];
	/* the fleet; ntypes 0: none */
	struct sim_run run;
	struct sim_profile base;
	struct sim_fleet fleet;
	uint32_t count[SIM_MAX_TYPES];
	char fleet_file[512], cgroup[256];
	unsigned nstages, nfaults, nprobes, nthresholds;
	struct exp_stage stage[EXP_MAX_STAGES];
	struct exp_fault fault[EXP_MAX_FAULTS];
	struct exp_probe probe[EXP_MAX_PROBES];
	struct exp_threshold threshold[EXP_MAX_THRESHOLDS];
	struct exp_outputs out;
	struct exp_peer peer;
	uint64_t before_ns, after_ns, drain_ns;
	/* recovery: within this much of `before`, for so long */
	uint32_t band_ppm;
	uint64_t floor_ns, stay_ns;
	uint32_t seed;
	struct exp_mark load_mark, before_mark;
	/* derived by exp_timeline() */
	uint64_t ramp_end_ns, before_from_ns, total_ns;
	uint32_t most;
};

/* file.c: reads and checks all that can be checked without asking anybody. 0 or -EINVAL. */
int exp_load(const char *path, struct experiment **ret, struct sq_error *err);
void exp_free(struct experiment *x); /* accepts NULL */

/* metric.c: METRIC and LIMIT as written, into *ret. 0 or -EINVAL with what is accepted. */
int exp_threshold_parse(const struct experiment *x, const char *metric, const char *limit,
			struct exp_threshold *ret, struct sq_error *err);

/* timeline.c: the derived times; refuses what overlaps wrongly. */
int exp_timeline(struct experiment *x, struct sq_error *err);
/* The phase of a moment, and bit i of *ret_faults when fault i is in force then. */
enum exp_phase exp_phase_at(const struct experiment *x, uint64_t t_ns, uint32_t *ret_faults);
/* The next moment after t_ns at which a phase or a fault begins or ends; total_ns at the end. */
uint64_t exp_next_edge(const struct experiment *x, uint64_t t_ns);
void exp_show_timeline(const struct experiment *x, FILE *f);
json_t *exp_timeline_json(const struct experiment *x);
/* The devices asked for at a moment. */
uint32_t exp_load_at(const struct experiment *x, uint64_t t_ns);

#endif
