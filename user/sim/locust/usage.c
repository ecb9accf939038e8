// SPDX-License-Identifier: GPL-2.0-only
#include "sim/locust/usage.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "sim/locust/say.h"

#define FAMILY_MAX 256

/* CPU time and memory of one process; nothing when it is gone. */
static void add_process(int pid, double *cpu_s, uint64_t *memory)
{
	unsigned long long utime, stime, rss;
	char path[64], line[1024], *p;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "re");
	if (!f)
		return;
	p = fgets(line, sizeof(line), f) ? strrchr(line, ')') : NULL;
	fclose(f);
	/* Fields 14, 15 and 24; the name in field 2 may hold anything. */
	if (!p || sscanf(p + 1,
			 " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu "
			 "%*d %*d %*d %*d %*d %*d %*u %*u %llu",
			 &utime, &stime, &rss) != 3)
		return;
	*cpu_s += (double)(utime + stime) / (double)sysconf(_SC_CLK_TCK);
	*memory += rss * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* The processes of the engine are children of the main thread. */
static unsigned int children(int *pids, unsigned int max)
{
	char path[64];
	unsigned int n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
	f = fopen(path, "re");
	if (!f)
		return 0;
	while (n < max && fscanf(f, "%d", &pids[n]) == 1)
		n++;
	fclose(f);
	return n;
}

static void family(double *ret_cpu_s, uint64_t *ret_memory)
{
	int pids[FAMILY_MAX];
	unsigned int i, n = children(pids, FAMILY_MAX);

	*ret_cpu_s = 0;
	*ret_memory = 0;
	add_process(getpid(), ret_cpu_s, ret_memory);
	for (i = 0; i < n; i++)
		add_process(pids[i], ret_cpu_s, ret_memory);
}

/* CPUs this process may run on, less where its cgroup has a quota (Fargate). */
static double cpus_allowed(void)
{
	double cpus = 1, quota, period;
	cpu_set_t set;
	FILE *f;

	if (!sched_getaffinity(0, sizeof(set), &set))
		cpus = CPU_COUNT(&set);
	f = fopen("/sys/fs/cgroup/cpu.max", "re");
	if (f) {
		if (fscanf(f, "%lf %lf", &quota, &period) == 2 && period > 0 &&
		    quota / period < cpus)
			cpus = quota / period;
		fclose(f);
	}
	return cpus > 0.01 ? cpus : 0.01;
}

void locust_usage_init(struct locust_usage *u)
{
	uint64_t memory;

	u->cpus = cpus_allowed();
	u->share = 0;
	u->at_ns = locust_now_ns();
	family(&u->cpu_s, &memory);
}

void locust_usage_read(struct locust_usage *u, double *ret_cpu, uint64_t *ret_memory)
{
	uint64_t now = locust_now_ns(), memory;
	double cpu_s, wall = (double)(now - u->at_ns) / 1e9, share;

	family(&cpu_s, &memory);
	if (wall >= 0.3) {
		share = (cpu_s - u->cpu_s) / wall / u->cpus * 100;
		u->share = share < 0 ? 0 : share > 100 ? 100 : share;
		u->at_ns = now;
		u->cpu_s = cpu_s;
	}
	*ret_cpu = u->share;
	*ret_memory = memory;
}
