// SPDX-License-Identifier: GPL-2.0-only
/* Names, rules and state files, on an engine that only remembers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#undef fail /* squalld has one of its own */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include "fake_engine.h"
#include "lib/boot.h"
#include "lib/clock.h"
#include "squalld/base/log.h"
#include "squalld/control/book.h"
#include "squalld/control/bus.h"
#include "squalld/control/clear.h"
#include "squalld/control/members.h"
#include "squalld/dockertc/dockertc.h"
#include "squalld/base/tree.h"
#include "squalld/control/profiles.h"
#include "squalld/control/reconcile.h"
#include "squalld/control/schedules.h"
#include "squalld/control/state.h"

static char dir[] = "/tmp/squall-unit-XXXXXX";
static struct {
	pthread_mutex_t lock;
	struct engine *engine;
	struct bus *bus;
	struct state *state;
	struct targets *targets;
	struct book *book;
	struct profiles *profiles;
	struct schedules *schedules;
	struct clear *clear;
	struct dockertc dockertc;
	struct reconcile reconcile;
} d = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void open_schedules(void)
{
	struct schedule_uses uses = {&d.lock, d.targets, d.book, d.profiles, d.bus, d.state};

	assert_int_equal(schedules_new(&uses, &d.schedules), 0);
	state_register(d.state, STATE_SCHEDULES, "schedules", schedules_save, d.schedules);
	d.reconcile =
		(struct reconcile){d.book, d.schedules, dockertc_labels, &d.dockertc, d.targets};
	members_watch(d.book);
}

static void open_all(void)
{
	struct sq_error err;

	assert_int_equal(state_open(dir, &d.lock, &d.state, &err), 0);
	assert_int_equal(engine_open(NULL, &d.engine, NULL), 0);
	assert_int_equal(bus_new(&d.bus), 0);
	assert_int_equal(targets_new(d.engine, d.bus, &d.targets), 0);
	assert_int_equal(book_new(d.engine, d.targets, d.bus, d.state, &d.book), 0);
	assert_int_equal(profiles_new(d.state, &d.profiles), 0);
	state_register_slow(d.state, STATE_RULES, "rules", &book_saver, d.book);
	state_register(d.state, STATE_PROFILES, "profiles", profiles_save, d.profiles);
	d.dockertc =
		(struct dockertc){dockertc_direction("up"), &d.lock, d.engine, d.targets, d.book};
	open_schedules();
	assert_int_equal(clear_new(d.book, d.schedules, &d.clear), 0);
	targets_listen(d.targets, &reconcile_events, &d.reconcile);
	assert_int_equal(state_start(d.state), 0);
	pthread_mutex_lock(&d.lock); /* the test is its holder; the writer waits */
}

/* The engine, which is the kernel, stays as it is: only squalld goes. */
static void close_all(bool clean)
{
	pthread_mutex_unlock(&d.lock);
	state_close(d.state, clean);
	bus_free(d.bus);
	clear_free(d.clear);
	schedules_free(d.schedules);
	profiles_free(d.profiles);
	book_free(d.book);
	targets_free(d.targets);
	free(d.engine);
}

static void restore(void)
{
	json_t *saved = state_load(d.state, "rules");

	book_restore(d.book, saved);
	json_decref(saved);
}

static struct sq_rule rule_of(const char *text)
{
	struct sq_rule rule;
	struct sq_error err = {0};

	if (sq_rule_from_text(text, strlen(text), &rule, &err) < 0)
		print_error("%s\n", err.text), _fail(__FILE__, __LINE__);
	return rule;
}

static void set(const char *target, const char *text)
{
	struct sq_rule rule = rule_of(text);
	struct sq_error p = {0};
	struct target t;

	assert_int_equal(target_resolve(d.targets, target, &t, &p), 0);
	assert_int_equal(target_ready(&t, &p), 0);
	assert_int_equal(book_set(d.book, &t, &rule, "api", NULL, &p), 0);
}

static struct container *container(const char *id, const char *name, const char *cgroup,
				   json_t *labels)
{
	struct container *c = calloc(1, sizeof(*c));
	struct sq_error err;

	snprintf(c->id, sizeof(c->id), "%s", id);
	c->name = strdup(name);
	c->image = strdup("image");
	c->network_mode = strdup("bridge");
	c->labels = labels ? labels : json_object();
	c->running = cgroup != NULL;
	if (cgroup) {
		c->cgroup = strdup(cgroup);
		assert_int_equal(engine_cgroup_id(cgroup, &c->cgroup_id, &err), 0);
	}
	return c;
}

