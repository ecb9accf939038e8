// SPDX-License-Identifier: GPL-2.0-only
/* What this kernel can do: real trials in a scratch namespace, no version numbers. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <bpf/libbpf.h>
#include <linux/if_tun.h>
#include "lib/cgroup.h"
#include "squalld/kernel/engine_internal.h"
#include "squalld/net/sockdiag.h"

static const struct {
	const char *name, *text;
} table[F_FEATURES] = {
	[F_BTF] = {"btf", "kernel type information (CONFIG_DEBUG_INFO_BTF)"},
	[F_CGROUP2] = {"cgroup2", "cgroup v2 mounted: targets are its directories"},
	[F_CLSACT] = {"clsact", "clsact qdisc (CONFIG_NET_SCH_INGRESS): where programs attach"},
	[F_FQ] = {"fq", "sch_fq: packets wait in the kernel (fq lane)"},
	[F_TCX] = {"tcx", "tcx (6.6): squalld runs before the programs of others"},
	[F_TAP] = {"tap", "/dev/net/tun: packets wait in squalld (tap lane)"},
	[F_DESTROY] = {"sock-destroy", "SOCK_DESTROY (CONFIG_INET_DIAG_DESTROY): reset idle and "
				       "reset after TIME strike a silent connection on time"},
	[F_MACVLAN] = {"macvlan", "macvlan over dummy: what has waited in fq goes on at once"},
	[F_STAMP] = {"stamp",
		     "bpf_skb_set_tstamp (5.18): a packet enters the fq lane with its time"},
};

const char *feature_name(enum feature f)
{
	return table[f].name;
}

const char *feature_text(enum feature f)
{
	return table[f].text;
}

static void verdict(struct engine *e, enum feature f, int err, const char *remedy)
{
	struct feature_state *s = &e->features[f];

	s->available = !err;
	if (err == -ENOENT && remedy) /* "No such file" would only confuse */
		snprintf(s->why, sizeof(s->why), "%s", remedy);
	else if (err)
		snprintf(s->why, sizeof(s->why), "%s%s%s", strerror(-err), remedy ? "; " : "",
			 remedy ? remedy : "");
}

static int try_tap(void)
{
	struct ifreq ifr = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC), err = 0;

	if (fd < 0)
		return -errno;
	if (ioctl(fd, TUNSETIFF, &ifr))
		err = -errno;
	close(fd);
	return err;
}

/* Own thread, since a thread that has left its namespace is good for nothing else. */
static void *scratch_main(void *arg)
{
	struct engine *e = arg;
	uint32_t ifindex;
	int err;

	if (unshare(CLONE_NEWNET)) {
		err = -errno;
		verdict(e, F_CLSACT, err, "needs CAP_SYS_ADMIN and CAP_NET_ADMIN: run as root");
		verdict(e, F_FQ, err, NULL);
		verdict(e, F_TAP, err, NULL);
		verdict(e, F_TCX, err, NULL);
		verdict(e, F_DESTROY, err, NULL);
		verdict(e, F_MACVLAN, err, NULL);
		return NULL;
	}
	err = nl_veth_create("probe0", "probe1");
	ifindex = err ? 0 : if_nametoindex("probe0");
	verdict(e, F_CLSACT, err ? err : nl_clsact_add(ifindex),
		"needs veth and sch_ingress: load the modules (modprobe -a veth sch_ingress "
		"cls_bpf)");
	verdict(e, F_FQ, err ? err : nl_fq_set(ifindex, 1000000), "this kernel has no sch_fq");
	verdict(e, F_TCX, err ? err : front_probe(ifindex),
		"kernels before 6.6 have none: whoever is in front of squalld is named");
	err = nl_dummy_create("probe2");
	verdict(e, F_MACVLAN,
		err ? err : nl_stack_create("probe3", "macvlan", if_nametoindex("probe2")),
		"the fq lane is a veth, through one more of the kernel's queues (modprobe -a "
		"macvlan dummy)");
	err = nl_link_setup(if_nametoindex("lo"), 65536, 0);
	verdict(e, F_DESTROY, err ? err : sockdiag_try(),
		"a silent connection is reset with its next packet");
	verdict(e, F_TAP, try_tap(), "needs /dev/net/tun (modprobe tun) and CAP_NET_ADMIN");
	return NULL;
}

/* A comma list of our own names? A misspelt one would silently not be missing. */
static int missing_check(const char *list, struct sq_error *err)
{
	while (list && *list) {
		size_t n = strcspn(list, ",");
		int f = 0;

		while (f < F_FEATURES &&
		       (strlen(table[f].name) != n || strncmp(list, table[f].name, n)))
			f++;
		if (f == F_FEATURES)
			return sq_error_set(err, -EINVAL, "--probe-missing",
					    "\"%.*s\" is not accepted: btf, "
					    "cgroup2, clsact, fq, macvlan, sock-destroy, "
					    "stamp, tap, tcx",
					    (int)n, list);
		list += n + (list[n] == ',');
	}
	return 0;
}

struct probe {
	struct engine *e;
	const char *missing;
	pthread_t thread;
};

int probe_start(struct engine *e, const char *missing, struct probe **ret, struct sq_error *err)
{
	struct probe *p;
	int res = missing_check(missing, err);

	if (res)
		return res;
	p = malloc(sizeof(*p));
	if (!p)
		return sq_error_set(err, -ENOMEM, NULL, "out of memory");
	*p = (struct probe){.e = e, .missing = missing};
	verdict(e, F_BTF, access("/sys/kernel/btf/vmlinux", R_OK) ? -errno : 0,
		"a kernel with CONFIG_DEBUG_INFO_BTF=y is needed");
	verdict(e, F_CGROUP2, cgroup_mount() ? 0 : -ENOENT,
		"mount it: mount -t cgroup2 none /sys/fs/cgroup/unified");
	if (cgroup_mount() && cgroup_mount_level() < 0)
		verdict(e, F_CGROUP2, cgroup_mount_level(),
			"seen from inside a cgroup namespace, and how deep cannot be told: mount "
			"the host's");
	verdict(e, F_STAMP,
		libbpf_probe_bpf_helper(BPF_PROG_TYPE_SCHED_CLS, BPF_FUNC_skb_set_tstamp, NULL) == 1
			? 0
			: -EOPNOTSUPP,
		"a program of the lane gives it its time");
	if (pthread_create(&p->thread, NULL, scratch_main, e)) {
		free(p);
		return sq_error_set(err, -EAGAIN, NULL, "cannot start a thread");
	}
	*ret = p;
	return 0;
}

int probe_end(struct probe *probe, struct sq_error *err)
{
	struct engine *e = probe->e;
	const char *missing = probe->missing;
	struct utsname un;

	pthread_join(probe->thread, NULL);
	free(probe);
	for (int f = 0; missing && f < F_FEATURES; f++) {
		const char *p = strstr(missing, table[f].name);
		size_t n = strlen(table[f].name);

		if (!p || (p > missing && p[-1] != ',') || (p[n] && p[n] != ','))
			continue;
		e->features[f].available = false;
		snprintf(e->features[f].why, sizeof(e->features[f].why),
			 "taken as missing (--probe-missing)");
	}
	uname(&un);
	for (int f = F_BTF; f <= F_CLSACT; f++)
		if (!e->features[f].available)
			return sq_error_set(err, -EOPNOTSUPP, table[f].text,
					    "not available on kernel %s: %s", un.release,
					    e->features[f].why);
	return 0;
}
