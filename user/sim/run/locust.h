/* SPDX-License-Identifier: GPL-2.0-only */
/* The two commands for a Locust master: worker (worker.c) and locustfile (locustfile.c). */
#ifndef SQUALL_SIM_RUN_LOCUST_H
#define SQUALL_SIM_RUN_LOCUST_H

#include "lib/opt/opt.h"
#include "sim/fleet/profile.h"

/* Of squall-sim worker and squall-sim locustfile. */
extern const struct opt locust_worker_opts[], locust_file_opts[];

/* Every device type makes a class name, and no two the same. 0 or -EINVAL with *err. */
int locust_check_names(const struct sim_fleet *fleet, struct sq_error *err);

#endif
