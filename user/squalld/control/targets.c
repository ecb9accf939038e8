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
#include "lib/cgroup.h"
#include "lib/clock.h"
#include "squalld/base/log.h"
#include "squalld/base/tree.h"
#include "squalld/kernel/kernel.h"

#define ID_PREFIX_MIN 4

struct targets {
	struct engine *engine;
	struct bus *bus;
	const struct target_events *events;
	void *events_arg;
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

int targets_new(struct engine *engine, struct bus *bus, struct targets **ret)
{
	struct targets *all = calloc(1, sizeof(*all));

	if (!all)
		return -ENOMEM;
	all->engine = engine;
	all->bus = bus;
	find_mount(all->mount, sizeof(all->mount));
	*ret = all;
	return 0;
}

void targets_listen(struct targets *all, const struct target_events *events, void *arg)
{
	all->events = events;
	all->events_arg = arg;
}

void container_free(struct container *c)
{
	if (!c)
		return;
	free(c->name);
	free(c->image);
	free(c->ecs_id);
	free(c->ecs_service);
	free(c->network_mode);
	free(c->cgroup);
	free(c->why);
	free(c->label_error);
	free(c->was);
	json_decref(c->labels);
	free(c);
}

void targets_free(struct targets *all)
{
	if (!all)
		return;
	for (struct container *c = all->first, *next; c; c = next) {
		next = c->next;
		container_free(c);
	}
	free(all);
}

struct container *targets_containers(struct targets *all)
{
	return all->first;
}

void target_of_container(struct container *c, struct target *ret)
{
	snprintf(ret->name, sizeof(ret->name), "%s", c->name);
	snprintf(ret->cgroup, sizeof(ret->cgroup), "%s", c->cgroup ? c->cgroup : "");
	ret->id = c->cgroup_id;
	ret->c = c;
}

static struct container *by_name(struct targets *all, const char *name)
{
	for (struct container *c = all->first; c; c = c->next)
		if (strcmp(c->name, name) == 0)
			return c;
	return NULL;
}

static struct container *by_cgroup(struct targets *all, uint64_t id)
{
	for (struct container *c = all->first; c; c = c->next)
		if (c->cgroup_id == id)
			return c;
	return NULL;
}

bool target_is_container(struct targets *all, uint64_t cgroup_id)
{
	return by_cgroup(all, cgroup_id) != NULL;
}

struct container *target_by_ecs_id(struct targets *all, const char *id)
{
	for (struct container *c = all->first; c; c = c->next)
		if (c->ecs_id && strcmp(c->ecs_id, id) == 0)
			return c;
	return NULL;
}

static bool is_utf8(const char *text)
{
	json_t *s = json_string(text);

	json_decref(s);
	return s != NULL;
}

static int of_cgroup_id(struct targets *all, uint64_t id, struct target *ret, struct sq_error *p)
{
	struct container *c = id ? by_cgroup(all, id) : NULL;
	int rc;

	if (c) {
		target_of_container(c, ret);
		return 0;
	}
	ret->c = NULL;
	ret->id = id;
	rc = engine_cgroup_path(id, ret->cgroup, sizeof(ret->cgroup));
	if (rc < 0)
		return sq_error_set(p, rc, "target",
				    rc == -ENOENT ? "there is no cgroup with id %llu"
						  : "cannot look for the cgroup with id %llu: %s",
				    (unsigned long long)id, strerror(-rc));
	if (!is_utf8(ret->cgroup))
		return sq_error_set(p, -EINVAL, "target", "the name of cgroup %llu is not UTF-8",
				    (unsigned long long)id);
	snprintf(ret->name, sizeof(ret->name), "cgroup:%.*s", TARGET_NAME_MAX - 8, ret->cgroup);
	return 0;
}

static int of_cgroup_path(struct targets *all, const char *path, struct target *ret,
			  struct sq_error *p)
{
	char clean[TARGET_NAME_MAX - 16];
	uint64_t id;
	size_t n = 0;
	int rc;

