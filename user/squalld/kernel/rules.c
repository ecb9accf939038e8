// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rules as the kernel has them.
 *
 * Replacing is atomic because a rule is never changed in place: the new version
 * goes into sq_rules under a new id, then one word in sq_targets names it, and
 * the old version is deleted when no packet can be reading it any more.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include "squall.skel.h"
#include "lib/cgroup.h"
#include "squalld/kernel/engine_internal.h"

#define MAX_DELAY_NS 300000000000ull /* half of the fq lane's horizon */

static int map_fd(const struct bpf_map *map)
{
	return bpf_map__fd(map);
}

static struct ruled **bucket(struct engine *e, uint64_t id)
{
	return &e->rules[(id * 0x9e3779b97f4a7c15ull) >> 50];
}

struct ruled *ruled_find(struct engine *e, uint64_t id)
{
	struct ruled *r = *bucket(e, id);

	while (r && r->rule.target != id)
		r = r->next;
	return r;
}

const struct held *held_find(const struct engine *e, uint64_t cgroup_id)
{
	const struct held *h = e->held;

	while (h && h->id != cgroup_id)
		h = h->next;
	return h;
}

/* Must ingress look for its receivers? Answers to its queries say which addresses are a host's. */
bool rule_has_down(const struct sq_rule *rule)
{
	if (rule->n_hosts)
		return true;
	for (uint32_t i = 0; i < rule->n_clauses; i++)
		if (rule->clause[i].faults[SQ_DOWN].flags & SQ_F_ACTIVE)
			return true;
	return false;
}

/* Tells the kernel at which depths to look, deepest first, and whether ingress needs to look for
 * receivers. */
void rules_publish_levels(struct engine *e)
{
	uint64_t levels = 0;
	int n = 0;

	for (int level = SQ_MAX_LEVELS; level > 0; level--)
		if (e->level_users[level])
			levels |= (uint64_t)level << (4 * n++);
	__atomic_store_n(&e->cfg->levels, levels, __ATOMIC_RELEASE);
	if (e->down_users)
		__atomic_or_fetch(&e->cfg->flags, SQ_C_HOST_DOWN, __ATOMIC_RELEASE);
	else
		__atomic_and_fetch(&e->cfg->flags, ~SQ_C_HOST_DOWN, __ATOMIC_RELEASE);
	if (e->down_users && e->empty_users)
		__atomic_or_fetch(&e->cfg->flags, SQ_C_NOWHERE, __ATOMIC_RELEASE);
	else
		__atomic_and_fetch(&e->cfg->flags, ~SQ_C_NOWHERE, __ATOMIC_RELEASE);
}

static void retire(struct engine *e, uint32_t key, bool counter)
{
	if (e->retired_n == e->retired_room) {
		size_t room = e->retired_room ? e->retired_room * 2 : 1024;
		struct retired *grown = malloc(room * sizeof(*grown));

		if (!grown)
			return; /* leaks one map element */
		for (size_t i = 0; i < e->retired_n; i++)
			grown[i] = e->retired[(e->retired_head + i) % e->retired_room];
		free(e->retired);
		e->retired = grown;
		e->retired_room = room;
		e->retired_head = 0;
	}
	e->retired[(e->retired_head + e->retired_n++) % e->retired_room] =
		(struct retired){.when_ns = engine_now(), .key = key, .counter = counter};
}

/* The oldest, if it is old enough. */
static bool retire_one(struct engine *e, uint64_t older_than_ns)
{
	struct retired *r = &e->retired[e->retired_head];

	if (!e->retired_n || r->when_ns + older_than_ns > engine_now())
		return false;
	bpf_map_delete_elem(map_fd(r->counter ? e->skel->maps.sq_counters : e->skel->maps.sq_rules),
			    &r->key);
	e->retired_head = (e->retired_head + 1) % e->retired_room;
	e->retired_n--;
	return true;
}

void rules_retire_old(struct engine *e, uint64_t older_than_ns)
{
	while (retire_one(e, older_than_ns))
		;
}

/* The kernel takes a new element from a small stock, which it fills up behind our back: of
 * thousands in a row on a busy machine one finds it empty, and the next try does not. */
