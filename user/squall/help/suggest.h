/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What somebody may have meant: the nearest of the words that are accepted, or
 * the word of ours for a word of other tools. Only ever said, never done.
 */
#ifndef SQUALL_SUGGEST_H
#define SQUALL_SUGGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <squall/rule.h>

struct suggestion {
	const char *word; /* what was typed */
	const char *best; /* the nearest of the names seen so far; NULL: none is near. Borrowed. */
	size_t distance;
};

/* A word of others and ours; a table ends with theirs NULL. Capitals do not count. */
struct synonym {
	const char *theirs, *ours;
};
const char *suggest_look_up(const struct synonym *table, const char *word); /* NULL: not there */

/* Sees one name that would be accepted. Slips of up to a third of the word count as near. */
void suggest_from(struct suggestion *s, const char *name);
/* Our word for a word of tc, Toxiproxy, Pumba, Chaos Mesh or plain English; NULL if there is none.
 */
const char *suggest_rule_word(const char *word);
const char *suggest_verb(const char *verb);
const char *suggest_object(const char *object);
/* Appends "; did you mean "X"?" to a rule's error where one of the words makes that plain. */
void suggest_rule(int n, char *const *words, struct sq_error *err);
/* A delay that is a bare number is in microseconds, as in tc. NULL, or that number's word. */
const char *bare_delay(int n, char *const *words);

#endif
