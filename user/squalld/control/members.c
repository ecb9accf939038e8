// SPDX-License-Identifier: GPL-2.0-only
#include "squalld/control/members.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lib/clock.h"
#include "squalld/base/log.h"
#include "squalld/control/book_internal.h"
#include "squalld/kernel/kernel.h"

/* --- who follows whom ------------------------------------------------------------------ */

struct choice {
	const struct target *t;
	uint64_t now;
	struct rule_entry *best;
};

static int prefer(struct rule_entry *e, void *arg)
{
	struct choice *x = arg;
	int narrower;

	if (!e->selector || (e->ends_ns && x->now >= e->ends_ns) ||
	    !selector_matches(e->selector, x->t))
		return 0;
	narrower = x->best ? selector_compare(e->selector, x->best->selector) : 1;
	if (!narrower)
		narrower = e->began_ms > x->best->began_ms ? 1 : -1;
	if (narrower > 0)
		x->best = e;
	return 0;
}

static struct rule_entry *selector_for(struct book *book, const struct target *t)
{
	struct choice x = {t, sq_mono_ns(), NULL};

	if (t->id && (!t->c || t->c->running))
		book_each(book, prefer, &x);
	return x.best;
}

static int enlist(struct book *book, const struct target *t, struct rule_entry *selector,
		  struct sq_error *p)
{
	struct sq_rule want = selector->rule;
	struct rule_entry *e = book_find(book, t->name);
	bool fresh = !e;
	json_t *ended;
	int rc;

	if (fresh && book->n >= SQ_MAX_RULES)
		return sq_error_set(p, -ENOSPC, "target",
				    "there are %u rules already, the most there can be",
				    SQ_MAX_RULES);
	if (fresh)
		e = book_insert(book, t->name);
	if (!e)
		return sq_error_set(p, -ENOMEM, NULL, "out of memory");
	ended = e->in_force ? book_ended(book, e) : NULL;
	if (e->in_force && e->cgroup_id != t->id) { /* that cgroup is gone */
		engine_delete_rule(book->engine, e->cgroup_id);
		e->in_force = false;
	}
	rule_mark_source(&want, selector->source);
	want.flags |= SQ_R_MEMBER;
	rc = book_enforce(book, e, &want, selector->ends_ns, t->id, p);
	if (rc == 0)
		rc = book_follow(book, e, selector);
	if (rc < 0) {
		json_decref(ended);
		if (fresh)
			book_drop(book, e);
		return rc;
	}
	memcpy(e->source, selector->source, sizeof(e->source));
	book_place(e, t);
	book_remember(e);
	book_changed(book, e);
	log_debug("%s has the rule of %s", e->name, selector->name);
	book_publish_more(book, "set", e, true, ended);
	return 0;
}

/* 0: it has what it should. */
static int look(struct book *book, const struct target *t, struct sq_error *p)
{
	struct rule_entry *e = book_find(book, t->name), *best;
	int rc;

	if (e && !e->by)
		return 0;
	best = selector_for(book, t);
	if (!best) {
		if (e)
			book_remove(book, e, "deleted");
		return 0;
	}
	if (e && e->in_force && e->cgroup_id == t->id && strcmp(e->by, best->name) == 0 &&
	    e->by_version == best->version)
		return 0;
	/* One cgroup, one rule: a container's, that no engine has told of yet. */
	if (!e && !t->c && book_of_cgroup(book, t->id))
		return 0;
	rc = enlist(book, t, best, p);
	if (rc < 0)
		log_warn("%s cannot have the rule of %s: %s", t->name, best->name, p->text);
	return rc;
}

void members_look(struct book *book, const struct target *t)
{
	struct sq_error p = {0};

	look(book, t, &p);
}

static void look_by_name(struct book *book, const char *name)
{
	struct sq_error p = {0};
	struct rule_entry *e;
	struct target t;

	if (target_resolve(book->targets, name, &t, &p) == 0) {
		look(book, &t, &p);
	} else {
		e = book_find(book, name);
		if (e && e->by)
			book_remove(book, e, "deleted");
	}
	json_decref(p.candidates);
}

void members_watch(struct book *book)
{
	book->vacated = look_by_name;
}

/* --- all of them ------------------------------------------------------------------------- */

struct wanted {
	bool of_cgroups;
	struct rule_entry *found;
};

