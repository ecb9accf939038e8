// SPDX-License-Identifier: GPL-2.0-only
/*
 * Many rules by one request: `squall batch` sends its rules so. A request of its own costs each
 * about as much as the rule.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "squalld/api/api.h"
#include "squalld/control/book.h"
#include "squalld/control/members.h"
#include "squalld/control/state.h"

/* One of many. */
struct asked {
	const char *target; /* the body's */
	struct sq_rule rule;
	struct held held;
};

static int ask_one(struct api *a, const json_t *o, struct asked *ret, struct sq_error *p)
{
	static const char *const keys[] = {"target", "rule", NULL};
	const json_t *rule = json_object_get(o, "rule");

	ret->target = json_string_value(json_object_get(o, "target"));
	if (!json_is_object(o) || !ret->target || !json_is_object(rule))
		return sq_error_set(p, -EINVAL, NULL,
				    "\"target\", a name, and \"rule\", an object, are expected");
	if (!json_only_keys(o, keys, p))
		return p->code;
	if (sq_rule_from_json(rule, &ret->rule, p) < 0)
		return p->code == -E2BIG ? -E2BIG : (p->code = -EINVAL);
	return rule_hold(a, ret->target, &ret->held, p);
}

/* In order, with the lock held once; n is set to how many are in force. */
static int set_many(struct request *r, struct asked *asked, size_t *n, json_t *list,
		    bool *ret_selects, struct sq_error *p)
{
	struct api *a = api_of(r);
	size_t all = *n;
	int rc = 0;

	pthread_mutex_lock(a->lock);
	for (*n = 0; *n < all; ++*n) {
		struct asked *one = &asked[*n];
		struct rule_entry *e = NULL;

		rc = rule_held(r, one->target, &one->held, &e, p);
		if (!rc)
			rc = rule_set(a->book, one->target, &one->rule, "api", &e, p);
		if (rc < 0)
			break;
		rule_audit(r, e);
		*ret_selects |= e->selector != NULL;
		if (list)
			json_array_append_new(list, rule_entry_json(a->book, e));
	}
	pthread_mutex_unlock(a->lock);
	return rc < 0 ? rc : 0;
}

#define MANY_MAX 1000

/* PUT /api/v1/rules {"rules":[{"target":NAME,"rule":RULE}...]}: all are looked at before one is
 * set. */
enum MHD_Result api_rules_put(struct request *r, const char *name)
{
	static const char *const keys[] = {"rules", NULL};
	struct sq_error p = {0};
	json_t *body = request_json(r, &p), *rules = json_object_get(body, "rules");
	size_t all = json_array_size(rules), n = 0, set = 0;
	struct asked *asked = all && all <= MANY_MAX ? calloc(all, sizeof(*asked)) : NULL;
	json_t *list = NULL, *o = NULL;
	char few[4] = "", where[32];
	bool of_one, selects = false; /* of_one: what is wrong */
	int rc = body && json_only_keys(body, keys, &p) ? 0 : p.code;

	(void)name;
	if (strstr(r->query, "entries") &&
	    (!request_query(r, "entries", few, sizeof(few)) || strcmp(few, "0") != 0))
		rc = sq_error_set(&p, -EINVAL, "entries", "only 0 is accepted");
	if (!rc && (!all || all > MANY_MAX))
		rc = sq_error_set(&p, -EINVAL, "rules", "a list of 1 to %d is expected", MANY_MAX);
	if (!rc && !asked)
		rc = sq_error_set(&p, -ENOMEM, NULL, "out of memory");
	of_one = !rc;
	for (; !rc && n < all; n += !rc)
		rc = ask_one(api_of(r), json_array_get(rules, n), &asked[n], &p);
	if (!rc) {
		list = few[0] ? NULL : json_array();
		set = all;
		rc = set_many(r, asked, &set, list, &selects, &p);
		n = rc ? set : n;
	}
	for (size_t i = 0; asked && i < all; i++)
		rule_release(api_of(r), &asked[i].held);
	/* Of those that come later only the file knows. */
	if (selects)
		state_flush(api_of(r)->state, STATE_RULES);
	if (!rc)
		o = list ? json_pack("{s:I,s:o}", "set", (json_int_t)set, "rules", list)
			 : json_pack("{s:I}", "set", (json_int_t)set);
	else if (of_one) {
		snprintf(where, sizeof(where), "rules[%zu]", n);
		sq_error_within(&p, where);
		if (set)
			snprintf(p.text + strlen(p.text), sizeof(p.text) - strlen(p.text),
				 "; the %zu before it are in force", set);
		json_decref(list);
	}
	json_decref(body);
	free(asked);
	return o ? reply_json(r, 200, o) : reply_problem(r, &p);
}
