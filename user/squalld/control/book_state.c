// SPDX-License-Identifier: GPL-2.0-only
/*
 * The book, saved and found again. After a crash the kernel's pinned rules are
 * the truth of what acts; the file knows names, and the rules that wait.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lib/boot.h"
#include "lib/clock.h"
#include "squalld/base/log.h"
#include "squalld/control/book_internal.h"
#include "squalld/control/members.h"
#include "squalld/control/state.h"
#include "squalld/kernel/kernel.h"

#define COUNTER_WORDS (sizeof(struct sq_counters) / sizeof(uint64_t))
#define NEAR_NS	      1000000000ull

/* Only where a version began with counters that had counted; NULL elsewhere. */
static json_t *base_json(const struct rule_entry *e)
{
	json_t *list = e->base ? json_array() : NULL;

	for (uint32_t i = 0; list && i < e->rule.n_clauses * SQ_DIRS; i++)
		for (size_t w = 0; w < COUNTER_WORDS; w++)
			json_array_append_new(list,
					      json_integer((json_int_t)((__u64 *)&e->base[i])[w]));
	return list;
}

static struct sq_counters *base_from_json(const json_t *list)
{
	size_t n = json_array_size(list), room = SQ_MAX_CLAUSES * SQ_DIRS * COUNTER_WORDS;
	uint64_t *base = n && n <= room ? calloc(room, sizeof(*base)) : NULL;

	for (size_t i = 0; base && i < n; i++)
		base[i] = (uint64_t)json_integer_value(json_array_get(list, i));
	return (struct sq_counters *)base;
}

/* A rule by its text, which is made already: as clauses it took five times as long to write and to
 * read, and a thousand rules a megabyte. */
static json_t *saved_json(const struct rule_entry *e)
{
	json_t *rule = e->text ? json_pack("{s:s}", "text", e->text)
			       : sq_rule_to_json(&e->rule, sq_mono_ns());
	uint64_t now = sq_mono_ns(), left = e->ends_ns > now ? e->ends_ns - now : 0;
	char id[24];

	if (!rule)
		return NULL;
	snprintf(id, sizeof(id), "%llu", (unsigned long long)e->cgroup_id);
	/* ends_ns counts while this boot lasts, whatever the wall clock does; expires_ms after. */
	return json_pack("{s:o,s:s,s:s,s:o,s:o,s:o,s:b,s:I,s:I,s:I,s:o*,s:o*}", "target",
			 json_text(e->name), "kind",
			 e->selector	? "selector"
			 : e->container ? "container"
					: "cgroup",
			 "id", id, "cgroup", json_text(e->cgroup), "source", json_text(e->source),
			 "rule", rule, "held", (int)(e->holder != NULL), "expires_ms",
			 e->ends_ns ? (json_int_t)(sq_real_ms() + left / 1000000u) : 0, "ends_ns",
			 (json_int_t)e->ends_ns, "began_ms", (json_int_t)e->began_ms, "by",
			 e->by ? json_text(e->by) : NULL, "base", base_json(e));
}

static int save_one(struct rule_entry *e, void *arg)
{
	return json_array_append_new(arg, saved_json(e)) < 0 ? -ENOMEM : 0;
}

json_t *book_save(struct book *book)
{
	json_t *list = json_array();

	book_each(book, save_one, list);
	return list;
}

/* --- the file, in two steps ------------------------------------------------------------- */

/* A copy of the book, made with the lock held: a rule as JSON takes 20 times as long as this. */
struct taken {
	bool clean, whole;
	char *ignored;
	size_t n;
	/* With strings and base of their own; nothing else is followed. Each is as long as what its
	 * rule says: whole ones of 10,000 rules were 55 MB of new memory each time. */
	struct rule_entry *one[];
};

static char *copy_of(const char *text, bool *whole)
{
	char *copy = text ? strdup(text) : NULL;

	*whole &= !text == !copy;
	return copy;
}

static int take_one(struct rule_entry *e, void *arg)
{
	struct taken *t = arg;
	size_t base = SQ_MAX_CLAUSES * SQ_DIRS * sizeof(*e->base),
	       size = offsetof(struct rule_entry, rule) + sq_rule_used(&e->rule);
	struct rule_entry *copy = malloc(size);

	if (!copy) {
		t->whole = false;
		return -ENOMEM;
	}
	t->one[t->n++] = copy;
	memcpy(copy, e, size);
	copy->name = copy_of(e->name, &t->whole);
	copy->cgroup = copy_of(e->cgroup, &t->whole);
	copy->by = copy_of(e->by, &t->whole);
	copy->text = copy_of(e->text, &t->whole);
	copy->base = e->base ? malloc(base) : NULL;
	if (copy->base)
		memcpy(copy->base, e->base, base);
	t->whole &= !e->base == !copy->base;
	return 0;
}

