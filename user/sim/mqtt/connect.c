// SPDX-License-Identifier: GPL-2.0-only
/* CONNECT, CONNACK, DISCONNECT, AUTH. */
#include "sim/mqtt/wire.h"

enum {
	C_CLEAN = 0x02,
	C_WILL = 0x04,
	C_WILL_QOS_SHIFT = 3,
	C_WILL_RETAIN = 0x20,
	C_PASSWORD = 0x40,
	C_USERNAME = 0x80,
};

bool mqtt_rd_connect(struct mqtt_rd *r, struct mqtt_packet *ret)
{
	struct mqtt_connect *c = &ret->connect;
	struct mqtt_slice name = rd_str(r);
	uint32_t flags;

	if (r->bad || name.n != 4 || memcmp(name.p, "MQTT", 4))
		return false;
	c->version = (uint8_t)rd_int(r, 1);
	if (c->version != MQTT_V311 && c->version != MQTT_V5)
		return false;
	flags = rd_int(r, 1);
	c->keepalive = (uint16_t)rd_int(r, 2);
	if (flags & 1)
		return false;
	c->clean = flags & C_CLEAN;
	c->has_will = flags & C_WILL;
	c->will_qos = flags >> C_WILL_QOS_SHIFT & 3;
	c->will_retain = flags & C_WILL_RETAIN;
	c->has_username = flags & C_USERNAME;
	c->has_password = flags & C_PASSWORD;
	if (c->will_qos > 2 || (!c->has_will && (c->will_qos || c->will_retain)))
		return false;
	/* 3.1.1 demands a user name with a password; MQTT 5 no longer does. */
	if (c->version == MQTT_V311 && c->has_password && !c->has_username)
		return false;
	if (c->version == MQTT_V5)
		mqtt_rd_props(r, MQTT_CONNECT, &ret->props);
	c->client_id = rd_str(r);
	if (c->has_will) {
		if (c->version == MQTT_V5)
			mqtt_rd_props(r, MQTT_PROPS_WILL, &c->will_props);
		c->will_topic = rd_str(r);
		c->will_payload = rd_bin(r);
		if (!r->bad && !mqtt_topic_ok(c->will_topic.p, c->will_topic.n))
			return false;
	}
	if (c->has_username)
		c->username = rd_str(r);
	if (c->has_password)
		c->password = rd_bin(r);
	/* Without an identifier there is no session to come back to (3.1.1 3.1.3.1). */
	if (c->version == MQTT_V311 && !c->client_id.n && !c->clean)
		return false;
	return !r->bad;
}

long mqtt_enc_connect(uint8_t *buf, size_t cap, const struct mqtt_connect *c,
		      const struct mqtt_props *props)
{
	struct mqtt_wr w = {buf, cap, false};
	bool v5 = c->version == MQTT_V5;
	size_t body = 10 + 2 + c->client_id.n;
	uint32_t flags = 0;
	int err = 0;

	if (c->client_id.n > MQTT_MAX_STRING || c->will_topic.n > MQTT_MAX_STRING ||
	    c->will_payload.n > MQTT_MAX_STRING || c->username.n > MQTT_MAX_STRING ||
	    c->password.n > MQTT_MAX_STRING ||
	    (v5 && (!mqtt_props_fit(props) || !mqtt_props_fit(&c->will_props))))
		return -EMSGSIZE;
	if (v5)
		body += mqtt_props_size(props);
	if (c->clean)
		flags |= C_CLEAN;
	if (c->has_will) {
		flags |= C_WILL | (uint32_t)c->will_qos << C_WILL_QOS_SHIFT;
		if (c->will_retain)
			flags |= C_WILL_RETAIN;
		body += 4 + c->will_topic.n + c->will_payload.n;
		if (v5)
			body += mqtt_props_size(&c->will_props);
	}
	if (c->has_username) {
		flags |= C_USERNAME;
		body += 2 + c->username.n;
	}
	if (c->has_password) {
		flags |= C_PASSWORD;
		body += 2 + c->password.n;
	}
	if (!wr_head(&w, MQTT_CONNECT << 4, body, &err))
		return err;
	wr_bin(&w, mqtt_slice("MQTT", 4));
	wr_int(&w, c->version, 1);
	wr_int(&w, flags, 1);
	wr_int(&w, c->keepalive, 2);
	if (v5)
		mqtt_wr_props(&w, props);
	wr_bin(&w, c->client_id);
	if (c->has_will) {
		if (v5)
			mqtt_wr_props(&w, &c->will_props);
		wr_bin(&w, c->will_topic);
		wr_bin(&w, c->will_payload);
	}
	if (c->has_username)
		wr_bin(&w, c->username);
	if (c->has_password)
		wr_bin(&w, c->password);
	return w.p - buf;
}

bool mqtt_rd_connack(struct mqtt_rd *r, uint8_t version, struct mqtt_packet *ret)
{
	uint32_t flags = rd_int(r, 1);

	ret->session_present = flags & 1;
	ret->reason = (uint8_t)rd_int(r, 1);
	if (version == MQTT_V5)
		mqtt_rd_props(r, MQTT_CONNACK, &ret->props);
	/* A refusal cannot come with a session. */
	return !r->bad && flags <= 1 && !(ret->reason && ret->session_present);
}

long mqtt_enc_connack(uint8_t *buf, size_t cap, uint8_t version, bool session_present,
		      uint8_t reason, const struct mqtt_props *props)
{
	struct mqtt_wr w = {buf, cap, false};
	bool v5 = version == MQTT_V5;
	int err = 0;

	if (v5 && !mqtt_props_fit(props))
		return -EMSGSIZE;
	if (!wr_head(&w, MQTT_CONNACK << 4, 2 + (v5 ? mqtt_props_size(props) : 0), &err))
		return err;
	wr_int(&w, session_present, 1);
	wr_int(&w, reason, 1);
	if (v5)
		mqtt_wr_props(&w, props);
	return w.p - buf;
}

/* DISCONNECT and AUTH: in MQTT 5 reason and properties may both be left out. */
bool mqtt_rd_disconnect(struct mqtt_rd *r, uint8_t version, struct mqtt_packet *ret)
{
	if (version != MQTT_V5)
		return !rd_left(r);
	if (rd_left(r))
		ret->reason = (uint8_t)rd_int(r, 1);
	if (rd_left(r))
		mqtt_rd_props(r, ret->type, &ret->props);
	return !r->bad;
}

long mqtt_enc_disconnect(uint8_t *buf, size_t cap, uint8_t version, uint8_t reason,
			 const struct mqtt_props *props)
{
	struct mqtt_wr w = {buf, cap, false};
	bool with_props = version == MQTT_V5 && props && props->have;
	size_t body = version != MQTT_V5 ? 0 : with_props ? 1 + mqtt_props_size(props) : !!reason;
	int err = 0;

	if (with_props && !mqtt_props_fit(props))
		return -EMSGSIZE;
	if (!wr_head(&w, MQTT_DISCONNECT << 4, body, &err))
		return err;
	if (body)
		wr_int(&w, reason, 1);
	if (with_props)
		mqtt_wr_props(&w, props);
	return w.p - buf;
}
