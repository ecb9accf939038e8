// SPDX-License-Identifier: GPL-2.0-only
/*
 * Targets tell, this page decides. A cgroup has one name at a time: its path,
 * until an engine says which container it is. Whatever is kept by name
 * (rules, schedules, docker-tc's IGNORE) moves with the name.
 */
#include "squalld/control/reconcile.h"

#include <stdio.h>
#include <string.h>
#include "squalld/base/log.h"
#include "squalld/control/book.h"
#include "squalld/control/schedules.h"

struct same {
	const struct container *c;
	char name[TARGET_NAME_MAX]; /* of the rule that was found */
};

/* A rule of this very cgroup under another name. A container's cgroup is named after its id, so the
 * same path is the same container, also when its cgroup was made anew. */
static int other_name(struct rule_entry *e, void *arg)
{
	struct same *x = arg;

	if (strcmp(e->name, x->c->name) == 0 ||
	    (e->cgroup_id != x->c->cgroup_id &&
	     !(e->cgroup && x->c->cgroup && strcmp(e->cgroup, x->c->cgroup) == 0)))
		return 0;
	snprintf(x->name, sizeof(x->name), "%s", e->name);
	return 1;
}

void reconcile_renamed(struct daemon *d, const char *from, const char *to)
{
	book_rename(d, from, to);
	schedule_rename(d, from, to);
}

void reconcile_appeared(struct daemon *d, struct container *c)
{
	struct same x = {.c = c};
	char path[TARGET_NAME_MAX];

	/* Bounded: without memory for the name nothing moves. */
	for (int i = 0; i < 8 && book_each(d, other_name, &x); i++) {
		log_info("the rule of %s is now that of container %s", x.name, c->name);
		reconcile_renamed(d, x.name, c->name);
	}
	if (snprintf(path, sizeof(path), "cgroup:%s", c->cgroup) < (int)sizeof(path))
		schedule_rename(d, path, c->name);
	if (d->labels)
		d->labels(d, c);
	book_target_here(d, c);
}

void reconcile_gone(struct daemon *d, const char *name, uint64_t cgroup_id)
{
	book_target_gone(d, name, cgroup_id);
}

void reconcile_destroyed(struct daemon *d, const char *name)
{
	book_container_destroyed(d, name);
}

static int orphan(struct rule_entry *e, void *arg)
{
	struct daemon *d = arg;

	if (strcmp(e->source, "schedule") == 0 && !schedule_running(d, e->name)) {
		log_info("rule of %s: its schedule is gone, and it with it", e->name);
		book_delete(d, e->name, "deleted");
	}
	return 0;
}

void reconcile_restored(struct daemon *d)
{
	book_each(d, orphan, d);
}
