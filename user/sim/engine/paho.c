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
#include <MQTTAsync.h>
#include <errno.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>
#include "sim/device/lean.h"
#include "sim/engine/paho.h"

struct pdev;

/* A message from its schedule to its end; freed with the device when nobody called back. */
struct pmsg {
	struct pmsg *next, **pprev;
	struct pdev *d;
	uint64_t sched_ns, sent_ns;
	uint8_t qos;
	bool ended;
};

struct pdev {
	struct timer pub, life;
	MQTTAsync client;
	struct pmsg *msgs;
	uint64_t base_ns, due_ns, connect_ns, rng;
	char *thing;
	double *walk;
	uint32_t index, seq, published, nmsgs;
	uint8_t type;
	bool on, up, draining, was_up, lost_pending;
};

static struct paho {
	pthread_t thread;
	pthread_mutex_t lock;
	struct ledger led;
	struct stype *type;
	struct wheel wheel;
	struct sim_ramp ramp[SIM_MAX_TYPES];
	uint32_t gen;
	bool quiet;
	struct pdev *dev[SIM_MAX_TYPES];
	uint32_t started[SIM_MAX_TYPES];
	int wakefd;
	char text[SIM_RENDER_MAX + 64];
} * ph;

static struct stype *stype_of(const struct pdev *d)
{
	return &ph->type[d->type];
}

static void lock(void)
{
	pthread_mutex_lock(&ph->lock);
	ph->led.now = sim_now();
}

static void unlock(void)
{
	pthread_mutex_unlock(&ph->lock);
}

static void gauge(struct pdev *d, bool on, bool up)
{
	struct sim_pub *p = ph->led.pub;

	SIM_ADD(&p->type[d->type].running, (uint32_t)(on - d->on));
	SIM_ADD(&p->type[d->type].connected, (uint32_t)(up - d->up));
	SIM_ADD(&p->type[d->type].backoff,
		(uint32_t)((on && !up && d->was_up) - (d->on && !d->up && d->was_up)));
	d->on = on;
	d->up = up;
}

/* --- messages --------------------------------------------------------------------------- */

static void end_msg(struct pmsg *m, enum sim_fail kind, uint32_t detail)
{
	struct pdev *d = m->d;

	if (m->ended) {
		SIM_ADD(&ph->led.pub->tot.late_acks, 1);
		return;
	}
	m->ended = true;
	d->nmsgs--;
	if (kind) {
		msg_failed(&ph->led, d->type, m->qos && m->sent_ns ? SIM_PUBACK : SIM_PUBLISH, kind,
			   detail);
		return;
	}
	if (m->qos)
		stat_ok(&ph->led, d->type, SIM_PUBACK, m->sched_ns, ph->led.now, 0);
	else
		stat_ok(&ph->led, d->type, SIM_PUBLISH, m->sched_ns, ph->led.now, 0);
	msg_acked(&ph->led);
}

static void free_msg(struct pmsg *m)
{
	*m->pprev = m->next;
	if (m->next)
		m->next->pprev = m->pprev;
	free(m);
}

static void called_back(struct pmsg *m, enum sim_fail kind, uint32_t detail)
{
	lock();
	end_msg(m, kind, detail);
	free_msg(m);
	unlock();
}

static void on_sent(void *ctx, MQTTAsync_successData *r)
{
	(void)r;
	called_back(ctx, F_NONE, 0);
}

static void on_sent5(void *ctx, MQTTAsync_successData5 *r)
{
	if (r && r->reasonCode >= 0x80)
		called_back(ctx, F_ACK_REASON, MQTT_PUBACK << 8 | (uint32_t)r->reasonCode);
	else
		called_back(ctx, F_NONE, 0);
}

static void on_unsent(void *ctx, MQTTAsync_failureData *r)
{
	(void)r;
	called_back(ctx, F_LOST, 0);
}

static void on_unsent5(void *ctx, MQTTAsync_failureData5 *r)
{
	if (r && r->reasonCode >= 0x80)
		called_back(ctx, F_ACK_REASON, MQTT_PUBACK << 8 | (uint32_t)r->reasonCode);
	else
		called_back(ctx, F_LOST, 0);
}

