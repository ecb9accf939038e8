// SPDX-License-Identifier: GPL-2.0-only
/* How a fleet fits this machine: processes by descriptor limits and cgroups, shards, ports. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include "sim/base/cgroup.h"
#include "sim/engine/plan.h"
#include "sim/fleet/bind.h"

/* Descriptors of a process that are not devices' sockets. */
#define FD_RESERVE 64

/* Which types share processes: those of the same cgroup, or of none. */
static int group(struct sim_plan *pl, const struct sim_fleet *fleet, uint16_t *ret_group,
		 struct sq_error *err)
{
	for (unsigned t = 0; t < fleet->ntypes; t++) {
		const char *path = fleet->type[t].cgroup;
		unsigned g = 0;

		while (g < pl->ngroups && strcmp(pl->cgroup[g], path))
			g++;
		if (g == pl->ngroups) {
			if (*path && sim_cgroup_make(path, err))
				return -EINVAL;
			snprintf(pl->cgroup[pl->ngroups++], sizeof(pl->cgroup[0]), "%s", path);
		}
		ret_group[t] = (uint16_t)g;
	}
	return 0;
}

static int plan(struct sim_plan *pl, struct sim_arena *a, unsigned shards, bool paho,
		struct sq_error *err)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	struct rlimit rl;
	uint64_t per;

	if (getrlimit(RLIMIT_NOFILE, &rl))
		return -errno;
	if (rl.rlim_cur < rl.rlim_max) {
		rl.rlim_cur = rl.rlim_max;
		setrlimit(RLIMIT_NOFILE, &rl);
		getrlimit(RLIMIT_NOFILE, &rl);
	}
	per = rl.rlim_cur > FD_RESERVE * 2 ? rl.rlim_cur - FD_RESERVE : 0;
	if (!per) {
		sq_bad(err,
		       "descriptors: the limit of %llu is too small; at least %d are needed: "
		       "ulimit -n 1024",
		       (unsigned long long)rl.rlim_cur, FD_RESERVE * 2);
		return -EMFILE;
	}
	pl->nproc = (unsigned)((a->max_devices + per - 1) / per) * pl->ngroups;
	if (!shards)
		shards = cpus > 0 ? (unsigned)cpus : 1;
	shards *= pl->ngroups;
	if (shards < pl->nproc)
		shards = pl->nproc;
	/* The same number in each process, so that devices spread evenly. */
	shards = (shards + pl->nproc - 1) / pl->nproc * pl->nproc;
	if (shards > SIM_MAX_SHARDS - 1) {
		sq_bad(err,
		       "devices %u: need %u processes at %llu descriptors each, more than "
		       "%d; raise the hard limit: ulimit -Hn %llu (as root, or LimitNOFILE= of "
		       "the "
		       "service)",
		       a->max_devices, pl->nproc, (unsigned long long)rl.rlim_cur,
		       SIM_MAX_SHARDS - 1,
		       (unsigned long long)a->max_devices / (SIM_MAX_SHARDS - 1) + FD_RESERVE);
		return -EMFILE;
	}
	a->nlean = shards;
	a->nshards = shards + (paho ? 1 : 0);
	pl->nthread = shards / pl->nproc;
	pl->forked = pl->nproc > 1 || *pl->cgroup[0];
	return 0;
}

static int own_ports(const struct sim_profile *p, uint32_t devices, unsigned types, uint64_t binds,
		     struct sq_error *err)
{
	sq_bad(err,
	       "ports %u-%u: %llu source address%s with %d ports each are places for %llu devices "
	       "of each type, %u may run: give more ports, or more --bind addresses",
	       p->port_low, p->port_high, (unsigned long long)binds, binds == 1 ? "" : "es",
	       p->port_high - p->port_low + 1,
	       (unsigned long long)(binds * (uint64_t)(p->port_high - p->port_low + 1) / types),
	       devices);
	return -EADDRNOTAVAIL;
}

/*
 * A connection is told apart by addresses and ports, so one source address holds
 * only as many to one broker address as the kernel has local ports to give. Past
 * that every connect fails, in a way whose message names no cause.
 */
static int ports(const struct sim_fleet *fleet, uint32_t devices, struct sq_error *err)
{
	unsigned lo, hi, brokers = 1;
	uint64_t room = 0, per, binds;

	sim_local_ports(&lo, &hi);
	for (unsigned t = 0; t < fleet->ntypes; t++) {
		const struct sim_profile *p = &fleet->type[t];
		unsigned addrs = p->naddrs ? p->naddrs : 1;

		/* Types with the same broker share its ports; that only makes this lenient. */
		binds = p->nbinds ? sim_bind_count(p, p->addr[0].sa.sa_family) : 1;
		if (p->port_low && (uint64_t)devices * fleet->ntypes >
					   binds * (uint64_t)(p->port_high - p->port_low + 1))
			return own_ports(p, devices, fleet->ntypes, binds, err);
		room += (p->port_low ? binds * (uint64_t)(p->port_high - p->port_low + 1)
				     : (uint64_t)(hi - lo + 1) * binds) *
			addrs;
		brokers = addrs > brokers ? addrs : brokers;
	}
	if (devices <= room)
		return 0;
	per = (uint64_t)(hi - lo + 1) * brokers;
	sq_bad(err,
	       "devices %u: one source address has ports for %llu connections "
	       "(net.ipv4.ip_local_port_range is %u to %u): give --bind %llu source addresses",
	       devices, (unsigned long long)per, lo, hi,
	       (unsigned long long)((devices + per - 1) / per));
	return -EADDRNOTAVAIL;
}

int sim_plan(struct sim_plan *pl, struct sim_arena *a, const struct sim_fleet *fleet,
	     unsigned shards, struct sq_error *err)
{
	uint16_t in[SIM_MAX_TYPES];
	bool paho = false;
	int rc;

	for (unsigned t = 0; t < fleet->ntypes; t++)
		paho |= fleet->type[t].engine == SIM_PAHO;
	rc = group(pl, fleet, in, err);
	if (!rc)
		rc = plan(pl, a, shards, paho, err);
	if (rc)
		return rc;
	for (unsigned t = 0; t < fleet->ntypes; t++) {
		a->shard_n[t] = (uint16_t)(a->nlean / pl->ngroups);
		a->shard_from[t] = (uint16_t)(in[t] * a->shard_n[t]);
	}
	return ports(fleet, a->max_devices, err);
}
