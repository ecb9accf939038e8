// SPDX-License-Identifier: GPL-2.0-only
/*
 * Brokers that are hostile: what no broker may send, at each stage of a device's life, in
 * both versions. Generated, some 3,000 cases. None may crash a device (this runs under
 * ASan and UBSan, too), each ends in the right word, and the sum of messages holds.
 */
#define FDS	 4
#define FAKE_OUT (1 << 15)
#include "fake_shard.h"

enum stage { AT_CONNACK, AT_SUBACK, AT_ONLINE, STAGES };
static unsigned ncases;

/* A device at this stage, with two QoS 2 messages in flight once it is online. */
static struct device *at_stage(enum stage stage, uint8_t version)
{
	struct device *d;

	shard_new(version == MQTT_V5
			  ? "protocol 5 subscribe a/# qos 2 interval 100ms topic t payload 8"
			  : "subscribe a/# qos 2 interval 100ms topic t payload 8");
	d = start(0);
	dev_event(ln, d, EPOLLOUT);
	if (stage > AT_CONNACK)
		gives(d, version == MQTT_V5 ? "\x20\x03\0\0\0" : "\x20\x02\0\0",
		      version == MQTT_V5 ? 5 : 4, 0);
	if (stage > AT_SUBACK) {
		gives(d, version == MQTT_V5 ? "\x90\x04\xff\xff\0\1" : "\x90\x03\xff\xff\1",
		      version == MQTT_V5 ? 6 : 5, 0);
		assert_int_equal(d->state, D_ONLINE);
		pass_ms(250);
	}
	ncases++;
	return d;
}

/* Of the connection; what was in flight has its own. F_NONE: it lives. */
static enum sim_fail ended_as(void)
{
	for (unsigned i = 0; i < SIM_ERRORS; i++) {
		uint64_t key = ln->led.pub->error[i].key;
		unsigned name = key >> 48 & 255;
		struct sim_error e;

		if (!key)
			continue;
		/* Each has words. */
		sim_error_text(key, ln->led.pub->error[i].note, &e);
		assert_true(*e.text && *e.kind && strcmp(e.kind, "unknown"));
		if (name == SIM_CONNECT || name == SIM_DISCONNECT)
			return key >> 40 & 255;
	}
	return F_NONE;
}

static void case_(enum stage stage, uint8_t version, const void *p, size_t n, bool fin,
		  enum sim_fail want)
{
	struct device *d = at_stage(stage, version);
	enum sim_fail got;

	sock(d)->fin = fin;
	gives(d, p, n, fin ? EPOLLRDHUP : 0);
	got = ended_as();
	if (got != want) {
		for (size_t i = 0; i < n; i++)
			printf(" %02x", ((const uint8_t *)p)[i]);
		fail_msg(" at stage %d, version %d: ended as %d, wanted %d", stage, version, got,
			 want);
	}
	shard_free();
}

/* Every first byte, with nothing behind it. */
static enum sim_fail of_empty(enum stage stage, uint8_t version, uint8_t first)
{
	enum sim_fail early = stage == AT_CONNACK ? F_PROTOCOL : F_NONE;

	switch (first) {
	case MQTT_PINGRESP << 4:
		return early;
	case MQTT_PINGREQ << 4:
		return F_PROTOCOL;
	case MQTT_DISCONNECT << 4:
		return version == MQTT_V5 && !early ? F_DISCONNECT : F_PROTOCOL;
	case MQTT_AUTH << 4:
		return version == MQTT_V5 ? F_PROTOCOL : F_MALFORMED;
	default:
		return F_MALFORMED;
	}
}

static void empty_packets(void **state)
{
	(void)state;
	for (unsigned stage = 0; stage < STAGES; stage++)
		for (uint8_t v = MQTT_V311; v <= MQTT_V5; v++)
			for (unsigned first = 0; first < 256; first++)
				case_(stage, v, (uint8_t[]){(uint8_t)first, 0}, 2, false,
				      of_empty(stage, v, (uint8_t)first));
}

#define P(s) s, sizeof(s) - 1

/* Packets that a broker may send to a device that is online, MQTT 5. */
static const struct {
	const char *p;
	size_t n;
} valid[] = {
	{P("\x30\x09\0\3a/b\0abc")},
	{P("\x32\x0f\0\3a/b\0\7\4\x26\0\0\0\0abc")},
	{P("\x34\x0c\0\3a/b\0\7\1\1\1ab")},
	{P("\x30\x12\0\3a/b\x0a\2\0\0\0\1\3\0\2t/abc")},
	{P("\x50\x02\0\1")},
	{P("\x50\x05\0\1\0\1\0")},
	{P("\x62\x02\0\7")},
	{P("\xd0\0")},
	{P("\xe0\x02\x8b\0")},
	{P("\xe0\x0c\x9d\x0a\x1c\0\x07host:12")},
};

