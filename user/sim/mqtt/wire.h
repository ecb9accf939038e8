// SPDX-License-Identifier: GPL-2.0-only
/*
 * The codec's inside: a bounded reader and writer. Both carry a sticky error,
 * so that packet code reads as a list of fields and checks once at the end.
 */
#ifndef SQUALL_SIM_MQTT_WIRE_H
#define SQUALL_SIM_MQTT_WIRE_H

#include <string.h>
#include "sim/mqtt/mqtt.h"

struct mqtt_rd {
	const uint8_t *p, *end;
	bool bad;
};

static inline uint32_t rd_left(const struct mqtt_rd *r)
{
	return r->bad ? 0 : (uint32_t)(r->end - r->p);
}

static inline uint32_t rd_int(struct mqtt_rd *r, unsigned bytes)
{
	uint32_t v = 0;

	if (rd_left(r) < bytes) {
		r->bad = true;
		return 0;
	}
	while (bytes--)
		v = v << 8 | *r->p++;
	return v;
}

static inline struct mqtt_slice rd_take(struct mqtt_rd *r, uint32_t n)
{
	struct mqtt_slice s = {r->p, n};

	if (rd_left(r) < n) {
		r->bad = true;
		return (struct mqtt_slice){r->p, 0};
	}
	r->p += n;
	return s;
}

static inline struct mqtt_slice rd_bin(struct mqtt_rd *r)
{
	return rd_take(r, rd_int(r, 2));
}

static inline struct mqtt_slice rd_str(struct mqtt_rd *r)
{
	struct mqtt_slice s = rd_bin(r);

	if (!r->bad && !mqtt_utf8_ok(s.p, s.n))
		r->bad = true;
	return s;
}

/* Variable byte integer; the shortest form is demanded, as MQTT 5 does. */
static inline uint32_t rd_var(struct mqtt_rd *r)
{
	uint32_t v = 0, byte, shift = 0;

	do {
		byte = rd_int(r, 1);
		if (r->bad || shift > 21 || (shift && !byte)) {
			r->bad = true;
			return 0;
		}
		v |= (byte & 127) << shift;
		shift += 7;
	} while (byte & 128);
	return v;
}

struct mqtt_wr {
	uint8_t *p;
	size_t left;
	bool bad;
};

static inline void wr_int(struct mqtt_wr *w, uint32_t v, unsigned bytes)
{
	if (w->bad || w->left < bytes) {
		w->bad = true;
		return;
	}
	w->left -= bytes;
	while (bytes--)
		*w->p++ = (uint8_t)(v >> 8 * bytes);
}

static inline void wr_bytes(struct mqtt_wr *w, const void *p, size_t n)
{
	if (w->bad || w->left < n) {
		w->bad = true;
		return;
	}
	if (n)
		memcpy(w->p, p, n);
	w->p += n;
	w->left -= n;
}

static inline void wr_bin(struct mqtt_wr *w, struct mqtt_slice s)
{
	wr_int(w, s.n, 2);
	wr_bytes(w, s.p, s.n);
}

static inline void wr_var(struct mqtt_wr *w, uint32_t v)
{
	while (v > 127) {
		wr_int(w, (v & 127) | 128, 1);
		v >>= 7;
	}
	wr_int(w, v, 1);
}

static inline size_t var_size(uint32_t v)
{
	return v < 128 ? 1 : v < 16384 ? 2 : v < 2097152 ? 3 : 4;
}

/* Fixed header. False if the body cannot be sent at all. */
static inline bool wr_head(struct mqtt_wr *w, uint8_t first, size_t body, int *ret_err)
{
	if (body > MQTT_MAX_REMAINING) {
		*ret_err = -EMSGSIZE;
		return false;
	}
	if (w->left < 1 + var_size((uint32_t)body) + body) {
		*ret_err = -ENOSPC;
		return false;
	}
	wr_int(w, first, 1);
	wr_var(w, (uint32_t)body);
	return true;
}

/* `type` says where a property may stand; 0 is a will's. */
#define MQTT_PROPS_WILL 0
void mqtt_rd_props(struct mqtt_rd *r, uint8_t type, struct mqtt_props *ret);
/* Bytes of the property block including its own length. */
size_t mqtt_props_size(const struct mqtt_props *p);
void mqtt_wr_props(struct mqtt_wr *w, const struct mqtt_props *p);
/* True when every string of the block fits its two-byte length. */
bool mqtt_props_fit(const struct mqtt_props *p);

/* One per packet family; true when well formed. */
bool mqtt_rd_connect(struct mqtt_rd *r, struct mqtt_packet *ret);
bool mqtt_rd_connack(struct mqtt_rd *r, uint8_t version, struct mqtt_packet *ret);
bool mqtt_rd_publish(struct mqtt_rd *r, uint8_t version, uint8_t flags, struct mqtt_packet *ret);
bool mqtt_rd_ack(struct mqtt_rd *r, uint8_t version, struct mqtt_packet *ret);
bool mqtt_rd_subscribe(struct mqtt_rd *r, uint8_t version, struct mqtt_packet *ret);
bool mqtt_rd_suback(struct mqtt_rd *r, uint8_t version, struct mqtt_packet *ret);
bool mqtt_rd_disconnect(struct mqtt_rd *r, uint8_t version, struct mqtt_packet *ret);

#endif
