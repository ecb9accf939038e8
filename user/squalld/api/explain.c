// SPDX-License-Identifier: GPL-2.0-only
/*
 * "Why has my fault no effect?": where the target's packets are seen, what was
 * done to them, and each reason why some escape the rule, with what to do.
 * First what the book knows, under the lock; then processes, sockets and
 * interfaces, without it.
 */
#include "squalld/api/explain.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lib/clock.h"
#include "squalld/control/book.h"
#include "squalld/control/schedules.h"
#include "squalld/control/selector.h"
#include "squalld/discovery/sockets.h"
#include "squalld/flows/silent.h"
#include "squalld/kernel/kernel.h"

#define PORT_LOCUST   5557
#define QUIET_NS      3000000000ull /* a clause that met nothing for so long is worth a word */
#define LINES	      20000	    /* of each table of sockets: some 20 ms */
#define LINES_AT_ONCE 1000
#define INTERFACES    32
#define EXAMPLES      3
#define FEW_EXPECTED  1.0 /* struck packets: with fewer to be expected, none is no wonder */

/* A kind of connection that the rule does not mean, or cannot meet. */
enum escape { ESC_LOOP, ESC_EXEMPT, ESC_EXCEPT, ESC_UNMATCHED, ESCAPES };

struct explain {
	struct api *a;
	json_t *reasons;
	struct target t;
	bool running, ruled, in_force;
	bool others;	     /* there are rules of other targets */
	struct sq_rule rule; /* the target's own, or, `inherited`, its parent's */
	char *inherited;     /* whose, NULL: its own */
	char *by;	     /* the selector that it came by, or NULL */
	struct sq_counters count[SQ_MAX_CLAUSES][SQ_DIRS], sum[SQ_DIRS];
	uint64_t began_ms;
	json_t *schedule, *children;
	const char *mode;      /* of the view */
	const char *lo_passes; /* why what goes over loopback is not met, or NULL */
	json_t *view, *interfaces;
	int pids;
	unsigned int flows, escaped[ESCAPES];
	char example[ESCAPES][220];
	bool clause_met[SQ_MAX_CLAUSES];
	struct sq_flow_head followed; /* where the rule follows flows; else all 0 */
};

static void reason(struct explain *x, const char *code, const char *what_to_do, const char *fmt,
		   ...) __attribute__((format(printf, 4, 5)));
static void reason(struct explain *x, const char *code, const char *what_to_do, const char *fmt,
		   ...)
{
	char text[700];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	json_array_append_new(x->reasons, json_pack("{s:s,s:o,s:o}", "code", code, "text",
						    json_text(text), "do", json_text(what_to_do)));
}

/* --- the book, under the lock -------------------------------------------------------- */

struct kin {
	struct explain *x;
	const struct rule_entry *parent;
	size_t parent_len;
};

static bool is_below(const char *path, const char *above)
{
	size_t n = strlen(above);

	return strncmp(path, above, n) == 0 && path[n] == '/';
}

static int look_at_kin(struct rule_entry *e, void *arg)
{
	struct kin *k = arg;

	if (!e->in_force || !e->cgroup || !k->x->t.cgroup[0])
		return 0;
	k->x->others |= strcmp(e->cgroup, k->x->t.cgroup) != 0;
	if (is_below(e->cgroup, k->x->t.cgroup)) {
		json_array_append_new(k->x->children, json_text(e->name));
	} else if (is_below(k->x->t.cgroup, e->cgroup) && strlen(e->cgroup) > k->parent_len) {
		k->parent = e;
		k->parent_len = strlen(e->cgroup);
	}
	return 0;
}

