// SPDX-License-Identifier: GPL-2.0-only
/* Checks and derived fields of a whole rule, whatever it was written in. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <squall/units.h>
#include "lib/rule/parts.h"

#define MAX_NS	       (1ull << 62)
#define MIN_RATE_BPS   8ull
#define MAX_RATE_BPS   1000000000000000ull /* 1000tbit */
#define MAX_SIZE_BYTES 4294967295ull	   /* 4gb, as tc keeps them */
#define MIN_BURST      5120ull		   /* 5kb */
#define BURST_NS       4000000ull	   /* 4 ms, as tc's own advice for HZ=250 */
#define LATENCY_NS     50000000ull	   /* docker-tc's "latency 50ms" */
#define FULL_PACKET    1514ull
#define GSO_MAX	       65536ull
#define MAX_GAP	       65535u
#define MIN_MTU	       68u /* RFC 791 */

uint32_t fraction_rest(uint32_t p)
{
	return p == SQ_ALWAYS ? 0 : p == 0 ? SQ_ALWAYS : 0u - p;
}

bool faults_any(const struct sq_faults *f)
{
	return f->delay_ns || f->jitter_ns || f->rate_bps || f->loss_model || f->duplicate ||
	       f->corrupt || f->reorder || f->mtu || (f->flags & SQ_F_BLACKHOLE);
}

/* bytes at bps, in nanoseconds; saturates, for callers that check. */
static uint64_t bytes_to_ns(uint64_t bytes, uint64_t bps)
{
	unsigned __int128 v = (unsigned __int128)bytes * 8000000000ull / bps;

	return v > MAX_NS ? MAX_NS + 1 : (uint64_t)v;
}

/* What a direction's error is about. */
struct where {
	int clause;
	const char *dir;
	struct sq_error *err;
};

__attribute__((format(printf, 3, 4))) static int refuse(const struct where *w, const char *name,
							const char *fmt, ...)
{
	char field[FIELD_SIZE], text[256];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	field_name(field, w->clause, w->dir, name);
	return sq_error_set(w->err, -EINVAL, field, "%s", text);
}

/* Sums of independent roundings may miss 100 % by a few steps of 2^-32. */
static bool above_one(uint32_t a, uint32_t b)
{
	return (uint64_t)a + b > (1ull << 32) + 4;
}

static int finish_loss(struct sq_faults *f, const struct where *w)
{
	switch (f->loss_model) {
	case SQ_LOSS_NONE:
		break;
	case SQ_LOSS_RANDOM:
		if (f->loss_corr == SQ_ALWAYS)
			return refuse(w, "loss", "correlation 100%% is not accepted: %s",
				      accepts_corr);
		memset(f->loss_p + 1, 0, sizeof(f->loss_p) - sizeof(f->loss_p[0]));
		if (!f->loss_p[0])
			f->loss_model = SQ_LOSS_NONE;
		break;
	case SQ_LOSS_GEMODEL:
		f->loss_p[4] = 0;
		f->loss_corr = 0;
		if (!f->loss_p[0] && !f->loss_p[3]) /* never leaves the good state, loses none */
			f->loss_model = SQ_LOSS_NONE;
		break;
	case SQ_LOSS_STATE:
		if (above_one(f->loss_p[0], f->loss_p[4]))
			return refuse(w, "loss",
				      "p13 + p14 above 100%% is not accepted: both "
				      "leave state 1, together at most 100%%");
		if (above_one(f->loss_p[1], f->loss_p[2]))
			return refuse(w, "loss",
				      "p31 + p32 above 100%% is not accepted: both "
				      "leave state 3, together at most 100%%");
		f->loss_corr = 0;
		if (!f->loss_p[0] && !f->loss_p[4])
			f->loss_model = SQ_LOSS_NONE;
		break;
	default:
		return refuse(w, "loss", "model %u is not accepted: random, gemodel or state",
			      f->loss_model);
	}
	if (f->loss_model == SQ_LOSS_NONE) {
		memset(f->loss_p, 0, sizeof(f->loss_p));
		f->loss_corr = 0;
	}
	return 0;
}

