// SPDX-License-Identifier: GPL-2.0-only
/* The check of the whole of a device type before anything connects. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "sim/mqtt/mqtt.h"
#include "sim/fleet/creds.h"
#include "sim/fleet/options.h"
#include "sim/fleet/resolve.h"
#include "sim/fleet/sigv4.h"
#include "sim/fleet/tls.h"
#include "sim/fleet/tmpl.h"

/* A device's name as text, with a placeholder of the usual length. */
static int render_sample(const struct sim_profile *p, const char *text, const char *field,
			 const char *thing, char *buf, size_t cap, struct sq_error *err)
{
	struct sim_tmpl_ctx c = {.thing = thing,
				 .client_id = thing,
				 .type = p->name,
				 .index = p->first,
				 .seq = UINT32_MAX, /* the longest */
				 .row = p->credentials_skip};
	struct sim_tmpl *t, *client = NULL;
	const struct sim_creds *creds;
	long n;
	int rc = sim_creds_get(p->credentials, &creds, err);

	if (!rc)
		rc = strcmp(field, "topic") ? sim_tmpl_name(text, field, creds, &t, err)
					    : sim_tmpl_topic(text, field, creds, &t, err);
	if (rc)
		return rc;
	if (strstr(text, "{client_id}"))
		rc = sim_tmpl_name(p->client_id, "client-id", creds, &client, err);
	sim_tmpl_client(t, client);
	n = rc ? 0 : sim_tmpl_render(t, &c, buf, cap - 1);
	sim_tmpl_free(t);
	sim_tmpl_free(client);
	if (rc)
		return rc;
	if (n == -ENOENT)
		return sq_bad(err, "credentials-skip %u: credentials '%.150s' has %u rows",
			      p->credentials_skip, p->credentials, sim_creds_rows(creds));
	if (n < 0)
		return sq_bad(err, "%s '%.150s': with index %u longer than %zu bytes", field, text,
			      c.index, cap - 1);
	buf[n] = 0;
	return 0;
}

/*
 * AWS IoT Core's quotas of a topic or a filter of 2024-2026 (AWS General Reference, "AWS IoT Core
 * message broker and protocol limits"): 256 bytes and 7 slashes, without what a Basic Ingest topic
 * ($aws/rules/RULE/) or a shared subscription ($share/GROUP/) has in front.
 */
int sim_aws_topic(const char *name, const char *text, const char *field, bool filter,
		  struct sq_error *err)
{
	bool ingest = !strncmp(name, "$aws/rules/", 11), shared = !strncmp(name, "$share/", 7);
	const char *from = name;
	unsigned slashes = 0;

	if (ingest && filter)
		return sq_bad(err,
			      "%s '%.200s': preset aws-iot-core: Basic Ingest topics cannot be "
			      "subscribed to",
			      field, text);
	if (ingest || shared) {
		name = from + (ingest ? 11 : 7);
		from = strchr(name, '/');
		if (!from || from == name || !from[1])
			return sq_bad(err,
				      "%s '%.200s': preset aws-iot-core: Basic Ingest is "
				      "$aws/rules/RULE/TOPIC",
				      field, text);
		from++;
	} else if (*from == '$' && strncmp(from, "$aws/", 5)) {
		return sq_bad(err,
			      "%s '%.200s': preset aws-iot-core: topics that begin with $ are "
			      "reserved",
			      field, text);
	}
	if (strlen(from) > 256)
		return sq_bad(
			err,
			"%s '%.200s': preset aws-iot-core: a topic has at most 256 bytes, this "
			"has %zu",
			field, text, strlen(from));
	for (const char *s = from; *s; s++)
		slashes += *s == '/';
	if (slashes > 7)
		return sq_bad(err, "%s '%.200s': preset aws-iot-core: at most 7 slashes", field,
			      text);
	return 0;
}

int sim_aws_client(const char *client, struct sq_error *err)
{
	if (strlen(client) > 128 || *client == '$')
		return sq_bad(err,
			      "client-id '%.140s': preset aws-iot-core: at most 128 bytes, not "
			      "beginning with $",
			      client);
	return 0;
}

double sim_aws_publishes(const struct sim_profile *p, uint32_t n)
{
	return p->aws && *p->topic && p->interval_ns
		       ? (double)n * p->burst * 1e9 / (double)p->interval_ns
		       : 0;
}

