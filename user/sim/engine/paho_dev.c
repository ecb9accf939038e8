// SPDX-License-Identifier: GPL-2.0-only
/* A paho device and its connection, as far as the library tells of them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "sim/base/sock_end.h"
#include "sim/engine/paho_dev.h"

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

/* --- subscriptions, once connected ----------------------------------------------------------- */

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

/* With the lock: what ended a connection, for what has to be told of it. */
static void lost_by(struct pdev *d, void (*tell)(struct pdev *, enum sim_fail, uint32_t))
{
	struct pwhy why = pwhy_take();

	if (!why.kind && why.tcp == TCP_IS_ESTABLISHED)
		tell(d, F_MALFORMED, PROTO_MALFORMED); /* why else should the library end it */
	else
		tell(d, why.kind ? why.kind : F_CLOSED, why.detail);
}

/* `n` codes in answer to one filter, of which the first is `code`; n < 0: there is no answer. */
static void answered(struct pdev *d, int n, int code)
{
	bool v5 = stype_of(d)->p.version == MQTT_V5;

	pdev_lock();
	if (n < 0 && !d->draining)
		lost_by(d, pdev_unsubscribed);
	else if (n >= 0 && n != 1)
		pdev_unsubscribed(d, F_PROTOCOL, PROTO_SUBACK);
	else if (code > 2 && (v5 ? code < 0x80 : code != 0x80))
		pdev_unsubscribed(d, F_MALFORMED, PROTO_MALFORMED);
	else if (code >= 0x80)
		pdev_unsubscribed(d, F_SUBACK, (uint32_t)code | (v5 ? 256u : 0));
	else if (n > 0 && d->nsubs) {
		SIM_ADD(&ph->led.pub->tot.subscribed, 1);
		if (!--d->nsubs)
			online(d);
	}
	pdev_unlock();
}

static void on_suback(void *ctx, MQTTAsync_successData *r)
{
	/* Of more codes than one this is half of a pointer to them, and how many is not said. */
	answered(ctx, (unsigned)r->alt.qos < 256 ? 1 : 2, r->alt.qos);
}

static void on_suback5(void *ctx, MQTTAsync_successData5 *r)
{
	answered(ctx, r->alt.sub.reasonCodeCount, (int)r->reasonCode);
}

static void on_no_suback(void *ctx, MQTTAsync_failureData *r)
{
	answered(ctx, r && r->code >= 0x80 ? 1 : -1, r ? r->code : 0);
}

static void on_no_suback5(void *ctx, MQTTAsync_failureData5 *r)
{
	answered(ctx, r && !r->code ? 1 : -1, r ? (int)r->reasonCode : 0);
}

/* One by one: of several the library hands on a list, and not how long the broker's answer was. */
static bool subscribe(struct pdev *d, unsigned i)
{
	struct stype *ty = stype_of(d);
	MQTTAsync_responseOptions o = MQTTAsync_responseOptions_initializer;
	char topic[512 + 1];
	long n = pdev_render(d, ty->sub[i], 0, topic, sizeof(topic));
	enum sim_fail kind = F_TOO_BIG;
	int rc = 0;

	o.context = d;
	if (ty->p.version == MQTT_V5) {
		o.onSuccess5 = on_suback5;
		o.onFailure5 = on_no_suback5;
	} else {
		o.onSuccess = on_suback;
		o.onFailure = on_no_suback;
	}
	if (n >= 0 && !pdev_too_big(d, 5 + (size_t)n)) {
		rc = MQTTAsync_subscribe(d->client, topic, ty->p.sub_qos, &o);
		kind = rc == MQTTASYNC_SUCCESS ? F_NONE : F_FAILED;
	}
	if (!kind)
		return true;
	pdev_lock();
	pdev_unsubscribed(d, kind, (uint32_t)-rc);
	pdev_unlock();
	return false;
}

