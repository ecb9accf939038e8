// SPDX-License-Identifier: GPL-2.0-only
#include "squalld/base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "lib/stamp.h"

static const char *const level_names[] = {"error", "warn", "info", "debug"};
static _Atomic enum log_level max_level = LOG_L_INFO;
static atomic_bool as_json;

int log_level_from_text(const char *text, enum log_level *ret)
{
	for (int i = 0; i <= LOG_L_DEBUG; i++) {
		if (strcmp(text, level_names[i]) == 0) {
			*ret = i;
			return 0;
		}
	}
	return -EINVAL;
}

void log_setup(enum log_level level, bool json)
{
	max_level = level;
	as_json = json;
}

/* Control bytes never reach the terminal or break a JSON line: a container may be named anything.
 */
static size_t escape(char *out, size_t size, const char *in, bool json)
{
	size_t n = 0;

	for (; *in && n + 7 < size; in++) {
		unsigned char c = (unsigned char)*in;

		if (json && (c == '"' || c == '\\')) {
			out[n++] = '\\';
			out[n++] = (char)c;
		} else if (c < 0x20 || c == 0x7f) {
			n += (size_t)snprintf(out + n, size - n, json ? "\\u%04x" : "\\x%02x", c);
		} else {
			out[n++] = (char)c;
		}
	}
	out[n] = 0;
	return n;
}

static void say(const char *text, size_t n)
{
	if (write(STDERR_FILENO, text, n) < 0) {
		/* Nowhere left to say it. */
	}
}

#define KEPT 65536
static _Thread_local char *kept; /* KEPT bytes, while lines are kept */
static _Thread_local size_t n_kept;

static void put(const char *line, size_t n)
{
	if (kept && n_kept + n > KEPT) {
		say(kept, n_kept);
		n_kept = 0;
	}
	if (!kept || n > KEPT) {
		say(line, n);
		return;
	}
	memcpy(kept + n_kept, line, n);
	n_kept += n;
}

void log_keep(void)
{
	if (!kept)
		kept = malloc(KEPT);
}

void log_write(void)
{
	int saved = errno;

	if (n_kept)
		say(kept, n_kept);
	n_kept = 0;
	free(kept);
	kept = NULL;
	errno = saved;
}

void log_line(enum log_level level, const char *fmt, ...)
{
	int saved = errno;
	char text[1024], safe[2048], line[2300];
	va_list ap;
	int n;

	if (level > max_level)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	escape(safe, sizeof(safe), text, as_json);
	if (as_json) {
		struct timespec ts;
		struct tm tm;
		char when[32];

		clock_gettime(CLOCK_REALTIME, &ts);
		gmtime_r(&ts.tv_sec, &tm);
		strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
		n = snprintf(line, sizeof(line),
			     "{\"time\":\"%s.%03ldZ\",\"level\":\"%s\",\"message\":\"%s\"}\n", when,
			     ts.tv_nsec / 1000000, level_names[level], safe);
	} else {
		char when[SQ_STAMP_SIZE];

		n = snprintf(line, sizeof(line), "%ssqualld: %s: %s\n", sq_stamp(when),
			     level_names[level], safe);
	}
	if (n > (int)sizeof(line) - 1)
		n = sizeof(line) - 1;
	put(line, (size_t)n);
	errno = saved;
}
