/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The parser of the text form, inside: its words (text_words.c), the faults of a direction
 * (text_faults.c), and the grammar around them (text.c). One thread; nothing here is freed.
 */
#ifndef SQUALL_RULE_TEXT_H
#define SQUALL_RULE_TEXT_H

#include <stdbool.h>
#include <stdint.h>
#include "lib/rule/parts.h"

struct parser {
	const char *const *words;
	int n, i;
	struct sq_rule rule;
	struct sq_error *err;
	int clause;
	unsigned dirs_seen; /* bit per direction of this clause */
};

typedef int (*parse_fn)(const char *text, uint64_t *ret);

/* The next word, or NULL at the end. */
const char *peek(const struct parser *p);
bool one_of(const char *word, const char *const *list);
/* What follows sets `field`, or an error that names it: 0 or negative errno, also in p->err. */
int missing(struct parser *p, const char *field, const char *accepts);
int take_number(struct parser *p, const char *field, parse_fn parse, const char *accepts,
		uint64_t min, __u64 *ret);
int take_percent(struct parser *p, const char *field, uint32_t *ret);
/* These are optional: taken if the next word looks like a number, even a bad one. */
bool value_follows(const struct parser *p);
int take_corr(struct parser *p, const char *field, uint32_t *ret);
/* names[0] is required, the others optional and in this order; returns how many came. */
int take_probabilities(struct parser *p, const char *field, const char *const *names, int n,
		       uint32_t *ret);

/* Fault words already seen in a direction, to refuse the second; in the order of fault_words. */
enum seen {
	SEEN_LOSS = 1,
	SEEN_DELAY = 2,
	SEEN_DISTRIBUTION = 4,
	SEEN_DUPLICATE = 8,
	SEEN_CORRUPT = 16,
	SEEN_REORDER = 32,
	SEEN_GAP = 64,
	SEEN_RATE = 128,
	SEEN_BURST = 256,
	SEEN_LIMIT = 512,
	SEEN_LATENCY = 1024,
	SEEN_BLACKHOLE = 2048,
	SEEN_MTU = 4096,
};

/* The words that start a fault; NULL ends them. */
extern const char *const fault_words[];
/* The values of the fault `word`, into f; `seen` holds the SEEN_* of this direction. */
int parse_fault(struct parser *p, const char *word, const char *field, unsigned *seen,
		struct sq_faults *f);

/* The words about flows, and what follows one, into the clause. */
extern const char *const flow_words[];
int parse_flow_word(struct parser *p, const char *word);

#endif
