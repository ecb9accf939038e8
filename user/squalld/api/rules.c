// SPDX-License-Identifier: GPL-2.0-only
/* Rules of targets. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lib/clock.h"
#include "lib/cgroup.h"
#include "squalld/base/log.h"
#include "squalld/api/api.h"
#include "squalld/api/explain.h"
#include "squalld/control/book.h"
#include "squalld/control/members.h"
#include "squalld/control/profiles.h"
#include "squalld/control/state.h"
#include "squalld/kernel/kernel.h"

#define FOR_MAX_NS (1ll << 62) /* as a rule's own */

static json_t *lo_note(const char *why)
{
	return json_sprintf("loopback (lo) is not attached (%s): what a target sends there passes",
			    why);
}

struct listing {
	struct engine *engine;
	struct book *book;
	json_t *list;
	const char *passes; /* why packets of one of them pass over loopback, or NULL */
};

/* A selector's with whom it rules. */
json_t *rule_entry_json(struct book *book, const struct rule_entry *e)
{
	json_t *o = book_entry_json(e);

	if (o && e->selector)
		members_json(book, e, o);
	return o;
}

static int append_one(struct rule_entry *e, void *arg)
{
	struct listing *l = arg;

	if (!e->by)
		json_array_append_new(l->list, rule_entry_json(l->book, e));
	if (e->in_force && !l->passes)
		l->passes = engine_lo_passes(l->engine, e->cgroup_id, true);
	return 0;
}

enum MHD_Result api_rules(struct request *r, const char *name)
{
	struct listing l = {
		.engine = api_of(r)->engine, .book = api_of(r)->book, .list = json_array()};
	json_t *o = json_pack("{s:o}", "rules", l.list);

	(void)name;
	pthread_mutex_lock(api_of(r)->lock);
	book_each(api_of(r)->book, append_one, &l);
	pthread_mutex_unlock(api_of(r)->lock);
	if (l.passes)
		json_object_set_new(o, "notes", json_pack("[o]", lo_note(l.passes)));
	return reply_json(r, 200, o);
}

void api_audit(struct request *r, const char *what, const char *name, const char *change)
{
	log_info("%s %s: %s, by %s", what, name, change, request_who(r));
}

void rule_audit(struct request *r, const struct rule_entry *e)
{
	bool named = strcmp(e->source, "api") != 0;
	char change[700];

	snprintf(change, sizeof(change), "set to %s%s%s", e->text ? e->text : "",
		 named ? " by " : "", named ? e->source : "");
	api_audit(r, "rule of", e->name, change);
}

/*
 * A target's rule, or NULL with p: there is no such target, or it has no rule.
 * The target itself may be gone: its rule is still in the book, by name.
 */
static struct rule_entry *ruled(struct request *r, const char *name, struct sq_error *p)
{
	struct selector s;
	struct target t;
	struct rule_entry *e;
	int rc;

	if (selector_is(name)) {
		rc = selector_parse(name, &s, p);
		e = rc == 0 ? book_find(api_of(r)->book, s.text) : NULL;
		if (rc == 0 && !e)
			sq_error_set(p, -ENOENT, "target", "%.200s has no rule", s.text);
		return e;
	}
	rc = target_resolve(api_of(r)->targets, name, &t, p);
	e = book_find(api_of(r)->book, rc == 0 ? t.name : name);
	if (e) {
		json_decref(p->candidates);
		memset(p, 0, sizeof(*p));
	} else if (rc == 0) {
		sq_error_set(p, -ENOENT, "target", "%.200s has no rule", t.name);
	}
	return e;
}

/* One entity tag of a list, weak or strong; "*" is any. */
static bool tag_in(const char *list, const char *etag)
{
	size_t len = strlen(etag);

	if (strcmp(list, "*") == 0)
		return true;
	for (const char *q = strchr(list, '"'); q; q = strchr(q + 1, '"')) {
		const char *end = strchr(q + 1, '"');

		if (!end)
			return false;
		if ((size_t)(end - q - 1) == len && memcmp(q + 1, etag, len) == 0)
			return true;
		q = end;
	}
	return false;
}

