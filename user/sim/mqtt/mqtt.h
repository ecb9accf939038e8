// SPDX-License-Identifier: GPL-2.0-only
/*
 * MQTT 3.1.1 and 5 packets, both directions, without allocation.
 *
 * Decoding never copies: slices point into the caller's buffer and live as
 * long as it does. The decoder is strict: whatever the standard calls malformed
 * is MQTT_MALFORMED, and it never reads past what it was given.
 * Encoders write one whole packet or nothing: its length, or -ENOSPC, or
 * -EMSGSIZE for what no MQTT packet can carry.
 */
#ifndef SQUALL_SIM_MQTT_H
#define SQUALL_SIM_MQTT_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum mqtt_version { MQTT_V311 = 4, MQTT_V5 = 5 };

enum mqtt_type {
	MQTT_CONNECT = 1,
	MQTT_CONNACK,
	MQTT_PUBLISH,
	MQTT_PUBACK,
	MQTT_PUBREC,
	MQTT_PUBREL,
	MQTT_PUBCOMP,
	MQTT_SUBSCRIBE,
	MQTT_SUBACK,
	MQTT_UNSUBSCRIBE,
	MQTT_UNSUBACK,
	MQTT_PINGREQ,
	MQTT_PINGRESP,
	MQTT_DISCONNECT,
	MQTT_AUTH, /* MQTT 5 only */
};

/* What mqtt_frame() and mqtt_decode() return besides a length. */
enum {
	MQTT_MORE = 0,		   /* the packet is not complete yet */
	MQTT_MALFORMED = -EBADMSG, /* close the connection */
	MQTT_TOO_BIG = -EMSGSIZE,  /* longer than the caller's limit */
};

#define MQTT_MAX_REMAINING 268435455u
#define MQTT_MAX_STRING	   65535u

struct mqtt_slice {
	const uint8_t *p;
	uint32_t n;
};

/* Identifiers of MQTT 5 properties, also the bit numbers of mqtt_props.have. */
enum mqtt_prop {
	MQTT_P_PAYLOAD_FORMAT = 0x01,
	MQTT_P_MESSAGE_EXPIRY = 0x02,
	MQTT_P_CONTENT_TYPE = 0x03,
	MQTT_P_RESPONSE_TOPIC = 0x08,
	MQTT_P_CORRELATION = 0x09,
	MQTT_P_SUBSCRIPTION_ID = 0x0b,
	MQTT_P_SESSION_EXPIRY = 0x11,
	MQTT_P_ASSIGNED_ID = 0x12,
	MQTT_P_SERVER_KEEPALIVE = 0x13,
	MQTT_P_AUTH_METHOD = 0x15,
	MQTT_P_AUTH_DATA = 0x16,
	MQTT_P_REQUEST_PROBLEM = 0x17,
	MQTT_P_WILL_DELAY = 0x18,
	MQTT_P_REQUEST_RESPONSE = 0x19,
	MQTT_P_RESPONSE_INFO = 0x1a,
	MQTT_P_SERVER_REFERENCE = 0x1c,
	MQTT_P_REASON_STRING = 0x1f,
	MQTT_P_RECEIVE_MAX = 0x21,
	MQTT_P_ALIAS_MAX = 0x22,
	MQTT_P_TOPIC_ALIAS = 0x23,
	MQTT_P_MAX_QOS = 0x24,
	MQTT_P_RETAIN_OK = 0x25,
	MQTT_P_USER = 0x26,
	MQTT_P_MAX_PACKET = 0x27,
	MQTT_P_WILDCARD_OK = 0x28,
	MQTT_P_SUBSCRIPTION_ID_OK = 0x29,
	MQTT_P_SHARED_OK = 0x2a,
};

/*
 * One packet's (or will's) properties. `have` says which are present. User
 * properties may repeat: the first is kept, all are in `raw`, to be walked with
 * mqtt_user_next(). Of repeated subscription identifiers the first is kept.
 */
struct mqtt_props {
	uint64_t have;
	uint32_t message_expiry, session_expiry, will_delay, max_packet, subscription_id;
	uint16_t server_keepalive, receive_max, alias_max, topic_alias;
	uint8_t payload_format, request_problem, request_response, max_qos, retain_ok, wildcard_ok,
		subscription_id_ok, shared_ok;
	struct mqtt_slice content_type, response_topic, correlation, assigned_id, auth_method,
		auth_data, response_info, server_reference, reason_string, user_key, user_value;
	struct mqtt_slice raw;
	/* For encoders, with MQTT_P_USER: further ones, as mqtt_enc_user() made them. */
	struct mqtt_slice users;
};

#define MQTT_HAS(props, prop) (!!((props)->have & 1ull << (prop)))

/* A user property's bytes, for mqtt_props.users; -ENOSPC or -EMSGSIZE as encoders. */
long mqtt_enc_user(uint8_t *buf, size_t cap, struct mqtt_slice key, struct mqtt_slice value);

/* `at` starts at 0. False when there are no more user properties. */
bool mqtt_user_next(const struct mqtt_props *p, uint32_t *at, struct mqtt_slice *ret_key,
		    struct mqtt_slice *ret_value);

/* The fields of a CONNECT, for encoder and decoder. */
struct mqtt_connect {
	uint8_t version;
	bool clean;
	bool has_will, will_retain;
	uint8_t will_qos;
	bool has_username, has_password;
	uint16_t keepalive;
	struct mqtt_slice client_id, will_topic, will_payload, username, password;
	struct mqtt_props will_props;
};

