// SPDX-License-Identifier: GPL-2.0-only
/*
 * The device engine with a fake io: sockets that are arrays of bytes. The calls of
 * sockets are this file's, so that a test says to the byte what a socket takes,
 * what it gives, and when it ends; the clock is what the test sets.
 */
#include "fake_shard.h"

/* How many packets of a type the device has sent on its connection; all are whole. */
static unsigned sent(const struct device *d, uint8_t type)
{
	struct fake *f = sock(d);
	unsigned n = 0;
	size_t at = 0;

	while (at < f->nout) {
		long len = mqtt_frame(f->out + at, f->nout - at, sizeof(f->out));

		if (len <= 0)
			return n;
		n += f->out[at] >> 4 == type;
		at += (size_t)len;
	}
	return n;
}

static uint8_t *nth(const struct device *d, uint8_t type, unsigned n)
{
	struct fake *f = sock(d);
	size_t at = 0;

	while (at < f->nout) {
		long len = mqtt_frame(f->out + at, f->nout - at, sizeof(f->out));

		assert_true(len > 0);
		if (f->out[at] >> 4 == type && !n--)
			return f->out + at;
		at += (size_t)len;
	}
	fail_msg("no such packet");
	return NULL;
}

/* The identifier of the device's n-th PUBLISH. */
static uint16_t id_of(const struct device *d, unsigned n)
{
	const uint8_t *p = nth(d, MQTT_PUBLISH, n);
	struct mqtt_packet k;

	assert_true(mqtt_decode(type_of(ln, d)->p.version, p, 1 << 20, 1 << 20, &k) > 0);
	return k.id;
}

static void acks(struct device *d, uint8_t type, uint16_t id)
{
	uint8_t p[4] = {(uint8_t)(type << 4), 2, (uint8_t)(id >> 8), (uint8_t)id};

	gives(d, p, 4, 0);
}

/* --- life -------------------------------------------------------------------------- */

static void life(void **state)
{
	struct device *d;

	(void)state;
	shard_new("qos 1 interval 100ms jitter 0% topic t/{thing}");
	d = start(0);
	UP(d);
	assert_int_equal(d->state, D_ONLINE);
	assert_int_equal(tot()->connects, 1);
	pass_ms(250);
	assert_true(sent(d, MQTT_PUBLISH) >= 2);
	acks(d, MQTT_PUBACK, id_of(d, 0));
	assert_int_equal(tot()->acked, 1);
	/* Of what was never sent. */
	acks(d, MQTT_PUBACK, 999);
	assert_int_equal(failed(F_WRONG_ID), 1);
	assert_int_equal(d->state, D_WAIT);
	assert_int_equal(d->fd, -1);
	/* It comes back within its back-off. */
	pass_ms(2000);
	assert_int_equal(d->state, D_TCP);
	shard_free();
}

static void refused(void **state)
{
	static const struct {
		int e;
		enum sim_fail kind;
	} how[] = {{ECONNREFUSED, F_REFUSED},
		   {ECONNRESET, F_RESET},
		   {EPIPE, F_RESET},
		   {ETIMEDOUT, F_TCP_TIMEOUT},
		   {EHOSTUNREACH, F_UNREACHABLE},
		   {EADDRNOTAVAIL, F_SOCKET}};

	(void)state;
	for (unsigned i = 0; i < sizeof(how) / sizeof(*how); i++) {
		shard_new("");
		connect_errno = how[i].e;
		start(0);
		assert_int_equal(failed(how[i].kind), 1);
		assert_int_equal(tot()->connect_failures, 1);
		assert_int_equal(ln->type->dev->state, D_WAIT);
		shard_free();
	}
}

