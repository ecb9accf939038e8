// SPDX-License-Identifier: GPL-2.0-only
/* What a clause asks of flows: each, flows, hang, reset. Checks, and the words in both forms. */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <squall/units.h>
#include "lib/rule/parts.h"

#define MAX_VALUE_NS (1ull << 62)
#define MAX_BYTES    (1ull << 50)
#define DNS_PORT     53

const char accepts_each[] = "flow or address";
const char accepts_share[] = "a percentage above 0%, as in flows 30%";
const char accepts_trigger[] =
	"old, idle TIME, after TIME, after SIZE [up|down], or at connack, suback, puback or "
	"pingresp, as in hang old, reset idle 60s, hang after 1kb down, reset at puback";
const char accepts_links[] = "a number of flows from 1 to 2000000";
const char accepts_dns[] = "nxdomain, servfail, timeout, or slow with a time up to 60s, as in dns "
			   "nxdomain, dns slow 2s";
const char accepts_max_flows[] = "a number of flows from 1 to 2000000, as in max-flows 8";

static const struct {
	const char *word;
	uint8_t type; /* of the control packet */
} phases[] = {{"connack", 2}, {"puback", 4}, {"suback", 9}, {"pingresp", 13}};
#define PHASES (sizeof(phases) / sizeof(*phases))

const char *phase_name(uint64_t type)
{
	for (size_t i = 0; i < PHASES; i++)
		if (phases[i].type == type)
			return phases[i].word;
	return "";
}

uint8_t phase_by_name(const char *name)
{
	for (size_t i = 0; i < PHASES; i++)
		if (!strcmp(name, phases[i].word))
			return phases[i].type;
	return 0;
}

static const char *const each_words[] = {
	[SQ_EACH_NONE] = "", [SQ_EACH_FLOW] = "flow", [SQ_EACH_ADDRESS] = "address"};

const char *each_name(uint8_t each)
{
	return each <= SQ_EACH_ADDRESS ? each_words[each] : "";
}

int each_by_name(const char *name)
{
	for (int i = SQ_EACH_FLOW; i <= SQ_EACH_ADDRESS; i++)
		if (!strcmp(name, each_words[i]))
			return i;
	return -1;
}

bool ask_any(const struct sq_flow_ask *a)
{
	return a->each || a->share || a->act || a->max_flows || a->dns;
}

static bool draws_or_queues(const struct sq_faults *f)
{
	return f->loss_model || f->jitter_ns || f->rate_bps || f->duplicate || f->corrupt ||
	       f->reorder;
}

static int refuse(int clause, const char *name, struct sq_error *err, const char *text)
{
	char field[FIELD_SIZE];

	field_name(field, clause, "", name);
	return sq_error_set(err, -EINVAL, field, "%s", text);
}

static int check_each(const struct sq_clause *c, int clause, struct sq_error *err)
{
	const struct sq_faults *f = c->faults;

	if (!c->ask.each)
		return 0;
	if (c->ask.each > SQ_EACH_ADDRESS)
		return refuse(clause, "each", err, accepts_each);
	if ((f[SQ_UP].flags | f[SQ_DOWN].flags) & SQ_F_BLACKHOLE)
		return refuse(clause, "each", err,
			      "is not accepted with blackhole, which is the same for all: \"flows "
			      "30%\" takes a part of them");
	if (!draws_or_queues(&f[SQ_UP]) && !draws_or_queues(&f[SQ_DOWN]))
		return refuse(clause, "each", err,
			      "is not accepted without rate, loss, jitter, duplicate, corrupt or "
			      "reorder: anything else is the same for all");
	return 0;
}

static int check_act(const struct sq_clause *c, int clause, struct sq_error *err)
{
	const struct sq_flow_ask *a = &c->ask;
	const char *name = a->act == SQ_ACT_RESET ? "reset" : "hang";

	if (!a->act)
		return 0;
	if (a->act > SQ_ACT_RESET || a->when > SQ_WHEN_MQTT || a->when == SQ_WHEN_NONE)
		return refuse(clause, name, err, accepts_trigger);
	if (a->when != SQ_WHEN_OLD && (!a->value || a->value > MAX_VALUE_NS))
		return refuse(clause, name, err, accepts_trigger);
	if (a->when == SQ_WHEN_BYTES && (a->value > MAX_BYTES || !a->dirs || a->dirs > 3))
		return refuse(clause, name, err, accepts_trigger);
	if (a->when == SQ_WHEN_MQTT && !*phase_name(a->value))
		return refuse(clause, name, err, accepts_trigger);
	if (a->when == SQ_WHEN_MQTT && c->match.proto && c->match.proto != IPPROTO_TCP)
		return refuse(clause, name, err,
			      "at ... is MQTT's: not accepted with another proto than tcp");
	if (c->match.flags & SQ_M_TCP)
		return refuse(clause, name, err,
			      "is not accepted with match syn, fin or rst: it follows whole "
			      "connections");
	if (a->act == SQ_ACT_RESET && c->match.proto && c->match.proto != IPPROTO_TCP)
		return refuse(clause, name, err,
			      "is TCP's: not accepted with another proto; \"hang\" is for all");
	return 0;
}

