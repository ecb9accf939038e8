/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Words that mean targets by what they are and not by what they are called:
 * label:KEY=VALUE, name:GLOB and others. Knows no rules; nothing here is shared
 * between threads.
 */
#ifndef SQUALLD_SELECTOR_H
#define SQUALLD_SELECTOR_H

#include <stdbool.h>
#include <stdint.h>
#include "squalld/control/targets.h"

#define SELECTOR_MAX 512 /* bytes of its text, with the end */

struct selector {
	unsigned int kind;   /* the later in selector.c's table, the narrower */
	bool wild;	     /* its pattern has a wildcard */
	unsigned int weight; /* letters of its pattern that are no wildcards; 0 where it has none */
	char text[SELECTOR_MAX]; /* canonical: what its rule is called */
};

/* Is this a selector's name and no single target's? Also of kinds that do not exist. */
bool selector_is(const char *text);
/* -EINVAL with what is accepted. */
int selector_parse(const char *text, struct selector *ret, struct sq_error *p);
bool selector_matches(const struct selector *s, const struct target *t);
/* Above 0: a is narrower than b, below: wider; 0: neither. */
int selector_compare(const struct selector *a, const struct selector *b);
/* May a cgroup that is no container match? */
bool selector_of_cgroups(const struct selector *s);

#endif
