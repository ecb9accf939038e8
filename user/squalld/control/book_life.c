// SPDX-License-Identifier: GPL-2.0-only
/* What becomes of rules when their targets come and go, and when their time is over. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "lib/clock.h"
#include "squalld/base/log.h"
#include "squalld/control/book_internal.h"
#include "squalld/kernel/kernel.h"

void book_target_here(struct book *book, struct container *c)
{
	struct rule_entry *e = book_find(book, c->name);
	struct sq_error p = {0};

	if (!e || e->by || (e->in_force && e->cgroup_id == c->cgroup_id))
		return;
	if (e->in_force) /* it was started again while we were away */
		engine_delete_rule(book->engine, e->cgroup_id);
	e->in_force = false;
	free(e->cgroup);
	e->cgroup = strdup(c->cgroup);
	e->container = true;
	if (book_enforce(book, e, &e->rule, e->ends_ns, c->cgroup_id, &p) < 0) {
		if (p.code == -ESTALE) {
			book_remove(book, e, "expired");
			return;
		}
		log_warn("rule of %s could not be put back: %s", c->name, p.text);
		return;
	}
	log_info("container %s is here again: its rule (%s) is in force", c->name, e->source);
	book_changed(book, e);
	book_publish(book, "restored", e, true);
}

void book_target_gone(struct book *book, const char *name, uint64_t cgroup_id)
{
	json_t *ended;
	struct rule_entry *e = book_find(book, name);

	if (!e || !e->in_force || e->cgroup_id != cgroup_id)
		return;
	if (e->by) { /* the selector waits, not its member */
		book_remove(book, e, "suspended");
		return;
	}
	ended = book_ended(book, e);
	engine_delete_rule(book->engine, cgroup_id);
	e->in_force = false;
	book_changed(book, e);
	book_publish_more(book, "suspended", e, true, ended);
}

void book_container_destroyed(struct book *book, const char *name)
{
	struct rule_entry *e = book_find(book, name);

	/* A label is a property of the container; what someone asked for by name is not. */
	if (e && strcmp(e->source, "label") == 0)
		book_remove(book, e, "deleted");
}

/* --- once a second -------------------------------------------------------------------- */

static int tick_one(struct rule_entry *e, void *arg)
{
	struct book *book = arg;
	struct sq_error p = {0};
	uint64_t id;
	int rc;

	if (e->selector)
		return 0;
	if (e->ends_ns && sq_mono_ns() >= e->ends_ns && !e->by) {
		log_info("rule of %s has expired", e->name);
		book_delete(book, e->name, "expired");
		return 0;
	}
	if (e->container) {
		char path[TARGET_NAME_MAX];

		if (e->in_force && engine_cgroup_path(e->cgroup_id, path, sizeof(path)) == -ENOENT)
			book_target_gone(book, e->name, e->cgroup_id);
		return 0;
	}
	if (!e->cgroup)
		return 0;
	rc = engine_cgroup_id(e->cgroup, &id, &p);
	if (rc < 0) {
		/* Only what is not there is gone: no descriptor left says nothing of the cgroup. */
		if (e->in_force && rc == -ENOENT) {
			log_info("%s is gone; its rule waits for it", e->name);
			book_target_gone(book, e->name, e->cgroup_id);
		}
		return 0;
	}
	if (e->in_force && e->cgroup_id == id)
		return 0;
	if (e->by) {
		book_target_gone(book, e->name, e->cgroup_id);
		return 0; /* who watches cgroups tells of the new one */
	}
	if (e->in_force)
		book_target_gone(book, e->name, e->cgroup_id);
	if (book_enforce(book, e, &e->rule, e->ends_ns, id, &p) == 0) {
		log_info("%s is here again: its rule is in force", e->name);
		book_changed(book, e);
		book_publish(book, "restored", e, true);
	}
	return 0;
}

void book_tick(struct book *book)
{
	book_each(book, tick_one, book);
}

static int is_keep(struct rule_entry *e, void *arg)
{
	(void)arg;
	return e->in_force && (e->rule.flags & SQ_R_KEEP);
}

bool book_any_keep(struct book *book)
{
	return book_each(book, is_keep, NULL) != 0;
}
