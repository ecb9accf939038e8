// SPDX-License-Identifier: GPL-2.0-only
/*
 * inotify works on cgroup v2, directory by directory, as cgroups are made and
 * removed by mkdir(2) and rmdir(2). Rules hear of a new one at once, since its
 * first packets may follow. For the event streams changes are gathered for a
 * moment: a machine that starts a hundred containers sends one event and not hundreds.
 * Without it (too many watches) nothing breaks; who shows a list reads it
 * again now and then.
 */
#include "squalld/discovery/cgwatch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>
#include "lib/cgroup.h"
#include "lib/clock.h"
#include "squalld/base/log.h"
#include "squalld/base/tree.h"
#include "squalld/control/targets.h"
#include "squalld/control/bus.h"

#define BUCKETS	   1024 /* a power of two */
#define GATHER_MS  100
#define ONE_BY_ONE 32 /* more changes than this at once are one event */

struct dir {
	struct dir *next;
	int wd;
	uint64_t id;
	char path[]; /* below the mount, "" = the root */
};

struct change {
	bool made;
	uint64_t id;
	char *path;
};

struct cgwatch {
	struct cgwatch_uses use;
	pthread_t thread;
	bool running;
	int fd, stop;
	struct dir *bucket[BUCKETS];
	unsigned int watched; /* read by others */
	int error;	      /* positive errno, read by others */
	bool moved;	      /* since somebody asked, who also clears it */
	bool telling;	      /* false while the tree is read for the first time */
	struct change change[ONE_BY_ONE];
	unsigned int n_changes;
	char events[65536] __attribute__((aligned(__alignof__(struct inotify_event))));
};

static struct dir **slot(struct cgwatch *w, int wd)
{
	struct dir **link = &w->bucket[(unsigned int)wd % BUCKETS];

	while (*link && (*link)->wd != wd)
		link = &(*link)->next;
	return link;
}

static void forget(struct cgwatch *w, int wd)
{
	struct dir **link = slot(w, wd), *dir = *link;

	if (!dir)
		return;
	*link = dir->next;
	free(dir);
	__atomic_sub_fetch(&w->watched, 1, __ATOMIC_RELAXED);
}

static void note(struct cgwatch *w, bool made, const char *path, uint64_t id)
{
	__atomic_store_n(&w->moved, true, __ATOMIC_RELEASE);
	if (!w->telling)
		return;
	if (made)
		w->use.made(w->use.made_arg, path);
	if (w->n_changes < ONE_BY_ONE)
		w->change[w->n_changes] = (struct change){made, id, strdup(path)};
	w->n_changes++;
}

static void failed(struct cgwatch *w, int error)
{
	if (!w->error)
		log_warn("cannot watch all cgroups (%s): new ones are seen later%s",
			 strerror(error),
			 error == ENOSPC ? "; raise sysctl fs.inotify.max_user_watches" : "");
	__atomic_store_n(&w->error, error, __ATOMIC_RELAXED);
}

/* Remembers one directory. False: it is known, or cannot be watched. */
static bool add_dir(struct cgwatch *w, const char *path)
{
	char full[TARGET_NAME_MAX + 300];
	size_t len = strlen(path) + 1;
	struct stat st;
	struct dir *dir;
	int wd;

	if ((size_t)snprintf(full, sizeof(full), "%s%s", cgroup_mount(), path) >= sizeof(full))
		return false;
	wd = inotify_add_watch(
		w->fd, full, IN_CREATE | IN_DELETE | IN_ONLYDIR | IN_DONT_FOLLOW | IN_EXCL_UNLINK);
	if (wd < 0) {
		if (errno != ENOENT && errno != ENOTDIR)
			failed(w, errno);
		return false;
	}
	if (*slot(w, wd))
		return false;
	dir = malloc(sizeof(*dir) + len);
	if (!dir || stat(full, &st) < 0) {
		/* Gone again; on cgroup v2 its watch would stay. */
		inotify_rm_watch(w->fd, wd);
		free(dir);
		return false;
	}
	dir->wd = wd;
	dir->id = st.st_ino;
	memcpy(dir->path, path, len);
	dir->next = w->bucket[(unsigned int)wd % BUCKETS];
	w->bucket[(unsigned int)wd % BUCKETS] = dir;
	__atomic_add_fetch(&w->watched, 1, __ATOMIC_RELAXED);
	note(w, true, path, dir->id);
	return true;
}

