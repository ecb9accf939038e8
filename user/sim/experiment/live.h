// SPDX-License-Identifier: GPL-2.0-only
/* What a run shows while it lasts, and its verdict. */
#ifndef SQUALL_SIM_EXPERIMENT_LIVE_H
#define SQUALL_SIM_EXPERIMENT_LIVE_H

#include "sim/experiment/judge.h"

struct exp_live {
	FILE *f; /* NULL: nothing is shown */
	bool tty;
	unsigned drawn; /* lines to go up */
	char phase[200];
};

/* Each second: a line, or on a terminal the timeline and the thresholds, drawn anew. */
void exp_live_second(struct exp_live *l, const struct exp_run *r);
/* One line per threshold, and the verdict's. */
void exp_live_verdict(FILE *f, const json_t *doc);

#endif
