// SPDX-License-Identifier: GPL-2.0-only
#include "squalld/control/book.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "squalld/api/events.h"
#include "squalld/control/state.h"

#define BUCKETS 4096

struct book {
	struct rule_entry *bucket[BUCKETS];
	unsigned int n;
	uint64_t version, changes;
	json_t *ignored; /* object: names as keys */
};

static struct rule_entry **bucket_of(struct daemon *d, const char *name)
{
	uint32_t h = 2166136261u;

	for (; *name; name++)
		h = (h ^ (unsigned char)*name) * 16777619u;
	return &d->book->bucket[(h ^ h >> 16) % BUCKETS];
}

int book_init(struct daemon *d)
{
	d->book = calloc(1, sizeof(*d->book));
	if (!d->book)
		return -ENOMEM;
	d->book->version = now_real_ms() *
			   1000; /* more than a thousand changes a ms would be needed to repeat */
	d->book->ignored = json_object();
	return d->book->ignored ? 0 : -ENOMEM;
}

static void entry_free(struct rule_entry *e)
{
	for (int i = 0; i < SQ_MAX_CLAUSES; i++)
		json_decref(e->match[i]);
	free(e->name);
	free(e->cgroup);
	free(e);
}

void book_free(struct daemon *d)
{
	if (!d->book)
		return;
	for (int i = 0; i < BUCKETS; i++) {
		for (struct rule_entry *e = d->book->bucket[i], *next; e; e = next) {
			next = e->next;
			entry_free(e);
		}
	}
	json_decref(d->book->ignored);
	free(d->book);
	d->book = NULL;
}

struct rule_entry *book_find(struct daemon *d, const char *name)
{
	for (struct rule_entry *e = *bucket_of(d, name); e; e = e->next)
		if (strcmp(e->name, name) == 0)
			return e;
	return NULL;
}

static struct rule_entry *insert(struct daemon *d, const char *name)
{
	struct rule_entry **b = bucket_of(d, name), *e = calloc(1, sizeof(*e));

	if (!e || !(e->name = strdup(name))) {
		free(e);
		return NULL;
	}
	e->next = *b;
	*b = e;
	d->book->n++;
	return e;
}

static void drop(struct daemon *d, struct rule_entry *e)
{
	struct rule_entry **link = bucket_of(d, e->name);

	while (*link != e)
		link = &(*link)->next;
	*link = e->next;
	d->book->n--;
	entry_free(e);
}

unsigned int book_count(struct daemon *d)
{
	return d->book->n;
}

uint64_t book_changes(struct daemon *d)
{
	return d->book->changes;
}

int book_each(struct daemon *d, int (*fn)(struct rule_entry *e, void *arg), void *arg)
{
	for (int i = 0; i < BUCKETS; i++) {
		for (struct rule_entry *e = d->book->bucket[i], *next; e; e = next) {
			int rc;

			next = e->next;
			rc = fn(e, arg);
			if (rc)
				return rc;
		}
	}
	return 0;
}

/* --- JSON ------------------------------------------------------------------------- */

void book_etag(const struct rule_entry *e, char *buf, size_t size)
{
	snprintf(buf, size, "%llx", (unsigned long long)e->version);
}

static json_t *rule_json(const struct rule_entry *e)
{
	json_t *o = sq_rule_to_json(&e->rule, now_mono_ns());

	if (!o)
		return NULL;
	if (!e->in_force) {
		uint64_t now = now_real_ms();

		/* The kernel does not have it; the time goes on nevertheless. */
		if (e->expires_ms)
			json_object_set_new(
				o, "expires_in_ns",
				json_integer(
					e->expires_ms > now
						? (json_int_t)((e->expires_ms - now) * 1000000u)
						: 0));
	}
	return o;
}

json_t *book_entry_json(const struct rule_entry *e)
{
	char id[24], etag[48];

	snprintf(id, sizeof(id), "%llu", (unsigned long long)e->cgroup_id);
	book_etag(e, etag, sizeof(etag));
	return json_pack("{s:o,s:o,s:o,s:b,s:b,s:o,s:s}", "target", json_text(e->name), "id",
			 e->in_force ? json_string(id) : json_null(), "rule", rule_json(e),
			 "on_restart", 1, "in_force", (int)e->in_force, "source",
			 json_text(e->source), "etag", etag);
}