static int check_topic(const struct sim_profile *p, const char *text, const char *field,
		       const char *thing, struct sq_error *err)
{
	char buf[1024];
	int rc;

	if (!*text)
		return sq_bad(err, "%s: must not be empty", field);
	if (strpbrk(text, "+#"))
		return sq_bad(err, "%s '%.200s': wildcards + and # are for subscriptions", field,
			      text);
	rc = render_sample(p, text, field, thing, buf, sizeof(buf), err);
	if (rc)
		return rc;
	if (!mqtt_topic_ok((const uint8_t *)buf, strlen(buf)))
		return sq_bad(err, "%s '%.200s': not a valid topic name", field, text);
	return p->aws ? sim_aws_topic(buf, text, field, false, err) : 0;
}

static int check_filter(const struct sim_profile *p, const char *text, const char *field,
			const char *thing, struct sq_error *err)
{
	char buf[512 + 1]; /* as device/connect.c has */
	int rc;

	if (!*text)
		return sq_bad(err, "%s: must not be empty", field);
	rc = render_sample(p, text, field, thing, buf, sizeof(buf), err);
	if (rc)
		return rc;
	if (!mqtt_filter_ok((const uint8_t *)buf, strlen(buf)))
		return sq_bad(err,
			      "%s '%.200s': not a valid topic filter (+ and # stand for whole "
			      "levels, # last)",
			      field, text);
	return p->aws ? sim_aws_topic(buf, text, field, true, err) : 0;
}

static int check_aws(struct sim_profile *p, size_t payload, struct sq_error *err)
{
	if (p->qos == 2 || p->sub_qos == 2 || p->will_qos == 2)
		return sq_bad(err, "qos 2: preset aws-iot-core: the service has no QoS 2");
	if (payload > 128 * 1024)
		return sq_bad(err,
			      "payload: preset aws-iot-core: at most 131072 bytes, this can be "
			      "%zu",
			      payload);
	if (p->keepalive_s < 30 || p->keepalive_s > 1200)
		return sq_bad(err, "keepalive %u: preset aws-iot-core: 30 to 1200 seconds",
			      p->keepalive_s);
	if (p->version == MQTT_V5 && !p->clean && p->session_expiry_s > 7 * 86400)
		return sq_bad(err,
			      "session-expiry %u: preset aws-iot-core: at most 604800 seconds "
			      "(7 days)",
			      p->session_expiry_s);
	if (p->nsubs + !!*p->command + (p->shadow ? 3 : 0) > 50)
		return sq_bad(err, "subscribe: preset aws-iot-core: at most 50 subscriptions of a "
				   "connection");
	if (p->inflight > 100)
		return sq_bad(err, "inflight %u: preset aws-iot-core: at most 100", p->inflight);
	if (p->publish_cap > 100)
		return sq_bad(err,
			      "publish-cap %u: preset aws-iot-core: at most 100 messages per "
			      "second and connection",
			      p->publish_cap);
	/* Answers are publishes as well. */
	if (!p->publish_cap)
		p->publish_cap = 100;
	if (!p->interval_ns)
		return sq_bad(err,
			      "interval 0: preset aws-iot-core: at most 100 publishes per "
			      "second and connection, so at least %gms with burst %u",
			      10.0 * p->burst, p->burst);
	if (*p->topic && p->burst * 1e9 / (double)p->interval_ns > 100)
		return sq_bad(err,
			      "interval %gms with burst %u: preset aws-iot-core: at most 100 "
			      "publishes per second and connection",
			      (double)p->interval_ns / 1e6, p->burst);
	return 0;
}

static int check_tls(const struct sim_profile *p, const char *thing, struct sq_error *err)
{
	struct sim_tls *t;
	int rc;

	if (!*p->cert != !*p->key)
		return sq_bad(err, "%s is missing: cert and key go together",
			      *p->cert ? "key" : "cert");
	if (!p->tls) {
		if (*p->cert || *p->ca || *p->alpn || *p->sni || p->insecure)
			return sq_bad(err, "broker '%.200s': TLS options need mqtts:// or wss://",
				      p->broker);
		return 0;
	}
	rc = sim_tls_new(p, &t, err);
	if (rc)
		return rc;
	/* Of certificates per device the first must be there. */
	rc = sim_tls_identity(t, 0, 0, thing, err);
	sim_tls_free(t);
	return rc;
}

