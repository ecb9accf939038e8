// SPDX-License-Identifier: GPL-2.0-only
/*
 * The wall clock jumps an hour, both ways: no rule ends, no schedule leaves its place, no writer
 * stops, in a running squalld and over its restart. Its clock is ours here.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#undef fail
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include "fake_engine.h"
#include "lib/clock.h"
#include "squalld/base/log.h"
#include "squalld/control/book.h"
#include "squalld/control/bus.h"
#include "squalld/control/history.h"
#include "squalld/control/profiles.h"
#include "squalld/control/schedules.h"
#include "squalld/control/state.h"

static _Atomic time_t jump_s;

int clock_gettime(clockid_t clock, struct timespec *ret)
{
	int rc = (int)syscall(SYS_clock_gettime, clock, ret);

	if (rc == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
		ret->tv_sec += jump_s;
	return rc;
}

time_t time(time_t *ret)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	if (ret)
		*ret = ts.tv_sec;
	return ts.tv_sec;
}

static char dir[] = "/tmp/squall-unit-XXXXXX";
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct engine *engine;
static struct bus *bus;
static struct state *state;
static struct history *past;
static struct targets *targets;
static struct book *book;
static struct profiles *profiles;
static struct schedules *schedules;

static void open_all(void)
{
	struct schedule_uses uses = {.lock = &lock};
	struct sq_error err;

	assert_int_equal(state_open(dir, &lock, &state, &err), 0);
	assert_int_equal(history_open(dir, &past), 0);
	assert_int_equal(engine_open(NULL, &engine, NULL), 0);
	assert_int_equal(bus_new(&bus), 0);
	assert_int_equal(targets_new(engine, bus, &targets), 0);
	assert_int_equal(book_new(engine, targets, bus, state, &book), 0);
	assert_int_equal(profiles_new(state, &profiles), 0);
	uses.targets = targets;
	uses.book = book;
	uses.profiles = profiles;
	uses.bus = bus;
	uses.state = state;
	assert_int_equal(schedules_new(&uses, &schedules), 0);
	state_register_slow(state, STATE_RULES, "rules", &book_saver, book);
	state_register(state, STATE_SCHEDULES, "schedules", schedules_save, schedules);
	bus_record(bus, history_hear, past);
	assert_int_equal(state_start(state), 0);
	assert_int_equal(history_start(past), 0);
	assert_int_equal(schedules_start(schedules), 0);
}

static void close_all(void)
{
	schedules_stop(schedules);
	state_close(state, false);
	bus_free(bus);
	history_close(past);
	schedules_free(schedules);
	profiles_free(profiles);
	book_free(book);
	targets_free(targets);
	free(engine);
}

static void set(const char *target, const char *text)
{
	struct sq_error p = {0};
	struct sq_rule rule;
	struct target t;

	assert_int_equal(sq_rule_from_text(text, strlen(text), &rule, &p), 0);
	pthread_mutex_lock(&lock);
	assert_int_equal(target_resolve(targets, target, &t, &p), 0);
	assert_int_equal(book_set(book, &t, &rule, "api", NULL, &p), 0);
	pthread_mutex_unlock(&lock);
}

/* ms left of the rule's minute; -1: there is none */
static long left(const char *target)
{
	const struct rule_entry *e;
	long ms = -1;

	pthread_mutex_lock(&lock);
	book_tick(book, true);
	e = book_find(book, target);
	if (e && e->in_force && e->ends_ns)
		ms = (long)((int64_t)(e->ends_ns - sq_mono_ns()) / 1000000);
	pthread_mutex_unlock(&lock);
	return ms;
}

static long position(const char *target)
{
	json_t *s;
	long ms;

	pthread_mutex_lock(&lock);
	s = schedule_json(schedules, target);
	ms = json_is_true(json_object_get(s, "running"))
		     ? (long)(json_integer_value(json_object_get(s, "position_ns")) / 1000000)
		     : -1;
	json_decref(s);
	pthread_mutex_unlock(&lock);
	return ms;
}

/* A change reaches its file within seconds. */
static void writes(const char *file, const char *what)
{
	char path[100], *text = NULL;
	size_t room = 0;

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	for (int i = 0; i < 400; i++) {
		FILE *f = fopen(path, "re");
		bool found = f && getdelim(&text, &room, 0, f) > 0 && strstr(text, what);

		if (f)
			fclose(f);
		if (found) {
			free(text);
			return;
		}
		usleep(25000);
	}
	free(text);
	print_error("%s does not get %s\n", file, what);
	assert_true(0);
}

static void goes_on(const char *change)
{
	assert_in_range(left("cgroup:/a"), 1, 60000);
	assert_in_range(position("cgroup:/s"), 0, 60000);
	set("cgroup:/b", change);
	writes("rules.json", change);
	writes("history.jsonl", change);
}

static void schedule(void)
{
	json_t *body = json_pack("{s:[{s:i,s:{s:s}}],s:I,s:i}", "steps", "at_ns", 0, "rule", "text",
				 "up loss 3%", "length_ns", (json_int_t)60000000000, "repeat", 1);
	struct sq_error p = {0};
	bool fresh;

	pthread_mutex_lock(&lock);
	assert_int_equal(schedule_put(schedules, "cgroup:/s", body, &fresh, &p), 0);
	assert_int_equal(schedule_run(schedules, "cgroup:/s", true, &p), 0);
	pthread_mutex_unlock(&lock);
	json_decref(body);
}

static void restart(void)
{
	json_t *rules, *timetable;

	close_all();
	open_all();
	rules = state_load(state, "rules");
	timetable = state_load(state, "schedules");
	pthread_mutex_lock(&lock);
	book_restore(book, rules);
	schedules_restore(schedules, timetable);
	pthread_mutex_unlock(&lock);
	json_decref(rules);
	json_decref(timetable);
}

static void jumps(void **arg)
{
	(void)arg;
	fake_add("/a");
	fake_add("/b");
	fake_add("/s");
	set("cgroup:/a", "up loss 1% for 1m");
	schedule();
	goes_on("up loss 11%");
	jump_s = 3600;
	goes_on("up loss 12%");
	restart();
	goes_on("up loss 13%");
	jump_s = -3600;
	goes_on("up loss 14%");
	restart();
	goes_on("up loss 15%");
	jump_s = 0;
	goes_on("up loss 16%");
}

static int setup(void **arg)
{
	(void)arg;
	log_setup(LOG_L_ERROR, false);
	assert_non_null(mkdtemp(dir));
	open_all();
	return 0;
}

static int teardown(void **arg)
{
	char command[100];

	(void)arg;
	close_all();
	free(fake_cgroup);
	snprintf(command, sizeof(command), "rm -r %s", dir);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(jumps, setup, teardown)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
