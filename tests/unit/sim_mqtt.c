// SPDX-License-Identifier: GPL-2.0-only
/* The codec: round trips of every packet, and a table of what must be refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "sim/mqtt/mqtt.h"

#define S(text) mqtt_slice(text, sizeof(text) - 1)

static bool same(struct mqtt_slice a, const char *b)
{
	return a.n == strlen(b) && !memcmp(a.p, b, a.n);
}

/*
 * Decodes from a heap copy of exactly `n` bytes, so that a read past the end is
 * an ASan error; every shorter prefix must ask for more.
 */
static void decode(uint8_t version, const uint8_t *buf, long n, struct mqtt_packet *ret)
{
	static uint8_t keep[65536];

	assert_true(n > 0 && n <= (long)sizeof(keep));
	for (long i = 0; i < n; i++) {
		uint8_t *part = malloc((size_t)i + 1);
		struct mqtt_packet p;

		memcpy(part, buf, (size_t)i);
		assert_int_equal(mqtt_decode(version, part, (size_t)i, 65536, &p), MQTT_MORE);
		free(part);
	}
	memcpy(keep, buf, (size_t)n);
	assert_int_equal(mqtt_decode(version, keep, (size_t)n, 65536, ret), n);
}

static void connect_round_trip(void **state)
{
	(void)state;
	for (uint8_t v = MQTT_V311; v <= MQTT_V5; v++) {
		struct mqtt_connect c = {.version = v,
					 .clean = true,
					 .has_will = true,
					 .will_retain = true,
					 .will_qos = 2,
					 .has_username = true,
					 .has_password = true,
					 .keepalive = 1200,
					 .client_id = S("thing-1"),
					 .will_topic = S("w/1"),
					 .will_payload = S("gone"),
					 .username = S("user"),
					 .password = S("pass\0word")};
		struct mqtt_props props = {.session_expiry = 7,
					   .receive_max = 9,
					   .user_key = S("k"),
					   .user_value = S("v")};
		struct mqtt_packet p;
		uint8_t buf[512];
		long n;

		props.have = 1ull << MQTT_P_SESSION_EXPIRY | 1ull << MQTT_P_RECEIVE_MAX |
			     1ull << MQTT_P_USER;
		c.will_props.will_delay = 5;
		c.will_props.have = 1ull << MQTT_P_WILL_DELAY;
		n = mqtt_enc_connect(buf, sizeof(buf), &c, &props);
		decode(v, buf, n, &p);
		assert_int_equal(p.type, MQTT_CONNECT);
		assert_int_equal(p.connect.version, v);
		assert_true(p.connect.clean && p.connect.has_will && p.connect.will_retain);
		assert_int_equal(p.connect.will_qos, 2);
		assert_int_equal(p.connect.keepalive, 1200);
		assert_true(same(p.connect.client_id, "thing-1"));
		assert_true(same(p.connect.will_payload, "gone"));
		assert_int_equal(p.connect.password.n, 9);
		assert_int_equal(MQTT_HAS(&p.props, MQTT_P_RECEIVE_MAX), v == MQTT_V5);
		if (v == MQTT_V5) {
			struct mqtt_slice k, val;
			uint32_t at = 0;

			assert_int_equal(p.props.session_expiry, 7);
			assert_int_equal(p.connect.will_props.will_delay, 5);
			assert_true(mqtt_user_next(&p.props, &at, &k, &val));
			assert_true(same(k, "k") && same(val, "v"));
			assert_false(mqtt_user_next(&p.props, &at, &k, &val));
		}
		/* One byte less room: nothing. */
		assert_int_equal(mqtt_enc_connect(buf, (size_t)n - 1, &c, &props), -ENOSPC);
	}
}

