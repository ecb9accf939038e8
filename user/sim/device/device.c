// SPDX-License-Identifier: GPL-2.0-only
/*
 * A device's life.
 *
 *   OFF -> WAIT -> TCP -> TLS (-> UPGRADE) -> CONNACK -> SUBACK -> ONLINE -> DRAIN -> OFF
 *            ^______________|________|________|________|   lost: back off
 *
 * Every turn of a device begins with begin() and ends with settle(), the only
 * place where a connection is given up.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include "sim/device/lean.h"

/* An end may come with data, and then no further event follows. */
#define ENDED (EPOLLRDHUP | EPOLLERR | EPOLLHUP)

/* Keeps the gauges, which is all that others see of a state. */
static void set_state(struct lean *ln, struct device *d, enum dev_state to)
{
	bool was_up = d->state == D_ONLINE || d->state == D_DRAIN,
	     is_up = to == D_ONLINE || to == D_DRAIN;
	struct sim_pub *p = ln->led.pub;

	SIM_ADD(&p->type[d->type].running, (uint32_t)((to != D_OFF) - (d->state != D_OFF)));
	SIM_ADD(&p->type[d->type].connected, (uint32_t)(is_up - was_up));
	SIM_ADD(&p->type[d->type].backoff, (uint32_t)((to == D_WAIT) - (d->state == D_WAIT)));
	d->state = (uint8_t)to;
}

static int name_device(struct stype *ty, struct device *d)
{
	struct sim_tmpl_ctx c = {.type = ty->p.name,
				 .index = d->index + ty->p.first,
				 .row = d->index + ty->p.credentials_skip};
	char buf[SIM_NAME_MAX + 1];
	long n;

	if (ty->creds && c.row >= sim_creds_rows(ty->creds))
		return -ENOENT;
	n = sim_tmpl_render(ty->thing, &c, buf, SIM_NAME_MAX);
	if (n < 0)
		return (int)n;
	buf[n] = 0;
	free(d->thing);
	d->thing = strdup(buf);
	if (!d->thing)
		return -ENOMEM;
	/* Only the first device's was tried when the options were checked. */
	c.thing = d->thing;
	n = sim_tmpl_render(ty->client, &c, buf, SIM_NAME_MAX);
	return n < 0 ? (int)n : 0;
}

/* --- the way up ------------------------------------------------------------------ */

static void connect_now(struct lean *ln, struct device *d)
{
	struct stype *ty = type_of(ln, d);

	if (con_waits(ln, d)) {
		wheel_arm(&ln->wheel, &d->life, ln->led.now + 20000000);
		return;
	}
	if (ty->p.aws) {
		/* The account's 500 connects per second, shared by the shards. */
		if (ln->next_connect_ns > ln->led.now) {
			wheel_arm(&ln->wheel, &d->life, ln->next_connect_ns);
			ln->next_connect_ns += 2000000ull * ln->led.a->nlean;
			return;
		}
		ln->next_connect_ns = ln->led.now + 2000000ull * ln->led.a->nlean;
	}
	d->keepalive_s = (uint16_t)ty->p.keepalive_s;
	d->recv_max = 0;
	d->max_packet = 0;
	d->limited = false;
	d->alias_max = 0;
	d->aliased = false;
	set_state(ln, d, D_TCP);
	if (!con_open(ln, d))
		wheel_arm(&ln->wheel, &d->life, ln->led.now + ty->p.connect_timeout_ns);
}

