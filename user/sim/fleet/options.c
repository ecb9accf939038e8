// SPDX-License-Identifier: GPL-2.0-only
/* The device type's option table, and the defaults. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <squall/units.h>
#include "sim/mqtt/mqtt.h"
#include "sim/fleet/bind.h"
#include "sim/fleet/options.h"

#define NS_MS		1000000ull
#define NS_S		1000000000ull
#define AT(f)		offsetof(struct sim_profile, f)
#define STR(f)		OPT_STR, AT(f), sizeof(((struct sim_profile *)0)->f), 0, 0, NULL, NULL, 0, 0
#define U32(f, lo, hi)	OPT_U32, AT(f), 4, lo, hi, NULL, NULL, 0, 0
#define TIME(f, lo, hi) OPT_TIME, AT(f), 8, lo, hi, NULL, NULL, 0, 0
#define FLAG(f)		OPT_FLAG, AT(f), 1, 0, 0, NULL, NULL, 0, 0
#define CHOICE(f, c)	OPT_CHOICE, AT(f), 1, 0, 0, c, NULL, 0, 0
#define CALL(fn, f)	OPT_CALL, AT(f), sizeof(((struct sim_profile *)0)->f), 0, 0, NULL, fn, 0, 0

/* The library's, but "21.5" is text. */
int sim_parse_size(const char *s, uint64_t *ret)
{
	size_t n = strlen(s);

	if (n && strpbrk(s, ".eE") && s[n - 1] >= '0' && s[n - 1] <= '9')
		return -EINVAL;
	return sq_parse_size(s, ret) ? -EINVAL : 0;
}

#define BROKER_LIST                                                                                \
	"mqtt://HOST[:PORT], mqtts://HOST[:PORT], ws://HOST[:PORT][/PATH[?QUERY]] or "             \
	"wss://HOST[:PORT][/PATH[?QUERY]]"
#define BROKER_URLS "accepted: " BROKER_LIST

static const struct scheme {
	const char *text;
	bool tls, ws;
	uint16_t port;
} schemes[] = {{"mqtt://", false, false, 1883}, {"tcp://", false, false, 1883},
	       {"mqtts://", true, false, 8883}, {"ssl://", true, false, 8883},
	       {"ws://", false, true, 80},	{"wss://", true, true, 443}};

static const struct scheme *scheme_of(const char *url)
{
	for (size_t i = 0; i < sizeof(schemes) / sizeof(*schemes); i++)
		if (!strncmp(url, schemes[i].text, strlen(schemes[i].text)))
			return &schemes[i];
	return NULL;
}

bool sim_broker_url(const char *text)
{
	return scheme_of(text);
}

/* IPv6 in brackets. */
static int set_broker(void *base, const char *value, struct sq_error *err)
{
	const struct scheme *scheme = scheme_of(value);
	struct sim_profile *p = base;
	const char *host, *end, *port = NULL;
	size_t n;

	if (!scheme)
		return sq_bad(err, "broker '%.200s': " BROKER_URLS, value);
	host = value + strlen(scheme->text);
	/* The value is not shown: it has a password. */
	if (host[strcspn(host, "@/")] == '@')
		return sq_bad(err, "broker: has a user in it; accepted: " BROKER_LIST
				   ", with the user in --username and --password");
	if (*host == '[') {
		end = strchr(++host, ']');
		if (!end)
			return sq_bad(err, "broker '%.200s': ']' is missing", value);
		n = (size_t)(end - host);
		end++;
	} else {
		n = strcspn(host, ":/?#");
		end = host + n;
	}
	if (*end == ':')
		port = ++end;
	end += strspn(end, port ? "0123456789" : "");
	if (!n || n >= sizeof(p->host) || strlen(value) >= sizeof(p->broker) ||
	    (*end && *end != '/') || (*end && end[1] && !scheme->ws) || strpbrk(end, " #\t\r\n"))
		return sq_bad(err, "broker '%.200s': " BROKER_URLS, value);
	if (port && (strtoul(port, NULL, 10) < 1 || strtoul(port, NULL, 10) > 65535 || !*port ||
		     *port == '/'))
		return sq_bad(err, "broker '%.200s': port must be 1 to 65535", value);
	p->tls = scheme->tls;
	p->ws = scheme->ws;
	p->port = (uint16_t)(port ? strtoul(port, NULL, 10) : scheme->port);
	memcpy(p->host, host, n);
	p->host[n] = 0;
	/* Where all of MQTT's brokers have it by default, AWS IoT's as well. */
	snprintf(p->path, sizeof(p->path), "%s", *end ? end : "/mqtt");
	snprintf(p->broker, sizeof(p->broker), "%s", value);
	return 0;
}