static void publish_round_trip(void **state)
{
	(void)state;
	for (uint8_t v = MQTT_V311; v <= MQTT_V5; v++) {
		for (uint8_t q = 0; q < 3; q++) {
			struct mqtt_publish m = {.qos = q,
						 .dup = q > 0,
						 .retain = true,
						 .id = 513,
						 .topic = S("a/b"),
						 .payload = S("hello")};
			struct mqtt_props props = {.topic_alias = 3,
						   .correlation = S("\1\2"),
						   .response_topic = S("r"),
						   .message_expiry = 60};
			struct mqtt_packet p;
			uint8_t buf[128];
			long n;

			props.have = 1ull << MQTT_P_TOPIC_ALIAS | 1ull << MQTT_P_CORRELATION |
				     1ull << MQTT_P_RESPONSE_TOPIC | 1ull << MQTT_P_MESSAGE_EXPIRY;
			n = mqtt_enc_publish(buf, sizeof(buf), v, &m, &props);
			decode(v, buf, n, &p);
			assert_int_equal(p.qos, q);
			assert_int_equal(p.dup, q > 0);
			assert_true(p.retain);
			assert_int_equal(p.id, q ? 513 : 0);
			assert_true(same(p.topic, "a/b") && same(p.payload, "hello"));
			if (v == MQTT_V5) {
				assert_int_equal(p.props.topic_alias, 3);
				assert_int_equal(p.props.message_expiry, 60);
				assert_true(same(p.props.correlation, "\1\2"));
				assert_true(same(p.props.response_topic, "r"));
			}
		}
	}
}

static void small_round_trips(void **state)
{
	static const uint8_t acks[] = {MQTT_PUBACK, MQTT_PUBREC, MQTT_PUBREL, MQTT_PUBCOMP};
	uint8_t buf[256], reasons[] = {0, 1, 2, 0x80};
	struct mqtt_filter f[] = {{S("a/+"), 1}, {S("#"), 2}};
	struct mqtt_packet p;
	struct mqtt_slice s;
	uint32_t at;
	uint8_t o;

	(void)state;
	for (uint8_t v = MQTT_V311; v <= MQTT_V5; v++) {
		for (int i = 0; i < 4; i++) {
			decode(v, buf, mqtt_enc_ack(buf, sizeof(buf), v, acks[i], 7, 0x10), &p);
			assert_int_equal(p.type, acks[i]);
			assert_int_equal(p.id, 7);
			assert_int_equal(p.reason, v == MQTT_V5 ? 0x10 : 0);
		}
		decode(v, buf, mqtt_enc_connack(buf, sizeof(buf), v, true, 0, NULL), &p);
		assert_true(p.session_present);
		decode(v, buf, mqtt_enc_connack(buf, sizeof(buf), v, false, 5, NULL), &p);
		assert_int_equal(p.reason, 5);
		decode(v, buf, mqtt_enc_subscribe(buf, sizeof(buf), v, 9, f, 2, NULL), &p);
		at = 0;
		assert_true(mqtt_filter_next(&p, &at, &s, &o) && same(s, "a/+") && o == 1);
		assert_true(mqtt_filter_next(&p, &at, &s, &o) && same(s, "#") && o == 2);
		assert_false(mqtt_filter_next(&p, &at, &s, &o));
		decode(v, buf, mqtt_enc_unsubscribe(buf, sizeof(buf), v, 9, f, 2), &p);
		assert_int_equal(p.type, MQTT_UNSUBSCRIBE);
		decode(v, buf, mqtt_enc_suback(buf, sizeof(buf), v, MQTT_SUBACK, 9, reasons, 4),
		       &p);
		assert_int_equal(p.list.n, 4);
		assert_int_equal(p.list.p[3], 0x80);
		decode(v, buf, mqtt_enc_suback(buf, sizeof(buf), v, MQTT_UNSUBACK, 9, reasons, 1),
		       &p);
		assert_int_equal(p.list.n, v == MQTT_V5);
		decode(v, buf, mqtt_enc_ping(buf, sizeof(buf), MQTT_PINGREQ), &p);
		assert_int_equal(p.type, MQTT_PINGREQ);
		decode(v, buf, mqtt_enc_disconnect(buf, sizeof(buf), v, 0x8e, NULL), &p);
		assert_int_equal(p.reason, v == MQTT_V5 ? 0x8e : 0);
	}
}

