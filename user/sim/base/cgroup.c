// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>
#include "sim/base/cgroup.h"

int sim_cgroup_make(const char *path, struct sq_error *err)
{
	struct statfs fs;
	bool made;

	if (*path != '/')
		return sq_bad(err,
			      "cgroup '%.200s': accepted: a directory below the cgroup v2 "
			      "mount, e.g. /sys/fs/cgroup/meters",
			      path);
	made = !mkdir(path, 0755);
	if (!made && errno != EEXIST)
		return sq_bad(err, "cgroup '%.200s': %s", path, strerror(errno));
	if (statfs(path, &fs) || fs.f_type != 0x63677270) { /* CGROUP2_SUPER_MAGIC */
		if (made)
			rmdir(path);
		return sq_bad(err, "cgroup '%.200s': not a cgroup v2 directory", path);
	}
	return 0;
}

int sim_cgroup_enter(const char *path, pid_t pid, struct sq_error *err)
{
	char file[300], text[16];
	int fd, n, rc = 0;

	snprintf(file, sizeof(file), "%s/cgroup.procs", path);
	n = snprintf(text, sizeof(text), "%d", (int)pid);
	fd = open(file, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, text, (size_t)n) != n)
		rc = sq_bad(err, "cgroup '%.200s': %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return rc;
}