/* False: what the standard calls malformed. */
static bool grants(const MQTTProperties *in, struct mqtt_props *to)
{
	for (int i = 0; i < in->count; i++) {
		const MQTTProperty *p = &in->array[i];
		uint8_t *flag = NULL;

		if (MQTT_HAS(to, p->identifier) && p->identifier != MQTTPROPERTY_CODE_USER_PROPERTY)
			return false;
		to->have |= 1ull << p->identifier;
		switch ((enum mqtt_prop)p->identifier) {
		case MQTT_P_RECEIVE_MAX: /* the library keeps to it */
			if (!p->value.integer2)
				return false;
			break;
		case MQTT_P_MAX_PACKET:
			to->max_packet = p->value.integer4;
			if (!to->max_packet)
				return false;
			break;
		case MQTT_P_MAX_QOS:
			flag = &to->max_qos;
			break;
		case MQTT_P_RETAIN_OK:
			flag = &to->retain_ok;
			break;
		case MQTT_P_WILDCARD_OK:
			flag = &to->wildcard_ok;
			break;
		case MQTT_P_SHARED_OK:
			flag = &to->shared_ok;
			break;
		default:
			break;
		}
		if (flag && p->value.byte > 1)
			return false;
		if (flag)
			*flag = p->value.byte;
	}
	return true;
}

/* Before on_connected(), but not for the library's own reconnects, of which only that tells. */
static void accepted(struct pdev *d, bool session_present, const MQTTProperties *props)
{
	struct sim_tmpl_ctx c = names_of_pdev(d);
	struct mqtt_props p = {0};
	uint32_t detail = PROTO_MALFORMED;
	enum sim_fail kind = F_MALFORMED;

	if (!props || grants(props, &p))
		kind = con_ungranted(stype_of(d), &c, session_present, &p, &detail);
	pdev_lock();
	d->ungranted = kind;
	d->lacks = detail;
	d->max_packet = p.max_packet;
	pdev_unlock();
}

static void on_accepted(void *ctx, MQTTAsync_successData *r)
{
	accepted(ctx, r->alt.connect.sessionPresent, NULL);
}

static void on_accepted5(void *ctx, MQTTAsync_successData5 *r)
{
	accepted(ctx, r->alt.connect.sessionPresent, &r->properties);
}

static void on_connected(void *ctx, char *cause)
{
	struct pdev *d = ctx;
	unsigned nsubs = stype_of(d)->nsubs;
	enum sim_fail kind;

	(void)cause;
	pdev_lock();
	kind = d->ungranted;
	d->ungranted = F_NONE;
	d->linked = true;
	d->refused = kind;
	d->leaving = false;
	d->nsubs = (uint8_t)nsubs;
	d->asked_ns = ph->led.now;
	if (kind)
		not_online(d, kind, d->lacks);
	else if (!nsubs)
		online(d);
	pdev_unlock();
	for (unsigned i = 0; i < nsubs && !kind && subscribe(d, i);)
		i++;
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
	(void)cause; /* always NULL */
	pdev_lock();
	lost_by(ctx, gone);
	pdev_unlock();
}

