// SPDX-License-Identifier: GPL-2.0-only
/* A run of an experiment. */
#ifndef SQUALL_SIM_EXPERIMENT_GO_H
#define SQUALL_SIM_EXPERIMENT_GO_H

#include "sim/experiment/cmd.h"

/* An exit code of 0 and more, -EINVAL (nothing was connected) or another errno with err. */
int exp_go(struct experiment *x, const struct exp_cmd *c, struct sim_err *err);

#endif
