/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Timelines: rules that follow each other on one target. A step's rule is in
 * force from its time until the next step's; a null rule means none. At the
 * end, and when it is stopped, the rule it set goes.
 */
#ifndef SQUALLD_SCHEDULES_H
#define SQUALLD_SCHEDULES_H

#include "squalld/control/targets.h"

int schedules_init(struct daemon *d);
int schedules_start(struct daemon *d); /* the timer */
void schedules_stop(struct daemon *d);
void schedules_free(struct daemon *d);
/* d->lock held from here on. */
json_t *schedules_list(struct daemon *d);
json_t *schedule_json(struct daemon *d, const char *target); /* NULL: there is none */
int schedule_put(struct daemon *d, const char *target, const json_t *body, bool *ret_fresh,
		 struct problem *p);
int schedule_delete(struct daemon *d, const char *target, struct problem *p);
int schedule_run(struct daemon *d, const char *target, bool run, struct problem *p);
/* Stops all that run. Appends to the list, for each, what schedule_resume() goes on from. */
void schedules_halt(struct daemon *d, json_t *list);
/* -EEXIST: it runs, or its target has got another rule since. */
int schedule_resume(struct daemon *d, const json_t *halted, struct problem *p);
/* Its target is called something else now. If that has a schedule too, that one stays. */
void schedule_rename(struct daemon *d, const char *from, const char *to);
bool schedule_running(struct daemon *d, const char *target);
json_t *schedules_save(struct daemon *d, bool clean);
void schedules_restore(struct daemon *d, json_t *saved);

#endif
