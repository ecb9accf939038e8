// SPDX-License-Identifier: GPL-2.0-only
/*
 * A device's life.
 *
 *   OFF -> WAIT -> TCP -> TLS -> CONNACK -> SUBACK -> ONLINE -> DRAIN -> OFF
 *            ^______________|________|________|________|   lost: back off
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <openssl/err.h>
#include "sim/fleet/options.h"
#include "sim/engine/shard.h"

/* An end may come with data, and then no further event follows: it is read up to the end. */
#define ENDED (EPOLLRDHUP | EPOLLERR | EPOLLHUP)

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

static struct stype *type_of(struct shard *sh, const struct device *d)
{
	return &sh->type[d->type];
}

/* Keeps the gauges, which is all that others see of a state. */
static void set_state(struct shard *sh, struct device *d, enum dev_state to)
{
	bool was_up = d->state == D_ONLINE || d->state == D_DRAIN,
	     is_up = to == D_ONLINE || to == D_DRAIN;

	SIM_ADD(&sh->pub->type[d->type].running, (uint32_t)((to != D_OFF) - (d->state != D_OFF)));
	SIM_ADD(&sh->pub->type[d->type].connected, (uint32_t)(is_up - was_up));
	SIM_ADD(&sh->pub->type[d->type].backoff, (uint32_t)((to == D_WAIT) - (d->state == D_WAIT)));
	d->state = (uint8_t)to;
}

struct extra *dev_extra(struct device *d)
{
	if (!d->x)
		d->x = calloc(1, sizeof(*d->x));
	return d->x;
}

static int name_device(struct stype *ty, struct device *d)
{
	struct sim_tmpl_ctx c = {.type = ty->p.name, .index = d->index + ty->p.first};
	char buf[256];
	long n;

	n = sim_tmpl_render(ty->thing, &c, buf, sizeof(buf) - 1);
	if (n < 0)
		return (int)n;
	buf[n] = 0;
	free(d->thing);
	d->thing = strdup(buf);
	return d->thing ? 0 : -ENOMEM;
}

/* --- connecting ---------------------------------------------------------------- */