/* One of a broker's addresses has no route: the other is taken, and nothing has failed. */
static void other_family(void **state)
{
	union sim_addr *a;
	struct device *d;

	(void)state;
	shard_new("backoff 100ms..100ms");
	a = ln->type->p.addr;
	a[1] = a[0];
	a[0].in6 =
		(struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	ln->type->p.naddrs = 2;
	no_v6 = true;
	for (unsigned i = 0; i < 2; i++) {
		d = start(i);
		assert_int_equal(d->state, D_TCP);
		assert_int_equal(last_to.sa.sa_family, AF_INET);
	}
	assert_int_equal(tot()->connect_failures, 0);
	no_v6 = false;
	d = ln->type->dev;
	dev_event(ln, d, EPOLLERR | EPOLLHUP | EPOLLOUT);
	dev_drop(ln, d);
	shard_free();
}

/* MQTT 5 CONNACK or DISCONNECT with a reason and a server reference. */
static void sends_away(struct device *d, uint8_t type, uint8_t reason, const char *ref)
{
	uint8_t p[128], *at = p + 2;
	size_t n = strlen(ref);

	if (type == MQTT_CONNACK)
		*at++ = 0;
	*at++ = reason;
	*at++ = (uint8_t)(n + 3);
	*at++ = MQTT_P_SERVER_REFERENCE;
	*at++ = 0;
	*at++ = (uint8_t)n;
	memcpy(at, ref, n);
	at += n;
	p[0] = (uint8_t)(type << 4);
	p[1] = (uint8_t)(at - p - 2);
	gives(d, p, (size_t)(at - p), 0);
}
#define CONNACK_5 "\x20\x03\0\0\0"
#define UP_5(d)	  up(d, CONNACK_5, 5)

static void texts(char *buf, size_t cap);

static void redirect(void **state)
{
	static const struct {
		const char *ref, *why;
	} none[] = {
		{"", "no server is named"},
		{" 127.0.0.9", "no server is named"},
		{":1999", "not a host's name"},
		{"127.0.0.9:1999x", "the port is not a number: server 127.0.0.9:1999x"},
		{"127.0.0.9:x", "the port is not a number"},
		{"127.0.0.9:", "the port is not a number"},
		{"127.0.0.9:+99", "the port is not a number"},
		{"127.0.0.9:0", "the port is not 1 to 65535"},
		{"127.0.0.9:65536", "the port is not 1 to 65535"},
		{"127.0.0.9:18446744073709551617", "the port is not 1 to 65535"},
		{"2001:db8::1", "IPv6 needs brackets"},
		{"::1", "IPv6 needs brackets"},
		{"[::1", "not HOST:PORT or [ADDRESS]:PORT"},
		{"[]:1999", "not HOST:PORT or [ADDRESS]:PORT"},
		{"[::1]1999", "the port is not a number"},
		{"[::1]:1999:", "the port is not a number"},
		{"[127.0.0.9]:1999", "not HOST:PORT or [ADDRESS]:PORT"},
		{"[a:b]:1999", "not a host's name"},
		{"mqtt://127.0.0.9", "the port is not a number"},
		{"-a.example", "not a host's name"},
		{"a/b", "not a host's name"},
	};
	char text[1024], want[128];
	struct device *d;

	(void)state;
	shard_new("protocol 5 follow-redirect true backoff 100ms..100ms interval 1h");
	d = start(0);
	dev_event(ln, d, EPOLLOUT);
	sends_away(d, MQTT_CONNACK, 0x9c, "127.0.0.9:1999 127.0.0.8");
	assert_int_equal(failed(F_CONNACK), 1);
	pass_ms(120);
	assert_int_equal(ntohs(last_to.in.sin_port), 1999);
	assert_int_equal(ntohl(last_to.in.sin_addr.s_addr), 0x7f000009);
	UP_5(d);
	/* "Use another server" is for once; "server moved" for good. */
	sock(d)->fin = true;
	dev_event(ln, d, EPOLLRDHUP | EPOLLIN);
	pass_ms(120);
	assert_int_equal(ntohs(last_to.in.sin_port), 1883);
	UP_5(d);
	sends_away(d, MQTT_DISCONNECT, 0x9d, "[::1]:1884");
	assert_int_equal(failed(F_DISCONNECT), 1);
	for (unsigned i = 0; i < 2; i++) {
		pass_ms(120);
		assert_int_equal(last_to.sa.sa_family, AF_INET6);
		assert_int_equal(ntohs(last_to.in6.sin6_port), 1884);
		UP_5(d);
		sock(d)->fin = true;
		dev_event(ln, d, EPOLLRDHUP | EPOLLIN);
	}
	/* Until it is not let in there. */
	pass_ms(120);
	dev_event(ln, d, EPOLLOUT);
	gives(d, "\x20\x03\0\x88\0", 5, 0);
	pass_ms(120);
	assert_int_equal(ntohs(last_to.in.sin_port), 1883);
	dev_event(ln, d, EPOLLOUT);
	shard_free();
	/* What is no server is told, and not followed. */
	for (unsigned i = 0; i < sizeof(none) / sizeof(*none); i++) {
		shard_new("protocol 5 follow-redirect true backoff 100ms..100ms interval 1h");
		d = start(0);
		dev_event(ln, d, EPOLLOUT);
		sends_away(d, MQTT_CONNACK, 0x9c + (i & 1), none[i].ref);
		texts(text, sizeof(text));
		snprintf(want, sizeof(want), ", not followed: %s", none[i].why);
		if (!strstr(text, want))
			fail_msg("%s: %s: %s", none[i].ref, want, text);
		pass_ms(120);
		assert_int_equal(ntohs(last_to.in.sin_port), 1883);
		assert_int_equal(ntohl(last_to.in.sin_addr.s_addr), 0x7f000001);
		shard_free();
	}
	/* Nobody asked to follow. */
	shard_new("protocol 5 backoff 100ms..100ms");
	d = start(0);
	dev_event(ln, d, EPOLLOUT);
	sends_away(d, MQTT_CONNACK, 0x9d, "127.0.0.9:1999");
	pass_ms(120);
	assert_int_equal(ntohs(last_to.in.sin_port), 1883);
	shard_free();
}

static void scheduled_time(void **state)
{
	struct mqtt_packet k;
	struct device *d;
	uint64_t due;
	char text[24];

	(void)state;
	shard_new("qos 1 interval 1s inflight 1 payload {{sched_ms}} topic t");
	d = start(0);
	UP(d);
	pass_ms(1010);
	/* The second falls due in the window's shadow and leaves later. */
	due = d->due_ns;
	pass_ms(1500);
	assert_int_equal(sent(d, MQTT_PUBLISH), 1);
	acks(d, MQTT_PUBACK, id_of(d, 0));
	assert_int_equal(sent(d, MQTT_PUBLISH), 2);
	assert_true(mqtt_decode(MQTT_V311, nth(d, MQTT_PUBLISH, 1), 1000, 1000, &k) > 0);
	snprintf(text, sizeof(text), "%llu", (unsigned long long)(wheel_round(due) / 1000000));
	assert_int_equal(k.payload.n, strlen(text));
	assert_memory_equal(k.payload.p, text, k.payload.n);
	shard_free();
}

static bool was_set(int level, int name, int value)
{
	for (unsigned i = 0; i < nopts; i++)
		if (opts_set[i].level == level && opts_set[i].name == name &&
		    opts_set[i].value == value)
			return true;
	return false;
}

#ifndef IP_LOCAL_PORT_RANGE
#define IP_LOCAL_PORT_RANGE 51
#endif

/* A large fleet's ports are given in turn, past those that are taken; --ports are a device's own.
 */
static void own_ports(void **state)
{
	struct device *d;

	(void)state;
	shard_new("backoff 10ms..10ms interval 1h");
	ln->type->own_ports = true;
	ln->type->local_low = 40000;
	ln->type->local_high = 40002;
	ln->led.a->nlean = 1;
	for (uint16_t i = 0; i < 2; i++) {
		nopts = 0;
		start(i);
		assert_true(was_set(IPPROTO_IP, IP_LOCAL_PORT_RANGE,
				    (40000u + i) << 16 | (40000u + i)));
	}
	assert_int_equal(tot()->connect_failures, 0);
	shard_free();
	/* All are taken: not for ever. */
	shard_new("backoff 1h..1h interval 1h");
	ln->type->own_ports = true;
	ln->type->local_low = 40000;
	ln->type->local_high = 40002;
	connect_errno = EADDRNOTAVAIL;
	start(0);
	assert_int_equal(failed(F_SOCKET), 1);
	assert_int_equal(last_fd - FD0, 63);
	shard_free();
	shard_new("backoff 10ms..10ms interval 1h ports 40001-40002");
	ln->type->local_low = 32768;
	ln->type->local_high = 60999;
	for (unsigned n = 0; n < 3; n++) {
		nopts = 0;
		d = n ? &ln->type->dev[1] : start(1);
		if (n)
			pass_ms(30);
		assert_true(was_set(IPPROTO_IP, IP_LOCAL_PORT_RANGE, 40002u << 16 | 40002u));
		UP(d);
		nopts = 0;
		sock(d)->fin = true;
		dev_event(ln, d, EPOLLRDHUP | EPOLLIN);
		/* No TIME_WAIT would hold the port. */
		assert_true(was_set(SOL_SOCKET, SO_LINGER, 1));
	}
	shard_free();
}

static void socket_options(void **state)
{
	(void)state;
	shard_new("");
	nopts = 0;
	start(0);
	assert_true(was_set(IPPROTO_TCP, TCP_NODELAY, 1));
	assert_int_equal(nopts, 1);
	shard_free();
	shard_new("tcp-nodelay off tcp-keepalive 60s:10s:3 tcp-user-timeout 1500ms sndbuf 8KiB");
	nopts = 0;
	start(0);
	assert_false(was_set(IPPROTO_TCP, TCP_NODELAY, 1));
	assert_true(was_set(SOL_SOCKET, SO_KEEPALIVE, 1));
	assert_true(was_set(IPPROTO_TCP, TCP_KEEPIDLE, 60));
	assert_true(was_set(IPPROTO_TCP, TCP_KEEPINTVL, 10));
	assert_true(was_set(IPPROTO_TCP, TCP_KEEPCNT, 3));
	assert_true(was_set(IPPROTO_TCP, TCP_USER_TIMEOUT, 1500));
	assert_true(was_set(SOL_SOCKET, SO_SNDBUF, 8192));
	shard_free();
}

static struct mqtt_packet publish_of(const struct device *d, unsigned n)
{
	struct mqtt_packet k;

	assert_true(mqtt_decode(MQTT_V5, nth(d, MQTT_PUBLISH, n), 1 << 20, 1 << 20, &k) > 0);
	return k;
}

/* The topic once a connection, then its alias; what another connection sends again has it. */
static void topic_alias(void **state)
{
	struct mqtt_packet k;
	struct device *d;

	(void)state;
	shard_new(
		"protocol 5 qos 1 persistent true topic-alias true interval 100ms topic t/{thing} "
		"backoff 100ms..100ms user-property a=b user-property c=d");
	d = start(0);
	up(d, "\x20\x06\0\0\x03\x22\0\x05", 8);
	pass_ms(350);
	assert_true(sent(d, MQTT_PUBLISH) >= 3);
	k = publish_of(d, 0);
	assert_int_equal(k.topic.n, 10);
	assert_int_equal(k.props.topic_alias, 1);
	k = publish_of(d, 2);
	assert_int_equal(k.topic.n, 0);
	assert_int_equal(k.props.topic_alias, 1);
	assert_int_equal(k.props.raw.n, 3 + 2 * 7);
	sock(d)->fin = true;
	dev_event(ln, d, EPOLLRDHUP | EPOLLIN);
	pass_ms(120);
	/* This broker takes none. */
	up(d, "\x20\x03\1\0\0", 5);
	pass_ms(150);
	for (unsigned i = 0; i < sent(d, MQTT_PUBLISH); i++) {
		k = publish_of(d, i);
		assert_int_equal(k.topic.n, 10);
		assert_false(MQTT_HAS(&k.props, MQTT_P_TOPIC_ALIAS));
		assert_true(MQTT_HAS(&k.props, MQTT_P_USER));
	}
	assert_true(sent(d, MQTT_PUBLISH) >= 4);
	shard_free();
}

/* AWS IoT Core takes eight filters in a SUBSCRIBE; online is who has all SUBACKs. */
static void many_filters(void **state)
{
	struct device *d;
	char f[16];

	(void)state;
	shard_new("interval 1h");
	for (unsigned i = 0; i < 20; i++) {
		snprintf(f, sizeof(f), "f/%u", i);
		set("subscribe", f);
	}
	ln->type->p.aws = true;
	stype_compile(ln->type, NULL);
	d = start(0);
	UP(d);
	assert_int_equal(sent(d, MQTT_SUBSCRIBE), 3);
	gives(d, "\x90\x0a\xff\xff\0\0\0\0\0\0\0\0", 12, 0);
	gives(d, "\x90\x06\xff\xfd\0\0\0\0", 8, 0);
	assert_int_equal(d->state, D_SUBACK);
	gives(d, "\x90\x0a\xff\xfe\0\0\0\0\0\0\0\0", 12, 0);
	assert_int_equal(d->state, D_ONLINE);
	assert_int_equal(tot()->subscribed, 20);
	/* One of them twice. */
	gives(d, "\x90\x06\xff\xfd\0\0\0\0", 8, 0);
	assert_int_equal(failed(F_PROTOCOL), 1);
	shard_free();
	/* An answer for fewer filters than were asked for, and for more (3.8.4-5). */
	for (unsigned n = 1; n < 4; n++) {
		uint8_t suback[] = {0x90, (uint8_t)(2 + n), 0xff, 0xff, 0, 0, 0};

		shard_new("interval 1h subscribe a subscribe b");
		d = start(0);
		UP(d);
		gives(d, suback, 4 + n, 0);
		assert_int_equal(failed(F_PROTOCOL), n != 2);
		assert_int_equal(tot()->subscribed, n == 2 ? 2 : 0);
		shard_free();
	}
}

/* One attempt is one request: told when it is online, with CONNACK's time, or as failed. */
static void refused_subscription(void **state)
{
	struct sim_stat *s;
	struct device *d;

	(void)state;
	shard_new("interval 1h subscribe a/b backoff 100ms..100ms");
	s = &ln->led.pub->stat[SIM_CONNECT];
	d = start(0);
	UP(d);
	gives(d, "\x90\x03\xff\xff\x80", 5, 0);
	assert_int_equal(failed(F_SUBACK), 1);
	assert_int_equal(s->requests, 1);
	assert_int_equal(s->failures, 1);
	assert_int_equal(tot()->connects, 0);
	assert_int_equal(tot()->connect_failures, 1);
	pass_ms(110);
	dev_event(ln, d, EPOLLOUT);
	pass_ms(40);
	gives(d, CONNACK, 4, 0);
	assert_int_equal(s->requests, 1);
	pass_ms(500); /* until the SUBACK: not of the connect's time */
	gives(d, "\x90\x03\xff\xff\x00", 5, 0);
	assert_int_equal(d->state, D_ONLINE);
	assert_int_equal(s->requests, 2);
	assert_int_equal(s->failures, 1);
	assert_int_equal(tot()->connects, 1);
	assert_int_equal(tot()->reconnects, 0);
	assert_in_range(s->total_us, 30000, 200000);
	shard_free();
}

/* A masked frame that the device has sent: its payload in buf; the length of all of it. */
static size_t unmask(const uint8_t *p, size_t n, uint8_t *buf, size_t *ret, uint8_t *op)
{
	size_t head = 2, len;

	assert_true(n >= 6 && p[0] & 0x80 && p[1] & 0x80);
	*op = p[0] & 15;
	len = p[1] & 127;
	if (len == 126) {
		len = (size_t)(p[2] << 8 | p[3]);
		head = 4;
	} else if (len == 127) {
		len = (size_t)p[6] << 24 | (size_t)(p[7] << 16 | p[8] << 8 | p[9]);
		head = 10;
	}
	assert_true(n >= head + 4 + len);
	for (size_t i = 0; i < len; i++)
		buf[i] = p[head + 4 + i] ^ p[head + (i & 3)];
	*ret = len;
	return head + 4 + len;
}

/* The upgrade's answer, in two parts. */
static void ws_answer(struct device *d, const char *headers)
{
	static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
	char key[80], accept[40], text[400], *at;
	uint8_t digest[20];

	dev_event(ln, d, EPOLLOUT);
	assert_int_equal(d->state, D_UPGRADE);
	at = strstr((char *)sock(d)->out, "Sec-WebSocket-Key: ");
	assert_non_null(at);
	snprintf(key, sizeof(key), "%.24s%s", at + 19, guid);
	SHA1((uint8_t *)key, strlen(key), digest);
	EVP_EncodeBlock((uint8_t *)accept, digest, 20);
	snprintf(text, sizeof(text),
		 "HTTP/1.1 101 Switching Protocols\r\nupgrade: WebSocket\r\n%s"
		 "sec-websocket-accept: %s\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n",
		 headers, accept);
	sock(d)->nout = 0;
	gives(d, text, 100, 0);
	assert_int_equal(d->state, D_UPGRADE);
	gives(d, text + 100, strlen(text) - 100, 0);
}

static void ws_up(struct device *d)
{
	ws_answer(d, "Connection: upgrade\r\n");
	assert_int_equal(d->state, D_CONNACK);
}

static void websocket(void **state)
{
	static uint8_t buf[70000];
	struct device *d;
	size_t n, at = 0, len;
	uint8_t op;

	(void)state;
	shard_new("broker ws://127.0.0.1:8080/m qos 1 interval 100ms topic t payload 66000 "
		  "ack-timeout 1h "
		  "inflight 2 backoff 100ms..100ms");
	d = start(0);
	ws_up(d);
	n = unmask(sock(d)->out, sock(d)->nout, buf, &len, &op);
	assert_int_equal(n, sock(d)->nout);
	assert_int_equal(op, 2);
	assert_int_equal(buf[0], MQTT_CONNECT << 4);
	sock(d)->nout = 0;
	/* A packet over two frames, with a ping between them, byte by byte. */
	for (unsigned i = 0; i < 13; i++)
		gives(d,
		      "\x02\x01\x20\x89\x03"
		      "abc"
		      "\x80\x03\x02\0\0" +
			      i,
		      1, 0);
	assert_int_equal(d->state, D_ONLINE);
	n = unmask(sock(d)->out, sock(d)->nout, buf, &len, &op);
	assert_int_equal(op, 10);
	assert_memory_equal(buf, "abc", 3);
	/* A socket that takes 1,000 bytes of two long messages, then the rest. */
	sock(d)->nout = 0;
	sock(d)->room = 1000;
	pass_ms(250);
	assert_int_equal(sock(d)->nout, 1000);
	sock(d)->room = 1 << 20;
	dev_event(ln, d, EPOLLOUT);
	pass_ms(20);
	for (at = 0, n = 0; at < sock(d)->nout; n++) {
		at += unmask(sock(d)->out + at, sock(d)->nout - at, buf, &len, &op);
		assert_int_equal(op, 2);
		assert_int_equal(buf[0] >> 4, MQTT_PUBLISH);
		assert_int_equal(len, 66000 + 9);
	}
	assert_int_equal(n, 2);
	/* An acknowledgement and a close in one read: both are seen, and the close is answered. */
	gives(d, "\x82\x04\x40\x02\0\x01\x88\x02\x03\xe8", 10, 0);
	assert_int_equal(tot()->acked, 1);
	assert_int_equal(failed(F_CLOSED), 1);
	assert_int_equal(d->state, D_WAIT);
	shard_free();
	/* Another server is asked for by its own name. */
	shard_new(
		"broker ws://127.0.0.1:8080 protocol 5 follow-redirect true backoff 100ms..100ms");
	d = start(0);
	ws_up(d);
	gives(d,
	      "\x82\x16\x20\x14\0\x9c\x11\x1c\0\x0e"
	      "127.0.0.9:1999",
	      24, 0);
	assert_int_equal(failed(F_CONNACK), 1);
	pass_ms(120);
	dev_event(ln, d, EPOLLOUT);
	assert_int_equal(d->state, D_UPGRADE);
	assert_non_null(strstr((char *)sock(d)->out, "\r\nHost: 127.0.0.9:1999\r\n"));
	shard_free();
}

static void websocket_wrong(void **state)
{
	static const struct {
		const char *text;
		size_t n;
	} frame[] = {{"\x81\x02"
		      "hi",
		      4},			   /* text */
		     {"\xc2\x02\x20\x02", 4},	   /* an extension's bit */
		     {"\x82\x82\0\0\0\0", 6},	   /* masked */
		     {"\x09\x00", 2},		   /* a ping in parts */
		     {"\x89\x7e\x00\x80", 4},	   /* a long ping */
		     {"\x83\x00", 2},		   /* no such frame */
		     {"\x80\x01 ", 3},		   /* goes on what has not begun */
		     {"\x02\x01 \x82\x01\x02", 6}, /* begins in the middle of another */
		     {"\x88\x01\x03", 3},	   /* half a close code */
		     {"\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff", 10}};
	static const char *const answer[] = {
		"HTTP/1.1 403 Forbidden\r\n\r\n", "SSH-2.0\r\n\r\n",
		"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
		"HTTP/1.1 101 x\r\nConnection: upgrade\r\n\r\n"};
	static const struct {
		const char *headers;
		bool fine;
	} upgrade[] = {
		{"Connection: keep-alive\r\n", false},
		{"Connection: upgraded\r\n", false},
		{"Connection: keep-alive, Upgrade\r\nX: y\r\n", true},
		{"Connection: keep-alive\r\nConnection:upgrade\r\n", true},
		{"Connection: Upgrade\r\nSec-WebSocket-Extensions: permessage-deflate\r\n", false},
		{"Connection: Upgrade\r\nSec-WebSocket-Extensions: \r\n", true}};
	struct device *d;
	bool said = false;

	(void)state;
	for (unsigned i = 0; i < sizeof(frame) / sizeof(*frame); i++) {
		shard_new("broker ws://127.0.0.1:8080");
		d = start(0);
		ws_up(d);
		gives(d, frame[i].text, frame[i].n, 0);
		assert_int_equal(failed(F_PROTOCOL), 1);
		shard_free();
	}
	for (unsigned i = 0; i < sizeof(answer) / sizeof(*answer); i++) {
		shard_new("broker ws://127.0.0.1:8080");
		d = start(0);
		dev_event(ln, d, EPOLLOUT);
		gives(d, answer[i], strlen(answer[i]), 0);
		assert_int_equal(failed(F_UPGRADE), 1);
		shard_free();
	}
	for (unsigned i = 0; i < sizeof(upgrade) / sizeof(*upgrade); i++) {
		shard_new("broker ws://127.0.0.1:8080");
		d = start(0);
		ws_answer(d, upgrade[i].headers);
		assert_int_equal(failed(F_UPGRADE), !upgrade[i].fine);
		shard_free();
	}
	/* Why the server closes, for whoever reads the report. */
	shard_new("broker ws://127.0.0.1:8080");
	d = start(0);
	ws_up(d);
	gives(d, "\x88\x05\x03\xf0no\x1b", 7, 0);
	assert_int_equal(failed(F_CLOSED), 1);
	for (unsigned i = 0; i < SIM_ERRORS; i++)
		said |= !strcmp(ln->led.pub->error[i].note, "WebSocket close 1008: no\\x1b");
	assert_true(said);
	shard_free();
	shard_new("broker ws://127.0.0.1:8080 connect-timeout 1s");
	d = start(0);
	dev_event(ln, d, EPOLLOUT);
	pass_ms(1010);
	assert_int_equal(failed(F_UPGRADE), 1);
	shard_free();
}

static void timeouts(void **state)
{
	struct device *d;

	(void)state;
	shard_new("connect-timeout 1s backoff 100ms..100ms subscribe a/b qos 1 ack-timeout 2s "
		  "keepalive 2 interval 1h");
	d = start(0);
	pass_ms(1010);
	assert_int_equal(failed(F_TCP_TIMEOUT), 1);
	pass_ms(110);
	dev_event(ln, d, EPOLLOUT);
	pass_ms(1010);
	assert_int_equal(failed(F_CONNACK_TIMEOUT), 1);
	pass_ms(110);
	UP(d);
	assert_int_equal(d->state, D_SUBACK);
	pass_ms(1010);
	assert_int_equal(failed(F_SUBACK_TIMEOUT), 1);
	pass_ms(110);
	UP(d);
	gives(d, "\x90\x03\xff\xff\x01", 5, 0);
	assert_int_equal(d->state, D_ONLINE);
	/* Nobody answers the ping. */
	pass_ms(4000);
	assert_int_equal(failed(F_KEEPALIVE), 1);
	shard_free();
}

/* --- the end of a connection --------------------------------------------------------- */

static void data_with_fin(void **state)
{
	struct device *d;

	(void)state;
	shard_new("qos 1");
	d = start(0);
	dev_event(ln, d, EPOLLOUT);
	sock(d)->fin = true;
	gives(d, CONNACK, 4, EPOLLRDHUP);
	assert_int_equal(tot()->connects, 1);
	assert_int_equal(tot()->lost_connections, 1);
	assert_int_equal(failed(F_CLOSED), 1);
	assert_int_equal(d->state, D_WAIT);
	pass_ms(2000);
	/* Half a packet and FIN; and all of it before we have said anything. */
	assert_int_equal(d->state, D_TCP);
	sock(d)->fin = true;
	memcpy(sock(d)->in, CONNACK, 2);
	sock(d)->nin = 2;
	dev_event(ln, d, EPOLLOUT | EPOLLIN | EPOLLRDHUP);
	assert_int_equal(d->state, D_WAIT);
	assert_int_equal(failed(F_CLOSED), 2);
	assert_int_equal(tot()->connect_failures, 1);
	shard_free();
}

/*
 * The broker has acknowledged, said why, and gone; and before that is read a message is due, whose
 * write fails. What it said counts all the same, whole or in pieces.
 */
static void last_words(void **state)
{
	static const struct {
		const char *said;
		size_t n, before; /* of it was read before */
		enum sim_fail kind;
		unsigned acked;
	} t[] = {
		{"\x40\2\0\1\x40\2\0\2", 8, 0, F_RESET, 2},
		{"\x40\2\0\1\x40\2\0\2", 8, 6, F_RESET, 2},
		{"\x40\2\0\1\xe0\2\x8b\0", 8, 0, F_DISCONNECT, 1},
		{"\x40\2\0\1\xe0\2\x8b\0", 8, 5, F_DISCONNECT, 1},
		{"\x40\2\0\1\x40", 5, 0, F_RESET, 1},
		{"\x32\7\0\1a\0\1\0x\x40\2\0\1", 13, 0, F_RESET, 1},
		{"\x40\2\0\1\x00\0", 6, 0, F_MALFORMED, 1},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(t) / sizeof(*t); i++) {
		struct device *d;

		shard_new("protocol 5 qos 1 interval 100ms jitter 0% backoff 1h..1h topic t");
		d = start(0);
		up(d, CONNACK_5, 5);
		pass_ms(250);
		assert_in_range(sent(d, MQTT_PUBLISH), 2, 3);
		gives(d, t[i].said, t[i].before, 0);
		memcpy(sock(d)->in + sock(d)->nin, t[i].said + t[i].before, t[i].n - t[i].before);
		sock(d)->nin += t[i].n - t[i].before;
		sock(d)->reset = true;
		pass_ms(110);
		assert_int_equal(d->state, D_WAIT);
		assert_int_equal(tot()->acked, t[i].acked);
		assert_int_equal(tot()->lost_connections, 1);
		assert_int_equal(failed(t[i].kind), 1);
		shard_free();
	}
}

/* TCP gave up a connection that was there (--tcp-user-timeout, its own probes): no failed connect.
 */
static void given_up(void **state)
{
	static const struct {
		int errnum;
		enum sim_fail kind;
	} t[] = {{ETIMEDOUT, F_SILENT}, {EHOSTUNREACH, F_UNREACHABLE}, {ECONNRESET, F_RESET}};

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		struct device *d;

		shard_new("qos 1");
		d = start(0);
		UP(d);
		sock(d)->gone = t[i].errnum;
		dev_event(ln, d, EPOLLERR | EPOLLHUP | EPOLLIN);
		assert_int_equal(failed(t[i].kind), 1);
		assert_int_equal(failed(F_TCP_TIMEOUT), 0);
		assert_int_equal(tot()->lost_connections, 1);
		shard_free();
	}
}

