// SPDX-License-Identifier: GPL-2.0-only
/* Status, capabilities, traffic, profiles, schedules, clear and undo. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include "lib/clock.h"
#include "lib/error.h"
#include "squalld/api/api.h"
#include "squalld/control/book.h"
#include "squalld/control/clear.h"
#include "squalld/control/members.h"
#include "squalld/discovery/cgwatch.h"
#include "squalld/discovery/docker.h"
#include "squalld/api/events.h"
#include "squalld/experiments/experiments.h"
#include "squalld/meter/loud.h"
#include "squalld/control/profiles.h"
#include "squalld/control/schedules.h"
#include "squalld/control/state.h"
#include "squalld/kernel/kernel.h"

/* --- status ------------------------------------------------------------------------ */

static void set_default(json_t *o, const char *key, json_t *value)
{
	if (json_object_get(o, key))
		json_decref(value);
	else
		json_object_set_new(o, key, value);
}

/* Everything `capabilities` has, and what changes at run time. */
enum MHD_Result api_status(struct request *r, const char *name)
{
	struct api *a = api_of(r);
	json_t *o = engine_status(a->engine);
	unsigned int running, all, rules;
	struct utsname uts;
	int health;

	(void)name;
	if (!o)
		o = json_object();
	pthread_mutex_lock(a->lock);
	targets_count(a->targets, &running, &all);
	rules = book_count(a->book);
	pthread_mutex_unlock(a->lock);
	uname(&uts);
	json_object_set_new(o, "version", json_string(SQUALL_VERSION));
	set_default(o, "kernel", json_text(uts.release));
	json_object_set_new(o, "machine", json_text(uts.machine));
	json_object_set_new(o, "started_ms", json_integer((json_int_t)a->started_ms));
	json_object_set_new(o, "time_ms", json_integer((json_int_t)sq_real_ms()));
	json_object_set_new(o, "health", health_json(a, true, &health));
	json_object_set_new(o, "listen", http_listeners(a->http));
	json_object_set_new(o, "docker", docker_status(a->docker));
	json_object_set_new(o, "cgroups", cgwatch_status(a->cgwatch));
	json_object_set_new(o, "counts",
			    json_pack("{s:i,s:i,s:i,s:i,s:I}", "rules", (int)rules, "containers",
				      (int)all, "containers_running", (int)running, "event_streams",
				      (int)events_count(a->events), "requests",
				      (json_int_t)http_requests(a->http)));
	json_object_set_new(o, "state",
			    json_pack("{s:o,s:o}", "dir", json_text(a->opt->state_dir), "error",
				      state_error(a->state)
					      ? json_text(strerror(-state_error(a->state)))
					      : json_null()));
	return reply_json(r, 200, o);
}

enum MHD_Result api_capabilities(struct request *r, const char *name)
{
	static const char *const keep[] = {"kernel", "lane",   "lanes",	   "features",
					   "faults", "limits", "programs", NULL};
	json_t *all = engine_status(api_of(r)->engine), *o = json_object(), *limits;
	struct utsname uts;

	(void)name;
	for (const char *const *k = keep; *k; k++)
		if (json_object_get(all, *k))
			json_object_set(o, *k, json_object_get(all, *k));
	json_decref(all);
	uname(&uts);
	set_default(o, "kernel", json_text(uts.release));
	json_object_set_new(o, "version", json_string(SQUALL_VERSION));
	limits = json_object_get(o, "limits");
	if (!json_is_object(limits)) {
		json_object_set_new(o, "limits", json_object());
		limits = json_object_get(o, "limits");
	}
	json_object_set_new(limits, "rules", json_integer(SQ_MAX_RULES));
	json_object_set_new(limits, "clauses", json_integer(SQ_MAX_CLAUSES));
	json_object_set_new(limits, "excepts", json_integer(SQ_MAX_EXCEPTS));
	json_object_set_new(limits, "body_bytes", json_integer(HTTP_BODY_MAX));
	json_object_set_new(limits, "connections", json_integer(HTTP_CONNECTIONS));
	return reply_json(r, 200, o);
}

/* --- traffic ---------------------------------------------------------------------------- */

enum MHD_Result api_traffic(struct request *r, const char *name)
{
	json_t *o;

	(void)name;
	pthread_mutex_lock(api_of(r)->lock);
	o = loud_json(api_of(r)->loud);
	pthread_mutex_unlock(api_of(r)->lock);
	return reply_json(r, 200, o);
}

enum MHD_Result api_traffic_put(struct request *r, const char *name)
{
	struct sq_error p = {0};
	json_t *body = request_json(r, &p), *mode = json_object_get(body, "mode"), *o = NULL;