static int finish_delay(struct sq_faults *f, const struct where *w)
{
	if (f->delay_ns > MAX_NS || f->jitter_ns > MAX_NS)
		return refuse(w, "delay", "more than 146 years is not accepted");
	if (f->delay_corr && !f->jitter_ns)
		return refuse(w, "delay",
			      "a correlation without a jitter is not accepted: it "
			      "says how alike successive jitters are");
	if (f->distribution && !f->jitter_ns)
		return refuse(w, "distribution",
			      "is not accepted without a jitter, as in "
			      "\"delay 100ms 20ms distribution normal\"");
	if (f->distribution >= SQ_DIST_SLOTS)
		return refuse(w, "distribution", "%u is not accepted: %s", f->distribution,
			      distribution_names);
	if (f->reorder && !f->delay_ns)
		return refuse(w, "reorder",
			      "is not accepted without a delay: reordered packets "
			      "are those that overtake delayed ones");
	if (f->gap && !f->reorder)
		return refuse(w, "gap",
			      "is not accepted without reorder, as in "
			      "\"delay 10ms reorder 25%% gap 5\"");
	if (f->gap > MAX_GAP)
		return refuse(w, "gap", "%u is not accepted: %s", f->gap, accepts_gap);
	return 0;
}

static int finish_corr(const char *name, uint32_t p, uint32_t *corr, const struct where *w)
{
	if (*corr == SQ_ALWAYS)
		return refuse(w, name, "correlation 100%% is not accepted: %s", accepts_corr);
	if (!p)
		*corr = 0;
	return 0;
}

static int finish_rate(struct sq_faults *f, const struct where *w)
{
	uint64_t burst = f->burst_bytes, packet_ns;

	f->burst_ns = 0;
	if (!f->rate_bps) {
		if (f->burst_bytes)
			return refuse(w, "burst", "is not accepted without rate");
		if (f->limit_bytes)
			return refuse(
				w, "limit",
				"is not accepted without rate: it bounds the queue of a rate, in "
				"bytes; what a delay holds is bounded by squalld's --lane-memory, "
				"and by no number of packets as netem's limit");
		if ((f->flags & SQ_F_LIMIT_TIME) || f->limit_ns)
			return refuse(
				w, "latency",
				"is not accepted without rate: it bounds the queue of a rate; "
				"netem's latency is delay here");
		return 0;
	}
	if (f->rate_bps < MIN_RATE_BPS || f->rate_bps > MAX_RATE_BPS)
		return refuse(w, "rate", "%llu bit/s is not accepted: %s",
			      (unsigned long long)f->rate_bps, accepts_rate);
	if (f->burst_bytes > MAX_SIZE_BYTES)
		return refuse(w, "burst", "%llu is not accepted: %s",
			      (unsigned long long)f->burst_bytes, accepts_size);
	if (f->limit_bytes > MAX_SIZE_BYTES)
		return refuse(w, "limit", "%llu is not accepted: %s",
			      (unsigned long long)f->limit_bytes, accepts_size);
	if (f->limit_bytes && (f->flags & SQ_F_LIMIT_TIME))
		return refuse(w, "limit",
			      "is not accepted together with latency: both bound the "
			      "same queue, give one");
	if (!burst) {
		burst = (uint64_t)((unsigned __int128)f->rate_bps * BURST_NS / 8000000000ull);
		if (burst < MIN_BURST)
			burst = MIN_BURST;
	}
	f->burst_ns = bytes_to_ns(burst, f->rate_bps);
	packet_ns = bytes_to_ns(FULL_PACKET, f->rate_bps);
	if (f->limit_bytes)
		f->limit_ns = bytes_to_ns(f->limit_bytes, f->rate_bps);
	else if (!(f->flags & SQ_F_LIMIT_TIME))
		f->limit_ns = packet_ns > LATENCY_NS ? packet_ns : LATENCY_NS;
	if (f->burst_ns > MAX_NS || f->limit_ns > MAX_NS)
		return refuse(w, "rate",
			      "a burst or limit that lasts more than 146 years is not "
			      "accepted");
	if (burst < GSO_MAX)
		f->flags |= SQ_F_WIRE;
	return 0;
}

