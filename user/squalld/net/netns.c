// SPDX-License-Identifier: GPL-2.0-only
/* Which network namespace, and into it. */
#include "squalld/net/netns.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "lib/cgroup.h"

static const char *path_of(int pid, char *buf, size_t size)
{
	snprintf(buf, size, "/proc/%d/ns/net", pid);
	return buf;
}

uint64_t netns_of(int pid)
{
	char path[64], text[32] = ""; /* net:[4026531833] */
	unsigned long long ino;

	/* Half of a stat(), which makes the file that the link leads to. */
	if (readlink(path_of(pid, path, sizeof(path)), text, sizeof(text) - 1) < 0)
		return 0;
	return sscanf(text, "net:[%llu]", &ino) == 1 ? ino : 0;
}

int netns_open(int pid)
{
	char path[64];
	int fd = open(path_of(pid, path, sizeof(path)), O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int netns_enter(int fd)
{
	return setns(fd, CLONE_NEWNET) ? -errno : 0;
}

void netns_leave(int home_fd)
{
	if (setns(home_fd, CLONE_NEWNET))
		abort();
}

/* An abstract name: it belongs to the namespace, and to no file. */
int netns_lock(void)
{
	static const char name[] = "\0squalld-network-namespace-lock";
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), err;

	if (fd < 0)
		return -errno;
	memcpy(sa.sun_path, name, sizeof(name) - 1);
	if (!bind(fd, (struct sockaddr *)&sa,
		  offsetof(struct sockaddr_un, sun_path) + sizeof(name) - 1))
		return fd;
	err = errno == EADDRINUSE ? -EBUSY : -errno;
	close(fd);
	return err;
}

static int place_pid(int pid, void *arg)
{
	struct netns_place *p = arg;
	uint64_t ino = netns_of(pid);

	p->here = ino == p->ino;
	p->elsewhere |= ino && !p->here;
	return p->here;
}

struct netns_place netns_place_in(uint64_t ino, int dir, uint64_t cgroup_id)
{
	struct netns_place p = {.ino = ino};

	return cgroup_each_pid_in(dir, place_pid, &p) < 0 ? netns_place(ino, cgroup_id) : p;
}

struct netns_place netns_place(uint64_t ino, uint64_t cgroup_id)
{
	struct netns_place p = {.ino = ino};
	char path[PATH_MAX];

	if (!cgroup_path_of(cgroup_id, path, sizeof(path)))
		cgroup_each_pid(path, place_pid, &p);
	return p;
}
