/* SPDX-License-Identifier: GPL-2.0-only */
/* What book.c (rules change) and book_state.c (rules are saved and found again) share. */
#ifndef SQUALLD_BOOK_INTERNAL_H
#define SQUALLD_BOOK_INTERNAL_H

#include "squalld/control/book.h"

#define BOOK_BUCKETS 4096

struct book {
	struct engine *engine;
	struct targets *targets;
	struct bus *bus;
	struct state *state;
	struct rule_entry *bucket[BOOK_BUCKETS];
	unsigned int n;
	uint64_t version, changes;
	json_t *ignored; /* object: names as keys */
};

struct rule_entry *book_insert(struct book *book, const char *name);
void book_drop(struct book *book, struct rule_entry *e);
/* Into the kernel, with what is left of the rule's time. -ESTALE: nothing is. */
int book_enforce(struct book *book, struct rule_entry *e, uint64_t id, struct sq_error *p);
/* Keeps each clause's filter as JSON, for counters. */
void book_remember(struct rule_entry *e);
void book_changed(struct book *book, struct rule_entry *e);
/* Begins an event of e: what its rule is, and what it had done. Before the kernel forgets it. NULL
 * while nobody hears. */
json_t *book_ended(struct book *book, const struct rule_entry *e);
/* more (stolen, may be NULL) goes into the event. */
void book_publish_more(struct book *book, const char *action, const struct rule_entry *e,
		       bool with_rule, json_t *more);
void book_publish(struct book *book, const char *action, const struct rule_entry *e,
		  bool with_rule);

#endif
