/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The last hour of what is counted for targets: five minutes second by second,
 * the hour in steps of ten, so that a chart that is opened, or read again, has
 * a past. In memory only.
 *
 * A target takes 9 KiB, and from the third column that was ever other than 0 on
 * 2.6 KiB more for each; all together no more than series_new() allowed. What would be over it
 * takes the place of whoever has been silent the longest, and where all still
 * count is not kept. An hour after its last second a target is forgotten.
 *
 * All functions want the lock of control/ held.
 */
#ifndef SQUALLD_SERIES_H
#define SQUALLD_SERIES_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SERIES_COLUMNS 28 /* at most */
#define SERIES_SECONDS 300
#define SERIES_HOUR    3600
#define SERIES_GRAIN   10

struct series;

/* names: of the columns, n of them (the first half is "up", the other "down"); outlives it. */
int series_new(size_t max_bytes, const char *const *names, unsigned int n, struct series **ret);
void series_free(struct series *s); /* accepts NULL */

/*
 * What was counted of a target until now, in units of each column. Once a second. now_ns:
 * CLOCK_MONOTONIC. fresh: the counters began since the last call, so all of them is of this
 * second; otherwise the first call of a target, and one after a gap, gives only where to count
 * from. ret_delta (may be NULL): what was counted in this second. False: nothing is known of it.
 */
bool series_put(struct series *s, const char *name, uint64_t now_ns, const uint64_t *totals,
		bool fresh, float *ret_delta);
/* {"kept", "grains": [{"grain_s", "time_ms": [...], "seconds": [...], "up": {NAME: [...]},
 * "down"}]}: when each grain began, how many seconds of it were counted, and what, columns that
 * are 0 throughout left out. Of a target of which nothing is kept: no grains. */
json_t *series_json(struct series *s, const char *name, uint64_t now_ns);
/*
 * What was counted of a target between two moments of CLOCK_MONOTONIC, no later than now_ns, into
 * ret_sum (SERIES_COLUMNS, in units of each column), and of how many seconds; 0: nothing is known.
 * Only grains that lie wholly between are taken, so up to 3 s at each end are not, and of what is
 * older than SERIES_SECONDS up to 12 s.
 */
unsigned int series_between(struct series *s, const char *name, uint64_t now_ns, uint64_t from_ns,
			    uint64_t to_ns, double *ret_sum);
size_t series_bytes(const struct series *s); /* that are taken */
/* Of targets for which there is no room: how many seconds were not kept. */
uint64_t series_refused(const struct series *s);

#endif
