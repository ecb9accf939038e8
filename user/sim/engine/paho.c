// SPDX-License-Identifier: GPL-2.0-only
/*
 * The paho client: devices that are libpaho-mqtt3as clients, with that library's
 * own reconnects, window and buffering, because that is what one wants to watch
 * under faults. One thread keeps their schedule; the library has two of its own
 * for all of them, from which its call-backs come.
 *
 * `lock` guards the counters and the messages, and is never held across a call
 * into the library, whose own locks are held in some of its call-backs.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>
#include "sim/engine/paho_dev.h"

/* --- schedule --------------------------------------------------------------------------------- */

static bool finished(const struct pdev *d)
{
	const struct stype *ty = stype_of(d);

	return !*ty->p.topic || (ty->p.count && d->published >= ty->p.count) || ph->quiet ||
	       d->draining;
}

static void next_due(struct pdev *d, uint64_t now)
{
	struct stype *ty = stype_of(d);
	double part = (double)ty->p.jitter_ppm * 1e-6 * (2 * sim_rand1(&d->rng) - 1);

	d->due_ns = d->base_ns + (uint64_t)(int64_t)(part * (double)ty->p.interval_ns);
	wheel_arm(&ph->wheel, &d->pub, d->due_ns > now ? d->due_ns : now);
}

/* Ten times a second: what a call-back left for this thread, acknowledgements that never came. */
static void look_after(struct pdev *d, uint64_t now)
{
	struct stype *ty = stype_of(d);
	bool again, first, drained, leave;

	pdev_lock();
	if (d->nsubs && now - d->asked_ns > ty->p.connect_timeout_ns)
		pdev_unsubscribed(d, F_SUBACK_TIMEOUT, 0);
	leave = d->refused && d->linked && !d->leaving;
	/* Of a connection that was lost meanwhile the library says nothing. */
	if (d->leaving && now - d->asked_ns > 1000000000)
		d->lost_pending = true;
	if (leave) {
		d->leaving = true;
		d->asked_ns = now;
	}
	again = d->lost_pending && !d->up && (!d->was_up || d->refused);
	d->lost_pending = false;
	first = d->was_up && !d->pub.pprev && !finished(d);
	/* One of QoS 0 waits for no acknowledgement, but to be written; on the way out not for
	 * ever. */
	for (struct pmsg *m = d->msgs; m; m = m->next)
		if (!m->ended && (m->qos || d->draining) && now - m->sent_ns > ty->p.ack_timeout_ns)
			pdev_end(m,
				 m->qos == 2   ? F_NO_PUBCOMP
				 : m->qos == 1 ? F_NO_PUBACK
					       : F_STOPPED,
				 m->qos == 2 ? MQTT_PUBCOMP : 0);
	drained = d->draining && (!d->nmsgs || !d->up);
	pdev_unlock();
	if (drained) {
		pdev_destroy(d);
		return;
	}
	/*
	 * Before its first connection the library does not try again by itself, nor
	 * after one that we ended; else it does, in its own rhythm.
	 */
	if (leave && !d->draining)
		pdev_leave(d);
	if (again && !d->draining) {
		pdev_lock();
		d->connect_ns = ph->led.now;
		pdev_unlock();
		pdev_connect(d);
		wheel_arm(&ph->wheel, &d->life,
			  now + (uint64_t)((double)ty->p.backoff_max_ns * sim_rand1(&d->rng)) +
				  ty->p.backoff_base_ns);
		return;
	}
	if (first) {
		d->base_ns = now + (uint64_t)((double)ty->p.interval_ns * sim_rand1(&d->rng));
		next_due(d, now);
	}
	wheel_arm(&ph->wheel, &d->life, now + 100000000);
}

static void due(struct pdev *d, uint64_t now)
{
	struct stype *ty = stype_of(d);
	uint64_t gap = ty->p.interval_ns ? ty->p.interval_ns : 1000000;

	for (unsigned n = 0; d->due_ns <= now && !finished(d) && n < 1000; n++) {
		for (uint32_t i = 0; i < ty->p.burst && !finished(d); i++)
			pdev_publish(d,
				     wheel_round(d->due_ns) < now ? wheel_round(d->due_ns) : now);
		d->base_ns += gap;
		d->due_ns = d->base_ns;
	}
	if (!finished(d))
		next_due(d, now);
}

static void fire(void *ctx, struct timer *t)
{
	uint64_t now = sim_now();

	(void)ctx;
	if (t->kind == T_PUB)
		due((struct pdev *)((char *)t - offsetof(struct pdev, pub)), now);
	else
		look_after((struct pdev *)((char *)t - offsetof(struct pdev, life)), now);
}

