// SPDX-License-Identifier: GPL-2.0-only
/*
 * A worker against a scripted master (locust_fake_master.h). The engine is a
 * book-keeper (locust_fake_engine.h). What the real master makes of the answers
 * is tests/locust/.
 *
 * What a worker owes its master, and where it is looked at (proto: sim_locust_proto.c):
 *   a fresh identity per connection       no_orphaned_load_at_a_new_master, reconnects_when_asked
 *   client_ready is -1 until the ack      proto client_ready_is_minus_one; old_ack_and_lost_ack
 *   a heartbeat a second, whatever comes  heartbeats_are_not_starved
 *   announces itself anew                 silence_of_a_newer_master; tests/locust/swarm.test
 *   spawning, smeared, true counts        run_stop_again_quit, counts_are_connections
 *   last figures before client_stopped    run_stop_again_quit
 *   ... and within 0.5 s of quit          run_stop_again_quit, sigterm_signs_off
 *   no minimum is nil; seconds of epoch   proto empty_stats_are_whole, stats_have_every_field
 *   CPU is the share of the process       proto cpu_is_the_share_of_this_process
 *   unknown types, nested options         tolerates_nonsense; proto takes_what_newer_masters_add
 *   nothing malformed is ever sent        proto text_is_utf8, heartbeat_numbers_are_finite
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include "locust_fake_master.h"
#include "sim/fleet/bulk.h"
#include "sim/locust/worker.h"

/* --- the worker, in a thread -------------------------------------------------------- */

static struct locust_worker_opts wo;
static pthread_t worker;
static int worker_code;
static char node[NODE_MAX];
static const char *allow_files;
static bool stay;

static void *worker_main(void *arg)
{
	(void)arg;
	worker_code = locust_worker_run((struct sim_engine *)&fake, &wo);
	return NULL;
}

static void start_worker(void)
{
	fake.results = fake.failures = 0;
	fake.refuse = UINT32_MAX;
	fake.limit = 100000;
	fake.drain_ns = 0;
	fake.overrides = 0;
	memset(fake.type, 0, sizeof(fake.type));
	ma.answers = false;
	ma.heartbeats = 0;
	ma.last_beat = ma.longest_gap = 0;
	wo = (struct locust_worker_opts){
		.master = {.host = "127.0.0.1",
			   .port = (uint16_t)ma.port,
			   .give_up_s = 300,
			   .reply_ms = 3000,
			   .retry_ms = 1500},
		.json = true,
		.stay = stay,
		.max_devices = 1000,
		.allow_files = allow_files,
		.alone_ms = 2000,
		.grace_ms = 3000,
	};
	assert_int_equal(pthread_create(&worker, NULL, worker_main, NULL), 0);
}

/* Until a master has acknowledged it. */
static void join_master(int index)
{
	expect("client_ready", 3000);
	assert_int_equal(integer(ma.data), -1);
	assert_string_equal(ma.node, ma.said_node);
	snprintf(node, sizeof(node), "%s", ma.node);
	ack(node, index);
	expect("heartbeat", 1500);
}

static void end_worker(int code)
{
	pthread_join(worker, NULL);
	assert_int_equal(worker_code, code);
}

static void quit_worker(void)
{
	tell(node, "quit");
	expect("stats", 500);
	end_worker(0);
}

static int setup(void **state)
{
	(void)state;
	ma.ctx = zmq_ctx_new();
	ma.port = 0;
	msgpack_sbuffer_init(&ma.frame);
	msgpack_unpacked_init(&ma.u);
	master_open();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	msgpack_unpacked_destroy(&ma.u);
	msgpack_sbuffer_destroy(&ma.frame);
	if (ma.router)
		master_close();
	zmq_ctx_term(ma.ctx);
	return 0;
}

/* --- tests ---------------------------------------------------------------------------- */