/* Each of them cut off anywhere, and the connection's end with it. */
static void truncated(void **state)
{
	(void)state;
	for (unsigned i = 0; i < sizeof(valid) / sizeof(*valid); i++)
		for (size_t n = 1; n < valid[i].n && n < 2 + (size_t)valid[i].p[1]; n++)
			case_(AT_ONLINE, MQTT_V5, valid[i].p, n, true, F_CLOSED);
}

/* Each of them with a byte changed: whatever it means then, it ends in a word of the wire. */
static void damaged(void **state)
{
	static const uint8_t flip[] = {0x01, 0x10, 0x80, 0xff};
	uint8_t buf[64];

	(void)state;
	for (unsigned i = 0; i < sizeof(valid) / sizeof(*valid); i++) {
		for (size_t at = 0; at < valid[i].n; at++) {
			for (unsigned f = 0; f < sizeof(flip); f++) {
				struct device *d = at_stage(AT_ONLINE, MQTT_V5);
				enum sim_fail got;

				memcpy(buf, valid[i].p, valid[i].n);
				buf[at] ^= flip[f];
				sock(d)->fin = f & 1;
				gives(d, buf, valid[i].n, f & 1 ? EPOLLRDHUP : 0);
				got = ended_as();
				assert_true(got == F_NONE || got == F_MALFORMED ||
					    got == F_PROTOCOL || got == F_WRONG_ID ||
					    got == F_CLOSED || got == F_DISCONNECT ||
					    got == F_DOWNGRADED);
				shard_free();
			}
		}
	}
}

#undef P
#define P(s) s, sizeof(s) - 1

