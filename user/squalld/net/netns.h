/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Network namespaces of processes and of the calling thread, which alone moves:
 * setns(2) is per thread. See namespaces(7).
 */
#ifndef SQUALLD_NETNS_H
#define SQUALLD_NETNS_H

#include <stdbool.h>
#include <stdint.h>

uint64_t netns_of(int pid); /* inode of its network namespace, 0 if it is gone */
int netns_open(int pid);    /* a descriptor of it, or -errno */
int netns_enter(int fd);    /* the calling thread; 0 or -errno */
/* Back again, or the process ends: a thread that cannot come home would change the interfaces of
 * strangers. */
void netns_leave(int home_fd);

/*
 * One squalld for each network namespace in which there are links of ours: two would take each
 * other's away. Of the namespace the thread is in, held until the descriptor is closed, also by
 * a kill. A descriptor, -EBUSY: another squalld has it, or -errno.
 */
int netns_lock(void);

/* Has a cgroup processes in the namespace with this inode? elsewhere: in others; not looked for
 * where there are some here. */
struct netns_place {
	uint64_t ino;
	bool here, elsewhere;
};
struct netns_place netns_place(uint64_t ino, uint64_t cgroup_id);
/* The same, for less, of one whose directory is open. */
struct netns_place netns_place_in(uint64_t ino, int dir, uint64_t cgroup_id);

#endif
