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
#include "squalld/control/members.h"
#include "squalld/control/schedules.h"
#include "squalld/kernel/kernel.h"

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

static void move(struct reconcile *r, const char *from, const char *to)
{
	book_rename(r->book, from, to);
	schedule_rename(r->schedules, from, to);
}

/* Another selector may mean it now. */
static void on_changed(void *arg, struct container *c)
{
	struct reconcile *r = arg;
	struct target t;

	target_of_container(c, &t);
	members_look(r->book, &t);
}

static void on_renamed(void *arg, const char *from, struct container *c)
{
	struct reconcile *r = arg;

	move(r, from, c->name);
	if (c->running && c->cgroup_id)
		book_target_here(r->book, c);
	on_changed(r, c);
}

/* Another cgroup, which is there. */
static bool elsewhere(const struct container *c, const char *cgroup)
{
	struct sq_error p = {0};
	uint64_t id;

	return cgroup && *cgroup && strcmp(cgroup, c->cgroup) != 0 &&
	       engine_cgroup_id(cgroup, &id, &p) == 0 && id != c->cgroup_id;
}

/* While we were away the name went from one container to another. What the first has waits under
 * the path of its cgroup until its engine tells its new name. */
static void put_aside(struct reconcile *r, const struct container *c)
{
	const struct rule_entry *e = book_find(r->book, c->name);
	const char *at = schedule_cgroup(r->schedules, c->name);
	char path[TARGET_NAME_MAX];

	if (e && e->in_force && elsewhere(c, e->cgroup) &&
	    snprintf(path, sizeof(path), "cgroup:%s", e->cgroup) < (int)sizeof(path))
		book_rename(r->book, c->name, path);
	if (elsewhere(c, at) && snprintf(path, sizeof(path), "cgroup:%s", at) < (int)sizeof(path))
		schedule_rename(r->schedules, c->name, path);
}

static void on_appeared(void *arg, struct container *c)
{
	struct reconcile *r = arg;
	struct same x = {.c = c};
	char path[TARGET_NAME_MAX];
	const char *from;

	put_aside(r, c);
	/* Bounded: without memory for the name nothing moves. */
	for (int i = 0; i < 8 && book_each(r->book, other_name, &x); i++) {
		log_info("the rule of %s is now that of container %s", x.name, c->name);
		move(r, x.name, c->name);
	}
	if (snprintf(path, sizeof(path), "cgroup:%s", c->cgroup) < (int)sizeof(path))
		schedule_rename(r->schedules, path, c->name);
	from = schedule_at(r->schedules, c->cgroup);
	if (from && strcmp(from, c->name) != 0)
		schedule_rename(r->schedules, from, c->name);
	if (r->labels)
		r->labels(r->labels_arg, c);
	book_target_here(r->book, c);
	on_changed(r, c);
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
	.changed = on_changed,
	.destroyed = on_destroyed,
};

struct orphan {
	struct reconcile *r;
	char name[TARGET_NAME_MAX];
};

static int orphan(struct rule_entry *e, void *arg)
{
	struct orphan *x = arg;

	if (e->by || strcmp(e->source, "schedule") != 0 ||
	    schedule_running(x->r->schedules, e->name) ||
	    (e->cgroup && schedule_at(x->r->schedules, e->cgroup)))
		return 0;
	snprintf(x->name, sizeof(x->name), "%s", e->name);
	return 1;
}

void reconcile_restored(struct reconcile *r)
{
	struct orphan x = {.r = r};

	while (book_each(r->book, orphan, &x)) {
		log_info("rule of %s: its schedule is gone, and it with it", x.name);
		book_delete(r->book, x.name, "deleted");
	}
	members_look_all(r->book);
}

/* An engine names a container's cgroup by its id: ID, docker-ID.scope, libpod-ID.scope. */
static struct container *made_for(struct reconcile *r, const char *path)
{
	const char *name = strrchr(path, '/');
	char id[65] = "";

	for (; name && *name; name += strcspn(name, "0123456789abcdef")) {
		size_t n = strspn(name, "0123456789abcdef");

		if (n == 64) {
			memcpy(id, name, n);
			break;
		}
		name += n;
	}
	return *id ? target_by_id(r->targets, id) : NULL;
}

/*
 * A container's cgroup is made some 20 ms before its process runs; its engine tells of it some 10
 * ms afterwards, and of a process that sends at once as many packets went by.
 */
static void begins(struct reconcile *r, struct container *c, const struct target *cgroup)
{
	struct container soon = *c;

	if (c->cgroup_id == cgroup->id)
		return;
	soon.running = true;
	soon.cgroup_id = cgroup->id;
	soon.cgroup = (char *)cgroup->cgroup;
	on_appeared(r, &soon);
	c->label_error = soon.label_error;
}

void reconcile_cgroup(struct reconcile *r, const char *path)
{
	struct container *c;
	char name[TARGET_NAME_MAX + 8];
	struct sq_error p = {0};
	struct target t;

	if (!path) {
		if (members_selector(r->book, true))
			members_look_all(r->book);
		return;
	}
	c = made_for(r, path);
	if (!c && !members_selector(r->book, true))
		return;
	snprintf(name, sizeof(name), "cgroup:%s", path);
	if (target_resolve(r->targets, name, &t, &p) == 0) {
		if (c)
			begins(r, c, &t);
		else
			members_look(r->book, &t);
	}
	json_decref(p.candidates);
}
