// SPDX-License-Identifier: GPL-2.0-only
#include "squalld/control/profiles.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "squalld/base/log.h"
#include "squalld/control/state.h"

#define MAX_PROFILES 256

/*
 * Shipped profiles. One-way figures, the device's point of view. Where a
 * source gives a round trip, half of it is taken each way. "judgement" marks
 * what no source gives and we chose; it is said in the text users read.
 *
 *   ATC   the profiles shipped with Facebook's Augmented Traffic Control,
 *         utils/profiles/(name).json of its repository: rates in kbit/s and
 *         delays in ms per direction. Its NoConnectivity is a rate of 1 kbit/s;
 *         "offline" here is a blackhole.
 *   LH    Lighthouse docs/throttling.md: 1.6 Mbit/s down, 750 kbit/s up, 150 ms
 *         round trip, "roughly the bottom 25 % of 4G and the top 25 % of 3G".
 *   MB    the table of LTE Cat-M1 and Cat-NB1 in "Cellular Communication
 *         Protocols", blog.mbedded.ninja: NB1 26 kbit/s down, 62 up, 1.6 to 10 s;
 *         M1 1 Mbit/s peak both ways.
 *   LTEM  "Evaluation of LTE-M towards 5G IoT requirements", v1.1: message
 *         latency 0.1 s at the edge of normal coverage.
 *   APNIC "Testing LEO and GEO satellite services in Australia", 2022: a GEO
 *         hop gives round trips of around 600 ms.
 *   3GPP  GPRS: coding scheme CS-2 (13.4 kbit/s per slot), 4 slots down and 1 up
 *         of a class 8 device (TS 45.002, annex B).
 */
static const struct shipped {
	const char *name, *text, *description, *source;
} shipped[] = {
	{"GPRS",
	 "up rate 13.4kbit delay 500ms 100ms latency 2s down rate 53.6kbit delay 500ms 100ms "
	 "latency 2s",
	 "2.5G packet radio, class 8 device, CS-2",
	 "3GPP TS 45.002 annex B for the rates; delay and jitter are judgement"},
	{"EDGE", "up rate 200kbit delay 440ms down rate 240kbit delay 400ms",
	 "2.75G, average coverage", "ATC Edge-Average"},
	{"3G", "up rate 330kbit delay 100ms down rate 780kbit delay 100ms each flow",
	 "3G, average coverage; each connection its own link", "ATC 3G-Average"},
	{"4G", "up rate 750kbit delay 75ms 15ms down rate 1.6mbit delay 75ms 15ms",
	 "LTE, the slow quarter of 4G users",
	 "Lighthouse throttling.md, half the round trip each way; jitter is judgement"},
	{"5G", "up rate 20mbit delay 10ms 3ms down rate 150mbit delay 10ms 3ms",
	 "5G below 6 GHz, good coverage",
	 "judgement: order of magnitude of published mid-band drive tests"},
	{"NB-IoT",
	 "up rate 62kbit delay 800ms 400ms latency 10s down rate 26kbit delay 800ms 400ms latency "
	 "10s each flow",
	 "Cat-NB1, each connection its own link; the round trip is that of good coverage",
	 "blog.mbedded.ninja cellular table: 26/62 kbit/s, 1.6 to 10 s; spread is judgement"},
	{"LTE-M", "up rate 375kbit delay 50ms 20ms down rate 300kbit delay 50ms 20ms each flow",
	 "Cat-M1, half duplex, edge of normal coverage; each connection its own link",
	 "LTE-M white paper v1.1: 0.1 s; half-duplex peak rates of 3GPP release 13; jitter is "
	 "judgement"},
	{"satellite",
	 "up rate 1mbit delay 300ms 10ms loss 0.5% down rate 10mbit delay 300ms 10ms loss 0.5%",
	 "geostationary satellite",
	 "APNIC 2022: round trip around 600 ms; rates and loss are judgement"},
	{"satellite-leo",
	 "up rate 15mbit delay 20ms 10ms loss 1% down rate 100mbit delay 20ms 10ms loss 1%",
	 "low orbit constellation", "judgement, after the same APNIC tests"},
	{"train-tunnel",
	 "up loss gemodel 2% 10% 100% 0.1% delay 120ms 60ms rate 1mbit "
	 "down loss gemodel 2% 10% 100% 0.1% delay 120ms 60ms rate 4mbit",
	 "moving train: good stretches, and tunnels where all is lost",
	 "judgement: Gilbert-Elliott, mean burst 10 packets"},
	{"lossy-wifi",
	 "up loss gemodel 3% 30% 70% 0.5% delay 5ms 10ms distribution pareto "
	 "down loss gemodel 3% 30% 70% 0.5% delay 5ms 10ms distribution pareto",
	 "busy or distant access point: short bursts of loss, long tails of delay",
	 "judgement: Gilbert-Elliott, mean burst 3.3 packets"},
	{"carrier-nat", "both hang idle 5m",
	 "a carrier's NAT forgets connections that were silent for five minutes, and tells nobody",
	 "RFC 4787, REQ-5: the default for UDP; many carriers take it for TCP too"},
	{"half-open", "both hang old",
	 "the connections that exist go silent for ever, new ones work: the device's address "
	 "changed",
	 "aws-iot-device-sdk-js#264: 21 minutes until one noticed"},
	{"tls-stall", "both hang after 500b down match proto tcp",
	 "the ClientHello goes out, and the server's certificate never comes",
	 "arduino-esp32#5928; a first flight has 700 bytes and more"},
	{"home-router",
	 "both hang idle 90s match proto udp also both hang idle 1h max-flows 1024 match proto tcp",
	 "a NAT that forgets silent connections, UDP after 90 s and TCP after 1 h, and has 1,024 "
	 "ports for TCP",
	 "judgement: less than the 2 min and 2 h 4 min that RFC 4787 and RFC 5382 ask for"},
	{"captive",
	 "both reset after 1b match proto tcp also both blackhole match proto udp except dport 53",
	 "a network that wants a log-in first: names are found, TCP connects and is reset with its "
	 "first data, other UDP vanishes",
	 "judgement"},
	{"elevator", "both blackhole for 40s", "no connectivity for forty seconds, then no fault",
	 "judgement: a ride with its doors shut"},
	{"offline", "up blackhole down blackhole", "no connectivity at all",
	 "every packet is lost"},
	{"ATC 2G-DevelopingRural",
	 "up rate 18kbit delay 650ms loss 2% latency 2s down rate 20kbit delay 650ms loss 2% "
	 "latency 2s",
	 "ATC classic", "ATC 2G-DevelopingRural; queue bound is judgement"},
	{"ATC 2G-DevelopingUrban",
	 "up rate 32kbit delay 650ms latency 2s down rate 35kbit delay 650ms latency 2s",
	 "ATC classic", "ATC 2G-DevelopingUrban; queue bound is judgement"},
	{"ATC 3G-Average", "up rate 330kbit delay 100ms down rate 780kbit delay 100ms",
	 "ATC classic", "ATC 3G-Average"},
	{"ATC 3G-Good", "up rate 420kbit delay 100ms down rate 850kbit delay 90ms", "ATC classic",
	 "ATC 3G-Good"},
	{"ATC Edge-Average", "up rate 200kbit delay 440ms down rate 240kbit delay 400ms",
	 "ATC classic", "ATC Edge-Average"},
	{"ATC Edge-Good", "up rate 200kbit delay 370ms down rate 250kbit delay 350ms",
	 "ATC classic", "ATC Edge-Good"},
	{"ATC Edge-Lossy",
	 "up rate 200kbit delay 440ms loss 1% down rate 240kbit delay 400ms loss 1%", "ATC classic",
	 "ATC Edge-Lossy"},
	{"ATC Cable", "up rate 1mbit delay 2ms down rate 6mbit delay 2ms", "ATC classic",
	 "ATC Cable"},
	{"ATC DSL", "up rate 256kbit delay 5ms down rate 2mbit delay 5ms", "ATC classic",
	 "ATC DSL"},
	{"ATC NoConnectivity", "up rate 1kbit latency 10s down rate 1kbit latency 10s",
	 "ATC classic: one kbit/s, as its file says",
	 "ATC NoConnectivity; queue bound is judgement"},
};
#define N_SHIPPED (sizeof(shipped) / sizeof(shipped[0]))

