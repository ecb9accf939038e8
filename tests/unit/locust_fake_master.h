// SPDX-License-Identifier: GPL-2.0-only
/*
 * A scripted Locust master: a ZeroMQ ROUTER that says what masters of several
 * versions say (2.12.1 in Debian to 2.46), in the frames that their msgpack
 * makes, and looks at what comes back. `ma` holds the last message.
 */
#ifndef LOCUST_FAKE_MASTER_H
#define LOCUST_FAKE_MASTER_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>
#include <cmocka.h>
#include <msgpack.h>
#include <zmq.h>
#include "locust_fake_engine.h"

#define MS	 1000000ull
#define NODE_MAX 128

static struct {
	void *ctx, *router;
	int port;
	char node[NODE_MAX]; /* sender of the last message */
	/* of the last message */
	char type[64];
	msgpack_unpacked u;
	msgpack_sbuffer frame;
	const msgpack_object *data;
	char said_node[NODE_MAX]; /* its third element */
	bool answers;		  /* heartbeats, as masters >= 2.19 do */
	unsigned int heartbeats;
	uint64_t last_beat, longest_gap;
	char beat_state[24];
} ma;

static void master_open(void)
{
	char url[64];
	size_t len = sizeof(url);

	ma.router = zmq_socket(ma.ctx, ZMQ_ROUTER);
	snprintf(url, sizeof(url), ma.port ? "tcp://127.0.0.1:%d" : "tcp://127.0.0.1:*", ma.port);
	assert_int_equal(zmq_bind(ma.router, url), 0);
	if (!ma.port) {
		assert_int_equal(zmq_getsockopt(ma.router, ZMQ_LAST_ENDPOINT, url, &len), 0);
		ma.port = atoi(strrchr(url, ':') + 1);
	}
}

static void master_close(void)
{
	int linger = 0;

	zmq_setsockopt(ma.router, ZMQ_LINGER, &linger, sizeof(linger));
	zmq_close(ma.router);
	ma.router = NULL;
}

static void send_raw(const char *node, const void *bytes, size_t len)
{
	assert_true(zmq_send(ma.router, node, strlen(node), ZMQ_SNDMORE) >= 0);
	assert_true(zmq_send(ma.router, bytes, len, 0) >= 0);
}

static msgpack_sbuffer out;
static msgpack_packer pk;

static void text(const char *s)
{
	msgpack_pack_str(&pk, strlen(s));
	msgpack_pack_str_body(&pk, s, strlen(s));
}

static void begin(const char *type)
{
	msgpack_sbuffer_init(&out);
	msgpack_packer_init(&pk, &out, msgpack_sbuffer_write);
	msgpack_pack_array(&pk, 3);
	text(type);
}

static void end(const char *node)
{
	text(node);
	send_raw(node, out.data, out.size);
	msgpack_sbuffer_destroy(&out);
}

static void tell(const char *node, const char *type)
{
	begin(type);
	msgpack_pack_nil(&pk);
	end(node);
}

static void ack(const char *node, int index)
{
	begin("ack");
	if (index < 0) {
		msgpack_pack_nil(&pk);
	} else {
		msgpack_pack_map(&pk, 1);
		text("index");
		msgpack_pack_int(&pk, index);
	}
	end(node);
}

static const char *spawn_host; /* Locust's own field; NULL: nobody filled it in */

/* option may be NULL */
static void spawn(const char *node, double timestamp, int meters, int sensors, const char *option,
		  const char *value)
{
	begin("spawn");
	msgpack_pack_map(&pk, 5);
	text("timestamp");
	msgpack_pack_double(&pk, timestamp);
	text("user_classes_count");
	msgpack_pack_map(&pk, 2);
	text("meter");
	msgpack_pack_int(&pk, meters);
	text("temp_sensor");
	msgpack_pack_int(&pk, sensors);
	text("host");
	if (spawn_host)
		text(spawn_host);
	else
		msgpack_pack_nil(&pk);
	text("stop_timeout");
	msgpack_pack_nil(&pk);
	text("parsed_options");
	msgpack_pack_map(&pk, option ? 2 : 1);
	text("headless");
	msgpack_pack_true(&pk);
	if (option) {
		text(option);
		text(value);
	}
	end(node);
}

