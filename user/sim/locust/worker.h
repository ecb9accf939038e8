// SPDX-License-Identifier: GPL-2.0-only
/* One worker: a fleet, run as a Locust master says. */
#ifndef SQUALL_LOCUST_WORKER_H
#define SQUALL_LOCUST_WORKER_H

#include <stdbool.h>
#include "sim/engine/engine.h"
#include "sim/locust/conn.h"
#include "sim/inject/faults.h"

struct locust_worker_opts {
	struct locust_conn_opts master;
	bool stay; /* on quit, wait for the next master */
	bool json; /* summaries on standard output as JSON */
	struct faults_opts faults;
	const char *allow_files; /* below it a master may name payload files; NULL: no file */
	uint32_t max_devices;	 /* as the engine has it; each worker numbers its own block */
	/* 0: as in worker_run.c; tests have no patience. */
	unsigned int alone_ms; /* without a master, then devices stop */
	unsigned int grace_ms; /* a new master that asks for nothing, then too */
};

/* Returns an exit code. The engine is started, and stopped on return. */
int locust_worker_run(struct sim_engine *engine, const struct locust_worker_opts *opts);

#endif