static void follow_targets(uint64_t now)
{
	for (unsigned t = 0; t < ph->led.a->ntypes; t++) {
		uint32_t want;

		if (!ph->dev[t])
			continue;
		want = sim_ramp_at(&ph->ramp[t], now);
		if (want > SIM_PAHO_MAX)
			want = SIM_PAHO_MAX;
		while (ph->started[t] < want) {
			struct pdev *d = &ph->dev[t][ph->started[t]];

			if (d->on)
				break; /* still on its way out */
			d->type = (uint8_t)t;
			d->index = ph->started[t]++;
			d->pub.kind = T_PUB;
			d->life.kind = T_LIFE;
			d->rng = ph->led.a->seed ^ (uint64_t)(d->index + 1) << 32;
			pdev_start(d, now);
		}
		while (ph->started[t] > want) {
			struct pdev *d = &ph->dev[t][--ph->started[t]];

			wheel_cancel(&ph->wheel, &d->pub);
			d->draining = true;
			wheel_arm(&ph->wheel, &d->life, now);
		}
	}
}

static int compile(struct stype *ty, struct sq_error *err)
{
	if (ty->p.qos == 2)
		pwhy_watch(true);
	return stype_compile(ty, err);
}

static void follow_owner(void)
{
	struct sim_arena *a = ph->led.a;
	struct sq_error err;

	if (SIM_LOAD(&a->gen) == ph->gen)
		return;
	ph->gen = SIM_LOAD(&a->gen);
	pthread_mutex_lock(&a->lock);
	memcpy(ph->ramp, a->ramp, sizeof(ph->ramp));
	ph->quiet = a->quiet;
	for (unsigned t = 0; t < a->ntypes; t++) {
		struct stype *ty = &ph->type[t];

		if (ph->dev[t] && a->conf_gen[t] != ty->gen) {
			ty->p = a->conf[t];
			ty->gen = a->conf_gen[t];
			compile(ty, &err);
		}
	}
	pthread_mutex_unlock(&a->lock);
}

static void *paho_main(void *arg)
{
	struct sim_arena *a = ph->led.a;
	sigset_t all;

	(void)arg;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	SIM_STORE(&ph->led.pub->state, 1u);
	while (!SIM_LOAD(&a->stop)) {
		struct pollfd p = {ph->wakefd, POLLIN, 0};
		uint64_t now = sim_now(), next, value;
		struct timespec ts;
		int ms;

		follow_owner();
		follow_targets(now);
		wheel_run(&ph->wheel, now, fire, NULL);
		__atomic_store_n(&ph->led.pub->heartbeat_ns, now, __ATOMIC_RELAXED);
		if (!clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts)) {
			double s = (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;

			__atomic_store(&ph->led.pub->tot.cpu_s, &s, __ATOMIC_RELAXED);
		}
		next = wheel_next(&ph->wheel);
		now = sim_now();
		/* Ramps are looked at every 10 ms: these are not many devices. */
		ms = next <= now	     ? 0
		     : next - now > 10000000 ? 10
					     : (int)((next - now) / 1000000) + 1;
		if (poll(&p, 1, ms) > 0 && read(ph->wakefd, &value, sizeof(value)) < 0 &&
		    errno != EAGAIN)
			break;
	}
	for (unsigned t = 0; t < a->ntypes; t++)
		for (uint32_t i = 0; ph->dev[t] && i < SIM_PAHO_MAX; i++)
			if (ph->dev[t][i].on)
				pdev_destroy(&ph->dev[t][i]);
	if (ph->led.pub->tot.in_flight)
		SIM_ADD(&ph->led.pub->tot.unaccounted, 1);
	SIM_STORE(&ph->led.pub->state, 3u);
	return NULL;
}

int sim_paho_start(struct sim_arena *a, unsigned shard, int wakefd)
{
	MQTTAsync_init_options init = MQTTAsync_init_options_initializer;
	struct sq_error err;
	int rc;

	ph = calloc(1, sizeof(*ph));
	if (!ph)
		return -ENOMEM;
	/* OpenSSL is set up by this program already. */
	init.do_openssl_init = 0;
	MQTTAsync_global_init(&init);
	pwhy_watch(false);
	pthread_mutex_init(&ph->lock, NULL);
	ph->wakefd = wakefd;
	ph->led.a = a;
	ph->led.pub = sim_arena_pub(a, shard);
	ph->led.now = sim_now();
	wheel_init(&ph->wheel, ph->led.now);
	ph->type = calloc(a->ntypes, sizeof(*ph->type));
	if (!ph->type)
		return -ENOMEM;
	for (unsigned t = 0; t < a->ntypes; t++) {
		ph->type[t].p = a->conf[t];
		if (a->conf[t].engine != SIM_PAHO)
			continue;
		ph->dev[t] = calloc(SIM_PAHO_MAX, sizeof(*ph->dev[t]));
		if (!ph->dev[t])
			return -ENOMEM;
		if (compile(&ph->type[t], &err))
			return -EINVAL;
	}
	rc = pthread_create(&ph->thread, NULL, paho_main, NULL);
	return -rc;
}

void sim_paho_join(void)
{
	if (!ph)
		return;
	/*
	 * The library's threads may still be on their way out of a call-back: what
	 * they look at stays until the process ends.
	 */
	pthread_join(ph->thread, NULL);
}
