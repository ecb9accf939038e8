// SPDX-License-Identifier: GPL-2.0-only
/* Targets, each with how its packets can be seen, and its rule. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "squalld/api/api.h"
#include "squalld/control/book.h"
#include "squalld/control/selector.h"
#include "squalld/control/targets.h"
#include "squalld/kernel/kernel.h"

#define LIST_MAX 20000 /* targets in one answer */

static const char *label(const struct container *c, const char *key)
{
	return json_string_value(json_object_get(c->labels, key));
}

/* "awsvpc": ECS makes a pause container with no network, moves an interface in, and lets the task's
 * containers share its namespace. */
static const char *network_mode(struct api *a, const struct container *c)
{
	const struct container *other;

	if (!c->network_mode || strncmp(c->network_mode, "container:", 10) != 0)
		return c->network_mode;
	for (other = targets_containers(a->targets); other; other = other->next)
		if (strcmp(other->id, c->network_mode + 10) == 0)
			break;
	if (other && other->network_mode && strcmp(other->network_mode, "none") == 0 &&
	    other->image && strstr(other->image, "amazon-ecs-pause"))
		return "awsvpc";
	return c->network_mode;
}

static void add_container(struct api *a, json_t *o, const struct container *c)
{
	json_object_set_new(o, "container_id", json_string(c->id));
	json_object_set_new(o, "image", json_text(c->image));
	json_object_set(o, "labels", c->labels);
	json_object_set_new(o, "network_mode", json_text(network_mode(a, c)));
	if (label(c, "com.amazonaws.ecs.task-arn"))
		json_object_set_new(
			o, "ecs",
			json_pack("{s:o,s:o,s:o,s:o,s:o}", "cluster",
				  json_text(label(c, "com.amazonaws.ecs.cluster")), "task",
				  json_text(label(c, "com.amazonaws.ecs.task-arn")), "container",
				  json_text(label(c, "com.amazonaws.ecs.container-name")), "family",
				  json_text(label(c, "com.amazonaws.ecs.task-definition-family")),
				  "service",
				  c->ecs_service && *c->ecs_service ? json_text(c->ecs_service)
								    : json_null()));
	if (c->why)
		json_object_set_new(o, "why_not", json_text(c->why));
	if (c->label_error)
		json_object_set_new(o, "label_error", json_text(c->label_error));
}

/* What its processes are seen at: it asks each of them, so not under the lock. */
static void add_view(struct api *a, json_t *o, uint64_t id)
{
	json_t *view = id ? engine_target_view(a->engine, id) : NULL;

	json_object_set_new(o, "view",
			    view ? view : json_pack("{s:s,s:[]}", "mode", "none", "interfaces"));
}

/* All but the view, under the lock. */
static json_t *target_json(struct api *a, const struct target *t)
{
	struct rule_entry *e = book_find(a->book, t->name);
	char id[24];
	json_t *o;

	snprintf(id, sizeof(id), "%llu", (unsigned long long)t->id);
	o = json_pack("{s:o,s:o,s:s,s:o,s:o,s:b}", "target", json_text(t->name), "id",
		      t->id ? json_string(id) : json_null(), "kind", t->c ? "container" : "cgroup",
		      "name", json_text(t->c ? t->c->name : t->cgroup), "cgroup",
		      t->cgroup[0] ? json_text(t->cgroup) : json_null(), "running",
		      t->c ? (int)t->c->running : 1);
	if (!o)
		return NULL;
	if (t->c)
		add_container(a, o, t->c);
	json_object_set_new(o, "rule", e ? book_entry_json(e) : json_null());
	return o;
}

struct listing {
	struct api *api;
	const struct selector *match; /* NULL: all */
	json_t *list;
};

static int list_one(const struct target *t, void *arg)
{
	struct listing *x = arg;

	if (x->match && !selector_matches(x->match, t))
		return 0;
	json_array_append_new(x->list, target_json(x->api, t));
	return json_array_size(x->list) < LIST_MAX ? 0 : -E2BIG;
}

enum MHD_Result api_targets(struct request *r, const char *name)
{
	char kind[16] = "", match[SELECTOR_MAX + 1];
	struct listing x = {.api = api_of(r)};
	struct sq_error p = {0};
	struct selector s;
	const char *id;
	json_t *one;
	size_t i;

	(void)name;
	if (request_query(r, "kind", kind, sizeof(kind)) && strcmp(kind, "cgroup") != 0 &&
	    strcmp(kind, "container") != 0)
		return reply_status(r, 400, "kind",
				    "kind: \"%.15s\" is not accepted: cgroup or container", kind);
	if (request_query(r, "match", match, sizeof(match))) {
		if (!selector_is(match))
			sq_error_set(&p, -EINVAL, "match",
				     "\"%.100s\" is no selector; one is label:KEY=VALUE, or "
				     "name:GLOB",
				     match);
		if (p.code || selector_parse(match, &s, &p) < 0)
			return reply_problem(r, &p);
		x.match = &s;
	}
	x.list = json_array();
	pthread_mutex_lock(api_of(r)->lock);
	targets_each(api_of(r)->targets, kind[0] != 'c' || kind[1] == 'g',
		     kind[0] != 'c' || kind[1] == 'o', list_one, &x);
	pthread_mutex_unlock(api_of(r)->lock);
	json_array_foreach(x.list, i, one)
	{
		id = json_string_value(json_object_get(one, "id"));
		add_view(x.api, one, id ? strtoull(id, NULL, 10) : 0);
	}
	return reply_json(r, 200, json_pack("{s:o}", "targets", x.list));
}

enum MHD_Result api_target(struct request *r, const char *name)
{
	struct sq_error p = {0};
	struct target t;
	json_t *o = NULL;

	pthread_mutex_lock(api_of(r)->lock);
	if (target_resolve(api_of(r)->targets, name, &t, &p) == 0)
		o = target_json(api_of(r), &t);
	pthread_mutex_unlock(api_of(r)->lock);
	if (o)
		add_view(api_of(r), o, t.id);
	return p.code ? reply_problem(r, &p) : reply_json(r, 200, o);
}
