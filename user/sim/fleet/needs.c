// SPDX-License-Identifier: GPL-2.0-only
/*
 * Options of a device type that do nothing by themselves: each needs another, or a client that
 * knows it. What somebody has said and would not get is refused.
 */
#include <pthread.h>
#include <string.h>
#include "sim/mqtt/mqtt.h"
#include "sim/fleet/creds.h"
#include "sim/fleet/options.h"
#include "sim/fleet/tmpl.h"

struct need {
	const char *option;
	bool (*met)(const struct sim_profile *p);
	const char *what;
	bool may_come; /* the page or Locust's form may set it later */
};

static bool v5(const struct sim_profile *p)
{
	return p->version == MQTT_V5;
}

static bool keeps_session(const struct sim_profile *p)
{
	return v5(p) && !p->clean;
}

static bool names_user(const struct sim_profile *p)
{
	return v5(p) || *p->username;
}

static bool has_credentials(const struct sim_profile *p)
{
	return *p->credentials;
}

/* A template with a column in it; one that is wrong is told by its own check. */
static bool has_column(int rc, struct sim_tmpl *t)
{
	bool has = rc || sim_tmpl_has_column(t);

	if (!rc)
		sim_tmpl_free(t);
	return has;
}

static bool names_column(const struct sim_creds *creds, const char *text)
{
	struct sim_tmpl *t;
	struct sq_error err;
	int rc = sim_tmpl_name(text, "", creds, &t, &err);

	return has_column(rc, t);
}

static bool shows_column(const struct sim_creds *creds, const char *payload)
{
	struct sim_tmpl *t;
	struct sq_error err;
	int rc = sim_tmpl_message(payload, "", creds, &t, &err);

	return has_column(rc, t);
}

/* Those that have words or ways of their own. */
static bool topic_or_password(const struct sim_creds *creds, const struct sim_profile *p)
{
	struct sim_tmpl *t;
	struct sq_error err;
	int rc = sim_tmpl_topic(p->topic, "", creds, &t, &err);

	if (has_column(rc, t))
		return true;
	rc = sim_tmpl_password(p->password, "", creds, &t, &err);
	return has_column(rc, t);
}

static bool uses_columns(const struct sim_profile *p)
{
	const char *const name[] = {
		p->thing,   p->client_id, p->username,	 p->cert,	    p->key,
		p->command, p->response,  p->will_topic, p->response_topic, p->path};
	const struct sim_creds *creds;
	struct sq_error err;

	if (!*p->credentials || p->engine == SIM_PAHO ||
	    sim_creds_get(p->credentials, &creds, &err))
		return true; /* is told elsewhere */
	for (size_t i = 0; i < sizeof(name) / sizeof(*name); i++)
		if (names_column(creds, name[i]))
			return true;
	for (unsigned i = 0; i < p->nsubs; i++)
		if (names_column(creds, p->sub[i]))
			return true;
	for (unsigned i = 0; i < p->nws_headers; i++)
		if (names_column(creds, p->ws_header[i]))
			return true;
	return topic_or_password(creds, p) || shows_column(creds, p->payload) ||
	       shows_column(creds, p->will_payload) || shows_column(creds, p->response_payload);
}

static bool has_will(const struct sim_profile *p)
{
	return *p->will_topic;
}

static bool has_command(const struct sim_profile *p)
{
	return *p->command;
}

static bool listens(const struct sim_profile *p)
{
	return p->nsubs || *p->command || p->shadow;
}

static bool has_tls(const struct sim_profile *p)
{
	return p->tls;
}

/* Answers are messages as well. */
static bool publishes(const struct sim_profile *p)
{
	return *p->topic || *p->command || p->shadow;
}

/* Answers have neither a number nor these properties. */
static bool has_topic(const struct sim_profile *p)
{
	return *p->topic;
}

static bool has_topic_v5(const struct sim_profile *p)
{
	return v5(p) && *p->topic;
}

static bool has_one_topic(const struct sim_profile *p)
{
	return has_topic_v5(p) && (p->shadow || !strstr(p->topic, "{seq}"));
}

static bool is_own_topic(const struct sim_profile *p)
{
	return !p->shadow || !*p->topic;
}

static bool is_scheduled(const struct sim_profile *p)
{
	return *p->topic && p->interval_ns;
}

static bool has_window(const struct sim_profile *p)
{
	return publishes(p) && p->qos;
}

#define TOPIC "a topic to publish to"

