// SPDX-License-Identifier: GPL-2.0-only
/*
 * The text form: words to struct. One pass, one word of look-ahead; the
 * grammar is in squall/rule.h and docs/rules.md.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <squall/units.h>
#include "lib/rule/text.h"

/* The words that can start something; everything else is a mistake. */
static const char *const match_words[] = {"proto", "to",  "dport", "sport", "port",
					  "host",  "syn", "fin",   "rst",   NULL};
static const char *const option_words[] = {"except", "for", "seed", "on-crash", "links", NULL};
static const char *const dir_words[] = {"up", "down", "both", NULL};

static int parse_match(struct parser *p, struct sq_match *m, const char *prefix)
{
	unsigned seen = 0;
	char field[FIELD_SIZE];
	const char *w;
	int i, r;

	while (one_of(peek(p), match_words)) {
		w = p->words[p->i++];
		snprintf(field, sizeof(field), "%.40s.%s", prefix, w);
		for (i = 0; strcmp(match_words[i], w); i++)
			;
		if (seen & 1u << i)
			return sq_error_set(p->err, -EINVAL, field, "is given twice");
		seen |= 1u << i;
		m->flags |= match_tcp_flag(w);
		if (match_tcp_flag(w))
			continue;
		if (!peek(p))
			return missing(p, field,
				       i == 0	? match_proto_accepts
				       : i == 1 ? "an address or prefix, as in 10.0.0.0/8"
				       : i == 5 ? accepts_host
						: "a port or a range, as in 8883 or "
						  "8000-9000");
		w = p->words[p->i++];
		switch (i) {
		case 0:
			r = match_set_proto(m, w, field, p->err);
			break;
		case 1:
			r = match_set_addr(m, w, field, p->err);
			break;
		case 5:
			r = match_set_host(&p->rule, m, w, field, p->err);
			break;
		default:
			r = match_set_port(m,
					   i == 2   ? PORT_REMOTE
					   : i == 3 ? PORT_LOCAL
						    : PORT_EITHER,
					   w, field, p->err);
		}
		if (r)
			return r;
	}
	if (!seen) {
		w = peek(p);
		if (w)
			return sq_error_value(
				p->err, -EINVAL, prefix, w,
				"proto, to, dport, sport, port, host, syn, fin or rst comes here");
		return sq_error_set(
			p->err, -EINVAL, prefix,
			"is empty: proto, to, dport, sport, port, host, syn, fin or rst comes "
			"here");
	}
	return 0;
}

/* A word that does not belong here: say what would, and why if it is a common mistake. */
static int unexpected(struct parser *p, const char *field)
{
	const char *w = peek(p);

	if (!strcmp(w, "jitter"))
		return sq_error_value(p->err, -EINVAL, field, w,
				      "jitter is the second value of delay, as in "
				      "\"delay 100ms 20ms\"");
	if (one_of(w, match_words))
		return sq_error_value(p->err, -EINVAL, field, w,
				      "a filter starts with the word match, as in "
				      "\"match proto tcp dport 8883\"");
	if (one_of(w, fault_words) || one_of(w, flow_words) || one_of(w, dir_words))
		return sq_error_value(p->err, -EINVAL, field, w,
				      "faults and directions come before match, except, for, seed "
				      "and on-crash; another set of faults starts with also");
	if (!strcmp(w, "match") || !strcmp(w, "also"))
		return sq_error_value(p->err, -EINVAL, field, w,
				      "a clause is [up|down|both] FAULT... [match ...], then also, "
				      "then except, for, seed, on-crash");
	if (netem_lacks(w))
		return sq_error_value(p->err, -EINVAL, field, w, netem_lacks(w));
	return sq_error_value(
		p->err, -EINVAL, field, w,
		"loss, delay, duplicate, corrupt, reorder, rate, mtu, blackhole, up, down, "
		"both, each, flows, hang, reset, max-flows, dns, match, also, except, for, seed, "
		"on-crash or links "
		"comes here");
}

