// SPDX-License-Identifier: GPL-2.0-only
/* The way to a session: socket, TLS handshake, CONNECT and what it granted, SUBSCRIBE. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <openssl/err.h>
#include "lib/hostname.h"
#include "lib/text.h"
#include "sim/device/lean.h"

static int lost(struct device *d, enum sim_fail kind, uint32_t detail)
{
	dev_fail(d, kind, detail);
	return -1;
}

enum sim_fail con_errno(int e, uint32_t *ret_detail)
{
	*ret_detail = 0;
	switch (e) {
	case ECONNREFUSED:
		return F_REFUSED;
	case ECONNRESET:
	case EPIPE: /* it had closed before */
		return F_RESET;
	case ETIMEDOUT:
		return F_TCP_TIMEOUT;
	case ENETUNREACH:
	case EHOSTUNREACH:
		*ret_detail = (uint32_t)e;
		return F_UNREACHABLE;
	default:
		*ret_detail = (uint32_t)e;
		return F_SOCKET;
	}
}

static int refused(struct device *d, int e)
{
	uint32_t detail;
	enum sim_fail kind = con_errno(e, &detail);

	return lost(d, kind, detail);
}

/* A server's references are for the devices it sends away; its own host is for all. */
bool con_waits(struct lean *ln, struct device *d)
{
	struct stype *ty = type_of(ln, d);
	struct extra *x = d->x;
	union sim_addr a;
	int rc;

	if (!x || !x->redirect) {
		if (ty->host)
			sim_host_news(ty->host, &ty->host_gen, ty->p.addr, &ty->p.naddrs);
		return false;
	}
	rc = sim_host_pick(x->redirect, 0, &a);
	if (rc == -EAGAIN && ln->led.now - d->connect_ns < ty->p.connect_timeout_ns) {
		sim_host_want(x->redirect);
		return true;
	}
	return false;
}

/* The first of a reference's servers, *port unless it says another; NULL, or why it is none. */
static const char *server_of(struct mqtt_slice ref, char host[256], uint16_t *port)
{
	size_t n = 0, digits;
	bool v6 = ref.n && *ref.p == '[';
	char name[HOSTNAME_SIZE];
	unsigned long at;
	const char *end;

	while (n < ref.n && ref.p[n] != ' ')
		n++;
	if (!n)
		return "no server is named";
	if (n > 255)
		return "the name is too long";
	/* A list with blanks between: HOST, HOST:PORT, [ADDRESS]:PORT. */
	memcpy(host, ref.p, n);
	host[n] = 0;
	if (v6) {
		memmove(host, host + 1, n--);
		if (!strchr(host, ']') || !strchr(host, ':') ||
		    strchr(host, ':') > strchr(host, ']'))
			return "not HOST:PORT or [ADDRESS]:PORT";
	}
	n = strcspn(host, v6 ? "]" : ":");
	end = host + n + v6;
	digits = *end ? strspn(end + 1, "0123456789") : 0;
	if (*end && (*end != ':' || end[1 + digits] || !digits))
		return v6 || !strchr(end + 1, ':') ? "the port is not a number"
						   : "IPv6 needs brackets";
	at = *end ? strtoul(end + 1, NULL, 10) : *port;
	if (!at || at > 65535)
		return "the port is not 1 to 65535";
	*port = (uint16_t)at;
	host[n] = 0;
	return sim_host_literal(host) || (!v6 && hostname_take(host, name)) ? NULL
									    : "not a host's name";
}

void con_redirect(struct lean *ln, struct device *d, uint8_t reason, const struct mqtt_props *props)
{
	struct stype *ty = type_of(ln, d);
	char host[256], note[SIM_NOTE];
	struct sim_host *h = NULL;
	uint16_t port = ty->p.port;
	struct extra *x;
	const char *why;
	size_t n;

	if (!ty->p.follow_redirect || !MQTT_HAS(props, MQTT_P_SERVER_REFERENCE) ||
	    (reason != 0x9c && reason != 0x9d))
		return;
	x = dev_extra(d);
	why = server_of(props->server_reference, host, &port);
	if (!why)
		h = sim_host_get(host, port, sim_families(&ty->p));
	if (!why && (!x || !h))
		why = "too many servers";
	if (why) {
		/* Another failure than one that was followed: each is told with its own words. */
		d->fail_detail |= SIM_NOT_FOLLOWED;
		snprintf(note, sizeof(note), "%s", ln->note);
		n = (size_t)snprintf(ln->note, sizeof(ln->note), "%s: ", why);
		text_shown(ln->note + n, sizeof(ln->note) - n, note, strlen(note));
		return;
	}
	x->redirect = h;
	x->moved = reason == 0x9d;
	x->sent_away = true;
}

