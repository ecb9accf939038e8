/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Whose packets can be faulted: every cgroup below the v2 mount, and every
 * container the Docker engine tells of. All functions want the lock held.
 */
#ifndef SQUALLD_TARGETS_H
#define SQUALLD_TARGETS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include "squalld/base/json.h"

struct bus;
struct engine;
struct targets;

#define TARGET_NAME_MAX 4200 /* "cgroup:" and a path */

struct container {
	struct container *next;
	char id[72]; /* 64 hex digits */
	char *name, *image, *network_mode, *cgroup;
	json_t *labels;
	char *ecs_id;	     /* of its ECS endpoints, or NULL */
	char *ecs_service;   /* as the ECS agent says, "" of none; NULL: not known (yet) */
	unsigned int engine; /* whose it is: the engine's number, from 1 */
	uint64_t cgroup_id;  /* 0 if not running, or if it cannot be a target */
	uint64_t started_ns; /* CLOCK_MONOTONIC, when we saw it start */
	int pid;
	bool running;
	bool seen;	   /* by the listing under way */
	char *why;	   /* running, but cannot be a target: the reason */
	char *label_error; /* what is wrong with its docker-tc labels */
	char *was;	   /* its name until another had it; its own is not known since. Or NULL */
};

struct target {
	char name[TARGET_NAME_MAX]; /* canonical: the container's name, or "cgroup:/path" */
	char cgroup[TARGET_NAME_MAX];
	uint64_t id;	     /* 0: a container that does not run */
	struct container *c; /* NULL for a plain cgroup; valid while the lock is held */
};

/* What targets tell; what it means for rules is control/reconcile.c's. The lock is held. */
struct target_events {
	/* It runs, in a cgroup that can be ruled. */
	void (*appeared)(void *arg, struct container *c);
	/* Its cgroup is gone, or it is another one's now. */
	void (*gone)(void *arg, const char *name, uint64_t cgroup_id);
	void (*renamed)(void *arg, const char *from, struct container *c);
	/* It runs on, and something else of it is another: its labels, its service. */
	void (*changed)(void *arg, struct container *c);
	/* The container was removed, and none has its name. */
	void (*destroyed)(void *arg, const char *name);
};

int targets_new(struct engine *engine, struct bus *bus, struct targets **ret);
/* There is one who listens; events outlives it. Before the first targets_put(). */
void targets_listen(struct targets *all, const struct target_events *events, void *arg);
void targets_free(struct targets *all);

/*
 * "cgroup:/path", cgroup id, exact container name, or an unambiguous prefix
 * (at least 4 digits) of a container id. A cgroup that is a container's is
 * that container. "ecs-task:ID" is the cgroup that the containers of an ECS task
 * share. -ENOENT, or -ENOTUNIQ with p->candidates.
 */
int target_resolve(struct targets *all, const char *text, struct target *ret, struct sq_error *p);
/* Can it take a rule? -EHOSTDOWN, -EOPNOTSUPP say why not. */
int target_ready(const struct target *t, struct sq_error *p);
/* Containers only, as docker-tc names them: exact name or id prefix. */
int target_resolve_container(struct targets *all, const char *text, struct target *ret,
			     struct sq_error *p);
/* Is it a container's? */
bool target_is_container(struct targets *all, uint64_t cgroup_id);
/* Containers, then cgroups that may have a rule, parents first. Stops when fn returns non-zero, and
 * returns that. */
int targets_each(struct targets *all, bool cgroups, bool containers,
		 int (*fn)(const struct target *t, void *arg), void *arg);
void targets_count(struct targets *all, unsigned int *ret_running, unsigned int *ret_all);
struct container *targets_containers(struct targets *all);
/* Of the id in the URLs that its ECS agent gave it; NULL if there is none. */
struct container *target_by_ecs_id(struct targets *all, const char *id);
void target_of_container(struct container *c, struct target *ret);
/* The cgroup of the ECS task that this one belongs to; false: it has none of its own. */
bool target_task_cgroup(const struct container *c, char *path, size_t size);

/* What the Docker watcher found. Takes ownership of c; tells who listens, and the bus. */
void targets_put(struct targets *all, struct container *c);
void targets_remove(struct targets *all, const char *id, bool destroyed);
/* A full listing of one engine's: forget who is not in it. */
void targets_sweep(struct targets *all, bool begin, unsigned int engine);
struct container *target_by_id(struct targets *all, const char *id); /* whole, or NULL */
void target_set_service(struct targets *all, const char *id, const char *service);
void container_free(struct container *c);

#endif