static void *book_take(void *arg, bool clean)
{
	struct book *book = arg;
	struct taken *t = malloc(sizeof(*t) + book->n * sizeof(t->one[0]));

	if (!t)
		return NULL;
	t->clean = clean;
	t->n = 0;
	t->ignored = json_dumps(book->ignored, 0);
	t->whole = t->ignored;
	book_each(book, take_one, t);
	return t;
}

static void taken_free(struct taken *t)
{
	for (size_t i = 0; i < t->n; i++) {
		free(t->one[i]->name);
		free(t->one[i]->cgroup);
		free(t->one[i]->by);
		free(t->one[i]->text);
		free(t->one[i]->base);
		free(t->one[i]);
	}
	free(t->ignored);
	free(t);
}

/* One after the other, so that the tree of 32,768 rules, 200 MB, is never there. */
static bool write_rules(const struct taken *t, FILE *f)
{
	bool whole = true;

	for (size_t i = 0; whole && i < t->n; i++) {
		json_t *o = saved_json(t->one[i]);
		char *line = o ? json_dumps(o, SQ_JSON_FLAGS) : NULL;

		whole = line && fprintf(f, "%s\n  %s", i ? "," : "", line) > 0;
		free(line);
		json_decref(o);
	}
	return whole;
}

static char *book_tell(void *arg)
{
	struct taken *t = arg;
	char *text = NULL;
	size_t size;
	FILE *f = t->whole ? open_memstream(&text, &size) : NULL;
	bool whole = f;

	if (f) {
		fprintf(f,
			" \"clean\": %s,\n \"boot_id\": \"%s\",\n \"ignored\": %s,\n \"rules\": [",
			t->clean ? "true" : "false", sq_boot_id(), t->ignored);
		whole = write_rules(t, f) && fputs("\n ]", f) >= 0;
		whole &= fclose(f) == 0;
	}
	taken_free(t);
	if (whole)
		return text;
	free(text);
	return NULL;
}

const struct state_slow book_saver = {book_take, book_tell};

struct at_cgroup {
	uint64_t id;
	struct rule_entry *e;
};

struct restore {
	struct book *book;
	struct at_cgroup *at; /* what the file told of, by cgroup */
	size_t n_at;
	bool same_run; /* the pins of this state file's squalld may still be there */
	unsigned int adopted, restored, waiting;
};

struct alike {
	const struct sq_rule *rule;
	struct rule_entry *found;
};

/* But for its time, of which who is put back, and a member, got what was left. */
static bool same_but_time(const struct sq_rule *kept, const struct sq_rule *kernels)
{
	struct sq_rule mine = *kept;

	mine.for_ns = kernels->for_ns;
	return sq_rule_equal(&mine, kernels);
}

static int same_rule(struct rule_entry *e, void *arg)
{
	struct alike *x = arg;

	if (!e->selector || !same_but_time(&e->rule, x->rule))
		return 0;
	x->found = e;
	return 1;
}

/* Own or a member's: the file may be older. Of a selector that is not known any more it may be the
 * rule of another one; who is looked at next gets what he should have. */
static void whose(struct book *book, struct rule_entry *e, const struct sq_rule *rule)
{
	struct alike like = {.rule = rule};

	if (!(rule->flags & SQ_R_MEMBER)) {
		free(e->by);
		e->by = NULL;
		return;
	}
	if (e->by)
		return;
	if (!book_each(book, same_rule, &like))
		like.found = members_selector(book, false);
	e->by = strdup(like.found ? like.found->name : "");
	if (like.found)
		strcpy(e->source, like.found->source);
}

