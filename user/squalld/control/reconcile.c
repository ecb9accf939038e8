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

static void on_renamed(void *arg, const char *from, const char *to)
{
	struct reconcile *r = arg;

	book_rename(r->book, from, to);
	schedule_rename(r->schedules, from, to);
}

static void on_appeared(void *arg, struct container *c)
{
	struct reconcile *r = arg;
	struct same x = {.c = c};
	char path[TARGET_NAME_MAX];

	/* Bounded: without memory for the name nothing moves. */
	for (int i = 0; i < 8 && book_each(r->book, other_name, &x); i++) {
		log_info("the rule of %s is now that of container %s", x.name, c->name);
		on_renamed(r, x.name, c->name);
	}
	if (snprintf(path, sizeof(path), "cgroup:%s", c->cgroup) < (int)sizeof(path))
		schedule_rename(r->schedules, path, c->name);
	if (r->labels)
		r->labels(r->labels_arg, c);
	book_target_here(r->book, c);
}

static void on_gone(void *arg, const char *name, uint64_t cgroup_id)
{
	struct reconcile *r = arg;

	book_target_gone(r->book, name, cgroup_id);
}

static void on_destroyed(void *arg, const char *name)
{
	struct reconcile *r = arg;

	book_container_destroyed(r->book, name);
}

const struct target_events reconcile_events = {
	.appeared = on_appeared,
	.gone = on_gone,
	.renamed = on_renamed,
	.destroyed = on_destroyed,
};

static int orphan(struct rule_entry *e, void *arg)
{
	struct reconcile *r = arg;

	if (strcmp(e->source, "schedule") == 0 && !schedule_running(r->schedules, e->name)) {
		log_info("rule of %s: its schedule is gone, and it with it", e->name);
		book_delete(r->book, e->name, "deleted");
	}
	return 0;
}

void reconcile_restored(struct reconcile *r)
{
	book_each(r->book, orphan, r);
}