struct profiles {
	struct state *state;
	json_t *saved; /* name -> {"description", "rule"} */
};

int profiles_new(struct state *state, struct profiles **ret)
{
	struct profiles *profiles = calloc(1, sizeof(*profiles));

	if (!profiles)
		return -ENOMEM;
	profiles->state = state;
	profiles->saved = json_object();
	*ret = profiles;
	for (size_t i = 0; i < N_SHIPPED; i++) {
		struct sq_rule rule;
		struct sq_error err = {0};

		/* A unit test goes through them all; this is for who edits the table. */
		if (sq_rule_from_text(shipped[i].text, strlen(shipped[i].text), &rule, &err) < 0)
			log_error("shipped profile %s: %s", shipped[i].name, err.text);
	}
	return profiles->saved ? 0 : -ENOMEM;
}

void profiles_free(struct profiles *profiles)
{
	if (!profiles)
		return;
	json_decref(profiles->saved);
	free(profiles);
}

static const struct shipped *find_shipped(const char *name)
{
	for (size_t i = 0; i < N_SHIPPED; i++)
		if (strcmp(shipped[i].name, name) == 0)
			return &shipped[i];
	return NULL;
}

static json_t *body_of(const struct sq_rule *rule)
{
	json_t *o = sq_rule_to_json(rule, 0);

	/* A profile is no rule in force: what only a rule in force has goes. */
	json_object_del(o, "id");
	json_object_del(o, "target_id");
	json_object_del(o, "set_ms");
	json_object_del(o, "expires_in_ns");
	json_object_del(o, "drawn_seed");
	if (!(rule->flags & SQ_R_SEED_GIVEN))
		json_object_del(o, "seed");
	return o;
}