static long render(struct pdev *d, const struct sim_tmpl *t, char *buf, size_t cap)
{
	struct stype *ty = stype_of(d);
	struct sim_tmpl_ctx c = {.thing = d->thing,
				 .client_id = d->thing,
				 .type = ty->p.name,
				 .index = d->index + ty->p.first,
				 .seq = d->seq,
				 .rng = &d->rng};
	long n;

	if (sim_tmpl_walks(t) && !d->walk) {
		d->walk = malloc(sim_tmpl_walks(t) * sizeof(double));
		if (!d->walk)
			return -ENOMEM;
		for (unsigned i = 0; i < sim_tmpl_walks(t); i++)
			d->walk[i] = NAN;
	}
	c.walk = d->walk;
	n = sim_tmpl_render(t, &c, buf, cap - 1);
	if (n >= 0)
		buf[n] = 0;
	return n;
}

static void publish(struct pdev *d, uint64_t sched_ns)
{
	struct stype *ty = stype_of(d);
	MQTTAsync_responseOptions o = MQTTAsync_responseOptions_initializer;
	struct pmsg *m = calloc(1, sizeof(*m));
	char topic[1024];
	long n;
	int rc;

	d->seq++;
	d->published++;
	n = render(d, ty->topic, topic, sizeof(topic));
	if (n >= 0)
		n = render(d, ty->payload, ph->text, sizeof(ph->text));
	lock();
	msg_scheduled(&ph->led);
	if (!m || n < 0 || !d->up) {
		msg_failed(&ph->led, d->type, SIM_PUBLISH,
			   !m	   ? F_MEMORY
			   : n < 0 ? F_TOO_BIG
				   : F_NOT_CONNECTED,
			   0);
		unlock();
		free(m);
		return;
	}
	*m = (struct pmsg){
		.next = d->msgs, .pprev = &d->msgs, .d = d, .sched_ns = sched_ns, .qos = ty->p.qos};
	if (m->next)
		m->next->pprev = &m->next;
	d->msgs = m;
	d->nmsgs++;
	/* As if sent: the call-back may come before the call returns. */
	m->sent_ns = ph->led.now;
	unlock();
	o.context = m;
	if (ty->p.version == MQTT_V5) {
		o.onSuccess5 = on_sent5;
		o.onFailure5 = on_unsent5;
	} else {
		o.onSuccess = on_sent;
		o.onFailure = on_unsent;
	}
	rc = MQTTAsync_send(d->client, topic, (int)n, ph->text, ty->p.qos, ty->p.retain, &o);
	lock();
	if (rc != MQTTASYNC_SUCCESS) {
		/* Not taken, so no call-back comes. */
		m->sent_ns = 0;
		end_msg(m,
			rc == MQTTASYNC_DISCONNECTED		? F_NOT_CONNECTED
			: rc == MQTTASYNC_MAX_BUFFERED_MESSAGES ? F_BACKLOG
								: F_MEMORY,
			0);
		free_msg(m);
	} else if (ty->p.qos) {
		/* The library tells when it is acknowledged, not when it is written. */
		stat_ok(&ph->led, d->type, SIM_PUBLISH, sched_ns, ph->led.now, (uint32_t)n);
	}
	unlock();
}

/* --- connections --------------------------------------------------------------------------- */

static void on_connected(void *ctx, char *cause)
{
	struct pdev *d = ctx;
	struct stype *ty = stype_of(d);
	char *topics[SIM_MAX_SUBS + 4], text[SIM_MAX_SUBS + 4][512];
	int qos[SIM_MAX_SUBS + 4];

	(void)cause;
	lock();
	stat_ok(&ph->led, d->type, SIM_CONNECT, d->connect_ns, ph->led.now, 0);
	SIM_ADD(&ph->led.pub->tot.connects, 1);
	if (d->was_up)
		SIM_ADD(&ph->led.pub->tot.reconnects, 1);
	gauge(d, d->on, true);
	d->was_up = true;
	unlock();
	for (unsigned i = 0; i < ty->nsubs; i++) {
		topics[i] = text[i];
		qos[i] = ty->p.sub_qos;
		if (render(d, ty->sub[i], text[i], sizeof(text[i])) < 0)
			return;
	}
	if (ty->nsubs)
		MQTTAsync_subscribeMany(d->client, (int)ty->nsubs, topics, qos, NULL);
}

static void on_lost(void *ctx, char *cause)
{
	struct pdev *d = ctx;

	(void)cause; /* the library does not say */
	lock();
	if (d->up) {
		stat_fail(&ph->led, d->type, SIM_DISCONNECT, F_CLOSED, 0, NULL);
		SIM_ADD(&ph->led.pub->tot.lost_connections, 1);
		gauge(d, d->on, false);
	}
	d->connect_ns = ph->led.now;
	unlock();
}

