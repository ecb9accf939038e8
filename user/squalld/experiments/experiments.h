/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * /api/v1/experiments: those that set faults here, as each tells it, and the reports that they have
 * left. squalld runs none: squall-sim does, and all that it takes from here is a wish to stop.
 */
#ifndef SQUALLD_EXPERIMENTS_H
#define SQUALLD_EXPERIMENTS_H

#include "squalld/http/http.h"

struct bus;
struct experiments;
struct history;

/* Reports lie in STATE_DIR/experiments. bus and history outlive it. 0 or -errno with err. */
int experiments_open(const char *state_dir, struct bus *bus, struct history *history,
		     struct experiments **ret, struct sq_error *err);
void experiments_free(struct experiments *e); /* accepts NULL */
/* About once a second, by one thread, without a lock. */
void experiments_tick(struct experiments *e);
/* All that run are asked to stop, in the name of who. How many. */
unsigned experiments_stop(struct experiments *e, const char *who);
/* GET, PUT, DELETE experiments[/ID], GET, PUT experiments/ID/report, POST experiments/ID/stop. */
enum MHD_Result experiments_serve(struct experiments *e, struct request *r, const char *id);

#endif
