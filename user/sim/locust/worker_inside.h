/* SPDX-License-Identifier: GPL-2.0-only */
/* The worker's inside: worker.c is its state machine, worker_run.c has start, loop and end. */
#ifndef SQUALL_LOCUST_WORKER_INSIDE_H
#define SQUALL_LOCUST_WORKER_INSIDE_H

#include "sim/inject/faults.h"
#include "sim/locust/report.h"
#include "sim/locust/settings.h"
#include "sim/locust/worker.h"

#define SAID_MAX 16

enum state { READY, SPAWNING, RUNNING, STOPPING };

struct worker {
	struct sim_engine *engine;
	struct locust_conn *conn;
	struct locust_reporter *reporter;
	struct locust_settings *settings;
	struct faults *faults;
	struct locust_worker_opts opts;
	enum state state;
	bool joined; /* a master knows us */
	bool ended;
	int exit_code;

	unsigned int types;
	struct locust_class classes[LOCUST_CLASSES_MAX]; /* what counts are told for */
	unsigned int n_classes; /* the fleet's types first, then unknown ones */
	bool told_unknown[LOCUST_CLASSES_MAX];
	uint32_t target[SIM_MAX_TYPES];

	int64_t index; /* as the master numbers its workers */
	/* As the fleet file has them: number and row of the first device, and whether it has rows.
	 */
	uint32_t first[SIM_MAX_TYPES], skip[SIM_MAX_TYPES];
	bool rows[SIM_MAX_TYPES];
	bool nameless;	       /* this worker's own are none that the engine takes */
	double last_timestamp; /* of the last spawn of this master */
	bool told_old;	       /* that an older one came after it */
	uint64_t spawned_at;   /* when it came */
	uint64_t step_end;     /* SPAWNING: the smear's end */
	double stop_timeout;   /* s, of the last spawn; 0: none was set */
	uint64_t stop_by;      /* STOPPING */
	uint64_t next_report, reported, checked;
	int64_t told_users;
	uint64_t alone_since;	       /* 0: not, or dealt with */
	uint64_t grace_until;	       /* 0: none */
	struct locust_event *deferred; /* a spawn that came while STOPPING */
	char said[SAID_MAX][LOCUST_NAME_MAX];
	unsigned int n_said;
	bool run_open; /* since the last summary something ran */
};

/* Takes ev, and frees it. */
void locust_worker_event(struct worker *w, struct locust_event *ev);
/* Everything that is due by time. */
void locust_worker_tick(struct worker *w);
/* Stops the devices within `ns` if they can, and tells the master how it ended. */
void locust_worker_finish(struct worker *w, uint64_t ns);

#endif
