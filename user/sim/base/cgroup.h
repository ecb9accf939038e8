// SPDX-License-Identifier: GPL-2.0-only
/* Cgroups v2: what a rule of Squall's selects processes by. */
#ifndef SQUALL_SIM_CGROUP_H
#define SQUALL_SIM_CGROUP_H

#include <sys/types.h>
#include "lib/error.h"

/* Makes the directory if it is missing. 0, or -EINVAL: it is not a cgroup. */
int sim_cgroup_make(const char *path, struct sq_error *err);
/* Moves a process there; 0 is this one. Sockets that exist stay where they are. */
int sim_cgroup_enter(const char *path, pid_t pid, struct sq_error *err);

#endif
