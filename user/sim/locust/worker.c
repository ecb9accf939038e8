// SPDX-License-Identifier: GPL-2.0-only
/*
 * The worker's state machine. Its thread talks to the engine and to the
 * connection's thread; heartbeats do not pass through here.
 *
 *            spawn                 smeared, connected
 *   READY ----------> SPAWNING -----------------------> RUNNING
 *     ^                  ^  \______________ spawn ________/ |
 *     |                  +---------------------------------+
 *     |  all devices gone, last report, client_stopped, client_ready
 *     +-------------- STOPPING <---- stop
 *
 * quit, from any state: devices stop, last report at once (the master waits
 * half a second), end. Without a master for a minute: devices stop, READY.
 *
 * The user counts that a master is told are connections that the broker has
 * accepted, not devices that try: what the chart shows is what the broker sees.
 */
#include "sim/locust/worker_inside.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "sim/locust/say.h"
#include "sim/sim.h"

#define S_NS	  1000000000ull
#define MS_NS	  1000000ull
#define REPORT_NS (3 * S_NS) /* Locust's WORKER_REPORT_INTERVAL */
/* A changed user count is told sooner, so that the chart follows the ramp. */
#define COUNTS_NS (S_NS / 2)
/*
 * A master sends a step of a ramp every floor(rate)/rate seconds: more than 0.5
 * and at most 1, or longer with one user per step. It wants to hear of the last
 * step within a second, so a step is smeared over a little less than its share.
 */
#define STEP_MIN_NS (S_NS / 2)
#define STEP_MAX_NS S_NS
#define STEP_PART   0.9
#define SETTLE_NS   (50 * MS_NS) /* for the last CONNACKs of a step */
/* The master itself waits 60 s for all workers to stop. */
#define STOP_NS	  (20 * S_NS)
#define QUIT_NS	  (300 * MS_NS)
#define HUSH_PART 0.75 /* of that, for what is in flight; then they disconnect */

