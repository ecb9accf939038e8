// SPDX-License-Identifier: GPL-2.0-only
/* Faults on time. A thread each, so that a squalld which answers late delays no other's. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "lib/text.h"
#include "sim/base/clock.h"
#include "sim/experiment/agent.h"
#include "sim/experiment/guard.h"
#include "sim/experiment/inject.h"
#include "sim/experiment/peers.h"

struct one {
	struct exp_inject *all;
	unsigned i;
	pthread_t thread;
	bool running, failed, back; /* back: what was before is in force again */
	bool cut; /* not in force as asked: somebody else ended it, squalld was late or gone */
	uint64_t from_ns, to_ns;
	json_t *flows; /* what the rule did to connections, NULL unless it follows them */
	json_t *prior, *counters, *base, *rule, *status; /* rule: as squalld has it */
	char note[256];
};

struct exp_inject {
	const struct experiment *x;
	uint64_t start_ns;
	pthread_mutex_t lock; /* of all below, and of the ones' figures */
	pthread_cond_t wake;
	bool allowed, stop;
	struct exp_guard guard;
	struct one one[EXP_MAX_FAULTS];
};

int exp_inject_new(const struct experiment *x, struct exp_inject **ret, struct sq_error *err)
{
	struct exp_inject *j = calloc(1, sizeof(*j));
	pthread_condattr_t at;
	int rc;

	if (!j)
		return sq_bad(err, "out of memory"), -ENOMEM;
	j->x = x;
	pthread_mutex_init(&j->lock, NULL);
	pthread_condattr_init(&at);
	pthread_condattr_setclock(&at, CLOCK_MONOTONIC);
	pthread_cond_init(&j->wake, &at);
	pthread_condattr_destroy(&at);
	for (unsigned i = 0; i < x->nfaults; i++) {
		j->one[i].all = j;
		j->one[i].i = i;
	}
	rc = exp_guard_start(x, &j->guard);
	if (rc)
		sq_bad(err, "cannot start the guard: %s", strerror(-rc));
	if (rc) {
		exp_inject_free(j);
		return rc;
	}
	*ret = j;
	return 0;
}

/* Until a moment of the run's clock, or the stop. True: it was the moment. */
static bool wait_until(struct exp_inject *j, uint64_t at, bool allowed)
{
	uint64_t abs = j->start_ns + at;
	struct timespec ts = {(time_t)(abs / EXP_NS), (long)(abs % EXP_NS)};

	pthread_mutex_lock(&j->lock);
	while (!j->stop && sim_now() < abs)
		pthread_cond_timedwait(&j->wake, &j->lock, &ts);
	while (!j->stop && allowed && !j->allowed)
		pthread_cond_wait(&j->wake, &j->lock);
	allowed = !j->stop;
	pthread_mutex_unlock(&j->lock);
	return allowed;
}

/* ret_flows: of a rule that follows connections; its table is new with the rule. */
static json_t *counters(struct sq_client *c, const char *target, json_t **ret_flows)
{
	char *path = sq_client_path("/api/v1/counters/", target, "");
	struct sq_error why;
	json_t *o = NULL, *list;

	if (path)
		sq_client_request(c, "GET", path, NULL, &o, &why);
	free(path);
	list = json_incref(json_object_get(o, "counters"));
	if (ret_flows)
		*ret_flows = json_incref(json_array_get(json_object_get(o, "flows"), 0));
	json_decref(o);
	return list;
}

/* Counters survive a rule's replacement: what the rule before had counted is not the fault's. */
static void subtract(json_t *list, const json_t *base)
{
	json_t *a, *b, *v;
	const char *key;
	size_t i, k;

	json_array_foreach(list, i, a)
	{
		json_array_foreach(base, k, b)
		{
			if (!json_equal(json_object_get(a, "direction"),
					json_object_get(b, "direction")) ||
			    !json_equal(json_object_get(a, "match"), json_object_get(b, "match")))
				continue;
			json_object_foreach(a, key, v)
			{
				json_int_t was = json_integer_value(json_object_get(b, key));

				if (json_is_integer(v) && strcmp(key, "clause") &&
				    strcmp(key, "queue_ns") && was <= json_integer_value(v))
					json_integer_set(v, json_integer_value(v) - was);
			}
		}
	}
}

