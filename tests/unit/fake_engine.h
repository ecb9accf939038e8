/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An engine without a kernel side, for unit tests of squalld's other parts:
 * cgroups are names in a table that the test fills, rules are remembered.
 * Included by one test program each, so that the linker takes these instead
 * of the archive's.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "squalld/kernel/kernel.h"

#define FAKE_CGROUPS 8192

struct engine {
	int unused;
};

static struct fake_cgroup {
	char path[256];
	uint64_t id;
	bool here, ruled;
	struct sq_rule rule;
} * fake_cgroup;
static unsigned int fake_n, fake_sets, fake_deletes, fake_rescans;
static int fake_set_error;

static inline uint64_t fake_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static inline uint64_t fake_add(const char *path)
{
	if (!fake_cgroup)
		fake_cgroup = calloc(FAKE_CGROUPS, sizeof(*fake_cgroup));
	if (fake_n == FAKE_CGROUPS)
		abort();
	snprintf(fake_cgroup[fake_n].path, sizeof(fake_cgroup[0].path), "%s", path);
	fake_cgroup[fake_n].id = 1000 + fake_n;
	fake_cgroup[fake_n].here = true;
	return fake_cgroup[fake_n++].id;
}

static inline struct fake_cgroup *fake_of(uint64_t id)
{
	return id >= 1000 && id < 1000 + fake_n ? &fake_cgroup[id - 1000] : NULL;
}

static inline void fake_reset(void)
{
	fake_n = fake_sets = fake_deletes = fake_rescans = 0;
	fake_set_error = 0;
	if (fake_cgroup)
		memset(fake_cgroup, 0, FAKE_CGROUPS * sizeof(*fake_cgroup));
}

int engine_open(const struct engine_options *options, struct engine **ret, struct sq_error *err)
{
	(void)options;
	(void)err;
	*ret = calloc(1, sizeof(**ret));
	return *ret ? 0 : -ENOMEM;
}

void engine_close(struct engine *engine, bool keep_rules)
{
	(void)keep_rules;
	free(engine);
	free(fake_cgroup);
	fake_cgroup = NULL;
	fake_n = 0;
}

int engine_cleanup(const char *pin_dir, struct sq_error *err)
{
	(void)pin_dir;
	(void)err;
	return 0;
}

int engine_cgroup_id(const char *path, uint64_t *ret_id, struct sq_error *err)
{
	for (unsigned int i = fake_n; i-- > 0;) {
		if (fake_cgroup[i].here && strcmp(fake_cgroup[i].path, path) == 0) {
			*ret_id = fake_cgroup[i].id;
			return 0;
		}
	}
	snprintf(err->text, sizeof(err->text), "target: no cgroup \"%.200s\"", path);
	return -ENOENT;
}

int engine_cgroup_path(uint64_t id, char *ret_path, size_t size)
{
	struct fake_cgroup *c = fake_of(id);

	if (!c || !c->here)
		return -ENOENT;
	snprintf(ret_path, size, "%s", c->path);
	return 0;
}

int engine_hold(struct engine *engine, uint64_t cgroup_id, const char *path, struct sq_error *err)
{
	(void)engine, (void)cgroup_id, (void)path, (void)err;
	return 0;
}

void engine_release(struct engine *engine, uint64_t cgroup_id)
{
	(void)engine, (void)cgroup_id;
}

int engine_set_rule(struct engine *engine, uint64_t cgroup_id, const struct sq_rule *rule,
		    struct sq_rule *ret, struct sq_error *err)
{
	struct fake_cgroup *c = fake_of(cgroup_id);
	static uint32_t id;

	(void)engine;
	if (fake_set_error) {
		snprintf(err->text, sizeof(err->text), "this kernel cannot do that");
		return fake_set_error;
	}
	if (!c)
		return -ENOENT;
	c->rule = *rule;
	c->ruled = true;
	c->rule.id = ++id;
	c->rule.target = cgroup_id;
	c->rule.expires_ns = rule->for_ns ? fake_now() + rule->for_ns : 0;
	fake_sets++;
	if (ret)
		*ret = c->rule;
	return 0;
}

