// SPDX-License-Identifier: GPL-2.0-only
/* What stands under load, faults, probes and thresholds. */
#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "sim/experiment/file/keys.h"

#define KEYS(k) (k), sizeof(k) / sizeof(*(k))
#define DAY	(86400 * EXP_NS)

/* Calls one(f, item, x, i) for each of a list of at most `max`. */
static int each(struct exp_file *f, yaml_node_t *v, const char *what, unsigned max,
		int (*one)(struct exp_file *, yaml_node_t *, struct experiment *, unsigned),
		struct experiment *x, unsigned *ret_n)
{
	unsigned n = 0;

	if (v->type != YAML_SEQUENCE_NODE)
		return exp_bad(f, v, "%s: accepted: a list, one '- { ... }' each", what);
	for (yaml_node_item_t *i = v->data.sequence.items.start; i < v->data.sequence.items.top;
	     i++) {
		yaml_node_t *item = exp_node(f, *i);
		int rc;

		if (n == max)
			return exp_bad(f, item, "%s: more than %u", what, max);
		rc = one(f, item, x, n++);
		if (rc)
			return rc;
	}
	*ret_n = n;
	return n ? 0 : exp_bad(f, v, "%s: is empty; leave it out", what);
}

/* --- load --------------------------------------------------------------------------------- */

static int stage_duration(struct exp_file *f, yaml_node_t *v, void *into)
{
	return exp_read_time(f, v, "duration", 0, DAY, &((struct exp_stage *)into)->over_ns);
}

static int stage_target(struct exp_file *f, yaml_node_t *v, void *into)
{
	uint64_t n;
	int rc = exp_read_count(f, v, "target", 10000000, &n);

	((struct exp_stage *)into)->target = (uint32_t)n;
	return rc;
}

static int one_stage(struct exp_file *f, yaml_node_t *v, struct experiment *x, unsigned i)
{
	static const struct exp_key keys[] = {{"duration", stage_duration, 0, 0},
					      {"target", stage_target, 0, 0}};

	x->stage[i].target = UINT32_MAX;
	x->stage[i].over_ns = UINT64_MAX;
	if (exp_read_map(f, v, KEYS(keys), &x->stage[i], "stages"))
		return -EINVAL;
	if (x->stage[i].target == UINT32_MAX || x->stage[i].over_ns == UINT64_MAX)
		return exp_bad(f, v,
			       "stages: accepted: {duration: 20s, target: 500}; %s is missing",
			       x->stage[i].target == UINT32_MAX ? "target" : "duration");
	return 0;
}

static int stages(struct exp_file *f, yaml_node_t *v, void *into)
{
	struct experiment *x = into;

	return each(f, v, "stages", EXP_MAX_STAGES, one_stage, x, &x->nstages);
}

int exp_read_load(struct exp_file *f, yaml_node_t *v, struct experiment *x)
{
	static const struct exp_key keys[] = {{"stages", stages, 0, 0}};
	int rc = exp_read_map(f, v, KEYS(keys), x, "load");
	uint32_t most = 0;

	if (!rc && !x->nstages)
		return exp_bad(f, v, "load: stages: is missing");
	for (unsigned i = 0; i < x->nstages; i++)
		most = x->stage[i].target > most ? x->stage[i].target : most;
	if (!rc && !most)
		return exp_bad(f, v, "load: no stage has devices: a target above 0 is needed");
	x->run.devices = most;
	return rc;
}

/* --- faults --------------------------------------------------------------------------------- */

int exp_read_peer(struct exp_file *f, yaml_node_t *v, struct exp_peer *p)
{
	static const struct exp_key keys[] = {
		{"url", NULL, offsetof(struct exp_peer, url), sizeof(p->url)},
		{"token-file", NULL, offsetof(struct exp_peer, token_file), sizeof(p->token_file)},
		{"cacert", NULL, offsetof(struct exp_peer, cacert), sizeof(p->cacert)},
	};
	int rc;

	memset(p, 0, sizeof(*p));
	rc = v->type == YAML_MAPPING_NODE ? exp_read_map(f, v, KEYS(keys), p, "squalld")
					  : exp_read_text(f, v, "squalld", p->url, sizeof(p->url));
	if (!rc && strncmp(p->url, "http://", 7) && strncmp(p->url, "https://", 8) &&
	    strncmp(p->url, "unix:/", 6) && strcmp(p->url, EXP_AGENT))
		return exp_bad(f, v,
			       "squalld '%.60s': accepted: http://HOST:PORT, https://HOST:PORT, "
			       "unix:/run/squall/squalld.sock, or " EXP_AGENT
			       " (the ECS agent of this task)",
			       p->url);
	return rc;
}

