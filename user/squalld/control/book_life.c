// SPDX-License-Identifier: GPL-2.0-only
/* What becomes of rules when their targets come and go, and when their time is over. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "lib/clock.h"
#include "lib/error.h"
#include "squalld/base/log.h"
#include "squalld/control/book_internal.h"
#include "squalld/control/state.h"
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

/* --- several times a second ----------------------------------------------------------- */

bool book_any_over(const struct book *book)
{
	return book->looked != book->changes || sq_mono_ns() >= book->next_end_ns;
}

static int expire_one(struct rule_entry *e, void *arg)
{
	struct book *book = arg;

	if (!e->ends_ns || e->by)
		return 0;
	if (!e->selector && sq_mono_ns() >= e->ends_ns) {
		log_info("rule of %s has expired", e->name);
		book_delete(book, e->name, "expired");
	} else if (e->ends_ns < book->next_end_ns) {
		book->next_end_ns = e->ends_ns;
	}
	return 0;
}

static void expire(struct book *book)
{
	if (!book_any_over(book))
		return;
	book->next_end_ns = UINT64_MAX;
	book->looked = book->changes; /* what changes meanwhile is looked at with the next tick */
	book_each(book, expire_one, book);
}

struct looking {
	struct book *book;
	bool all;
};

/* Opens the directory: of 500 rules, 4 times a second, that was 1.6 % of a core; and while rules
 * are set by the thousand all were looked at for each that had just been set. */
static int look_at_one(struct rule_entry *e, void *arg)
{
	const struct looking *x = arg;
	struct book *book = x->book;
	struct sq_error p = {0};
	uint64_t id;
	int rc;

	if (e->selector || !(x->all || e->moved))
		return 0;
	e->moved = false;
	if (e->container) {
		char path[TARGET_NAME_MAX];

		rc = e->in_force ? engine_cgroup_path(e->cgroup_id, path, sizeof(path)) : 0;
		if (rc == -ENOENT)
			book_target_gone(book, e->name, e->cgroup_id);
		else
			book->moved |= e->moved = rc < 0;
		return 0;
	}
	if (!e->cgroup)
		return 0;
	rc = engine_cgroup_id(e->cgroup, &id, &p);
	if (rc < 0) {
		/* Only what is not there is gone: no descriptor left says nothing of the cgroup. */
		book->moved |= e->moved = rc != -ENOENT;
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
	} else {
		book->moved = e->moved = true;
	}
	return 0;
}

void book_tick(struct book *book, bool moved)
{
	expire(book);
	if (!book->moved && !moved)
		return;
	book->moved = false;
	book_each(book, look_at_one, &(struct looking){book, moved});
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

/* --- kept alive by somebody: an end put off in place, a holder --------------------------- */

struct put_off {
	struct book *book;
	const struct rule_entry *selector;
	uint64_t for_ns;
};

static int in_kernel(struct book *book, struct rule_entry *e, uint64_t for_ns, uint64_t ends_ns)
{
	int rc = e->in_force ? engine_prolong(book->engine, e->cgroup_id, for_ns, &ends_ns) : 0;

	if (rc < 0)
		return rc;
	e->ends_ns = ends_ns;
	e->rule.for_ns = for_ns;
	if (e->in_force)
		e->rule.expires_ns = ends_ns;
	book_remember(e);
	return 0;
}

/* A member whose time was over a moment ago gets its rule anew with the next look. */
static int put_off_one(struct rule_entry *e, void *arg)
{
	struct put_off *x = arg;

	if (e->by && strcmp(e->by, x->selector->name) == 0)
		in_kernel(x->book, e, x->for_ns, sq_mono_ns() + x->for_ns);
	return 0;
}

int book_prolong(struct book *book, struct rule_entry *e, uint64_t for_ns, struct sq_error *p)
{
	struct put_off x = {book, e, for_ns};
	uint64_t now = sq_mono_ns();
	int rc = 0;

	if (e->by)
		return sq_error_set(p, -EEXIST, "target",
				    "%.200s follows %.200s: put that one's end off", e->name,
				    e->by);
	if (!e->ends_ns)
		return sq_error_set(
			p, -EEXIST, "for_ns",
			"the rule of %.200s has no end that could be put off; set it with "
			"\"for\"",
			e->name);
	rc = e->ends_ns <= now ? -ENOENT : in_kernel(book, e, for_ns, now + for_ns);
	if (rc == -ENOENT)
		return sq_error_set(p, rc, "target", "the time of the rule of %.200s is over",
				    e->name);
	if (rc < 0)
		return sq_error_set(p, rc, "for_ns", "the kernel says %s", strerror(-rc));
	if (e->selector)
		book_each(book, put_off_one, &x);
	book->looked = BOOK_UNKNOWN;
	state_dirty(book->state, STATE_RULES);
	return 0;
}

void book_hold(struct book *book, struct rule_entry *e, const void *holder)
{
	book->any_held = true;
	e->holder = holder;
}

struct of_holder {
	const void *holder;
	const char *name;
};

static int is_held(struct rule_entry *e, void *arg)
{
	struct of_holder *x = arg;

	x->name = e->name;
	return e->holder == x->holder;
}

unsigned int book_let_go(struct book *book, const void *holder)
{
	struct of_holder x = {holder, NULL};
	unsigned int n = 0;

	/* One after the other: members go with their selector. */
	while (book->any_held && book_each(book, is_held, &x)) {
		log_info("rule of %s: who held it is gone, and it with him", x.name);
		if (book_delete(book, x.name, "released") < 0)
			break;
		n++;
	}
	return n;
}