/*
 * More messages than can be sent, each late by itself: the schedule goes on where it was, a turn
 * ends all the same, and intervals below the wheel's tick are none that were missed.
 */
static void too_fast(void **state)
{
	struct device *d;
	uint64_t due;

	(void)state;
	shard_new("interval 10us qos 0 jitter 0% payload 8 topic t");
	d = start(0);
	UP(d);
	pass_ms(20);
	assert_true(tot()->scheduled > 500);
	due = d->due_ns;
	/* A second in which nothing ran: 100,000 messages are due, and no two of them are lost. */
	sock(d)->nout = 0;
	now_ns += 1000000000;
	lean_clock(ln);
	dev_due(ln, d);
	assert_in_range((d->due_ns - due) / 10000, 4000, 4200);
	assert_true(tot()->overruns > 3900);
	shard_free();
}

/* A packet in single bytes is the same packet. */
static void pieces(void **state)
{
	struct device *d;
	static const char pub[] = "\x32\x08\0\3a/b\0\7x";

	(void)state;
	shard_new("subscribe a/b");
	d = start(0);
	dev_event(ln, d, EPOLLOUT);
	for (unsigned i = 0; i < 4; i++)
		gives(d, CONNACK + i, 1, 0);
	for (unsigned i = 0; i < 5; i++)
		gives(d, "\x90\x03\xff\xff\x01" + i, 1, 0);
	assert_int_equal(d->state, D_ONLINE);
	for (unsigned i = 0; i < 10; i++)
		gives(d, pub + i, 1, 0);
	assert_int_equal(tot()->received, 1);
	assert_memory_equal(nth(d, MQTT_PUBACK, 0), "\x40\2\0\7", 4);
	/* QoS 2, twice: delivered once. */
	gives(d, "\x34\x08\0\3a/b\0\x9x\x3c\x08\0\3a/b\0\x9x\x62\2\0\x9", 24, 0);
	assert_int_equal(tot()->received, 2);
	assert_int_equal(sent(d, MQTT_PUBREC), 2);
	assert_int_equal(sent(d, MQTT_PUBCOMP), 1);
	gives(d, "\xd0\0\xb0\2\0\1", 6, 0);
	assert_int_equal(d->state, D_ONLINE);
	shard_free();
}

