/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Whose packets can be faulted: every cgroup below the v2 mount, and every
 * container the Docker engine tells of. All functions want d->lock held.
 */
#ifndef SQUALLD_TARGETS_H
#define SQUALLD_TARGETS_H

#include "squalld/daemon.h"

#define TARGET_NAME_MAX 4200 /* "cgroup:" and a path */

struct container {
	struct container *next;
	char id[72]; /* 64 hex digits */
	char *name, *image, *network_mode, *cgroup;
	json_t *labels;
	uint64_t cgroup_id;  /* 0 if not running, or if it cannot be a target */
	uint64_t started_ns; /* CLOCK_MONOTONIC, when we saw it start */
	int pid;
	bool running;
	bool seen;	   /* by the listing under way */
	char *why;	   /* running, but cannot be a target: the reason */
	char *label_error; /* what is wrong with its docker-tc labels */
};

struct target {
	char name[TARGET_NAME_MAX]; /* canonical: the container's name, or "cgroup:/path" */
	char cgroup[TARGET_NAME_MAX];
	uint64_t id;	     /* 0: a container that does not run */
	struct container *c; /* NULL for a plain cgroup; valid while the lock is held */
};

int targets_init(struct daemon *d);
void targets_free(struct daemon *d);

/*
 * "cgroup:/path", cgroup id, exact container name, or an unambiguous prefix
 * (at least 4 digits) of a container id. A cgroup that is a container's is
 * that container. -ENOENT, or -ENOTUNIQ with p->candidates.
 */
int target_resolve(struct daemon *d, const char *text, struct target *ret, struct problem *p);
/* As above, and it can take a rule: -EHOSTDOWN, -EOPNOTSUPP say why not. */
int target_ready(struct daemon *d, const struct target *t, struct problem *p);
/* Containers only, as docker-tc names them: exact name or id prefix. */
int target_resolve_container(struct daemon *d, const char *text, struct target *ret,
			     struct problem *p);
json_t *target_json(struct daemon *d, const struct target *t);
json_t *targets_list(struct daemon *d, bool cgroups, bool containers);
void targets_count(struct daemon *d, unsigned int *ret_running, unsigned int *ret_all);
struct container *targets_containers(struct daemon *d);
void target_of_container(struct container *c, struct target *ret);

/* What the Docker watcher found. Takes ownership of c; tells rules and events. */
void targets_put(struct daemon *d, struct container *c);
void targets_remove(struct daemon *d, const char *id, bool destroyed);
void targets_sweep(struct daemon *d, bool begin); /* a full listing: forget who is not in it */
void container_free(struct container *c);

#endif
