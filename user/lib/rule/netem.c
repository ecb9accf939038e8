// SPDX-License-Identifier: GPL-2.0-only
/* The words of tc-netem(8) that mean nothing here, each with the reason; docs/rules.md says more.
 */
#include <stddef.h>
#include <string.h>
#include "lib/rule/parts.h"

static const struct {
	const char *word, *why;
} lacking[] = {
	{"slot", "netem's slot gathers packets and lets them go together; here each packet has a "
		 "time of its own: rate, burst and jitter come closest"},
	{"ecn", "netem's ecn marks packets where loss would lose them, and a packet that is "
		"marked is not lost: loss always loses here"},
	{"experimental", "iproute2's experimental is one path as it was measured, and not built "
			 "in: uniform, normal, pareto or paretonormal"},
	{"overhead", "netem's overhead and cells of rate are not possible: give the rate that is "
		     "left (of ATM's, 48 of 53 bytes)"},
	{"drop", "the word is loss, as in \"loss 1%\""},
};

const char *netem_lacks(const char *word)
{
	for (size_t i = 0; i < sizeof(lacking) / sizeof(lacking[0]); i++)
		if (!strcmp(lacking[i].word, word))
			return lacking[i].why;
	return NULL;
}