static int set_ws_header(void *base, const char *value, struct sq_error *err)
{
	struct sim_profile *p = base;
	/* What a header's name is made of (RFC 9110, 5.6.2), and those that the upgrade has. */
	static const char token[] = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
	static const char *const own[] = {"Host",
					  "Upgrade",
					  "Connection",
					  "Content-Length",
					  "Transfer-Encoding",
					  "Sec-WebSocket-Key",
					  "Sec-WebSocket-Version",
					  "Sec-WebSocket-Protocol",
					  "Sec-WebSocket-Extensions"};
	size_t n = strspn(value, token);

	if (!n || value[n] != ':' || strpbrk(value, "\r\n") ||
	    strlen(value) >= sizeof(p->ws_header[0]))
		return sq_bad(err, "ws-header '%.100s': accepted: 'Name: value', at most %zu bytes",
			      value, sizeof(p->ws_header[0]) - 1);
	for (size_t i = 0; i < sizeof(own) / sizeof(*own); i++)
		if (strlen(own[i]) == n && !strncasecmp(value, own[i], n))
			return sq_bad(
				err,
				"ws-header '%.100s': the upgrade has its own %s, and a second "
				"would not be understood; accepted: other headers, or leave "
				"it out",
				value, own[i]);
	if (p->nws_headers == SIM_MAX_WS_HEADERS)
		return sq_bad(err, "ws-header: more than %d", SIM_MAX_WS_HEADERS);
	snprintf(p->ws_header[p->nws_headers++], sizeof(p->ws_header[0]), "%s", value);
	return 0;
}

static int set_bind(void *base, const char *value, struct sq_error *err)
{
	if (!*value)
		return sq_bad(err, "bind '': accepted: addresses of this machine, FIRST-LAST and "
				   "PREFIX/BITS; leave bind out for the system's choice");
	return sim_bind_parse(base, value, err);
}

static int set_ports(void *base, const char *value, struct sq_error *err)
{
	return sim_ports_parse(base, value, err);
}

static int set_subscribe(void *base, const char *value, struct sq_error *err)
{
	struct sim_profile *p = base;

	if (!*value) {
		p->nsubs = 0;
		return 0;
	}
	if (p->nsubs == SIM_MAX_SUBS)
		return sq_bad(err, "subscribe: more than %d filters per device", SIM_MAX_SUBS);
	if (strlen(value) >= sizeof(p->sub[0]))
		return sq_bad(err, "subscribe: longer than %zu bytes", sizeof(p->sub[0]) - 1);
	snprintf(p->sub[p->nsubs++], sizeof(p->sub[0]), "%s", value);
	return 0;
}

static int set_user_property(void *base, const char *value, struct sq_error *err)
{
	struct sim_profile *p = base;
	const char *eq = strchr(value, '=');

	if (!eq || eq == value || strlen(value) >= sizeof(p->user_prop[0]))
		return sq_bad(err,
			      "user-property '%.100s': accepted: NAME=VALUE, at most %zu bytes",
			      value, sizeof(p->user_prop[0]) - 1);
	if (p->nuser_props == SIM_MAX_USER_PROPS)
		return sq_bad(err, "user-property: more than %d", SIM_MAX_USER_PROPS);
	snprintf(p->user_prop[p->nuser_props++], sizeof(p->user_prop[0]), "%s", value);
	return 0;
}

static int set_sndbuf(void *base, const char *value, struct sq_error *err)
{
	struct sim_profile *p = base;
	uint64_t v;

	if (sim_parse_size(value, &v) || (v && v < 2048) || v > 1 << 30)
		return sq_bad(err,
			      "sndbuf '%.60s': accepted: a size from 2KiB to 1GiB, or 0 for "
			      "the system's",
			      value);
	p->sndbuf = (uint32_t)v;
	return 0;
}

