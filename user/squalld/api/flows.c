// SPDX-License-Identifier: GPL-2.0-only
/* Flows of the rules that follow them: what was counted, and the table itself. And what explain
 * says of those, and of what a rule cannot meet where its target lives. */
#include <errno.h>
#include <stdarg.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lib/clock.h"
#include "squalld/api/api.h"
#include "squalld/api/explain.h"
#include "squalld/control/book.h"
#include "squalld/kernel/kernel.h"

int flow_counts(struct engine *engine, const struct rule_entry *e, struct flow_count ret[])
{
	struct sq_flow_head h;

	if (!(e->rule.flags & SQ_R_FLOWS) || engine_flow_counts(engine, e->cgroup_id, &h) < 0)
		return 0;
	const struct flow_count c[FLOW_COUNTS] = {
		{"seen", h.seen},
		{"ended", h.ended},
		{"hung", h.hung},
		{"reset", h.reset},
		{"full", h.full},
		{"evicted", h.evicted},
		{"addresses", h.addresses},
		{"unparsed", h.unparsed},
		{"refused", h.refused},
		/* Two CPUs may have counted one end twice. */
		{"alive", h.seen > h.ended + h.evicted ? h.seen - h.ended - h.evicted : 0},
	};

	memcpy(ret, c, sizeof(c));
	return FLOW_COUNTS;
}

json_t *flow_counts_json(struct engine *engine, const struct rule_entry *e)
{
	struct flow_count c[FLOW_COUNTS];
	int n = flow_counts(engine, e, c);
	json_t *o;

	if (!n)
		return NULL;
	o = json_pack("{s:o}", "target", json_text(e->name));
	for (int i = 0; i < n; i++)
		json_object_set_new(o, c[i].what, json_integer((json_int_t)c[i].n));
	return o;
}

