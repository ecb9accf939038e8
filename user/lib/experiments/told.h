/* SPDX-License-Identifier: GPL-2.0-only */
/* What an experiment may say of itself. */
#ifndef SQUALL_LIB_EXPERIMENTS_TOLD_H
#define SQUALL_LIB_EXPERIMENTS_TOLD_H

#include <jansson.h>
#include "lib/error.h"

/* 0 or -EINVAL with the member, what it is and what is accepted. */
int exp_told_check(const json_t *told, struct sq_error *err);
/* A name that may stand in a path and be a file's. 0 or -EINVAL. */
int exp_told_id(const char *id, struct sq_error *err);

#endif
