// SPDX-License-Identifier: GPL-2.0-only
/*
 * The router: one table from method and path to handler. A `*` segment is a
 * target or a name; "cgroup:/a/b", which should be percent-encoded, is taken
 * as one segment when it is not.
 */
#include "squalld/api/api.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include "squalld/dockertc/dockertc.h"
#include "squalld/ecs/ecs.h"
#include "squalld/api/events.h"
#include "squalld/experiments/experiments.h"
#include "squalld/control/history.h"
#include "squalld/control/targets.h"

typedef enum MHD_Result handler_fn(struct request *r, const char *name);

static const struct route {
	const char *method;
	const char *path; /* below /api/v1/ */
	handler_fn *fn;
	const char *query; /* the words that it takes, with a space between; NULL: none */
} routes[] = {
	{"GET", "status", api_status, NULL},
	{"GET", "capabilities", api_capabilities, NULL},
	{"GET", "openapi.json", api_openapi, NULL},
	{"GET", "targets", api_targets, "kind match"},
	{"GET", "targets/*", api_target, NULL},
	{"GET", "targets/*/explain", api_explain, NULL},
	{"GET", "rules", api_rules, NULL},
	{"PUT", "rules", api_rules_put, "entries"},
	{"DELETE", "rules", api_rules_clear, "schedules"},
	{"POST", "undo", api_undo, NULL},
	{"GET", "rules/*", api_rule_get, NULL},
	{"PUT", "rules/*", api_rule_put, "notes hold"},
	{"PATCH", "rules/*", api_rule_patch, "notes hold"},
	{"DELETE", "rules/*", api_rule_delete, NULL},
	{"POST", "rules/*/profile", api_rule_profile, "notes hold"},
	{"POST", "rules/*/prolong", api_rule_prolong, NULL},
	{"GET", "counters", api_counters, NULL},
	{"GET", "counters/*", api_counters_of, NULL},
	{"GET", "series/*", api_series, NULL},
	{"GET", "traffic", api_traffic, NULL},
	{"PUT", "traffic", api_traffic_put, NULL},
	{"GET", "flows/*", api_flows, "limit"},
	{"GET", "profiles", api_profiles, NULL},
	{"GET", "profiles/*", api_profile_get, NULL},
	{"PUT", "profiles/*", api_profile_put, NULL},
	{"DELETE", "profiles/*", api_profile_delete, NULL},
	{"GET", "schedules", api_schedules, NULL},
	{"GET", "schedules/*", api_schedule_get, NULL},
	{"PUT", "schedules/*", api_schedule_put, NULL},
	{"DELETE", "schedules/*", api_schedule_delete, NULL},
	{"POST", "schedules/*/start", api_schedule_start, NULL},
	{"POST", "schedules/*/stop", api_schedule_stop, NULL},
	{"GET", "maps", api_maps, NULL},
	{"GET", "maps/*", api_map, "limit"},
	{"GET", "programs", api_programs, NULL},
	{"GET", "events", api_events, "trace every target counters traffic"},
	{"GET", "history", api_history,
	 "target type action who since_ms until_ms before limit format"},
	{"GET", "experiments", api_experiments, NULL},
	{"GET", "experiments/*", api_experiments, NULL},
	{"PUT", "experiments/*", api_experiments, NULL},
	{"DELETE", "experiments/*", api_experiments, NULL},
	{"GET", "experiments/*/report", api_experiments, NULL},
	{"PUT", "experiments/*/report", api_experiments, NULL},
	{"POST", "experiments/*/stop", api_experiments, NULL},
};
#define N_ROUTES (sizeof(routes) / sizeof(routes[0]))

/* Joins what an unescaped "cgroup:/a/b" was cut into, leaving `tail` segments. */
static void join_cgroup(struct request *r, int at, int tail)
{
	if (at >= r->n_seg || strcmp(r->seg[at], "cgroup:") != 0)
		return;
	/* The segments lie one behind the other, each with the NUL that was its slash. */
	for (int i = at; i + 1 < r->n_seg - tail; i++)
		((char *)r->seg[i + 1])[-1] = '/';
	if (r->n_seg - tail == at + 1)
		return;
	for (int i = 0; i < tail; i++)
		r->seg[at + 1 + i] = r->seg[r->n_seg - tail + i];
	r->n_seg = at + 1 + tail;
}

static bool matches(const struct route *route, const struct request *r, const char **ret_name)
{
	const char *p = route->path;
	int i = 2; /* after api, v1 */

	for (; *p; i++) {
		size_t n = strcspn(p, "/");

		if (i >= r->n_seg)
			return false;
		if (n == 1 && *p == '*') {
			if (!*r->seg[i])
				return false;
			*ret_name = r->seg[i];
		} else if (strlen(r->seg[i]) != n || memcmp(r->seg[i], p, n) != 0) {
			return false;
		}
		p += n + (p[n] == '/');
	}
	return i == r->n_seg;
}

/* What would be ignored, or NULL: "?target=" of what clears all would clear all, and of two targets
 * the first alone would be meant. */
