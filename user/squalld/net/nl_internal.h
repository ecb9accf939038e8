/* SPDX-License-Identifier: GPL-2.0-only */
/* Requests of rtnetlink, for the files of nl.h. */
#ifndef SQUALLD_NL_INTERNAL_H
#define SQUALLD_NL_INTERNAL_H

#include <libmnl/libmnl.h>
#include "squalld/net/nl.h"

struct ifinfomsg;

/* Sends one request and handles what comes back. cb may be NULL. 0 or -errno. */
int nl_talk(struct nlmsghdr *nlh, mnl_cb_t cb, void *arg);

/* Was it this thread's socket that asked for what is told with this port? */
bool nl_is_own(uint32_t portid);

/* Begins a request about links in buf: RTM_*, NLM_F_*. */
struct ifinfomsg *nl_link_request(char *buf, struct nlmsghdr **nlh, int type, int flags);

#endif
