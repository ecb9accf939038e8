// SPDX-License-Identifier: GPL-2.0-only
/* Which faults run on which target, added and taken away one by one; their sum is one rule. */
#include "squalld/ecs/ecs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "squalld/base/log.h"
#include "squalld/control/book.h"
#include "squalld/control/state.h"

static const char *const types[] = {"network-latency", "network-packet-loss",
				    "network-blackhole-port"};
static const char *const ops[] = {"start", "stop", "status"};

bool ecs_is_path(const struct request *r)
{
	return r->n_seg >= 4 && strcmp(r->seg[0], "api") == 0 && strcmp(r->seg[1], "v1") != 0 &&
	       strcmp(r->seg[2], "fault") == 0 && strcmp(r->seg[3], "v1") == 0;
}

static int index_of(const char *const *words, int n, const char *word)
{
	for (int i = 0; i < n; i++)
		if (strcmp(words[i], word) == 0)
			return i;
	return -1;
}

/* The agent ends its answers without a newline. */
static enum MHD_Result answer(struct request *r, unsigned int status, const char *key,
			      const char *value)
{
	json_t *o = json_pack("{s:o}", key, json_text(value));
	char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
	enum MHD_Result rc = reply_text(r, status, "application/json", text ? text : "",
					text ? strlen(text) : 0);

	free(text);
	json_decref(o);
	return rc;
}

/* The task's own cgroup where there is one (awsvpc: all its containers share a network), else the
 * container's. */
static void target_of(struct container *c, struct target *ret, struct targets *all)
{
	char path[1024], name[1040];
	struct sq_error p = {0};

	target_of_container(c, ret);
	if (strcmp(c->network_mode, "bridge") == 0 || !target_task_cgroup(c, path, sizeof(path)))
		return;
	snprintf(name, sizeof(name), "cgroup:%s", path);
	if (target_resolve(all, name, ret, &p) < 0) {
		json_decref(p.candidates);
		target_of_container(c, ret);
	}
}

static bool empty(const json_t *faults)
{
	return !json_object_get(faults, "latency") && !json_object_get(faults, "loss") &&
	       !json_object_size(json_object_get(faults, "blackhole"));
}

/* Puts the sum in force. The lock is held. */
static int apply(struct ecs *ecs, const struct target *t, const json_t *faults, struct sq_error *p)
{
	struct sq_rule *rule;
	char *text;
	int rc;

	if (empty(faults)) {
		rc = book_delete(ecs->book, t->name, "stopped by its ECS endpoint");
		return rc == -ENOENT ? 0 : rc;
	}
	rule = malloc(sizeof(*rule));
	text = malloc(SQ_RULE_CANONICAL_MAX);
	rc = rule && text ? ecs_rule(faults, text, SQ_RULE_CANONICAL_MAX) : -ENOMEM;
	if (rc < 0)
		sq_error_set(p, rc, NULL,
			     rc == -ENOSPC ? "more faults than one rule holds" : "out of memory");
	if (!rc)
		p->code = rc = sq_rule_from_text(text, strlen(text), rule, p);
	if (!rc)
		rc = target_ready(t, p);
	if (!rc)
		rc = book_set(ecs->book, t, rule, "ecs", NULL, p);
	free(text);
	free(rule);
	return rc;
}

static void blackhole_key(const json_t *b, char *buf, size_t size)
{
	snprintf(buf, size, "%s-%s-%lld", json_string_value(json_object_get(b, "TrafficType")),
		 json_string_value(json_object_get(b, "Protocol")),
		 json_integer_value(json_object_get(b, "Port")));
}

struct asked {
	enum ecs_type type;
	enum ecs_op op;
	const json_t *body; /* NULL: of latency and loss, to stop or ask */
};

/* What would run after this; *status is the answer's word. NULL: *error is the agent's 409. */
static json_t *after(const json_t *now, const struct asked *a, const char **status,
		     const char **error)
{
	static const char *const keys[] = {"latency", "loss"};
	json_t *next = now ? json_deep_copy(now) : json_pack("{s:{}}", "blackhole");
	json_t *holes = json_object_get(next, "blackhole");
	char key[64] = "";
	bool runs;

	if (a->type == ECS_BLACKHOLE) {
		blackhole_key(a->body, key, sizeof(key));
		runs = json_object_get(holes, key);
	} else {
		runs = json_object_get(next, keys[a->type]);
	}
	*status = a->op == ECS_START  ? "running"
		  : a->op == ECS_STOP ? "stopped"
		  : runs	      ? "running"
				      : "not-running";
	if (a->op == ECS_STATUS)
		return next;
	if (a->op == ECS_STOP) {
		json_object_del(a->type == ECS_BLACKHOLE ? holes : next,
				a->type == ECS_BLACKHOLE ? key : keys[a->type]);
		return next;
	}
	if (a->type == ECS_BLACKHOLE) {
		json_object_set(holes, key, (json_t *)a->body);
		return next;
	}
	*error = json_object_get(next, "latency")
			 ? "There is already one network latency fault running"
		 : json_object_get(next, "loss")
			 ? "There is already one network packet loss fault running"
			 : NULL;
	if (*error) {
		json_decref(next);
		return NULL;
	}
	json_object_set(next, keys[a->type], (json_t *)a->body);
	return next;
}

