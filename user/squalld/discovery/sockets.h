/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * With whom a cgroup's processes talk: their TCP and UDP sockets that have a
 * remote end. For explanations, not for judging packets.
 */
#ifndef SQUALLD_SOCKETS_H
#define SQUALLD_SOCKETS_H

#include <stdbool.h>
#include <stdint.h>

struct peer_of {
	int family;    /* AF_INET, AF_INET6; v4 in v6 is AF_INET */
	uint8_t proto; /* IPPROTO_TCP, IPPROTO_UDP */
	uint8_t local[16], remote[16];
	uint16_t lport, rport; /* host order */
	bool loops;	       /* to an address of the machine itself, over lo */
};

/*
 * Calls fn for each. Looks at 64 processes, 4,096 sockets and max_lines (a million are a second)
 * of each table at most; what it may not read it leaves out. Returns the number of processes of the
 * cgroup. Blocks on /proc: not with a lock that others need.
 */
int sockets_each(const char *cgroup, int max_lines, void (*fn)(const struct peer_of *p, void *arg),
		 void *arg);

#endif
