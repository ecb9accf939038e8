// SPDX-License-Identifier: GPL-2.0-only
/* The parts of an experiment's file (keys.c); each 0 or -EINVAL. */
#ifndef SQUALL_SIM_EXPERIMENT_KEYS_H
#define SQUALL_SIM_EXPERIMENT_KEYS_H

#include "sim/experiment/file/node.h"

/* A URL, or {url, token-file, cacert}. */
int exp_read_peer(struct exp_file *f, yaml_node_t *v, struct exp_peer *p);
int exp_read_faults(struct exp_file *f, yaml_node_t *v, struct experiment *x);
int exp_read_probes(struct exp_file *f, yaml_node_t *v, struct experiment *x);
int exp_read_load(struct exp_file *f, yaml_node_t *v, struct experiment *x);
/* After all others: it names faults and probes. */
int exp_read_thresholds(struct exp_file *f, yaml_node_t *v, struct experiment *x);

#endif