static int fault_name(struct exp_file *f, yaml_node_t *v, void *into)
{
	return exp_read_name(f, v, ((struct exp_fault *)into)->name);
}

static int fault_at(struct exp_file *f, yaml_node_t *v, void *into)
{
	return exp_read_time(f, v, "at", 0, DAY, &((struct exp_fault *)into)->at_ns);
}

static int fault_for(struct exp_file *f, yaml_node_t *v, void *into)
{
	return exp_read_time(f, v, "for", EXP_NS / 10, DAY, &((struct exp_fault *)into)->for_ns);
}

static int fault_target(struct exp_file *f, yaml_node_t *v, void *into)
{
	struct exp_fault *o = into;

	o->target_mark = exp_mark_of(v);
	return exp_read_text(f, v, "target", o->target, sizeof(o->target));
}

static int fault_rule(struct exp_file *f, yaml_node_t *v, void *into)
{
	struct exp_fault *o = into;
	struct sq_rule *r;
	struct sq_error why = {0};
	int rc = exp_read_text(f, v, "rule", o->rule, sizeof(o->rule));
	bool timed;

	o->rule_mark = exp_mark_of(v);
	if (rc)
		return rc;
	r = malloc(sizeof(*r));
	if (!r)
		return exp_bad(f, v, "out of memory");
	rc = sq_rule_from_text(o->rule, strlen(o->rule), r, &why);
	timed = !rc && r->for_ns;
	o->seeded = !rc && r->flags & SQ_R_SEED_GIVEN;
	free(r);
	if (rc)
		return exp_bad(f, v, "rule: %.300s", why.text);
	if (timed)
		return exp_bad(f, v, "rule: has a 'for' of its own; the fault's key for: says it");
	return 0;
}

static int fault_peer(struct exp_file *f, yaml_node_t *v, void *into)
{
	return exp_read_peer(f, v, &((struct exp_fault *)into)->peer);
}

static int one_fault(struct exp_file *f, yaml_node_t *v, struct experiment *x, unsigned i)
{
	static const struct exp_key keys[] = {
		{"name", fault_name, 0, 0},
		{"at", fault_at, 0, 0},
		{"for", fault_for, 0, 0},
		{"target", fault_target, 0, 0},
		{"rule", fault_rule, 0, 0},
		{"profile", NULL, offsetof(struct exp_fault, profile), sizeof(x->fault->profile)},
		{"squalld", fault_peer, 0, 0},
	};
	struct exp_fault *o = &x->fault[i];
	const char *missing;

	o->at_ns = UINT64_MAX;
	o->mark = exp_mark_of(v);
	if (exp_read_map(f, v, KEYS(keys), o, "faults"))
		return -EINVAL;
	missing = !*o->name		      ? "name"
		  : o->at_ns == UINT64_MAX    ? "at"
		  : !o->for_ns		      ? "for"
		  : !*o->target		      ? "target"
		  : !*o->rule && !*o->profile ? "rule"
					      : NULL;
	if (missing)
		return exp_bad(f, v,
			       "faults: %s: is missing; accepted: { name: tunnel, at: 60s, "
			       "for: 20s, target: \"cgroup:/fleet\", rule: \"both blackhole\" }",
			       missing);
	if (*o->rule && *o->profile)
		return exp_bad(f, v, "faults: rule and profile: one of them");
	for (unsigned k = 0; k < i; k++)
		if (!strcmp(x->fault[k].name, o->name))
			return exp_bad(f, v, "faults: name '%s': another fault has it already",
				       o->name);
	return 0;
}

int exp_read_faults(struct exp_file *f, yaml_node_t *v, struct experiment *x)
{
	return each(f, v, "faults", EXP_MAX_FAULTS, one_fault, x, &x->nfaults);
}

/* --- probes ----------------------------------------------------------------------------------- */

static int probe_name(struct exp_file *f, yaml_node_t *v, void *into)
{
	return exp_read_name(f, v, ((struct exp_probe *)into)->name);
}

/* By the library that will ask it. */
static bool url_ok(const char *url)
{
	CURLU *u = curl_url();
	bool ok = u && !curl_url_set(u, CURLUPART_URL, url, 0);

	curl_url_cleanup(u);
	return ok;
}

static int probe_url(struct exp_file *f, yaml_node_t *v, struct exp_probe *p,
		     enum exp_probe_kind kind, const char *name)
{
	int rc;