/* To the guard, before there is anything to put back. */
static bool hand_over(const json_t *prior, struct exp_guarded *g)
{
	size_t n = json_dumpb(prior, g->prior, sizeof(g->prior) - 1, JSON_COMPACT);

	g->prior[n < sizeof(g->prior) ? n : 0] = 0;
	return n && n < sizeof(g->prior);
}

static int begin(struct one *o, struct sq_client *c, struct sq_error *why)
{
	const struct experiment *x = o->all->x;
	const struct exp_fault *f = &x->fault[o->i];
	struct exp_guarded *g = &o->all->guard.fault[o->i];
	json_t *body = exp_peer_body(x, o->i), *ret = NULL, *status = NULL;
	char *path = sq_client_path("/api/v1/rules/", f->target, *f->profile ? "/profile" : "");
	int rc = exp_peer_rule(c, f->target, &o->prior, why);

	if (!rc && o->prior) {
		o->base = counters(c, f->target, NULL);
		rc = hand_over(o->prior, g) ? 0 : sq_bad(why, "the rule in force is too long");
	}
	if (!rc)
		rc = sq_client_request(c, "GET", "/api/v1/status", NULL, &status, why);
	if (!rc)
		rc = path ? sq_client_request(c, *f->profile ? "POST" : "PUT", path, body, &ret,
					      why)
			  : -ENOMEM;
	if (!rc) {
		const char *etag = json_string_value(json_object_get(ret, "etag"));

		snprintf(g->etag, sizeof(g->etag), "%s", etag ? etag : "");
		g->set_ns = sim_now();
		__atomic_store_n(&g->set, true, __ATOMIC_RELEASE);
		pthread_mutex_lock(&o->all->lock);
		o->from_ns = sim_now() - o->all->start_ns;
		o->rule = json_incref(json_object_get(ret, "rule"));
		o->status = json_incref(status);
		pthread_mutex_unlock(&o->all->lock);
	}
	json_decref(body);
	json_decref(ret);
	json_decref(status);
	free(path);
	return rc;
}

/* A squalld that answered late: what was in force when is not what was asked, nor quite known. */
static bool late(const struct one *o, const struct exp_fault *f, char *buf, size_t cap)
{
	uint64_t end = f->at_ns + f->for_ns;

	if (o->from_ns < f->at_ns + EXP_GRACE_NS && o->to_ns < end + EXP_GRACE_NS)
		return false;
	snprintf(buf, cap, "squalld set it at %.1fs and ended it at %.1fs, in place of %gs and %gs",
		 (double)o->from_ns / 1e9, (double)o->to_ns / 1e9, (double)f->at_ns / 1e9,
		 (double)end / 1e9);
	return true;
}

static void finish(struct one *o, struct sq_client *c)
{
	const struct exp_fault *f = &o->all->x->fault[o->i];
	struct exp_guarded *g = &o->all->guard.fault[o->i];
	json_t *list, *flows = NULL;
	struct sq_error why = {0};
	bool back = false;
	int rc;

	list = counters(c, f->target, &flows);
	subtract(list, o->base);
	pthread_mutex_lock(&o->all->lock);
	o->counters = list;
	o->flows = flows;
	pthread_mutex_unlock(&o->all->lock);
	rc = exp_peer_end(o->all->x, o->i, c, g->etag, o->prior, sim_now() - g->set_ns, &back,
			  &why);
	pthread_mutex_lock(&o->all->lock);
	o->back = back;
	o->to_ns = sim_now() - o->all->start_ns;
	if (rc)
		snprintf(o->note, sizeof(o->note), "%.250s", why.text);
	o->cut = rc || late(o, f, o->note, sizeof(o->note));
	pthread_mutex_unlock(&o->all->lock);
	__atomic_store_n(&g->set, false, __ATOMIC_RELEASE);
}

