// SPDX-License-Identifier: GPL-2.0-only
/* What namespaces are called, each by the others: ids of rtnetlink (RTM_GETNSID, since 4.0). */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <linux/net_namespace.h>
#include <linux/rtnetlink.h>
#include "squalld/net/nl_internal.h"

static int nsid_cb(const struct nlmsghdr *nlh, void *arg)
{
	struct nlattr *a;

	mnl_attr_for_each(a, nlh,
			  sizeof(struct rtgenmsg)) if (mnl_attr_get_type(a) == NETNSA_NSID) *
		(int32_t *)arg = (int32_t)mnl_attr_get_u32(a);
	return MNL_CB_OK;
}

static int nsid_request(int netns_fd, int type, int32_t *ret)
{
	char buf[256] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct rtgenmsg *gen;

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	gen = mnl_nlmsg_put_extra_header(nlh, sizeof(*gen));
	gen->rtgen_family = AF_UNSPEC;
	mnl_attr_put_u32(nlh, NETNSA_FD, netns_fd);
	if (type == RTM_NEWNSID)
		mnl_attr_put_u32(nlh, NETNSA_NSID, (uint32_t)-1);
	return nl_talk(nlh, nsid_cb, ret);
}

int nl_nsid(int netns_fd, bool assign, int32_t *ret)
{
	int32_t id = -1;
	int err = nsid_request(netns_fd, RTM_GETNSID, &id);

	if (!err && id < 0 && assign) {
		err = nsid_request(netns_fd, RTM_NEWNSID, &id);
		if (!err)
			err = nsid_request(netns_fd, RTM_GETNSID, &id);
	}
	if (err)
		return err;
	if (id < 0)
		return -ENOENT;
	*ret = id;
	return 0;
}