static int on_message(void *ctx, char *topic, int len, MQTTAsync_message *m)
{
	(void)ctx;
	(void)len;
	lock();
	SIM_ADD(&ph->led.pub->tot.received, 1);
	unlock();
	MQTTAsync_freeMessage(&m);
	MQTTAsync_free(topic);
	return 1;
}

static void refused(struct pdev *d, int code)
{
	lock();
	if (code > 0 && code < 6)
		stat_fail(&ph->led, d->type, SIM_CONNECT, F_CONNACK, (uint32_t)code, NULL);
	else if (code >= 0x80)
		stat_fail(&ph->led, d->type, SIM_CONNECT, F_CONNACK, (uint32_t)code | 256u, NULL);
	else
		stat_fail(&ph->led, d->type, SIM_CONNECT, F_REFUSED, 0, NULL);
	SIM_ADD(&ph->led.pub->tot.connect_failures, 1);
	/* Looked at by the schedule's thread: connecting again from here would recurse. */
	d->lost_pending = true;
	unlock();
}

static void on_refused(void *ctx, MQTTAsync_failureData *r)
{
	refused(ctx, r ? r->code : -1);
}

static void on_refused5(void *ctx, MQTTAsync_failureData5 *r)
{
	refused(ctx, !r ? -1 : (int)r->reasonCode >= 0x80 ? (int)r->reasonCode : r->code);
}

static uint64_t seconds(uint64_t ns)
{
	return ns < 1000000000 ? 1 : ns / 1000000000;
}

static void connect_dev(struct pdev *d)
{
	struct stype *ty = stype_of(d);
	MQTTAsync_connectOptions o3 = MQTTAsync_connectOptions_initializer;
	MQTTAsync_connectOptions o5 = MQTTAsync_connectOptions_initializer5;
	MQTTAsync_connectOptions o = ty->p.version == MQTT_V5 ? o5 : o3;
	MQTTAsync_willOptions will = MQTTAsync_willOptions_initializer;
	MQTTAsync_SSLOptions ssl = MQTTAsync_SSLOptions_initializer;
	char user[256], topic[1024], payload[4096], cert[512], key[512];
	struct sim_tmpl *t;
	struct sim_err err;
	int rc;

	o.MQTTVersion = ty->p.version;
	o.keepAliveInterval = (int)ty->p.keepalive_s;
	o.connectTimeout = (int)seconds(ty->p.connect_timeout_ns);
	o.maxInflight = (int)ty->p.inflight;
	o.automaticReconnect = 1;
	o.minRetryInterval = (int)seconds(ty->p.backoff_base_ns);
	o.maxRetryInterval = (int)seconds(ty->p.backoff_max_ns);
	o.context = d;
	if (ty->p.version == MQTT_V5) {
		o.cleanstart = ty->p.clean;
		o.onFailure5 = on_refused5;
	} else {
		o.cleansession = ty->p.clean;
		o.onFailure = on_refused;
	}
	if (*ty->p.username && render(d, ty->user, user, sizeof(user)) >= 0)
		o.username = user;
	if (*ty->p.password)
		o.password = ty->p.password;
	if (ty->will && render(d, ty->will, topic, sizeof(topic)) >= 0 &&
	    render(d, ty->will_payload, payload, sizeof(payload)) >= 0) {
		will.topicName = topic;
		will.message = payload;
		will.qos = ty->p.will_qos;
		will.retained = ty->p.will_retain;
		o.will = &will;
	}
	if (ty->p.tls) {
		ssl.verify = !ty->p.insecure;
		ssl.enableServerCertAuth = !ty->p.insecure;
		ssl.trustStore = *ty->p.ca ? ty->p.ca : NULL;
		if (*ty->p.cert && !sim_tmpl_name(ty->p.cert, "cert", &t, &err)) {
			if (render(d, t, cert, sizeof(cert)) >= 0)
				ssl.keyStore = cert;
			sim_tmpl_free(t);
		}
		if (*ty->p.key && !sim_tmpl_name(ty->p.key, "key", &t, &err)) {
			if (render(d, t, key, sizeof(key)) >= 0)
				ssl.privateKey = key;
			sim_tmpl_free(t);
		}
		o.ssl = &ssl;
	}
	rc = MQTTAsync_connect(d->client, &o);
	if (rc != MQTTASYNC_SUCCESS)
		refused(d, -1);
}

