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
#include <sys/stat.h>
#include <unistd.h>
#include "lib/cgroup.h"

static char mount_path[PATH_MAX];
static int mount_fd = -1;

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
}

const char *cgroup_mount(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, find_mount);
	return mount_fd >= 0 ? mount_path : NULL;
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

int cgroup_id_of(const char *path, uint64_t *ret_id, int *ret_fd)
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
	if (ret_fd)
		*ret_fd = fd;
	else
		close(fd);
	return 0;
}

int cgroup_path_of(uint64_t id, char *ret, size_t size)
{
	struct {
		struct file_handle fh;
		uint64_t id;
	} h = {.fh = {.handle_bytes = 8, .handle_type = 0xfe /* FILEID_KERNFS */}};
	char link[64], buf[PATH_MAX];
	size_t root;
	ssize_t n;
	int fd;

	if (!cgroup_mount())
		return -ENOSYS;
	memcpy(h.fh.f_handle, &id, sizeof(id));
	fd = open_by_handle_at(mount_fd, &h.fh, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return errno == ESTALE ? -ENOENT : -errno;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, buf, sizeof(buf) - 1);
	close(fd);
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

int cgroup_chain(const char *path, uint64_t *ret, int max)
{
	char buf[PATH_MAX];
	char *p, *next;
	int depth = 0, err;

	if ((size_t)snprintf(buf, sizeof(buf), "%s", path) >= sizeof(buf))
		return -ENAMETOOLONG;
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
	return depth;
}

static int each_pid_at(int dirfd, int depth, int (*fn)(int pid, void *arg), void *arg)
{
	int fd = openat(dirfd, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	struct dirent *d;
	FILE *f = fd >= 0 ? fdopen(fd, "re") : NULL;
	DIR *dir;
	int pid, ret = 0;

	if (f) {
		while (!ret && fscanf(f, "%d", &pid) == 1)
			if (pid > 0)
				ret = fn(pid, arg);
		fclose(f);
	}
	fd = ret || depth > 32 ? -1 : openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = fd >= 0 ? fdopendir(fd) : NULL;
	if (!dir)
		return ret;
	while (!ret && (d = readdir(dir))) {
		if (d->d_type != DT_DIR || d->d_name[0] == '.')
			continue;
		fd = openat(dirfd, d->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0)
			continue;
		ret = each_pid_at(fd, depth + 1, fn, arg);
		close(fd);
	}
	closedir(dir);
	return ret;
}

int cgroup_each_pid(const char *path, int (*fn)(int pid, void *arg), void *arg)
{
	int fd = open_below(path), ret;

	if (fd < 0)
		return fd;
	ret = each_pid_at(fd, 0, fn, arg);
	close(fd);
	return ret;
}
