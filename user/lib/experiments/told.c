// SPDX-License-Identifier: GPL-2.0-only
/* One table: each member, its type and how much of it there may be. */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include "lib/experiments/register.h"
#include "lib/experiments/told.h"

enum kind { TEXT, NUMBER, WHOLE, LIST_OF_TEXT, LIST_OF };

struct member {
	const char *name;
	enum kind kind;
	bool needed;
	unsigned most; /* of a text: bytes; of a number: its value; of a list: how many */
	const struct member *of;
};

#define MAX_FAULTS 32 /* of an experiment; so its phases are 2n + 3 at most */
#define WEEK_S	   (7 * 86400)

static const struct member phase[] = {
	{"phase", TEXT, true, 16, NULL},	{"faults", LIST_OF_TEXT, true, MAX_FAULTS, NULL},
	{"from_s", NUMBER, true, WEEK_S, NULL}, {"to_s", NUMBER, true, WEEK_S, NULL},
	{NULL, TEXT, false, 0, NULL},
};
static const struct member threshold[] = {
	{"metric", TEXT, true, 128, NULL}, {"limit", TEXT, true, 64, NULL},
	{"verdict", TEXT, true, 16, NULL}, {"said", TEXT, true, 200, NULL},
	{NULL, TEXT, false, 0, NULL},
};
static const struct member top[] = {
	{"name", TEXT, true, 128, NULL},
	{"host", TEXT, false, 255, NULL},
	{"started_ms", WHOLE, true, UINT32_MAX, NULL},
	{"ttl_s", WHOLE, true, 60, NULL},
	{"phase", TEXT, true, 16, NULL},
	{"faults", LIST_OF_TEXT, true, MAX_FAULTS, NULL},
	{"elapsed_s", NUMBER, true, WEEK_S, NULL},
	{"duration_s", NUMBER, true, WEEK_S, NULL},
	{"phases", LIST_OF, true, 2 * MAX_FAULTS + 3, phase},
	{"thresholds", LIST_OF, true, 64, threshold},
	{"verdict", TEXT, false, 32, NULL},
	{"exit", WHOLE, false, 255, NULL},
	{"why", TEXT, false, 500, NULL},
	{NULL, TEXT, false, 0, NULL},
};

static int text(const char *where, const json_t *v, unsigned most, struct sq_error *err)
{
	size_t n = json_is_string(v) ? json_string_length(v) : most + 1;

	if (n <= most)
		return 0;
	return sq_error_set(err, -EINVAL, where, "a text of at most %u bytes is accepted", most);
}

static int number(const char *where, const json_t *v, const struct member *m, struct sq_error *err)
{
	bool time = !strcmp(m->name, "started_ms");
	double x = json_number_value(v);

	if (m->kind == WHOLE ? json_is_integer(v) : json_is_number(v) && isfinite(x))
		if (x >= 0 && (time ? x < 9e15 : x <= m->most) &&
		    (x > 0 || strcmp(m->name, "ttl_s")))
			return 0;
	if (time)
		return sq_error_set(err, -EINVAL, where, "milliseconds since 1970 are accepted");
	return sq_error_set(err, -EINVAL, where, "a %snumber from %d to %u is accepted",
			    m->kind == WHOLE ? "whole " : "", !strcmp(m->name, "ttl_s"), m->most);
}

static int object(const char *where, const json_t *o, const struct member *m, struct sq_error *err);

static int list(const char *where, const json_t *v, const struct member *m, struct sq_error *err)
{
	const json_t *one;
	char at[64];
	size_t i;
	int rc = 0;

	if (!json_is_array(v) || json_array_size(v) > m->most)
		return sq_error_set(err, -EINVAL, where, "a list of at most %u is accepted",
				    m->most);
	json_array_foreach((json_t *)(uintptr_t)v, i, one)
	{
		snprintf(at, sizeof(at), "%.40s[%zu]", where, i);
		rc = m->kind == LIST_OF ? object(at, one, m->of, err) : text(at, one, 64, err);
		if (rc)
			break;
	}
	return rc;
}

static const struct member *find(const struct member *m, const char *name)
{
	while (m->name && strcmp(m->name, name))
		m++;
	return m->name ? m : NULL;
}

static int object(const char *where, const json_t *o, const struct member *table,
		  struct sq_error *err)
{
	char at[96], quoted[SQ_QUOTED];
	const char *key;
	json_t *v;

	if (!json_is_object(o))
		return sq_error_set(err, -EINVAL, *where ? where : "body",
				    "a JSON object is expected");
	json_object_foreach((json_t *)(uintptr_t)o, key, v)
	{
		const struct member *m = find(table, key);
		int rc;

		snprintf(at, sizeof(at), "%.60s%s%.30s", where, *where ? "." : "", key);
		if (!m)
			return sq_error_set(err, -EINVAL, *where ? where : "body",
					    "member %s is unknown",
					    sq_quote(key, strlen(key), quoted, sizeof(quoted)));
		rc = m->kind == TEXT	       ? text(at, v, m->most, err)
		     : m->kind >= LIST_OF_TEXT ? list(at, v, m, err)
					       : number(at, v, m, err);
		if (rc)
			return rc;
	}
	for (const struct member *m = table; m->name; m++)
		if (m->needed && !json_object_get(o, m->name))
			return sq_error_set(err, -EINVAL, m->name, "is missing%s%s",
					    *where ? " in " : "", where);
	return 0;
}

int exp_told_check(const json_t *told, struct sq_error *err)
{
	return object("", told, top, err);
}

int exp_told_id(const char *id, struct sq_error *err)
{
	static const char ok[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
	char quoted[SQ_QUOTED];
	size_t n = strlen(id);

	if (n && n <= EXPREG_ID && *id != '.' && strspn(id, ok) == n)
		return 0;
	return sq_error_set(err, -EINVAL, "experiment",
			    "%s is not accepted: 1 to %d letters, digits, '.', '-' and '_', the "
			    "first no dot",
			    sq_quote(id, n, quoted, sizeof(quoted)), EXPREG_ID);
}
