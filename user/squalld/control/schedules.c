// SPDX-License-Identifier: GPL-2.0-only
#include "squalld/control/schedules.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "lib/boot.h"
#include "lib/clock.h"
#include "squalld/base/log.h"
#include "squalld/control/profiles.h"
#include "squalld/control/bus.h"
#include "squalld/control/book.h"
#include "squalld/control/members.h"
#include "squalld/control/state.h"

#define MAX_STEPS     256
#define MAX_SCHEDULES 1024
#define MAX_LENGTH_NS (30ull * 86400 * 1000000000)
#define MIN_LENGTH_NS 100000000ull /* repeating faster would be a rule per scheduling quantum */

struct step {
	uint64_t at_ns;
	struct sq_rule *rule; /* NULL: none */
};

struct schedule {
	struct schedule *next;
	char *target, *cgroup; /* where that was when it started: names move */
	json_t *body;	       /* as given, for GET and the state file */
	struct step *step;
	size_t n_steps, cursor;
	uint64_t length_ns, repeat; /* repeat 0: until stopped */
	bool running;
	uint64_t started_ms;	   /* CLOCK_REALTIME, for people and for a restart */
	uint64_t origin_ns, round; /* CLOCK_MONOTONIC of round 0; the round under way */
};

struct schedules {
	struct schedule_uses use;
	struct schedule *first;
	unsigned int n;
	pthread_cond_t wake;
	pthread_t thread;
	bool started, stop;
};

int schedules_new(const struct schedule_uses *uses, struct schedules **ret)
{
	struct schedules *all = calloc(1, sizeof(*all));
	pthread_condattr_t attr;

	if (!all)
		return -ENOMEM;
	all->use = *uses;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&all->wake, &attr);
	pthread_condattr_destroy(&attr);
	*ret = all;
	return 0;
}

static void schedule_free(struct schedule *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n_steps; i++)
		free(s->step[i].rule);
	free(s->step);
	json_decref(s->body);
	free(s->target);
	free(s->cgroup);
	free(s);
}

void schedules_free(struct schedules *all)
{
	if (!all)
		return;
	for (struct schedule *s = all->first, *next; s; s = next) {
		next = s->next;
		schedule_free(s);
	}
	pthread_cond_destroy(&all->wake);
	free(all);
}

static struct schedule **find(struct schedules *all, const char *target)
{
	struct schedule **link = &all->first;

	while (*link && strcmp((*link)->target, target) != 0)
		link = &(*link)->next;
	return link;
}

/* --- the timer --------------------------------------------------------------------- */

static json_t *to_json(const struct schedule *s)
{
	json_t *o = json_copy(s->body);
	uint64_t now = sq_mono_ns();

	json_object_set_new(o, "target", json_text(s->target));
	json_object_set_new(o, "running", json_boolean(s->running));
	json_object_set_new(o, "started_ms",
			    s->running ? json_integer((json_int_t)s->started_ms) : json_null());
	json_object_set_new(
		o, "position_ns",
		s->running && now > s->origin_ns
			? json_integer((json_int_t)((now - s->origin_ns) % s->length_ns))
			: json_integer(0));
	json_object_set_new(o, "round", json_integer((json_int_t)s->round));
	json_object_set_new(o, "step",
			    s->running && s->cursor ? json_integer((json_int_t)s->cursor - 1)
						    : json_null());
	return o;
}

static void tell(struct schedules *all, const struct schedule *s, const char *action,
		 const char *why)
{
	json_t *o;

	if (!bus_heard(all->use.bus))
		return;
	o = json_pack("{s:s,s:o,s:o}", "action", action, "target", json_text(s->target), "schedule",
		      strcmp(action, "deleted") == 0 ? json_null() : to_json(s));
	if (why)
		json_object_set_new(o, "detail", json_text(why));
	bus_publish(all->use.bus, "schedule", o);
}

static void clear(struct schedules *all, struct schedule *s)
{
	struct rule_entry *e = book_find(all->use.book, s->target);

	/* A rule that someone else set meanwhile is theirs. */
	if (e && !e->by && strcmp(e->source, "schedule") == 0)
		book_delete(all->use.book, s->target, "deleted");
}