static int setup(void **state)
{
	(void)state;
	fake_reset();
	open_all();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	close_all(true);
	return 0;
}

static void names(void **state)
{
	struct sq_error p = {0};
	struct target t;

	(void)state;
	fake_add("/a");
	fake_add("/1234");
	fake_add("/docker/x");
	targets_put(d.targets, container("aaaa1111bbbb", "worker", "/docker/x", NULL));
	targets_put(d.targets, container("aaaa2222cccc", "locust-worker", NULL, NULL));
	targets_put(d.targets, container("1001deadbeef", "digits", NULL, NULL));
	assert_int_equal(target_resolve(d.targets, "cgroup:/a", &t, &p), 0);
	assert_int_equal(target_resolve(d.targets, "cgroup://a/", &t, &p), 0);
	assert_string_equal(t.name, "cgroup:/a");
	assert_int_equal(target_resolve(d.targets, "1000", &t, &p), 0);
	assert_string_equal(t.name, "cgroup:/a");
	assert_int_equal(target_resolve(d.targets, "worker", &t, &p), 0);
	assert_string_equal(t.cgroup, "/docker/x");
	assert_int_equal(target_resolve(d.targets, "cgroup:/docker/x", &t, &p), 0);
	assert_string_equal(t.name, "worker");
	assert_int_equal(target_resolve(d.targets, "aaaa1", &t, &p), 0);
	assert_string_equal(t.name, "worker");
	assert_int_equal(target_resolve(d.targets, "aaaa", &t, &p), -ENOTUNIQ);
	assert_int_equal(json_array_size(p.candidates), 2);
	json_decref(p.candidates);
	p.candidates = NULL;
	/* A cgroup's id that also begins a container's: not guessed. */
	assert_int_equal(target_resolve(d.targets, "1001", &t, &p), -ENOTUNIQ);
	assert_int_equal(target_resolve(d.targets, "aaa", &t, &p), -ENOENT);
	assert_int_equal(target_resolve(d.targets, "orker", &t, &p), -ENOENT);
	assert_int_equal(target_resolve(d.targets, "", &t, &p), -ENOENT);
	/* It would be listed under another name than its own. */
	fake_add("/\xff\xfe");
	assert_int_equal(target_resolve(d.targets, "cgroup:/\xff\xfe", &t, &p), -EINVAL);
	assert_non_null(strstr(p.text, "UTF-8"));
	assert_int_equal(target_resolve(d.targets, "cgroup:/none", &t, &p), -ENOENT);
	assert_int_equal(target_resolve(d.targets, "locust-worker", &t, &p), 0);
	assert_int_equal(target_ready(&t, &p), -EHOSTDOWN);
}

static void container_comes_back(void **state)
{
	struct rule_entry *e;
	uint64_t first, second;

	(void)state;
	first = fake_add("/docker/1");
	targets_put(d.targets, container("aaaa1111", "w", "/docker/1", NULL));
	set("w", "up loss 5%");
	assert_true(fake_of(first)->ruled);
	targets_put(d.targets, container("aaaa1111", "w", NULL, NULL)); /* stopped */
	e = book_find(d.book, "w");
	assert_non_null(e);
	assert_false(e->in_force);
	assert_false(fake_of(first)->ruled);
	fake_of(first)->here = false;
	second = fake_add("/docker/1");
	targets_put(d.targets, container("aaaa1111", "w", "/docker/1", NULL));
	assert_true(e->in_force);
	assert_int_equal(e->cgroup_id, second);
	assert_true(fake_of(second)->ruled);
	assert_true(fake_rescans >= 2);
	/* Another container of the same name, after the first was removed. */
	targets_remove(d.targets, "aaaa1111", true);
	assert_false(fake_of(second)->ruled);
	fake_of(second)->here = false;
	first = fake_add("/docker/2");
	targets_put(d.targets, container("bbbb2222", "w", "/docker/2", NULL));
	assert_true(fake_of(first)->ruled);
	targets_put(d.targets, container("bbbb2222", "w2", "/docker/2", NULL)); /* renamed */
	assert_null(book_find(d.book, "w"));
	assert_non_null(book_find(d.book, "w2"));
	assert_int_equal(book_count(d.book), 1);
}

