// SPDX-License-Identifier: GPL-2.0-only
/* The engine as its owner sees it: planning, starting, targets, overrides, the end. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "sim/base/cgroup.h"
#include "sim/fleet/options.h"
#include "sim/engine/shard.h"
#include "sim/engine/paho.h"

/* Descriptors of a process that are not devices' sockets. */
#define FD_RESERVE 64

struct sim_engine {
	struct sim_arena *a;
	size_t size, e2e_size;
	/*
	 * Processes and shards in each. A type with a cgroup of its own has processes of
	 * its own, since a socket belongs to the cgroup of the process that made it; so
	 * there are `nproc` processes in all, `nproc / ngroups` for each group of types.
	 */
	unsigned nproc, nthread, ngroups;
	char cgroup[SIM_MAX_TYPES][256];
	bool started, stopped, has_paho, forked;
	pid_t child[SIM_MAX_SHARDS];
	int wakefd[SIM_MAX_SHARDS];
	pthread_t thread[SIM_MAX_SHARDS];
	struct shard *shard[SIM_MAX_SHARDS];
	pthread_mutex_t check; /* one override at a time; shards never take it */
};

/* --- set-up ----------------------------------------------------------------------------- */

static int plan(struct sim_engine *e, struct sim_arena *a, unsigned shards, struct sim_err *err)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	struct rlimit rl;
	uint64_t per;

	if (getrlimit(RLIMIT_NOFILE, &rl))
		return -errno;
	if (rl.rlim_cur < rl.rlim_max) {
		rl.rlim_cur = rl.rlim_max;
		setrlimit(RLIMIT_NOFILE, &rl);
		getrlimit(RLIMIT_NOFILE, &rl);
	}
	per = rl.rlim_cur > FD_RESERVE * 2 ? rl.rlim_cur - FD_RESERVE : 0;
	if (!per) {
		sim_bad(err,
			"descriptors: the limit of %llu is too small; at least %d are needed: "
			"ulimit -n 1024",
			(unsigned long long)rl.rlim_cur, FD_RESERVE * 2);
		return -EMFILE;
	}
	e->nproc = (unsigned)((a->max_devices + per - 1) / per) * e->ngroups;
	if (!shards)
		shards = cpus > 0 ? (unsigned)cpus : 1;
	shards *= e->ngroups;
	if (shards < e->nproc)
		shards = e->nproc;
	/* The same number in each process, so that devices spread evenly. */
	shards = (shards + e->nproc - 1) / e->nproc * e->nproc;
	if (shards > SIM_MAX_SHARDS - 1) {
		sim_bad(err,
			"devices %u: need %u processes at %llu descriptors each, more than "
			"%d; raise the hard limit: ulimit -Hn %llu (as root, or LimitNOFILE= of "
			"the "
			"service)",
			a->max_devices, e->nproc, (unsigned long long)rl.rlim_cur,
			SIM_MAX_SHARDS - 1,
			(unsigned long long)a->max_devices / (SIM_MAX_SHARDS - 1) + FD_RESERVE);
		return -EMFILE;
	}
	a->nlean = shards;
	a->nshards = shards + (e->has_paho ? 1 : 0);
	e->nthread = shards / e->nproc;
	e->forked = e->nproc > 1 || *e->cgroup[0];
	return 0;
}

/* Which types share processes: those of the same cgroup, or of none. */
static int group(struct sim_engine *e, const struct sim_fleet *fleet, uint16_t *ret_group,
		 struct sim_err *err)
{
	for (unsigned t = 0; t < fleet->ntypes; t++) {
		const char *path = fleet->type[t].cgroup;
		unsigned g = 0;

		while (g < e->ngroups && strcmp(e->cgroup[g], path))
			g++;
		if (g == e->ngroups) {
			if (*path && sim_cgroup_make(path, err))
				return -EINVAL;
			snprintf(e->cgroup[e->ngroups++], sizeof(e->cgroup[0]), "%s", path);
		}
		ret_group[t] = (uint16_t)g;
	}
	return 0;
}

/*
 * A connection is told apart by addresses and ports, so one source address holds
 * only as many to one broker address as the kernel has local ports to give. Past
 * that every connect fails, in a way whose message names no cause.
 */