static int begin_by_agent(struct one *o, struct injector **ret, struct sq_error *why)
{
	struct exp_guarded *g = &o->all->guard.fault[o->i];
	int rc;

	/* Before it is: what the agent never began it stops as well, and it has no end of its own.
	 */
	__atomic_store_n(&g->set, true, __ATOMIC_RELEASE);
	rc = exp_agent_begin(o->all->x, o->i, ret, why);
	if (rc) {
		__atomic_store_n(&g->set, false, __ATOMIC_RELEASE);
		return rc;
	}
	pthread_mutex_lock(&o->all->lock);
	o->from_ns = sim_now() - o->all->start_ns;
	pthread_mutex_unlock(&o->all->lock);
	return 0;
}

static void finish_by_agent(struct one *o, struct injector *a)
{
	struct sq_error why = {0};
	int rc = exp_agent_end(a, &why);

	pthread_mutex_lock(&o->all->lock);
	o->to_ns = sim_now() - o->all->start_ns;
	if (rc)
		snprintf(o->note, sizeof(o->note), "%.250s", why.text);
	pthread_mutex_unlock(&o->all->lock);
	/* Nothing else ends it: what this could not the guard tries once more. */
	__atomic_store_n(&o->all->guard.fault[o->i].set, rc != 0, __ATOMIC_RELEASE);
}

static void *inject(void *arg)
{
	struct one *o = arg;
	const struct exp_fault *f = &o->all->x->fault[o->i];
	struct sq_error why = {0};
	struct sq_client *c = NULL;
	struct injector *a = NULL;
	int rc;

	if (!wait_until(o->all, f->at_ns, true))
		return NULL;
	if (exp_by_agent(o->all->x, o->i)) {
		rc = begin_by_agent(o, &a, &why);
	} else {
		rc = exp_peer_open(o->all->x, o->i, &c, &why);
		if (!rc)
			rc = begin(o, c, &why);
	}
	if (rc) {
		pthread_mutex_lock(&o->all->lock);
		snprintf(o->note, sizeof(o->note), "%.250s", why.text);
		o->failed = true;
		pthread_mutex_unlock(&o->all->lock);
	} else {
		wait_until(o->all, f->at_ns + f->for_ns, false);
		if (a)
			finish_by_agent(o, a);
		else
			finish(o, c);
	}
	sq_client_close(c);
	return NULL;
}

int exp_inject_start(struct exp_inject *j, uint64_t start_ns)
{
	j->start_ns = start_ns;
	for (unsigned i = 0; i < j->x->nfaults; i++) {
		int rc = pthread_create(&j->one[i].thread, NULL, inject, &j->one[i]);

		if (rc)
			return -rc;
		j->one[i].running = true;
	}
	return 0;
}

void exp_inject_allow(struct exp_inject *j)
{
	pthread_mutex_lock(&j->lock);
	j->allowed = true;
	pthread_cond_broadcast(&j->wake);
	pthread_mutex_unlock(&j->lock);
}

void exp_inject_stop(struct exp_inject *j)
{
	pthread_mutex_lock(&j->lock);
	j->stop = true;
	pthread_cond_broadcast(&j->wake);
	pthread_mutex_unlock(&j->lock);
	for (unsigned i = 0; i < j->x->nfaults; i++) {
		if (j->one[i].running)
			pthread_join(j->one[i].thread, NULL);
		j->one[i].running = false;
	}
}

void exp_inject_free(struct exp_inject *j)
{
	if (!j)
		return;
	exp_inject_stop(j);
	exp_guard_end(&j->guard);
	for (unsigned i = 0; i < j->x->nfaults; i++) {
		json_decref(j->one[i].prior);
		json_decref(j->one[i].counters);
		json_decref(j->one[i].flows);
		json_decref(j->one[i].base);
		json_decref(j->one[i].rule);
		json_decref(j->one[i].status);
	}
	pthread_cond_destroy(&j->wake);
	pthread_mutex_destroy(&j->lock);
	free(j);
}