static void finish(struct schedules *all, struct schedule *s, const char *action)
{
	s->running = false;
	clear(all, s);
	tell(all, s, action, NULL);
	log_info("schedule of %s %s", s->target, action);
	state_dirty(all->use.state, STATE_SCHEDULES);
}

static void do_step(struct schedules *all, struct schedule *s)
{
	const struct step *step = &s->step[s->cursor];
	struct sq_error p = {0};
	int rc = 0;

	if (!step->rule)
		clear(all, s);
	else
		rc = rule_set(all->use.book, s->target, step->rule, "schedule", NULL, &p);
	if (rc < 0)
		log_warn("schedule of %s, step %zu: %s", s->target, s->cursor, p.text);
	s->cursor++;
	tell(all, s, rc < 0 ? "failed" : "step", rc < 0 ? p.text : NULL);
	json_decref(p.candidates);
}

/* Does what is due and returns when something will be due next. */
static uint64_t advance(struct schedules *all, struct schedule *s, uint64_t now)
{
	while (s->running) {
		uint64_t base = s->origin_ns + s->round * s->length_ns;

		if (s->cursor < s->n_steps) {
			if (base + s->step[s->cursor].at_ns > now)
				return base + s->step[s->cursor].at_ns;
			do_step(all, s);
		} else if (base + s->length_ns > now) {
			return base + s->length_ns;
		} else if (s->repeat && s->round + 1 >= s->repeat) {
			finish(all, s, "finished");
		} else {
			/* The steps before the first one of the next round: nothing is in force. */
			if (s->step[0].at_ns)
				clear(all, s);
			/* If this machine slept, whole rounds are skipped rather than played in a
			 * burst. */
			s->round = (now - s->origin_ns) / s->length_ns;
			s->cursor = 0;
			if (s->repeat && s->round >= s->repeat)
				finish(all, s, "finished");
		}
	}
	return UINT64_MAX;
}

static void *timer(void *arg)
{
	struct schedules *all = arg;

	pthread_setname_np(pthread_self(), "schedule");
	pthread_mutex_lock(all->use.lock);
	while (!all->stop) {
		uint64_t next = UINT64_MAX;

		for (struct schedule *s = all->first; s; s = s->next) {
			uint64_t due = s->running ? advance(all, s, sq_mono_ns()) : UINT64_MAX;

			if (due < next)
				next = due;
		}
		if (next == UINT64_MAX) {
			pthread_cond_wait(&all->wake, all->use.lock);
		} else {
			struct timespec ts = {(time_t)(next / 1000000000u),
					      (long)(next % 1000000000u)};

			pthread_cond_timedwait(&all->wake, all->use.lock, &ts);
		}
	}
	pthread_mutex_unlock(all->use.lock);
	return NULL;
}

int schedules_start(struct schedules *all)
{
	if (pthread_create(&all->thread, NULL, timer, all) != 0)
		return -EAGAIN;
	all->started = true;
	return 0;
}

void schedules_stop(struct schedules *all)
{
	if (!all || !all->started)
		return;
	pthread_mutex_lock(all->use.lock);
	all->stop = true;
	pthread_cond_signal(&all->wake);
	pthread_mutex_unlock(all->use.lock);
	pthread_join(all->thread, NULL);
	all->started = false;
}

/* --- what users do ------------------------------------------------------------------ */

static int get_ns(const json_t *o, const char *key, uint64_t max, uint64_t *ret, struct sq_error *p)
{
	json_t *v = json_object_get(o, key);

	if (!json_is_integer(v) || json_integer_value(v) < 0 ||
	    (uint64_t)json_integer_value(v) > max)
		return sq_error_set(p, -EINVAL, key, "a whole number from 0 to %llu is expected",
				    (unsigned long long)max);
	*ret = (uint64_t)json_integer_value(v);
	return 0;
}

