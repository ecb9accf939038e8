// SPDX-License-Identifier: GPL-2.0-only
#include "squalld/control/targets.h"
#include "squalld/control/bus.h"

#include <ctype.h>
#include <errno.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "lib/clock.h"
#include "squalld/base/log.h"
#include "squalld/base/tree.h"
#include "squalld/control/book.h"
#include "squalld/control/reconcile.h"

#define ID_PREFIX_MIN 4
#define LIST_MAX      20000 /* cgroups in one answer */

struct targets {
	struct container *first;
	char mount[256]; /* of cgroup v2 */
};

static int find_mount(char *buf, size_t size)
{
	FILE *f = setmntent("/proc/self/mounts", "re");
	struct mntent *m;
	int rc = -ENOENT;

	if (!f)
		return -errno;
	while (rc < 0 && (m = getmntent(f))) {
		if (strcmp(m->mnt_type, "cgroup2") == 0) {
			snprintf(buf, size, "%s", m->mnt_dir);
			rc = 0;
		}
	}
	endmntent(f);
	return rc;
}

int targets_init(struct daemon *d)
{
	d->targets = calloc(1, sizeof(*d->targets));
	if (!d->targets)
		return -ENOMEM;
	find_mount(d->targets->mount, sizeof(d->targets->mount));
	return 0;
}

void container_free(struct container *c)
{
	if (!c)
		return;
	free(c->name);
	free(c->image);
	free(c->network_mode);
	free(c->cgroup);
	free(c->why);
	free(c->label_error);
	json_decref(c->labels);
	free(c);
}

void targets_free(struct daemon *d)
{
	if (!d->targets)
		return;
	for (struct container *c = d->targets->first, *next; c; c = next) {
		next = c->next;
		container_free(c);
	}
	free(d->targets);
	d->targets = NULL;
}

struct container *targets_containers(struct daemon *d)
{
	return d->targets->first;
}

void target_of_container(struct container *c, struct target *ret)
{
	snprintf(ret->name, sizeof(ret->name), "%s", c->name);
	snprintf(ret->cgroup, sizeof(ret->cgroup), "%s", c->cgroup ? c->cgroup : "");
	ret->id = c->cgroup_id;
	ret->c = c;
}

static struct container *by_name(struct daemon *d, const char *name)
{
	for (struct container *c = d->targets->first; c; c = c->next)
		if (strcmp(c->name, name) == 0)
			return c;
	return NULL;
}

static struct container *by_cgroup(struct daemon *d, uint64_t id)
{
	for (struct container *c = d->targets->first; c; c = c->next)
		if (c->cgroup_id == id)
			return c;
	return NULL;
}

static int of_cgroup_id(struct daemon *d, uint64_t id, struct target *ret, struct problem *p)
{
	struct container *c = id ? by_cgroup(d, id) : NULL;
	int rc;

	if (c) {
		target_of_container(c, ret);
		return 0;
	}
	ret->c = NULL;
	ret->id = id;
	rc = engine_cgroup_path(id, ret->cgroup, sizeof(ret->cgroup));
	if (rc < 0)
		return fail(p, rc, "target",
			    rc == -ENOENT ? "target: there is no cgroup with id %llu"
					  : "target: cannot look for the cgroup with id %llu: %s",
			    (unsigned long long)id, strerror(-rc));
	snprintf(ret->name, sizeof(ret->name), "cgroup:%.*s", TARGET_NAME_MAX - 8, ret->cgroup);
	return 0;
}

