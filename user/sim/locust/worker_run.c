// SPDX-License-Identifier: GPL-2.0-only
/* The worker's start, loop and end. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include "sim/locust/say.h"
#include "sim/locust/worker_inside.h"
#include "sim/sim.h"

#define S_NS	 1000000000ull
#define ALONE_MS 60000
/* A new master that says nothing of our devices did not ask for them. */
#define GRACE_MS 10000

/* How long nothing is due. */
static int wait_ms(const struct worker *w)
{
	if (w->state == STOPPING || w->deferred)
		return 5;
	return w->state == SPAWNING ? 10 : 100;
}

static void loop(struct worker *w, int signal_fd)
{
	struct signalfd_siginfo si;
	struct locust_event *ev;

	while (!w->ended) {
		struct pollfd p[2] = {
			{.fd = locust_conn_fd(w->conn), .events = POLLIN},
			{.fd = signal_fd, .events = POLLIN},
		};

		if (poll(p, 2, wait_ms(w)) < 0 && errno != EINTR)
			break;
		while (!w->ended && (ev = locust_conn_next(w->conn)))
			locust_worker_event(w, ev);
		if (p[1].revents && read(signal_fd, &si, sizeof(si)) == sizeof(si)) {
			locust_say("%s: stopping", strsignal((int)si.ssi_signo));
			locust_worker_finish(w, 5 * S_NS);
			w->ended = true;
			locust_conn_quit(w->conn);
		}
		if (!w->ended)
			locust_worker_tick(w);
	}
}

static int tell_master(void *conn, const struct fault_answer *a)
{
	return locust_conn_fault_answer(conn, a);
}

static int start_faults(struct worker *w)
{
	struct faults_opts *o = &w->opts.faults;

	o->master = w->opts.master.host;
	o->master_port = w->opts.master.port;
	o->answer = tell_master;
	o->arg = w->conn;
	o->say = locust_say;
	return faults_new(o, &w->faults);
}

static int init(struct worker *w)
{
	struct sim_profile *p = malloc(sizeof(*p));
	unsigned int t;
	int r;

	if (!p)
		return -ENOMEM;
	w->types = sim_engine_types(w->engine);
	w->n_classes = w->types;
	for (t = 0; t < w->types; t++) {
		locust_class_name(sim_engine_type_name(w->engine, t), w->classes[t].name,
				  sizeof(w->classes[t].name));
		if (sim_engine_profile(w->engine, t, p))
			continue;
		w->first[t] = p->first;
		w->skip[t] = p->credentials_skip;
		w->rows[t] = *p->credentials;
	}
	free(p);
	r = locust_reporter_new(w->engine, &w->reporter);
	if (!r)
		r = locust_settings_new(w->engine, w->opts.allow_files, &w->settings);
	if (!r)
		r = locust_conn_new(&w->opts.master, &w->conn);
	if (!r)
		r = start_faults(w);
	return r;
}

int locust_worker_run(struct sim_engine *engine, const struct locust_worker_opts *opts)
{
	struct worker *w = calloc(1, sizeof(*w));
	uint64_t late;
	int signal_fd, r, code = SIM_EXIT_FAIL;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (!w || signal_fd < 0)
		goto out;
	w->engine = engine;
	w->opts = *opts;
	if (!w->opts.alone_ms)
		w->opts.alone_ms = ALONE_MS;
	if (!w->opts.grace_ms)
		w->opts.grace_ms = GRACE_MS;
	r = init(w);
	if (r) {
		locust_say("cannot start: %s", strerror(-r));
		goto out;
	}
	locust_say("looking for a Locust master at %s:%u", opts->master.host, opts->master.port);
	loop(w, signal_fd);
	code = w->exit_code;
	faults_free(w->faults); /* before its conn */
	w->faults = NULL;
	locust_conn_free(w->conn, 1000);
	w->conn = NULL;
	sim_engine_stop(engine, S_NS);
	late = locust_reporter_discard(w->reporter);
	if (late)
		locust_say("%" PRIu64 " results came too late for the last report", late);
out:
	if (w) {
		locust_event_free(w->deferred);
		faults_free(w->faults);
		if (w->conn)
			locust_conn_free(w->conn, 0);
		if (w->reporter)
			locust_reporter_free(w->reporter);
		locust_settings_free(w->settings);
	}
	free(w);
	if (signal_fd >= 0)
		close(signal_fd);
	return code;
}
