// SPDX-License-Identifier: GPL-2.0-only
/*
 * The plumber: the thread that makes every change to interfaces, and what waits
 * for it. Who sets a rule holds the target first, so that squalld is attached
 * where it lives before the rule is in force.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>
#include "lib/cgroup.h"
#include "squalld/kernel/engine_internal.h"
#include "squalld/kernel/seen.h"

#define TICK_MS	      250
#define SCAN_EVERY_NS 1000000000ull

#define EVENT_HERE   1 /* in the host's namespace */
#define EVENT_INSIDE 2
#define EVENT_LIFE   4 /* a ruled cgroup has its first process, or its last has gone */

/* Waits for a request, an event of some namespace that we are in, or the next tick: EVENT_*. Only
 * this thread changes the list of spaces. */
static int plumber_wait(struct engine *e)
{
	int n = 3 + e->n_spaces;
	struct pollfd few[3], *fds = calloc(n, sizeof(*fds));
	uint64_t drain;
	int event = 0;

	if (!fds) {
		fds = few;
		n = 3;
	}
	fds[0] = (struct pollfd){.fd = e->wake_fd, .events = POLLIN};
	fds[1] = (struct pollfd){.fd = e->life_fd, .events = POLLIN};
	fds[2] = (struct pollfd){.fd = e->monitor_fd, .events = POLLIN};
	for (int i = 3; i < n; i++)
		fds[i] = (struct pollfd){.fd = e->spaces[i - 3].monitor_fd, .events = POLLIN};
	if (poll(fds, n, TICK_MS) > 0) {
		if (fds[0].revents && read(e->wake_fd, &drain, sizeof(drain)) < 0)
			drain = 0;
		event |= fds[1].revents ? EVENT_LIFE : 0;
		for (int i = 2; i < n; i++)
			if (fds[i].revents && nl_monitor_drain(fds[i].fd)) {
				event |= i == 2 ? EVENT_HERE : EVENT_INSIDE;
				/* The first is the host's, by a monitor of its own. */
				if (e->n_spaces)
					e->spaces[i == 2 ? 0 : i - 3].touched = true;
				if (i > 2)
					e->spaces[i - 3].changed = true;
			}
	}
	if (fds != few)
		free(fds);
	return event;
}

static void *plumber_main(void *arg)
{
	struct engine *e = arg;
	uint64_t asked, began, now;
	bool waited;
	int n, event;

	prctl(PR_SET_NAME, "squall-plumber");
	for (;;) {
		event = plumber_wait(e);
		tables_sweep(e->tables);
		pthread_mutex_lock(&e->lock);
		if (e->stop) {
			pthread_mutex_unlock(&e->lock);
			return NULL;
		}
		rules_expire(e);
		if (event & EVENT_LIFE)
			life_read(e);
		event &= ~EVENT_LIFE; /* of which no scan comes: it would see who is on his way */
		rules_place(e);
		lane_watch(e);
		asked = e->scans_asked;
		now = engine_now();
		waited = asked != e->scans_done && !event && e->whole_ns + 2 * SCAN_EVERY_NS > now;
		if (asked == e->scans_done && !event && e->whole_ns + SCAN_EVERY_NS > now) {
			pthread_mutex_unlock(&e->lock);
			continue;
		}
		pthread_mutex_unlock(&e->lock);
		if (!waited) {
			lanes_heal(e);
			pins_heal(e);
			lane_sweep(e);
		}
		began = engine_now();
		n = attach_scan(e, event & EVENT_HERE, waited);
		pthread_mutex_lock(&e->lock);
		e->scan_error = n;
		e->scans_done = asked;
		if (!n)
			life_found(e, began);
		if (!waited)
			e->whole_ns = engine_now();
		pthread_cond_broadcast(&e->scanned);
		pthread_mutex_unlock(&e->lock);
	}
}

static void wake(struct engine *e)
{
	uint64_t one = 1;

	if (write(e->wake_fd, &one, sizeof(one)) < 0)
		return; /* full: awake already */
}

void engine_rescan(struct engine *e)
{
	pthread_mutex_lock(&e->lock);
	e->scans_asked++;
	pthread_mutex_unlock(&e->lock);
	wake(e);
}