static void publish(struct daemon *d, const char *action, const struct rule_entry *e,
		    bool with_rule)
{
	json_t *o;

	if (!events_listening(d))
		return;
	o = book_entry_json(e);
	json_object_set_new(o, "action", json_string(action));
	if (!with_rule)
		json_object_set_new(o, "rule", json_null());
	events_publish(d, "rule", o);
}

/* --- changes ------------------------------------------------------------------------ */

static void changed(struct daemon *d, struct rule_entry *e)
{
	e->version = ++d->book->version;
	d->book->changes++;
	state_dirty(d, STATE_RULES);
}

static void remember_matches(struct rule_entry *e)
{
	json_t *o = sq_rule_to_json(&e->rule, now_mono_ns()),
	       *clauses = json_object_get(o, "clauses");

	for (size_t i = 0; i < SQ_MAX_CLAUSES; i++) {
		json_decref(e->match[i]);
		e->match[i] = json_incref(json_object_get(json_array_get(clauses, i), "match"));
	}
	json_decref(o);
}

/* Into the kernel, with what is left of the rule's time. */
static int enforce(struct daemon *d, struct rule_entry *e, uint64_t id, struct problem *p)
{
	struct sq_rule want = e->rule, got;
	uint64_t asked = want.for_ns;
	int rc;

	if (e->expires_ms) {
		uint64_t now = now_real_ms();

		if (now >= e->expires_ms)
			return fail(p, -ESTALE, "for", "for: the rule's time is over");
		want.for_ns = (e->expires_ms - now) * 1000000u;
		if (want.for_ns > asked)
			want.for_ns = asked;
	}
	rc = engine_set_rule(d->engine, id, &want, &got, &p->error);
	if (rc < 0) {
		p->code = rc;
		return rc;
	}
	got.for_ns = asked;
	e->rule = got;
	e->cgroup_id = id;
	e->in_force = true;
	return 0;
}

int book_set(struct daemon *d, const struct target *t, const struct sq_rule *rule,
	     const char *source, struct rule_entry **ret, struct problem *p)
{
	struct rule_entry *e = book_find(d, t->name);
	struct sq_rule got;
	bool fresh = !e;
	int rc;

	if (fresh && d->book->n >= SQ_MAX_RULES)
		return fail(p, -ENOSPC, "target",
			    "target: there are %u rules already, the most there can be",
			    SQ_MAX_RULES);
	if (fresh) {
		e = insert(d, t->name); /* before the kernel has it: nothing to undo there */
		if (!e)
			return fail(p, -ENOMEM, "", "out of memory");
	}
	rc = engine_set_rule(d->engine, t->id, rule, &got, &p->error);
	if (rc < 0) {
		p->code = rc;
		if (fresh)
			drop(d, e);
		return rc;
	}
	/* One cgroup, one rule: a container that was ruled under another name (renamed while we
	 * were away). */
	e->rule = got;
	e->container = t->c != NULL;
	e->cgroup_id = t->id;
	e->in_force = true;
	e->expires_ms = rule->for_ns ? now_real_ms() + (rule->for_ns + 999999u) / 1000000u : 0;
	snprintf(e->source, sizeof(e->source), "%s", source);
	if (!e->cgroup || strcmp(e->cgroup, t->cgroup) != 0) {
		free(e->cgroup);
		e->cgroup = strdup(t->cgroup);
	}
	remember_matches(e);
	changed(d, e);
	publish(d, "set", e, true);
	if (ret)
		*ret = e;
	return 0;
}

static void remove_entry(struct daemon *d, struct rule_entry *e, const char *why)
{
	if (e->in_force)
		engine_delete_rule(d->engine, e->cgroup_id);
	log_debug("rule of %s %s", e->name, why);
	publish(d, why, e, false);
	changed(d, e);
	drop(d, e);
}