	if (strlen(path) >= sizeof(clean))
		return sq_error_set(p, -EINVAL, "target", "a cgroup path of %zu bytes is too long",
				    strlen(path));
	/* It would be listed, and kept in the state file, under a name that is not its own. */
	if (!is_utf8(path))
		return sq_error_set(p, -EINVAL, "target",
				    "the cgroup's name is not UTF-8, which is what is accepted");
	/* One name per cgroup: no doubled or trailing slashes, and no "." between them. */
	for (const char *s = path; *s; s++) {
		if (*s == '.' && (!n || clean[n - 1] == '/') && (!s[1] || s[1] == '/'))
			continue;
		if (*s != '/' || !n || clean[n - 1] != '/')
			clean[n++] = *s;
	}
	while (n && clean[n - 1] == '/')
		n--;
	clean[n] = 0;
	rc = engine_cgroup_id(clean, &id, p);
	if (rc < 0) {
		p->code = rc;
		if (!p->field[0])
			strcpy(p->field, "target");
		return rc;
	}
	ret->c = by_cgroup(all, id);
	if (ret->c) {
		target_of_container(ret->c, ret);
		return 0;
	}
	ret->id = id;
	snprintf(ret->cgroup, sizeof(ret->cgroup), "%s%s", clean[0] == '/' ? "" : "/", clean);
	snprintf(ret->name, sizeof(ret->name), "cgroup:%.*s", TARGET_NAME_MAX - 8, ret->cgroup);
	return 0;
}

static int of_id_prefix(struct targets *all, const char *text, struct target *ret,
			struct sq_error *p)
{
	struct container *found = NULL;
	size_t len = strlen(text);
	int n = 0;

	for (struct container *c = all->first; c; c = c->next) {
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
	sq_error_set(p, -ENOTUNIQ, "target",
		     "\"%.64s\" is ambiguous: the ids of %d containers begin with it; "
		     "give more digits, or the name",
		     text, n);
	p->candidates = json_array();
	for (struct container *c = all->first; c; c = c->next)
		if (strncmp(c->id, text, len) == 0)
			json_array_append_new(p->candidates, json_text(c->name));
	return -ENOTUNIQ;
}

static bool is_hex(const char *s)
{
	size_t n = strspn(s, "0123456789abcdef");

	return n >= ID_PREFIX_MIN && n <= 64 && !s[n];
}

int target_resolve_container(struct targets *all, const char *text, struct target *ret,
			     struct sq_error *p)
{
	struct container *c = by_name(all, text);
	int rc;

