// SPDX-License-Identifier: GPL-2.0-only
/* Framing, the decoder's dispatch, PING, and names for people. */
#include "sim/mqtt/wire.h"

long mqtt_frame(const uint8_t *buf, size_t len, size_t max)
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
	if (n + body > max)
		return MQTT_TOO_BIG;
	return len < n + body ? MQTT_MORE : (long)(n + body);
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

const char *mqtt_reason_name(uint8_t version, uint8_t type, uint8_t reason)
{
	static const struct {
		uint8_t code;
		const char *name;
	} v5[] = {
		{0x00, "success"},
		{0x01, "granted QoS 1"},
		{0x02, "granted QoS 2"},
		{0x04, "disconnect with will"},
		{0x10, "no matching subscribers"},
		{0x11, "no subscription existed"},
		{0x80, "unspecified error"},
		{0x81, "malformed packet"},
		{0x82, "protocol error"},
		{0x83, "implementation specific error"},
		{0x84, "unsupported protocol version"},
		{0x85, "client identifier not valid"},
		{0x86, "bad user name or password"},
		{0x87, "not authorized"},
		{0x88, "server unavailable"},
		{0x89, "server busy"},
		{0x8a, "banned"},
		{0x8b, "server shutting down"},
		{0x8c, "bad authentication method"},
		{0x8d, "keep alive timeout"},
		{0x8e, "session taken over"},
		{0x8f, "topic filter invalid"},
		{0x90, "topic name invalid"},
		{0x91, "packet identifier in use"},
		{0x92, "packet identifier not found"},
		{0x93, "receive maximum exceeded"},
		{0x94, "topic alias invalid"},
		{0x95, "packet too large"},
		{0x96, "message rate too high"},
		{0x97, "quota exceeded"},
		{0x98, "administrative action"},
		{0x99, "payload format invalid"},
		{0x9a, "retain not supported"},
		{0x9b, "QoS not supported"},
		{0x9c, "use another server"},
		{0x9d, "server moved"},
		{0x9e, "shared subscriptions not supported"},
		{0x9f, "connection rate exceeded"},
		{0xa0, "maximum connect time"},
		{0xa1, "subscription identifiers not supported"},
		{0xa2, "wildcard subscriptions not supported"},
	};
	static const char *const v311[] = {
		"accepted",	      "unacceptable protocol version", "identifier rejected",
		"server unavailable", "bad user name or password",     "not authorized",
	};

	if (version != MQTT_V5 && type == MQTT_CONNACK)
		return reason < 6 ? v311[reason] : NULL;
	for (size_t i = 0; i < sizeof(v5) / sizeof(*v5); i++)
		if (v5[i].code == reason)
			return v5[i].name;
	return NULL;
}
