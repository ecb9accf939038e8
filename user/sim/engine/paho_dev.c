// SPDX-License-Identifier: GPL-2.0-only
/* A paho device: its messages and its connection, as far as the library tells of them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "sim/engine/paho_dev.h"

struct paho *ph;

void pdev_lock(void)
{
	pthread_mutex_lock(&ph->lock);
	ph->led.now = sim_now();
}

void pdev_unlock(void)
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

void pdev_end(struct pmsg *m, enum sim_fail kind, uint32_t detail)
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
	pdev_lock();
	pdev_end(m, kind, detail);
	free_msg(m);
	pdev_unlock();
}

/* A PUBACK to a message of QoS 2 (RabbitMQ) is a success to the library (1.3.12,
 * MQTTAsync_cycle()), which says so in its trace alone: by the same thread, before it calls back.
 */
static _Thread_local bool wrong_qos;

static void on_trace(enum MQTTASYNC_TRACE_LEVELS level, char *text)
{
	(void)level;
	if (strstr(text, "PUBACK") && strstr(text, "wrong QoS"))
		wrong_qos = true;
}

void pdev_watch_qos(void)
{
	MQTTAsync_setTraceCallback(on_trace);
	MQTTAsync_setTraceLevel(MQTTASYNC_TRACE_MINIMUM);
}

static void sent(struct pmsg *m)
{
	bool wrong = wrong_qos;

	wrong_qos = false;
	called_back(m, wrong && m->qos == 2 ? F_DOWNGRADED : F_NONE, 0);
}

static void on_sent(void *ctx, MQTTAsync_successData *r)
{
	(void)r;
	sent(ctx);
}