static int ports(const struct sim_fleet *fleet, uint32_t devices, struct sim_err *err)
{
	unsigned lo = 32768, hi = 60999, brokers = 1;
	FILE *f = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");
	uint64_t room = 0, per;

	if (f) {
		if (fscanf(f, "%u %u", &lo, &hi) != 2 || hi < lo)
			lo = 32768, hi = 60999;
		fclose(f);
	}
	for (unsigned t = 0; t < fleet->ntypes; t++) {
		const struct sim_profile *p = &fleet->type[t];
		unsigned addrs = p->naddrs ? p->naddrs : 1;

		/* Types with the same broker share its ports; that only makes this lenient. */
		room += (uint64_t)(hi - lo + 1) * addrs * (p->nbinds ? p->nbinds : 1);
		brokers = addrs > brokers ? addrs : brokers;
	}
	if (devices <= room)
		return 0;
	per = (uint64_t)(hi - lo + 1) * brokers;
	sim_bad(err,
		"devices %u: one source address has ports for %llu connections "
		"(net.ipv4.ip_local_port_range is %u to %u): give --bind %llu source addresses",
		devices, (unsigned long long)per, lo, hi,
		(unsigned long long)((devices + per - 1) / per));
	return -EADDRNOTAVAIL;
}

static void *shared(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

int sim_engine_new(const struct sim_fleet *fleet, const struct sim_engine_opts *opts,
		   struct sim_engine **ret, struct sim_err *err)
{
	struct sim_engine *e = calloc(1, sizeof(*e));
	struct sim_arena *a, head = {0};
	pthread_mutexattr_t attr;
	uint16_t in[SIM_MAX_TYPES];
	struct timespec wall;
	bool e2e = false;
	size_t at;
	int rc;

	if (!e)
		return -ENOMEM;
	if (!fleet->ntypes || fleet->ntypes > SIM_MAX_TYPES) {
		free(e);
		return sim_bad(err, "fleet: %u device types; accepted: 1 to %d", fleet->ntypes,
			       SIM_MAX_TYPES);
	}
	head.ntypes = fleet->ntypes;
	head.max_devices = opts->max_devices ? opts->max_devices : 10000;
	for (unsigned t = 0; t < fleet->ntypes; t++) {
		e->has_paho |= fleet->type[t].engine == SIM_PAHO;
		e2e |= fleet->type[t].e2e;
	}
	rc = group(e, fleet, in, err);
	if (!rc)
		rc = plan(e, &head, opts->shards, err);
	for (unsigned t = 0; t < fleet->ntypes && !rc; t++) {
		head.shard_n[t] = (uint16_t)(head.nlean / e->ngroups);
		head.shard_from[t] = (uint16_t)(in[t] * head.shard_n[t]);
	}
	if (!rc)
		rc = ports(fleet, head.max_devices, err);
	if (rc) {
		free(e);
		return rc;
	}
	at = (sizeof(*a) + fleet->ntypes * sizeof(struct sim_profile) + 4095) & ~4095ul;
	head.pub_at = at;
	head.pub_size = (sizeof(struct sim_pub) +
			 fleet->ntypes * SIM_NAMES * sizeof(struct sim_stat) + 4095) &
			~4095ul;
	e->size = at + head.nshards * head.pub_size;
	a = shared(e->size);
	if (!a) {
		free(e);
		sim_bad(err, "out of memory");
		return -ENOMEM;
	}
	*a = head;
	memcpy(a->conf, fleet->type, fleet->ntypes * sizeof(struct sim_profile));
	e->a = a;
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_mutex_init(&a->lock, &attr);
	pthread_mutexattr_destroy(&attr);
	pthread_mutex_init(&e->check, NULL);
	clock_gettime(CLOCK_REALTIME, &wall);
	a->epoch_off_ns = (int64_t)wall.tv_sec * 1000000000ll + wall.tv_nsec - (int64_t)sim_now();
	a->seed = opts->seed ? opts->seed : (uint64_t)wall.tv_nsec << 20 ^ (uint64_t)getpid();
	a->run_id = (uint32_t)(wall.tv_sec * 2654435761u) ^ (uint32_t)wall.tv_nsec ^
		    (uint32_t)getpid() << 16;
	if (e2e) {
		e->e2e_size = (size_t)fleet->ntypes * a->max_devices * sizeof(uint32_t);
		a->acked = shared(2 * e->e2e_size);
		if (!a->acked) {
			sim_engine_free(e);
			sim_bad(err, "out of memory");
			return -ENOMEM;
		}
		a->first_ms = a->acked + e->e2e_size / sizeof(uint32_t);
	}
	for (unsigned i = 0; i < SIM_MAX_SHARDS; i++)
		e->wakefd[i] = -1;
	*ret = e;
	return 0;
}

static int start_threads(struct sim_engine *e, unsigned proc)
{
	unsigned from = proc * e->nthread, to = from + e->nthread;
	int rc;

	for (unsigned i = from; i < to; i++) {
		e->shard[i] = malloc(sizeof(struct shard));
		rc = e->shard[i] ? sim_shard_init(e->shard[i], e->a, i, e->wakefd[i]) : -ENOMEM;
		if (rc)
			return rc;
	}
	for (unsigned i = from; i < to; i++) {
		rc = pthread_create(&e->thread[i], NULL, sim_shard_main, e->shard[i]);
		if (rc)
			return -rc;
	}
	return 0;
}

static void child_main(struct sim_engine *e, unsigned proc, pid_t parent)
{
	unsigned from = proc * e->nthread;

	/* A child must not outlive its owner, nor take its terminal's Ctrl-C for itself. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_DFL);
	signal(SIGPIPE, SIG_IGN);
	if (start_threads(e, proc))
		_exit(1);
	for (unsigned i = from; i < from + e->nthread; i++)
		pthread_join(e->thread[i], NULL);
	_exit(0);
}

int sim_engine_start(struct sim_engine *e, struct sim_err *err)
{
	struct sim_arena *a = e->a;
	pid_t self = getpid();
	const char *path;
	int rc = 0;

	signal(SIGPIPE, SIG_IGN);
	a->gen = 1;
	for (unsigned i = 0; i < a->nshards; i++) {
		e->wakefd[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		if (e->wakefd[i] < 0) {
			rc = -errno;
			sim_bad(err, "eventfd: %s", strerror(-rc));
			return rc;
		}
	}
	e->started = true;
	if (!e->forked) {
		rc = start_threads(e, 0);
	} else {
		fflush(NULL);
		for (unsigned p = 0; p < e->nproc && !rc; p++) {
			e->child[p] = fork();
			if (!e->child[p])
				child_main(e, p, self);
			if (e->child[p] < 0) {
				e->child[p] = 0;
				rc = -errno;
			}
			/* It makes sockets when there is a target, which is later than this. */
			path = e->cgroup[p / (e->nproc / e->ngroups)];
			if (!rc && *path && sim_cgroup_enter(path, e->child[p], err))
				return -EINVAL;
		}
	}
	if (!rc && e->has_paho)
		rc = sim_paho_start(a, a->nlean, e->wakefd[a->nlean]);
	if (rc) {
		sim_bad(err, "cannot start the shards: %s", strerror(-rc));
		return rc;
	}
	/* Ready when all are: a shard that dies while starting is told from a slow one. */
	for (unsigned i = 0; i < a->nshards;) {
		if (SIM_LOAD(&sim_arena_pub(a, i)->state)) {
			i++;
			continue;
		}
		rc = sim_engine_health(e, err);
		if (rc)
			return rc;
		usleep(500);
	}
	return 0;
}