/* Asks for a scan and waits for its end. -EAGAIN: it did not come within 10 s. */
static int scan_wait(struct engine *e)
{
	struct timespec until;
	uint64_t mine;
	bool done;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += 10;
	pthread_mutex_lock(&e->lock);
	mine = ++e->scans_asked;
	wake(e);
	while (e->scans_done < mine && !e->stop &&
	       !pthread_cond_timedwait(&e->scanned, &e->lock, &until))
		;
	done = e->scans_done >= mine;
	pthread_mutex_unlock(&e->lock);
	return done ? 0 : -EAGAIN;
}

int plumber_start(struct engine *e, struct sq_error *err)
{
	int res;

	e->scans_asked = 1;
	wake(e); /* or the first scan comes with the first tick */
	res = -pthread_create(&e->plumber, NULL, plumber_main, e);
	if (res)
		return sq_error_set(err, res, NULL, "cannot start a thread: %s", strerror(-res));
	e->plumber_runs = true;
	pthread_mutex_lock(&e->lock);
	while (!e->scans_done)
		pthread_cond_wait(&e->scanned, &e->lock);
	res = e->scan_error;
	pthread_mutex_unlock(&e->lock);
	/* Somebody else's ingress qdisc on one interface: health names it, the others act. */
	if (res && res != -ENOTUNIQ)
		return sq_error_set(err, res, NULL, "cannot attach: %s", strerror(-res));
	return 0;
}

void plumber_stop(struct engine *e)
{
	pthread_mutex_lock(&e->lock);
	e->stop = true;
	pthread_mutex_unlock(&e->lock);
	if (e->plumber_runs) {
		wake(e);
		pthread_join(e->plumber, NULL);
	}
	e->plumber_runs = false;
}

/* --- attached before it is ruled -------------------------------------------------- */

/* Where a cgroup's processes are, by one walk over them. */
#define PLACES 16
struct places {
	const struct engine *e;
	bool here, elsewhere, more; /* more namespaces than fit */
	int n;
	uint64_t ino[PLACES]; /* but the host's */
};

static int add_place(int pid, void *arg)
{
	struct places *p = arg;
	uint64_t ino = netns_of(pid);

	p->here |= ino == p->e->host_ino;
	if (!ino || ino == p->e->host_ino)
		return 0;
	p->elsewhere = true;
	for (int i = 0; i < p->n; i++)
		if (p->ino[i] == ino)
			return 0;
	if (p->n < PLACES)
		p->ino[p->n++] = ino;
	else
		p->more = true;
	return 0;
}

static bool attached(const struct engine *e, const char *path, uint64_t ino)
{
	/* Nobody looks into a namespace without rules. */
	const struct seen_space *sp = e->seen ? seen_find(e->seen, ino) : NULL;
	size_t n = strlen(path);

	if (!sp || !sp->ruled)
		return false;
	/* When it was looked at, somebody else lived there too: whose it is may be another now. */
	if (strncmp(sp->common, path, n) || (sp->common[n] && sp->common[n] != '/'))
		return false;
	for (int i = 0; i < e->n_spaces && !sp->edges; i++)
		if (e->spaces[i].ino == ino)
			return true;
	return sp->edges;
}

/* Who lives on the host alone does not wait for a scan to end. */
static bool all_attached(struct engine *e, const char *path, const struct places *p)
{
	bool all = !p->more;

	if (!p->n)
		return true;
	pthread_mutex_lock(&e->att_lock);
	for (int i = 0; i < p->n && all; i++)
		all = attached(e, path, p->ino[i]);
	pthread_mutex_unlock(&e->att_lock);
	return all;
}

const char *failure_text(const struct scan_failure *f, char *buf, size_t size)
{
	if (f->error == -ENOTUNIQ)
		snprintf(buf, size,
			 "interface %s has an ingress qdisc where clsact must be (tc qdisc del dev "
			 "%s ingress)",
			 f->what, f->what);
	else if (!strcmp(f->what, SEG_OUT))
		snprintf(buf, size, "the lane cannot be made there: %s%s", strerror(-f->error),
			 f->error == -EBUSY ? " (another squalld is attached there)" : "");
	else
		snprintf(buf, size, "%s%s%s%s", f->what[0] ? "interface " : "", f->what,
			 f->what[0] ? ": " : "", strerror(-f->error));
	return buf;
}

struct failure_of {
	const struct engine *e;
	struct scan_failure found;
};

