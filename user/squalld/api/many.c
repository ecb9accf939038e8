// SPDX-License-Identifier: GPL-2.0-only
/*
 * Many rules by one request: `squall batch` sends its rules so, a request of its own costs each
 * about as much as the rule; and the panel whatever it wants to have back by one undo.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "squalld/api/api.h"
#include "squalld/base/log.h"
#include "squalld/control/book.h"
#include "squalld/control/clear.h"
#include "squalld/control/members.h"
#include "squalld/control/selector.h"
#include "squalld/control/state.h"
#include "squalld/kernel/kernel.h"

/* One of many. */
struct asked {
	const char *target;   /* the body's */
	bool none;	      /* no rule */
	struct sq_rule *rule; /* as much of it as says something, see sq_rule_used() */
	struct held held;
};

struct many {
	struct asked *asked;
	size_t all, n, set; /* n: which is looked at; set: how many are in force */
	bool undo;	    /* all or none, with an undo */
	bool selects;	    /* one of them is a selector's */
	bool brief;	    /* see brief_json() */
	json_t *list;	    /* of what is in force; may be NULL */
	struct cleared cleared;
};

static int ask_one(struct api *a, const json_t *o, bool undo, struct asked *ret, struct sq_error *p)
{
	static const char *const keys[] = {"target", "rule", NULL};
	const json_t *rule = json_object_get(o, "rule");
	struct sq_rule whole;

	ret->target = json_string_value(json_object_get(o, "target"));
	ret->none = undo && json_is_null(rule);
	if (!json_is_object(o) || !ret->target || !(json_is_object(rule) || ret->none))
		return sq_error_set(p, -EINVAL, NULL,
				    "\"target\", a name, and \"rule\", an object, are expected%s",
				    json_is_null(rule) ? "; null, no rule, goes with \"undo\": true"
						       : "");
	if (!json_only_keys(o, keys, p))
		return p->code;
	if (ret->none)
		return 0;
	if (sq_rule_from_json(rule, &whole, p) < 0)
		return p->code == -E2BIG ? -E2BIG : (p->code = -EINVAL);
	ret->rule = malloc(sq_rule_used(&whole));
	if (!ret->rule)
		return sq_error_set(p, -ENOMEM, NULL, "out of memory");
	memcpy(ret->rule, &whole, sq_rule_used(&whole));
	return rule_hold(a, ret->target, &ret->held, p);
}

/* As the book calls it: who has no rule any more may be gone. */
static int own_name(struct api *a, const struct asked *one, char *buf, size_t size,
		    struct sq_error *p)
{
	struct selector s;
	struct target t;

	if (selector_is(one->target)) {
		if (selector_parse(one->target, &s, p) < 0)
			return p->code;
		snprintf(buf, size, "%s", s.text);
		return 0;
	}
	if (one->none && book_find(a->book, one->target)) {
		snprintf(buf, size, "%s", one->target);
		return 0;
	}
	if (target_resolve(a->targets, one->target, &t, p) < 0)
		return p->code;
	snprintf(buf, size, "%s", t.name);
	return 0;
}

/* What would keep them from being what is asked ends, and what they have is kept for the undo. */
static int begin(struct request *r, struct many *m, struct sq_error *p)
{
	struct api *a = api_of(r);
	json_t *names = json_object();
	char name[TARGET_NAME_MAX + 8];
	struct target t;

	for (m->n = 0; m->n < m->all; m->n++) {
		const struct asked *one = &m->asked[m->n];
		struct rule_entry *e;

		if (own_name(a, one, name, sizeof(name), p) < 0)
			break;
		e = book_find(a->book, name);
		if (!one->none && rule_held(r, one->target, &one->held, &t, &e, p) < 0)
			break;
		if (one->none && e && e->by) {
			sq_error_set(p, -EEXIST, "target",
				     "the rule of %.200s is that of %.200s: delete that one, or "
				     "set a rule of its own",
				     name, e->by);
			break;
		}
		json_object_set_new(names, name, one->none ? json_null() : json_true());
	}
	if (!p->code)
		clear_some(a->clear, names, &m->cleared);
	json_decref(names);
	return p->code;
}

static int set_one(struct request *r, const struct many *m, struct asked *one,
		   struct rule_entry **ret, struct sq_error *p)
{
	struct api *a = api_of(r);
	struct sq_rule rule = {0};
	struct target t;
	int rc = m->undo ? 0 : rule_held(r, one->target, &one->held, &t, ret, p);

	if (rc < 0)
		return rc;
	sq_rule_copy(&rule, one->rule);
	return m->undo || selector_is(one->target)
		       ? rule_set(a->book, one->target, &rule, "api", ret, p)
		       : book_set(a->book, &t, &rule, "api", ret, p);
}

/* Whom, and what: as JSON whole a rule takes longer to tell than to set. A selector's is whole. */
static json_t *brief_json(const struct rule_entry *e)
{
	return json_pack("{s:o,s:{s:o}}", "target", json_text(e->name), "rule", "text",
			 json_text(e->text));
}

/* In order, with the lock held once. */
static int set_many(struct request *r, struct many *m, struct sq_error *p)
{
	struct api *a = api_of(r);
	json_t *back = NULL;
	int rc = 0;

	log_keep();
	pthread_mutex_lock(a->lock);
	if (m->undo)
		rc = begin(r, m, p);
	for (m->n = rc ? m->n : 0; !rc && m->n < m->all; m->n++) {
		struct asked *one = &m->asked[m->n];
		struct rule_entry *e = NULL;

		if (one->none)
			continue;
		rc = set_one(r, m, one, &e, p);
		if (rc < 0)
			break;
		m->set++;
		rule_audit(r, e);
		m->selects |= e->selector != NULL;
		if (m->undo)
			clear_set(a->clear, e->name, e->version);
		if (m->list)
			json_array_append_new(m->list, m->brief && !e->selector
							       ? brief_json(e)
							       : rule_entry_json(a->book, e));
	}
	if (rc < 0 && m->cleared.undo) {
		struct sq_error none = {0};

		clear_undo(a->clear, m->cleared.undo, &back, &none);
	}
	pthread_mutex_unlock(a->lock);
	log_write();
	json_decref(back);
	return rc < 0 ? rc : 0;
}

