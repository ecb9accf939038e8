/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The book of rules: by target name, where the kernel has them by cgroup id.
 * A container's rule outlives the container: one started again under the same
 * name gets it back. All functions want the lock held.
 */
#ifndef SQUALLD_BOOK_H
#define SQUALLD_BOOK_H

#include "squalld/control/targets.h"

struct book;
struct bus;
struct engine;
struct selector;
struct state;
struct state_slow;

struct rule_entry {
	struct rule_entry *next; /* in its hash bucket */
	char *name;		 /* canonical target, or selector */
	char *cgroup;		 /* path, as last seen */
	bool container, in_force;
	bool moved;		       /* its cgroup is looked at with the next tick */
	uint64_t cgroup_id;	       /* as last seen */
	uint64_t ends_ns;	       /* CLOCK_MONOTONIC, as the kernel's; 0 = never */
	uint64_t version;	       /* unique over all changes and restarts: the ETag */
	const void *holder;	       /* with whom this version goes; NULL: nobody */
	char source[72];	       /* "api", "label", "docker-tc", "schedule", "profile:NAME" */
	char *text;		       /* of the rule; NULL: no memory for it */
	json_t *match[SQ_MAX_CLAUSES]; /* per clause: its filter as JSON, for counters */
	uint64_t began_ms;	       /* CLOCK_REALTIME: since when its counters count */
	/* What they said when this version was set; NULL: nothing. [clause * SQ_DIRS + direction]
	 */
	struct sq_counters *base;
	struct selector
		*selector;    /* the rule of a selector: the kernel has its members'. Or NULL */
	unsigned int members; /* of a selector: how many follow it */
	char *by;	      /* a member: the selector that it follows. NULL: its own rule */
	uint64_t by_version;  /* of the selector's rule, as this one has it */
	struct sq_rule rule;  /* as the kernel has it; the last, see book_state.c */
};

/* Nothing is the kernel's yet: see book_restore(). The four outlive it. */
int book_new(struct engine *engine, struct targets *targets, struct bus *bus, struct state *state,
	     struct book **ret);
void book_free(struct book *book);
struct rule_entry *book_find(struct book *book, const char *name);
void book_etag(const struct rule_entry *e, char *buf, size_t size);
json_t *book_entry_json(const struct rule_entry *e);
int book_each(struct book *book, int (*fn)(struct rule_entry *e, void *arg), void *arg);
unsigned int book_count(struct book *book); /* of rules that were set, without members */
uint64_t book_changes(struct book *book);
/* Of one clause and direction: *ret_all since e->began_ms, *ret_version (may be NULL) since this
 * version of the rule was set. -ENOENT: nothing is counted there. */
int book_counters(struct book *book, const struct rule_entry *e, uint32_t clause, int dir,
		  struct sq_counters *ret_all, struct sq_counters *ret_version);

/* Puts a rule in force. The target must be ready (target_ready()). */
int book_set(struct book *book, const struct target *t, const struct sq_rule *rule,
	     const char *source, struct rule_entry **ret, struct sq_error *p);
/* Of a target's own rule or of a selector's. -ENOENT if there is none, also where it follows a
 * selector. `why` is for the log and the event: "deleted", "expired"... */
int book_delete(struct book *book, const char *name, const char *why);
/* Ends for_ns from now: the same version, with its seed, packet numbers and counters. -EEXIST: it
 * has no end that could be put off. -ENOENT: its time is over. */
int book_prolong(struct book *book, struct rule_entry *e, uint64_t for_ns, struct sq_error *p);
/* This version goes when its holder does, which is a pointer and nothing more. */
void book_hold(struct book *book, struct rule_entry *e, const void *holder);
/* The holder is gone. How many rules went with it. */
unsigned int book_let_go(struct book *book, const void *holder);
bool book_of_schedule(const struct rule_entry *e);
/* keep_schedules: without the rules that running schedules have set. */
unsigned int book_delete_all(struct book *book, bool keep_schedules);
/* One of book_save()'s rules, in force again if its target is there, else waiting for it.
 * -EEXIST: the target has a rule. -ESTALE: its time is over. */
int book_put_back(struct book *book, const json_t *saved, struct sq_error *p);
void book_rename(struct book *book, const char *from, const char *to);

void book_target_here(struct book *book, struct container *c);
void book_target_gone(struct book *book, const char *name, uint64_t cgroup_id);
void book_container_destroyed(struct book *book, const char *name);
/* Several times a second: expiry and, if some may have been, cgroups that were removed and made
 * again. What could not be done then is tried again with the next. */
void book_tick(struct book *book, bool moved);
bool book_any_keep(struct book *book);

/* docker-tc's IGNORE: labels of this container are not looked at. */
bool book_ignored(struct book *book, const char *name);
void book_ignore(struct book *book, const char *name, bool on);

/* State. load: before the engine is there; restore: reconciles with what the kernel has. */
json_t *book_save(struct book *book); /* its rules as the file has them, a list */
extern const struct state_slow book_saver;
int book_restore(struct book *book, json_t *saved);

#endif