static void run_stop_again_quit(void **state)
{
	double t = 1700000000;
	uint64_t asked;

	(void)state;
	start_worker();
	join_master(3);
	assert_string_equal(ma.beat_state, "ready");

	/* A step is smeared: half of it is not there after a third of its time. */
	asked = fake_now();
	spawn(node, t, 90, 10, NULL, NULL);
	expect("spawning", 500);
	usleep(300000);
	assert_in_range(fake_running(0), 10, 60);
	/* Worker 3 of those that share a fleet file: its devices have names of their own. */
	assert_int_equal(fake_get(first), 3000);
	expect("spawning_complete", 3000);
	assert_in_range(fake_now() - asked, 850 * MS, 3000 * MS);
	assert_int_equal(users(), 100);
	assert_int_equal(integer(get(get(ma.data, "user_classes_count"), "temp_sensor")), 10);
	expect("heartbeat", 1500);
	assert_string_equal(ma.beat_state, "running");

	/* Down: targets are absolute. */
	spawn(node, t + 10, 20, 10, NULL, NULL);
	expect("spawning", 500);
	expect("spawning_complete", 3000);
	assert_int_equal(users(), 30);
	/* Not newer: answered by "spawning" as Locust does, but not obeyed. */
	spawn(node, t + 10, 70, 10, NULL, NULL);
	expect("spawning", 500);
	expect_none("spawning_complete", 1300);
	assert_int_equal(fake_target(0), 20);

	/* Stop: all results before client_stopped, then ready again. */
	fake_add(500, 20);
	tell(node, "stop");
	expect("stats", 2000);
	assert_int_equal(integer(get(get(ma.data, "stats_total"), "num_requests")), 500);
	assert_int_equal(integer(get(get(ma.data, "stats_total"), "num_failures")), 20);
	assert_int_equal(users(), 0);
	assert_int_equal(get(ma.data, "errors")->via.map.size, 1);
	expect("client_stopped", 500);
	expect("client_ready", 500);
	assert_string_equal(ma.node, node); /* the same connection: the same identity */
	/* A master knows no such worker now: one word of it and 2.12 is deaf. */
	expect_none("spawning_complete", 300);
	ack(node, 0);
	expect("heartbeat", 1500);
	assert_string_equal(ma.beat_state, "ready");

	/* Again; then quit: results within the half second that a master waits. */
	spawn(node, t + 20, 5, 0, NULL, NULL);
	expect("spawning_complete", 3000);
	fake_add(77, 0);
	asked = fake_now();
	tell(node, "quit");
	do
		expect("stats", 500);
	while (integer(get(get(ma.data, "stats_total"), "num_requests")) != 77);
	assert_in_range(fake_now() - asked, 0, 500 * MS);
	end_worker(0);
	assert_int_equal(fake_target(0), 0);
}

/* Results that the master did not get are not thrown away. */
static void results_wait_for_a_master(void **state)
{
	char old[NODE_MAX];
	uint64_t sum = 0;

	(void)state;
	start_worker();
	join_master(0);
	spawn(node, 1, 10, 0, NULL, NULL);
	expect("spawning_complete", 3000);
	snprintf(old, sizeof(old), "%s", node);
	master_close();
	usleep(300000);
	fake_add(123, 0);
	usleep(1000000);
	assert_int_equal(fake_target(0), 10);
	/* Alone for too long (60 s for users): no load without a master. */
	usleep(1500000);
	assert_int_equal(fake_target(0), 0);
	master_open();
	expect("client_ready", 5000);
	/* A ROUTER drops the second connection of an identity in silence. */
	assert_string_not_equal(ma.node, old);
	snprintf(node, sizeof(node), "%s", ma.node);
	/* A new master begins to count at 0, so nothing of the old one is signed off. */
	ack(node, 0);
	while (sum < 123) {
		expect("stats", 4000);
		sum += (uint64_t)integer(get(get(ma.data, "stats_total"), "num_requests"));
		assert_string_not_equal(ma.type, "client_stopped");
	}
	assert_int_equal(sum, 123);
	/* Its clock may be behind that of the one before. */
	spawn(node, 0.5, 4, 0, NULL, NULL);
	expect("spawning_complete", 3000);
	assert_int_equal(users(), 4);
	quit_worker();
}

