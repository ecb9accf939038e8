// SPDX-License-Identifier: GPL-2.0-only
/* A thread per squalld: the newest of what is to be told, when there is something new. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "lib/experiments/register.h"
#include "sim/experiment/agent.h"
#include "sim/experiment/announce.h"
#include "sim/experiment/peers.h"
#include "sim/outcome/outcome.h"

#define TTL_S 10 /* of ten in a row one has to arrive */

struct peer {
	struct exp_announce *all;
	unsigned fault; /* one that is its */
	pthread_t thread;
	bool running;
};

struct exp_announce {
	const struct experiment *x;
	const struct exp_cmd *c;
	pthread_mutex_t lock; /* of all below but peer */
	pthread_cond_t wake;
	json_t *told;
	unsigned second;
	bool end;
	char stop[96];
	unsigned npeers;
	struct peer peer[EXP_MAX_FAULTS];
};

void exp_announce_id(const struct experiment *x, char *buf, size_t cap)
{
	time_t now = time(NULL);
	char name[41], when[24];
	struct tm tm;

	snprintf(name, sizeof(name), "%.40s", x->name);
	for (char *s = name; *s; s++)
		if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_", *s))
			*s = '-';
	strftime(when, sizeof(when), "%Y%m%dT%H%M%SZ", gmtime_r(&now, &tm));
	snprintf(buf, cap, "%s-%s-%x", name, when, (unsigned)getpid());
}

/* The first fault of each squalld. */
static unsigned peers_of(const struct experiment *x, unsigned ret[EXP_MAX_FAULTS])
{
	unsigned n = 0;

	for (unsigned i = 0; i < x->nfaults; i++) {
		unsigned k = 0;

		if (exp_by_agent(x, i))
			continue; /* the ECS agent keeps no reports */
		while (k < n && strcmp(exp_peer_url(x, ret[k]), exp_peer_url(x, i)))
			k++;
		if (k == n)
			ret[n++] = i;
	}
	return n;
}

/* One line of --progress. */
static void line(const struct exp_cmd *c, const char *what, const json_t *body)
{
	json_t *o = json_pack("{s:s,s:O}", "experiment", c->id, what, body);

	json_dumpf(o, stdout, JSON_COMPACT | JSON_REAL_PRECISION(12));
	fputc('\n', stdout);
	fflush(stdout);
	json_decref(o);
}

static int put(const struct experiment *x, unsigned fault, const char *id, const char *suffix,
	       struct sq_client **c, const json_t *body, json_t **ret, struct sq_error *why)
{
	char *path = sq_client_path("/api/v1/experiments/", id, suffix);
	int rc = path ? 0 : -ENOMEM;

	if (!rc && !*c)
		rc = exp_peer_open(x, fault, c, why);
	if (!rc)
		rc = sq_client_request(*c, "PUT", path, body, ret, why);
	free(path);
	return rc;
}

/* --- while it runs ---------------------------------------------------------------------- */

static json_t *thresholds(const struct exp_run *r)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < r->x->nthresholds; i++) {
		const struct exp_threshold *t = &r->x->threshold[i];
		struct exp_verdict v;

		exp_judge(r, t, &v);
		json_array_append_new(list, json_pack("{s:s,s:s,s:s,s:s}", "metric", t->metric,
						      "limit", t->limit, "verdict",
						      !v.of  ? "waiting"
						      : v.ok ? "ok"
							     : "crossed",
						      "said", v.of ? v.said : ""));
	}
	return list;
}

/* What is the same while it runs and at its end. */
static json_t *frame(const struct experiment *x, double elapsed_s, uint64_t started_ms,
		     json_t *list, json_t *phases)
{
	char host[256] = "";

	gethostname(host, sizeof(host) - 1);
	return json_pack("{s:s,s:s,s:I,s:i,s:f,s:f,s:o,s:o}", "name", x->name, "host", host,
			 "started_ms", (json_int_t)started_ms, "ttl_s", TTL_S, "elapsed_s",
			 elapsed_s, "duration_s", (double)x->total_ns / 1e9, "thresholds", list,
			 "phases", phases);
}

void exp_announce_second(struct exp_announce *a, const struct exp_run *r, uint64_t started_ms)
{
	json_t *all, *told, *faults = json_array();
	uint32_t in_force;
	enum exp_phase p = exp_phase_at(r->x, r->rec->last_ns, &in_force);

	if (!a || (!a->npeers && !a->c->progress)) {
		json_decref(faults);
		return;
	}
	all = exp_timeline_json(r->x);
	for (unsigned i = 0; i < r->x->nfaults; i++)
		if (in_force & 1u << i)
			json_array_append_new(faults, json_string(r->x->fault[i].name));
	told = frame(r->x, (double)r->rec->last_ns / 1e9, started_ms, thresholds(r),
		     json_incref(json_object_get(all, "phases")));
	json_object_set_new(told, "phase", json_string(exp_phase_words[p]));
	json_object_set_new(told, "faults", faults);
	json_decref(all);
	if (a->c->progress)
		line(a->c, "told", told);
	pthread_mutex_lock(&a->lock);
	json_decref(a->told);
	a->told = told;
	a->second++;
	pthread_cond_broadcast(&a->wake);
	pthread_mutex_unlock(&a->lock);
}

