// SPDX-License-Identifier: GPL-2.0-only
/*
 * A fault of an experiment by the ECS agent of our own task, in place of a squalld: the same calls
 * as a worker's (sim/inject). The agent has no clock and counts nothing.
 */
#ifndef SQUALL_SIM_EXPERIMENT_AGENT_H
#define SQUALL_SIM_EXPERIMENT_AGENT_H

#include "sim/experiment/file/experiment.h"

struct injector;

/* What the agent cannot is refused by its name. Nobody is asked. 0 or -EINVAL. */
int exp_agent_can(const struct experiment *x, unsigned i, struct sq_error *err);
/* Does it serve this task? i: the fault that wants to know. 0 or -EINVAL. */
int exp_agent_there(const struct experiment *x, unsigned i, struct sq_error *err);
/* Sets fault i; *ret ends it. 0 or -errno. */
int exp_agent_begin(const struct experiment *x, unsigned i, struct injector **ret,
		    struct sq_error *err);
/* Ends it and frees a. 0 or -errno. */
int exp_agent_end(struct injector *a, struct sq_error *err);
/* Ends fault i, which another process has set. 0 or -errno. */
int exp_agent_stop(const struct experiment *x, unsigned i, struct sq_error *err);

#endif
