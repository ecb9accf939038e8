// SPDX-License-Identifier: GPL-2.0-only
/* A shard's loop: targets, timers, events, and devices that send without pause. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include "lib/stamp.h"
#include "sim/base/heap.h"
#include "sim/fleet/bind.h"
#include "sim/fleet/options.h"
#include "sim/engine/shard.h"

#define EVENTS	  256
#define BUSY_TURN 32u /* turns of busy devices between two looks at the sockets */

/* --- device types ------------------------------------------------------------------ */

/* Past half of an address's ports the kernel's own search is slow; other types take some, too. */
static void own_ports(struct stype *ty, uint32_t devices)
{
	const struct sim_profile *p = &ty->p;
	unsigned low, high;
	uint64_t binds = p->nbinds ? sim_bind_count(p, p->addr[0].sa.sa_family) : 1;

	sim_local_ports(&low, &high);
	ty->local_low = (uint16_t)low;
	ty->local_high = (uint16_t)high;
	ty->own_ports = devices > (high - low + 1) * 2 / 5 * binds * p->naddrs;
}

/* Takes over a profile that the owner has checked. */
static void stype_update(struct shard *sh, unsigned t)
{
	struct stype *ty = &sh->l.type[t];
	struct sim_profile *old = sh->old;
	char when[SQ_STAMP_SIZE];
	struct sq_error err;
	bool tls_changed;

	*old = ty->p;
	pthread_mutex_lock(&sh->l.led.a->lock);
	ty->p = sh->l.led.a->conf[t];
	ty->gen = sh->l.led.a->conf_gen[t];
	pthread_mutex_unlock(&sh->l.led.a->lock);
	if (stype_compile(ty, &err)) {
		/* A file has gone since the check: keep what worked. */
		fprintf(stderr, "%ssquall-sim: %s\n", sq_stamp(when), err.text);
		ty->p = *old;
		stype_compile(ty, &err);
	}
	tls_changed =
		ty->p.tls && (!ty->tls || strcmp(old->cert, ty->p.cert) ||
			      strcmp(old->key, ty->p.key) || strcmp(old->ca, ty->p.ca) ||
			      strcmp(old->alpn, ty->p.alpn) || strcmp(old->sni, ty->p.sni) ||
			      strcmp(old->host, ty->p.host) || old->insecure != ty->p.insecure ||
			      old->tls_min != ty->p.tls_min || old->tls_max != ty->p.tls_max);
	if (tls_changed) {
		sim_tls_free(ty->tls);
		ty->tls = NULL;
		if (sim_tls_new(&ty->p, &ty->tls, &err))
			fprintf(stderr, "%ssquall-sim: %s\n", sq_stamp(when), err.text);
		else
			sim_tls_on_session(ty->tls, io_session);
	}
	ty->churn_ns = 0;
	own_ports(ty, sh->l.led.a->max_devices);
	ty->grid = stype_grid(ty->p.interval_ns, stype_share(ty, sh->ramp[t].to));
	if (!ty->dev)
		return;
	for (uint32_t i = 0; i < ty->started; i++)
		if (ty->dev[i].ever_online)
			pub_schedule(&sh->l, &ty->dev[i], true);
}

