// SPDX-License-Identifier: GPL-2.0-only
/*
 * The JSON form of a rule: only what was asked for, plus what people and panels
 * like to read along.
 */
#include <stdio.h>
#include <squall/units.h>
#include "lib/rule/parts.h"

/* Whole numbers as integers, so that 10 % is 10 and not 10.0. */
static json_t *pct(uint32_t fraction)
{
	double v = sq_fraction_to_percent(fraction);

	return v == (double)(json_int_t)v ? json_integer((json_int_t)v) : json_real(v);
}

/* json_object_set_new() takes NULL as an error, so failures add up to -1. */
static int set_int(json_t *o, const char *key, uint64_t v)
{
	return v ? json_object_set_new(o, key, json_integer((json_int_t)v)) : 0;
}

static int set_pct(json_t *o, const char *key, uint32_t fraction)
{
	return fraction ? json_object_set_new(o, key, pct(fraction)) : 0;
}

/* The object, or NULL if anything could not be put into it. */
static json_t *whole(json_t *o, int e)
{
	if (!e)
		return o;
	json_decref(o);
	return NULL;
}

static json_t *loss_json(const struct sq_faults *f)
{
	static const char *const ge[] = {"p_pct", "r_pct", "1-h_pct", "1-k_pct"};
	static const char *const state[] = {"p13_pct", "p31_pct", "p32_pct", "p23_pct", "p14_pct"};
	json_t *o = json_object(), *chain;
	const char *const *keys;
	int i, n, e = 0;

	if (f->loss_model == SQ_LOSS_RANDOM) {
		e |= set_pct(o, "pct", f->loss_p[0]);
		e |= set_pct(o, "corr_pct", f->loss_corr);
	} else {
		keys = f->loss_model == SQ_LOSS_GEMODEL ? ge : state;
		n = f->loss_model == SQ_LOSS_GEMODEL ? 4 : 5;
		chain = json_object();
		for (i = 0; i < n; i++)
			e |= json_object_set_new(chain, keys[i], pct(f->loss_p[i]));
		e |= json_object_set_new(o, f->loss_model == SQ_LOSS_GEMODEL ? "gemodel" : "state",
					 chain);
	}
	return whole(o, e);
}

static json_t *faults_json(const struct sq_faults *f)
{
	json_t *o = json_object();
	int e = 0;

	if (f->loss_model)
		e |= json_object_set_new(o, "loss", loss_json(f));
	if (f->delay_ns || f->jitter_ns)
		e |= json_object_set_new(o, "delay_ns", json_integer((json_int_t)f->delay_ns));
	e |= set_int(o, "jitter_ns", f->jitter_ns);
	e |= set_pct(o, "delay_corr_pct", f->delay_corr);
	if (f->distribution)
		e |= json_object_set_new(o, "distribution",
					 json_string(distribution_name(f->distribution)));
	e |= set_pct(o, "duplicate_pct", f->duplicate);
	e |= set_pct(o, "duplicate_corr_pct", f->duplicate_corr);
	e |= set_pct(o, "corrupt_pct", f->corrupt);
	e |= set_pct(o, "corrupt_corr_pct", f->corrupt_corr);
	e |= set_pct(o, "reorder_pct", f->reorder);
	e |= set_pct(o, "reorder_corr_pct", f->reorder_corr);
	e |= set_int(o, "gap", f->gap);
	e |= set_int(o, "rate_bps", f->rate_bps);
	e |= set_int(o, "burst_bytes", f->burst_bytes);
	e |= set_int(o, "limit_bytes", f->limit_bytes);
	if (f->flags & SQ_F_LIMIT_TIME)
		e |= set_int(o, "latency_ns", f->limit_ns);
	e |= set_int(o, "mtu_bytes", f->mtu);
	if (f->flags & SQ_F_MTU_ICMP)
		e |= json_object_set_new(o, "mtu_icmp", json_true());
	if (f->flags & SQ_F_BLACKHOLE)
		e |= json_object_set_new(o, "blackhole", json_true());
	return whole(o, e);
}

static int set_port(json_t *o, const char *key, uint16_t lo, uint16_t hi)
{
	char text[24];

	if (!hi)
		return 0;
	return json_object_set_new(
		o, key,
		lo == hi ? json_integer(lo)
			 : json_string(match_format_port(lo, hi, text, sizeof(text))));
}