/* IDLE[:INTERVAL[:PROBES]], the kernel's bounds (net/ipv4/tcp.c: MAX_TCP_KEEPIDLE, -INTVL, -CNT).
 */
static int set_tcp_keepalive(void *base, const char *value, struct sq_error *err)
{
	struct sim_profile *p = base;
	uint64_t ns[2] = {0, 0};
	unsigned long probes = 0;
	char copy[64], *rest = copy, *word, *end;
	unsigned n = 0;

	snprintf(copy, sizeof(copy), "%s", value);
	for (; (word = strsep(&rest, ":")); n++) {
		if (n < 2 && (opt_parse_time(word, &ns[n]) || ns[n] % NS_S || ns[n] > 32767 * NS_S))
			goto bad;
		if (n == 2) {
			probes = strtoul(word, &end, 10);
			if (*word < '0' || *word > '9' || *end || probes < 1 || probes > 127)
				goto bad;
		}
	}
	if (!n || n > 3 || strlen(value) >= sizeof(copy) || (n > 1 && (!ns[0] || !ns[1])))
		goto bad;
	p->tcp_idle_s = (uint32_t)(ns[0] / NS_S);
	p->tcp_interval_s = (uint32_t)(ns[1] / NS_S);
	p->tcp_probes = (uint32_t)probes;
	return 0;
bad:
	return sq_bad(err,
		      "tcp-keepalive '%.60s': accepted: IDLE[:INTERVAL[:PROBES]] in whole seconds "
		      "up to 32767s and at most 127 probes, e.g. 60s:10s:3, or 0 for none",
		      value);
}

/* The kernel counts it in milliseconds, and its 0 is none. */
static int set_user_timeout(void *base, const char *value, struct sq_error *err)
{
	struct sim_profile *p = base;
	uint64_t ns;

	if (opt_parse_time(value, &ns) || ns % NS_MS || ns > 86400 * NS_S)
		return sq_bad(err,
			      "tcp-user-timeout '%.60s': accepted: whole milliseconds from 1ms to "
			      "24h, e.g. 20s, or 0 for the system's",
			      value);
	p->user_timeout_ns = ns;
	return 0;
}

static int refuse_auth(void *base, const char *value, struct sq_error *err)
{
	(void)base;
	return sq_bad(err,
		      "auth-method '%.60s': MQTT 5's enhanced authentication (AUTH packets: SCRAM, "
		      "Kerberos) is not spoken; accepted: username and password, client "
		      "certificates",
		      value);
}

static int set_preset(void *base, const char *value, struct sq_error *err)
{
	struct sim_profile *p = base;

	if (strcmp(value, "aws-iot-core") && strcmp(value, "none"))
		return sq_bad(err, "preset '%.100s': accepted: aws-iot-core, none", value);
	/* What it asks of the others is checked when all are known, whichever came first. */
	p->aws = !strcmp(value, "aws-iot-core");
	return 0;
}

static int set_backoff(void *base, const char *value, struct sq_error *err)
{
	struct sim_profile *p = base;
	const char *dots = strstr(value, "..");
	char lo[32];
	uint64_t a, b;

	if (!dots || (size_t)(dots - value) >= sizeof(lo))
		return sq_bad(err, "backoff '%.100s': accepted: BASE..MAX, e.g. 1s..30s", value);
	memcpy(lo, value, (size_t)(dots - value));
	lo[dots - value] = 0;
	if (opt_parse_time(lo, &a) || opt_parse_time(dots + 2, &b) || a < NS_MS || b < a ||
	    b > 86400 * NS_S)
		return sq_bad(err,
			      "backoff '%.100s': accepted: BASE..MAX with 1ms <= BASE <= "
			      "MAX <= 24h, e.g. 1s..30s",
			      value);
	p->backoff_base_ns = a;
	p->backoff_max_ns = b;
	return 0;
}

