// SPDX-License-Identifier: GPL-2.0-only
/* Probes: a thread each, which asks on time and notes what came of it. */
#ifndef SQUALL_SIM_EXPERIMENT_PROBE_H
#define SQUALL_SIM_EXPERIMENT_PROBE_H

#include <pthread.h>
#include "sim/experiment/file/experiment.h"

struct exp_answer {
	uint64_t at_ns; /* asked, of the run's clock */
	bool up;
	double value; /* ms, or Prometheus' value; NAN: none */
};

struct exp_probes;

/* Starts the threads; start_ns is 0 of the run's clock. NULL: out of memory, or no probes. */
struct exp_probes *exp_probes_start(const struct experiment *x, uint64_t start_ns);
/* Ends the threads; what was asked and not answered yet is left out. */
void exp_probes_stop(struct exp_probes *p); /* accepts NULL */
void exp_probes_free(struct exp_probes *p); /* accepts NULL */
/* The answers so far, to be freed. */
struct exp_answer *exp_probe_answers(struct exp_probes *p, unsigned probe, unsigned *ret_n);
/* The last reason for a probe's being down, "" if there is none. */
void exp_probe_why(struct exp_probes *p, unsigned probe, char *buf, size_t cap);

/* Is there a program by the name of this command? */
bool exp_probe_can(const struct experiment *x, const struct exp_probe *p);

#endif
