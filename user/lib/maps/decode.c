// SPDX-License-Identifier: GPL-2.0-only
/* Each map's entries as JSON with names and units. What abi.h gains must be added here. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <squall/abi.h>
#include <squall/rule.h>
#include <squall/maps.h>

struct flag {
	uint32_t bit;
	const char *name;
};

static json_t *flags_json(uint32_t flags, const struct flag *names, size_t n)
{
	json_t *list = json_array();
	char text[16];
	size_t i;

	for (i = 0; i < n; i++) {
		if (flags & names[i].bit)
			json_array_append_new(list, json_string(names[i].name));
		flags &= ~names[i].bit;
	}
	if (flags) {
		snprintf(text, sizeof(text), "0x%x", flags);
		json_array_append_new(list, json_string(text));
	}
	return list;
}
#define FLAGS(v, names) flags_json(v, names, sizeof(names) / sizeof((names)[0]))

static json_t *u64_text(uint64_t v)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)v);
	return json_string(text);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

static json_t *age(uint64_t then)
{
	uint64_t now = now_ns();

	if (!then)
		return json_null();
	return json_integer(now > then ? (json_int_t)(now - then) : 0);
}

static json_t *target_entry(const void *key, const void *value, size_t n)
{
	const struct sq_target *t = value;
	uint64_t id;

	(void)n;
	memcpy(&id, key, sizeof(id));
	return json_pack("{s:o, s:I}", "cgroup_id", u64_text(id), "rule_id",
			 (json_int_t)t->rule_id);
}

static json_t *rule_entry(const void *key, const void *value, size_t n)
{
	static const char *const dirs[] = {"up", "down"};
	const struct sq_rule *r = value;
	json_t *o = sq_rule_to_json(r, now_ns()), *clauses = json_array();
	uint32_t i;
	int d;

	(void)key, (void)n;
	/* The kernel's own state of each clause and direction. */
	for (i = 0; i < r->n_clauses && i < SQ_MAX_CLAUSES; i++) {
		for (d = 0; d < SQ_DIRS; d++) {
			const struct sq_dyn *s = &r->dyn[i][d];

			if (!(r->clause[i].faults[d].flags & SQ_F_ACTIVE))
				continue;
			json_array_append_new(clauses,
					      json_pack("{s:i, s:s, s:I, s:I, s:i, s:o}", "clause",
							(int)i, "direction", dirs[d], "counter",
							(json_int_t)r->clause[i].faults[d].counter,
							"packets", (json_int_t)(s->chain >> 8),
							"loss_state", (int)(s->chain & 0xff),
							"tat_ns", u64_text(s->tat)));
		}
	}
	json_object_del(o, "clauses"); /* the text says it shorter */
	json_object_set_new(o, "state", clauses);
	return o;
}

static json_t *counters_entry(const void *key, const void *value, size_t n)
{
	static const char *const names[] = {
		"seen_pkts",	   "seen_bytes",       "lost_pkts",	  "lost_bytes",
		"delayed_pkts",	   "delayed_bytes",    "duplicated_pkts", "duplicated_bytes",
		"corrupted_pkts",  "corrupted_bytes",  "reordered_pkts",  "reordered_bytes",
		"over_limit_pkts", "over_limit_bytes", "errors",	  "lane_lost_pkts",
	};
	json_t *o = json_object();
	uint32_t id;
	size_t i, cpu;

	_Static_assert(sizeof(struct sq_counters) == 16 * 8, "names of all counters");
	memcpy(&id, key, sizeof(id));
	json_object_set_new(o, "counter", json_integer(id));
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		uint64_t sum = 0;

		for (cpu = 0; cpu < n; cpu++)
			sum += ((const uint64_t *)value)[cpu * 16 + i];
		json_object_set_new(o, names[i], json_integer((json_int_t)sum));
	}
	return o;
}

static json_t *cfg_entry(const void *key, const void *value, size_t n)
{
	static const struct flag flags[] = {{SQ_C_TRACE, "trace"}, {SQ_C_HOST_DOWN, "host-down"}};
	static const char *const lanes[] = {"none", "fq", "tap"};
	const struct sq_cfg *c = value;

	(void)key, (void)n;
	return json_pack("{s:I, s:s, s:o, s:o, s:o, s:I, s:I, s:I, s:I}", "abi_version",
			 (json_int_t)c->abi_version, "lane", c->lane < 3 ? lanes[c->lane] : "?",
			 "lease_age_ns", age(c->lease_ns), "pacer_age_ns", age(c->pacer_ns),
			 "flags", FLAGS(c->flags, flags), "levels", (json_int_t)c->levels,
			 "trace_every", (json_int_t)c->trace_every, "control_port",
			 (json_int_t)c->control_port, "stranded_pkts",
			 (json_int_t)c->stranded_pkts);
}

