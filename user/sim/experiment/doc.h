// SPDX-License-Identifier: GPL-2.0-only
/* The report as JSON (docs/experiments.md): every other form of it is made from this. */
#ifndef SQUALL_SIM_EXPERIMENT_DOC_H
#define SQUALL_SIM_EXPERIMENT_DOC_H

#include "sim/experiment/cmd.h"
#include "sim/experiment/judge.h"

enum exp_end { EXP_DONE, EXP_UNSTEADY, EXP_ABORTED, EXP_INTERRUPTED, EXP_BROKEN };

/* New reference; *ret_code is the exit code that goes with it. `why` of EXP_BROKEN, EXP_ABORTED. */
json_t *exp_doc(const struct exp_run *r, const struct exp_cmd *c, enum exp_end end, const char *why,
		uint64_t started_ms, int *ret_code);

#endif