static int set_tls_version(void *base, const char *value, struct sq_error *err)
{
	struct sim_profile *p = base;

	if (!strcmp(value, "1.2"))
		p->tls_min = p->tls_max = 12;
	else if (!strcmp(value, "1.3"))
		p->tls_min = p->tls_max = 13;
	else if (!strcmp(value, "any"))
		p->tls_min = p->tls_max = 0;
	else
		return sq_bad(err, "tls-version '%.100s': accepted: 1.2, 1.3, any", value);
	return 0;
}

const struct opt sim_profile_opts[] = {
	{"broker", "URL", "Broker",
	 "mqtt[s]://HOST[:PORT], or WebSocket: ws[s]://HOST[:PORT][/PATH[?QUERY]], whose path may "
	 "have "
	 "{thing}, {index} and columns [/mqtt]",
	 CALL(set_broker, broker), NULL},
	{"protocol", "VERSION", "Broker", "MQTT version: 3.1.1 or 5",
	 CHOICE(version, "3.1.1=4 4=4 5=5"), "3.1.1"},
	{"client", "lean|paho", "Broker",
	 "lean: this program's own client, for scale; paho: libpaho-mqtt3as, what real firmware "
	 "runs, at most 2000 devices, and its own reconnects are seen when they succeed",
	 CHOICE(engine, "lean=0 paho=1"), "lean"},
	{"preset", "NAME", "Broker",
	 "aws-iot-core: refuse what that service would refuse, and keep to its rates",
	 CALL(set_preset, aws), "none"},
	{"bind", "ADDR|FIRST-LAST|PREFIX/BITS,...", "Broker",
	 "source addresses, used in turn; each gives about 28,000 more connections",
	 CALL(set_bind, nbinds), NULL},
	{"ports", "LOW-HIGH", "Broker",
	 "each device has a source address and port of its own, of --bind's and these, and keeps "
	 "them over reconnects; 0: the kernel's choice",
	 CALL(set_ports, port_low), "0"},
	{"ws-header", "NAME: VALUE", "Broker",
	 "a header of the WebSocket upgrade; {thing} {index} and columns; repeatable",
	 CALL(set_ws_header, nws_headers), NULL},
	{"aws-sigv4", "REGION", "Broker",
	 "sign the WebSocket's path for AWS IoT Core with $AWS_ACCESS_KEY_ID, "
	 "$AWS_SECRET_ACCESS_KEY and $AWS_SESSION_TOKEN",
	 STR(sigv4), NULL},
	{"resolve", "each|once", "Broker",
	 "look the broker's name up again when a connection was lost (one look-up a second and "
	 "process at most), or only at the start; all its addresses are used in turn",
	 CHOICE(resolve, "each=0 once=1"), "each"},
	{"follow-redirect", NULL, "Broker",
	 "MQTT 5: go where a server's reference says, with its reasons 0x9c and 0x9d",
	 FLAG(follow_redirect), NULL},

	{"thing", "NAME", "Identity", "thing name; {index} is the device's number, {type} its type",
	 STR(thing), "squall-{index}, in a fleet {type}-{index}"},
	{"client-id", "NAME", "Identity", "client identifier; {thing} {index} {type}",
	 STR(client_id), "{thing}"},
	{"first", "N", "Identity", "number of the first device", U32(first, 0, 1000000000), "0"},
	{"username", "NAME", "Identity", "user name; {thing} {index} {type}", STR(username), NULL},
	{"password", "TEXT", "Identity",
	 "password; {thing} {index} {type} {client_id} and columns; other braces are text",
	 STR(password), NULL},
	{"credentials", "FILE", "Identity",
	 "CSV with a header and a row a device: {column} in names, topics, certificates and "
	 "password, {{column}} in payloads",
	 STR(credentials), NULL},
	{"credentials-skip", "N", "Identity", "rows at its head that are other fleets'",
	 U32(credentials_skip, 0, 1000000000), "0"},
	{"auth-method", "NAME", "Identity", "MQTT 5's enhanced authentication: refused, not spoken",
	 CALL(refuse_auth, name), NULL},
	{"ca", "FILE", "Identity", "certificates that may vouch for the broker", STR(ca),
	 "the system's"},
	{"cert", "FILE", "Identity",
	 "client certificate, PEM; with {thing} or {index} one per device", STR(cert), NULL},
	{"key", "FILE", "Identity", "its private key, PEM", STR(key), NULL},
	{"insecure", NULL, "Identity", "do not verify the broker's certificate", FLAG(insecure),
	 NULL},
	{"alpn", "NAME", "Identity", "ALPN protocol, e.g. x-amzn-mqtt-ca for AWS on port 443",
	 STR(alpn), NULL},
	{"sni", "NAME", "Identity", "server name to ask for and to verify", STR(sni),
	 "the broker's host"},
	{"tls-version", "1.2|1.3|any", "Identity", "TLS version", CALL(set_tls_version, tls_max),
	 "any"},
	{"resume", "full|always|mixed", "Identity",
	 "TLS handshakes on reconnect: full ones, resumed sessions, or half of each",
	 CHOICE(resume, "full=0 always=1 mixed=2"), "always"},

	{"interval", "DURATION", "Messages",
	 "time between two messages of a device; 0: as fast as the broker takes them",
	 TIME(interval_ns, 0, 30 * 86400 * NS_S), "1s"},
	{"jitter", "PERCENT", "Messages", "each interval varies by up to this much both ways",
	 OPT_PERCENT, AT(jitter_ppm), 4, 0, 1000000, NULL, NULL, 0, 0, "0%"},
	{"qos", "0|1|2", "Messages", "quality of service", CHOICE(qos, "0=0 1=1 2=2"), "0"},
	{"topic", "TOPIC", "Messages",
	 "topic to publish to; {thing} {index} {type} {client_id} {seq}; empty: publish "
	 "nothing",
	 STR(topic), "dt/{thing}/telemetry"},
	{"payload", "SIZE|@FILE|lines:FILE|TEXT", "Messages",
	 "bytes of a size, a file's template, its lines in turn, or a template itself: {{seq}} "
	 "{{now_ms}} {{sched_ms}} {{now}} {{thing}} {{index}} {{rand MIN MAX}} {{walk MIN MAX "
	 "STEP}} {{pick A B "
	 "C}} {{mark}}",
	 STR(payload), "128"},
	{"user-property", "NAME=VALUE", "Messages", "MQTT 5: on each message; repeatable",
	 CALL(set_user_property, nuser_props), NULL},
	{"message-expiry", "SECONDS", "Messages", "MQTT 5: how long the broker keeps a message",
	 OPT_SECONDS, AT(message_expiry_s), 4, 0, UINT32_MAX, NULL, NULL, 0, 0, "for ever"},
	{"content-type", "TEXT", "Messages", "MQTT 5: what the payload is", STR(content_type),
	 NULL},
	{"response-topic", "TOPIC", "Messages",
	 "MQTT 5: where an answer to the message should go; {thing} {index}", STR(response_topic),
	 NULL},
	{"topic-alias", NULL, "Messages",
	 "MQTT 5: send the topic once a connection and its alias then, where the broker takes "
	 "aliases",
	 FLAG(topic_alias), NULL},
	{"retain", NULL, "Messages", "set the retain flag", FLAG(retain), NULL},
	{"burst", "N", "Messages", "messages that fall due together each interval",
	 U32(burst, 1, 1000), "1"},
	{"batch", "N", "Messages", "messages per write() at most", U32(batch, 1, 1000), "64"},
	{"inflight", "N", "Messages", "QoS 1 and 2: unacknowledged messages per device at most",
	 U32(inflight, 1, 1024), "16"},
	{"count", "N", "Messages",
	 "stop publishing after N messages per device, and end a run without --duration when all "
	 "have; 0: never",
	 U32(count, 0, UINT32_MAX), "0"},
	{"publish-cap", "N", "Messages", "messages per device and second at most; 0: no cap",
	 U32(publish_cap, 0, 65535), "0"},

	{"subscribe", "FILTER", "Subscriptions", "subscribe to it; {thing} {index}; repeatable",
	 CALL(set_subscribe, nsubs), NULL},
	{"sub-qos", "0|1|2", "Subscriptions", "QoS of the subscriptions",
	 CHOICE(sub_qos, "0=0 1=1 2=2"), "1"},
	{"command", "TOPIC", "Subscriptions", "subscribe to this command topic and answer each",
	 STR(command), NULL},
	{"response", "TOPIC", "Subscriptions",
	 "where answers go (MQTT 5: a request's response topic wins)", STR(response), NULL},
	{"response-payload", "SIZE|@FILE|lines:FILE|TEXT", "Subscriptions",
	 "the answer, as payload has it", STR(response_payload),
	 "{\"thing\":\"{{thing}}\",\"ok\":true}"},
	{"e2e", NULL, "Subscriptions",
	 "mark messages and follow them through the broker to this fleet's subscribers: latency, "
	 "loss, duplicates",
	 FLAG(e2e), NULL},
	{"shadow", NULL, "Subscriptions",
	 "AWS IoT device shadow: report to update, listen to accepted, rejected and delta",
	 FLAG(shadow), NULL},

	{"keepalive", "SECONDS", "Connection", "MQTT keep-alive; 0: none", OPT_SECONDS,
	 AT(keepalive_s), 4, 0, 65535, NULL, NULL, 0, 0, "60"},
	{"persistent", NULL, "Connection",
	 "keep the session over reconnects and resend what was "
	 "in flight",
	 OPT_FLAG, AT(clean), 1, 1, 0, NULL, NULL, 0, 0, NULL},
	{"session-expiry", "SECONDS", "Connection",
	 "MQTT 5, with --persistent: how long the broker keeps it", OPT_SECONDS,
	 AT(session_expiry_s), 4, 0, UINT32_MAX, NULL, NULL, 0, 0, "3600"},
	{"connect-timeout", "DURATION", "Connection", "from connect() to CONNACK",
	 TIME(connect_timeout_ns, 10 * NS_MS, 3600 * NS_S), "10s"},
	{"ack-timeout", "DURATION", "Connection",
	 "a message without PUBACK or PUBCOMP for so long has failed",
	 TIME(ack_timeout_ns, 10 * NS_MS, 3600 * NS_S), "10s"},
	{"backoff", "BASE..MAX", "Connection",
	 "wait before reconnect n: a random time up to min(MAX, BASE * 2^n)",
	 CALL(set_backoff, backoff_max_ns), "1s..30s"},
	{"backoff-reset", "DURATION", "Connection",
	 "n begins anew after a connection that lasted so long; 0: after each",
	 TIME(backoff_reset_ns, 0, 86400 * NS_S), "10s"},
	{"tcp-nodelay", "on|off", "Connection",
	 "off: small segments wait for the acknowledgement of those before (Nagle)",
	 CHOICE(nodelay, "on=1 off=0"), "on"},
	{"tcp-keepalive", "IDLE[:INTERVAL[:PROBES]]", "Connection",
	 "TCP's own probes of a silent connection, e.g. 60s:10s:3; 0: none",
	 CALL(set_tcp_keepalive, tcp_idle_s), "0"},
	{"tcp-user-timeout", "DURATION", "Connection",
	 "TCP gives up after so long without an acknowledgement; 0: the system's 15 minutes or so",
	 CALL(set_user_timeout, user_timeout_ns), "0"},
	{"sndbuf", "SIZE", "Connection",
	 "bytes that the kernel keeps of what is not acknowledged (SO_SNDBUF, which it doubles)",
	 CALL(set_sndbuf, sndbuf), "the system's"},
	{"churn", "RATE", "Connection", "connections per second dropped on purpose, e.g. 10/s",
	 OPT_RATE, AT(churn_milli), 8, 0, 0, NULL, NULL, 0, 0, "0"},
	{"will-topic", "TOPIC", "Connection", "last will; {thing} {index}", STR(will_topic), NULL},
	{"will-payload", "SIZE|@FILE|lines:FILE|TEXT", "Connection",
	 "its payload, as payload has it: a number alone is so many bytes", STR(will_payload),
	 "offline"},
	{"will-qos", "0|1|2", "Connection", "its QoS", CHOICE(will_qos, "0=0 1=1 2=2"), "0"},
	{"will-retain", NULL, "Connection", "its retain flag", FLAG(will_retain), NULL},
	{.name = NULL},
};

