// SPDX-License-Identifier: GPL-2.0-only
/* All that squall-sim understands: its commands, and what is said about them. */
#include <stdio.h>
#include "sim/experiment/cmd.h"
#include "sim/run/locust.h"
#include "sim/run/run.h"

#define OPT_MAN 4u /* of the help command */

static int complain(int r, const struct sq_error *err)
{
	if (r)
		fprintf(stderr, "squall-sim: %s\n", err->text);
	return r ? SIM_EXIT_USAGE : SIM_EXIT_OK;
}

static int help(struct cli *cli, int argc, char **argv)
{
	struct opt_line line = {.table = cli->table, .command = cli->command};
	struct sq_error err;
	int r = opt_take(&line, &argc, argv, &err);

	if (!r && line.given & OPT_MAN && argc)
		r = sq_bad(&err, "the man page is one for all commands");
	if (!r && line.given & OPT_MAN)
		man_page(cli->table, stdout);
	else if (!r)
		r = opt_help(cli->table, argc, argv, &err);
	return complain(r, &err);
}

static int completion(struct cli *cli, int argc, char **argv)
{
	struct opt_line line = {.table = cli->table, .command = cli->command};
	struct sq_error err;
	int r = opt_take(&line, &argc, argv, &err);

	if (!r && line.given & SIM_HELP) {
		help_command(cli->table, stdout, cli->command);
		return SIM_EXIT_OK;
	}
	if (!r)
		r = opt_check(cli->table, cli->command, line.given, argc, argv, &err);
	if (!r)
		r = opt_shell(cli->table, stdout, argv[0], &err);
	return complain(r, &err);
}

static int version(struct cli *cli, int argc, char **argv)
{
	struct sq_error err;
	int r = sim_cli_take(cli, NULL, NULL, argc, argv, &err);

	if (!r)
		puts("squall-sim " SQUALL_VERSION);
	return r > 0 ? SIM_EXIT_OK : complain(r, &err);
}

static const struct opt options[] = {
	{.name = "help", .letter = 'h', .bit = SIM_HELP, .help = "show help for this command"},
	{.name = "man", .bit = OPT_MAN, .help = "print the man page squall-sim(1)"},
	{.name = NULL},
};

static const char *const object_summaries[][2] = {
	{"run", "run a fleet of devices against a broker and report"},
	{"experiment", "run a fleet, faults and thresholds from one file"},
	{"worker", "serve a Locust master as one of its workers"},
	{"doctor", "look for what would hinder such a run"},
	{"locustfile", "write the locustfile that goes with a fleet"},
	{"completion", "completion for your shell"},
	{"help", "help on a command, and the man page"},
	{"version", "print the version"},
	{NULL, NULL},
};

