// SPDX-License-Identifier: GPL-2.0-only
/*
 * Small ends of tests of the kernel side, in C since guests have no python3:
 *   ends recv ADDR group|one DEV STOP   datagrams to port 5000 until the file STOP is
 *                                       there; prints "ready", then how many
 *   ends send ADDR DEV COUNT SIZE [PROTO]  datagrams there (raw ones of PROTO); prints how
 *                                       many sends failed with ENOBUFS
 *   ends tcx DEV in|out [first]         a tcx program of somebody else, TCX_PASS, until
 *                                       killed; prints "on"
 *   ends tcx-count DEV in|out           how many are there
 * bpf(2) by hand: Debian 12's headers know no tcx.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <linux/bpf.h>

#define PORT 5000

static int fail(const char *what)
{
	perror(what);
	return 1;
}

static socklen_t address(const char *text, uint16_t port, struct sockaddr_storage *ret)
{
	struct sockaddr_in *v4 = (void *)ret;
	struct sockaddr_in6 *v6 = (void *)ret;

	memset(ret, 0, sizeof(*ret));
	v4->sin_port = htons(port);
	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		return sizeof(*v4);
	}
	v6->sin6_family = AF_INET6;
	return inet_pton(AF_INET6, text, &v6->sin6_addr) == 1 ? sizeof(*v6) : 0;
}

static int join(int fd, const struct sockaddr_storage *group, const char *dev)
{
	struct ipv6_mreq m6 = {.ipv6mr_interface = if_nametoindex(dev)};
	struct ip_mreqn m4 = {.imr_ifindex = (int)if_nametoindex(dev)};

	if (group->ss_family == AF_INET) {
		m4.imr_multiaddr = ((const struct sockaddr_in *)group)->sin_addr;
		return setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &m4, sizeof(m4));
	}
	m6.ipv6mr_multiaddr = ((const struct sockaddr_in6 *)group)->sin6_addr;
	return setsockopt(fd, IPPROTO_IPV6, IPV6_JOIN_GROUP, &m6, sizeof(m6));
}

static int receive(char **argv)
{
	struct sockaddr_storage to, any;
	struct timeval wait = {.tv_usec = 200000};
	socklen_t len = address(argv[0], PORT, &to);
	int fd = socket(to.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0), n = 0;
	bool stop = false;
	char buf[65536];

	len = address(to.ss_family == AF_INET ? "0.0.0.0" : "::", PORT, &any);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	if (fd < 0 || bind(fd, (struct sockaddr *)&any, len))
		return fail("bind");
	if (!strcmp(argv[1], "group") && join(fd, &to, argv[2]))
		return fail("join");
	puts("ready");
	fflush(stdout);
	for (;;) {
		if (recv(fd, buf, sizeof(buf), 0) >= 0) {
			n++;
		} else {
			if (stop)
				break;
			stop = !access(argv[3], F_OK);
		}
	}
	printf("%d\n", n);
	return 0;
}

static int transmit(char **argv)
{
	int one = 1, told = 0, count = atoi(argv[2]), size = atoi(argv[3]);
	int proto = argv[4] ? atoi(argv[4]) : 0;
	int dev = (int)if_nametoindex(argv[1]);
	struct sockaddr_storage to;
	socklen_t len = address(argv[0], proto ? 0 : PORT, &to);
	int fd = socket(to.ss_family, (proto ? SOCK_RAW : SOCK_DGRAM) | SOCK_CLOEXEC, proto);
	static char data[65536];

	if (fd < 0 || size > (int)sizeof(data))
		return fail("socket");
	setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &one, sizeof(one));
	setsockopt(fd, IPPROTO_IP, IP_RECVERR, &one, sizeof(one)); /* or ENOBUFS is not told */
	if (to.ss_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, &dev, sizeof(dev));
	for (int i = 0; i < count; i++) {
		if (sendto(fd, data, (size_t)size, 0, (struct sockaddr *)&to, len) < 0) {
			/* An ICMP error of an earlier one is told here too. */
			if (errno != ENOBUFS && errno != ECONNREFUSED)
				return fail("send");
			told += errno == ENOBUFS;
		}
		usleep(2000);
	}
	printf("%d\n", told);
	return 0;
}

static long sys_bpf(int cmd, void *attr, size_t size)
{
	return syscall(__NR_bpf, cmd, attr, size);
}

static int tcx(char **argv)
{
	const struct bpf_insn code[] = {{.code = BPF_ALU64 | BPF_MOV | BPF_K},
					{.code = BPF_JMP | BPF_EXIT}};
	union bpf_attr load = {.prog_type = BPF_PROG_TYPE_SCHED_CLS,
			       .insn_cnt = 2,
			       .insns = (uintptr_t)code,
			       .license = (uintptr_t) "GPL",
			       .prog_name = "somebody"};
	uint32_t link[4] = {0, if_nametoindex(argv[0]), strcmp(argv[1], "in") ? 47 : 46,
			    argv[2] ? 8 /* BPF_F_BEFORE */ : 0};
	char attr[64] = {0};
	long fd = sys_bpf(BPF_PROG_LOAD, &load, sizeof(load));

	if (fd < 0)
		return fail("load");
	link[0] = (uint32_t)fd;
	memcpy(attr, link, sizeof(link));
	if (sys_bpf(BPF_LINK_CREATE, attr, sizeof(attr)) < 0)
		return fail("tcx");
	puts("on");
	fflush(stdout);
	pause();
	return 0;
}

static int tcx_count(char **argv)
{
	struct {
		uint32_t ifindex, type, query_flags, attach_flags;
		uint64_t ids;
		uint32_t count, pad;
		uint64_t rest[4];
	} q = {.ifindex = if_nametoindex(argv[0]), .type = strcmp(argv[1], "in") ? 47 : 46};
	uint32_t ids[64];

	q.ids = (uintptr_t)ids;
	q.count = 64;
	if (sys_bpf(BPF_PROG_QUERY, &q, sizeof(q)) < 0)
		return fail("query");
	printf("%u\n", q.count);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 6 && !strcmp(argv[1], "recv"))
		return receive(argv + 2);
	if (argc >= 6 && !strcmp(argv[1], "send"))
		return transmit(argv + 2);
	if (argc >= 4 && !strcmp(argv[1], "tcx"))
		return tcx(argv + 2);
	if (argc == 4 && !strcmp(argv[1], "tcx-count"))
		return tcx_count(argv + 2);
	fprintf(stderr, "usage: see the head of ends.c\n");
	return 2;
}
