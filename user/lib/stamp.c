// SPDX-License-Identifier: GPL-2.0-only
#include "lib/stamp.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* The variable is inherited by whatever a service starts: it counts only where stderr still is
 * the stream that it names. */
static int journal_reads(void)
{
	const char *text = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;

	return text && sscanf(text, "%llu:%llu", &dev, &ino) == 2 && !fstat(STDERR_FILENO, &st) &&
	       st.st_dev == dev && st.st_ino == ino;
}

char *sq_stamp(char buf[SQ_STAMP_SIZE])
{
	struct timespec ts;
	struct tm tm;
	size_t n;

	*buf = 0;
	if (journal_reads())
		return buf;
	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	n = strftime(buf, SQ_STAMP_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(buf + n, SQ_STAMP_SIZE - n, ".%03ldZ ", ts.tv_nsec / 1000000);
	return buf;
}
