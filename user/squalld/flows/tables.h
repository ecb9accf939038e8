/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which rule has which table of flows. A table lives as long as its version of the rule. Any
 * thread; a lock of its own, never held while waiting. Errors are negative errnos.
 */
#ifndef SQUALLD_TABLES_H
#define SQUALLD_TABLES_H

#include <stdbool.h>
#include <squall/rule.h>

struct tables;
/* sq_flows, the caller's; aborts: this kernel can, see silent.h. NULL: out of memory */
struct tables *tables_new(int outer_fd, bool aborts);
void tables_free(struct tables *t); /* leaves the kernel's as they are; may be NULL */

/* Sets the rule's flow_slot and flow_sets, 0 where it needs none. Takes 5 to 25 ms and more. */
int table_make(struct tables *t, struct sq_rule *rule, struct sq_error *err);
/* Its rule is in force, or ends at another time than before. */
void table_in_force(struct tables *t, const struct sq_rule *rule);
/* The version of the rule is gone: its table goes when no packet can be reading it. */
void table_retire(struct tables *t, const struct sq_rule *rule);
/* Counts max-flows anew now and then, and takes such tables out, a few at a time, each in a grace
 * period of RCU: one thread, no lock. */
void tables_sweep(struct tables *t);
/* After a restart: each rule's table is kept, then all others are dropped. */
void table_adopt(struct tables *t, const struct sq_rule *rule);
void tables_adopt_end(struct tables *t);

void tables_usage(struct tables *t, uint32_t *ret_n, uint64_t *ret_bytes);

#endif