static void online(struct lean *ln, struct device *d)
{
	struct stype *ty = type_of(ln, d);
	bool first = !d->ever_online;

	/* Not at CONNACK: an attempt whose SUBSCRIBE is refused has failed, and only that. */
	stat_ok(&ln->led, d->type, SIM_CONNECT, ln->led.now - d->connect_ns, ln->led.now, 0);
	SIM_ADD(&ln->led.pub->tot.connects, 1);
	if (d->connected_in == SIM_LOAD(&ln->led.a->figures))
		SIM_ADD(&ln->led.pub->tot.reconnects, 1);
	d->connected_in = SIM_LOAD(&ln->led.a->figures);
	set_state(ln, d, D_ONLINE);
	d->up_ms = ms_of(ln->led.now);
	d->ever_online = true;
	d->last_out_ms = d->last_in_ms = ms_of(ln->led.now);
	if (first && ty->p.e2e)
		e2e_online(ln, d);
	/* The first look at keep-alive and window; after that they set their own pace. */
	wheel_arm(&ln->wheel, &d->life, ln->led.now + 1000000000ull);
	win_resume(ln, d);
	win_resend(ln, d);
	if (first || !ty->p.interval_ns)
		pub_schedule(ln, d, true);
	if (!ln->quiet)
		pub_more(ln, d);
}

static void on_connack(struct lean *ln, struct device *d, const struct mqtt_packet *p)
{
	struct stype *ty = type_of(ln, d);

	if (!con_granted(ln, d, p)) {
		con_redirect(ln, d, p->reason, &p->props);
		return;
	}
	d->connect_ns = ln->led.now > d->connect_ns ? ln->led.now - d->connect_ns : 0;
	if (!p->session_present) {
		/* What the broker has forgotten the device must forget too. */
		win_fail(ln, d, F_SESSION_LOST);
		if (d->x) {
			free(d->x->qos2);
			d->x->qos2 = NULL;
			d->x->nqos2 = 0;
		}
	}
	if (!ty->nsubs) {
		online(ln, d);
		return;
	}
	set_state(ln, d, D_SUBACK);
	con_subscribe(ln, d);
}

static void on_suback(struct lean *ln, struct device *d, const struct mqtt_packet *p)
{
	unsigned nth = CON_SUB_ID - p->id;
	struct extra *x;

	if (d->state != D_SUBACK || nth > 7 || !(d->subacks & 1u << nth)) {
		dev_fail(d, F_PROTOCOL, PROTO_UNEXPECTED);
		return;
	}
	/* One for each filter, 3.8.4-5: who gets fewer does not know what it is subscribed to. */
	if (p->list.n != con_filters(type_of(ln, d), nth)) {
		dev_fail(d, F_PROTOCOL, PROTO_SUBACK);
		return;
	}
	for (uint32_t i = 0; i < p->list.n; i++) {
		if (p->list.p[i] >= 0x80) {
			dev_fail_props(ln, d, F_SUBACK,
				       p->list.p[i] |
					       (type_of(ln, d)->p.version == MQTT_V5 ? 256u : 0),
				       &p->props);
			return;
		}
	}
	SIM_ADD(&ln->led.pub->tot.subscribed, p->list.n);
	d->subacks &= (uint8_t) ~(1u << nth);
	if (d->subacks)
		return;
	x = dev_extra(d);
	if (x && !x->ever_subscribed) {
		x->ever_subscribed = true;
		x->subscribed_ns = ln->led.now;
		e2e_subscribed(ln);
	}
	online(ln, d);
}

static void readable(struct lean *ln, struct device *d)
{
	struct mqtt_packet p;

	if (d->fail)
		return;
	rx_begin(ln, d);
	while (rx_next(ln, d, &p)) {
		if (p.type == MQTT_CONNACK)
			on_connack(ln, d, &p);
		else if (p.type == MQTT_SUBACK)
			on_suback(ln, d, &p);
		else {
			dev_fail_props(ln, d, F_DISCONNECT, p.reason, &p.props);
			con_redirect(ln, d, p.reason, &p.props);
		}
	}
}

/* --- the end --------------------------------------------------------------------- */

/* Lets go of the connection; what was in flight has failed, but for a session's window. */
static void close_it(struct lean *ln, struct device *d, bool reset, enum sim_fail unsent,
		     enum sim_fail unacked, bool keep_window)
{
	pub_fail(ln, d, unsent);
	if (!keep_window)
		win_fail(ln, d, unacked);
	busy_del(ln, d);
	/* TIME_WAIT, or a FIN that nobody answers, would keep the device's own port from it. */
	io_close(ln, d, reset || type_of(ln, d)->p.port_low);
	d->fail = F_NONE;
}

