// SPDX-License-Identifier: GPL-2.0-only
/* Locust's messages: what goes out is whole, what comes in is bounded. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>
#include <msgpack.h>
#include "sim/locust/proto.h"
#include "sim/locust/queue.h"
#include "sim/locust/usage.h"

/* --- rounding -------------------------------------------------------------------- */

/* The right column is what Python's bucket_response_time() of Locust 2.46 gives. */
static void rounds_as_python(void **state)
{
	static const struct {
		double ms;
		int64_t key;
	} cases[] = {
		{0.0, 0},
		{0.4, 0},
		{0.5, 0},
		{0.500001, 1},
		{1.5, 2},
		{2.5, 2},
		{3.49, 3},
		{98.5, 98},
		{99.49, 99},
		{99.5, 100},
		{99.51, 100},
		{99.999, 100},
		{100.0, 100},
		{104.999, 100},
		{105.0, 100},
		{105.001, 110},
		{115.0, 120},
		{145.0, 140},
		{147.0, 150},
		{994.9, 990},
		{995.0, 1000},
		{999.9, 1000},
		{1000.0, 1000},
		{1049.9, 1000},
		{1050.0, 1000},
		{1050.1, 1100},
		{1150.0, 1200},
		{3432.0, 3400},
		{9949.9, 9900},
		{9950.0, 10000},
		{9999.0, 10000},
		{10000.0, 10000},
		{10500.0, 10000},
		{10500.5, 11000},
		{11500.0, 12000},
		{58760.0, 59000},
		{4294967.2, 4295000},
		{-1, 0},
		{NAN, 0},
		{-INFINITY, 0},
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		assert_int_equal(locust_round_ms(cases[i].ms), cases[i].key);
}

/* --- outgoing ---------------------------------------------------------------------- */

static msgpack_unpacked tree;

/* The data of an outgoing message, whose frame must be one whole [type, data, node]. */
static const msgpack_object *open_frame(struct locust_frame *f, const char *type)
{
	const msgpack_object *a;
	size_t off = 0;

	msgpack_unpacked_init(&tree);
	assert_int_equal(msgpack_unpack_next(&tree, f->data, f->len, &off), MSGPACK_UNPACK_SUCCESS);
	assert_int_equal(off, f->len);
	assert_int_equal(tree.data.type, MSGPACK_OBJECT_ARRAY);
	assert_int_equal(tree.data.via.array.size, 3);
	a = tree.data.via.array.ptr;
	/* raw=False in the master: text has to be str and not bin. */
	assert_int_equal(a[0].type, MSGPACK_OBJECT_STR);
	assert_int_equal(a[0].via.str.size, strlen(type));
	assert_memory_equal(a[0].via.str.ptr, type, strlen(type));
	assert_int_equal(a[2].type, MSGPACK_OBJECT_STR);
	assert_memory_equal(a[2].via.str.ptr, "host_1", 6);
	return &a[1];
}

static void close_frame(struct locust_frame *f)
{
	msgpack_unpacked_destroy(&tree);
	locust_frame_free(f);
}

static const msgpack_object *get(const msgpack_object *map, const char *key)
{
	uint32_t i;

	assert_int_equal(map->type, MSGPACK_OBJECT_MAP);
	for (i = 0; i < map->via.map.size; i++)
		if (map->via.map.ptr[i].key.via.str.size == strlen(key) &&
		    !memcmp(map->via.map.ptr[i].key.via.str.ptr, key, strlen(key)))
			return &map->via.map.ptr[i].val;
	fail_msg("no key %s", key);
	return NULL;
}

static int64_t integer(const msgpack_object *o)
{
	assert_true(o->type == MSGPACK_OBJECT_POSITIVE_INTEGER ||
		    o->type == MSGPACK_OBJECT_NEGATIVE_INTEGER);
	return o->via.i64;
}

static int64_t at(const msgpack_object *map, int64_t key)
{
	uint32_t i;

	for (i = 0; i < map->via.map.size; i++)
		if (integer(&map->via.map.ptr[i].key) == key)
			return integer(&map->via.map.ptr[i].val);
	return 0;
}

static void is_text(const msgpack_object *o, const char *text)
{
	assert_int_equal(o->type, MSGPACK_OBJECT_STR);
	assert_int_equal(o->via.str.size, strlen(text));
	assert_memory_equal(o->via.str.ptr, text, strlen(text));
}

static void client_ready_is_minus_one(void **state)
{
	struct locust_frame f = {0};
	const msgpack_object *data;

	(void)state;
	assert_int_equal(locust_put_client_ready(&f, "host_1"), 0);
	data = open_frame(&f, "client_ready");
	/* The int, not a string: 2.12 subscripts everything else. */
	assert_int_equal(data->type, MSGPACK_OBJECT_NEGATIVE_INTEGER);
	assert_int_equal(data->via.i64, -1);
	close_frame(&f);
}

static void simple_has_nil(void **state)
{
	static const char *const types[] = {"spawning", "client_stopped", "quit"};
	struct locust_frame f = {0};
	size_t i;

	(void)state;
	for (i = 0; i < 3; i++) {
		assert_int_equal(locust_put_simple(&f, "host_1", types[i]), 0);
		assert_int_equal(open_frame(&f, types[i])->type, MSGPACK_OBJECT_NIL);
		close_frame(&f);
	}
}

static void heartbeat_numbers_are_finite(void **state)
{
	struct locust_frame f = {0};
	const msgpack_object *data;

	(void)state;
	assert_int_equal(locust_put_heartbeat(&f, "host_1", "running", 12.34, 1 << 20), 0);
	data = open_frame(&f, "heartbeat");
	is_text(get(data, "state"), "running");
	assert_true(fabs(get(data, "current_cpu_usage")->via.f64 - 12.3) < 1e-9);
	assert_int_equal(integer(get(data, "current_memory_usage")), 1 << 20);
	close_frame(&f);
	assert_int_equal(locust_put_heartbeat(&f, "host_1", "running", NAN, 0), 0);
	assert_true(get(open_frame(&f, "heartbeat"), "current_cpu_usage")->via.f64 == 0);
	close_frame(&f);
}

static double clock_s(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* One thread that works is one core's share of what the process may use, however many
 * cores there are and whatever else they do. The kernel counts in ticks of 10 ms. */
static void cpu_is_the_share_of_this_process(void **state)
{
	double cpu0, wall0, cpu, percent, want;
	struct locust_usage u;
	uint64_t memory;

	(void)state;
	locust_usage_init(&u);
	cpu0 = clock_s(CLOCK_PROCESS_CPUTIME_ID);
	wall0 = clock_s(CLOCK_MONOTONIC);
	while (clock_s(CLOCK_MONOTONIC) - wall0 < 0.4)
		;
	cpu = clock_s(CLOCK_PROCESS_CPUTIME_ID) - cpu0;
	want = cpu / 0.4 / u.cpus * 100;
	locust_usage_read(&u, &percent, &memory);
	assert_true(u.cpus >= 0.01);
	assert_true(fabs(percent - want) < 8);
	assert_true(percent <= 100);
	assert_in_range(memory, 1 << 20, 1ull << 32);
}

static void spawning_complete_has_counts(void **state)
{
	const struct locust_class classes[] = {{"meter", 3}, {"gone", -4}, {"tracker", 0}};
	struct locust_frame f = {0};
	const msgpack_object *data;

	(void)state;
	assert_int_equal(locust_put_spawning_complete(&f, "host_1", classes, 3), 0);
	data = open_frame(&f, "spawning_complete");
	assert_int_equal(integer(get(data, "user_count")), 3);
	assert_int_equal(integer(get(get(data, "user_classes_count"), "meter")), 3);
	assert_int_equal(integer(get(get(data, "user_classes_count"), "gone")), 0);
	close_frame(&f);
	/* Without any class the map must be there all the same. */
	assert_int_equal(locust_put_spawning_complete(&f, "host_1", NULL, 0), 0);
	assert_int_equal(get(open_frame(&f, "spawning_complete"), "user_classes_count")->type,
			 MSGPACK_OBJECT_MAP);
	close_frame(&f);
}

/* Not UTF-8 raises in the master's unpacker. */
static void text_is_utf8(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{"plain", "plain"},
		{"\xc3\xa4\xe2\x82\xac\xf0\x9f\x8c\xa9", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x8c\xa9"},
		{"a\xff"
		 "b",
		 "a?b"},
		{"\xc0\xaf", "??"},	      /* overlong */
		{"\xed\xa0\x80", "???"},      /* surrogate */
		{"\xf4\x90\x80\x80", "????"}, /* past U+10FFFF */
		{"cut\xe2\x82", "cut??"},
	};
	struct locust_frame f = {0};
	char *longer = malloc(20000);
	const msgpack_object *o;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_int_equal(locust_put_exception(&f, "host_1", cases[i].in, "tb"), 0);
		is_text(get(open_frame(&f, "exception"), "msg"), cases[i].out);
		close_frame(&f);
	}
	/* Cut at a bound, and between characters. */
	for (i = 0; i < 19998; i += 3)
		memcpy(longer + i, "\xe2\x82\xac", 3);
	longer[i] = 0;
	assert_int_equal(locust_put_exception(&f, "host_1", longer, NULL), 0);
	o = get(open_frame(&f, "exception"), "msg");
	assert_int_equal(o->via.str.size, LOCUST_TEXT_MAX / 3 * 3);
	is_text(get(&tree.data.via.array.ptr[1], "traceback"), "");
	close_frame(&f);
	free(longer);
}

static void stats_have_every_field(void **state)
{
	static const char *const fields[] = {
		"name",
		"method",
		"last_request_timestamp",
		"start_time",
		"num_requests",
		"num_none_requests",
		"num_failures",
		"total_response_time",
		"max_response_time",
		"min_response_time",
		"total_content_length",
		"response_times",
		"num_reqs_per_sec",
		"num_fail_per_sec",
	};
	const struct locust_pair times_a[] = {{1, 5}, {150, 1}}, times_b[] = {{0, 2}, {1, 1}};
	const struct locust_pair sec_a[] = {{1700000001, 4}, {1700000002, 2}};
	const struct locust_pair sec_b[] = {{1700000000, 1}, {1700000002, 2}};
	const struct locust_pair fail_a[] = {{1700000002, 1}};
	const struct locust_entry entries[] = {
		{.name = "meter/publish",
		 .method = "MQTT",
		 .requests = 6,
		 .failures = 1,
		 .total_ms = 155,
		 .min_ms = 1,
		 .max_ms = 150,
		 .content_bytes = 600,
		 .times = {times_a, 2},
		 .requests_per_s = {sec_a, 2},
		 .failures_per_s = {fail_a, 1}},
		{.name = "meter/connect",
		 .method = "MQTT",
		 .requests = 3,
		 .total_ms = 1,
		 .min_ms = 0,
		 .max_ms = 1,
		 .times = {times_b, 2},
		 .requests_per_s = {sec_b, 2}},
		{.name = "meter/puback",
		 .method = "MQTT",
		 .requests = 2,
		 .none_requests = 2,
		 .failures = 2,
		 .max_ms = 0},
		{.name = "meter/receive", .method = "MQTT"}, /* nothing: no row */
	};
	const struct locust_error errors[] = {
		{.name = "meter/publish", .method = "MQTT", .error = "reset", .occurrences = 1},
		{.name = "meter/puback",
		 .method = "MQTT",
		 .error = "no PUBACK",
		 .occurrences = 2,
		 .first_seen = 1700000001.5,
		 .last_seen = 1700000002.5},
	};
	const struct locust_class classes[] = {{"meter", 7}};
	const struct locust_report r = {
		.start_time = 1700000000.5,
		.last_request = 1700000002.25,
		.entries = entries,
		.n_entries = 4,
		.errors = errors,
		.n_errors = 2,
		.classes = classes,
		.n_classes = 1,
	};
	struct locust_frame f = {0};
	const msgpack_object *data, *total, *e;
	size_t i;

	(void)state;
	assert_int_equal(locust_put_stats(&f, "host_1", &r), 0);
	data = open_frame(&f, "stats");
	assert_int_equal(get(data, "stats")->via.array.size, 3);
	total = get(data, "stats_total");
	for (i = 0; i < sizeof(fields) / sizeof(*fields); i++)
		get(total, fields[i]);
	assert_int_equal(total->via.map.size, sizeof(fields) / sizeof(*fields));
	is_text(get(total, "name"), "Aggregated");
	is_text(get(total, "method"), "");
	assert_int_equal(integer(get(total, "num_requests")), 11);
	assert_int_equal(integer(get(total, "num_failures")), 3);
	assert_int_equal(integer(get(total, "num_none_requests")), 2);
	assert_true(get(total, "total_response_time")->via.f64 == 156);
	/* 0 is a minimum, not "none": it must not become nil. */
	assert_int_equal(get(total, "min_response_time")->type, MSGPACK_OBJECT_FLOAT64);
	assert_true(get(total, "min_response_time")->via.f64 == 0);
	assert_true(get(total, "max_response_time")->via.f64 == 150);
	assert_int_equal(at(get(total, "response_times"), 1), 6);
	assert_int_equal(at(get(total, "response_times"), 0), 2);
	assert_int_equal(at(get(total, "response_times"), 150), 1);
	assert_int_equal(get(total, "num_reqs_per_sec")->via.map.size, 3);
	assert_int_equal(at(get(total, "num_reqs_per_sec"), 1700000002), 4);
	assert_int_equal(at(get(total, "num_fail_per_sec"), 1700000002), 1);
	/* Without a timed sample the minimum is nil. */
	e = &get(data, "stats")->via.array.ptr[2];
	assert_int_equal(get(e, "min_response_time")->type, MSGPACK_OBJECT_NIL);
	e = &get(data, "stats")->via.array.ptr[0];
	is_text(get(e, "name"), "meter/publish");
	is_text(get(e, "method"), "MQTT");
	assert_true(get(e, "last_request_timestamp")->via.f64 == 1700000002.25);
	e = get(data, "errors");
	assert_int_equal(e->via.map.size, 2);
	/* 2.44 and newer know when a failure was seen; older ones ignore it. */
	assert_int_equal(e->via.map.ptr[0].val.via.map.size, 4);
	assert_int_equal(e->via.map.ptr[1].val.via.map.size, 6);
	is_text(get(&e->via.map.ptr[1].val, "error"), "no PUBACK");
	assert_int_equal(integer(get(&e->via.map.ptr[1].val, "occurrences")), 2);
	assert_int_equal(integer(get(data, "user_count")), 7);
	close_frame(&f);
}

static void empty_stats_are_whole(void **state)
{
	const struct locust_report r = {.start_time = 5};
	struct locust_frame f = {0};
	const msgpack_object *data, *total;

	(void)state;
	assert_int_equal(locust_put_stats(&f, "host_1", &r), 0);
	data = open_frame(&f, "stats");
	total = get(data, "stats_total");
	assert_int_equal(get(total, "last_request_timestamp")->type, MSGPACK_OBJECT_NIL);
	assert_int_equal(get(total, "min_response_time")->type, MSGPACK_OBJECT_NIL);
	assert_int_equal(get(data, "errors")->type, MSGPACK_OBJECT_MAP);
	assert_int_equal(get(data, "user_classes_count")->type, MSGPACK_OBJECT_MAP);
	close_frame(&f);
}

/* --- incoming ------------------------------------------------------------------------ */

static int decode(const void *frame, size_t len, struct locust_msg *m)
{
	/* At the very end of its own block, so that ASan sees a read past it. */
	char *copy = malloc(len ? len : 1);
	const char *why = NULL;
	int r;

	memcpy(copy, frame, len);
	r = locust_decode(copy, len, m, &why);
	if (r == -EBADMSG)
		assert_non_null(why);
	/* A real one lives in a zmq message that is closed before the event is read. */
	memset(copy, 0xee, len);
	free(copy);
	return r;
}

#define DECODE(bytes, m) decode(bytes, sizeof(bytes) - 1, m)

static void takes_acks_of_all_ages(void **state)
{
	struct locust_msg m;

	(void)state;
	/* 2.10.3 and newer: {"index": 3} */
	assert_int_equal(DECODE("\x93\xa3"
				"ack\x81\xa5"
				"index\x03\xa1x",
				&m),
			 0);
	assert_int_equal(m.kind, LOCUST_ACK);
	assert_int_equal(m.index, 3);
	locust_msg_free(&m);
	/* up to 2.10.2: nil */
	assert_int_equal(DECODE("\x93\xa3"
				"ack\xc0\xa1x",
				&m),
			 0);
	assert_int_equal(m.index, -1);
	locust_msg_free(&m);
	assert_int_equal(DECODE("\x93\xa3"
				"ack\x81\xa5"
				"index\xff\xa1x",
				&m),
			 -EBADMSG);
}

static void takes_what_newer_masters_add(void **state)
{
	struct locust_msg m;

	(void)state;
	/* 2.19: the answer to a heartbeat */
	assert_int_equal(DECODE("\x93\xa9"
				"heartbeat\xc0\xa1x",
				&m),
			 0);
	assert_int_equal(m.kind, LOCUST_HEARTBEAT);
	locust_msg_free(&m);
	/* 2.29: the ramp is over, {"user_count": 10} */
	assert_int_equal(DECODE("\x93\xb1"
				"spawning_complete\x81\xaauser_count\x0a\xa1x",
				&m),
			 0);
	assert_int_equal(m.kind, LOCUST_SPAWNING_COMPLETE);
	locust_msg_free(&m);
	/* 2.25: {"user_class_name": "A", "tasks": ["b"]} */
	assert_int_equal(DECODE("\x93\xb1"
				"update_user_class\x82\xaf"
				"user_class_name\xa1"
				"A\xa5"
				"tasks\x91\xa1"
				"b\xa1x",
				&m),
			 0);
	assert_int_equal(m.kind, LOCUST_UPDATE_USER_CLASS);
	locust_msg_free(&m);
	/* a custom message, whose data may be anything (here a timestamp extension) */
	assert_int_equal(DECODE("\x93\xa6"
				"custom\xd6\xff\x01\x02\x03\x04\xa1x",
				&m),
			 0);
	assert_int_equal(m.kind, LOCUST_UNKNOWN);
	assert_string_equal(m.type, "custom");
	locust_msg_free(&m);
}

/* A spawn message with the given stop_timeout, as a master packs it. */
static size_t pack_spawn(char *buf, size_t len, bool newest)
{
	msgpack_sbuffer sb;
	msgpack_packer pk;
	size_t n;

#define KEY(s)                                                                                     \
	do {                                                                                       \
		msgpack_pack_str(&pk, strlen(s));                                                  \
		msgpack_pack_str_body(&pk, s, strlen(s));                                          \
	} while (0)
	msgpack_sbuffer_init(&sb);
	msgpack_packer_init(&pk, &sb, msgpack_sbuffer_write);
	msgpack_pack_array(&pk, 3);
	KEY("spawn");
	msgpack_pack_map(&pk, 5);
	KEY("timestamp");
	msgpack_pack_double(&pk, 1700000000.25);
	KEY("user_classes_count");
	msgpack_pack_map(&pk, 2);
	KEY("meter");
	msgpack_pack_int(&pk, 70000);
	KEY("tracker");
	msgpack_pack_int(&pk, 0);
	KEY("host");
	if (newest)
		KEY("mqtt://broker:1883");
	else
		msgpack_pack_nil(&pk);
	KEY("stop_timeout");
	/* 2.12 sends nil, the newest 0.0 */
	if (newest)
		msgpack_pack_double(&pk, 2.5);
	else
		msgpack_pack_nil(&pk);
	KEY("parsed_options");
	msgpack_pack_map(&pk, 8);
	KEY("mqtt_topic");
	KEY("dt/{thing}/x");
	KEY("mqtt_qos");
	msgpack_pack_int(&pk, 1);
	KEY("headless");
	msgpack_pack_true(&pk);
	KEY("tags");
	msgpack_pack_nil(&pk);
	KEY("only_summary");
	msgpack_pack_false(&pk);
	KEY("spawn_rate");
	msgpack_pack_double(&pk, 2.5);
	KEY("locustfile");
	msgpack_pack_array(&pk, 1);
	KEY("a.py");
	/* 2.41 and newer wrap dates: {"__datetime__": "..."} */
	KEY("since");
	msgpack_pack_map(&pk, 1);
	KEY("__datetime__");
	KEY("2026-01-01T00:00:00");
	KEY("node");
	assert_true(sb.size <= len);
	memcpy(buf, sb.data, sb.size);
	n = sb.size;
	msgpack_sbuffer_destroy(&sb);
	return n;
#undef KEY
}

static void takes_spawn_of_both_ends(void **state)
{
	struct locust_msg m;
	char buf[1024], text[64];
	size_t n;

	(void)state;
	n = pack_spawn(buf, sizeof(buf), false);
	assert_int_equal(decode(buf, n, &m), 0);
	assert_int_equal(m.kind, LOCUST_SPAWN);
	assert_true(m.timestamp == 1700000000.25);
	assert_true(m.stop_timeout == 0);
	assert_string_equal(m.host, "");
	assert_int_equal(m.n_classes, 2);
	assert_string_equal(m.classes[0].name, "meter");
	assert_int_equal(m.classes[0].count, 70000);
	assert_int_equal(m.classes[1].count, 0);
	locust_msg_free(&m);

	n = pack_spawn(buf, sizeof(buf), true);
	assert_int_equal(decode(buf, n, &m), 0);
	assert_true(m.stop_timeout == 2.5);
	assert_string_equal(m.host, "mqtt://broker:1883");
	assert_int_equal(locust_option(&m, "mqtt_topic", text, sizeof(text)), 0);
	assert_string_equal(text, "dt/{thing}/x");
	assert_int_equal(locust_option(&m, "mqtt_qos", text, sizeof(text)), 0);
	assert_string_equal(text, "1");
	assert_int_equal(locust_option(&m, "headless", text, sizeof(text)), 0);
	assert_string_equal(text, "true");
	assert_int_equal(locust_option(&m, "tags", text, sizeof(text)), 0);
	assert_string_equal(text, "");
	assert_int_equal(locust_option(&m, "only_summary", text, sizeof(text)), 0);
	assert_string_equal(text, "");
	assert_int_equal(locust_option(&m, "spawn_rate", text, sizeof(text)), 0);
	assert_string_equal(text, "2.5");
	assert_int_equal(locust_option(&m, "locustfile", text, sizeof(text)), -EINVAL);
	assert_int_equal(locust_option(&m, "since", text, sizeof(text)), -EINVAL);
	assert_int_equal(locust_option(&m, "absent", text, sizeof(text)), -ENOENT);
	assert_int_equal(locust_option(&m, "mqtt_topic", text, 5), -E2BIG);
	locust_msg_free(&m);
}

/* Every prefix of a good message, and every single byte changed: no crash, no leak. */
static void survives_damage(void **state)
{
	char buf[1024];
	size_t n = pack_spawn(buf, sizeof(buf), true), i;
	struct locust_msg m;
	unsigned int bit;

	(void)state;
	for (i = 0; i < n; i++)
		assert_int_equal(decode(buf, i, &m), -EBADMSG);
	for (i = 0; i < n; i++)
		for (bit = 0; bit < 8; bit++) {
			buf[i] ^= (char)(1 << bit);
			if (!decode(buf, n, &m))
				locust_msg_free(&m);
			buf[i] ^= (char)(1 << bit);
		}
}

static void refuses_by_reason(void **state)
{
	static const struct {
		const char *what, *bytes;
		size_t len;
	} cases[] = {
#define CASE(what, bytes) {what, bytes, sizeof(bytes) - 1}
		CASE("nothing", ""),
		CASE("never used tag", "\xc1"),
		CASE("no list", "\xa5spawn"),
		CASE("two of three", "\x92\xa4stop\xc0"),
		CASE("four", "\x94\xa4stop\xc0\xa1x\xc0"),
		CASE("a tail (Locust: ExtraData)", "\x93\xa4stop\xc0\xa1x\xc0"),
		CASE("type is bin", "\x93\xc4\x04stop\xc0\xa1x"),
		CASE("type is a number", "\x93\x07\xc0\xa1x"),
		CASE("zero inside the type", "\x93\xa4st\0p\xc0\xa1x"),
		/* length fields that ask for gigabytes */
		CASE("list of 4 billion", "\xdd\xff\xff\xff\xff"),
		CASE("map of 4 billion", "\x93\xa5spawn\xdf\xff\xff\xff\xff\xa1x"),
		CASE("str of 4 billion", "\x93\xdb\xff\xff\xff\xff"
					 "a\xc0\xa1x"),
		CASE("bin of 4 billion", "\x93\xa4stop\xc6\xff\xff\xff\xff\xa1x"),
		CASE("ext of 4 billion", "\x93\xa4stop\xc9\xff\xff\xff\xff\x01\xa1x"),
		CASE("spawn with nil", "\x93\xa5spawn\xc0\xa1x"),
		CASE("spawn without a timestamp", "\x93\xa5spawn\x81\xb2user_classes_count\x81\xa1"
						  "a\x01\xa1x"),
		CASE("spawn without classes", "\x93\xa5spawn\x81\xa9timestamp\x01\xa1x"),
		CASE("timestamp NaN", "\x93\xa5spawn\x82\xa9timestamp\xcb\x7f\xf8\0\0\0\0\0\0"
				      "\xb2user_classes_count\x81\xa1"
				      "a\x01\xa1x"),
		CASE("negative count",
		     "\x93\xa5spawn\x82\xa9timestamp\x01\xb2user_classes_count\x81\xa1"
		     "a\xff\xa1x"),
		CASE("count is text",
		     "\x93\xa5spawn\x82\xa9timestamp\x01\xb2user_classes_count\x81\xa1"
		     "a\xa1"
		     "5\xa1x"),
		CASE("count of 2^64 - 1", "\x93\xa5spawn\x82\xa9timestamp\x01\xb2user_classes_count"
					  "\x81\xa1"
					  "a\xcf\xff\xff\xff\xff\xff\xff\xff\xff\xa1x"),
		CASE("17 lists in each other",
		     "\x93\xa4stop\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91"
		     "\x91\x91\x91\x91\x91\x91\x91\xc0\xa1x"),
	};
	struct locust_msg m;
	size_t i;
	char *big;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		if (decode(cases[i].bytes, cases[i].len, &m) != -EBADMSG)
			fail_msg("accepted: %s", cases[i].what);
	big = calloc(1, LOCUST_FRAME_MAX + 1);
	assert_int_equal(decode(big, LOCUST_FRAME_MAX + 1, &m), -EBADMSG);
	free(big);
}

/* --- class names ------------------------------------------------------------------------ */

static void class_names_are_python(void **state)
{
	static const char *const cases[][2] = {
		{"meter", "meter"},  {"temp-sensor", "temp_sensor"},
		{"a.b c", "a_b_c"},  {"3d-printer", "T3d_printer"},
		{"class", "class_"}, {"User", "User_"},
		{"_x", "T_x"},	     {"\xc3\xa4", "T__"},
	};
	char buf[LOCUST_NAME_MAX];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_int_equal(locust_class_name(cases[i][0], buf, sizeof(buf)), 0);
		assert_string_equal(buf, cases[i][1]);
	}
	assert_int_equal(locust_class_name("", buf, sizeof(buf)), -EINVAL);
	assert_int_equal(locust_class_name("too long", buf, 6), -EINVAL);
}