static const char *query_fault(const char *query, const char *known)
{
	unsigned int had = 0;

	for (const char *p = query; *p; p += strcspn(p, "&"), p += *p == '&') {
		size_t n = strcspn(p, "=&"), len = 0;
		const char *word = known;
		unsigned int bit = 1;

		for (; n && *word; word += len, word += *word == ' ', bit <<= 1) {
			len = strcspn(word, " ");
			if (len == n && memcmp(word, p, n) == 0)
				break;
		}
		if (n && !*word)
			return "that is not known; accepted";
		if (n && (had & bit))
			return "twice; accepted, each once";
		had |= n ? bit : 0;
	}
	return NULL;
}

static enum MHD_Result call(struct request *r, const struct route *route, const char *name)
{
	const char *known = route->query ? route->query : "";
	const char *fault = query_fault(r->query, known);

	if (!fault)
		return route->fn(r, name);
	return reply_status(r, 400, "query", "query: \"%.60s\" has a word %s: %s", r->query, fault,
			    *known ? known : "none");
}

static enum MHD_Result route_api(struct request *r)
{
	const char *name = NULL, *last = r->seg[r->n_seg - 1];
	bool post_tail = strcmp(r->method, "POST") == 0 &&
			 (strcmp(last, "profile") == 0 || strcmp(last, "prolong") == 0 ||
			  strcmp(last, "start") == 0 || strcmp(last, "stop") == 0);
	bool head = strcmp(r->method, "HEAD") == 0;
	/* A cgroup of that name is reached percent-encoded. */
	bool get_tail =
		r->n_seg > 4 && strcmp(r->seg[2], "targets") == 0 && strcmp(last, "explain") == 0;

	join_cgroup(r, 3, post_tail || get_tail ? 1 : 0);
	for (size_t i = 0; i < N_ROUTES; i++) {
		if (!matches(&routes[i], r, &name))
			continue;
		if (strcmp(routes[i].method, r->method) == 0 ||
		    (head && strcmp(routes[i].method, "GET") == 0))
			return call(r, &routes[i], name);
		snprintf(r->allow + strlen(r->allow), sizeof(r->allow) - strlen(r->allow), "%s%s",
			 r->allow[0] ? ", " : "", routes[i].method);
	}
	if (r->allow[0])
		return reply_status(r, 405, "", "%.20s is not accepted here: %s", r->method,
				    r->allow);
	return reply_status(
		r, 404, "path",
		"path: there is nothing here; GET /api/v1/openapi.json lists what there is");
}

/* What a load balancer or a browser's first visit asks for, which tells nothing and changes
 * nothing, and what has a key of its own. */
static bool is_public(const struct request *r)
{
	/* Who knows the id of a container's endpoint is in the container, as the ECS agent sees it.
	 */
	if (ecs_is_path(r))
		return true;
	if (strcmp(r->method, "GET") != 0 && strcmp(r->method, "HEAD") != 0)
		return false;
	return r->n_seg >= 1 && (strcmp(r->seg[0], "healthz") == 0 || strcmp(r->seg[0], "ui") == 0);
}

static enum MHD_Result answer_one(struct request *r)
{
	bool get = strcmp(r->method, "GET") == 0 || strcmp(r->method, "HEAD") == 0;

	if (ecs_is_path(r))
		return ecs_serve(api_of(r)->ecs, r);
	if (r->n_seg >= 2 && strcmp(r->seg[0], "api") == 0)
		return strcmp(r->seg[1], "v1") == 0 && r->n_seg > 2
			       ? route_api(r)
			       : reply_status(r, 404, "path", "path: the API is below /api/v1/");
	if (r->n_seg >= 1 && strcmp(r->seg[0], "ui") == 0)
		return get ? api_ui(r) : reply_status(r, 405, "", "only GET is accepted here");
	if (r->n_seg == 1 && strcmp(r->seg[0], "metrics") == 0)
		return get ? api_metrics(r) : reply_status(r, 405, "", "only GET is accepted here");
	if (r->n_seg == 1 && strcmp(r->seg[0], "healthz") == 0)
		return get ? api_healthz(r) : reply_status(r, 405, "", "only GET is accepted here");
	if (r->n_seg == 0 && get) {
		const char *accept = request_header(r, "Accept");

		/* A browser wants the panel; curl and docker-tc's users want the list. */
		if (accept && strstr(accept, "text/html")) {
			struct MHD_Response *response = MHD_create_response_from_buffer(
				0, (void *)(uintptr_t) "", MHD_RESPMEM_PERSISTENT);

			if (!response)
				return MHD_NO;
			MHD_add_response_header(response, "Location", "/ui/");
			return reply_response(r, 303, response);
		}
	}
	return dockertc_serve(api_of(r)->dockertc, r);
}

/* What a change does is written into the history in the name of who asked, before the answer. */
static enum MHD_Result answer(struct request *r)
{
	bool get = strcmp(r->method, "GET") == 0 || strcmp(r->method, "HEAD") == 0;
	enum MHD_Result result;

	if (get)
		return answer_one(r);
	history_by(request_who(r));
	result = answer_one(r);
	history_by(NULL);
	history_sync(api_of(r)->history);
	return result;
}

const struct http_app api_app = {.answer = answer, .is_public = is_public, .gone = api_rules_gone};

enum MHD_Result api_events(struct request *r, const char *name)
{
	(void)name;
	return events_serve(r);
}

enum MHD_Result api_experiments(struct request *r, const char *name)
{
	return experiments_serve(api_of(r)->experiments, r, name);
}
