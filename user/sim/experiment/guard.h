// SPDX-License-Identifier: GPL-2.0-only
/* The process that tidies up after a run which was killed. */
#ifndef SQUALL_SIM_EXPERIMENT_GUARD_H
#define SQUALL_SIM_EXPERIMENT_GUARD_H

#include <sys/types.h>
#include "sim/experiment/file/experiment.h"

#define EXP_PRIOR_MAX 32768 /* eight clauses with all that they may say: 9 KiB */

/* Of one fault, in memory that the guard sees too. */
struct exp_guarded {
	bool set;	/* our rule is in force */
	char etag[128]; /* squalld's mark of it */
	uint64_t set_ns;
	char prior[EXP_PRIOR_MAX]; /* what was in force when it was set, JSON; "": nothing */
};

struct exp_guard {
	pid_t pid;
	int fd; /* when it closes without a word, this process has died */
	struct exp_guarded *fault;
};

/* 0 or -errno. */
int exp_guard_start(const struct experiment *x, struct exp_guard *g);
/* The run has tidied up itself; only cgroups that it made are left to the guard. Waits for it. */
void exp_guard_end(struct exp_guard *g);

#endif
