// SPDX-License-Identifier: GPL-2.0-only
/*
 * A look at all processes: which network namespaces there are, and whose each is; and the
 * wait for one's attachments before it gets a rule (engine_hold()).
 * The longest cgroup path that all of a namespace's processes share owns it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>
#include "lib/cgroup.h"
#include "squalld/kernel/engine_internal.h"
#include "squalld/kernel/seen.h"

/* What is known of a pid. If it is given again, /proc has another inode for it. */
struct proc {
	int pid;
	bool kernel; /* a thread of the kernel's: a host has hundreds, and none moves */
	uint64_t inode;
};

/* Cuts `common` to the path components it shares with `path`. */
static void share(char *common, const char *path)
{
	size_t i = 0, cut = 0;

	for (; common[i] && common[i] == path[i]; i++)
		if (common[i] == '/')
			cut = i;
	if ((!common[i] || common[i] == '/') && (!path[i] || path[i] == '/'))
		cut = i;
	common[cut] = 0;
}

struct seen_space *seen_find(const struct seen *s, uint64_t ino)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->list[i].ino == ino)
			return &s->list[i];
	return NULL;
}

/* Of the flags in proc(5)'s stat: PF_KTHREAD of include/linux/sched.h. */
static bool is_kthread(int pid)
{
	char path[64], line[1024], *end = NULL; /* of the name, which may hold any ")" */
	unsigned int flags = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "re");
	if (f && fgets(line, sizeof(line), f))
		end = strrchr(line, ')');
	if (end && sscanf(end, ") %*c %*d %*d %*d %*d %*d %u", &flags) != 1)
		flags = 0;
	if (f)
		fclose(f);
	return flags & 0x00200000;
}

/* `list` is the address of a pointer to n elements. It doubles, so it is full where n
 * is a power of two, or 0. */
static bool room_for_one(void *list, size_t n, size_t size)
{
	void *old, *grown;

	if (n & (n - 1))
		return true;
	memcpy(&old, list, sizeof(old));
	grown = reallocarray(old, n ? 2 * n : 1, size);
	if (grown)
		memcpy(list, &grown, sizeof(grown));
	return grown;
}

int seen_chain(const char *path, uint64_t chain[SQ_MAX_LEVELS])
{
	int depth;

	memset(chain, 0, SQ_MAX_LEVELS * sizeof(*chain));
	depth = cgroup_chain(path, chain, SQ_MAX_LEVELS);
	return depth == -E2BIG ? SQ_MAX_LEVELS : depth;
}

/* Of a process that no scan has met so far. */
static void see_cgroup(struct seen *s, int pid)
{
	char path[PATH_MAX];
	uint64_t id;

	if (cgroup_of_pid(pid, path, sizeof(path)) || cgroup_id_of(path, &id, NULL))
		return;
	if (!s->newest || (int32_t)(SQ_CGROUP_SEQ(id) - SQ_CGROUP_SEQ(s->newest)) > 0)
		s->newest = id;
}

static int see(struct engine *e, struct seen *s, int pid)
{
	uint64_t ino = netns_of(pid), chain[SQ_MAX_LEVELS];
	struct seen_space *sp;
	char path[PATH_MAX];
	int depth;

	if (!ino || ino == e->host_ino || cgroup_of_pid(pid, path, sizeof(path)))
		return 0;
	sp = seen_find(s, ino);
	if (!sp) {
		if (!room_for_one(&s->list, s->n, sizeof(*s->list)))
			return -ENOMEM;
		sp = &s->list[s->n++];
		*sp = (struct seen_space){
			.ino = ino, .pid = pid, .nsid = -1, .common = strdup(path)};
		if (!sp->common)
			return -ENOMEM;
	} else if (strcmp(sp->common, path)) {
		sp->several = true;
		share(sp->common, path);
	}
	if (!sp->ruled) {
		depth = seen_chain(path, chain);
		pthread_mutex_lock(&e->lock);
		for (int i = 0; i < depth && !sp->ruled; i++)
			sp->ruled = ruled_find(e, chain[i]) || held_find(e, chain[i]);
		pthread_mutex_unlock(&e->lock);
	}
	return 0;
}

void seen_free(struct seen *s)
{
	for (size_t i = 0; s && i < s->n; i++)
		free(s->list[i].common);
	if (s) {
		free(s->list);
		free(s->procs);
	}
	free(s);
}

