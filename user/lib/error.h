/* SPDX-License-Identifier: GPL-2.0-only */
/* One line for people about what was wrong with which value. */
#ifndef SQUALL_LIB_ERROR_H
#define SQUALL_LIB_ERROR_H

#include <errno.h>
#include <stddef.h>
#include <squall/rule.h>

/* Fills err (which may be NULL), whole: code ret, the text "FIELD: " (none for a field that is NULL
 * or "") and what is formatted. Returns ret. Nothing else fills one. */
int sq_error_set(struct sq_error *err, int ret, const char *field, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
#ifdef __clang_analyzer__ /* which follows no call with "..." */
#define sq_error_set(err, ret, ...) ((void)(sq_error_set)(err, ret, __VA_ARGS__), (ret))
#endif

/* What is not accepted, and no single field is to blame: -EINVAL. */
#define sq_bad(err, ...) sq_error_set(err, -EINVAL, NULL, __VA_ARGS__)

/* FIELD: "VALUE" is not accepted: WHAT */
int sq_error_value(struct sq_error *err, int ret, const char *field, const char *value,
		   const char *what);

/* What err says, as of a part of something larger: "steps[2]: ", and its field "steps[2].FIELD". */
void sq_error_within(struct sq_error *err, const char *where);

/*
 * Writes value in quotes, made safe for a terminal, a log line and JSON: only
 * printable ASCII, everything else as \xNN, cut with "..." when long. Returns
 * buf.
 */
char *sq_quote(const char *value, size_t len, char *buf, size_t size);
#define SQ_QUOTED 96 /* a size that holds what errors show of a value */

#endif
