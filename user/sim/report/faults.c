// SPDX-License-Identifier: GPL-2.0-only
/*
 * Follows a squalld. Its events say when a rule is set, changed, expires or
 * goes; what was in force before the stream began is asked for once it has.
 * squalld's clock is not ours, so times are those at which we heard of it.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <squall/client.h>
#include "sim/report/faults.h"

#define RETRY_MS 1000

enum link { CONNECTING, LIVE, UNREACHABLE };

struct sim_faults {
	pthread_t thread;
	pthread_mutex_t lock; /* of everything from here to `why` */
	struct sim_fault window[SIM_FAULTS_MAX];
	unsigned n;
	enum link link;
	uint64_t heard_ms; /* the last event */
	char why[512];	   /* why unreachable, or what is odd about the target */
	bool stop;	   /* atomic, also where sq_client_events() reads it */
	/* the thread's own */
	struct sq_client *events, *requests;
	char asked[512];  /* the target as it was given, "" = all */
	char target[512]; /* as squalld names it, "" = not known yet */
	bool synced;
};

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* --- windows; the lock is held ---------------------------------------------------------- */

static struct sim_fault *open_window(struct sim_faults *f, const char *target)
{
	for (unsigned i = f->n; i-- > 0;)
		if (!f->window[i].to_ms && !strcmp(f->window[i].target, target))
			return &f->window[i];
	return NULL;
}

static void end(struct sim_fault *w, uint64_t at)
{
	/* It may have ended by itself while we could not see it. */
	w->to_ms = w->deadline_ms && w->deadline_ms < at ? w->deadline_ms : at;
	if (w->to_ms <= w->from_ms)
		w->to_ms = w->from_ms + 1;
}

static void begin(struct sim_faults *f, const char *target, const char *rule, uint64_t deadline)
{
	struct sim_fault *w = open_window(f, target);
	uint64_t now = now_ms();

	/* Set again as it was: the same fault goes on. */
	if (w && !strncmp(w->rule, rule, sizeof(w->rule) - 1)) {
		w->deadline_ms = deadline;
		w->seen = true;
		return;
	}
	if (w)
		end(w, now);
	if (f->n == SIM_FAULTS_MAX)
		memmove(f->window, f->window + 1, --f->n * sizeof(*f->window));
	w = &f->window[f->n++];
	memset(w, 0, sizeof(*w));
	w->from_ms = now;
	w->deadline_ms = deadline;
	w->seen = true;
	snprintf(w->target, sizeof(w->target), "%s", target);
	snprintf(w->rule, sizeof(w->rule), "%s", rule);
}

/* --- what squalld says ------------------------------------------------------------------- */

/* The target itself, or a cgroup above it, whose rules hold for it as well. */
static bool concerns(const struct sim_faults *f, const char *target)
{
	size_t n = strlen(target);

	if (!*f->asked)
		return true;
	return !strcmp(f->target, target) ||
	       (!strncmp(target, "cgroup:", 7) && !strncmp(f->target, target, n) &&
		f->target[n] == '/');
}

/* A RULE of the API (docs/api.md). */
static void rule_seen(struct sim_faults *f, const json_t *o)
{
	const char *target = json_string_value(json_object_get(o, "target"));
	const json_t *rule = json_object_get(o, "rule");
	const char *text = json_string_value(json_object_get(rule, "text"));
	json_int_t left = json_integer_value(json_object_get(rule, "expires_in_ns"));
	struct sim_fault *w;

	if (!target || !concerns(f, target))
		return;
	if (text && !json_is_false(json_object_get(o, "in_force")))
		begin(f, target, text, left > 0 ? now_ms() + (uint64_t)left / 1000000 : 0);
	else if ((w = open_window(f, target)))
		end(w, now_ms());
}

