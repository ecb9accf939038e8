/* SPDX-License-Identifier: GPL-2.0-only */
/* Cgroups come and go: a thread watches the tree and tells the event streams. */
#ifndef SQUALLD_CGWATCH_H
#define SQUALLD_CGWATCH_H

#include <jansson.h>

struct bus;
struct cgwatch;

/* *ret stays NULL where cgroup v2 is not mounted. bus outlives it. */
int cgwatch_start(struct bus *bus, struct cgwatch **ret);
void cgwatch_stop(struct cgwatch *w); /* w may be NULL */
/* {"watched":N,"error":TEXT|null} */
json_t *cgwatch_status(struct cgwatch *w);

#endif