/* After a reconnect to a master that asks for nothing, the load does not stay. */
static void no_orphaned_load_at_a_new_master(void **state)
{
	(void)state;
	start_worker();
	join_master(0);
	spawn(node, 1, 10, 0, NULL, NULL);
	expect("spawning_complete", 3000);
	master_close();
	usleep(200000);
	master_open();
	join_master(0);
	assert_int_equal(fake_target(0), 10);
	assert_string_equal(ma.beat_state, "ready");
	expect_none("spawning", 4500);
	assert_int_equal(fake_target(0), 0);
	quit_worker();
}

/* "reconnect", and a master that lives on: the old identity is signed off by name. */
static void reconnects_when_asked(void **state)
{
	char old[NODE_MAX];

	(void)state;
	start_worker();
	join_master(0);
	snprintf(old, sizeof(old), "%s", node);
	tell(node, "reconnect");
	expect("client_ready", 3000);
	assert_string_not_equal(ma.node, old);
	snprintf(node, sizeof(node), "%s", ma.node);
	expect_none("client_stopped", 300); /* first the new one is known, ... */
	ack(node, 1);
	expect("client_stopped", 1000); /* ... else the last worker would be gone */
	assert_string_equal(ma.said_node, old);
	assert_string_equal(ma.node, node);
	quit_worker();
}

/* 2.19 and newer answer heartbeats: silence means that they have forgotten us. */
static void silence_of_a_newer_master(void **state)
{
	char old[NODE_MAX];
	unsigned int i;

	(void)state;
	start_worker();
	ma.answers = true;
	join_master(0);
	snprintf(old, sizeof(old), "%s", node);
	for (i = 0; i < 3; i++)
		expect("heartbeat", 1500);
	ma.answers = false;
	expect("client_ready", 8000);
	assert_string_not_equal(ma.node, old);
	snprintf(node, sizeof(node), "%s", ma.node);
	ack(node, 1);
	/* Never answered on this connection, as by 2.12: that is no silence. */
	expect_none("client_ready", 5000);
	quit_worker();
}

/* Masters up to 2.10.2 acknowledge without an index. */
static void old_ack_and_lost_ack(void **state)
{
	(void)state;
	start_worker();
	expect("client_ready", 3000);
	expect("client_ready", 4000); /* not acknowledged: again */
	snprintf(node, sizeof(node), "%s", ma.node);
	ack(node, -1);
	expect("heartbeat", 1500);
	quit_worker();
}

static void tolerates_nonsense(void **state)
{
	static const char damaged[] = "\x93\xa5spawn\xdf\xff\xff\xff\xff\xa1x";
	static char huge[2 << 20];

	(void)state;
	start_worker();
	join_master(0);
	send_raw(node, damaged, sizeof(damaged) - 1);
	send_raw(node, huge, sizeof(huge));
	send_raw(node, "", 0);
	/* more than one frame */
	assert_true(zmq_send(ma.router, node, strlen(node), ZMQ_SNDMORE) >= 0);
	assert_true(zmq_send(ma.router, "\x93\xa4quit\xc0\xa1x", 8, ZMQ_SNDMORE) >= 0);
	assert_true(zmq_send(ma.router, "x", 1, 0) >= 0);
	tell(node, "a_custom_message");
	/* 2.25 and 2.29 */
	tell(node, "update_user_class");
	begin("spawning_complete");
	msgpack_pack_map(&pk, 1);
	text("user_count");
	msgpack_pack_int(&pk, 5);
	end(node);
	expect("heartbeat", 1500);
	assert_string_equal(ma.node, node);
	quit_worker();
}

static void unknown_class_is_said(void **state)
{
	(void)state;
	start_worker();
	join_master(0);
	begin("spawn");
	msgpack_pack_map(&pk, 2);
	text("timestamp");
	msgpack_pack_int(&pk, 7);
	text("user_classes_count");
	msgpack_pack_map(&pk, 2);
	text("meter");
	msgpack_pack_int(&pk, 3);
	text("Fridge");
	msgpack_pack_int(&pk, 4);
	end(node);
	expect("exception", 1000);
	assert_non_null(strstr(get(ma.data, "msg")->via.str.ptr, "Fridge"));
	expect("spawning_complete", 3000);
	assert_int_equal(users(), 3);
	assert_int_equal(integer(get(get(ma.data, "user_classes_count"), "Fridge")), 0);
	quit_worker();
}

