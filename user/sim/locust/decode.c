// SPDX-License-Identifier: GPL-2.0-only
/*
 * Messages from the master. msgpack-c allocates what a length field claims
 * before it looks for the bytes, so a frame of five bytes can ask for 64 GiB.
 * A scan without any allocation goes first and lets only frames pass whose
 * every element is really there.
 */
#include "sim/locust/proto.h"

#include <errno.h>
#include <math.h>
#include <msgpack.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a decoded message stands on: msgpack's texts point into the frame. */
struct owned {
	msgpack_unpacked u;
	char frame[];
};

struct scan {
	const uint8_t *p;
	const uint8_t *end;
	unsigned int objects; /* that may still come */
};

static int take(struct scan *s, unsigned int bytes, uint64_t *ret)
{
	uint64_t v = 0;

	if ((size_t)(s->end - s->p) < bytes)
		return -EBADMSG;
	while (bytes--)
		v = v << 8 | *s->p++;
	*ret = v;
	return 0;
}

static int skip(struct scan *s, uint64_t bytes)
{
	if ((uint64_t)(s->end - s->p) < bytes)
		return -EBADMSG;
	s->p += bytes;
	return 0;
}

/* One object and all that is in it. */
/* Longer than 70 lines: a table, MessagePack's tags in their order. */
static int scan_object(struct scan *s, unsigned int depth)
{
	uint64_t tag, n = 0;
	int r;

	if (!depth || !s->objects-- || take(s, 1, &tag))
		return -EBADMSG;
	if (tag <= 0x7f || tag >= 0xe0 || tag == 0xc0 || tag == 0xc2 || tag == 0xc3)
		return 0;
	if (tag <= 0x8f) { /* fixmap */
		n = (tag & 0x0f) * 2;
	} else if (tag <= 0x9f) { /* fixarray */
		n = tag & 0x0f;
	} else if (tag <= 0xbf) { /* fixstr */
		return skip(s, tag & 0x1f);
	} else {
		switch (tag) {
		case 0xc4:
		case 0xc5:
		case 0xc6: /* bin 8, 16, 32 */
			r = take(s, 1u << (tag - 0xc4), &n);
			return r ? r : skip(s, n);
		case 0xc7:
		case 0xc8:
		case 0xc9: /* ext 8, 16, 32 */
			r = take(s, 1u << (tag - 0xc7), &n);
			return r ? r : skip(s, n + 1);
		case 0xca:
		case 0xce:
		case 0xd2:
			return skip(s, 4);
		case 0xcb:
		case 0xcf:
		case 0xd3:
			return skip(s, 8);
		case 0xcc:
		case 0xd0:
			return skip(s, 1);
		case 0xcd:
		case 0xd1:
			return skip(s, 2);
		case 0xd4:
		case 0xd5:
		case 0xd6:
		case 0xd7:
		case 0xd8: /* fixext */
			return skip(s, 1 + (1u << (tag - 0xd4)));
		case 0xd9:
		case 0xda:
		case 0xdb: /* str 8, 16, 32 */
			r = take(s, 1u << (tag - 0xd9), &n);
			return r ? r : skip(s, n);
		case 0xdc:
		case 0xdd: /* array 16, 32 */
			r = take(s, 2u << (tag - 0xdc), &n);
			break;
		case 0xde:
		case 0xdf: /* map 16, 32 */
			r = take(s, 2u << (tag - 0xde), &n);
			n *= 2;
			break;
		default: /* 0xc1 is never used */
			return -EBADMSG;
		}
		if (r)
			return r;
	}
	/* Each element takes a byte at least: no need to try the impossible. */
	if (n > (uint64_t)(s->end - s->p) || n > s->objects)
		return -EBADMSG;
	for (; n; n--) {
		r = scan_object(s, depth - 1);
		if (r)
			return r;
	}
	return 0;
}

static bool is_str(const msgpack_object *o)
{
	return o->type == MSGPACK_OBJECT_STR;
}

static bool str_is(const msgpack_object *o, const char *s)
{
	return is_str(o) && o->via.str.size == strlen(s) &&
	       !memcmp(o->via.str.ptr, s, o->via.str.size);
}

/* An embedded zero would cut the text where Locust does not: refused. */
static int str_copy(const msgpack_object *o, char *buf, size_t len)
{
	if (!is_str(o) || o->via.str.size >= len)
		return -EBADMSG;
	/* msgpack-c gives an empty string no pointer. */
	if (o->via.str.size && memchr(o->via.str.ptr, 0, o->via.str.size))
		return -EBADMSG;
	if (o->via.str.size)
		memcpy(buf, o->via.str.ptr, o->via.str.size);
	buf[o->via.str.size] = 0;
	return 0;
}

static const msgpack_object *map_get(const msgpack_object *map, const char *key)
{
	uint32_t i;

	if (map->type != MSGPACK_OBJECT_MAP)
		return NULL;
	for (i = 0; i < map->via.map.size; i++)
		if (str_is(&map->via.map.ptr[i].key, key))
			return &map->via.map.ptr[i].val;
	return NULL;
}