static void take_rule(struct explain *x, const struct rule_entry *e)
{
	x->ruled = true;
	x->rule = e->rule;
	x->in_force = e->in_force;
	x->began_ms = e->began_ms;
	if ((e->rule.flags & SQ_R_FLOWS) &&
	    engine_flow_counts(x->a->engine, e->cgroup_id, &x->followed) < 0)
		memset(&x->followed, 0, sizeof(x->followed));
	for (uint32_t i = 0; i < e->rule.n_clauses; i++)
		for (int dir = 0; dir < SQ_DIRS; dir++) {
			struct sq_counters *c = &x->count[i][dir];

			if (book_counters(x->a->book, e, i, dir, c, NULL) < 0)
				continue;
			for (size_t w = 0; w < sizeof(*c) / sizeof(uint64_t); w++)
				((__u64 *)&x->sum[dir])[w] += ((__u64 *)c)[w];
		}
}

static int gather(struct explain *x, const char *name, struct sq_error *p)
{
	struct api *a = x->a;
	struct kin kin = {.x = x};
	struct rule_entry *e;
	int rc;

	if (selector_is(name))
		return sq_error_set(p, -EINVAL, "target",
				    "%.200s is a selector; explain a target: `squall fault show` "
				    "lists those that it rules",
				    name);
	pthread_mutex_lock(a->lock);
	rc = target_resolve(a->targets, name, &x->t, p);
	if (rc == 0) {
		x->running = !x->t.c || x->t.c->running;
		e = book_find(a->book, x->t.name);
		book_each(a->book, look_at_kin, &kin);
		if (e) {
			take_rule(x, e);
			x->by = e->by ? strdup(e->by) : NULL;
		} else if (kin.parent) {
			take_rule(x, kin.parent);
			x->inherited = strdup(kin.parent->name);
		}
		x->schedule = schedule_json(a->schedules, x->t.name);
		x->t.c = NULL; /* valid under the lock only */
	}
	pthread_mutex_unlock(a->lock);
	return rc;
}

/* --- connections ------------------------------------------------------------------------ */

static bool is_exempt(const struct explain *x, const struct peer_of *p, uint8_t named)
{
	static const uint8_t metadata[2][4] = {{169, 254, 169, 254}, {169, 254, 170, 2}};
	static const uint8_t metadata6[16] = {0xfd, 0, 0x0e, 0xc2, [14] = 0x02, [15] = 0x54};
	uint16_t control = http_port(x->a->http);

	if (!(named & SQ_M_PORT_NAMED) && p->proto == IPPROTO_TCP &&
	    (p->rport == PORT_LOCUST || p->lport == PORT_LOCUST ||
	     (control && (p->rport == control || p->lport == control))))
		return true;
	if (!(named & SQ_M_ADDR_NAMED) && p->family == AF_INET6)
		return !memcmp(p->remote, metadata6, sizeof(metadata6));
	return !(named & SQ_M_ADDR_NAMED) && p->family == AF_INET &&
	       (!memcmp(p->remote, metadata[0], 4) || !memcmp(p->remote, metadata[1], 4));
}

/* How this connection escapes the rule, or ESCAPES. */
static enum escape judge(struct explain *x, const struct peer_of *p)
{
	struct sq_ends ends = {.family = p->family == AF_INET6 ? 6 : 4,
			       .proto = p->proto,
			       .rport = p->rport,
			       .lport = p->lport};

	memcpy(ends.remote, p->remote, sizeof(ends.remote));
	if (p->loops && x->lo_passes)
		return ESC_LOOP;
	for (uint32_t i = 0; i < x->rule.n_excepts; i++)
		if (sq_match_meets(&x->rule.except[i], &ends))
			return ESC_EXCEPT;
	for (uint32_t i = 0; i < x->rule.n_clauses; i++) {
		if (!sq_match_meets(&x->rule.clause[i].match, &ends))
			continue;
		x->clause_met[i] = true;
		return is_exempt(x, p, x->rule.clause[i].match.flags) ? ESC_EXEMPT : ESCAPES;
	}
	return ESC_UNMATCHED;
}

