/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * When was a fault in force? A thread follows the events of the squalld that
 * --squalld names, so that the load page and the report can shade those times.
 */
#ifndef SQUALL_SIM_FAULTS_H
#define SQUALL_SIM_FAULTS_H

#include <jansson.h>
#include <stdint.h>
#include "sim/run/run.h"

#define SIM_FAULTS_MAX 256 /* windows kept; the oldest go first */

struct sim_fault {
	uint64_t from_ms, to_ms; /* CLOCK_REALTIME; to_ms 0: still in force */
	uint64_t deadline_ms;	 /* when it ends by itself, 0: never */
	bool seen;		 /* when all rules are read anew */
	char target[256], rule[256];
};

struct sim_faults;

/* *ret is NULL without --squalld. -EINVAL: err names the option. An unreachable squalld is no
 * error: it may come later. */
int sim_faults_start(const struct sim_run *r, struct sim_faults **ret, struct sq_error *err);
void sim_faults_stop(struct sim_faults *f);

/* Oldest first. Returns how many; 0 when f is NULL. */
unsigned sim_faults_copy(struct sim_faults *f, struct sim_fault ret[SIM_FAULTS_MAX]);
/* Adds "faults", "squalld" (null without one) and the clock they are by to the load's JSON. */
void sim_faults_add(struct sim_faults *f, json_t *load, uint64_t run_ms);

#endif