static int finish_faults(struct sq_faults *f, const struct where *w)
{
	int r;

	f->flags &= SQ_F_BLACKHOLE | SQ_F_LIMIT_TIME | SQ_F_MTU_ICMP;
	f->pad = 0;
	if ((f->mtu && f->mtu < MIN_MTU) || f->mtu > UINT16_MAX)
		return refuse(w, "mtu", "%u is not accepted: %s", f->mtu, accepts_mtu);
	if ((f->flags & SQ_F_MTU_ICMP) && !f->mtu)
		return refuse(w, "mtu", "icmp is not accepted without a size: %s", accepts_mtu);
	r = finish_loss(f, w);
	if (!r)
		r = finish_delay(f, w);
	if (!r)
		r = finish_corr("duplicate", f->duplicate, &f->duplicate_corr, w);
	if (!r)
		r = finish_corr("corrupt", f->corrupt, &f->corrupt_corr, w);
	if (!r)
		r = finish_corr("reorder", f->reorder, &f->reorder_corr, w);
	if (!r)
		r = finish_rate(f, w);
	if (r)
		return r;
	if (f->loss_model || f->duplicate || f->corrupt || f->reorder || f->mtu)
		f->flags |= SQ_F_WIRE;
	/* What becomes an answer must not be waiting for a checksum of TCP or UDP. */
	if (f->corrupt || (f->flags & SQ_F_MTU_ICMP))
		f->flags |= SQ_F_SUM;
	if (f->delay_ns || f->jitter_ns || f->rate_bps)
		f->flags |= SQ_F_LANE;
	if (faults_any(f))
		f->flags |= SQ_F_ACTIVE;
	return 0;
}

static uint32_t port_width(uint16_t lo, uint16_t hi)
{
	return hi ? (uint32_t)hi - lo + 1 : 65536;
}

/* Positive if b is more specific than a. */
static int match_order(const struct sq_match *a, const struct sq_match *b)
{
	/* v4 and v6 exclude each other, so their prefixes need no common scale. */
	int pa = a->family ? 1 + a->prefix_len : 0, pb = b->family ? 1 + b->prefix_len : 0;
	uint64_t wa, wb;

	if (!a->host != !b->host)
		return !!b->host - !!a->host;
	if (pa != pb)
		return pb - pa;
	wa = (uint64_t)port_width(a->rport_lo, a->rport_hi) * port_width(a->lport_lo, a->lport_hi) *
	     port_width(a->aport_lo, a->aport_hi);
	wb = (uint64_t)port_width(b->rport_lo, b->rport_hi) * port_width(b->lport_lo, b->lport_hi) *
	     port_width(b->aport_lo, b->aport_hi);
	if (wa != wb)
		return wa > wb ? 1 : -1;
	if (!a->proto != !b->proto)
		return !!b->proto - !!a->proto;
	return !!(b->flags & SQ_M_TCP) - !!(a->flags & SQ_M_TCP);
}