static void look_at_flow(const struct peer_of *p, void *arg)
{
	struct explain *x = arg;
	enum escape how = judge(x, p);
	char addr[INET6_ADDRSTRLEN];
	size_t at;

	x->flows++;
	if (how == ESCAPES || x->escaped[how]++ >= EXAMPLES)
		return;
	at = strlen(x->example[how]);
	snprintf(x->example[how] + at, sizeof(x->example[how]) - at, "%s%s%s%s:%u (%s)",
		 at ? ", " : "", p->family == AF_INET6 ? "[" : "",
		 inet_ntop(p->family, p->remote, addr, sizeof(addr)),
		 p->family == AF_INET6 ? "]" : "", p->rport,
		 p->proto == IPPROTO_TCP ? "tcp" : "udp");
}

static const char do_lo[] = "see squalld's --lo and --iface";

static void explain_flows(struct explain *x)
{
	static const struct {
		const char *code, *what, *todo;
	} how[ESCAPES] = {
		[ESC_LOOP] = {"loopback", "go over loopback, which is not attached", do_lo},
		[ESC_EXEMPT] =
			{"exempt",
			 "are exempt: metadata addresses, squalld's port and Locust's 5557",
			 "name the port or address in the rule (match port 5557) to mean it"},
		[ESC_EXCEPT] = {"except", "are what the rule's \"except\" lets pass",
				"take the except away if they are meant"},
		[ESC_UNMATCHED] = {"unmatched", "match no clause of the rule",
				   "widen the match, or add a clause with \"also\""},
	};

	for (int i = 0; i < ESCAPES; i++)
		if (x->escaped[i])
			reason(x, how[i].code, how[i].todo, "%u of %u connections %s: %s%s",
			       x->escaped[i], x->flows, how[i].what, x->example[i],
			       x->escaped[i] > EXAMPLES ? ", ..." : "");
}

/* --- interfaces ----------------------------------------------------------------------------- */

static void add_interface(struct explain *x, const json_t *name, const char *where, bool edge)
{
	json_array_append_new(x->interfaces,
			      json_pack("{s:O,s:s,s:s,s:s}", "name", (json_t *)(uintptr_t)name,
					"where", where, "up", edge ? "ingress" : "egress", "down",
					edge ? "egress" : "ingress"));
}

static bool is_edge(const json_t *attachment)
{
	const char *role = json_string_value(json_object_get(attachment, "role"));

	return role && strcmp(role, "edge") == 0;
}

static void look_at_interfaces(struct explain *x)
{
	json_t *status, *one;
	size_t i;

	x->view = x->t.id ? engine_target_view(x->a->engine, x->t.id) : NULL;
	x->mode = json_string_value(json_object_get(x->view, "mode"));
	if (!x->mode)
		x->mode = "none";
	json_array_foreach(json_object_get(x->view, "interfaces"), i, one) add_interface(
		x, one, strcmp(x->mode, "bridge") ? "target" : "host", !strcmp(x->mode, "bridge"));
	if (strcmp(x->mode, "host") != 0)
		return;
	status = engine_status(x->a->engine);
	/* What leads to a container comes last: there may be hundreds. */
	for (int edge = 0; edge < 2; edge++)
		json_array_foreach(json_object_get(status, "attachments"), i,
				   one) if (json_is_true(json_object_get(one, "host")) &&
					    is_edge(one) == edge &&
					    json_array_size(x->interfaces) < INTERFACES)
			add_interface(x, json_object_get(one, "name"), "host", false);
	json_decref(status);
}

/* --- reasons ------------------------------------------------------------------------------- */

static uint64_t struck(const struct sq_counters *c)
{
	return c->lost_pkts + c->delayed_pkts + c->duplicated_pkts + c->corrupted_pkts +
	       c->reordered_pkts + c->over_limit_pkts;
}