	if (c) {
		target_of_container(c, ret);
		return 0;
	}
	rc = is_hex(text) ? of_id_prefix(all, text, ret, p) : -ENOENT;
	if (rc == -ENOENT)
		sq_error_set(p, -ENOENT, "target",
			     "there is no container \"%.100s\"; accepted: its exact name, or "
			     "the first %d or more digits of its id",
			     text, ID_PREFIX_MIN);
	return rc;
}

bool target_task_cgroup(const struct container *c, char *path, size_t size)
{
	char *leaf, *parent;

	if (!c->cgroup || strlen(c->cgroup) >= size)
		return false;
	strcpy(path, c->cgroup);
	leaf = strrchr(path, '/');
	if (!leaf || leaf == path)
		return false;
	*leaf = 0;
	parent = strrchr(path, '/');
	/* /ecs/TASK, or ecstasks.slice/ecstasks-TASK.slice where systemd makes them. */
	return strncmp(parent, "/ecstasks-", 10) == 0 ||
	       (strncmp(path, "/ecs/", 5) == 0 && parent == path + 4);
}

static int of_ecs_task(struct targets *all, const char *id, struct target *ret, struct sq_error *p)
{
	const struct container *found = NULL;
	const char *task, *arn;
	char path[1024];

	for (const struct container *c = all->first; c && *id; c = c->next) {
		arn = json_string_value(json_object_get(c->labels, "com.amazonaws.ecs.task-arn"));
		task = arn ? strrchr(arn, '/') : NULL;
		if (task && strcmp(task + 1, id) == 0 && c->running)
			found = c;
	}
	if (!found)
		return sq_error_set(
			p, -ENOENT, "target",
			"no container of an ECS task \"%.100s\" runs here; the id is the "
			"last part of the task's ARN",
			id);
	if (!target_task_cgroup(found, path, sizeof(path)))
		return sq_error_set(
			p, -EOPNOTSUPP, "target",
			"the containers of ECS task %.100s have no cgroup of their own: "
			"use ecs:CONTAINER, or "
			"label:com.amazonaws.ecs.task-arn=ARN",
			id);
	return of_cgroup_path(all, path, ret, p);
}

int target_resolve(struct targets *all, const char *text, struct target *ret, struct sq_error *p)
{
	bool digits = *text && strspn(text, "0123456789") == strlen(text) && strlen(text) < 20;
	struct sq_error ignored = {0};
	struct container *c;
	int rc;

	if (strncmp(text, "cgroup:", 7) == 0)
		return of_cgroup_path(all, text + 7, ret, p);
	if (strncmp(text, "ecs-task:", 9) == 0)
		return of_ecs_task(all, text + 9, ret, p);
	c = by_name(all, text);
	if (c) {
		target_of_container(c, ret);
		return 0;
	}
	if (digits && of_cgroup_id(all, strtoull(text, NULL, 10), ret, &ignored) == 0) {
		/* Digits alone may be the beginning of a container's id as well. Do not guess. */
		struct target other;

		if (is_hex(text) && of_id_prefix(all, text, &other, &ignored) == 0 &&
		    other.id != ret->id)
			return sq_error_set(p, -ENOTUNIQ, "target",
					    "\"%s\" is a cgroup's id and the beginning of the "
					    "id of container %.100s: give cgroup:/path or the name",
					    text, other.c->name);
		json_decref(ignored.candidates);
		return 0;
	}
	json_decref(ignored.candidates);
	rc = is_hex(text) ? of_id_prefix(all, text, ret, p) : -ENOENT;
	if (rc == -ENOENT)
		sq_error_set(p, -ENOENT, "target",
			     "there is no \"%.100s\"; accepted: cgroup:/PATH, a cgroup's id, a "
			     "container's exact name, or the first %d or more digits of its id",
			     text, ID_PREFIX_MIN);
	return rc;
}

int target_ready(const struct target *t, struct sq_error *p)
{
	if (!t->c)
		return 0;
	if (!t->c->running)
		return sq_error_set(p, -EHOSTDOWN, "target", "container %.100s is not running",
				    t->name);
	if (!t->id)
		return sq_error_set(p, -EOPNOTSUPP, "target", "container %.100s: %s", t->name,
				    t->c->why ? t->c->why : "its cgroup was not found");
	return 0;
}

struct listing {
	struct targets *all;
	int (*fn)(const struct target *t, void *arg);
	void *arg;
};

static int list_one(const char *path, void *arg)
{
	struct listing *x = arg;
	struct target t;
	struct sq_error p = {0};

	t.c = NULL;
	if (cgroup_level(path, SQ_MAX_LEVELS) == -E2BIG)
		return 1; /* no rule can be there, nor below */
	return *path && of_cgroup_path(x->all, path, &t, &p) == 0 && !t.c ? x->fn(&t, x->arg) : 0;
}

int targets_each(struct targets *all, bool cgroups, bool containers,
		 int (*fn)(const struct target *t, void *arg), void *arg)
{
	struct listing x = {all, fn, arg};
	struct target t;
	int rc = 0;

	for (struct container *c = containers ? all->first : NULL; c && rc == 0; c = c->next) {
		target_of_container(c, &t);
		rc = fn(&t, arg);
	}
	if (rc == 0 && cgroups && all->mount[0])
		rc = tree_each(all->mount, "", TARGET_NAME_MAX - 8, list_one, &x);
	return rc;
}

void targets_count(struct targets *all, unsigned int *ret_running, unsigned int *ret_all)
{
	*ret_running = *ret_all = 0;
	for (struct container *c = all->first; c; c = c->next) {
		*ret_all += 1;
		*ret_running += c->running;
	}
}

/* --- what the Docker watcher finds ---------------------------------------------------- */

static void tell(struct targets *all, const char *action, const char *what, struct container *c)
{
	char id[24];

	log_info("container %s (%.12s) %s", c->name, c->id, what);
	if (!bus_heard(all->bus))
		return;
	snprintf(id, sizeof(id), "%llu", (unsigned long long)c->cgroup_id);
	bus_publish(all->bus, "target",
		    json_pack("{s:s,s:s,s:o,s:o}", "action", action, "what", what, "target",
			      json_text(c->name), "id",
			      c->cgroup_id ? json_string(id) : json_null()));
}

/* Two engines may have one of a name: who comes later is called NAME@N, by its engine's number. */
static void keep_apart(struct targets *all, struct container *c)
{
	struct container *other = by_name(all, c->name);
	char *name;

	if (!other || other->engine == c->engine || strcmp(other->id, c->id) == 0 ||
	    asprintf(&name, "%s@%u", c->name, c->engine) < 0)
		return;
	free(c->name);
	c->name = name;
}

struct container *target_by_id(struct targets *all, const char *id)
{
	struct container *c = all->first;

