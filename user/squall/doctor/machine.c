// SPDX-License-Identifier: GPL-2.0-only
/* The machine: kernel, permissions, cgroups, and what its network can do. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include "lib/cgroup.h"
#include "lib/checkup/checkup.h"
#include "squall/doctor/doctor.h"
#include "squall/doctor/trial.h"

#ifndef CAP_BPF /* linux 5.8 */
#define CAP_BPF 39
#endif

static bool first_line(const char *path, char *buf, size_t size)
{
	FILE *f = fopen(path, "re");
	bool got = f && fgets(buf, (int)size, f);

	if (f)
		fclose(f);
	if (got)
		buf[strcspn(buf, "\n")] = 0;
	return got;
}

static void kernel(json_t *list)
{
	unsigned int major = 0, minor = 0;
	struct utsname u;
	char line[256];

	uname(&u);
	sscanf(u.release, "%u.%u", &major, &minor);
	if (major < 5 || (major == 5 && minor < 15))
		checkup_add(list, "kernel", CHECKUP_BAD,
			    "boot a kernel of 5.15 or newer: docs/kernels.md has the images",
			    "%s, older than 5.15: it lacks BPF helpers that squalld calls",
			    u.release);
	else
		checkup_add(list, "kernel", CHECKUP_OK, NULL, "%s, %s", u.release, u.machine);
	if (access("/sys/kernel/btf/vmlinux", R_OK))
		checkup_add(list, "btf", CHECKUP_BAD,
			    "a kernel with CONFIG_DEBUG_INFO_BTF=y is needed",
			    "/sys/kernel/btf/vmlinux: %s", strerror(errno));
	if (first_line("/sys/kernel/security/lockdown", line, sizeof(line)) &&
	    strstr(line, "[confidentiality]"))
		checkup_add(list, "lockdown", CHECKUP_BAD,
			    "boot with lockdown=integrity, or without lockdown",
			    "confidentiality: BPF programs may not read the kernel");
	if (first_line("/proc/sys/net/core/bpf_jit_enable", line, sizeof(line)) &&
	    !strcmp(line, "0"))
		checkup_add(list, "bpf jit", CHECKUP_NOTE, "sysctl net.core.bpf_jit_enable=1",
			    "off: each packet costs several times as much");
}

/* Those that squalld cannot do without; it drops all but nine by itself. */
static void permissions(json_t *list)
{
	static const struct {
		int bit;
		const char *name;
	} caps[] = {{CAP_BPF, "BPF"},
		    {CAP_BPF - 1, "PERFMON"},
		    {CAP_NET_ADMIN, "NET_ADMIN"},
		    {CAP_SYS_ADMIN, "SYS_ADMIN"},
		    {CAP_DAC_READ_SEARCH, "DAC_READ_SEARCH"}};
	unsigned long long have = 0;
	char line[256], lacks[128] = "";
	struct statfs fs;
	FILE *f = fopen("/proc/self/status", "re");

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "CapEff: %llx", &have) == 1)
			break;
	if (f)
		fclose(f);
	for (size_t i = 0; i < sizeof(caps) / sizeof(caps[0]); i++)
		if (!(have >> caps[i].bit & 1))
			snprintf(lacks + strlen(lacks), sizeof(lacks) - strlen(lacks), " %s",
				 caps[i].name);
	if (geteuid())
		checkup_add(list, "permissions", CHECKUP_NOTE,
			    "sudo squall doctor looks at what only root sees; squalld itself is "
			    "started by root",
			    "you are not root: the kernel's abilities were not tried");
	else if (*lacks)
		checkup_add(list, "permissions", CHECKUP_BAD,
			    "give the container these capabilities (--cap-add), or run on the "
			    "host",
			    "root, but squalld would lack%s", lacks);
	else
		checkup_add(list, "permissions", CHECKUP_OK, NULL,
			    "root, with the capabilities that squalld keeps");
	if (statfs("/sys/fs/bpf", &fs))
		checkup_add(list, "bpf mount", CHECKUP_BAD, "mount -t bpf bpf /sys/fs/bpf",
			    "/sys/fs/bpf: %s", strerror(errno));
	else if (fs.f_type != BPF_FS_MAGIC)
		checkup_add(list, "bpf mount", CHECKUP_NOTE, "mount -t bpf bpf /sys/fs/bpf",
			    "/sys/fs/bpf is no bpf file system; squalld mounts it where it may");
}

