// SPDX-License-Identifier: GPL-2.0-only
/* Failure kinds as stable words and as text for people. */
#include <stdio.h>
#include <string.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include "sim/ledger/arena.h"
#include "sim/mqtt/mqtt.h"

static const char *const words[F_KINDS] = {
	[F_REFUSED] = "refused",
	[F_RESET] = "reset",
	[F_UNREACHABLE] = "unreachable",
	[F_SOCKET] = "socket",
	[F_TCP_TIMEOUT] = "connect-timeout",
	[F_TLS] = "tls",
	[F_TLS_VERIFY] = "tls-verify",
	[F_CERT] = "certificate",
	[F_CONNACK] = "connack",
	[F_CONNACK_TIMEOUT] = "no-connack",
	[F_SUBACK] = "suback",
	[F_SUBACK_TIMEOUT] = "no-suback",
	[F_MAX_QOS] = "max-qos",
	[F_UNSUPPORTED] = "unsupported",
	[F_CLOSED] = "closed",
	[F_DISCONNECT] = "disconnected",
	[F_KEEPALIVE] = "keepalive",
	[F_MALFORMED] = "malformed",
	[F_WRONG_ID] = "wrong-id",
	[F_PROTOCOL] = "protocol",
	[F_NO_PUBACK] = "no-puback",
	[F_NO_PUBCOMP] = "no-pubcomp",
	[F_ACK_REASON] = "rejected",
	[F_NOT_CONNECTED] = "not-connected",
	[F_BACKLOG] = "backlog",
	[F_UNSENT] = "unsent",
	[F_LOST] = "connection-lost",
	[F_SESSION_LOST] = "session-lost",
	[F_STOPPED] = "stopped",
	[F_TOO_BIG] = "too-big",
	[F_MEMORY] = "memory",
	[F_NAME] = "name",
	[F_DOWNGRADED] = "downgraded",
	[F_UPGRADE] = "upgrade",
	[F_UNRESOLVED] = "unresolved",
	[F_SILENT] = "silent",
	[F_FAILED] = "failed",
};

const char *sim_name_text(enum sim_name name)
{
	static const char *const text[SIM_NAMES] = {"connect", "publish", "puback", "receive",
						    "disconnect"};

	return name < SIM_NAMES ? text[name] : "unknown";
}

static void reason(char *buf, size_t cap, const char *what, uint8_t version, uint8_t type,
		   uint8_t code)
{
	const char *name = mqtt_reason_name(version, type, code);

	if (version == MQTT_V5)
		snprintf(buf, cap, "%s 0x%02x (%s)", what, code, name ? name : "unknown reason");
	else
		snprintf(buf, cap, "%s %u (%s)", what, code, name ? name : "unknown return code");
}