int sim_shard_init(struct shard *sh, struct sim_arena *a, unsigned id, int wakefd)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = NULL};

	memset(sh, 0, offsetof(struct shard, l.topic));
	sh->l.led.a = a;
	sh->id = id;
	sh->l.shard = id;
	sh->wakefd = wakefd;
	sh->l.led.pub = sim_arena_pub(a, id);
	sh->rng = a->seed ^ (0x5851f42d4c957f2dull * (id + 1));
	sh->l.busy.busy_next = sh->l.busy.busy_prev = &sh->l.busy;
	lean_clock(&sh->l);
	wheel_init(&sh->l.wheel, sh->l.led.now);
	sh->l.epfd = epoll_create1(EPOLL_CLOEXEC);
	sh->l.type = calloc(a->ntypes, sizeof(*sh->l.type));
	sh->l.tx = malloc(SIM_TX_CAP);
	sh->old = malloc(sizeof(*sh->old));
	/* Touched only as far as packets are long. */
	sh->l.rx = mmap(NULL, SIM_RX_MAX + 65536, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (sh->l.epfd < 0 || !sh->l.type || !sh->l.tx || !sh->old || sh->l.rx == MAP_FAILED)
		return -ENOMEM;
	if (epoll_ctl(sh->l.epfd, EPOLL_CTL_ADD, wakefd, &ev))
		return -errno;
	for (unsigned t = 0; t < a->ntypes; t++) {
		struct stype *ty = &sh->l.type[t];

		ty->nth = id - a->shard_from[t]; /* large when it is not one of them */
		ty->nshards = a->shard_n[t];
		stype_update(sh, t);
		ty->lean = ty->p.engine == SIM_LEAN && ty->nth < ty->nshards;
		ty->cap = a->max_devices / ty->nshards + 1;
		ty->dev = mmap(NULL, ty->cap * sizeof(*ty->dev), PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (ty->dev == MAP_FAILED)
			return -ENOMEM;
	}
	return 0;
}

/* --- targets --------------------------------------------------------------------------- */

/* Starts and stops what is due; returns when to look again. */
static uint64_t follow_targets(struct shard *sh)
{
	uint64_t next = UINT64_MAX, at;

	for (unsigned t = 0; t < sh->l.led.a->ntypes; t++) {
		struct stype *ty = &sh->l.type[t];
		const struct sim_ramp *r = &sh->ramp[t];
		uint32_t want;
		unsigned did = 0;

		if (!ty->lean)
			continue;
		want = stype_share(ty, sim_ramp_at(r, sh->l.led.now));
		while (ty->started < want && did++ < 64) {
			struct device *d = stype_device(&sh->l, t, ty->started++);

			at = sim_ramp_when(r, d->index);
			dev_start(&sh->l, d, at < sh->l.led.now ? at : sh->l.led.now);
		}
		while (ty->started > want && did++ < 64)
			dev_stop(&sh->l, stype_device(&sh->l, t, --ty->started));
		if (ty->started != want) {
			next = 0; /* more at once, after the sockets had a look in */
			continue;
		}
		if (ty->started < stype_share(ty, r->to))
			at = sim_ramp_when(r, ty->started * ty->nshards + ty->nth);
		else if (ty->started > stype_share(ty, r->to))
			at = sim_ramp_when(r, (ty->started - 1) * ty->nshards + ty->nth);
		else
			continue;
		if (at < next)
			next = at;
	}
	return next;
}

static uint64_t churn(struct shard *sh)
{
	uint64_t next = UINT64_MAX, at;

	for (unsigned t = 0; t < sh->l.led.a->ntypes; t++) {
		struct stype *ty = &sh->l.type[t];
		double gap;

		if (!ty->p.churn_milli || !ty->started)
			continue;
		gap = 1e12 / (double)ty->p.churn_milli * ty->nshards;
		if (!ty->churn_ns)
			ty->churn_ns = sh->l.led.now + (uint64_t)(gap * sim_rand1(&sh->rng));
		at = ty->churn_ns;
		for (unsigned n = 0; ty->churn_ns <= sh->l.led.now && n < 64; n++) {
			uint32_t from = (uint32_t)(sim_rand(&sh->rng) % ty->started);
			bool found = false;

			for (uint32_t i = 0; i < 16 && i < ty->started && !found; i++) {
				struct device *d = &ty->dev[(from + i) % ty->started];

				found = d->state == D_ONLINE;
				if (found)
					dev_drop(&sh->l, d);
			}
			if (!found)
				break;
			ty->churn_ns += (uint64_t)gap;
		}
		if (at <= sh->l.led.now && at == ty->churn_ns) {
			/* All are busy reconnecting: look again, but do not wait by spinning. */
			at = sh->l.led.now + 1000000;
			if (ty->churn_ns + 1000000000 < sh->l.led.now)
				ty->churn_ns =
					sh->l.led.now - 1000000000; /* nor make up for it all */
		} else {
			at = ty->churn_ns;
		}
		if (at < next)
			next = at;
	}
	return next;
}

static void storm(struct shard *sh, uint32_t ppm)
{
	for (unsigned t = 0; t < sh->l.led.a->ntypes; t++) {
		struct stype *ty = &sh->l.type[t];

		for (uint32_t i = 0; ty->lean && i < ty->started; i++)
			if (ty->dev[i].state == D_ONLINE && sim_rand1(&sh->rng) * 1e6 < (double)ppm)
				dev_drop(&sh->l, &ty->dev[i]);
	}
}

/* Looks at what the owner changed. */
static void follow_owner(struct shard *sh)
{
	uint32_t gen = SIM_LOAD(&sh->l.led.a->gen), ppm, n, settle;
	bool quiet;

	if (gen == sh->gen)
		return;
	sh->gen = gen;
	pthread_mutex_lock(&sh->l.led.a->lock);
	memcpy(sh->ramp, sh->l.led.a->ramp, sizeof(sh->ramp));
	quiet = sh->l.led.a->quiet;
	n = sh->l.led.a->storm;
	ppm = sh->l.led.a->storm_ppm;
	settle = sh->l.led.a->settle;
	pthread_mutex_unlock(&sh->l.led.a->lock);
	for (unsigned t = 0; t < sh->l.led.a->ntypes; t++) {
		if (SIM_LOAD(&sh->l.led.a->conf_gen[t]) != sh->l.type[t].gen)
			stype_update(sh, t);
		else
			sh->l.type[t].grid =
				stype_grid(sh->l.type[t].p.interval_ns,
					   stype_share(&sh->l.type[t], sh->ramp[t].to));
	}
	if (quiet != sh->l.quiet) {
		sh->l.quiet = quiet;
		for (unsigned t = 0; t < sh->l.led.a->ntypes; t++)
			for (uint32_t i = 0; sh->l.type[t].lean && i < sh->l.type[t].started; i++)
				pub_schedule(&sh->l, &sh->l.type[t].dev[i], true);
	}
	if (n != sh->storm) {
		sh->storm = n;
		storm(sh, ppm);
	}
	if (settle != sh->settle) {
		sh->settle = settle;
		e2e_settle(&sh->l);
		SIM_STORE(&sh->l.led.pub->settled, settle);
	}
}

/* --- the loop ------------------------------------------------------------------------------ */

static void fire(void *ctx, struct timer *t)
{
	struct shard *sh = ctx;

	if (t->kind == T_PUB)
		dev_due(&sh->l, (struct device *)((char *)t - offsetof(struct device, pub)));
	else
		dev_life(&sh->l, (struct device *)((char *)t - offsetof(struct device, life)));
}

static void busy_turn(struct shard *sh)
{
	for (unsigned n = 0; n < BUSY_TURN && sh->l.nbusy; n++) {
		struct device *d = sh->l.busy.busy_next;

		__builtin_prefetch(d->busy_next);
		__builtin_prefetch((char *)d->busy_next + 64);
		/* Goes to the back of the ring if it can go on. */
		busy_del(&sh->l, d);
		dev_busy(&sh->l, d);
	}
}

static void beat(struct shard *sh)
{
	struct timespec ts;

	__atomic_store_n(&sh->l.led.pub->heartbeat_ns, sh->l.led.now, __ATOMIC_RELAXED);
	if (!clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts)) {
		double s = (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;

		__atomic_store(&sh->l.led.pub->tot.cpu_s, &s, __ATOMIC_RELAXED);
	}
	e2e_beat(&sh->l);
	/* After a ramp or a storm of TLS connections: handshakes need more than what is left of
	 * them. */
	if (sh->l.trim_ns && sh->l.led.now >= sh->l.trim_ns) {
		sh->l.trim_ns = 0;
		sim_heap_trim();
	}
}

/* All devices end; and the gauge of messages in flight meets their own state. */
static void end_all(struct shard *sh)
{
	uint64_t held = 0;

	lean_clock(&sh->l);
	/* What was heard stays known, whether the owner's last word was followed or not. */
	sh->l.quiet = true;
	for (unsigned t = 0; t < sh->l.led.a->ntypes; t++) {
		struct stype *ty = &sh->l.type[t];

		for (uint32_t i = 0; i < ty->cap && ty->lean; i++) {
			struct device *d = &ty->dev[i];

			if (!d->rng)
				break; /* nor was any behind it ever asked for */
			held += (d->win ? d->win->n : 0) + (d->back ? d->back->n : 0) +
				(d->out ? d->out->nmsg : 0) +
				(d->out && d->out->stream && d->out->stream->count);
		}
	}
	if (held != sh->l.led.pub->tot.in_flight)
		SIM_ADD(&sh->l.led.pub->tot.unaccounted, 1);
	for (unsigned t = 0; t < sh->l.led.a->ntypes; t++) {
		struct stype *ty = &sh->l.type[t];

		for (uint32_t i = 0; i < ty->cap && ty->lean && ty->dev[i].rng; i++)
			dev_end(&sh->l, &ty->dev[i]);
	}
	SIM_STORE(&sh->l.led.pub->state, 2u);
}

static void finish(struct shard *sh)
{
	end_all(sh);
	/* Other shards' devices may have sent what is missing here: whether that was acknowledged
	 * is known when they have ended, too. */
	while (SIM_LOAD(&sh->l.led.a->stop) < 2)
		usleep(1000);
	e2e_settle(&sh->l);
	for (unsigned t = 0; t < sh->l.led.a->ntypes; t++) {
		struct stype *ty = &sh->l.type[t];

		for (uint32_t i = 0; i < ty->cap && ty->lean; i++) {
			if (!ty->dev[i].rng)
				break;
			dev_free(&sh->l, &ty->dev[i]);
		}
		stype_clear(ty);
		sim_tls_free(ty->tls);
		munmap(ty->dev, ty->cap * sizeof(*ty->dev));
	}
	beat(sh);
	close(sh->l.epfd);
	free(sh->l.type);
	free(sh->l.tx);
	free(sh->l.frame);
	e2e_free(&sh->l);
	free(sh->old);
	munmap(sh->l.rx, SIM_RX_MAX + 65536);
	SIM_STORE(&sh->l.led.pub->state, 3u);
}

/*
 * Kernels before 5.11, gVisor and qemu-user have no epoll_pwait2(2). There a
 * shard sleeps whole milliseconds, rounded up: devices are late by at most one,
 * which the latency counts, as it starts at the scheduled moment.
 */
static int wait_events(struct shard *sh, struct epoll_event *ev, const struct timespec *wait)
{
	if (!sh->coarse) {
		int n = epoll_pwait2(sh->l.epfd, ev, EVENTS, wait, NULL);

		if (n >= 0 || errno != ENOSYS)
			return n;
		sh->coarse = true;
	}
	return epoll_wait(sh->l.epfd, ev, EVENTS,
			  (int)(wait->tv_sec * 1000 + (wait->tv_nsec + 999999) / 1000000));
}

void *sim_shard_main(void *arg)
{
	struct shard *sh = arg;
	struct epoll_event ev[EVENTS];
	uint64_t next_beat = 0;
	sigset_t all;

	/* Signals are the main thread's. */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	SIM_STORE(&sh->l.led.pub->state, 1u);
	while (!SIM_LOAD(&sh->l.led.a->stop)) {
		uint64_t next, at, value;
		struct timespec wait = {0, 0};
		int n;

		lean_clock(&sh->l);
		follow_owner(sh);
		next = follow_targets(sh);
		wheel_run(&sh->l.wheel, sh->l.led.now, fire, sh);
		at = churn(sh);
		next = at < next ? at : next;
		if (sh->l.nbusy)
			busy_turn(sh);
		if (sh->l.led.now >= next_beat) {
			beat(sh);
			next_beat = sh->l.led.now + 100000000;
		}
		if (!sh->l.nbusy) {
			at = wheel_next(&sh->l.wheel);
			next = at < next ? at : next;
			at = next_beat + 900000000; /* an idle shard still shows that it lives */
			next = at < next ? at : next;
			lean_clock(&sh->l);
			if (next > sh->l.led.now) {
				wait.tv_sec = (time_t)((next - sh->l.led.now) / 1000000000);
				wait.tv_nsec = (long)((next - sh->l.led.now) % 1000000000);
			}
		}
		n = wait_events(sh, ev, &wait);
		lean_clock(&sh->l);
		for (int i = 0; i < n; i++) {
			/* With many devices each is in memory and not in the cache. */
			const char *soon = i + 2 < n ? ev[i + 2].data.ptr : NULL;

			for (unsigned line = 0; soon && line < 3; line++)
				__builtin_prefetch(soon + 64 * line);
			if (ev[i].data.ptr) {
				dev_event(&sh->l, ev[i].data.ptr, ev[i].events);
			} else if (read(sh->wakefd, &value, sizeof(value)) < 0 && errno != EAGAIN) {
				/* Only a closed descriptor can do this: the owner has gone. */
				break;
			}
		}
	}
	finish(sh);
	return NULL;
}
