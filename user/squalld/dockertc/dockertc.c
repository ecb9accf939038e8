// SPDX-License-Identifier: GPL-2.0-only
/* docker-tc's parameters and labels, as rules. */
#include "squalld/dockertc/dockertc.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <squall/units.h>
#include "squalld/base/url.h"
#include "squalld/control/book.h"

#define LABEL	   "com.docker-tc."
#define VALUE_MAX  128
#define MAX_TOKENS 5 /* "100ms 20ms 25% distribution normal" */

static const struct field {
	const char *name; /* as docker-tc calls it; "limit" is the label's word for "rate" */
	const char *word; /* ours */
	int max_tokens;
} fields[] = {
	{"rate", "rate", 1},	   {"limit", "rate", 1},      {"delay", "delay", MAX_TOKENS},
	{"loss", "loss", 2},	   {"corrupt", "corrupt", 2}, {"duplicate", "duplicate", 2},
	{"reorder", "reorder", 2},
};
#define N_FIELDS (sizeof(fields) / sizeof(fields[0]))

struct tc_params {
	char value[N_FIELDS][VALUE_MAX];
	bool given[N_FIELDS];
	enum tc_direction direction;
	bool direction_given;
	char order[N_FIELDS];
	size_t n;
};

static int set_direction(struct tc_params *t, const char *value, struct sq_error *err)
{
	if (t->direction_given)
		return sq_error_set(err, -EINVAL, "direction", "given twice");
	if (strcmp(value, "up") == 0)
		t->direction = TC_UP;
	else if (strcmp(value, "down") == 0)
		t->direction = TC_DOWN;
	else if (strcmp(value, "both") == 0)
		t->direction = TC_BOTH;
	else
		return sq_error_set(err, -EINVAL, "direction",
				    "\"%.40s\" is not accepted: up, down or both", value);
	t->direction_given = true;
	return 0;
}

static int set_field(struct tc_params *t, const char *name, const char *value, const char *accepted,
		     struct sq_error *err)
{
	if (strlen(value) >= VALUE_MAX)
		return sq_error_set(err, -EINVAL, name,
				    "a value of %zu bytes is not accepted: at most %d",
				    strlen(value), VALUE_MAX - 1);
	for (size_t i = 0; i < N_FIELDS; i++) {
		if (strcmp(fields[i].name, name) != 0)
			continue;
		/* rate and limit are one thing. */
		if (t->given[i] || (i < 2 && t->given[1 - i]))
			return sq_error_set(err, -EINVAL, name, "given twice");
		snprintf(t->value[i], VALUE_MAX, "%s", value);
		t->given[i] = true;
		t->order[t->n++] = (char)i;
		return 0;
	}
	return sq_error_set(err, -EINVAL, NULL, "Invalid field %.40s; accepted: %s", name,
			    accepted);
}

/* Numbers only: a value may not smuggle in words of our own rule language. */
static int split_value(const struct field *f, char *value, const char **ret_token,
		       struct sq_error *err)
{
	int n = 0;
	char *save = NULL;

	for (char *tok = strtok_r(value, " \t\r\n", &save); tok;
	     tok = strtok_r(NULL, " \t\r\n", &save)) {
		bool word = strcmp(f->word, "delay") == 0 && n >= 2 &&
			    (strcmp(tok, "distribution") == 0 ||
			     strcmp(ret_token[n - 1], "distribution") == 0);

		if (n == f->max_tokens)
			return sq_error_set(err, -EINVAL, f->name,
					    "more than %d values are not accepted", f->max_tokens);
		if (!word && !isdigit((unsigned char)tok[0]) && tok[0] != '.')
			return sq_error_set(
				err, -EINVAL, f->name,
				"\"%.60s\" is not accepted: a number with a unit is expected", tok);
		if (word && strcmp(tok, "distribution") != 0 &&
		    strspn(tok, "abcdefghijklmnopqrstuvwxyz") != strlen(tok))
			return sq_error_set(err, -EINVAL, f->name,
					    "distribution \"%.60s\" is not accepted", tok);
		ret_token[n++] = tok;
	}
	if (!n)
		return sq_error_set(err, -EINVAL, f->name, "an empty value is not accepted");
	return n;
}

static int to_rule(const struct tc_params *t, uint64_t link_bps, struct sq_rule *ret,
		   struct sq_error *err)
{
	const char *words[2 * N_FIELDS * (MAX_TOKENS + 1) + 4];
	char copy[N_FIELDS][VALUE_MAX], rate[32];
	int n = 0;

