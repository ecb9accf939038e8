// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a run was: every tenth of a second is taken from the fleet and counted
 * into the parts of the run that it belongs to, when it happens. A message
 * counts where it ends, a probe's answer where it was asked.
 *
 * One thread (the run's own) writes and reads; probes hand theirs over a lock.
 */
#ifndef SQUALL_SIM_EXPERIMENT_RECORD_H
#define SQUALL_SIM_EXPERIMENT_RECORD_H

#include "sim/experiment/file/experiment.h"
#include "sim/report/tally.h"

struct exp_row {
	uint64_t requests, failures;
	double total_ms, min_ms, max_ms;
	struct sim_hist *hist; /* NULL until there is a sample */
};

struct exp_sum {
	double seconds;
	uint32_t connected_min, target_min;
	uint64_t ticks;
	struct sim_totals tot;
	struct exp_row *row; /* [type * SIM_NAMES + name] */
};

struct exp_failure {
	struct sim_error e;
	uint64_t by_part[EXP_PARTS];
};

struct exp_slot {
	uint64_t from_ns;
	uint32_t connected, target, n, over, acked;
};

struct exp_record {
	const struct experiment *x;
	struct sim_engine *e; /* NULL: no fleet */
	struct sim_reader *reader;
	enum sim_name main;
	unsigned nrows;
	uint64_t start_ns, last_ns; /* of the clock; from the start */
	struct sim_totals seen;
	struct exp_sum part[EXP_PARTS];
	struct exp_failure *failure;
	unsigned nfailures;
	/* recovery's measure, known when `before` is over; 0: not yet */
	double limit_ms, before_rate;
	uint32_t before_connected;
	struct exp_slot *slot;
	unsigned nslots, cap;
	uint32_t most_running;
	/* the second that is being filled, and those that are */
	json_t *seconds;
	uint64_t sec_from_ns;
	enum exp_phase sec_phase;
	uint32_t sec_faults;
	struct sim_totals sec_tot;
	struct sim_hist *sec_hist;
	double sec_max_ms;
	json_t *sec_kinds;
	struct sim_counts counts;
	/* of the last full second, for those who watch */
	double now_p95, now_rate, now_fail_rate;
	enum exp_phase now_phase; /* it lay in */
	uint32_t now_faults;
};

/* Call after sim_engine_start(). NULL: out of memory. */
struct exp_record *exp_record_new(const struct experiment *x, struct sim_engine *e);
void exp_record_free(struct exp_record *r); /* accepts NULL */
/* The run's clock: nanoseconds since exp_record_new(). */
uint64_t exp_record_now(const struct exp_record *r);
/* Takes what happened since the last call; it belongs to the phase of that moment. */
void exp_record_take(struct exp_record *r);
/* The last: what the drain brought, which counts into the whole and into `after`. */
void exp_record_end(struct exp_record *r);
/*
 * Seconds from end_ns (of the run's clock) until the fleet was back and stayed
 * so; only what is before until_ns counts. Negative: never.
 */
double exp_record_recovery(const struct exp_record *r, uint64_t end_ns, uint64_t until_ns);

#endif
