/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Once a second: what each rule did to packets goes into the series of its
 * target, and what changed goes to who listens.
 */
#ifndef SQUALLD_METER_H
#define SQUALLD_METER_H

#include <jansson.h>
#include <stddef.h>

/* Reading so many counters takes 3 ms of each second: of more only while somebody listens. */
#define METER_MANY	1000
#define METER_MAX_BYTES (32u << 20) /* of all series of rules together */
#define METER_COLUMNS	28	    /* of them: packets and bytes of each outcome, up and down */

struct book;
struct bus;
struct engine;
struct meter;
struct series;

/* All three outlive it. */
int meter_new(struct book *book, struct engine *engine, struct bus *bus, struct meter **ret);
void meter_free(struct meter *m); /* accepts NULL */
/* The lock of control/ is held, here and below. Publishes "rates" where somebody listens. */
void meter_tick(struct meter *m);
struct series *meter_series(struct meter *m);
/* {"time_ms", "rates": {CGROUP ID: [seen, lost, delayed, queue_ms]}}, per second in both
 * directions, of the last second; targets with no packets left out. New reference. */
json_t *meter_rates(const struct meter *m);

#endif