long sim_path_bad(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if ((uint8_t)s[i] <= ' ' || (uint8_t)s[i] >= 127 || s[i] == '#')
			return (long)i;
	return -1;
}

long sim_header_bad(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if ((uint8_t)s[i] < ' ' || s[i] == 127)
			return (long)i;
	return -1;
}

static int check_ws(const struct sim_profile *p, const char *thing, struct sq_error *err)
{
	char buf[SIM_SIGNED_MAX], host[300], header[4096];
	long at;
	int rc;

	if (!p->ws)
		return p->nws_headers || *p->sigv4
			       ? sq_bad(err,
					"ws-header and aws-sigv4 need a broker of ws:// or wss://")
			       : 0;
	rc = render_sample(p, p->path, "broker", thing, buf, SIM_PATH_MAX, err);
	if (rc)
		return rc;
	at = sim_path_bad(buf, strlen(buf));
	if (at >= 0)
		return sq_bad(err, "broker: byte 0x%02x; accepted in %s", (uint8_t)buf[at],
			      SIM_PATH_WORDS);
	for (unsigned i = 0; i < p->nws_headers && !rc; i++) {
		rc = render_sample(p, p->ws_header[i], "ws-header", thing, header, sizeof(header),
				   err);
		at = rc ? -1 : sim_header_bad(header, strlen(header));
		if (at >= 0)
			return sq_bad(err, "ws-header '%.100s': byte 0x%02x; accepted in %s",
				      p->ws_header[i], (uint8_t)header[at], SIM_HEADER_WORDS);
	}
	if (rc || !*p->sigv4)
		return rc;
	if (strchr(buf, '?'))
		return sq_bad(err, "aws-sigv4: the path of broker must have no query of its own");
	sim_host_header(p->host, p->port, p->tls, host, sizeof(host));
	rc = sim_sigv4(buf, sizeof(buf), host, p->sigv4, 0);
	return rc ? sq_bad(err, "aws-sigv4: %s", sim_sigv4_why(rc)) : 0;
}

/* A payload that is not rendered but read while it is sent. */
static int check_bulk(const struct sim_profile *p, const struct sim_tmpl *t, const char *thing,
		      struct sq_error *err)
{
	const struct sim_bulk *b = sim_tmpl_bulk(t);
	/* A user property is five bytes more than its text, others three, and the rest is small. */
	size_t head = 64 + strlen(p->content_type) + strlen(p->response_topic);
	char topic[1024] = "";
	const char *word;
	int rc = 0;

	if (!b)
		return 0;
	if (p->shadow || p->engine == SIM_PAHO)
		return sq_bad(err,
			      "payload: %u bytes; accepted with shadow and with client paho: 0 to "
			      "%d",
			      sim_bulk_len(b), SIM_RENDER_MAX);
	word = sim_tmpl_bulk_word(t);
	if (word)
		return sq_bad(err,
			      "payload: '%.150s' is longer than the %d bytes of a template and "
			      "would be sent as it is, but it has {{%s ...}} in it",
			      p->payload, SIM_RENDER_MAX, word);
	if (*p->topic)
		rc = render_sample(p, p->topic, "topic", thing, topic, sizeof(topic), err);
	if (rc)
		return rc;
	for (unsigned i = 0; i < p->nuser_props; i++)
		head += strlen(p->user_prop[i]) + 5;
	if (p->version != MQTT_V5)
		head = 4;
	head += strlen(topic);
	if (sim_bulk_len(b) > MQTT_MAX_REMAINING - head)
		return sq_bad(err,
			      "payload: %u bytes; accepted: 0 to %zu: a packet holds %u, and topic "
			      "and properties take %zu",
			      sim_bulk_len(b), MQTT_MAX_REMAINING - head, MQTT_MAX_REMAINING, head);
	return 0;
}