static int check_preconditions(struct request *r, const struct rule_entry *e, struct sq_error *p)
{
	const char *match = request_header(r, "If-Match"),
		   *none = request_header(r, "If-None-Match");
	char etag[48] = "";

	if (e)
		book_etag(e, etag, sizeof(etag));
	if (match && (!e || !tag_in(match, etag)))
		return sq_error_set(p, -ESTALE, "If-Match",
				    "the rule has changed since, it is now %s%s%s",
				    e ? "\"" : "none", etag, e ? "\"" : "");
	if (none && e && tag_in(none, etag))
		return sq_error_set(p, -ESTALE, "If-None-Match", "there is a rule already");
	return 0;
}

/* Which of its packets will pass all the same, and why: for ?notes=1, since it is looked up in the
 * target's tables of sockets, 10 ms for a few processes, where a rule is set in 0.1. */
static json_t *with_notes(struct request *r, const char *target, json_t *entry)
{
	char asked[8];
	json_t *notes = request_query(r, "notes", asked, sizeof(asked)) && strcmp(asked, "1") == 0
				? explain_notes(api_of(r), target)
				: NULL;

	if (notes)
		json_object_set_new(entry, "notes", notes);
	return entry;
}

static enum MHD_Result reply_entry(struct request *r, unsigned int status, struct rule_entry *e)
{
	book_etag(e, r->etag, sizeof(r->etag));
	return reply_json(r, status, rule_entry_json(api_of(r)->book, e));
}

enum MHD_Result api_rule_get(struct request *r, const char *name)
{
	const char *none = request_header(r, "If-None-Match");
	struct sq_error p = {0};
	enum MHD_Result result;
	struct rule_entry *e;

	pthread_mutex_lock(api_of(r)->lock);
	e = ruled(r, name, &p);
	if (!e) {
		result = reply_problem(r, &p);
	} else {
		book_etag(e, r->etag, sizeof(r->etag));
		result = none && tag_in(none, r->etag) ? reply_empty(r, 304)
						       : reply_entry(r, 200, e);
	}
	pthread_mutex_unlock(api_of(r)->lock);
	return result;
}

/* The network a container does not have cannot be faulted, and saying "set" would be a lie. It gets
 * two seconds for its interfaces to be seen. */
static bool wants_network(const struct target *t)
{
	return t->c && t->c->network_mode && strcmp(t->c->network_mode, "none") == 0 &&
	       sq_mono_ns() - t->c->started_ns >= 2000000000u;
}

static int has_network(struct api *a, const struct target *t, struct sq_error *p)
{
	json_t *view = engine_target_view(a->engine, t->id);
	size_t n = json_array_size(json_object_get(view, "interfaces"));

	json_decref(view);
	return n ? 0
		 : sq_error_set(p, -ENOTCONN, "target",
				"container %.100s has no network interface (network mode none)",
				t->name);
}

/* ?hold=1: the rule goes with the connection that it comes by. */
static int asks_hold(struct request *r, bool *ret, struct sq_error *p)
{
	char hold[8] = "0";

	if (strstr(r->query, "hold") && (!request_query(r, "hold", hold, sizeof(hold)) ||
					 (strcmp(hold, "1") != 0 && strcmp(hold, "0") != 0)))
		return sq_error_set(
			p, -EINVAL, "hold",
			"1 is accepted (the rule goes when this connection does), or 0");
	*ret = hold[0] == '1';
	return 0;
}

/* RFC 7396. */
static void merge(json_t *into, const json_t *patch)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)patch, key, value)
	{
		json_t *old = json_object_get(into, key);

		if (json_is_null(value)) {
			json_object_del(into, key);
		} else if (json_is_object(value)) {
			if (!json_is_object(old)) {
				json_object_set_new(into, key, json_object());
				old = json_object_get(into, key);
			}
			merge(old, value);
		} else {
			json_object_set(into, key, value);
		}
	}
}

/* Depth of a merge is bounded by what a rule can look like, so that no patch recurses far. */
static int depth(const json_t *o, int left)
{
	const char *key;
	json_t *value;

	if (left == 0)
		return -E2BIG;
	json_object_foreach((json_t *)(uintptr_t)o, key,
			    value) if (json_is_object(value) &&
				       depth(value, left - 1) < 0) return -E2BIG;
	return 0;
}

/*
 * A merge patch of the rule's JSON. "up" and "down" at the top are the first
 * clause's, so that {"up":{"loss":{"pct":5}}} changes one fault and keeps the
 * others. For a target without a rule it is a patch of nothing.
 */