static void on_sent5(void *ctx, MQTTAsync_successData5 *r)
{
	if (r && r->reasonCode >= 0x80)
		called_back(ctx, F_ACK_REASON, MQTT_PUBACK << 8 | (uint32_t)r->reasonCode);
	else
		sent(ctx);
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

static long render(struct pdev *d, const struct sim_tmpl *t, uint64_t sched_ns, char *buf,
		   size_t cap)
{
	struct stype *ty = stype_of(d);
	struct sim_tmpl_ctx c = {.thing = d->thing,
				 .client_id = d->thing,
				 .type = ty->p.name,
				 .index = d->index + ty->p.first,
				 .seq = d->seq,
				 .sched_ms =
					 ((int64_t)sched_ns + ph->led.a->epoch_off_ns) / 1000000,
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

void pdev_publish(struct pdev *d, uint64_t sched_ns)
{
	struct stype *ty = stype_of(d);
	MQTTAsync_responseOptions o = MQTTAsync_responseOptions_initializer;
	struct pmsg *m = calloc(1, sizeof(*m));
	char topic[1024];
	long n;
	int rc;

	d->seq++;
	d->published++;
	n = render(d, ty->topic, sched_ns, topic, sizeof(topic));
	if (n >= 0)
		n = render(d, ty->payload, sched_ns, ph->text, sizeof(ph->text));
	pdev_lock();
	msg_scheduled(&ph->led);
	if (!m || n < 0 || !d->up) {
		msg_failed(&ph->led, d->type, SIM_PUBLISH,
			   !m	   ? F_MEMORY
			   : n < 0 ? F_TOO_BIG
				   : F_NOT_CONNECTED,
			   0);
		pdev_unlock();
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
	pdev_unlock();
	o.context = m;
	if (ty->p.version == MQTT_V5) {
		o.onSuccess5 = on_sent5;
		o.onFailure5 = on_unsent5;
	} else {
		o.onSuccess = on_sent;
		o.onFailure = on_unsent;
	}
	rc = MQTTAsync_send(d->client, topic, (int)n, ph->text, ty->p.qos, ty->p.retain, &o);
	pdev_lock();
	if (rc != MQTTASYNC_SUCCESS) {
		/* Not taken, so no call-back comes. */
		m->sent_ns = 0;
		pdev_end(m,
			 rc == MQTTASYNC_DISCONNECTED		 ? F_NOT_CONNECTED
			 : rc == MQTTASYNC_MAX_BUFFERED_MESSAGES ? F_BACKLOG
								 : F_MEMORY,
			 0);
		free_msg(m);
	} else if (ty->p.qos) {
		/* The library tells when it is acknowledged, not when it is written. */
		stat_ok(&ph->led, d->type, SIM_PUBLISH, sched_ns, ph->led.now, (uint32_t)n);
	}
	pdev_unlock();
}

/* --- connections --------------------------------------------------------------------------- */

/* With the lock: it has all that it asked for. */
static void online(struct pdev *d)
{
	stat_ok(&ph->led, d->type, SIM_CONNECT, d->connect_ns, ph->led.now, 0);
	SIM_ADD(&ph->led.pub->tot.connects, 1);
	if (d->was_up)
		SIM_ADD(&ph->led.pub->tot.reconnects, 1);
	gauge(d, d->on, true);
	d->was_up = true;
}

/* With the lock: an attempt that failed; what is said of a lean device's. */
static void not_online(struct pdev *d, enum sim_fail kind, uint32_t detail)
{
	stat_fail(&ph->led, d->type, SIM_CONNECT, kind, detail, NULL);
	SIM_ADD(&ph->led.pub->tot.connect_failures, 1);
	d->nsubs = 0;
}

void pdev_unsubscribed(struct pdev *d, enum sim_fail kind, uint32_t detail)
{
	if (!d->nsubs)
		return; /* it was told already */
	not_online(d, kind, detail);
	d->refused = true;
}

static void answered(struct pdev *d, int code)
{
	pdev_lock();
	if (code < 0 || code >= 0x80) {
		pdev_unsubscribed(
			d, code < 0 ? F_CLOSED : F_SUBACK,
			code < 0 ? 0
				 : (uint32_t)code | (stype_of(d)->p.version == MQTT_V5 ? 256u : 0));
	} else if (d->nsubs) {
		SIM_ADD(&ph->led.pub->tot.subscribed, 1);
		if (!--d->nsubs)
			online(d);
	}
	pdev_unlock();
}

static void on_suback(void *ctx, MQTTAsync_successData *r)
{
	answered(ctx, r->alt.qos);
}

static void on_suback5(void *ctx, MQTTAsync_successData5 *r)
{
	answered(ctx, (int)r->reasonCode);
}

static void on_no_suback(void *ctx, MQTTAsync_failureData *r)
{
	answered(ctx, r && r->code >= 0x80 ? r->code : -1);
}

static void on_no_suback5(void *ctx, MQTTAsync_failureData5 *r)
{
	answered(ctx, r && (int)r->reasonCode >= 0x80 ? (int)r->reasonCode : -1);
}

/* One by one: of several the library hands on a list, and not how long the broker's answer was. */
static bool subscribe(struct pdev *d, unsigned i)
{
	struct stype *ty = stype_of(d);
	MQTTAsync_responseOptions o = MQTTAsync_responseOptions_initializer;
	char topic[512];

	o.context = d;
	if (ty->p.version == MQTT_V5) {
		o.onSuccess5 = on_suback5;
		o.onFailure5 = on_no_suback5;
	} else {
		o.onSuccess = on_suback;
		o.onFailure = on_no_suback;
	}
	return render(d, ty->sub[i], 0, topic, sizeof(topic)) >= 0 &&
	       MQTTAsync_subscribe(d->client, topic, ty->p.sub_qos, &o) == MQTTASYNC_SUCCESS;
}

static void on_connected(void *ctx, char *cause)
{
	struct pdev *d = ctx;
	unsigned nsubs = stype_of(d)->nsubs;
	bool all = true;

	(void)cause;
	pdev_lock();
	d->linked = true;
	d->refused = d->leaving = false;
	d->nsubs = (uint8_t)nsubs;
	d->asked_ns = ph->led.now;
	if (!nsubs)
		online(d);
	pdev_unlock();
	for (unsigned i = 0; i < nsubs && all; i++)
		all = subscribe(d, i);
	if (all)
		return;
	pdev_lock();
	pdev_unsubscribed(d, F_MEMORY, 0);
	pdev_unlock();
}

/* With the lock: the connection that was there is no more. */
static void gone(struct pdev *d, enum sim_fail kind, uint32_t detail)
{
	if (d->up) {
		stat_fail(&ph->led, d->type, SIM_DISCONNECT, kind, detail, NULL);
		SIM_ADD(&ph->led.pub->tot.lost_connections, 1);
		gauge(d, d->on, false);
	} else if (d->nsubs) {
		not_online(d, kind, detail);
	}
	d->linked = d->leaving = false;
	d->connect_ns = ph->led.now;
}

static void left(struct pdev *d)
{
	pdev_lock();
	gone(d, F_CLOSED, 0);
	d->lost_pending = true;
	pdev_unlock();
}

static void on_left(void *ctx, MQTTAsync_successData *r)
{
	(void)r;
	left(ctx);
}

static void on_left5(void *ctx, MQTTAsync_successData5 *r)
{
	(void)r;
	left(ctx);
}

void pdev_leave(struct pdev *d)
{
	MQTTAsync_disconnectOptions o = MQTTAsync_disconnectOptions_initializer;

	if (stype_of(d)->p.version == MQTT_V5)
		o.onSuccess5 = on_left5;
	else
		o.onSuccess = on_left;
	o.context = d;
	o.timeout = 100;
	MQTTAsync_disconnect(d->client, &o);
}

static void on_lost(void *ctx, char *cause)
{
	(void)cause; /* the library does not say */
	pdev_lock();
	gone(ctx, F_CLOSED, 0);
	pdev_unlock();
}

static int on_message(void *ctx, char *topic, int len, MQTTAsync_message *m)
{
	(void)ctx;
	(void)len;
	pdev_lock();
	SIM_ADD(&ph->led.pub->tot.received, 1);
	pdev_unlock();
	MQTTAsync_freeMessage(&m);
	MQTTAsync_free(topic);
	return 1;
}

static void refused(struct pdev *d, int code)
{
	pdev_lock();
	/* The library tells a server's DISCONNECT as a connect that failed: it is a loss. */
	if (d->linked) {
		gone(d, code >= 0x80 ? F_DISCONNECT : F_CLOSED, code >= 0x80 ? (uint32_t)code : 0);
		pdev_unlock();
		return;
	}
	if (code > 0 && code < 6)
		not_online(d, F_CONNACK, (uint32_t)code);
	else if (code >= 0x80)
		not_online(d, F_CONNACK, (uint32_t)code | 256u);
	else
		not_online(d, F_REFUSED, 0);
	/* Looked at by the schedule's thread: connecting again from here would recurse. */
	d->lost_pending = true;
	pdev_unlock();
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

/* A certificate's or key's file. */
static bool path_of(struct pdev *d, const char *text, char *buf, size_t cap)
{
	struct sim_tmpl *t;
	struct sq_error err;
	bool ok;

	if (sim_tmpl_name(text, "cert", NULL, &t, &err))
		return false;
	sim_tmpl_client(t, stype_of(d)->client);
	ok = render(d, t, 0, buf, cap) >= 0;
	sim_tmpl_free(t);
	return ok;
}

void pdev_connect(struct pdev *d)
{
	struct stype *ty = stype_of(d);
	MQTTAsync_connectOptions o3 = MQTTAsync_connectOptions_initializer;
	MQTTAsync_connectOptions o5 = MQTTAsync_connectOptions_initializer5;
	MQTTAsync_connectOptions o = ty->p.version == MQTT_V5 ? o5 : o3;
	MQTTAsync_willOptions will = MQTTAsync_willOptions_initializer;
	MQTTAsync_SSLOptions ssl = MQTTAsync_SSLOptions_initializer;
	char user[SIM_USER_MAX], password[2048], topic[1024], payload[4096], cert[512], key[512];
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
	if (*ty->p.username && render(d, ty->user, 0, user, sizeof(user)) >= 0)
		o.username = user;
	if (*ty->p.password && render(d, ty->password, 0, password, sizeof(password)) >= 0)
		o.password = password;
	if (ty->will && render(d, ty->will, 0, topic, sizeof(topic)) >= 0 &&
	    render(d, ty->will_payload, 0, payload, sizeof(payload)) >= 0) {
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
		if (*ty->p.cert && path_of(d, ty->p.cert, cert, sizeof(cert)))
			ssl.keyStore = cert;
		if (*ty->p.key && path_of(d, ty->p.key, key, sizeof(key)))
			ssl.privateKey = key;
		o.ssl = &ssl;
	}
	rc = MQTTAsync_connect(d->client, &o);
	if (rc != MQTTASYNC_SUCCESS)
		refused(d, -1);
}

void pdev_start(struct pdev *d, uint64_t sched_ns)
{
	struct stype *ty = stype_of(d);
	MQTTAsync_createOptions c3 = MQTTAsync_createOptions_initializer;
	MQTTAsync_createOptions c5 = MQTTAsync_createOptions_initializer5;
	MQTTAsync_createOptions c = ty->p.version == MQTT_V5 ? c5 : c3;
	char id[256], uri[300];

	free(d->thing); /* of an attempt that failed below */
	d->thing = NULL;
	snprintf(uri, sizeof(uri), "%s://%s%s%s:%u", ty->p.tls ? "ssl" : "tcp",
		 strchr(ty->p.host, ':') ? "[" : "", ty->p.host, strchr(ty->p.host, ':') ? "]" : "",
		 ty->p.port);
	if (render(d, ty->thing, 0, id, sizeof(id)) < 0 || !(d->thing = strdup(id)) ||
	    render(d, ty->client, 0, id, sizeof(id)) < 0 ||
	    MQTTAsync_createWithOptions(&d->client, uri, id, MQTTCLIENT_PERSISTENCE_NONE, NULL,
					&c)) {
		pdev_lock();
		not_online(d, F_NAME, 0);
		SIM_ADD(&ph->led.pub->tot.not_made, 1);
		pdev_unlock();
		return;
	}
	MQTTAsync_setCallbacks(d->client, d, on_lost, on_message, NULL);
	MQTTAsync_setConnected(d->client, d, on_connected);
	pdev_lock();
	d->connect_ns = sched_ns;
	d->was_up = d->draining = d->lost_pending = d->linked = d->refused = d->leaving = false;
	d->nsubs = 0;
	d->published = 0;
	gauge(d, true, false);
	pdev_unlock();
	pdev_connect(d);
	wheel_arm(&ph->wheel, &d->life, sim_now() + 50000000);
}

void pdev_destroy(struct pdev *d)
{
	MQTTAsync_disconnectOptions o = MQTTAsync_disconnectOptions_initializer;

	wheel_cancel(&ph->wheel, &d->pub);
	wheel_cancel(&ph->wheel, &d->life);
	pdev_lock();
	d->draining = true;
	pdev_unlock();
	o.timeout = 100;
	MQTTAsync_disconnect(d->client, &o);
	MQTTAsync_destroy(&d->client);
	pdev_lock();
	for (struct pmsg *m = d->msgs, *next; m; m = next) {
		next = m->next;
		if (!m->ended)
			pdev_end(m, F_STOPPED, 0);
		free_msg(m);
	}
	gauge(d, false, false);
	free(d->thing);
	free(d->walk);
	d->thing = NULL;
	d->walk = NULL;
	pdev_unlock();
}
