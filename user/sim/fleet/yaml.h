/* SPDX-License-Identifier: GPL-2.0-only */
/* A YAML file as a document, and what its nodes hold. */
#ifndef SQUALL_SIM_YAML_H
#define SQUALL_SIM_YAML_H

#include <yaml.h>
#include "lib/error.h"

/* The whole file; after 0 yaml_document_delete() is the caller's. -EINVAL: there is none, or it is
 * not YAML; then err names path, line and column. */
int sim_yaml_load(const char *path, yaml_document_t *ret, struct sq_error *err);
/* The text of a scalar without NUL bytes, else NULL. Borrowed. */
const char *sim_yaml_scalar(const yaml_node_t *n);

#endif