/* A spawn whose options have an array of n nils, or a text of n bytes. */
static size_t long_spawn(char *frame, unsigned char what, uint32_t n)
{
	static const char head[] = "\x93\xa5spawn\x83\xa9timestamp\x01\xb2user_classes_count\x80"
				   "\xaeparsed_options\x81\xa1x";
	char *p = frame + sizeof(head) - 1;

	memcpy(frame, head, sizeof(head) - 1);
	*p++ = (char)what;
	for (int i = 24; i >= 0; i -= 8)
		*p++ = (char)(n >> i);
	memset(p, what == 0xdd ? 0xc0 : 'x', n);
	p[n] = (char)0xc0;
	return (size_t)(p + n + 1 - frame);
}

/* Each byte an object of 24: refused; and what waits for the worker is bounded in bytes too. */
static void bombs_do_not_pile_up(void **state)
{
	static char frame[LOCUST_FRAME_MAX];
	struct locust_queue q;
	struct locust_msg m;
	const char *why = "";
	unsigned int held;
	size_t n;

	(void)state;
	n = long_spawn(frame, 0xdd, LOCUST_OBJECTS_MAX + 1);
	assert_int_equal(locust_decode(frame, n, &m, &why), -EBADMSG);
	n = long_spawn(frame, 0xdd, LOCUST_OBJECTS_MAX - 20);
	assert_int_equal(locust_decode(frame, n, &m, &why), 0);
	locust_msg_free(&m);
	n = long_spawn(frame, 0xdb, LOCUST_FRAME_MAX - 100);
	assert_int_equal(locust_queue_init(&q), 0);
	for (unsigned int i = 0; i < 100; i++) {
		assert_int_equal(locust_decode(frame, n, &m, &why), 0);
		locust_queue_post(&q, LOCUST_EV_MSG, &m);
	}
	held = q.n;
	assert_in_range(held, 10, 32);
	/* A master's ordinary ones find room again when these have been taken. */
	while (q.n)
		locust_event_free(locust_queue_next(&q));
	for (unsigned int i = 0; i < LOCUST_QUEUE_MAX + 5; i++) {
		assert_int_equal(locust_decode("\x93\xa4stop\xc0\xc0", 8, &m, &why), 0);
		assert_null(m.owned); /* nothing points into it */
		locust_queue_post(&q, LOCUST_EV_MSG, &m);
	}
	assert_int_equal(q.n, LOCUST_QUEUE_MAX);
	locust_queue_destroy(&q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rounds_as_python),
		cmocka_unit_test(client_ready_is_minus_one),
		cmocka_unit_test(simple_has_nil),
		cmocka_unit_test(heartbeat_numbers_are_finite),
		cmocka_unit_test(cpu_is_the_share_of_this_process),
		cmocka_unit_test(spawning_complete_has_counts),
		cmocka_unit_test(text_is_utf8),
		cmocka_unit_test(stats_have_every_field),
		cmocka_unit_test(empty_stats_are_whole),
		cmocka_unit_test(takes_acks_of_all_ages),
		cmocka_unit_test(takes_what_newer_masters_add),
		cmocka_unit_test(takes_spawn_of_both_ends),
		cmocka_unit_test(survives_damage),
		cmocka_unit_test(refuses_by_reason),
		cmocka_unit_test(class_names_are_python),
		cmocka_unit_test(bombs_do_not_pile_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
