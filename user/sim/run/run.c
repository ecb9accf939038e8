// SPDX-License-Identifier: GPL-2.0-only
/* squall-sim run: a fleet against a broker, from the command line. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include "sim/base/cgroup.h"
#include "sim/run/run.h"
#include "sim/base/clock.h"
#include "sim/sim.h"
#include "sim/engine/paho.h"
#include "sim/fleet/bind.h"
#include "sim/fleet/creds.h"
#include "sim/fleet/tls.h"
#include "sim/web/web.h"

#define NS_S 1000000000ull

/* That n devices of a type have names of their own, or could have. */
static int check_identity(struct sim_profile *p, uint32_t n, struct sq_error *err)
{
	if (n < 2 || strstr(p->client_id, "{index}"))
		return 0;
	/* sim_creds_check() makes all of them, and finds two that are the same. */
	if (*p->credentials &&
	    (strcmp(p->client_id, "{thing}") ? strchr(p->client_id, '{') : strchr(p->thing, '{')))
		return 0;
	if (strstr(p->client_id, "{thing}") && strstr(p->thing, "{index}"))
		return 0;
	if (!strcmp(p->client_id, "{thing}")) {
		/* One thing, many connections: as the project this continues did it. */
		snprintf(p->client_id, sizeof(p->client_id), "{thing}-{index}");
		return 0;
	}
	if (!*p->client_id)
		return 0;
	return sq_bad(err,
		      "client-id '%.100s': %u devices of type %s need {index} or {thing} in "
		      "it, or they throw each other out",
		      p->client_id, n, p->name);
}

int sim_run_names(struct sim_fleet *fleet, const uint32_t *count, struct sq_error *err)
{
	uint32_t some[SIM_MAX_TYPES];
	int rc = 0;

	for (unsigned i = 0; i < fleet->ntypes && !rc; i++) {
		/* How many there will be is not known: more than one of each. */
		some[i] = count ? count[i] : 1;
		rc = check_identity(&fleet->type[i], count ? count[i] : 2, err);
	}
	return rc ? rc : sim_creds_shared(fleet, some, err);
}

/* An account of AWS IoT Core is one for all types. */
static int check_account(const struct sim_run *r, const struct sim_fleet *fleet,
			 const uint32_t *count, struct sq_error *err)
{
	double sum = 0;

	for (unsigned i = 0; i < fleet->ntypes; i++) {
		if (fleet->type[i].aws &&
		    (!r->ramp_milli || r->ramp_milli > SIM_AWS_CONNECTS * 1000))
			return sq_bad(err, "ramp: preset aws-iot-core: at most 500 connects per "
					   "second: --ramp 500/s or less");
		sum += sim_aws_publishes(&fleet->type[i], count[i]);
	}
	return sum > SIM_AWS_PUBLISHES
		       ? sq_bad(err,
				"devices %u: preset aws-iot-core: together %.0f publishes per "
				"second, and an account has %d",
				r->devices, sum, SIM_AWS_PUBLISHES)
		       : 0;
}

int sim_run_check(struct sim_run *r, struct sim_fleet *fleet, uint32_t *count, struct sq_error *err)
{
	bool idle = *r->web && !r->devices;
	int rc;

	sim_fleet_split(fleet, r->devices, count);
	for (unsigned i = 0; i < r->nfail_if; i++) {
		rc = sim_failif_check(r->fail_if[i], fleet, err);
		if (rc)
			return rc;
	}
	rc = sim_fleet_needs(fleet, !*r->web, err);
	rc = rc ? rc : sim_run_names(fleet, idle ? NULL : count, err);
	rc = rc ? rc : check_account(r, fleet, count, err);
	if (rc)
		return rc;
	for (unsigned i = 0; i < fleet->ntypes; i++) {
		struct sim_profile *p = &fleet->type[i];

		rc = sim_profile_check(p, err);
		if (!rc)
			rc = sim_profile_check_last(p, count[i], err);
		if (!rc)
			rc = sim_bind_check(p, count[i], err);
		if (!rc)
			rc = sim_creds_check(p, count[i], err);
		if (!rc)
			rc = sim_tls_check(p, count[i], err);
		if (rc)
			return rc;
		if (p->engine == SIM_PAHO && count[i] > SIM_PAHO_MAX)
			return sq_bad(err,
				      "devices %u: client paho takes at most %d (its global "
				      "locks and linear searches would be what is measured); use "
				      "client lean",
				      count[i], SIM_PAHO_MAX);
	}
	return 0;
}

