// SPDX-License-Identifier: GPL-2.0-only
/* Connections of a namespace, found and aborted. */
#include "squalld/net/sockdiag.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>

#define REPLY 8192 /* one socket's; libmnl wants as much */

struct mnl_socket *sockdiag_open(void)
{
	struct mnl_socket *s = mnl_socket_open2(NETLINK_SOCK_DIAG, SOCK_CLOEXEC);

	if (s && mnl_socket_bind(s, 0, MNL_SOCKET_AUTOPID) < 0) {
		mnl_socket_close(s);
		return NULL;
	}
	return s;
}

void sockdiag_close(struct mnl_socket *s)
{
	if (s)
		mnl_socket_close(s);
}

static int talk(struct mnl_socket *s, uint16_t type, uint16_t flags, const struct tcp_ends *ends,
		const uint32_t cookie[2], mnl_cb_t cb, void *arg)
{
	char buf[REPLY] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct inet_diag_req_v2 *q = mnl_nlmsg_put_extra_header(nlh, sizeof(*q));
	static uint32_t number;
	uint32_t seq = __atomic_add_fetch(&number, 1, __ATOMIC_RELAXED);
	ssize_t n;
	int res;

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_REQUEST | flags;
	nlh->nlmsg_seq = seq;
	q->sdiag_family = ends->family == 6 ? AF_INET6 : AF_INET;
	q->sdiag_protocol = IPPROTO_TCP;
	q->idiag_states = ~0u;
	q->id.idiag_sport = htons(ends->lport);
	q->id.idiag_dport = htons(ends->rport);
	memcpy(q->id.idiag_src, ends->local, ends->family == 6 ? 16 : 4);
	memcpy(q->id.idiag_dst, ends->remote, ends->family == 6 ? 16 : 4);
	memcpy(q->id.idiag_cookie, cookie, sizeof(q->id.idiag_cookie));
	if (mnl_socket_sendto(s, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	n = mnl_socket_recvfrom(s, buf, sizeof(buf));
	if (n < 0)
		return -errno;
	res = mnl_cb_run(buf, n, seq, mnl_socket_get_portid(s), cb, arg);
	return res < 0 ? (errno ? -errno : -EIO) : 0;
}

struct found {
	uint64_t cookie, cgroup;
	uint8_t state;
	uint16_t rport;
};

static int found_cb(const struct nlmsghdr *nlh, void *arg)
{
	const struct inet_diag_msg *m = mnl_nlmsg_get_payload(nlh);
	struct found *f = arg;
	struct nlattr *a;

	f->state = m->idiag_state;
	f->rport = ntohs(m->id.idiag_dport);
	memcpy(&f->cookie, m->id.idiag_cookie, sizeof(f->cookie));
	mnl_attr_for_each(a, nlh, sizeof(*m)) if (mnl_attr_get_type(a) == INET_DIAG_CGROUP_ID)
		f->cgroup = mnl_attr_get_u64(a);
	return MNL_CB_STOP;
}

int sockdiag_find(struct mnl_socket *s, const struct tcp_ends *ends, uint64_t *ret_cookie,
		  uint64_t *ret_cgroup)
{
	static const uint32_t any[2] = {INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE};
	struct found f = {0};
	int res = talk(s, SOCK_DIAG_BY_FAMILY, 0, ends, any, found_cb, &f);

	if (res)
		return res;
	/* Where there is no such connection, the kernel names who listens on its port. */
	if (!f.cookie || f.rport != ends->rport || f.state == TCP_LISTEN ||
	    f.state == TCP_TIME_WAIT || f.state == TCP_CLOSE)
		return -ENOENT;
	*ret_cookie = f.cookie;
	*ret_cgroup = f.cgroup;
	return 0;
}

int sockdiag_abort(struct mnl_socket *s, const struct tcp_ends *ends, uint64_t cookie)
{
	uint32_t halves[2];

	memcpy(halves, &cookie, sizeof(halves));
	return talk(s, SOCK_DESTROY, NLM_F_ACK, ends, halves, NULL, NULL);
}

static int abort_it(int fd)
{
	struct sockaddr_in local, remote;
	socklen_t len = sizeof(local), error_len = sizeof(int);
	struct tcp_ends ends = {.family = 4};
	struct mnl_socket *s = sockdiag_open();
	uint64_t cookie, cgroup;
	int res = s ? 0 : -errno, error = 0;

	if (!res &&
	    (getsockname(fd, (void *)&local, &len) || getpeername(fd, (void *)&remote, &len)))
		res = -errno;
	if (!res) {
		memcpy(ends.local, &local.sin_addr, 4);
		memcpy(ends.remote, &remote.sin_addr, 4);
		ends.lport = ntohs(local.sin_port);
		ends.rport = ntohs(remote.sin_port);
		res = sockdiag_find(s, &ends, &cookie, &cgroup);
	}
	/* Without the cgroup it could not be told whose it is. */
	if (!res && !cgroup)
		res = -EOPNOTSUPP;
	if (!res)
		res = sockdiag_abort(s, &ends, cookie);
	if (!res && (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &error_len) || !error))
		res = -EOPNOTSUPP;
	sockdiag_close(s);
	return res;
}

int sockdiag_try(void)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	int in = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int out = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), res = 0;
	socklen_t len = sizeof(sa);

	/* What is on its way over lo is there when connect() returns. */
	if (in < 0 || out < 0 || bind(in, (void *)&sa, sizeof(sa)) || listen(in, 1) ||
	    getsockname(in, (void *)&sa, &len) ||
	    (connect(out, (void *)&sa, sizeof(sa)) && errno != EINPROGRESS))
		res = -errno;
	if (!res)
		res = abort_it(out);
	if (in >= 0)
		close(in);
	if (out >= 0)
		close(out);
	return res;
}