static int parse_step(struct schedules *all, const json_t *o, size_t i, struct step *ret,
		      struct sq_error *p)
{
	static const char *const keys[] = {"at_ns", "rule", "profile", NULL};
	json_t *rule = json_object_get(o, "rule"), *profile = json_object_get(o, "profile");
	char field[32];
	int rc;

	snprintf(field, sizeof(field), "steps[%zu]", i);
	if (!json_is_object(o))
		return sq_error_set(p, -EINVAL, field, "an object is expected");
	if (!json_only_keys(o, keys, p) || get_ns(o, "at_ns", MAX_LENGTH_NS, &ret->at_ns, p) < 0)
		goto name_it;
	if (!rule == !profile)
		return sq_error_set(
			p, -EINVAL, field,
			"either \"rule\" (an object, or null for none) or \"profile\" is "
			"expected");
	if (json_is_null(rule))
		return 0;
	ret->rule = calloc(1, sizeof(*ret->rule));
	if (!ret->rule)
		return sq_error_set(p, -ENOMEM, NULL, "out of memory");
	if (profile && !json_is_string(profile))
		return sq_error_set(p, -EINVAL, field, "profile: a profile's name is expected");
	if (!profile && !json_is_object(rule))
		return sq_error_set(p, -EINVAL, field, "rule: an object or null is expected");
	rc = profile ? profile_rule(all->use.profiles, json_string_value(profile), ret->rule, p)
		     : sq_rule_from_json(rule, ret->rule, p);
	if (rc == 0)
		return 0;
	p->code = -EINVAL;
name_it:
	sq_error_within(p, field);
	return p->code;
}

int schedule_put(struct schedules *all, const char *target, const json_t *body, bool *ret_fresh,
		 struct sq_error *p)
{
	static const char *const keys[] = {"target",  "steps",	    "length_ns",   "repeat",
					   "running", "started_ms", "position_ns", "round",
					   "step",    NULL};
	json_t *steps = json_object_get(body, "steps");
	struct schedule *s, **link = find(all, target), *old = *link;
	int rc = 0;

	if (!json_only_keys(body, keys, p))
		return p->code;
	if (!json_is_array(steps) || json_array_size(steps) < 1 ||
	    json_array_size(steps) > MAX_STEPS)
		return sq_error_set(p, -EINVAL, "steps", "a list of 1 to %d steps is expected",
				    MAX_STEPS);
	if (!old && all->n >= MAX_SCHEDULES)
		return sq_error_set(p, -ENOSPC, "target",
				    "there are %d schedules already, the most there can be",
				    MAX_SCHEDULES);
	s = calloc(1, sizeof(*s));
	if (s) {
		s->target = strdup(target);
		s->step = calloc(json_array_size(steps), sizeof(*s->step));
	}
	if (!s || !s->target || !s->step) {
		schedule_free(s);
		return sq_error_set(p, -ENOMEM, NULL, "out of memory");
	}
	for (size_t i = 0; rc == 0 && i < json_array_size(steps); i++) {
		s->n_steps++;
		rc = parse_step(all, json_array_get(steps, i), i, &s->step[i], p);
		if (rc == 0 && i && s->step[i].at_ns <= s->step[i - 1].at_ns) {
			char field[40];

			snprintf(field, sizeof(field), "steps[%zu].at_ns", i);
			rc = sq_error_set(p, -EINVAL, field,
					  "steps must be in order, each later than the one before");
		}
	}
	s->repeat = 1;
	if (rc == 0)
		rc = get_ns(body, "length_ns", MAX_LENGTH_NS, &s->length_ns, p);
	if (rc == 0 && json_object_get(body, "repeat"))
		rc = get_ns(body, "repeat", 1000000, &s->repeat, p);
	if (rc == 0 &&
	    (s->length_ns < MIN_LENGTH_NS || s->length_ns <= s->step[s->n_steps - 1].at_ns))
		rc = sq_error_set(p, -EINVAL, "length_ns",
				  "must be later than the last step, and at least %llu",
				  (unsigned long long)MIN_LENGTH_NS);
	s->body = json_pack("{s:O,s:I,s:I}", "steps", steps, "length_ns", (json_int_t)s->length_ns,
			    "repeat", (json_int_t)s->repeat);
	if (rc < 0 || !s->body) {
		schedule_free(s);
		return rc < 0 ? rc : sq_error_set(p, -ENOMEM, NULL, "out of memory");
	}
	if (old && old->running)
		finish(all, old, "stopped");
	s->next = old ? old->next : NULL;
	*link = s;
	all->n += !old;
	schedule_free(old);
	*ret_fresh = !old;
	state_dirty(all->use.state, STATE_SCHEDULES);
	tell(all, s, "changed", NULL);
	return 0;
}

