// SPDX-License-Identifier: GPL-2.0-only
/*
 * The report of an experiment in the forms that others read. All are made from
 * its JSON (docs/experiments.md), so a stored one can be shown again.
 */
#ifndef SQUALL_SIM_OUTCOME_H
#define SQUALL_SIM_OUTCOME_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include "lib/error.h"

struct outcome_files { /* empty: not wanted */
	const char *html, *junit, *json;
	const char *grafana, *grafana_token_file;
	/* What the experiment is read from, NULL: none. Never written over. */
	const char *read[2];
};

/*
 * Writes what is wanted, each file whole or not at all, and a summary for
 * $GITHUB_STEP_SUMMARY if that is set. Goes on after a failure. 0 or -errno of
 * the first one, which why tells.
 */
int outcome_write(const json_t *doc, const struct outcome_files *f, struct sq_error *why);

/*
 * Could outcome_write() write them now, the job's summary too, each into a file of its own? Tried,
 * and nothing of it stays. 0 or -errno with why: the output and what hinders.
 */
int outcome_check(const struct outcome_files *f, struct sq_error *why);

/*
 * Adds "compare" to doc: for each threshold better, worse, within noise or new
 * against the report `old`.
 */
void outcome_compare(const json_t *old, json_t *doc);

/* A test case per threshold. */
void outcome_junit(const json_t *doc, FILE *f);
/* One file, no script, no request to anybody. */
void outcome_html(const json_t *doc, FILE *f);
/* Markdown. */
void outcome_summary(const json_t *doc, FILE *f);

/* A member's text, "" if it has none. Borrowed. */
const char *outcome_text(const json_t *o, const char *key);
double outcome_number(const json_t *o, const char *key);

#endif
