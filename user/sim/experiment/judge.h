// SPDX-License-Identifier: GPL-2.0-only
/* Figures of a part of the run, and thresholds held against them. */
#ifndef SQUALL_SIM_EXPERIMENT_JUDGE_H
#define SQUALL_SIM_EXPERIMENT_JUDGE_H

#include "sim/experiment/inject.h"
#include "sim/experiment/probe.h"
#include "sim/experiment/record.h"

struct exp_run {
	const struct experiment *x;
	struct exp_record *rec;
	struct exp_inject *inject;
	struct exp_probes *probes; /* NULL: none */
};

struct exp_verdict {
	bool ok;
	double value;	  /* in the threshold's unit; never: NAN */
	uint64_t of;	  /* samples it rests on; 0: nothing, which does not hold */
	char said[80];	  /* "12.3 ms", "never", "nothing to judge it by" */
	const char *what; /* what `of` counts */
};

void exp_judge(const struct exp_run *r, const struct exp_threshold *t, struct exp_verdict *ret);
/* a OP b, where NAN is "never", longer than any time. */
bool exp_compare(double a, const char *op, double b);
/* Seconds until recovery from fault i; negative: never. False: there was no such fault yet. */
bool exp_recovery(const struct exp_run *r, unsigned i, double *ret_s);
/* One part of the run in figures: docs/experiments.md. New reference. */
json_t *exp_figures(const struct exp_run *r, unsigned part);
/* "before", "fault:NAME" */
void exp_part_name(const struct experiment *x, unsigned part, char *buf, size_t cap);

#endif