static json_t *match_json(const struct sq_rule *rule, const struct sq_match *m)
{
	json_t *o = json_object();
	char text[64];
	int e = 0;

	if (m->proto)
		e |= json_object_set_new(o, "proto",
					 json_string(match_format_proto(m, text, sizeof(text))));
	if (m->family)
		e |= json_object_set_new(o, "to",
					 json_string(match_format_addr(m, text, sizeof(text))));
	e |= set_port(o, "dport", m->rport_lo, m->rport_hi);
	e |= set_port(o, "sport", m->lport_lo, m->lport_hi);
	e |= set_port(o, "port", m->aport_lo, m->aport_hi);
	if (m->host)
		e |= json_object_set_new(o, "host", json_string(match_host(rule, m)));
	for (unsigned i = 0; match_tcp_word(m, i); i++)
		if (*match_tcp_word(m, i))
			e |= json_object_set_new(o, match_tcp_word(m, i), json_true());
	return whole(o, e);
}

static json_t *clause_json(const struct sq_rule *rule, const struct sq_clause *c)
{
	json_t *o = json_object();
	int e = 0;

	if (faults_any(&c->faults[SQ_UP]))
		e |= json_object_set_new(o, "up", faults_json(&c->faults[SQ_UP]));
	if (faults_any(&c->faults[SQ_DOWN]))
		e |= json_object_set_new(o, "down", faults_json(&c->faults[SQ_DOWN]));
	e |= ask_to_json(o, &c->ask);
	if (!match_is_any(&c->match))
		e |= json_object_set_new(o, "match", match_json(rule, &c->match));
	return whole(o, e);
}

/* What is known only of a rule in force. */
static int add_state(json_t *o, const struct sq_rule *rule, uint64_t now)
{
	char text[24];
	int e = 0;

	e |= set_int(o, "id", rule->id);
	if (rule->target) { /* as text: JavaScript's numbers end at 2^53 */
		snprintf(text, sizeof(text), "%llu", (unsigned long long)rule->target);
		e |= json_object_set_new(o, "target_id", json_string(text));
	}
	e |= set_int(o, "set_ms", rule->set_ns / 1000000);
	if (rule->expires_ns)
		e |= json_object_set_new(o, "expires_in_ns",
					 json_integer(rule->expires_ns > now
							      ? (json_int_t)(rule->expires_ns - now)
							      : 0));
	if (rule->seed && !(rule->flags & SQ_R_SEED_GIVEN)) {
		snprintf(text, sizeof(text), "%llu", (unsigned long long)rule->seed);
		e |= json_object_set_new(o, "drawn_seed", json_string(text));
	}
	return e;
}

json_t *sq_rule_to_json(const struct sq_rule *rule, uint64_t now_monotonic_ns)
{
	json_t *o = json_object(), *clauses = json_array(), *excepts = NULL;
	char text[SQ_RULE_CANONICAL_MAX];
	uint32_t i;
	int e = 0;

	for (i = 0; i < rule->n_clauses && i < SQ_MAX_CLAUSES; i++)
		e |= json_array_append_new(clauses, clause_json(rule, &rule->clause[i]));
	e |= json_object_set_new(o, "clauses", clauses);
	if (rule->n_excepts) {
		excepts = json_array();
		for (i = 0; i < rule->n_excepts && i < SQ_MAX_EXCEPTS; i++)
			e |= json_array_append_new(excepts, match_json(rule, &rule->except[i]));
		e |= json_object_set_new(o, "except", excepts);
	}
	e |= set_int(o, "for_ns", rule->for_ns);
	if (rule->flags & SQ_R_SEED_GIVEN)
		e |= json_object_set_new(o, "seed", json_integer((json_int_t)rule->seed));
	e |= json_object_set_new(o, "on_crash",
				 json_string(rule->flags & SQ_R_KEEP ? "keep" : "clear"));
	e |= set_int(o, "links", rule->links);
	if (sq_rule_to_text(rule, text, sizeof(text)) >= 0)
		e |= json_object_set_new(o, "text", json_string(text));
	e |= add_state(o, rule, now_monotonic_ns);
	return whole(o, e);
}