static void explain_place(struct explain *x, bool at_once)
{
	json_t *front = json_object_get(x->view, "in_front"), *who;
	struct sq_error err = {0};
	size_t i;

	if (!x->running)
		reason(x, "not-running", "start it: its rule comes back with it",
		       "the container does not run");
	/* A rule that is set before its program starts is no surprise: not said at once. */
	else if (!x->pids && at_once)
		;
	else if (!x->pids)
		reason(x, "no-process",
		       "start the program in it: a socket belongs to the cgroup in which it was "
		       "made, so moving a process that is connected already is not enough",
		       "the target has no process, so it sends and receives nothing");
	else if (!json_array_size(x->interfaces))
		reason(x, "no-interface", "give it a network",
		       "no interface that its packets pass is attached");
	json_array_foreach(front, i, who) reason(
		x, "in-front",
		"let that program pass packets on (TC_ACT_UNSPEC, TCX_NEXT), or run it behind "
		"squalld's",
		"%s is in front of squalld and may let packets pass", json_string_value(who));
	/* Asks each interface: 30 ms with 500 of them, too dear for each change. */
	if (x->ruled && !at_once && engine_health(x->a->engine, true, &err) != 0 &&
	    strncmp(err.text, "front:", 6))
		reason(x, "health", "squall status shows more", "squalld is not well: %.500s",
		       err.text);
	if (x->lo_passes && x->pids && !x->escaped[ESC_LOOP])
		reason(x, "loopback", do_lo,
		       "loopback (lo) is not attached (%s): what a target sends there passes",
		       x->lo_passes);
}

static void explain_silent(struct explain *x)
{
	const char *why = engine_late_resets(x->a->engine);

	if (why && silent_means(&x->rule))
		reason(x, "late-reset",
		       "a kernel with CONFIG_INET_DIAG_DESTROY=y resets it on time",
		       "reset idle and reset after strike a silent connection with its next "
		       "packet: "
		       "this kernel has no SOCK_DESTROY (%s)",
		       why);
}

static void explain_kin(struct explain *x)
{
	size_t n = json_array_size(x->children);

	if (x->by)
		reason(x, "selector",
		       "delete or change the selector's rule, or set one on the target itself, "
		       "which goes before",
		       "its rule is in force by %.300s", x->by);
	if (x->inherited)
		reason(x, "inherited", "set a rule on the target itself to have another",
		       "its packets are %.200s's: that rule acts on whatever has none of its own",
		       x->inherited);
	if (n && !x->inherited)
		reason(x, "child", "delete that rule if this one is meant for all",
		       "the packets of %.200s%s are judged by its own rule, not by this one",
		       json_string_value(json_array_get(x->children, 0)),
		       n > 1 ? " (and of others below)" : "");
}

static void explain_schedule(struct explain *x)
{
	if (!x->schedule)
		return;
	if (!json_is_true(json_object_get(x->schedule, "running"))) {
		if (!x->ruled)
			reason(x, "schedule-stopped", "squall schedule start TARGET",
			       "its schedule is saved, but does not run");
		return;
	}
	if (!x->ruled || x->inherited)
		reason(x, "schedule-gap", "wait for its next step: squall schedule show TARGET",
		       "its schedule runs and is in a step without a rule");
}

/* Of one clause and direction: what a packet that is met can expect. */
static double chance(const struct sq_faults *f)
{
	double p = 0;

	if ((f->flags & (SQ_F_BLACKHOLE | SQ_F_LANE)) || f->loss_model > SQ_LOSS_RANDOM)
		return 1;
	if (f->loss_model == SQ_LOSS_RANDOM)
		p += f->loss_p[0];
	return (p + f->duplicate + f->corrupt) / SQ_ALWAYS;
}

/* What is struck by its size or by what its connection does, and not by chance. */
static bool by_other(const struct sq_clause *c, const struct sq_faults *f)
{
	return f->mtu || c->ask.act || c->ask.max_flows;
}

