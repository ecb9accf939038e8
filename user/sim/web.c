// SPDX-License-Identifier: GPL-2.0-only
#include "web.h"

int sim_web_start(struct sim_run *r, struct sim_engine *e, struct sim_tally *t,
		  struct sim_web **ret, struct sim_err *err)
{
	(void)r;
	(void)e;
	(void)t;
	(void)ret;
	return sim_bad(err, "web and metrics: not in this build");
}

void sim_web_stop(struct sim_web *w)
{
	(void)w;
}