static void *tell(void *arg)
{
	struct peer *p = arg;
	struct exp_announce *a = p->all;
	struct sq_client *client = NULL;
	unsigned seen = 0;

	pthread_mutex_lock(&a->lock);
	for (;;) {
		json_t *told, *answer = NULL;
		struct sq_error why;
		const char *stop;

		while (!a->end && a->second == seen)
			pthread_cond_wait(&a->wake, &a->lock);
		if (a->end)
			break;
		seen = a->second;
		told = json_deep_copy(a->told);
		pthread_mutex_unlock(&a->lock);
		put(a->x, p->fault, a->c->id, "", &client, told, &answer, &why);
		json_decref(told);
		pthread_mutex_lock(&a->lock);
		stop = json_string_value(json_object_get(answer, "stop"));
		if (stop)
			snprintf(a->stop, sizeof(a->stop), "%s", stop);
		json_decref(answer);
	}
	pthread_mutex_unlock(&a->lock);
	sq_client_close(client);
	return NULL;
}

struct exp_announce *exp_announce_start(const struct experiment *x, const struct exp_cmd *c)
{
	struct exp_announce *a = calloc(1, sizeof(*a));
	unsigned first[EXP_MAX_FAULTS];

	if (!a)
		return NULL;
	a->x = x;
	a->c = c;
	pthread_mutex_init(&a->lock, NULL);
	pthread_cond_init(&a->wake, NULL);
	a->npeers = peers_of(x, first);
	for (unsigned i = 0; i < a->npeers; i++) {
		a->peer[i] = (struct peer){.all = a, .fault = first[i]};
		a->peer[i].running = !pthread_create(&a->peer[i].thread, NULL, tell, &a->peer[i]);
	}
	return a;
}

bool exp_announce_stopped(struct exp_announce *a, char *buf, size_t cap)
{
	if (!a)
		return false;
	pthread_mutex_lock(&a->lock);
	snprintf(buf, cap, "%s", a->stop);
	pthread_mutex_unlock(&a->lock);
	return *buf;
}

void exp_announce_end(struct exp_announce *a)
{
	if (!a)
		return;
	pthread_mutex_lock(&a->lock);
	a->end = true;
	pthread_cond_broadcast(&a->wake);
	pthread_mutex_unlock(&a->lock);
	for (unsigned i = 0; i < a->npeers; i++)
		if (a->peer[i].running)
			pthread_join(a->peer[i].thread, NULL);
	json_decref(a->told);
	pthread_cond_destroy(&a->wake);
	pthread_mutex_destroy(&a->lock);
	free(a);
}

/* --- at its end ------------------------------------------------------------------------- */

static json_t *page(const json_t *doc)
{
	char *html = NULL;
	size_t len;
	FILE *f = open_memstream(&html, &len);
	json_t *o;

	if (!f)
		return NULL;
	outcome_html(doc, f);
	fclose(f);
	o = json_pack("{s:s#}", "html", html, len);
	free(html);
	return o;
}

static json_t *verdict(const struct experiment *x, const json_t *doc)
{
	static const char *const keys[] = {"metric", "limit", "verdict", "said"};
	json_t *list = json_array(), *told, *t;
	char cut[201];
	size_t i;

	json_array_foreach(json_object_get(doc, "thresholds"), i, t)
	{
		json_t *one = json_object();

		for (unsigned k = 0; k < 4; k++) {
			snprintf(cut, sizeof(cut), "%s", outcome_text(t, keys[k]));
			json_object_set_new(one, keys[k], json_string(cut));
		}
		json_array_append_new(list, one);
	}
	told = frame(x, outcome_number(doc, "duration_s"),
		     (uint64_t)outcome_number(doc, "started_ms"), list,
		     json_incref(json_object_get(doc, "phases")));
	json_object_set_new(told, "phase", json_string("after"));
	json_object_set_new(told, "faults", json_array());
	json_object_set(told, "verdict", json_object_get(doc, "verdict"));
	json_object_set(told, "exit", json_object_get(doc, "exit"));
	json_object_set(told, "why", json_object_get(doc, "why"));
	return told;
}

void exp_announce_report(const struct experiment *x, const struct exp_cmd *c, const json_t *doc)
{
	json_t *report, *told;
	unsigned first[EXP_MAX_FAULTS], n = peers_of(x, first);

	if (!n && !c->progress)
		return;
	report = page(doc);
	told = verdict(x, doc);
	for (unsigned i = 0; i < n; i++) {
		struct sq_client *client = NULL;
		struct sq_error why = {0};
		int rc = put(x, first[i], c->id, "/report", &client, report, NULL, &why);

		if (rc)
			fprintf(stderr, "squall-sim: the report was not taken: %s\n", why.text);
		/* The verdict without the page, if that was too large. */
		if (!rc || rc == -E2BIG)
			put(x, first[i], c->id, "", &client, told, NULL, &why);
		sq_client_close(client);
	}
	if (c->progress) {
		line(c, "report", report);
		line(c, "told", told);
	}
	json_decref(report);
	json_decref(told);
}