/* A rule that somebody else has set in place of ours, or taken away, ends all of ours. */
static const json_t *faults_of(struct ecs *ecs, const char *target)
{
	const struct rule_entry *e = book_find(ecs->book, target);

	if (e && strcmp(e->source, "ecs") == 0)
		return json_object_get(ecs->faults, target);
	json_object_del(ecs->faults, target);
	return NULL;
}

static enum MHD_Result act(struct ecs *ecs, struct request *r, const struct asked *a)
{
	struct sq_error p = {0};
	struct container *c;
	struct target t;
	const char *status = NULL, *error = NULL;
	json_t *next;
	int rc = 0;

	pthread_mutex_lock(ecs->lock);
	c = target_by_ecs_id(ecs->targets, r->seg[1]);
	if (!c) {
		char text[256];

		pthread_mutex_unlock(ecs->lock);
		snprintf(text, sizeof(text),
			 "unable to get task arn from request: unable to get task Arn from v3 "
			 "endpoint ID: %.100s",
			 r->seg[1]);
		return answer(r, 404, "Error", text);
	}
	target_of(c, &t, ecs->targets);
	next = after(faults_of(ecs, t.name), a, &status, &error);
	if (next && a->op != ECS_STATUS) {
		rc = apply(ecs, &t, next, &p);
		if (rc == 0)
			log_info("rule of %s: %s %s by its ECS endpoint, by %s", t.name,
				 types[a->type], ops[a->op], request_who(r));
		if (rc == 0 && empty(next))
			json_object_del(ecs->faults, t.name);
		else if (rc == 0)
			json_object_set(ecs->faults, t.name, next);
	}
	json_decref(next);
	pthread_mutex_unlock(ecs->lock);
	json_decref(p.candidates);
	if (error)
		return answer(r, 409, "Error", error);
	if (rc < 0) {
		/* The agent has no words for it; its log has. */
		log_error("ecs: %s %s of %.300s: %s", ops[a->op], types[a->type], t.name, p.text);
		return answer(r, 500, "Error", "internal error");
	}
	if (a->op != ECS_STATUS)
		state_flush(ecs->state, STATE_ECS | STATE_RULES);
	return answer(r, 200, "Status", status);
}

enum MHD_Result ecs_serve(struct ecs *ecs, struct request *r)
{
	struct asked a = {0};
	char text[320] = "";
	json_t *body = NULL;
	enum MHD_Result rc;
	int type, op;

	type = r->n_seg == 6 ? index_of(types, 3, r->seg[4]) : -1;
	op = r->n_seg == 6 ? index_of(ops, 3, r->seg[5]) : -1;
	if (type < 0 || op < 0)
		return reply_text(r, 404, "text/plain; charset=utf-8", "404 page not found\n", 19);
	if (strcmp(r->method, "POST") != 0)
		return reply_empty(r, 405);
	a.type = (enum ecs_type)type;
	a.op = (enum ecs_op)op;
	if (a.op == ECS_START || a.type == ECS_BLACKHOLE) {
		body = ecs_parse(a.type, r->body ? r->body : "", r->len, text, sizeof(text));
		if (!body)
			return answer(r, 400, "Error", text);
	}
	a.body = body;
	rc = act(ecs, r, &a);
	json_decref(body);
	return rc;
}

json_t *ecs_save(void *arg, bool clean)
{
	struct ecs *ecs = arg;

	(void)clean;
	return json_pack("{s:O}", "faults", ecs->faults);
}

void ecs_restore(struct ecs *ecs, const json_t *saved)
{
	const json_t *faults;
	const char *target;

	ecs->faults = json_object();
	json_object_foreach(json_object_get(saved, "faults"), target, faults)
	{
		const struct rule_entry *e = book_find(ecs->book, target);

		if (e && strcmp(e->source, "ecs") == 0)
			json_object_set(ecs->faults, target, (json_t *)faults);
	}
}
