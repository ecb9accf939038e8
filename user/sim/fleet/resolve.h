// SPDX-License-Identifier: GPL-2.0-only
/*
 * Brokers' names and their addresses: before a run, and anew while it goes on.
 * A device's loop never waits for a name server: it asks, and takes the last answer.
 */
#ifndef SQUALL_SIM_RESOLVE_H
#define SQUALL_SIM_RESOLVE_H

#include "sim/fleet/profile.h"

/* Families that sources allow, as bits: 1 IPv4, 2 IPv6; both when p has no --bind. */
unsigned sim_families(const struct sim_profile *p);
/* Looks p->host up, into p->addr; waits for the name server. 0, or -EINVAL and a line. */
int sim_resolve(struct sim_profile *p, struct sq_error *err);

struct sim_host; /* a name and a port; lives as long as the process */

/*
 * The entry of this name; one for all who ask. NULL when 256 others exist. A literal
 * address has its answer at once. Any thread.
 */
struct sim_host *sim_host_get(const char *host, uint16_t port, unsigned families);
/* An address in place of a name: there is nothing to look up. */
bool sim_host_literal(const char *host);
const char *sim_host_name(const struct sim_host *h);
uint16_t sim_host_port(const struct sim_host *h);
/* Asks for an answer newer than now. A thread looks up one name a second at most. */
void sim_host_want(struct sim_host *h);
/*
 * The addresses into addr[SIM_MAX_ADDRS], if they changed since *gen (0: never seen). True
 * when they did.
 */
bool sim_host_news(struct sim_host *h, uint32_t *gen, union sim_addr *addr, uint8_t *ret_n);
/* Its nth address, counted round; 0, -EAGAIN without an answer yet, -ENOENT without any. */
int sim_host_pick(struct sim_host *h, unsigned nth, union sim_addr *ret);

#endif