/* FAULT... of one direction (or both). */
static int parse_direction(struct parser *p)
{
	const char *dir = peek(p), *w;
	struct sq_faults f = {0};
	char field[FIELD_SIZE];
	unsigned seen = 0, dirs;
	int r;

	if (one_of(dir, dir_words))
		p->i++;
	else
		dir = "up";
	dirs = !strcmp(dir, "up") ? 1u << SQ_UP : !strcmp(dir, "down") ? 1u << SQ_DOWN : 3u;
	field_name(field, p->clause, dir, "");
	if (p->dirs_seen & dirs)
		return sq_error_set(p->err, -EINVAL, field,
				    "is given twice: one direction once, both means up and down, "
				    "and faults without a direction act up");
	p->dirs_seen |= dirs;
	while (one_of(peek(p), fault_words) || one_of(peek(p), flow_words)) {
		w = p->words[p->i++];
		field_name(field, p->clause, dir, w);
		r = one_of(w, flow_words) ? parse_flow_word(p, w)
					  : parse_fault(p, w, field, &seen, &f);
		if (r)
			return r;
	}
	if (!seen && !ask_any(&p->rule.clause[p->clause].ask)) {
		if (peek(p))
			return unexpected(p, field);
		return sq_error_set(p->err, -EINVAL, field,
				    "has no fault: loss, delay, duplicate, "
				    "corrupt, reorder, rate, mtu, blackhole, hang, reset, "
				    "max-flows or dns comes here");
	}
	field_name(field, p->clause, dir, "distribution");
	if ((seen & SEEN_DISTRIBUTION) && !f.jitter_ns)
		return sq_error_set(p->err, -EINVAL, field,
				    "is not accepted without a jitter, as "
				    "in \"delay 100ms 20ms distribution normal\"");
	if (dirs & 1u << SQ_UP)
		p->rule.clause[p->clause].faults[SQ_UP] = f;
	if (dirs & 1u << SQ_DOWN)
		p->rule.clause[p->clause].faults[SQ_DOWN] = f;
	return 0;
}

static int parse_clause(struct parser *p)
{
	char field[FIELD_SIZE];
	int r;

	p->dirs_seen = 0;
	do {
		r = parse_direction(p);
		if (r)
			return r;
	} while (one_of(peek(p), dir_words));
	if (peek(p) && !strcmp(peek(p), "match")) {
		p->i++;
		field_name(field, p->clause, "match", "");
		r = parse_match(p, &p->rule.clause[p->clause].match, field);
	}
	return r;
}

static int parse_seed(const char *text, uint64_t *ret)
{
	uint64_t v = 0;

	if (!*text)
		return -EINVAL;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return -EINVAL;
		if (v > (INT64_MAX - (uint64_t)(*text - '0')) / 10)
			return -ERANGE;
		v = v * 10 + (uint64_t)(*text - '0');
	}
	*ret = v;
	return 0;
}

static int parse_option(struct parser *p, unsigned *seen)
{
	const char *w = p->words[p->i++], *value;
	char field[FIELD_SIZE];
	__u64 links = 0;
	unsigned bit;
	int r;

	if (!strcmp(w, "except")) {
		if (p->rule.n_excepts == SQ_MAX_EXCEPTS)
			return sq_error_set(p->err, -EINVAL, w,
					    "is given too often: at most %d "
					    "times",
					    SQ_MAX_EXCEPTS);
		snprintf(field, sizeof(field), "except[%u]", p->rule.n_excepts);
		r = parse_match(p, &p->rule.except[p->rule.n_excepts], field);
		if (!r)
			p->rule.n_excepts++;
		return r;
	}
	bit = *w == 'f' ? 1 : *w == 's' ? 2 : *w == 'l' ? 8 : 4;
	if (*seen & bit)
		return sq_error_set(p->err, -EINVAL, w, "is given twice");
	*seen |= bit;
	if (bit == 1)
		return take_number(p, w, sq_parse_duration, accepts_for, 1, &p->rule.for_ns);
	if (bit == 2) {
		p->rule.flags |= SQ_R_SEED_GIVEN;
		return take_number(p, w, parse_seed, accepts_seed, 0, &p->rule.seed);
	}
	if (bit == 8) {
		r = take_number(p, w, parse_seed, accepts_links, 1, &links);
		if (!r && links > SQ_LINKS_MAX)
			return sq_error_value(p->err, -EINVAL, w, p->words[p->i - 1],
					      accepts_links);
		p->rule.links = (uint32_t)links;
		return r;
	}
	value = peek(p);
	if (!value)
		return missing(p, w, accepts_on_crash);
	p->i++;
	if (!strcmp(value, "keep"))
		p->rule.flags |= SQ_R_KEEP;
	else if (strcmp(value, "clear"))
		return sq_error_value(p->err, -EINVAL, w, value, accepts_on_crash);
	return 0;
}

