// SPDX-License-Identifier: GPL-2.0-only
/* The text form's words and their values, whatever they belong to. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <squall/units.h>
#include "lib/rule/text.h"

const char *peek(const struct parser *p)
{
	return p->i < p->n ? p->words[p->i] : NULL;
}

bool one_of(const char *word, const char *const *list)
{
	for (; word && *list; list++)
		if (!strcmp(word, *list))
			return true;
	return false;
}

bool value_follows(const struct parser *p)
{
	const char *w = peek(p);

	return w && ((*w >= '0' && *w <= '9') || *w == '.' || *w == '-' || *w == '+');
}

int missing(struct parser *p, const char *field, const char *accepts)
{
	return sq_error_set(p->err, -EINVAL, field, "a value is missing: %s", accepts);
}

int take_number(struct parser *p, const char *field, parse_fn parse, const char *accepts,
		uint64_t min, __u64 *ret)
{
	const char *w = peek(p);
	uint64_t v;

	if (!w)
		return missing(p, field, accepts);
	if (parse(w, &v) || v < min)
		return sq_error_value(p->err, -EINVAL, field, w, accepts);
	*ret = v;
	p->i++;
	return 0;
}

int take_percent(struct parser *p, const char *field, uint32_t *ret)
{
	const char *w = peek(p);

	if (!w)
		return missing(p, field, accepts_percent);
	if (sq_parse_percent(w, ret))
		return sq_error_value(p->err, -EINVAL, field, w, accepts_percent);
	p->i++;
	return 0;
}

int take_corr(struct parser *p, const char *field, uint32_t *ret)
{
	char corr[FIELD_SIZE];

	if (!value_follows(p))
		return 0;
	snprintf(corr, sizeof(corr), "%.40s.correlation", field);
	return take_percent(p, corr, ret);
}

int take_probabilities(struct parser *p, const char *field, const char *const *names, int n,
		       uint32_t *ret)
{
	char name[FIELD_SIZE];
	int i, r;

	for (i = 0; i < n && (i == 0 || value_follows(p)); i++) {
		snprintf(name, sizeof(name), "%.40s.%s", field, names[i]);
		r = take_percent(p, name, &ret[i]);
		if (r)
			return r;
	}
	return i;
}