static void cgroup_comes_back(void **state)
{
	uint64_t first = fake_add("/svc"), second;

	(void)state;
	set("cgroup:/svc", "up loss 5%");
	fake_of(first)->here = false; /* between being found and being ruled: nobody tells */
	book_tick(d.book, false);
	assert_false(fake_of(first)->ruled);
	second = fake_add("/svc");
	book_tick(d.book, false);
	assert_false(fake_of(second)->ruled); /* nobody has said that anything moved */
	book_tick(d.book, true);
	assert_true(fake_of(second)->ruled);
	book_tick(d.book, false);
	fake_of(second)->here = false;
	book_tick(d.book, false);
	assert_true(fake_of(second)->ruled);
	book_tick(d.book, true);
	assert_false(fake_of(second)->ruled);
}

static void labels(void **state)
{
	uint64_t one = fake_add("/1"), two = fake_add("/2");
	struct container *c;

	(void)state;
	targets_put(d.targets, container("aa", "bad", "/1",
					 json_pack("{s:s,s:s}", "com.docker-tc.enabled", "1",
						   "com.docker-tc.loss", "1x")));
	targets_put(d.targets, container("bb", "good", "/2",
					 json_pack("{s:s,s:s}", "com.docker-tc.enabled", "1",
						   "com.docker-tc.loss", "1%")));
	assert_false(fake_of(one)->ruled);
	assert_true(fake_of(two)->ruled);
	for (c = targets_containers(d.targets); strcmp(c->name, "bad") != 0; c = c->next)
		;
	assert_non_null(c->label_error);
	assert_string_equal(book_find(d.book, "good")->source, "label");
	/* A rule by name goes before it. */
	set("good", "up delay 1ms");
	targets_put(d.targets, container("bb", "good", NULL, NULL));
	targets_put(d.targets, container("bb", "good", "/2",
					 json_pack("{s:s,s:s}", "com.docker-tc.enabled", "1",
						   "com.docker-tc.loss", "1%")));
	assert_string_equal(book_find(d.book, "good")->source, "api");
}

static void failure_changes_nothing(void **state)
{
	struct sq_rule rule = rule_of("up loss 9%");
	struct sq_error p = {0};
	struct target t;
	uint64_t version;

	(void)state;
	fake_add("/a");
	fake_add("/b");
	set("cgroup:/a", "up loss 5%");
	version = book_find(d.book, "cgroup:/a")->version;
	fake_set_error = -EOPNOTSUPP;
	assert_int_equal(target_resolve(d.targets, "cgroup:/a", &t, &p), 0);
	assert_int_equal(book_set(d.book, &t, &rule, "api", NULL, &p), -EOPNOTSUPP);
	assert_int_equal(book_find(d.book, "cgroup:/a")->version, version);
	assert_int_equal(target_resolve(d.targets, "cgroup:/b", &t, &p), 0);
	assert_int_equal(book_set(d.book, &t, &rule, "api", NULL, &p), -EOPNOTSUPP);
	assert_null(book_find(d.book, "cgroup:/b"));
	assert_int_equal(book_count(d.book), 1);
}

static void reboot(void **state)
{
	uint64_t id = fake_add("/a");

	(void)state;
	set("cgroup:/a", "up loss 5% seed 9");
	set("cgroup:/a", "up loss 6% seed 9 for 1h");
	fake_add("/b");
	set("cgroup:/b", "up loss 1% for 1ms");
	usleep(5000);
	close_all(true);
	fake_of(id)->ruled = fake_cgroup[1].ruled = false; /* the kernel starts anew */
	open_all();
	restore();
	assert_true(fake_of(id)->ruled);
	assert_true(fake_of(id)->rule.for_ns > 3590000000000u &&
		    fake_of(id)->rule.for_ns <= 3600000000000u);
	assert_null(book_find(d.book, "cgroup:/b")); /* its time was over */
}

