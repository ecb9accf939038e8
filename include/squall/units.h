/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Units as tc(8) spells them: the one parser for command line, API, labels
 * and files. Every function returns 0 or -EINVAL / -ERANGE and leaves *ret
 * untouched on failure; the text must be consumed whole. None of them
 * depends on the locale. Thread-safe.
 */
#ifndef SQUALL_UNITS_H
#define SQUALL_UNITS_H

#include <stddef.h>
#include <stdint.h>

/* "100ms", "1.5s", "20usecs", "250us", "10ns", "2m", "1h"; a bare number is microseconds, as in
 * tc(8). Finite, >= 0, at most 2^62 ns. */
int sq_parse_time(const char *text, uint64_t *ret_ns);

/* For "for 60s", "--duration": as above, but a bare number is refused: which unit was meant? */
int sq_parse_duration(const char *text, uint64_t *ret_ns);

/* "1mbit" "500kbit" "1.5gbit" "64kibit"; "1mbps" is megaBYTES per second, as in tc(8): 8 Mbit/s;
 * a bare number is bits per second. link_bps != 0 allows "70.5%" of it. Result in bits per second,
 * >= 1. */
int sq_parse_rate(const char *text, uint64_t link_bps, uint64_t *ret_bps);

/* "5kb" "10k" "1mb" "4KiB" "1500" "1500b": bytes, k = 1024 as in tc(8); "8kbit" = 1024 bytes. */
int sq_parse_size(const char *text, uint64_t *ret_bytes);

/* "10%", "0.5%", "12.5" (percent) -> fraction of 2^32, SQ_ALWAYS for 100 %. A non-zero text that
 * would round to zero becomes 1. */
int sq_parse_percent(const char *text, uint32_t *ret_fraction);

/* With the fewest decimals that sq_percent_to_fraction() gives back exactly. */
double sq_fraction_to_percent(uint32_t fraction);
/* -EINVAL for NaN, -ERANGE below 0 or above 100. */
int sq_percent_to_fraction(double percent, uint32_t *ret_fraction);

/* The shortest text that parses back to the same value. Return buf. */
char *sq_format_time(uint64_t ns, char *buf, size_t size);
/* The same for how long something lasts: whole hours as "1h", whole minutes from two on as "10m",
 * else as sq_format_time() has it. */
char *sq_format_duration(uint64_t ns, char *buf, size_t size);
char *sq_format_rate(uint64_t bps, char *buf, size_t size);
char *sq_format_size(uint64_t bytes, char *buf, size_t size);
char *sq_format_percent(uint32_t fraction, char *buf, size_t size);

#endif
