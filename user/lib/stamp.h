/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The time in front of a log line. Where journald reads the line it writes one
 * of its own, so ours is empty there ($JOURNAL_STREAM, systemd.exec(5)).
 */
#ifndef SQUALL_LIB_STAMP_H
#define SQUALL_LIB_STAMP_H

#include <stddef.h>

#define SQ_STAMP_SIZE 32

/* "2026-11-26T13:47:38.218Z " (UTC, RFC 3339), or "" where stderr goes to the journal. Returns
 * buf. Thread-safe. */
char *sq_stamp(char buf[SQ_STAMP_SIZE]);

#endif
