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
#include "sim/fleet/creds.h"
#include "sim/fleet/tls.h"
#include "sim/web/web.h"

#define NS_S   1000000000ull
#define AT(f)  offsetof(struct sim_run, f)
#define STR(f) SIM_OPT_STR, AT(f), sizeof(((struct sim_run *)0)->f), 0, 0, NULL, NULL

static int set_fail_if(void *base, const char *value, struct sim_err *err)
{
	struct sim_run *r = base;
	int rc = sim_failif_check(value, NULL, err);

	if (rc)
		return rc;
	if (r->nfail_if == SIM_MAX_FAIL_IF || strlen(value) >= sizeof(r->fail_if[0]))
		return sim_bad(err, "fail-if: more than %d, or longer than %zu bytes",
			       SIM_MAX_FAIL_IF, sizeof(r->fail_if[0]) - 1);
	snprintf(r->fail_if[r->nfail_if++], sizeof(r->fail_if[0]), "%s", value);
	return 0;
}

/* TIME or TIME:PERCENT */
static int set_storm(void *base, const char *value, struct sim_err *err)
{
	struct sim_run *r = base;
	struct sim_storm s = {0, 1000000};
	char copy[64], *colon;

	snprintf(copy, sizeof(copy), "%s", value);
	colon = strchr(copy, ':');
	if (colon)
		*colon++ = 0;
	if (strlen(value) >= sizeof(copy) || sim_parse_time(copy, &s.at_ns) ||
	    (colon && (sim_parse_percent(colon, &s.ppm) || !s.ppm)))
		return sim_bad(err, "storm '%.60s': accepted: TIME or TIME:PERCENT, e.g. 30s:50%%",
			       value);
	if (r->nstorms == SIM_MAX_STORMS)
		return sim_bad(err, "storm: more than %d", SIM_MAX_STORMS);
	r->storm[r->nstorms++] = s;
	return 0;
}

const struct sim_opt sim_run_opts[] = {
	{"devices", "N", "Fleet", "how many devices, all types together", SIM_OPT_U32, AT(devices),
	 4, 1, 10000000, NULL, NULL, "1"},
	{"max-devices", "N", "Fleet", "with --web: how many it may be set to", SIM_OPT_U32,
	 AT(max_devices), 4, 1, 10000000, NULL, NULL, "10000"},
	{"ramp", "RATE", "Fleet", "devices started per second, e.g. 500/s; 0: all at once",
	 SIM_OPT_RATE, AT(ramp_milli), 8, 0, 0, NULL, NULL, "100/s"},
	{"duration", "DURATION", "Fleet",
	 "stop after this time; 0: on Ctrl-C, or when every device has published its --count",
	 SIM_OPT_TIME, AT(duration_ns), 8, 0, 365 * 86400 * NS_S, NULL, NULL, "0"},
	{"drain", "DURATION", "Fleet", "at the end wait so long for what is in flight",
	 SIM_OPT_TIME, AT(drain_ns), 8, 0, 3600 * NS_S, NULL, NULL, "10s"},
	{"fleet", "FILE", "Fleet", "YAML file with several device types (docs/sim.md)", STR(fleet),
	 NULL},
	{"config", "FILE", "Fleet",
	 "options as 'key: value' lines; also mqttWaitTime, mqttQos, mqttMessage, "
	 "iotCoreEndpoint, iotCoreMqttTopic, iotThingName",
	 STR(config), NULL},
	{"storm", "TIME[:PERCENT]", "Fleet",
	 "drop all (or that share of) connections at that time; they reconnect at once; repeatable",
	 SIM_OPT_CALL, 0, 0, 0, 0, NULL, set_storm, NULL},
	{"threads", "N", "Fleet", "shards; 0: one per CPU", SIM_OPT_U32, AT(threads), 4, 0, 200,
	 NULL, NULL, "0"},
	{"seed", "N", "Fleet", "repeat jitter, phases and templates; 0: differ each time",
	 SIM_OPT_U32, AT(seed), 4, 0, UINT32_MAX, NULL, NULL, "0"},
	{"cgroup", "PATH", "Fleet",
	 "enter this cgroup v2 directory before any socket exists, made if missing: a target for "
	 "squall fault set",
	 STR(cgroup), NULL},
	{"json", NULL, "Output", "JSON lines: one per second, then the summary (also -j)",
	 SIM_OPT_FLAG, AT(json), 1, 0, 0, NULL, NULL, NULL},
	{"quiet", NULL, "Output", "only the summary", SIM_OPT_FLAG, AT(quiet), 1, 0, 0, NULL, NULL,
	 NULL},
	{"csv", "PREFIX", "Output",
	 "write PREFIX_stats.csv, _stats_history.csv, _failures.csv in Locust's columns", STR(csv),
	 NULL},
	{"metrics", "ADDR:PORT", "Output", "serve Prometheus metrics at /metrics", STR(metrics),
	 NULL},
	{"fail-if", "CONDITION", "Output",
	 "exit with 99 if it holds at the end, or if nothing was measured to judge it by, e.g. "
	 "'p95>500ms', 'errors>1%', 'meter.connect.p99>2s'; repeatable; the words are below",
	 SIM_OPT_CALL, 0, 0, 0, 0, NULL, set_fail_if, NULL},
	{"check", NULL, "Output", "check everything, connect nothing, exit", SIM_OPT_FLAG,
	 AT(check_only), 1, 0, 0, NULL, NULL, NULL},
	{"web", "ADDR:PORT", "Output",
	 "serve the load page and its API; starts idle unless --devices is given", STR(web), NULL},
	{"web-root", "DIR", "Output", "serve the page's files from here, to work on them",
	 STR(web_root), "those inside the program"},
	{"token", "TEXT", "Output",
	 "what --web and --metrics ask for where they listen beyond "
	 "loopback (also $SQUALL_SIM_TOKEN)",
	 STR(token), NULL},
	{"token-file", "FILE", "Output", "the same, from the first line of FILE", STR(token_file),
	 NULL},
	{"squalld", "URL", "Output",
	 "with --web: shade the times when this squalld had a fault in "
	 "force, http://HOST:PORT or unix:/run/squall/squalld.sock",
	 STR(squalld), NULL},
	{"squalld-target", "TARGET", "Output", "only this target's faults, as squalld names it",
	 STR(squalld_target), "the cgroup of --cgroup, else all"},
	{"squalld-token-file", "FILE", "Output", "its first line is squalld's token",
	 STR(squalld_token_file), NULL},
	{"squalld-cacert", "FILE", "Output", "PEM file that signed squalld's certificate",
	 STR(squalld_cacert), NULL},
};
const unsigned sim_run_nopts = sizeof(sim_run_opts) / sizeof(*sim_run_opts);

