// SPDX-License-Identifier: GPL-2.0-only
/*
 * sock_diag(7) tells it in one question, whatever the number of sockets. Where
 * a kernel has it not (gVisor, tcp_diag as a module that cannot be loaded),
 * /proc/net/tcp does, line by line.
 */
#include "lib/httpd/peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <grp.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define GROUPS_MAX 1024

union addr {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

/* The peer's side of the connection: its source is where fd's packets go. */
static int sides(int fd, union addr *src, union addr *dst)
{
	socklen_t n = sizeof(*src), m = sizeof(*dst);

	if (getpeername(fd, &src->sa, &n) < 0 || getsockname(fd, &dst->sa, &m) < 0)
		return -errno;
	return src->sa.sa_family == AF_INET || src->sa.sa_family == AF_INET6 ? 0 : -EAFNOSUPPORT;
}

static in_port_t fill(const union addr *a, __be32 *words)
{
	if (a->sa.sa_family == AF_INET) {
		words[0] = a->in.sin_addr.s_addr;
		return a->in.sin_port;
	}
	memcpy(words, &a->in6.sin6_addr, 16);
	return a->in6.sin6_port;
}

/*
 * A socket that nobody holds has no inode, and uid 0 on most kernels. The
 * kernel falls back to a listener on that port, which is another's.
 */
static int judge(unsigned int state, unsigned long inode, uid_t uid, uid_t *ret)
{
	if (!inode || state == TCP_LISTEN || state == TCP_TIME_WAIT || state == TCP_CLOSE)
		return -ENOENT;
	*ret = uid;
	return 0;
}

static int by_diag(const union addr *src, const union addr *dst, uid_t *ret)
{
	struct {
		struct nlmsghdr h;
		struct inet_diag_req_v2 r;
	} ask = {
		.h = {.nlmsg_len = sizeof(ask),
		      .nlmsg_type = SOCK_DIAG_BY_FAMILY,
		      .nlmsg_flags = NLM_F_REQUEST},
		.r = {.sdiag_family = (__u8)src->sa.sa_family,
		      .sdiag_protocol = IPPROTO_TCP,
		      .idiag_states = ~0u,
		      .id.idiag_cookie = {INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE}},
	};
	union {
		struct nlmsghdr h;
		char room[4096];
	} answer;
	const struct inet_diag_msg *m = NLMSG_DATA(&answer.h);
	int nl = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	ssize_t n;

	if (nl < 0)
		return -EOPNOTSUPP;
	ask.r.id.idiag_sport = fill(src, ask.r.id.idiag_src);
	ask.r.id.idiag_dport = fill(dst, ask.r.id.idiag_dst);
	n = send(nl, &ask, sizeof(ask), 0) < 0 ? -1 : recv(nl, &answer, sizeof(answer), 0);
	close(nl);
	if (n < (ssize_t)NLMSG_LENGTH(sizeof(int)))
		return -EOPNOTSUPP;
	if (answer.h.nlmsg_type == NLMSG_ERROR) {
		const struct nlmsgerr *e = NLMSG_DATA(&answer.h);

		/* ENOENT is said of a missing socket and of a missing module alike. */
		return e->error ? -EOPNOTSUPP : -ENOENT;
	}
	if (n < (ssize_t)NLMSG_LENGTH(sizeof(*m)) || m->id.idiag_sport != ask.r.id.idiag_sport ||
	    m->id.idiag_dport != ask.r.id.idiag_dport)
		return -ENOENT;
	return judge(m->idiag_state, m->idiag_inode, m->idiag_uid, ret);
}

/* "0100007F:0FF0": each 32-bit word of the address as this machine reads it. */
static void proc_text(const union addr *a, char *buf, size_t size)
{
	__be32 words[4];
	unsigned int port = ntohs(fill(a, words));
	size_t n = 0;

	for (int i = 0; i < (a->sa.sa_family == AF_INET ? 1 : 4); i++)
		n += (size_t)snprintf(buf + n, size - n, "%08X", words[i]);
	snprintf(buf + n, size - n, ":%04X", port);
}

static int by_proc(const union addr *src, const union addr *dst, uid_t *ret)
{
	char want[2][48], line[512], from[48], to[48];
	/* Of this thread: another may be in another namespace. */
	FILE *f = fopen(src->sa.sa_family == AF_INET ? "/proc/thread-self/net/tcp"
						     : "/proc/thread-self/net/tcp6",
			"re");
	unsigned long inode;
	unsigned int state, uid;
	int rc = -ENOENT;

	if (!f)
		return -errno;
	proc_text(src, want[0], sizeof(want[0]));
	proc_text(dst, want[1], sizeof(want[1]));
	while (rc < 0 && fgets(line, sizeof(line), f))
		if (sscanf(line, "%*s %47s %47s %x %*s %*s %*s %u %*s %lu", from, to, &state, &uid,
			   &inode) == 5 &&
		    !strcmp(from, want[0]) && !strcmp(to, want[1]))
			rc = judge(state, inode, uid, ret);
	fclose(f);
	return rc;
}

int httpd_peer_uid(int fd, uid_t *ret)
{
	union addr src = {0}, dst = {0};
	int rc = sides(fd, &src, &dst);

	if (rc < 0)
		return rc;
	rc = by_diag(&src, &dst, ret);
	return rc == -EOPNOTSUPP ? by_proc(&src, &dst, ret) : rc;
}

bool httpd_in_group(uid_t uid, gid_t gid)
{
	gid_t groups[GROUPS_MAX];
	struct passwd pw, *found = NULL;
	char buf[4096];
	int n = GROUPS_MAX;

	if (getpwuid_r(uid, &pw, buf, sizeof(buf), &found) != 0 || !found)
		return false;
	if (getgrouplist(pw.pw_name, pw.pw_gid, groups, &n) < 0)
		n = GROUPS_MAX;
	for (int i = 0; i < n; i++)
		if (groups[i] == gid)
			return true;
	return false;
}