bool exp_inject_failed(struct exp_inject *j, struct sq_error *err)
{
	bool failed = false;

	pthread_mutex_lock(&j->lock);
	for (unsigned i = 0; i < j->x->nfaults && !failed; i++) {
		failed = j->one[i].failed;
		if (failed)
			sq_bad(err, "fault '%s' could not be set at %.80s: %.250s",
			       j->x->fault[i].name, exp_peer_url(j->x, i), j->one[i].note);
	}
	pthread_mutex_unlock(&j->lock);
	return failed;
}

bool exp_inject_cut(struct exp_inject *j, char *buf, size_t cap)
{
	bool cut = false;

	pthread_mutex_lock(&j->lock);
	for (unsigned i = 0; i < j->x->nfaults && !cut; i++) {
		cut = j->one[i].cut;
		if (cut)
			snprintf(buf, cap, "fault '%s' was not in force as asked: %s",
				 j->x->fault[i].name, j->one[i].note);
	}
	pthread_mutex_unlock(&j->lock);
	return cut;
}

void exp_inject_window(struct exp_inject *j, unsigned i, uint64_t *ret_from, uint64_t *ret_to)
{
	pthread_mutex_lock(&j->lock);
	*ret_from = j->one[i].from_ns;
	*ret_to = j->one[i].to_ns;
	pthread_mutex_unlock(&j->lock);
}

bool exp_inject_packets(struct exp_inject *j, unsigned i, uint64_t *ret_seen, uint64_t *ret_struck)
{
	/* A packet may be struck twice, e.g. late and damaged: then it counts twice. */
	static const char *const what[] = {"lost_pkts",	     "delayed_pkts",   "duplicated_pkts",
					   "corrupted_pkts", "reordered_pkts", "over_limit_pkts"};
	bool known;
	json_t *c;
	size_t k;

	*ret_seen = *ret_struck = 0;
	pthread_mutex_lock(&j->lock);
	known = json_is_array(j->one[i].counters);
	json_array_foreach(j->one[i].counters, k, c)
	{
		*ret_seen += (uint64_t)json_integer_value(json_object_get(c, "seen_pkts"));
		for (size_t w = 0; w < sizeof(what) / sizeof(*what); w++)
			*ret_struck += (uint64_t)json_integer_value(json_object_get(c, what[w]));
	}
	pthread_mutex_unlock(&j->lock);
	return known;
}

json_t *exp_inject_json(struct exp_inject *j, unsigned i)
{
	const struct exp_fault *f = &j->x->fault[i];
	struct one *o = &j->one[i];
	const json_t *text;
	json_t *r;

	pthread_mutex_lock(&j->lock);
	text = json_object_get(o->rule, "text");
	r = json_pack("{s:s,s:s,s:s,s:s,s:f,s:f}", "name", f->name, "target", f->target,
		      *f->rule ? "rule" : "profile", *f->rule ? f->rule : f->profile, "squalld",
		      exp_peer_url(j->x, i), "at_s", (double)f->at_ns / 1e9, "for_s",
		      (double)f->for_ns / 1e9);
	json_object_set_new(r, "from_s",
			    o->from_ns ? json_real((double)o->from_ns / 1e9) : json_null());
	json_object_set_new(r, "to_s", o->to_ns ? json_real((double)o->to_ns / 1e9) : json_null());
	json_object_set_new(r, "kernel_rule", text ? json_copy((json_t *)text) : json_null());
	json_object_set_new(r, "counters",
			    o->counters ? json_deep_copy(o->counters) : json_array());
	json_object_set_new(r, "flows", o->flows ? json_deep_copy(o->flows) : json_null());
	json_object_set_new(r, "put_back", json_boolean(o->back));
	for (unsigned k = 0; k < 3; k++) {
		static const char *const keys[] = {"version", "kernel", "lane"};
		json_t *v = json_object_get(o->status, keys[k]);

		if (v)
			json_object_set_new(r, keys[k], json_deep_copy(v));
	}
	if (json_object_get(o->rule, "drawn_seed"))
		json_object_set(r, "seed", json_object_get(o->rule, "drawn_seed"));
	if (*o->note)
		json_object_set_new(r, "note", json_text(o->note));
	pthread_mutex_unlock(&j->lock);
	return r;
}