static int of_cgroup_path(struct daemon *d, const char *path, struct target *ret, struct problem *p)
{
	char clean[TARGET_NAME_MAX - 16];
	uint64_t id;
	size_t n = 0;
	int rc;

	if (strlen(path) >= sizeof(clean))
		return fail(p, -EINVAL, "target", "target: a cgroup path of %zu bytes is too long",
			    strlen(path));
	/* One name per cgroup: no doubled or trailing slashes. */
	for (const char *s = path; *s; s++)
		if (*s != '/' || (s[1] && s[1] != '/'))
			clean[n++] = *s;
	clean[n] = 0;
	rc = engine_cgroup_id(clean, &id, &p->error);
	if (rc < 0) {
		p->code = rc;
		if (!p->error.field[0])
			strcpy(p->error.field, "target");
		return rc;
	}
	ret->c = by_cgroup(d, id);
	if (ret->c) {
		target_of_container(ret->c, ret);
		return 0;
	}
	ret->id = id;
	snprintf(ret->cgroup, sizeof(ret->cgroup), "%s%s", clean[0] == '/' ? "" : "/", clean);
	snprintf(ret->name, sizeof(ret->name), "cgroup:%.*s", TARGET_NAME_MAX - 8, ret->cgroup);
	return 0;
}

static int of_id_prefix(struct daemon *d, const char *text, struct target *ret, struct problem *p)
{
	struct container *found = NULL;
	size_t len = strlen(text);
	int n = 0;

	for (struct container *c = d->targets->first; c; c = c->next) {
		if (strncmp(c->id, text, len) == 0) {
			found = c;
			n++;
		}
	}
	if (n == 1) {
		target_of_container(found, ret);
		return 0;
	}
	if (n == 0)
		return -ENOENT;
	p->candidates = json_array();
	for (struct container *c = d->targets->first; c; c = c->next)
		if (strncmp(c->id, text, len) == 0)
			json_array_append_new(p->candidates, json_text(c->name));
	return fail(p, -ENOTUNIQ, "target",
		    "target: \"%.64s\" is ambiguous: the ids of %d containers begin with it; "
		    "give more digits, or the name",
		    text, n);
}

static bool is_hex(const char *s)
{
	size_t n = strspn(s, "0123456789abcdef");

	return n >= ID_PREFIX_MIN && n <= 64 && !s[n];
}

int target_resolve_container(struct daemon *d, const char *text, struct target *ret,
			     struct problem *p)
{
	struct container *c = by_name(d, text);
	int rc;

	if (c) {
		target_of_container(c, ret);
		return 0;
	}
	rc = is_hex(text) ? of_id_prefix(d, text, ret, p) : -ENOENT;
	if (rc == -ENOENT)
		fail(p, -ENOENT, "target",
		     "target: there is no container \"%.100s\"; accepted: its exact name, or "
		     "the first %d or more digits of its id",
		     text, ID_PREFIX_MIN);
	return rc;
}

int target_resolve(struct daemon *d, const char *text, struct target *ret, struct problem *p)
{
	bool digits = *text && strspn(text, "0123456789") == strlen(text) && strlen(text) < 20;
	struct problem ignored = {0};
	struct container *c;
	int rc;

	if (strncmp(text, "cgroup:", 7) == 0)
		return of_cgroup_path(d, text + 7, ret, p);
	c = by_name(d, text);
	if (c) {
		target_of_container(c, ret);
		return 0;
	}
	if (digits && of_cgroup_id(d, strtoull(text, NULL, 10), ret, &ignored) == 0) {
		/* Digits alone may be the beginning of a container's id as well. Do not guess. */
		struct target other;

		if (is_hex(text) && of_id_prefix(d, text, &other, &ignored) == 0 &&
		    other.id != ret->id)
			return fail(p, -ENOTUNIQ, "target",
				    "target: \"%s\" is a cgroup's id and the beginning of the "
				    "id of container %.100s: give cgroup:/path or the name",
				    text, other.c->name);
		json_decref(ignored.candidates);
		return 0;
	}
	json_decref(ignored.candidates);
	rc = is_hex(text) ? of_id_prefix(d, text, ret, p) : -ENOENT;
	if (rc == -ENOENT)
		fail(p, -ENOENT, "target",
		     "target: there is no \"%.100s\"; accepted: cgroup:/PATH, a cgroup's id, a "
		     "container's exact name, or the first %d or more digits of its id",
		     text, ID_PREFIX_MIN);
	return rc;
}