static void resolve(struct sim_faults *f)
{
	struct sq_error err = {0};
	json_t *o = NULL;
	char *path = sq_client_path("/api/v1/targets/", f->asked, "");
	int rc = path ? sq_client_request(f->requests, "GET", path, NULL, &o, &err) : -ENOMEM;
	const char *name = json_string_value(json_object_get(o, "target"));

	free(path);
	pthread_mutex_lock(&f->lock);
	if (!rc && name)
		snprintf(f->target, sizeof(f->target), "%s", name);
	snprintf(f->why, sizeof(f->why), "%s", rc ? err.text : "");
	pthread_mutex_unlock(&f->lock);
	json_decref(o);
}

/* 0, or 1 to end the stream: f->why says why. */
static int sync_rules(struct sim_faults *f)
{
	struct sq_error err = {0};
	json_t *o = NULL, *one;
	size_t i;
	int rc;

	if (*f->asked && !*f->target)
		resolve(f);
	rc = sq_client_request(f->requests, "GET", "/api/v1/rules", NULL, &o, &err);
	pthread_mutex_lock(&f->lock);
	if (rc) {
		snprintf(f->why, sizeof(f->why), "%s", err.text);
	} else {
		for (unsigned k = 0; k < f->n; k++)
			f->window[k].seen = false;
		json_array_foreach(json_object_get(o, "rules"), i, one) rule_seen(f, one);
		/* Those that went while nobody told us. */
		for (unsigned k = 0; k < f->n; k++)
			if (!f->window[k].seen && !f->window[k].to_ms)
				end(&f->window[k], now_ms());
		f->link = LIVE;
		if (!*f->asked || *f->target)
			*f->why = 0;
	}
	pthread_mutex_unlock(&f->lock);
	json_decref(o);
	f->synced = !rc;
	return rc ? 1 : 0;
}

static int on_event(const char *event, const json_t *data, void *arg)
{
	struct sim_faults *f = arg;

	pthread_mutex_lock(&f->lock);
	f->heard_ms = now_ms();
	pthread_mutex_unlock(&f->lock);
	/* The stream begins with counters, and rules that are set from then on are events. A target
	 * that is not there yet is looked for with each. */
	if (!strcmp(event, "counters") && (!f->synced || (*f->asked && !*f->target)))
		return sync_rules(f);
	if (!strcmp(event, "rule") && f->synced) {
		pthread_mutex_lock(&f->lock);
		rule_seen(f, data);
		pthread_mutex_unlock(&f->lock);
	} else if (!strcmp(event, "lost")) {
		return sync_rules(f);
	}
	return 0;
}

static bool stopped(struct sim_faults *f)
{
	return __atomic_load_n(&f->stop, __ATOMIC_RELAXED);
}

static void *follow(void *arg)
{
	struct sim_faults *f = arg;

	pthread_setname_np(pthread_self(), "faults");
	while (!stopped(f)) {
		struct sq_error err = {0};
		int rc;

		f->synced = false;
		rc = sq_client_events(f->events, "/api/v1/events", on_event, f, &f->stop, &err);
		if (stopped(f))
			break;
		pthread_mutex_lock(&f->lock);
		f->link = UNREACHABLE;
		if (rc)
			snprintf(f->why, sizeof(f->why), "%s", err.text);
		pthread_mutex_unlock(&f->lock);
		for (unsigned ms = 0; ms < RETRY_MS && !stopped(f); ms += 50)
			usleep(50000);
	}
	return NULL;
}

/* --- for others -------------------------------------------------------------------------- */

static int open_client(const struct sim_run *r, struct sq_client **ret, struct sq_error *err)
{
	struct sq_client_options o = {.timeout_ms = 5000};
	struct sq_error why = {0};
	int rc;

	if (!strncmp(r->squalld, "unix:", 5) || *r->squalld == '/')
		o.socket = *r->squalld == '/' ? r->squalld : r->squalld + 5;
	else
		o.url = r->squalld;
	o.token_file = *r->squalld_token_file ? r->squalld_token_file : NULL;
	o.cacert = *r->squalld_cacert ? r->squalld_cacert : NULL;
	rc = sq_client_open(&o, ret, &why);
	return rc ? sq_bad(err, "squalld '%.100s': %.300s", r->squalld, why.text) : 0;
}