static void options_from_the_form(void **state)
{
	(void)state;
	start_worker();
	join_master(0);
	spawn(node, 1, 3, 0, "mqtt_topic", "form/topic");
	expect("spawning_complete", 3000);
	assert_string_equal(fake_text(fake.topic), "form/topic");
	assert_int_equal(fake_get(overrides), 1);
	/* The same in each step of the ramp: nothing to do. */
	spawn(node, 2, 4, 0, "mqtt_topic", "form/topic");
	expect("spawning_complete", 3000);
	assert_int_equal(fake_get(overrides), 1);
	/* Emptied: as the fleet file says. */
	spawn(node, 3, 4, 0, "mqtt_topic", "");
	expect("spawning_complete", 3000);
	assert_string_equal(fake_text(fake.topic), "own/topic");
	/* Wrong: said, and no load under settings that nobody asked for. */
	spawn(node, 4, 5, 0, "mqtt_qos", "3");
	expect("exception", 1000);
	assert_non_null(strstr(get(ma.data, "msg")->via.str.ptr, "qos '3'"));
	expect("spawning_complete", 3000);
	assert_int_equal(users(), 0);
	spawn(node, 5, 5, 0, "mqtt_qos", "2");
	expect("spawning_complete", 3000);
	assert_int_equal(users(), 5);
	assert_string_equal(fake_text(fake.qos), "2");
	quit_worker();
}

/* Locust's field Host is a broker's URL of any kind that a fleet file may have, or empty. */
static void broker_from_the_host(void **state)
{
	static const char *const hosts[] = {"mqtts://h:1", "wss://h/mqtt?a=b", "ws://h", "tcp://h",
					    "ssl://h"};
	double stamp = 1;

	(void)state;
	start_worker();
	join_master(0);
	for (size_t i = 0; i < sizeof(hosts) / sizeof(*hosts); i++) {
		spawn_host = hosts[i];
		spawn(node, stamp++, 3, 0, NULL, NULL);
		expect("spawning_complete", 3000);
		assert_string_equal(fake_text(fake.broker), hosts[i]);
		assert_int_equal(users(), 3);
	}
	spawn_host = "http://h";
	spawn(node, stamp++, 3, 0, NULL, NULL);
	expect("exception", 1000);
	assert_non_null(strstr(get(ma.data, "msg")->via.str.ptr, "Host 'http://h'"));
	expect("spawning_complete", 3000);
	assert_int_equal(users(), 0);
	/* The form's own field goes over it. */
	spawn(node, stamp++, 3, 0, "mqtt_broker", "mqtt://form");
	expect("spawning_complete", 3000);
	assert_string_equal(fake_text(fake.broker), "mqtt://form");
	spawn_host = "";
	spawn(node, stamp++, 3, 0, NULL, NULL);
	expect("spawning_complete", 3000);
	assert_string_equal(fake_text(fake.broker), "mqtt://own");
	spawn_host = NULL;
	quit_worker();
}

/* Of one table each worker has rows of its own, or none, and then it says so and starts nobody. */
static void rows_of_its_own(void **state)
{
	(void)state;
	fake.rows = true;
	fake.nrows = 3006;
	start_worker();
	join_master(3);
	spawn(node, 1, 3, 0, NULL, NULL);
	expect("spawning_complete", 3000);
	assert_int_equal(fake_get(first), 3000);
	assert_int_equal(fake_get(skip), 3005);
	assert_int_equal(users(), 3);
	quit_worker();
	fake.nrows = 3005;
	start_worker();
	join_master(3);
	for (int step = 0; step < 2; step++) {
		spawn(node, 10 + step, 3 + step, 0, NULL, NULL);
		if (!step) {
			expect("exception", 1000);
			assert_non_null(strstr(get(ma.data, "msg")->via.str.ptr,
					       "credentials-skip 3005: too many; no device is "
					       "started: this is worker 3 "));
		}
		expect("spawning_complete", 3000);
		assert_int_equal(users(), 0);
	}
	quit_worker();
	fake.rows = false;
}