static void crash(void **state)
{
	uint64_t a = fake_add("/a"), b = fake_add("/b"), c = fake_add("/c");
	struct sq_rule rule = rule_of("up loss 77%");

	(void)state;
	set("cgroup:/a", "up loss 5%");
	set("cgroup:/b", "up loss 5%");
	close_all(false);
	/* After the last write: b's rule was deleted, c's was set, a's replaced. The pins know. */
	fake_of(b)->ruled = false;
	fake_of(c)->ruled = true;
	fake_of(c)->rule = rule;
	fake_of(c)->rule.target = c;
	fake_of(a)->rule.clause[0].faults[SQ_UP].loss_p[0] = rule.clause[0].faults[SQ_UP].loss_p[0];
	open_all();
	restore();
	assert_int_equal(book_count(d.book), 2);
	assert_null(book_find(d.book, "cgroup:/b"));
	assert_false(fake_of(b)->ruled);
	assert_true(book_find(d.book, "cgroup:/c")->in_force);
	assert_int_equal(book_find(d.book, "cgroup:/a")->rule.clause[0].faults[SQ_UP].loss_p[0],
			 rule.clause[0].faults[SQ_UP].loss_p[0]);
}

static void foreign_file(void **state)
{
	static const char *const bad[] = {"",
					  "{",
					  "[]",
					  "{\"squall\":\"profiles\",\"format\":1}",
					  "{\"squall\":\"rules\",\"format\":2}",
					  "\xff"};
	char path[100];

	(void)state;
	snprintf(path, sizeof(path), "%s/rules.json", dir);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		FILE *f = fopen(path, "w");

		fputs(bad[i], f);
		fclose(f);
		assert_null(state_load(d.state, "rules"));
		assert_int_not_equal(access(path, F_OK), 0);
	}
}

static void profiles(void **state)
{
	json_t *list = profiles_list(d.profiles), *one;
	size_t i;

	(void)state;
	assert_true(json_array_size(list) >= 20);
	json_array_foreach(list, i, one)
	{
		assert_true(json_is_string(json_object_get(one, "source")));
		assert_true(json_is_object(json_object_get(one, "rule")));
	}
	json_decref(list);
}

struct heard {
	unsigned int n;
	char last[64];
};

static void hear(void *arg, const char *type, const json_t *data)
{
	struct heard *x = arg;
	const char *action = json_string_value(json_object_get(data, "action"));

	x->n++;
	snprintf(x->last, sizeof(x->last), "%s %s", type, action ? action : "");
}

static void bus(void **state)
{
	struct heard x = {0};

	(void)state;
	fake_add("/a");
	bus_listen(d.bus, hear, &x);
	set("cgroup:/a", "up loss 1%"); /* nobody wants to hear */
	assert_int_equal(x.n, 0);
	bus_want(d.bus, 1);
	set("cgroup:/a", "up loss 2%");
	assert_string_equal(x.last, "rule set");
	book_delete(d.book, "cgroup:/a", "deleted");
	assert_string_equal(x.last, "rule deleted");
	targets_put(d.targets, container("aa", "w", NULL, NULL));
	targets_put(d.targets, container("aa", "w2", NULL, NULL));
	assert_string_equal(x.last, "target change");
	bus_listen(d.bus, NULL, NULL);
	x.n = 0;
	targets_remove(d.targets, "aa", true);
	assert_int_equal(x.n, 0);
}

/* A rule by path, then the engine says whose cgroup it is. */
static void path_becomes_container(void **state)
{
	uint64_t id = fake_add("/docker/x");

	(void)state;
	set("cgroup:/docker/x", "up loss 7%");
	targets_put(d.targets, container("aaaa1111", "worker", "/docker/x", NULL));
	assert_null(book_find(d.book, "cgroup:/docker/x"));
	assert_non_null(book_find(d.book, "worker"));
	assert_true(book_find(d.book, "worker")->in_force);
	set("worker", "up loss 8%");
	assert_int_equal(book_count(d.book), 1);
	assert_int_equal(book_delete(d.book, "worker", "deleted"), 0);
	assert_int_equal(book_count(d.book), 0);
	assert_false(fake_of(id)->ruled);
}

static void renamed_while_away(void **state)
{
	uint64_t id = fake_add("/docker/y");
	struct container *other;

	(void)state;
	targets_put(d.targets, container("aaaa1111", "old", "/docker/y", NULL));
	set("old", "up loss 7%");
	close_all(false);
	open_all();
	restore();
	targets_put(d.targets, container("aaaa1111", "new", "/docker/y", NULL));
	assert_null(book_find(d.book, "old"));
	assert_true(book_find(d.book, "new")->in_force);
	assert_true(fake_of(id)->ruled);
	/* Both names had a rule: the one set last is the cgroup's. */
	fake_add("/docker/z");
	set("cgroup:/docker/z", "up loss 1%");
	other = container("bbbb2222", "z", NULL, NULL);
	targets_put(d.targets, other);
	targets_put(d.targets, container("bbbb2222", "z", "/docker/z", NULL));
	assert_int_equal(book_count(d.book), 2);
	assert_non_null(book_find(d.book, "z"));
}