static int by_cgroup(const void *a, const void *b)
{
	const struct at_cgroup *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

static int note_cgroup(struct rule_entry *e, void *arg)
{
	struct restore *x = arg;

	if (!e->selector)
		x->at[x->n_at++] = (struct at_cgroup){e->cgroup_id, e};
	return 0;
}

/* To look through the book for each was 40 ms for 1,000 rules, and 4 s for 10,000. */
static int note_cgroups(struct restore *x)
{
	x->at = calloc(x->book->n + 1, sizeof(*x->at));
	if (!x->at)
		return -ENOMEM;
	book_each(x->book, note_cgroup, x);
	qsort(x->at, x->n_at, sizeof(*x->at), by_cgroup);
	return 0;
}

static struct rule_entry *noted(const struct restore *x, uint64_t id)
{
	const struct at_cgroup key = {.id = id},
			       *at = bsearch(&key, x->at, x->n_at, sizeof(key), by_cgroup);

	return at ? at->e : NULL;
}

/* What was put back ends when it would have. */
static bool ends_then(const struct rule_entry *e, const struct sq_rule *rule)
{
	uint64_t off = e->ends_ns > rule->expires_ns ? e->ends_ns - rule->expires_ns
						     : rule->expires_ns - e->ends_ns;

	return e->ends_ns && rule->expires_ns && off < NEAR_NS;
}

/* A rule that the kernel has: it is the truth, but for the time that was asked for. */
static int adopt_one(const struct sq_rule *rule, void *arg)
{
	struct restore *x = arg;
	struct book *book = x->book;
	struct rule_entry *e = noted(x, rule->target);
	uint64_t asked_ns = rule->for_ns;
	char path[TARGET_NAME_MAX], name[TARGET_NAME_MAX + 8];

	if (!e) {
		if (engine_cgroup_path(rule->target, path, sizeof(path)) < 0)
			return 0;
		snprintf(name, sizeof(name), "cgroup:%s", path);
		e = book_insert(book, name);
		if (!e)
			return -ENOMEM;
		e->cgroup = strdup(path);
		e->cgroup_id = rule->target;
		strcpy(e->source, "api");
	}
	whose(book, e, rule);
	if (ends_then(e, rule) && same_but_time(&e->rule, rule))
		asked_ns = e->rule.for_ns;
	e->rule = *rule;
	e->rule.for_ns = asked_ns;
	rule_source(rule, e->source);
	e->in_force = true;
	e->ends_ns = rule->expires_ns;
	if (!e->began_ms)
		e->began_ms = rule->set_ns / 1000000;
	e->version = ++book->version;
	book_remember(e);
	x->adopted++;
	return 0;
}

/* Who held a rule that is found again: connections do not outlive their squalld. */
static const char nobody;

static int load_one(struct book *book, const json_t *o, bool same_boot, struct rule_entry **ret,
		    struct sq_error *p)
{
	const char *name = json_string_value(json_object_get(o, "target"));
	const char *id = json_string_value(json_object_get(o, "id"));
	const char *source = json_string_value(json_object_get(o, "source"));
	const char *kind = json_string_value(json_object_get(o, "kind"));
	const char *cgroup = json_string_value(json_object_get(o, "cgroup"));
	uint64_t expires = (uint64_t)json_integer_value(json_object_get(o, "expires_ms"));
	uint64_t ends = (uint64_t)json_integer_value(json_object_get(o, "ends_ns"));
	uint64_t now = sq_mono_ns(), real = sq_real_ms();
	struct sq_rule rule;
	struct rule_entry *e;
	const char *by = json_string_value(json_object_get(o, "by"));
	struct selector selector;
	bool selects = kind && strcmp(kind, "selector") == 0;

	if (!name || !kind)
		return sq_error_set(p, -EINVAL, "target", "a name and a kind are expected");
	if (selects && selector_parse(name, &selector, p) < 0)
		return p->code;
	if (sq_rule_from_json(json_object_get(o, "rule"), &rule, p) < 0)
		return p->code = -EINVAL;
	if (expires && !(same_boot && ends))
		ends = expires > real ? now + (expires - real) * 1000000u : now;
	if (ends && ends <= now)
		return sq_error_set(p, -ESTALE, "for", "the rule's time is over");
	if (book_find(book, name))
		return sq_error_set(p, -EEXIST, "target", "%.200s has a rule", name);
	e = book_insert(book, name);
	if (!e || (selects && !(e->selector = malloc(sizeof(selector))))) {
		if (e)
			book_drop(book, e);
		return sq_error_set(p, -ENOMEM, NULL, "out of memory");
	}
	if (selects)
		*e->selector = selector;
	e->by = by ? strdup(by) : NULL; /* its selector may come later: see found_one() */
	e->rule = rule;
	e->cgroup_id = id ? strtoull(id, NULL, 10) : 0;
	e->cgroup = cgroup ? strdup(cgroup) : NULL;
	e->container = strcmp(kind, "container") == 0;
	e->ends_ns = ends;
	e->began_ms = (uint64_t)json_integer_value(json_object_get(o, "began_ms"));
	e->base = base_from_json(json_object_get(o, "base"));
	if (selects)
		e->rule.set_ns = e->began_ms * 1000000;
	e->holder = json_is_true(json_object_get(o, "held")) ? &nobody : NULL;
	e->version = ++book->version;
	snprintf(e->source, sizeof(e->source), "%s", source ? source : "api");
	book_remember(e);
	*ret = e;
	return 0;
}

int book_put_back(struct book *book, const json_t *saved, struct sq_error *p)
{
	struct rule_entry *e;
	struct sq_error none = {0};
	struct target t;
	const char *name = json_string_value(json_object_get(saved, "target"));
	int rc;

	/* A selector has ruled it meanwhile; a rule of its own goes before. */
	e = name ? book_find(book, name) : NULL;
	if (e && e->by)
		book_remove(book, e, "deleted");
	rc = load_one(book, saved, true, &e, p);
	if (rc < 0)
		return rc;
	if (e->holder) {
		book_drop(book, e);
		return sq_error_set(p, -ESTALE, "target",
				    "the rule was its holder's, who has to set it anew");
	}
	rc = e->selector ? -ENOENT : target_resolve(book->targets, e->name, &t, &none);
	json_decref(none.candidates);
	if (rc == 0 && t.id)
		rc = book_enforce(book, e, &e->rule, e->ends_ns, t.id, p);
	else
		rc = 0; /* it waits */
	if (rc < 0) {
		book_drop(book, e);
		return rc;
	}
	book_changed(book, e);
	book_publish(book, "restored", e, true);
	return 0;
}

static int place_one(struct rule_entry *e, void *arg)
{
	struct restore *x = arg;
	struct sq_error p = {0};
	char path[TARGET_NAME_MAX];
	uint64_t id;

	if (e->in_force || e->selector)
		return 0;
	if (e->by) { /* it comes again by itself */
		book_drop(x->book, e);
		return 0;
	}
	/* The same boot, a squalld that was killed, a target that is still there, and the kernel
	 * has no rule for it: it was deleted or expired, and the state file had not been written
	 * yet. */
	if (x->same_run && e->cgroup_id &&
	    engine_cgroup_path(e->cgroup_id, path, sizeof(path)) == 0) {
		log_info("rule of %s was gone from the kernel: forgotten", e->name);
		book_drop(x->book, e);
		return 0;
	}
	if (e->container || !e->cgroup || engine_cgroup_id(e->cgroup, &id, &p) < 0) {
		x->waiting++;
		return 0;
	}
	if (book_enforce(x->book, e, &e->rule, e->ends_ns, id, &p) < 0) {
		log_warn("rule of %s could not be put back: %s", e->name, p.text);
		return 0;
	}
	x->restored++;
	return 0;
}

/* Those that the kernel has find their selector, or go with it. */
static int found_one(struct rule_entry *e, void *arg)
{
	struct restore *x = arg;
	struct rule_entry *selector = e->by ? book_find(x->book, e->by) : NULL;
	struct alike like = {.rule = &e->rule};

	if (!e->by)
		return 0;
	free(e->by); /* nobody has counted it yet */
	e->by = NULL;
	if (!selector || !selector->selector || book_follow(x->book, e, selector) < 0) {
		engine_delete_rule(x->book->engine, e->cgroup_id);
		book_drop(x->book, e);
		return 0;
	}
	if (!same_rule(selector, &like))
		e->by_version = 0; /* of a version before: what comes next brings the new one */
	return 0;
}

int book_restore(struct book *book, json_t *saved)
{
	struct restore x = {.book = book};
	json_t *one, *ignored = json_object_get(saved, "ignored");
	const char *boot = json_string_value(json_object_get(saved, "boot_id"));
	bool same_boot = boot && strcmp(boot, sq_boot_id()) == 0;
	struct rule_entry *e;
	size_t i;
	int rc;

	json_array_foreach(json_object_get(saved, "rules"), i, one)
	{
		struct sq_error p = {0};

		if (load_one(book, one, same_boot, &e, &p) < 0)
			log_line(p.code == -ESTALE ? LOG_L_INFO : LOG_L_WARN,
				 "state: rule of %s set aside: %s",
				 json_string_value(json_object_get(one, "target"))
					 ? json_string_value(json_object_get(one, "target"))
					 : "(no name)",
				 p.text);
	}
	if (json_is_object(ignored))
		json_object_update(book->ignored, ignored);
	rc = note_cgroups(&x);
	if (rc == 0)
		rc = engine_each_rule(book->engine, adopt_one, &x);
	free(x.at);
	x.same_run = saved && !json_is_true(json_object_get(saved, "clean")) && same_boot;
	book_each(book, place_one, &x);
	book_each(book, found_one, &x);
	book->any_held = true;
	book_let_go(book, &nobody);
	if (x.adopted || x.restored || x.waiting)
		log_info("rules: %u adopted from the kernel, %u restored, %u wait for their target",
			 x.adopted, x.restored, x.waiting);
	book->changes = 0;
	book->looked = BOOK_UNKNOWN;
	state_dirty(book->state, STATE_RULES);
	return rc;
}
