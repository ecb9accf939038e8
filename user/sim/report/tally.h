// SPDX-License-Identifier: GPL-2.0-only
/*
 * A run so far: sums of the reader's reports, and the last interval. Every way
 * of showing a run (table, JSON, CSV, Prometheus, web, thresholds) reads this.
 */
#ifndef SQUALL_SIM_TALLY_H
#define SQUALL_SIM_TALLY_H

#include <jansson.h>
#include <pthread.h>
#include "sim/engine/engine.h"

struct sim_row {
	bool used;
	uint64_t requests, failures, bytes;
	double total_ms, min_ms, max_ms;
	struct sim_hist hist;
	/* of the last interval */
	uint64_t now_requests, now_failures;
	double now_max;
};

#define SIM_HISTORY 7200 /* points kept for the report: seconds, at first */

#define SIM_POINT_KINDS 12 /* of one second; more have not been seen */

struct sim_point {
	float t_s, rate, fail_rate, p50, p95, p99;
	uint32_t connected;
	uint32_t failed[SIM_POINT_KINDS];
	uint8_t kind[SIM_POINT_KINDS]; /* of failed[], from 1: sim_tally's kind[]; 0: none */
};

struct sim_tally {
	pthread_mutex_t lock; /* of everything below; held for microseconds */
	struct sim_engine *e;
	struct sim_reader *reader;
	uint64_t start_ns, last_ns;
	double t_s, dt_s;
	double pub_from_s, pub_to_s; /* of t_s: when there were messages and devices */
	uint32_t most_running;	     /* devices that ran at one time, or should have, at most */
	unsigned nrows;
	struct sim_row *row; /* [type * SIM_NAMES + name] */
	unsigned nerrors;
	struct sim_error *error; /* since the start */
	unsigned nnow;
	struct sim_error *now_error; /* of the last interval */
	struct sim_totals tot, now;  /* since the start; of the last interval */
	struct sim_totals base;	     /* what a reset left behind */
	struct sim_counts counts;
	enum sim_name main; /* whose latency is "the" latency */
	double now_p[3];    /* its p50, p95, p99 in ms of the last interval; NAN: no sample */
	struct sim_point *history;
	unsigned nhistory;
	char kind[64][32]; /* of failures, in the order in which they came */
	unsigned nkinds;
	const char *state;
	/* Of an experiment, else empty: where it is, and which faults are in force, "a+b". */
	char experiment[128], phase[16], fault[256];
	uint32_t ticks; /* goes up with each update, for those who wait for news */
};

struct sim_tally *sim_tally_new(struct sim_engine *e);
void sim_tally_free(struct sim_tally *t);
void sim_tally_update(struct sim_tally *t);
/* Begins anew: a web user's next run. */
void sim_tally_reset(struct sim_tally *t);

/* Now and then between two updates: the time that rates are of begins with the first message. */
void sim_tally_look(struct sim_tally *t);
/* Failures of a point by kind: {"refused": 3}. Caller holds the lock. */
json_t *sim_point_kinds(const struct sim_tally *t, const struct sim_point *p);

/* Devices that ran and never had a CONNACK. */
uint32_t sim_tally_never_connected(const struct sim_tally *t);
/* The time that rates are of: neither waiting for listeners nor the drain at the end. */
double sim_tally_publishing_s(const struct sim_tally *t);

/* Adds a row's figures, not its names, to a sum. The caller zeroed the sum. */
void sim_row_add(struct sim_row *ret, const struct sim_row *r);
/* The sums over all types of one name; `ret` is overwritten. */
void sim_tally_name(struct sim_tally *t, enum sim_name name, struct sim_row *ret);

/* docs/sim.md describes it. `full` adds the rows. Caller holds the lock. */
json_t *sim_tally_json(struct sim_tally *t, bool full);

#endif
