// SPDX-License-Identifier: GPL-2.0-only
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>
#include <libmnl/libmnl.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include "squalld/net/nl_internal.h"

/* The first preference that is free (others default to 49152 and up), so that a
 * program which ends the chain with TC_ACT_OK does not hide the packet. One where
 * somebody has a filter of another kind or protocol is refused with EINVAL. */
#define FIRST_PREFERENCE 1
#define LAST_PREFERENCE	 16
#define SQ_TC_HANDLE	 0x5153
#define SQ_FILTER_NAME	 "squall_"
#define BUFFER		 65536 /* a dump's message: libmnl wants >= 8 KiB */
#define LOOPBACK_IFINDEX 1     /* in every namespace (include/net/flow.h) */

/* A socket and what it needs; that of a row of requests is the thread's, see nl_begin(). */
struct line {
	struct mnl_socket *nl;
	char *buf;
	uint32_t seq;
};
static _Thread_local struct line row;
static _Thread_local bool in_row;

/* Of this thread's sockets, of which one is open at a time. By itself the kernel takes the
 * process's id, which somebody of another pid namespace may have too. */
static _Thread_local uint32_t port;

static void line_close(struct line *l)
{
	free(l->buf);
	if (l->nl)
		mnl_socket_close(l->nl);
	*l = (struct line){0};
}

static int line_open(struct line *l)
{
	int err = 0;

	l->nl = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	l->buf = malloc(BUFFER);
	if (!port && getrandom(&port, sizeof(port), GRND_NONBLOCK) == sizeof(port))
		port |= 1u << 31;
	if (!l->nl || (mnl_socket_bind(l->nl, 0, (int)port) < 0 &&
		       mnl_socket_bind(l->nl, 0, MNL_SOCKET_AUTOPID) < 0))
		err = -errno;
	else if (!l->buf)
		err = -ENOMEM;
	if (err)
		line_close(l);
	return err;
}

bool nl_is_own(uint32_t portid)
{
	return portid && portid == port;
}