void con_lost(struct lean *ln, struct device *d, bool was_up)
{
	struct stype *ty = type_of(ln, d);
	struct extra *x = d->x;

	if (ty->host)
		sim_host_want(ty->host);
	if (!x || !x->redirect)
		return;
	/*
	 * "Use another server" is for this time, "server moved" for good; but a device that
	 * does not get in there asks again where it was told to begin.
	 */
	if (!x->sent_away && (!was_up || !x->moved))
		x->redirect = NULL;
	x->sent_away = false;
	/* A session of another server is no use. */
	SSL_SESSION_free(d->session);
	d->session = NULL;
}

int con_open(struct lean *ln, struct device *d)
{
	struct stype *ty = type_of(ln, d);
	struct sim_host *other = d->x ? d->x->redirect : NULL;
	struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
				 .data.ptr = d};
	unsigned tries = other ? 1 : ty->p.naddrs;
	int e;

	for (;;) {
		union sim_addr to = ty->p.addr[ty->next_addr++ % ty->p.naddrs];

		if (other && sim_host_pick(other, ty->next_addr, &to))
			return lost(d, F_UNRESOLVED, 0);
		e = src_open(ln, d, &to);
		/* No route to this one, as to IPv6 on many machines: another may have one. */
		if ((e != ENETUNREACH && e != EHOSTUNREACH) || !--tries)
			break;
		close(d->fd);
		d->fd = -1;
	}
	if (d->fd < 0)
		return lost(d, F_SOCKET, (uint32_t)e);
	if (e)
		return refused(d, e);
	/* Edge-triggered for both: no epoll_ctl() ever again for this socket. */
	if (epoll_ctl(ln->epfd, EPOLL_CTL_ADD, d->fd, &ev))
		return lost(d, F_SOCKET, (uint32_t)errno);
	return 0;
}

/*
 * Where nobody listens on a port that connections come from, a socket may get that port and meet
 * itself (RFC 9293, simultaneous open): it is connected, and there is no broker.
 */