static void schedule_of(const char *target, bool run)
{
	json_t *body = json_pack("{s:[{s:i,s:{s:s}},{s:I,s:n}],s:I,s:i}", "steps", "at_ns", 0,
				 "rule", "text", "up loss 9%", "at_ns", (json_int_t)1000000000,
				 "rule", "length_ns", (json_int_t)2000000000, "repeat", 0);
	struct sq_error p = {0};
	bool fresh;

	assert_int_equal(schedule_put(d.schedules, target, body, &fresh, &p), 0);
	json_decref(body);
	if (run)
		assert_int_equal(schedule_run(d.schedules, target, true, &p), 0);
}

static void cleared(void **state)
{
	uint64_t a = fake_add("/a"), b = fake_add("/b");
	struct cleared n;
	struct sq_error p = {0};
	json_t *o = NULL, *s;

	(void)state;
	fake_add("/c");
	targets_put(d.targets, container("aa", "labelled", "/c",
					 json_pack("{s:s,s:s}", "com.docker-tc.enabled", "1",
						   "com.docker-tc.loss", "1%")));
	set("cgroup:/a", "up loss 5% for 1h");
	set("cgroup:/b", "up loss 6%");
	fake_of(b)->here = false;
	book_tick(d.book, true); /* it waits */
	schedule_of("cgroup:/a", true);
	assert_int_equal(clear_all(d.clear, false, &n), 0);
	assert_int_equal(n.deleted, 3);
	assert_int_equal(n.waiting, 1);
	assert_int_equal(n.schedules, 1);
	assert_int_equal(n.labels, 1);
	assert_int_equal(book_count(d.book), 0);
	assert_false(fake_of(a)->ruled);
	assert_false(schedule_running(d.schedules, "cgroup:/a"));
	/* Started again, the label does not bring its rule back. */
	targets_put(d.targets, container("aa", "labelled", NULL, NULL));
	fake_add("/c2");
	targets_put(d.targets, container("aa", "labelled", "/c2",
					 json_pack("{s:s,s:s}", "com.docker-tc.enabled", "1",
						   "com.docker-tc.loss", "1%")));
	assert_int_equal(book_count(d.book), 0);
	assert_int_equal(clear_undo(d.clear, n.undo + 1, &o, &p), -ENOENT);
	assert_int_equal(clear_undo(d.clear, n.undo, &o, &p), 0);
	assert_int_equal(json_integer_value(json_object_get(o, "rules")), 3);
	/* The target of the schedule has a rule that is not the schedule's: it keeps that. */
	assert_int_equal(json_array_size(json_object_get(o, "failed")), 1);
	json_decref(o);
	assert_true(fake_of(a)->ruled);
	assert_true(fake_of(a)->rule.for_ns > 3590000000000u);
	assert_false(book_find(d.book, "cgroup:/b")->in_force);
	assert_string_equal(book_find(d.book, "labelled")->source, "label");
	assert_int_equal(clear_undo(d.clear, n.undo, &o, &p), -ENOENT); /* once */

	/* Schedules go on where they were. */
	assert_int_equal(clear_all(d.clear, false, &n), 0);
	schedule_of("cgroup:/a", true);
	usleep(150000);
	assert_int_equal(clear_all(d.clear, true, &n), 0);
	assert_true(schedule_running(d.schedules, "cgroup:/a"));
	assert_int_equal(clear_all(d.clear, false, &n), 0);
	assert_int_equal(n.schedules, 1);
	assert_int_equal(clear_undo(d.clear, n.undo, &o, &p), 0);
	json_decref(o);
	s = schedule_json(d.schedules, "cgroup:/a");
	assert_true(json_integer_value(json_object_get(s, "position_ns")) >= 150000000);
	json_decref(s);
	assert_int_equal(clear_all(d.clear, false, &n), 0);
	assert_int_equal(clear_all(d.clear, false, &n), 0);
	assert_int_equal(n.undo, 0);
}

static uint64_t loss_of(uint64_t id)
{
	return fake_of(id)->ruled ? fake_of(id)->rule.clause[0].faults[SQ_UP].loss_p[0] : 0;
}