	if (*p->url || p->argv[0])
		return exp_bad(f, v, "probes: http, prometheus, command: one of them");
	rc = exp_read_text(f, v, name, p->url, sizeof(p->url));
	p->kind = kind;
	if (!rc && strncmp(p->url, "http://", 7) && strncmp(p->url, "https://", 8))
		return exp_bad(f, v, "probes: %s '%.60s': accepted: a URL, http:// or https://",
			       name, p->url);
	if (!rc && !url_ok(p->url))
		return exp_bad(f, v, "probes: %s '%.60s': is not a URL: http://HOST[:PORT][/PATH]",
			       name, p->url);
	return rc;
}

static int probe_http(struct exp_file *f, yaml_node_t *v, void *into)
{
	return probe_url(f, v, into, EXP_HTTP, "http");
}

static int probe_prometheus(struct exp_file *f, yaml_node_t *v, void *into)
{
	return probe_url(f, v, into, EXP_PROMETHEUS, "prometheus");
}

static int probe_command(struct exp_file *f, yaml_node_t *v, void *into)
{
	struct exp_probe *p = into;
	unsigned n = 0;

	if (*p->url)
		return exp_bad(f, v, "probes: http, prometheus, command: one of them");
	p->kind = EXP_COMMAND;
	if (v->type != YAML_SEQUENCE_NODE)
		return exp_bad(f, v,
			       "probes: command: accepted: a list, the program and its "
			       "arguments: [\"./check\", \"--min\", \"1\"]");
	for (yaml_node_item_t *i = v->data.sequence.items.start; i < v->data.sequence.items.top;
	     i++) {
		const char *s = sim_yaml_scalar(exp_node(f, *i));

		if (!s || n == EXP_MAX_ARGS)
			return exp_bad(f, exp_node(f, *i),
				       "probes: command: accepted: up to %d words", EXP_MAX_ARGS);
		p->argv[n++] = strdup(s);
	}
	return n ? 0 : exp_bad(f, v, "probes: command: is empty");
}

static int probe_every(struct exp_file *f, yaml_node_t *v, void *into)
{
	return exp_read_time(f, v, "every", EXP_NS / 10, DAY,
			     &((struct exp_probe *)into)->every_ns);
}

static int probe_timeout(struct exp_file *f, yaml_node_t *v, void *into)
{
	return exp_read_time(f, v, "timeout", EXP_NS / 100, 600 * EXP_NS,
			     &((struct exp_probe *)into)->timeout_ns);
}

static int probe_expect(struct exp_file *f, yaml_node_t *v, void *into)
{
	uint64_t n;
	int rc = exp_read_count(f, v, "expect", 599, &n);

	if (!rc && n < 100)
		return exp_bad(f, v, "expect: accepted: an HTTP status, 100 to 599");
	((struct exp_probe *)into)->expect = (unsigned)n;
	return rc;
}

static int one_probe(struct exp_file *f, yaml_node_t *v, struct experiment *x, unsigned i)
{
	static const struct exp_key keys[] = {
		{"name", probe_name, 0, 0},
		{"http", probe_http, 0, 0},
		{"prometheus", probe_prometheus, 0, 0},
		{"command", probe_command, 0, 0},
		{"metric", NULL, offsetof(struct exp_probe, metric), sizeof(x->probe->metric)},
		{"every", probe_every, 0, 0},
		{"timeout", probe_timeout, 0, 0},
		{"expect", probe_expect, 0, 0},
	};
	struct exp_probe *p = &x->probe[i];

	p->every_ns = EXP_NS;
	p->mark = exp_mark_of(v);
	if (exp_read_map(f, v, KEYS(keys), p, "probes"))
		return -EINVAL;
	if (!*p->name || (!*p->url && !p->argv[0]))
		return exp_bad(f, v,
			       "probes: %s: is missing; accepted: { name: api, http: "
			       "\"http://127.0.0.1:8080/health\", every: 1s, expect: 200 }",
			       *p->name ? "http, prometheus or command" : "name");
	if ((p->kind == EXP_PROMETHEUS) != !!*p->metric)
		return exp_bad(f, v, "probes: metric: %s",
			       *p->metric ? "goes with prometheus: only"
					  : "is missing; which one of the page is meant?");
	if (p->expect && p->kind != EXP_HTTP)
		return exp_bad(f, v, "probes: expect: goes with http: only");
	for (unsigned k = 0; k < i; k++)
		if (!strcmp(x->probe[k].name, p->name))
			return exp_bad(f, v, "probes: name '%s': another probe has it already",
				       p->name);
	if (!p->timeout_ns)
		p->timeout_ns = p->every_ns < 10 * EXP_NS ? p->every_ns : 10 * EXP_NS;
	return 0;
}

