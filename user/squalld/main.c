// SPDX-License-Identifier: GPL-2.0-only
/*
 * squalld: options, then everything that can fail without touching the
 * network (lock, state directory, ports, token), then the engine, then the
 * threads. The main thread keeps the time: expiry, cgroups that come back,
 * counters for event streams, signals.
 */
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <time.h>
#include <unistd.h>
#include "lib/clock.h"
#include "squalld/base/log.h"
#include "squalld/api/api.h"
#include "squalld/control/book.h"
#include "squalld/control/bus.h"
#include "squalld/control/clear.h"
#include "squalld/meter/loud.h"
#include "squalld/control/members.h"
#include "squalld/meter/meter.h"
#include "squalld/discovery/cgwatch.h"
#include "squalld/discovery/docker.h"
#include "squalld/dockertc/dockertc.h"
#include "squalld/ecs/ecs.h"
#include "squalld/api/events.h"
#include "squalld/experiments/experiments.h"
#include "squalld/process/harden.h"
#include "squalld/process/lock.h"
#include "squalld/http/http.h"
#include "squalld/process/notify.h"
#include "squalld/process/options.h"
#include "squalld/control/profiles.h"
#include "squalld/control/reconcile.h"
#include "squalld/control/schedules.h"
#include "squalld/control/state.h"
#include "squalld/control/history.h"
#include "squalld/control/targets.h"
#include "squalld/kernel/kernel.h"

/*
 * All parts, top down. Threads: docs/threads-squalld.md. `lock` guards what is in
 * control/; it is held over calls into the engine, which are short and never
 * call back, and never over network or disk.
 */
struct daemon {
	const struct options *opt;
	pthread_mutex_t lock;
	struct engine *engine;
	struct bus *bus;
	struct state *state;
	struct history *history;
	struct experiments *experiments;
	struct targets *targets;
	struct book *book;
	struct profiles *profiles;
	struct schedules *schedules;
	struct clear *clear;
	struct meter *meter;
	struct loud *loud;
	struct reconcile reconcile;
	struct dockertc dockertc;
	struct ecs ecs;
	struct docker *docker;
	struct cgwatch *cgwatch;
	struct httpd_guard *guard;
	struct http *http;
	struct events *events;
	struct api api;
	uint64_t started_ms; /* CLOCK_REALTIME */
	json_t *health;	     /* as it was told last */
};

#define TICK_MS 250