void sim_profile_init(struct sim_profile *p)
{
	memset(p, 0, sizeof(*p));
	snprintf(p->name, sizeof(p->name), "device");
	p->version = MQTT_V311;
	p->clean = true;
	p->weight = 1;
	p->resume = SIM_RESUME_ALWAYS;
	snprintf(p->thing, sizeof(p->thing), "squall-{index}");
	snprintf(p->client_id, sizeof(p->client_id), "{thing}");
	snprintf(p->topic, sizeof(p->topic), "dt/{thing}/telemetry");
	snprintf(p->payload, sizeof(p->payload), "128");
	snprintf(p->response_payload, sizeof(p->response_payload),
		 "{\"thing\":\"{{thing}}\",\"ok\":true}");
	snprintf(p->will_payload, sizeof(p->will_payload), "offline");
	p->interval_ns = 1000000000ull;
	p->burst = 1;
	p->batch = 64;
	p->inflight = 16;
	p->sub_qos = 1;
	p->keepalive_s = 60;
	p->session_expiry_s = 3600;
	p->connect_timeout_ns = 10000000000ull;
	p->ack_timeout_ns = 10000000000ull;
	p->backoff_base_ns = 1000000000ull;
	p->backoff_max_ns = 30000000000ull;
	p->backoff_reset_ns = 10000000000ull;
	p->nodelay = 1;
}