static int put(int map, const void *key, const void *value, uint64_t flags)
{
	const struct timespec nap = {.tv_nsec = 1000000};
	int err = bpf_map_update_elem(map, key, value, flags);

	for (int tries = 0; err == -ENOMEM && tries < 50; tries++) {
		nanosleep(&nap, NULL);
		err = bpf_map_update_elem(map, key, value, flags);
	}
	return err;
}

static int insert_counter(struct engine *e, uint32_t key)
{
	size_t size = sizeof(struct sq_counters) * libbpf_num_possible_cpus();
	void *zero = calloc(1, size);
	int err = zero ? put(map_fd(e->skel->maps.sq_counters), &key, zero, BPF_NOEXIST) : -ENOMEM;

	free(zero);
	return err;
}

static int counter_make(struct engine *e, uint32_t *ret)
{
	uint32_t key = e->n_ahead_counters ? e->ahead_counter[--e->n_ahead_counters] : 0;
	int err = 0;

	if (!key)
		err = insert_counter(e, key = ++e->next_counter);
	if (!err)
		*ret = key;
	return err;
}

void engine_make_ahead(struct engine *e, unsigned int n, const atomic_bool *stop)
{
	static const struct sq_rule none;
	int rules = map_fd(e->skel->maps.sq_rules);
	uint32_t id, counter;
	bool good = true;

	n = n < AHEAD_MAX ? n : AHEAD_MAX;
	pthread_mutex_lock(&e->lock);
	id = e->next_rule_id;
	counter = e->next_counter;
	e->next_rule_id += n;
	e->next_counter += n;
	pthread_mutex_unlock(&e->lock);
	for (unsigned int i = 0; i < n && good && !*stop; i++) {
		bool version = ++id && !put(rules, &id, &none, BPF_NOEXIST);

		good = version && !insert_counter(e, ++counter);
		pthread_mutex_lock(&e->lock);
		if (version && e->n_ahead_rules < AHEAD_MAX)
			e->ahead_rule[e->n_ahead_rules++] = id;
		else if (version)
			retire(e, id, false);
		if (good && e->n_ahead_counters < AHEAD_MAX)
			e->ahead_counter[e->n_ahead_counters++] = counter;
		else if (good)
			retire(e, counter, true);
		pthread_mutex_unlock(&e->lock);
	}
}

void engine_drop_ahead(struct engine *e)
{
	pthread_mutex_lock(&e->lock);
	while (e->n_ahead_rules)
		retire(e, e->ahead_rule[--e->n_ahead_rules], false);
	while (e->n_ahead_counters)
		retire(e, e->ahead_counter[--e->n_ahead_counters], true);
	pthread_mutex_unlock(&e->lock);
}

bool rule_keeps_counter(const struct sq_rule *rule, uint32_t counter)
{
	for (uint32_t i = 0; i < rule->n_clauses; i++)
		for (int d = 0; d < SQ_DIRS; d++)
			if (rule->clause[i].faults[d].counter == counter)
				return true;
	return false;
}

static void retire_counters(struct engine *e, const struct sq_rule *old, const struct sq_rule *now)
{
	for (uint32_t i = 0; i < old->n_clauses; i++)
		for (int d = 0; d < SQ_DIRS; d++) {
			uint32_t c = old->clause[i].faults[d].counter;

			if (c && !(now && rule_keeps_counter(now, c)))
				retire(e, c, true);
		}
}

/* A clause with the same filter goes on counting where the old one was. */
static int assign_counters(struct engine *e, const struct sq_rule *old, struct sq_rule *rule)
{
	int err = 0;

	for (uint32_t i = 0; i < rule->n_clauses; i++)
		for (int d = 0; d < SQ_DIRS; d++)
			rule->clause[i].faults[d].counter = 0;
	for (uint32_t i = 0; i < rule->n_clauses; i++) {
		for (int d = 0; d < SQ_DIRS; d++) {
			struct sq_faults *f = &rule->clause[i].faults[d];

			if (!(f->flags & SQ_F_ACTIVE))
				continue;
			for (uint32_t k = 0; old && k < old->n_clauses && !f->counter; k++) {
				uint32_t c = old->clause[k].faults[d].counter;

				if (c &&
				    sq_match_equal(&old->clause[k].match, &rule->clause[i].match) &&
				    !rule_keeps_counter(rule, c))
					f->counter = c;
			}
			if (!f->counter)
				err = counter_make(e, &f->counter);
			if (err)
				goto undo;
		}
	}
	return 0;
undo:
	retire_counters(e, rule, old);
	return err;
}