	(void)name;
	if (!body)
		return reply_problem(r, &p);
	pthread_mutex_lock(api_of(r)->lock);
	if (json_object_size(body) != 1 || !json_is_string(mode))
		sq_error_set(&p, -EINVAL, "mode", "it alone is accepted, and is auto, on or off");
	else if (loud_set(api_of(r)->loud, json_string_value(mode), &p) == 0)
		o = loud_json(api_of(r)->loud);
	pthread_mutex_unlock(api_of(r)->lock);
	json_decref(body);
	if (!o)
		return reply_problem(r, &p);
	api_audit(r, "counting of", "traffic", json_string_value(json_object_get(o, "mode")));
	return reply_json(r, 200, o);
}

/* --- profiles -------------------------------------------------------------------------- */

enum MHD_Result api_profiles(struct request *r, const char *name)
{
	json_t *list;

	(void)name;
	pthread_mutex_lock(api_of(r)->lock);
	list = profiles_list(api_of(r)->profiles);
	pthread_mutex_unlock(api_of(r)->lock);
	return reply_json(r, 200, json_pack("{s:o}", "profiles", list));
}

enum MHD_Result api_profile_get(struct request *r, const char *name)
{
	json_t *o;

	pthread_mutex_lock(api_of(r)->lock);
	o = profile_json(api_of(r)->profiles, name);
	pthread_mutex_unlock(api_of(r)->lock);
	return o ? reply_json(r, 200, o)
		 : reply_status(r, 404, "name", "name: there is no profile \"%.64s\"", name);
}

enum MHD_Result api_profile_put(struct request *r, const char *name)
{
	struct sq_error p = {0};
	json_t *body = request_json(r, &p), *o = NULL;
	bool fresh = false;

	if (!body)
		return reply_problem(r, &p);
	pthread_mutex_lock(api_of(r)->lock);
	if (profile_put(api_of(r)->profiles, name, body, &fresh, &p) == 0)
		o = profile_json(api_of(r)->profiles, name);
	pthread_mutex_unlock(api_of(r)->lock);
	json_decref(body);
	if (o) {
		state_flush(api_of(r)->state, STATE_PROFILES);
		api_audit(r, "profile", name, fresh ? "saved" : "replaced");
	}
	if (p.code == -ENOENT || p.code == -E2BIG)
		p.code = -EINVAL;
	return o ? reply_json(r, fresh ? 201 : 200, o) : reply_problem(r, &p);
}

enum MHD_Result api_profile_delete(struct request *r, const char *name)
{
	struct sq_error p = {0};
	int rc;

	pthread_mutex_lock(api_of(r)->lock);
	rc = profile_delete(api_of(r)->profiles, name, &p);
	pthread_mutex_unlock(api_of(r)->lock);
	if (rc == 0) {
		state_flush(api_of(r)->state, STATE_PROFILES);
		api_audit(r, "profile", name, "deleted");
	}
	return rc < 0 ? reply_problem(r, &p) : reply_empty(r, 204);
}

/* --- schedules ------------------------------------------------------------------------- */

/* The canonical name, also of a container that does not run or a cgroup that is gone but known. */
static int canonical(struct request *r, const char *name, char *buf, size_t size,
		     struct sq_error *p)
{
	struct selector s;
	struct target t;
	json_t *known;
	int rc;

	if (selector_is(name)) {
		rc = selector_parse(name, &s, p);
		snprintf(buf, size, "%s", rc < 0 ? "" : s.text);
		return rc;
	}
	rc = target_resolve(api_of(r)->targets, name, &t, p);
	if (rc == 0) {
		snprintf(buf, size, "%s", t.name);
		return 0;
	}
	known = schedule_json(api_of(r)->schedules, name);
	if (!known)
		return rc;
	json_decref(known);
	memset(p, 0, sizeof(*p));
	snprintf(buf, size, "%s", name);
	return 0;
}

enum MHD_Result api_schedules(struct request *r, const char *name)
{
	json_t *list;

	(void)name;
	pthread_mutex_lock(api_of(r)->lock);
	list = schedules_list(api_of(r)->schedules);
	pthread_mutex_unlock(api_of(r)->lock);
	return reply_json(r, 200, json_pack("{s:o}", "schedules", list));
}

enum schedule_op { OP_GET, OP_PUT, OP_DELETE, OP_START, OP_STOP };

static enum MHD_Result schedule_op(struct request *r, const char *name, enum schedule_op op)
{
	static const char *const done[] = {[OP_PUT] = "set",
					   [OP_DELETE] = "deleted",
					   [OP_START] = "started",
					   [OP_STOP] = "stopped"};
	struct sq_error p = {0};
	char target[TARGET_NAME_MAX];
	json_t *body = NULL, *o = NULL;
	bool fresh = false;
	int rc;

