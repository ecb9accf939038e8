// SPDX-License-Identifier: GPL-2.0-only
/* What the parts of squall-sim share besides the engine: the subcommands. */
#ifndef SQUALL_SIM_H
#define SQUALL_SIM_H

#include "lib/opt/opt.h"

/* Exit codes of every subcommand. */
enum {
	SIM_EXIT_OK = 0,
	SIM_EXIT_FAIL = 1,
	SIM_EXIT_USAGE = 2,
	SIM_EXIT_THRESHOLD = 99, /* a --fail-if held */
};

/* What run() of a command gets: the words after it are in argv. */
struct cli {
	const struct cli_table *table;
	const struct command *command;
	struct opt_given
		*given; /* what the command line gave: room for argc; NULL: out of memory */
	unsigned ngiven;
};

int sim_run_main(struct cli *cli, int argc, char **argv);
int sim_doctor_main(struct cli *cli, int argc, char **argv);
int sim_experiment_main(struct cli *cli, int argc, char **argv);
int locust_worker_main(struct cli *cli, int argc, char **argv);
int locust_file_main(struct cli *cli, int argc, char **argv);

/* base/cli.c: takes the options of cli->command, whose tables have these bases, and leaves the
 * words that the command takes. 0 go on, 1 help was shown, -EINVAL with err. */
int sim_cli_take(struct cli *cli, void *base, void *second, int argc, char **argv,
		 struct sq_error *err);

/* commands.c: all that squall-sim understands. */
extern const struct cli_table sim_table;
/* The options of squall-sim run, by the table: a fleet file may hold them wherever it is read. */
const struct opt *sim_run_keys(const struct cli *cli);
#define SIM_HELP 1u /* the bit of --help */

#endif