int exp_read_probes(struct exp_file *f, yaml_node_t *v, struct experiment *x)
{
	return each(f, v, "probes", EXP_MAX_PROBES, one_probe, x, &x->nprobes);
}

/* --- thresholds ---------------------------------------------------------------------------------
 */

struct limit {
	const char *text;
	bool abort;
	uint64_t delay_ns;
};

static int limit_text(struct exp_file *f, yaml_node_t *v, void *into)
{
	if (((struct limit *)into)->text)
		return exp_bad(f, v, "thresholds: limit and threshold: one of them");
	((struct limit *)into)->text = sim_yaml_scalar(v);
	return ((struct limit *)into)->text ? 0 : exp_bad(f, v, "limit: accepted: e.g. \"<200ms\"");
}

static int limit_abort(struct exp_file *f, yaml_node_t *v, void *into)
{
	const char *s = sim_yaml_scalar(v);

	if (!s || (strcmp(s, "true") && strcmp(s, "false")))
		return exp_bad(f, v, "abort: accepted: true, false");
	((struct limit *)into)->abort = !strcmp(s, "true");
	return 0;
}

static int limit_delay(struct exp_file *f, yaml_node_t *v, void *into)
{
	return exp_read_time(f, v, "delay", 0, DAY, &((struct limit *)into)->delay_ns);
}

static int one_limit(struct exp_file *f, yaml_node_t *key, yaml_node_t *v, struct experiment *x)
{
	/* The second of each pair is k6's word. */
	static const struct exp_key keys[] = {
		{"limit", limit_text, 0, 0},  {"threshold", limit_text, 0, 0},
		{"abort", limit_abort, 0, 0}, {"abortOnFail", limit_abort, 0, 0},
		{"delay", limit_delay, 0, 0}, {"delayAbortEval", limit_delay, 0, 0},
	};
	struct limit l = {sim_yaml_scalar(v), false, 0};
	struct exp_threshold *t = &x->threshold[x->nthresholds];
	struct sq_error why;

	if (v->type == YAML_MAPPING_NODE && exp_read_map(f, v, KEYS(keys), &l, "thresholds"))
		return -EINVAL;
	if (!l.text)
		return exp_bad(f, v,
			       "thresholds: accepted: \"<200ms\", or { limit: \"<200ms\", "
			       "abort: true }, or a list of these");
	if (x->nthresholds == EXP_MAX_THRESHOLDS)
		return exp_bad(f, v, "thresholds: more than %d", EXP_MAX_THRESHOLDS);
	memset(t, 0, sizeof(*t));
	if (exp_threshold_parse(x, sim_yaml_scalar(key), l.text, t, &why))
		return exp_bad(f, key, "%.350s", why.text);
	t->mark = exp_mark_of(key);
	t->abort = l.abort;
	t->abort_delay_ns = l.delay_ns;
	x->nthresholds++;
	return 0;
}

int exp_read_thresholds(struct exp_file *f, yaml_node_t *v, struct experiment *x)
{
	if (v->type != YAML_MAPPING_NODE)
		return exp_bad(f, v, "thresholds: accepted: '\"METRIC\": \"LIMIT\"' pairs");
	for (yaml_node_pair_t *i = v->data.mapping.pairs.start; i < v->data.mapping.pairs.top;
	     i++) {
		yaml_node_t *key = exp_node(f, i->key), *value = exp_node(f, i->value);
		int rc = 0;

		if (!sim_yaml_scalar(key))
			return exp_bad(f, key, "thresholds: a metric must be a word");
		for (yaml_node_pair_t *k = v->data.mapping.pairs.start; k < i; k++)
			if (!strcmp(sim_yaml_scalar(exp_node(f, k->key)), sim_yaml_scalar(key)))
				return exp_bad(f, key,
					       "thresholds: '%.100s' stands twice; several limits "
					       "of one metric are a list",
					       sim_yaml_scalar(key));
		if (value->type != YAML_SEQUENCE_NODE) {
			rc = one_limit(f, key, value, x);
		} else {
			for (yaml_node_item_t *k = value->data.sequence.items.start;
			     k < value->data.sequence.items.top && !rc; k++)
				rc = one_limit(f, key, exp_node(f, *k), x);
		}
		if (rc)
			return rc;
	}
	return 0;
}