static void wake(struct sim_engine *e)
{
	uint64_t one = 1;

	SIM_STORE(&e->a->gen, e->a->gen + 1);
	for (unsigned i = 0; i < e->a->nshards; i++)
		if (e->wakefd[i] >= 0 && write(e->wakefd[i], &one, sizeof(one)) < 0 &&
		    errno != EAGAIN)
			return;
}

/* --- run time --------------------------------------------------------------------------- */

int sim_engine_target(struct sim_engine *e, unsigned type, uint32_t n, uint64_t over_ns)
{
	struct sim_arena *a = e->a;
	uint64_t now = sim_now(), total = n;
	struct sim_ramp *r;

	if (type >= a->ntypes)
		return -EINVAL;
	pthread_mutex_lock(&a->lock);
	for (unsigned t = 0; t < a->ntypes; t++)
		if (t != type)
			total += a->ramp[t].to;
	if (total > a->max_devices || (a->conf[type].engine == SIM_PAHO && n > SIM_PAHO_MAX)) {
		pthread_mutex_unlock(&a->lock);
		return -E2BIG;
	}
	r = &a->ramp[type];
	r->from = sim_ramp_at(r, now);
	r->to = n;
	r->t0 = now;
	r->t1 = now + over_ns;
	wake(e);
	pthread_mutex_unlock(&a->lock);
	return 0;
}

