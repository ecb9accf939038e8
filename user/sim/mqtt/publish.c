// SPDX-License-Identifier: GPL-2.0-only
/* PUBLISH and its acknowledgements. */
#include "sim/mqtt/wire.h"

bool mqtt_rd_publish(struct mqtt_rd *r, uint8_t version, uint8_t flags, struct mqtt_packet *ret)
{
	ret->dup = flags & 8;
	ret->qos = flags >> 1 & 3;
	ret->retain = flags & 1;
	if (ret->qos > 2 || (!ret->qos && ret->dup))
		return false;
	ret->topic = rd_str(r);
	if (ret->qos) {
		ret->id = (uint16_t)rd_int(r, 2);
		if (!ret->id)
			return false;
	}
	if (version == MQTT_V5)
		mqtt_rd_props(r, MQTT_PUBLISH, &ret->props);
	if (r->bad)
		return false;
	/* Only a topic alias may stand for the name. */
	if (!ret->topic.n ? !MQTT_HAS(&ret->props, MQTT_P_TOPIC_ALIAS)
			  : !mqtt_topic_ok(ret->topic.p, ret->topic.n))
		return false;
	ret->payload = rd_take(r, rd_left(r));
	ret->payload_len = ret->payload.n;
	return !r->bad;
}

static inline uint8_t *put(uint8_t *at, struct mqtt_slice s)
{
	if (s.n)
		memcpy(at, s.p, s.n);
	return at + s.n;
}

/* What a sender makes a hundred thousand of a second: the room is asked for once, not by field. */
long mqtt_enc_publish(uint8_t *buf, size_t cap, uint8_t version, const struct mqtt_publish *p,
		      const struct mqtt_props *props)
{
	bool v5 = version == MQTT_V5;
	size_t body = 2 + (size_t)p->topic.n + (p->qos ? 2 : 0) + p->payload.n + p->more;
	uint8_t *at = buf;
	uint32_t left;

	if (p->topic.n > MQTT_MAX_STRING || (v5 && !mqtt_props_fit(props)))
		return -EMSGSIZE;
	if (v5)
		body += mqtt_props_size(props);
	if (body > MQTT_MAX_REMAINING)
		return -EMSGSIZE;
	left = (uint32_t)body;
	if (cap < 1 + var_size(left) + body - p->more)
		return -ENOSPC;
	*at++ = (uint8_t)(MQTT_PUBLISH << 4 | p->dup << 3 | p->qos << 1 | p->retain);
	for (; left > 127; left >>= 7)
		*at++ = (uint8_t)(left | 128);
	*at++ = (uint8_t)left;
	*at++ = (uint8_t)(p->topic.n >> 8);
	*at++ = (uint8_t)p->topic.n;
	at = put(at, p->topic);
	if (p->qos) {
		*at++ = (uint8_t)(p->id >> 8);
		*at++ = (uint8_t)p->id;
	}
	if (v5) {
		struct mqtt_wr w = {at, cap - (size_t)(at - buf), false};

		mqtt_wr_props(&w, props);
		at = w.p;
	}
	return put(at, p->payload) - buf;
}

bool mqtt_rd_ack(struct mqtt_rd *r, uint8_t version, struct mqtt_packet *ret)
{
	ret->id = (uint16_t)rd_int(r, 2);
	if (r->bad || !ret->id)
		return false;
	if (version != MQTT_V5)
		return true;
	if (rd_left(r))
		ret->reason = (uint8_t)rd_int(r, 1);
	if (rd_left(r))
		mqtt_rd_props(r, ret->type, &ret->props);
	return !r->bad;
}

long mqtt_enc_ack(uint8_t *buf, size_t cap, uint8_t version, uint8_t type, uint16_t id,
		  uint8_t reason)
{
	struct mqtt_wr w = {buf, cap, false};
	bool with_reason = version == MQTT_V5 && reason;
	int err = 0;

	if (!wr_head(&w, (uint8_t)(type << 4 | (type == MQTT_PUBREL ? 2 : 0)), with_reason ? 3 : 2,
		     &err))
		return err;
	wr_int(&w, id, 2);
	if (with_reason)
		wr_int(&w, reason, 1);
	return w.p - buf;
}
