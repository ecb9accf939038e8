/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Timelines: rules that follow each other on one target. A step's rule is in
 * force from its time until the next step's; a null rule means none. At the
 * end, and when it is stopped, the rule it set goes.
 */
#ifndef SQUALLD_SCHEDULES_H
#define SQUALLD_SCHEDULES_H

#include <pthread.h>
#include "squalld/control/targets.h"

struct book;
struct bus;
struct profiles;
struct schedules;
struct state;

/* What a schedule needs; all of it outlives the schedules. */
struct schedule_uses {
	pthread_mutex_t *lock; /* the timer takes it */
	struct targets *targets;
	struct book *book;
	struct profiles *profiles;
	struct bus *bus;
	struct state *state;
};
int schedules_new(const struct schedule_uses *uses, struct schedules **ret);
int schedules_start(struct schedules *all); /* the timer */
void schedules_stop(struct schedules *all);
void schedules_free(struct schedules *all);
/* the lock held from here on. */
json_t *schedules_list(struct schedules *all);
json_t *schedule_json(struct schedules *all, const char *target); /* NULL: there is none */
int schedule_put(struct schedules *all, const char *target, const json_t *body, bool *ret_fresh,
		 struct sq_error *p);
int schedule_delete(struct schedules *all, const char *target, struct sq_error *p);
int schedule_run(struct schedules *all, const char *target, bool run, struct sq_error *p);
/* Stops all that run, or those whose targets are keys of only. Appends to the list, for each, what
 * schedule_resume() goes on from. */
void schedules_halt(struct schedules *all, const json_t *only, json_t *list);
/* -EEXIST: it runs, or its target has got another rule since. */
int schedule_resume(struct schedules *all, const json_t *halted, struct sq_error *p);
/* Its target is called something else now. If that has a schedule too, that one stays. */
void schedule_rename(struct schedules *all, const char *from, const char *to);
/* Where its target was when it was last started; NULL: it does not run. */
const char *schedule_cgroup(struct schedules *all, const char *target);
/* The target of the schedule that was started there and runs; NULL: none. */
const char *schedule_at(struct schedules *all, const char *cgroup);
bool schedule_running(struct schedules *all, const char *target);
json_t *schedules_save(void *all, bool clean); /* a state_save_fn */
void schedules_restore(struct schedules *all, json_t *saved);

#endif