static int patched(const struct rule_entry *e, json_t *patch, struct sq_rule *ret,
		   struct sq_error *p)
{
	static const char *const read_only[] = {
		"text", "id", "target_id", "drawn_seed", "set_ms", "expires_in_ns", NULL};
	json_t *base = e ? sq_rule_to_json(&e->rule, sq_mono_ns())
			 : json_pack("{s:[{}]}", "clauses"),
	       *clause;
	static const char *const dirs[] = {"up", "down", NULL};
	int rc;

	if (!base)
		return sq_error_set(p, -ENOMEM, NULL, "out of memory");
	for (const char *const *key = read_only; *key; key++)
		json_object_del(base, *key);
	if (e && !(e->rule.flags & SQ_R_SEED_GIVEN))
		json_object_del(base, "seed");
	if (json_object_get(patch, "text"))
		json_object_del(base, "clauses");
	clause = json_array_get(json_object_get(base, "clauses"), 0);
	for (const char *const *dir = dirs; *dir; dir++) {
		json_t *faults = json_incref(json_object_get(patch, *dir));

		if (!faults)
			continue;
		json_object_del(patch, *dir);
		if (!clause || json_object_get(patch, "clauses")) {
			json_decref(faults);
			json_decref(base);
			return sq_error_set(p, -EINVAL, *dir,
					    "cannot stand beside \"clauses\" or \"text\"");
		}
		/* A loss of another model replaces the old one, rather than being two at once. */
		if (json_is_object(json_object_get(faults, "loss")) &&
		    json_object_get(clause, *dir))
			json_object_del(json_object_get(clause, *dir), "loss");
		json_t *one = json_pack("{s:o}", *dir, faults);

		merge(clause, one);
		json_decref(one);
		if (json_is_object(json_object_get(clause, *dir)) &&
		    !json_object_size(json_object_get(clause, *dir)))
			json_object_del(clause, *dir);
	}
	merge(base, patch);
	rc = sq_rule_from_json(base, ret, p);
	json_decref(base);
	if (rc < 0)
		p->code = rc == -E2BIG ? rc : -EINVAL;
	return rc;
}

void rule_release(struct api *a, struct held *h)
{
	while (h->n)
		engine_release(a->engine, h->id[--h->n]);
	free(h->id);
	free(h->name);
	h->id = NULL;
	h->name = NULL;
}

/* The cgroup of a target, or of each that a selector means. */
static int find_cgroups(struct api *a, const char *name, struct held *ret, bool *ret_network,
			struct target *t, struct sq_error *p)
{
	struct selector s;

	*ret_network = false;
	if (selector_is(name)) {
		if (selector_parse(name, &s, p) < 0)
			return p->code;
		ret->n = members_ids(a->book, &s, &ret->id);
		return ret->n < 0 ? sq_error_set(p, -ENOMEM, NULL, "out of memory") : 0;
	}
	if (target_resolve(a->targets, name, t, p) < 0 || target_ready(t, p) < 0)
		return p->code;
	ret->id = malloc(sizeof(*ret->id));
	if (!ret->id)
		return sq_error_set(p, -ENOMEM, NULL, "out of memory");
	ret->id[ret->n++] = t->id;
	ret->name = t->c ? NULL : strdup(t->name);
	*ret_network = wants_network(t);
	return 0;
}

int rule_hold(struct api *a, const char *name, struct held *ret, struct sq_error *p)
{
	struct held found = {0};
	struct target t;
	bool network;
	int rc;

	pthread_mutex_lock(a->lock);
	rc = find_cgroups(a, name, &found, &network, &t, p);
	pthread_mutex_unlock(a->lock);
	*ret = (struct held){found.id, 0, found.name};
	for (int i = 0; rc == 0 && i < found.n; i++) {
		rc = engine_hold(a->engine, found.id[i], selector_is(name) ? NULL : t.cgroup, p);
		if (rc == 0)
			found.id[ret->n++] = found.id[i];
		else if (rc == -ENOENT && selector_is(name))
			rc = 0; /* gone meanwhile: it is no member any more */
		p->code = rc;
	}
	if (rc == 0 && network)
		rc = has_network(a, &t, p);
	if (rc < 0)
		rule_release(a, ret);
	return rc;
}

