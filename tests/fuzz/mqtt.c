// libs: -Lsim
// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fuzz target: the MQTT decoder. Besides the sanitizers, what must hold:
 * a packet's length does not depend on how much of it has arrived; every slice
 * lies inside the packet; walks end; and a packet that decodes, encodes again to
 * something that decodes to the same.
 */
#include <stdlib.h>
#include <string.h>
#include "sim/mqtt/mqtt.h"

#define LIMIT 65536

#define must(cond)                                                                                 \
	do {                                                                                       \
		if (!(cond))                                                                       \
			abort();                                                                   \
	} while (0)

static const uint8_t *lo, *hi;

static void inside(struct mqtt_slice s)
{
	if (s.n)
		must(s.p >= lo && s.p <= hi && s.n <= (size_t)(hi - s.p));
}

static void check_props(const struct mqtt_props *p)
{
	struct mqtt_slice k, v;
	uint32_t at = 0, n = 0;

	inside(p->content_type);
	inside(p->response_topic);
	inside(p->correlation);
	inside(p->assigned_id);
	inside(p->auth_method);
	inside(p->auth_data);
	inside(p->response_info);
	inside(p->server_reference);
	inside(p->reason_string);
	inside(p->user_key);
	inside(p->user_value);
	inside(p->raw);
	while (mqtt_user_next(p, &at, &k, &v)) {
		inside(k);
		inside(v);
		must(++n <= p->raw.n);
	}
	must((n > 0) == MQTT_HAS(p, MQTT_P_USER));
}

static bool same(struct mqtt_slice a, struct mqtt_slice b)
{
	return a.n == b.n && (!a.n || !memcmp(a.p, b.p, a.n));
}

/* What an encoder is given back may differ only in repeated properties, of which one is kept. */
static bool same_props(const struct mqtt_props *a, const struct mqtt_props *b)
{
	return a->have == b->have && a->message_expiry == b->message_expiry &&
	       a->session_expiry == b->session_expiry && a->will_delay == b->will_delay &&
	       a->max_packet == b->max_packet && a->subscription_id == b->subscription_id &&
	       a->server_keepalive == b->server_keepalive && a->receive_max == b->receive_max &&
	       a->alias_max == b->alias_max && a->topic_alias == b->topic_alias &&
	       a->payload_format == b->payload_format && a->max_qos == b->max_qos &&
	       a->retain_ok == b->retain_ok && same(a->content_type, b->content_type) &&
	       same(a->response_topic, b->response_topic) && same(a->correlation, b->correlation) &&
	       same(a->reason_string, b->reason_string) && same(a->user_key, b->user_key) &&
	       same(a->user_value, b->user_value);
}

static long encode(uint8_t *out, size_t cap, uint8_t version, const struct mqtt_packet *p)
{
	struct mqtt_publish pub = {.qos = p->qos,
				   .dup = p->dup,
				   .retain = p->retain,
				   .id = p->id,
				   .topic = p->topic,
				   .payload = p->payload};

	switch (p->type) {
	case MQTT_CONNECT:
		return mqtt_enc_connect(out, cap, &p->connect, &p->props);
	case MQTT_CONNACK:
		return mqtt_enc_connack(out, cap, version, p->session_present, p->reason,
					&p->props);
	case MQTT_PUBLISH:
		return mqtt_enc_publish(out, cap, version, &pub, &p->props);
	case MQTT_PUBACK:
	case MQTT_PUBREC:
	case MQTT_PUBREL:
	case MQTT_PUBCOMP:
		return p->props.have ? 0
				     : mqtt_enc_ack(out, cap, version, p->type, p->id, p->reason);
	case MQTT_PINGREQ:
	case MQTT_PINGRESP:
		return mqtt_enc_ping(out, cap, p->type);
	case MQTT_DISCONNECT:
		return mqtt_enc_disconnect(out, cap, version, p->reason, &p->props);
	default:
		return 0;
	}
}