static void nonsense(void **state)
{
	static const struct {
		const char *p;
		size_t n;
		enum sim_fail kind;
	} what[] = {{"\x10\0", 2, F_MALFORMED},
		    {CONNACK, 4, F_PROTOCOL},
		    {"\x90\x03\0\1\0", 5, F_PROTOCOL},
		    {"\xe0\0", 2, F_PROTOCOL},
		    {"\xb0\xff\xff\xff\x7f", 5, F_MALFORMED}};

	(void)state;
	for (unsigned i = 0; i < sizeof(what) / sizeof(*what); i++) {
		struct device *d;

		shard_new("");
		d = start(0);
		UP(d);
		gives(d, what[i].p, what[i].n, 0);
		assert_int_equal(failed(what[i].kind), 1);
		assert_int_equal(tot()->lost_connections, 1);
		shard_free();
	}
	shard_new("");
	start(0);
	dev_event(ln, ln->type->dev, EPOLLOUT);
	gives(ln->type->dev, "\xd0\0", 2, 0);
	assert_int_equal(failed(F_PROTOCOL), 1);
	shard_free();
	shard_new("");
	start(0);
	up(ln->type->dev, "\x20\x02\0\5", 4);
	assert_int_equal(failed(F_CONNACK), 1);
	shard_free();
}

