// SPDX-License-Identifier: GPL-2.0-only
/* The text form's words about flows. They belong to a clause, wherever among its faults they stand.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <squall/units.h>
#include "lib/rule/text.h"

const char *const flow_words[] = {"each", "flows", "hang", "reset", "max-flows", "dns", NULL};

/* A time or a size, told apart by the unit: 2m is two minutes, 2mb are bytes. */
static int parse_after(struct parser *p, const char *field, struct sq_flow_ask *a)
{
	const char *w = peek(p);
	uint64_t v;

	if (!w)
		return missing(p, field, accepts_trigger);
	if (!sq_parse_duration(w, &v)) {
		a->when = SQ_WHEN_AGE;
	} else if (*w && (w[strlen(w) - 1] < '0' || w[strlen(w) - 1] > '9') &&
		   !sq_parse_size(w, &v)) {
		a->when = SQ_WHEN_BYTES;
		a->dirs = 1 << SQ_UP | 1 << SQ_DOWN;
	} else {
		return sq_error_value(p->err, -EINVAL, field, w, accepts_trigger);
	}
	if (!v)
		return sq_error_value(p->err, -EINVAL, field, w, accepts_trigger);
	p->i++;
	a->value = v;
	w = peek(p);
	if (a->when == SQ_WHEN_BYTES && w && (!strcmp(w, "up") || !strcmp(w, "down"))) {
		a->dirs = 1 << (*w == 'u' ? SQ_UP : SQ_DOWN);
		p->i++;
	}
	return 0;
}

static int parse_act(struct parser *p, const char *field, struct sq_flow_ask *a)
{
	const char *w = peek(p);
	__u64 v = 0;
	int r;

	if (!w)
		return missing(p, field, accepts_trigger);
	p->i++;
	if (!strcmp(w, "old")) {
		a->when = SQ_WHEN_OLD;
		return 0;
	}
	if (!strcmp(w, "idle")) {
		r = take_number(p, field, sq_parse_duration, accepts_trigger, 1, &v);
		a->when = SQ_WHEN_IDLE;
		a->value = v;
		return r;
	}
	if (!strcmp(w, "at")) {
		w = peek(p);
		if (!w)
			return missing(p, field, accepts_trigger);
		a->when = SQ_WHEN_MQTT;
		a->value = phase_by_name(w);
		if (!a->value)
			return sq_error_value(p->err, -EINVAL, field, w, accepts_trigger);
		p->i++;
		return 0;
	}
	if (!strcmp(w, "after"))
		return parse_after(p, field, a);
	return sq_error_value(p->err, -EINVAL, field, w, accepts_trigger);
}

static int parse_dns(struct parser *p, const char *field, struct sq_flow_ask *a)
{
	const char *w = peek(p);
	int r = w ? dns_by_name(w) : 0;
	__u64 ns = 0;

	if (!w)
		return missing(p, field, accepts_dns);
	if (r < 0)
		return sq_error_value(p->err, -EINVAL, field, w, accepts_dns);
	p->i++;
	a->dns = (uint8_t)r;
	if (r != SQ_DNS_SLOW)
		return 0;
	w = peek(p);
	r = take_number(p, field, sq_parse_duration, accepts_dns, 1, &ns);
	a->dns_ns = ns;
	return !r && ns > MAX_DNS_NS ? sq_error_value(p->err, -EINVAL, field, w, accepts_dns) : r;
}

static int parse_count(const char *text, uint64_t *ret)
{
	char *end;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	*ret = strtoull(text, &end, 10);
	return *end || *ret > SQ_LINKS_MAX ? -EINVAL : 0;
}

int parse_flow_word(struct parser *p, const char *word)
{
	struct sq_flow_ask *a = &p->rule.clause[p->clause].ask;
	char field[FIELD_SIZE];
	const char *w = peek(p);
	__u64 n = 0;
	int r;

	field_name(field, p->clause, "", word);
	if ((*word == 'e' && a->each) || (*word == 'f' && a->share) ||
	    (*word == 'm' && a->max_flows) || (*word == 'd' && a->dns))
		return sq_error_set(p->err, -EINVAL, field, "is given twice");
	if (*word == 'e') {
		if (!w)
			return missing(p, field, accepts_each);
		r = each_by_name(w);
		if (r < 0)
			return sq_error_value(p->err, -EINVAL, field, w, accepts_each);
		a->each = (uint8_t)r;
		p->i++;
		return 0;
	}
	if (*word == 'f') {
		r = take_percent(p, field, &a->share);
		if (!r && !a->share)
			return sq_error_value(p->err, -EINVAL, field, w, accepts_share);
		return r;
	}
	if (*word == 'd')
		return parse_dns(p, field, a);
	if (*word == 'm') {
		r = take_number(p, field, parse_count, accepts_max_flows, 1, &n);
		a->max_flows = (uint32_t)n;
		return r;
	}
	if (a->act)
		return sq_error_set(p->err, -EINVAL, field,
				    "is the second hang or reset of its clause: one for each, "
				    "others after also");
	a->act = *word == 'h' ? SQ_ACT_HANG : SQ_ACT_RESET;
	return parse_act(p, field, a);
}