/* Clauses of the same match in different directions become one. */
static int merge_clauses(struct sq_rule *rule, struct sq_error *err)
{
	uint32_t i, j;
	int d;

	for (i = 0; i < rule->n_clauses; i++) {
		for (j = i + 1; j < rule->n_clauses;) {
			struct sq_clause *a = &rule->clause[i], *b = &rule->clause[j];

			if (!sq_match_equal(&a->match, &b->match)) {
				j++;
				continue;
			}
			for (d = 0; d < SQ_DIRS; d++) {
				char field[FIELD_SIZE];

				if (!faults_any(&b->faults[d]) && !ask_acts(&b->ask))
					continue;
				field_name(field, (int)j, d == SQ_UP ? "up" : "down", "");
				if (faults_any(&a->faults[d]) ||
				    memcmp(&a->ask, &b->ask, sizeof(a->ask)))
					return sq_error_set(err, -EINVAL, field,
							    "a second set of faults for the same "
							    "packets is not accepted: give each "
							    "clause its own match");
				a->faults[d] = b->faults[d];
			}
			memmove(b, b + 1, (rule->n_clauses - j - 1) * sizeof(*b));
			rule->n_clauses--;
			memset(&rule->clause[rule->n_clauses], 0, sizeof(*b));
		}
	}
	return 0;
}

/* Stable, so that the order of equals is the user's and text round-trips. */
static void sort_clauses(struct sq_rule *rule)
{
	uint32_t i, j;

	for (i = 1; i < rule->n_clauses; i++) {
		struct sq_clause c = rule->clause[i];

		for (j = i; j > 0 && match_order(&rule->clause[j - 1].match, &c.match) > 0; j--)
			rule->clause[j] = rule->clause[j - 1];
		rule->clause[j] = c;
	}
}

static int clause_finish(struct sq_clause *c, int i, struct sq_error *err)
{
	static const char *const dirs[SQ_DIRS] = {"up", "down"};
	char field[FIELD_SIZE];
	int r;

	field_name(field, i, "match", "");
	r = match_finish(&c->match, field, err);
	for (int d = 0; !r && d < SQ_DIRS; d++) {
		struct where w = {i, dirs[d], err};

		r = finish_faults(&c->faults[d], &w);
	}
	if (!r)
		r = ask_finish(c, i, err);
	if (r || faults_any(&c->faults[SQ_UP]) || faults_any(&c->faults[SQ_DOWN]) ||
	    ask_acts(&c->ask))
		return r;
	field_name(field, i, "", i ? "faults" : "rule");
	return sq_error_set(err, -EINVAL, field,
			    "asks for no fault at all: give one above 0, or delete the rule");
}

static int except_finish(struct sq_match *m, unsigned int i, struct sq_error *err)
{
	char field[FIELD_SIZE];
	int r;

	snprintf(field, sizeof(field), "except[%u]", i);
	r = match_finish(m, field, err);
	if (r || !match_is_any(m))
		return r;
	return sq_error_set(err, -EINVAL, field,
			    "matches every packet: the rule would do nothing; name a port, an "
			    "address or a protocol");
}

/* What the whole rule needs, from what its clauses do. */
static void flags_finish(struct sq_rule *rule)
{
	rule->flags &= SQ_R_KEEP | SQ_R_SEED_GIVEN;
	for (uint32_t i = 0; i < rule->n_clauses; i++) {
		if (ask_needs_table(&rule->clause[i].ask))
			rule->flags |= SQ_R_FLOWS;
		for (int d = 0; d < SQ_DIRS; d++)
			if (rule->clause[i].faults[d].flags & SQ_F_LANE)
				rule->flags |= SQ_R_LANE;
	}
}

static int check_table(const struct sq_rule *rule, struct sq_error *err)
{
	char field[FIELD_SIZE];

	if (rule->links && (rule->flags & SQ_R_FLOWS) == 0)
		return sq_error_set(err, -EINVAL, "links",
				    "is not accepted without each, hang, reset or max-flows: it is "
				    "the size of their table");
	if (rule->links > SQ_LINKS_MAX)
		return sq_error_set(err, -EINVAL, "links", "%u is not accepted: %s", rule->links,
				    accepts_links);
	for (uint32_t i = 0; i < rule->n_clauses; i++) {
		uint32_t n = rule->clause[i].ask.max_flows;

		if (n <= (rule->links ? rule->links : SQ_LINKS))
			continue;
		field_name(field, (int)i, "", "max-flows");
		return sq_error_set(err, -EINVAL, field,
				    "%u is more than the table holds: give it room, as in "
				    "\"max-flows %u links %u\"",
				    n, n, n);
	}
	return 0;
}