/* --- the outbox ---------------------------------------------------------------------- */

/* A socket that takes nothing: messages wait, are told as sent when they are, in order. */
static void blocked(void **state)
{
	struct device *d;
	long hello;

	(void)state;
	shard_new("qos 0 interval 100ms jitter 0% payload 1000");
	d = start(0);
	UP(d);
	sock(d)->room = 1500;
	pass_ms(1000);
	assert_true(d->blocked);
	assert_int_equal(tot()->acked, 1);
	assert_true(tot()->in_flight >= 8);
	sock(d)->room = 1 << 20;
	dev_event(ln, d, EPOLLOUT);
	assert_false(d->blocked);
	assert_int_equal(tot()->in_flight, 0);
	assert_int_equal(sent(d, MQTT_PUBLISH), tot()->acked);
	hello = mqtt_frame(sock(d)->out, sock(d)->nout, FAKE_OUT);
	assert_int_equal(ln->led.pub->stat[SIM_PUBLISH].bytes, tot()->bytes_out - hello);
	/* Blocked again, and lost: what did not leave has failed. */
	sock(d)->room = 100;
	pass_ms(500);
	sock(d)->reset = true;
	dev_event(ln, d, EPOLLOUT | EPOLLERR | EPOLLHUP);
	assert_int_equal(d->state, D_WAIT);
	assert_int_equal(tot()->in_flight, 0);
	assert_true(failed(F_UNSENT) >= 4);
	shard_free();
}

/* A broker that floods with QoS 1 and reads nothing is read no further, and the device lives. */
static void flood(void **state)
{
	static uint8_t many[12000 * 8];
	struct device *d;
	size_t before;

	(void)state;
	shard_new("subscribe a qos 0");
	d = start(0);
	UP(d);
	gives(d, "\x90\x03\xff\xff\x01", 5, 0);
	for (unsigned i = 0; i < 12000; i++)
		memcpy(many + i * 8, "\x32\x06\0\1a\0\1x", 8);
	sock(d)->room = 10;
	for (unsigned i = 0; i < 10; i++) {
		sock(d)->nin = sock(d)->at = 0;
		gives(d, many, sizeof(many), 0);
		if (d->unread)
			break;
	}
	assert_true(d->unread);
	assert_int_equal(d->state, D_ONLINE);
	before = tot()->received;
	gives(d, many, 8 * 100, 0);
	assert_int_equal(tot()->received, before);
	sock(d)->room = 1 << 20;
	dev_event(ln, d, EPOLLOUT);
	assert_true(tot()->received > before);
	assert_int_equal(sent(d, MQTT_PUBACK), tot()->received);
	shard_free();
}

/* A broker that sends faster than can be read: a turn of its device ends all the same. */
static void sent_fast(void **state)
{
	const size_t all = 64u << 20;
	struct device *d;
	unsigned turns = 0;

	(void)state;
	shard_new("subscribe a qos 0 topic t interval 1h");
	d = start(0);
	UP(d);
	gives(d, "\x90\x03\xff\xff\x01", 5, 0);
	sock(d)->nin = sock(d)->at = 0;
	sock(d)->again = all;
	gives(d, "\x30\x06\0\1a123", 8, 0);
	assert_true(tot()->received > 0);
	for (; sock(d)->again; turns++) {
		size_t before = sock(d)->again;

		dev_event(ln, d, EPOLLIN | EPOLLOUT);
		assert_true(before - sock(d)->again <= 8u << 20);
	}
	assert_true(turns >= 8);
	assert_int_equal(tot()->received, all / 8);
	assert_int_equal(d->state, D_ONLINE);
	shard_free();
}

/* --- sending again ------------------------------------------------------------------- */

static struct device *with_window(unsigned n)
{
	struct device *d = start(0);

	UP(d);
	while (!d->win || d->win->n < n)
		pass_ms(10);
	return d;
}