static void explain_size(struct explain *x, uint32_t i, int dir)
{
	const struct sq_faults *f = &x->rule.clause[i].faults[dir];
	const struct sq_counters *c = &x->count[i][dir];

	if (f->mtu && c->seen_pkts && !c->lost_pkts)
		reason(x, "mtu", "send larger packets (a ping with -s), or lower the mtu",
		       "clause %u, %s, has met %llu packets, and none was larger than its mtu of "
		       "%u bytes",
		       i + 1, dir == SQ_UP ? "up" : "down", (unsigned long long)c->seen_pkts,
		       f->mtu);
}

static void explain_clauses(struct explain *x)
{
	uint64_t now = sq_real_ms() * 1000000ull;

	for (uint32_t i = 0; i < x->rule.n_clauses && now > x->rule.set_ns + QUIET_NS; i++) {
		flow_reasons(&x->rule, i, &x->followed, x->reasons);
		for (int dir = 0; dir < SQ_DIRS; dir++) {
			const struct sq_faults *f = &x->rule.clause[i].faults[dir];
			const struct sq_counters *c = &x->count[i][dir];
			const char *name = dir == SQ_UP ? "up" : "down";

			if (!(f->flags & SQ_F_ACTIVE))
				continue;
			if (!c->seen_pkts && x->rule.clause[i].match.host)
				reason(x, "host-unknown",
				       "let it look up the name or connect with TLS anew: what it "
				       "knew before the rule was set, and what it asks by TCP, by "
				       "HTTPS or says in QUIC, names no host to the kernel",
				       "clause %u, %s, has met no packet of host %s so far", i + 1,
				       name, x->rule.host[x->rule.clause[i].match.host - 1].name);
			else if (!c->seen_pkts)
				reason(x, "clause-idle",
				       "squall trace TARGET shows packets that are struck; see the "
				       "other reasons for where the rest goes",
				       "clause %u, %s, has met no packet so far", i + 1, name);
			else if (!struck(c) && c->seen_pkts * chance(f) < FEW_EXPECTED &&
				 !by_other(&x->rule.clause[i], f))
				reason(x, "chance", "wait for more packets, or raise the share",
				       "clause %u, %s, has met %llu packets and struck none: at "
				       "its "
				       "share %.2g would be expected",
				       i + 1, name, (unsigned long long)c->seen_pkts,
				       c->seen_pkts * chance(f));
			explain_size(x, i, dir);
			if (c->lane_lost_pkts)
				reason(x, "lane-full",
				       "raise --lane-memory, or lower delay and rate",
				       "squalld itself lost %llu packets, %s, since its lane was "
				       "full",
				       (unsigned long long)c->lane_lost_pkts, name);
		}
	}
}

static json_t *direction_json(const struct sq_counters *c)
{
	return json_pack("{s:I,s:I,s:I,s:I,s:I}", "pkts", (json_int_t)c->seen_pkts, "bytes",
			 (json_int_t)c->seen_bytes, "struck_pkts", (json_int_t)struck(c),
			 "lost_pkts", (json_int_t)c->lost_pkts, "lane_lost_pkts",
			 (json_int_t)c->lane_lost_pkts);
}

static void summary(const struct explain *x, char *buf, size_t size)
{
	unsigned long long seen = x->sum[0].seen_pkts + x->sum[1].seen_pkts,
			   lost = x->sum[0].lost_pkts + x->sum[1].lost_pkts,
			   late = x->sum[0].delayed_pkts + x->sum[1].delayed_pkts,
			   hit = struck(&x->sum[0]) + struck(&x->sum[1]);

	if (!x->ruled)
		snprintf(buf, size, "no rule: its packets pass untouched");
	else if (!x->in_force)
		snprintf(buf, size, "the rule waits for the target to run");
	else if (!seen)
		snprintf(buf, size, "in force, and no packet seen so far");
	else if (hit > lost + late)
		snprintf(buf, size,
			 "in force: %llu packets seen, %llu lost, %llu delayed, %llu else", seen,
			 lost, late, hit - lost - late);
	else
		snprintf(buf, size, "in force: %llu packets seen, %llu lost, %llu delayed", seen,
			 lost, late);
}

