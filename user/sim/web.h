// SPDX-License-Identifier: GPL-2.0-only
/* HTTP: Prometheus metrics, and the load page with its API. */
#ifndef SQUALL_SIM_WEB_H
#define SQUALL_SIM_WEB_H

#include "run.h"

struct sim_web;

/* Listens as r->web and r->metrics say. 0, or -EINVAL with err. */
int sim_web_start(struct sim_run *r, struct sim_engine *e, struct sim_tally *t,
		  struct sim_web **ret, struct sim_err *err);
void sim_web_stop(struct sim_web *w);

#endif
