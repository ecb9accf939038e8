// SPDX-License-Identifier: GPL-2.0-only
/* The text form: struct to words, such that they parse back to an equal struct. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <squall/units.h>
#include "lib/rule/parts.h"

struct out {
	char *buf;
	size_t size, len; /* len may pass size: then there was no room */
};

__attribute__((format(printf, 2, 3))) static void put(struct out *o, const char *fmt, ...)
{
	size_t room = o->len < o->size ? o->size - o->len : 0;
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(room ? o->buf + o->len : NULL, room, fmt, args);
	va_end(args);
	if (n > 0)
		o->len += (size_t)n;
}

static void put_percent(struct out *o, const char *word, uint32_t fraction)
{
	char text[32];

	put(o, "%s %s", word, sq_format_percent(fraction, text, sizeof(text)));
}

static void put_with_corr(struct out *o, const char *word, uint32_t p, uint32_t corr)
{
	if (!p)
		return;
	put_percent(o, word, p);
	if (corr)
		put_percent(o, "", corr);
}

static void put_loss(struct out *o, const struct sq_faults *f)
{
	int i, n = 0;

	switch (f->loss_model) {
	case SQ_LOSS_RANDOM:
		put_with_corr(o, " loss", f->loss_p[0], f->loss_corr);
		return;
	case SQ_LOSS_GEMODEL:
		put(o, " loss gemodel");
		n = 4;
		break;
	case SQ_LOSS_STATE:
		put(o, " loss state");
		n = 5;
		break;
	}
	for (i = 0; i < n; i++)
		put_percent(o, "", f->loss_p[i]);
}

static void put_faults(struct out *o, const struct sq_faults *f)
{
	char text[32];

	put_loss(o, f);
	if (f->delay_ns || f->jitter_ns) {
		put(o, " delay %s", sq_format_time(f->delay_ns, text, sizeof(text)));
		if (f->jitter_ns)
			put(o, " %s", sq_format_time(f->jitter_ns, text, sizeof(text)));
		if (f->delay_corr)
			put_percent(o, "", f->delay_corr);
		if (f->distribution)
			put(o, " distribution %s", distribution_name(f->distribution));
	}
	put_with_corr(o, " duplicate", f->duplicate, f->duplicate_corr);
	put_with_corr(o, " corrupt", f->corrupt, f->corrupt_corr);
	put_with_corr(o, " reorder", f->reorder, f->reorder_corr);
	if (f->gap)
		put(o, " gap %u", f->gap);
	if (f->rate_bps) {
		put(o, " rate %s", sq_format_rate(f->rate_bps, text, sizeof(text)));
		if (f->burst_bytes)
			put(o, " burst %s", sq_format_size(f->burst_bytes, text, sizeof(text)));
		if (f->limit_bytes)
			put(o, " limit %s", sq_format_size(f->limit_bytes, text, sizeof(text)));
		else if (f->flags & SQ_F_LIMIT_TIME)
			put(o, " latency %s", sq_format_time(f->limit_ns, text, sizeof(text)));
	}
	if (f->mtu)
		put(o, " mtu %u%s", f->mtu, f->flags & SQ_F_MTU_ICMP ? " icmp" : "");
	if (f->flags & SQ_F_BLACKHOLE)
		put(o, " blackhole");
}

static void put_ask(struct out *o, const struct sq_flow_ask *a)
{
	char text[32];

	if (a->each)
		put(o, " each %s", each_name(a->each));
	if (a->act)
		put(o, " %s", a->act == SQ_ACT_HANG ? "hang" : "reset");
	if (a->when == SQ_WHEN_OLD)
		put(o, " old");
	else if (a->when == SQ_WHEN_IDLE || a->when == SQ_WHEN_AGE)
		put(o, " %s %s", a->when == SQ_WHEN_IDLE ? "idle" : "after",
		    sq_format_time(a->value, text, sizeof(text)));
	else if (a->when == SQ_WHEN_MQTT)
		put(o, " at %s", phase_name(a->value));
	else if (a->when == SQ_WHEN_BYTES)
		put(o, " after %s%s", sq_format_size(a->value, text, sizeof(text)),
		    a->dirs == 3	   ? ""
		    : a->dirs & 1 << SQ_UP ? " up"
					   : " down");
	if (a->dns)
		put(o, " dns %s", dns_name(a->dns));
	if (a->dns == SQ_DNS_SLOW)
		put(o, " %s", sq_format_time(a->dns_ns, text, sizeof(text)));
	if (a->max_flows)
		put(o, " max-flows %u", a->max_flows);
	if (a->share)
		put_percent(o, " flows", a->share);
}

static void put_match(struct out *o, const struct sq_rule *rule, const struct sq_match *m)
{
	char text[64];

	if (m->proto)
		put(o, " proto %s", match_format_proto(m, text, sizeof(text)));
	if (m->family)
		put(o, " to %s", match_format_addr(m, text, sizeof(text)));
	if (m->rport_hi)
		put(o, " dport %s",
		    match_format_port(m->rport_lo, m->rport_hi, text, sizeof(text)));
	if (m->lport_hi)
		put(o, " sport %s",
		    match_format_port(m->lport_lo, m->lport_hi, text, sizeof(text)));
	if (m->aport_hi)
		put(o, " port %s", match_format_port(m->aport_lo, m->aport_hi, text, sizeof(text)));
	if (m->host)
		put(o, " host %s", match_host(rule, m));
	for (unsigned i = 0; match_tcp_word(m, i); i++)
		if (*match_tcp_word(m, i))
			put(o, " %s", match_tcp_word(m, i));
}

static bool same_faults(const struct sq_faults *a, const struct sq_faults *b)
{
	struct sq_faults x = *a, y = *b;

	x.counter = y.counter = 0;
	return !memcmp(&x, &y, sizeof(x));
}

static void put_clause(struct out *o, const struct sq_rule *rule, const struct sq_clause *c)
{
	const struct sq_faults *up = &c->faults[SQ_UP], *down = &c->faults[SQ_DOWN];

	if (same_faults(up, down) || (!faults_any(up) && !faults_any(down))) {
		put(o, "both");
		put_faults(o, up);
	} else {
		if (faults_any(up)) {
			put(o, "up");
			put_faults(o, up);
		}
		if (faults_any(down)) {
			put(o, "%sdown", faults_any(up) ? " " : "");
			put_faults(o, down);
		}
	}
	put_ask(o, &c->ask);
	if (!match_is_any(&c->match)) {
		put(o, " match");
		put_match(o, rule, &c->match);
	}
}

int sq_rule_to_text(const struct sq_rule *rule, char *buf, size_t size)
{
	struct out o = {.buf = buf, .size = size};
	char text[32];
	uint32_t i;

	if (size)
		buf[0] = 0;
	for (i = 0; i < rule->n_clauses && i < SQ_MAX_CLAUSES; i++) {
		if (i)
			put(&o, " also ");
		put_clause(&o, rule, &rule->clause[i]);
	}
	for (i = 0; i < rule->n_excepts && i < SQ_MAX_EXCEPTS; i++) {
		put(&o, " except");
		put_match(&o, rule, &rule->except[i]);
	}
	if (rule->for_ns)
		put(&o, " for %s", sq_format_duration(rule->for_ns, text, sizeof(text)));
	if (rule->flags & SQ_R_SEED_GIVEN)
		put(&o, " seed %llu", (unsigned long long)rule->seed);
	if (rule->flags & SQ_R_KEEP)
		put(&o, " on-crash keep");
	if (rule->links)
		put(&o, " links %u", rule->links);
	return o.len < o.size ? (int)o.len : -ENOSPC;
}
