// SPDX-License-Identifier: GPL-2.0-only
/* --hunt: the mildest value of a rule that breaks a threshold. */
#ifndef SQUALL_SIM_EXPERIMENT_HUNT_H
#define SQUALL_SIM_EXPERIMENT_HUNT_H

#include "sim/experiment/go.h"

struct exp_hunt {
	unsigned fault;
	char word[32], unit[16];
	double from, to;
};

/* "FAULT.rule.WORD FROM..TO"; both ends must give a rule. 0 or -EINVAL. */
int exp_hunt_parse(const struct experiment *x, const char *text, struct exp_hunt *ret,
		   struct sq_error *err);
/*
 * Halves the range five times. Each value is run until more than half of
 * c->repeat (3) runs agree. The report is that of the last run that broke, with a
 * member "hunt". 0: found; SIM_EXIT_THRESHOLD: already FROM breaks; SIM_EXIT_FAIL:
 * TO does not; or a run's own code.
 */
int exp_hunt(struct experiment *x, const struct exp_cmd *c, const struct exp_hunt *h, int sigfd,
	     json_t **ret_doc, struct sq_error *err);

#endif