/* A server's DISCONNECT, of which on_lost() does not tell. */
static void on_disconnected(void *ctx, MQTTProperties *props, enum MQTTReasonCodes reason)
{
	struct pdev *d = ctx;

	(void)props;
	pdev_lock();
	if (d->linked)
		gone(d, F_DISCONNECT, (uint32_t)reason);
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

/* What a failure to connect was, by the library's code and words (1.3.12), and what was seen. */
static struct pwhy failure(struct pdev *d, int code, const char *word, int e)
{
	bool v5 = stype_of(d)->p.version == MQTT_V5;
	struct pwhy why = pwhy_take();

	if (code > 0 && !strcmp(word, "CONNACK return code"))
		return (struct pwhy){F_CONNACK, (uint32_t)code | (v5 ? 256u : 0), 0};
	if (!strcmp(word, "Received disconnect"))
		return (struct pwhy){F_PROTOCOL, PROTO_CONNACK, 0};
	if (why.kind)
		return why;
	if (why.tcp == TCP_IS_ESTABLISHED && !strcmp(word, "TCP connect timeout"))
		return (struct pwhy){F_CONNACK_TIMEOUT, 0, 0};
	if (why.tcp == TCP_IS_ESTABLISHED && !strcmp(word, "TCP connect completion failure"))
		return (struct pwhy){F_MALFORMED, PROTO_MALFORMED, 0};
	/* There was no socket to be had. */
	if (!why.tcp && code == MQTTASYNC_FAILURE && e)
		why.kind = con_errno(e, &why.detail);
	else
		why = (struct pwhy){F_FAILED, (uint32_t)-code, 0};
	return why;
}

static void refused(struct pdev *d, int code, const char *word)
{
	struct pwhy why = failure(d, code, word ? word : "", errno);
	MQTTAsync_disconnectOptions o = MQTTAsync_disconnectOptions_initializer;

	if (code == MQTTASYNC_OPERATION_INCOMPLETE)
		return; /* we have ended it */
	/* The library shall not try again by itself, of which it would not tell. */
	MQTTAsync_disconnect(d->client, &o);
	pdev_lock();
	not_online(d, why.kind, why.detail);
	/* Looked at by the schedule's thread: connecting again from here would recurse. */
	d->lost_pending = true;
	pdev_unlock();
}

static void on_refused(void *ctx, MQTTAsync_failureData *r)
{
	refused(ctx, r->code, r->message);
}

static void on_refused5(void *ctx, MQTTAsync_failureData5 *r)
{
	refused(ctx, r->code, r->message);
}

static uint64_t seconds(uint64_t ns)
{
	return ns ? (ns + 999999999) / 1000000000 : 1;
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
	ok = pdev_render(d, t, 0, buf, cap) >= 0;
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
	MQTTProperties props = MQTTProperties_initializer;
	MQTTProperty expiry = {.identifier = MQTTPROPERTY_CODE_SESSION_EXPIRY_INTERVAL,
			       .value.integer4 = ty->p.session_expiry_s};
	char user[SIM_USER_MAX], password[SIM_PASSWORD_MAX], topic[1024], payload[SIM_WILL_MAX + 1],
		cert[512], key[512];
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
		/* Without it the session ends with the connection. */
		if (!ty->p.clean && !MQTTProperties_add(&props, &expiry))
			o.connectProperties = &props;
		o.onSuccess5 = on_accepted5;
		o.onFailure5 = on_refused5;
	} else {
		o.cleansession = ty->p.clean;
		o.onSuccess = on_accepted;
		o.onFailure = on_refused;
	}
	if (*ty->p.username && pdev_render(d, ty->user, 0, user, sizeof(user)) >= 0)
		o.username = user;
	if (*ty->p.password && pdev_render(d, ty->password, 0, password, sizeof(password)) >= 0)
		o.password = password;
	if (ty->will && pdev_render(d, ty->will, 0, topic, sizeof(topic)) >= 0 &&
	    pdev_render(d, ty->will_payload, d->connect_ns, payload, sizeof(payload)) >= 0) {
		will.topicName = topic;
		will.message = payload;
		will.qos = ty->p.will_qos;
		will.retained = ty->p.will_retain;
		o.will = &will;
	}
	if (ty->p.tls) {
		ssl.verify = !ty->p.insecure;
		ssl.enableServerCertAuth = !ty->p.insecure;
		ssl.ssl_error_cb = pwhy_tls;
		ssl.trustStore = *ty->p.ca ? ty->p.ca : NULL;
		if (*ty->p.cert && path_of(d, ty->p.cert, cert, sizeof(cert)))
			ssl.keyStore = cert;
		if (*ty->p.key && path_of(d, ty->p.key, key, sizeof(key)))
			ssl.privateKey = key;
		o.ssl = &ssl;
	}
	rc = MQTTAsync_connect(d->client, &o);
	MQTTProperties_free(&props);
	/* One that is on its way already has its call-backs. */
	if (rc != MQTTASYNC_SUCCESS && rc != MQTTASYNC_COMMAND_IGNORED)
		refused(d, rc, NULL);
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
	if (pdev_render(d, ty->thing, 0, id, sizeof(id)) < 0 || !(d->thing = strdup(id)) ||
	    pdev_render(d, ty->client, 0, id, sizeof(id)) < 0 ||
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
	if (ty->p.version == MQTT_V5)
		MQTTAsync_setDisconnected(d->client, d, on_disconnected);
	pdev_lock();
	d->connect_ns = sched_ns;
	d->was_up = d->draining = d->lost_pending = d->linked = d->refused = d->leaving = false;
	d->nsubs = 0;
	d->ungranted = F_NONE;
	d->max_packet = 0;
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
	pdev_end_all(d);
	gauge(d, false, false);
	free(d->thing);
	free(d->walk);
	d->thing = NULL;
	d->walk = NULL;
	d->nwalk = 0;
	pdev_unlock();
}
