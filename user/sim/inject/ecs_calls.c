// SPDX-License-Identifier: GPL-2.0-only
#include "sim/inject/ecs_calls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include "lib/error.h"

#define MS_NS	1000000u
#define PERCENT ((double)SQ_ALWAYS / 100)
#define CAN                                                                                        \
	"the ECS agent can: up delay, up loss in whole percent, flows PERCENT, match to, except "  \
	"to, "                                                                                     \
	"blackhole of one port"

static int cannot(struct sq_error *err, const char *what)
{
	return sq_error_set(err, -EOPNOTSUPP, NULL, "%s: not to be had here; " CAN, what);
}

/* The first of a direction's faults that the agent has no word for, or NULL. */
static const char *beyond(const struct sq_faults *f)
{
	const struct {
		bool asked;
		const char *name;
	} all[] = {
		{f->rate_bps, "rate"},
		{f->duplicate, "duplicate"},
		{f->corrupt, "corrupt"},
		{f->reorder || f->gap, "reorder"},
		{f->mtu, "mtu"},
		{f->delay_corr, "delay with a correlation"},
		{f->distribution != SQ_DIST_UNIFORM, "delay with a distribution"},
		{f->loss_model > SQ_LOSS_RANDOM, "loss gemodel, loss state"},
		{f->loss_corr, "loss with a correlation"},
		{(f->delay_ns || f->jitter_ns) && f->loss_model, "delay and loss at once"},
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		if (all[i].asked)
			return all[i].name;
	return NULL;
}

/* A whole number of percent of a probability, 0 if it is none. */
static int percent(uint32_t p)
{
	double v = p / PERCENT;
	int whole = (int)(v + 0.5);

	return v - whole < 0.001 && whole - v < 0.001 ? whole : 0;
}

static bool has_ports(const struct sq_match *m)
{
	return m->rport_lo || m->rport_hi || m->lport_lo || m->lport_hi || m->aport_lo ||
	       m->aport_hi;
}

static json_t *network(const struct sq_match *m)
{
	char text[INET6_ADDRSTRLEN];

	inet_ntop(m->family == 6 ? AF_INET6 : AF_INET, m->addr, text, sizeof(text));
	return json_sprintf("%s/%u", text, m->prefix_len);
}

/* What is let through: the rule's own excepts, and the master. */
static int filtered(const struct sq_rule *rule, const char *spare, json_t **ret,
		    struct sq_error *err)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < rule->n_excepts; i++) {
		const struct sq_match *m = &rule->except[i];

		if (!m->prefix_len || m->proto || has_ports(m) || (m->flags & SQ_M_TCP)) {
			json_decref(list);
			return cannot(err, "except with more than an address");
		}
		json_array_append_new(list, network(m));
	}
	if (spare && *spare)
		json_array_append_new(list, json_string(spare));
	*ret = list;
	return 0;
}

static int of_egress(const struct sq_clause *c, struct ecs_call *call, struct sq_error *err)
{
	const struct sq_faults *f = &c->faults[SQ_UP];
	bool late = f->delay_ns || f->jitter_ns;
	int share = c->ask.share ? percent(c->ask.share) : 100;
	int loss = percent(f->loss_p[0]);

	if (c->match.proto || has_ports(&c->match) || (c->match.flags & SQ_M_TCP))
		return cannot(err, "match of more than an address");
	if (!share)
		return cannot(err, "flows in fractions of a percent");
	if (late && (f->delay_ns % MS_NS || f->jitter_ns % MS_NS))
		return cannot(err, "delay in fractions of a millisecond");
	if (!late && !loss)
		return cannot(err, "loss in fractions of a percent");
	call->type = late ? "network-latency" : "network-packet-loss";
	call->body = late ? json_pack("{s:I,s:I}", "DelayMilliseconds",
				      (json_int_t)(f->delay_ns / MS_NS), "JitterMilliseconds",
				      (json_int_t)(f->jitter_ns / MS_NS))
			  : json_pack("{s:i}", "LossPercent", loss);
	json_object_set_new(call->body, "Sources",
			    c->match.prefix_len ? json_pack("[o]", network(&c->match))
						: json_pack("[s,s]", "0.0.0.0/0", "::/0"));
	if (share < 100)
		json_object_set_new(call->body, "FlowsPercent", json_integer(share));
	return 0;
}

/* The port is the packet's destination, either way: theirs going up, ours coming down. */
static int of_blackhole(const struct sq_clause *c, int dir, struct ecs_call *call,
			struct sq_error *err)
{
	const struct sq_match *m = &c->match;
	uint16_t lo = dir == SQ_UP ? m->rport_lo : m->lport_lo;
	uint16_t hi = dir == SQ_UP ? m->rport_hi : m->lport_hi;

	if ((m->proto != IPPROTO_TCP && m->proto != IPPROTO_UDP) || !lo || lo != hi ||
	    m->aport_lo || m->aport_hi || (dir == SQ_UP ? m->lport_lo : m->rport_lo) ||
	    m->prefix_len || (m->flags & SQ_M_TCP) || c->ask.share)
		return cannot(err, dir == SQ_UP ? "up blackhole without \"match proto tcp|udp "
						  "dport PORT\" alone"
						: "down blackhole without \"match proto tcp|udp "
						  "sport PORT\" alone");
	call->type = "network-blackhole-port";
	call->body = json_pack("{s:i,s:s,s:s}", "Port", lo, "Protocol",
			       m->proto == IPPROTO_TCP ? "tcp" : "udp", "TrafficType",
			       dir == SQ_UP ? "egress" : "ingress");
	return 0;
}

static int of_direction(const struct sq_clause *c, int dir, struct ecs_call *call,
			struct sq_error *err)
{
	const struct sq_faults *f = &c->faults[dir];
	const char *what = beyond(f);

	if (c->ask.each || c->ask.act)
		return cannot(err, "each, hang and reset");
	if (what)
		return cannot(err, what);
	if (f->flags & SQ_F_BLACKHOLE)
		return of_blackhole(c, dir, call, err);
	if (dir == SQ_DOWN)
		return cannot(err, "down delay, down loss");
	return of_egress(c, call, err);
}

int ecs_calls(const struct sq_rule *rule, const char *spare, struct ecs_call ret[ECS_CALLS_MAX],
	      unsigned int *ret_n, struct sq_error *err)
{
	unsigned int n = 0, egress = 0;
	json_t *let = NULL;
	int r = filtered(rule, spare, &let, err);

	for (uint32_t i = 0; !r && i < rule->n_clauses; i++) {
		for (int dir = 0; !r && dir < SQ_DIRS; dir++) {
			if (!(rule->clause[i].faults[dir].flags & SQ_F_ACTIVE))
				continue;
			if (n == ECS_CALLS_MAX)
				r = cannot(err, "more than 8 faults");
			else
				r = of_direction(&rule->clause[i], dir, &ret[n], err);
			if (r)
				continue;
			if (strcmp(ret[n].type, "network-blackhole-port"))
				egress++;
			if (json_array_size(let))
				json_object_set(ret[n].body, "SourcesToFilter", let);
			n++;
		}
	}
	if (!r && egress > 1)
		r = cannot(err, "two clauses of delay or loss");
	if (!r && !n)
		r = cannot(err, "a rule without faults");
	json_decref(let);
	if (r)
		ecs_calls_free(ret, n);
	else
		*ret_n = n;
	return r;
}

void ecs_calls_free(struct ecs_call *calls, unsigned int n)
{
	while (n)
		json_decref(calls[--n].body);
}
