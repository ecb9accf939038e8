// SPDX-License-Identifier: GPL-2.0-only
/* What all parts of the worker need: the time, and a way to say something. */
#ifndef SQUALL_LOCUST_SAY_H
#define SQUALL_LOCUST_SAY_H

#include <stdint.h>

uint64_t locust_now_ns(void); /* CLOCK_MONOTONIC */
/* One line on standard error, written at once: two threads use it. */
__attribute__((format(printf, 1, 2))) void locust_say(const char *fmt, ...);

#endif