int sim_engine_override_n(struct sim_engine *e, int type, const char *const key[],
			  const char *const value[], unsigned n, struct sim_err *err)
{
	struct sim_arena *a = e->a;
	unsigned from = type < 0 ? 0 : (unsigned)type, to = type < 0 ? a->ntypes : from + 1;
	struct sim_profile *p;
	int rc = 0;

	if (from >= a->ntypes)
		return sim_bad(err, "type %d: there are %u", type, a->ntypes);
	p = calloc(to - from, sizeof(*p));
	if (!p)
		return sim_bad(err, "out of memory");
	pthread_mutex_lock(&e->check);
	for (unsigned t = from; t < to && !rc; t++) {
		struct sim_profile *c = &p[t - from];

		pthread_mutex_lock(&a->lock);
		*c = a->conf[t];
		pthread_mutex_unlock(&a->lock);
		for (unsigned i = 0; i < n && !rc; i++)
			rc = sim_profile_set(c, key[i], value[i], err);
		if (!rc && (c->engine != a->conf[t].engine || (c->e2e && !a->acked)))
			rc = sim_bad(err, "client and e2e cannot change while the fleet runs");
		/* May take as long as a name server does; nobody else waits for `check`. */
		if (!rc)
			rc = sim_profile_check(c, err);
	}
	if (!rc) {
		pthread_mutex_lock(&a->lock);
		for (unsigned t = from; t < to; t++) {
			a->conf[t] = p[t - from];
			SIM_STORE(&a->conf_gen[t], a->conf_gen[t] + 1);
		}
		wake(e);
		pthread_mutex_unlock(&a->lock);
	}
	pthread_mutex_unlock(&e->check);
	free(p);
	return rc;
}

int sim_engine_override(struct sim_engine *e, int type, const char *key, const char *value,
			struct sim_err *err)
{
	return sim_engine_override_n(e, type, &key, &value, 1, err);
}

int sim_engine_profile(struct sim_engine *e, unsigned type, struct sim_profile *ret)
{
	if (type >= e->a->ntypes)
		return -EINVAL;
	pthread_mutex_lock(&e->a->lock);
	*ret = e->a->conf[type];
	pthread_mutex_unlock(&e->a->lock);
	return 0;
}

unsigned sim_engine_types(const struct sim_engine *e)
{
	return e->a->ntypes;
}

const char *sim_engine_type_name(const struct sim_engine *e, unsigned type)
{
	return type < e->a->ntypes ? e->a->conf[type].name : "unknown";
}

unsigned sim_engine_processes(const struct sim_engine *e)
{
	return e->nproc;
}

struct sim_arena *sim_engine_arena(struct sim_engine *e)
{
	return e->a;
}

void sim_engine_counts(struct sim_engine *e, int type, struct sim_counts *ret)
{
	struct sim_arena *a = e->a;
	struct sim_counts c = {0};
	uint64_t now = sim_now();

	for (unsigned t = 0; t < a->ntypes; t++) {
		if (type >= 0 && t != (unsigned)type)
			continue;
		pthread_mutex_lock(&a->lock);
		c.target += a->ramp[t].to;
		c.allowed += sim_ramp_at(&a->ramp[t], now);
		pthread_mutex_unlock(&a->lock);
		for (unsigned i = 0; i < a->nshards; i++) {
			struct sim_pub *p = sim_arena_pub(a, i);

			c.running += SIM_LOAD(&p->type[t].running);
			c.connected += SIM_LOAD(&p->type[t].connected);
			c.backoff += SIM_LOAD(&p->type[t].backoff);
		}
	}
	*ret = c;
}

void sim_engine_totals(struct sim_engine *e, struct sim_totals *ret)
{
	struct sim_totals sum = {0};

	for (unsigned i = 0; i < e->a->nshards; i++) {
		const struct sim_totals *t = &sim_arena_pub(e->a, i)->tot;
		const uint64_t *from = (const uint64_t *)t;
		uint64_t *to = (uint64_t *)&sum;
		double cpu;

		/* All but the last field are counters of one size. */
		for (size_t k = 0; k < offsetof(struct sim_totals, cpu_s) / sizeof(uint64_t); k++)
			to[k] += __atomic_load_n(&from[k], __ATOMIC_RELAXED);
		__atomic_load(&t->cpu_s, &cpu, __ATOMIC_RELAXED);
		sum.cpu_s += cpu;
	}
	*ret = sum;
}