static int parse_rule(struct parser *p)
{
	unsigned seen = 0;
	int r;

	if (!peek(p))
		return sq_error_set(p->err, -EINVAL, "rule",
				    "is empty: at least one fault is "
				    "needed, as in \"up loss 10%%\"");
	for (;;) {
		r = parse_clause(p);
		if (r)
			return r;
		if (!peek(p) || strcmp(peek(p), "also"))
			break;
		p->i++;
		if (++p->clause == SQ_MAX_CLAUSES)
			return sq_error_set(p->err, -EINVAL, "also",
					    "is given too often: a rule "
					    "has at most %d clauses",
					    SQ_MAX_CLAUSES);
	}
	p->rule.n_clauses = (uint32_t)p->clause + 1;
	while (one_of(peek(p), option_words)) {
		r = parse_option(p, &seen);
		if (r)
			return r;
	}
	if (peek(p))
		return unexpected(p, "rule");
	return sq_rule_finish(&p->rule, p->err);
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* text is cut into words in place. */
static int parse_words_in(char *text, size_t len, struct sq_rule *ret, struct sq_error *err)
{
	struct parser *p;
	const char **words;
	size_t i;
	int n = 0, r;

	/* Words and the spaces between them: at most one word per two bytes. */
	words = malloc((len / 2 + 1) * sizeof(*words));
	p = calloc(1, sizeof(*p));
	if (!words || !p) {
		r = sq_error_set(err, -ENOMEM, "rule", "out of memory");
		goto out;
	}
	for (i = 0; i < len;) {
		if (is_space(text[i])) {
			i++;
			continue;
		}
		words[n++] = text + i;
		while (i < len && !is_space(text[i]))
			i++;
		text[i++] = 0;
	}
	p->words = words;
	p->n = n;
	p->err = err;
	r = parse_rule(p);
	if (!r)
		*ret = p->rule;
out:
	free(p);
	free(words);
	return r;
}

static int too_long(size_t len, struct sq_error *err)
{
	return sq_error_set(err, -E2BIG, "rule", "a text of %zu bytes is not accepted: at most %d",
			    len, SQ_RULE_TEXT_MAX);
}

int sq_rule_from_text(const char *text, size_t len, struct sq_rule *ret, struct sq_error *err)
{
	const char *nul;
	char *copy;
	int r;

	if (len > SQ_RULE_TEXT_MAX)
		return too_long(len, err);
	nul = memchr(text, 0, len);
	if (nul)
		return sq_error_set(err, -EINVAL, "rule",
				    "a NUL byte (at offset %zu) is not "
				    "accepted: text only",
				    (size_t)(nul - text));
	copy = malloc(len + 1);
	if (!copy)
		return sq_error_set(err, -ENOMEM, "rule", "out of memory");
	memcpy(copy, text, len);
	copy[len] = 0;
	r = parse_words_in(copy, len, ret, err);
	free(copy);
	return r;
}

int sq_rule_from_words(int n, const char *const *words, struct sq_rule *ret, struct sq_error *err)
{
	size_t len = 0;
	char *text, *end;
	int i, r;

	for (i = 0; i < n; i++)
		len += strlen(words[i]) + 1;
	if (len > SQ_RULE_TEXT_MAX)
		return too_long(len, err);
	text = malloc(len + 1);
	if (!text)
		return sq_error_set(err, -ENOMEM, "rule", "out of memory");
	for (i = 0, end = text; i < n; i++) {
		end = stpcpy(end, words[i]);
		*end++ = ' ';
	}
	*end = 0;
	r = parse_words_in(text, len, ret, err);
	free(text);
	return r;
}
