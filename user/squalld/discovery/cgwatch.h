/* SPDX-License-Identifier: GPL-2.0-only */
/* Cgroups come and go: a thread watches the tree and tells the event streams. */
#ifndef SQUALLD_CGWATCH_H
#define SQUALLD_CGWATCH_H

#include <jansson.h>
#include <stdbool.h>

struct bus;
struct cgwatch;

/* What it tells; all of it outlives the watcher. */
struct cgwatch_uses {
	struct bus *bus;
	/* At once, by the watcher's thread. path NULL: there may be some that it was not told of.
	 */
	void (*made)(void *arg, const char *path);
	void *made_arg;
};

/* *ret stays NULL where cgroup v2 is not mounted. */
int cgwatch_start(const struct cgwatch_uses *uses, struct cgwatch **ret);
void cgwatch_stop(struct cgwatch *w); /* w may be NULL */
/* May a cgroup have been made or removed since this was asked? Always, where not all are watched; w
 * may be NULL. For one asker. */
bool cgwatch_moved(struct cgwatch *w);
/* {"watched":N,"error":TEXT|null} */
json_t *cgwatch_status(struct cgwatch *w);

#endif
