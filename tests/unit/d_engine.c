// SPDX-License-Identifier: GPL-2.0-only
/*
 * The engine on this machine's kernel, in a network namespace, a mount namespace
 * and cgroups of its own: opened on both lanes, ruled, broken by others and
 * mended, left and adopted. Skipped without root.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "lib/cgroup.h"
#include "squalld/base/log.h"
#include "squalld/kernel/kernel.h"

static char dir[] = "/tmp/squall-engine-XXXXXX", pins[64], group[64], group_dir[320];
static uint64_t id; /* of the cgroup of `child` */
static pid_t child; /* in a namespace of its own, sends UDP to 10.98.0.1 all the time */
static pid_t janitor;
static int alive_fd = -1;
static bool ready;
static struct engine *e;
static const char *lane_link; /* that the lane of "auto" makes */

static int sh(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static int sh(const char *fmt, ...)
{
	char cmd[600];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(cmd, sizeof(cmd), fmt, ap);
	va_end(ap);
	return system(cmd);
}

static void live_inside(int told)
{
	char path[340];
	FILE *f;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	snprintf(path, sizeof(path), "%s/cgroup.procs", group_dir);
	f = fopen(path, "we");
	if (!f || fprintf(f, "%d\n", getpid()) < 0 || fclose(f) || unshare(CLONE_NEWNET) ||
	    write(told, "x", 1) != 1)
		_exit(1);
	/* eth0 comes from outside; a datagram each 20 ms as soon as it is there. */
	execlp("bash", "bash", "-c",
	       "while :; do echo x >/dev/udp/10.98.0.1/9; sleep 0.02; done 2>/dev/null", NULL);
	_exit(1);
}

/* In a process of its own, which also outlives a test that was killed. */
static void tidy_up_after(int alive)
{
	char byte;

	setsid();
	while (read(alive, &byte, 1) > 0)
		;
	kill(child, SIGKILL);
	for (int i = 0; i < 100 && rmdir(group_dir) && errno == EBUSY; i++)
		usleep(20000);
	umount2(dir, MNT_DETACH);
	rmdir(dir);
	_exit(0);
}

static bool make_lab(void)
{
	int told[2], alive[2];
	char byte;

	if (geteuid() || !cgroup_mount() || !mkdtemp(dir) || pipe(told) ||
	    unshare(CLONE_NEWNET | CLONE_NEWNS) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) || mount("bpf", dir, "bpf", 0, NULL))
		return false;
	snprintf(pins, sizeof(pins), "%s/pins", dir);
	snprintf(group, sizeof(group), "/squall-unit-%d", getpid());
	snprintf(group_dir, sizeof(group_dir), "%s%s", cgroup_mount(), group);
	if (mkdir(group_dir, 0755))
		return false;
	child = fork();
	if (!child)
		live_inside(told[1]);
	close(told[1]);
	if (child < 0 || pipe2(alive, O_CLOEXEC))
		return false;
	alive_fd = alive[1];
	janitor = fork();
	if (!janitor) {
		close(alive[1]);
		tidy_up_after(alive[0]);
	}
	close(alive[0]);
	return janitor > 0 && read(told[0], &byte, 1) == 1 && cgroup_id_of(group, &id, NULL) == 0 &&
	       sh("ip link set lo up && ip link add ve0 type veth peer name eth0 netns %d && "
		  "ip addr add 10.98.0.1/24 dev ve0 && ip link set ve0 up && "
		  "nsenter -t %d -n sh -c 'ip link set lo up; ip addr add 10.98.0.2/24 dev eth0; "
		  "ip link set eth0 up'",
		  child, child) == 0;
}

static void end_lab(void)
{
	if (alive_fd >= 0)
		close(alive_fd);
	if (janitor > 0)
		waitpid(janitor, NULL, 0);
	if (child > 0)
		waitpid(child, NULL, 0);
}

static void open_on(const char *lane)
{
	struct engine_options o = {.pin_dir = pins, .lane = lane, .control_port = 4080};
	struct sq_error err = {0};

	if (engine_open(&o, &e, &err) < 0)
		print_error("%s\n", err.text), _fail(__FILE__, __LINE__);
}