static const struct command commands[] = {
	{
		.object = "run",
		.args = "[OPTION...]",
		.run = sim_run_main,
		.sets = {sim_run_opts, sim_profile_opts},
		.summary = "run a fleet of devices against a broker and report",
		.text = "Runs devices against an MQTT broker and reports what they saw: times from "
			"the scheduled moment, failures by kind, and a sum that must hold: "
			"scheduled = acknowledged + failed + in flight.\n\n"
			"Limits: a process has one descriptor per device; past the hard limit the "
			"fleet spreads over several processes by itself. One source address "
			"carries about 28,000 connections to one broker address; --bind adds "
			"more.\n\n"
			"Conditions of --fail-if: [TYPE.][REQUEST.]METRIC, then > < >= <=, then a "
			"value. TYPE is a device type, REQUEST connect, publish, puback or "
			"receive. METRIC is one of\n"
			"  p50 p90 p95 p99 p99.9 avg max\n"
			"                   times, of puback (QoS 1, 2) or publish if not said\n"
			"  errors           failed messages and connects; a number, or % of all\n"
			"                   attempts\n"
			"  connect-errors   failed connects; a number, or % of all attempts to\n"
			"                   connect\n"
			"  never-connected  devices that never had a connection; a number, or %\n"
			"                   (not per type)\n"
			"  disconnects      connections lost without having been asked to\n"
			"  unacked          no PUBACK or PUBCOMP in time\n"
			"  rate             acknowledged messages per second of the publishing "
			"time\n"
			"  lost duplicates  end to end, with --e2e (not per type)\n\n"
			"A condition with nothing to judge it by holds.\n\n"
			"Exit status: 0 done; 1 failed, or no device ever connected, or none "
			"stayed connected (every connection was lost and at the end none was up), "
			"or messages fell due and none was published; 2 bad usage (nothing was "
			"connected); 99 a --fail-if held.",
		.examples =
			"squall-sim run --broker mqtt://localhost --devices 1000 --ramp 200/s "
			"--qos "
			"1 \\\n"
			"    --interval 1s --jitter 10% --duration 60s --fail-if 'p95>500ms'\n"
			"squall-sim run --broker mqtts://ENDPOINT:443 --preset aws-iot-core "
			"--devices 1000 \\\n"
			"    --alpn x-amzn-mqtt-ca --ca root.pem --cert certs/{thing}.pem \\\n"
			"    --key certs/{thing}.key\n"
			"squall-sim run --broker mqtt://localhost --fleet fleet.yaml --e2e --storm "
			"30s:50%\n",
	},
	{
		.object = "experiment",
		.args = "FILE.yaml [OPTION...]",
		.min = 1,
		.max = 1,
		.kinds = {ARG_FILE},
		.run = sim_experiment_main,
		.sets = {sim_experiment_opts},
		.summary = "run a fleet, faults and thresholds from one file",
		.text = "Runs a fleet, sets faults through squalld while it runs, probes your "
			"service, and judges thresholds, all from one file "
			"(docs/experiments.md):\n\n"
			"  name: tunnel\n"
			"  fleet: { broker: mqtt://localhost, qos: 1, interval: 200ms }\n"
			"  cgroup: /sys/fs/cgroup/fleet\n"
			"  load: { stages: [ {duration: 2s, target: 50}, {duration: 30s, target: "
			"50} "
			"] }\n"
			"  before: 5s\n"
			"  faults:\n"
			"    - { name: tunnel, at: 8s, for: 5s, target: \"cgroup:/fleet\", rule: "
			"\"both blackhole\" }\n"
			"  after: 15s\n"
			"  thresholds:\n"
			"    \"puback.p95{phase:before}\": \"<50ms\"\n"
			"    \"recovery{fault:tunnel}\": \"<10s\"\n\n"
			"Exit status: 0 all thresholds held, 1 it could not be run or was "
			"interrupted, 2 the file or a target is bad (nothing was connected), 98 "
			"the steady state was not reached, so nothing was broken, 99 a threshold "
			"was crossed.",
		.examples = "squall-sim experiment tunnel.yaml --dry-run\n"
			    "squall-sim experiment tunnel.yaml --html report.html --junit "
			    "report.xml\n",
	},
	{
		.object = "worker",
		.args = "--fleet FILE [OPTION...]",
		.run = locust_worker_main,
		.sets = {locust_worker_opts},
		.summary = "serve a Locust master as one of its workers",
		.text = "Joins a Locust master (2.x) as a worker: users are devices of the fleet "
			"file. The master needs the locustfile that squall-sim locustfile writes. "
			"Broker, topic, payload, QoS and interval may be set in Locust's own form. "
			"A worker that has lost its master for 60 s stops its devices.",
		.examples = "squall-sim worker --fleet fleet.yaml --master-host locust.example\n"
			    "squall-sim worker --fleet fleet.yaml --max-devices 50000 --stay -j\n",
	},
	{
		.object = "doctor",
		.args = "[OPTION...]",
		.run = sim_doctor_main,
		.sets = {sim_run_opts, sim_profile_opts},
		.summary = "look for what would hinder such a run",
		.text = "Takes the options of squall-sim run and says for each thing ok, note or "
			"bad, and behind an arrow what to do: the fleet's own mistakes, "
			"descriptors, source ports, the ports to serve on, each broker (a "
			"connection and a TLS handshake, no MQTT), how long certificates last, "
			"clocks. The exit status is 1 if anything is bad.",
		.examples = "squall-sim doctor --broker mqtt://localhost --devices 20000\n"
			    "squall-sim doctor --broker mqtt://localhost --fleet fleet.yaml -j\n",
	},
	{
		.object = "locustfile",
		.args = "--fleet FILE [--output FILE]",
		.run = locust_file_main,
		.sets = {locust_file_opts},
		.summary = "write the locustfile that goes with a fleet",
		.text = "Writes the locustfile.py for the Locust master to which squall-sim worker "
			"connects: one User class per device type of the fleet file, with its "
			"weight.",
		.examples = "squall-sim locustfile --fleet fleet.yaml --output locustfile.py\n",
	},
	{
		.object = "completion",
		.args = "bash|zsh|fish",
		.min = 1,
		.max = 1,
		.kinds = {ARG_SHELL},
		.run = completion,
		.summary = "print completion for the shell",
		.text = "Packages and \"make install\" put it where each shell looks.",
		.examples = "source <(squall-sim completion bash)\n",
	},
	{
		.object = "help",
		.args = "[COMMAND]",
		.options = OPT_MAN,
		.max = 1,
		.kinds = {ARG_COMMAND},
		.run = help,
		.summary = "show help on squall-sim or on a command",
		.examples = "squall-sim help run\nsquall-sim help --man | man -l -\n",
	},
	{
		.object = "version",
		.args = "",
		.run = version,
		.summary = "print the version",
		.examples = "squall-sim version\n",
	},
	{.object = NULL},
};

