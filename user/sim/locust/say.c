// SPDX-License-Identifier: GPL-2.0-only
#include "sim/locust/say.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "lib/stamp.h"
#include "lib/text.h"

uint64_t locust_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

void locust_say(const char *fmt, ...)
{
	char line[1024], shown[2048], when[SQ_STAMP_SIZE];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	/* A master's words are in some; none of them moves a cursor or begins a line. */
	text_shown(shown, sizeof(shown), line, strlen(line));
	fprintf(stderr, "%ssquall-sim worker: %s\n", sq_stamp(when), shown);
}
