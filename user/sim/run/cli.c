// SPDX-License-Identifier: GPL-2.0-only
/* The options of a run: from the environment, from files, from the command line. */
#include <stdlib.h>
#include <string.h>
#include "sim/run/run.h"

static int from_environment(struct sim_profile *p, struct sq_error *err)
{
	struct sq_error why;

	for (unsigned i = 0; i < sim_naliases; i++) {
		const char *v = getenv(sim_aliases[i].env);

		if (!v || !*v)
			continue;
		if (sim_profile_set(p, sim_aliases[i].env, v, &why))
			return sq_bad(err, "environment %s: %s", sim_aliases[i].env, why.text);
	}
	return 0;
}

/* The value of a bare "--config X" anywhere, because files come before the command line. */
static const char *early(int argc, char **argv, const char *name)
{
	size_t n = strlen(name);

	for (int i = 0; i < argc; i++) {
		if (strncmp(argv[i], "--", 2) || strncmp(argv[i] + 2, name, n))
			continue;
		if (argv[i][2 + n] == '=')
			return argv[i] + 3 + n;
		if (!argv[i][2 + n] && i + 1 < argc)
			return argv[i + 1];
	}
	return NULL;
}

int sim_cli_parse(struct cli *cli, struct sim_run *r, struct sim_profile *p, int argc, char **argv,
		  struct sq_error *err)
{
	const char *config = early(argc, argv, "config");
	int rc;

	for (int i = 0; i < argc; i++) {
		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
			help_command(cli->table, stdout, cli->command);
			return 1;
		}
	}
	rc = from_environment(p, err);
	if (!rc && config && *config)
		rc = sim_fleet_read(config, &(struct sim_keys){.opts = sim_run_opts, .base = r}, p,
				    NULL, err);
	rc = rc ? rc : sim_cli_take(cli, r, p, argc, argv, err);
	for (unsigned i = 0; !rc && i < cli->ngiven; i++)
		sim_profile_given(p, cli->given[i].o);
	r->given = cli->given;
	r->ngiven = cli->ngiven;
	return rc;
}

int sim_fleet_load_run(const char *path, struct sim_run *run, struct sim_profile *base,
		       struct sim_fleet *ret, struct sq_error *err)
{
	struct sim_keys keys = {sim_run_opts, run, run->given, run->ngiven};

	return sim_fleet_read(path, &keys, base, ret, err);
}

int sim_fleet_load_node(const char *path, void *doc, void *map, struct sim_run *run,
			struct sim_profile *base, struct sim_fleet *ret, struct sq_error *err)
{
	return sim_fleet_read_node(path, doc, map,
				   &(struct sim_keys){.opts = sim_run_opts, .base = run}, base, ret,
				   err);
}
