// SPDX-License-Identifier: GPL-2.0-only
/* Device types, compiled: templates parsed once a shard, and where their devices lie. */
#include <stdio.h>
#include <stdlib.h>
#include "lib/text.h"
#include "sim/fleet/options.h"
#include "sim/device/lean.h"

void stype_clear(struct stype *ty)
{
	struct sim_tmpl **all[] = {&ty->thing,	      &ty->client,   &ty->user,	    &ty->topic,
				   &ty->payload,      &ty->response, &ty->answer,   &ty->will,
				   &ty->will_payload, &ty->command,  &ty->password, &ty->reply_to,
				   &ty->path};

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		sim_tmpl_free(*all[i]);
		*all[i] = NULL;
	}
	for (unsigned i = 0; i < ty->nsubs; i++)
		sim_tmpl_free(ty->sub[i]);
	for (unsigned i = 0; i < SIM_MAX_WS_HEADERS; i++) {
		sim_tmpl_free(ty->ws_header[i]);
		ty->ws_header[i] = NULL;
	}
	ty->nsubs = 0;
	ty->fixed_payload = NULL;
	ty->bulk = NULL;
}

static int add_sub(struct stype *ty, const char *filter, const struct sim_creds *creds,
		   struct sq_error *err)
{
	return sim_tmpl_name(filter, "subscribe", creds, &ty->sub[ty->nsubs++], err);
}

/* {client_id} in the others is what the client identifier's own template makes. */
static void name_client(struct stype *ty)
{
	struct sim_tmpl *const all[] = {ty->user,     ty->topic,    ty->payload,      ty->answer,
					ty->response, ty->will,	    ty->will_payload, ty->command,
					ty->password, ty->reply_to, ty->path};

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		sim_tmpl_client(all[i], ty->client);
	for (unsigned i = 0; i < SIM_MAX_WS_HEADERS; i++)
		sim_tmpl_client(ty->ws_header[i], ty->client);
	for (unsigned i = 0; i < ty->nsubs; i++)
		sim_tmpl_client(ty->sub[i], ty->client);
}

/* MQTT 5: what is the same in each message. */
static void fixed_props(struct stype *ty)
{
	const struct sim_profile *p = &ty->p;
	struct mqtt_props *to = &ty->props;
	size_t at = 0;

	*to = (struct mqtt_props){.message_expiry = p->message_expiry_s,
				  .content_type =
					  mqtt_slice(p->content_type, strlen(p->content_type)),
				  .topic_alias = 1};
	to->have = (p->message_expiry_s ? 1ull << MQTT_P_MESSAGE_EXPIRY : 0) |
		   (*p->content_type ? 1ull << MQTT_P_CONTENT_TYPE : 0) |
		   (p->nuser_props ? 1ull << MQTT_P_USER : 0);
	for (unsigned i = 0; i < p->nuser_props; i++) {
		const char *name = p->user_prop[i], *eq = strchr(name, '=');
		struct mqtt_slice key = mqtt_slice(name, (size_t)(eq - name)),
				  value = mqtt_slice(eq + 1, strlen(eq + 1));
		long n;

		if (!i) {
			to->user_key = key;
			to->user_value = value;
			continue;
		}
		n = mqtt_enc_user(ty->users + at, sizeof(ty->users) - at, key, value);
		at += n > 0 ? (size_t)n : 0;
	}
	to->users = mqtt_slice(ty->users, at);
	ty->topic_varies = sim_tmpl_per_message(ty->topic);
	ty->alias = p->topic_alias && !ty->topic_varies;
}