static int find_failure(int pid, void *arg)
{
	struct failure_of *x = arg;
	uint64_t ino = netns_of(pid);
	int32_t nsid = -1;
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/ns/net", pid);
	fd = ino && ino != x->e->host_ino ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	if (fd >= 0) {
		nl_nsid(fd, false, &nsid);
		close(fd);
	}
	for (int i = 0; ino && i < x->e->n_failed; i++) {
		const struct scan_failure *f = &x->e->failed[i];
		bool edge = f->peer_nsid >= 0;

		if (!f->ino || (edge ? f->peer_nsid == nsid : f->ino == ino)) {
			x->found = *f;
			return 1;
		}
	}
	return 0;
}

/* Of the last scan: what went wrong where this cgroup's processes are. */
static int failure_of(struct engine *e, const char *path, struct sq_error *err)
{
	struct failure_of x = {.e = e};
	char why[160];
	int res = 0;

	pthread_mutex_lock(&e->att_lock);
	if (e->n_failed && cgroup_each_pid(path, find_failure, &x) == 1)
		res = sq_error_set(err, -EIO, "attach",
				   "squalld cannot see the target's packets%s: %s; nothing "
				   "was changed",
				   x.found.ino == e->host_ino ? "" : " in its network namespace",
				   failure_text(&x.found, why, sizeof(why)));
	pthread_mutex_unlock(&e->att_lock);
	return res;
}

/* By the directory that its rule keeps open, where it has one: no path is walked. */
static bool places_of_ruled(struct engine *e, uint64_t cgroup_id, struct places *ret)
{
	const struct ruled *r;
	int dir, res = -ENOENT;

	pthread_mutex_lock(&e->lock);
	r = ruled_find(e, cgroup_id);
	dir = r ? fcntl(r->fd, F_DUPFD_CLOEXEC, 0) : -1;
	pthread_mutex_unlock(&e->lock);
	if (dir >= 0) {
		res = cgroup_each_pid_in(dir, add_place, ret);
		close(dir);
	}
	return !res;
}

int engine_hold(struct engine *e, uint64_t cgroup_id, const char *path, struct sq_error *err)
{
	struct places at = {.e = e};
	char found[PATH_MAX];
	struct held *h;
	bool needed;
	int res = 0;

	if (!path || (!places_of_ruled(e, cgroup_id, &at) &&
		      cgroup_each_pid_of(path, cgroup_id, add_place, &at) < 0)) {
		at = (struct places){.e = e};
		res = cgroup_path_of(cgroup_id, found, sizeof(found));
		path = found;
		if (!res)
			cgroup_each_pid(path, add_place, &at);
	}
	if (res)
		return sq_error_set(err, res, "target",
				    res == -ENOENT ? "no cgroup with id %llu (%s)"
						   : "cannot look for the cgroup with id %llu: %s",
				    (unsigned long long)cgroup_id, strerror(-res));
	h = malloc(sizeof(*h));
	if (!h)
		return sq_error_set(err, -ENOMEM, NULL, "out of memory");
	h->id = cgroup_id;
	h->elsewhere = at.elsewhere && !at.here;
	pthread_mutex_lock(&e->lock);
	e->host_users += !h->elsewhere;
	h->next = e->held;
	e->held = h;
	pthread_mutex_unlock(&e->lock);
	needed = !all_attached(e, path, &at) || (!h->elsewhere && !e->lo_off && !e->ifaces &&
						 !__atomic_load_n(&e->lo_there, __ATOMIC_RELAXED));
	if (needed && scan_wait(e))
		res = sq_error_set(err, -EAGAIN, "attach",
				   "squalld is still busy attaching after 10 s; nothing was "
				   "changed, try again");
	if (!res && (at.here || at.elsewhere))
		res = failure_of(e, path, err);
	if (res)
		engine_release(e, cgroup_id);
	return res;
}

void engine_release(struct engine *e, uint64_t cgroup_id)
{
	struct held **link = &e->held, *h;

	pthread_mutex_lock(&e->lock);
	while (*link && (*link)->id != cgroup_id)
		link = &(*link)->next;
	h = *link;
	if (h) {
		*link = h->next;
		e->host_users -= !h->elsewhere;
	}
	pthread_mutex_unlock(&e->lock);
	free(h);
}

int engine_set_rule(struct engine *e, uint64_t cgroup_id, const struct sq_rule *rule,
		    struct sq_rule *ret, struct sq_error *err)
{
	bool rescan;
	int res = rules_put(e, cgroup_id, rule, ret, &rescan, err);

	if (!res && rescan)
		engine_rescan(e);
	return res;
}