int book_delete(struct daemon *d, const char *name, const char *why)
{
	struct rule_entry *e = book_find(d, name);

	if (!e)
		return -ENOENT;
	remove_entry(d, e, why);
	return 0;
}

unsigned int book_delete_all(struct daemon *d)
{
	unsigned int n = 0;

	for (int i = 0; i < BUCKETS; i++) {
		while (d->book->bucket[i]) {
			remove_entry(d, d->book->bucket[i], "deleted");
			n++;
		}
	}
	return n;
}

void book_rename(struct daemon *d, const char *from, const char *to)
{
	struct rule_entry *e = book_find(d, from), *other, **link;
	char *name;

	if (!e || !(name = strdup(to)))
		return;
	other = book_find(d, to);
	if (other)
		remove_entry(d, other, "deleted");
	link = bucket_of(d, from);
	while (*link != e)
		link = &(*link)->next;
	*link = e->next;
	free(e->name);
	e->name = name;
	link = bucket_of(d, to);
	e->next = *link;
	*link = e;
	changed(d, e);
}

void book_target_here(struct daemon *d, struct container *c)
{
	struct rule_entry *e = book_find(d, c->name);
	struct problem p = {0};

	if (!e || (e->in_force && e->cgroup_id == c->cgroup_id))
		return;
	if (e->in_force) /* it was started again while we were away */
		engine_delete_rule(d->engine, e->cgroup_id);
	e->in_force = false;
	free(e->cgroup);
	e->cgroup = strdup(c->cgroup);
	e->container = true;
	if (enforce(d, e, c->cgroup_id, &p) < 0) {
		if (p.code == -ESTALE) {
			remove_entry(d, e, "expired");
			return;
		}
		log_warn("rule of %s could not be put back: %s", c->name, p.error.text);
		return;
	}
	log_info("container %s is here again: its rule (%s) is in force", c->name, e->source);
	changed(d, e);
	publish(d, "restored", e, true);
}

void book_target_gone(struct daemon *d, const char *name, uint64_t cgroup_id)
{
	struct rule_entry *e = book_find(d, name);

	if (!e || !e->in_force || e->cgroup_id != cgroup_id)
		return;
	engine_delete_rule(d->engine, cgroup_id);
	e->in_force = false;
	changed(d, e);
	publish(d, "suspended", e, true);
}

void book_container_destroyed(struct daemon *d, const char *name)
{
	struct rule_entry *e = book_find(d, name);

	/* A label is a property of the container; what someone asked for by name is not. */
	if (e && strcmp(e->source, "label") == 0)
		remove_entry(d, e, "deleted");
}

/* --- once a second -------------------------------------------------------------------- */

static int tick_one(struct rule_entry *e, void *arg)
{
	struct daemon *d = arg;
	struct problem p = {0};
	uint64_t id;

	if ((e->in_force && e->rule.expires_ns && now_mono_ns() >= e->rule.expires_ns) ||
	    (e->expires_ms && now_real_ms() >= e->expires_ms)) {
		log_info("rule of %s has expired", e->name);
		remove_entry(d, e, "expired");
		return 0;
	}
	if (e->container) {
		char path[TARGET_NAME_MAX];

		if (e->in_force && engine_cgroup_path(e->cgroup_id, path, sizeof(path)) == -ENOENT)
			book_target_gone(d, e->name, e->cgroup_id);
		return 0;
	}
	if (!e->cgroup)
		return 0;
	if (engine_cgroup_id(e->cgroup, &id, &p.error) < 0) {
		if (e->in_force) {
			log_info("%s is gone; its rule waits for it", e->name);
			book_target_gone(d, e->name, e->cgroup_id);
		}
		return 0;
	}
	if (e->in_force && e->cgroup_id == id)
		return 0;
	if (e->in_force)
		book_target_gone(d, e->name, e->cgroup_id);
	if (enforce(d, e, id, &p) == 0) {
		log_info("%s is here again: its rule is in force", e->name);
		changed(d, e);
		publish(d, "restored", e, true);
	}
	return 0;
}