const char sim_run_summary[] =
	"Runs devices against an MQTT broker and reports what they saw: times from the\n"
	"scheduled moment, failures by kind, and a sum that must hold: scheduled =\n"
	"acknowledged + failed + in flight.\n\n"
	"Limits: a process has one descriptor per device; past the hard limit the fleet\n"
	"spreads over several processes by itself. One source address carries about 28,000\n"
	"connections to one broker address; --bind adds more.\n";

const char sim_run_examples[] =
	"Conditions of --fail-if: [TYPE.][REQUEST.]METRIC, then > < >= <=, then a value. TYPE is "
	"a\n"
	"device type, REQUEST connect, publish, puback or receive. METRIC:\n"
	"  p50 p90 p95 p99 p99.9 avg max   times, of puback (QoS 1, 2) or publish if not said\n"
	"  errors             failed messages and failed connects; a number, or % of all attempts\n"
	"  connect-errors     failed connects; a number, or % of all attempts to connect\n"
	"  never-connected    devices that never had a connection; a number, or % (not per type)\n"
	"  disconnects        connections lost without having been asked to; a number\n"
	"  unacked            no PUBACK or PUBCOMP in time; a number\n"
	"  rate               acknowledged messages per second of the publishing time\n"
	"  lost duplicates    end to end, with --e2e; numbers (not per type)\n"
	"A condition with nothing to judge it by holds.\n\n"
	"Exit status: 0 done; 1 failed, or no device ever connected, or none stayed connected\n"
	"(every connection was lost and at the end none was up), or messages fell due and none\n"
	"was published; 2 bad usage (nothing was connected); 99 a --fail-if held.\n\n"
	"Examples:\n"
	"  squall-sim run --broker mqtt://localhost --devices 1000 --ramp 200/s --qos 1 \\\n"
	"      --interval 1s --jitter 10% --duration 60s --fail-if 'p95>500ms'\n"
	"  squall-sim run --broker mqtts://ENDPOINT:443 --preset aws-iot-core --devices 1000 \\\n"
	"      --alpn x-amzn-mqtt-ca --ca root.pem --cert certs/{thing}.pem --key "
	"certs/{thing}.key\n"
	"  squall-sim run --broker mqtt://localhost --fleet fleet.yaml --e2e --storm 30s:50%\n";

static int check_identity(struct sim_profile *p, uint32_t n, struct sim_err *err)
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
	return sim_bad(err,
		       "client-id '%.100s': %u devices of type %s need {index} or {thing} in "
		       "it, or they throw each other out",
		       p->client_id, n, p->name);
}