static void off(struct lean *ln, struct device *d, bool reset)
{
	close_it(ln, d, reset, F_STOPPED, F_STOPPED, false);
	wheel_cancel(&ln->wheel, &d->pub);
	wheel_cancel(&ln->wheel, &d->life);
	set_state(ln, d, D_OFF);
	d->timed_out = false;
	free(d->win);
	d->win = NULL;
	if (d->x) {
		free(d->x->walk);
		d->x->walk = NULL;
		d->x->nwalk = 0;
		d->x->redirect = NULL;
		free(d->x->qos2);
		d->x->qos2 = NULL;
		d->x->nqos2 = 0;
		if (!ln->quiet)
			e2e_forget(d->x);
	}
}

static void back_off(struct lean *ln, struct device *d, bool anew)
{
	struct stype *ty = type_of(ln, d);
	uint64_t limit = ty->p.backoff_base_ns, at;

	if (anew)
		d->attempts = 0;
	for (unsigned i = 0; i < d->attempts && limit < ty->p.backoff_max_ns; i++)
		limit *= 2;
	if (limit > ty->p.backoff_max_ns)
		limit = ty->p.backoff_max_ns;
	if (d->attempts < 63)
		d->attempts++;
	/* Full jitter, as AWS advises: devices that fell together must not rise together. */
	at = ln->led.now + (uint64_t)((double)limit * sim_rand1(&d->rng));
	set_state(ln, d, D_WAIT);
	/* A connect's time counts from when the device meant to begin it. */
	d->connect_ns = wheel_round(at);
	wheel_arm(&ln->wheel, &d->life, at);
}

static void lost(struct lean *ln, struct device *d)
{
	bool was_up = d->state == D_ONLINE || d->state == D_DRAIN, stopping = d->state == D_DRAIN;
	/* A broker that accepts and throws out at once is no reason to begin anew. */
	bool lasted = was_up &&
		      ms_of(ln->led.now) - d->up_ms >= ms_of(type_of(ln, d)->p.backoff_reset_ns);
	struct sim_totals *tot = &ln->led.pub->tot;

	stat_fail(&ln->led, d->type, was_up ? SIM_DISCONNECT : SIM_CONNECT, (enum sim_fail)d->fail,
		  d->fail_detail, ln->note);
	if (was_up)
		SIM_ADD(&tot->lost_connections, 1);
	else
		SIM_ADD(&tot->connect_failures, 1);
	close_it(ln, d, false, F_UNSENT, F_LOST, !type_of(ln, d)->p.clean);
	con_lost(ln, d, was_up);
	if (stopping)
		off(ln, d, false);
	else
		back_off(ln, d, lasted);
}

static void hang_up(struct lean *ln, struct device *d)
{
	size_t cap;
	uint8_t *at;

	out_begin(ln, d);
	at = out_room(ln, 16, &cap);
	if (at)
		out_wrote(ln, mqtt_enc_disconnect(at, cap, type_of(ln, d)->p.version, 0, NULL));
	out_end(ln);
	if (!d->fail)
		off(ln, d, false);
}

static void begin(struct lean *ln, struct device *d)
{
	ln->note[0] = 0;
	out_begin(ln, d);
}

/* A window that stands empty for long is a third of an idle device's memory. */
#define WINDOW_KEPT_NS 5000000000ull

/*
 * A write has failed since the broker has gone. What it had said before is still there: which
 * messages it has, and why it went.
 */
static void last_words(struct lean *ln, struct device *d)
{
	uint8_t fail = d->fail;
	uint32_t detail = d->fail_detail;

	d->fail = F_NONE;
	d->ended = d->blocked = true; /* read to the end, send nothing */
	out_begin(ln, d);
	readable(ln, d);
	out_end(ln);
	if (d->fail && d->fail != F_CLOSED && d->fail != F_RESET && d->fail != F_TLS)
		return;
	d->fail = fail;
	d->fail_detail = detail;
}