/* Which a selector does not name. Of a cgroup that is held it is known: a new one of its name has
 * the rule with the next tick, as if it had come a moment later. */
static int the_same(struct api *a, const char *name, const struct held *held, struct target *ret,
		    struct sq_error *p)
{
	if (held->name && !target_is_container(a->targets, held->id[0])) {
		snprintf(ret->name, sizeof(ret->name), "%s", held->name);
		snprintf(ret->cgroup, sizeof(ret->cgroup), "%s", held->name + strlen("cgroup:"));
		ret->id = held->id[0];
		ret->c = NULL;
		return 0;
	}
	if (target_resolve(a->targets, name, ret, p) < 0 || target_ready(ret, p) < 0)
		return p->code;
	return ret->id == held->id[0]
		       ? 0
		       : sq_error_set(p, -EAGAIN, "target",
				      "%.200s was started anew just now; try again", ret->name);
}

int rule_held(struct request *r, const char *name, const struct held *held, struct target *ret_t,
	      struct rule_entry **ret_e, struct sq_error *p)
{
	struct api *a = api_of(r);
	struct selector s;

	if (selector_is(name)) {
		if (selector_parse(name, &s, p) < 0)
			return p->code;
		*ret_e = book_find(a->book, s.text);
		return check_preconditions(r, *ret_e, p);
	}
	if (the_same(a, name, held, ret_t, p) < 0)
		return p->code;
	*ret_e = book_find(a->book, ret_t->name);
	return check_preconditions(r, *ret_e, p);
}

/* rule: what it is to be, or, where patch is not NULL, made of that and what it was. */
static enum MHD_Result set_rule(struct request *r, const char *name, struct sq_rule *rule,
				json_t *patch, const char *source)
{
	struct api *a = api_of(r);
	struct sq_error p = {0};
	struct rule_entry *e = NULL;
	struct target t;
	struct held held;
	json_t *o = NULL;
	bool fresh = false, selects = false, keep = false;

	if (asks_hold(r, &keep, &p) < 0 || rule_hold(a, name, &held, &p) < 0)
		return reply_problem(r, &p);
	pthread_mutex_lock(a->lock);
	if (rule_held(r, name, &held, &t, &e, &p) == 0) {
		fresh = !e || e->by;
		if ((!patch || patched(e, patch, rule, &p) == 0) &&
		    rule_set(a->book, name, rule, source, &e, &p) == 0) {
			if (keep)
				book_hold(a->book, e, r->conn);
			rule_audit(r, e);
			book_etag(e, r->etag, sizeof(r->etag));
			selects = e->selector;
			o = rule_entry_json(a->book, e);
		}
	}
	pthread_mutex_unlock(a->lock);
	rule_release(a, &held);
	if (!o)
		return reply_problem(r, &p);
	/* Of those that come later only the file knows. */
	if (selects)
		state_flush(a->state, STATE_RULES);
	return reply_json(r, fresh ? 201 : 200, selects ? o : with_notes(r, name, o));
}

enum MHD_Result api_rule_put(struct request *r, const char *name)
{
	struct sq_error p = {0};
	json_t *body = request_json(r, &p);
	struct sq_rule rule;
	int rc;

	if (!body)
		return reply_problem(r, &p);
	rc = sq_rule_from_json(body, &rule, &p);
	json_decref(body);
	if (rc < 0) {
		p.code = rc == -E2BIG ? rc : -EINVAL;
		return reply_problem(r, &p);
	}
	return set_rule(r, name, &rule, NULL, "api");
}

enum MHD_Result api_rule_patch(struct request *r, const char *name)
{
	struct sq_error p = {0};
	json_t *body = request_json(r, &p);
	enum MHD_Result result;
	struct sq_rule rule;

	if (body && depth(body, 8) < 0)
		sq_error_set(&p, -EINVAL, "body", "objects nested deeper than a rule's");
	result = p.code ? reply_problem(r, &p) : set_rule(r, name, &rule, body, "api");
	json_decref(body);
	return result;
}

enum MHD_Result api_rule_delete(struct request *r, const char *name)
{
	struct sq_error p = {0};
	struct rule_entry *e;
	bool waits = false;
	json_t *o = NULL;
	char *target;

