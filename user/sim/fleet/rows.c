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

/* What a row makes: texts, topics and filters, with what a device has room for (device/connect.c,
 * publish.c). */
enum kind { TEXT, TOPIC, FILTER, PATH, HEADER };
struct part {
	const char *name;
	size_t most;
	enum kind kind;
	struct sim_tmpl *t; /* NULL: the same in all rows, and checked before */
	const char *text;
};
enum { THING, CLIENT, OTHERS };
#define PARTS (OTHERS + 8 + SIM_MAX_SUBS + SIM_MAX_WS_HEADERS)

static int add(struct part *part, unsigned *n, const struct part *of, const char *text,
	       const struct sim_creds *creds, struct sq_error *err)
{
	struct part *to = &part[(*n)++];

	*to = *of;
	to->text = text;
	if (*n > OTHERS && !strchr(text, '{'))
		return 0;
	return !strcmp(of->name, "password") ? sim_tmpl_password(text, of->name, creds, &to->t, err)
	       : !strcmp(of->name, "topic")  ? sim_tmpl_topic(text, of->name, creds, &to->t, err)
					     : sim_tmpl_name(text, of->name, creds, &to->t, err);
}

static int compile(const struct sim_profile *p, const struct sim_creds *creds, struct part *part,
		   unsigned *ret_n, struct sq_error *err)
{
	const struct part all[] = {
		{"thing", 255, TEXT, NULL, p->thing},
		{"client-id", 255, TEXT, NULL, p->client_id},
		{"username", SIM_USER_MAX, TEXT, NULL, p->username},
		{"password", SIM_PASSWORD_MAX, TEXT, NULL, p->password},
		{"topic", 1024, TOPIC, NULL, p->topic},
		{"will-topic", 1024, TOPIC, NULL, p->will_topic},
		{"response-topic", 1024, TOPIC, NULL, p->response_topic},
		{"response", 1024, TOPIC, NULL, p->response},
		{"command", 512, FILTER, NULL, p->command},
	};
	static const struct part sub = {"subscribe", 512, FILTER, NULL, NULL},
				 path = {"broker", SIM_PATH_MAX - 1, PATH, NULL, NULL},
				 header = {"ws-header", 4096, HEADER, NULL, NULL};
	int rc = 0;

	for (unsigned i = 0; i < sizeof(all) / sizeof(*all) && !rc; i++)
		rc = add(part, ret_n, &all[i], all[i].text, creds, err);
	for (unsigned i = 0; i < p->nsubs && !rc; i++)
		rc = add(part, ret_n, &sub, p->sub[i], creds, err);
	if (p->ws && !rc)
		rc = add(part, ret_n, &path, p->path, creds, err);
	for (unsigned i = 0; i < p->nws_headers && !rc; i++)
		rc = add(part, ret_n, &header, p->ws_header[i], creds, err);
	for (unsigned i = OTHERS; i < *ret_n; i++)
		sim_tmpl_client(part[i].t, part[CLIENT].t);
	return rc;
}

static long bad_byte(enum kind kind, const char *s, size_t n)
{
	return kind == PATH ? sim_path_bad(s, n) : sim_header_bad(s, n);
}

/* What a request of HTTP may not have; the column that brings it is named, if one does. */
static int not_http(const struct sim_profile *p, const struct sim_creds *creds, uint32_t row,
		    const struct part *of, const char *made, long at, struct sq_error *err)
{
	char column[80] = "";

	for (const char *w = strchr(of->text, '{'); w && !*column; w = strchr(w + 1, '{')) {
		size_t n = strcspn(w + 1, "{}"), len;
		int i = sim_creds_column(creds, w + 1, n);
		const char *cell = i < 0 ? NULL : sim_creds_cell(creds, row, (unsigned)i, &len);

		if (cell && bad_byte(of->kind, cell, len) >= 0)
			snprintf(column, sizeof(column), ", column %.*s", (int)n, w + 1);
	}
	return sq_bad(err, "credentials '%.180s' line %u%s: %s: byte 0x%02x; accepted in %s",
		      p->credentials, sim_creds_line(creds, row), column, of->name,
		      (uint8_t)made[at], of->kind == PATH ? SIM_PATH_WORDS : SIM_HEADER_WORDS);
}

static int at_line(const struct sim_profile *p, uint32_t line, const struct sq_error *why,
		   struct sq_error *err)
{
	return sq_bad(err, "credentials '%.180s' line %u: %.400s", p->credentials, line, why->text);
}

