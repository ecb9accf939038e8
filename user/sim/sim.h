// SPDX-License-Identifier: GPL-2.0-only
/* What the parts of squall-sim share besides the engine: the subcommands. */
#ifndef SQUALL_SIM_H
#define SQUALL_SIM_H

/* Exit codes of every subcommand. */
enum {
	SIM_EXIT_OK = 0,
	SIM_EXIT_FAIL = 1,
	SIM_EXIT_USAGE = 2,
	SIM_EXIT_THRESHOLD = 99, /* a --fail-if held */
};

/* argv[0] is the subcommand's own name. */
int sim_run_main(int argc, char **argv);
int sim_doctor_main(int argc, char **argv);
int sim_experiment_main(int argc, char **argv);
int locust_worker_main(int argc, char **argv);
int locust_file_main(int argc, char **argv);

#endif
