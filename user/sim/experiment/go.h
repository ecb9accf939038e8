// SPDX-License-Identifier: GPL-2.0-only
/* A run of an experiment. */
#ifndef SQUALL_SIM_EXPERIMENT_GO_H
#define SQUALL_SIM_EXPERIMENT_GO_H

#include "sim/experiment/cmd.h"

/* What can be wrong is found here. 0 or -EINVAL. */
int exp_prepare(struct experiment *x, struct sq_error *err);
/*
 * One run; a signal on sigfd ends it in order. An exit code of 0 and more with the
 * report (a new reference), or -errno with err and none.
 */
int exp_once(struct experiment *x, const struct exp_cmd *c, int sigfd, json_t **ret_doc,
	     struct sq_error *err);
/*
 * many.c: all that the command line asks for. An exit code of 0 and more, -EINVAL
 * (nothing was connected) or another errno with err.
 */
int exp_go(struct experiment *x, const struct exp_cmd *c, struct sq_error *err);

#endif
