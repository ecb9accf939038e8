// SPDX-License-Identifier: GPL-2.0-only
/*
 * The maps that a squalld before left pinned are the truth: their rules are
 * taken up as they stand, and what it had no time to delete is deleted.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "squall.skel.h"
#include "lib/cgroup.h"
#include "squalld/kernel/engine_internal.h"

static int map_fd(const struct bpf_map *map)
{
	return bpf_map__fd(map);
}

/* The rule of one element of sq_targets; one that has ended goes out of the map. */
static int adopt_target(struct engine *e, uint64_t id, struct sq_error *err)
{
	int targets = map_fd(e->skel->maps.sq_targets);
	struct ruled *r = calloc(1, sizeof(*r));
	uint64_t chain[SQ_MAX_LEVELS], key = id;
	struct sq_target value;
	char path[PATH_MAX];
	bool dead;
	int res;

	if (!r)
		return sq_error_set(err, -ENOMEM, NULL, "out of memory");
	r->fd = -1;
	dead = bpf_map_lookup_elem(targets, &key, &value) ||
	       bpf_map_lookup_elem(map_fd(e->skel->maps.sq_rules), &value.rule_id, &r->rule) ||
	       rule_over_for(&r->rule, 0);
	res = dead ? -ENOENT : cgroup_path_of(id, path, sizeof(path));
	r->level = res ? res : cgroup_chain(path, chain, SQ_MAX_LEVELS);
	res = r->level < 0 ? r->level : cgroup_id_of(path, &id, &r->fd);
	/* Not a word of the cgroup, so not the end of its rule. */
	if (res == -EMFILE || res == -ENFILE || res == -ENOMEM) {
		free(r);
		return sq_error_set(err, res, NULL, "cannot look for the cgroup of a rule: %s",
				    strerror(-res));
	}
	if (res || !r->level) {
		bpf_map_delete_elem(targets, &key);
		free(r);
		return 0;
	}
	r->rule.target = id;
	r->elsewhere = lives_elsewhere(e, id);
	ruled_insert(e, r, id);
	e->down_users += rule_has_down(&r->rule);
	return 0;
}

/* Versions that nobody's target names. */
static void drop_versions(struct engine *e)
{
	int rules = map_fd(e->skel->maps.sq_rules);
	uint32_t next;

	for (bool more = !bpf_map_get_next_key(rules, NULL, &next); more;) {
		struct sq_rule rule;
		struct ruled *r;
		uint32_t k = next;

		more = !bpf_map_get_next_key(rules, &k, &next);
		if (k > e->next_rule_id)
			e->next_rule_id = k;
		if (bpf_map_lookup_elem(rules, &k, &rule))
			continue;
		r = ruled_find(e, rule.target);
		if (!r || r->rule.id != k)
			bpf_map_delete_elem(rules, &k);
	}
}

/* Counters that no rule counts in. */
static void drop_counters(struct engine *e)
{
	int counters = map_fd(e->skel->maps.sq_counters);
	uint32_t next;

	for (bool more = !bpf_map_get_next_key(counters, NULL, &next); more;) {
		uint32_t k = next;
		bool used = false;

		more = !bpf_map_get_next_key(counters, &k, &next);
		if (k > e->next_counter)
			e->next_counter = k;
		for (int b = 0; b < RULE_BUCKETS && !used; b++)
			for (struct ruled *r = e->rules[b]; r && !used; r = r->next)
				used = rule_keeps_counter(&r->rule, k);
		if (!used)
			bpf_map_delete_elem(counters, &k);
	}
}

int rules_adopt(struct engine *e, struct sq_error *err)
{
	int targets = map_fd(e->skel->maps.sq_targets), res;
	uint64_t id, next;

	for (bool more = !bpf_map_get_next_key(targets, NULL, &next); more;) {
		id = next;
		more = !bpf_map_get_next_key(targets, &id, &next);
		res = adopt_target(e, id, err);
		if (res)
			return res;
	}
	drop_versions(e);
	drop_counters(e);
	for (int b = 0; b < RULE_BUCKETS; b++)
		for (struct ruled *r = e->rules[b]; r; r = r->next)
			table_adopt(e->tables, &r->rule);
	if (e->cfg->abi_version) /* the maps are those of a squalld before */
		tables_adopt_end(e->tables);
	rules_publish_levels(e);
	return 0;
}
