/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * `reset idle TIME` and `reset after TIME` of a connection in which nothing moves: a packet would
 * be judged by the kernel, but there is none. So its own socket is aborted at that time, by
 * SOCK_DESTROY in the target's network namespace; the RST that this sends meets the rule like any
 * packet, which counts it and makes it right for the peer. A thread of its own, made with the first
 * such rule. It looks at tables when something can be due, and for at most 5 % of a CPU's time, so
 * it is late by twenty looks at worst. Measured: 65,521 flows, all due within 2 s: 0.4 s of CPU
 * with a question about each socket.
 *
 * Any thread; a lock of its own.
 */
#ifndef SQUALLD_SILENT_H
#define SQUALLD_SILENT_H

#include <stdbool.h>
#include <stdint.h>
#include <squall/rule.h>

struct silent;
struct silent *silent_new(int outer_fd); /* sq_flows, the caller's; NULL: out of memory */
void silent_free(struct silent *s);	 /* NULL is nothing */
/* The rule is in force, or ends at another time than was said. */
void silent_watch(struct silent *s, const struct sq_rule *rule);
void silent_forget(struct silent *s, uint32_t slot);
/* Has it such a clause? */
bool silent_means(const struct sq_rule *rule);
/* The clause by which the flow is reset when it is silent, and nothing else of the rule can meet
 * one of its packets before: or -1. */
int silent_clause(const struct sq_rule *rule, const struct sq_flow *flow);

#endif
