/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * rtnetlink for what the engine needs, over libmnl. Each call opens a socket
 * in the calling thread's network namespace and closes it, but in a row. All
 * return 0 or -errno; nothing here is shared between threads.
 */
#ifndef SQUALLD_NL_H
#define SQUALLD_NL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <net/if.h>

/* All that this thread asks until nl_end() goes by one socket, of the namespace in which it asks
 * first: it stays in that one. Making and closing a socket is most of what a short answer takes. */
void nl_begin(void);
void nl_end(void);

struct nl_link {
	uint32_t ifindex;
	uint32_t peer_ifindex; /* IFLA_LINK; 0 if none */
	int32_t peer_nsid;     /* IFLA_LINK_NETNSID; -1 if in this namespace or none */
	bool enslaved;	       /* a port of a bridge, bond ... */
	uint16_t arptype;      /* ARPHRD_* */
	uint32_t flags;	       /* IFF_* */
	uint32_t mtu;
	char name[IFNAMSIZ];
	char kind[16]; /* "veth", "bridge", "" for hardware */
};

/* All links of this namespace. The caller frees *ret. */
int nl_links(struct nl_link **ret, size_t *ret_n);
int nl_link_lo(struct nl_link **ret, size_t *ret_n); /* the same, of lo alone */

int nl_link_get(const char *name, struct nl_link *ret); /* -ENODEV: none of that name */

/* All are down. A veth pair, with a large MTU and no addresses: it cannot go up in the same
 * request, before its peer exists. */
int nl_veth_create(const char *name, const char *peer);
/* A device that swallows what is sent, and a "vlan" or "macvlan" over ifindex. */
int nl_dummy_create(const char *name);
int nl_stack_create(const char *name, const char *kind, uint32_t ifindex);
int nl_link_delete(const char *name);
int nl_link_setup(uint32_t ifindex, uint32_t mtu, uint32_t txqlen); /* and up */

/* -EEXIST: there already. -ENOTUNIQ: an ingress qdisc is, which has no egress half. */
int nl_clsact_add(uint32_t ifindex);
int nl_clsact_delete(uint32_t ifindex);
/* Whether any filter of anybody hangs on the clsact of ifindex. */
int nl_clsact_in_use(uint32_t ifindex, bool *ret);

/* The filters of one direction, in the order in which they run. */
struct nl_filters {
	bool any;		   /* of anybody */
	uint16_t ours;		   /* its preference; 0: it is not there */
	uint32_t prog_id, classid; /* of ours */
	char front[72];		   /* the first that runs before ours, in words; "": none */
};
int nl_filters(uint32_t ifindex, bool egress, struct nl_filters *ret);

/* Our filter: direct-action cls_bpf at the first free preference, replaced if it is there.
 * classid is what the program finds in skb->tc_classid; *there, what nl_filters() has found (of a
 * device just made: zero), is then what it would find. */
int nl_filter_set(uint32_t ifindex, bool egress, int prog_fd, const char *name, uint16_t classid,
		  struct nl_filters *there);
/* Deletes the filter with our handle if its name is one of ours. */
int nl_filter_delete(uint32_t ifindex, bool egress);
/* 1: our filter is there, 0: not. */
int nl_filter_present(uint32_t ifindex, bool egress);

struct nl_fq_stats {
	uint64_t dropped;
	uint32_t qlen;
	uint32_t backlog;
	bool ours; /* the root qdisc is fq as nl_fq_set() makes it */
	bool made; /* somebody made the root qdisc: it is not the kernel's own choice */
};
/* Makes fq the root qdisc; one of ours that is there is changed and keeps its packets. */
int nl_fq_set(uint32_t ifindex, uint32_t limit_pkts);
int nl_qdisc_stats(uint32_t ifindex, struct nl_fq_stats *ret);
/* Back to the kernel's own choice. */
int nl_qdisc_delete(uint32_t ifindex);

/* Id of the namespace netns_fd as seen from this one; assigns one if `assign`. -ENOENT: none. */
int nl_nsid(int netns_fd, bool assign, int32_t *ret);

/* A socket that becomes readable when links, qdiscs or filters change; -errno. nl_monitor_drain()
 * empties it: was any of that asked for by somebody else than this thread? */
int nl_monitor_open(void);
bool nl_monitor_drain(int fd);

#endif
