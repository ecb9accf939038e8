// SPDX-License-Identifier: GPL-2.0-only
/*
 * Experiments of the page: the files of one folder, one of which at a time is run by a squall-sim
 * of its own, and the reports that they leave in its folder reports/.
 *
 * Which files there are, and so which programs their probes start, is for whoever can write there
 * to say: a request names one of them and brings none. A folder or file that everybody may write is
 * refused.
 */
#ifndef SQUALL_SIM_WEB_EXPERIMENTS_H
#define SQUALL_SIM_WEB_EXPERIMENTS_H

#include <jansson.h>
#include "lib/error.h"

struct sim_exps;

struct sim_exps_answer {
	json_t *json; /* or: */
	char *html;   /* to be freed */
	size_t len;
};

/* 0 or -EINVAL. */
int sim_exps_start(const char *dir, struct sim_exps **ret, struct sq_error *err);
/* What runs is interrupted, and waited for. Accepts NULL. */
void sim_exps_stop(struct sim_exps *s);
/* path: below /api/v1/, decoded. The HTTP status; 400 and more: err. Any thread. */
unsigned sim_exps_ask(struct sim_exps *s, const char *method, const char *path,
		      struct sim_exps_answer *ret, struct sq_error *err);

#endif
