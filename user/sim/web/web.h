// SPDX-License-Identifier: GPL-2.0-only
/* HTTP: Prometheus metrics, and the load page with its API. */
#ifndef SQUALL_SIM_WEB_H
#define SQUALL_SIM_WEB_H

#include "sim/report/faults.h"

struct sim_web;

/*
 * Listens as r->web and r->metrics say. `fleet` and `ramp` belong to the load
 * that the API starts and stops. 0, or -EINVAL with err.
 */
int sim_web_start(struct sim_run *r, const struct sim_fleet *fleet, uint32_t max_devices,
		  struct sim_engine *e, struct sim_tally *t, struct sim_web **ret,
		  struct sq_error *err);
void sim_web_stop(struct sim_web *w);

/* The API's verbs, apart from HTTP (load.c). All answer with a HTTP status. */
struct sim_load {
	pthread_mutex_t lock;
	const struct sim_fleet *fleet;
	struct sim_engine *e;
	struct sim_tally *t;
	uint32_t devices, max_devices;
	double ramp;
	uint64_t drain_ns;
	bool on;
};
json_t *sim_load_json(struct sim_load *l);
unsigned sim_load_start(struct sim_load *l, json_t *body, struct sq_error *err);
unsigned sim_load_stop(struct sim_load *l, struct sq_error *err);
unsigned sim_load_patch(struct sim_load *l, json_t *body, struct sq_error *err);

/* metrics.c, report.c: text to be freed. */
char *sim_metrics_text(struct sim_tally *t);
char *sim_report_html(struct sim_tally *t, struct sim_engine *e, struct sim_faults *f);

#endif