void sim_run_init(struct sim_run *r, struct sim_profile *base)
{
	sim_profile_init(base);
	r->ramp_milli = 100000;
	r->drain_ns = 10 * NS_S;
}

int sim_run_prepare(struct sim_run *r, struct sim_profile *base, struct sim_fleet *fleet,
		    uint32_t *count, struct sq_error *err)
{
	int rc;

	if (*r->fleet) {
		rc = sim_fleet_load_run(r->fleet, r, base, fleet, err);
		if (rc)
			return rc;
	} else {
		fleet->ntypes = 1;
		fleet->type = malloc(sizeof(*base));
		if (!fleet->type)
			return sq_bad(err, "out of memory");
		*fleet->type = *base;
	}
	rc = sim_run_needs(r, fleet, err);
	return rc ? rc : sim_run_check(r, fleet, count, err);
}

/* --- the run ------------------------------------------------------------------------------ */

struct live {
	struct sim_run *r;
	struct sim_engine *e;
	struct sim_tally *t;
	FILE *history;
	bool tty, first, hushed;
	uint64_t start_ns;
	unsigned storms;
	uint64_t total; /* messages after which all have done their --count; 0: goes on */
};

static void second(struct live *l)
{
	sim_tally_update(l->t);
	pthread_mutex_lock(&l->t->lock);
	if (l->hushed && !strcmp(l->t->state, "stopping"))
		l->t->state = "stopped";
	if (l->history)
		sim_csv_history(l->t, l->history);
	if (l->r->quiet)
		;
	else if (l->r->json)
		sim_show_json(l->t, stdout, false);
	else if (l->tty)
		sim_show_table(l->t, stdout, !l->first);
	else
		sim_show_line(l->t, stdout, l->first);
	pthread_mutex_unlock(&l->t->lock);
	l->first = false;
}

static void storms(struct live *l)
{
	for (unsigned i = 0; i < l->r->nstorms; i++) {
		if (l->storms & 1u << i || sim_now() - l->start_ns < l->r->storm[i].at_ns)
			continue;
		l->storms |= 1u << i;
		sim_engine_storm(l->e, l->r->storm[i].ppm);
	}
}

/* A signal is there, or comes within `ms`. True: the run ends. */
static bool signalled(struct live *l, int sigfd, int ms)
{
	struct pollfd fd = {sigfd, POLLIN, 0};
	struct signalfd_siginfo si;

	if (poll(&fd, 1, ms) <= 0)
		return false;
	if (read(sigfd, &si, sizeof(si)) != sizeof(si) || si.ssi_signo != SIGUSR1)
		return true;
	sim_engine_storm(l->e, 1000000);
	return false;
}

/* The API says "stopping"; here it goes on, until nobody runs any more and the figures are whole.
 */
static void stop_load(struct live *l)
{
	pthread_mutex_lock(&l->t->lock);
	l->hushed = !strcmp(l->t->state, "stopping") && sim_engine_hushed(l->e);
	pthread_mutex_unlock(&l->t->lock);
}

static bool is_over(const struct live *l)
{
	return l->r->duration_ns && sim_now() - l->start_ns >= l->r->duration_ns;
}

/* Types that listen come up first, so that they hear the others' first messages. False: the run
 * has ended meanwhile. */