static json_t *answer(const struct explain *x)
{
	char text[200];

	summary(x, text, sizeof(text));
	return json_pack("{s:o,s:b,s:b,s:o,s:s,s:{s:s,s:O,s:i,s:i,s:o,s:o,s:o},s:O}", "target",
			 json_text(x->t.name), "ruled", x->ruled, "in_force", x->in_force,
			 "inherited_from", x->inherited ? json_text(x->inherited) : json_null(),
			 "summary", text, "seen", "mode", x->mode, "interfaces", x->interfaces,
			 "processes", x->pids, "connections", (int)x->flows, "since_ms",
			 x->began_ms ? json_integer((json_int_t)x->began_ms) : json_null(), "up",
			 direction_json(&x->sum[SQ_UP]), "down", direction_json(&x->sum[SQ_DOWN]),
			 "reasons", x->reasons);
}

static int explain(struct explain *x, const char *name, bool at_once, struct sq_error *p)
{
	int rc;

	x->reasons = json_array();
	x->children = json_array();
	x->interfaces = json_array();
	x->mode = "none";
	rc = gather(x, name, p);
	if (rc < 0)
		return rc;
	look_at_interfaces(x);
	x->lo_passes = x->t.id ? engine_lo_passes(x->a->engine, x->t.id, false) : NULL;
	if (x->t.cgroup[0])
		x->pids =
			sockets_each(x->t.cgroup, at_once ? LINES_AT_ONCE : LINES, look_at_flow, x);
	if (x->ruled && x->in_force) {
		explain_flows(x);
		explain_silent(x);
	}
	explain_place(x, at_once);
	explain_kin(x);
	if (x->ruled && x->in_force)
		limit_reasons(
			&x->rule,
			&(struct place){.host = !strcmp(x->mode, "host"),
					.shared = json_is_true(json_object_get(x->view, "shared")),
					.others = x->others,
					.at_once = at_once},
			x->sum, x->reasons);
	if (at_once)
		return 0;
	explain_schedule(x);
	if (x->ruled && x->in_force)
		explain_clauses(x);
	return 0;
}

static void forget(struct explain *x)
{
	json_decref(x->reasons);
	json_decref(x->children);
	json_decref(x->interfaces);
	json_decref(x->schedule);
	json_decref(x->view);
	free(x->inherited);
	free(x->by);
	free(x);
}

json_t *explain_json(struct api *a, const char *name, struct sq_error *p)
{
	struct explain *x = calloc(1, sizeof(*x));
	json_t *o = NULL;

	if (!x) {
		sq_error_set(p, -ENOMEM, NULL, "out of memory");
		return NULL;
	}
	x->a = a;
	if (explain(x, name, false, p) == 0) {
		o = answer(x);
		if (!o)
			sq_error_set(p, -ENOMEM, NULL, "out of memory");
	}
	forget(x);
	return o;
}

json_t *explain_notes(struct api *a, const char *name)
{
	struct explain *x = calloc(1, sizeof(*x));
	struct sq_error p = {0};
	json_t *notes = NULL, *one;
	size_t i;

	if (!x)
		return NULL;
	x->a = a;
	if (explain(x, name, true, &p) == 0 && json_array_size(x->reasons)) {
		notes = json_array();
		json_array_foreach(x->reasons, i, one)
			json_array_append(notes, json_object_get(one, "text"));
	}
	json_decref(p.candidates);
	forget(x);
	return notes;
}

enum MHD_Result api_explain(struct request *r, const char *name)
{
	struct sq_error p = {0};
	json_t *o = explain_json(api_of(r), name, &p);

	return o ? reply_json(r, 200, o) : reply_problem(r, &p);
}
