// SPDX-License-Identifier: GPL-2.0-only
/* SUBSCRIBE, UNSUBSCRIBE and their acknowledgements. */
#include "sim/mqtt/wire.h"

static bool options_ok(uint8_t version, uint8_t o)
{
	if ((o & 3) > 2)
		return false;
	return version == MQTT_V5 ? !(o & 0xc0) && (o >> 4 & 3) < 3 : !(o & ~3);
}

/* Id and properties; the rest is the list, which may be empty. */
static bool head_and_list(struct mqtt_rd *r, uint8_t version, struct mqtt_packet *ret)
{
	ret->id = (uint16_t)rd_int(r, 2);
	if (r->bad || !ret->id)
		return false;
	if (version == MQTT_V5)
		mqtt_rd_props(r, ret->type, &ret->props);
	ret->list = rd_take(r, rd_left(r));
	return !r->bad;
}

bool mqtt_rd_subscribe(struct mqtt_rd *r, uint8_t version, struct mqtt_packet *ret)
{
	struct mqtt_rd list;

	if (!head_and_list(r, version, ret) || !ret->list.n)
		return false;
	list = (struct mqtt_rd){ret->list.p, ret->list.p + ret->list.n, false};
	while (rd_left(&list)) {
		struct mqtt_slice f = rd_str(&list);

		if (list.bad || !mqtt_filter_ok(f.p, f.n))
			return false;
		if (ret->type == MQTT_SUBSCRIBE && !options_ok(version, (uint8_t)rd_int(&list, 1)))
			return false;
	}
	return !list.bad;
}

bool mqtt_filter_next(const struct mqtt_packet *p, uint32_t *at, struct mqtt_slice *ret_filter,
		      uint8_t *ret_options)
{
	struct mqtt_rd r;

	if (!p->list.p || *at >= p->list.n)
		return false;
	r = (struct mqtt_rd){p->list.p + *at, p->list.p + p->list.n, false};
	*ret_filter = rd_bin(&r);
	*ret_options = p->type == MQTT_SUBSCRIBE ? (uint8_t)rd_int(&r, 1) : 0;
	if (r.bad)
		return false;
	*at = (uint32_t)(r.p - p->list.p);
	return true;
}

static long enc(uint8_t *buf, size_t cap, uint8_t version, uint8_t type, uint16_t id,
		const struct mqtt_filter *f, size_t n, const struct mqtt_props *props)
{
	struct mqtt_wr w = {buf, cap, false};
	bool v5 = version == MQTT_V5;
	size_t body = 2;
	int err = 0;

	if (v5 && !mqtt_props_fit(props))
		return -EMSGSIZE;
	if (v5)
		body += mqtt_props_size(props);
	for (size_t i = 0; i < n; i++) {
		if (f[i].filter.n > MQTT_MAX_STRING)
			return -EMSGSIZE;
		body += 2 + f[i].filter.n + (type == MQTT_SUBSCRIBE);
	}
	if (!wr_head(&w, (uint8_t)(type << 4 | 2), body, &err))
		return err;
	wr_int(&w, id, 2);
	if (v5)
		mqtt_wr_props(&w, props);
	for (size_t i = 0; i < n; i++) {
		wr_bin(&w, f[i].filter);
		if (type == MQTT_SUBSCRIBE)
			wr_int(&w, f[i].options, 1);
	}
	return w.p - buf;
}

long mqtt_enc_subscribe(uint8_t *buf, size_t cap, uint8_t version, uint16_t id,
			const struct mqtt_filter *f, size_t n, const struct mqtt_props *props)
{
	return enc(buf, cap, version, MQTT_SUBSCRIBE, id, f, n, props);
}

long mqtt_enc_unsubscribe(uint8_t *buf, size_t cap, uint8_t version, uint16_t id,
			  const struct mqtt_filter *f, size_t n)
{
	return enc(buf, cap, version, MQTT_UNSUBSCRIBE, id, f, n, NULL);
}

bool mqtt_rd_suback(struct mqtt_rd *r, uint8_t version, struct mqtt_packet *ret)
{
	if (!head_and_list(r, version, ret))
		return false;
	if (ret->type == MQTT_UNSUBACK && version != MQTT_V5)
		return !ret->list.n;
	for (uint32_t i = 0; i < ret->list.n; i++) {
		uint8_t c = ret->list.p[i];

		if (ret->type == MQTT_SUBACK && c > 2 &&
		    (version == MQTT_V5 ? c < 0x80 : c != 0x80))
			return false;
	}
	return ret->list.n > 0;
}

long mqtt_enc_suback(uint8_t *buf, size_t cap, uint8_t version, uint8_t type, uint16_t id,
		     const uint8_t *reasons, size_t n)
{
	struct mqtt_wr w = {buf, cap, false};
	bool v5 = version == MQTT_V5;
	int err = 0;

	if (type == MQTT_UNSUBACK && !v5)
		n = 0;
	if (!wr_head(&w, (uint8_t)(type << 4), 2 + (v5 ? 1 : 0) + n, &err))
		return err;
	wr_int(&w, id, 2);
	if (v5)
		wr_int(&w, 0, 1);
	wr_bytes(&w, reasons, n);
	return w.p - buf;
}