static void said_wrongly(void **state)
{
	static const struct {
		enum stage stage;
		uint8_t version;
		const char *p;
		size_t n;
		enum sim_fail want;
	} t[] = {
		/* lengths */
		{AT_CONNACK, 4, P("\x20\xff\xff\xff\xff\x01"), F_MALFORMED},
		{AT_ONLINE, 5, P("\x90\xff\xff\xff\x7f"), F_MALFORMED},
		{AT_ONLINE, 5, P("\x30\x80\x80\x80\x80\x01"), F_MALFORMED},
		{AT_ONLINE, 4, P("\x30\x05\0\x09t/ab"), F_MALFORMED},
		/* CONNACK */
		{AT_CONNACK, 4, P("\x20\x02\2\0"), F_MALFORMED},
		{AT_CONNACK, 4, P("\x20\x02\1\0"), F_PROTOCOL},
		{AT_CONNACK, 4, P("\x20\x02\0\5"), F_CONNACK},
		{AT_CONNACK, 4, P("\x20\x03\0\0\0"), F_MALFORMED},
		{AT_CONNACK, 5, P("\x20\x03\0\x87\0"), F_CONNACK},
		{AT_CONNACK, 5, P("\x20\x06\0\0\3\x21\0\0"), F_MALFORMED},
		{AT_CONNACK, 5, P("\x20\x08\0\0\5\x27\0\0\0\0"), F_MALFORMED},
		{AT_CONNACK, 5, P("\x20\x07\0\0\4\x24\1\x24\1"), F_MALFORMED},
		{AT_CONNACK, 5, P("\x20\x05\0\0\2\x24\2"), F_MALFORMED},
		{AT_CONNACK, 5, P("\x20\x05\0\0\2\x24\1"), F_MAX_QOS},
		{AT_CONNACK, 5, P("\x20\x05\0\0\2\x28\0"), F_UNSUPPORTED},
		{AT_CONNACK, 5, P("\x20\x05\0\0\2\x7f\0"), F_MALFORMED},
		{AT_CONNACK, 5, P("\x20\x05\0\0\2\x0b\1"), F_MALFORMED},
		{AT_CONNACK, 5, P("\x20\x08\0\0\5\x1f\0\2\xff\xfe"), F_MALFORMED},
		{AT_CONNACK, 5, P("\x20\x08\0\0\5\x1f\0\x40xy"), F_MALFORMED},
		{AT_ONLINE, 4, P("\x20\x02\0\0"), F_PROTOCOL},
		/* something else first */
		{AT_CONNACK, 4, P("\x90\x03\xff\xff\1"), F_PROTOCOL},
		{AT_CONNACK, 4, P("\x30\x04\0\1ax"), F_PROTOCOL},
		{AT_CONNACK, 5, P("\xe0\x02\x8b\0"), F_PROTOCOL},
		{AT_CONNACK, 5, P("\xf0\x08\x18\6\x15\0\3SCR"), F_PROTOCOL},
		/* SUBACK */
		{AT_SUBACK, 4, P("\x90\x03\0\1\1"), F_PROTOCOL},
		{AT_SUBACK, 4, P("\x90\x03\xff\xff\x80"), F_SUBACK},
		{AT_SUBACK, 4, P("\x90\x02\xff\xff"), F_MALFORMED},
		{AT_SUBACK, 4, P("\x90\x03\0\0\1"), F_MALFORMED},
		{AT_SUBACK, 5, P("\x90\x04\xff\xff\0\x9e"), F_SUBACK},
		{AT_ONLINE, 4, P("\x90\x03\xff\xff\1"), F_PROTOCOL},
		/* PUBLISH */
		{AT_ONLINE, 4, P("\x36\x06\0\1a\0\1x"), F_MALFORMED},
		{AT_ONLINE, 4, P("\x38\x04\0\1ax"), F_MALFORMED},
		{AT_ONLINE, 4, P("\x32\x06\0\1a\0\0x"), F_MALFORMED},
		{AT_ONLINE, 4, P("\x30\x04\0\1#x"), F_MALFORMED},
		{AT_ONLINE, 4, P("\x30\x05\0\2a+x"), F_MALFORMED},
		{AT_ONLINE, 4, P("\x30\x03\0\0x"), F_MALFORMED},
		{AT_ONLINE, 4, P("\x30\x05\0\2\xc3(x"), F_MALFORMED},
		{AT_ONLINE, 4, P("\x30\x05\0\2a\0x"), F_MALFORMED},
		{AT_ONLINE, 5, P("\x30\x08\0\1a\3\x23\0\1x"), F_PROTOCOL},
		{AT_ONLINE, 5, P("\x30\x07\0\0\3\x23\0\0x"), F_MALFORMED},
		{AT_ONLINE, 5, P("\x30\x07\0\1a\2\1\2x"), F_MALFORMED},
		{AT_ONLINE, 5, P("\x30\x09\0\1a\4\1\1\1\1x"), F_MALFORMED},
		{AT_ONLINE, 5, P("\x30\x0a\0\1a\5\x08\0\2a#x"), F_MALFORMED},
		{AT_ONLINE, 5, P("\x30\x06\0\1a\7\1x"), F_MALFORMED},
		/* acknowledgements */
		{AT_ONLINE, 4, P("\x50\x02\0\0"), F_MALFORMED},
		{AT_ONLINE, 4, P("\x50\x02\x12\x34"), F_WRONG_ID},
		{AT_ONLINE, 4, P("\x40\x02\x12\x34"), F_WRONG_ID},
		{AT_ONLINE, 4, P("\x40\x02\xff\xff"), F_WRONG_ID},
		{AT_ONLINE, 4, P("\x40\x02\0\1"), F_NONE},
		{AT_ONLINE, 4, P("\x70\x02\0\1"), F_NONE},
		{AT_ONLINE, 4, P("\x60\x02\0\1"), F_MALFORMED},
		{AT_ONLINE, 4, P("\x62\x02\0\x63"), F_NONE},
		{AT_ONLINE, 5, P("\x50\x07\0\1\0\3\x1f\0\5"), F_MALFORMED},
		/* what only a client sends */
		{AT_ONLINE, 4, P("\x10\x0d\0\4MQTT\4\2\0\0\0\1x"), F_PROTOCOL},
		{AT_ONLINE, 4, P("\x82\x06\0\1\0\1a\1"), F_PROTOCOL},
		{AT_ONLINE, 4, P("\xe0\0"), F_PROTOCOL},
		/* its end */
		{AT_ONLINE, 5, P("\xe0\x02\x8e\0"), F_DISCONNECT},
		{AT_ONLINE, 5, P("\xe0\x06\x8e\4\x11\0\0\0"), F_MALFORMED},
		{AT_ONLINE, 5, P("\xf0\x02\x19\0"), F_PROTOCOL},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(t) / sizeof(*t); i++)
		case_(t[i].stage, t[i].version, t[i].p, t[i].n, false, t[i].want);
}

/* Noise from a seed, in pieces of any length, at each stage. */
static void noise(void **state)
{
	uint8_t buf[200];
	uint64_t rng = 15;

	(void)state;
	for (unsigned i = 0; i < 600; i++) {
		struct device *d = at_stage(i % STAGES, i & 1 ? MQTT_V5 : MQTT_V311);

		for (unsigned k = 0; k < 8 && d->fd >= 0; k++) {
			size_t n = 1 + sim_rand(&rng) % sizeof(buf);

			for (size_t b = 0; b < n; b++)
				buf[b] = (uint8_t)sim_rand(&rng);
			/* Half of them begin as a packet does. */
			if (n > 1 && i & 2) {
				buf[0] = (uint8_t)(sim_rand(&rng) % 15 + 1) << 4;
				buf[1] = (uint8_t)(sim_rand(&rng) % n);
			}
			gives(d, buf, n, 0);
			pass_ms(10);
		}
		ended_as();
		shard_free();
	}
	assert_true(ncases > 300);
	printf("%u cases\n", ncases);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(empty_packets), cmocka_unit_test(truncated),
		cmocka_unit_test(damaged),	 cmocka_unit_test(said_wrongly),
		cmocka_unit_test(noise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