/*
 * A decoded packet. Which fields are set follows from `type`; all others are 0.
 *   CONNACK      session_present, reason (return code in 3.1.1), props
 *   PUBLISH      qos dup retain id topic payload props
 *   PUBACK.. PUBCOMP, DISCONNECT, AUTH   id (acks), reason, props
 *   SUBSCRIBE, UNSUBSCRIBE   id, props, list: walk with mqtt_filter_next()
 *   SUBACK, UNSUBACK         id, props, list: one reason per byte (empty for a
 *                            3.1.1 UNSUBACK)
 */
struct mqtt_packet {
	uint8_t type, qos, reason;
	bool dup, retain, session_present;
	uint16_t id;
	uint32_t payload_len; /* of the whole; `payload` may be its start (mqtt_publish_start()) */
	struct mqtt_slice topic, payload, list;
	struct mqtt_connect connect;
	struct mqtt_props props;
};

/*
 * Finds where the first packet of `buf` ends. Returns its whole length,
 * MQTT_MORE, MQTT_MALFORMED, or MQTT_TOO_BIG if that exceeds `max`.
 */
long mqtt_frame(const uint8_t *buf, size_t len, size_t max);
/* Its whole length as soon as its fixed header is there; MQTT_MORE, MQTT_MALFORMED. */
long mqtt_frame_size(const uint8_t *buf, size_t len);
/*
 * Of a PUBLISH whose end has not come: all fields, of the payload what is there.
 * True when its fields are whole and well formed.
 */
bool mqtt_publish_start(uint8_t version, const uint8_t *buf, size_t len, struct mqtt_packet *ret);

/*
 * Decodes the first packet of `buf`. `version` is the connection's; a CONNECT
 * brings its own. Returns the bytes used, or as mqtt_frame(); *ret is written
 * only on success.
 */
long mqtt_decode(uint8_t version, const uint8_t *buf, size_t len, size_t max,
		 struct mqtt_packet *ret);

/* Walks a SUBSCRIBE's (or UNSUBSCRIBE's: options 0) filters; `at` starts at 0. */
bool mqtt_filter_next(const struct mqtt_packet *p, uint32_t *at, struct mqtt_slice *ret_filter,
		      uint8_t *ret_options);

/* --- encoders ------------------------------------------------------------- */

/* `props` may be NULL everywhere, and is ignored unless version is MQTT_V5. */
long mqtt_enc_connect(uint8_t *buf, size_t cap, const struct mqtt_connect *c,
		      const struct mqtt_props *props);
long mqtt_enc_connack(uint8_t *buf, size_t cap, uint8_t version, bool session_present,
		      uint8_t reason, const struct mqtt_props *props);

struct mqtt_publish {
	uint8_t qos;
	bool dup, retain;
	uint16_t id; /* QoS 1 and 2 */
	struct mqtt_slice topic, payload;
	uint32_t more; /* bytes of the payload that the caller sends behind it */
};
long mqtt_enc_publish(uint8_t *buf, size_t cap, uint8_t version, const struct mqtt_publish *p,
		      const struct mqtt_props *props);

/* PUBACK, PUBREC, PUBREL, PUBCOMP; the short form when reason is 0. */
long mqtt_enc_ack(uint8_t *buf, size_t cap, uint8_t version, uint8_t type, uint16_t id,
		  uint8_t reason);

struct mqtt_filter {
	struct mqtt_slice filter;
	uint8_t options; /* QoS in 3.1.1; MQTT 5's options byte */
};
long mqtt_enc_subscribe(uint8_t *buf, size_t cap, uint8_t version, uint16_t id,
			const struct mqtt_filter *f, size_t n, const struct mqtt_props *props);
long mqtt_enc_unsubscribe(uint8_t *buf, size_t cap, uint8_t version, uint16_t id,
			  const struct mqtt_filter *f, size_t n);
long mqtt_enc_suback(uint8_t *buf, size_t cap, uint8_t version, uint8_t type, uint16_t id,
		     const uint8_t *reasons, size_t n);
/* PINGREQ, PINGRESP. */
long mqtt_enc_ping(uint8_t *buf, size_t cap, uint8_t type);
long mqtt_enc_disconnect(uint8_t *buf, size_t cap, uint8_t version, uint8_t reason,
			 const struct mqtt_props *props);

/* --- names ------------------------------------------------------------------ */

/* "PUBACK"; "type 0" never happens: unknown is "RESERVED". */
const char *mqtt_type_name(uint8_t type);
/*
 * Of a reason code (MQTT 5) or return code (3.1.1) in a packet of this type; NULL when it
 * means nothing there.
 */
const char *mqtt_reason_name(uint8_t version, uint8_t type, uint8_t reason);
/* Well-formed UTF-8 without U+0000 and surrogates. */
bool mqtt_utf8_ok(const uint8_t *p, size_t n);
/* Topic to publish to: not empty, no wildcard, UTF-8, at most 65,535 bytes. */
bool mqtt_topic_ok(const uint8_t *p, size_t n);
/* Filter to subscribe with: wildcards whole levels, '#' last; $share/NAME/FILTER too. */
bool mqtt_filter_ok(const uint8_t *p, size_t n);
/* Is it a shared subscription? */
bool mqtt_shared(const uint8_t *p, size_t n);
/* Does `topic` match `filter`? Both valid. $-topics need a $-filter. */
bool mqtt_match(const uint8_t *filter, size_t nf, const uint8_t *topic, size_t nt);

static inline struct mqtt_slice mqtt_slice(const void *p, size_t n)
{
	return (struct mqtt_slice){(const uint8_t *)p, (uint32_t)n};
}

#endif