#define MANY_MAX   1000
#define AHEAD_FROM 32 /* first rules: a thread costs as much as some */

/* What the kernel has to make for first rules is made by a thread of its own while their targets
 * are looked at: on two cores a batch of new rules takes two thirds of the time. */
struct ahead {
	struct engine *engine;
	unsigned int n;
	atomic_bool stop;
	bool runs;
	pthread_t thread;
};

static void *ahead_main(void *arg)
{
	struct ahead *x = arg;

	pthread_setname_np(pthread_self(), "ahead");
	engine_make_ahead(x->engine, x->n, &x->stop);
	return NULL;
}

static void ahead_start(struct api *a, const json_t *rules, struct ahead *ret)
{
	const char *name;
	const json_t *o;
	size_t i;

	*ret = (struct ahead){.engine = a->engine};
	pthread_mutex_lock(a->lock);
	json_array_foreach(rules, i, o)
	{
		name = json_string_value(json_object_get(o, "target"));
		ret->n += name && json_is_object(json_object_get(o, "rule")) &&
			  !book_find(a->book, name);
	}
	pthread_mutex_unlock(a->lock);
	ret->runs = ret->n >= AHEAD_FROM && !pthread_create(&ret->thread, NULL, ahead_main, ret);
}

static void ahead_end(struct ahead *x)
{
	if (!x->runs)
		return;
	x->stop = true;
	pthread_join(x->thread, NULL);
	engine_drop_ahead(x->engine);
}

static int asked_for(struct request *r, const json_t *body, struct many *ret, struct sq_error *p)
{
	static const char *const keys[] = {"rules", "undo", NULL};
	json_t *undo = json_object_get(body, "undo");
	char few[8] = "";

	if (!json_only_keys(body, keys, p))
		return p->code;
	if (strstr(r->query, "entries") && (!request_query(r, "entries", few, sizeof(few)) ||
					    (strcmp(few, "0") != 0 && strcmp(few, "brief") != 0)))
		return sq_error_set(p, -EINVAL, "entries",
				    "0 (none is told) or brief (each by target and text) is "
				    "accepted");
	if (undo && !json_is_boolean(undo))
		return sq_error_set(p, -EINVAL, "undo", "true or false is expected");
	ret->all = json_array_size(json_object_get(body, "rules"));
	if (!ret->all || ret->all > MANY_MAX)
		return sq_error_set(p, -EINVAL, "rules", "a list of 1 to %d is expected", MANY_MAX);
	ret->undo = json_is_true(undo);
	ret->asked = calloc(ret->all, sizeof(*ret->asked));
	if (!ret->asked)
		return sq_error_set(p, -ENOMEM, NULL, "out of memory");
	ret->brief = few[0] == 'b';
	ret->list = few[0] == '0' ? NULL : json_array();
	return 0;
}

static json_t *answer_of(const struct many *m)
{
	json_t *o = json_pack("{s:I}", "set", (json_int_t)m->set);
	char undo[24];

	snprintf(undo, sizeof(undo), "%llu", (unsigned long long)m->cleared.undo);
	if (m->undo)
		json_object_update_new(o, json_pack("{s:i,s:i,s:s}", "deleted",
						    (int)m->cleared.deleted, "schedules",
						    (int)m->cleared.schedules, "undo", undo));
	if (m->list)
		json_object_set(o, "rules", m->list);
	return o;
}

/* PUT /api/v1/rules {"rules":[{"target":NAME,"rule":RULE}...]}: all are looked at before one is
 * set. */
enum MHD_Result api_rules_put(struct request *r, const char *name)
{
	struct sq_error p = {0};
	json_t *body = request_json(r, &p), *o;
	struct many m = {0};
	struct ahead ahead = {0};
	bool of_one; /* what is wrong */
	char where[32];
	int rc = body ? asked_for(r, body, &m, &p) : p.code;

	(void)name;
	of_one = !rc;
	if (!rc)
		ahead_start(api_of(r), json_object_get(body, "rules"), &ahead);
	for (; !rc && m.n < m.all; m.n += !rc)
		rc = ask_one(api_of(r), json_array_get(json_object_get(body, "rules"), m.n), m.undo,
			     &m.asked[m.n], &p);
	if (!rc)
		rc = set_many(r, &m, &p);
	ahead_end(&ahead);
	/* Who was held last is found first. */
	for (size_t i = m.asked ? m.all : 0; i-- > 0;) {
		rule_release(api_of(r), &m.asked[i].held);
		free(m.asked[i].rule);
	}
	/* Of those that come later, and of those that wait, only the file knows. */
	if (m.selects || m.cleared.undo)
		state_flush(api_of(r)->state, STATE_RULES | STATE_SCHEDULES);
	o = rc ? NULL : answer_of(&m);
	if (of_one && rc) {
		snprintf(where, sizeof(where), "rules[%zu]", m.n);
		sq_error_within(&p, where);
		if (m.set && !m.undo)
			snprintf(p.text + strlen(p.text), sizeof(p.text) - strlen(p.text),
				 "; the %zu before it are in force", m.set);
	}
	json_decref(m.list);
	json_decref(body);
	free(m.asked);
	return o ? reply_json(r, 200, o) : reply_problem(r, &p);
}