static void settle(struct lean *ln, struct device *d)
{
	out_end(ln);
	if (d->win && !d->win->n && !d->win->owed &&
	    type_of(ln, d)->p.interval_ns >= WINDOW_KEPT_NS) {
		free(d->win);
		d->win = NULL;
	}
	if (d->state == D_DRAIN && !d->fail && (pub_idle(d) || d->timed_out))
		hang_up(ln, d);
	if (d->mute && d->state >= D_CONNACK)
		last_words(ln, d);
	if (d->fail)
		lost(ln, d);
}

/* --- turns ------------------------------------------------------------------------ */

void dev_start(struct lean *ln, struct device *d, uint64_t sched_ns)
{
	struct stype *ty = type_of(ln, d);
	int rc;

	if (d->state == D_DRAIN) {
		/* Was on its way out: stays. */
		set_state(ln, d, D_ONLINE);
		d->timed_out = false;
		wheel_arm(&ln->wheel, &d->life, ln->led.now + 1000000);
		pub_schedule(ln, d, true);
		return;
	}
	if (d->state != D_OFF)
		return;
	rc = name_device(ty, d);
	if (rc) {
		stat_fail(&ln->led, d->type, SIM_CONNECT, rc == -ENOMEM ? F_MEMORY : F_NAME,
			  rc == -ENOENT, NULL);
		SIM_ADD(&ln->led.pub->tot.connect_failures, 1);
		SIM_ADD(&ln->led.pub->tot.not_made, 1);
		return;
	}
	d->connect_ns = sched_ns;
	d->attempts = 0;
	d->ever_online = false;
	d->fd = -1;
	begin(ln, d);
	set_state(ln, d, D_WAIT);
	connect_now(ln, d);
	settle(ln, d);
}

void dev_drop(struct lean *ln, struct device *d)
{
	if (d->state != D_ONLINE)
		return;
	SIM_ADD(&ln->led.pub->tot.dropped, 1);
	close_it(ln, d, true, F_UNSENT, F_LOST, !type_of(ln, d)->p.clean);
	set_state(ln, d, D_WAIT);
	d->connect_ns = ln->led.now;
	wheel_arm(&ln->wheel, &d->life, ln->led.now);
}

void dev_stop(struct lean *ln, struct device *d)
{
	if (d->state == D_OFF || d->state == D_DRAIN)
		return;
	if (d->state != D_ONLINE) {
		off(ln, d, true);
		return;
	}
	begin(ln, d);
	wheel_cancel(&ln->wheel, &d->pub);
	busy_del(ln, d);
	set_state(ln, d, D_DRAIN);
	wheel_arm(&ln->wheel, &d->life, ln->led.now + type_of(ln, d)->p.ack_timeout_ns);
	settle(ln, d);
}

void dev_end(struct lean *ln, struct device *d)
{
	if (d->state != D_OFF)
		off(ln, d, true);
}

void dev_free(struct lean *ln, struct device *d)
{
	dev_end(ln, d);
	SSL_SESSION_free(d->session);
	free(d->thing);
	if (d->x)
		e2e_forget(d->x);
	free(d->x);
	d->session = NULL;
	d->thing = NULL;
	d->x = NULL;
}

/*
 * A ping when three quarters of the interval passed without a packet either way:
 * the broker must hear us, and we must notice a broker (or a network) that is
 * gone. The answer has half an interval.
 */
static void keep_alive(struct lean *ln, struct device *d, uint64_t *next)
{
	uint64_t half = (uint64_t)d->keepalive_s * 500, due = half * 3 / 2, in;
	uint32_t now = ms_of(ln->led.now), quiet_out = now - d->last_out_ms,
		 quiet_in = now - d->last_in_ms,
		 quiet = quiet_out > quiet_in ? quiet_out : quiet_in;
	bool streaming = d->out && d->out->stream;
	size_t cap;
	uint8_t *at;

	/* The answer comes behind a long message; what comes of that says as much. */
	if (big_passing(d) && d->pinging && (int32_t)(d->last_in_ms - d->ping_ms) > 0)
		d->ping_ms = d->last_in_ms;
	/* And no ping goes into the middle of one of ours. */
	if (streaming)
		d->pinging = false;
	if (streaming ? quiet_out >= due + half : d->pinging && now - d->ping_ms >= half) {
		dev_fail(d, F_KEEPALIVE, 0);
		return;
	}
	if (!streaming && !d->pinging && quiet >= due) {
		at = out_room(ln, 8, &cap);
		if (!at)
			return;
		out_wrote(ln, mqtt_enc_ping(at, cap, MQTT_PINGREQ));
		d->pinging = true;
		d->ping_ms = now;
	}
	in = streaming	  ? due + half - quiet_out
	     : d->pinging ? half - (now - d->ping_ms)
			  : due - quiet;
	if (ln->led.now + in * 1000000 < *next)
		*next = ln->led.now + in * 1000000;
}

