// SPDX-License-Identifier: GPL-2.0-only
/* Makes the devices through which packets are cut and in which they wait. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <bpf/libbpf.h>
#include <linux/ethtool.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include "squall.skel.h"
#include "squalld/kernel/engine_internal.h"

/* Not in the headers of 6.1. */
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif
#define TAP_MTU 65521 /* the most that tun takes */

/* The device has no address and shall not send router solicitations. Fails
 * where /proc/sys is read-only; the lane's program drops such chatter anyway. */
static void quieten(const char *ifname)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/disable_ipv6", ifname);
	f = fopen(path, "we");
	if (!f)
		return;
	fputs("1", f);
	fclose(f);
}

static int attach(uint32_t ifindex, bool egress, struct bpf_program *prog, const char *name)
{
	int err = nl_clsact_add(ifindex);

	if (err && err != -EEXIST)
		return err;
	return nl_filter_set(ifindex, egress, bpf_program__fd(prog), name, 0);
}

static int offload_off(int sock, const char *ifname, uint32_t what)
{
	struct ethtool_value v = {.cmd = what, .data = 0};
	struct ifreq ifr = {0};

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", ifname);
	ifr.ifr_data = (char *)&v;
	return ioctl(sock, SIOCETHTOOL, &ifr) ? -errno : 0;
}

/* A device without offloads: what is sent through it is segmented and has its
 * checksum finished by the kernel (validate_xmit_skb), as by a plain NIC. */
static int seg_open(struct engine *e, struct space *s)
{
	int sock, err;

	nl_link_delete(SEG_OUT); /* of a squalld that died */
	err = nl_veth_create(SEG_OUT, SEG_IN);
	if (err)
		return err;
	quieten(SEG_OUT);
	quieten(SEG_IN);
	sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (sock < 0)
		return -errno;
	err = offload_off(sock, SEG_OUT, ETHTOOL_STXCSUM);
	if (!err)
		err = offload_off(sock, SEG_OUT, ETHTOOL_SSG);
	if (!err)
		err = offload_off(sock, SEG_OUT, ETHTOOL_SGSO);
	close(sock);
	if (err)
		return err;
	s->seg_ifindex = if_nametoindex(SEG_OUT);
	return attach(if_nametoindex(SEG_IN), false, e->skel->progs.squall_seg_in, "squall_seg_in");
}

static int fq_open(struct engine *e, struct space *s)
{
	int err;

	nl_link_delete(FQ_OUT);
	err = nl_veth_create(FQ_OUT, FQ_IN);
	if (err)
		return err;
	quieten(FQ_OUT);
	quieten(FQ_IN);
	s->lane_ifindex = if_nametoindex(FQ_OUT);
	err = nl_fq_set(s->lane_ifindex);
	if (!err)
		err = attach(s->lane_ifindex, true, e->skel->progs.squall_fq_out, "squall_fq_out");
	if (!err)
		err = attach(if_nametoindex(FQ_IN), false, e->skel->progs.squall_fq_in,
			     "squall_fq_in");
	return err;
}

static int tap_open(struct engine *e, struct space *s)
{
	struct ifreq ifr = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
	unsigned int offload = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC), err;
	uint32_t ifindex, len;

	if (fd < 0)
		return -errno;
	strcpy(ifr.ifr_name, TAP);
	if (ioctl(fd, TUNSETIFF, &ifr)) {
		err = -errno;
		goto fail;
	}
	/* GSO packets pass whole; UDP's since 6.2, before that they are cut. */
	if (ioctl(fd, TUNSETOFFLOAD, offload | TUN_F_USO4 | TUN_F_USO6) &&
	    ioctl(fd, TUNSETOFFLOAD, offload)) {
		err = -errno;
		goto fail;
	}
	ifindex = if_nametoindex(TAP);
	quieten(TAP);
	/* The queue between kernel and pacer: a burst that overflows it is lost. How
	 * long it may be depends on the kernel: 6.12.117 refuses 65535. */
	len = 65536;
	do
		err = nl_link_setup(ifindex, TAP_MTU, len);
	while (err == -ERANGE && (len /= 2) >= 1024);
	if (!err)
		err = attach(ifindex, true, e->skel->progs.squall_tap_out, "squall_tap_out");
	if (!err)
		err = attach(ifindex, false, e->skel->progs.squall_tap_in, "squall_tap_in");
	if (!err)
		err = pacer_add(e->pacer, fd);
	if (err)
		goto fail;
	s->lane_ifindex = ifindex;
	s->tap_fd = fd;
	return 0;
fail:
	close(fd);
	return err;
}

int lane_open(struct engine *e, struct space *s)
{
	int err = seg_open(e, s);

	if (!err && e->lane == SQ_LANE_FQ)
		err = fq_open(e, s);
	if (!err && e->lane == SQ_LANE_TAP)
		err = tap_open(e, s);
	if (err)
		lane_close(e, s);
	return err;
}

void lane_close(struct engine *e, struct space *s)
{
	nl_link_delete(SEG_OUT);
	if (e->lane == SQ_LANE_FQ)
		nl_link_delete(FQ_OUT);
	if (s->tap_fd >= 0)
		pacer_remove(e->pacer, s->tap_fd);
	s->tap_fd = -1;
	s->lane_ifindex = s->seg_ifindex = 0;
}
