/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What happens, told to who listens: rules, targets and schedules publish, the
 * API's event streams listen. Knows neither of them.
 */
#ifndef SQUALLD_BUS_H
#define SQUALLD_BUS_H

#include <jansson.h>
#include <stdbool.h>

struct bus;

/* Called by the publisher's thread, also with the lock of control/ held: must neither wait nor
 * publish. */
typedef void bus_fn(void *arg, const char *type, const json_t *data);

int bus_new(struct bus **ret);
void bus_free(struct bus *b);
/* There is one listener; NULL takes it away, and waits for a call under way. */
void bus_listen(struct bus *b, bus_fn *fn, void *arg);
/* How many want to hear; while it is 0 nobody need make the JSON. Any thread. */
void bus_want(struct bus *b, int more);
bool bus_wanted(struct bus *b); /* b may be NULL */
/* One more, which hears all but what only bus_wanted() is asked for; before the first thread. */
void bus_record(struct bus *b, bus_fn *fn, void *arg);
bool bus_heard(struct bus *b); /* wanted, or recorded */
/* data is stolen. */
void bus_publish(struct bus *b, const char *type, json_t *data);

#endif