/* Before harden(), which takes mount(2) away. Failure is the engine's to report. */
static void mount_bpffs(const char *pin_dir)
{
	struct statfs fs;

	if (strncmp(pin_dir, "/sys/fs/bpf/", 12) == 0 && statfs("/sys/fs/bpf", &fs) == 0 &&
	    fs.f_type != BPF_FS_MAGIC &&
	    mount("bpf", "/sys/fs/bpf", "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
		log_debug("cannot mount a bpf file system: %s", strerror(errno));
}

/* Whoever is out of memory: without squalld, rules end and what waits in the tap lane is lost. */
static void spare_me(void)
{
	FILE *f = fopen("/proc/self/oom_score_adj", "we");

	if (!f || fputs("-900", f) < 0 || fflush(f))
		log_debug("cannot set oom_score_adj: %s", strerror(errno));
	if (f)
		fclose(f);
}

static void reload(struct daemon *d)
{
	struct sq_error err = {0};

	if (httpd_guard_reload(d->guard, &err) < 0)
		log_error("reload: %s; the old token stays", err.text);
	else if (d->opt->token_file)
		log_info("reload: token read from %s", d->opt->token_file);
	if (d->opt->config) {
		struct options fresh = {0};
		enum log_level level;
		struct stat st;

		if (stat(d->opt->config, &st) == 0 && !S_ISREG(st.st_mode))
			log_error("reload: --config: %s is no regular file; nothing changed",
				  d->opt->config);
		else if (options_parse_file(d->opt->config, &fresh, &err) < 0)
			log_error("reload: %s; nothing changed", err.text);
		else if (fresh.log_level && log_level_from_text(fresh.log_level, &level) == 0)
			log_setup(level, strcmp(d->opt->log_format, "json") == 0);
		log_info("reload: %s read; all but log-level and the token need a restart",
			 d->opt->config);
	}
}

static void tick(struct daemon *d, unsigned int n)
{
	pthread_mutex_lock(&d->lock);
	members_tick(d->book);
	/* Where a cgroup was missed: inotify has its limits. */
	book_tick(d->book, cgwatch_moved(d->cgwatch) || n % (10000 / TICK_MS) == 0);
	if (n % (10000 / TICK_MS) == 0)
		members_look_all(d->book);
	if (n % (1000 / TICK_MS) == 0) {
		meter_tick(d->meter);
		loud_tick(d->loud);
		if (bus_wanted(d->bus))
			bus_publish(d->bus, "counters", counters_json(d->engine, d->book, NULL));
	}
	pthread_mutex_unlock(&d->lock);
	if (n % (1000 / TICK_MS) == 0)
		experiments_tick(d->experiments);
}

/* What the lanes went through since the last look. */
static void watch_lane(struct daemon *d, struct engine_lane *before)
{
	struct engine_lane now;
	char text[160];

	engine_lane_stats(d->engine, &now);
	if (now.mended > before->mended) {
		snprintf(text, sizeof(text), "its devices were made right again, %llu times",
			 (unsigned long long)(now.mended - before->mended));
		history_add(d->history, "lane", "mended", NULL, json_pack("{s:s}", "detail", text));
	}
	if (now.lost_pkts > before->lost_pkts) {
		snprintf(text, sizeof(text), "it lost %llu packets in 10 s, asked for by no rule",
			 (unsigned long long)(now.lost_pkts - before->lost_pkts));
		history_add(d->history, "lane", "lost", NULL, json_pack("{s:s}", "detail", text));
	}
	*before = now;
}

static void tell_health(struct daemon *d)
{
	json_t *now;
	int rc;

	if (!bus_wanted(d->bus))
		return;
	now = health_json(&d->api, false, &rc);
	if (!json_equal(now, d->health))
		bus_publish(d->bus, "health", json_incref(now));
	json_decref(d->health);
	d->health = now;
}

static int serve(struct daemon *d, const sigset_t *signals)
{
	unsigned int ticks = 0;
	uint64_t next = sq_mono_ns();
	bool ill = false;
	struct engine_lane lane;

	engine_lane_stats(d->engine, &lane);
	for (;;) {
		uint64_t now = sq_mono_ns(), left;
		struct sq_error why = {0};
		struct timespec ts;
		int sig;

		if (now >= next) {
			tick(d, ++ticks);
			next += TICK_MS * 1000000ull;
			if (next < now)
				next = now; /* the machine slept */
			if (ticks % (10000 / TICK_MS) == 0) {
				bool now_ill = engine_health(d->engine, false, &why) != 0;

				if (now_ill != ill)
					log_line(now_ill ? LOG_L_ERROR : LOG_L_INFO,
						 now_ill ? "health: %s" : "health: good again%s",
						 why.text);
				if (now_ill != ill)
					history_add(d->history, "health", now_ill ? "ill" : "well",
						    NULL, json_pack("{s:s}", "detail", why.text));
				ill = now_ill;
				watch_lane(d, &lane);
				tell_health(d);
			}
			continue;
		}
		left = next - now;
		ts.tv_sec = (time_t)(left / 1000000000u);
		ts.tv_nsec = (long)(left % 1000000000u);
		sig = sigtimedwait(signals, NULL, &ts);
		if (sig == SIGHUP)
			reload(d);
		else if (sig > 0)
			return sig;
	}
}

static void restore(struct daemon *d)
{
	json_t *rules = state_load(d->state, "rules"), *profiles = state_load(d->state, "profiles"),
	       *schedules = state_load(d->state, "schedules"), *ecs = state_load(d->state, "ecs");

	pthread_mutex_lock(&d->lock);
	profiles_restore(d->profiles, profiles);
	book_restore(d->book, rules);
	schedules_restore(d->schedules, schedules);
	json_decref(d->ecs.faults);
	ecs_restore(&d->ecs, ecs);
	reconcile_restored(&d->reconcile);
	pthread_mutex_unlock(&d->lock);
	json_decref(rules);
	json_decref(profiles);
	json_decref(schedules);
	json_decref(ecs);
}

static int fail_with(const char *text)
{
	log_error("%s", text);
	return 1;
}

static int out_of_memory(struct sq_error *error)
{
	return sq_error_set(error, -ENOMEM, NULL, "out of memory");
}

/* Each part gets what it uses. The engine is there; nothing is in force yet. */
static int wire(struct daemon *d, struct sq_error *error)
{
	struct schedule_uses uses = {.lock = &d->lock};

	if (bus_new(&d->bus) < 0 || targets_new(d->engine, d->bus, &d->targets) < 0 ||
	    book_new(d->engine, d->targets, d->bus, d->state, &d->book) < 0 ||
	    profiles_new(d->state, &d->profiles) < 0)
		return out_of_memory(error);
	bus_record(d->bus, history_hear, d->history);
	if (experiments_open(d->opt->state_dir, d->bus, d->history, &d->experiments, error) < 0)
		return -EINVAL;
	uses.targets = d->targets;
	uses.book = d->book;
	uses.profiles = d->profiles;
	uses.bus = d->bus;
	uses.state = d->state;
	if (schedules_new(&uses, &d->schedules) < 0 ||
	    clear_new(d->book, d->schedules, &d->clear) < 0 ||
	    meter_new(d->book, d->engine, d->bus, &d->meter) < 0 ||
	    loud_new(d->targets, d->bus, d->opt->traffic, &d->loud) < 0)
		return out_of_memory(error);
	state_register_slow(d->state, STATE_RULES, "rules", &book_saver, d->book);
	state_register(d->state, STATE_PROFILES, "profiles", profiles_save, d->profiles);
	state_register(d->state, STATE_SCHEDULES, "schedules", schedules_save, d->schedules);
	d->dockertc = (struct dockertc){
		.direction = dockertc_direction(d->opt->docker_tc_direction),
		.lock = &d->lock,
		.engine = d->engine,
		.targets = d->targets,
		.book = d->book,
	};
	d->ecs = (struct ecs){&d->lock, d->targets, d->book, d->state, json_object()};
	state_register(d->state, STATE_ECS, "ecs", ecs_save, &d->ecs);
	members_watch(d->book);
	d->reconcile = (struct reconcile){d->book, d->schedules, dockertc_labels, &d->dockertc,
					  d->targets};
	targets_listen(d->targets, &reconcile_events, &d->reconcile);
	return 0;
}

/* What a request may ask: the parts that run by now. */
static int wire_api(struct daemon *d)
{
	d->api = (struct api){
		.opt = d->opt,
		.started_ms = d->started_ms,
		.lock = &d->lock,
		.engine = d->engine,
		.targets = d->targets,
		.book = d->book,
		.profiles = d->profiles,
		.schedules = d->schedules,
		.clear = d->clear,
		.state = d->state,
		.history = d->history,
		.experiments = d->experiments,
		.bus = d->bus,
		.meter = d->meter,
		.loud = d->loud,
		.http = d->http,
		.docker = d->docker,
		.cgwatch = d->cgwatch,
		.dockertc = &d->dockertc,
		.ecs = &d->ecs,
	};
	if (events_new(&d->api, &d->events) < 0)
		return -ENOMEM;
	d->api.events = d->events;
	return 0;
}

static int open_history(struct daemon *d, struct sq_error *err)
{
	int rc = history_open(d->opt->state_dir, &d->history);

	if (rc < 0)
		sq_error_set(err, rc, NULL,
			     "--state-dir: history.jsonl in %.200s cannot be opened: %s",
			     d->opt->state_dir, strerror(-rc));
	return rc;
}

/* What can fail without touching the network: state directory, ports, token. */
static int prepare(struct daemon *d, struct sq_error *err)
{
	struct httpd_policy policy = {
		.token_file = d->opt->token_file,
		.allow_host = d->opt->allow_host,
		.n_allow_host = d->opt->n_allow_host,
		.host_remedy = ", and names given with --allow-host",
		.only_group = strcmp(d->opt->loopback, "open") != 0,
		.group = d->opt->socket_group,
	};

	if (httpd_guard_new(&policy, &d->guard, err) < 0 ||
	    state_open(d->opt->state_dir, &d->lock, &d->state, err) < 0 ||
	    open_history(d, err) < 0 || http_bind(d->opt, d->guard, &d->http, err) < 0)
		return -EINVAL;
	return 0;
}

static void set_up_process(const struct daemon *d, sigset_t *signals)
{
	struct sq_error err = {0};

	sigemptyset(signals);
	sigaddset(signals, SIGTERM);
	sigaddset(signals, SIGINT);
	sigaddset(signals, SIGHUP);
	pthread_sigmask(SIG_BLOCK, signals, NULL);
	signal(SIGPIPE, SIG_IGN);
	curl_global_init(CURL_GLOBAL_DEFAULT);
	mount_bpffs(d->opt->pin_dir);
	spare_me();
	if (harden(&err) < 0)
		log_warn("%s; going on without", err.text);
}

static int open_engine(struct daemon *d, struct sq_error *error)
{
	struct engine_options eo = {
		.pin_dir = d->opt->pin_dir,
		.lane = d->opt->lane,
		.lane_memory = d->opt->lane_bytes,
		.ifaces = d->opt->n_iface ? d->opt->iface : NULL,
		.lo_off = !strcmp(d->opt->lo, "off"),
		.probe_missing = d->opt->probe_missing,
		.control_port = http_port(d->http),
	};

	return engine_open(&eo, &d->engine, error);
}

static void cgroup_made(void *arg, const char *path)
{
	struct daemon *d = arg;

	pthread_mutex_lock(&d->lock);
	reconcile_cgroup(&d->reconcile, path);
	pthread_mutex_unlock(&d->lock);
}

/* Threads, in the order in which they are stopped backwards; the last one serves. */
static int start(struct daemon *d, struct sq_error *err)
{
	struct docker_uses docker = {d->opt->docker_socket, &d->lock, d->targets, d->engine};
	struct cgwatch_uses cgroups = {d->bus, cgroup_made, d};

	if (state_start(d->state) < 0 || history_start(d->history) < 0 ||
	    schedules_start(d->schedules) < 0 || docker_start(&docker, &d->docker) < 0 ||
	    cgwatch_start(&cgroups, &d->cgwatch) < 0 || wire_api(d) < 0)
		return sq_error_set(err, -EAGAIN, NULL, "cannot start a thread");
	return http_start(d->http, &api_app, &d->api, err);
}

static void say_listeners(struct daemon *d)
{
	json_t *listeners = http_listeners(d->http), *one;
	size_t i;

	json_array_foreach(listeners, i, one) log_info("serving on %s", json_string_value(one));
	json_decref(listeners);
}

static void stop(struct daemon *d)
{
	bool keep = !d->book; /* not wired: what the kernel has stays */

	events_stop(d->events);
	http_stop(d->http);
	docker_stop(d->docker);
	cgwatch_stop(d->cgwatch);
	schedules_stop(d->schedules);
	if (d->book) {
		pthread_mutex_lock(&d->lock);
		keep = book_any_keep(d->book);
		pthread_mutex_unlock(&d->lock);
		if (keep)
			log_info("rules with \"on-crash keep\" are in force: programs stay "
				 "attached; `squalld --cleanup` removes them");
	}
	state_close(d->state, !keep);
	events_free(d->events);
	experiments_free(d->experiments);
	bus_free(d->bus);
	history_add(d->history, "squalld", "stopped", NULL, NULL);
	history_close(d->history);
	if (d->engine)
		engine_close(d->engine, keep);
	clear_free(d->clear);
	meter_free(d->meter);
	loud_free(d->loud);
	json_decref(d->health);
	json_decref(d->ecs.faults);
	schedules_free(d->schedules);
	profiles_free(d->profiles);
	book_free(d->book);
	targets_free(d->targets);
	http_free(d->http);
	httpd_guard_free(d->guard);
}

static int run(struct daemon *d)
{
	struct sq_error err = {0};
	sigset_t signals;
	int lock, rc = 1;

	lock = process_lock(d->opt->pin_dir, &err);
	if (lock < 0)
		return fail_with(err.text);
	process_lock_sweep();
	if (prepare(d, &err) < 0) {
		fail_with(err.text);
		goto out;
	}
	set_up_process(d, &signals);
	if (open_engine(d, &err) < 0 || wire(d, &err) < 0) {
		fail_with(err.text);
		goto out;
	}
	restore(d);
	/* From here on a crash is no good order: what the last end left in the file must not
	 * bring back what is deleted in the next milliseconds. */
	state_flush(d->state, STATE_RULES);
	if (start(d, &err) < 0) {
		fail_with(err.text);
		goto out;
	}
	say_listeners(d);
	history_add(d->history, "squalld", "started", NULL, NULL);
	notify_manager("READY=1");
	rc = serve(d, &signals);
	notify_manager("STOPPING=1");
	log_info("stopping on %s", rc == SIGTERM ? "SIGTERM" : "SIGINT");
	rc = 0;
out:
	stop(d);
	process_unlock(d->opt->pin_dir, lock);
	return rc;
}

int main(int argc, char **argv)
{
	static struct options opt;
	static struct daemon d = {.opt = &opt, .lock = PTHREAD_MUTEX_INITIALIZER};
	struct sq_error err = {0};
	int rc, lock;

	if (opt_completed(&squalld_table, argc, argv))
		return 0;
	if (options_parse(argc, argv, &opt, &err) < 0) {
		fprintf(stderr, "squalld: %s\n", err.text);
		return 2;
	}
	if (opt.help || opt.man) {
		(opt.man ? man_page : help_top)(&squalld_table, stdout);
		return 0;
	}
	if (opt.completion)
		return opt_shell(&squalld_table, stdout, opt.completion, &err) ? 2 : 0;
	if (opt.version) {
		puts("squalld " SQUALL_VERSION);
		return 0;
	}
	log_setup(opt.level, strcmp(opt.log_format, "json") == 0);
	d.started_ms = sq_real_ms();
	if (opt.cleanup) {
		lock = process_lock(opt.pin_dir, &err);
		if (lock < 0)
			return fail_with(err.text);
		process_lock_sweep();
		rc = engine_cleanup(opt.pin_dir, &err);
		process_unlock(opt.pin_dir, lock);
		if (rc < 0)
			return fail_with(err.text);
		log_info("nothing of squalld is left under %s", opt.pin_dir);
		return 0;
	}
	return run(&d);
}
