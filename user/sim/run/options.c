// SPDX-License-Identifier: GPL-2.0-only
/* The options of squall-sim run, besides those of a device type. */
#include <string.h>
#include "sim/run/run.h"

#define NS_S  1000000000ull
#define AT(f) offsetof(struct sim_run, f)
/* Not empty: where a shell's variable was, it would be nothing. */
#define STR(f) OPT_STR, AT(f), sizeof(((struct sim_run *)0)->f), 1, 0, NULL, NULL, 0, 0

static int set_fail_if(void *base, const char *value, struct sq_error *err)
{
	struct sim_run *r = base;
	int rc = sim_failif_check(value, NULL, err);

	if (rc)
		return rc;
	if (r->nfail_if == SIM_MAX_FAIL_IF || strlen(value) >= sizeof(r->fail_if[0]))
		return sq_bad(err, "fail-if: more than %d, or longer than %zu bytes",
			      SIM_MAX_FAIL_IF, sizeof(r->fail_if[0]) - 1);
	snprintf(r->fail_if[r->nfail_if++], sizeof(r->fail_if[0]), "%s", value);
	return 0;
}

/* TIME or TIME:PERCENT */
static int set_storm(void *base, const char *value, struct sq_error *err)
{
	struct sim_run *r = base;
	struct sim_storm s = {0, 1000000};
	char copy[64], *colon;

	snprintf(copy, sizeof(copy), "%s", value);
	colon = strchr(copy, ':');
	if (colon)
		*colon++ = 0;
	if (strlen(value) >= sizeof(copy) || opt_parse_time(copy, &s.at_ns) ||
	    (colon && (opt_parse_percent(colon, &s.ppm) || !s.ppm)))
		return sq_bad(err, "storm '%.60s': accepted: TIME or TIME:PERCENT, e.g. 30s:50%%",
			      value);
	if (r->nstorms == SIM_MAX_STORMS)
		return sq_bad(err, "storm: more than %d", SIM_MAX_STORMS);
	r->storm[r->nstorms++] = s;
	return 0;
}

const struct opt sim_run_opts[] = {
	{"devices", "N", "Fleet", "how many devices, all types together", OPT_U32, AT(devices), 4,
	 1, 10000000, NULL, NULL, 0, 0, "1"},
	{"max-devices", "N", "Fleet", "with --web: how many it may be set to", OPT_U32,
	 AT(max_devices), 4, 1, 10000000, NULL, NULL, 0, 0, "10000"},
	{"ramp", "RATE", "Fleet", "devices started per second, e.g. 500/s; 0: all at once",
	 OPT_RATE, AT(ramp_milli), 8, 0, 0, NULL, NULL, 0, 0, "100/s"},
	{"duration", "DURATION", "Fleet",
	 "stop after this time; 0: on Ctrl-C, or when every device has published its --count",
	 OPT_TIME, AT(duration_ns), 8, 0, 365 * 86400 * NS_S, NULL, NULL, 0, 0, "0"},
	{"drain", "DURATION", "Fleet", "at the end wait so long for what is in flight", OPT_TIME,
	 AT(drain_ns), 8, 0, 3600 * NS_S, NULL, NULL, 0, 0, "10s"},
	{"fleet", "FILE", "Fleet", "YAML file with several device types (docs/sim.md)", STR(fleet),
	 NULL},
	{"config", "FILE", "Fleet",
	 "options as 'key: value' lines; also mqttWaitTime, mqttQos, mqttMessage, "
	 "iotCoreEndpoint, iotCoreMqttTopic, iotThingName",
	 STR(config), NULL},
	{"storm", "TIME[:PERCENT]", "Fleet",
	 "drop all (or that share of) connections at that time, before --duration; they reconnect "
	 "at once; repeatable",
	 OPT_CALL, 0, 0, 0, 0, NULL, set_storm, 0, 0, NULL},
	{"threads", "N", "Fleet", "shards; 0: one per CPU", OPT_U32, AT(threads), 4, 0, 200, NULL,
	 NULL, 0, 0, "0"},
	{"seed", "N", "Fleet", "repeat jitter, phases and templates; 0: differ each time", OPT_U32,
	 AT(seed), 4, 0, UINT32_MAX, NULL, NULL, 0, 0, "0"},
	{"cgroup", "PATH", "Fleet",
	 "enter this cgroup v2 directory before any socket exists, made if missing: a target for "
	 "squall fault set",
	 STR(cgroup), NULL},
	{"json", NULL, "Output", "JSON lines: one per second, then the summary", OPT_FLAG, AT(json),
	 1, 0, 0, NULL, NULL, 'j', 0, NULL},
	{"quiet", NULL, "Output", "only the summary", OPT_FLAG, AT(quiet), 1, 0, 0, NULL, NULL, 0,
	 0, NULL},
	{"csv", "PREFIX", "Output",
	 "write PREFIX_stats.csv, _stats_history.csv, _failures.csv in Locust's columns", STR(csv),
	 NULL},
	{"metrics", "ADDR:PORT", "Output", "serve Prometheus metrics at /metrics", STR(metrics),
	 NULL},
	{"fail-if", "CONDITION", "Output",
	 "exit with 99 if it holds at the end, or if nothing was measured to judge it by, e.g. "
	 "'p95>500ms', 'errors>1%', 'meter.connect.p99>2s'; repeatable; the words are below",
	 OPT_CALL, 0, 0, 0, 0, NULL, set_fail_if, 0, 0, NULL},
	{"check", NULL, "Output", "check everything, connect nothing, exit", OPT_FLAG,
	 AT(check_only), 1, 0, 0, NULL, NULL, 0, 0, NULL},
	{"web", "ADDR:PORT", "Output",
	 "serve the load page and its API; starts idle unless --devices is given", STR(web), NULL},
	{"web-root", "DIR", "Output", "serve the page's files from here, to work on them",
	 STR(web_root), "those inside the program"},
	{"experiments", "DIR", "Output",
	 "with --web: list the experiments of this folder, start one at a time from the page; "
	 "reports stay in DIR/reports",
	 STR(experiments), NULL},
	{"token", "TEXT", "Output",
	 "what --web and --metrics ask for where they listen beyond "
	 "loopback, at least 16 characters (also $SQUALL_SIM_TOKEN)",
	 STR(token), NULL},
	{"token-file", "FILE", "Output", "the same, from the first line of FILE", STR(token_file),
	 NULL},
	{"squalld", "URL", "Output",
	 "with --web: shade the times when this squalld had a fault in "
	 "force, http://HOST:PORT or unix:/run/squall/squalld.sock",
	 STR(squalld), NULL},
	{"squalld-target", "TARGET", "Output",
	 "with --squalld: only this target's faults, as squalld names it", STR(squalld_target),
	 "the cgroup of --cgroup, else all"},
	{"squalld-token-file", "FILE", "Output", "its first line is squalld's token",
	 STR(squalld_token_file), NULL},
	{"squalld-cacert", "FILE", "Output", "PEM file that signed squalld's certificate",
	 STR(squalld_cacert), NULL},
	{.name = NULL},
};
