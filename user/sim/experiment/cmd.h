// SPDX-License-Identifier: GPL-2.0-only
/* squall-sim experiment: what its command line says. */
#ifndef SQUALL_SIM_EXPERIMENT_CMD_H
#define SQUALL_SIM_EXPERIMENT_CMD_H

#include "lib/opt/opt.h"
#include "sim/experiment/file/experiment.h"

struct exp_cmd {
	char file[256], compare[256], hunt[256], html[256], junit[256], json_file[256], metrics[64],
		command[4096], id[96]; /* id: as others know its runs */
	bool check, dry_run, json, quiet, progress;
	uint32_t repeat, seed;
};

extern const struct opt sim_experiment_opts[]; /* base: a struct exp_cmd */

#endif