static int number(const msgpack_object *o, double *ret)
{
	double v;

	if (!o)
		return -EBADMSG;
	switch (o->type) {
	case MSGPACK_OBJECT_POSITIVE_INTEGER:
		v = (double)o->via.u64;
		break;
	case MSGPACK_OBJECT_NEGATIVE_INTEGER:
		v = (double)o->via.i64;
		break;
	case MSGPACK_OBJECT_FLOAT32:
	case MSGPACK_OBJECT_FLOAT64:
		v = o->via.f64;
		break;
	default:
		return -EBADMSG;
	}
	if (!isfinite(v))
		return -EBADMSG;
	*ret = v;
	return 0;
}

static int decode_classes(const msgpack_object *map, struct locust_msg *m, const char **why)
{
	uint64_t total = 0;
	uint32_t i;

	if (!map || map->type != MSGPACK_OBJECT_MAP) {
		*why = "spawn: user_classes_count is missing or not a map";
		return -EBADMSG;
	}
	if (map->via.map.size > LOCUST_CLASSES_MAX) {
		*why = "spawn: more than 256 user classes";
		return -EBADMSG;
	}
	m->classes = calloc(map->via.map.size + 1u, sizeof(*m->classes));
	if (!m->classes)
		return -ENOMEM;
	for (i = 0; i < map->via.map.size; i++) {
		const msgpack_object_kv *kv = &map->via.map.ptr[i];

		if (str_copy(&kv->key, m->classes[i].name, sizeof(m->classes[i].name))) {
			*why = "spawn: a user class without a usable name";
			return -EBADMSG;
		}
		if (kv->val.type != MSGPACK_OBJECT_POSITIVE_INTEGER ||
		    kv->val.via.u64 > LOCUST_USERS_MAX) {
			*why = "spawn: a user count that is not a number from 0 to 100000000";
			return -EBADMSG;
		}
		m->classes[i].count = (int64_t)kv->val.via.u64;
		total += kv->val.via.u64;
	}
	if (total > LOCUST_USERS_MAX) {
		*why = "spawn: more than 100000000 users";
		return -EBADMSG;
	}
	m->n_classes = map->via.map.size;
	return 0;
}

static int decode_spawn(const msgpack_object *data, struct locust_msg *m, const char **why)
{
	const msgpack_object *o;

	if (number(map_get(data, "timestamp"), &m->timestamp)) {
		*why = "spawn: timestamp is missing or not a number";
		return -EBADMSG;
	}
	/* 2.12 sends nil where newer masters send 0.0. */
	o = map_get(data, "stop_timeout");
	if (o && o->type != MSGPACK_OBJECT_NIL &&
	    (number(o, &m->stop_timeout) || m->stop_timeout < 0 || m->stop_timeout > 1e6)) {
		*why = "spawn: stop_timeout is not a number of seconds";
		return -EBADMSG;
	}
	o = map_get(data, "host");
	if (o && o->type != MSGPACK_OBJECT_NIL && str_copy(o, m->host, sizeof(m->host))) {
		*why = "spawn: host is not a text of at most 511 bytes";
		return -EBADMSG;
	}
	o = map_get(data, "parsed_options");
	if (o && o->type == MSGPACK_OBJECT_MAP)
		m->options = o;
	return decode_classes(map_get(data, "user_classes_count"), m, why);
}

static int64_t whole(const msgpack_object *o)
{
	return o && o->type == MSGPACK_OBJECT_POSITIVE_INTEGER && o->via.u64 <= INT64_MAX
		       ? (int64_t)o->via.u64
		       : 0;
}

static void text_or_none(const msgpack_object *o, char *buf, size_t len)
{
	if (!o || str_copy(o, buf, len))
		buf[0] = 0;
}

static int decode_fault(const msgpack_object *data, struct locust_msg *m)
{
	struct fault_ask *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	m->fault = f;
	f->v = whole(map_get(data, "v"));
	f->for_ms = whole(map_get(data, "for_ms"));
	text_or_none(map_get(data, "id"), f->id, sizeof(f->id));
	text_or_none(map_get(data, "op"), f->op, sizeof(f->op));
	text_or_none(map_get(data, "target"), f->target, sizeof(f->target));
	text_or_none(map_get(data, "rule"), f->rule, sizeof(f->rule));
	return 0;
}