static json_t *att_entry(const void *key, const void *value, size_t n)
{
	static const struct flag flags[] = {{SQ_A_EDGE, "edge"},
					    {SQ_A_HOST, "host"},
					    {SQ_A_SHARED, "shared"},
					    {SQ_A_LOOP, "loop"},
					    {SQ_A_CLSACT, "clsact-ours"}};
	const struct sq_att *a = value;
	json_t *owners;
	uint32_t index;
	int i;

	(void)n;
	memcpy(&index, key, sizeof(index));
	if (!a->ifindex) /* an array's unused element */
		return NULL;
	owners = json_array();
	for (i = 0; i < SQ_MAX_LEVELS; i++)
		if (a->owner[i])
			json_array_append_new(owners, u64_text(a->owner[i]));
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:i, s:o, s:o}", "index", (json_int_t)index,
			 "ifindex", (json_int_t)a->ifindex, "netns", (json_int_t)a->netns_ino,
			 "lane_ifindex", (json_int_t)a->lane_ifindex, "seg_ifindex",
			 (json_int_t)a->seg_ifindex, "peer_nsid", (int)a->peer_nsid, "flags",
			 FLAGS(a->flags, flags), "owners", owners);
}

static json_t *dist_entry(const void *key, const void *value, size_t n)
{
	static const char *const names[] = {"uniform", "normal", "pareto", "paretonormal"};
	uint32_t index;
	int16_t v;

	(void)n;
	memcpy(&index, key, sizeof(index));
	memcpy(&v, value, sizeof(v));
	if (!v)
		return NULL; /* a slot that is not filled, mostly */
	return json_pack("{s:I, s:s, s:f, s:f}", "index", (json_int_t)index, "distribution",
			 index / SQ_DIST_SIZE < 4 ? names[index / SQ_DIST_SIZE] : "custom",
			 "probability", (index % SQ_DIST_SIZE + 0.5) / SQ_DIST_SIZE, "sigmas",
			 (double)v / SQ_DIST_SCALE);
}

static json_t *word_entry(const void *key, const void *value, size_t n)
{
	json_t *list = json_array();
	uint32_t index;
	size_t i;

	memcpy(&index, key, sizeof(index));
	for (i = 0; i < n; i++)
		json_array_append_new(list, u64_text(((const uint64_t *)value)[i]));
	return json_pack("{s:I, s:o}", "index", (json_int_t)index, "per_cpu", list);
}

static json_t *lane_entry(const void *key, const void *value, size_t n)
{
	const struct sq_lane_state *s = value;

	(void)key, (void)n;
	return json_pack(
		"{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "waiting_pages",
		(json_int_t)s->pages, "max_bytes", (json_int_t)s->max_bytes, "target_max_bytes",
		(json_int_t)s->target_max_bytes, "full_pkts", (json_int_t)s->full_pkts,
		"target_full_pkts", (json_int_t)s->target_full_pkts, "horizon_pkts",
		(json_int_t)s->horizon_pkts, "verdict_pkts", (json_int_t)s->verdict_pkts,
		"vanished_pkts", (json_int_t)s->vanished_pkts, "mended", (json_int_t)s->mended);
}

static json_t *waiting_entry(const void *key, const void *value, size_t n)
{
	const struct sq_waiting *w = value;
	uint32_t slot;

	(void)n;
	memcpy(&slot, key, sizeof(slot));
	if (!w->target && !w->now)
		return NULL; /* free, as most are */
	return json_pack("{s:I, s:o, s:I, s:I, s:I}", "slot", (json_int_t)slot, "cgroup_id",
			 u64_text(w->target), "waiting_pkts", (json_int_t)sq_wait_pkts(w->now),
			 "waiting_bytes", (json_int_t)sq_wait_bytes(w->now), "refused_pkts",
			 (json_int_t)w->refused_pkts);
}

const struct sq_map_def sq_map_defs[] = {
	{"sq_targets", "cgroup -> rule in force", 8, sizeof(struct sq_target), true, target_entry},
	{"sq_rules", "versions of rules", 4, sizeof(struct sq_rule), false, rule_entry},
	{"sq_counters", "counters, summed over CPUs", 4, sizeof(struct sq_counters), false,
	 counters_entry},
	{"sq_cfg", "lease, lane, switches", 4, sizeof(struct sq_cfg), false, cfg_entry},
	{"sq_att", "attached interfaces", 4, sizeof(struct sq_att), false, att_entry},
	{"sq_dist", "jitter tables", 4, 2, false, dist_entry},
	{"sq_scratch", "a word of working memory", 4, 8, false, word_entry},
	{"sq_lane", "what waits in the lanes, and what they lost", 4, sizeof(struct sq_lane_state),
	 false, lane_entry},
	{"sq_waiting", "what waits of a target", 4, sizeof(struct sq_waiting), false,
	 waiting_entry},
	{"sq_events", "sampled packets", 0, 0, false, NULL},
};
const size_t sq_n_maps = sizeof(sq_map_defs) / sizeof(sq_map_defs[0]);