/* The defect: a loss in the middle of sending again, and another device's turn after it. */
static void lost_in_resend(void **state)
{
	struct device *d, *other;
	unsigned n;

	(void)state;
	shard_new("qos 1 persistent true topic t/{thing} interval 10ms jitter 0% payload 16000 "
		  "inflight 64 ack-timeout 60s backoff 100ms..100ms");
	d = with_window(64);
	sock(d)->fin = true;
	dev_event(ln, d, EPOLLIN | EPOLLRDHUP);
	assert_int_equal(d->state, D_WAIT);
	assert_int_equal(d->win->n, 64);
	pass_ms(100);
	/* The socket breaks while 64 * 16 kB are on their way. */
	dev_event(ln, d, EPOLLOUT);
	sock(d)->reset = true;
	gives(d, CONNACK_S, 4, 0);
	assert_int_equal(d->state, D_WAIT);
	assert_int_equal(d->win->n, 64);
	assert_int_equal(ln->tx_len, 0);
	other = start(1);
	UP(other);
	pass_ms(60);
	assert_true(sent(other, MQTT_PUBLISH) > 0);
	assert_null(memmem(sock(other)->out, sock(other)->nout, d->thing, strlen(d->thing)));
	/* A full socket only pauses it; nothing new goes before the old. */
	pass_ms(50);
	dev_event(ln, d, EPOLLOUT);
	sock(d)->room = 100000;
	gives(d, CONNACK_S, 4, 0);
	assert_int_equal(d->state, D_ONLINE);
	assert_true(win_resending(d));
	pass_ms(100);
	assert_int_equal(d->win->n, 64);
	sock(d)->room = 1 << 21;
	dev_event(ln, d, EPOLLOUT);
	n = sent(d, MQTT_PUBLISH);
	assert_int_equal(n, 64);
	for (unsigned i = 0; i < n; i++) {
		assert_true(nth(d, MQTT_PUBLISH, i)[0] & 8);
		if (i)
			assert_int_equal(id_of(d, i), (uint16_t)(id_of(d, i - 1) + 1));
	}
	for (unsigned i = 0; i < n; i++)
		acks(d, MQTT_PUBACK, id_of(d, i));
	assert_true(tot()->acked >= 64);
	assert_int_equal(failed(F_MEMORY), 0);
	shard_free();
}

/* Not more than the new connection's Receive Maximum is sent again before it is acknowledged. */
static void receive_max(void **state)
{
	struct device *d;

	(void)state;
	shard_new("qos 1 persistent true protocol 5 interval 10ms jitter 0% inflight 16 "
		  "ack-timeout 60s backoff 100ms..100ms");
	d = start(0);
	up(d, "\x20\x03\0\0\0", 5);
	pass_ms(300);
	assert_int_equal(d->win->n, 16);
	sock(d)->fin = true;
	dev_event(ln, d, EPOLLIN | EPOLLRDHUP);
	pass_ms(100);
	up(d, "\x20\x06\1\0\3\x21\0\4", 8);
	assert_int_equal(d->state, D_ONLINE);
	assert_int_equal(sent(d, MQTT_PUBLISH), 4);
	acks(d, MQTT_PUBACK, id_of(d, 0));
	assert_int_equal(sent(d, MQTT_PUBLISH), 5);
	/* The session is gone: so are its messages. */
	sock(d)->fin = true;
	dev_event(ln, d, EPOLLIN | EPOLLRDHUP);
	pass_ms(100);
	up(d, "\x20\x03\0\0\0", 5);
	assert_true(failed(F_SESSION_LOST) >= 15);
	assert_int_equal(sent(d, MQTT_PUBLISH), d->win->n);
	shard_free();
}

/* A message that was given up has its place with the broker until its acknowledgement comes. */
static void given_up_is_owed(void **state)
{
	struct device *d;

	(void)state;
	shard_new("qos 2 protocol 5 interval 10s jitter 0% burst 8 inflight 16 ack-timeout 2s "
		  "keepalive 0 payload 8");
	d = start(0);
	up(d, "\x20\x06\0\0\3\x21\0\4", 8);
	while (!sent(d, MQTT_PUBLISH))
		pass_ms(10);
	assert_int_equal(sent(d, MQTT_PUBLISH), 4);
	pass_ms(4100);
	assert_int_equal(failed(F_NO_PUBCOMP), 4);
	assert_int_equal(sent(d, MQTT_PUBLISH), 4);
	/* PUBREC alone gives no place back, PUBCOMP does, and a PUBREC that refuses. */
	acks(d, MQTT_PUBREC, id_of(d, 0));
	assert_int_equal(sent(d, MQTT_PUBLISH), 4);
	acks(d, MQTT_PUBCOMP, id_of(d, 0));
	assert_int_equal(sent(d, MQTT_PUBLISH), 5);
	gives(d, (uint8_t[]){0x50, 3, 0, (uint8_t)id_of(d, 1), 0x97}, 5, 0);
	assert_int_equal(sent(d, MQTT_PUBLISH), 6);
	assert_int_equal(tot()->late_acks, 3);
	/* The next connection begins anew. */
	sock(d)->fin = true;
	dev_event(ln, d, EPOLLIN | EPOLLRDHUP);
	pass_ms(2000);
	up(d, "\x20\x06\0\0\3\x21\0\4", 8);
	while (!sent(d, MQTT_PUBLISH))
		pass_ms(10);
	assert_int_equal(sent(d, MQTT_PUBLISH), 4);
	shard_free();
}

/* Of a PUBREL that is sent again the broker may know no more: it had said PUBCOMP before. */
static void released_before(void **state)
{
	uint8_t unknown[] = {0x70, 3, 0, 0, 0x92};
	struct device *d;

	(void)state;
	shard_new("qos 2 protocol 5 persistent true interval 100ms jitter 0% count 2 ack-timeout "
		  "60s backoff 100ms..100ms");
	d = start(0);
	up(d, CONNACK_5, 5);
	pass_ms(250);
	assert_int_equal(sent(d, MQTT_PUBLISH), 2);
	unknown[3] = (uint8_t)id_of(d, 0);
	acks(d, MQTT_PUBREC, id_of(d, 0));
	sock(d)->fin = true;
	dev_event(ln, d, EPOLLIN | EPOLLRDHUP);
	pass_ms(100);
	up(d, "\x20\x03\1\0\0", 5);
	assert_int_equal(sent(d, MQTT_PUBREL), 1);
	gives(d, unknown, 5, 0);
	assert_int_equal(tot()->acked, 1);
	assert_int_equal(failed(F_ACK_REASON), 0);
	/* One that was sent on this connection is another matter; so is PUBREC twice. */
	unknown[3] = (uint8_t)id_of(d, 0);
	acks(d, MQTT_PUBREC, id_of(d, 0));
	acks(d, MQTT_PUBREC, id_of(d, 0));
	assert_int_equal(sent(d, MQTT_PUBREL), 3);
	assert_memory_equal(nth(d, MQTT_PUBREL, 2), nth(d, MQTT_PUBREL, 1), 4);
	assert_int_equal(tot()->late_acks, 0);
	gives(d, unknown, 5, 0);
	assert_int_equal(failed(F_ACK_REASON), 1);
	shard_free();
}

/* SUBSCRIBE has identifiers of its own: none of a session's messages in flight has the same. */
static void own_identifiers(void **state)
{
	struct device *d;

	(void)state;
	shard_new("qos 1 interval 0 inflight 4 persistent true subscribe a payload 8 topic t "
		  "ack-timeout 60s backoff 100ms..100ms");
	d = start(0);
	UP(d);
	gives(d, "\x90\x03\xff\xff\1", 5, 0);
	d->next_id = 65525;
	for (unsigned i = 0; i < 40; i++) {
		uint16_t id = id_of(d, i);

		assert_in_range(id, 1, 65527);
		acks(d, MQTT_PUBACK, id);
		if (ln->nbusy)
			dev_busy(ln, d);
	}
	assert_int_equal(tot()->acked, 40);
	assert_int_equal(failed(F_MEMORY), 0);
	shard_free();
}

static void qos2(void **state)
{
	struct device *d;
	uint16_t id;

	(void)state;
	shard_new("qos 2 persistent true interval 100ms jitter 0% count 1 ack-timeout 60s backoff "
		  "100ms..100ms");
	d = with_window(1);
	id = id_of(d, 0);
	acks(d, MQTT_PUBREC, id);
	assert_int_equal(sent(d, MQTT_PUBREL), 1);
	sock(d)->fin = true;
	dev_event(ln, d, EPOLLIN | EPOLLRDHUP);
	pass_ms(100);
	up(d, CONNACK_S, 4);
	/* What was received is released, not published, again. */
	assert_int_equal(sent(d, MQTT_PUBLISH), 0);
	assert_int_equal(sent(d, MQTT_PUBREL), 1);
	acks(d, MQTT_PUBCOMP, id);
	assert_int_equal(tot()->acked, 1);
	acks(d, MQTT_PUBREC, id);
	assert_int_equal(tot()->late_acks, 1);
	assert_int_equal(sent(d, MQTT_PUBREL), 2);
	shard_free();
}