/* A master names files of this machine only below the folder that it may. */
static void files_from_the_form(void **state)
{
	static const char *const escapes[] = {
		"@/etc/hostname", "@../secret",	     "lines:../secret",		"./../secret",
		"/etc/hostname",  "@link",	     "@in/../../secret",	"@no-such-file",
		"@up/secret",	  "@../allowed-not", "lines:/proc/self/environ"};
	char base[] = "/tmp/squall-files.XXXXXX", path[400], dir[64], want[256];
	double stamp = 1;

	(void)state;
	assert_non_null(mkdtemp(base));
	snprintf(dir, sizeof(dir), "%s/allowed", base);
	assert_int_equal(mkdir(dir, 0700), 0);
	snprintf(path, sizeof(path), "%s/allowed/in", base);
	assert_int_equal(mkdir(path, 0700), 0);
	for (int i = 0; i < 3; i++) {
		static const char *const file[] = {"secret", "allowed-not", "allowed/in/good"};
		FILE *f;

		snprintf(path, sizeof(path), "%s/%s", base, file[i]);
		f = fopen(path, "w");
		assert_non_null(f);
		fputs("x", f);
		fclose(f);
	}
	snprintf(path, sizeof(path), "%s/allowed/link", base);
	assert_int_equal(symlink("../secret", path), 0);
	snprintf(path, sizeof(path), "%s/allowed/up", base);
	assert_int_equal(symlink("..", path), 0);

	fake_put(payload[0], 0);
	start_worker();
	join_master(0);
	spawn(node, stamp++, 3, 0, "mqtt_payload", "@in/good");
	expect("exception", 1000);
	assert_non_null(strstr(get(ma.data, "msg")->via.str.ptr, "--allow-files"));
	expect("spawning_complete", 3000);
	assert_int_equal(users(), 0);
	quit_worker();
	assert_string_equal(fake_text(fake.payload), "");

	allow_files = dir;
	start_worker();
	join_master(1);
	for (size_t i = 0; i < sizeof(escapes) / sizeof(*escapes); i++) {
		spawn(node, stamp++, 3, 0, "mqtt_payload", escapes[i]);
		expect("exception", 1000);
		assert_non_null(strstr(get(ma.data, "msg")->via.str.ptr, "no such file below"));
		expect("spawning_complete", 3000);
		assert_int_equal(users(), 0);
		assert_string_equal(fake_text(fake.payload), "");
	}
	spawn(node, stamp++, 3, 0, "mqtt_payload", "@in/good");
	expect("spawning_complete", 3000);
	assert_int_equal(users(), 3);
	/* Two slashes: no symbolic link that comes there later is followed. */
	snprintf(want, sizeof(want), "@/%s/in/good", dir);
	assert_string_equal(fake_text(fake.payload), want);
	/* A folder of it is moved away, and a link takes its place: what was allowed is not there.
	 */
	snprintf(path, sizeof(path), "mv %s/in %s/out && ln -s %s %s/in && echo > %s/good", dir,
		 dir, base, dir, base);
	assert_int_equal(system(path), 0);
	assert_int_equal(sim_open_payload(want + 1), -1);
	assert_int_equal(errno, ELOOP);
	quit_worker();
	allow_files = NULL;
	snprintf(path, sizeof(path), "rm -r %s", base);
	assert_int_equal(system(path), 0);
}

/* What cannot connect is not told as a user, and holds nothing up. */
static void counts_are_connections(void **state)
{
	(void)state;
	start_worker();
	fake_put(refuse, 6);
	join_master(0);
	spawn(node, 1, 10, 0, NULL, NULL);
	expect("spawning_complete", 3000);
	assert_int_equal(users(), 6);
	fake_put(refuse, UINT32_MAX);
	/* Told soon, with the next report. */
	expect("stats", 1500);
	assert_int_equal(users(), 10);
	fake_put(limit, 20);
	spawn(node, 5, 21, 0, NULL, NULL);
	expect("exception", 1000);
	assert_non_null(strstr(get(ma.data, "msg")->via.str.ptr, "--max-devices"));
	quit_worker();
}