static int ask(struct line *l, struct nlmsghdr *nlh, mnl_cb_t cb, void *arg)
{
	unsigned int portid = mnl_socket_get_portid(l->nl);
	int ret;

	nlh->nlmsg_seq = ++l->seq;
	if (mnl_socket_sendto(l->nl, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	do {
		ssize_t n = mnl_socket_recvfrom(l->nl, l->buf, BUFFER);

		if (n < 0)
			return -errno;
		ret = mnl_cb_run(l->buf, (size_t)n, l->seq, portid, cb, arg);
		if (ret < 0)
			return errno ? -errno : -EIO;
	} while (ret > MNL_CB_STOP);
	return 0;
}

int nl_talk(struct nlmsghdr *nlh, mnl_cb_t cb, void *arg)
{
	struct line own = {0}, *l = in_row ? &row : &own;
	int err = l->nl ? 0 : line_open(l);

	if (!err)
		err = ask(l, nlh, cb, arg);
	/* After a failure there may be more to read, which is no answer to what is asked next. */
	if (err || !in_row)
		line_close(l);
	return err;
}

void nl_begin(void)
{
	in_row = true;
}

void nl_end(void)
{
	in_row = false;
	line_close(&row);
}

struct links {
	struct nl_link *list;
	size_t n, room;
	int err;
};

static int link_cb(const struct nlmsghdr *nlh, void *arg)
{
	const struct ifinfomsg *ifm = mnl_nlmsg_get_payload(nlh);
	struct links *l = arg;
	struct nlattr *a, *b;
	struct nl_link *k;

	if (l->n == l->room) {
		size_t room = l->room ? l->room * 2 : 64;
		struct nl_link *list = reallocarray(l->list, room, sizeof(*list));

		if (!list) {
			l->err = -ENOMEM;
			return MNL_CB_STOP;
		}
		l->list = list;
		l->room = room;
	}
	k = &l->list[l->n++];
	memset(k, 0, sizeof(*k));
	k->ifindex = ifm->ifi_index;
	k->arptype = ifm->ifi_type;
	k->flags = ifm->ifi_flags;
	k->peer_nsid = -1;
	mnl_attr_for_each(a, nlh, sizeof(*ifm))
	{
		switch (mnl_attr_get_type(a)) {
		case IFLA_IFNAME:
			strncpy(k->name, mnl_attr_get_str(a), sizeof(k->name) - 1);
			break;
		case IFLA_MTU:
			k->mtu = mnl_attr_get_u32(a);
			break;
		case IFLA_LINK:
			k->peer_ifindex = mnl_attr_get_u32(a);
			break;
		case IFLA_MASTER:
			k->enslaved = true;
			break;
		case IFLA_LINK_NETNSID:
			k->peer_nsid = (int32_t)mnl_attr_get_u32(a);
			break;
		case IFLA_LINKINFO:
			mnl_attr_for_each_nested(b, a) if (mnl_attr_get_type(b) == IFLA_INFO_KIND)
				strncpy(k->kind, mnl_attr_get_str(b), sizeof(k->kind) - 1);
			break;
		}
	}
	return MNL_CB_OK;
}

/* ifindex 0: of all. */
static int links_get(uint32_t ifindex, struct nl_link **ret, size_t *ret_n)
{
	char buf[512] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct ifinfomsg *ifm;
	struct links l = {0};
	int err;

	nlh->nlmsg_type = RTM_GETLINK;
	nlh->nlmsg_flags = NLM_F_REQUEST | (ifindex ? NLM_F_ACK : NLM_F_DUMP);
	ifm = mnl_nlmsg_put_extra_header(nlh, sizeof(*ifm));
	ifm->ifi_family = AF_UNSPEC;
	ifm->ifi_index = (int)ifindex;
	/* Else the counters of each link are added up over all CPUs, and sent. */
	mnl_attr_put_u32(nlh, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	err = nl_talk(nlh, link_cb, &l);
	if (!err)
		err = l.err;
	if (err) {
		free(l.list);
		return err;
	}
	*ret = l.list;
	*ret_n = l.n;
	return 0;
}

int nl_links(struct nl_link **ret, size_t *ret_n)
{
	return links_get(0, ret, ret_n);
}

int nl_link_lo(struct nl_link **ret, size_t *ret_n)
{
	return links_get(LOOPBACK_IFINDEX, ret, ret_n);
}

struct ifinfomsg *nl_link_request(char *buf, struct nlmsghdr **nlh, int type, int flags)
{
	struct ifinfomsg *ifm;

	*nlh = mnl_nlmsg_put_header(buf);
	(*nlh)->nlmsg_type = type;
	(*nlh)->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
	ifm = mnl_nlmsg_put_extra_header(*nlh, sizeof(*ifm));
	ifm->ifi_family = AF_UNSPEC;
	return ifm;
}

int nl_link_get(const char *name, struct nl_link *ret)
{
	char buf[256] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct nlmsghdr *nlh;
	struct links l = {0};
	int err;

	nl_link_request(buf, &nlh, RTM_GETLINK, 0);
	mnl_attr_put_strz(nlh, IFLA_IFNAME, name);
	err = nl_talk(nlh, link_cb, &l);
	if (!err)
		err = l.err ? l.err : l.n ? 0 : -ENODEV;
	if (!err)
		*ret = l.list[0];
	free(l.list);
	return err;
}

int nl_link_delete(const char *name)
{
	char buf[256] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct nlmsghdr *nlh;

	nl_link_request(buf, &nlh, RTM_DELLINK, 0);
	mnl_attr_put_strz(nlh, IFLA_IFNAME, name);
	return nl_talk(nlh, NULL, NULL);
}

int nl_link_setup(uint32_t ifindex, uint32_t mtu, uint32_t txqlen)
{
	char buf[256] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct nlmsghdr *nlh;
	struct ifinfomsg *ifm = nl_link_request(buf, &nlh, RTM_NEWLINK, 0);

	ifm->ifi_index = ifindex;
	ifm->ifi_flags = ifm->ifi_change = IFF_UP | IFF_NOARP;
	mnl_attr_put_u32(nlh, IFLA_MTU, mtu);
	if (txqlen)
		mnl_attr_put_u32(nlh, IFLA_TXQLEN, txqlen);
	return nl_talk(nlh, NULL, NULL);
}

static struct nlmsghdr *tc_request(char *buf, int type, int flags, uint32_t ifindex,
				   uint32_t parent, uint32_t handle, uint32_t info)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct tcmsg *tcm;

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_REQUEST | flags;
	tcm = mnl_nlmsg_put_extra_header(nlh, sizeof(*tcm));
	tcm->tcm_family = AF_UNSPEC;
	tcm->tcm_ifindex = ifindex;
	tcm->tcm_parent = parent;
	tcm->tcm_handle = handle;
	tcm->tcm_info = info;
	return nlh;
}

static int clsact_ask(uint32_t ifindex, uint16_t flags)
{
	char buf[256] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct nlmsghdr *nlh = tc_request(buf, RTM_NEWQDISC, NLM_F_ACK | flags, ifindex,
					  TC_H_CLSACT, TC_H_MAKE(TC_H_CLSACT, 0), 0);

	mnl_attr_put_strz(nlh, TCA_KIND, "clsact");
	return nl_talk(nlh, NULL, NULL);
}

int nl_clsact_add(uint32_t ifindex)
{
	int err = clsact_ask(ifindex, NLM_F_CREATE | NLM_F_EXCL);

	/* Whose handle and place are the same: the qdisc "ingress". An egress filter given to it
	 * would run at ingress. A change of nothing fails where the kind is another. */
	return err == -EEXIST && clsact_ask(ifindex, 0) == -EINVAL ? -ENOTUNIQ : err;
}

int nl_clsact_delete(uint32_t ifindex)
{
	char buf[256] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct nlmsghdr *nlh = tc_request(buf, RTM_DELQDISC, NLM_F_ACK, ifindex, TC_H_CLSACT,
					  TC_H_MAKE(TC_H_CLSACT, 0), 0);

	return nl_talk(nlh, NULL, NULL);
}

static uint32_t clsact_parent(bool egress)
{
	return TC_H_MAKE(TC_H_CLSACT, egress ? TC_H_MIN_EGRESS : TC_H_MIN_INGRESS);
}

static int filter_cb(const struct nlmsghdr *nlh, void *arg)
{
	const struct tcmsg *tcm = mnl_nlmsg_get_payload(nlh);
	const char *kind = "?", *name = "";
	uint16_t preference = tcm->tcm_info >> 16;
	uint32_t prog_id = 0, classid = 0;
	struct nl_filters *f = arg;
	struct nlattr *a, *b;
	uint32_t chain = 0;

	mnl_attr_for_each(a, nlh, sizeof(*tcm))
	{
		if (mnl_attr_get_type(a) == TCA_KIND)
			kind = mnl_attr_get_str(a);
		if (mnl_attr_get_type(a) == TCA_CHAIN)
			chain = mnl_attr_get_u32(a);
		if (mnl_attr_get_type(a) != TCA_OPTIONS || strcmp(kind, "bpf"))
			continue;
		mnl_attr_for_each_nested(b, a)
		{
			if (mnl_attr_get_type(b) == TCA_BPF_NAME)
				name = mnl_attr_get_str(b);
			else if (mnl_attr_get_type(b) == TCA_BPF_ID)
				prog_id = mnl_attr_get_u32(b);
			else if (mnl_attr_get_type(b) == TCA_BPF_CLASSID)
				classid = mnl_attr_get_u32(b);
		}
	}
	f->any = true;
	if (tcm->tcm_handle == SQ_TC_HANDLE && !strcmp(kind, "bpf") &&
	    !strncmp(name, SQ_FILTER_NAME, strlen(SQ_FILTER_NAME))) {
		f->ours = preference;
		f->prog_id = prog_id;
		f->classid = classid;
	} else if (!f->ours && !f->front[0] && !chain && *name)
		snprintf(f->front, sizeof(f->front), "tc filter \"%.24s\" (%s, preference %u)",
			 name, kind, preference);
	else if (!f->ours && !f->front[0] && !chain && strcmp(kind, "bpf"))
		snprintf(f->front, sizeof(f->front), "tc filter %.16s at preference %u", kind,
			 preference);
	return MNL_CB_OK;
}

int nl_filters(uint32_t ifindex, bool egress, struct nl_filters *ret)
{
	char buf[256] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct nlmsghdr *nlh =
		tc_request(buf, RTM_GETTFILTER, NLM_F_DUMP, ifindex, clsact_parent(egress), 0, 0);
	int err;

	memset(ret, 0, sizeof(*ret));
	err = nl_talk(nlh, filter_cb, ret);
	if (err)
		memset(ret, 0, sizeof(*ret));
	if (!ret->ours)
		ret->front[0] = 0;
	return err;
}

int nl_clsact_in_use(uint32_t ifindex, bool *ret)
{
	struct nl_filters in, out;
	int err = nl_filters(ifindex, false, &in);

	if (!err)
		err = nl_filters(ifindex, true, &out);
	if (!err)
		*ret = in.any || out.any;
	return err;
}

int nl_filter_present(uint32_t ifindex, bool egress)
{
	struct nl_filters f;
	int err = nl_filters(ifindex, egress, &f);

	return err ? err : f.ours > 0;
}

static int filter_delete_at(uint32_t ifindex, bool egress, uint32_t preference)
{
	char buf[256] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct nlmsghdr *nlh =
		tc_request(buf, RTM_DELTFILTER, NLM_F_ACK, ifindex, clsact_parent(egress),
			   SQ_TC_HANDLE, TC_H_MAKE(preference << 16, htons(ETH_P_ALL)));

	mnl_attr_put_strz(nlh, TCA_KIND, "bpf");
	return nl_talk(nlh, NULL, NULL);
}

static int filter_set_at(uint32_t ifindex, bool egress, uint32_t preference, int prog_fd,
			 const char *name, uint16_t classid)
{
	char buf[512] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct nlmsghdr *nlh;
	struct nlattr *opts;

	nlh = tc_request(buf, RTM_NEWTFILTER, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE, ifindex,
			 clsact_parent(egress), SQ_TC_HANDLE,
			 TC_H_MAKE(preference << 16, htons(ETH_P_ALL)));
	mnl_attr_put_strz(nlh, TCA_KIND, "bpf");
	opts = mnl_attr_nest_start(nlh, TCA_OPTIONS);
	mnl_attr_put_u32(nlh, TCA_BPF_FD, prog_fd);
	mnl_attr_put_strz(nlh, TCA_BPF_NAME, name);
	mnl_attr_put_u32(nlh, TCA_BPF_FLAGS, TCA_BPF_FLAG_ACT_DIRECT);
	if (classid)
		mnl_attr_put_u32(nlh, TCA_BPF_CLASSID, classid);
	mnl_attr_nest_end(nlh, opts);
	return nl_talk(nlh, NULL, NULL);
}

int nl_filter_set(uint32_t ifindex, bool egress, int prog_fd, const char *name, uint16_t classid,
		  struct nl_filters *there)
{
	uint32_t preference = FIRST_PREFERENCE;
	int err;

	do
		err = filter_set_at(ifindex, egress, preference, prog_fd, name, classid);
	while ((err == -EINVAL || err == -EEXIST) && ++preference <= LAST_PREFERENCE);
	if (err || there->ours == preference)
		return err;
	/* That of a squalld before us, at another place: not two of them. */
	if (there->ours)
		filter_delete_at(ifindex, egress, there->ours);
	/* Among others its place is the kernel's to say. */
	if (there->any)
		return nl_filters(ifindex, egress, there);
	there->any = true;
	there->ours = preference;
	return 0;
}

int nl_filter_delete(uint32_t ifindex, bool egress)
{
	struct nl_filters f;
	int err = nl_filters(ifindex, egress, &f);

	if (err || !f.ours)
		return err ? err : -ENOENT;
	return filter_delete_at(ifindex, egress, f.ours);
}

#define FQ_HANDLE  TC_H_MAKE(0x51530000, 0)
#define FQ_HORIZON 600000000 /* us; engine.c refuses delays beyond 300 s */

int nl_fq_set(uint32_t ifindex, uint32_t limit_pkts)
{
	char buf[512] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct nlmsghdr *nlh =
		tc_request(buf, RTM_NEWQDISC, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE, ifindex,
			   TC_H_ROOT, FQ_HANDLE, 0);
	struct nlattr *opts;

	/* fq's own limits are faults nobody asked for: by default it keeps 100
	 * packets of a flow and drops what leaves in more than 10 s. bpf/lane.h
	 * holds to the bound in bytes, and says why fq looks at the whole hash. */
	mnl_attr_put_strz(nlh, TCA_KIND, "fq");
	opts = mnl_attr_nest_start(nlh, TCA_OPTIONS);
	mnl_attr_put_u32(nlh, TCA_FQ_PLIMIT, limit_pkts);
	mnl_attr_put_u32(nlh, TCA_FQ_FLOW_PLIMIT, limit_pkts);
	mnl_attr_put_u32(nlh, TCA_FQ_RATE_ENABLE, 0);
	mnl_attr_put_u32(nlh, TCA_FQ_ORPHAN_MASK, 0xffffffff);
	mnl_attr_put_u32(nlh, TCA_FQ_BUCKETS_LOG, 12);
	mnl_attr_put_u32(nlh, TCA_FQ_HORIZON, FQ_HORIZON);
	mnl_attr_nest_end(nlh, opts);
	return nl_talk(nlh, NULL, NULL);
}

struct qdisc_query {
	uint32_t ifindex;
	struct nl_fq_stats *stats;
	bool found;
};

static bool fq_ours(const struct tcmsg *tcm, const struct nlattr *options)
{
	uint32_t mask = 0, horizon = 0, limit = 0, flow_limit = 0;
	const struct nlattr *a;

	mnl_attr_for_each_nested(a, options)
	{
		uint16_t type = mnl_attr_get_type(a);
		uint32_t *to = type == TCA_FQ_PLIMIT	    ? &limit
			       : type == TCA_FQ_FLOW_PLIMIT ? &flow_limit
			       : type == TCA_FQ_ORPHAN_MASK ? &mask
			       : type == TCA_FQ_HORIZON	    ? &horizon
							    : NULL;

		if (to && mnl_attr_get_payload_len(a) >= sizeof(*to))
			*to = mnl_attr_get_u32(a);
	}
	return tcm->tcm_handle == FQ_HANDLE && mask == 0xffffffff && horizon == FQ_HORIZON &&
	       limit >= 1000000 && flow_limit == limit;
}

static int qdisc_cb(const struct nlmsghdr *nlh, void *arg)
{
	const struct tcmsg *tcm = mnl_nlmsg_get_payload(nlh);
	struct qdisc_query *q = arg;
	struct nlattr *a;
	bool fq = false;

	if ((uint32_t)tcm->tcm_ifindex != q->ifindex || tcm->tcm_parent != TC_H_ROOT)
		return MNL_CB_OK;
	q->stats->made = tcm->tcm_handle != 0;
	mnl_attr_for_each(a, nlh, sizeof(*tcm))
	{
		if (mnl_attr_get_type(a) == TCA_KIND)
			fq = !strcmp(mnl_attr_get_str(a), "fq");
		else if (mnl_attr_get_type(a) == TCA_OPTIONS)
			q->stats->ours = fq && fq_ours(tcm, a);
		else if (mnl_attr_get_type(a) == TCA_STATS) {
			struct tc_stats st = {0};

			memcpy(&st, mnl_attr_get_payload(a),
			       mnl_attr_get_payload_len(a) < sizeof(st)
				       ? mnl_attr_get_payload_len(a)
				       : sizeof(st));
			q->stats->dropped = st.drops;
			q->stats->qlen = st.qlen;
			q->stats->backlog = st.backlog;
			q->found = true;
		}
	}
	return MNL_CB_OK;
}

int nl_qdisc_stats(uint32_t ifindex, struct nl_fq_stats *ret)
{
	char buf[256] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct qdisc_query q = {.ifindex = ifindex, .stats = ret};
	struct nlmsghdr *nlh = tc_request(buf, RTM_GETQDISC, NLM_F_DUMP, ifindex, 0, 0, 0);
	int err;

	memset(ret, 0, sizeof(*ret));
	err = nl_talk(nlh, qdisc_cb, &q);
	return err ? err : q.found ? 0 : -ENOENT;
}

int nl_qdisc_delete(uint32_t ifindex)
{
	char buf[256] __attribute__((aligned(NLMSG_ALIGNTO)));

	return nl_talk(tc_request(buf, RTM_DELQDISC, NLM_F_ACK, ifindex, TC_H_ROOT, 0, 0), NULL,
		       NULL);
}
