// SPDX-License-Identifier: GPL-2.0-only
/* One line for people: what is wrong with which field and what is accepted. */
#ifndef SQUALL_SIM_ERR_H
#define SQUALL_SIM_ERR_H

#include <errno.h>
#include "lib/error.h"

#define sim_err sq_error

/* Fills err->text; returns -EINVAL, so that "return sim_bad(...)" reads well. */
int sim_bad(struct sim_err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
#ifdef __clang_analyzer__ /* which follows no call into another file, nor one with "..." */
#define sim_bad(...) ((void)sim_bad(__VA_ARGS__), -EINVAL)
#endif

#endif
