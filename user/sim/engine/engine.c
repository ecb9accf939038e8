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
#include "sim/engine/plan.h"

struct sim_engine {
	struct sim_arena *a;
	size_t size, e2e_size;
	struct sim_plan plan;
	bool started, stopped, has_paho, hurry;
	pid_t child[SIM_MAX_SHARDS];
	int wakefd[SIM_MAX_SHARDS];
	/* sim_engine_hush(): what it waits for, until when, and when messages came last. */
	enum { IN_FLIGHT, ON_THE_WAY, LEAVING, SETTLING } hush;
	uint64_t until, since, received;
	pthread_t thread[SIM_MAX_SHARDS];
	struct shard *shard[SIM_MAX_SHARDS];
	pthread_mutex_t check; /* one override at a time; shards never take it */
};

/* --- set-up ----------------------------------------------------------------------------- */

static void *shared(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

/* What the fleet's own subscribers need to know of its publishers. */
static bool e2e_new(struct sim_engine *e)
{
	struct sim_arena *a = e->a;
	size_t n = (size_t)a->ntypes * a->max_devices;

	e->e2e_size = 3 * n * sizeof(uint32_t) + SIM_UNACKED * sizeof(struct sim_unacked);
	a->sent = shared(e->e2e_size);
	if (!a->sent)
		return false;
	a->first_ms = a->sent + n;
	a->last_unacked = a->first_ms + n;
	a->unacked = (struct sim_unacked *)(a->last_unacked + n);
	return true;
}

int sim_engine_new(const struct sim_fleet *fleet, const struct sim_engine_opts *opts,
		   struct sim_engine **ret, struct sq_error *err)
{
	struct sim_engine *e = calloc(1, sizeof(*e));
	struct sim_arena *a, head = {0};
	pthread_mutexattr_t attr;
	struct timespec wall;
	bool e2e = false;
	size_t at;
	int rc;

	if (!e)
		return -ENOMEM;
	if (!fleet->ntypes || fleet->ntypes > SIM_MAX_TYPES) {
		free(e);
		return sq_bad(err, "fleet: %u device types; accepted: 1 to %d", fleet->ntypes,
			      SIM_MAX_TYPES);
	}
	head.ntypes = fleet->ntypes;
	head.max_devices = opts->max_devices ? opts->max_devices : 10000;
	for (unsigned t = 0; t < fleet->ntypes; t++) {
		e->has_paho |= fleet->type[t].engine == SIM_PAHO;
		e2e |= fleet->type[t].e2e;
	}
	rc = sim_plan(&e->plan, &head, fleet, opts->shards, err);
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
		sq_bad(err, "out of memory");
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
	a->figures = 1;
	a->run_id = (uint32_t)(wall.tv_sec * 2654435761u) ^ (uint32_t)wall.tv_nsec ^
		    (uint32_t)getpid() << 16;
	if (e2e && !e2e_new(e)) {
		sim_engine_free(e);
		sq_bad(err, "out of memory");
		return -ENOMEM;
	}
	for (unsigned i = 0; i < SIM_MAX_SHARDS; i++)
		e->wakefd[i] = -1;
	*ret = e;
	return 0;
}

static int start_threads(struct sim_engine *e, unsigned proc)
{
	unsigned from = proc * e->plan.nthread, to = from + e->plan.nthread;
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
	unsigned from = proc * e->plan.nthread;

	/* A child must not outlive its owner, nor take its terminal's Ctrl-C for itself. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_DFL);
	signal(SIGPIPE, SIG_IGN);
	if (start_threads(e, proc))
		_exit(1);
	for (unsigned i = from; i < from + e->plan.nthread; i++)
		pthread_join(e->thread[i], NULL);
	_exit(0);
}

int sim_engine_start(struct sim_engine *e, struct sq_error *err)
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
			sq_bad(err, "eventfd: %s", strerror(-rc));
			return rc;
		}
	}
	e->started = true;
	if (!e->plan.forked) {
		rc = start_threads(e, 0);
	} else {
		fflush(NULL);
		for (unsigned p = 0; p < e->plan.nproc && !rc; p++) {
			e->child[p] = fork();
			if (!e->child[p])
				child_main(e, p, self);
			if (e->child[p] < 0) {
				e->child[p] = 0;
				rc = -errno;
			}
			/* It makes sockets when there is a target, which is later than this. */
			path = e->plan.cgroup[p / (e->plan.nproc / e->plan.ngroups)];
			if (!rc && *path && sim_cgroup_enter(path, e->child[p], err))
				return -EINVAL;
		}
	}
	if (!rc && e->has_paho)
		rc = sim_paho_start(a, a->nlean, e->wakefd[a->nlean]);
	if (rc) {
		sq_bad(err, "cannot start the shards: %s", strerror(-rc));
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
			  const char *const value[], unsigned n, struct sq_error *err)
{
	struct sim_arena *a = e->a;
	unsigned from = type < 0 ? 0 : (unsigned)type, to = type < 0 ? a->ntypes : from + 1;
	struct sim_profile *p;
	int rc = 0;

	if (from >= a->ntypes)
		return sq_bad(err, "type %d: there are %u", type, a->ntypes);
	p = calloc(to - from, sizeof(*p));
	if (!p)
		return sq_bad(err, "out of memory");
	pthread_mutex_lock(&e->check);
	for (unsigned t = from; t < to && !rc; t++) {
		struct sim_profile *c = &p[t - from];

		pthread_mutex_lock(&a->lock);
		*c = a->conf[t];
		pthread_mutex_unlock(&a->lock);
		for (unsigned i = 0; i < n && !rc; i++)
			rc = sim_profile_set(c, key[i], value[i], err);
		if (!rc && (c->engine != a->conf[t].engine || (c->e2e && !a->sent)))
			rc = sq_bad(err, "client and e2e cannot change while the fleet runs");
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
	return e->plan.nproc;
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

void sim_engine_anew(struct sim_engine *e)
{
	SIM_STORE(&e->a->figures, (uint8_t)(e->a->figures % 255 + 1));
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

int sim_engine_health(struct sim_engine *e, struct sq_error *err)
{
	for (unsigned p = 0; p < SIM_MAX_SHARDS && e->plan.forked; p++) {
		int status;

		if (e->child[p] > 0 && waitpid(e->child[p], &status, WNOHANG) == e->child[p]) {
			e->child[p] = 0;
			if (e->a->stop)
				continue;
			sq_bad(err, "a process of the fleet died (%s %d)",
			       WIFSIGNALED(status) ? "signal" : "exit",
			       WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
			return -EIO;
		}
	}
	return 0;
}

/* --- the end ------------------------------------------------------------------------------ */

void sim_engine_hurry(struct sim_engine *e)
{
	SIM_STORE(&e->hurry, true);
}

/* Of a process that has gone, or that could not be made, nothing comes any more. */
static bool gone(const struct sim_engine *e, unsigned shard)
{
	return e->plan.forked && shard < e->a->nlean && !e->child[shard / e->plan.nthread];
}

/* As far as `state`. */
static bool all_at(struct sim_engine *e, uint32_t state)
{
	for (unsigned i = 0; i < e->a->nshards; i++)
		if (!gone(e, i) && SIM_LOAD(&sim_arena_pub(e->a, i)->state) < state)
			return false;
	return true;
}

/* Those that do not get there are passed over in the end. */
static void wait_all(struct sim_engine *e, uint32_t state)
{
	uint64_t until = sim_now() + 30000000000ull;
	struct sq_error err;

	while (!all_at(e, state) && sim_now() < until && !sim_engine_health(e, &err))
		usleep(2000);
}

static void set_quiet(struct sim_engine *e, bool quiet)
{
	pthread_mutex_lock(&e->a->lock);
	e->a->quiet = quiet;
	wake(e);
	pthread_mutex_unlock(&e->a->lock);
}

void sim_engine_hush(struct sim_engine *e, uint64_t drain_ns)
{
	e->hush = IN_FLIGHT;
	e->until = sim_now() + drain_ns;
	set_quiet(e, true);
}

/* The shards' subscribers say what they miss. True: all have. */
static bool settled(struct sim_engine *e)
{
	for (unsigned i = 0; i < e->a->nlean && e->a->sent; i++)
		if (!gone(e, i) && SIM_LOAD(&sim_arena_pub(e->a, i)->state) == 1 &&
		    SIM_LOAD(&sim_arena_pub(e->a, i)->settled) != e->a->settle)
			return false;
	return true;
}

/* `e->until` has come, or nobody wants to wait for it. */
static bool late(struct sim_engine *e)
{
	return sim_now() >= e->until || SIM_LOAD(&e->hurry);
}

/* Nobody sends any more, or has had the time for it. */
static void leave(struct sim_engine *e)
{
	for (unsigned i = 0; i < e->a->ntypes; i++)
		sim_engine_target(e, i, 0, 0);
	if (e->until < sim_now() + 500000000ull)
		e->until = sim_now() + 500000000ull;
	e->hush = LEAVING;
}

void sim_engine_unhush(struct sim_engine *e)
{
	leave(e);
	set_quiet(e, false);
}

bool sim_engine_hushed(struct sim_engine *e)
{
	struct sim_totals t;
	struct sim_counts c;

	sim_engine_totals(e, &t);
	switch (e->hush) {
	case IN_FLIGHT:
		if (t.in_flight && !late(e))
			return false;
		e->hush = ON_THE_WAY;
		e->since = sim_now();
		/* fall through */
	case ON_THE_WAY:
		if (t.received != e->received)
			e->since = sim_now();
		e->received = t.received;
		if (e->a->sent && sim_now() - e->since < 300000000ull && !late(e))
			return false;
		leave(e);
		/* fall through */
	case LEAVING:
		sim_engine_counts(e, -1, &c);
		if (c.running)
			return false;
		pthread_mutex_lock(&e->a->lock);
		e->a->settle++;
		pthread_mutex_unlock(&e->a->lock);
		set_quiet(e, false);
		e->until = sim_now() + 30000000000ull;
		e->hush = SETTLING;
		/* fall through */
	case SETTLING:
		return settled(e);
	}
	return true;
}

void sim_engine_stop(struct sim_engine *e, uint64_t drain_ns)
{
	struct sim_arena *a = e->a;
	struct sq_error err;

	if (!e->started || e->stopped)
		return;
	e->stopped = true;
	sim_engine_hush(e, drain_ns);
	while (!sim_engine_hushed(e) && !(e->hush == LEAVING && late(e)) &&
	       !(e->hush == SETTLING && sim_now() >= e->until) && !sim_engine_health(e, &err))
		usleep(2000);
	SIM_STORE(&a->stop, 1u);
	wake(e);
	wait_all(e, 2);
	SIM_STORE(&a->stop, 2u);
	wait_all(e, 3);
	if (!e->plan.forked)
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
	if (e->a->sent)
		munmap(e->a->sent, e->e2e_size);
	pthread_mutex_destroy(&e->check);
	munmap(e->a, e->size);
	free(e);
}