static int decode_data(const msgpack_object *data, struct locust_msg *m, const char **why)
{
	static const char *const types[] = {
		[LOCUST_ACK] = "ack",
		[LOCUST_SPAWN] = "spawn",
		/* To workers since 2.29: the whole ramp is over. */
		[LOCUST_SPAWNING_COMPLETE] = "spawning_complete",
		[LOCUST_STOP] = "stop",
		[LOCUST_QUIT] = "quit",
		[LOCUST_RECONNECT] = "reconnect",
		/* To workers since 2.19: the answer to each heartbeat. */
		[LOCUST_HEARTBEAT] = "heartbeat",
		/* Since 2.25. */
		[LOCUST_UPDATE_USER_CLASS] = "update_user_class",
		[LOCUST_FAULT] = "squall.fault",
	};
	const msgpack_object *o;
	unsigned int i;

	m->kind = LOCUST_UNKNOWN;
	for (i = 0; i < sizeof(types) / sizeof(*types); i++)
		if (!strcmp(m->type, types[i]))
			m->kind = (enum locust_kind)i;
	switch (m->kind) {
	case LOCUST_ACK:
		/* Masters up to 2.10.2 acknowledge with nil. */
		o = map_get(data, "index");
		if (o && (o->type != MSGPACK_OBJECT_POSITIVE_INTEGER || o->via.u64 > INT32_MAX)) {
			*why = "ack: index is not a number from 0";
			return -EBADMSG;
		}
		m->index = o ? (int64_t)o->via.u64 : -1;
		return 0;
	case LOCUST_SPAWN:
		return decode_spawn(data, m, why);
	case LOCUST_FAULT:
		return decode_fault(data, m);
	default:
		return 0;
	}
}

int locust_decode(const void *frame, size_t len, struct locust_msg *ret_msg, const char **ret_why)
{
	struct scan s = {frame, (const uint8_t *)frame + len, LOCUST_OBJECTS_MAX};
	struct locust_msg m = {.index = -1};
	const msgpack_object *array;
	struct owned *own;
	size_t off = 0;
	int r = -EBADMSG;

	if (len > LOCUST_FRAME_MAX) {
		*ret_why = "longer than 1 MiB";
		return -EBADMSG;
	}
	if (scan_object(&s, LOCUST_DEPTH_MAX) || s.p != s.end) {
		*ret_why = "not one whole msgpack object of a master's size";
		return -EBADMSG;
	}
	own = malloc(sizeof(*own) + len);
	if (!own)
		return -ENOMEM;
	memcpy(own->frame, frame, len);
	msgpack_unpacked_init(&own->u);
	m.owned = own;
	if (msgpack_unpack_next(&own->u, own->frame, len, &off) != MSGPACK_UNPACK_SUCCESS) {
		*ret_why = "not msgpack";
		goto err;
	}
	array = &own->u.data;
	if (array->type != MSGPACK_OBJECT_ARRAY || array->via.array.size != 3) {
		*ret_why = "not a list of type, data and node id";
		goto err;
	}
	if (str_copy(&array->via.array.ptr[0], m.type, sizeof(m.type))) {
		*ret_why = "its type is not a text of at most 127 bytes";
		goto err;
	}
	r = decode_data(&array->via.array.ptr[1], &m, ret_why);
	if (r)
		goto err;
	/* An object takes a byte of the frame at least. */
	m.held = m.n_classes * sizeof(*m.classes);
	if (m.options)
		m.held += len + (len < LOCUST_OBJECTS_MAX ? len : LOCUST_OBJECTS_MAX) *
					sizeof(msgpack_object);
	*ret_msg = m;
	if (!m.options) {
		/* Nothing points into it: what waits in a queue should not hold it. */
		ret_msg->owned = NULL;
		msgpack_unpacked_destroy(&own->u);
		free(own);
	}
	return 0;
err:
	locust_msg_free(&m);
	return r;
}

void locust_msg_free(struct locust_msg *msg)
{
	struct owned *own = msg->owned;

	if (own)
		msgpack_unpacked_destroy(&own->u);
	free(own);
	free(msg->classes);
	free(msg->fault);
	*msg = (struct locust_msg){.kind = LOCUST_UNKNOWN, .index = -1};
}

int locust_option(const struct locust_msg *msg, const char *name, char *buf, size_t len)
{
	const msgpack_object *o = msg->options ? map_get(msg->options, name) : NULL;
	int n;

	if (!o)
		return -ENOENT;
	switch (o->type) {
	case MSGPACK_OBJECT_NIL:
		n = snprintf(buf, len, "%s", "");
		break;
	case MSGPACK_OBJECT_BOOLEAN:
		n = snprintf(buf, len, "%s", o->via.boolean ? "true" : "");
		break;
	case MSGPACK_OBJECT_POSITIVE_INTEGER:
		n = snprintf(buf, len, "%llu", (unsigned long long)o->via.u64);
		break;
	case MSGPACK_OBJECT_NEGATIVE_INTEGER:
		n = snprintf(buf, len, "%lld", (long long)o->via.i64);
		break;
	case MSGPACK_OBJECT_FLOAT32:
	case MSGPACK_OBJECT_FLOAT64:
		n = snprintf(buf, len, "%.15g", o->via.f64);
		break;
	case MSGPACK_OBJECT_STR:
		if (o->via.str.size && memchr(o->via.str.ptr, 0, o->via.str.size))
			return -EINVAL;
		n = snprintf(buf, len, "%.*s", (int)o->via.str.size, o->via.str.ptr);
		break;
	default:
		return -EINVAL;
	}
	return n < 0 || (size_t)n >= len ? -E2BIG : 0;
}