static const struct need needs[] = {
	{"follow-redirect", v5, "protocol 5", false},
	{"user-property", v5, "protocol 5", false},
	{"message-expiry", v5, "protocol 5", false},
	{"content-type", v5, "protocol 5", false},
	{"response-topic", v5, "protocol 5", false},
	{"topic-alias", v5, "protocol 5", false},
	{"session-expiry", keeps_session, "persistent and protocol 5", false},
	{"password", names_user, "username or protocol 5", false},
	{"credentials-skip", has_credentials, "credentials", false},
	{"credentials", uses_columns,
	 "one of its columns as {column} in a name, topic, password, certificate or payload", true},
	{"will-payload", has_will, "will-topic", false},
	{"will-qos", has_will, "will-topic", false},
	{"will-retain", has_will, "will-topic", false},
	{"response", has_command, "command", false},
	{"response-payload", has_command, "command", false},
	{"sub-qos", listens, "subscribe, command or shadow", false},
	{"tls-version", has_tls, "a broker of mqtts:// or wss://", true},
	{"resume", has_tls, "a broker of mqtts:// or wss://", true},
	{"user-property", has_topic_v5, TOPIC, true},
	{"message-expiry", has_topic_v5, TOPIC, true},
	{"content-type", has_topic_v5, TOPIC, true},
	{"response-topic", has_topic_v5, TOPIC, true},
	{"topic-alias", has_one_topic, TOPIC " that is the same in all messages", true},
	{"retain", publishes, TOPIC, true},
	{"count", has_topic, TOPIC, true},
	{"topic", is_own_topic,
	 "shadow off (whose messages go to $aws/things/{thing}/shadow/update)", true},
	{"batch", publishes, TOPIC, true},
	{"publish-cap", publishes, TOPIC, true},
	{"jitter", is_scheduled, TOPIC " and an interval above 0", true},
	{"burst", is_scheduled, TOPIC " and an interval above 0", true},
	{"inflight", has_window, TOPIC " and qos 1 or 2", true},
};

/* What paho's library has not, or keeps to itself. */
static const char *const lean_only[] = {
	"alpn",		 "backoff-reset",   "batch",	    "bind",
	"churn",	 "command",	    "content-type", "credentials",
	"e2e",		 "follow-redirect", "ports",	    "message-expiry",
	"publish-cap",	 "resolve",	    "resume",	    "response-topic",
	"shadow",	 "sndbuf",	    "sni",	    "tcp-keepalive",
	"tcp-nodelay",	 "tls-version",	    "topic-alias",  "tcp-user-timeout",
	"user-property",
};

static struct sim_profile fresh;

static void make_fresh(void)
{
	sim_profile_init(&fresh);
}

/* Where an option comes from. One that says that something is off, as it is anyhow, asks for
 * nothing. */
static uint8_t given(const struct sim_profile *p, const struct opt *o)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	const char *is = (const char *)p + o->at, *was = (const char *)&fresh + o->at;
	bool text = o->kind == OPT_STR;

	pthread_once(&once, make_fresh);
	for (size_t i = 0; i < (text ? 1 : o->size); i++)
		if (is[i] || was[i])
			return p->given[o - sim_profile_opts];
	return SIM_DEFAULT;
}

static int check_client(const struct sim_profile *p, struct sq_error *err)
{
	const char *what = p->ws	     ? "ws:// and wss://"
			   : *p->cgroup	     ? "cgroup of a type"
			   : !p->interval_ns ? "interval 0"
					     : NULL;
	char value[OPT_SHOWN];

	if (p->engine != SIM_PAHO)
		return 0;
	for (size_t i = 0; i < sizeof(lean_only) / sizeof(*lean_only) && !what; i++) {
		const struct opt *o = opt_find(sim_profile_opts, lean_only[i]);

		if (given(p, o))
			return sq_bad(err,
				      "client paho: %s%s is of the lean client only; accepted: "
				      "client lean, or leave %s out",
				      o->name, opt_show(o, p, value), o->name);
	}
	return what ? sq_bad(err, "client paho: %s: of the lean client only", what) : 0;
}

static int refuse(const struct sim_profile *p, const struct need *n, const struct opt *o,
		  const char *of, struct sq_error *err)
{
	char value[OPT_SHOWN];

	return sq_bad(err,
		      "%s%s%s%s: accepted with %s, without which it does nothing; add that, or "
		      "leave %s out",
		      o->name, opt_show(o, p, value), *of ? " of type " : "", of, n->what, o->name);
}

int sim_profile_needs(const struct sim_profile *p, struct sq_error *err)
{
	for (size_t i = 0; i < sizeof(needs) / sizeof(*needs); i++) {
		const struct need *n = &needs[i];
		const struct opt *o = opt_find(sim_profile_opts, n->option);

		if (given(p, o) == SIM_OWN && !n->met(p) && !n->may_come)
			return refuse(p, n, o, "", err);
	}
	return check_client(p, err);
}

/* What all types have is for those that can use it, if there is one. */
static bool used_by_another(const struct sim_fleet *f, const struct need *n, const struct opt *o)
{
	for (unsigned t = 0; t < f->ntypes; t++)
		if (given(&f->type[t], o) == SIM_SHARED && n->met(&f->type[t]))
			return true;
	return false;
}

int sim_fleet_needs(const struct sim_fleet *f, bool fixed, struct sq_error *err)
{
	for (size_t i = 0; i < sizeof(needs) / sizeof(*needs); i++) {
		const struct need *n = &needs[i];
		const struct opt *o = opt_find(sim_profile_opts, n->option);

		for (unsigned t = 0; t < f->ntypes; t++) {
			const struct sim_profile *p = &f->type[t];
			uint8_t from = given(p, o);

			if (!from || n->met(p) || (n->may_come && !fixed) ||
			    (from == SIM_SHARED && used_by_another(f, n, o)))
				continue;
			return refuse(p, n, o, f->ntypes > 1 ? p->name : "", err);
		}
	}
	return 0;
}
