// SPDX-License-Identifier: GPL-2.0-only
/* Whether somebody else changed links, qdiscs or filters. */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include "squalld/net/nl_internal.h"

/* Of 2,000 interfaces attached at once there are 6,000 messages; only what waits takes memory. */
#define ROOM (16 << 20)

int nl_monitor_open(void)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	struct sockaddr_nl sa = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK | RTMGRP_TC};
	int room = ROOM;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa))) {
		int err = -errno;

		close(fd);
		return err;
	}
	return fd;
}

bool nl_monitor_drain(int fd)
{
	char buf[16384] __attribute__((aligned(NLMSG_ALIGNTO)));
	bool others = false;
	ssize_t n;

	/* What they changed does not matter (a scan looks at everything), and after ENOBUFS
	 * nobody could tell. Chains come and go with their filters, and say of nobody. */
	while ((n = recv(fd, buf, sizeof(buf), 0)) > 0 || errno == ENOBUFS) {
		const struct nlmsghdr *nlh = (const struct nlmsghdr *)buf;
		int left = (int)n;

		others |= n < 0;
		errno = 0;
		for (; !others && mnl_nlmsg_ok(nlh, left); nlh = mnl_nlmsg_next(nlh, &left))
			others = nlh->nlmsg_type != RTM_NEWCHAIN &&
				 nlh->nlmsg_type != RTM_DELCHAIN && !nl_is_own(nlh->nlmsg_pid);
	}
	return others;
}