static bool start_fleet(struct live *l, const struct sim_fleet *f, const uint32_t *count, int sigfd)
{
	const struct sim_run *r = l->r;
	struct sim_engine *e = l->e;
	struct sim_counts c;
	bool listeners = false;

	for (unsigned i = 0; i < f->ntypes; i++) {
		if (!f->type[i].nsubs || f->ntypes == 1 || *f->type[i].topic)
			continue;
		listeners = true;
		sim_engine_target(e, i, count[i],
				  r->ramp_milli ? (uint64_t)count[i] * 1000 * NS_S / r->ramp_milli
						: 0);
	}
	for (unsigned ms = 0; listeners && ms < 10000; ms += 5) {
		sim_engine_counts(e, -1, &c);
		if (c.connected == c.target)
			break;
		sim_tally_look(l->t);
		if (signalled(l, sigfd, 5) || is_over(l))
			return false;
	}
	for (unsigned i = 0; i < f->ntypes; i++)
		sim_engine_target(e, i, count[i],
				  r->ramp_milli ? (uint64_t)r->devices * 1000 * NS_S / r->ramp_milli
						: 0);
	return true;
}

/* What all devices together publish, when every type that publishes has a --count. */
static uint64_t all_messages(const struct sim_fleet *f, const uint32_t *count)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < f->ntypes; i++) {
		if (!*f->type[i].topic || !count[i])
			continue;
		if (!f->type[i].count)
			return 0;
		n += (uint64_t)f->type[i].count * count[i];
	}
	return n;
}

/* Every message was scheduled and has ended. */
static bool all_done(const struct live *l)
{
	struct sim_totals x;

	if (!l->total)
		return false;
	sim_engine_totals(l->e, &x);
	return x.scheduled - x.answers >= l->total && !x.in_flight;
}

/* Every second, and in between for storms, until the end, a signal, or a dead process. */
static int watch(struct live *l, int sigfd, struct sq_error *err)
{
	struct itimerspec every = {{0, 100000000}, {0, 100000000}};
	int tfd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC), rc = 0;
	uint64_t next = l->start_ns + NS_S, ticks;

	timerfd_settime(tfd, 0, &every, NULL);
	for (;;) {
		struct pollfd fds[] = {{tfd, POLLIN, 0}, {sigfd, POLLIN, 0}};
		uint64_t now;

		poll(fds, 2, -1);
		if (fds[1].revents) {
			if (signalled(l, sigfd, 0))
				break;
			continue;
		}
		if (read(tfd, &ticks, sizeof(ticks)) < 0)
			continue;
		now = sim_now();
		sim_tally_look(l->t);
		storms(l);
		stop_load(l);
		rc = sim_engine_health(l->e, err);
		if (rc)
			break;
		if (is_over(l) || all_done(l))
			break;
		if (now >= next) {
			second(l);
			next += NS_S;
		}
	}
	close(tfd);
	return rc;
}

static uint32_t most_devices(const struct sim_run *r)
{
	uint32_t n = r->max_devices ? r->max_devices : *r->web ? 10000 : r->devices;

	return n > r->devices ? n : r->devices;
}

/* Why, in words: a message that was not sent is no cause where a connection failed. */
static const char *first_failure(const struct sim_tally *t)
{
	const struct sim_error *first = NULL;
	bool of_connection = false;

	for (unsigned i = 0; i < t->nerrors; i++) {
		const struct sim_error *e = &t->error[i];
		bool is = e->name == SIM_CONNECT || e->name == SIM_DISCONNECT;

		if (!first || is > of_connection ||
		    (is == of_connection && e->first_ns < first->first_ns))
			first = e;
		of_connection |= is;
	}
	return first ? first->text : "unknown";
}

/* `connected`: devices at the end of the publishing. The verdict: 0, SIM_EXIT_THRESHOLD, or -EIO
 * when there was no run to speak of. */
static int judge(const struct sim_run *r, struct sim_tally *t, uint32_t connected,
		 struct sq_error *err)
{
	unsigned held = 0;

