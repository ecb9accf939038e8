/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What squalld's parts share.
 *
 * Threads: one per HTTP listener (libmicrohttpd), the Docker watcher, the
 * cgroup watcher, the ticker (expiry, vanished cgroups, counters for event streams), the schedule
 * timer and the state writer. `lock` guards targets, rules, profiles and
 * schedules; it is held over calls into the engine, which are short and never
 * call back, and never over network or disk.
 */
#ifndef SQUALLD_DAEMON_H
#define SQUALLD_DAEMON_H

#include <jansson.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include "squalld/base/fail.h"
#include "squalld/kernel/engine.h"
#include "squalld/process/options.h"

struct targets;
struct book;
struct profiles;
struct schedules;
struct bus;
struct container;
struct events;
struct http;
struct state;
struct docker;
struct httpd_guard;
struct cgwatch;

struct daemon {
	const struct options *opt;
	struct engine *engine;
	pthread_mutex_t lock;
	struct targets *targets;
	struct book *book;
	struct profiles *profiles;
	struct schedules *schedules;
	struct bus *bus;
	struct events *events;
	struct http *http;
	struct state *state;
	struct docker *docker;
	struct httpd_guard *guard;
	struct cgwatch *cgwatch;
	/* A container has started: what its labels ask for. Set by main, as control knows no
	 * labels; d->lock held. */
	void (*labels)(struct daemon *d, struct container *c);
	json_t *cleared;     /* what clear_all() ended last, for its undo */
	uint64_t started_ms; /* CLOCK_REALTIME */
};

#endif