/* Would the host's edges be described in the same way? Only a namespace with an
 * nsid can be the far side of one. */
bool seen_same(const struct seen *a, const struct seen *b)
{
	for (size_t i = 0, j = 0;; i++, j++) {
		const struct seen_space *x, *y;

		while (i < a->n && a->list[i].nsid < 0)
			i++;
		while (j < b->n && b->list[j].nsid < 0)
			j++;
		if (i == a->n || j == b->n)
			return i == a->n && j == b->n;
		x = &a->list[i];
		y = &b->list[j];
		if (x->ino != y->ino || x->nsid != y->nsid || x->several != y->several ||
		    strcmp(x->common, y->common))
			return false;
	}
}

int see_all(struct engine *e, const struct seen *before, struct seen *s)
{
	DIR *proc = opendir("/proc");
	struct dirent *d;
	size_t k = 0;
	int err = 0;

	if (!proc)
		return -errno;
	s->newest = before ? before->newest : 0;
	while (!err && (d = readdir(proc))) {
		struct proc p = {.pid = atoi(d->d_name), .inode = d->d_ino};

		if (p.pid <= 0)
			continue;
		while (before && k < before->n_procs && before->procs[k].pid < p.pid)
			k++;
		if (before && k < before->n_procs && before->procs[k].pid == p.pid &&
		    before->procs[k].inode == p.inode) {
			p.kernel = before->procs[k].kernel;
		} else {
			p.kernel = is_kthread(p.pid);
			if (!p.kernel)
				see_cgroup(s, p.pid);
		}
		if (!room_for_one(&s->procs, s->n_procs, sizeof(*s->procs))) {
			err = -ENOMEM;
			break;
		}
		s->procs[s->n_procs++] = p;
		if (!p.kernel)
			err = see(e, s, p.pid);
	}
	closedir(proc);
	nl_begin();
	for (size_t i = 0; i < s->n; i++) {
		char path[64];
		int fd;

		snprintf(path, sizeof(path), "/proc/%d/ns/net", s->list[i].pid);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd >= 0) {
			nl_nsid(fd, false, &s->list[i].nsid);
			close(fd);
		}
	}
	nl_end();
	return err;
}

/* --- where rules' targets live ----------------------------------------------------- */

#define PLACES_AT_ONCE 8 /* 40 us each, under the lock */

void rules_place(struct engine *e)
{
	int left = e->n_rules < PLACES_AT_ONCE ? e->n_rules : PLACES_AT_ONCE;

	while (left-- > 0) {
		struct ruled *r = rules_turn(e, TURN_PLACE);
		struct netns_place at = netns_place_in(e->host_ino, r->fd, r->rule.target);
		bool elsewhere = at.elsewhere && !at.here;

		e->host_users += r->elsewhere - elsewhere;
		r->elsewhere = elsewhere;
	}
}

/* --- targets without a process ------------------------------------------------------ */

static void changed(struct engine *e, int wd)
{
	for (int b = 0; b < RULE_BUCKETS; b++)
		for (struct ruled *r = e->rules[b]; r; r = r->next) {
			if (r->wd != wd)
				continue;
			if (!cgroup_populated(r->fd))
				ruled_set_empty(e, r, true);
			else
				r->arrived_ns = r->empty ? engine_now() : 0;
			e->arrived |= r->arrived_ns != 0;
		}
}

void life_read(struct engine *e)
{
	char events[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	ssize_t n;

	while ((n = read(e->life_fd, events, sizeof(events))) > 0) {
		for (char *p = events; p < events + n;) {
			const struct inotify_event *event = (const void *)p;

			if (!(event->mask & IN_IGNORED))
				changed(e, event->wd);
			p += sizeof(*event) + event->len;
		}
	}
	rules_publish_levels(e);
}

void life_found(struct engine *e, uint64_t scan_ns)
{
	if (!e->arrived)
		return;
	e->arrived = false;
	for (int b = 0; b < RULE_BUCKETS; b++)
		for (struct ruled *r = e->rules[b]; r; r = r->next) {
			if (r->arrived_ns && r->arrived_ns + SETTLE_NS < scan_ns)
				ruled_set_empty(e, r, false);
			e->arrived |= r->arrived_ns != 0;
		}
	rules_publish_levels(e);
}
