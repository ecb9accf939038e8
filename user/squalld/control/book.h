/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The book of rules: by target name, where the kernel has them by cgroup id.
 * A container's rule outlives the container: one started again under the same
 * name gets it back. All functions want d->lock held.
 */
#ifndef SQUALLD_BOOK_H
#define SQUALLD_BOOK_H

#include "squalld/control/targets.h"

struct rule_entry {
	struct rule_entry *next; /* in its hash bucket */
	char *name;		 /* canonical target */
	char *cgroup;		 /* path, as last seen */
	bool container, in_force;
	uint64_t cgroup_id;	       /* as last seen */
	uint64_t ends_ns;	       /* CLOCK_MONOTONIC, as the kernel's; 0 = never */
	uint64_t version;	       /* unique over all changes and restarts: the ETag */
	char source[72];	       /* "api", "label", "docker-tc", "schedule", "profile:NAME" */
	struct sq_rule rule;	       /* as the kernel has it */
	json_t *match[SQ_MAX_CLAUSES]; /* per clause: its filter as JSON, for counters */
};

int book_init(struct daemon *d);
void book_free(struct daemon *d);
struct rule_entry *book_find(struct daemon *d, const char *name);
void book_etag(const struct rule_entry *e, char *buf, size_t size);
json_t *book_entry_json(const struct rule_entry *e);
int book_each(struct daemon *d, int (*fn)(struct rule_entry *e, void *arg), void *arg);
unsigned int book_count(struct daemon *d);
uint64_t book_changes(struct daemon *d);

/* Puts a rule in force. The target must be ready (target_ready()). */
int book_set(struct daemon *d, const struct target *t, const struct sq_rule *rule,
	     const char *source, struct rule_entry **ret, struct problem *p);
/* -ENOENT if there is none. `why` is for the log and the event: "deleted", "expired"... */
int book_delete(struct daemon *d, const char *name, const char *why);
bool book_of_schedule(const struct rule_entry *e);
/* keep_schedules: without the rules that running schedules have set. */
unsigned int book_delete_all(struct daemon *d, bool keep_schedules);
/* One of book_save()'s rules, in force again if its target is there, else waiting for it.
 * -EEXIST: the target has a rule. -ESTALE: its time is over. */
int book_put_back(struct daemon *d, const json_t *saved, struct problem *p);
void book_rename(struct daemon *d, const char *from, const char *to);

void book_target_here(struct daemon *d, struct container *c);
void book_target_gone(struct daemon *d, const char *name, uint64_t cgroup_id);
void book_container_destroyed(struct daemon *d, const char *name);
/* Once a second: expiry, cgroups that were removed and made again. */
void book_tick(struct daemon *d);
bool book_any_keep(struct daemon *d);

/* docker-tc's IGNORE: labels of this container are not looked at. */
bool book_ignored(struct daemon *d, const char *name);
void book_ignore(struct daemon *d, const char *name, bool on);

/* State. load: before the engine is there; restore: reconciles with what the kernel has. */
json_t *book_save(struct daemon *d, bool clean);
int book_restore(struct daemon *d, json_t *saved);

#endif