static void malformed(void **state)
{
	static const struct {
		const char *what;
		uint8_t version, len, bytes[48];
	} bad[] = {
		{"type 0", 4, 2, {0x00, 0}},
		{"length of five bytes", 4, 6, {0x30, 0x80, 0x80, 0x80, 0x80, 1}},
		{"length with a needless byte", 4, 3, {0xc0, 0x80, 0}},
		{"PINGREQ with flags", 4, 2, {0xc1, 0}},
		{"PINGREQ with a body", 4, 3, {0xc0, 1, 0}},
		{"PUBREL without its flags", 4, 4, {0x60, 2, 0, 1}},
		{"SUBSCRIBE without its flags", 4, 8, {0x80, 6, 0, 1, 0, 1, 'a', 0}},
		{"SUBSCRIBE without a filter", 4, 4, {0x82, 2, 0, 1}},
		{"SUBSCRIBE with identifier 0", 4, 8, {0x82, 6, 0, 0, 0, 1, 'a', 0}},
		{"SUBSCRIBE with QoS 3", 4, 8, {0x82, 6, 0, 1, 0, 1, 'a', 3}},
		{"SUBSCRIBE with a#", 4, 9, {0x82, 7, 0, 1, 0, 2, 'a', '#', 0}},
		{"PUBLISH with QoS 3", 4, 7, {0x36, 5, 0, 1, 'a', 0, 1}},
		{"PUBLISH QoS 0 with DUP", 4, 5, {0x38, 3, 0, 1, 'a'}},
		{"PUBLISH with identifier 0", 4, 7, {0x32, 5, 0, 1, 'a', 0, 0}},
		{"PUBLISH with a wildcard", 4, 5, {0x30, 3, 0, 1, '+'}},
		{"PUBLISH without a topic", 4, 4, {0x30, 2, 0, 0}},
		{"PUBLISH 5 without topic and alias", 5, 5, {0x30, 3, 0, 0, 0}},
		{"PUBLISH with a topic past the end", 4, 5, {0x30, 3, 0, 9, 'a'}},
		{"PUBLISH with U+0000", 4, 5, {0x30, 3, 0, 1, 0}},
		{"PUBLISH with a surrogate", 4, 7, {0x30, 5, 0, 3, 0xed, 0xa0, 0x80}},
		{"PUBLISH with an overlong form", 4, 6, {0x30, 4, 0, 2, 0xc0, 0x80}},
		{"PUBACK with identifier 0", 4, 4, {0x40, 2, 0, 0}},
		{"PUBACK too short", 4, 3, {0x40, 1, 0}},
		{"PUBACK 3.1.1 with a reason", 4, 5, {0x40, 3, 0, 1, 0}},
		{"PUBACK 5 with properties past the end", 5, 6, {0x40, 4, 0, 1, 0, 9}},
		{"CONNACK with flag 2", 4, 4, {0x20, 2, 2, 0}},
		{"CONNACK refusing with a session", 4, 4, {0x20, 2, 1, 5}},
		{"CONNACK too long", 4, 5, {0x20, 3, 0, 0, 0}},
		{"CONNACK 5 with receive maximum 0", 5, 8, {0x20, 6, 0, 0, 3, 0x21, 0, 0}},
		{"CONNACK 5 with a property twice", 5, 9, {0x20, 7, 0, 0, 4, 0x24, 1, 0x24, 1}},
		{"CONNACK 5 with maximum QoS 2", 5, 7, {0x20, 5, 0, 0, 2, 0x24, 2}},
		{"CONNACK 5 with a PUBLISH property", 5, 8, {0x20, 6, 0, 0, 3, 0x23, 0, 1}},
		{"CONNACK 5 with an unknown property", 5, 7, {0x20, 5, 0, 0, 2, 0x7f, 1}},
		{"SUBACK with 3", 4, 5, {0x90, 3, 0, 1, 3}},
		{"SUBACK without codes", 4, 4, {0x90, 2, 0, 1}},
		{"DISCONNECT 3.1.1 with a reason", 4, 3, {0xe0, 1, 0}},
		{"AUTH in 3.1.1", 4, 2, {0xf0, 0}},
		{"CONNECT with another name",
		 4,
		 14,
		 {0x10, 12, 0, 4, 'M', 'Q', 'T', 'X', 4, 2, 0, 60, 0, 0}},
		{"CONNECT with level 3",
		 4,
		 14,
		 {0x10, 12, 0, 4, 'M', 'Q', 'T', 'T', 3, 2, 0, 60, 0, 0}},
		{"CONNECT with the reserved flag",
		 4,
		 14,
		 {0x10, 12, 0, 4, 'M', 'Q', 'T', 'T', 4, 3, 0, 60, 0, 0}},
		{"CONNECT with will QoS and no will",
		 4,
		 14,
		 {0x10, 12, 0, 4, 'M', 'Q', 'T', 'T', 4, 0x0a, 0, 60, 0, 0}},
		{"CONNECT with a password alone",
		 4,
		 17,
		 {0x10, 15, 0, 4, 'M', 'Q', 'T', 'T', 4, 0x42, 0, 60, 0, 0, 0, 1, 'p'}},
		{"CONNECT without id, not clean",
		 4,
		 14,
		 {0x10, 12, 0, 4, 'M', 'Q', 'T', 'T', 4, 0, 0, 60, 0, 0}},
		{"CONNECT with bytes left over",
		 4,
		 15,
		 {0x10, 13, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 60, 0, 0, 9}},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		uint8_t *copy = malloc(bad[i].len);
		struct mqtt_packet p;
		long n;

		memcpy(copy, bad[i].bytes, bad[i].len);
		n = mqtt_decode(bad[i].version, copy, bad[i].len, 65536, &p);
		if (n != MQTT_MALFORMED)
			print_message("%s: %ld\n", bad[i].what, n);
		assert_int_equal(n, MQTT_MALFORMED);
		free(copy);
	}
}

