// SPDX-License-Identifier: GPL-2.0-only
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <mntent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>
#include "squall/abi.h"
#include "lib/cgroup.h"

#define CGROUP_ROOT_INO 1 /* of every cgroup v2 hierarchy there is one, and its root is this */

static char mount_path[PATH_MAX];
static int mount_fd = -1;
static int mount_level;

static int open_handle(uint64_t id, int flags)
{
	struct {
		struct file_handle fh;
		uint64_t id;
	} h = {.fh = {.handle_bytes = 8, .handle_type = 0xfe /* FILEID_KERNFS */}};
	int fd;

	memcpy(h.fh.f_handle, &id, sizeof(id));
	fd = open_by_handle_at(mount_fd, &h.fh, flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* How deep below the directory `fd` is the one with this inode? Closes fd. */
static int level_of(int fd, uint64_t id, int level)
{
	DIR *dir = fdopendir(fd);
	int ret = -ENOENT;
	struct dirent *d;

	if (!dir) {
		close(fd);
		return ret;
	}
	while (ret < 0 && (d = readdir(dir))) {
		struct stat st;
		int sub;

		if (d->d_type != DT_DIR || d->d_name[0] == '.')
			continue;
		sub = openat(dirfd(dir), d->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (sub < 0)
			continue;
		if (fstat(sub, &st) == 0 && st.st_ino == id)
			ret = level + 1;
		if (ret < 0 && level + 1 < SQ_MAX_LEVELS)
			ret = level_of(sub, id, level + 1);
		else
			close(sub);
	}
	closedir(dir);
	return ret;
}

/*
 * In a cgroup namespace (a system container, a node of kind, a container with
 * --cgroupns private) the mount's root is not the hierarchy's, and the kernel
 * counts levels from the latter. Nothing tells the difference, but handles open
 * directories outside the mount too, so go down from the real root, once.
 */
static int find_level(void)
{
	struct stat st;
	int fd;

	if (fstat(mount_fd, &st))
		return -errno;
	if (st.st_ino == CGROUP_ROOT_INO)
		return 0;
	fd = open_handle(CGROUP_ROOT_INO, O_RDONLY | O_DIRECTORY);
	return fd < 0 ? fd : level_of(fd, st.st_ino, 0);
}

static void find_mount(void)
{
	FILE *f = setmntent("/proc/self/mounts", "re");
	struct mntent *m;

	if (!f)
		return;
	while ((m = getmntent(f))) {
		if (strcmp(m->mnt_type, "cgroup2"))
			continue;
		snprintf(mount_path, sizeof(mount_path), "%s", m->mnt_dir);
		mount_fd = open(mount_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		break;
	}
	endmntent(f);
	if (mount_fd >= 0)
		mount_level = find_level();
}

const char *cgroup_mount(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, find_mount);
	return mount_fd >= 0 ? mount_path : NULL;
}

int cgroup_mount_level(void)
{
	return cgroup_mount() ? mount_level : -ENOENT;
}

static int open_below(const char *path)
{
	int fd;

	if (!cgroup_mount())
		return -ENOSYS;
	while (*path == '/')
		path++;
	fd = openat(mount_fd, *path ? path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int open_id_of(const char *path, uint64_t *ret_id, int *ret_fd)
{
	struct stat st;
	int fd = open_below(path);

	if (fd < 0)
		return fd;
	if (fstat(fd, &st)) {
		int err = -errno;

		close(fd);
		return err;
	}
	*ret_id = st.st_ino;
	*ret_fd = fd;
	return 0;
}

int cgroup_id_of(const char *path, uint64_t *ret_id, int *ret_fd)
{
	struct stat st;

	if (ret_fd)
		return open_id_of(path, ret_id, ret_fd);
	if (!cgroup_mount())
		return -ENOSYS;
	path += strspn(path, "/");
	if (fstatat(mount_fd, *path ? path : ".", &st, 0))
		return -errno;
	if (!S_ISDIR(st.st_mode))
		return -ENOTDIR;
	*ret_id = st.st_ino;
	return 0;
}

static int path_of(int fd, char *ret, size_t size)
{
	char link[64], buf[PATH_MAX];
	size_t root;
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, buf, sizeof(buf) - 1);
	if (n < 0)
		return -errno;
	buf[n] = 0;
	root = strlen(mount_path);
	if (strncmp(buf, mount_path, root) || strstr(buf, " (deleted)"))
		return -ENOENT;
	if ((size_t)snprintf(ret, size, "%s", buf[root] ? buf + root : "/") >= size)
		return -ENAMETOOLONG;
	return 0;
}

static int open_found(uint64_t id, int flags, char *ret, size_t size, int *ret_fd)
{
	int fd = cgroup_mount() ? open_handle(id, flags) : -ENOSYS, err;

	if (fd < 0)
		return fd == -ESTALE ? -ENOENT : fd;
	err = path_of(fd, ret, size);
	if (err)
		close(fd);
	else
		*ret_fd = fd;
	return err;
}

int cgroup_open_of(uint64_t id, char *ret, size_t size, int *ret_fd)
{
	return open_found(id, O_RDONLY | O_DIRECTORY, ret, size, ret_fd);
}

int cgroup_path_of(uint64_t id, char *ret, size_t size)
{
	int fd, err = open_found(id, O_PATH, ret, size, &fd);

	if (!err)
		close(fd);
	return err;
}

int cgroup_chain(const char *path, uint64_t *ret, int max)
{
	char buf[PATH_MAX];
	char *p, *next;
	int base = cgroup_mount_level(), depth, err;

	if (base < 0)
		return base;
	if (base > max)
		return -E2BIG;
	if ((size_t)snprintf(buf, sizeof(buf), "%s", path) >= sizeof(buf))
		return -ENAMETOOLONG;
	/* What lies above the mount can have no rule. */
	for (depth = 0; depth < base; depth++)
		ret[depth] = 0;
	for (p = buf; *p == '/'; p++)
		;
	for (; *p; p = next) {
		char saved;

		next = p + strcspn(p, "/");
		saved = *next;
		*next = 0;
		if (depth == max)
			return -E2BIG;
		err = cgroup_id_of(buf, &ret[depth++], NULL);
		if (err)
			return err;
		*next = saved;
		while (*next == '/')
			next++;
	}
	return depth == base ? 0 : depth;
}

int cgroup_level(const char *path, int max)
{
	int base = cgroup_mount_level(), depth = base;

	if (base < 0)
		return base;
	for (const char *p = path + strspn(path, "/"); *p; p += strspn(p, "/")) {
		p += strcspn(p, "/");
		depth++;
	}
	return depth > max ? -E2BIG : depth == base ? 0 : depth;
}

/* Cgroups that are still to be looked at, by id: a handle opens each, however deep it is,
 * with neither recursion nor a path. */
struct todo {
	uint64_t *ids;
	size_t n, room;
};

static int todo_add(struct todo *t, uint64_t id)
{
	if (t->n == t->room) {
		size_t room = t->room ? 2 * t->room : 16;
		uint64_t *grown = reallocarray(t->ids, room, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		t->ids = grown;
		t->room = room;
	}
	t->ids[t->n++] = id;
	return 0;
}

/* Of an open cgroup.procs. */
static int each_number(int fd, int (*fn)(int pid, void *arg), void *arg)
{
	char buf[4096];
	int pid = 0, ret = 0;
	ssize_t n;

	while (!ret && (n = read(fd, buf, sizeof(buf))) > 0)
		for (ssize_t i = 0; i < n && !ret; i++) {
			if (buf[i] >= '0' && buf[i] <= '9') {
				pid = pid * 10 + (buf[i] - '0');
				continue;
			}
			ret = pid > 0 ? fn(pid, arg) : 0; /* 0: in no namespace of ours */
			pid = 0;
		}
	return ret;
}

/* Its children go to the list. Closes fd. */
static int list_children(int fd, struct todo *t)
{
	DIR *dir = fdopendir(fd);
	struct dirent *d;
	int ret = 0;

	while (dir && !ret && (d = readdir(dir)))
		if (d->d_type == DT_DIR && d->d_name[0] != '.')
			ret = todo_add(t, d->d_ino);
	if (dir)
		closedir(dir);
	else
		close(fd);
	return ret;
}

bool cgroup_populated(int dir)
{
	int fd = openat(dir, "cgroup.events", O_RDONLY | O_CLOEXEC);
	char text[256];
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return true;
	text[n] = 0;
	return strstr(text, "populated 1");
}

/* Its children, if anybody is in them or below: with none there is nothing to walk. Closes fd. */
static int list_populated(int fd, struct todo *t)
{
	if (cgroup_populated(fd))
		return list_children(fd, t);
	close(fd);
	return 0;
}

/* Its processes; its children go to the list. Closes fd. */
static int each_pid_of(int fd, struct todo *t, int (*fn)(int pid, void *arg), void *arg)
{
	int procs = openat(fd, "cgroup.procs", O_RDONLY | O_CLOEXEC), ret = 0;
	struct stat st;

	if (procs >= 0) {
		ret = each_number(procs, fn, arg);
		close(procs);
	}
	/* kernfs counts a directory's own in its links: most have none, and listing the files that
	 * every cgroup has was half of the walk. */
	if (!ret && (fstat(fd, &st) || st.st_nlink != 2))
		return list_populated(fd, t);
	close(fd);
	return ret;
}

/* The first of a walk, by its path: its own directory is opened only where it has children. */
static int each_pid_at(const char *path, uint64_t id, struct todo *t, int (*fn)(int pid, void *arg),
		       void *arg)
{
	char procs[PATH_MAX];
	struct stat st;
	int fd, ret;

	if (!cgroup_mount())
		return -ENOSYS;
	path += strspn(path, "/");
	if ((size_t)snprintf(procs, sizeof(procs), "%s%scgroup.procs", path, *path ? "/" : "") >=
	    sizeof(procs))
		return -ENAMETOOLONG;
	if (fstatat(mount_fd, *path ? path : ".", &st, 0))
		return -errno;
	if (id && st.st_ino != id)
		return -ESTALE;
	fd = openat(mount_fd, procs, O_RDONLY | O_CLOEXEC);
	ret = fd < 0 ? 0 : each_number(fd, fn, arg);
	if (fd >= 0)
		close(fd);
	if (ret || st.st_nlink == 2)
		return ret;
	fd = open_below(path);
	return fd < 0 ? 0 : list_populated(fd, t); /* else it was removed meanwhile */
}

int cgroup_each_pid_in(int dir, int (*fn)(int pid, void *arg), void *arg)
{
	int fd = openat(dir, "cgroup.procs", O_RDONLY | O_CLOEXEC), ret;
	struct stat st;

	if (fd < 0)
		return -errno;
	ret = each_number(fd, fn, arg);
	close(fd);
	return ret || (!fstat(dir, &st) && st.st_nlink == 2) ? ret : -EAGAIN;
}

int cgroup_each_pid_of(const char *path, uint64_t id, int (*fn)(int pid, void *arg), void *arg)
{
	struct todo todo = {0};
	int fd, ret = each_pid_at(path, id, &todo, fn, arg);

	while (!ret && todo.n) {
		fd = open_handle(todo.ids[--todo.n], O_RDONLY | O_DIRECTORY);
		if (fd >= 0) /* else it was removed meanwhile */
			ret = each_pid_of(fd, &todo, fn, arg);
	}
	free(todo.ids);
	return ret;
}

int cgroup_each_pid(const char *path, int (*fn)(int pid, void *arg), void *arg)
{
	return cgroup_each_pid_of(path, 0, fn, arg);
}

/* Each second of each process that lives elsewhere: by one read, without stdio. */
int cgroup_of_pid(int pid, char *ret, size_t size)
{
	char buf[3 * PATH_MAX], *line;
	ssize_t n;
	int fd;

	snprintf(buf, sizeof(buf), "/proc/%d/cgroup", pid);
	fd = open(buf, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	/* With a line end in front of each line, and the kernel writes all at once. */
	buf[0] = '\n';
	n = read(fd, buf + 1, sizeof(buf) - 2);
	if (n < 0)
		n = -errno;
	close(fd);
	if (n < 0)
		return (int)n;
	buf[1 + n] = 0;
	line = strstr(buf, "\n0::");
	if (!line)
		return -ENODATA;
	line += 4;
	if (!strchr(line, '\n'))
		return -ENAMETOOLONG;
	line[strcspn(line, "\n")] = 0;
	return snprintf(ret, size, "%s", line) < (int)size ? 0 : -ENAMETOOLONG;
}

int cgroup_watch(int inotify_fd, int dir)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d/cgroup.events", dir);
	return inotify_add_watch(inotify_fd, path, IN_MODIFY);
}