/* Nothing so deep can have a rule; who has a cgroup of his own could make as many as he likes. */
static bool too_deep(const char *path)
{
	return cgroup_level(path, SQ_MAX_LEVELS) == -E2BIG;
}

/* The directory and those below it. They are listed after the watch is set, so none is missed, and
 * one that is met twice is known the second time: what is below it is too. */
static int visit(const char *path, void *arg)
{
	return too_deep(path) || !add_dir(arg, path);
}

static int visit_again(const char *path, void *arg)
{
	if (too_deep(path))
		return 1;
	add_dir(arg, path);
	return 0;
}

static void add_tree(struct cgwatch *w, const char *path, bool again)
{
	tree_each(cgroup_mount(), path, TARGET_NAME_MAX - 8, again ? visit_again : visit, w);
}

/* A removed cgroup's watch stays until it is taken back: cgroup v2 sends no IN_IGNORED. */
static void unwatch(struct cgwatch *w, const struct dir *dir)
{
	int wd = dir->wd;

	inotify_rm_watch(w->fd, wd);
	forget(w, wd);
}

static const struct dir *by_path(const struct cgwatch *w, const char *path)
{
	for (size_t i = 0; i < BUCKETS; i++)
		for (const struct dir *dir = w->bucket[i]; dir; dir = dir->next)
			if (strcmp(dir->path, path) == 0)
				return dir;
	return NULL;
}

/* After lost events: who is not there any more, or is another one of the same name? */
static void sweep(struct cgwatch *w)
{
	char full[TARGET_NAME_MAX + 300];
	struct stat st;

	for (size_t i = 0; i < BUCKETS; i++) {
		for (struct dir *dir = w->bucket[i], *next; dir; dir = next) {
			next = dir->next;
			snprintf(full, sizeof(full), "%s%s", cgroup_mount(), dir->path);
			if (stat(full, &st) < 0 ? errno == ENOENT : st.st_ino != dir->id)
				unwatch(w, dir);
		}
	}
}

static void one_event(struct cgwatch *w, const struct inotify_event *e)
{
	char path[TARGET_NAME_MAX] = "";
	const struct dir *parent, *dir;

	if (e->mask & IN_Q_OVERFLOW) {
		w->n_changes += ONE_BY_ONE + 1;
		sweep(w);
		add_tree(w, "", true);
		__atomic_store_n(&w->moved, true, __ATOMIC_RELEASE);
		return;
	}
	if (e->mask & IN_IGNORED) {
		forget(w, e->wd);
		return;
	}
	parent = *slot(w, e->wd);
	if (!parent || !(e->mask & IN_ISDIR) || !e->len ||
	    (size_t)snprintf(path, sizeof(path) - 8, "%s/%s", parent->path, e->name) >=
		    sizeof(path) - 8)
		return;
	if (e->mask & IN_CREATE) {
		add_tree(w, path, false);
	} else if (e->mask & IN_DELETE) {
		dir = by_path(w, path);
		note(w, false, path, dir ? dir->id : 0);
		if (dir)
			unwatch(w, dir);
	}
}

static void drain(struct cgwatch *w)
{
	ssize_t n;

	while ((n = read(w->fd, w->events, sizeof(w->events))) > 0) {
		for (char *p = w->events; p < w->events + n;) {
			const struct inotify_event *e = (const void *)p;

			one_event(w, e);
			p += sizeof(*e) + e->len;
		}
	}
}