static int check_max_flows(const struct sq_clause *c, int clause, struct sq_error *err)
{
	if (c->ask.max_flows > SQ_LINKS_MAX)
		return refuse(clause, "max-flows", err, accepts_max_flows);
	if (c->ask.max_flows && (c->match.flags & SQ_M_TCP))
		return refuse(clause, "max-flows", err,
			      "is not accepted with match syn, fin or rst: it has to see where "
			      "connections end");
	return 0;
}

static const char *const dns_words[] = {[SQ_DNS_NONE] = "",
					[SQ_DNS_NXDOMAIN] = "nxdomain",
					[SQ_DNS_SERVFAIL] = "servfail",
					[SQ_DNS_TIMEOUT] = "timeout",
					[SQ_DNS_SLOW] = "slow"};

const char *dns_name(uint8_t dns)
{
	return dns <= SQ_DNS_SLOW ? dns_words[dns] : "";
}

int dns_by_name(const char *name)
{
	for (int i = SQ_DNS_NXDOMAIN; i <= SQ_DNS_SLOW; i++)
		if (!strcmp(name, dns_words[i]))
			return i;
	return -1;
}

static int check_dns(const struct sq_clause *c, int clause, struct sq_error *err)
{
	const struct sq_flow_ask *a = &c->ask;

	if (!a->dns)
		return 0;
	if (a->dns > SQ_DNS_SLOW ||
	    (a->dns == SQ_DNS_SLOW && (!a->dns_ns || a->dns_ns > MAX_DNS_NS)))
		return refuse(clause, "dns", err, accepts_dns);
	if ((c->match.proto && c->match.proto != IPPROTO_UDP) || (c->match.flags & SQ_M_TCP))
		return refuse(clause, "dns", err,
			      "is about queries over UDP: not accepted with another proto");
	if (c->match.rport_lo && (c->match.rport_lo > DNS_PORT || c->match.rport_hi < DNS_PORT))
		return refuse(clause, "dns", err,
			      "is about queries to port 53: accepted with match dport 53, a range "
			      "with it, or no dport");
	return 0;
}

bool ask_acts(const struct sq_flow_ask *a)
{
	return a->act || a->max_flows || a->dns;
}

/* A rate, a size and a place in the queue are each packet's own, and so is jitter: with them all
 * are cut. And where only the FIN is meant, only the last piece draws. */
static bool known_by_number(const struct sq_clause *c, const struct sq_faults *f)
{
	return (f->loss_model || f->duplicate || f->corrupt) && !f->rate_bps && !f->reorder &&
	       !f->mtu && !f->jitter_ns && !(f->flags & SQ_F_BLACKHOLE) &&
	       c->ask.each != SQ_EACH_ADDRESS && !(c->match.flags & SQ_M_TCP);
}

int ask_finish(struct sq_clause *c, int clause, struct sq_error *err)
{
	struct sq_flow_ask *a = &c->ask;
	int r;

	if (a->share == SQ_ALWAYS)
		a->share = 0;
	if (!a->act)
		a->when = a->dirs = a->value = 0;
	if (a->when != SQ_WHEN_BYTES)
		a->dirs = 0;
	r = check_each(c, clause, err);
	if (!r)
		r = check_act(c, clause, err);
	if (!r)
		r = check_max_flows(c, clause, err);
	if (!r)
		r = check_dns(c, clause, err);
	if (a->dns)
		c->faults[SQ_UP].flags |= SQ_F_ACTIVE;
	if (a->dns == SQ_DNS_SLOW)
		c->faults[SQ_UP].flags |= SQ_F_LANE;
	else
		a->dns_ns = 0;
	for (int d = 0; d < SQ_DIRS && !r; d++) {
		/* A connection hangs, and is seen to be alive, both ways. */
		if (a->act || a->max_flows)
			c->faults[d].flags |= SQ_F_ACTIVE;
		if (ask_any(a) && (c->faults[d].flags & SQ_F_ACTIVE))
			c->faults[d].flags |= SQ_F_FLOW;
		if (known_by_number(c, &c->faults[d]))
			c->faults[d].flags |= SQ_F_AHEAD;
	}
	return r;
}

bool ask_needs_table(const struct sq_flow_ask *a)
{
	return a->each || a->act || a->max_flows;
}