	if (op == OP_PUT && !(body = request_json(r, &p)))
		return reply_problem(r, &p);
	pthread_mutex_lock(api_of(r)->lock);
	rc = canonical(r, name, target, sizeof(target), &p);
	if (rc == 0 && op == OP_PUT)
		rc = schedule_put(api_of(r)->schedules, target, body, &fresh, &p);
	else if (rc == 0 && op == OP_DELETE)
		rc = schedule_delete(api_of(r)->schedules, target, &p);
	else if (rc == 0 && op != OP_GET)
		rc = schedule_run(api_of(r)->schedules, target, op == OP_START, &p);
	if (rc == 0 && op != OP_DELETE) {
		o = schedule_json(api_of(r)->schedules, target);
		if (!o)
			rc = sq_error_set(&p, -ENOENT, "target", "%.200s has no schedule", target);
	}
	pthread_mutex_unlock(api_of(r)->lock);
	json_decref(body);
	if (rc < 0)
		return reply_problem(r, &p);
	if (op != OP_GET) {
		/* The kernel keeps rules over a crash of ours; a schedule is in its file alone. */
		state_flush(api_of(r)->state, STATE_SCHEDULES);
		api_audit(r, "schedule of", target, done[op]);
	}
	return op == OP_DELETE ? reply_empty(r, 204) : reply_json(r, fresh ? 201 : 200, o);
}

enum MHD_Result api_schedule_get(struct request *r, const char *name)
{
	return schedule_op(r, name, OP_GET);
}

enum MHD_Result api_schedule_put(struct request *r, const char *name)
{
	return schedule_op(r, name, OP_PUT);
}

enum MHD_Result api_schedule_delete(struct request *r, const char *name)
{
	return schedule_op(r, name, OP_DELETE);
}

enum MHD_Result api_schedule_start(struct request *r, const char *name)
{
	return schedule_op(r, name, OP_START);
}

enum MHD_Result api_schedule_stop(struct request *r, const char *name)
{
	return schedule_op(r, name, OP_STOP);
}

/* --- clear and undo -------------------------------------------------------------------- */

/* DELETE /api/v1/rules[?schedules=keep] */
enum MHD_Result api_rules_clear(struct request *r, const char *name)
{
	struct cleared n;
	char keep[8] = "", undo[24], change[160];
	unsigned int experiments = 0;

	(void)name;
	if (strstr(r->query, "schedules") &&
	    (!request_query(r, "schedules", keep, sizeof(keep)) || strcmp(keep, "keep") != 0))
		return reply_status(r, 400, "schedules",
				    "schedules: only \"keep\" is accepted, which lets them go on");
	/* First: their next fault would be back in seconds. */
	if (!keep[0])
		experiments = experiments_stop(api_of(r)->experiments, request_who(r));
	pthread_mutex_lock(api_of(r)->lock);
	clear_all(api_of(r)->clear, keep[0], &n);
	pthread_mutex_unlock(api_of(r)->lock);
	state_flush(api_of(r)->state, STATE_RULES | STATE_SCHEDULES);
	snprintf(change, sizeof(change),
		 "%u rules (%u waiting), %u schedules, labels of %u containers, %u experiments "
		 "asked to stop",
		 n.deleted, n.waiting, n.schedules, n.labels, experiments);
	api_audit(r, "clear", "everything", change);
	snprintf(undo, sizeof(undo), "%llu", (unsigned long long)n.undo);
	return reply_json(r, 200,
			  json_pack("{s:i,s:i,s:i,s:i,s:i,s:o}", "deleted", (int)n.deleted,
				    "waiting", (int)n.waiting, "schedules", (int)n.schedules,
				    "labels", (int)n.labels, "experiments", (int)experiments,
				    "undo", n.undo ? json_string(undo) : json_null()));
}

/* POST /api/v1/undo {"undo": ID} */
enum MHD_Result api_undo(struct request *r, const char *name)
{
	static const char *const keys[] = {"undo", NULL};
	struct sq_error p = {0};
	json_t *body = request_json(r, &p), *o = NULL;
	const char *id = json_string_value(json_object_get(body, "undo"));

	(void)name;
	if (!body)
		return reply_problem(r, &p);
	if (json_only_keys(body, keys, &p)) {
		if (!id || !*id || strspn(id, "0123456789") != strlen(id) || strlen(id) > 19) {
			sq_error_set(&p, -EINVAL, "undo",
				     "the \"undo\" of what DELETE or PUT /api/v1/rules answered "
				     "is expected");
		} else {
			pthread_mutex_lock(api_of(r)->lock);
			clear_undo(api_of(r)->clear, strtoull(id, NULL, 10), &o, &p);
			pthread_mutex_unlock(api_of(r)->lock);
		}
	}
	json_decref(body);
	if (!o)
		return reply_problem(r, &p);
	state_flush(api_of(r)->state, STATE_RULES | STATE_SCHEDULES);
	api_audit(r, "undo of", "what was changed last", "done");
	return reply_json(r, 200, o);
}