	for (unsigned i = 0; i < r->nfail_if; i++)
		held += sim_failif_holds(t, r->fail_if[i], stderr);
	if (t->most_running && !t->tot.connects && !t->tot.connect_failures) {
		sq_bad(err,
		       "no device ever connected: %u devices, and no attempt had ended yet: the "
		       "broker answers nothing",
		       t->most_running);
		return -EIO;
	}
	if (t->most_running && !t->tot.connects) {
		sq_bad(err,
		       "no device ever connected: %u devices, %llu attempts failed, the first "
		       "kind: %s",
		       t->most_running, (unsigned long long)t->tot.connect_failures,
		       first_failure(t));
		return -EIO;
	}
	/* A broker that takes connections and throws them away is an outage as well. */
	if (t->tot.lost_connections && !connected &&
	    t->tot.lost_connections + t->tot.dropped + t->tot.connect_failures >= t->tot.connects) {
		sq_bad(err,
		       "no device stayed connected: %llu connections were made and all lost, the "
		       "first kind of failure: %s",
		       (unsigned long long)t->tot.connects, first_failure(t));
		return -EIO;
	}
	if (t->tot.scheduled && !t->tot.acked && t->tot.failed) {
		sq_bad(err,
		       "nothing was published: %llu messages fell due and none was acknowledged, "
		       "the first kind of failure: %s",
		       (unsigned long long)t->tot.scheduled, first_failure(t));
		return -EIO;
	}
	return held ? SIM_EXIT_THRESHOLD : 0;
}

/* All that must be there before the first device: cgroup, files, engine, page. */
static int set_up(struct live *l, const struct sim_engine_opts *o, struct sim_fleet *fleet,
		  struct sim_web **ret_web, struct sq_error *err)
{
	struct sim_run *r = l->r;
	int rc = 0;

	/* A socket belongs to the cgroup it was created in, and none exists yet. */
	if (*r->cgroup) {
		rc = sim_cgroup_make(r->cgroup, err);
		rc = rc ? rc : sim_cgroup_enter(r->cgroup, 0, err);
	}
	if (!rc && *r->csv)
		rc = sim_csv_open(r->csv, &l->history, err);
	if (!rc)
		rc = sim_engine_start(l->e, err);
	if (rc)
		return rc;
	l->t = sim_tally_new(l->e);
	if (!l->t)
		return sq_error_set(err, -ENOMEM, NULL, "out of memory");
	if (!*r->metrics && !*r->web)
		return 0;
	if (!r->devices)
		l->t->state = "idle";
	return sim_web_start(r, fleet, o->max_devices, l->e, l->t, ret_web, err);
}

static struct sim_engine *draining;

static void hurry(int sig)
{
	(void)sig;
	sim_engine_hurry(draining);
}

/* Who asks once more does not want to wait for what is in flight. */
static void drain(struct live *l)
{
	struct sigaction sa = {.sa_handler = hurry}, old[2];
	sigset_t set, before;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	draining = l->e;
	sigaction(SIGINT, &sa, &old[0]);
	sigaction(SIGTERM, &sa, &old[1]);
	pthread_sigmask(SIG_UNBLOCK, &set, &before);
	sim_engine_stop(l->e, l->r->drain_ns);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	sigaction(SIGINT, &old[0], NULL);
	sigaction(SIGTERM, &old[1], NULL);
}