static json_t *change_json(const struct change *c)
{
	char id[24], name[TARGET_NAME_MAX + 8];

	snprintf(id, sizeof(id), "%llu", (unsigned long long)c->id);
	snprintf(name, sizeof(name), "cgroup:%s", c->path ? c->path : "");
	return json_pack("{s:s,s:s,s:o,s:o}", "action", c->made ? "add" : "remove", "what",
			 c->made ? "created" : "removed", "target", json_text(name), "id",
			 c->id ? json_string(id) : json_null());
}

static void tell(struct cgwatch *w)
{
	unsigned int n = w->n_changes, kept = n < ONE_BY_ONE ? n : ONE_BY_ONE;

	if (n > ONE_BY_ONE)
		bus_publish(w->use.bus, "target",
			    json_pack("{s:s,s:s,s:n,s:n}", "action", "change", "what", "many",
				      "target", "id"));
	for (unsigned int i = 0; i < kept; i++) {
		if (n <= ONE_BY_ONE)
			bus_publish(w->use.bus, "target", change_json(&w->change[i]));
		free(w->change[i].path);
	}
	w->n_changes = 0;
}

/* What comes within GATHER_MS of now belongs together. False: it is to stop. */
static bool gather(struct cgwatch *w, struct pollfd fds[2])
{
	uint64_t end = sq_mono_ns() + GATHER_MS * 1000000ull, now;

	do {
		drain(w);
		now = sq_mono_ns();
		if (now >= end)
			return true;
		fds[0].revents = fds[1].revents = 0;
		poll(fds, 2, (int)((end - now) / 1000000 + 1));
	} while (!fds[1].revents);
	return false;
}

static void *watch(void *arg)
{
	struct cgwatch *w = arg;
	struct pollfd fds[] = {{w->fd, POLLIN, 0}, {w->stop, POLLIN, 0}};

	pthread_setname_np(pthread_self(), "cgroups");
	add_tree(w, "", false);
	w->telling = true;
	__atomic_store_n(&w->moved, true, __ATOMIC_RELEASE);
	w->use.made(w->use.made_arg, NULL);
	for (;;) {
		fds[0].revents = fds[1].revents = 0;
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			break;
		if (fds[1].revents || !gather(w, fds))
			break;
		tell(w);
	}
	return NULL;
}

int cgwatch_start(const struct cgwatch_uses *uses, struct cgwatch **ret)
{
	struct cgwatch *w;

	if (!cgroup_mount())
		return 0;
	w = calloc(1, sizeof(*w));
	if (!w)
		return -ENOMEM;
	*ret = w;
	w->use = *uses;
	w->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	w->stop = eventfd(0, EFD_CLOEXEC);
	if (w->fd < 0 || w->stop < 0) {
		failed(w, errno);
		return 0;
	}
	if (pthread_create(&w->thread, NULL, watch, w) != 0)
		return -EAGAIN;
	w->running = true;
	return 0;
}

void cgwatch_stop(struct cgwatch *w)
{
	uint64_t one = 1;

	if (!w)
		return;
	if (w->running && write(w->stop, &one, sizeof(one)) == sizeof(one))
		pthread_join(w->thread, NULL);
	if (w->fd >= 0)
		close(w->fd);
	if (w->stop >= 0)
		close(w->stop);
	for (size_t i = 0; i < BUCKETS; i++) {
		for (struct dir *dir = w->bucket[i], *next; dir; dir = next) {
			next = dir->next;
			free(dir);
		}
	}
	free(w);
}

bool cgwatch_moved(struct cgwatch *w)
{
	return !w || __atomic_load_n(&w->error, __ATOMIC_RELAXED) ||
	       __atomic_exchange_n(&w->moved, false, __ATOMIC_ACQUIRE);
}

json_t *cgwatch_status(struct cgwatch *w)
{
	int error = w ? __atomic_load_n(&w->error, __ATOMIC_RELAXED) : ENOSYS;

	return json_pack(
		"{s:i,s:o}", "watched", w ? (int)__atomic_load_n(&w->watched, __ATOMIC_RELAXED) : 0,
		"error",
		error ? json_text(error == ENOSYS ? "cgroup v2 is not mounted" : strerror(error))
		      : json_null());
}
