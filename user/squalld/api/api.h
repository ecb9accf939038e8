/* SPDX-License-Identifier: GPL-2.0-only */
/* Handlers of /api/v1. `name` is the decoded `*` segment, if the route has one. */
#ifndef SQUALLD_API_H
#define SQUALLD_API_H

#include <pthread.h>
#include "squalld/http/http.h"

struct book;
struct bus;
struct cgwatch;
struct clear;
struct docker;
struct dockertc;
struct ecs;
struct engine;
struct events;
struct experiments;
struct history;
struct loud;
struct meter;
struct profiles;
struct schedules;
struct state;
struct target;
struct targets;

/* All that a request may ask of the parts below; each outlives the last request. */
struct api {
	const struct options *opt;
	uint64_t started_ms;   /* CLOCK_REALTIME */
	pthread_mutex_t *lock; /* of everything in control/ */
	struct engine *engine;
	struct targets *targets;
	struct book *book;
	struct profiles *profiles;
	struct schedules *schedules;
	struct clear *clear;
	struct state *state;
	struct history *history;
	struct experiments *experiments;
	struct bus *bus;
	struct meter *meter;
	struct loud *loud;
	struct events *events;
	struct http *http;
	struct docker *docker;
	struct cgwatch *cgwatch;
	struct dockertc *dockertc;
	struct ecs *ecs;
};

struct rule_entry;

#define HANDLER(fn) enum MHD_Result fn(struct request *r, const char *name)
HANDLER(api_status);
HANDLER(api_capabilities);
HANDLER(api_openapi);
HANDLER(api_targets);
HANDLER(api_target);
HANDLER(api_explain);
HANDLER(api_rules);
HANDLER(api_rules_put);
HANDLER(api_rules_clear);
HANDLER(api_undo);
HANDLER(api_rule_get);
HANDLER(api_rule_put);
HANDLER(api_rule_patch);
HANDLER(api_rule_delete);
HANDLER(api_rule_profile);
HANDLER(api_rule_prolong);
HANDLER(api_counters);
HANDLER(api_counters_of);
HANDLER(api_series);
HANDLER(api_traffic);
HANDLER(api_traffic_put);
HANDLER(api_profiles);
HANDLER(api_profile_get);
HANDLER(api_profile_put);
HANDLER(api_profile_delete);
HANDLER(api_schedules);
HANDLER(api_schedule_get);
HANDLER(api_schedule_put);
HANDLER(api_schedule_delete);
HANDLER(api_schedule_start);
HANDLER(api_schedule_stop);
HANDLER(api_flows);
HANDLER(api_maps);
HANDLER(api_map);
HANDLER(api_programs);
HANDLER(api_events);
HANDLER(api_history);
HANDLER(api_experiments);
#undef HANDLER

enum MHD_Result api_metrics(struct request *r);
enum MHD_Result api_healthz(struct request *r);
enum MHD_Result api_ui(struct request *r); /* GET /ui/... */

/* Rules that were set with ?hold=1 go with the connection that set them. */
void api_rules_gone(void *api, const struct MHD_Connection *conn);

/* For http_start(), with the struct api that api_of() gives back. */
extern const struct http_app api_app;
static inline struct api *api_of(const struct request *r)
{
	return r->arg;
}

/* {"status", "reason", "reasons"}; *ret: negative failing, positive degraded, 0 well. ask: as of
 * engine_health(). */
json_t *health_json(struct api *a, bool ask, int *ret);

/* One line in the log: what changed, and who asked. */
void api_audit(struct request *r, const char *what, const char *name, const char *change);

/* rules.c, for whoever sets one. Whom it will be for, attached to and held. */
struct held {
	uint64_t *id;
	int n;
	char *name; /* canonical, of a cgroup that is no container's; NULL of others */
};
/* The lock is not held: who is meant is attached where he lives before he gets his rule, so that an
 * answer is about what acts. After 0, *ret is to be released. */
int rule_hold(struct api *a, const char *name, struct held *ret, struct sq_error *p);
void rule_release(struct api *a, struct held *h);
/* With the lock held again: the target, which is still the one that is held (of a selector *ret_t
 * stays as it is); its rule, or that of a selector, if it has one, as the request's preconditions
 * want it. */
int rule_held(struct request *r, const char *name, const struct held *held, struct target *ret_t,
	      struct rule_entry **ret_e, struct sq_error *p);
json_t *rule_entry_json(struct book *book, const struct rule_entry *e);
void rule_audit(struct request *r, const struct rule_entry *e);

/* Of a rule that has a table of flows: what was counted, since it was set. How many ret[] got: 0 or
 * FLOW_COUNTS. As JSON: a new object with the target's name, or NULL. The lock is held. */
#define FLOW_COUNTS 10
struct flow_count {
	const char *what;
	uint64_t n;
};
int flow_counts(struct engine *engine, const struct rule_entry *e, struct flow_count ret[]);
json_t *flow_counts_json(struct engine *engine, const struct rule_entry *e);

/* {"time_ms", "counters", "flows"} of one target, or of all when name is NULL. The lock is held.
 */
json_t *counters_json(struct engine *engine, struct book *book, const char *name);

/* The entries that are other than those of *told, which becomes these. New reference. */
json_t *counters_changed(json_t **told, const json_t *counters);
/* Of these, one target's. New reference. */
json_t *counters_of_target(const json_t *changed, const char *target);
/* These without the figures that are 0. New reference. */
json_t *counters_brief(const json_t *changed);

#endif