static int open_socket(struct shard *sh, struct stype *ty, struct device *d, uint32_t *ret_errno)
{
	const union sim_addr *to = &ty->p.addr[ty->next_addr++ % ty->p.naddrs];
	socklen_t len = to->sa.sa_family == AF_INET ? sizeof(to->in) : sizeof(to->in6);
	struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
				 .data.ptr = d};
	int one = 1, e;

	d->fd = socket(to->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (d->fd < 0) {
		*ret_errno = (uint32_t)errno;
		return F_SOCKET;
	}
	/* A device's small messages must not wait for each other's ACKs. */
	setsockopt(d->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (ty->p.nbinds) {
		const union sim_addr *from = NULL;

		for (unsigned i = 0; i < ty->p.nbinds && !from; i++) {
			from = &ty->p.bind[ty->next_bind++ % ty->p.nbinds];
			if (from->sa.sa_family != to->sa.sa_family)
				from = NULL;
		}
		/* The port is chosen at connect(), per destination: bind() alone would halve them.
		 */
		setsockopt(d->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
		if (from && bind(d->fd, &from->sa, len)) {
			*ret_errno = (uint32_t)errno;
			return F_SOCKET;
		}
	}
	if (connect(d->fd, &to->sa, len) && errno != EINPROGRESS) {
		e = errno;
		*ret_errno = (uint32_t)e;
		return e == ECONNREFUSED		       ? F_REFUSED
		       : e == ECONNRESET		       ? F_RESET
		       : e == ENETUNREACH || e == EHOSTUNREACH ? F_UNREACHABLE
							       : F_SOCKET;
	}
	/* Edge-triggered for both: no epoll_ctl() ever again for this socket. */
	if (epoll_ctl(sh->epfd, EPOLL_CTL_ADD, d->fd, &ev)) {
		*ret_errno = (uint32_t)errno;
		return F_SOCKET;
	}
	return 0;
}

static void connect_now(struct shard *sh, struct device *d)
{
	struct stype *ty = type_of(sh, d);
	uint32_t detail = 0;
	int kind;

	if (ty->p.aws) {
		/* The account's 500 connects per second, shared by the shards. */
		if (sh->next_connect_ns > sh->now) {
			wheel_arm(&sh->wheel, &d->life, sh->next_connect_ns);
			sh->next_connect_ns += 2000000ull * sh->a->nlean;
			return;
		}
		sh->next_connect_ns = sh->now + 2000000ull * sh->a->nlean;
	}
	d->keepalive_s = (uint16_t)ty->p.keepalive_s;
	d->recv_max = 0;
	set_state(sh, d, D_TCP);
	kind = open_socket(sh, ty, d, &detail);
	if (kind) {
		dev_lost(sh, d, (enum sim_fail)kind, detail);
		return;
	}
	wheel_arm(&sh->wheel, &d->life, sh->now + ty->p.connect_timeout_ns);
}

void dev_start(struct shard *sh, struct device *d, uint64_t sched_ns)
{
	struct stype *ty = type_of(sh, d);

	if (d->state == D_DRAIN) {
		/* Was on its way out: stays. */
		set_state(sh, d, D_ONLINE);
		d->drop = false;
		wheel_arm(&sh->wheel, &d->life, sh->now + 1000000);
		pub_schedule(sh, d, true);
		return;
	}
	if (d->state != D_OFF)
		return;
	if (name_device(ty, d))
		return;
	d->connect_ns = sched_ns;
	d->attempts = 0;
	d->ever_online = false;
	d->fd = -1;
	set_state(sh, d, D_WAIT);
	connect_now(sh, d);
}

static struct mqtt_slice render(const struct sim_tmpl *t, struct sim_tmpl_ctx *c, char *buf,
				size_t cap)
{
	long n = t ? sim_tmpl_render(t, c, buf, cap) : 0;

	return mqtt_slice(buf, n < 0 ? 0 : (size_t)n);
}

static void send_connect(struct shard *sh, struct device *d)
{
	struct stype *ty = type_of(sh, d);
	struct sim_tmpl_ctx c = {.thing = d->thing,
				 .client_id = d->thing,
				 .type = ty->p.name,
				 .index = d->index + ty->p.first,
				 .rng = &d->rng};
	char id[256], user[256], will[1024], will_payload[4096];
	struct mqtt_connect m = {
		.version = ty->p.version, .clean = ty->p.clean, .keepalive = d->keepalive_s};
	struct mqtt_props props = {0};
	size_t cap;
	uint8_t *at;
	double walks[16];
	long n;

	m.client_id = render(ty->client, &c, id, sizeof(id));
	if (*ty->p.username) {
		m.has_username = true;
		m.username = render(ty->user, &c, user, sizeof(user));
	}
	if (*ty->p.password) {
		m.has_password = true;
		m.password = mqtt_slice(ty->p.password, strlen(ty->p.password));
	}
	if (ty->will) {
		m.has_will = true;
		m.will_qos = ty->p.will_qos;
		m.will_retain = ty->p.will_retain;
		m.will_topic = render(ty->will, &c, will, sizeof(will));
		c.walk = walks;
		for (int i = 0; i < 16; i++)
			walks[i] = 0;
		if (sim_tmpl_walks(ty->will_payload) <= 16)
			m.will_payload =
				render(ty->will_payload, &c, will_payload, sizeof(will_payload));
	}
	if (ty->p.version == MQTT_V5 && !ty->p.clean) {
		props.session_expiry = ty->p.session_expiry_s;
		props.have |= 1ull << MQTT_P_SESSION_EXPIRY;
	}
	set_state(sh, d, D_CONNACK);
	at = io_room(sh, d, 8192, &cap);
	n = mqtt_enc_connect(at, cap, &m, &props);
	if (n < 0) {
		dev_lost(sh, d, F_TOO_BIG, 0);
		return;
	}
	io_wrote(sh, n);
	io_flush(sh, d);
}

static void tls_step(struct shard *sh, struct device *d)
{
	struct stype *ty = type_of(sh, d);
	struct sim_err err;
	int rc, e;
	long verify;

	if (sim_tls_identity(ty->tls, d->index / ty->nshards, d->index, d->thing, &err)) {
		dev_lost(sh, d, F_CERT, 0);
		return;
	}
	ERR_clear_error();
	rc = SSL_connect(d->ssl);
	if (rc == 1) {
		if (SSL_session_reused(d->ssl))
			SIM_ADD(&sh->pub->tot.resumed, 1);
		sh->trim_ns = sh->now + SIM_TRIM_NS;
		send_connect(sh, d);
		/* A ticket may have come with the last flight. */
		if (d->fd >= 0)
			io_readable(sh, d);
		return;
	}
	e = SSL_get_error(d->ssl, rc);
	if (e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE)
		return;
	verify = SSL_get_verify_result(d->ssl);
	/* A session that did not work is not tried again. */
	SSL_SESSION_free(d->session);
	d->session = NULL;
	if (verify != X509_V_OK && e == SSL_ERROR_SSL && SSL_get_verify_mode(d->ssl))
		dev_lost(sh, d, F_TLS_VERIFY, (uint32_t)verify);
	else if (e == SSL_ERROR_SSL)
		dev_lost(sh, d, F_TLS, (uint32_t)ERR_peek_error());
	else
		dev_lost(sh, d, e == SSL_ERROR_ZERO_RETURN || !errno ? F_CLOSED : F_RESET, 0);
}

static void connected(struct shard *sh, struct device *d)
{
	struct stype *ty = type_of(sh, d);
	SSL_SESSION *resume = d->session;

	if (!ty->p.tls) {
		send_connect(sh, d);
		return;
	}
	if (ty->p.resume == SIM_RESUME_FULL ||
	    (ty->p.resume == SIM_RESUME_MIXED && sim_rand(&d->rng) & 1))
		resume = NULL;
	if (!ty->tls) {
		dev_lost(sh, d, F_CERT, 0);
		return;
	}
	d->ssl = sim_tls_connect(ty->tls, d->fd, resume, d);
	if (!d->ssl) {
		dev_lost(sh, d, F_MEMORY, 0);
		return;
	}
	set_state(sh, d, D_TLS);
	tls_step(sh, d);
}

static void online(struct shard *sh, struct device *d)
{
	struct stype *ty = type_of(sh, d);
	bool first = !d->ever_online;

	set_state(sh, d, D_ONLINE);
	d->attempts = 0;
	d->ever_online = true;
	d->last_out_ms = d->last_in_ms = ms_of(sh->now);
	if (first && sh->a->first_ms && ty->p.e2e)
		SIM_STORE(&sh->a->first_ms[(size_t)d->type * sh->a->max_devices + d->index],
			  ms_of(sh->now));
	/* The first look at keep-alive and window; after that they set their own pace. */
	wheel_arm(&sh->wheel, &d->life, sh->now + 1000000000ull);
	pub_resend(sh, d);
	if (d->fd < 0)
		return;
	if (first || !ty->p.interval_ns)
		pub_schedule(sh, d, true);
	if (sh->quiet || d->drop)
		return;
	pub_more(sh, d);
}

static void send_subscribe(struct shard *sh, struct device *d)
{
	struct stype *ty = type_of(sh, d);
	struct sim_tmpl_ctx c = {.thing = d->thing,
				 .client_id = d->thing,
				 .type = ty->p.name,
				 .index = d->index + ty->p.first};
	struct mqtt_filter f[SIM_MAX_SUBS + 4];
	char text[SIM_MAX_SUBS + 4][512];
	uint8_t *at;
	size_t cap;

	for (unsigned i = 0; i < ty->nsubs; i++) {
		f[i].filter = render(ty->sub[i], &c, text[i], sizeof(text[i]));
		f[i].options = ty->p.sub_qos;
	}
	set_state(sh, d, D_SUBACK);
	at = io_room(sh, d, 8192, &cap);
	/* No message has identifier 65535's slot before the SUBACK has come. */
	io_wrote(sh, mqtt_enc_subscribe(at, cap, ty->p.version, 65535, f, ty->nsubs, NULL));
}

void dev_connack(struct shard *sh, struct device *d, const struct mqtt_packet *p)
{
	struct stype *ty = type_of(sh, d);

	if (p->reason) {
		dev_lost(sh, d, F_CONNACK, p->reason | (ty->p.version == MQTT_V5 ? 256u : 0));
		return;
	}
	if (MQTT_HAS(&p->props, MQTT_P_MAX_QOS) && p->props.max_qos < ty->p.qos) {
		dev_lost(sh, d, F_MAX_QOS, p->props.max_qos);
		return;
	}
	if (MQTT_HAS(&p->props, MQTT_P_SERVER_KEEPALIVE))
		d->keepalive_s = p->props.server_keepalive;
	if (MQTT_HAS(&p->props, MQTT_P_RECEIVE_MAX))
		d->recv_max = p->props.receive_max;
	stat_ok(sh, d->type, SIM_CONNECT, d->connect_ns, sh->now, 0);
	SIM_ADD(&sh->pub->tot.connects, 1);
	if (d->connected_once)
		SIM_ADD(&sh->pub->tot.reconnects, 1);
	d->connected_once = true;
	if (!p->session_present) {
		/* What the broker has forgotten the device must forget too. */
		for (uint32_t i = 0; d->win && d->win->n && i <= d->win->mask; i++) {
			if (!d->win->slot[i].id)
				continue;
			msg_failed(sh, d->type, SIM_PUBACK, F_SESSION_LOST, 0);
			free(d->win->slot[i].copy);
			memset(&d->win->slot[i], 0, sizeof(d->win->slot[i]));
			d->win->n--;
		}
		if (d->x) {
			free(d->x->qos2);
			d->x->qos2 = NULL;
			d->x->nqos2 = 0;
		}
	}
	if (ty->nsubs)
		send_subscribe(sh, d);
	else
		online(sh, d);
}

void dev_suback(struct shard *sh, struct device *d, const struct mqtt_packet *p)
{
	struct extra *x;

	if (d->state != D_SUBACK || p->id != 65535) {
		dev_lost(sh, d, F_PROTOCOL, PROTO_UNEXPECTED);
		return;
	}
	for (uint32_t i = 0; i < p->list.n; i++) {
		if (p->list.p[i] >= 0x80) {
			dev_lost(sh, d, F_SUBACK, p->list.p[i]);
			return;
		}
	}
	SIM_ADD(&sh->pub->tot.subscribed, p->list.n);
	x = dev_extra(d);
	if (x && !x->ever_subscribed) {
		x->ever_subscribed = true;
		x->subscribed_ns = sh->now;
	}
	online(sh, d);
}

/* --- losing it ------------------------------------------------------------------- */

static void off(struct shard *sh, struct device *d)
{
	pub_fail_all(sh, d, F_STOPPED, false);
	wheel_cancel(&sh->wheel, &d->pub);
	wheel_cancel(&sh->wheel, &d->life);
	busy_del(sh, d);
	set_state(sh, d, D_OFF);
	d->drop = false;
	free(d->win);
	d->win = NULL;
	if (d->x) {
		free(d->x->walk);
		d->x->walk = NULL;
		free(d->x->qos2);
		d->x->qos2 = NULL;
		d->x->nqos2 = 0;
	}
}

static void back_off(struct shard *sh, struct device *d)
{
	struct stype *ty = type_of(sh, d);
	uint64_t limit = ty->p.backoff_base_ns, at;

	for (unsigned i = 0; i < d->attempts && limit < ty->p.backoff_max_ns; i++)
		limit *= 2;
	if (limit > ty->p.backoff_max_ns)
		limit = ty->p.backoff_max_ns;
	if (d->attempts < 63)
		d->attempts++;
	/* Full jitter, as AWS advises: devices that fell together must not rise together. */
	at = sh->now + (uint64_t)((double)limit * sim_rand1(&d->rng));
	set_state(sh, d, D_WAIT);
	/* A connect's time counts from when the device meant to begin it. */
	d->connect_ns = wheel_round(at);
	wheel_arm(&sh->wheel, &d->life, at);
}

void dev_lost(struct shard *sh, struct device *d, enum sim_fail kind, uint32_t detail)
{
	struct stype *ty = type_of(sh, d);
	bool was_up = d->state == D_ONLINE || d->state == D_DRAIN, stopping = d->state == D_DRAIN;

	if (was_up) {
		stat_fail(sh, d->type, SIM_DISCONNECT, kind, detail, 1);
		SIM_ADD(&sh->pub->tot.lost_connections, 1);
	} else {
		stat_fail(sh, d->type, SIM_CONNECT, kind, detail, 1);
		SIM_ADD(&sh->pub->tot.connect_failures, 1);
	}
	pub_fail_all(sh, d, F_LOST, !ty->p.clean);
	busy_del(sh, d);
	io_close(sh, d, false);
	if (stopping || d->drop)
		off(sh, d);
	else
		back_off(sh, d);
}

void dev_drop(struct shard *sh, struct device *d)
{
	struct stype *ty = type_of(sh, d);

	if (d->state != D_ONLINE)
		return;
	pub_fail_all(sh, d, F_LOST, !ty->p.clean);
	busy_del(sh, d);
	io_close(sh, d, true);
	set_state(sh, d, D_WAIT);
	d->connect_ns = sh->now;
	wheel_arm(&sh->wheel, &d->life, sh->now);
}

static void hang_up(struct shard *sh, struct device *d)
{
	struct stype *ty = type_of(sh, d);
	size_t cap;
	uint8_t *at = io_room(sh, d, 16, &cap);

	io_wrote(sh, mqtt_enc_disconnect(at, cap, ty->p.version, 0, NULL));
	d->drop = true;
	io_flush(sh, d);
	if (d->state == D_OFF)
		return; /* the write found the connection broken */
	io_close(sh, d, false);
	off(sh, d);
}

void dev_drained(struct shard *sh, struct device *d)
{
	hang_up(sh, d);
}

void dev_stop(struct shard *sh, struct device *d)
{
	struct stype *ty = type_of(sh, d);

	if (d->state == D_OFF || d->state == D_DRAIN)
		return;
	if (d->state != D_ONLINE) {
		io_close(sh, d, true);
		off(sh, d);
		return;
	}
	wheel_cancel(&sh->wheel, &d->pub);
	busy_del(sh, d);
	set_state(sh, d, D_DRAIN);
	if (pub_idle(d)) {
		hang_up(sh, d);
		return;
	}
	wheel_arm(&sh->wheel, &d->life, sh->now + ty->p.ack_timeout_ns);
}

void dev_free(struct shard *sh, struct device *d)
{
	if (d->state != D_OFF) {
		io_close(sh, d, true);
		off(sh, d);
	}
	SSL_SESSION_free(d->session);
	free(d->thing);
	if (d->x)
		free(d->x->heard);
	free(d->x);
	d->session = NULL;
	d->thing = NULL;
	d->x = NULL;
}

/* --- timer and events ---------------------------------------------------------------- */

static void check_online(struct shard *sh, struct device *d)
{
	struct stype *ty = type_of(sh, d);
	uint64_t next = UINT64_MAX, half = (uint64_t)d->keepalive_s * 500;
	uint32_t now = ms_of(sh->now);
	size_t cap;
	uint8_t *at;

	pub_timeouts(sh, d, &next);
	if (d->keepalive_s) {
		/*
		 * A ping when three quarters of the interval passed without a packet
		 * either way: the broker must hear us, and we must notice a broker (or
		 * a network) that is gone. The answer has half an interval.
		 */
		uint32_t quiet_out = now - d->last_out_ms, quiet_in = now - d->last_in_ms,
			 quiet = quiet_out > quiet_in ? quiet_out : quiet_in;
		uint64_t due = half * 3 / 2, in;

		if (d->pinging && now - d->ping_ms >= half) {
			dev_lost(sh, d, F_KEEPALIVE, 0);
			return;
		}
		if (!d->pinging && quiet >= due) {
			at = io_room(sh, d, 8, &cap);
			io_wrote(sh, mqtt_enc_ping(at, cap, MQTT_PINGREQ));
			d->pinging = true;
			d->ping_ms = now;
			io_flush(sh, d);
			if (d->fd < 0)
				return;
		}
		in = d->pinging ? half - (now - d->ping_ms) : due - quiet;
		if (sh->now + in * 1000000 < next)
			next = sh->now + in * 1000000;
	}
	pub_more(sh, d);
	if (d->fd >= 0)
		io_flush(sh, d);
	if (d->fd >= 0 && next != UINT64_MAX)
		wheel_arm(&sh->wheel, &d->life, next + 1000000);
	(void)ty;
}

void dev_life(struct shard *sh, struct device *d)
{
	uint64_t next = UINT64_MAX;

	switch (d->state) {
	case D_WAIT:
		connect_now(sh, d);
		return;
	case D_TCP:
		dev_lost(sh, d, F_TCP_TIMEOUT, 0);
		return;
	case D_TLS:
	case D_CONNACK:
		dev_lost(sh, d, F_CONNACK_TIMEOUT, 0);
		return;
	case D_SUBACK:
		dev_lost(sh, d, F_SUBACK_TIMEOUT, 0);
		return;
	case D_ONLINE:
		check_online(sh, d);
		return;
	case D_DRAIN:
		/* Its messages have had their time: what is left has failed. */
		pub_timeouts(sh, d, &next);
		if (next == UINT64_MAX)
			hang_up(sh, d);
		else
			wheel_arm(&sh->wheel, &d->life, next + 1000000);
		return;
	}
}

void dev_event(struct shard *sh, struct device *d, uint32_t events)
{
	if (d->fd < 0)
		return;
	if (d->state == D_TCP) {
		int e = 0;
		socklen_t len = sizeof(e);

		if (!(events & (EPOLLOUT | EPOLLERR | EPOLLHUP)))
			return;
		if (events & (EPOLLERR | EPOLLHUP) &&
		    !getsockopt(d->fd, SOL_SOCKET, SO_ERROR, &e, &len) && e) {
			dev_lost(sh, d,
				 e == ECONNREFUSED			 ? F_REFUSED
				 : e == ECONNRESET			 ? F_RESET
				 : e == ETIMEDOUT			 ? F_TCP_TIMEOUT
				 : e == ENETUNREACH || e == EHOSTUNREACH ? F_UNREACHABLE
									 : F_SOCKET,
				 (uint32_t)(e == ENETUNREACH || e == EHOSTUNREACH ? e : 0));
			return;
		}
		connected(sh, d);
		/* What came before we said anything has had its edge with this event. */
		if (d->fd < 0 || d->state != D_CONNACK)
			return;
		events &= ~(uint32_t)EPOLLOUT;
	}
	if (d->state == D_TLS) {
		tls_step(sh, d);
		return;
	}
	if (events & EPOLLOUT && d->out) {
		io_writable(sh, d);
		if (d->fd >= 0 && !d->blocked) {
			pub_more(sh, d);
			if (d->fd >= 0)
				io_flush(sh, d);
		}
		if (d->fd >= 0 && d->state == D_DRAIN && pub_idle(d)) {
			hang_up(sh, d);
			return;
		}
	} else if (events & EPOLLOUT) {
		d->blocked = false;
	}
	if (events & ENDED)
		d->ended = true;
	if (d->fd >= 0 && events & (EPOLLIN | ENDED))
		io_readable(sh, d);
}
