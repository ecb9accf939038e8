// SPDX-License-Identifier: GPL-2.0-only
/* Messages longer than a buffer: they leave from their source, and arrive, piece by piece. */
#define FDS	 4
#define FAKE_OUT (5 << 20)
#include "fake_shard.h"

#define MIB (1u << 20)

/* Walks what the socket took: whole packets, of which the n-th is of `type`; its length. */
static size_t packet(const struct device *d, unsigned n, uint8_t type, struct mqtt_packet *ret)
{
	struct fake *f = sock(d);
	size_t at = 0;

	for (;; n--) {
		long len = mqtt_frame(f->out + at, f->nout - at, MIB * 256);

		if (len <= 0)
			fail_msg("only whole packets are expected; %zu bytes are left",
				 f->nout - at);
		if (!n) {
			assert_int_equal(f->out[at] >> 4, type);
			assert_int_equal(mqtt_decode(type_of(ln, d)->p.version, f->out + at,
						     (size_t)len, MIB * 256, ret),
					 len);
			return (size_t)len;
		}
		at += (size_t)len;
	}
}

/* The socket takes n more, and says so. */
static void takes(struct device *d, size_t n)
{
	sock(d)->room = n;
	dev_event(ln, d, EPOLLOUT);
}

static void acks(struct device *d, uint8_t type, uint16_t id)
{
	uint8_t p[4] = {(uint8_t)(type << 4), 2, (uint8_t)(id >> 8), (uint8_t)id};

	gives(d, p, 4, 0);
}

static void alphabet(struct mqtt_slice p, uint32_t from)
{
	for (uint32_t i = from; i < p.n; i++)
		if (p.p[i] != 'a' + i % 26)
			fail_msg("byte %u of the payload is %d", i, p.p[i]);
}

static void leaves(void **state)
{
	struct mqtt_packet k;
	struct device *d;

	(void)state;
	shard_new("qos 1 interval 1h jitter 0% topic t payload 2mib ack-timeout 5s");
	d = start(0);
	UP(d);
	sock(d)->room = 100000;
	d->due_ns = ln->led.now;
	dev_due(ln, d);
	assert_true(d->blocked);
	assert_int_equal(sock(d)->room, 0);
	/* What it receives meanwhile is acknowledged behind it. */
	gives(d, "\x32\x06\0\1a\0\x07x", 8, 0);
	assert_int_equal(tot()->received, 1);
	/* It takes longer than an acknowledgement may, and moves. */
	for (unsigned i = 0; i < 4; i++) {
		pass_ms(4000);
		takes(d, 50000);
		assert_int_equal(d->win->n, 1);
	}
	takes(d, MIB * 3);
	takes(d, MIB); /* others have their turn after a MiB: an event brings it back */
	assert_false(d->blocked);
	packet(d, 1, MQTT_PUBLISH, &k);
	assert_int_equal(k.payload.n, 2 * MIB);
	alphabet(k.payload, 0);
	assert_int_equal(k.id, d->next_id);
	packet(d, 2, MQTT_PUBACK, &k);
	assert_int_equal(k.id, 7);
	/* Its time for the acknowledgement begins with its end. */
	pass_ms(4500);
	assert_int_equal(d->win->n, 1);
	acks(d, MQTT_PUBACK, d->next_id);
	assert_int_equal(tot()->acked, 1);
	shard_free();
}

/* No PINGREQ in the middle; a socket that takes nothing any more is noticed all the same. */
static void keeps_alive(void **state)
{
	struct mqtt_packet k;
	struct device *d;

	(void)state;
	shard_new("interval 1h jitter 0% topic t payload 1mib keepalive 4");
	d = start(0);
	UP(d);
	sock(d)->room = 1000;
	d->due_ns = ln->led.now;
	dev_due(ln, d);
	for (unsigned i = 0; i < 6; i++) {
		pass_ms(3000);
		takes(d, 1000);
		assert_int_equal(d->state, D_ONLINE);
	}
	takes(d, 2 * MIB);
	packet(d, 1, MQTT_PUBLISH, &k);
	assert_int_equal(tot()->acked, 1);
	sock(d)->room = 0;
	d->due_ns = ln->led.now;
	dev_due(ln, d);
	pass_ms(6000);
	assert_int_equal(failed(F_KEEPALIVE), 1);
	assert_int_equal(failed(F_UNSENT), 1);
	shard_free();
}

