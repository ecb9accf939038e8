// SPDX-License-Identifier: GPL-2.0-only
/* The text form's faults: the words of one direction, loss to blackhole. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <squall/units.h>
#include "lib/rule/text.h"

/* In the order of enum seen: the place of a word is its bit. */
const char *const fault_words[] = {
	"loss", "delay", "distribution", "duplicate", "corrupt",   "reorder", "gap",
	"rate", "burst", "limit",	 "latency",   "blackhole", "mtu",     NULL,
};

static int rate_without_link(const char *text, uint64_t *ret)
{
	return sq_parse_rate(text, 0, ret);
}

static int parse_loss(struct parser *p, const char *field, struct sq_faults *f)
{
	static const char *const ge[] = {"p", "r", "1-h", "1-k"};
	static const char *const state[] = {"p13", "p31", "p32", "p23", "p14"};
	const char *w = peek(p);
	int n, r;

	if (w && !strcmp(w, "gemodel")) {
		p->i++;
		n = take_probabilities(p, field, ge, 4, f->loss_p);
		if (n < 0)
			return n;
		/* tc's defaults */
		if (n < 2)
			f->loss_p[1] = fraction_rest(f->loss_p[0]);
		if (n < 3)
			f->loss_p[2] = SQ_ALWAYS;
		f->loss_model = SQ_LOSS_GEMODEL;
		return 0;
	}
	if (w && !strcmp(w, "state")) {
		p->i++;
		n = take_probabilities(p, field, state, 5, f->loss_p);
		if (n < 0)
			return n;
		if (n < 2)
			f->loss_p[1] = fraction_rest(f->loss_p[0]);
		if (n < 4)
			f->loss_p[3] = SQ_ALWAYS;
		f->loss_model = SQ_LOSS_STATE;
		return 0;
	}
	if (w && !strcmp(w, "random"))
		p->i++;
	r = take_percent(p, field, &f->loss_p[0]);
	if (!r)
		r = take_corr(p, field, &f->loss_corr);
	f->loss_model = SQ_LOSS_RANDOM;
	return r;
}

static int parse_distribution(struct parser *p, const char *field, struct sq_faults *f)
{
	const char *w = peek(p);
	int d;

	if (!w)
		return missing(p, field, distribution_names);
	d = distribution_by_name(w);
	if (d < 0)
		return sq_error_value(p->err, -EINVAL, field, w, distribution_accepts);
	f->distribution = (uint32_t)d;
	p->i++;
	return 0;
}

static int parse_delay(struct parser *p, const char *field, struct sq_faults *f)
{
	char name[FIELD_SIZE];
	int r = take_number(p, field, sq_parse_time, accepts_time, 0, &f->delay_ns);

	if (r || !value_follows(p))
		return r;
	snprintf(name, sizeof(name), "%.40s.jitter", field);
	r = take_number(p, name, sq_parse_time, accepts_time, 0, &f->jitter_ns);
	if (r)
		return r;
	return take_corr(p, field, &f->delay_corr);
}

static int parse_gap(const char *text, uint64_t *ret)
{
	char *end;
	unsigned long v;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	v = strtoul(text, &end, 10);
	if (*end || errno || v > 65535)
		return -EINVAL;
	*ret = v;
	return 0;
}

int parse_fault(struct parser *p, const char *word, const char *field, unsigned *seen,
		struct sq_faults *f)
{
	unsigned bit;
	__u64 v = 0;
	size_t i;
	int r;

	for (i = 0; strcmp(fault_words[i], word); i++)
		;
	bit = 1u << i;
	if (*seen & bit)
		return sq_error_set(p->err, -EINVAL, field,
				    "is given twice: once for each direction");
	*seen |= bit;
	switch (bit) {
	case SEEN_LOSS:
		return parse_loss(p, field, f);
	case SEEN_DELAY:
		return parse_delay(p, field, f);
	case SEEN_DISTRIBUTION:
		return parse_distribution(p, field, f);
	case SEEN_DUPLICATE:
		r = take_percent(p, field, &f->duplicate);
		return r ? r : take_corr(p, field, &f->duplicate_corr);
	case SEEN_CORRUPT:
		r = take_percent(p, field, &f->corrupt);
		return r ? r : take_corr(p, field, &f->corrupt_corr);
	case SEEN_REORDER:
		r = take_percent(p, field, &f->reorder);
		return r ? r : take_corr(p, field, &f->reorder_corr);
	case SEEN_GAP:
		r = take_number(p, field, parse_gap, accepts_gap, 1, &v);
		f->gap = (uint32_t)v;
		return r;
	case SEEN_RATE:
		if (peek(p) && *peek(p) && peek(p)[strlen(peek(p)) - 1] == '%')
			return sq_error_value(p->err, -EINVAL, field, peek(p),
					      "a percentage needs the speed of one interface; give "
					      "a rate, as in 500kbit or 1mbit");
		r = take_number(p, field, rate_without_link, accepts_rate, 8, &f->rate_bps);
		if (!r && value_follows(p))
			return sq_error_value(p->err, -EINVAL, field, peek(p),
					      netem_lacks("overhead"));
		return r;
	case SEEN_BURST:
		return take_number(p, field, sq_parse_size, accepts_size, 1, &f->burst_bytes);
	case SEEN_LIMIT:
		return take_number(p, field, sq_parse_size, accepts_size, 1, &f->limit_bytes);
	case SEEN_LATENCY:
		f->flags |= SQ_F_LIMIT_TIME;
		return take_number(p, field, sq_parse_time, accepts_time, 1, &f->limit_ns);
	case SEEN_MTU:
		r = take_number(p, field, parse_gap, accepts_mtu, 1, &v);
		f->mtu = (uint32_t)v;
		if (!r && peek(p) && !strcmp(peek(p), "icmp")) {
			f->flags |= SQ_F_MTU_ICMP;
			p->i++;
		}
		return r;
	default:
		f->flags |= SQ_F_BLACKHOLE;
		return 0;
	}
}
