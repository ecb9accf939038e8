// SPDX-License-Identifier: GPL-2.0-only
/*
 * The faults of a run: a thread each sets its rule on time, and at the end reads
 * the kernel's counters and puts back what was in force. Should this process die
 * in between, a process of its own (the guard) does that, and where that dies
 * too, the kernel ends the rule two seconds after its time.
 */
#ifndef SQUALL_SIM_EXPERIMENT_INJECT_H
#define SQUALL_SIM_EXPERIMENT_INJECT_H

#include "sim/experiment/file/experiment.h"

struct exp_inject;

/*
 * Starts the guard: call it before there are threads and before the fleet's processes. 0 or
 * -errno.
 */
int exp_inject_new(const struct experiment *x, struct exp_inject **ret, struct sq_error *err);
/* start_ns: 0 of the run's clock. No fault is set before exp_inject_allow(). */
int exp_inject_start(struct exp_inject *j, uint64_t start_ns);
void exp_inject_allow(struct exp_inject *j);
/* Ends every fault that is in force and waits for it. */
void exp_inject_stop(struct exp_inject *j);
/* Ends the guard too, which removes the cgroups that the run made. Accepts NULL. */
void exp_inject_free(struct exp_inject *j);
/* True with the reason when a fault could not be set. */
bool exp_inject_failed(struct exp_inject *j, struct sq_error *err);
/* True with the reason when somebody else ended a fault or replaced it, or nobody could be asked.
 */
bool exp_inject_cut(struct exp_inject *j, char *buf, size_t cap);
/* When fault i began and ended, of the run's clock; 0: not yet. */
void exp_inject_window(struct exp_inject *j, unsigned i, uint64_t *ret_from, uint64_t *ret_to);
/* All that is known of fault i, a new reference: docs/experiments.md. */
json_t *exp_inject_json(struct exp_inject *j, unsigned i);
/* Packets that fault i's rule has seen and struck, by the kernel; false: not known. */
bool exp_inject_packets(struct exp_inject *j, unsigned i, uint64_t *ret_seen, uint64_t *ret_struck);

#endif