/* The fleet's own cgroup unless a target is named: by its id, which needs no look at mounts. */
static void choose_target(const struct sim_run *r, char *ret, size_t size)
{
	struct stat st;

	if (*r->squalld_target)
		snprintf(ret, size, "%s", r->squalld_target);
	else if (*r->cgroup && !stat(r->cgroup, &st))
		snprintf(ret, size, "%llu", (unsigned long long)st.st_ino);
}

int sim_faults_start(const struct sim_run *r, struct sim_faults **ret, struct sq_error *err)
{
	struct sim_faults *f;
	int rc;

	if (!*r->squalld)
		return 0;
	f = calloc(1, sizeof(*f));
	if (!f)
		return sq_bad(err, "out of memory");
	pthread_mutex_init(&f->lock, NULL);
	choose_target(r, f->asked, sizeof(f->asked));
	rc = open_client(r, &f->events, err);
	if (!rc)
		rc = open_client(r, &f->requests, err);
	if (!rc && pthread_create(&f->thread, NULL, follow, f))
		rc = sq_bad(err, "squalld: cannot start a thread");
	if (rc) {
		sq_client_close(f->events);
		sq_client_close(f->requests);
		free(f);
		return rc;
	}
	*ret = f;
	return 0;
}

void sim_faults_stop(struct sim_faults *f)
{
	if (!f)
		return;
	__atomic_store_n(&f->stop, true, __ATOMIC_RELAXED);
	pthread_join(f->thread, NULL);
	sq_client_close(f->events);
	sq_client_close(f->requests);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

unsigned sim_faults_copy(struct sim_faults *f, struct sim_fault ret[SIM_FAULTS_MAX])
{
	unsigned n;

	if (!f)
		return 0;
	pthread_mutex_lock(&f->lock);
	n = f->n;
	memcpy(ret, f->window, n * sizeof(*ret));
	/* What goes on where we cannot look is not known. */
	for (unsigned i = 0; f->link != LIVE && i < n; i++)
		if (!ret[i].to_ms)
			end(&ret[i], f->heard_ms);
	pthread_mutex_unlock(&f->lock);
	return n;
}

void sim_faults_add(struct sim_faults *f, json_t *load, uint64_t run_ms)
{
	static const char *const names[] = {"connecting", "live", "unreachable"};
	struct sim_fault *w = f ? malloc(SIM_FAULTS_MAX * sizeof(*w)) : NULL;
	json_t *list = json_array(), *s;
	uint64_t now = now_ms();

	for (unsigned i = 0, n = w ? sim_faults_copy(f, w) : 0; i < n; i++)
		json_array_append_new(
			list,
			json_pack("{s:I,s:o,s:s,s:s}", "from_ms", (json_int_t)w[i].from_ms, "to_ms",
				  w[i].to_ms ? json_integer((json_int_t)w[i].to_ms) : json_null(),
				  "target", w[i].target, "rule", w[i].rule));
	free(w);
	json_object_set_new(load, "time_ms", json_integer((json_int_t)now));
	json_object_set_new(load, "start_ms", json_integer((json_int_t)(now - run_ms)));
	json_object_set_new(load, "faults", list);
	if (!f) {
		json_object_set_new(load, "squalld", json_null());
		return;
	}
	pthread_mutex_lock(&f->lock);
	s = json_pack("{s:s,s:s,s:s?,s:s?}", "peer", sq_client_peer(f->requests), "state",
		      names[f->link], "target",
		      !*f->asked   ? NULL
		      : *f->target ? f->target
				   : f->asked,
		      "why", *f->why ? f->why : NULL);
	pthread_mutex_unlock(&f->lock);
	json_object_set_new(load, "squalld", s);
}