static bool met_itself(const struct stype *ty, const struct device *d)
{
	union sim_addr own = {0}, peer = {0};
	socklen_t own_len = sizeof(own), peer_len = sizeof(peer);
	struct linger l = {1, 0};

	/* Most brokers' ports are none of those. */
	if (!ty->p.port_low && ty->p.port < ty->local_low && (!d->x || !d->x->redirect))
		return false;
	if (getsockname(d->fd, &own.sa, &own_len) ||
	    (own.in.sin_port != htons(ty->p.port) && (!d->x || !d->x->redirect)))
		return false;
	if (getpeername(d->fd, &peer.sa, &peer_len) || own_len != peer_len ||
	    memcmp(&own, &peer, own_len))
		return false;
	/* Nor may what is left of it keep the port from the broker. */
	setsockopt(d->fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
	return true;
}

int con_opened(struct lean *ln, struct device *d, uint32_t events)
{
	struct stype *ty = type_of(ln, d);
	SSL_SESSION *resume = d->session;
	socklen_t len;
	int e = 0;

	if (!(events & (EPOLLOUT | EPOLLERR | EPOLLHUP)))
		return 1;
	len = sizeof(e);
	if (events & (EPOLLERR | EPOLLHUP) && !getsockopt(d->fd, SOL_SOCKET, SO_ERROR, &e, &len) &&
	    e)
		return refused(d, e);
	if (met_itself(ty, d))
		return lost(d, F_REFUSED, 0);
	if (!ty->p.tls)
		return 0;
	if (ty->p.resume == SIM_RESUME_FULL ||
	    (ty->p.resume == SIM_RESUME_MIXED && sim_rand(&d->rng) & 1))
		resume = NULL;
	if (!ty->tls)
		return lost(d, F_CERT, 0);
	d->ssl = sim_tls_connect(ty->tls, d->fd, resume, d,
				 d->x && d->x->redirect ? sim_host_name(d->x->redirect) : NULL);
	return d->ssl ? 0 : lost(d, F_MEMORY, 0);
}

int con_tls(struct lean *ln, struct device *d)
{
	struct stype *ty = type_of(ln, d);
	struct sq_error err;
	int rc, e, en;
	long verify;

	if (sim_tls_identity(ty->tls, d->index / ty->nshards, d->index, d->thing, &err)) {
		return lost(d, F_CERT, 0);
	}
	ERR_clear_error();
	errno = 0; /* an end of the stream leaves it as it was */
	rc = SSL_connect(d->ssl);
	en = errno;
	if (rc == 1) {
		if (SSL_session_reused(d->ssl))
			SIM_ADD(&ln->led.pub->tot.resumed, 1);
		sim_tls_done(d->ssl);
		ln->trim_ns = ln->led.now + SIM_TRIM_NS;
		return 0;
	}
	e = SSL_get_error(d->ssl, rc);
	if (e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE)
		return 1;
	verify = SSL_get_verify_result(d->ssl);
	/* A session that did not work is not tried again. */
	SSL_SESSION_free(d->session);
	d->session = NULL;
	if (verify != X509_V_OK && e == SSL_ERROR_SSL && SSL_get_verify_mode(d->ssl))
		return lost(d, F_TLS_VERIFY, (uint32_t)verify);
	if (e == SSL_ERROR_SSL)
		return lost(d, F_TLS, (uint32_t)ERR_peek_error());
	return lost(d,
		    e == SSL_ERROR_ZERO_RETURN || !en ? F_CLOSED
		    : en == ETIMEDOUT		      ? F_SILENT
						      : F_RESET,
		    0);
}

static struct mqtt_slice render(const struct sim_tmpl *t, struct sim_tmpl_ctx *c, char *buf,
				size_t cap)
{
	long n = t ? sim_tmpl_render(t, c, buf, cap) : 0;

	return mqtt_slice(buf, n < 0 ? 0 : (size_t)n);
}

void con_hello(struct lean *ln, struct device *d)
{
	struct stype *ty = type_of(ln, d);
	struct sim_tmpl_ctx c = names_of(ty, d);
	char id[SIM_NAME_MAX + 1], user[SIM_USER_MAX], will[1024], will_payload[SIM_WILL_MAX + 1];
	char *password = ln->payload; /* nothing is rendered there while it connects */
	struct mqtt_connect m = {
		.version = ty->p.version, .clean = ty->p.clean, .keepalive = d->keepalive_s};
	struct mqtt_props props = {0};
	size_t cap;
	uint8_t *at;
	double walks[SIM_WILL_WALKS];
	long n;

	m.client_id = render(ty->client, &c, id, sizeof(id));
	if (*ty->p.username) {
		m.has_username = true;
		m.username = render(ty->user, &c, user, sizeof(user));
	}
	if (*ty->p.password) {
		m.has_password = true;
		m.password = render(ty->password, &c, password, SIM_PASSWORD_MAX);
	}
	if (ty->will) {
		m.has_will = true;
		m.will_qos = ty->p.will_qos;
		m.will_retain = ty->p.will_retain;
		m.will_topic = render(ty->will, &c, will, sizeof(will));
		c.walk = walks;
		c.sched_ms = ((int64_t)d->connect_ns + ln->led.a->epoch_off_ns) / 1000000;
		for (int i = 0; i < SIM_WILL_WALKS; i++)
			walks[i] = NAN; /* each will begins anywhere */
		if (sim_tmpl_walks(ty->will_payload) <= SIM_WILL_WALKS)
			m.will_payload =
				render(ty->will_payload, &c, will_payload, sizeof(will_payload));
	}
	props.max_packet = MQTT_MAX_REMAINING + 5;
	props.have |= 1ull << MQTT_P_MAX_PACKET;
	if (ty->p.version == MQTT_V5 && !ty->p.clean) {
		props.session_expiry = ty->p.session_expiry_s;
		props.have |= 1ull << MQTT_P_SESSION_EXPIRY;
	}
	at = out_room(ln, 32768, &cap);
	if (!at)
		return;
	n = mqtt_enc_connect(at, cap, &m, &props);
	if (n < 0) {
		dev_fail(d, F_TOO_BIG, 0);
		return;
	}
	out_wrote(ln, n);
}

static unsigned most_filters(const struct stype *ty)
{
	return ty->p.aws ? CON_SUB_AWS : ty->nsubs;
}

unsigned con_filters(const struct stype *ty, unsigned nth)
{
	unsigned most = most_filters(ty), from = nth * most;

	return from >= ty->nsubs ? 0 : ty->nsubs - from < most ? ty->nsubs - from : most;
}

void con_subscribe(struct lean *ln, struct device *d)
{
	struct stype *ty = type_of(ln, d);
	struct sim_tmpl_ctx c = names_of(ty, d);
	struct mqtt_filter f[SIM_MAX_SUBS + 4];
	unsigned most = most_filters(ty), n = 0;
	size_t cap;

	d->subacks = 0;
	for (unsigned from = 0; from < ty->nsubs; from += n) {
		unsigned nth = from / most;
		uint8_t *at = out_room(ln, 65536, &cap);
		long len;

		if (!at)
			return;
		n = con_filters(ty, nth);
		for (unsigned i = 0; i < n; i++) {
			/* Filters lie where messages are made, which there are none of yet. */
			f[i].filter = render(ty->sub[from + i], &c, ln->payload + i * 512, 512);
			f[i].options = ty->p.sub_qos;
		}
		len = mqtt_enc_subscribe(at, cap, ty->p.version, (uint16_t)(CON_SUB_ID - nth), f, n,
					 NULL);
		if (len < 0 || (d->max_packet && len > d->max_packet)) {
			dev_fail(d, F_TOO_BIG, 0);
			return;
		}
		out_wrote(ln, len);
		d->subacks |= (uint8_t)(1u << nth);
	}
}

/* What the device does and this broker says it has not; -1: nothing. */
static int lacks(const struct stype *ty, struct sim_tmpl_ctx *c, const struct mqtt_props *p)
{
	bool wild = MQTT_HAS(p, MQTT_P_WILDCARD_OK) && !p->wildcard_ok,
	     shared = MQTT_HAS(p, MQTT_P_SHARED_OK) && !p->shared_ok;
	char text[512];

	if (MQTT_HAS(p, MQTT_P_RETAIN_OK) && !p->retain_ok &&
	    (ty->p.retain || (ty->will && ty->p.will_retain)))
		return LACK_RETAIN;
	for (unsigned i = 0; (wild || shared) && i < ty->nsubs; i++) {
		struct mqtt_slice f = render(ty->sub[i], c, text, sizeof(text));

		if (wild && (memchr(f.p, '+', f.n) || memchr(f.p, '#', f.n)))
			return LACK_WILDCARD;
		if (shared && mqtt_shared(f.p, f.n))
			return LACK_SHARED;
	}
	return -1;
}

enum sim_fail con_ungranted(const struct stype *ty, struct sim_tmpl_ctx *c, bool session_present,
			    const struct mqtt_props *p, uint32_t *ret_detail)
{
	int lack = lacks(ty, c, p);

	*ret_detail = PROTO_SESSION;
	if (session_present && ty->p.clean)
		return F_PROTOCOL;
	*ret_detail = p->max_qos;
	if (MQTT_HAS(p, MQTT_P_MAX_QOS) && p->max_qos < ty->p.qos)
		return F_MAX_QOS;
	*ret_detail = (uint32_t)lack;
	return lack >= 0 ? F_UNSUPPORTED : F_NONE;
}

bool con_granted(struct lean *ln, struct device *d, const struct mqtt_packet *p)
{
	struct stype *ty = type_of(ln, d);
	const struct mqtt_props *props = &p->props;
	struct sim_tmpl_ctx c = names_of(ty, d);
	enum sim_fail kind;
	uint32_t detail;

	if (p->reason) {
		dev_fail_props(ln, d, F_CONNACK, p->reason | (ty->p.version == MQTT_V5 ? 256u : 0),
			       props);
		return false;
	}
	kind = con_ungranted(ty, &c, p->session_present, props, &detail);
	if (kind) {
		dev_fail(d, kind, detail);
		return false;
	}
	if (MQTT_HAS(props, MQTT_P_SERVER_KEEPALIVE))
		d->keepalive_s = props->server_keepalive;
	if (MQTT_HAS(props, MQTT_P_RECEIVE_MAX))
		d->recv_max = props->receive_max;
	if (MQTT_HAS(props, MQTT_P_ALIAS_MAX))
		d->alias_max = props->alias_max;
	if (MQTT_HAS(props, MQTT_P_MAX_PACKET))
		d->max_packet = props->max_packet;
	d->limited = d->max_packet;
	return true;
}
