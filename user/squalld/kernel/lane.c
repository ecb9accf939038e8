// SPDX-License-Identifier: GPL-2.0-only
/*
 * Makes the devices through which packets are cut and in which they wait. What is there already
 * and whole is taken over with the packets that wait in it: a restart of squalld loses none in fq.
 * So making and mending are one thing, which may be done at any time.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <bpf/bpf.h>
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

/* What there must be of a lane. */
struct part {
	const char *name;
	bool ingress, egress; /* filters of ours */
};
static const struct part seg_parts[] = {
	{SEG_OUT, false, false}, {SEG_IN, true, false}, {.name = NULL}};
static const struct part now_parts[] = {
	{SEG_OUT, false, false}, {SEG_IN, false, true}, {.name = NULL}};
static const struct part fq_parts[2][2][3] = {
	/* [stacked][stamps] */
	{{{FQ_OUT, false, true}, {FQ_IN, true, false}},
	 {{FQ_OUT, false, false}, {FQ_IN, true, false}}},
	{{{FQ_OUT, false, true}, {FQ_IN, false, true}},
	 {{FQ_OUT, false, false}, {FQ_IN, false, true}}},
};
static const struct part tap_parts[] = {{TAP, true, true}, {.name = NULL}};

#define VETH_MTU 65535
#define FQ_LIMIT 1000000

#define LISTENER_LAST  65535
#define LISTENER_FIRST 65500

/* A program of a lane finds in skb->tc_classid at which hook it runs. */
static int attach(const struct engine *e, uint32_t ifindex, bool egress, enum program p)
{
	int err = nl_clsact_add(ifindex);
	struct nl_filters there;

	if (err && err != -EEXIST)
		return err;
	nl_filters(ifindex, egress, &there);
	return nl_filter_set(ifindex, egress, e->prog_fd[p], program_name(p),
			     egress ? SQ_CLASSID_EGRESS : 0, &there);
}

static int offload_off(int sock, const char *ifname, uint32_t what)
{
	struct ethtool_value v = {.cmd = what, .data = 0};
	struct ifreq ifr = {0};

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", ifname);
	ifr.ifr_data = (char *)&v;
	return ioctl(sock, SIOCETHTOOL, &ifr) ? -errno : 0;
}

/* With a dummy goes what is over it, with one end of a veth the other. */
static void pair_delete(const char *out, const char *in)
{
	nl_link_delete(in);
	nl_link_delete(out);
}

static int up(const struct nl_link *k)
{
	return (k->flags & IFF_UP) && k->mtu == VETH_MTU ? 0
							 : nl_link_setup(k->ifindex, VETH_MTU, 0);
}

/* Both ends of a veth, here and up: those that are there, if they are a pair. */
static int pair_ready(const char *out, const char *in, uint32_t *ret_out, uint32_t *ret_in)
{
	struct nl_link a, b;
	int err = 0;

	if (nl_link_get(out, &a) || nl_link_get(in, &b) || strcmp(a.kind, "veth") ||
	    a.peer_nsid >= 0 || a.peer_ifindex != b.ifindex) {
		pair_delete(out, in);
		err = nl_veth_create(out, in);
		if (!err)
			err = nl_link_get(out, &a);
		if (!err)
			err = nl_link_get(in, &b);
		if (err)
			return err;
		quieten(out);
		quieten(in);
	}
	err = up(&a);
	if (!err)
		err = up(&b);
	*ret_out = a.ifindex;
	*ret_in = b.ifindex;
	return err;
}

/* A device of that kind over a dummy: what is sent through it meets the program at the dummy's
 * egress within the same call. -EOPNOTSUPP where the kernel has not both. */
