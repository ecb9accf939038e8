// SPDX-License-Identifier: GPL-2.0-only
#include "sim/locust/say.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include "lib/stamp.h"

uint64_t locust_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

/* A master's words are in some lines; none of them moves a cursor or begins a line. */
static void make_safe(char *line)
{
	unsigned char *c = (unsigned char *)line;

	for (; *c; c++)
		if (*c < 0x20 || *c == 0x7f || (c[0] == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0))
			*c = '?';
}

void locust_say(const char *fmt, ...)
{
	char line[1024], when[SQ_STAMP_SIZE];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	make_safe(line);
	fprintf(stderr, "%ssquall-sim worker: %s\n", sq_stamp(when), line);
}
