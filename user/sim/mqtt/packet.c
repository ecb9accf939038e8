// SPDX-License-Identifier: GPL-2.0-only
/* Framing, the decoder's dispatch, PING, and names for people. */
#include "sim/mqtt/wire.h"

long mqtt_frame_size(const uint8_t *buf, size_t len)
{
	uint32_t body = 0;
	size_t n = 1;

	if (!len)
		return MQTT_MORE;
	if (!(buf[0] >> 4))
		return MQTT_MALFORMED;
	for (unsigned shift = 0;; shift += 7) {
		uint8_t c;

		if (n == len)
			return MQTT_MORE;
		c = buf[n++];
		body |= (uint32_t)(c & 127) << shift;
		/* The fifth byte, or a needless last one. */
		if ((c & 128 && shift == 21) || (shift && !c))
			return MQTT_MALFORMED;
		if (!(c & 128))
			break;
	}
	return (long)(n + body);
}

long mqtt_frame(const uint8_t *buf, size_t len, size_t max)
{
	long n = mqtt_frame_size(buf, len);

	if (n <= 0)
		return n;
	if ((size_t)n > max)
		return MQTT_TOO_BIG;
	return len < (size_t)n ? MQTT_MORE : n;
}

static bool decode_body(uint8_t version, uint8_t first, struct mqtt_rd *r, struct mqtt_packet *ret)
{
	uint8_t flags = first & 15;

	if (ret->type == MQTT_PUBLISH)
		return mqtt_rd_publish(r, version, flags, ret);
	if (flags != (ret->type == MQTT_PUBREL || ret->type == MQTT_SUBSCRIBE ||
				      ret->type == MQTT_UNSUBSCRIBE
			      ? 2
			      : 0))
		return false;
	switch (ret->type) {
	case MQTT_CONNECT:
		return mqtt_rd_connect(r, ret);
	case MQTT_CONNACK:
		return mqtt_rd_connack(r, version, ret);
	case MQTT_PUBACK:
	case MQTT_PUBREC:
	case MQTT_PUBREL:
	case MQTT_PUBCOMP:
		return mqtt_rd_ack(r, version, ret);
	case MQTT_SUBSCRIBE:
	case MQTT_UNSUBSCRIBE:
		return mqtt_rd_subscribe(r, version, ret);
	case MQTT_SUBACK:
	case MQTT_UNSUBACK:
		return mqtt_rd_suback(r, version, ret);
	case MQTT_PINGREQ:
	case MQTT_PINGRESP:
		return true;
	case MQTT_DISCONNECT:
		return mqtt_rd_disconnect(r, version, ret);
	case MQTT_AUTH:
		return version == MQTT_V5 && mqtt_rd_disconnect(r, version, ret);
	}
	return false;
}

long mqtt_decode(uint8_t version, const uint8_t *buf, size_t len, size_t max,
		 struct mqtt_packet *ret)
{
	struct mqtt_packet p;
	struct mqtt_rd r;
	long n = mqtt_frame(buf, len, max);
	size_t head = 2;

	if (n <= 0)
		return n;
	while (buf[head - 1] & 128)
		head++;
	memset(&p, 0, sizeof(p));
	p.type = buf[0] >> 4;
	r = (struct mqtt_rd){buf + head, buf + n, false};
	/* Bytes that no field claims are malformed too. */
	if (!decode_body(version, buf[0], &r, &p) || r.bad || r.p != r.end)
		return MQTT_MALFORMED;
	*ret = p;
	return n;
}

bool mqtt_publish_start(uint8_t version, const uint8_t *buf, size_t len, struct mqtt_packet *ret)
{
	long n = mqtt_frame_size(buf, len);
	struct mqtt_rd r;
	size_t head = 2;

	if (n <= 0)
		return false;
	while (buf[head - 1] & 128)
		head++;
	r = (struct mqtt_rd){buf + head, buf + (len < (size_t)n ? len : (size_t)n), false};
	memset(ret, 0, sizeof(*ret));
	ret->type = MQTT_PUBLISH;
	if (!mqtt_rd_publish(&r, version, buf[0] & 15, ret))
		return false;
	ret->payload_len = (uint32_t)(buf + n - ret->payload.p);
	return true;
}

long mqtt_enc_ping(uint8_t *buf, size_t cap, uint8_t type)
{
	if (cap < 2)
		return -ENOSPC;
	buf[0] = (uint8_t)(type << 4);
	buf[1] = 0;
	return 2;
}