/* --- stopping ------------------------------------------------------------------------ */

static void stop_draining(void **state)
{
	struct device *d;
	uint16_t id;

	(void)state;
	shard_new("qos 1 interval 100ms jitter 0% count 1 ack-timeout 2s");
	d = with_window(1);
	id = id_of(d, 0);
	dev_stop(ln, d);
	assert_int_equal(d->state, D_DRAIN);
	/* Called back. */
	dev_start(ln, d, ln->led.now);
	assert_int_equal(d->state, D_ONLINE);
	dev_stop(ln, d);
	acks(d, MQTT_PUBACK, id);
	assert_int_equal(d->state, D_OFF);
	assert_int_equal(tot()->acked, 1);
	shard_free();

	/* Nothing comes: its time is over. */
	shard_new("qos 1 interval 100ms jitter 0% count 1 ack-timeout 2s");
	d = with_window(1);
	dev_stop(ln, d);
	pass_ms(4000);
	assert_int_equal(d->state, D_OFF);
	assert_int_equal(failed(F_NO_PUBACK), 1);
	shard_free();

	/* It is lost while draining: stays off. */
	shard_new("qos 1 interval 100ms jitter 0% count 1 ack-timeout 2s");
	d = with_window(1);
	dev_stop(ln, d);
	sock(d)->fin = true;
	dev_event(ln, d, EPOLLIN | EPOLLRDHUP);
	assert_int_equal(d->state, D_OFF);
	assert_int_equal(failed(F_LOST), 1);
	shard_free();

	/* QoS 0 bytes that the socket never takes. */
	shard_new("qos 0 interval 100ms jitter 0% payload 1000 ack-timeout 1s");
	d = start(0);
	UP(d);
	sock(d)->room = 500;
	pass_ms(500);
	assert_true(d->blocked);
	dev_stop(ln, d);
	assert_int_equal(d->state, D_DRAIN);
	pass_ms(3000);
	assert_int_equal(d->state, D_OFF);
	assert_true(failed(F_STOPPED) > 0);
	shard_free();

	/* Before it was ever up; and dropped on purpose. */
	shard_new("qos 1 interval 100ms jitter 0%");
	d = start(0);
	dev_stop(ln, d);
	assert_int_equal(d->state, D_OFF);
	d = start(1);
	UP(d);
	dev_drop(ln, d);
	assert_int_equal(d->state, D_WAIT);
	pass_ms(10);
	assert_int_equal(d->state, D_TCP);
	shard_free();
}

/* A device without interval sends as long as window and socket take it. */
static void busy(void **state)
{
	struct device *d;

	(void)state;
	shard_new("qos 1 interval 0 inflight 8 batch 4 count 20 e2e true payload 100");
	d = start(0);
	UP(d);
	assert_int_equal(d->win->n, 8);
	for (unsigned i = 0; i < 20; i++) {
		acks(d, MQTT_PUBACK, id_of(d, i));
		if (ln->nbusy)
			dev_busy(ln, d);
	}
	assert_int_equal(tot()->acked, 20);
	assert_int_equal(sent(d, MQTT_PUBLISH), 20);
	shard_free();
}

/* Messages that are copied are, to the byte, those that are made, and counted one by one. */
static void alike(void **state)
{
	static const struct {
		const char *options;
		unsigned n; /* with the first PUBACKs */
	} how[] = {{"qos 0 batch 5 count 33", 33},
		   {"qos 0 batch 1 count 9", 8}, /* a turn is eight writes */
		   {"qos 0 batch 64 count 60 payload 3000", 60},
		   {"qos 1 batch 4 inflight 8 count 11", 11},
		   {"qos 1 batch 3 inflight 8 count 11 persistent true", 11},
		   {"qos 2 batch 16 inflight 5", 5},
		   {"qos 1 batch 16 inflight 64 publish-cap 7", 7},
		   {"qos 0 batch 16 count 40 protocol 5 user-property a=b", 40},
		   {"qos 1 batch 8 inflight 8 count 11 topic t/{thing}/{seq}", 11}};

	(void)state;
	for (unsigned i = 0; i < sizeof(how) / sizeof(*how); i++) {
		const struct sim_stat *out;
		struct mqtt_packet first, k;
		uint8_t again[4096], ack[64] = {0};
		char options[256];
		struct mqtt_props props;
		struct device *d;
		uint64_t bytes = 0;
		unsigned n = 0;

		snprintf(options, sizeof(options), "interval 0 topic t/{thing} %s", how[i].options);
		shard_new(options);
		d = start(0);
		if (ln->type->p.version == MQTT_V5)
			up(d, "\x20\3\0\0\0", 5);
		else
			UP(d);
		if (ln->type->p.qos == 1 && ln->type->p.inflight == 8) {
			for (; n < 8; n++)
				memcpy(ack + 4 * n,
				       (uint8_t[]){MQTT_PUBACK << 4, 2, 0, (uint8_t)id_of(d, n)},
				       4);
			gives(d, ack, 4 * n, 0);
			assert_int_equal(tot()->acked, 8);
			assert_int_equal(ln->led.pub->stat[SIM_PUBACK].requests, 8);
			assert_int_equal(sim_hist_count(&ln->led.pub->stat[SIM_PUBACK].hist), 8);
		}
		assert_int_equal(sent(d, MQTT_PUBLISH), how[i].n);
		for (n = 0; n < how[i].n; n++) {
			struct mqtt_publish m = {.qos = ln->type->p.qos};
			const uint8_t *p = nth(d, MQTT_PUBLISH, n);
			long len = mqtt_decode(ln->type->p.version, p, 1 << 20, 1 << 20, &k);

			assert_true(len > 0);
			if (!n)
				first = k;
			m.id = k.id;
			assert_int_equal(k.id, m.qos ? n + 1 : 0);
			m.topic = ln->type->topic_varies ? k.topic : first.topic;
			m.payload = first.payload;
			props = ln->type->props;
			assert_int_equal(mqtt_enc_publish(again, sizeof(again), ln->type->p.version,
							  &m, &props),
					 len);
			assert_memory_equal(again, p, len);
			bytes += (uint64_t)len;
		}
		out = &ln->led.pub->stat[SIM_PUBLISH];
		assert_int_equal(out->requests, n);
		assert_int_equal(out->bytes, bytes);
		assert_int_equal(sim_hist_count(&out->hist), n);
		assert_int_equal(tot()->scheduled, tot()->acked + tot()->in_flight);
		assert_int_equal(tot()->scheduled, n);
		assert_int_equal(d->seq, n);
		shard_free();
	}
}

/* --- what MQTT 5 brokers grant --------------------------------------------------------- */

/* More failures than can be told apart: none is left out, each counts at least by its kind. */
static void many_reasons(void **state)
{
	unsigned others = 0;

	(void)state;
	shard_new("qos 1");
	for (uint32_t i = 0; i < 2000; i++)
		stat_fail(&ln->led, 0, SIM_PUBACK, F_ACK_REASON, i, "why");
	stat_fail(&ln->led, 0, SIM_PUBACK, F_NO_PUBACK, 0, NULL);
	assert_int_equal(failed(F_ACK_REASON), 2000);
	assert_int_equal(failed(F_NO_PUBACK), 1);
	for (unsigned i = 0; i < SIM_ERRORS; i++) {
		struct sim_error e;

		if (!(ln->led.pub->error[i].key & SIM_ERROR_OTHER))
			continue;
		sim_error_text(ln->led.pub->error[i].key, ln->led.pub->error[i].note, &e);
		assert_true(!strcmp(e.kind, "rejected") || !strcmp(e.kind, "no-puback"));
		assert_non_null(strstr(e.text, "others of this kind"));
		others++;
	}
	assert_int_equal(others, 2);
	shard_free();
}