/* Of mosquitto_pub, emqtt-bench, Locust, k6, paho and plain English. */
static const char *const synonyms[][2] = {
	{"host", "broker"},
	{"url", "broker"},
	{"server", "broker"},
	{"endpoint", "broker"},
	{"uri", "broker"},
	{"users", "devices"},
	{"clients", "devices"},
	{"vus", "devices"},
	{"things", "devices"},
	{"spawn-rate", "ramp"},
	{"hatch-rate", "ramp"},
	{"connrate", "ramp"},
	{"run-time", "duration"},
	{"time", "duration"},
	{"timeout", "connect-timeout"},
	{"rate", "interval"},
	{"period", "interval"},
	{"interval-of-msg", "interval"},
	{"message", "payload"},
	{"size", "payload"},
	{"data", "payload"},
	{"cafile", "ca"},
	{"cacert", "ca"},
	{"certfile", "cert"},
	{"keyfile", "key"},
	{"user", "username"},
	{"pass", "password"},
	{"pw", "password"},
	{"id", "client-id"},
	{"clientid", "client-id"},
	{"version", "protocol"},
	{"mqtt-version", "protocol"},
	{"threshold", "fail-if"},
	{"thresholds", "fail-if"},
	{"assert", "fail-if"},
	{"output", "csv"},
	{"prometheus", "metrics"},
	{"verbose", "json"},
	{"dry-run", "check"},
	{"filter", "subscribe"},
	{"clean", "persistent"},
	{"reconnect", "backoff"},
	{"host", "master-host"},
	{"port", "master-port"},
	{"master", "master-host"},
	{"file", "fleet"},
	{"workers", "threads"},
	{"processes", "threads"},
	{"max-users", "max-devices"},
	{"out", "output"},
	{NULL, NULL},
};

static const char *command_for(const char *word)
{
	static const char *const words[][2] = {
		{"start", "run"},
		{"bench", "run"},
		{"fleet", "run"},
		{"pub", "run"},
		{"conn", "run"},
		{"load", "run"},
		{"simulate", "run"},
		{"connect", "run"},
		{"publish", "run"},
		{"web", "run --web"},
		{"locust", "worker"},
		{"slave", "worker"},
		{"chaos", "experiment"},
		{"scenario", "experiment"},
		{"check", "doctor"},
		{"diagnose", "doctor"},
		{"preflight", "doctor"},
		{"man", "help --man"},
		{NULL, NULL},
	};

	return opt_synonym(words, word);
}

static void man_more(FILE *f)
{
	fputs(".SH ENVIRONMENT\n", f);
	for (unsigned i = 0; i < sim_naliases; i++) {
		fprintf(f, ".TP\n\\fB%s\\fR\nsets \\fB\\-\\-", sim_aliases[i].env);
		man_text(f, sim_aliases[i].name);
		fprintf(f, "\\fR; in files \\fB%s\\fR.\n", sim_aliases[i].camel);
	}
	fputs(".SH SEE ALSO\n\\fBsquall\\fR(8), \\fBsqualld\\fR(8), \\fBmosquitto\\fR(8)\n", f);
}

const struct cli_table sim_table = {
	.name = "squall-sim",
	.section = 1,
	.summary = "a fleet of MQTT devices on one machine",
	.usage = "COMMAND [OPTION...]",
	.commands = commands,
	.options = options,
	.objects = object_summaries,
	.global = SIM_HELP,
	.start = "squall-sim run --broker mqtt://localhost --devices 100 --interval 1s --qos 1 \\\n"
		 "    --duration 10s\n",
	.exits = "0 done; 1 failed, or no device ever connected, stayed connected or published a "
		 "message; 2 bad usage (nothing was connected); 99 a --fail-if held; 98 an "
		 "experiment's "
		 "steady state was not reached.",
	.about = "squall-sim is a fleet of MQTT devices: each has a connection, a timetable and an "
		 "account of what became of every message. Alone it runs them and reports; as a "
		 "worker it runs them for a Locust master.",
	.man_more = man_more,
	.synonyms = synonyms,
	.object_for = command_for,
};