/* Longer than 70 lines: a table, one case a kind of failure. */
void sim_error_text(uint64_t key, const char *note, struct sim_error *ret)
{
	static const char *const proto[] = {"malformed packet",
					    "packet too large",
					    "unexpected packet",
					    "something else before CONNACK",
					    "session present after a clean start",
					    "topic alias above the maximum of 0",
					    ("broker asks for enhanced authentication (AUTH), "
					     "which is not spoken"),
					    "not a binary WebSocket frame as a server sends it",
					    "SUBACK answers another number of filters"};
	static const char *const lack[] = {"retained messages", "wildcard subscriptions",
					   "shared subscriptions"};
	unsigned kind = key >> 40 & 255;
	uint32_t detail = (uint32_t)key;
	uint8_t version = detail >> 8 ? MQTT_V5 : MQTT_V311;
	char *t = ret->text;
	size_t cap = sizeof(ret->text);
	const char *s;

	ret->type = key >> 56 & 255;
	ret->name = (enum sim_name)(key >> 48 & 255);
	snprintf(ret->kind, sizeof(ret->kind), "%s",
		 kind < F_KINDS && words[kind] ? words[kind] : "unknown");
	if (key & SIM_ERROR_OTHER) {
		snprintf(t, cap, "others of this kind, more than can be told apart");
		return;
	}
	switch (kind) {
	case F_REFUSED:
		snprintf(t, cap, "connection refused");
		break;
	case F_RESET:
		snprintf(t, cap, "connection reset");
		break;
	case F_UNREACHABLE:
	case F_SOCKET:
		snprintf(t, cap, "%s", strerror((int)detail));
		break;
	case F_TCP_TIMEOUT:
		snprintf(t, cap, "connect timed out");
		break;
	case F_TLS:
		s = detail ? ERR_reason_error_string(detail) : NULL;
		snprintf(t, cap, "TLS: %s", s ? s : "handshake failed");
		break;
	case F_TLS_VERIFY:
		snprintf(t, cap, "TLS: broker's certificate: %s",
			 X509_verify_cert_error_string((long)detail));
		break;
	case F_CERT:
		snprintf(t, cap, "device certificate or key cannot be loaded");
		break;
	case F_CONNACK:
		reason(t, cap, "CONNACK", version, MQTT_CONNACK, (uint8_t)detail);
		break;
	case F_CONNACK_TIMEOUT:
		snprintf(t, cap, "no CONNACK in time");
		break;
	case F_SUBACK:
		reason(t, cap, "SUBACK", version, MQTT_SUBACK, (uint8_t)detail);
		break;
	case F_SUBACK_TIMEOUT:
		snprintf(t, cap, "no SUBACK in time");
		break;
	case F_MAX_QOS:
		snprintf(t, cap, "broker grants at most QoS %u", detail);
		break;
	case F_UNSUPPORTED:
		snprintf(t, cap, "broker has no %s", detail < 3 ? lack[detail] : "such thing");
		break;
	case F_CLOSED:
		snprintf(t, cap, "connection closed by broker");
		break;
	case F_DISCONNECT:
		reason(t, cap, "DISCONNECT", MQTT_V5, MQTT_DISCONNECT, (uint8_t)detail);
		break;
	case F_KEEPALIVE:
		snprintf(t, cap, "keep-alive: no PINGRESP in time");
		break;
	case F_WRONG_ID:
		snprintf(t, cap, "%s with an identifier that was never used",
			 mqtt_type_name((uint8_t)detail));
		break;
	case F_MALFORMED:
	case F_PROTOCOL:
		snprintf(t, cap, "protocol: %s",
			 detail < sizeof(proto) / sizeof(*proto) ? proto[detail] : "unknown");
		break;
	case F_NO_PUBACK:
		snprintf(t, cap, "no PUBACK in time");
		break;
	case F_NO_PUBCOMP:
		snprintf(t, cap, "no %s in time", mqtt_type_name((uint8_t)detail));
		break;
	case F_ACK_REASON:
		reason(t, cap, "acknowledged with", MQTT_V5, (uint8_t)(detail >> 8),
		       (uint8_t)detail);
		break;
	case F_NOT_CONNECTED:
		snprintf(t, cap, "not connected");
		break;
	case F_BACKLOG:
		snprintf(t, cap, "too many messages waiting to be sent");
		break;
	case F_UNSENT:
		snprintf(t, cap, "connection lost before it was sent");
		break;
	case F_LOST:
		snprintf(t, cap, "connection lost before it was acknowledged");
		break;
	case F_SESSION_LOST:
		snprintf(t, cap, "broker had no session to resume");
		break;
	case F_STOPPED:
		snprintf(t, cap, "stopped while in flight");
		break;
	case F_TOO_BIG:
		snprintf(t, cap, "message too long");
		break;
	case F_NAME:
		snprintf(t, cap, "device not made: %s",
			 detail ? "no row of --credentials is left for it"
				: "its thing name or client identifier is too long");
		break;
	case F_DOWNGRADED:
		snprintf(t, cap, "broker downgrades QoS 2: PUBACK where PUBREC is due");
		break;
	case F_UPGRADE:
		snprintf(t, cap, "WebSocket upgrade%s",
			 detail == 1 ? ": no answer in time"
			 : detail    ? " refused: HTTP"
				     : "");
		break;
	case F_UNRESOLVED:
		snprintf(t, cap, "the server's name does not resolve");
		break;
	case F_SILENT:
		snprintf(t, cap, "TCP gave up: nothing was acknowledged in time");
		break;
	case F_FAILED:
		snprintf(t, cap, "paho does not say why; its code is %d", -(int)detail);
		break;
	case F_MEMORY:
		snprintf(t, cap, "out of memory");
		break;
	default:
		snprintf(t, cap, "failure %u", kind);
	}
	if ((kind == F_CONNACK || kind == F_DISCONNECT) && detail & SIM_NOT_FOLLOWED)
		snprintf(t + strlen(t), cap - strlen(t), ", not followed");
	if (note && *note) {
		size_t n = strlen(t);

		snprintf(t + n, cap - n, ": %s", note);
	}
}