	for (int dir = TC_UP; dir <= TC_DOWN; dir++) {
		if (!(t->direction & dir))
			continue;
		words[n++] = dir == TC_UP ? "up" : "down";
		for (size_t k = 0; k < t->n; k++) {
			const struct field *f = &fields[(int)t->order[k]];
			const char *token[MAX_TOKENS + 1] = {""};
			uint64_t bps;
			int m;

			strcpy(copy[k], t->value[(int)t->order[k]]);
			m = split_value(f, copy[k], token, err);
			if (m <= 0)
				return m;
			if (strcmp(f->word, "rate") == 0) {
				/* A percentage is of the link; what that is, the rule parser does
				 * not know. */
				if (strchr(token[0], '%') && !link_bps)
					return sq_error_set(
						err, -EINVAL, f->name,
						"\"%.60s\" is not accepted here: the speed "
						"of this "
						"container's link is not known; give it in "
						"bits, as 10mbit",
						token[0]);
				if (sq_parse_rate(token[0], link_bps, &bps) < 0)
					return sq_error_set(
						err, -EINVAL, f->name,
						"\"%.60s\" is not accepted: a rate as "
						"500kbit, 1mbit, 1mbps "
						"(megabytes per second, as in tc) or 70.5%% of "
						"the link",
						token[0]);
				snprintf(rate, sizeof(rate), "%llu", (unsigned long long)bps);
				token[0] = rate;
			}
			words[n++] = f->word;
			for (int i = 0; i < m; i++)
				words[n++] = token[i];
		}
		/* The tokens of the first direction point into copy[], which the second writes anew
		 * with the same text. */
	}
	return sq_rule_from_words(n, words, ret, err);
}

int dockertc_parse_form(const char *form, size_t len, enum tc_direction direction,
			uint64_t link_bps, struct sq_rule *ret, char ret_echo[TC_ECHO_MAX],
			struct sq_error *err)
{
	static const char accepted[] = "rate, delay, loss, corrupt, duplicate, reorder, direction";
	struct tc_params t = {.direction = direction};
	char pair[512];
	size_t echo = 0;

	memset(err, 0, sizeof(*err));
	ret_echo[0] = 0;
	if (memchr(form, 0, len))
		return sq_error_set(err, -EINVAL, NULL, "a NUL byte is not accepted");
	for (size_t at = 0; at < len;) {
		const char *amp = memchr(form + at, '&', len - at);
		size_t n = amp ? (size_t)(amp - (form + at)) : len - at;
		char *value;
		int rc;

		while (n && strchr("\r\n", form[at + n - 1]))
			n--; /* a body from a file ends with a newline */
		if (n >= sizeof(pair))
			return sq_error_set(err, -EINVAL, NULL,
					    "a parameter of %zu bytes is not accepted", n);
		memcpy(pair, form + at, n);
		pair[n] = 0;
		at = amp ? (size_t)(amp - form) + 1 : len;
		if (!n)
			continue; /* a trailing & */
		value = strchr(pair, '=');
		if (!value) {
			percent_decode(pair, true, false);
			return sq_error_set(err, -EINVAL, pair, "NAME=VALUE is expected");
		}
		*value++ = 0;
		/* "50%" unescaped is what everybody writes, so what is no escape stands for itself.
		 */
		percent_decode(pair, true, false);
		percent_decode(value, true, false);
		rc = strcmp(pair, "direction") == 0 ? set_direction(&t, value, err)
						    : set_field(&t, pair, value, accepted, err);
		if (rc < 0)
			return rc;
		if (echo < TC_ECHO_MAX - 1)
			echo += (size_t)snprintf(ret_echo + echo, TC_ECHO_MAX - echo, "%s%s=%s",
						 echo ? ", " : "", pair, value);
	}
	if (!t.n) {
		sq_error_set(err, -EINVAL, NULL,
			     "Nothing to do: no parameter was given; accepted: %s", accepted);
		return -ENODATA;
	}
	return to_rule(&t, link_bps, ret, err);
}

int dockertc_parse_labels(const json_t *labels, enum tc_direction direction, uint64_t link_bps,
			  struct sq_rule *ret, bool *ret_enabled, struct sq_error *err)
{
	static const char accepted[] =
		"enabled, limit, delay, loss, corrupt, duplicate, reorder, direction";
	struct tc_params t = {.direction = direction};
	const char *key;
	json_t *value;

	memset(err, 0, sizeof(*err));
	*ret_enabled = false;
	key = json_string_value(json_object_get(labels, LABEL "enabled"));
	if (!key || strcmp(key, "0") == 0)
		return 0;
	if (strcmp(key, "1") != 0)
		return sq_error_set(err, -EINVAL, LABEL "enabled",
				    "\"%.40s\" is not accepted: 1 or 0", key);
	*ret_enabled = true;
	json_object_foreach((json_t *)labels, key, value)
	{
		const char *name = key + strlen(LABEL), *text = json_string_value(value);
		int rc;

		if (strncmp(key, LABEL, strlen(LABEL)) != 0 || strcmp(name, "enabled") == 0 ||
		    strcmp(name, "self") == 0)
			continue;
		if (!text)
			text = "";
		if (strcmp(name, "direction") == 0)
			rc = set_direction(&t, text, err);
		else if (strcmp(name, "rate") == 0)
			rc = sq_error_set(err, -EINVAL, NULL,
					  LABEL "rate is called " LABEL "limit");
		else
			rc = set_field(&t, name, text, accepted, err);
		if (rc < 0)
			return rc;
	}
	if (!t.n)
		return -ENODATA; /* managed, but nothing asked for: as in docker-tc, no fault */
	return to_rule(&t, link_bps, ret, err);
}