int target_ready(struct daemon *d, const struct target *t, struct problem *p)
{
	(void)d;
	if (!t->c)
		return 0;
	if (!t->c->running)
		return fail(p, -EHOSTDOWN, "target", "target: container %.100s is not running",
			    t->name);
	if (!t->id)
		return fail(p, -EOPNOTSUPP, "target", "target: container %.100s: %s", t->name,
			    t->c->why ? t->c->why : "its cgroup was not found");
	return 0;
}

/* --- JSON ------------------------------------------------------------------------- */

static const char *label(const struct container *c, const char *key)
{
	return json_string_value(json_object_get(c->labels, key));
}

/* "awsvpc": ECS makes a pause container with no network, moves an interface in, and lets the task's
 * containers share its namespace. */
static const char *network_mode(struct daemon *d, const struct container *c)
{
	const struct container *other;

	if (!c->network_mode || strncmp(c->network_mode, "container:", 10) != 0)
		return c->network_mode;
	for (other = d->targets->first; other; other = other->next)
		if (strcmp(other->id, c->network_mode + 10) == 0)
			break;
	if (other && other->network_mode && strcmp(other->network_mode, "none") == 0 &&
	    other->image && strstr(other->image, "amazon-ecs-pause"))
		return "awsvpc";
	return c->network_mode;
}

static void add_container(struct daemon *d, json_t *o, const struct container *c)
{
	json_object_set_new(o, "container_id", json_string(c->id));
	json_object_set_new(o, "image", json_text(c->image));
	json_object_set(o, "labels", c->labels);
	json_object_set_new(o, "network_mode", json_text(network_mode(d, c)));
	if (label(c, "com.amazonaws.ecs.task-arn"))
		json_object_set_new(
			o, "ecs",
			json_pack("{s:o,s:o,s:o}", "cluster",
				  json_text(label(c, "com.amazonaws.ecs.cluster")), "task",
				  json_text(label(c, "com.amazonaws.ecs.task-arn")), "container",
				  json_text(label(c, "com.amazonaws.ecs.container-name"))));
	if (c->why)
		json_object_set_new(o, "why_not", json_text(c->why));
	if (c->label_error)
		json_object_set_new(o, "label_error", json_text(c->label_error));
}

json_t *target_json(struct daemon *d, const struct target *t)
{
	struct rule_entry *e = book_find(d, t->name);
	char id[24];
	json_t *o, *view;

	snprintf(id, sizeof(id), "%llu", (unsigned long long)t->id);
	o = json_pack("{s:o,s:o,s:s,s:o,s:o,s:b}", "target", json_text(t->name), "id",
		      t->id ? json_string(id) : json_null(), "kind", t->c ? "container" : "cgroup",
		      "name", json_text(t->c ? t->c->name : t->cgroup), "cgroup",
		      t->cgroup[0] ? json_text(t->cgroup) : json_null(), "running",
		      t->c ? (int)t->c->running : 1);
	if (!o)
		return NULL;
	if (t->c)
		add_container(d, o, t->c);
	view = t->id ? engine_target_view(d->engine, t->id) : NULL;
	json_object_set_new(o, "view",
			    view ? view : json_pack("{s:s,s:[]}", "mode", "none", "interfaces"));
	json_object_set_new(o, "rule", e ? book_entry_json(e) : json_null());
	return o;
}

struct listing {
	struct daemon *d;
	json_t *list;
};

static int list_one(const char *path, void *arg)
{
	struct listing *x = arg;
	struct target t;
	struct problem p = {0};

	if (*path && of_cgroup_path(x->d, path, &t, &p) == 0 && !t.c)
		json_array_append_new(x->list, target_json(x->d, &t));
	return json_array_size(x->list) < LIST_MAX ? 0 : -E2BIG;
}

