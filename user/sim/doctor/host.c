// SPDX-License-Identifier: GPL-2.0-only
/* The machine the devices run on: what n sockets need. */
#include <stdio.h>
#include <sys/resource.h>
#include "lib/checkup/checkup.h"
#include "sim/doctor/doctor.h"
#include "sim/fleet/bind.h"

#define OWN_FILES 64 /* of each process, besides its devices' sockets */

static long long number(const char *path)
{
	FILE *f = fopen(path, "re");
	long long v = -1;

	if (f && fscanf(f, "%lld", &v) != 1)
		v = -1;
	if (f)
		fclose(f);
	return v;
}

/* A process has one descriptor per device; past the limit the fleet spreads by itself. */
void doctor_descriptors(json_t *list, uint32_t n)
{
	long long all = number("/proc/sys/fs/file-max"), conntrack;
	struct rlimit l = {0};
	char remedy[96];

	getrlimit(RLIMIT_NOFILE, &l);
	snprintf(remedy, sizeof(remedy), "for one process: ulimit -n %u before it, as root",
		 n + OWN_FILES);
	if (l.rlim_max <= OWN_FILES)
		checkup_add(list, "descriptors", CHECKUP_BAD, remedy,
			    "%llu may be open, and squall-sim itself needs %d",
			    (unsigned long long)l.rlim_max, OWN_FILES);
	else if (l.rlim_max < (rlim_t)n + OWN_FILES)
		checkup_add(list, "descriptors", CHECKUP_NOTE, remedy,
			    "%llu may be open: %u devices spread over %llu processes",
			    (unsigned long long)l.rlim_max, n,
			    (unsigned long long)((n + l.rlim_max - OWN_FILES - 1) /
						 (l.rlim_max - OWN_FILES)));
	else
		checkup_add(list, "descriptors", CHECKUP_OK, NULL,
			    "%llu may be open, %u devices need %u", (unsigned long long)l.rlim_max,
			    n, n + OWN_FILES);
	if (all >= 0 && all < n)
		checkup_add(list, "files of all", CHECKUP_BAD, "sysctl fs.file-max=2000000",
			    "fs.file-max is %lld, less than %u devices", all, n);
	conntrack = number("/proc/sys/net/netfilter/nf_conntrack_max");
	if (conntrack >= 0 && conntrack < n)
		checkup_add(list, "conntrack", CHECKUP_NOTE,
			    "sysctl net.netfilter.nf_conntrack_max=1000000, or no connection "
			    "tracking for the broker's port",
			    "%lld connections are tracked, the firewall drops those beyond: %u "
			    "devices",
			    conntrack, n);
}

void doctor_ports(json_t *list, const struct sim_profile *p, uint32_t n)
{
	unsigned long long room, binds = p->nbinds ? sim_bind_count(p, p->addr[0].sa.sa_family) : 1;
	unsigned first, last;
	char remedy[160];

	sim_local_ports(&first, &last);
	if (p->port_low) {
		first = p->port_low;
		last = p->port_high;
	}
	room = (last - first + 1) * binds * (p->naddrs && !p->port_low ? p->naddrs : 1);
	snprintf(remedy, sizeof(remedy),
		 "more source addresses: --bind ADDRESS, %llu in all; or sysctl "
		 "net.ipv4.ip_local_port_range=\"1024 65535\"",
		 ((unsigned long long)n + last - first) / (last - first + 1));
	checkup_add(list, "ports", room < n ? CHECKUP_BAD : CHECKUP_OK, room < n ? remedy : NULL,
		    "%s: %llu connections fit from %llu source address%s, %u are asked for",
		    p->name, room, binds, binds > 1 ? "es" : "", n);
}