/* a has 100 %, b 50 %, whatever they are called. */
static void both_ruled(uint64_t a, const char *of_a, uint64_t b, const char *of_b)
{
	assert_int_equal(book_count(d.book), 2);
	assert_non_null(book_find(d.book, of_a));
	assert_non_null(book_find(d.book, of_b));
	assert_int_equal(book_find(d.book, of_a)->cgroup_id, a);
	assert_int_equal(book_find(d.book, of_b)->cgroup_id, b);
	assert_true(book_find(d.book, of_a)->in_force && book_find(d.book, of_b)->in_force);
	assert_true(loss_of(a) > loss_of(b) && loss_of(b));
}

static void again(bool kill)
{
	json_t *saved;

	close_all(!kill);
	open_all();
	restore();
	saved = state_load(d.state, "schedules");
	schedules_restore(d.schedules, saved);
	json_decref(saved);
	reconcile_restored(&d.reconcile);
}

/* Names change hands: seen one after the other, in the wrong order, or not at all. */
static void names_swapped(void **state)
{
	uint64_t a = fake_add("/docker/1"), b = fake_add("/docker/2");

	(void)state;
	targets_put(d.targets, container("aaaa1111", "one", "/docker/1", NULL));
	targets_put(d.targets, container("bbbb2222", "two", "/docker/2", NULL));
	set("one", "up loss 100%");
	set("two", "up loss 50% seed 1");
	for (int last = 0; last < 2; last++) {
		/* Each inspected when all three renames are over. */
		targets_put(d.targets, container("aaaa1111", "two", "/docker/1", NULL));
		both_ruled(a, "two", b, "bbbb2222");
		targets_put(d.targets, container("bbbb2222", "one", "/docker/2", NULL));
		both_ruled(a, "two", b, "one");
		set(last ? "one" : "two", last ? "up loss 50% seed 1" : "up loss 100%");
		targets_put(d.targets, container("bbbb2222", "two", "/docker/2", NULL));
		both_ruled(a, "aaaa1111", b, "two");
		targets_put(d.targets, container("aaaa1111", "one", "/docker/1", NULL));
		both_ruled(a, "one", b, "two");
	}
	again(true);
	targets_put(d.targets, container("bbbb2222", "one", "/docker/2", NULL));
	both_ruled(a, "cgroup:/docker/1", b, "one");
	targets_put(d.targets, container("aaaa1111", "two", "/docker/1", NULL));
	both_ruled(a, "two", b, "one");
	/* And of one rule alone. */
	assert_int_equal(book_delete(d.book, "one", "deleted"), 0);
	again(true);
	targets_put(d.targets, container("bbbb2222", "two", "/docker/2", NULL));
	assert_false(fake_of(b)->ruled);
	targets_put(d.targets, container("aaaa1111", "one", "/docker/1", NULL));
	assert_true(fake_of(a)->ruled);
	assert_non_null(book_find(d.book, "one"));
	assert_int_equal(book_count(d.book), 1);
	/* No renaming: a new container of the name, before it is seen that the old one is gone. */
	targets_put(d.targets, container("cccc3333", "one", "/docker/2", NULL));
	fake_of(a)->here = false;
	targets_remove(d.targets, "aaaa1111", true);
	assert_int_equal(book_count(d.book), 1);
	assert_true(book_find(d.book, "one")->in_force);
	assert_int_equal(book_find(d.book, "one")->cgroup_id, b);
}

/* The rule that came with the container is meant, not one that waited for the name, if later. */
static void name_of_one_gone(void **state)
{
	uint64_t b = fake_add("/docker/2");

	(void)state;
	fake_add("/docker/1");
	targets_put(d.targets, container("aaaa1111", "web", "/docker/1", NULL));
	targets_put(d.targets, container("bbbb2222", "web2", "/docker/2", NULL));
	set("web2", "up loss 50%");
	set("web", "up loss 100%");
	targets_remove(d.targets, "aaaa1111", true);
	targets_put(d.targets, container("bbbb2222", "web", "/docker/2", NULL));
	assert_int_equal(book_count(d.book), 1);
	assert_true(book_find(d.book, "web")->in_force);
	assert_true(fake_of(b)->ruled);
}