int sim_run_check(struct sim_run *r, struct sim_fleet *fleet, uint32_t *count, struct sim_err *err)
{
	int rc;

	sim_fleet_split(fleet, r->devices, count);
	for (unsigned i = 0; i < r->nfail_if; i++) {
		rc = sim_failif_check(r->fail_if[i], fleet, err);
		if (rc)
			return rc;
	}
	for (unsigned i = 0; i < fleet->ntypes; i++) {
		struct sim_profile *p = &fleet->type[i];

		rc = check_identity(p, count[i], err);
		if (!rc)
			rc = sim_profile_check(p, err);
		if (!rc)
			rc = sim_creds_check(p, count[i], err);
		if (!rc)
			rc = sim_tls_check(p, count[i], err);
		if (rc)
			return rc;
		if (p->aws && (!r->ramp_milli || r->ramp_milli > 500000))
			return sim_bad(err, "ramp: preset aws-iot-core: at most 500 connects per "
					    "second: --ramp 500/s or less");
		if (p->engine == SIM_PAHO && count[i] > SIM_PAHO_MAX)
			return sim_bad(err,
				       "devices %u: client paho takes at most %d (its global "
				       "locks and linear searches would be what is measured); use "
				       "client lean",
				       count[i], SIM_PAHO_MAX);
		if (p->aws && *p->topic && p->interval_ns &&
		    (double)count[i] * p->burst * 1e9 / (double)p->interval_ns > 20000)
			return sim_bad(err,
				       "devices %u: preset aws-iot-core: together %.0f "
				       "publishes per second, and an account has 20000",
				       count[i],
				       (double)count[i] * p->burst * 1e9 / (double)p->interval_ns);
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
		    uint32_t *count, struct sim_err *err)
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
			return sim_bad(err, "out of memory");
		*fleet->type = *base;
	}
	return sim_run_check(r, fleet, count, err);
}

/* --- the run ------------------------------------------------------------------------------ */

struct live {
	struct sim_run *r;
	struct sim_engine *e;
	struct sim_tally *t;
	FILE *history;
	bool tty, first;
	uint64_t start_ns;
	unsigned storms;
	uint64_t total; /* messages after which all have done their --count; 0: goes on */
};

static void second(struct live *l)
{
	sim_tally_update(l->t);
	pthread_mutex_lock(&l->t->lock);
	/* The API says "stopping"; it is done when nobody runs any more. */
	if (!strcmp(l->t->state, "stopping") && !l->t->counts.running)
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

/* Types that listen come up first, so that they hear the others' first messages. */
static void start_fleet(struct sim_engine *e, const struct sim_fleet *f, const uint32_t *count,
			const struct sim_run *r)
{
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
		usleep(5000);
	}
	for (unsigned i = 0; i < f->ntypes; i++)
		sim_engine_target(e, i, count[i],
				  r->ramp_milli ? (uint64_t)r->devices * 1000 * NS_S / r->ramp_milli
						: 0);
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
	return x.scheduled >= l->total && x.acked + x.failed >= l->total && !x.in_flight;
}

/* Every second, and in between for storms, until the end, a signal, or a dead process. */
static int watch(struct live *l, int sigfd, struct sim_err *err)
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
			struct signalfd_siginfo si;

			if (read(sigfd, &si, sizeof(si)) != sizeof(si) || si.ssi_signo != SIGUSR1)
				break;
			sim_engine_storm(l->e, 1000000);
			continue;
		}
		if (read(tfd, &ticks, sizeof(ticks)) < 0)
			continue;
		now = sim_now();
		storms(l);
		rc = sim_engine_health(l->e, err);
		if (rc)
			break;
		if ((l->r->duration_ns && now - l->start_ns >= l->r->duration_ns) || all_done(l))
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

/* `connected`: devices at the end of the publishing. The verdict: 0, SIM_EXIT_THRESHOLD, or -EIO
 * when there was no run to speak of. */
static int judge(const struct sim_run *r, struct sim_tally *t, uint32_t connected,
		 struct sim_err *err)
{
	unsigned held = 0;

	for (unsigned i = 0; i < r->nfail_if; i++)
		held += sim_failif_holds(t, r->fail_if[i], stderr);
	if (t->most_running && !t->tot.connects && !t->tot.connect_failures) {
		sim_bad(err,
			"no device ever connected: %u devices, and no attempt had ended yet: the "
			"broker answers nothing",
			t->most_running);
		return -EIO;
	}
	if (t->most_running && !t->tot.connects) {
		sim_bad(err,
			"no device ever connected: %u devices, %llu attempts failed, the first "
			"kind: %s",
			t->most_running, (unsigned long long)t->tot.connect_failures,
			t->nerrors ? t->error[0].text : "unknown");
		return -EIO;
	}
	/* A broker that takes connections and throws them away is an outage as well. */
	if (t->tot.connects && !connected &&
	    t->tot.lost_connections + t->tot.connect_failures >= t->tot.connects) {
		sim_bad(err,
			"no device stayed connected: %llu connections were made and all lost, the "
			"first kind of failure: %s",
			(unsigned long long)t->tot.connects,
			t->nerrors ? t->error[0].text : "unknown");
		return -EIO;
	}
	if (t->tot.scheduled && !t->tot.acked && t->tot.failed) {
		sim_bad(err,
			"nothing was published: %llu messages fell due and none was acknowledged, "
			"the first kind of failure: %s",
			(unsigned long long)t->tot.scheduled,
			t->nerrors ? t->error[0].text : "unknown");
		return -EIO;
	}
	return held ? SIM_EXIT_THRESHOLD : 0;
}

