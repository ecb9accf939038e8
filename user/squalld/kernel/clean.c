// SPDX-License-Identifier: GPL-2.0-only
/*
 * What outlives a squalld: removes what one left behind, in every namespace that can be reached,
 * and makes the folder of its pins.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <linux/magic.h>
#include "squalld/kernel/engine_internal.h"

/* Removes what a squalld left in the namespace the thread is in. */
static void clean_space(uint64_t ino, bool home, int att_fd)
{
	int lock = home ? 0 : netns_lock();
	struct nl_link *links;
	bool in_use;
	size_t n;

	/* What is there belongs to a squalld that runs. */
	if (lock < 0)
		return;
	if (!home)
		close(lock);
	if (nl_links(&links, &n))
		return;
	for (size_t i = 0; i < n; i++) {
		uint32_t ifindex = links[i].ifindex;
		int removed = !nl_filter_delete(ifindex, false);

		front_clean(ifindex);
		removed += !nl_filter_delete(ifindex, true);
		for (uint32_t key = 1; removed && att_fd >= 0 && key < SQ_MAX_ATTACH; key++) {
			struct sq_att att;

			if (bpf_map_lookup_elem(att_fd, &key, &att) || att.ifindex != ifindex ||
			    att.netns_ino != (uint32_t)ino || !(att.flags & SQ_A_CLSACT))
				continue;
			in_use = true;
			if (!nl_clsact_in_use(ifindex, &in_use) && !in_use)
				nl_clsact_delete(ifindex);
		}
	}
	for (size_t i = 0; i < n; i++)
		if (!strncmp(links[i].name, OUR_LINKS, strlen(OUR_LINKS)))
			nl_link_delete(links[i].name);
	free(links);
}

struct cleaner {
	int att_fd;
	uint64_t home;
};

/* A namespace that the pinned map names, or our own: what others of our kind
 * attached elsewhere is theirs. */
static bool ours(const struct cleaner *c, uint64_t ino)
{
	struct sq_att att;

	for (uint32_t key = 1; ino != c->home && c->att_fd >= 0 && key < SQ_MAX_ATTACH; key++)
		if (!bpf_map_lookup_elem(c->att_fd, &key, &att) && att.ifindex &&
		    att.netns_ino == (uint32_t)ino)
			return true;
	return ino == c->home;
}

/* Namespaces that nobody lives in are kept by a mount (`ip netns`, Docker's). */
static void clean_mounted(struct cleaner *c)
{
	FILE *f = setmntent("/proc/self/mounts", "re");
	struct mntent *m;

	while (f && (m = getmntent(f))) {
		struct stat st;
		int fd;

		if (strcmp(m->mnt_type, "nsfs"))
			continue;
		fd = open(m->mnt_dir, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			continue;
		/* setns() refuses those of other kinds. */
		if (!fstat(fd, &st) && ours(c, st.st_ino) && !setns(fd, CLONE_NEWNET))
			clean_space(st.st_ino, st.st_ino == c->home, c->att_fd);
		close(fd);
	}
	if (f)
		endmntent(f);
}

static void *clean_main(void *arg)
{
	struct cleaner *c = arg;
	uint64_t done[1024], ino;
	size_t n_done = 0;
	DIR *proc = opendir("/proc");
	struct dirent *d;

	while (proc && n_done < 1024 && (d = readdir(proc))) {
		char path[64];
		bool seen = false;
		int fd, pid = atoi(d->d_name);

		if (pid <= 0)
			continue;
		ino = netns_of(pid);
		for (size_t i = 0; i < n_done && !seen; i++)
			seen = done[i] == ino;
		if (!ino || seen)
			continue;
		done[n_done++] = ino;
		if (!ours(c, ino))
			continue;
		snprintf(path, sizeof(path), "/proc/%d/ns/net", pid);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			continue;
		if (!setns(fd, CLONE_NEWNET))
			clean_space(ino, ino == c->home, c->att_fd);
		close(fd);
	}
	if (proc)
		closedir(proc);
	clean_mounted(c);
	return NULL;
}

/* All namespaces of ours that a process lives in or a mount keeps; in a thread of its own,
 * which does not come back. */
void attach_clean_all(int att_fd)
{
	struct cleaner c = {.att_fd = att_fd, .home = netns_of(getpid())};
	pthread_t thread;

	if (!pthread_create(&thread, NULL, clean_main, &c))
		pthread_join(thread, NULL);
}

int pins_ready(const char *pin_dir, char **ret, struct sq_error *err)
{
	char *path = NULL;
	struct dirent *d;
	struct statfs fs;
	DIR *dir;
	int res = 0;

	if (statfs("/sys/fs/bpf", &fs) == 0 && fs.f_type != BPF_FS_MAGIC)
		mount("bpf", "/sys/fs/bpf", "bpf", 0, NULL);
	if (mkdir(pin_dir, 0700) && errno != EEXIST)
		return sq_error_set(err, -errno, "--pin-dir", "cannot make %s: %s", pin_dir,
				    strerror(errno));
	if (statfs(pin_dir, &fs) || fs.f_type != BPF_FS_MAGIC)
		return sq_error_set(err, -EINVAL, "--pin-dir",
				    "%s is not on a bpf file system; mount one: mount -t "
				    "bpf bpf /sys/fs/bpf",
				    pin_dir);
	dir = opendir(pin_dir);
	while (dir && (d = readdir(dir)) && !res)
		if (d->d_name[0] == 'v' && strtoul(d->d_name + 1, NULL, 10) != SQ_ABI_VERSION)
			res = sq_error_set(err, -EPROTO, "--pin-dir",
					   "%s/%s is of another version of squalld (this one: "
					   "v%u); stop that one, or remove it: squalld --cleanup",
					   pin_dir, d->d_name, SQ_ABI_VERSION);
	if (dir)
		closedir(dir);
	if (res)
		return res;
	if (asprintf(&path, "%s/v%u", pin_dir, SQ_ABI_VERSION) < 0)
		return sq_error_set(err, -ENOMEM, NULL, "out of memory");
	if (mkdir(path, 0700) && errno != EEXIST) {
		res = sq_error_set(err, -errno, "--pin-dir", "cannot make %s: %s", path,
				   strerror(errno));
		free(path);
		return res;
	}
	*ret = path;
	return 0;
}