static void limits(void **state)
{
	static const uint8_t big[] = {0x30, 0xff, 0x7f};
	struct mqtt_packet p;

	(void)state;
	assert_int_equal(mqtt_decode(4, big, sizeof(big), 1000, &p), MQTT_TOO_BIG);
	assert_int_equal(mqtt_decode(4, big, sizeof(big), 65536, &p), MQTT_MORE);
	assert_int_equal(mqtt_decode(4, big, 0, 65536, &p), MQTT_MORE);
}

static void topics(void **state)
{
	static const struct {
		const char *filter, *topic;
		bool match;
	} t[] = {
		{"a/b", "a/b", true},	  {"a/b", "a/c", false},      {"a/+", "a/b", true},
		{"a/+", "a", false},	  {"a/+", "a/", true},	      {"a/#", "a", true},
		{"a/#", "a/b/c", true},	  {"#", "a/b", true},	      {"#", "$SYS/x", false},
		{"+/x", "$SYS/x", false}, {"$SYS/#", "$SYS/x", true}, {"+/+", "/x", true},
		{"+", "/x", false},	  {"a/+/c", "a/b/c", true},   {"a/+/c", "a/b/d", false},
		{"a/b/#", "a/bc", false}, {"a", "ab", false},	      {"ab", "a", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(*t); i++)
		assert_int_equal(mqtt_match((const uint8_t *)t[i].filter, strlen(t[i].filter),
					    (const uint8_t *)t[i].topic, strlen(t[i].topic)),
				 t[i].match);
	assert_true(mqtt_filter_ok((const uint8_t *)"+/a/#", 5));
	assert_false(mqtt_filter_ok((const uint8_t *)"a+/b", 4));
	assert_false(mqtt_filter_ok((const uint8_t *)"#/b", 3));
	/* Shared: a name without wildcards, then a filter. */
	assert_true(mqtt_filter_ok((const uint8_t *)"$share/g/#", 10));
	assert_true(mqtt_filter_ok((const uint8_t *)"$share/g//", 10));
	assert_true(mqtt_filter_ok((const uint8_t *)"$shared", 7));
	assert_false(mqtt_filter_ok((const uint8_t *)"$share/g", 8));
	assert_false(mqtt_filter_ok((const uint8_t *)"$share/g/", 9));
	assert_false(mqtt_filter_ok((const uint8_t *)"$share//a", 9));
	assert_false(mqtt_filter_ok((const uint8_t *)"$share/+/a", 10));
	/* A code has the words of the packet that it came in, or none. */
	assert_string_equal(mqtt_reason_name(MQTT_V5, MQTT_SUBACK, 0), "granted QoS 0");
	assert_string_equal(mqtt_reason_name(MQTT_V5, MQTT_DISCONNECT, 0), "normal disconnection");
	assert_string_equal(mqtt_reason_name(MQTT_V5, MQTT_PUBACK, 0), "success");
	assert_null(mqtt_reason_name(MQTT_V5, MQTT_PUBACK, 0x8e));
	assert_string_equal(mqtt_reason_name(MQTT_V311, MQTT_SUBACK, 0x80), "failure");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(connect_round_trip),
		cmocka_unit_test(publish_round_trip),
		cmocka_unit_test(small_round_trips),
		cmocka_unit_test(malformed),
		cmocka_unit_test(limits),
		cmocka_unit_test(topics),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
