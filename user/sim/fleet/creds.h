// SPDX-License-Identifier: GPL-2.0-only
/*
 * A table of what differs between devices (--credentials): CSV with a header, a row a
 * device. Read once a process, never changed, alive until the process ends: what any
 * thread got it may keep.
 */
#ifndef SQUALL_SIM_CREDS_H
#define SQUALL_SIM_CREDS_H

#include "sim/fleet/profile.h"

struct sim_creds;

/*
 * RFC 4180: commas, "..." with "" inside, line ends within quotes; UTF-8. Refused whole:
 * -EINVAL and a line that names the file's line. *ret NULL when path is empty.
 */
int sim_creds_get(const char *path, const struct sim_creds **ret, struct sq_error *err);
uint32_t sim_creds_rows(const struct sim_creds *c);
/* The line in the file on which a row (from 0) begins. */
uint32_t sim_creds_line(const struct sim_creds *c, uint32_t row);
/* The column of this name, from 0; -1: there is none. c may be NULL. */
int sim_creds_column(const struct sim_creds *c, const char *name, size_t len);
/* A column's name; NULL below 0. */
const char *sim_creds_name(const struct sim_creds *c, int column);
/* A column whose name is that one but for a slip; NULL: none. c may be NULL. */
const char *sim_creds_near(const struct sim_creds *c, const char *word, size_t len);
/* Names of all columns, "{a} {b}", cut to what fits. */
void sim_creds_names(const struct sim_creds *c, char *buf, size_t cap);
/* A cell, with a NUL behind it; NULL when there is no such row. */
const char *sim_creds_cell(const struct sim_creds *c, uint32_t row, unsigned column,
			   size_t *ret_len);
size_t sim_creds_longest(const struct sim_creds *c, unsigned column);

/*
 * That the table has a row for each of a type's first n devices, that each row makes valid
 * names, topics and filters, and that no two make the same client identifier.
 */
int sim_creds_check(const struct sim_profile *p, uint32_t n, struct sq_error *err);
/* That no two types, of count[i] devices, make the same client identifiers, of the same rows or
 * the same numbers. */
int sim_creds_shared(const struct sim_fleet *f, const uint32_t *count, struct sq_error *err);

#endif