/* Is there anything that this kernel or lane cannot do? */
static int acceptable(struct engine *e, const struct sq_rule *rule, struct sq_error *err)
{
	for (uint32_t i = 0; i < rule->n_clauses; i++) {
		for (int d = 0; d < SQ_DIRS; d++) {
			const struct sq_faults *f = &rule->clause[i].faults[d];
			const char *dir = d == SQ_UP ? "up" : "down";

			if (f->delay_ns > MAX_DELAY_NS || f->jitter_ns > MAX_DELAY_NS / 4 ||
			    f->limit_ns > MAX_DELAY_NS)
				return sq_error_set(err, -EOPNOTSUPP, NULL,
						    "%s.delay: packets can wait at most 300s here "
						    "(jitter 75s, rate latency 300s)",
						    dir);
			if ((f->flags & SQ_F_LANE) && e->lane == SQ_LANE_NONE)
				return sq_error_set(err, -EOPNOTSUPP, dir,
						    "delay, jitter and rate need a lane: %s",
						    e->lane_why);
		}
	}
	if ((rule->flags & SQ_R_KEEP) && (rule->flags & SQ_R_LANE) && e->lane == SQ_LANE_TAP)
		return sq_error_set(err, -EOPNOTSUPP, "on-crash",
				    "\"keep\" is not possible with delay, jitter or rate "
				    "here: their packets wait in squalld (tap lane, since %s)",
				    e->features[F_FQ].why);
	return 0;
}

/* What is kept of a target that gets its first rule, but for where it lives. */
static int ruled_make(uint64_t cgroup_id, struct ruled **ret, struct sq_error *err)
{
	struct ruled *r = NULL;
	char path[PATH_MAX];
	int fd, level, res = cgroup_open_of(cgroup_id, path, sizeof(path), &fd);

	if (res)
		return sq_error_set(err, res, "target",
				    res == -ENOENT ? "no cgroup with id %llu (%s)"
						   : "cannot look for the cgroup with id %llu: %s",
				    (unsigned long long)cgroup_id, strerror(-res));
	level = cgroup_level(path, SQ_MAX_LEVELS);
	if (!level)
		res = sq_error_set(err, -EINVAL, "target",
				   "the root cgroup holds everything; name one below it");
	else if (level < 0)
		res = sq_error_set(err, level, "target", "cgroup %s: %s", path,
				   level == -E2BIG ? "deeper than 12 levels" : strerror(-level));
	else if (!(r = calloc(1, sizeof(*r))))
		res = sq_error_set(err, -ENOMEM, NULL, "out of memory");
	if (res) {
		close(fd);
		return res;
	}
	r->fd = fd;
	r->level = level;
	*ret = r;
	return 0;
}

static int draw_seed(struct sq_rule *rule, struct sq_error *err)
{
	if (rule->flags & SQ_R_SEED_GIVEN)
		return 0;
	if (getrandom(&rule->seed, sizeof(rule->seed), 0) < 0)
		return sq_error_set(err, -errno, "seed", "no random numbers to be had");
	rule->seed &= (1ull << 53) - 1; /* what JSON readers can hold */
	return 0;
}

/* The version, whole, then the word that names it. ahead: its place is there already. */
static int write_version(struct engine *e, const struct sq_rule *rule, bool ahead)
{
	struct sq_target value = {.rule_id = rule->id, .wait_ms = lane_wait_ms(rule)};
	int rules = map_fd(e->skel->maps.sq_rules);
	int res = put(rules, &rule->id, rule, ahead ? BPF_EXIST : BPF_NOEXIST);

	if (!res)
		res = bpf_map_update_elem(map_fd(e->skel->maps.sq_targets), &rule->target, &value,
					  BPF_ANY);
	if (res)
		bpf_map_delete_elem(rules, &rule->id);
	return res;
}

/* Its id and its counters, and it is in force. */
static int make_version(struct engine *e, const struct sq_rule *old, struct sq_rule *rule,
			struct sq_error *err)
{
	bool ahead = !old && e->n_ahead_rules;
	int res;