static void again(void **state)
{
	struct mqtt_packet k;
	struct device *d;
	uint16_t id;

	(void)state;
	shard_new("qos 2 interval 1h jitter 0% topic t payload 1mib persistent true inflight 2 "
		  "client-id c backoff 10ms..10ms");
	d = start(0);
	UP(d);
	sock(d)->room = 70000;
	d->due_ns = ln->led.now;
	dev_due(ln, d);
	id = d->next_id;
	sock(d)->fin = true;
	dev_event(ln, d, EPOLLIN | EPOLLRDHUP);
	assert_null(d->out);
	assert_int_equal(d->win->n, 1);
	pass_ms(30);
	sock(d)->room = 200000;
	up(d, CONNACK_S, 4);
	assert_true(d->blocked);
	takes(d, 3 * MIB);
	takes(d, 3 * MIB);
	packet(d, 1, MQTT_PUBLISH, &k);
	assert_true(k.dup);
	assert_int_equal(k.id, id);
	assert_int_equal(k.payload.n, MIB);
	alphabet(k.payload, 0);
	acks(d, MQTT_PUBREC, id);
	packet(d, 2, MQTT_PUBREL, &k);
	acks(d, MQTT_PUBCOMP, id);
	assert_int_equal(tot()->acked, 1);
	shard_free();
}

/* The mark of --e2e stands at its start, where whoever receives it looks. */
static void marked(void **state)
{
	struct mqtt_packet k;
	struct device *d;

	(void)state;
	shard_new("interval 1h jitter 0% topic t payload 300kib e2e true");
	d = start(0);
	UP(d);
	d->due_ns = ln->led.now;
	dev_due(ln, d);
	packet(d, 1, MQTT_PUBLISH, &k);
	assert_int_equal(k.payload.n, 300 << 10);
	assert_memory_equal(k.payload.p, "SQ1:", 4);
	alphabet(k.payload, SIM_MARK_LEN);
	shard_free();
}

static void over_max_packet(void **state)
{
	struct device *d;

	(void)state;
	shard_new("protocol 5 qos 1 interval 1h jitter 0% topic t payload 1mib");
	d = start(0);
	up(d, "\x20\x08\0\0\5\x27\0\x10\0\0", 10); /* Maximum Packet Size 1 MiB */
	d->due_ns = ln->led.now;
	dev_due(ln, d);
	assert_int_equal(failed(F_TOO_BIG), 1);
	assert_false(d->blocked);
	shard_free();
}

/* Of QoS 0: lost with the connection, stopped in the middle, and one that goes on to the end. */
static void cut(void **state)
{
	struct device *d;

	(void)state;
	shard_new("interval 1h jitter 0% topic t payload 1mib ack-timeout 2s");
	d = start(0);
	UP(d);
	sock(d)->room = 5000;
	d->due_ns = ln->led.now;
	dev_due(ln, d);
	assert_int_equal(tot()->in_flight, 1);
	sock(d)->reset = true;
	dev_event(ln, d, EPOLLOUT | EPOLLIN | EPOLLHUP);
	assert_int_equal(failed(F_UNSENT), 1);
	d = start(1);
	UP(d);
	sock(d)->room = 5000;
	d->due_ns = ln->led.now;
	dev_due(ln, d);
	dev_stop(ln, d);
	for (unsigned i = 0; i < 4; i++) {
		pass_ms(1500);
		assert_int_equal(d->state, D_DRAIN);
		takes(d, 1000);
	}
	takes(d, 2 * MIB);
	assert_int_equal(d->state, D_OFF);
	assert_int_equal(tot()->acked, 1);
	shard_free();
}

/* A payload's file that grows, is replaced or removed is sent as it was when it was opened; one
 * that is cut while it leaves ends the connection with the reason, and comes back with it. */
static void file_changes(void **state)
{
	char path[] = "/tmp/squall-big.XXXXXX", options[128];
	int file = mkstemp(path);
	struct mqtt_packet k;
	struct device *d;

	(void)state;
	assert_int_equal(ftruncate(file, 2 * MIB), 0);
	snprintf(options, sizeof(options), "qos 1 interval 1h jitter 0%% topic t payload @%s",
		 path);
	shard_new(options);
	d = start(0);
	UP(d);
	sock(d)->room = 5000;
	d->due_ns = ln->led.now;
	dev_due(ln, d);
	assert_int_equal(pwrite(file, "more", 4, 2 * MIB), 4);
	takes(d, MIB);
	assert_int_equal(unlink(path), 0);
	takes(d, 2 * MIB);
	packet(d, 1, MQTT_PUBLISH, &k);
	assert_int_equal(k.payload.n, 2 * MIB);
	acks(d, MQTT_PUBACK, k.id);
	assert_int_equal(tot()->acked, 1);
	/* Cut in the middle of the second. */
	sock(d)->room = 5000;
	d->due_ns = ln->led.now;
	dev_due(ln, d);
	assert_int_equal(ftruncate(file, MIB), 0);
	takes(d, 2 * MIB);
	assert_int_equal(failed(F_SOCKET), 1);
	assert_int_equal(failed(F_LOST), 1);
	for (unsigned i = 0; i < SIM_ERRORS; i++)
		if ((ln->led.pub->error[i].key >> 40 & 255) == F_SOCKET)
			assert_string_equal(ln->led.pub->error[i].note,
					    "the payload's file has become shorter");
	assert_int_equal(d->state, D_WAIT);
	close(file);
	shard_free();
}

