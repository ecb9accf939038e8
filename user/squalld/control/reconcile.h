/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What it means for rules, labels and schedules that a target comes, goes, or
 * is called something else: the home of "one cgroup, one rule". The lock is held.
 */
#ifndef SQUALLD_RECONCILE_H
#define SQUALLD_RECONCILE_H

#include "squalld/control/targets.h"

struct book;
struct schedules;

struct reconcile {
	struct book *book;
	struct schedules *schedules;
	/* A container has started: what its labels ask for. May be NULL; control knows no labels.
	 */
	void (*labels)(void *arg, struct container *c);
	void *labels_arg;
	struct targets *targets; /* for reconcile_cgroup() */
};

/* For targets_listen(), with a struct reconcile. */
extern const struct target_events reconcile_events;

/* After a restart: what only a schedule that is gone would ever have ended is ended. */
void reconcile_restored(struct reconcile *r);
/* A cgroup was made just now (NULL: any): whose is it, and is there a selector that means it? */
void reconcile_cgroup(struct reconcile *r, const char *path);

#endif