static int stack_ready(const char *kind, const char *out, const char *in, uint32_t *ret_out,
		       uint32_t *ret_in)
{
	struct nl_link a, b;
	int err = 0;

	if (nl_link_get(out, &a) || nl_link_get(in, &b) || strcmp(a.kind, kind) ||
	    strcmp(b.kind, "dummy") || a.peer_nsid >= 0 || a.peer_ifindex != b.ifindex) {
		pair_delete(out, in);
		err = nl_dummy_create(in);
		if (!err)
			err = nl_link_get(in, &b);
		if (!err)
			err = nl_stack_create(out, kind, b.ifindex);
		if (!err)
			err = nl_link_get(out, &a);
		if (err) {
			nl_link_delete(in);
			return err;
		}
		quieten(out);
		quieten(in);
	}
	err = up(&b);
	if (!err)
		err = up(&a);
	*ret_out = a.ifindex;
	*ret_in = b.ifindex;
	return err;
}

/* A device without offloads: what is sent through it is segmented and has its
 * checksum finished by the kernel (validate_xmit_skb), as by a plain NIC. */
static int seg_ready(struct engine *e, struct space *s)
{
	uint32_t out, in;
	int sock, err;

	s->cuts_now = !stack_ready("vlan", SEG_OUT, SEG_IN, &out, &in);
	err = s->cuts_now ? 0 : pair_ready(SEG_OUT, SEG_IN, &out, &in);
	if (err)
		return err;
	sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (sock < 0)
		return -errno;
	err = offload_off(sock, SEG_OUT, ETHTOOL_STXCSUM);
	if (!err)
		err = offload_off(sock, SEG_OUT, ETHTOOL_SSG);
	if (!err)
		err = offload_off(sock, SEG_OUT, ETHTOOL_SGSO);
	close(sock);
	if (!err)
		err = attach(e, in, s->cuts_now, P_SEG_IN);
	if (!err)
		s->seg_ifindex = out;
	return err;
}

/* Nobody reaches it: it is bound to a device at which nothing arrives for anybody, at the end of
 * the ports, where hardly anybody else binds. */
static int listener_make(void)
{
	struct sockaddr_in sa = {.sin_family = AF_INET};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), err;

	if (fd < 0)
		return -errno;
	err = setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, FQ_OUT, sizeof(FQ_OUT)) ? -errno : 0;
	for (int port = LISTENER_LAST; !err && port >= LISTENER_FIRST; port--) {
		sa.sin_port = htons(port);
		if (!bind(fd, (struct sockaddr *)&sa, sizeof(sa)))
			break;
		err = errno == EADDRINUSE && port > LISTENER_FIRST ? 0 : -errno;
	}
	if (!err && listen(fd, 0))
		err = -errno;
	if (!err)
		return fd;
	close(fd);
	return err;
}

/* Whom packets are given to when they enter the lane (lane_disown() in bpf/lane.h). Without it they
 * are cloned, which costs more and is right as well. */
static void listener_ready(struct engine *e, struct space *s)
{
	uint32_t ino = s->ino;
	uint64_t fd;

	if (s->listener_fd >= 0)
		return;
	s->listener_fd = listener_make();
	fd = s->listener_fd;
	if (s->listener_fd >= 0 &&
	    bpf_map_update_elem(bpf_map__fd(e->skel->maps.sq_listeners), &ino, &fd, BPF_ANY)) {
		close(s->listener_fd);
		s->listener_fd = -1;
	}
}

static int fq_ready(struct engine *e, struct space *s)
{
	uint64_t limit = e->lane_state->max_bytes / SQ_LANE_OVERHEAD;
	uint32_t out, in;
	int err;

	s->stacked = e->features[F_MACVLAN].available &&
		     !stack_ready("macvlan", FQ_OUT, FQ_IN, &out, &in);
	err = s->stacked ? 0 : pair_ready(FQ_OUT, FQ_IN, &out, &in);
	if (!err)
		err = nl_fq_set(out, limit > FQ_LIMIT ? limit : FQ_LIMIT);
	s->stamps = e->features[F_STAMP].available;
	if (!err && s->stamps)
		nl_filter_delete(out, true); /* of a squalld without */
	else if (!err)
		err = attach(e, out, true, P_FQ_OUT);
	if (!err)
		err = attach(e, in, s->stacked, P_FQ_IN);
	if (!err)
		listener_ready(e, s);
	if (!err)
		s->lane_ifindex = out;
	return err;
}