static void round_trip(uint8_t version, const struct mqtt_packet *a)
{
	static uint8_t out[LIMIT + 64];
	struct mqtt_packet b;
	long n = encode(out, sizeof(out), version, a);

	if (!n)
		return;
	must(n > 0);
	must(mqtt_frame(out, n, sizeof(out)) == n);
	must(mqtt_decode(version, out, n, sizeof(out), &b) == n);
	must(a->type == b.type && a->qos == b.qos && a->reason == b.reason && a->dup == b.dup &&
	     a->retain == b.retain && a->session_present == b.session_present && a->id == b.id);
	must(same(a->topic, b.topic) && same(a->payload, b.payload));
	must(same_props(&a->props, &b.props));
	if (a->type != MQTT_CONNECT)
		return;
	must(a->connect.version == b.connect.version && a->connect.clean == b.connect.clean &&
	     a->connect.keepalive == b.connect.keepalive &&
	     a->connect.has_will == b.connect.has_will &&
	     a->connect.will_qos == b.connect.will_qos &&
	     a->connect.will_retain == b.connect.will_retain &&
	     a->connect.has_username == b.connect.has_username &&
	     a->connect.has_password == b.connect.has_password);
	must(same(a->connect.client_id, b.connect.client_id) &&
	     same(a->connect.will_topic, b.connect.will_topic) &&
	     same(a->connect.will_payload, b.connect.will_payload) &&
	     same(a->connect.username, b.connect.username) &&
	     same(a->connect.password, b.connect.password));
	must(same_props(&a->connect.will_props, &b.connect.will_props));
}

/* The standard's matching (4.7), written the slow way. */
static bool slow_match(const uint8_t *f, size_t nf, const uint8_t *t, size_t nt)
{
	size_t lf = 0, lt = 0;

	if (t[0] == '$' && (f[0] == '+' || f[0] == '#'))
		return false;
	for (;;) {
		size_t ef = lf, et = lt;

		while (ef < nf && f[ef] != '/')
			ef++;
		if (ef - lf == 1 && f[lf] == '#')
			return true;
		if (lt > nt)
			return false;
		while (et < nt && t[et] != '/')
			et++;
		if (!(ef - lf == 1 && f[lf] == '+') &&
		    (ef - lf != et - lt || memcmp(f + lf, t + lt, ef - lf)))
			return false;
		lf = ef + 1;
		lt = et + 1;
		if (lf > nf)
			return lt > nt;
	}
}

static void match(const uint8_t *data, size_t n)
{
	size_t nf = n ? data[0] % n : 0;
	const uint8_t *f = data + 1, *t = f + nf;

	if (!n || nf > n - 1)
		return;
	n -= 1 + nf;
	mqtt_utf8_ok(f, nf);
	if (mqtt_filter_ok(f, nf) && mqtt_topic_ok(t, n))
		must(mqtt_match(f, nf, t, n) == slow_match(f, nf, t, n));
}

static void decode(uint8_t version, const uint8_t *data, size_t n)
{
	struct mqtt_packet p;
	long len = mqtt_frame(data, n, LIMIT), used = mqtt_decode(version, data, n, LIMIT, &p), r;
	size_t cut = n && len > 1 ? data[n - 1] % len : 0;
	struct mqtt_slice s;
	uint32_t at = 0, walked = 0;
	uint8_t o;

	must(len >= 0 || len == MQTT_MALFORMED || len == MQTT_TOO_BIG);
	must(len <= (long)n);
	/* What has not arrived cannot change the verdict, only postpone it. */
	r = mqtt_frame(data, cut, LIMIT);
	must(r == MQTT_MORE || (len < 0 && r == len));
	if (len <= 0) {
		must(used == len || used == MQTT_MALFORMED);
		return;
	}
	must(used == len || used == MQTT_MALFORMED);
	if (used < 0)
		return;
	must(p.type >= MQTT_CONNECT && p.type <= MQTT_AUTH);
	must(strcmp(mqtt_type_name(p.type), "RESERVED") != 0);
	mqtt_reason_name(version, p.type, p.reason);
	lo = data;
	hi = data + used;
	inside(p.topic);
	inside(p.payload);
	inside(p.list);
	inside(p.connect.client_id);
	inside(p.connect.will_topic);
	inside(p.connect.will_payload);
	inside(p.connect.username);
	inside(p.connect.password);
	check_props(&p.props);
	check_props(&p.connect.will_props);
	if (p.type == MQTT_SUBSCRIBE || p.type == MQTT_UNSUBSCRIBE) {
		while (mqtt_filter_next(&p, &at, &s, &o)) {
			inside(s);
			must(mqtt_filter_ok(s.p, s.n));
			must(++walked <= p.list.n);
		}
		must(walked > 0);
	}
	round_trip(version, &p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	/* An exact copy: one byte too far is one that ASan sees. */
	uint8_t *p;

	if (!n)
		return 0;
	p = malloc(n - 1 ? n - 1 : 1);
	memcpy(p, data + 1, n - 1);
	if (data[0] & 1)
		match(p, n - 1);
	else
		decode(data[0] & 2 ? MQTT_V5 : MQTT_V311, p, n - 1);
	free(p);
	return 0;
}
