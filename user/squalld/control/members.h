/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Selectors meet targets. A selector's rule is an entry of the book that the
 * kernel does not have; each target that it chooses, its member, has an entry
 * that follows it (rule_entry.by), which the kernel has. A target's own rule
 * goes before a selector's, a narrower selector's before a wider one's, among
 * equals the one that was set last. All want the lock held.
 */
#ifndef SQUALLD_MEMBERS_H
#define SQUALLD_MEMBERS_H

#include "squalld/control/book.h"
#include "squalld/control/selector.h"

/* From here on targets that lose their own rule, or their selector's, get the next one's. */
void members_watch(struct book *book);

/*
 * Sets the rule of a selector, or of a target (which must be ready), by its name. A selector that
 * matches nothing waits. One that matches, and whose rule no member can take, is refused, and what
 * was before stays.
 */
int rule_set(struct book *book, const char *name, const struct sq_rule *rule, const char *source,
	     struct rule_entry **ret, struct sq_error *p);

/* The cgroups that this selector would rule now: *ret (to be freed) and their number, or -ENOMEM.
 */
int members_ids(struct book *book, const struct selector *s, uint64_t **ret);

/* This one came, or is another than before. */
void members_look(struct book *book, const struct target *t);
/* All that there are: after a restart, after an undo, and now and then where something may have
 * been missed. */
void members_look_all(struct book *book);
/* The rule of some selector, of_cgroups: of one that a cgroup which is no container may follow.
 * NULL: there is none. */
struct rule_entry *members_selector(struct book *book, bool of_cgroups);
/* Before book_tick(): a selector's time ends its members' too. */
void members_tick(struct book *book);

/* {"members": [{"target", "id"}], "notes": [TEXT]} of a selector's entry goes into o: whom it rules
 * now, and whom of those that match it does not, and why. */
void members_json(struct book *book, const struct rule_entry *e, json_t *o);

#endif