static void add_reason(json_t *list, const char *code, const char *what_to_do, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
static void add_reason(json_t *list, const char *code, const char *what_to_do, const char *fmt, ...)
{
	char text[240];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	json_array_append_new(
		list, json_pack("{s:s,s:s,s:s}", "code", code, "text", text, "do", what_to_do));
}

void flow_reasons(const struct sq_rule *rule, uint32_t i, const struct sq_flow_head *counted,
		  json_t *reasons)
{
	static const char *const when[] = {
		[SQ_WHEN_OLD] = "old",	   [SQ_WHEN_IDLE] = "idle", [SQ_WHEN_AGE] = "after",
		[SQ_WHEN_BYTES] = "after", [SQ_WHEN_MQTT] = "at",
	};
	const struct sq_flow_ask *ask = &rule->clause[i].ask;

	if (ask->act && !counted->hung && !counted->reset)
		add_reason(reasons, "flow-waits",
			   ask->when == SQ_WHEN_OLD
				   ? "set it while the connections that it is meant for are there"
				   : "squall flows TARGET shows their ages and what they carried",
			   "clause %u: of %llu connections none has met its \"%s %s\" so far",
			   i + 1, (unsigned long long)counted->seen,
			   ask->act == SQ_ACT_RESET ? "reset" : "hang", when[ask->when]);
	if (ask->when == SQ_WHEN_MQTT && counted->unparsed)
		add_reason(reasons, "unparsed",
			   "name the port (match dport 8883); where TLS hides the lengths of "
			   "records, use \"after SIZE\"",
			   "clause %u: MQTT could not be followed, %llu times", i + 1,
			   (unsigned long long)counted->unparsed);
	if (ask->max_flows && !counted->refused)
		add_reason(reasons, "flows-fit", "lower max-flows, or open more connections",
			   "clause %u: none was refused, as fewer than its max-flows %u were alive",
			   i + 1, ask->max_flows);
	if (!i && counted->full)
		add_reason(reasons, "flow-table",
			   "raise \"links\", the number of connections that are followed",
			   "%llu packets passed, as their connection found no place in the table",
			   (unsigned long long)counted->full);
}

#define LIMIT	  1000
#define LIMIT_MAX 10000

struct walk {
	json_t *list;
	size_t limit;
	json_int_t more; /* that had no room */
	uint64_t now;
};

static json_t *states_json(const struct sq_flow *f)
{
	static const struct {
		uint32_t bit;
		const char *name;
	} states[] = {
		{SQ_FLOW_OLD, "old"},
		{SQ_FLOW_HUNG, "hung"},
		{SQ_FLOW_RESET, "reset"},
		{SQ_FLOW_TLS, "tls"},
		{SQ_FLOW_CONNACK, "connected"},
		{SQ_FLOW_TLS_HIDDEN | SQ_FLOW_ASTRAY | SQ_FLOW_ASTRAY_UP, "unparsed"},
	};
	json_t *list = json_array();

	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
		if (f->state & states[i].bit)
			json_array_append_new(list, json_string(states[i].name));
	return list;
}

static json_int_t ms_since(uint64_t now, uint64_t then)
{
	return now > then ? (json_int_t)((now - then) / 1000000) : 0;
}

static int walk_one(const struct sq_flow *flow, void *arg)
{
	struct walk *w = arg;
	struct sq_flow f = *flow; /* the kernel goes on writing */
	json_t *o;

	if (f.state & SQ_FLOW_ENDED)
		return 0;
	if (json_array_size(w->list) == w->limit) {
		w->more++;
		return 0;
	}
	o = json_pack("{s:s,s:o,s:I,s:I,s:I,s:I,s:I,s:I,s:o}", "proto",
		      !f.proto			? "address"
		      : f.proto == IPPROTO_TCP	? "tcp"
		      : f.proto == IPPROTO_UDP	? "udp"
		      : f.proto == IPPROTO_ICMP ? "icmp"
						: "other",
		      "local", json_endpoint(f.family, f.local, f.lport), "age_ms",
		      ms_since(w->now, f.born_ns), "idle_ms", ms_since(w->now, f.last_ns),
		      "up_pkts", (json_int_t)(f.dyn[SQ_UP].chain >> 8), "up_bytes",
		      (json_int_t)f.dyn[SQ_UP].bytes, "down_pkts",
		      (json_int_t)(f.dyn[SQ_DOWN].chain >> 8), "down_bytes",
		      (json_int_t)f.dyn[SQ_DOWN].bytes, "state", states_json(&f));
	if (o && f.proto)
		json_object_set_new(o, "remote", json_endpoint(f.family, f.remote, f.rport));
	return json_array_append_new(w->list, o) ? -ENOMEM : 0;
}

static enum MHD_Result reply_flows(struct request *r, const struct target *t, json_t *counts,
				   uint64_t cgroup_id, size_t limit)
{
	struct walk w = {.list = json_array(), .limit = limit, .now = sq_mono_ns()};
	int res = engine_flows(api_of(r)->engine, cgroup_id, walk_one, &w);

	if (res < 0) {
		json_decref(w.list);
		json_decref(counts);
		return reply_status(r, res == -ENOENT ? 404 : 503, "target",
				    "target: the flows of \"%.64s\" cannot be read: %s", t->name,
				    strerror(-res));
	}
	return reply_json(r, 200,
			  json_pack("{s:I,s:o,s:o,s:I}", "time_ms", (json_int_t)sq_real_ms(),
				    "counts", counts, "flows", w.list, "more", w.more));
}

enum MHD_Result api_flows(struct request *r, const char *name)
{
	size_t limit = LIMIT;
	struct sq_error p = {0};
	struct rule_entry *e;
	json_t *counts = NULL;
	struct target t;
	uint64_t id = 0;
	char text[16], *end;

	if (request_query(r, "limit", text, sizeof(text))) {
		limit = strtoul(text, &end, 10);
		if (*end || end == text || text[0] == '-' || limit < 1 || limit > LIMIT_MAX)
			return reply_status(r, 400, "limit",
					    "limit: \"%.15s\" is not accepted: 1 to %d", text,
					    LIMIT_MAX);
	}
	pthread_mutex_lock(api_of(r)->lock);
	if (target_resolve(api_of(r)->targets, name, &t, &p) == 0) {
		e = book_find(api_of(r)->book, t.name);
		counts = e && e->in_force ? flow_counts_json(api_of(r)->engine, e) : NULL;
		id = e ? e->cgroup_id : 0;
	}
	pthread_mutex_unlock(api_of(r)->lock);
	if (p.code)
		return reply_problem(r, &p);
	if (!counts)
		return reply_status(
			r, 404, "target",
			"target: no rule of \"%.64s\" follows flows: one with each, hang, "
			"reset or max-flows does",
			t.name);
	return reply_flows(r, &t, counts, id, limit); /* a walk of up to 360 MB: without the lock */
}

/* --- what a rule cannot meet ---------------------------------------------------------- */

/* `down` finds its target by the receiving socket there. */
static void socket_reasons(const struct sq_rule *rule, const struct place *at, bool met,
			   json_t *reasons)
{
	const char *where =
		at->host ? "in host mode" : "in a namespace that it shares with other cgroups";
	bool other = false;

	for (uint32_t i = 0; i < rule->n_clauses; i++) {
		const struct sq_clause *c = &rule->clause[i];
		uint8_t proto = c->match.proto;

		if (!(c->faults[SQ_DOWN].flags & SQ_F_ACTIVE))
			continue;
		if (proto && proto != IPPROTO_TCP && proto != IPPROTO_UDP)
			add_reason(reasons, "down-protocol", "fault up, or match tcp or udp",
				   "clause %u, down, never acts: %s down meets TCP and UDP alone, "
				   "not protocol %u",
				   i + 1, where, proto);
		other |= !proto;
	}
	if (other && !met && !at->at_once)
		add_reason(
			reasons, at->host ? "icmp-host" : "icmp-shared",
			"test with TCP or UDP, or fault up",
			"%s packets without a TCP or UDP socket are nobody's: replies to a ping, "
			"ICMP errors, UDP-Lite, SCTP, DCCP and raw sockets' are not met by "
			"\"down\"",
			where);
}

static void device_reasons(json_t *reasons)
{
	json_t *names = engine_no_ethernet(), *one;
	char list[160] = "";
	size_t i;

	json_array_foreach(names, i, one) if (strlen(list) + 20 < sizeof(list))
	{
		strcat(list, i ? ", " : "");
		strcat(list, json_string_value(one));
	}
	if (list[0])
		add_reason(reasons, "no-ethernet",
			   "set the rule where an Ethernet device carries it",
			   "what goes over %s%s is not met: no Ethernet header, so not attached",
			   list, json_array_size(names) > 8 ? ", ..." : "");
	json_decref(names);
}

void limit_reasons(const struct sq_rule *rule, const struct place *at,
		   const struct sq_counters sum[SQ_DIRS], json_t *reasons)
{
	if (at->host || at->shared)
		socket_reasons(rule, at, sum[SQ_DOWN].seen_pkts, reasons);
	if (at->host && !at->at_once)
		device_reasons(reasons);
	for (int dir = 0; dir < SQ_DIRS && at->others && !at->at_once; dir++) {
		bool acts = false;

		for (uint32_t i = 0; i < rule->n_clauses; i++)
			acts |= rule->clause[i].faults[dir].flags & SQ_F_ACTIVE;
		if (acts && !sum[dir].seen_pkts)
			add_reason(
				reasons, "forwarded", "take away the rule of what forwards",
				"what another target's rule has judged %s, as a router's does, is "
				"not judged %s again",
				dir == SQ_UP ? "up" : "down", dir == SQ_UP ? "up" : "down");
	}
}
