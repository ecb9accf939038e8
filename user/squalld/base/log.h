/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One line per event on stderr: for people (the time, "squalld: info: text") or for
 * machines (one JSON object). Thread-safe; a line is one write(2).
 */
#ifndef SQUALLD_LOG_H
#define SQUALLD_LOG_H

#include <stdbool.h>

enum log_level { LOG_L_ERROR, LOG_L_WARN, LOG_L_INFO, LOG_L_DEBUG };

/* "error" "warn" "info" "debug" -> level, or -EINVAL. */
int log_level_from_text(const char *text, enum log_level *ret);
void log_setup(enum log_level level, bool json);
/* This thread's lines are kept, and written by log_write() at once: each write() is a system call,
 * and a thousand rules are a thousand lines. */
void log_keep(void);
void log_write(void);
void log_line(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_line(LOG_L_ERROR, __VA_ARGS__)
#define log_warn(...)  log_line(LOG_L_WARN, __VA_ARGS__)
#define log_info(...)  log_line(LOG_L_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_L_DEBUG, __VA_ARGS__)

#endif
