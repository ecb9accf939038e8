// SPDX-License-Identifier: GPL-2.0-only
/* One netlink request each: a library for four would be a dependency of the command line. */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "squall/doctor/trial.h"

struct request {
	struct nlmsghdr nh;
	union {
		struct tcmsg tc;
		struct ifinfomsg link;
	};
	char attributes[64];
};

static struct rtattr *put(struct request *q, unsigned short type, const char *text)
{
	struct rtattr *a = (struct rtattr *)((char *)q + NLMSG_ALIGN(q->nh.nlmsg_len));

	a->rta_type = type;
	a->rta_len = (unsigned short)RTA_LENGTH(text ? strlen(text) + 1 : 0);
	if (text)
		strcpy(RTA_DATA(a), text);
	q->nh.nlmsg_len = NLMSG_ALIGN(q->nh.nlmsg_len) + RTA_ALIGN(a->rta_len);
	return a;
}

/* Sends it and waits for the kernel's word. */
static int ask(struct request *q)
{
	struct {
		struct nlmsghdr nh;
		struct nlmsgerr e;
		char rest[512];
	} answer;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), r;

	if (fd < 0)
		return -errno;
	q->nh.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
	r = send(fd, q, q->nh.nlmsg_len, 0) < 0 || recv(fd, &answer, sizeof(answer), 0) < 0
		    ? -errno
		    : answer.e.error;
	close(fd);
	return r;
}

static int try_veth(void)
{
	struct request q = {
		.nh = {.nlmsg_type = RTM_NEWLINK, .nlmsg_len = NLMSG_LENGTH(sizeof(q.link))}};
	struct rtattr *info = put(&q, IFLA_LINKINFO, NULL);

	put(&q, IFLA_INFO_KIND, "veth");
	info->rta_len = (unsigned short)((char *)&q + q.nh.nlmsg_len - (char *)info);
	return ask(&q);
}

/* On lo, which every namespace has: 1. */
static int try_qdisc(const char *kind, unsigned int handle, unsigned int parent)
{
	struct request q = {
		.nh = {.nlmsg_type = RTM_NEWQDISC, .nlmsg_len = NLMSG_LENGTH(sizeof(q.tc))},
		.tc = {.tcm_ifindex = 1, .tcm_handle = handle, .tcm_parent = parent}};

	put(&q, TCA_KIND, kind);
	return ask(&q);
}

static int try_tap(void)
{
	struct ifreq ifr = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC), r = 0;

	if (fd < 0)
		return -errno;
	if (ioctl(fd, TUNSETIFF, &ifr))
		r = -errno;
	close(fd);
	return r;
}

static int try_all(int ret[TRIAL_N])
{
	if (unshare(CLONE_NEWNET))
		return -errno;
	ret[TRIAL_VETH] = try_veth();
	ret[TRIAL_CLSACT] = try_qdisc("clsact", TC_H_MAKE(TC_H_CLSACT, 0), TC_H_CLSACT);
	ret[TRIAL_FQ] = try_qdisc("fq", 0, TC_H_ROOT);
	ret[TRIAL_TAP] = try_tap();
	return 0;
}

int trials(int ret[TRIAL_N])
{
	int fds[2], got[TRIAL_N + 1] = {-EIO};
	pid_t child;

	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	fflush(NULL); /* what is buffered must be written by one of the two */
	child = fork();
	if (!child) {
		got[0] = try_all(got + 1);
		_exit(write(fds[1], got, sizeof(got)) != sizeof(got));
	}
	close(fds[1]);
	if (child < 0)
		got[0] = -errno;
	else if (read(fds[0], got, sizeof(got)) != sizeof(got))
		got[0] = -EIO;
	close(fds[0]);
	if (child > 0)
		waitpid(child, NULL, 0);
	memcpy(ret, got + 1, sizeof(got) - sizeof(got[0]));
	return got[0];
}