/* A spawn while the devices of the run before are still going. */
static void start_while_stopping(void **state)
{
	(void)state;
	start_worker();
	join_master(0);
	spawn(node, 1, 10, 0, NULL, NULL);
	expect("spawning_complete", 3000);
	fake_put(drain_ns, 1500 * MS);
	tell(node, "stop");
	usleep(200000);
	spawn(node, 2, 5, 0, NULL, NULL);
	expect("client_stopped", 3000);
	fake_put(drain_ns, 0);
	expect("client_ready", 1000);
	ack(node, 0);
	expect("spawning_complete", 4000);
	assert_int_equal(users(), 5);
	quit_worker();
}

/* It waits for the run before it to end: a later word of the master, or its loss, takes it back. */
static void later_words_count(void **state)
{
	enum { STOP, QUIT, GONE, WORDS };

	(void)state;
	stay = true;
	for (int what = STOP; what < WORDS; what++) {
		start_worker();
		join_master(0);
		spawn(node, 1, 10, 0, NULL, NULL);
		expect("spawning_complete", 3000);
		fake_put(drain_ns, 800 * MS);
		tell(node, "stop");
		usleep(200000);
		spawn(node, 2, 5, 0, NULL, NULL);
		usleep(100000);
		if (what == GONE) {
			master_close();
			usleep(1500000);
			master_open();
		} else {
			tell(node, what == STOP ? "stop" : "quit");
		}
		expect("client_ready", 6000);
		snprintf(node, sizeof(node), "%s", ma.node);
		ack(node, 0);
		fake_put(drain_ns, 0);
		expect_none("spawning_complete", 1500);
		assert_int_equal(fake_target(0), 0);
		/* The clock of the next one may be behind what was taken back. */
		spawn(node, 1.5, 3, 0, NULL, NULL);
		expect("spawning_complete", 3000);
		assert_int_equal(users(), 3);
		pthread_kill(worker, SIGTERM);
		expect("quit", 3000);
		end_worker(0);
	}
	stay = false;
}

/* One spawn with these counts, as `pack` writes the second's value. */
static void odd_spawn(void (*pack)(void), double stamp, const char *class)
{
	begin("spawn");
	msgpack_pack_map(&pk, 2);
	text("timestamp");
	msgpack_pack_double(&pk, stamp);
	text("user_classes_count");
	msgpack_pack_map(&pk, 2);
	text("meter");
	pack();
	text(class);
	msgpack_pack_int(&pk, 1);
	end(node);
}

static void minus(void)
{
	msgpack_pack_int(&pk, -5);
}

static void huge(void)
{
	msgpack_pack_uint64(&pk, UINT64_MAX);
}

static void over_int(void)
{
	msgpack_pack_uint64(&pk, (1ull << 32) + 7);
}

static void half(void)
{
	msgpack_pack_double(&pk, 2.5);
}

static void word(void)
{
	text("seven");
}

static void nothing(void)
{
	msgpack_pack_nil(&pk);
}

static void list(void)
{
	msgpack_pack_array(&pk, 1);
	msgpack_pack_int(&pk, 7);
}