/* "fq" or "tap"; this kernel may lack sch_fq. */
static bool lane_is(const char *name)
{
	json_t *o = engine_status(e), *lane = json_object_get(o, "lane");
	bool is;

	lane = json_object_get(lane, "kind");
	is = !strcmp(json_string_value(lane), name);
	json_decref(o);
	return is;
}

static void close_now(bool keep)
{
	engine_close(e, keep);
	e = NULL;
}

/* A test that failed leaves none behind. */
static int tidy(void **state)
{
	(void)state;
	if (e)
		close_now(false);
	return 0;
}

static struct sq_rule rule_of(const char *text)
{
	struct sq_rule rule;
	struct sq_error err = {0};

	if (sq_rule_from_text(text, strlen(text), &rule, &err) < 0)
		print_error("%s\n", err.text), _fail(__FILE__, __LINE__);
	return rule;
}

static int set(uint64_t cgroup, const char *text, struct sq_rule *ret)
{
	struct sq_rule rule = rule_of(text);
	struct sq_error err = {0};

	return engine_set_rule(e, cgroup, &rule, ret, &err);
}

/* Within 10 s: any machine is fast enough. */
#define eventually(what)                                                                           \
	do {                                                                                       \
		bool yes_ = false;                                                                 \
                                                                                                   \
		for (int left_ = 500; left_-- && !(yes_ = (what));)                                \
			usleep(20000);                                                             \
		assert_true(yes_);                                                                 \
	} while (0)

static uint64_t seen_by(uint32_t counter)
{
	struct sq_counters c;

	return engine_counters(e, counter, &c) ? 0 : c.seen_pkts;
}

static bool healthy(void)
{
	struct sq_error err = {0};

	return engine_health(e, true, &err) == 0;
}

static bool attached(const char *name)
{
	json_t *o = engine_status(e), *one;
	bool found = false;
	size_t i;

	json_array_foreach(json_object_get(o, "attachments"), i, one) found |=
		!strcmp(json_string_value(json_object_get(one, "name")), name);
	json_decref(o);
	return found;
}

static int count(const struct sq_rule *rule, void *arg)
{
	assert_int_equal(rule->target, id);
	++*(int *)arg;
	return 0;
}

static void rules(void **state)
{
	struct sq_rule got, again;
	struct sq_error err = {0};
	uint32_t counter;
	json_t *view;
	int n = 0;

	(void)state;
	if (!ready)
		skip();
	open_on("auto");
	assert_true(attached("ve0"));
	assert_int_equal(set(id, "up loss 1% also delay 1ms match dport 9", &got), 0);
	assert_int_equal(got.target, id);
	assert_true(got.id && got.seed && got.set_ns);
	eventually(seen_by(got.clause[0].faults[SQ_UP].counter) +
			   seen_by(got.clause[1].faults[SQ_UP].counter) >
		   3);
	/* The same filter goes on counting, a new one begins at 0. */
	counter = got.clause[1].faults[SQ_UP].counter;
	assert_int_equal(set(id, "up loss 2% also delay 2ms match dport 9 for 1h", &again), 0);
	assert_int_equal(again.clause[1].faults[SQ_UP].counter, counter);
	assert_true(again.id != got.id && again.expires_ns);
	assert_int_equal(engine_get_rule(e, id, &got), 0);
	assert_int_equal(got.id, again.id);
	assert_int_equal(engine_each_rule(e, count, &n), 0);
	assert_int_equal(n, 1);
	view = engine_target_view(e, id);
	assert_true(json_array_size(json_object_get(view, "interfaces")) > 0);
	json_decref(view);
	/* Held, it is attached where the target lives before the rule is set. */
	assert_int_equal(engine_hold(e, id, NULL, &err), 0);
	assert_int_equal(set(id, "up loss 3%", &again), 0);
	engine_release(e, id);
	assert_int_equal(engine_hold(e, id, "/no such path", &err), 0);
	engine_release(e, id);
	assert_int_equal(engine_hold(e, UINT64_MAX, NULL, &err), -ENOENT);
	/* What is refused changes nothing. */
	assert_int_equal(set(id, "up delay 400s", NULL), -EOPNOTSUPP);
	assert_int_equal(set(1, "up loss 1%", NULL), -EINVAL);
	assert_int_equal(set(UINT64_MAX, "up loss 1%", NULL), -ENOENT);
	assert_int_equal(engine_cgroup_id("/", &(uint64_t){0}, &err), -EINVAL);
	assert_int_equal(engine_cgroup_id("/../x", &(uint64_t){0}, &err), -EINVAL);
	assert_int_equal(engine_cgroup_id("/squall-none", &(uint64_t){0}, &err), -ENOENT);
	assert_int_equal(engine_get_rule(e, id, &got), 0);
	assert_int_equal(got.id, again.id);
	assert_int_equal(engine_delete_rule(e, id), 0);
	assert_int_equal(engine_delete_rule(e, id), -ENOENT);
	assert_int_equal(engine_get_rule(e, id, &got), -ENOENT);
	/* Over by its own time, without anybody's help. */
	assert_int_equal(set(id, "up loss 1% for 50ms", &got), 0);
	eventually(engine_get_rule(e, id, &got) == -ENOENT);
	close_now(false);
}