static void texts(char *buf, size_t cap)
{
	struct sim_error e;

	*buf = 0;
	for (unsigned i = 0; i < SIM_ERRORS; i++) {
		if (!ln->led.pub->error[i].key)
			continue;
		sim_error_text(ln->led.pub->error[i].key, ln->led.pub->error[i].note, &e);
		snprintf(buf + strlen(buf), cap - strlen(buf), "[%s: %s]", e.kind, e.text);
	}
}

static void limits(void **state)
{
	static const struct {
		const char *options, *connack;
		size_t n;
		const char *text;
	} what[] = {
		{"retain true", "\x20\5\0\0\2\x25\0", 7, "broker has no retained messages"},
		{"subscribe a/+", "\x20\5\0\0\2\x28\0", 7, "broker has no wildcard subscriptions"},
		{"subscribe $share/g/a", "\x20\5\0\0\2\x2a\0", 7,
		 "broker has no shared subscriptions"},
		{"qos 2", "\x20\5\0\0\2\x24\1", 7, "broker grants at most QoS 1"},
		{"qos 0", "\x20\3\1\0\0", 5, "session present after a clean start"},
		{"qos 0", "\x20\x0c\0\x9d\x09\x1c\0\6other\n", 14,
		 "CONNACK 0x9d (server moved): server other\\x0a"},
		/* Neither moves a cursor, in either length, nor turns what follows around. */
		{"qos 0", "\x20\x0e\0\x87\x0b\x1f\0\x08x\xc2\x9b\xe2\x80\xae\x1by", 16,
		 "CONNACK 0x87 (not authorized): x\\u009b\\u202e\\x1by]"},
		{"qos 0", "\x20\x08\0\x87\5\x1f\0\2no", 10, "CONNACK 0x87 (not authorized): no"},
		{"qos 0", "\x20\3\0\x8e\0", 5, "CONNACK 0x8e (unknown reason)"},
		{"subscribe a", "\x20\3\0\0\0\x90\x09\xff\xff\5\x1f\0\2no\x87", 16,
		 "SUBACK 0x87 (not authorized): no"},
		{"qos 0", "\x20\3\0\0\0\xe0\7\x8b\5\x1f\0\2by", 14,
		 "DISCONNECT 0x8b (server shutting down): by"},
		{"qos 0", "\x20\3\0\0\0\x30\7\0\1a\3\x23\0\1", 14, "topic alias"},
	};
	char text[1024];

	(void)state;
	for (unsigned i = 0; i < sizeof(what) / sizeof(*what); i++) {
		struct mqtt_packet c;
		struct device *d;

		shard_new("protocol 5 interval 1h backoff 1h..1h");
		if (*what[i].options) {
			char o[64], *value;

			snprintf(o, sizeof(o), "%s", what[i].options);
			value = strchr(o, ' ');
			*value++ = 0;
			set(o, value);
			assert_int_equal(stype_compile(ln->type, &(struct sq_error){0}), 0);
		}
		d = start(0);
		dev_event(ln, d, EPOLLOUT);
		assert_true(mqtt_decode(5, sock(d)->out, sock(d)->nout, 1 << 20, &c) > 0);
		assert_int_equal(c.props.max_packet, MQTT_MAX_REMAINING + 5);
		gives(d, what[i].connack, what[i].n, 0);
		assert_int_equal(d->state, D_WAIT);
		texts(text, sizeof(text));
		if (!strstr(text, what[i].text))
			fail_msg("%s: %s", what[i].text, text);
		shard_free();
	}
}

/* Nothing above the broker's Maximum Packet Size leaves; a PUBACK's reason is its own. */
static void max_packet(void **state)
{
	struct device *d;
	char text[512];

	(void)state;
	shard_new("protocol 5 qos 1 interval 100ms jitter 0% persistent true payload 100 backoff "
		  "100ms..100ms");
	d = start(0);
	up(d, "\x20\3\0\0\0", 5);
	pass_ms(250);
	assert_true(d->win->n >= 2);
	gives(d, (uint8_t[]){0x40, 3, 0, 1, 0x97}, 5, 0);
	texts(text, sizeof(text));
	assert_non_null(strstr(text, "acknowledged with 0x97 (quota exceeded)"));
	sock(d)->fin = true;
	dev_event(ln, d, EPOLLIN | EPOLLRDHUP);
	pass_ms(100);
	/* 50 bytes: neither what is sent again nor what is new. */
	up(d, "\x20\x08\1\0\5\x27\0\0\0\x32", 10);
	pass_ms(500);
	assert_int_equal(d->state, D_ONLINE);
	assert_int_equal(sent(d, MQTT_PUBLISH), 0);
	assert_int_equal(d->win->n, 0);
	assert_true(failed(F_TOO_BIG) >= 5);
	shard_free();
}

/* A broker that accepts and throws out: the waits grow; one that lasted begins them anew. */
static void thrown_out(void **state)
{
	struct device *d;

	(void)state;
	shard_new("backoff 10ms..10s backoff-reset 10s keepalive 0 interval 1h");
	d = start(0);
	for (unsigned i = 1; i <= 6; i++) {
		UP(d);
		sock(d)->fin = true;
		dev_event(ln, d, EPOLLIN | EPOLLRDHUP);
		assert_int_equal(d->attempts, i);
		pass_ms(10 << i);
	}
	UP(d);
	pass_ms(10010);
	sock(d)->fin = true;
	dev_event(ln, d, EPOLLIN | EPOLLRDHUP);
	assert_int_equal(d->attempts, 1);
	shard_free();
}

/* RabbitMQ answers QoS 2 with PUBACK. */
static void downgraded(void **state)
{
	struct device *d;

	(void)state;
	shard_new("qos 2 interval 100ms jitter 0% count 1");
	d = with_window(1);
	acks(d, MQTT_PUBACK, id_of(d, 0));
	assert_int_equal(failed(F_DOWNGRADED), 1);
	assert_int_equal(d->win->n, 0);
	assert_int_equal(d->state, D_ONLINE);
	shard_free();
}

static void commands(void **state)
{
	struct device *d;

	(void)state;
	shard_new("shadow true command c response r response-payload ok qos 0");
	d = start(0);
	UP(d);
	gives(d, "\x90\x06\xff\xff\1\1\1\1", 8, 0);
	assert_int_equal(d->state, D_ONLINE);
	gives(d, "\x30\x04\0\1cx", 6, 0);
	assert_int_equal(sent(d, MQTT_PUBLISH), 1);
	assert_memory_equal(nth(d, MQTT_PUBLISH, 0), "\x30\5\0\1rok", 7);
	shard_free();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(life),
		cmocka_unit_test(refused),
		cmocka_unit_test(timeouts),
		cmocka_unit_test(other_family),
		cmocka_unit_test(redirect),
		cmocka_unit_test(socket_options),
		cmocka_unit_test(topic_alias),
		cmocka_unit_test(many_filters),
		cmocka_unit_test(websocket),
		cmocka_unit_test(websocket_wrong),
		cmocka_unit_test(scheduled_time),
		cmocka_unit_test(data_with_fin),
		cmocka_unit_test(last_words),
		cmocka_unit_test(pieces),
		cmocka_unit_test(nonsense),
		cmocka_unit_test(blocked),
		cmocka_unit_test(flood),
		cmocka_unit_test(sent_fast),
		cmocka_unit_test(many_reasons),
		cmocka_unit_test(lost_in_resend),
		cmocka_unit_test(receive_max),
		cmocka_unit_test(given_up_is_owed),
		cmocka_unit_test(released_before),
		cmocka_unit_test(own_identifiers),
		cmocka_unit_test(qos2),
		cmocka_unit_test(stop_draining),
		cmocka_unit_test(busy),
		cmocka_unit_test(alike),
		cmocka_unit_test(commands),
		cmocka_unit_test(limits),
		cmocka_unit_test(max_packet),
		cmocka_unit_test(own_ports),
		cmocka_unit_test(thrown_out),
		cmocka_unit_test(downgraded),
		cmocka_unit_test(given_up),
		cmocka_unit_test(too_fast),
		cmocka_unit_test(refused_subscription),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
