/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the sockets of a cgroup, and of those below, send and receive, with a rule or without: a
 * thing of its own beside the engine. A cgroup that is followed pays for two more programs a packet
 * and two descriptors of ours; what is not costs nothing. One thread at a time.
 */
#ifndef SQUALLD_TRAFFIC_H
#define SQUALLD_TRAFFIC_H

#include <squall/rule.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct traffic;
struct traffic_count {
	uint64_t up_pkts, up_bytes, down_pkts, down_bytes; /* as of rules: wire packets, Ethernet */
};
int traffic_open(struct traffic **ret, struct sq_error *err);
void traffic_close(struct traffic *t); /* accepts NULL; nobody is counted any more */
/* 1: it is followed from now on; 0: it was already. cgroup: its path, whose id this has to be. */
int traffic_follow(struct traffic *t, const char *cgroup, uint64_t id);
/* Lets go of whom keep() does not want; keep NULL: of all. */
void traffic_keep(struct traffic *t, bool (*keep)(uint64_t id, void *arg), void *arg);
size_t traffic_followed(const struct traffic *t);
/* Since it is followed. -ENOENT: it is not. */
int traffic_read(struct traffic *t, uint64_t id, struct traffic_count *ret);

#endif
