// SPDX-License-Identifier: GPL-2.0-only
#include "squalld/control/book_internal.h"
#include "squalld/control/bus.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lib/clock.h"
#include "squalld/base/log.h"
#include "squalld/control/state.h"
#include "squalld/kernel/kernel.h"

static struct rule_entry **bucket_of(struct book *book, const char *name)
{
	uint32_t h = 2166136261u;

	for (; *name; name++)
		h = (h ^ (unsigned char)*name) * 16777619u;
	return &book->bucket[(h ^ h >> 16) % BOOK_BUCKETS];
}

int book_new(struct engine *engine, struct targets *targets, struct bus *bus, struct state *state,
	     struct book **ret)
{
	struct book *book = calloc(1, sizeof(*book));

	if (!book)
		return -ENOMEM;
	book->engine = engine;
	book->targets = targets;
	book->bus = bus;
	book->state = state;
	book->version = sq_real_ms() *
			1000; /* more than a thousand changes a ms would be needed to repeat */
	book->ignored = json_object();
	book->looked = BOOK_UNKNOWN;
	*ret = book;
	return book->ignored ? 0 : -ENOMEM;
}

static void entry_free(struct rule_entry *e)
{
	for (int i = 0; i < SQ_MAX_CLAUSES; i++)
		json_decref(e->match[i]);
	free(e->base);
	free(e->text);
	free(e->name);
	free(e->cgroup);
	free(e->selector);
	free(e->by);
	free(e);
}

void book_free(struct book *book)
{
	if (!book)
		return;
	for (int i = 0; i < BOOK_BUCKETS; i++) {
		for (struct rule_entry *e = book->bucket[i], *next; e; e = next) {
			next = e->next;
			entry_free(e);
		}
	}
	json_decref(book->ignored);
	free(book);
}

struct rule_entry *book_find(struct book *book, const char *name)
{
	for (struct rule_entry *e = *bucket_of(book, name); e; e = e->next)
		if (strcmp(e->name, name) == 0)
			return e;
	return NULL;
}

struct rule_entry *book_insert(struct book *book, const char *name)
{
	struct rule_entry **b = bucket_of(book, name), *e = calloc(1, sizeof(*e));

	if (!e || !(e->name = strdup(name))) {
		free(e);
		return NULL;
	}
	e->next = *b;
	*b = e;
	book->n++;
	return e;
}

void book_drop(struct book *book, struct rule_entry *e)
{
	struct rule_entry **link = bucket_of(book, e->name);

	while (*link != e)
		link = &(*link)->next;
	*link = e->next;
	book->n--;
	entry_free(e);
}

unsigned int book_count(struct book *book)
{
	return book->n - book->n_members;
}

uint64_t book_changes(struct book *book)
{
	return book->changes;
}

int book_each(struct book *book, int (*fn)(struct rule_entry *e, void *arg), void *arg)
{
	for (int i = 0; i < BOOK_BUCKETS; i++) {
		for (struct rule_entry *e = book->bucket[i], *next; e; e = next) {
			int rc;

			next = e->next;
			rc = fn(e, arg);
			if (rc)
				return rc;
		}
	}
	return 0;
}

struct by_id {
	uint64_t id;
	struct rule_entry *found;
};

static int has_id(struct rule_entry *e, void *arg)
{
	struct by_id *x = arg;

	if (e->selector || e->cgroup_id != x->id)
		return 0;
	x->found = e;
	return 1;
}

struct rule_entry *book_of_cgroup(struct book *book, uint64_t id)
{
	struct by_id x = {id, NULL};

	book_each(book, has_id, &x);
	return x.found;
}

/* --- JSON ------------------------------------------------------------------------- */

void book_etag(const struct rule_entry *e, char *buf, size_t size)
{
	snprintf(buf, size, "%llx", (unsigned long long)e->version);
}

