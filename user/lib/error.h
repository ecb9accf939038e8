/* SPDX-License-Identifier: GPL-2.0-only */
/* One line for people about what was wrong with which value. */
#ifndef SQUALL_LIB_ERROR_H
#define SQUALL_LIB_ERROR_H

#include <stddef.h>
#include <squall/rule.h>

/* Fills err (which may be NULL): "FIELD: " and the formatted text. Returns ret. */
int sq_error_set(struct sq_error *err, int ret, const char *field, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* FIELD: "VALUE" is not accepted: WHAT */
int sq_error_value(struct sq_error *err, int ret, const char *field, const char *value,
		   const char *what);

/*
 * Writes value in quotes, made safe for a terminal, a log line and JSON: only
 * printable ASCII, everything else as \xNN, cut with "..." when long. Returns
 * buf.
 */
char *sq_quote(const char *value, size_t len, char *buf, size_t size);
#define SQ_QUOTED 96 /* a size that holds what errors show of a value */

#endif