/* Spawns that mean nothing change nothing, whoever sends them; what can be meant is done. */
static void hostile_spawns(void **state)
{
	static void (*const packs[])(void) = {minus, huge, over_int, half, word, nothing, list};
	char class[LOCUST_NAME_MAX];
	double stamp = 1;

	(void)state;
	start_worker();
	join_master(0);
	/* Acknowledged again and again, with another index too. */
	for (int i = 0; i < 5; i++)
		ack(node, i);
	spawn(node, stamp++, 4, 0, NULL, NULL);
	expect("spawning_complete", 3000);
	assert_int_equal(users(), 4);
	for (size_t i = 0; i < sizeof(packs) / sizeof(*packs); i++)
		odd_spawn(packs[i], stamp++, "temp_sensor");
	/* All that a table of classes holds, and then some. */
	for (int i = 0; i < LOCUST_CLASSES_MAX + 10; i++) {
		snprintf(class, sizeof(class), "%d\x1b[2J\n%0100d", i, i);
		begin("spawn");
		msgpack_pack_map(&pk, 2);
		text("timestamp");
		msgpack_pack_double(&pk, stamp++);
		text("user_classes_count");
		msgpack_pack_map(&pk, 2);
		text("meter");
		msgpack_pack_int(&pk, 4);
		text(class);
		msgpack_pack_int(&pk, 0);
		end(node);
	}
	expect("spawning_complete", 3000);
	assert_int_equal(users(), 4);
	/* More than this worker takes: it keeps what it has, and says why. */
	spawn(node, stamp++, 99999999, 0, NULL, NULL);
	expect("exception", 3000);
	assert_non_null(strstr(get(ma.data, "msg")->via.str.ptr, "--max-devices"));
	expect("spawning_complete", 3000);
	assert_int_equal(users(), 4);
	/* It vanishes in the middle of a ramp, and the next one hears nothing of its classes. */
	spawn(node, stamp++, 50, 0, NULL, NULL);
	usleep(100000);
	master_close();
	usleep(300000);
	master_open();
	expect("client_ready", 6000);
	snprintf(node, sizeof(node), "%s", ma.node);
	ack(node, 0);
	spawn(node, 1, 2, 0, NULL, NULL);
	expect("spawning_complete", 3000);
	assert_int_equal(users(), 2);
	assert_int_equal(get(ma.data, "user_classes_count")->via.map.size, 2);
	quit_worker();
}

/* The end of a worker by a signal: last results, then "quit". */
static void sigterm_signs_off(void **state)
{
	(void)state;
	start_worker();
	join_master(0);
	spawn(node, 1, 10, 0, NULL, NULL);
	expect("spawning_complete", 3000);
	fake_add(9, 0);
	pthread_kill(worker, SIGTERM);
	do
		expect("stats", 1000);
	while (integer(get(get(ma.data, "stats_total"), "num_requests")) != 9);
	expect("quit", 1000);
	end_worker(0);
}

/* More messages than it can use, and a busy machine: the heartbeat goes on. */
static void heartbeats_are_not_starved(void **state)
{
	uint64_t until;

	(void)state;
	start_worker();
	join_master(0);
	until = fake_now() + 4000 * MS;
	while (fake_now() < until) {
		tell(node, "noise");
		next(1);
	}
	assert_true(ma.heartbeats >= 3);
	assert_in_range(ma.longest_gap, 0, 3000 * MS);
	while (next(100) && ma.heartbeats < 8)
		;
	quit_worker();
}

static void gives_up_in_words(void **state)
{
	(void)state;
	start_worker();
	/* The port is taken before the worker looks, but nobody acknowledges. */
	pthread_kill(worker, SIGTERM);
	end_worker(0);
	master_close();
	wo = (struct locust_worker_opts){
		.master = {.host = "127.0.0.1", .port = (uint16_t)ma.port, .give_up_s = 1}};
	worker_code = locust_worker_run((struct sim_engine *)&fake, &wo);
	assert_int_equal(worker_code, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(run_stop_again_quit),
		T(results_wait_for_a_master),
		T(no_orphaned_load_at_a_new_master),
		T(reconnects_when_asked),
		T(silence_of_a_newer_master),
		T(old_ack_and_lost_ack),
		T(tolerates_nonsense),
		T(unknown_class_is_said),
		T(options_from_the_form),
		T(files_from_the_form),
		T(counts_are_connections),
		T(start_while_stopping),
		T(later_words_count),
		T(hostile_spawns),
		T(broker_from_the_host),
		T(rows_of_its_own),
		T(sigterm_signs_off),
		T(heartbeats_are_not_starved),
		T(gives_up_in_words),
	};
	sigset_t set;

	/* As in squall-sim: the worker reads signals from a descriptor. */
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
