// SPDX-License-Identifier: GPL-2.0-only
/*
 * MQTT 5 properties. One table says each one's form, where it may stand, and
 * where it is kept; reader, size and writer all follow it.
 */
#include "sim/mqtt/wire.h"

enum form { BYTE, TWO, FOUR, VAR, BIN, STR, PAIR };

#define T(t)  (1u << MQTT_##t)
#define ACKS  (T(PUBACK) | T(PUBREC) | T(PUBREL) | T(PUBCOMP))
#define WILL  (1u << MQTT_PROPS_WILL)
#define AT(f) (uint16_t) offsetof(struct mqtt_props, f)

static const struct prop {
	uint8_t id, form;
	uint16_t where; /* bits of packet types */
	uint16_t at;
} table[] = {
	{MQTT_P_PAYLOAD_FORMAT, BYTE, T(PUBLISH) | WILL, AT(payload_format)},
	{MQTT_P_MESSAGE_EXPIRY, FOUR, T(PUBLISH) | WILL, AT(message_expiry)},
	{MQTT_P_CONTENT_TYPE, STR, T(PUBLISH) | WILL, AT(content_type)},
	{MQTT_P_RESPONSE_TOPIC, STR, T(PUBLISH) | WILL, AT(response_topic)},
	{MQTT_P_CORRELATION, BIN, T(PUBLISH) | WILL, AT(correlation)},
	{MQTT_P_SUBSCRIPTION_ID, VAR, T(PUBLISH) | T(SUBSCRIBE), AT(subscription_id)},
	{MQTT_P_SESSION_EXPIRY, FOUR, T(CONNECT) | T(CONNACK) | T(DISCONNECT), AT(session_expiry)},
	{MQTT_P_ASSIGNED_ID, STR, T(CONNACK), AT(assigned_id)},
	{MQTT_P_SERVER_KEEPALIVE, TWO, T(CONNACK), AT(server_keepalive)},
	{MQTT_P_AUTH_METHOD, STR, T(CONNECT) | T(CONNACK) | T(AUTH), AT(auth_method)},
	{MQTT_P_AUTH_DATA, BIN, T(CONNECT) | T(CONNACK) | T(AUTH), AT(auth_data)},
	{MQTT_P_REQUEST_PROBLEM, BYTE, T(CONNECT), AT(request_problem)},
	{MQTT_P_WILL_DELAY, FOUR, WILL, AT(will_delay)},
	{MQTT_P_REQUEST_RESPONSE, BYTE, T(CONNECT), AT(request_response)},
	{MQTT_P_RESPONSE_INFO, STR, T(CONNACK), AT(response_info)},
	{MQTT_P_SERVER_REFERENCE, STR, T(CONNACK) | T(DISCONNECT), AT(server_reference)},
	{MQTT_P_REASON_STRING, STR,
	 T(CONNACK) | ACKS | T(SUBACK) | T(UNSUBACK) | T(DISCONNECT) | T(AUTH), AT(reason_string)},
	{MQTT_P_RECEIVE_MAX, TWO, T(CONNECT) | T(CONNACK), AT(receive_max)},
	{MQTT_P_ALIAS_MAX, TWO, T(CONNECT) | T(CONNACK), AT(alias_max)},
	{MQTT_P_TOPIC_ALIAS, TWO, T(PUBLISH), AT(topic_alias)},
	{MQTT_P_MAX_QOS, BYTE, T(CONNACK), AT(max_qos)},
	{MQTT_P_RETAIN_OK, BYTE, T(CONNACK), AT(retain_ok)},
	{MQTT_P_USER, PAIR, 0xffff, AT(user_key)},
	{MQTT_P_MAX_PACKET, FOUR, T(CONNECT) | T(CONNACK), AT(max_packet)},
	{MQTT_P_WILDCARD_OK, BYTE, T(CONNACK), AT(wildcard_ok)},
	{MQTT_P_SUBSCRIPTION_ID_OK, BYTE, T(CONNACK), AT(subscription_id_ok)},
	{MQTT_P_SHARED_OK, BYTE, T(CONNACK), AT(shared_ok)},
};
#define NPROPS (sizeof(table) / sizeof(*table))