static json_t *rule_json(const struct rule_entry *e)
{
	json_t *o = sq_rule_to_json(&e->rule, sq_mono_ns());

	if (!o)
		return NULL;
	if (!e->in_force) {
		uint64_t now = sq_mono_ns();

		/* The kernel does not have it; the time goes on nevertheless. */
		if (e->ends_ns)
			json_object_set_new(o, "expires_in_ns",
					    json_integer(e->ends_ns > now
								 ? (json_int_t)(e->ends_ns - now)
								 : 0));
	}
	return o;
}

/* What the record keeps of a rule. */
static json_t *rule_text(const struct rule_entry *e)
{
	return e->text ? json_pack("{s:s}", "text", e->text) : json_null();
}

/* rule is stolen */
static json_t *entry_json(const struct rule_entry *e, json_t *rule)
{
	char id[24], etag[48];

	snprintf(id, sizeof(id), "%llu", (unsigned long long)e->cgroup_id);
	book_etag(e, etag, sizeof(etag));
	return json_pack("{s:o,s:o,s:o,s:b,s:b,s:b,s:o,s:o,s:s}", "target", json_text(e->name),
			 "id", e->in_force ? json_string(id) : json_null(), "rule", rule,
			 "on_restart", 1, "in_force", (int)(e->in_force || e->members), "held",
			 (int)(e->holder != NULL), "source", json_text(e->source), "by",
			 json_text(e->by), "etag", etag);
}

json_t *book_entry_json(const struct rule_entry *e)
{
	return entry_json(e, rule_json(e));
}

json_t *book_ended(struct book *book, const struct rule_entry *e)
{
	struct sq_counters sum[SQ_DIRS] = {0}, all, c;
	json_t *o, *rule, *counters;

	if (!bus_heard(book->bus))
		return NULL;
	for (uint32_t i = 0; i < e->rule.n_clauses * SQ_DIRS; i++)
		if (book_counters(book, e, i / SQ_DIRS, (int)(i % SQ_DIRS), &all, &c) == 0)
			for (size_t w = 0; w < sizeof(c) / sizeof(uint64_t); w++)
				((__u64 *)&sum[i % SQ_DIRS])[w] += ((__u64 *)&c)[w];
	rule = rule_text(e);
	o = json_pack("{s:O?,s:I}", "was", json_object_get(rule, "text"), "lasted_ms",
		      e->rule.set_ns ? (json_int_t)(sq_real_ms() - e->rule.set_ns / 1000000) : 0);
	counters = json_object();
	for (int dir = 0; dir < SQ_DIRS; dir++)
		json_object_set_new(
			counters, dir == SQ_UP ? "up" : "down",
			json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "seen_pkts",
				  (json_int_t)sum[dir].seen_pkts, "lost_pkts",
				  (json_int_t)sum[dir].lost_pkts, "delayed_pkts",
				  (json_int_t)sum[dir].delayed_pkts, "duplicated_pkts",
				  (json_int_t)sum[dir].duplicated_pkts, "corrupted_pkts",
				  (json_int_t)sum[dir].corrupted_pkts, "reordered_pkts",
				  (json_int_t)sum[dir].reordered_pkts, "over_limit_pkts",
				  (json_int_t)sum[dir].over_limit_pkts, "lane_lost_pkts",
				  (json_int_t)sum[dir].lane_lost_pkts));
	json_object_set_new(o, "counters", counters);
	json_decref(rule);
	return o;
}

/* What the record keeps of an entry; rule (stolen) may be NULL. */
static json_t *for_record(const struct rule_entry *e, json_t *rule)
{
	return json_pack("{s:o,s:o*,s:b,s:o,s:o*}", "target", json_text(e->name), "rule", rule,
			 "in_force", (int)(e->in_force || e->members), "source",
			 json_text(e->source), "by", e->by ? json_text(e->by) : NULL);
}