void book_tick(struct daemon *d)
{
	book_each(d, tick_one, d);
}

static int is_keep(struct rule_entry *e, void *arg)
{
	(void)arg;
	return e->in_force && (e->rule.flags & SQ_R_KEEP);
}

bool book_any_keep(struct daemon *d)
{
	return book_each(d, is_keep, NULL) != 0;
}

bool book_ignored(struct daemon *d, const char *name)
{
	return json_object_get(d->book->ignored, name) != NULL;
}

void book_ignore(struct daemon *d, const char *name, bool on)
{
	if (on)
		json_object_set_new(d->book->ignored, name, json_true());
	else
		json_object_del(d->book->ignored, name);
	state_dirty(d, STATE_RULES);
}

/* --- state ------------------------------------------------------------------------------ */

static int save_one(struct rule_entry *e, void *arg)
{
	json_t *rule = sq_rule_to_json(&e->rule, now_mono_ns());
	char id[24];

	if (!rule)
		return -ENOMEM;
	if (!(e->rule.flags & SQ_R_SEED_GIVEN))
		json_object_del(rule, "seed");
	snprintf(id, sizeof(id), "%llu", (unsigned long long)e->cgroup_id);
	json_array_append_new(
		arg, json_pack("{s:o,s:s,s:s,s:o,s:o,s:o,s:I}", "target", json_text(e->name),
			       "kind", e->container ? "container" : "cgroup", "id", id, "cgroup",
			       json_text(e->cgroup), "source", json_text(e->source), "rule", rule,
			       "expires_ms", (json_int_t)e->expires_ms));
	return 0;
}

json_t *book_save(struct daemon *d, bool clean)
{
	json_t *list = json_array();

	book_each(d, save_one, list);
	return json_pack("{s:b,s:s,s:o,s:O}", "clean", (int)clean, "boot_id", state_boot_id(),
			 "rules", list, "ignored", d->book->ignored);
}

struct restore {
	struct daemon *d;
	bool same_run; /* the pins of this state file's squalld may still be there */
	unsigned int adopted, restored, waiting;
};

/* A rule that the kernel has: it is the truth. */
static int adopt_one(const struct sq_rule *rule, void *arg)
{
	struct restore *x = arg;
	struct daemon *d = x->d;
	struct rule_entry *e = NULL;
	char path[TARGET_NAME_MAX], name[TARGET_NAME_MAX + 8];

	for (int i = 0; i < BUCKETS && !e; i++)
		for (e = d->book->bucket[i]; e && e->cgroup_id != rule->target; e = e->next)
			;
	if (!e) {
		if (engine_cgroup_path(rule->target, path, sizeof(path)) < 0)
			return 0;
		snprintf(name, sizeof(name), "cgroup:%s", path);
		e = insert(d, name);
		if (!e)
			return -ENOMEM;
		e->cgroup = strdup(path);
		e->cgroup_id = rule->target;
		strcpy(e->source, "api");
	}
	e->rule = *rule;
	e->in_force = true;
	e->expires_ms = 0;
	if (rule->expires_ns) {
		uint64_t now = now_mono_ns();

		e->expires_ms = now_real_ms() +
				(rule->expires_ns > now ? (rule->expires_ns - now) / 1000000u : 0);
	}
	e->version = ++d->book->version;
	remember_matches(e);
	x->adopted++;
	return 0;
}

