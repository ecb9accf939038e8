// SPDX-License-Identifier: GPL-2.0-only
/* What fields and values are called, and what each accepts. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include "lib/rule/parts.h"

const char distribution_names[] = "uniform, normal, pareto or paretonormal";
const char distribution_accepts[] =
	"uniform, normal, pareto or paretonormal; a table from a file, as netem's FILE and "
	"experimental, is not possible: a rule says the same on every machine";
const char accepts_percent[] = "0% to 100%";
const char accepts_corr[] = "0% up to, not including, 100%";
const char accepts_time[] = "a time as in 100ms, 1.5s, 250us (a bare number is microseconds)";
const char accepts_rate[] = "a rate from 8bit to 1000tbit, as in 500kbit, 1mbit, or 1mbps "
			    "(megabytes per second)";
const char accepts_size[] = "a size from 1b to 4gb, as in 5kb, 1500b, 64k";
const char accepts_gap[] = "a number of packets from 1 to 65535";
const char accepts_mtu[] = "bytes of an IP packet from 68 to 65535, as in 1280 or 1280 icmp";
const char accepts_for[] = "a time above 0 with its unit, as in 60s, 5m, 1h";
const char accepts_seed[] = "a whole number from 0 to 9223372036854775807";
const char accepts_on_crash[] = "clear or keep";

static const char *const distributions[] = {
	[SQ_DIST_UNIFORM] = "uniform",
	[SQ_DIST_NORMAL] = "normal",
	[SQ_DIST_PARETO] = "pareto",
	[SQ_DIST_PARETONORMAL] = "paretonormal",
};
#define N_DISTRIBUTIONS (sizeof(distributions) / sizeof(distributions[0]))

const char *distribution_name(uint32_t distribution)
{
	return distribution < N_DISTRIBUTIONS ? distributions[distribution] : "";
}

int distribution_by_name(const char *name)
{
	size_t i;

	for (i = 0; i < N_DISTRIBUTIONS; i++)
		if (!strcmp(distributions[i], name))
			return (int)i;
	return -1;
}

void field_name(char *buf, int clause, const char *part, const char *name)
{
	const char *dot = *part && *name ? "." : "";

	if (clause > 0)
		snprintf(buf, FIELD_SIZE, "clause[%d].%s%s%s", clause, part, dot, name);
	else
		snprintf(buf, FIELD_SIZE, "%s%s%s", part, dot, name);
	/* A name may be a key of somebody's JSON, and this goes to terminals. */
	for (char *c = buf; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
}

/* The words of tc-netem(8) that mean nothing here, each with the reason; docs/rules.md says more.
 */
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