/* Started, killed before its rule was in the file, and renamed. */
static void schedule_renamed_away(void **state)
{
	uint64_t a = fake_add("/docker/1");
	struct rule_entry *e;

	(void)state;
	targets_put(d.targets, container("aaaa1111", "one", "/docker/1", NULL));
	schedule_of("one", true);
	again(true);
	fake_of(a)->ruled = true;
	fake_of(a)->rule = rule_of("up loss 9%");
	fake_of(a)->rule.target = a;
	set("cgroup:/docker/1", "up loss 9%");
	e = book_find(d.book, "cgroup:/docker/1");
	strcpy(e->source, "schedule");
	reconcile_restored(&d.reconcile);
	assert_non_null(book_find(d.book, "cgroup:/docker/1"));
	targets_put(d.targets, container("aaaa1111", "two", "/docker/1", NULL));
	assert_true(schedule_running(d.schedules, "two"));
	assert_null(schedule_json(d.schedules, "one"));
	assert_non_null(book_find(d.book, "two"));
}

static void schedule_moves(void **state)
{
	json_t *saved;
	struct rule_entry *e;

	(void)state;
	fake_add("/docker/x");
	schedule_of("cgroup:/docker/x", true);
	targets_put(d.targets, container("aa", "w", "/docker/x", NULL));
	assert_true(schedule_running(d.schedules, "w"));
	assert_false(schedule_running(d.schedules, "cgroup:/docker/x"));
	targets_put(d.targets, container("aa", "w2", "/docker/x", NULL));
	assert_true(schedule_running(d.schedules, "w2"));
	/* A restart in the same boot goes by the monotonic clock: started_ms is an hour off. */
	saved = schedules_save(d.schedules, false);
	json_object_set_new(json_array_get(json_object_get(saved, "schedules"), 0), "started_ms",
			    json_integer((json_int_t)sq_real_ms() + 3600000));
	schedules_free(d.schedules);
	open_schedules();
	schedules_restore(d.schedules, saved);
	json_decref(saved);
	assert_true(schedule_running(d.schedules, "w2"));
	/* What a schedule set, and nobody would end: gone with it. */
	set("w2", "up loss 3%");
	e = book_find(d.book, "w2");
	strcpy(e->source, "schedule");
	reconcile_restored(&d.reconcile);
	assert_non_null(book_find(d.book, "w2"));
	schedules_free(d.schedules);
	open_schedules();
	reconcile_restored(&d.reconcile);
	assert_null(book_find(d.book, "w2"));
}

/* In the same boot, with what the state file has: `rules`, which it takes. */
static void restart(bool clean, json_t *rules)
{
	json_t *saved =
		json_pack("{s:b,s:s,s:o}", "clean", clean, "boot_id", sq_boot_id(), "rules", rules);

	book_free(d.book);
	assert_int_equal(book_new(d.engine, d.targets, d.bus, d.state, &d.book), 0);
	state_register_slow(d.state, STATE_RULES, "rules", &book_saver, d.book);
	book_restore(d.book, saved);
	json_decref(saved);
}

/* The wall clock says that the rule is long over; the boot lasts, and it is not. */
static void wall_clock(void **state)
{
	json_t *list;

	(void)state;
	fake_add("/a");
	set("cgroup:/a", "up loss 5% for 1h");
	fake_of(1000)->here = false;
	book_tick(d.book, true);
	list = book_save(d.book);
	json_object_set_new(json_array_get(list, 0), "expires_ms", json_integer(1));
	restart(false, list);
	assert_non_null(book_find(d.book, "cgroup:/a"));
	book_tick(d.book, true);
	assert_non_null(book_find(d.book, "cgroup:/a"));
}

/* A rule is kept by its text; files that have it as clauses are read as well. */
static void kept_as(void **state)
{
	json_t *list, *saved;

	(void)state;
	fake_add("/a");
	set("cgroup:/a", "up loss 5% seed 9 for 1h on-crash keep");
	fake_of(1000)->here = false;
	book_tick(d.book, true);
	list = book_save(d.book);
	saved = json_pack("{s:s}", "text", "up loss 5% for 1h seed 9 on-crash keep");
	assert_true(json_equal(json_object_get(json_array_get(list, 0), "rule"), saved));
	json_decref(saved);
	json_object_set_new(json_array_get(list, 0), "rule",
			    json_pack("{s:[{s:{s:{s:i}}}]}", "clauses", "up", "loss", "pct", 7));
	restart(true, list);
	assert_string_equal(book_find(d.book, "cgroup:/a")->text, "up loss 7%");
}

