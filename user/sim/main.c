// SPDX-License-Identifier: GPL-2.0-only
/* squall-sim: subcommand dispatch. */
#include <stdio.h>
#include <string.h>
#include "sim/run/run.h"
#include "sim/sim.h"

static const struct command {
	const char *name, *what;
	int (*main)(int argc, char **argv);
} commands[] = {
	{"run", "run a fleet of devices against a broker and report", sim_run_main},
	{"experiment", "run a fleet, faults and thresholds from one file", sim_experiment_main},
	{"worker", "serve a Locust master as one of its workers", locust_worker_main},
	{"doctor", "look for what would hinder such a run", sim_doctor_main},
	{"locustfile", "write the locustfile that goes with a fleet", locust_file_main},
};

static void usage(FILE *f)
{
	fputs("squall-sim: a fleet of MQTT devices on one machine\n\n"
	      "usage: squall-sim COMMAND [OPTIONS]\n\n",
	      f);
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++)
		fprintf(f, "  %-11s %s\n", commands[i].name, commands[i].what);
	fputs("  help        this; help --man: a manual page, help --bash: a completion script\n"
	      "  version     print the version\n\n"
	      "squall-sim COMMAND --help explains each. A first run:\n"
	      "  squall-sim run --broker mqtt://localhost --devices 100 --interval 1s --qos 1 "
	      "--duration 10s\n",
	      f);
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		usage(stderr);
		return SIM_EXIT_USAGE;
	}
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++)
		if (!strcmp(argv[1], commands[i].name))
			return commands[i].main(argc - 1, argv + 1);
	if (argc == 3 && !strcmp(argv[1], "help") && !strcmp(argv[2], "--man")) {
		sim_cli_man(stdout);
		return SIM_EXIT_OK;
	}
	if (argc == 3 && !strcmp(argv[1], "help") && !strcmp(argv[2], "--bash")) {
		sim_cli_bash(stdout);
		return SIM_EXIT_OK;
	}
	if (!strcmp(argv[1], "help") || !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
		usage(stdout);
		return SIM_EXIT_OK;
	}
	if (!strcmp(argv[1], "version") || !strcmp(argv[1], "--version")) {
		puts("squall-sim " SQUALL_VERSION);
		return SIM_EXIT_OK;
	}
	fprintf(stderr,
		"squall-sim: command '%s' is unknown; accepted: run, experiment, worker, doctor, "
		"locustfile, help, version\n",
		argv[1]);
	return SIM_EXIT_USAGE;
}
