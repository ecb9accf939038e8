// SPDX-License-Identifier: GPL-2.0-only
/*
 * The ways a run is shown and judged; each reads a tally. Caller holds the
 * tally's lock where a tally is given.
 */
#ifndef SQUALL_SIM_REPORT_H
#define SQUALL_SIM_REPORT_H

#include <stdio.h>
#include "sim/report/tally.h"

#define SIM_FAIL_IF_LEN 128

/* show.c */
void sim_show_line(struct sim_tally *t, FILE *f, bool first);
void sim_show_table(struct sim_tally *t, FILE *f, bool redraw);
void sim_show_summary(struct sim_tally *t, FILE *f);
void sim_show_json(struct sim_tally *t, FILE *f, bool summary);

/*
 * failif.c: '[TYPE.][REQUEST.]METRIC OP VALUE'. The check with `fleet` NULL is
 * of the grammar alone; with it, types must exist and be able to give samples.
 * 0 or -EINVAL with one line in err.
 */
int sim_failif_check(const char *text, const struct sim_fleet *fleet, struct sq_error *err);
/*
 * True when the (checked) condition holds, and also when there was no sample to
 * judge it by: a gate that measured nothing is red. Told on `f`.
 */
bool sim_failif_holds(struct sim_tally *t, const char *text, FILE *f);

/* csv.c: PREFIX_stats.csv, _stats_history.csv, _failures.csv as Locust writes them */
int sim_csv_open(const char *prefix, FILE **ret_history, struct sq_error *err);
void sim_csv_history(struct sim_tally *t, FILE *f);
/* Closes the history; 0, or a line in err when a file is not whole. */
int sim_csv_close(FILE *history, const char *prefix, struct sq_error *err);
int sim_csv_write(struct sim_tally *t, const char *prefix, struct sq_error *err);
void sim_csv_stats(struct sim_tally *t, FILE *f);

#endif
