/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What targets' packets have said of hosts (`match host NAME`): sq_hosts of squall/abi.h. No state
 * and no lock: any thread.
 */
#ifndef SQUALLD_HOSTS_H
#define SQUALLD_HOSTS_H

#include <stdint.h>

/* Deletes what was not used for SQ_HOST_IDLE_NS before `now` (CLOCK_MONOTONIC), and all of a target
 * that sq_targets (targets_fd) does not hold. Returns how many are left. */
uint32_t hosts_sweep(int hosts_fd, int targets_fd, uint64_t now);

#endif