static int is_selector(struct rule_entry *e, void *arg)
{
	struct wanted *x = arg;

	if (!e->selector || (x->of_cgroups && !selector_of_cgroups(e->selector)))
		return 0;
	x->found = e;
	return 1;
}

struct rule_entry *members_selector(struct book *book, bool of_cgroups)
{
	struct wanted x = {.of_cgroups = of_cgroups};

	book_each(book, is_selector, &x);
	return x.found;
}

struct sweep {
	struct book *book;
	const struct rule_entry *selector; /* NULL: whichever */
	unsigned int good, bad;		   /* of its members */
	struct sq_error why;		   /* of the first that cannot */
};

static int sweep_one(const struct target *t, void *arg)
{
	struct sweep *x = arg;
	struct sq_error p = {0};
	const struct rule_entry *e;

	if (look(x->book, t, &p) < 0) {
		if (x->selector && selector_matches(x->selector->selector, t) && !x->bad++)
			x->why = p;
		return 0;
	}
	e = x->selector ? book_find(x->book, t->name) : NULL;
	x->good += e && e->by && strcmp(e->by, x->selector->name) == 0;
	return 0;
}

void members_look_all(struct book *book)
{
	struct sweep x = {.book = book};

	if (members_selector(book, false))
		targets_each(book->targets, members_selector(book, true), true, sweep_one, &x);
}

/* --- rules set by name --------------------------------------------------------------------- */

static void write_rule(struct book *book, struct rule_entry *e, const struct sq_rule *rule,
		       const char *source)
{
	uint64_t real = sq_real_ms();

	e->rule = *rule;
	e->rule.set_ns = real * 1000000;
	e->ends_ns = rule->for_ns ? sq_mono_ns() + rule->for_ns : 0;
	/* Of two that are set within a millisecond the later one still is. */
	e->began_ms = real > e->began_ms ? real : e->began_ms + 1;
	e->holder = NULL; /* of the version before */
	snprintf(e->source, sizeof(e->source), "%s", source);
	book_changed(book, e);
}

static int selector_set(struct book *book, const struct selector *s, const struct sq_rule *rule,
			const char *source, struct rule_entry **ret, struct sq_error *p)
{
	struct rule_entry *e = book_find(book, s->text), old;
	struct sweep x = {.book = book};
	bool fresh = !e;

	if (fresh && book->n >= SQ_MAX_RULES)
		return sq_error_set(p, -ENOSPC, "target",
				    "there are %u rules already, the most there can be",
				    SQ_MAX_RULES);
	if (fresh && (e = book_insert(book, s->text)) && !(e->selector = malloc(sizeof(*s)))) {
		book_drop(book, e);
		e = NULL;
	}
	if (!e)
		return sq_error_set(p, -ENOMEM, NULL, "out of memory");
	*e->selector = *s;
	old = *e;
	write_rule(book, e, rule, source);
	x.selector = e;
	targets_each(book->targets, selector_of_cgroups(s), true, sweep_one, &x);
	if (x.bad && !x.good) {
		e->rule = old.rule;
		e->ends_ns = old.ends_ns;
		e->began_ms = old.began_ms;
		e->version = old.version;
		e->holder = old.holder;
		memcpy(e->source, old.source, sizeof(e->source));
		if (fresh)
			book_drop(book, e);
		*p = x.why;
		return p->code;
	}
	book_remember(e);
	log_info("rule of %s: %u targets follow it", e->name, e->members);
	book_publish(book, "set", e, true);
	if (ret)
		*ret = e;
	return 0;
}

int rule_set(struct book *book, const char *name, const struct sq_rule *rule, const char *source,
	     struct rule_entry **ret, struct sq_error *p)
{
	struct selector s;
	struct target t;

	if (selector_is(name))
		return selector_parse(name, &s, p) < 0
			       ? p->code
			       : selector_set(book, &s, rule, source, ret, p);
	if (target_resolve(book->targets, name, &t, p) < 0 || target_ready(&t, p) < 0)
		return p->code;
	return book_set(book, &t, rule, source, ret, p);
}

struct ids {
	struct book *book;
	const struct selector *s;
	uint64_t *id;
	int n, room;
};