/* --- received ---------------------------------------------------------------------- */

/* A PUBLISH of `n` payload bytes arrives in pieces. */
static void arrives(struct device *d, uint8_t first, const char *head, size_t nhead, uint32_t n)
{
	static uint8_t piece[1 << 16];
	uint32_t body = (uint32_t)nhead + n, at = 0;
	uint8_t p[64] = {first, (uint8_t)(128 | (body & 127)), (uint8_t)(128 | (body >> 7 & 127)),
			 (uint8_t)(128 | (body >> 14 & 127)), (uint8_t)(body >> 21)};

	memcpy(p + 5, head, nhead);
	gives(d, p, 5 + nhead, 0);
	while (at < n) {
		uint32_t take = n - at < sizeof(piece) ? n - at : sizeof(piece);

		sock(d)->nin = sock(d)->at = 0;
		gives(d, piece, take, 0);
		at += take;
	}
	sock(d)->nin = sock(d)->at = 0;
}

static void passes(void **state)
{
	struct mqtt_packet k;
	struct device *d;

	(void)state;
	shard_new("subscribe a interval 1h keepalive 4");
	d = start(0);
	UP(d);
	gives(d, "\x90\x03\xff\xff\1", 5, 0);
	assert_int_equal(d->state, D_ONLINE);
	arrives(d, 0x34, "\0\1a\0\x09", 5, 3 * MIB);
	assert_int_equal(tot()->received, 1);
	assert_null(d->in);
	assert_null(d->x->big);
	packet(d, 2, MQTT_PUBREC, &k);
	assert_int_equal(k.id, 9);
	/* The same once more is not another message, and what follows is one. */
	arrives(d, 0x3c, "\0\1a\0\x09", 5, 3 * MIB);
	assert_int_equal(tot()->received, 1);
	packet(d, 3, MQTT_PUBREC, &k);
	gives(d, "\x30\x04\0\1ax", 6, 0);
	assert_int_equal(tot()->received, 2);
	/* Memory: no more than the inbox of the shard at any time. */
	arrives(d, 0x30, "\0\1a", 3, 40 * MIB);
	assert_int_equal(tot()->received, 3);
	/* The connection goes in the middle: nothing of it stays. */
	gives(d, "\x32\xff\xff\xff\x7f\0\1a\0\1", 10, 0);
	for (unsigned i = 0; i < 40; i++) {
		static uint8_t piece[1 << 16];

		sock(d)->nin = sock(d)->at = 0;
		gives(d, piece, sizeof(piece), 0);
	}
	assert_non_null(d->x->big);
	sock(d)->nin = sock(d)->at = 0;
	sock(d)->fin = true;
	dev_event(ln, d, EPOLLIN | EPOLLRDHUP);
	assert_null(d->x->big);
	assert_int_equal(failed(F_CLOSED), 1);
	shard_free();
}

/* What is too long and is no message, or whose topic never ends. */
static void too_long(void **state)
{
	static const struct {
		const char *head;
		size_t n;
		enum sim_fail kind;
	} what[] = {{"\x90\xff\xff\xff\x7f\xff\xff", 7, F_MALFORMED},
		    {"\x30\xff\xff\xff\x7f\0\1#", 8, F_MALFORMED}};
	static uint8_t piece[1 << 16];
	struct device *d;

	(void)state;
	for (unsigned i = 0; i < sizeof(what) / sizeof(*what); i++) {
		shard_new("interval 1h");
		d = start(0);
		UP(d);
		gives(d, what[i].head, what[i].n, 0);
		for (unsigned n = 0; n < 20 && !failed(what[i].kind); n++) {
			sock(d)->nin = sock(d)->at = 0;
			gives(d, piece, sizeof(piece), 0);
		}
		assert_int_equal(failed(what[i].kind), 1);
		shard_free();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(leaves),	   cmocka_unit_test(keeps_alive),
		cmocka_unit_test(again),	   cmocka_unit_test(marked),
		cmocka_unit_test(over_max_packet), cmocka_unit_test(cut),
		cmocka_unit_test(file_changes),	   cmocka_unit_test(passes),
		cmocka_unit_test(too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
