// SPDX-License-Identifier: GPL-2.0-only
/* squall-sim: from argv to a command of the table. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "sim/run/run.h"
#include "sim/sim.h"

int main(int argc, char **argv)
{
	const struct cli_table *t = &sim_table;
	struct cli cli = {.table = t};
	struct sq_error err;
	int words, code;

	if (opt_completed(t, argc, argv))
		return SIM_EXIT_OK;
	if (argc < 2) {
		help_top(t, stderr);
		return SIM_EXIT_USAGE;
	}
	/* The two options that stand alone. */
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
		argv[1] = "help";
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V"))
		argv[1] = "version";
	cli.command = find_command(t, argc - 1, argv + 1, &words);
	if (!cli.command) {
		opt_no_command(t, argc - 1, argv + 1, &err);
		fprintf(stderr, "squall-sim: %s\n", err.text);
		return SIM_EXIT_USAGE;
	}
	cli.given = calloc((size_t)argc, sizeof(*cli.given));
	code = cli.command->run(&cli, argc - 1 - words, argv + 1 + words);
	free(cli.given);
	return code;
}