int schedule_delete(struct schedules *all, const char *target, struct sq_error *p)
{
	struct schedule **link = find(all, target), *s = *link;

	if (!s)
		return sq_error_set(p, -ENOENT, "target", "%.200s has no schedule", target);
	if (s->running)
		finish(all, s, "stopped");
	tell(all, s, "deleted", NULL);
	*link = s->next;
	all->n--;
	schedule_free(s);
	state_dirty(all->use.state, STATE_SCHEDULES);
	return 0;
}

/* gone_ns: how far it is. */
static void begin(struct schedules *all, struct schedule *s, uint64_t gone_ns)
{
	uint64_t within;

	s->running = true;
	s->started_ms = sq_real_ms() - gone_ns / 1000000u;
	s->origin_ns = sq_mono_ns() - gone_ns;
	s->round = gone_ns / s->length_ns;
	within = gone_ns % s->length_ns;
	/* Resumed in the middle: the step under way is done again, those before it are not. */
	s->cursor = 0;
	while (s->cursor + 1 < s->n_steps && s->step[s->cursor + 1].at_ns <= within)
		s->cursor++;
	pthread_cond_signal(&all->wake);
}

static void note_cgroup(struct schedules *all, struct schedule *s)
{
	struct sq_error p = {0};
	struct target t;

	free(s->cgroup);
	s->cgroup = target_resolve(all->use.targets, s->target, &t, &p) == 0 && t.id
			    ? strdup(t.cgroup)
			    : NULL;
	json_decref(p.candidates);
}

int schedule_run(struct schedules *all, const char *target, bool run, struct sq_error *p)
{
	struct schedule *s = *find(all, target);

	if (!s)
		return sq_error_set(p, -ENOENT, "target", "%.200s has no schedule", target);
	if (!run && !s->running)
		return sq_error_set(p, -EEXIST, "target", "the schedule of %.200s is not running",
				    target);
	if (!run) {
		finish(all, s, "stopped");
		return 0;
	}
	begin(all, s, 0);
	note_cgroup(all, s);
	tell(all, s, "started", NULL);
	log_info("schedule of %s started", s->target);
	state_dirty(all->use.state, STATE_SCHEDULES);
	return 0;
}

void schedules_halt(struct schedules *all, const json_t *only, json_t *list)
{
	for (struct schedule *s = all->first; s; s = s->next) {
		if (!s->running || (only && !json_object_get(only, s->target)))
			continue;
		json_array_append_new(list, json_pack("{s:s,s:I}", "target", s->target, "gone_ns",
						      (json_int_t)(sq_mono_ns() - s->origin_ns)));
		finish(all, s, "stopped");
	}
}

int schedule_resume(struct schedules *all, const json_t *halted, struct sq_error *p)
{
	const char *target = json_string_value(json_object_get(halted, "target"));
	struct schedule *s = *find(all, target);
	struct rule_entry *e = book_find(all->use.book, target);

	if (!s)
		return sq_error_set(p, -ENOENT, "target", "%.200s has no schedule", target);
	if (s->running || (e && !e->by && strcmp(e->source, "schedule") != 0))
		return sq_error_set(p, -EEXIST, "target",
				    "%.200s has got another rule or a running schedule since",
				    target);
	begin(all, s, (uint64_t)json_integer_value(json_object_get(halted, "gone_ns")));
	note_cgroup(all, s);
	tell(all, s, "started", NULL);
	log_info("schedule of %s goes on", s->target);
	state_dirty(all->use.state, STATE_SCHEDULES);
	return 0;
}

