// SPDX-License-Identifier: GPL-2.0-only
/* squall-sim run: its options, and the ways it shows what happens. */
#ifndef SQUALL_SIM_RUN_H
#define SQUALL_SIM_RUN_H

#include <stdio.h>
#include "sim/fleet/options.h"
#include "sim/report/report.h"
#include "sim/sim.h"

#define SIM_MAX_FAIL_IF 32
#define SIM_MAX_STORMS	16

struct sim_storm {
	uint64_t at_ns;
	uint32_t ppm;
};

struct sim_run {
	const struct opt_given *given; /* to be set again over a fleet file */
	unsigned ngiven;
	uint32_t devices, max_devices, threads;
	uint64_t ramp_milli, duration_ns, drain_ns, settle_ns;
	uint32_t seed;
	bool json, quiet, check_only;
	char fleet[256], config[256], csv[240], cgroup[256], metrics[64], web[64], web_root[256],
		token[128], token_file[256], squalld[256], squalld_token_file[256],
		squalld_cacert[256], squalld_target[512], experiments[256];
	unsigned nfail_if, nstorms;
	char fail_if[SIM_MAX_FAIL_IF][SIM_FAIL_IF_LEN];
	struct sim_storm storm[SIM_MAX_STORMS];
};

extern const struct opt sim_run_opts[]; /* of options.c; base: a struct sim_run */

/* run.c. Defaults, before options are read. */
void sim_run_init(struct sim_run *r, struct sim_profile *base);
/* Everything that can be wrong is found here, before the first connection: fills the fleet and
 * how many of each type. 0 or -errno with err; sim_tls_check_free() and sim_fleet_free() after. */
int sim_run_prepare(struct sim_run *r, struct sim_profile *base, struct sim_fleet *fleet,
		    uint32_t *count, struct sq_error *err);

/* needs.c: whether each of the run's options does something, beside the others. 0 or -EINVAL. */
int sim_run_needs(const struct sim_run *r, const struct sim_fleet *f, struct sq_error *err);

/* cli.c: environment, then --config, then the command line, each over what was before.
 * 0 go on, 1 help was shown, -EINVAL with err. */
int sim_cli_parse(struct cli *cli, struct sim_run *r, struct sim_profile *p, int argc, char **argv,
		  struct sq_error *err);
/*
 * run.c: whether r->devices devices of this fleet can run, found before the first
 * connection. ret_count[] is how many of each type. 0 or -EINVAL.
 */
int sim_run_check(struct sim_run *r, struct sim_fleet *fleet, uint32_t *ret_count,
		  struct sq_error *err);

/*
 * run.c: that no two of count[] devices have one client identifier, as far as the types' words
 * tell. count NULL: how many is not known. 0 or -EINVAL.
 */
int sim_run_names(struct sim_fleet *fleet, const uint32_t *count, struct sq_error *err);

/* cli.c: sim_fleet_read() and sim_fleet_read_node(), where the file may set the run's options. */
int sim_fleet_load_run(const char *path, struct sim_run *run, struct sim_profile *base,
		       struct sim_fleet *ret, struct sq_error *err);
int sim_fleet_load_node(const char *path, void *doc, void *map, struct sim_run *run,
			struct sim_profile *base, struct sim_fleet *ret, struct sq_error *err);

#endif
