// SPDX-License-Identifier: GPL-2.0-only
/* The engine's JSON: what a container is, and whose an event is. Trusts nothing in it. */
#include "squalld/discovery/inspect.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "lib/cgroup.h"
#include "squalld/control/targets.h"
#include "squalld/kernel/kernel.h"

static const char *text_at(const json_t *o, const char *a, const char *b)
{
	o = json_object_get(o, a);
	return json_string_value(b ? json_object_get(o, b) : o);
}

static void find_cgroup(struct container *c)
{
	char path[4096];
	struct sq_error err = {0};
	int rc = cgroup_of_pid(c->pid, path, sizeof(path));

	if (rc == -ENOENT || rc == -ESRCH) {
		if (access("/proc/self", F_OK) == 0 &&
		    asprintf(&c->why,
			     "its process %d cannot be seen from here: if "
			     "squalld runs in a container, run it with --pid=host",
			     c->pid) < 0)
			c->why = NULL;
		return;
	}
	if (rc == -ENODATA || (rc == 0 && strcmp(path, "/") == 0)) {
		c->why = strdup("it is in the root of cgroup v2, which all containers share on a "
				"host that uses cgroup v1 only: "
				"boot with systemd.unified_cgroup_hierarchy=1, or mount cgroup2 "
				"and restart the engine");
		return;
	}
	if (rc == 0 && strncmp(path, "/..", 3) == 0) {
		c->why = strdup("its cgroup lies outside of squalld's cgroup namespace: run "
				"squalld with --cgroupns=host");
		return;
	}
	if (rc < 0) {
		c->why = strdup(strerror(-rc));
		return;
	}
	rc = engine_cgroup_id(path, &c->cgroup_id, &err);
	if (rc < 0) {
		c->cgroup_id = 0;
		c->why = strdup(err.text);
		return;
	}
	c->cgroup = strdup(path);
}

/* "http://169.254.170.2/api/ID", which the ECS agent gives to each container: its ID, or NULL. */
static char *ecs_endpoint(const json_t *inspected)
{
	static const char *const names[] = {"ECS_AGENT_URI=", "ECS_CONTAINER_METADATA_URI_V4="};
	const json_t *env = json_object_get(json_object_get(inspected, "Config"), "Env"), *one;
	size_t i;

	json_array_foreach(env, i, one)
	{
		const char *s = json_string_value(one), *id;

		for (size_t k = 0; s && k < 2; k++) {
			if (strncmp(s, names[k], strlen(names[k])) != 0)
				continue;
			id = strrchr(s, '/');
			if (id && id[1])
				return strdup(id + 1);
		}
	}
	return NULL;
}

/* "/" is none, and "cgroup:X" or "label:X" would be taken for what it is not. */
static bool name_accepted(const char *name)
{
	return name && name[strspn(name, "/")] && strlen(name) < TARGET_NAME_MAX &&
	       !strchr(name, ':');
}

struct container *container_from_inspect(const json_t *o)
{
	struct container *c = calloc(1, sizeof(*c));
	const char *id = text_at(o, "Id", NULL), *name = text_at(o, "Name", NULL), *mode;
	json_t *labels = json_object_get(json_object_get(o, "Config"), "Labels");
	json_t *state = json_object_get(o, "State");
	json_int_t pid = json_integer_value(json_object_get(state, "Pid"));

	if (!c || !id || !id[0] || strlen(id) >= sizeof(c->id) || !name_accepted(name) || pid < 0 ||
	    pid > INT_MAX) { /* a number that is no pid must not become one by being cut */
		free(c);
		return NULL;
	}
	strcpy(c->id, id);
	mode = text_at(o, "HostConfig", "NetworkMode");
	c->name = strdup(name + (name[0] == '/'));
	c->image = strdup(text_at(o, "Config", "Image") ? text_at(o, "Config", "Image") : "");
	c->network_mode = strdup(!mode || strcmp(mode, "default") == 0 ? "bridge" : mode);
	c->labels = json_is_object(labels) ? json_incref(labels) : json_object();
	c->ecs_id = ecs_endpoint(o);
	c->running = json_is_true(json_object_get(state, "Running"));
	c->pid = (int)pid;
	if (!c->name || !c->image || !c->network_mode || !c->labels) {
		container_free(c);
		return NULL;
	}
	if (c->running && c->pid > 0)
		find_cgroup(c);
	return c;
}

const char *event_container(const json_t *event, bool *ret_network)
{
	json_t *actor = json_object_get(event, "Actor");
	const char *type = text_at(event, "Type", NULL), *action = text_at(event, "Action", NULL),
		   *id = text_at(actor, "ID", NULL);

	*ret_network = type && action && id && strcmp(type, "network") == 0;
	if (*ret_network)
		return text_at(actor, "Attributes", "container");
	if (!type || !action || !id || strncmp(action, "exec_", 5) == 0 ||
	    strncmp(action, "health_status", 13) == 0 || strcmp(action, "top") == 0)
		return NULL;
	return id;
}

struct container *container_from_event(const json_t *event)
{
	const json_t *actor = json_object_get(event, "Actor");
	const char *type = text_at(event, "Type", NULL), *action = text_at(event, "Action", NULL),
		   *id = text_at(actor, "ID", NULL), *name = text_at(actor, "Attributes", "name"),
		   *image = text_at(actor, "Attributes", "image");
	struct container *c = NULL;
	json_t *labels, *o;

	if (!type || !action || strcmp(type, "container") || strcmp(action, "create") || !id ||
	    !name)
		return NULL;
	labels = json_copy(json_object_get(actor, "Attributes"));
	json_object_del(labels, "name");
	json_object_del(labels, "image");
	o = json_pack("{s:s,s:s,s:{s:s,s:O}}", "Id", id, "Name", name, "Config", "Image",
		      image ? image : "", "Labels", labels);
	if (o)
		c = container_from_inspect(o);
	json_decref(o);
	json_decref(labels);
	return c;
}