void book_publish_more(struct book *book, const char *action, const struct rule_entry *e,
		       bool with_rule, json_t *more)
{
	json_t *o, *rule = NULL;

	if (bus_heard(book->bus)) {
		if (with_rule)
			rule = bus_wanted(book->bus) ? rule_json(e) : rule_text(e);
		o = bus_wanted(book->bus) ? entry_json(e, rule ? rule : json_null())
					  : for_record(e, rule);
		json_object_set_new(o, "action", json_string(action));
		if (more)
			json_object_update_missing(o, more);
		bus_publish(book->bus, "rule", o);
	}
	json_decref(more);
}

void book_publish(struct book *book, const char *action, const struct rule_entry *e, bool with_rule)
{
	book_publish_more(book, action, e, with_rule, NULL);
}

/* --- changes ------------------------------------------------------------------------ */

void book_changed(struct book *book, struct rule_entry *e)
{
	e->version = ++book->version;
	book->changes++;
	state_dirty(book->state, STATE_RULES);
}

/* Most rules meet every packet, and a rule as JSON costs a tenth of what setting one does. */
static bool has_filter(const struct sq_rule *rule)
{
	static const struct sq_match any;
	bool has = false;

	for (uint32_t i = 0; i < rule->n_clauses; i++)
		has |= !sq_match_equal(&rule->clause[i].match, &any);
	return has;
}

void book_remember(struct rule_entry *e)
{
	char text[SQ_RULE_CANONICAL_MAX];
	json_t *o = has_filter(&e->rule) ? sq_rule_to_json(&e->rule, sq_mono_ns()) : NULL,
	       *clauses = json_object_get(o, "clauses");

	for (size_t i = 0; i < SQ_MAX_CLAUSES; i++) {
		json_decref(e->match[i]);
		e->match[i] = json_incref(json_object_get(json_array_get(clauses, i), "match"));
	}
	json_decref(o);
	free(e->text);
	e->text = sq_rule_to_text(&e->rule, text, sizeof(text)) < 0 ? NULL : strdup(text);
}

/* A clause that goes on counting where the old rule's was has a past that is not its own. */
static void remember_base(struct book *book, struct rule_entry *e, const struct sq_rule *old,
			  const struct sq_rule *now)
{
	struct sq_counters *base = NULL, c;

	for (uint32_t i = 0; i < now->n_clauses * SQ_DIRS; i++) {
		uint32_t counter = now->clause[i / SQ_DIRS].faults[i % SQ_DIRS].counter;
		bool kept = false;

		for (uint32_t k = 0; old && counter && k < old->n_clauses * SQ_DIRS; k++)
			kept |= old->clause[k / SQ_DIRS].faults[k % SQ_DIRS].counter == counter;
		if (!kept || engine_counters(book->engine, counter, &c) < 0 || !c.seen_pkts)
			continue;
		if (!base)
			base = calloc(SQ_MAX_CLAUSES * SQ_DIRS, sizeof(*base));
		if (base)
			base[i] = c;
	}
	if (!base)
		e->began_ms = sq_real_ms();
	free(e->base);
	e->base = base;
}

int book_counters(struct book *book, const struct rule_entry *e, uint32_t clause, int dir,
		  struct sq_counters *ret_all, struct sq_counters *ret_version)
{
	const struct sq_faults *f = &e->rule.clause[clause].faults[dir];
	int rc;

	if (!e->in_force || !(f->flags & SQ_F_ACTIVE))
		return -ENOENT;
	rc = engine_counters(book->engine, f->counter, ret_all);
	if (rc < 0 || !ret_version)
		return rc;
	*ret_version = *ret_all;
	for (size_t i = 0; e->base && i < sizeof(*e->base) / sizeof(uint64_t); i++) {
		__u64 *now = &((__u64 *)ret_version)[i],
		      then = ((__u64 *)&e->base[clause * SQ_DIRS + dir])[i];

		*now -= then <= *now ? then : 0; /* a state file may be older than the kernel's */
	}
	return 0;
}