int sq_rule_finish(struct sq_rule *rule, struct sq_error *err)
{
	struct sq_rule new = *rule;
	uint32_t i;
	int r = 0;

	if (!new.n_clauses)
		return sq_error_set(err, -EINVAL, "rule",
				    "is empty: at least one fault is needed, "
				    "as in \"up loss 10%%\"");
	if (new.n_clauses > SQ_MAX_CLAUSES)
		return sq_error_set(err, -EINVAL, "clauses", "%u are too many: at most %d",
				    new.n_clauses, SQ_MAX_CLAUSES);
	if (new.n_excepts > SQ_MAX_EXCEPTS)
		return sq_error_set(err, -EINVAL, "except", "%u are too many: at most %d",
				    new.n_excepts, SQ_MAX_EXCEPTS);
	for (i = 0; !r && i < new.n_clauses; i++)
		r = clause_finish(&new.clause[i], (int)i, err);
	for (i = 0; !r && i < new.n_excepts; i++)
		r = except_finish(&new.except[i], i, err);
	if (!r)
		r = merge_clauses(&new, err);
	if (r)
		return r;
	sort_clauses(&new);
	hosts_finish(&new);
	flags_finish(&new);
	r = check_table(&new, err);
	if (r)
		return r;
	if (new.for_ns > MAX_NS)
		return sq_error_set(err, -EINVAL, "for", "more than 146 years is not accepted");
	*rule = new;
	return 0;
}

static bool faults_equal(const struct sq_faults *a, const struct sq_faults *b)
{
	struct sq_faults x = *a, y = *b;

	x.counter = y.counter = 0;
	return !memcmp(&x, &y, sizeof(x)); /* no holes: abi.h asserts the size */
}

bool sq_rule_equal(const struct sq_rule *a, const struct sq_rule *b)
{
	const uint32_t flags = SQ_R_KEEP | SQ_R_SEED_GIVEN;
	uint32_t i;
	int d;

	if (a->n_clauses != b->n_clauses || a->n_excepts != b->n_excepts ||
	    a->for_ns != b->for_ns || a->links != b->links ||
	    (a->flags & flags) != (b->flags & flags))
		return false;
	if ((a->flags & SQ_R_SEED_GIVEN) && a->seed != b->seed)
		return false;
	for (i = 0; i < a->n_clauses; i++) {
		if (!sq_match_equal(&a->clause[i].match, &b->clause[i].match) ||
		    memcmp(&a->clause[i].ask, &b->clause[i].ask, sizeof(a->clause[i].ask)))
			return false;
		for (d = 0; d < SQ_DIRS; d++)
			if (!faults_equal(&a->clause[i].faults[d], &b->clause[i].faults[d]))
				return false;
	}
	if (memcmp(a->host, b->host, sizeof(a->host)))
		return false;
	for (i = 0; i < a->n_excepts; i++)
		if (!sq_match_equal(&a->except[i], &b->except[i]))
			return false;
	return true;
}

size_t sq_rule_used(const struct sq_rule *rule)
{
	if (rule->n_hosts)
		return sizeof(*rule);
	if (rule->n_excepts)
		return offsetof(struct sq_rule, except) + rule->n_excepts * sizeof(rule->except[0]);
	return offsetof(struct sq_rule, clause) + rule->n_clauses * sizeof(rule->clause[0]);
}

void sq_rule_copy(struct sq_rule *to, const struct sq_rule *from)
{
	size_t had = sq_rule_used(to), has = sq_rule_used(from);

	memcpy(to, from, has);
	if (had > has)
		memset((char *)to + has, 0, had - has);
}