static int load_one(struct daemon *d, const json_t *o, struct rule_entry **ret, struct problem *p)
{
	const char *name = json_string_value(json_object_get(o, "target"));
	const char *id = json_string_value(json_object_get(o, "id"));
	const char *source = json_string_value(json_object_get(o, "source"));
	const char *kind = json_string_value(json_object_get(o, "kind"));
	const char *cgroup = json_string_value(json_object_get(o, "cgroup"));
	uint64_t expires = (uint64_t)json_integer_value(json_object_get(o, "expires_ms"));
	struct sq_rule rule;
	struct rule_entry *e;

	if (!name || !kind)
		return fail(p, -EINVAL, "target", "target: a name and a kind are expected");
	if (sq_rule_from_json(json_object_get(o, "rule"), &rule, &p->error) < 0)
		return p->code = -EINVAL;
	if (expires && expires <= now_real_ms())
		return fail(p, -ESTALE, "for", "for: the rule's time is over");
	if (book_find(d, name))
		return fail(p, -EEXIST, "target", "target: %.200s has a rule", name);
	e = insert(d, name);
	if (!e)
		return fail(p, -ENOMEM, "", "out of memory");
	e->rule = rule;
	e->cgroup_id = id ? strtoull(id, NULL, 10) : 0;
	e->cgroup = cgroup ? strdup(cgroup) : NULL;
	e->container = strcmp(kind, "container") == 0;
	e->expires_ms = expires;
	e->version = ++d->book->version;
	snprintf(e->source, sizeof(e->source), "%s", source ? source : "api");
	remember_matches(e);
	*ret = e;
	return 0;
}

int book_put_back(struct daemon *d, const json_t *saved, struct problem *p)
{
	struct rule_entry *e;
	struct problem none = {0};
	struct target t;
	int rc = load_one(d, saved, &e, p);

	if (rc < 0)
		return rc;
	rc = target_resolve(d, e->name, &t, &none);
	json_decref(none.candidates);
	if (rc == 0 && t.id)
		rc = enforce(d, e, t.id, p);
	else
		rc = 0; /* it waits */
	if (rc < 0) {
		drop(d, e);
		return rc;
	}
	changed(d, e);
	publish(d, "restored", e, true);
	return 0;
}

static int place_one(struct rule_entry *e, void *arg)
{
	struct restore *x = arg;
	struct problem p = {0};
	char path[TARGET_NAME_MAX];
	uint64_t id;

	if (e->in_force)
		return 0;
	/* The same boot, a squalld that was killed, a target that is still there, and the kernel
	 * has no rule for it: it was deleted or expired, and the state file had not been written
	 * yet. */
	if (x->same_run && e->cgroup_id &&
	    engine_cgroup_path(e->cgroup_id, path, sizeof(path)) == 0) {
		log_info("rule of %s was gone from the kernel: forgotten", e->name);
		drop(x->d, e);
		return 0;
	}
	if (e->container || !e->cgroup || engine_cgroup_id(e->cgroup, &id, &p.error) < 0) {
		x->waiting++;
		return 0;
	}
	if (enforce(x->d, e, id, &p) < 0) {
		log_warn("rule of %s could not be put back: %s", e->name, p.error.text);
		return 0;
	}
	x->restored++;
	return 0;
}

int book_restore(struct daemon *d, json_t *saved)
{
	struct restore x = {.d = d};
	json_t *one, *ignored = json_object_get(saved, "ignored");
	const char *boot = json_string_value(json_object_get(saved, "boot_id"));
	struct rule_entry *e;
	size_t i;
	int rc;

	json_array_foreach(json_object_get(saved, "rules"), i, one)
	{
		struct problem p = {0};

		if (load_one(d, one, &e, &p) < 0)
			log_line(p.code == -ESTALE ? LOG_L_INFO : LOG_L_WARN,
				 "state: rule of %s set aside: %s",
				 json_string_value(json_object_get(one, "target"))
					 ? json_string_value(json_object_get(one, "target"))
					 : "(no name)",
				 p.error.text);
	}
	if (json_is_object(ignored))
		json_object_update(d->book->ignored, ignored);
	rc = engine_each_rule(d->engine, adopt_one, &x);
	x.same_run = saved && !json_is_true(json_object_get(saved, "clean")) && boot &&
		     strcmp(boot, state_boot_id()) == 0;
	book_each(d, place_one, &x);
	if (x.adopted || x.restored || x.waiting)
		log_info("rules: %u adopted from the kernel, %u restored, %u wait for their target",
			 x.adopted, x.restored, x.waiting);
	d->book->changes = 0;
	state_dirty(d, STATE_RULES);
	return rc;
}