	rule->id = ahead ? e->ahead_rule[--e->n_ahead_rules] : ++e->next_rule_id;
	res = assign_counters(e, old, rule);
	if (res) {
		if (ahead)
			retire(e, rule->id, false);
		return sq_error_set(err, res, "counters", "the kernel says %s", strerror(-res));
	}
	/* One out, one in: the kernel takes the new version from where the old one went. Where it
	 * finds nothing there, or too much, it sends itself an interrupt, and with 5 KB that is one
	 * for each: 16 us to put a version in and 5 to take one out, where in turn both take 2. */
	if (!ahead)
		retire_one(e, RETIRE_NS);
	res = write_version(e, rule, ahead);
	if (!res)
		return 0;
	retire_counters(e, rule, old);
	return sq_error_set(err, res, "rule", "the kernel says %s", strerror(-res));
}

static void retire_version(struct engine *e, const struct sq_rule *old, const struct sq_rule *now)
{
	retire(e, old->id, false);
	retire_counters(e, old, now);
	table_retire(e->tables, old);
	e->down_users -= rule_has_down(old);
	if (lane_wait_ms(now) < lane_wait_ms(old))
		lane_shorten(e, now->target, lane_wait_ms(now));
}

struct ruled *rules_turn(struct engine *e, enum turn t)
{
	struct ruled *r = e->turn[t];

	if (r)
		e->turn[t] = r->after;
	return r;
}

static void ring_add(struct engine *e, struct ruled *r)
{
	struct ruled *at = e->turn[0];

	r->after = at ? at : r;
	r->before = at ? at->before : r;
	r->before->after = r;
	r->after->before = r;
	for (int t = 0; !at && t < TURNS; t++)
		e->turn[t] = r;
}

static void ring_remove(struct engine *e, struct ruled *r)
{
	for (int t = 0; t < TURNS; t++)
		if (e->turn[t] == r)
			e->turn[t] = r->after == r ? NULL : r->after;
	r->before->after = r->after;
	r->after->before = r->before;
}

void ruled_insert(struct engine *e, struct ruled *r, uint64_t id)
{
	r->next = *bucket(e, id);
	*bucket(e, id) = r;
	ring_add(e, r);
	e->n_rules++;
	e->level_users[r->level]++;
	e->host_users += !r->elsewhere;
	r->wd = cgroup_watch(e->life_fd, r->fd);
	ruled_set_empty(e, r, !cgroup_populated(r->fd));
}

/* All that can be done of it without the lock: *ret_fresh is a place for it where it has none. */
static int prepare(struct engine *e, uint64_t cgroup_id, struct sq_rule *rule,
		   struct ruled **ret_fresh, struct sq_error *err)
{
	const struct held *held;
	bool elsewhere = false;
	struct ruled *r;
	int res = acceptable(e, rule, err);

	if (res)
		return res;
	rule->target = cgroup_id;
	memset(rule->dyn, 0, sizeof(rule->dyn));
	res = draw_seed(rule, err);
	if (res)
		return res;
	pthread_mutex_lock(&e->lock);
	r = ruled_find(e, cgroup_id);
	held = r ? NULL : held_find(e, cgroup_id);
	elsewhere = held && held->elsewhere;
	pthread_mutex_unlock(&e->lock);
	res = r ? 0 : ruled_make(cgroup_id, ret_fresh, err);
	if (!r && !res)
		(*ret_fresh)->elsewhere = held ? elsewhere : lives_elsewhere(e, cgroup_id);
	return res;
}

int rules_put(struct engine *e, uint64_t cgroup_id, const struct sq_rule *asked,
	      struct sq_rule *ret, bool *ret_rescan, struct sq_error *err)
{
	struct sq_rule rule = *asked;
	struct ruled *r, *fresh = NULL;
	struct timespec now;
	int res;

	*ret_rescan = false;
	res = prepare(e, cgroup_id, &rule, &fresh, err);
	if (res)
		return res;
	res = table_make(e->tables, &rule, err);