#define NOPTS (sizeof(sim_profile_opts) / sizeof(*sim_profile_opts) - 1)
_Static_assert(NOPTS <= SIM_MAX_OPTS, "room for where each comes from");

bool sim_profile_adds(const struct opt *o)
{
	return o->call == set_subscribe || o->call == set_user_property || o->call == set_ws_header;
}

void sim_profile_given(struct sim_profile *p, const struct opt *o)
{
	for (size_t i = 0; i < NOPTS; i++)
		if (o == &sim_profile_opts[i])
			p->given[i] = SIM_OWN;
}

/* The names of the project this one continues: configuration keys and environment. */
const struct sim_alias sim_aliases[] = {
	{"mqttWaitTime", "MQTT_WAIT_TIME", "interval", "%ss"},
	{"mqttQos", "MQTT_QOS", "qos", NULL},
	{"mqttMessage", "MQTT_MESSAGE", "payload", "{\"message\":\"%s\",\"timestamp\":{{now_ms}}}"},
	{"iotCoreEndpoint", "IOT_CORE_ENDPOINT", "broker", "mqtts://%s"},
	{"iotCoreMqttTopic", "IOT_CORE_MQTT_TOPIC", "topic", NULL},
	{"iotThingName", "IOT_THING_NAME", "thing", NULL},
	{"certPath", "IOT_CERT_PATH", "cert", NULL},
	{"keyPath", "IOT_KEY_PATH", "key", NULL},
	{"caPath", "IOT_CA_PATH", "ca", NULL},
};
const unsigned sim_naliases = sizeof(sim_aliases) / sizeof(*sim_aliases);