static void cgroups(json_t *list)
{
	const char *mount = cgroup_mount();

	if (!mount)
		checkup_add(list, "cgroups", CHECKUP_BAD,
			    "mount it: mount -t cgroup2 none /sys/fs/cgroup/unified; or boot with "
			    "systemd.unified_cgroup_hierarchy=1",
			    "no cgroup v2 is mounted: targets are its directories");
	else if (!geteuid() && cgroup_mount_level() < 0)
		checkup_add(list, "cgroups", CHECKUP_BAD, "mount the host's cgroup v2",
			    "%s is seen from inside a cgroup namespace, and how deep cannot be "
			    "told: %s",
			    mount, strerror(-cgroup_mount_level()));
	else if (!access("/sys/fs/cgroup/memory/tasks", F_OK))
		checkup_add(list, "cgroups", CHECKUP_NOTE,
			    "containers count only where their engine puts them into v2 as well; "
			    "\"squall target list\" shows which can be seen",
			    "v2 at %s, beside v1 (hybrid)", mount);
	else
		checkup_add(list, "cgroups", CHECKUP_OK, NULL, "v2 at %s", mount);
}

/* What squalld found when it started; NULL: it does not run, or does not say. */
static const json_t *feature(const json_t *status, const char *name)
{
	const json_t *one;
	size_t i;

	json_array_foreach(json_object_get(status, "features"), i,
			   one) if (!strcmp(json_string_value(json_object_get(one, "name")) ?: "",
					    name)) return one;
	return NULL;
}

/* 0, a negative errno, or 1: neither tried nor told. */
static int ability(const json_t *status, const char *name, int tried, int why_not)
{
	const json_t *f = feature(status, name);

	if (!why_not)
		return tried;
	if (!f)
		return 1;
	return json_is_true(json_object_get(f, "available")) ? 0 : -ENOENT;
}

static void lanes(json_t *list, int fq, int tap, const char *kind)
{
	const char *running = kind ? kind : fq ? "tap" : "fq";

	if (fq == 1)
		return;
	if (fq && tap)
		checkup_add(list, "lane", CHECKUP_BAD, "modprobe -a sch_fq tun",
			    "neither sch_fq nor /dev/net/tun: delay, jitter, reorder and rate are "
			    "refused; loss, duplicate, corrupt and blackhole work");
	else if (fq)
		checkup_add(list, "lane", CHECKUP_NOTE,
			    "modprobe sch_fq, or a kernel with CONFIG_NET_SCH_FQ, then restart "
			    "squalld: cheaper per packet, and it goes on if squalld dies",
			    "tap: this kernel has no sch_fq, so packets wait in squalld");
	else
		checkup_add(list, "lane", CHECKUP_OK, NULL, "%s%s", running,
			    !strcmp(running, "fq") ? ": packets wait in the kernel (sch_fq)"
						   : ", though this kernel has sch_fq (--lane)");
}

void doctor_machine(json_t *list, const json_t *status)
{
	int tried[TRIAL_N] = {0}, why_not, clsact;
	const char *kind =
		json_string_value(json_object_get(json_object_get(status, "lane"), "kind"));

	kernel(list);
	permissions(list);
	cgroups(list);
	why_not = trials(tried);
	clsact = ability(status, "clsact", tried[TRIAL_VETH] ?: tried[TRIAL_CLSACT], why_not);
	if (clsact < 0)
		checkup_add(list, "attaching", CHECKUP_BAD, "modprobe -a veth sch_ingress cls_bpf",
			    "%s cannot be made: %s", tried[TRIAL_VETH] ? "a veth" : "clsact",
			    strerror(-clsact));
	else if (!clsact)
		checkup_add(list, "attaching", CHECKUP_OK, NULL, "veth and clsact can be made");
	lanes(list, ability(status, "fq", tried[TRIAL_FQ], why_not),
	      ability(status, "tap", tried[TRIAL_TAP], why_not), kind);
	checkup_clock(list);
}
