// SPDX-License-Identifier: GPL-2.0-only
/* New links of each kind that lanes are made of. */
#include <string.h>
#include <net/if.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include "squalld/net/nl_internal.h"

/* Then what the kind takes, until nest_end(info). */
static struct nlattr *link_new(char *buf, struct nlmsghdr **ret, const char *name, const char *kind)
{
	struct nlattr *info;

	nl_link_request(buf, ret, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
	mnl_attr_put_strz(*ret, IFLA_IFNAME, name);
	info = mnl_attr_nest_start(*ret, IFLA_LINKINFO);
	mnl_attr_put_strz(*ret, IFLA_INFO_KIND, kind);
	return info;
}

int nl_veth_create(const char *name, const char *peer)
{
	char buf[1024] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct nlmsghdr *nlh;
	struct nlattr *info = link_new(buf, &nlh, name, "veth"), *data, *other;
	struct ifinfomsg *ifm;

	data = mnl_attr_nest_start(nlh, IFLA_INFO_DATA);
	other = mnl_attr_nest_start(nlh, VETH_INFO_PEER);
	ifm = mnl_nlmsg_put_extra_header(nlh, sizeof(*ifm));
	ifm->ifi_family = AF_UNSPEC;
	mnl_attr_put_strz(nlh, IFLA_IFNAME, peer);
	mnl_attr_put_u32(nlh, IFLA_MTU, 65535);
	mnl_attr_nest_end(nlh, other);
	mnl_attr_nest_end(nlh, data);
	mnl_attr_nest_end(nlh, info);
	mnl_attr_put_u32(nlh, IFLA_MTU, 65535);
	return nl_talk(nlh, NULL, NULL);
}

int nl_dummy_create(const char *name)
{
	char buf[512] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct nlmsghdr *nlh;
	struct nlattr *info = link_new(buf, &nlh, name, "dummy");

	mnl_attr_nest_end(nlh, info);
	return nl_talk(nlh, NULL, NULL);
}

int nl_stack_create(const char *name, const char *kind, uint32_t ifindex)
{
	char buf[512] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct nlmsghdr *nlh;
	struct nlattr *info = link_new(buf, &nlh, name, kind), *data;

	data = mnl_attr_nest_start(nlh, IFLA_INFO_DATA);
	if (!strcmp(kind, "vlan"))
		mnl_attr_put_u16(nlh, IFLA_VLAN_ID, 1);
	else
		mnl_attr_put_u32(nlh, IFLA_MACVLAN_MODE, MACVLAN_MODE_PRIVATE);
	mnl_attr_nest_end(nlh, data);
	mnl_attr_nest_end(nlh, info);
	mnl_attr_put_u32(nlh, IFLA_LINK, ifindex);
	return nl_talk(nlh, NULL, NULL);
}
