/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tables of flows as the kernel has them: inner maps of sq_flows, made for a rule that asks for
 * one and freed with it. Layout and reasons: squall/abi.h.
 *
 * No state and no lock: any thread; two calls for one slot are the caller's to keep apart.
 * Functions return 0 or a negative errno. Taking a table out, and before 6.8 putting one in
 * (put.h), waits for a grace period of RCU, 5 to 25 ms on an idle machine and up to 1 s on a loaded
 * one: hold no lock.
 */
#ifndef SQUALLD_FLOWS_H
#define SQUALLD_FLOWS_H

#include <stddef.h>
#include <stdint.h>
#include <squall/abi.h>

/* Room for a quarter more than was asked for: at 0.8 full 0.02 % of the flows found none. A
 * two-hundredth of that is left to the tags, the head and the kernel's own page, so that all is 180
 * bytes for each flow asked for. */
uint32_t flows_sets(uint32_t links);
/* How many a table of so many elements has. */
uint32_t flows_sets_in(uint32_t elements);
/* Bytes of kernel memory that the table takes. */
uint64_t flows_bytes(uint32_t sets);
/* Would so many bytes fit: into half of MemAvailable, and into what our memory cgroups leave? On
 * -ENOMEM *ret_room is what would. */
int flows_fit(uint64_t bytes, uint64_t *ret_room);

int flows_make(int outer_fd, uint32_t slot, uint32_t sets);
int flows_drop(int outer_fd, uint32_t slot);

/* Calls fn for each flow that the table holds; stops when it returns non-zero, and returns that.
 * The kernel goes on changing what fn reads. */
int flows_each(int outer_fd, uint32_t slot, int (*fn)(const struct sq_flow *flow, void *arg),
	       void *arg);
/* The same, with a number below sets * SQ_FLOW_WAYS that is the flow's place. */
int flows_each_place(int outer_fd, uint32_t slot,
		     int (*fn)(const struct sq_flow *flow, uint32_t place, void *arg), void *arg);
/* Counts anew which flows are of max_flows; those that a NAT would have forgotten no longer are. */
int flows_recount(int outer_fd, uint32_t slot, uint64_t now);
int flows_head(int outer_fd, uint32_t slot, struct sq_flow_head *ret);

#endif