/* What was made ahead is taken by first rules, acts like their own, and goes when nobody took it.
 */
static void ahead(void **state)
{
	const atomic_bool go = false, stop = true;
	struct sq_rule got;

	(void)state;
	if (!ready)
		skip();
	open_on("auto");
	engine_make_ahead(e, 2, &go);
	assert_int_equal(set(id, "both loss 1% also up loss 1% match dport 9", &got), 0);
	assert_int_equal(got.id, 2);
	assert_int_equal(got.clause[0].match.rport_lo, 9);
	assert_int_equal(got.clause[0].faults[SQ_UP].counter, 2);
	assert_int_equal(got.clause[1].faults[SQ_UP].counter, 1);
	assert_int_equal(got.clause[1].faults[SQ_DOWN].counter, 3);
	eventually(seen_by(2) > 3);
	/* Who replaces makes a new one, and takes the old one's place. */
	assert_int_equal(set(id, "up loss 1%", &got), 0);
	assert_int_equal(got.id, 3);
	assert_int_equal(engine_delete_rule(e, id), 0);
	assert_int_equal(set(id, "up loss 1%", &got), 0);
	assert_int_equal(got.id, 1);
	engine_make_ahead(e, 2, &stop);
	assert_int_equal(engine_delete_rule(e, id), 0);
	engine_make_ahead(e, 1, &go);
	engine_drop_ahead(e);
	assert_int_equal(set(id, "up loss 1%", &got), 0);
	assert_int_equal(got.id, 7);
	eventually(seen_by(got.clause[0].faults[SQ_UP].counter) > 3);
	close_now(false);
}

static void packets(void **state)
{
	struct engine_trace *trace;
	struct engine_lane lane;
	struct sq_event ev = {0};
	int got = 0;

	(void)state;
	if (!ready)
		skip();
	open_on("auto");
	assert_int_equal(engine_trace_open(e, 1, &trace), 0);
	assert_int_equal(set(id, "up delay 30ms match dport 9", NULL), 0);
	for (int i = 0; i < 50 && got != 1; i++)
		got = engine_trace_next(trace, &ev, 200);
	assert_int_equal(got, 1);
	assert_int_equal(ev.target, id);
	assert_int_equal(ev.dport, 9);
	assert_true(ev.what & SQ_E_DELAYED);
	engine_trace_close(trace);
	engine_lane_stats(e, &lane);
	assert_int_equal(lane.max_bytes, 256u << 20);
	for (enum lane_loss i = 0; i < LANE_LOSSES; i++)
		assert_int_equal(lane.lost[i], 0);
	close_now(false);
}