static int go(struct sim_run *r, struct sim_fleet *fleet, uint32_t *count, int sigfd,
	      struct sim_err *err)
{
	struct sim_engine_opts o = {
		.shards = r->threads, .max_devices = most_devices(r), .seed = r->seed};
	struct live l = {.r = r, .first = true, .tty = isatty(STDOUT_FILENO)};
	struct sim_web *web = NULL;
	uint32_t connected;
	int rc;

	rc = sim_engine_new(fleet, &o, &l.e, err);
	if (rc)
		return -EINVAL;
	/* A socket belongs to the cgroup it was created in, and none exists yet. */
	if (*r->cgroup) {
		rc = sim_cgroup_make(r->cgroup, err);
		rc = rc ? rc : sim_cgroup_enter(r->cgroup, 0, err);
		if (rc)
			goto out;
	}
	if (*r->csv) {
		rc = sim_csv_open(r->csv, &l.history, err);
		if (rc)
			goto out;
	}
	rc = sim_engine_start(l.e, err);
	if (rc)
		goto out;
	l.t = sim_tally_new(l.e);
	if (!l.t) {
		rc = -ENOMEM;
		sim_bad(err, "out of memory");
		goto out;
	}
	if (*r->metrics || *r->web) {
		if (!r->devices)
			l.t->state = "idle";
		rc = sim_web_start(r, fleet, o.max_devices, l.e, l.t, &web, err);
		if (rc)
			goto out;
	}
	l.start_ns = sim_now();
	l.total = *r->web || r->duration_ns ? 0 : all_messages(fleet, count);
	start_fleet(l.e, fleet, count, r);
	rc = watch(&l, sigfd, err);
	sim_tally_update(l.t); /* the publishing ends here: what comes now is the drain */
	pthread_mutex_lock(&l.t->lock);
	connected = l.t->counts.connected;
	l.t->state = "stopping";
	pthread_mutex_unlock(&l.t->lock);
	sim_engine_stop(l.e, r->drain_ns);
	sim_tally_update(l.t);
	pthread_mutex_lock(&l.t->lock);
	l.t->state = "stopped";
	if (l.history)
		sim_csv_history(l.t, l.history);
	if (*r->csv && !rc)
		rc = sim_csv_write(l.t, r->csv, err) ? -EIO : 0;
	if (r->json)
		sim_show_json(l.t, stdout, true);
	else
		sim_show_summary(l.t, stdout);
	if (!rc)
		rc = judge(r, l.t, connected, err);
	pthread_mutex_unlock(&l.t->lock);
out:
	sim_web_stop(web);
	sim_tally_free(l.t);
	sim_engine_free(l.e);
	if (l.history)
		fclose(l.history);
	return rc < 0 && rc != -EINVAL ? -EIO : rc;
}

int sim_run_main(int argc, char **argv)
{
	struct sim_run *r = calloc(1, sizeof(*r));
	struct sim_profile *base = calloc(1, sizeof(*base));
	struct sim_fleet fleet = {0, NULL};
	uint32_t count[SIM_MAX_TYPES];
	struct sim_cli cli = {.command = "run",
			      .summary = sim_run_summary,
			      .examples = sim_run_examples,
			      .opts = sim_run_opts,
			      .nopts = sim_run_nopts,
			      .base = r,
			      .profile = base,
			      .given = calloc((size_t)argc, sizeof(*cli.given))};
	struct sim_err err = {""};
	sigset_t set;
	int rc, sigfd, code = SIM_EXIT_OK;

	if (!r || !base || !cli.given) {
		fputs("squall-sim: out of memory\n", stderr);
		code = SIM_EXIT_FAIL;
		goto out;
	}
	sim_run_init(r, base);
	rc = sim_cli_parse(&cli, argc, argv, &err);
	if (rc > 0) {
		code = SIM_EXIT_OK;
		goto out;
	}
	if (!r->devices && !*r->web)
		r->devices = 1;
	/* Before any thread, so that all inherit it. */
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	sigfd = signalfd(-1, &set, SFD_CLOEXEC);
	r->given = cli.given;
	r->ngiven = cli.ngiven;
	if (!rc)
		rc = sim_run_prepare(r, base, &fleet, count, &err);
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
	free(cli.given);
	free(base);
	free(r);
	return code;
}