void schedule_rename(struct schedules *all, const char *from, const char *to)
{
	struct schedule *s = *find(all, from);
	struct sq_error p = {0};
	char *name;

	if (!s)
		return;
	if (*find(all, to)) {
		schedule_delete(all, from, &p);
		return;
	}
	name = strdup(to);
	if (!name)
		return;
	tell(all, s, "deleted", NULL);
	free(s->target);
	s->target = name;
	tell(all, s, "changed", NULL);
	state_dirty(all->use.state, STATE_SCHEDULES);
}

const char *schedule_cgroup(struct schedules *all, const char *target)
{
	const struct schedule *s = *find(all, target);

	return s && s->running ? s->cgroup : NULL;
}

const char *schedule_at(struct schedules *all, const char *cgroup)
{
	for (const struct schedule *s = all->first; s; s = s->next)
		if (s->running && s->cgroup && strcmp(s->cgroup, cgroup) == 0)
			return s->target;
	return NULL;
}

bool schedule_running(struct schedules *all, const char *target)
{
	const struct schedule *s = *find(all, target);

	return s && s->running;
}

json_t *schedule_json(struct schedules *all, const char *target)
{
	struct schedule *s = *find(all, target);

	return s ? to_json(s) : NULL;
}

json_t *schedules_list(struct schedules *all)
{
	json_t *list = json_array();

	for (struct schedule *s = all->first; s; s = s->next)
		json_array_append_new(list, to_json(s));
	return list;
}

json_t *schedules_save(void *arg, bool clean)
{
	struct schedules *all = arg;
	json_t *list = json_array(), *o;

	(void)clean;
	for (struct schedule *s = all->first; s; s = s->next) {
		o = to_json(s);
		if (s->running)
			json_object_set_new(o, "origin_ns", json_integer((json_int_t)s->origin_ns));
		if (s->running && s->cgroup)
			json_object_set_new(o, "cgroup", json_text(s->cgroup));
		json_array_append_new(list, o);
	}
	return json_pack("{s:s,s:o}", "boot_id", sq_boot_id(), "schedules", list);
}

void schedules_restore(struct schedules *all, json_t *saved)
{
	const char *boot = json_string_value(json_object_get(saved, "boot_id"));
	bool same_boot = boot && strcmp(boot, sq_boot_id()) == 0;
	json_t *one;
	size_t i;

	json_array_foreach(json_object_get(saved, "schedules"), i, one)
	{
		uint64_t origin = (uint64_t)json_integer_value(json_object_get(one, "origin_ns"));
		const char *target = json_string_value(json_object_get(one, "target"));
		uint64_t started = (uint64_t)json_integer_value(json_object_get(one, "started_ms"));
		struct sq_error p = {0};
		struct schedule *s;
		uint64_t gone;
		bool fresh;

		const char *cgroup = json_string_value(json_object_get(one, "cgroup"));
		char *at = cgroup ? strdup(cgroup) : NULL;

		json_object_del(one, "origin_ns");
		json_object_del(one, "cgroup");
		if (!target || schedule_put(all, target, one, &fresh, &p) < 0) {
			log_warn("state: schedule of %s set aside: %s",
				 target ? target : "(no name)", p.text);
			free(at);
			continue;
		}
		s = *find(all, target);
		if (s)
			s->cgroup = at;
		if (!s || !json_is_true(json_object_get(one, "running")))
			continue;
		/* While the boot lasts the wall clock may jump as it likes. */
		if (same_boot && origin && origin <= sq_mono_ns())
			gone = sq_mono_ns() - origin;
		else if (started <= sq_real_ms())
			gone = (sq_real_ms() - started) * 1000000u;
		else
			continue;
		begin(all, s, gone);
		if (s->repeat && s->round >= s->repeat)
			finish(all, s, "finished");
	}
}