const char *mqtt_type_name(uint8_t type)
{
	static const char *const names[] = {
		"RESERVED", "CONNECT",	"CONNACK",    "PUBLISH", "PUBACK",	"PUBREC",
		"PUBREL",   "PUBCOMP",	"SUBSCRIBE",  "SUBACK",	 "UNSUBSCRIBE", "UNSUBACK",
		"PINGREQ",  "PINGRESP", "DISCONNECT", "AUTH",
	};

	return type < 16 ? names[type] : names[0];
}

/* MQTT 5, table 2-6: a code means something only in the packets that may carry it. */
const char *mqtt_reason_name(uint8_t version, uint8_t type, uint8_t reason)
{
#define IN(t)	(1u << MQTT_##t)
#define ACKED	(IN(PUBACK) | IN(PUBREC))
#define SUBBED	(IN(SUBACK) | IN(UNSUBACK))
#define BOTH	(IN(CONNACK) | IN(DISCONNECT)) /* the connection as a whole */
#define GENERAL (BOTH | ACKED | SUBBED)
	static const struct {
		uint8_t code;
		uint16_t in;
		const char *name;
	} v5[] = {
		{0x00, IN(DISCONNECT), "normal disconnection"},
		{0x00, IN(SUBACK), "granted QoS 0"},
		{0x00, 0xffff, "success"},
		{0x01, IN(SUBACK), "granted QoS 1"},
		{0x02, IN(SUBACK), "granted QoS 2"},
		{0x04, IN(DISCONNECT), "disconnect with will"},
		{0x10, ACKED, "no matching subscribers"},
		{0x11, IN(UNSUBACK), "no subscription existed"},
		{0x18, IN(AUTH), "continue authentication"},
		{0x19, IN(AUTH), "re-authenticate"},
		{0x80, GENERAL, "unspecified error"},
		{0x81, BOTH, "malformed packet"},
		{0x82, BOTH, "protocol error"},
		{0x83, GENERAL, "implementation specific error"},
		{0x84, IN(CONNACK), "unsupported protocol version"},
		{0x85, IN(CONNACK), "client identifier not valid"},
		{0x86, IN(CONNACK), "bad user name or password"},
		{0x87, GENERAL, "not authorized"},
		{0x88, IN(CONNACK), "server unavailable"},
		{0x89, BOTH, "server busy"},
		{0x8a, IN(CONNACK), "banned"},
		{0x8b, IN(DISCONNECT), "server shutting down"},
		{0x8c, BOTH, "bad authentication method"},
		{0x8d, IN(DISCONNECT), "keep alive timeout"},
		{0x8e, IN(DISCONNECT), "session taken over"},
		{0x8f, SUBBED | IN(DISCONNECT), "topic filter invalid"},
		{0x90, ACKED | BOTH, "topic name invalid"},
		{0x91, ACKED | SUBBED, "packet identifier in use"},
		{0x92, IN(PUBREL) | IN(PUBCOMP), "packet identifier not found"},
		{0x93, IN(DISCONNECT), "receive maximum exceeded"},
		{0x94, IN(DISCONNECT), "topic alias invalid"},
		{0x95, BOTH, "packet too large"},
		{0x96, IN(DISCONNECT), "message rate too high"},
		{0x97, BOTH | ACKED | IN(SUBACK), "quota exceeded"},
		{0x98, IN(DISCONNECT), "administrative action"},
		{0x99, BOTH | ACKED, "payload format invalid"},
		{0x9a, BOTH, "retain not supported"},
		{0x9b, BOTH, "QoS not supported"},
		{0x9c, BOTH, "use another server"},
		{0x9d, BOTH, "server moved"},
		{0x9e, IN(SUBACK) | IN(DISCONNECT), "shared subscriptions not supported"},
		{0x9f, BOTH, "connection rate exceeded"},
		{0xa0, IN(DISCONNECT), "maximum connect time"},
		{0xa1, IN(SUBACK) | IN(DISCONNECT), "subscription identifiers not supported"},
		{0xa2, IN(SUBACK) | IN(DISCONNECT), "wildcard subscriptions not supported"},
	};
	static const char *const v311[] = {
		"accepted",	      "unacceptable protocol version", "identifier rejected",
		"server unavailable", "bad user name or password",     "not authorized",
	};

	if (version != MQTT_V5 && type == MQTT_CONNACK)
		return reason < 6 ? v311[reason] : NULL;
	if (version != MQTT_V5 && type == MQTT_SUBACK && reason == 0x80)
		return "failure";
	for (size_t i = 0; i < sizeof(v5) / sizeof(*v5); i++)
		if (v5[i].code == reason && v5[i].in & 1u << (type & 15))
			return v5[i].name;
	return NULL;
}