void engine_make_ahead(struct engine *engine, unsigned int n, const atomic_bool *stop)
{
	(void)engine, (void)n, (void)stop;
}

void engine_drop_ahead(struct engine *engine)
{
	(void)engine;
}

int engine_prolong(struct engine *engine, uint64_t cgroup_id, uint64_t for_ns,
		   uint64_t *ret_ends_ns)
{
	struct fake_cgroup *c = fake_of(cgroup_id);

	(void)engine;
	if (!c || !c->ruled)
		return -ENOENT;
	c->rule.for_ns = for_ns;
	*ret_ends_ns = c->rule.expires_ns = fake_now() + for_ns;
	return 0;
}

int engine_delete_rule(struct engine *engine, uint64_t cgroup_id)
{
	struct fake_cgroup *c = fake_of(cgroup_id);

	(void)engine;
	if (!c || !c->ruled)
		return -ENOENT;
	c->ruled = false;
	fake_deletes++;
	return 0;
}

int engine_get_rule(struct engine *engine, uint64_t cgroup_id, struct sq_rule *ret)
{
	struct fake_cgroup *c = fake_of(cgroup_id);

	(void)engine;
	if (!c || !c->ruled)
		return -ENOENT;
	*ret = c->rule;
	return 0;
}

int engine_each_rule(struct engine *engine, int (*fn)(const struct sq_rule *rule, void *arg),
		     void *arg)
{
	(void)engine;
	for (unsigned int i = 0; i < fake_n; i++) {
		int rc = fake_cgroup[i].ruled ? fn(&fake_cgroup[i].rule, arg) : 0;

		if (rc)
			return rc;
	}
	return 0;
}

int engine_flow_counts(struct engine *engine, uint64_t cgroup_id, struct sq_flow_head *ret)
{
	(void)engine, (void)cgroup_id, (void)ret;
	return -ENOENT;
}

int engine_flows(struct engine *engine, uint64_t cgroup_id,
		 int (*fn)(const struct sq_flow *flow, void *arg), void *arg)
{
	(void)engine, (void)cgroup_id, (void)fn, (void)arg;
	return -ENOENT;
}

int engine_counters(struct engine *engine, uint32_t counter, struct sq_counters *ret)
{
	(void)engine;
	(void)counter;
	memset(ret, 0, sizeof(*ret));
	ret->seen_pkts = 42;
	return 0;
}

json_t *engine_status(struct engine *engine)
{
	(void)engine;
	return json_pack("{s:s}", "lane", "none");
}

int engine_health(struct engine *engine, bool ask, struct sq_error *err)
{
	(void)engine;
	(void)ask;
	(void)err;
	return 0;
}

void engine_rescan(struct engine *engine)
{
	(void)engine;
	fake_rescans++;
}

void engine_lane_stats(struct engine *engine, struct engine_lane *ret)
{
	(void)engine;
	*ret = (struct engine_lane){0};
}

const char *engine_lane_loss(enum lane_loss loss, const char **ret_text)
{
	(void)loss, (void)ret_text;
	return "none";
}

const char *engine_lane_lost(struct engine *engine, int *i, unsigned int *ret_ago_s)
{
	(void)engine;
	(void)i;
	(void)ret_ago_s;
	return NULL;
}

json_t *engine_target_view(struct engine *engine, uint64_t cgroup_id)
{
	(void)engine;
	(void)cgroup_id;
	return json_pack("{s:s,s:[s]}", "mode", "bridge", "interfaces", "veth12");
}

int engine_trace_open(struct engine *engine, uint32_t every, struct engine_trace **ret)
{
	(void)engine;
	(void)every;
	*ret = NULL;
	return -EOPNOTSUPP;
}

int engine_trace_next(struct engine_trace *trace, struct sq_event *ret, int timeout_ms)
{
	(void)trace;
	(void)ret;
	(void)timeout_ms;
	return 0;
}

void engine_trace_close(struct engine_trace *trace)
{
	(void)trace;
}
