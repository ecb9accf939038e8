// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who else may see a run: each squalld of its faults is told once a second what it does, by a
 * thread each so that none delays it or the others, and gets the report at its end (docs/api.md).
 * A squalld that cannot be told changes nothing. What one answers may end the run.
 */
#ifndef SQUALL_SIM_EXPERIMENT_ANNOUNCE_H
#define SQUALL_SIM_EXPERIMENT_ANNOUNCE_H

#include "sim/experiment/cmd.h"
#include "sim/experiment/judge.h"

struct exp_announce;

/* NAME-TIME-PID, of one command's runs. */
void exp_announce_id(const struct experiment *x, char *buf, size_t cap);
/* After the fleet's processes and the guard are there. NULL: out of memory. */
struct exp_announce *exp_announce_start(const struct experiment *x, const struct exp_cmd *c);
/* The run's own thread, each second. started_ms: CLOCK_REALTIME. */
void exp_announce_second(struct exp_announce *a, const struct exp_run *r, uint64_t started_ms);
/* True: somebody wants the run to end; who, in buf. */
bool exp_announce_stopped(struct exp_announce *a, char *buf, size_t cap);
void exp_announce_end(struct exp_announce *a); /* joins the threads; accepts NULL */
/* The report's page and the verdict, which this thread hands over; what fails is noted on stderr.
 */
void exp_announce_report(const struct experiment *x, const struct exp_cmd *c, const json_t *doc);

#endif