static const struct prop *find(uint32_t id)
{
	for (size_t i = 0; i < NPROPS; i++)
		if (table[i].id == id)
			return &table[i];
	return NULL;
}

static uint32_t get(const struct mqtt_props *p, const struct prop *t)
{
	const uint8_t *at = (const uint8_t *)p + t->at;
	uint32_t u32;
	uint16_t u16;

	switch (t->form) {
	case BYTE:
		return *at;
	case TWO:
		memcpy(&u16, at, sizeof(u16));
		return u16;
	default:
		memcpy(&u32, at, sizeof(u32));
		return u32;
	}
}

static void set(struct mqtt_props *p, const struct prop *t, uint32_t v)
{
	uint8_t *at = (uint8_t *)p + t->at;
	uint16_t u16 = (uint16_t)v;

	if (t->form == BYTE)
		*at = (uint8_t)v;
	else if (t->form == TWO)
		memcpy(at, &u16, sizeof(u16));
	else
		memcpy(at, &v, sizeof(v));
}

/* Values the standard calls protocol errors. */
static bool value_ok(const struct prop *t, uint32_t v)
{
	switch (t->id) {
	case MQTT_P_RECEIVE_MAX:
	case MQTT_P_TOPIC_ALIAS:
	case MQTT_P_MAX_PACKET:
	case MQTT_P_SUBSCRIPTION_ID:
		return v != 0;
	default:
		return t->form != BYTE || v <= 1;
	}
}

void mqtt_rd_props(struct mqtt_rd *r, uint8_t type, struct mqtt_props *ret)
{
	struct mqtt_slice block = rd_take(r, rd_var(r)), s, *keep;
	struct mqtt_rd b = {block.p, block.p + block.n, r->bad};

	ret->raw = block;
	while (rd_left(&b)) {
		const struct prop *t = find(rd_var(&b));
		bool again;
		uint32_t v;

		if (!t || !(t->where & 1u << type))
			goto bad;
		again = MQTT_HAS(ret, t->id);
		/* A client may not name several identifiers; a server may list several. */
		if (again && t->id != MQTT_P_USER &&
		    !(t->id == MQTT_P_SUBSCRIPTION_ID && type == MQTT_PUBLISH))
			goto bad;
		switch (t->form) {
		case BYTE:
			v = rd_int(&b, 1);
			break;
		case TWO:
			v = rd_int(&b, 2);
			break;
		case FOUR:
			v = rd_int(&b, 4);
			break;
		case VAR:
			v = rd_var(&b);
			break;
		case PAIR:
			s = rd_str(&b);
			if (!again)
				ret->user_key = s;
			s = rd_str(&b);
			if (!again)
				ret->user_value = s;
			ret->have |= 1ull << t->id;
			continue;
		default:
			s = t->form == STR ? rd_str(&b) : rd_bin(&b);
			keep = (struct mqtt_slice *)((uint8_t *)ret + t->at);
			*keep = s;
			ret->have |= 1ull << t->id;
			continue;
		}
		if (b.bad || !value_ok(t, v))
			goto bad;
		if (!again)
			set(ret, t, v);
		ret->have |= 1ull << t->id;
	}
	/* A response goes to a topic name, never to a filter. */
	if (MQTT_HAS(ret, MQTT_P_RESPONSE_TOPIC) &&
	    !mqtt_topic_ok(ret->response_topic.p, ret->response_topic.n))
		goto bad;
	if (!b.bad)
		return;
bad:
	r->bad = true;
}

long mqtt_enc_user(uint8_t *buf, size_t cap, struct mqtt_slice key, struct mqtt_slice value)
{
	struct mqtt_wr w = {buf, cap, false};

	if (key.n > MQTT_MAX_STRING || value.n > MQTT_MAX_STRING)
		return -EMSGSIZE;
	if (cap < 5 + (size_t)key.n + value.n)
		return -ENOSPC;
	wr_int(&w, MQTT_P_USER, 1);
	wr_bin(&w, key);
	wr_bin(&w, value);
	return w.p - buf;
}