static int tap_create(struct engine *e, struct space *s)
{
	struct ifreq ifr = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
	unsigned int offload = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC), err = 0;

	if (fd < 0)
		return -errno;
	strcpy(ifr.ifr_name, TAP);
	/* GSO packets pass whole; UDP's since 6.2, before that they are cut. */
	if (ioctl(fd, TUNSETIFF, &ifr) ||
	    (ioctl(fd, TUNSETOFFLOAD, offload | TUN_F_USO4 | TUN_F_USO6) &&
	     ioctl(fd, TUNSETOFFLOAD, offload)))
		err = -errno;
	if (!err)
		err = pacer_add(e->pacer, fd);
	if (err) {
		close(fd);
		return err;
	}
	s->tap_fd = fd;
	quieten(TAP);
	return 0;
}

static int tap_ready(struct engine *e, struct space *s)
{
	uint32_t len = 65536;
	struct nl_link k;
	int err;

	err = s->tap_fd < 0 ? -ENODEV : nl_link_get(TAP, &k);
	if (err || (s->lane_ifindex && k.ifindex != s->lane_ifindex)) {
		if (s->tap_fd >= 0)
			pacer_remove(e->pacer, s->tap_fd);
		s->tap_fd = -1;
		err = tap_create(e, s);
		if (!err)
			err = nl_link_get(TAP, &k);
	}
	/* The queue between kernel and pacer: a burst that overflows it is lost. How
	 * long it may be depends on the kernel: 6.12.117 refuses 65535. */
	if (!err && (!(k.flags & IFF_UP) || k.mtu != TAP_MTU)) {
		do
			err = nl_link_setup(k.ifindex, TAP_MTU, len);
		while (err == -ERANGE && (len /= 2) >= 1024);
	}
	if (!err)
		err = attach(e, k.ifindex, true, P_TAP_OUT);
	if (!err)
		err = attach(e, k.ifindex, false, P_TAP_IN);
	if (!err)
		s->lane_ifindex = k.ifindex;
	return err;
}

/* All of ours but FQ_OUT have the kernel's own queue, or none. */
static void qdiscs_delete(void)
{
	static const char *const names[] = {SEG_OUT, SEG_IN, FQ_IN, TAP};
	struct nl_link k;

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (!nl_link_get(names[i], &k))
			nl_qdisc_delete(k.ifindex);
}

int lane_ready(struct engine *e, struct space *s)
{
	int err = seg_ready(e, s), res = 0;

	if (err)
		s->seg_ifindex = 0;
	if (e->lane == SQ_LANE_FQ) {
		res = fq_ready(e, s);
	} else {
		pair_delete(FQ_OUT, FQ_IN); /* of a squalld that had the other lane, and died */
		if (e->lane == SQ_LANE_TAP)
			res = tap_ready(e, s);
	}
	if (res)
		s->lane_ifindex = 0;
	qdiscs_delete();
	return err ? err : res;
}

/* Seen once in a while under load: a dump that misses what is there. Only what is missing twice is.
 */
static bool filter_gone(uint32_t ifindex, bool egress)
{
	if (nl_filter_present(ifindex, egress) == 1)
		return false;
	usleep(20000);
	return nl_filter_present(ifindex, egress) == 0;
}

static bool fq_gone(uint32_t ifindex)
{
	struct nl_fq_stats fq;
	int err;

	if (!nl_qdisc_stats(ifindex, &fq) && fq.ours)
		return false;
	usleep(20000);
	err = nl_qdisc_stats(ifindex, &fq);
	return err ? err == -ENOENT : !fq.ours;
}

/* Somebody's tbf makes of 50 ms what it likes, and nothing counts it. */
static bool has_qdisc(uint32_t ifindex)
{
	struct nl_fq_stats q;

	return !nl_qdisc_stats(ifindex, &q) && q.made;
}

