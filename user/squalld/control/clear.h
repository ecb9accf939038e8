/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Clear everything, or what some targets have: ends all that faults, and all
 * that would bring a fault back. What it ended can be put back once, as it
 * was. All want the lock held.
 */
#ifndef SQUALLD_CLEAR_H
#define SQUALLD_CLEAR_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include "squalld/base/json.h"

struct book;
struct clear;
struct schedules;

struct cleared {
	unsigned int deleted;	/* rules, of which... */
	unsigned int waiting;	/* ...so many were not in force, but would have come back */
	unsigned int schedules; /* stopped; they stay in the list */
	unsigned int labels;	/* containers whose docker-tc labels do not count any more */
	uint64_t undo;		/* for clear_undo(); 0 = nothing was ended */
};

int clear_new(struct book *book, struct schedules *schedules, struct clear **ret);
void clear_free(struct clear *clear);

/* keep_schedules: those go on, and the rules that they have set stay. */
int clear_all(struct clear *clear, bool keep_schedules, struct cleared *ret);

/*
 * Before many targets are changed. names: target or selector -> true, if a rule is set there next,
 * which clear_set() is told of, or null, whose rule ends now. What would set another rule there by
 * itself, a running schedule or a label, ends for all of them. names is changed, and kept.
 */
int clear_some(struct clear *clear, json_t *names, struct cleared *ret);
/* This version is what was set since. The undo takes it away, and leaves any other. */
void clear_set(struct clear *clear, const char *name, uint64_t version);

/*
 * Puts back what was ended or replaced last, with the time that each had left. A target
 * that got a rule since keeps it. *ret (new): {"rules", "schedules", "labels",
 * "failed": [{"target", "why"}]}. -ENOENT: that is not what was cleared last.
 */
int clear_undo(struct clear *clear, uint64_t undo, json_t **ret, struct sq_error *p);

#endif
