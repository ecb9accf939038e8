// SPDX-License-Identifier: GPL-2.0-only
/* The command line of one subcommand, by its tables. */
#include <string.h>
#include "sim/sim.h"

int sim_cli_take(struct cli *cli, void *base, void *second, int argc, char **argv,
		 struct sq_error *err)
{
	struct opt_line line = {.table = cli->table,
				.command = cli->command,
				.base = {NULL, base, second},
				.each = cli->given};
	int r = opt_take(&line, &argc, argv, err);

	cli->ngiven = line.n_each;
	if (r)
		return r;
	if (line.given & SIM_HELP) {
		help_command(cli->table, stdout, cli->command);
		return 1;
	}
	return opt_check(cli->table, cli->command, line.given, argc, argv, err);
}

const struct opt *sim_run_keys(const struct cli *cli)
{
	for (const struct command *c = cli->table->commands; c->object; c++)
		if (!strcmp(c->object, "run"))
			return c->sets[0];
	return NULL;
}
