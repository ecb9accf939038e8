// SPDX-License-Identifier: GPL-2.0-only
/* That every row of --credentials makes a device: names, topics, and no identifier twice. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "sim/fleet/creds.h"
#include "sim/fleet/tmpl.h"
#include "sim/mqtt/mqtt.h"

struct who {
	uint64_t hash;
	uint32_t row;
};

static int by_hash(const void *a, const void *b)
{
	const struct who *x = a, *y = b;

	return x->hash < y->hash ? -1 : x->hash > y->hash;
}

static uint64_t hash_of(const char *s, size_t n)
{
	uint64_t h = 0xcbf29ce484222325ull;

	while (n--)
		h = (h ^ (uint8_t)*s++) * 0x100000001b3ull;
	return h ^ h >> 29;
}

enum { THING, CLIENT, USER, PASSWORD, TOPIC, PARTS };
static const char *const part_name[PARTS] = {"thing", "client-id", "username", "password", "topic"};

static int compile(const struct sim_profile *p, const struct sim_creds *creds,
		   struct sim_tmpl *t[PARTS], struct sq_error *err)
{
	int rc = sim_tmpl_name(p->thing, "thing", creds, &t[THING], err);

	rc = rc ? rc : sim_tmpl_name(p->client_id, "client-id", creds, &t[CLIENT], err);
	rc = rc ? rc : sim_tmpl_name(p->username, "username", creds, &t[USER], err);
	rc = rc ? rc : sim_tmpl_password(p->password, "password", creds, &t[PASSWORD], err);
	if (!rc && *p->topic)
		rc = sim_tmpl_topic(p->topic, "topic", creds, &t[TOPIC], err);
	for (unsigned i = USER; i < PARTS; i++)
		sim_tmpl_client(t[i], t[CLIENT]);
	return rc;
}

/* One device's names; its client identifier's hash in *ret. */
static int one(const struct sim_profile *p, const struct sim_creds *creds, uint32_t i,
	       struct sim_tmpl *const t[PARTS], uint64_t *ret, struct sq_error *err)
{
	/* What a device has room for: SIM_* of device/connect.c and publish.c. */
	static const size_t most[PARTS] = {255, 256, SIM_USER_MAX, SIM_PASSWORD_MAX, 1024};
	uint32_t row = i + p->credentials_skip, line = sim_creds_line(creds, row);
	struct sim_tmpl_ctx c = {.type = p->name, .index = i + p->first, .row = row};
	char thing[256], buf[SIM_PASSWORD_MAX];

	for (unsigned k = 0; k < PARTS; k++) {
		long n = t[k] ? sim_tmpl_render(t[k], &c, buf, most[k]) : 0;

		if (n < 0)
			return sq_bad(err,
				      "credentials '%.180s' line %u: %s: longer than %zu bytes",
				      p->credentials, line, part_name[k], most[k]);
		if (k == THING) {
			memcpy(thing, buf, (size_t)n);
			thing[n] = 0;
			c.thing = c.client_id = thing;
		} else if (k == CLIENT) {
			*ret = hash_of(buf, (size_t)n);
		} else if (k == TOPIC && t[k] && !mqtt_topic_ok((uint8_t *)buf, (size_t)n)) {
			return sq_bad(err,
				      "credentials '%.180s' line %u: topic '%.*s': not a valid "
				      "topic name",
				      p->credentials, line, (int)(n < 100 ? n : 100), buf);
		}
	}
	return 0;
}

int sim_creds_check(const struct sim_profile *p, uint32_t n, struct sq_error *err)
{
	struct sim_tmpl *t[PARTS] = {NULL};
	const struct sim_creds *creds;
	struct who *who = NULL;
	int rc = sim_creds_get(p->credentials, &creds, err);

	if (rc || !creds)
		return rc;
	if ((uint64_t)n + p->credentials_skip > sim_creds_rows(creds))
		return sq_bad(err,
			      "credentials '%.150s': has %u rows, and %u devices of type %s need a "
			      "row each%s",
			      p->credentials, sim_creds_rows(creds), n, p->name,
			      p->credentials_skip ? " behind those of credentials-skip" : "");
	rc = compile(p, creds, t, err);
	if (!rc && n && !(who = malloc(n * sizeof(*who))))
		rc = sq_bad(err, "credentials: out of memory");
	for (uint32_t i = 0; i < n && !rc; i++) {
		who[i].row = i + p->credentials_skip;
		rc = one(p, creds, i, t, &who[i].hash, err);
	}
	if (!rc && n && *p->client_id) {
		qsort(who, n, sizeof(*who), by_hash);
		for (uint32_t i = 1; i < n && !rc; i++)
			if (who[i].hash == who[i - 1].hash)
				rc = sq_bad(err,
					    "credentials '%.180s' lines %u and %u: make the same "
					    "client-id ('%.60s')",
					    p->credentials, sim_creds_line(creds, who[i - 1].row),
					    sim_creds_line(creds, who[i].row), p->client_id);
	}
	for (unsigned i = 0; i < PARTS; i++)
		sim_tmpl_free(t[i]);
	free(who);
	return rc;
}