/* Said here, and shown in Locust's table of exceptions. */
__attribute__((format(printf, 2, 3))) static void complain(struct worker *w, const char *fmt, ...)
{
	char line[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	locust_say("%s", line);
	/* A master groups by the traceback's text. */
	locust_conn_exception(w->conn, line, line);
}

static void set_state(struct worker *w, enum state state)
{
	static const char *const text[] = {
		[READY] = "ready",
		[SPAWNING] = "spawning",
		[RUNNING] = "running",
		/* Locust's own workers are "running" until they have stopped. */
		[STOPPING] = "running",
	};

	w->state = state;
	locust_conn_state(w->conn, text[state]);
}

/* --- counts and reports --------------------------------------------------------- */

/* Live connections per class, in w->classes; returns their sum. */
static int64_t count_users(struct worker *w)
{
	struct sim_counts c;
	int64_t users = 0;
	unsigned int t;

	for (t = 0; t < w->types; t++) {
		sim_engine_counts(w->engine, (int)t, &c);
		w->classes[t].count = c.connected;
		users += c.connected;
	}
	return users;
}

static uint32_t running(struct worker *w)
{
	struct sim_counts c;

	sim_engine_counts(w->engine, -1, &c);
	return c.running;
}

static void report(struct worker *w)
{
	struct locust_report r;
	int64_t users;
	int err;

	/* Not taken unless it leaves: what a master misses stays for the next one. */
	if (!locust_conn_ready(w->conn))
		return;
	users = count_users(w);
	err = locust_reporter_take(w->reporter, &r);
	r.classes = w->classes;
	r.n_classes = w->n_classes;
	if (!err)
		err = locust_conn_stats(w->conn, &r);
	if (err)
		locust_say("a report was lost: %s", strerror(-err));
	w->told_users = users;
	w->reported = locust_now_ns();
	w->next_report = w->reported + REPORT_NS;
}

static void summary(struct worker *w)
{
	if (w->run_open)
		locust_reporter_print(w->reporter, stdout, w->opts.json);
	w->run_open = false;
	locust_reporter_reset(w->reporter);
}

/* --- targets ---------------------------------------------------------------------- */

static void stop_devices(struct worker *w)
{
	unsigned int t;

	for (t = 0; t < w->types; t++) {
		w->target[t] = 0;
		sim_engine_target(w->engine, t, 0, 0);
	}
}

/* Publishers first, then those who hear them; hushed() says when. */
static void hush_devices(struct worker *w, uint64_t ns)
{
	memset(w->target, 0, sizeof(w->target));
	sim_engine_hush(w->engine, ns);
}

static int find_class(struct worker *w, const char *name)
{
	unsigned int i;

	for (i = 0; i < w->n_classes; i++)
		if (!strcmp(w->classes[i].name, name))
			return (int)i;
	return -1;
}

/* Told back with a count of 0, so that the master's sums stay true. */
static void unknown_class(struct worker *w, const struct locust_class *asked)
{
	int i = find_class(w, asked->name);
	char have[512] = "";
	unsigned int t;

	if (i < 0) {
		if (w->n_classes == LOCUST_CLASSES_MAX)
			return;
		i = (int)w->n_classes++;
		w->classes[i] = (struct locust_class){0};
		memcpy(w->classes[i].name, asked->name, sizeof(asked->name));
	}
	if (!asked->count || w->told_unknown[i])
		return;
	w->told_unknown[i] = true;
	for (t = 0; t < w->types && strlen(have) + LOCUST_NAME_MAX + 2 < sizeof(have); t++)
		sprintf(have + strlen(have), "%s%s", t ? ", " : "", w->classes[t].name);
	complain(w,
		 "the master asks for users of class %s, which the fleet file has no device type "
		 "for (it has: %s); none are started. Make its locustfile with squall-sim "
		 "locustfile",
		 asked->name, have);
}

/*
 * Workers share a fleet file, so their devices would have the same names and
 * throw each other out at the broker. Each numbers its devices from its own
 * index on; only while none runs, since names are made when a device starts.
 */
static void own_names(struct worker *w)
{
	/* Masters up to 2.10.2 give no index: some block, most likely an own one. */
	uint64_t block = (uint64_t)(w->index >= 0 ? w->index : getpid() % 1000),
		 before = block * w->opts.max_devices;
	static const char *const key[] = {"first", "credentials-skip"};
	char first[24], skip[24];
	const char *value[] = {first, skip};
	struct sq_error err;
	unsigned int t;

	w->nameless = false;
	for (t = 0; t < w->types; t++) {
		snprintf(first, sizeof(first), "%" PRIu64, w->first[t] + before);
		snprintf(skip, sizeof(skip), "%" PRIu64, w->skip[t] + before);
		if (!sim_engine_override_n(w->engine, (int)t, key, value, w->rows[t] ? 2 : 1, &err))
			continue;
		w->nameless = true;
		complain(w,
			 "%s; no device is started: this is worker %" PRIu64
			 " (from 0, and whoever joins anew counts anew), and each takes the "
			 "numbers and rows of its --max-devices %u: start it with a smaller one, "
			 "give it more rows, or start the master anew",
			 err.text, block, w->opts.max_devices);
	}
}

/* How long the step lasts that a spawn message starts. */
static uint64_t step_ns(struct worker *w, double timestamp, uint64_t now)
{
	double gap = (timestamp - w->last_timestamp) * 1e9;

	if (w->last_timestamp <= 0 || now - w->spawned_at > 2 * STEP_MAX_NS ||
	    gap > 2.0 * STEP_MAX_NS)
		return STEP_MAX_NS; /* the first of a ramp */
	return gap < STEP_MIN_NS ? STEP_MIN_NS : gap > STEP_MAX_NS ? STEP_MAX_NS : (uint64_t)gap;
}

/* The absolute targets of a spawn message, by device type. */
static int set_targets(struct worker *w, const struct locust_msg *m, uint64_t over)
{
	uint32_t want[SIM_MAX_TYPES] = {0};
	unsigned int i;
	int r = 0, c;

	for (i = 0; i < m->n_classes; i++) {
		c = find_class(w, m->classes[i].name);
		if (c < 0 || (unsigned int)c >= w->types)
			unknown_class(w, &m->classes[i]);
		else
			want[c] = (uint32_t)m->classes[i].count;
	}
	/* Down before up, so that a change of the mix fits in between. */
	for (i = 0; i < w->types; i++)
		if (want[i] < w->target[i] && !sim_engine_target(w->engine, i, want[i], over))
			w->target[i] = want[i];
	for (i = 0; i < w->types; i++) {
		if (want[i] <= w->target[i])
			continue;
		c = sim_engine_target(w->engine, i, want[i], over);
		if (c)
			r = c;
		else
			w->target[i] = want[i];
	}
	return r;
}

static void on_spawn(struct worker *w, const struct locust_msg *m)
{
	uint64_t now = locust_now_ns(), step;
	struct sq_error err;

	locust_conn_spawning(w->conn);
	if (m->timestamp <= w->last_timestamp) {
		if (!w->told_old)
			locust_say("ignored a spawn message that is older than the one before "
				   "(said once per master)");
		w->told_old = true;
		return;
	}
	step = step_ns(w, m->timestamp, now);
	w->last_timestamp = m->timestamp;
	w->spawned_at = now;
	w->grace_until = 0;
	if (w->state == READY && !running(w)) {
		uint64_t late = locust_reporter_discard(w->reporter);

		if (late)
			locust_say("%" PRIu64
				   " results came after the last report of the run before; "
				   "not counted",
				   late);
		locust_reporter_reset(w->reporter);
		memset(w->told_unknown, 0, sizeof(w->told_unknown));
		own_names(w);
	}
	w->run_open = true;
	if (w->nameless) {
		stop_devices(w);
	} else if (locust_settings_apply(w->settings, m, &err)) {
		complain(w, "%s; no device is started until this is put right", err.text);
		stop_devices(w);
	} else if (set_targets(w, m, (uint64_t)((double)step * STEP_PART)) == -E2BIG) {
		complain(w,
			 "the master asks for more users than this worker takes: start it with a "
			 "larger --max-devices, or start more workers");
	}
	set_state(w, SPAWNING);
	w->step_end = now + (uint64_t)((double)step * STEP_PART);
}

static void spawning_complete(struct worker *w, uint64_t now)
{
	struct sim_counts c;
	bool all = true;
	unsigned int t;

	if (now < w->step_end)
		return;
	for (t = 0; t < w->types; t++) {
		sim_engine_counts(w->engine, (int)t, &c);
		all &= c.connected == w->target[t];
	}
	/* Devices that cannot connect do not hold the ramp up. */
	if (!all && now < w->step_end + SETTLE_NS)
		return;
	w->told_users = count_users(w);
	if (locust_conn_spawning_complete(w->conn, w->classes, w->n_classes) == -EAGAIN)
		return;
	w->reported = now;
	set_state(w, RUNNING);
}

/* --- stop and quit ------------------------------------------------------------------ */

/* Whoever asked for it has since said otherwise, or is gone. */
static void drop_deferred(struct worker *w)
{
	locust_event_free(w->deferred);
	w->deferred = NULL;
}

static void on_stop(struct worker *w)
{
	uint64_t ns = w->stop_timeout > 0 ? (uint64_t)(w->stop_timeout * 1e9) : STOP_NS;

	faults_clear(w->faults, "the run stops");
	drop_deferred(w);
	hush_devices(w, (uint64_t)((double)ns * HUSH_PART));
	set_state(w, STOPPING);
	w->stop_by = locust_now_ns() + ns;
}

static void stopped(struct worker *w, uint64_t now)
{
	bool hushed = sim_engine_hushed(w->engine);
	uint32_t left = running(w);

	/* What was set is answered for while there is somebody to hear it. */
	if ((!hushed || !faults_idle(w->faults)) && now < w->stop_by)
		return;
	if (!hushed)
		sim_engine_unhush(w->engine);
	/* Deltas first: after client_stopped the master has no such worker. */
	if (w->joined && !locust_conn_ready(w->conn))
		return;
	if (left)
		locust_say(
			"%u devices still wait for an acknowledgement; the run ends without them",
			left);
	report(w);
	locust_conn_rejoin(w->conn);
	set_state(w, READY);
	summary(w);
}

static void nap(uint64_t ns)
{
	struct timespec ts = {.tv_sec = 0, .tv_nsec = (long)ns};

	nanosleep(&ts, NULL);
}

void locust_worker_finish(struct worker *w, uint64_t ns)
{
	uint64_t end = locust_now_ns() + ns;

	faults_clear(w->faults, "the run is over");
	hush_devices(w, (uint64_t)((double)ns * HUSH_PART));
	while ((!sim_engine_hushed(w->engine) || !faults_idle(w->faults)) && locust_now_ns() < end)
		nap(5 * MS_NS);
	if (!sim_engine_hushed(w->engine))
		sim_engine_unhush(w->engine);
	while (w->joined && !locust_conn_ready(w->conn) && locust_now_ns() < end)
		nap(MS_NS);
	report(w);
	summary(w);
}

static void on_quit(struct worker *w)
{
	locust_say("the master quits");
	drop_deferred(w);
	locust_worker_finish(w, QUIT_NS);
	if (!w->opts.stay) {
		w->ended = true;
		return;
	}
	/* Give the report the time to leave before the socket goes. */
	while (!locust_conn_ready(w->conn) && w->joined && locust_now_ns() < w->reported + QUIT_NS)
		nap(MS_NS);
	locust_conn_reset(w->conn);
	set_state(w, READY);
}

/* --- events ---------------------------------------------------------------------------- */

/* Custom messages are for locustfiles that know of them. Each type is said once. */
static void unknown_message(struct worker *w, const char *type)
{
	unsigned int i;

	for (i = 0; i < w->n_said; i++)
		if (!strcmp(w->said[i], type))
			return;
	if (w->n_said == SAID_MAX)
		return;
	snprintf(w->said[w->n_said++], LOCUST_NAME_MAX, "%s", type);
	locust_say("ignores messages of type '%s'", type);
}

static void on_message(struct worker *w, struct locust_event *ev)
{
	struct locust_msg *m = &ev->msg;

	switch (m->kind) {
	case LOCUST_SPAWN:
		w->stop_timeout = m->stop_timeout;
		if (w->state == STOPPING) {
			drop_deferred(w);
			w->deferred = ev;
			return;
		}
		on_spawn(w, m);
		break;
	case LOCUST_STOP:
		on_stop(w);
		break;
	case LOCUST_QUIT:
		on_quit(w);
		break;
	case LOCUST_SPAWNING_COMPLETE:
	case LOCUST_UPDATE_USER_CLASS:
		break;
	case LOCUST_FAULT:
		faults_take(w->faults, m->fault);
		m->fault = NULL;
		break;
	default:
		unknown_message(w, m->type);
	}
	locust_event_free(ev);
}

void locust_worker_event(struct worker *w, struct locust_event *ev)
{
	uint64_t now = locust_now_ns();

	switch (ev->kind) {
	case LOCUST_EV_UP:
		w->joined = true;
		w->alone_since = 0;
		w->index = ev->msg.index;
		/* Another master may have another clock, and other classes. */
		w->last_timestamp = 0;
		w->n_classes = w->types;
		w->told_old = false;
		if (w->state == SPAWNING || w->state == RUNNING) {
			set_state(w, READY);
			w->grace_until = now + w->opts.grace_ms * MS_NS;
		}
		break;
	case LOCUST_EV_REJOINED:
		w->joined = true;
		break;
	case LOCUST_EV_DOWN:
		w->joined = false;
		w->alone_since = now;
		drop_deferred(w);
		/* Nobody is left who could take them away. */
		faults_clear(w->faults, "the master is gone");
		break;
	case LOCUST_EV_GIVE_UP:
		locust_say("no Locust master at %s:%u for %u s: giving up", w->opts.master.host,
			   w->opts.master.port, w->opts.master.give_up_s);
		w->exit_code = SIM_EXIT_FAIL;
		w->ended = true;
		break;
	case LOCUST_EV_MSG:
		on_message(w, ev);
		return;
	}
	locust_event_free(ev);
}

static void health(struct worker *w, uint64_t now)
{
	struct sq_error err;

	if (now < w->checked + S_NS)
		return;
	w->checked = now;
	if (!sim_engine_health(w->engine, &err))
		return;
	complain(w, "%s", err.text);
	w->exit_code = SIM_EXIT_FAIL;
	w->ended = true;
}

void locust_worker_tick(struct worker *w)
{
	uint64_t now = locust_now_ns();

	if (w->alone_since && now - w->alone_since > w->opts.alone_ms * MS_NS) {
		w->alone_since = 0;
		if (running(w)) {
			locust_say("no master for %u s: %u devices stop", w->opts.alone_ms / 1000,
				   running(w));
			stop_devices(w);
			summary(w);
		}
		set_state(w, READY);
	}
	if (w->grace_until && now > w->grace_until) {
		w->grace_until = 0;
		locust_say("the new master asks for no users: %u devices stop", running(w));
		stop_devices(w);
	}
	if (w->state == SPAWNING)
		spawning_complete(w, now);
	if (w->state == STOPPING)
		stopped(w, now);
	if (w->state != STOPPING && w->deferred) {
		struct locust_event *ev = w->deferred;

		w->deferred = NULL;
		on_spawn(w, &ev->msg);
		locust_event_free(ev);
	}
	if (now >= w->next_report ||
	    (now >= w->reported + COUNTS_NS && count_users(w) != w->told_users))
		report(w);
	health(w, now);
}
