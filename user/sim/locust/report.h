// SPDX-License-Identifier: GPL-2.0-only
/*
 * From the engine's reports to Locust's: rows are named "TYPE/connect",
 * "TYPE/publish", "TYPE/puback" and "TYPE/receive", with the method MQTT. Keeps
 * the sums of what a master was told, to be compared with its own.
 */
#ifndef SQUALL_LOCUST_REPORT_H
#define SQUALL_LOCUST_REPORT_H

#include <stdio.h>
#include "sim/engine/engine.h"
#include "sim/locust/proto.h"

struct locust_reporter;

int locust_reporter_new(struct sim_engine *engine, struct locust_reporter **ret);
void locust_reporter_free(struct locust_reporter *rp);

/*
 * What happened since the call before. The report is valid until the next
 * call; classes are the caller's to fill in.
 */
int locust_reporter_take(struct locust_reporter *rp, struct locust_report *ret);
/* The same, thrown away: how many results that were. */
uint64_t locust_reporter_discard(struct locust_reporter *rp);

/* What was taken since the reset: a table, or one line of JSON. */
void locust_reporter_reset(struct locust_reporter *rp);
uint64_t locust_reporter_requests(const struct locust_reporter *rp);
void locust_reporter_print(const struct locust_reporter *rp, FILE *f, bool json);

#endif