int profile_rule(struct profiles *profiles, const char *name, struct sq_rule *ret,
		 struct sq_error *p)
{
	const struct shipped *s = find_shipped(name);
	json_t *own = json_object_get(profiles->saved, name);

	if (s)
		return p->code = sq_rule_from_text(s->text, strlen(s->text), ret, p);
	if (own)
		return p->code = sq_rule_from_json(json_object_get(own, "rule"), ret, p);
	return sq_error_set(p, -ENOENT, "name",
			    "there is no profile \"%.64s\"; see the list of profiles", name);
}

json_t *profile_json(struct profiles *profiles, const char *name)
{
	const struct shipped *s = find_shipped(name);
	json_t *own = json_object_get(profiles->saved, name);
	struct sq_error p = {0};
	struct sq_rule rule = {0};

	if ((!s && !own) || profile_rule(profiles, name, &rule, &p) < 0)
		return NULL;
	return json_pack("{s:s,s:o,s:o,s:b,s:o}", "name", name, "description",
			 s ? json_string(s->description)
			   : json_incref(json_object_get(own, "description")),
			 "source", s ? json_string(s->source) : json_null(), "shipped", s != NULL,
			 "rule", body_of(&rule));
}

json_t *profiles_list(struct profiles *profiles)
{
	json_t *list = json_array(), *value;
	const char *name;

	for (size_t i = 0; i < N_SHIPPED; i++)
		json_array_append_new(list, profile_json(profiles, shipped[i].name));
	json_object_foreach(profiles->saved, name, value)
		json_array_append_new(list, profile_json(profiles, name));
	return list;
}

static bool name_accepted(const char *name)
{
	size_t n = strlen(name);

	return n >= 1 && n <= PROFILE_NAME_MAX && name[0] != ' ' && name[n - 1] != ' ' &&
	       strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._ -") ==
		       n;
}

int profile_put(struct profiles *profiles, const char *name, const json_t *body, bool *ret_fresh,
		struct sq_error *p)
{
	static const char *const keys[] = {"name",   "rule",	"description",
					   "source", "shipped", NULL};
	json_t *description = json_object_get(body, "description"),
	       *inner = json_object_get(body, "rule"), *own;
	struct sq_rule rule;
	int rc;

	if (!name_accepted(name))
		return sq_error_set(p, -EINVAL, "name",
				    "\"%.80s\" is not accepted: 1 to %d letters, digits, \"._ -\"",
				    name, PROFILE_NAME_MAX);
	if (find_shipped(name))
		return sq_error_set(p, -EEXIST, "name",
				    "\"%s\" is a shipped profile, which cannot be changed: choose "
				    "another",
				    name);
	/* The rule alone will do. */
	if (json_object_get(body, "clauses") || json_object_get(body, "text"))
		inner = (json_t *)(uintptr_t)body;
	else if (!json_only_keys(body, keys, p))
		return p->code;
	if (description && !json_is_null(description) &&
	    (!json_is_string(description) || json_string_length(description) > 500))
		return sq_error_set(p, -EINVAL, "description",
				    "a text of at most 500 bytes is expected");
	if (!json_is_object(inner))
		return sq_error_set(p, -EINVAL, "rule",
				    "an object with \"text\" or \"clauses\" is expected");
	rc = sq_rule_from_json(inner, &rule, p);
	if (rc < 0)
		return p->code = rc;
	*ret_fresh = !json_object_get(profiles->saved, name);
	if (*ret_fresh && json_object_size(profiles->saved) >= MAX_PROFILES)
		return sq_error_set(p, -ENOSPC, "name",
				    "there are %d profiles already, the most there can be",
				    MAX_PROFILES);
	own = json_pack("{s:o,s:o}", "description",
			json_is_string(description) ? json_incref(description) : json_string(""),
			"rule", body_of(&rule));
	if (json_object_set_new(profiles->saved, name, own) < 0)
		return sq_error_set(p, -ENOMEM, NULL, "out of memory");
	state_dirty(profiles->state, STATE_PROFILES);
	return 0;
}

int profile_delete(struct profiles *profiles, const char *name, struct sq_error *p)
{
	if (find_shipped(name))
		return sq_error_set(p, -EPERM, "name",
				    "\"%s\" is a shipped profile, which cannot be deleted", name);
	if (json_object_del(profiles->saved, name) < 0)
		return sq_error_set(p, -ENOENT, "name", "there is no profile \"%.64s\"", name);
	state_dirty(profiles->state, STATE_PROFILES);
	return 0;
}

json_t *profiles_save(void *arg, bool clean)
{
	struct profiles *profiles = arg;

	(void)clean;
	return json_pack("{s:O}", "profiles", profiles->saved);
}

void profiles_restore(struct profiles *profiles, json_t *saved)
{
	json_t *value;
	const char *name;

	json_object_foreach(json_object_get(saved, "profiles"), name, value)
	{
		struct sq_error p = {0};
		bool fresh;

		if (profile_put(profiles, name, value, &fresh, &p) < 0)
			log_warn("state: profile %s set aside: %s", name, p.text);
	}
}