	while (c && strcmp(c->id, id) != 0)
		c = c->next;
	return c;
}

void target_set_service(struct targets *all, const char *id, const char *service)
{
	struct container *c = target_by_id(all, id);
	char *copy = c ? strdup(service) : NULL;

	if (!copy)
		return;
	free(c->ecs_service);
	c->ecs_service = copy;
	if (c->cgroup_id)
		all->events->changed(all->events_arg, c);
}

static bool differ(const char *a, const char *b)
{
	return !a != !b || (a && strcmp(a, b) != 0);
}

/* An engine has each name once: who had it is called something else by now, which is told later.
 * Until then its name is its id, and what is kept by name goes with it. */
static void give_way(struct targets *all, const struct container *c)
{
	struct container *other = all->first;
	char *name;

	while (other && (strcmp(other->name, c->name) != 0 || strcmp(other->id, c->id) == 0))
		other = other->next;
	if (!other || !(name = strdup(other->id)))
		return;
	free(other->was);
	other->was = other->name;
	other->name = name;
	log_info("container %s is now named %.12s, until its engine tells its name", other->was,
		 name);
	all->events->renamed(all->events_arg, other->was, other);
}

void targets_put(struct targets *all, struct container *c)
{
	struct container **link = &all->first, *old;

	while (*link && strcmp((*link)->id, c->id) != 0)
		link = &(*link)->next;
	old = *link;
	keep_apart(all, c);
	give_way(all, c);
	if (old && old->ecs_service && !c->ecs_service)
		c->ecs_service = strdup(old->ecs_service);
	c->seen = true;
	c->next = old ? old->next : NULL;
	*link = c;

	if (old && strcmp(old->name, c->name) != 0) {
		log_info("container %s is now named %s", old->name, c->name);
		all->events->renamed(all->events_arg, old->name, c);
		tell(all, "change", "renamed", c);
	}
	c->started_ns = old && old->cgroup_id == c->cgroup_id ? old->started_ns : sq_mono_ns();
	if (old && old->label_error && !c->label_error && old->cgroup_id == c->cgroup_id)
		c->label_error = strdup(old->label_error);
	if (old && old->cgroup_id && old->cgroup_id != c->cgroup_id)
		all->events->gone(all->events_arg, c->name, old->cgroup_id);
	if (c->running && (!old || !old->running || old->cgroup_id != c->cgroup_id)) {
		if (c->why)
			log_warn("container %s cannot be a target: %s", c->name, c->why);
		engine_rescan(all->engine);
		if (c->cgroup_id)
			all->events->appeared(all->events_arg, c);
		tell(all, "add", "started", c);
	} else if (old && old->running && !c->running) {
		tell(all, "change", "stopped", c);
	} else if (old && c->cgroup_id &&
		   (!json_equal(old->labels, c->labels) ||
		    differ(old->ecs_service, c->ecs_service))) {
		all->events->changed(all->events_arg, c);
	} else if (!old && !c->running) {
		log_debug("container %s (%.12s) is not running", c->name, c->id);
	}
	container_free(old);
}

void targets_remove(struct targets *all, const char *id, bool destroyed)
{
	struct container **link = &all->first, *c, *heir;

	while (*link && strcmp((*link)->id, id) != 0)
		link = &(*link)->next;
	c = *link;
	if (!c)
		return;
	*link = c->next;
	if (c->cgroup_id)
		all->events->gone(all->events_arg, c->name, c->cgroup_id);
	if (destroyed && !by_name(all, c->name))
		all->events->destroyed(all->events_arg, c->name);
	/* It had not been renamed after all: the new one of its name is meant by what is left. */
	heir = c->was ? by_name(all, c->was) : NULL;
	if (heir)
		all->events->renamed(all->events_arg, c->name, heir);
	c->running = false;
	c->cgroup_id = 0;
	tell(all, "remove", "removed", c);
	container_free(c);
}

void targets_sweep(struct targets *all, bool begin, unsigned int engine)
{
	for (struct container *c = all->first, *next; c; c = next) {
		next = c->next;
		if (c->engine != engine)
			continue;
		if (begin)
			c->seen = false;
		else if (!c->seen)
			targets_remove(all, c->id, true);
	}
}