static int id_of(const struct target *t, void *arg)
{
	struct ids *x = arg;
	const struct rule_entry *e;

	if (!t->id || (t->c && !t->c->running) || !selector_matches(x->s, t))
		return 0;
	e = book_find(x->book, t->name);
	if (e && !e->by)
		return 0;
	if (x->n == x->room) {
		int room = x->room ? x->room * 2 : 64;
		uint64_t *more = realloc(x->id, (size_t)room * sizeof(*more));

		if (!more)
			return -ENOMEM;
		x->id = more;
		x->room = room;
	}
	x->id[x->n++] = t->id;
	return 0;
}

int members_ids(struct book *book, const struct selector *s, uint64_t **ret)
{
	struct ids x = {.book = book, .s = s};

	if (targets_each(book->targets, selector_of_cgroups(s), true, id_of, &x) == -ENOMEM) {
		free(x.id);
		return -ENOMEM;
	}
	*ret = x.id;
	return x.n;
}

/* --- time ---------------------------------------------------------------------------------- */

static int is_over(struct rule_entry *e, void *arg)
{
	if (!e->selector || !e->ends_ns || sq_mono_ns() < e->ends_ns)
		return 0;
	*(char **)arg = e->name;
	return 1;
}

void members_tick(struct book *book)
{
	char *name;

	while (book_any_over(book) && book_each(book, is_over, &name)) {
		log_info("rule of %s has expired", name);
		book_delete(book, name, "expired");
	}
}

/* --- for people ------------------------------------------------------------------------------ */

struct census {
	struct book *book;
	const struct rule_entry *e;
	json_t *members;
	unsigned int idle, own, others, failed;
	char *cannot; /* the first one that cannot be a target, and why */
};

static bool is_member(const struct rule_entry *e, const struct rule_entry *selector)
{
	return e->by && strcmp(e->by, selector->name) == 0;
}

static int list_one(struct rule_entry *e, void *arg)
{
	struct census *x = arg;
	char id[24];

	snprintf(id, sizeof(id), "%llu", (unsigned long long)e->cgroup_id);
	if (is_member(e, x->e))
		json_array_append_new(
			x->members, json_pack("{s:o,s:s}", "target", json_text(e->name), "id", id));
	return 0;
}

static int count_one(const struct target *t, void *arg)
{
	struct census *x = arg;
	const struct rule_entry *e = book_find(x->book, t->name);

	if (!selector_matches(x->e->selector, t) || (e && is_member(e, x->e)))
		return 0;
	if (t->c && !t->c->running) {
		x->idle++;
	} else if (t->c && !t->id) {
		if (!x->cannot &&
		    asprintf(&x->cannot, "%s matches, but cannot be a target: %s", t->name,
			     t->c->why ? t->c->why : "its cgroup was not found") < 0)
			x->cannot = NULL;
	} else if (e && !e->by) {
		x->own++;
	} else if (e) {
		x->others++;
	} else {
		x->failed++;
	}
	return 0;
}

static void note(json_t *notes, unsigned int n, const char *one, const char *many)
{
	if (n == 1)
		json_array_append_new(notes, json_string(one));
	else if (n)
		json_array_append_new(notes, json_sprintf("%u %s", n, many));
}

void members_json(struct book *book, const struct rule_entry *e, json_t *o)
{
	struct census x = {.book = book, .e = e, .members = json_array()};
	json_t *notes = json_array();

	book_each(book, list_one, &x);
	targets_each(book->targets, selector_of_cgroups(e->selector), true, count_one, &x);
	if (!json_array_size(x.members))
		json_array_append_new(notes,
				      json_string(x.idle + x.own + x.others + x.failed || x.cannot
							  ? "rules nothing now; waits"
							  : "matches nothing now; waits"));
	note(notes, x.idle, "one that matches does not run", "that match do not run");
	note(notes, x.own, "one that matches has a rule of its own, which goes before",
	     "that match have rules of their own, which go before");
	note(notes, x.others, "one that matches follows a narrower selector",
	     "that match follow narrower selectors");
	note(notes, x.failed, "one that matches could not have the rule: squalld's log says why",
	     "that match could not have the rule: squalld's log says why");
	if (x.cannot)
		json_array_append_new(notes, json_text(x.cannot));
	free(x.cannot);
	json_object_set_new(o, "members", x.members);
	json_object_set_new(o, "notes", notes);
}