static void copy(const msgpack_object *o, char *buf, size_t len)
{
	assert_int_equal(o->type, MSGPACK_OBJECT_STR);
	snprintf(buf, len, "%.*s", (int)o->via.str.size, o->via.str.ptr);
}

static const msgpack_object *get(const msgpack_object *map, const char *key)
{
	uint32_t i;

	assert_int_equal(map->type, MSGPACK_OBJECT_MAP);
	for (i = 0; i < map->via.map.size; i++)
		if (map->via.map.ptr[i].key.type == MSGPACK_OBJECT_STR &&
		    map->via.map.ptr[i].key.via.str.size == strlen(key) &&
		    !memcmp(map->via.map.ptr[i].key.via.str.ptr, key, strlen(key)))
			return &map->via.map.ptr[i].val;
	fail_msg("no key %s in %s", key, ma.type);
	return NULL;
}

/* One message into ma, or false after ms. Heartbeats are counted and answered. */
static bool next(unsigned int ms)
{
	zmq_pollitem_t item = {ma.router, 0, ZMQ_POLLIN, 0};
	const msgpack_object *a;
	zmq_msg_t part;
	size_t off = 0;
	int n;

	if (zmq_poll(&item, 1, ms) <= 0)
		return false;
	n = zmq_recv(ma.router, ma.node, NODE_MAX - 1, 0);
	assert_true(n > 0 && n < NODE_MAX);
	ma.node[n] = 0;
	zmq_msg_init(&part);
	assert_true(zmq_msg_recv(&part, ma.router, 0) > 0);
	assert_false(zmq_msg_more(&part));
	msgpack_sbuffer_clear(&ma.frame);
	msgpack_sbuffer_write(&ma.frame, zmq_msg_data(&part), zmq_msg_size(&part));
	zmq_msg_close(&part);
	msgpack_unpacked_destroy(&ma.u);
	msgpack_unpacked_init(&ma.u);
	assert_int_equal(msgpack_unpack_next(&ma.u, ma.frame.data, ma.frame.size, &off),
			 MSGPACK_UNPACK_SUCCESS);
	assert_int_equal(ma.u.data.via.array.size, 3);
	a = ma.u.data.via.array.ptr;
	copy(&a[0], ma.type, sizeof(ma.type));
	copy(&a[2], ma.said_node, sizeof(ma.said_node));
	ma.data = &a[1];
	if (!strcmp(ma.type, "heartbeat")) {
		uint64_t now = fake_now();

		ma.heartbeats++;
		if (ma.last_beat && now - ma.last_beat > ma.longest_gap)
			ma.longest_gap = now - ma.last_beat;
		ma.last_beat = now;
		copy(get(ma.data, "state"), ma.beat_state, sizeof(ma.beat_state));
		if (ma.answers)
			tell(ma.node, "heartbeat");
	}
	return true;
}

/* The next message of this type within ms; others pass by. */
static void expect(const char *type, unsigned int ms)
{
	uint64_t until = fake_now() + ms * MS;

	while (fake_now() < until)
		if (next(20) && !strcmp(ma.type, type))
			return;
	fail_msg("no %s within %u ms", type, ms);
}

static void expect_none(const char *type, unsigned int ms)
{
	uint64_t until = fake_now() + ms * MS;

	while (fake_now() < until)
		if (next(20) && !strcmp(ma.type, type))
			fail_msg("%s came", type);
}

static int64_t integer(const msgpack_object *o)
{
	assert_true(o->type == MSGPACK_OBJECT_POSITIVE_INTEGER ||
		    o->type == MSGPACK_OBJECT_NEGATIVE_INTEGER);
	return o->via.i64;
}

static int64_t users(void)
{
	return integer(get(ma.data, "user_count"));
}

#endif