/* Who a device is: thing and client receive a sample of each. */
static int check_names(const struct sim_profile *p, const struct sim_creds *creds, char *thing,
		       size_t thing_size, char *client, size_t client_size, struct sq_error *err)
{
	char user[SIM_USER_MAX];
	struct sim_tmpl *t;
	int rc;

	if (!*p->thing || strstr(p->thing, "{thing}") || strstr(p->thing, "{client_id}"))
		return sq_bad(err,
			      "thing '%.100s': accepted: a name that may contain {index} and "
			      "{type}",
			      p->thing);
	rc = render_sample(p, p->thing, "thing", "", thing, thing_size, err);
	if (rc)
		return rc;
	if (strstr(p->client_id, "{client_id}"))
		return sq_bad(err, "client-id '%.100s': cannot contain itself", p->client_id);
	rc = render_sample(p, p->client_id, "client-id", thing, client, client_size, err);
	if (rc)
		return rc;
	if (!*client && !p->clean)
		return sq_bad(err, "client-id: a persistent session needs one");
	if (p->aws && sim_aws_client(client, err))
		return -EINVAL;
	rc = render_sample(p, p->username, "username", thing, user, sizeof(user), err);
	if (rc)
		return rc;
	if (!mqtt_utf8_ok((uint8_t *)client, strlen(client)) ||
	    !mqtt_utf8_ok((uint8_t *)user, strlen(user)))
		return sq_bad(err, "client-id or username: not UTF-8, as MQTT wants them");
	rc = sim_tmpl_password(p->password, "password", creds, &t, err);
	if (!rc)
		sim_tmpl_free(t);
	return rc;
}

/* What is published and subscribed to. */
static int check_topics(const struct sim_profile *p, const char *thing, struct sq_error *err)
{
	/* An empty topic is meant: a device that only listens, or idles. */
	int rc = *p->topic ? check_topic(p, p->topic, "topic", thing, err) : 0;

	for (unsigned i = 0; !rc && i < p->nsubs; i++)
		rc = check_filter(p, p->sub[i], "subscribe", thing, err);
	if (rc)
		return rc;
	if (*p->will_topic)
		rc = check_topic(p, p->will_topic, "will-topic", thing, err);
	if (!rc && *p->command) {
		rc = check_filter(p, p->command, "command", thing, err);
		if (!rc && !*p->response && p->version != MQTT_V5)
			rc = sq_bad(err, "response: is missing: MQTT 3.1.1 requests bring no "
					 "response topic");
	}
	return !rc && *p->response ? check_topic(p, p->response, "response", thing, err) : rc;
}

/* *ret_size: the most bytes that a message holds. */
static int check_payloads(const struct sim_profile *p, const struct sim_creds *creds,
			  const char *thing, size_t *ret_size, struct sq_error *err)
{
	struct sim_tmpl *t;
	bool can_mark;
	int rc = sim_tmpl_payload(p->response_payload, "response-payload", creds, &t, err);

	if (rc)
		return rc;
	sim_tmpl_free(t);
	rc = sim_tmpl_payload(p->will_payload, "will-payload", creds, &t, err);
	if (rc)
		return rc;
	/* What device/connect.c has room for. */
	if (sim_tmpl_max(t) > SIM_WILL_MAX || sim_tmpl_walks(t) > SIM_WILL_WALKS)
		rc = sq_bad(err,
			    "will-payload: can be %zu bytes, with {{walk}} %u times; accepted: %d "
			    "bytes, %d times",
			    sim_tmpl_max(t), sim_tmpl_walks(t), SIM_WILL_MAX, SIM_WILL_WALKS);
	sim_tmpl_free(t);
	if (rc)
		return rc;
	rc = sim_tmpl_message(p->payload, "payload", creds, &t, err);
	if (rc)
		return rc;
	*ret_size = sim_tmpl_max(t);
	can_mark = sim_tmpl_has_mark(t) || (sim_tmpl_is_size(t) && *ret_size >= SIM_MARK_LEN);
	rc = check_bulk(p, t, thing, err);
	sim_tmpl_free(t);
	if (rc)
		return rc;
	if (p->e2e && *p->topic && !can_mark)
		return sq_bad(err,
			      "payload: e2e needs {{mark}} in the template or a size of at "
			      "least %d bytes",
			      SIM_MARK_LEN);
	if (p->shadow)
		*ret_size += 32; /* {"state":{"reported":...}} */
	return 0;
}