static void check_online(struct lean *ln, struct device *d)
{
	uint64_t next = UINT64_MAX;

	win_timeouts(ln, d, &next);
	if (d->keepalive_s)
		keep_alive(ln, d, &next);
	if (next != UINT64_MAX)
		wheel_arm(&ln->wheel, &d->life, next + 1000000);
	win_resend(ln, d);
	pub_more(ln, d); /* may want to look again before that */
}

void dev_life(struct lean *ln, struct device *d)
{
	uint64_t next = UINT64_MAX;

	begin(ln, d);
	switch (d->state) {
	case D_WAIT:
		connect_now(ln, d);
		break;
	case D_TCP:
		dev_fail(d, F_TCP_TIMEOUT, 0);
		break;
	case D_TLS:
	case D_CONNACK:
		dev_fail(d, F_CONNACK_TIMEOUT, 0);
		break;
	case D_UPGRADE:
		dev_fail(d, F_UPGRADE, 1);
		break;
	case D_SUBACK:
		dev_fail(d, F_SUBACK_TIMEOUT, 0);
		break;
	case D_ONLINE:
		check_online(ln, d);
		break;
	case D_DRAIN:
		/* Its messages have had their time: what is left has failed. */
		win_timeouts(ln, d, &next);
		d->timed_out = next == UINT64_MAX;
		if (!d->timed_out)
			wheel_arm(&ln->wheel, &d->life, next + 1000000);
		break;
	}
	settle(ln, d);
}

void dev_due(struct lean *ln, struct device *d)
{
	begin(ln, d);
	pub_due(ln, d);
	settle(ln, d);
}

void dev_busy(struct lean *ln, struct device *d)
{
	begin(ln, d);
	pub_busy(ln, d);
	settle(ln, d);
}

static void event(struct lean *ln, struct device *d, uint32_t events)
{
	int rc;

	if (events & ENDED)
		d->ended = true;
	if (d->state == D_TCP) {
		rc = con_opened(ln, d, events);
		if (rc)
			return;
		set_state(ln, d, D_TLS);
		if (d->ssl)
			rc = con_tls(ln, d);
	} else if (d->state == D_TLS) {
		rc = con_tls(ln, d);
	} else if (d->state == D_UPGRADE) {
		out_writable(ln);
		rc = ws_upgrade(ln, d);
	} else {
		if (events & EPOLLOUT && d->out) {
			out_writable(ln);
			win_resend(ln, d);
			pub_more(ln, d);
		}
		if (events & (EPOLLIN | ENDED) || (d->unread && !d->out))
			readable(ln, d);
		return;
	}
	if (!rc && d->state == D_TLS && type_of(ln, d)->p.ws) {
		set_state(ln, d, D_UPGRADE);
		rc = ws_hello(ln, d);
		out_flush(ln);
	}
	if (rc)
		return;
	set_state(ln, d, D_CONNACK);
	con_hello(ln, d);
	out_flush(ln);
	/* What came before we said anything has had its edge: this one, or lies inside of TLS. */
	if (events & (EPOLLIN | ENDED) || d->ssl || d->ws)
		readable(ln, d);
}

void dev_event(struct lean *ln, struct device *d, uint32_t events)
{
	if (d->fd < 0)
		return;
	begin(ln, d);
	event(ln, d, events);
	settle(ln, d);
}