/* Into the kernel, with what is left of the rule's time. */
int book_enforce(struct book *book, struct rule_entry *e, const struct sq_rule *rule,
		 uint64_t ends_ns, uint64_t id, struct sq_error *p)
{
	struct sq_rule want = *rule, got;
	uint64_t asked = want.for_ns;
	int rc;

	if (ends_ns) {
		uint64_t now = sq_mono_ns();

		if (now >= ends_ns)
			return sq_error_set(p, -ESTALE, "for", "the rule's time is over");
		want.for_ns = ends_ns - now;
		if (want.for_ns > asked)
			want.for_ns = asked;
	}
	if (!(want.flags & SQ_R_SOURCE_MASK))
		rule_mark_source(&want, e->source);
	rc = engine_set_rule(book->engine, id, &want, &got, p);
	if (rc < 0) {
		p->code = rc;
		return rc;
	}
	got.for_ns = asked;
	remember_base(book, e, e->in_force && e->cgroup_id == id ? &e->rule : NULL, &got);
	sq_rule_copy(&e->rule, &got);
	e->ends_ns = ends_ns ? ends_ns : got.expires_ns;
	e->cgroup_id = id;
	e->in_force = true;
	book->moved = e->moved = true; /* it may have gone since somebody found it */
	return 0;
}

void book_place(struct rule_entry *e, const struct target *t)
{
	e->container = t->c != NULL;
	if (e->cgroup && strcmp(e->cgroup, t->cgroup) == 0)
		return;
	free(e->cgroup);
	e->cgroup = strdup(t->cgroup);
}

int book_follow(struct book *book, struct rule_entry *e, struct rule_entry *selector)
{
	struct rule_entry *old = e->by ? book_find(book, e->by) : NULL;
	char *by = selector ? strdup(selector->name) : NULL;

	if (selector && !by)
		return -ENOMEM;
	if (old && old->members)
		old->members--;
	book->n_members += (by != NULL) - (e->by != NULL);
	free(e->by);
	e->by = by;
	e->by_version = selector ? selector->version : 0;
	if (selector)
		selector->members++;
	return 0;
}

int book_set(struct book *book, const struct target *t, const struct sq_rule *rule,
	     const char *source, struct rule_entry **ret, struct sq_error *p)
{
	struct rule_entry *e = book_find(book, t->name);
	struct sq_rule want = *rule;
	bool fresh = !e;
	json_t *ended = NULL;
	int rc;

	if (fresh && book->n >= SQ_MAX_RULES)
		return sq_error_set(p, -ENOSPC, "target",
				    "there are %u rules already, the most there can be",
				    SQ_MAX_RULES);
	if (fresh) {
		e = book_insert(book,
				t->name); /* before the kernel has it: nothing to undo there */
		if (!e)
			return sq_error_set(p, -ENOMEM, NULL, "out of memory");
	}
	if (!fresh && e->in_force)
		ended = book_ended(book, e);
	rule_mark_source(&want, source);
	rc = book_enforce(book, e, &want, 0, t->id, p);
	if (rc < 0) {
		json_decref(ended);
		if (fresh)
			book_drop(book, e);
		return rc;
	}
	e->holder = NULL; /* of the version before */
	snprintf(e->source, sizeof(e->source), "%s", source);
	book_place(e, t);
	book_follow(book, e, NULL);
	book_remember(e);
	book_changed(book, e);
	book_publish_more(book, "set", e, true, ended);
	if (ret)
		*ret = e;
	return 0;
}

void book_remove(struct book *book, struct rule_entry *e, const char *why)
{
	json_t *ended = e->in_force ? book_ended(book, e) : NULL;

	if (e->in_force)
		engine_delete_rule(book->engine, e->cgroup_id);
	log_debug("rule of %s %s", e->name, why);
	e->members = 0;
	book_publish_more(book, why, e, false, ended);
	book_follow(book, e, NULL);
	book_changed(book, e);
	book_drop(book, e);
}

