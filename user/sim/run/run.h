// SPDX-License-Identifier: GPL-2.0-only
/* squall-sim run: its options, and the ways it shows what happens. */
#ifndef SQUALL_SIM_RUN_H
#define SQUALL_SIM_RUN_H

#include <stdio.h>
#include "sim/fleet/options.h"
#include "sim/report/report.h"

#define SIM_MAX_FAIL_IF 32
#define SIM_MAX_STORMS	16

struct sim_storm {
	uint64_t at_ns;
	uint32_t ppm;
};

/* An option as the command line gave it; both live as long as argv. */
struct sim_given {
	const struct sim_opt *o;
	const char *value;
};

struct sim_run {
	const struct sim_given *given; /* to be set again over a fleet file */
	unsigned ngiven;
	uint32_t devices, max_devices, threads;
	uint64_t ramp_milli, duration_ns, drain_ns, settle_ns;
	uint32_t seed;
	bool json, quiet, check_only;
	char fleet[256], config[256], csv[240], cgroup[256], metrics[64], web[64], web_root[256],
		token[128], token_file[256], squalld[256], squalld_token_file[256],
		squalld_cacert[256], squalld_target[512];
	unsigned nfail_if, nstorms;
	char fail_if[SIM_MAX_FAIL_IF][SIM_FAIL_IF_LEN];
	struct sim_storm storm[SIM_MAX_STORMS];
};

extern const struct sim_opt sim_run_opts[];
extern const unsigned sim_run_nopts;

/* run.c. Defaults, before options are read. */
void sim_run_init(struct sim_run *r, struct sim_profile *base);
/* Everything that can be wrong is found here, before the first connection: fills the fleet and
 * how many of each type. 0 or -errno with err; sim_tls_check_free() and sim_fleet_free() after. */
int sim_run_prepare(struct sim_run *r, struct sim_profile *base, struct sim_fleet *fleet,
		    uint32_t *count, struct sim_err *err);

/* cli.c: environment, then --config, then the command line, each over what was before. */
struct sim_cli {
	const char *command, *summary, *examples;
	const struct sim_opt *opts; /* the command's own */
	unsigned nopts;
	void *base;
	struct sim_profile *profile;
	struct sim_given *given; /* room for argc; NULL: nobody asks */
	unsigned ngiven;
};
/* 0 go on, 1 help was shown, -EINVAL with err. */
int sim_cli_parse(struct sim_cli *c, int argc, char **argv, struct sim_err *err);
void sim_cli_help(const struct sim_cli *c, FILE *f);
void sim_cli_man(FILE *f);
void sim_cli_bash(FILE *f);
/*
 * run.c: whether r->devices devices of this fleet can run, found before the first
 * connection. ret_count[] is how many of each type. 0 or -EINVAL.
 */
int sim_run_check(struct sim_run *r, struct sim_fleet *fleet, uint32_t *ret_count,
		  struct sim_err *err);

extern const char sim_run_summary[], sim_run_examples[];

/* fleet.c */
int sim_config_load(const char *path, void *run, struct sim_profile *p, struct sim_err *err);
/*
 * As sim_fleet_load(), and the file may set options of the run as well. What the command
 * line gave goes over what the file says for all types; a type's own words go over that,
 * but for the broker, which is the command line's if it has one.
 */
int sim_fleet_load_run(const char *path, void *run, struct sim_profile *base, struct sim_fleet *ret,
		       struct sim_err *err);
/*
 * The same from a mapping of a file that holds more than a fleet: `doc` is a
 * yaml_document_t, `map` a yaml_node_t of it; without types: there is one type.
 */
int sim_fleet_load_node(const char *path, void *doc, void *map, void *run, struct sim_profile *base,
			struct sim_fleet *ret, struct sim_err *err);
/* N devices over the types by weight, largest remainders first. */
void sim_fleet_split(const struct sim_fleet *f, uint32_t n, uint32_t *ret);

#endif