/* The publishing is over, for rc: drain, write, judge. */
static int wind_up(struct live *l, int rc, struct sq_error *err)
{
	struct sim_run *r = l->r;
	uint32_t connected;

	/* The publishing ends here: what comes now is the drain. Its last second is shown as well.
	 */
	if (sim_now() - l->t->last_ns > NS_S / 5)
		second(l);
	else
		sim_tally_update(l->t);
	pthread_mutex_lock(&l->t->lock);
	/* Whom the page has stopped did not fail to stay. */
	connected = l->t->counts.target ? l->t->counts.connected : 1;
	/* Those that the ramp has not reached had no connection either. */
	if (l->t->counts.target > l->t->most_running)
		l->t->most_running = l->t->counts.target;
	l->t->state = "stopping";
	pthread_mutex_unlock(&l->t->lock);
	drain(l);
	sim_tally_update(l->t);
	pthread_mutex_lock(&l->t->lock);
	l->t->state = "stopped";
	if (l->history) {
		sim_csv_history(l->t, l->history);
		if (sim_csv_close(l->history, r->csv, err) && !rc)
			rc = -EIO;
		l->history = NULL;
	}
	if (*r->csv && !rc)
		rc = sim_csv_write(l->t, r->csv, err) ? -EIO : 0;
	if (r->json)
		sim_show_json(l->t, stdout, true);
	else
		sim_show_summary(l->t, stdout);
	if (!rc)
		rc = judge(r, l->t, connected, err);
	/* Whoever reads it has less than was measured. */
	if (!rc && ferror(stdout))
		rc = sq_error_set(err, -EIO, NULL, "standard output could not be written");
	pthread_mutex_unlock(&l->t->lock);
	return rc;
}

static int go(struct sim_run *r, struct sim_fleet *fleet, uint32_t *count, int sigfd,
	      struct sq_error *err)
{
	struct sim_engine_opts o = {
		.shards = r->threads, .max_devices = most_devices(r), .seed = r->seed};
	struct live l = {.r = r, .first = true, .tty = isatty(STDOUT_FILENO)};
	struct sim_web *web = NULL;
	int rc;

	rc = sim_engine_new(fleet, &o, &l.e, err);
	if (rc)
		return -EINVAL;
	rc = set_up(&l, &o, fleet, &web, err);
	if (!rc) {
		l.start_ns = sim_now();
		l.total = *r->web || r->duration_ns ? 0 : all_messages(fleet, count);
		if (start_fleet(&l, fleet, count, sigfd))
			rc = watch(&l, sigfd, err);
		rc = wind_up(&l, rc, err);
	}
	sim_web_stop(web);
	sim_tally_free(l.t);
	sim_engine_free(l.e);
	if (l.history)
		fclose(l.history);
	return rc < 0 && rc != -EINVAL ? -EIO : rc;
}

int sim_run_main(struct cli *cli, int argc, char **argv)
{
	struct sim_run *r = calloc(1, sizeof(*r));
	struct sim_profile *base = calloc(1, sizeof(*base));
	struct sim_fleet fleet = {0, NULL};
	uint32_t count[SIM_MAX_TYPES];
	struct sq_error err = {0};
	sigset_t set;
	int rc, sigfd, code = SIM_EXIT_OK;

	if (!r || !base) {
		fputs("squall-sim: out of memory\n", stderr);
		code = SIM_EXIT_FAIL;
		goto out;
	}
	sim_run_init(r, base);
	rc = sim_cli_parse(cli, r, base, argc, argv, &err);
	if (rc > 0) {
		code = SIM_EXIT_OK;
		goto out;
	}
	if (!r->devices && !*r->web)
		r->devices = 1;
	/* A name server or a file may take its time, and Ctrl-C ends that. */
	if (!rc)
		rc = sim_run_prepare(r, base, &fleet, count, &err);
	/* Before any thread, so that all inherit it. */
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	sigfd = signalfd(-1, &set, SFD_CLOEXEC);
	if (!rc && r->check_only)
		printf("ok: %u devices of %u types\n", r->devices, fleet.ntypes);
	else if (!rc)
		rc = go(r, &fleet, count, sigfd, &err);
	code = rc;
	if (rc < 0) {
		fprintf(stderr, "squall-sim: %s\n", err.text);
		code = rc == -EIO ? SIM_EXIT_FAIL : SIM_EXIT_USAGE;
	}
	close(sigfd);
out:
	sim_tls_check_free();
	sim_fleet_free(&fleet);
	free(base);
	free(r);
	return code;
}
