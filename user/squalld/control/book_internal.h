/* SPDX-License-Identifier: GPL-2.0-only */
/* What book.c (rules change) and book_state.c (rules are saved and found again) share. */
#ifndef SQUALLD_BOOK_INTERNAL_H
#define SQUALLD_BOOK_INTERNAL_H

#include "squalld/control/book.h"

#define BOOK_BUCKETS 4096
#define BOOK_UNKNOWN UINT64_MAX

struct book {
	struct engine *engine;
	struct targets *targets;
	struct bus *bus;
	struct state *state;
	struct rule_entry *bucket[BOOK_BUCKETS];
	unsigned int n, n_members; /* entries; those of them that follow a selector */
	uint64_t version, changes;
	json_t *ignored; /* object: names as keys */
	bool any_held;	 /* some rule has, or had, a holder */
	bool moved;	 /* some entry's cgroup is looked at with the next tick */
	/* No rule ends before this, while nothing has changed since. Nobody looks through 10,000
	 * rules several times a second for that: it was a tenth of a core. */
	uint64_t next_end_ns, looked; /* looked: `changes` then, or BOOK_UNKNOWN */
	/* A target has lost its own rule, or its selector's. NULL: nobody minds. */
	void (*vacated)(struct book *book, const char *name);
};

struct rule_entry *book_insert(struct book *book, const char *name);
void book_drop(struct book *book, struct rule_entry *e);
/* Into the kernel, until ends_ns (0: the rule's own time begins now). -ESTALE: that is over. The
 * entry is as it was after a failure. */
int book_enforce(struct book *book, struct rule_entry *e, const struct sq_rule *rule,
		 uint64_t ends_ns, uint64_t id, struct sq_error *p);
/* Notes in the rule for whom it is, one of what rule_entry.source may say; not a member's. */
void rule_mark_source(struct sq_rule *rule, const char *source);
/* What is noted, where it says another than source, which has room for each. */
void rule_source(const struct sq_rule *rule, char *source);
void book_place(struct rule_entry *e, const struct target *t); /* where it was last seen */
/* A member of this selector from now on; NULL: of none. -ENOMEM. */
int book_follow(struct book *book, struct rule_entry *e, struct rule_entry *selector);
/* Out of the kernel and out of the book. */
void book_remove(struct book *book, struct rule_entry *e, const char *why);
struct rule_entry *book_of_cgroup(struct book *book, uint64_t id);
/* Keeps the rule's text, and each clause's filter as JSON, for counters. */
void book_remember(struct rule_entry *e);
void book_changed(struct book *book, struct rule_entry *e);
/* May the time of any rule be over? */
bool book_any_over(const struct book *book);
/* Begins an event of e: what its rule is, and what it had done. Before the kernel forgets it. NULL
 * while nobody hears. */
json_t *book_ended(struct book *book, const struct rule_entry *e);
/* more (stolen, may be NULL) goes into the event. */
void book_publish_more(struct book *book, const char *action, const struct rule_entry *e,
		       bool with_rule, json_t *more);
void book_publish(struct book *book, const char *action, const struct rule_entry *e,
		  bool with_rule);

#endif