/* Others take our devices and filters away. */
static void healed(void **state)
{
	(void)state;
	if (!ready)
		skip();
	open_on("auto");
	lane_link = lane_is("fq") ? "squall-fq0" : "squall-tap";
	assert_int_equal(set(id, "up delay 1ms", NULL), 0);
	assert_int_equal(sh("ip link del %s", lane_link), 0);
	eventually(sh("ip link show %s >/dev/null 2>&1", lane_link) == 0 && healthy());
	assert_int_equal(sh("ip link del squall-seg0"), 0);
	eventually(sh("ip link show squall-seg1 >/dev/null 2>&1") == 0 && healthy());
	assert_int_equal(sh("tc qdisc del dev ve0 clsact"), 0);
	engine_rescan(e);
	eventually(sh("tc filter show dev ve0 ingress 2>/dev/null | grep -q squall") == 0 &&
		   healthy());
	assert_int_equal(sh("ip link add ve9 type veth peer name ve8 && ip link set ve9 up"), 0);
	eventually(attached("ve9"));
	assert_int_equal(sh("ip link del ve9"), 0);
	eventually(!attached("ve9"));
	close_now(false);
	assert_int_not_equal(sh("ip link show %s >/dev/null 2>&1", lane_link), 0);
	assert_int_not_equal(sh("tc filter show dev ve0 ingress 2>/dev/null | grep -q squall"), 0);
}

static void adopted(void **state)
{
	struct sq_rule before, after;
	struct sq_error err = {0};
	int n = 0;

	(void)state;
	if (!ready)
		skip();
	open_on("auto");
	assert_int_equal(set(id, "up loss 3% on-crash keep", &before), 0);
	close_now(true);
	assert_int_equal(sh("tc filter show dev ve0 ingress 2>/dev/null | grep -q squall"), 0);
	open_on("auto");
	assert_int_equal(engine_each_rule(e, count, &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(engine_get_rule(e, id, &after), 0);
	assert_int_equal(after.id, before.id);
	assert_int_equal(engine_cleanup(pins, &err), -EBUSY); /* it runs */
	close_now(true);
	assert_int_equal(engine_cleanup(pins, &err), 0);
	assert_int_not_equal(access(pins, F_OK), 0);
	assert_int_not_equal(sh("tc filter show dev ve0 ingress 2>/dev/null | grep -q squall"), 0);
}

static void tap_lane(void **state)
{
	struct sq_rule got;
	struct sq_counters c = {0};

	(void)state;
	if (!ready)
		skip();
	open_on("tap");
	assert_true(lane_is("tap"));
	assert_int_equal(set(id, "up delay 1ms match dport 9", &got), 0);
	eventually(engine_counters(e, got.clause[0].faults[SQ_UP].counter, &c) == 0 &&
		   c.delayed_pkts > 3);
	assert_int_equal(set(id, "up delay 1ms on-crash keep", NULL), -EOPNOTSUPP);
	close_now(false);
}

/* A kernel that has less, as --probe-missing makes it. */
static void missing(void **state)
{
	struct engine_options o = {.pin_dir = pins, .lane = "fq", .probe_missing = "fq"};
	struct sq_error err = {0};

	(void)state;
	if (!ready)
		skip();
	assert_int_equal(engine_open(&o, &e, &err), -EOPNOTSUPP);
	assert_non_null(strstr(err.text, "--lane"));
	o.lane = "x";
	assert_int_equal(engine_open(&o, &e, &err), -EINVAL);
	o.lane = "auto";
	o.probe_missing = "fq,tap";
	e = NULL;
	assert_int_equal(engine_open(&o, &e, &err), 0);
	assert_int_equal(set(id, "up delay 1ms", NULL), -EOPNOTSUPP);
	assert_int_equal(set(id, "up loss 1%", NULL), 0);
	close_now(false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_teardown(fn, tidy)
		T(rules), T(ahead), T(packets), T(healed), T(adopted), T(tap_lane), T(missing),
	};
	int rc;

	/* A hang of the kernel's side is a failure, not the runner's timeout; 6.1, emulated, takes
	 * 7 s to load the programs once. */
	alarm(getenv("SQUALL_VM") ? 340 : 100);
	log_setup(LOG_L_ERROR, false);
	ready = make_lab();
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	end_lab();
	return rc;
}
