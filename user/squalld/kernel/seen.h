/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Who lives where, as a scan of all processes sees it: namespaces, the cgroups in
 * each, and whether a rule covers one of them. Internal to the kernel side; made
 * and used by the plumber alone.
 */
#ifndef SQUALLD_KERNEL_SEEN_H
#define SQUALLD_KERNEL_SEEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <squall/abi.h>

struct engine;
struct proc;

/* A namespace as the processes show it. */
struct seen_space {
	uint64_t ino;
	int pid;      /* one that lives there */
	char *common; /* longest cgroup path that all of them share */
	bool several; /* more than one cgroup */
	bool ruled;   /* some process is under a rule */
	bool newly;   /* ruled, and was not by the scan before */
	bool edges;   /* every interface inside is the far end of an edge of the host */
	int32_t nsid;
};

/* Of all. */
struct seen {
	struct seen_space *list;
	size_t n;
	struct proc *procs; /* by pid, as /proc lists them */
	size_t n_procs;
	uint64_t newest; /* id of the youngest cgroup of all that scans have met, 0: none */
};

/* 0 or -errno. `before` (may be NULL) saves a look at each thread of the kernel's. */
int see_all(struct engine *e, const struct seen *before, struct seen *ret);
void seen_free(struct seen *s);
/* cgroup_chain() of a cgroup that may lie deeper than a rule: its upper levels then. */
int seen_chain(const char *path, uint64_t chain[SQ_MAX_LEVELS]);
struct seen_space *seen_find(const struct seen *s, uint64_t ino);
bool seen_same(const struct seen *a, const struct seen *b);

#endif