int sim_engine_storm(struct sim_engine *e, uint32_t ppm)
{
	if (ppm > 1000000)
		return -EINVAL;
	pthread_mutex_lock(&e->a->lock);
	e->a->storm_ppm = ppm;
	e->a->storm++;
	wake(e);
	pthread_mutex_unlock(&e->a->lock);
	return 0;
}

int sim_engine_health(struct sim_engine *e, struct sim_err *err)
{
	for (unsigned p = 0; p < SIM_MAX_SHARDS && e->forked; p++) {
		int status;

		if (e->child[p] > 0 && waitpid(e->child[p], &status, WNOHANG) == e->child[p]) {
			e->child[p] = 0;
			if (e->a->stop)
				continue;
			sim_bad(err, "a process of the fleet died (%s %d)",
				WIFSIGNALED(status) ? "signal" : "exit",
				WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
			return -EIO;
		}
	}
	return 0;
}

/* --- the end ------------------------------------------------------------------------------ */

/* Waits until `settled` or the deadline; false on the deadline. */
static bool wait_until(struct sim_engine *e, bool (*settled)(struct sim_engine *e), uint64_t until)
{
	struct sim_err err;

	while (!settled(e)) {
		if (sim_now() >= until || sim_engine_health(e, &err))
			return false;
		usleep(2000);
	}
	return true;
}

static bool nothing_in_flight(struct sim_engine *e)
{
	struct sim_totals t;

	sim_engine_totals(e, &t);
	return !t.in_flight;
}

static bool nobody_runs(struct sim_engine *e)
{
	struct sim_counts c;

	sim_engine_counts(e, -1, &c);
	return !c.running;
}

static bool all_finished(struct sim_engine *e)
{
	for (unsigned i = 0; i < e->a->nshards; i++) {
		/* Of a process that has gone, or that could not be made, nothing comes any more. */
		if (e->forked && i < e->a->nlean && !e->child[i / e->nthread])
			continue;
		if (SIM_LOAD(&sim_arena_pub(e->a, i)->state) != 2)
			return false;
	}
	return true;
}

void sim_engine_stop(struct sim_engine *e, uint64_t drain_ns)
{
	struct sim_arena *a = e->a;
	uint64_t until = sim_now() + drain_ns, last = 0, since;
	struct sim_totals t;

	if (!e->started || e->stopped)
		return;
	e->stopped = true;
	/* Publishers fall silent first; subscribers stay for what is still on its way. */
	pthread_mutex_lock(&a->lock);
	a->quiet = 1;
	wake(e);
	pthread_mutex_unlock(&a->lock);
	wait_until(e, nothing_in_flight, until);
	since = sim_now();
	while (a->acked && sim_now() < until && sim_now() - since < 300000000ull) {
		sim_engine_totals(e, &t);
		if (t.received != last)
			since = sim_now();
		last = t.received;
		usleep(5000);
	}
	for (unsigned i = 0; i < a->ntypes; i++)
		sim_engine_target(e, i, 0, 0);
	if (until < sim_now() + 500000000ull)
		until = sim_now() + 500000000ull;
	wait_until(e, nobody_runs, until);
	SIM_STORE(&a->stop, 1u);
	wake(e);
	wait_until(e, all_finished, sim_now() + 30000000000ull);
	if (!e->forked)
		for (unsigned i = 0; i < a->nlean; i++)
			pthread_join(e->thread[i], NULL);
	if (e->has_paho)
		sim_paho_join();
	for (unsigned p = 0; p < SIM_MAX_SHARDS; p++) {
		if (e->child[p] > 0)
			waitpid(e->child[p], NULL, 0);
		e->child[p] = 0;
	}
}

void sim_engine_free(struct sim_engine *e)
{
	if (!e)
		return;
	sim_engine_stop(e, 0);
	for (unsigned i = 0; i < SIM_MAX_SHARDS; i++) {
		if (e->wakefd[i] > 0)
			close(e->wakefd[i]);
		free(e->shard[i]);
	}
	if (e->a->acked)
		munmap(e->a->acked, 2 * e->e2e_size);
	pthread_mutex_destroy(&e->check);
	munmap(e->a, e->size);
	free(e);
}
