/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What it means for rules, labels and schedules that a target comes, goes, or
 * is called something else: the home of "one cgroup, one rule". d->lock held.
 */
#ifndef SQUALLD_RECONCILE_H
#define SQUALLD_RECONCILE_H

#include "squalld/control/targets.h"

/* It runs, in a cgroup that can be ruled. */
void reconcile_appeared(struct daemon *d, struct container *c);
/* Its cgroup is gone, or it is another one's now. */
void reconcile_gone(struct daemon *d, const char *name, uint64_t cgroup_id);
void reconcile_renamed(struct daemon *d, const char *from, const char *to);
/* The container was removed, and none has its name. */
void reconcile_destroyed(struct daemon *d, const char *name);

/* After a restart: what only a schedule that is gone would ever have ended is ended. */
void reconcile_restored(struct daemon *d);

#endif