bool mqtt_user_next(const struct mqtt_props *p, uint32_t *at, struct mqtt_slice *ret_key,
		    struct mqtt_slice *ret_value)
{
	struct mqtt_rd b;

	/* Without properties there is no address to add to. */
	if (*at >= p->raw.n)
		return false;
	b = (struct mqtt_rd){p->raw.p + *at, p->raw.p + p->raw.n, false};
	while (rd_left(&b)) {
		const struct prop *t = find(rd_var(&b));

		if (!t)
			return false;
		if (t->form == PAIR) {
			*ret_key = rd_bin(&b);
			*ret_value = rd_bin(&b);
			if (b.bad)
				return false;
			*at = (uint32_t)(b.p - p->raw.p);
			return true;
		}
		if (t->form == VAR)
			rd_var(&b);
		else if (t->form == STR || t->form == BIN)
			rd_bin(&b);
		else
			rd_int(&b, t->form == BYTE ? 1 : t->form == TWO ? 2 : 4);
	}
	return false;
}

static size_t body_size(const struct mqtt_props *p)
{
	static const uint8_t fixed[] = {[BYTE] = 1, [TWO] = 2, [FOUR] = 4};
	size_t n = 0;

	if (!p || !p->have)
		return 0;
	for (size_t i = 0; i < NPROPS; i++) {
		const struct prop *t = &table[i];
		const struct mqtt_slice *s = (const void *)((const uint8_t *)p + t->at);

		if (!MQTT_HAS(p, t->id))
			continue;
		n += 1;
		if (t->form == VAR)
			n += var_size(get(p, t));
		else if (t->form == PAIR)
			n += 4 + p->user_key.n + p->user_value.n + p->users.n;
		else if (t->form == STR || t->form == BIN)
			n += 2 + s->n;
		else
			n += fixed[t->form];
	}
	return n;
}

size_t mqtt_props_size(const struct mqtt_props *p)
{
	size_t n = body_size(p);

	return n + var_size((uint32_t)n);
}

bool mqtt_props_fit(const struct mqtt_props *p)
{
	if (!p)
		return true;
	for (size_t i = 0; i < NPROPS; i++) {
		const struct mqtt_slice *s = (const void *)((const uint8_t *)p + table[i].at);

		if (!MQTT_HAS(p, table[i].id))
			continue;
		if ((table[i].form == STR || table[i].form == BIN) && s->n > MQTT_MAX_STRING)
			return false;
		if (table[i].form == PAIR &&
		    (p->user_key.n > MQTT_MAX_STRING || p->user_value.n > MQTT_MAX_STRING))
			return false;
		if (table[i].form == VAR && get(p, &table[i]) > MQTT_MAX_REMAINING)
			return false;
	}
	return true;
}

void mqtt_wr_props(struct mqtt_wr *w, const struct mqtt_props *p)
{
	wr_var(w, (uint32_t)body_size(p));
	if (!p || !p->have)
		return;
	for (size_t i = 0; i < NPROPS; i++) {
		const struct prop *t = &table[i];
		const struct mqtt_slice *s = (const void *)((const uint8_t *)p + t->at);

		if (!MQTT_HAS(p, t->id))
			continue;
		wr_int(w, t->id, 1);
		switch (t->form) {
		case BYTE:
			wr_int(w, get(p, t), 1);
			break;
		case TWO:
			wr_int(w, get(p, t), 2);
			break;
		case FOUR:
			wr_int(w, get(p, t), 4);
			break;
		case VAR:
			wr_var(w, get(p, t));
			break;
		case PAIR:
			wr_bin(w, p->user_key);
			wr_bin(w, p->user_value);
			wr_bytes(w, p->users.p, p->users.n);
			break;
		default:
			wr_bin(w, *s);
		}
	}
}