	pthread_mutex_lock(&e->lock);
	if (res)
		goto out;
	r = ruled_find(e, cgroup_id);
	if (!r && !fresh) {
		res = sq_error_set(err, -EAGAIN, "target",
				   "its rule was deleted just now; try again");
		goto out;
	}
	if (!r && e->n_rules == SQ_MAX_RULES) {
		res = sq_error_set(err, -ENOSPC, "target", "32768 rules are the most there can be");
		goto out;
	}
	clock_gettime(CLOCK_REALTIME, &now);
	rule.set_ns = now.tv_sec * 1000000000ull + now.tv_nsec;
	rule.expires_ns = rule.for_ns ? engine_now() + rule.for_ns : 0;
	rule.wait_slot = lane_slot(e, cgroup_id);
	res = make_version(e, r ? &r->rule : NULL, &rule, err);
	if (res)
		goto out;
	if (r) {
		retire_version(e, &r->rule, &rule);
	} else {
		r = fresh;
		fresh = NULL;
		*ret_rescan = !held_find(e, cgroup_id);
		ruled_insert(e, r, cgroup_id);
	}
	sq_rule_copy(&r->rule, &rule); /* its pages are touched for what it says only */
	table_in_force(e->tables, &rule);
	e->down_users += rule_has_down(&rule);
	e->named |= rule.n_hosts > 0;
	rules_publish_levels(e);
	if (ret)
		*ret = rule;
out:
	if (res)
		table_retire(e->tables, &rule);
	pthread_mutex_unlock(&e->lock);
	if (fresh) {
		close(fresh->fd);
		free(fresh);
	}
	return res;
}

static int forget(struct engine *e, struct ruled *r)
{
	uint64_t id = r->rule.target;
	struct ruled **p = bucket(e, id);

	bpf_map_delete_elem(map_fd(e->skel->maps.sq_targets), &id);
	lane_shorten(e, id, 0);
	retire(e, r->rule.id, false);
	retire_counters(e, &r->rule, NULL);
	table_retire(e->tables, &r->rule);
	while (*p != r)
		p = &(*p)->next;
	*p = r->next;
	ring_remove(e, r);
	e->n_rules--;
	e->level_users[r->level]--;
	e->host_users -= !r->elsewhere;
	e->down_users -= rule_has_down(&r->rule);
	inotify_rm_watch(e->life_fd, r->wd);
	ruled_set_empty(e, r, false);
	rules_publish_levels(e);
	if (r->fd >= 0)
		close(r->fd);
	free(r);
	return 0;
}

int engine_delete_rule(struct engine *e, uint64_t cgroup_id)
{
	struct ruled *r;
	int res = -ENOENT;

	pthread_mutex_lock(&e->lock);
	r = ruled_find(e, cgroup_id);
	if (r)
		res = forget(e, r);
	rules_retire_old(e, RETIRE_NS);
	pthread_mutex_unlock(&e->lock);
	return res;
}

bool rule_over_for(const struct sq_rule *rule, uint64_t ns)
{
	return rule->expires_ns && rule->expires_ns + ns <= engine_now();
}

/* Any other failure (EMFILE, ENOMEM) says nothing of the cgroup. */
static bool removed(const struct ruled *r)
{
	return faccessat(r->fd, "cgroup.procs", F_OK, 0) && (errno == ENOENT || errno == ENODEV);
}

#define GONE_AT_ONCE 64 /* 2 us each: with 10,000 rules, an eighth of them were 2 % of a core */

/* Forgets rules whose time is over (the kernel stopped them on time already),
 * and those whose cgroup was removed. */
void rules_expire(struct engine *e)
{
	int over = (e->n_rules + 7) / 8, gone = GONE_AT_ONCE;
	struct ruled *r;

	while (over-- > 0 && (r = rules_turn(e, TURN_OVER)))
		/* Its owner may ask what it did. */
		if (rule_over_for(&r->rule, 1000000000))
			forget(e, r);
	gone = e->n_rules < gone ? e->n_rules : gone;
	while (gone-- > 0 && (r = rules_turn(e, TURN_GONE)))
		if (removed(r))
			forget(e, r);
	rules_retire_old(e, RETIRE_NS);
}

void rules_clear(struct engine *e)
{
	for (int b = 0; b < RULE_BUCKETS; b++)
		while (e->rules[b])
			forget(e, e->rules[b]);
}

void rules_free(struct engine *e)
{
	for (int b = 0; b < RULE_BUCKETS; b++) {
		struct ruled *r, *next;

		for (r = e->rules[b]; r; r = next) {
			next = r->next;
			if (r->fd >= 0)
				close(r->fd);
			free(r);
		}
	}
	free(e->retired);
}
