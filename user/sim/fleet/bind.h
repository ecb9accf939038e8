// SPDX-License-Identifier: GPL-2.0-only
/* Where devices come from: source addresses, given singly, as ranges or as prefixes, and ports. */
#ifndef SQUALL_SIM_BIND_H
#define SQUALL_SIM_BIND_H

#include "sim/fleet/profile.h"

/* ADDR, FIRST-LAST and PREFIX/BITS with commas between; 0 or -EINVAL and `err`. */
int sim_bind_parse(struct sim_profile *p, const char *value, struct sq_error *err);
/* LOW-HIGH, or 0 for the kernel's choice. */
int sim_ports_parse(struct sim_profile *p, const char *value, struct sq_error *err);
/* How many of the addresses are of this family (AF_INET, AF_INET6). */
uint64_t sim_bind_count(const struct sim_profile *p, int family);
/* The i-th of those, i being below that number. */
void sim_bind_at(const struct sim_profile *p, int family, uint64_t i, union sim_addr *ret);
/* That this machine has those which n devices use: 0 or -EINVAL and `err`. */
int sim_bind_check(const struct sim_profile *p, uint32_t n, struct sq_error *err);
/* net.ipv4.ip_local_port_range, which is IPv6's as well. */
void sim_local_ports(unsigned *ret_low, unsigned *ret_high);

#endif