/* What is wrong with a device, or NULL. */
static const char *part_broken(const struct part *p, uint32_t ifindex)
{
	struct nl_link k;
	int err = nl_link_get(p->name, &k);

	if (err && err != -ENODEV)
		return NULL; /* not known now */
	if (err || (ifindex && k.ifindex != ifindex))
		return "was deleted";
	if (!(k.flags & IFF_UP))
		return "was set down";
	if ((p->ingress && filter_gone(k.ifindex, false)) ||
	    (p->egress && filter_gone(k.ifindex, true)))
		return "has lost our filter";
	if (!strcmp(p->name, FQ_OUT) && fq_gone(k.ifindex))
		return "has lost our fq qdisc";
	if (strcmp(p->name, FQ_OUT) && has_qdisc(k.ifindex))
		return "has somebody's qdisc";
	return NULL;
}

static bool parts_broken(const struct part *p, uint32_t ifindex, char *why, size_t size)
{
	for (; p->name; p++, ifindex = 0) {
		const char *what = part_broken(p, ifindex);

		if (what) {
			snprintf(why, size, "%s %s", p->name, what);
			return true;
		}
	}
	return false;
}

bool lane_broken(const struct engine *e, const struct space *s, bool *ret_seg, bool *ret_lane,
		 char *why, size_t size)
{
	const struct part *lane = e->lane == SQ_LANE_FQ	   ? fq_parts[s->stacked][s->stamps]
				  : e->lane == SQ_LANE_TAP ? tap_parts
							   : NULL;

	*ret_seg = parts_broken(s->cuts_now ? now_parts : seg_parts, s->seg_ifindex, why, size);
	*ret_lane = lane && parts_broken(lane, s->lane_ifindex, why, size);
	return *ret_seg || *ret_lane;
}

int lane_open(struct engine *e, struct space *s)
{
	int err = lane_ready(e, s);

	if (err)
		lane_close(e, s);
	return err;
}

void lane_close(struct engine *e, struct space *s)
{
	pair_delete(SEG_OUT, SEG_IN);
	pair_delete(FQ_OUT, FQ_IN);
	if (s->tap_fd >= 0)
		pacer_remove(e->pacer, s->tap_fd);
	s->tap_fd = -1;
	if (s->listener_fd >= 0)
		close(s->listener_fd);
	s->listener_fd = -1;
	s->lane_ifindex = s->seg_ifindex = 0;
}

/* What comes back to lo out of a lane has lost its route, and is then looked at like a packet from
 * outside: 127.0.0.1 would be martian. */
static const struct {
	const char *path;
	uint32_t flag;
} lo_sysctls[] = {
	{"/proc/sys/net/ipv4/conf/lo/route_localnet", SQ_A_LO_ROUTE},
	{"/proc/sys/net/ipv4/conf/lo/accept_local", SQ_A_LO_ACCEPT},
};

/* 1: it had another value before. */
static int sysctl_swap(const char *path, char value)
{
	int fd = open(path, O_RDWR | O_CLOEXEC), res = 0;
	char old = 0;

	if (fd < 0)
		return -errno;
	if (pread(fd, &old, 1, 0) != 1)
		res = -EIO;
	else if (old != value)
		res = pwrite(fd, &value, 1, 0) == 1 ? 1 : -errno;
	close(fd);
	return res;
}

int lo_prepare(uint32_t *ret_set)
{
	for (int i = 0; i < 2; i++) {
		int res = sysctl_swap(lo_sysctls[i].path, '1');

		if (res < 0)
			return res;
		if (res)
			*ret_set |= lo_sysctls[i].flag;
	}
	return 0;
}

void lo_restore(uint32_t set)
{
	for (int i = 0; i < 2; i++)
		if (set & lo_sysctls[i].flag)
			sysctl_swap(lo_sysctls[i].path, '0');
}
