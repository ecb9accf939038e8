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
#include "lib/opt/opt.h"

/* Our word for a word of other tools or plain English; NULL if there is none. */
const char *suggest_verb(const char *verb);
const char *suggest_object(const char *object);
/* Appends "; did you mean "X"?" to a rule's error where one of the words makes that plain. */
void suggest_rule(int n, char *const *words, struct sq_error *err);
/* Is it a word with which a rule begins, so that the target in front of it is missing? */
bool begins_rule(const char *word);
/* A delay that is a bare number is in microseconds, as in tc. NULL, or that number's word. */
const char *bare_delay(int n, char *const *words);

#endif