static void start_dev(struct pdev *d, uint64_t sched_ns)
{
	struct stype *ty = stype_of(d);
	MQTTAsync_createOptions c3 = MQTTAsync_createOptions_initializer;
	MQTTAsync_createOptions c5 = MQTTAsync_createOptions_initializer5;
	MQTTAsync_createOptions c = ty->p.version == MQTT_V5 ? c5 : c3;
	char id[256], uri[300];

	free(d->thing); /* of an attempt that failed below */
	d->thing = NULL;
	if (render(d, ty->thing, id, sizeof(id)) < 0 || !(d->thing = strdup(id)) ||
	    render(d, ty->client, id, sizeof(id)) < 0)
		return;
	snprintf(uri, sizeof(uri), "%s://%s%s%s:%u", ty->p.tls ? "ssl" : "tcp",
		 strchr(ty->p.host, ':') ? "[" : "", ty->p.host, strchr(ty->p.host, ':') ? "]" : "",
		 ty->p.port);
	if (MQTTAsync_createWithOptions(&d->client, uri, id, MQTTCLIENT_PERSISTENCE_NONE, NULL, &c))
		return;
	MQTTAsync_setCallbacks(d->client, d, on_lost, on_message, NULL);
	MQTTAsync_setConnected(d->client, d, on_connected);
	lock();
	d->connect_ns = sched_ns;
	d->was_up = d->draining = d->lost_pending = false;
	d->published = 0;
	gauge(d, true, false);
	unlock();
	connect_dev(d);
	wheel_arm(&ph->wheel, &d->life, sim_now() + 50000000);
}

/* Ends a device: the library gives up its messages, we count what it did not tell. */
static void destroy_dev(struct pdev *d)
{
	MQTTAsync_disconnectOptions o = MQTTAsync_disconnectOptions_initializer;

	wheel_cancel(&ph->wheel, &d->pub);
	wheel_cancel(&ph->wheel, &d->life);
	lock();
	d->draining = true;
	unlock();
	o.timeout = 100;
	MQTTAsync_disconnect(d->client, &o);
	MQTTAsync_destroy(&d->client);
	lock();
	while (d->msgs) {
		if (!d->msgs->ended)
			end_msg(d->msgs, F_STOPPED, 0);
		free_msg(d->msgs);
	}
	gauge(d, false, false);
	free(d->thing);
	free(d->walk);
	d->thing = NULL;
	d->walk = NULL;
	unlock();
}

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
	bool again, first, drained;

	lock();
	again = d->lost_pending && !d->up;
	d->lost_pending = false;
	first = d->was_up && !d->pub.pprev && !finished(d);
	for (struct pmsg *m = d->msgs; m; m = m->next)
		if (!m->ended && now - m->sent_ns > ty->p.ack_timeout_ns)
			end_msg(m, F_NO_PUBACK, 0);
	drained = d->draining && (!d->nmsgs || !d->up);
	unlock();
	if (drained) {
		destroy_dev(d);
		return;
	}
	/*
	 * Before its first connection the library does not try again by itself;
	 * after that it does, in its own rhythm.
	 */
	if (again && !d->was_up && !d->draining) {
		lock();
		d->connect_ns = ph->led.now;
		unlock();
		connect_dev(d);
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
			publish(d, wheel_round(d->due_ns) < now ? wheel_round(d->due_ns) : now);
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
			start_dev(d, now);
		}
		while (ph->started[t] > want) {
			struct pdev *d = &ph->dev[t][--ph->started[t]];

			wheel_cancel(&ph->wheel, &d->pub);
			d->draining = true;
			wheel_arm(&ph->wheel, &d->life, now);
		}
	}
}

static void follow_owner(void)
{
	struct sim_arena *a = ph->led.a;
	struct sim_err err;

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
			stype_compile(ty, &err);
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
				destroy_dev(&ph->dev[t][i]);
	if (ph->led.pub->tot.in_flight)
		SIM_ADD(&ph->led.pub->tot.unaccounted, 1);
	SIM_STORE(&ph->led.pub->state, 2u);
	return NULL;
}

int sim_paho_start(struct sim_arena *a, unsigned shard, int wakefd)
{
	MQTTAsync_init_options init = MQTTAsync_init_options_initializer;
	struct sim_err err;
	int rc;

	ph = calloc(1, sizeof(*ph));
	if (!ph)
		return -ENOMEM;
	/* OpenSSL is set up by this program already. */
	init.do_openssl_init = 0;
	MQTTAsync_global_init(&init);
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
		if (stype_compile(&ph->type[t], &err))
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
