/* SPDX-License-Identifier: GPL-2.0-only */
/* cgroup v2 ids and paths. A cgroup's id is its directory's inode and kernfs file handle. */
#ifndef SQUALL_LIB_CGROUP_H
#define SQUALL_LIB_CGROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where cgroup v2 is mounted, or NULL. The string lives as long as the process. */
const char *cgroup_mount(void);

/* How many levels the mount's root is below the hierarchy's: 0 but in a cgroup
 * namespace. -errno when that cannot be told. */
int cgroup_mount_level(void);

/* Path below the mount ("/a/b") -> id; *ret_fd (may be NULL) is an open directory. -errno. */
int cgroup_id_of(const char *path, uint64_t *ret_id, int *ret_fd);

/* id -> path below the mount. -ENOENT when it is gone. */
int cgroup_path_of(uint64_t id, char *ret, size_t size);
/* The same, and its directory, open. */
int cgroup_open_of(uint64_t id, char *ret, size_t size, int *ret_fd);

/* Ids of the cgroup at `path` and its ancestors: ret[0] is one level below the
 * hierarchy's root, 0 where that is above the mount. Returns the level as the
 * kernel counts it, 0 for the mount's root, -errno (-E2BIG: deeper than `max`). */
int cgroup_chain(const char *path, uint64_t *ret, int max);

/* The level alone, of the path's text: nothing is opened. */
int cgroup_level(const char *path, int max);

/* The path of a process's cgroup. -ENODATA where it has none of v2; -ENOENT, -ESRCH: it is gone. */
int cgroup_of_pid(int pid, char *ret, size_t size);

/* Calls fn for each process in the cgroup and below. Stops when fn returns non-zero and returns
 * that. */
int cgroup_each_pid(const char *path, int (*fn)(int pid, void *arg), void *arg);
/* Of an open cgroup. -EAGAIN: it has children, who are not looked at. */
int cgroup_each_pid_in(int dir, int (*fn)(int pid, void *arg), void *arg);
/* -ESTALE: another cgroup is there now than that with this id. */
int cgroup_each_pid_of(const char *path, uint64_t id, int (*fn)(int pid, void *arg), void *arg);

/* Has the open cgroup, or one below it, a process? True as well when it is gone. */
bool cgroup_populated(int dir);
/* Has an inotify instance tell (IN_MODIFY) when that changes. A watch or -1; it stays when the
 * cgroup goes. */
int cgroup_watch(int inotify_fd, int dir);

#endif
