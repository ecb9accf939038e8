// SPDX-License-Identifier: GPL-2.0-only
/*
 * For whom a rule is, noted in the kernel's copy of it: the state file is written 100 ms later, and
 * a step of a schedule, killed in between, is no user's rule.
 */
#include <string.h>
#include "squalld/control/book_internal.h"

/* By their number in the kernel's rule, from 1. What else there is (profile:NAME) is the API's. */
static const char *const sources[] = {"api", "schedule", "label", "docker-tc", "ecs"};
#define N_SOURCES (sizeof(sources) / sizeof(sources[0]))

static uint32_t source_number(const char *source)
{
	uint32_t i = N_SOURCES;

	while (i > 1 && strcmp(sources[i - 1], source) != 0)
		i--;
	return i;
}

void rule_mark_source(struct sq_rule *rule, const char *source)
{
	rule->flags &= ~(uint32_t)(SQ_R_SOURCE_MASK | SQ_R_MEMBER);
	rule->flags |= source_number(source) << SQ_R_SOURCE_SHIFT;
}

void rule_source(const struct sq_rule *rule, char *source)
{
	uint32_t n = (rule->flags & SQ_R_SOURCE_MASK) >> SQ_R_SOURCE_SHIFT;

	if (n && n <= N_SOURCES && source_number(source) != n)
		strcpy(source, sources[n - 1]);
}