/* One device's names; its client identifier's hash in *ret. */
static int one(const struct sim_profile *p, const struct sim_creds *creds, uint32_t i,
	       const struct part *part, unsigned nparts, uint64_t *ret, struct sq_error *err)
{
	uint32_t row = i + p->credentials_skip, line = sim_creds_line(creds, row);
	struct sim_tmpl_ctx c = {.type = p->name, .index = i + p->first, .row = row};
	char thing[256], buf[SIM_PASSWORD_MAX];
	struct sq_error why;

	for (unsigned k = 0; k < nparts; k++) {
		const struct part *of = &part[k];
		long n = of->t ? sim_tmpl_render(of->t, &c, buf, of->most) : 0;

		if (n < 0)
			return sq_bad(err,
				      "credentials '%.180s' line %u: %s: longer than %zu bytes",
				      p->credentials, line, of->name, of->most);
		if (k == THING) {
			memcpy(thing, buf, (size_t)n);
			thing[n] = 0;
			c.thing = c.client_id = thing;
		} else if (k == CLIENT) {
			buf[n] = 0;
			*ret = hash_of(buf, (size_t)n);
			if (!n && !p->clean)
				return sq_bad(err,
					      "credentials '%.180s' line %u: client-id: a "
					      "persistent session needs one",
					      p->credentials, line);
			if (p->aws && sim_aws_client(buf, &why))
				return at_line(p, line, &why, err);
		} else if (of->t && of->kind == TOPIC &&
			   !mqtt_topic_ok((uint8_t *)buf, (size_t)n)) {
			return sq_bad(err,
				      "credentials '%.180s' line %u: %s '%.*s': not a valid "
				      "topic name",
				      p->credentials, line, of->name, (int)(n < 100 ? n : 100),
				      buf);
		} else if (of->t && of->kind == FILTER &&
			   !mqtt_filter_ok((uint8_t *)buf, (size_t)n)) {
			return sq_bad(err,
				      "credentials '%.180s' line %u: %s '%.*s': not a valid "
				      "topic filter",
				      p->credentials, line, of->name, (int)(n < 100 ? n : 100),
				      buf);
		} else if (of->t && p->aws && (of->kind == TOPIC || of->kind == FILTER)) {
			buf[n] = 0;
			if (sim_aws_topic(buf, of->text, of->name, of->kind == FILTER, &why))
				return at_line(p, line, &why, err);
		} else if (of->t && of->kind >= PATH && bad_byte(of->kind, buf, (size_t)n) >= 0) {
			return not_http(p, creds, row, of, buf, bad_byte(of->kind, buf, (size_t)n),
					err);
		}
	}
	return 0;
}

int sim_creds_check(const struct sim_profile *p, uint32_t n, struct sq_error *err)
{
	struct part part[PARTS] = {{0}};
	const struct sim_creds *creds;
	unsigned nparts = 0;
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
	rc = compile(p, creds, part, &nparts, err);
	if (!rc && n && !(who = malloc(n * sizeof(*who))))
		rc = sq_bad(err, "credentials: out of memory");
	for (uint32_t i = 0; i < n && !rc; i++) {
		who[i].row = i + p->credentials_skip;
		rc = one(p, creds, i, part, nparts, &who[i].hash, err);
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
	for (unsigned i = 0; i < nparts; i++)
		sim_tmpl_free(part[i].t);
	free(who);
	return rc;
}

/* The text that a device's client identifier is made of. */
static const char *identity(const struct sim_profile *p)
{
	return strcmp(p->client_id, "{thing}") ? p->client_id : p->thing;
}

/* The words of both types that tell one device from another: of its row, of its number. */
struct differ {
	bool row, index, type;
};

static void look(const struct sim_profile *p, const char *text, struct differ *ret)
{
	const struct sim_creds *creds = NULL;
	struct sq_error err;

	if (*p->credentials && sim_creds_get(p->credentials, &creds, &err))
		return;
	for (const char *w = strchr(text, '{'); w; w = strchr(w + 1, '{'))
		ret->row |= sim_creds_column(creds, w + 1, strcspn(w + 1, "{}")) >= 0;
	ret->index |= strstr(text, "{index}") != NULL;
	ret->type |= strstr(text, "{type}") != NULL;
}

static bool meet(uint64_t a, uint32_t na, uint64_t b, uint32_t nb)
{
	return a < b + nb && b < a + na;
}

/* Two types with devices of one client identifier: each throws the other out. */
static bool same_names(const struct sim_profile *a, uint32_t na, const struct sim_profile *b,
		       uint32_t nb, struct differ *ret)
{
	const char *id = identity(a);

	*ret = (struct differ){false, false, false};
	if (!*id || strcmp(id, identity(b)) || strcmp(a->broker, b->broker))
		return false;
	look(a, id, ret);
	if (strstr(id, "{thing}")) {
		if (strcmp(a->thing, b->thing))
			return false;
		look(a, a->thing, ret);
	}
	if (ret->type || (ret->row && strcmp(a->credentials, b->credentials)))
		return false;
	/* With both the same row must have the same number. */
	if (ret->row && ret->index &&
	    (uint64_t)a->first + b->credentials_skip != (uint64_t)b->first + a->credentials_skip)
		return false;
	return ret->row	    ? meet(a->credentials_skip, na, b->credentials_skip, nb)
	       : ret->index ? meet(a->first, na, b->first, nb)
			    : na && nb;
}

int sim_creds_shared(const struct sim_fleet *f, const uint32_t *count, struct sq_error *err)
{
	for (unsigned i = 0; i < f->ntypes; i++) {
		for (unsigned k = 0; k < i; k++) {
			const struct sim_profile *a = &f->type[k], *b = &f->type[i];
			struct differ by;

			if (!same_names(a, count[k], b, count[i], &by))
				continue;
			if (by.row)
				return sq_bad(err,
					      "credentials '%.150s': types %s and %s take the same "
					      "rows, and their devices would throw each other out; "
					      "give %s credentials-skip %u",
					      b->credentials, a->name, b->name, b->name,
					      a->credentials_skip + count[k]);
			return sq_bad(
				err,
				"client-id '%.100s': types %s and %s make the same, and their "
				"devices would throw each other out; put {type} into thing or "
				"client-id%s%s",
				identity(a), a->name, b->name,
				by.index ? ", or another first into " : "",
				by.index ? b->name : "");
		}
	}
	return 0;
}