/* The kernel says nothing when it gives less. */
static int check_sndbuf(const struct sim_profile *p, struct sq_error *err)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), want = (int)p->sndbuf, got = 0;
	socklen_t len = sizeof(got);
	bool known = fd >= 0 && !setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &want, sizeof(want)) &&
		     !getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &got, &len);

	if (fd >= 0)
		close(fd);
	if (!known || got / 2 >= want)
		return 0;
	return sq_bad(err,
		      "sndbuf %d: this machine gives at most %d bytes; accepted: up to that, or "
		      "after sysctl -w net.core.wmem_max=%d",
		      want, got / 2, want);
}

/* What is the same in all messages of all devices: a word in braces would be sent as it stands. */
static int check_fixed(const char *field, const char *text, const struct sim_creds *creds,
		       struct sq_error *err)
{
	struct sim_tmpl *t;
	const char *s;
	size_t n;
	int rc = sim_tmpl_password(text, field, creds, &t, err);

	if (rc)
		return rc;
	if (!sim_tmpl_fixed(t, &s, &n))
		rc = sq_bad(
			err,
			"%s '%.150s': is the same in all messages of all devices, and no "
			"template; accepted: text without {thing}, {index}, {type}, {client_id} "
			"and columns",
			field, text);
	sim_tmpl_free(t);
	return rc;
}

/* Options that do not go together. */
static int check_together(const struct sim_profile *p, const struct sim_creds *creds,
			  struct sq_error *err)
{
	int rc = 0;

	if (p->sndbuf && check_sndbuf(p, err))
		return -EINVAL;
	if (p->backoff_max_ns < p->backoff_base_ns)
		return sq_bad(err, "backoff: BASE is larger than MAX");
	if (!mqtt_utf8_ok((const uint8_t *)p->content_type, strlen(p->content_type)))
		return sq_bad(err, "content-type: not UTF-8");
	for (unsigned i = 0; i < p->nuser_props; i++)
		if (!mqtt_utf8_ok((const uint8_t *)p->user_prop[i], strlen(p->user_prop[i])))
			return sq_bad(err, "user-property: not UTF-8");
	for (unsigned i = 0; i < p->nuser_props && !rc; i++)
		rc = check_fixed("user-property", p->user_prop[i], creds, err);
	return rc ? rc : check_fixed("content-type", p->content_type, creds, err);
}

int sim_profile_check(struct sim_profile *p, struct sq_error *err)
{
	const struct sim_creds *creds;
	char thing[256], client[256];
	size_t payload = 0;
	int rc;

	if (!*p->broker)
		return sq_bad(err, "broker: is missing; accepted: mqtt[s]://HOST[:PORT] or "
				   "ws[s]://HOST[:PORT][/PATH]");
	rc = sim_creds_get(p->credentials, &creds, err);
	if (!rc)
		rc = check_names(p, creds, thing, sizeof(thing), client, sizeof(client), err);
	if (!rc)
		rc = check_topics(p, thing, err);
	if (!rc)
		rc = check_payloads(p, creds, thing, &payload, err);
	if (!rc && p->aws)
		rc = check_aws(p, payload, err);
	if (!rc && *p->response_topic)
		rc = check_topic(p, p->response_topic, "response-topic", thing, err);
	if (!rc)
		rc = sim_profile_needs(p, err);
	if (!rc)
		rc = check_ws(p, thing, err);
	if (!rc)
		rc = check_together(p, creds, err);
	if (!rc)
		rc = check_tls(p, thing, err);
	return rc ? rc : sim_resolve(p, err);
}

int sim_profile_check_last(const struct sim_profile *p, uint32_t n, struct sq_error *err)
{
	char thing[256], client[256];
	struct sim_profile *last;
	int rc;

	/* Of credentials every row is tried, by sim_creds_check(). */
	if (n < 2 || *p->credentials)
		return 0;
	last = malloc(sizeof(*last));
	if (!last)
		return sq_bad(err, "out of memory");
	*last = *p;
	last->first += n - 1;
	rc = check_names(last, NULL, thing, sizeof(thing), client, sizeof(client), err);
	if (!rc)
		rc = check_topics(last, thing, err);
	free(last);
	return rc;
}

void sim_fleet_free(struct sim_fleet *f)
{
	free(f->type);
	f->type = NULL;
	f->ntypes = 0;
}