json_t *targets_list(struct daemon *d, bool cgroups, bool containers)
{
	json_t *list = json_array();
	struct listing x = {d, list};
	struct target t;

	for (struct container *c = containers ? d->targets->first : NULL; c; c = c->next) {
		target_of_container(c, &t);
		json_array_append_new(list, target_json(d, &t));
	}
	if (cgroups && d->targets->mount[0])
		tree_each(d->targets->mount, "", TARGET_NAME_MAX - 8, list_one, &x);
	return list;
}

void targets_count(struct daemon *d, unsigned int *ret_running, unsigned int *ret_all)
{
	*ret_running = *ret_all = 0;
	for (struct container *c = d->targets->first; c; c = c->next) {
		*ret_all += 1;
		*ret_running += c->running;
	}
}

/* --- what the Docker watcher finds ---------------------------------------------------- */

static void tell(struct daemon *d, const char *action, const char *what, struct container *c)
{
	char id[24];

	log_info("container %s (%.12s) %s", c->name, c->id, what);
	if (!bus_wanted(d->bus))
		return;
	snprintf(id, sizeof(id), "%llu", (unsigned long long)c->cgroup_id);
	bus_publish(d->bus, "target",
		    json_pack("{s:s,s:s,s:o,s:o}", "action", action, "what", what, "target",
			      json_text(c->name), "id",
			      c->cgroup_id ? json_string(id) : json_null()));
}

void targets_put(struct daemon *d, struct container *c)
{
	struct container **link = &d->targets->first, *old;

	while (*link && strcmp((*link)->id, c->id) != 0)
		link = &(*link)->next;
	old = *link;
	c->seen = true;
	c->next = old ? old->next : NULL;
	*link = c;

	if (old && strcmp(old->name, c->name) != 0) {
		log_info("container %s is now named %s", old->name, c->name);
		reconcile_renamed(d, old->name, c->name);
		tell(d, "change", "renamed", c);
	}
	c->started_ns = old && old->cgroup_id == c->cgroup_id ? old->started_ns : sq_mono_ns();
	if (old && old->label_error && !c->label_error && old->cgroup_id == c->cgroup_id)
		c->label_error = strdup(old->label_error);
	if (old && old->cgroup_id && old->cgroup_id != c->cgroup_id)
		reconcile_gone(d, c->name, old->cgroup_id);
	if (c->running && (!old || !old->running || old->cgroup_id != c->cgroup_id)) {
		if (c->why)
			log_warn("container %s cannot be a target: %s", c->name, c->why);
		engine_rescan(d->engine);
		if (c->cgroup_id)
			reconcile_appeared(d, c);
		tell(d, "add", "started", c);
	} else if (old && old->running && !c->running) {
		tell(d, "change", "stopped", c);
	} else if (!old && !c->running) {
		log_debug("container %s (%.12s) is not running", c->name, c->id);
	}
	container_free(old);
}

void targets_remove(struct daemon *d, const char *id, bool destroyed)
{
	struct container **link = &d->targets->first, *c;

	while (*link && strcmp((*link)->id, id) != 0)
		link = &(*link)->next;
	c = *link;
	if (!c)
		return;
	*link = c->next;
	if (c->cgroup_id)
		reconcile_gone(d, c->name, c->cgroup_id);
	if (destroyed && !by_name(d, c->name))
		reconcile_destroyed(d, c->name);
	c->running = false;
	c->cgroup_id = 0;
	tell(d, "remove", "removed", c);
	container_free(c);
}

void targets_sweep(struct daemon *d, bool begin)
{
	for (struct container *c = d->targets->first, *next; c; c = next) {
		next = c->next;
		if (begin)
			c->seen = false;
		else if (!c->seen)
			targets_remove(d, c->id, true);
	}
}