int sim_profile_set(struct sim_profile *p, const char *key, const char *value, struct sq_error *err)
{
	const struct opt *o;
	char wrapped[2048];
	int rc;

	for (unsigned i = 0; i < sim_naliases; i++) {
		const struct sim_alias *a = &sim_aliases[i];
		const char *pct;

		if (strcmp(key, a->camel) && strcmp(key, a->env))
			continue;
		key = a->name;
		if (!a->wrap || strstr(value, "://"))
			break;
		pct = strstr(a->wrap, "%s");
		if (snprintf(wrapped, sizeof(wrapped), "%.*s%s%s", (int)(pct - a->wrap), a->wrap,
			     value, pct + 2) >= (int)sizeof(wrapped))
			return sq_bad(err, "%s: longer than %zu bytes", a->camel,
				      sizeof(wrapped) - 100);
		/* "1.5s" is welcome too where the seed had a number of seconds. */
		if (!strcmp(a->name, "interval") && *value &&
		    !strchr("0123456789.", value[strlen(value) - 1]))
			break;
		value = wrapped;
		break;
	}
	o = opt_find_key(sim_profile_opts, key);
	if (!o) {
		sq_bad(err, "option '%.100s' is unknown", key);
		return -ENOENT;
	}
	rc = opt_set(o, p, value, err);
	if (!rc)
		sim_profile_given(p, o);
	return rc;
}