struct following {
	const char *by;
	struct rule_entry *found;
};

static int follows(struct rule_entry *e, void *arg)
{
	struct following *x = arg;

	if (!e->by || strcmp(e->by, x->by) != 0)
		return 0;
	x->found = e;
	return 1;
}

/* Its members get another selector's rule, or none. */
static void dismiss(struct book *book, const char *selector, const char *why)
{
	struct following x = {.by = selector};

	while (book_each(book, follows, &x)) {
		char *name = strdup(x.found->name);
		struct rule_entry *e;

		if (name && book->vacated)
			book->vacated(book, name);
		e = name ? book_find(book, name) : x.found;
		if (e && e->by && strcmp(e->by, selector) == 0)
			book_remove(book, e, why);
		free(name);
	}
}

int book_delete(struct book *book, const char *name, const char *why)
{
	struct rule_entry *e = book_find(book, name);
	bool selector;
	char *copy;

	if (!e || e->by)
		return -ENOENT;
	copy = strdup(name); /* it may be the entry's own */
	selector = e->selector;
	book_remove(book, e, why);
	if (copy && selector)
		dismiss(book, copy, why);
	else if (copy && book->vacated)
		book->vacated(book, copy);
	free(copy);
	return 0;
}

bool book_of_schedule(const struct rule_entry *e)
{
	return !strcmp(e->source, "schedule");
}

unsigned int book_delete_all(struct book *book, bool keep_schedules)
{
	unsigned int n = 0;

	for (int i = 0; i < BOOK_BUCKETS; i++) {
		struct rule_entry **link = &book->bucket[i];

		while (*link) {
			if (keep_schedules && book_of_schedule(*link)) {
				link = &(*link)->next;
				continue;
			}
			n += !(*link)->by;
			book_remove(book, *link, "deleted");
		}
	}
	return n;
}

/* Of two rules for one target, a selector's is meant less than its own; one that is in force has
 * come with the container, where the other waited for the name; then the one that was set last. */
static bool means_more(const struct rule_entry *a, const struct rule_entry *b)
{
	if (!a->by != !b->by)
		return !a->by;
	if (a->in_force != b->in_force && a->container && b->container)
		return a->in_force;
	return a->version > b->version;
}

/* Where both names have a rule, one stays: see means_more(). */
void book_rename(struct book *book, const char *from, const char *to)
{
	struct rule_entry *e = book_find(book, from), *other = book_find(book, to), **link;
	char *name;

	if (json_object_del(book->ignored, from) == 0)
		json_object_set_new(book->ignored, to, json_true());
	if (!e || !(name = strdup(to)))
		return;
	if (other && means_more(other, e)) {
		/* One cgroup: the kernel has one rule of it, which is the other's. */
		if (e->in_force && other->in_force && e->cgroup_id == other->cgroup_id)
			e->in_force = false;
		book_remove(book, e, "deleted");
		free(name);
		return;
	}
	if (other) {
		if (other->in_force && e->in_force && e->cgroup_id == other->cgroup_id)
			other->in_force = false;
		book_remove(book, other, "deleted");
	}
	book_publish(book, "deleted", e, false);
	link = bucket_of(book, from);
	while (*link != e)
		link = &(*link)->next;
	*link = e->next;
	free(e->name);
	e->name = name;
	e->container = strncmp(name, "cgroup:", 7) != 0;
	link = bucket_of(book, to);
	e->next = *link;
	*link = e;
	book_changed(book, e);
	book_publish(book, "set", e, true);
}

bool book_ignored(struct book *book, const char *name)
{
	return json_object_get(book->ignored, name) != NULL;
}

void book_ignore(struct book *book, const char *name, bool on)
{
	if (on)
		json_object_set_new(book->ignored, name, json_true());
	else
		json_object_del(book->ignored, name);
	state_dirty(book->state, STATE_RULES);
}