/* Put back, a rule got what was left of its time; found again, it is still what was asked for. */
static void asked_for(void **state)
{
	(void)state;
	fake_add("/a");
	set("cgroup:/a", "up loss 5% for 1h");
	fake_of(1000)->rule.for_ns -= 918000000;
	restart(false, book_save(d.book));
	assert_string_equal(book_find(d.book, "cgroup:/a")->text, "up loss 5% for 1h");
}

static void odd_files(void **state)
{
	char path[100];

	(void)state;
	snprintf(path, sizeof(path), "%s/rules.json", dir);
	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	alarm(20); /* it would be waited for, for ever */
	assert_null(state_load(d.state, "rules"));
	alarm(0);
	assert_int_not_equal(access(path, F_OK), 0);
	assert_int_equal(symlink("/dev/zero", path), 0);
	assert_null(state_load(d.state, "rules"));
}

static void long_text(void **state)
{
	char name[6001];
	json_t *text;

	(void)state;
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = 0;
	name[3000] = (char)0xff;
	text = json_text(name);
	assert_int_equal(json_string_length(text), 6000);
	assert_int_equal(json_string_value(text)[3000], '?');
	json_decref(text);
}

static int count(const char *path, void *arg)
{
	(void)path;
	++*(int *)arg;
	return 0;
}

/* As deep as a path can be: a level costs neither stack nor a descriptor. */
static void deep_tree(void **state)
{
	enum { DEPTH = 1900 };
	char path[100], cmd[200];
	int fd, n = 0;

	(void)state;
	snprintf(path, sizeof(path), "%s/deep", dir);
	assert_int_equal(mkdir(path, 0700), 0);
	fd = open(path, O_RDONLY | O_DIRECTORY);
	for (int i = 0; i < DEPTH; i++) {
		int next;

		assert_int_equal(mkdirat(fd, "d", 0700), 0);
		next = openat(fd, "d", O_RDONLY | O_DIRECTORY);
		close(fd);
		fd = next;
	}
	close(fd);
	assert_int_equal(tree_each(path, "", 4096, count, &n), 0);
	assert_int_equal(n, DEPTH + 1);
	n = 0;
	assert_int_equal(tree_each(path, "", 100, count, &n), 0);
	assert_in_range(n, 45, 55);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", path);
	assert_int_equal(system(cmd), 0);
}

static void option_table(void **state)
{
	char *good[] = {"squalld", "--listen", "1.2.3.4:5", "--listen=[::1]:6", "--lane=tap"};
	char *bad[][3] = {{"squalld", "--lane=x"},
			  {"squalld", "--nope"},
			  {"squalld", "--socket"},
			  {"squalld", "x"},
			  {"squalld", "--tls-cert=a"},
			  {"squalld", "--socket="},
			  {"squalld", "--allow-host=-a.example"},
			  {"squalld", "--allow-host=a:80"},
			  {"squalld", "--help=1"},
			  {"squalld", "--lan=tap"}};
	struct options o;
	struct sq_error err;

	(void)state;
	assert_int_equal(options_parse(5, good, &o, &err), 0);
	assert_int_equal(o.n_listen, 2);
	assert_string_equal(o.listen[1], "[::1]:6");
	assert_string_equal(o.socket, "/run/squall/squalld.sock");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_true(options_parse(2, bad[i], &o, &err) < 0);
		assert_null(strchr(err.text, '\n'));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
		T(names),
		T(container_comes_back),
		T(cgroup_comes_back),
		T(labels),
		T(failure_changes_nothing),
		T(reboot),
		T(crash),
		T(foreign_file),
		T(profiles),
		T(path_becomes_container),
		T(renamed_while_away),
		T(cleared),
		T(schedule_moves),
		T(names_swapped),
		T(name_of_one_gone),
		T(schedule_renamed_away),
		T(wall_clock),
		T(kept_as),
		T(asked_for),
		T(odd_files),
		T(long_text),
		T(deep_tree),
		T(bus),
		T(option_table),
	};
	int rc;

	if (!mkdtemp(dir))
		return 1;
	log_setup(LOG_L_ERROR, false);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	for (const char *const *k = (const char *const[]){"rules", "profiles", "schedules", NULL};
	     *k; k++) {
		char path[100];

		snprintf(path, sizeof(path), "%s/%s.json", dir, *k);
		unlink(path);
	}
	free(fake_cgroup);
	if (rmdir(dir) < 0) {
		char cmd[100];

		snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
		return rc | (system(cmd) != 0);
	}
	return rc;
}