int stype_compile(struct stype *ty, struct sq_error *err)
{
	static const char *const shadow[] = {"accepted", "rejected", "delta"};
	const struct sim_profile *p = &ty->p;
	const struct sim_creds *creds;
	char text[512];
	int rc;

	stype_clear(ty);
	rc = sim_creds_get(p->credentials, &creds, err);
	ty->creds = creds;
	rc = rc ? rc : sim_tmpl_name(p->thing, "thing", creds, &ty->thing, err);
	rc = rc ? rc : sim_tmpl_name(p->client_id, "client-id", creds, &ty->client, err);
	rc = rc ? rc : sim_tmpl_name(p->username, "username", creds, &ty->user, err);
	rc = rc ? rc
		: sim_tmpl_topic(p->shadow ? "$aws/things/{thing}/shadow/update" : p->topic,
				 "topic", creds, &ty->topic, err);
	rc = rc ? rc : sim_tmpl_password(p->password, "password", creds, &ty->password, err);
	if (!rc && p->ws)
		rc = sim_tmpl_name(p->path, "broker", creds, &ty->path, err);
	for (unsigned i = 0; !rc && i < p->nws_headers; i++)
		rc = sim_tmpl_name(p->ws_header[i], "ws-header", creds, &ty->ws_header[i], err);
	if (!rc && *p->response_topic)
		rc = sim_tmpl_name(p->response_topic, "response-topic", creds, &ty->reply_to, err);
	rc = rc ? rc : sim_tmpl_message(p->payload, "payload", creds, &ty->payload, err);
	rc = rc ? rc
		: sim_tmpl_payload(p->response_payload, "response-payload", creds, &ty->answer,
				   err);
	if (!rc && *p->response)
		rc = sim_tmpl_name(p->response, "response", creds, &ty->response, err);
	if (!rc && *p->will_topic) {
		rc = sim_tmpl_name(p->will_topic, "will-topic", creds, &ty->will, err);
		rc = rc ? rc
			: sim_tmpl_payload(p->will_payload, "will-payload", creds,
					   &ty->will_payload, err);
	}
	for (unsigned i = 0; !rc && i < p->nsubs; i++)
		rc = add_sub(ty, p->sub[i], creds, err);
	if (!rc && *p->command) {
		rc = sim_tmpl_name(p->command, "command", creds, &ty->command, err);
		rc = rc ? rc : add_sub(ty, p->command, creds, err);
	}
	for (unsigned i = 0; !rc && p->shadow && i < 3; i++) {
		snprintf(text, sizeof(text), "$aws/things/{thing}/shadow/update/%s", shadow[i]);
		rc = add_sub(ty, text, creds, err);
	}
	if (rc)
		return rc;
	name_client(ty);
	fixed_props(ty);
	ty->host = p->resolve == SIM_RESOLVE_ONCE || sim_host_literal(p->host)
			   ? NULL
			   : sim_host_get(p->host, p->port, sim_families(p));
	if (!sim_tmpl_fixed(ty->payload, &ty->fixed_payload, &ty->fixed_len))
		ty->fixed_payload = NULL;
	ty->bulk = sim_tmpl_bulk(ty->payload);
	ty->same = ty->fixed_payload && !ty->bulk && !ty->topic_varies && !ty->reply_to &&
		   !ty->alias && !p->e2e && !p->shadow && (!p->qos || p->clean);
	return 0;
}

/*
 * Waking up costs as much as sending. So that a device of a small fleet costs what
 * one of a large fleet does, devices fall due in groups of about four: an interval
 * is divided into slots, each a power of two of ticks, but never longer than a
 * hundredth of the interval or 10 ms, and messages are due at the start of a slot. From
 * some 15,000 messages per second and shard on that is the wheel's own tick.
 */
uint64_t stype_grid(uint64_t interval_ns, uint32_t n)
{
	uint64_t most = interval_ns / 100 < 10000000 ? interval_ns / 100 : 10000000,
		 grid = 1ull << WHEEL_SHIFT;

	while (grid * 2 <= most && grid * n < interval_ns * 4)
		grid *= 2;
	return grid;
}

uint32_t stype_share(const struct stype *ty, uint32_t n)
{
	return n > ty->nth ? (n - ty->nth + ty->nshards - 1) / ty->nshards : 0;
}

struct device *stype_device(struct lean *ln, unsigned type, uint32_t local)
{
	struct device *d = &ln->type[type].dev[local];

	if (!d->rng) {
		d->type = (uint8_t)type;
		d->index = local * ln->type[type].nshards + ln->type[type].nth;
		d->fd = -1;
		d->pub.kind = T_PUB;
		d->life.kind = T_LIFE;
		d->rng = ln->led.a->seed ^ (uint64_t)(type + 1) << 40 ^
			 (uint64_t)(d->index + 1) * 0x9e3779b97f4a7c15ull;
		d->rng |= 1;
	}
	return d;
}

struct extra *dev_extra(struct device *d)
{
	if (!d->x)
		d->x = calloc(1, sizeof(*d->x));
	return d->x;
}

void props_note(const struct mqtt_props *p, char *ret)
{
	static const uint64_t bit[] = {1ull << MQTT_P_SERVER_REFERENCE,
				       1ull << MQTT_P_REASON_STRING};
	const struct mqtt_slice *text[] = {&p->server_reference, &p->reason_string};
	size_t at = 0;

	*ret = 0;
	for (unsigned i = 0; i < 2; i++) {
		if (!(p->have & bit[i]) || at >= SIM_NOTE)
			continue;
		at += (size_t)snprintf(ret + at, SIM_NOTE - at, "%s%s", at ? ", " : "",
				       i ? "" : "server ");
		if (at < SIM_NOTE)
			at += text_shown(ret + at, SIM_NOTE - at, (const char *)text[i]->p,
					 text[i]->n);
	}
}

void dev_fail_props(struct lean *ln, struct device *d, enum sim_fail kind, uint32_t detail,
		    const struct mqtt_props *props)
{
	if (!d->fail)
		props_note(props, ln->note);
	dev_fail(d, kind, detail);
}