	pthread_mutex_lock(api_of(r)->lock);
	e = ruled(r, name, &p);
	if (e && e->by)
		sq_error_set(&p, -EEXIST, "target",
			     "the rule of %.200s is that of %.200s: delete that one, or set a rule "
			     "of its own",
			     e->name, e->by);
	if (e && !p.code && check_preconditions(r, e, &p) == 0) {
		waits = !e->in_force;
		api_audit(r, "rule of", e->name, "deleted");
		target = strdup(e->name);
		book_delete(api_of(r)->book, e->name, "deleted");
		/* It is not without one now where a selector means it. */
		e = target ? book_find(api_of(r)->book, target) : NULL;
		if (e)
			o = book_entry_json(e);
		free(target);
	}
	pthread_mutex_unlock(api_of(r)->lock);
	if (p.code)
		return reply_problem(r, &p);
	/* Of a rule that is not in the kernel only the file knows that it is gone. */
	if (waits)
		state_flush(api_of(r)->state, STATE_RULES);
	return o ? reply_json(r, 200, o) : reply_empty(r, 204);
}

/* {"name": "3G", "for_ns": N} */
enum MHD_Result api_rule_profile(struct request *r, const char *name)
{
	static const char *const keys[] = {"name", "for_ns", NULL};
	struct sq_error p = {0};
	json_t *body = request_json(r, &p), *given;
	char source[72];
	struct sq_rule rule;
	int rc = 0;

	if (!body)
		return reply_problem(r, &p);
	given = json_object_get(body, "for_ns");
	if (!json_only_keys(body, keys, &p)) {
		rc = p.code;
	} else if (!json_is_string(json_object_get(body, "name"))) {
		rc = sq_error_set(&p, -EINVAL, "name", "a profile's name is expected");
	} else if (given && !json_is_null(given) &&
		   (!json_is_integer(given) || json_integer_value(given) < 1)) {
		rc = sq_error_set(&p, -EINVAL, "for_ns",
				  "a whole number of nanoseconds, at least 1, is expected");
	} else {
		snprintf(source, sizeof(source), "profile:%.63s",
			 json_string_value(json_object_get(body, "name")));
		pthread_mutex_lock(api_of(r)->lock);
		rc = profile_rule(api_of(r)->profiles,
				  json_string_value(json_object_get(body, "name")), &rule, &p);
		pthread_mutex_unlock(api_of(r)->lock);
	}
	if (rc == 0 && json_is_integer(given)) {
		rule.for_ns = (uint64_t)json_integer_value(given);
		rc = sq_rule_finish(&rule, &p);
		p.code = rc < 0 ? -EINVAL : 0;
	}
	json_decref(body);
	return rc < 0 ? reply_problem(r, &p) : set_rule(r, name, &rule, NULL, source);
}

/* POST /api/v1/rules/{target}/prolong {"for_ns": N} */
enum MHD_Result api_rule_prolong(struct request *r, const char *name)
{
	static const char *const keys[] = {"for_ns", NULL};
	struct sq_error p = {0};
	json_t *body = request_json(r, &p), *given = json_object_get(body, "for_ns");
	enum MHD_Result result = MHD_NO;
	struct rule_entry *e;
	json_int_t for_ns;

	if (!body)
		return reply_problem(r, &p);
	for_ns = json_is_integer(given) ? json_integer_value(given) : 0;
	if (json_only_keys(body, keys, &p) && (for_ns < 1 || for_ns > FOR_MAX_NS))
		sq_error_set(&p, -EINVAL, "for_ns",
			     "how long from now, a whole number of nanoseconds from 1 to 2^62, is "
			     "expected");
	json_decref(body);
	if (p.code)
		return reply_problem(r, &p);
	pthread_mutex_lock(api_of(r)->lock);
	e = ruled(r, name, &p);
	if (e && check_preconditions(r, e, &p) == 0 &&
	    book_prolong(api_of(r)->book, e, (uint64_t)for_ns, &p) == 0)
		result = reply_entry(r, 200, e);
	pthread_mutex_unlock(api_of(r)->lock);
	return p.code ? reply_problem(r, &p) : result;
}

void api_rules_gone(void *arg, const struct MHD_Connection *conn)
{
	struct api *a = arg;

	pthread_mutex_lock(a->lock);
	book_let_go(a->book, conn);
	pthread_mutex_unlock(a->lock);
}
