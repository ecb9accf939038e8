/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What happened: rules set, replaced, expired, deleted, restored, steps of
 * schedules, lanes, health; with who asked, and what a version of a rule had
 * done when it ended.
 *
 * history.jsonl in the state directory, one line an event, appended. When it
 * has 100,000 events or 64 MiB it becomes history.1.jsonl, whose place it
 * takes: so at least the last 100,000 events are there, and at most twice
 * that. Of each, 40 bytes are kept in memory. What an answer acknowledged is
 * written before it, so that it survives a kill -9; it is on the disk 100 ms
 * later, as the state files are.
 */
#ifndef SQUALLD_HISTORY_H
#define SQUALLD_HISTORY_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct history;

/* state_dir is there. A file that is torn loses its torn lines only. 0 or -errno. */
int history_open(const char *state_dir, struct history **ret);
int history_start(struct history *h);  /* the thread that writes what nobody waits for */
void history_close(struct history *h); /* accepts NULL; writes the rest */

/* In whose name this thread acts until the next call; NULL: squalld's own. Copied. */
void history_by(const char *who);

/*
 * Remembers an event. type and action are words. Keys of more (an object, stolen, may be NULL; none
 * of id, time_ms, type, action, target, who) go into it. Only memory is touched, so a lock may be
 * held. Any thread.
 */
void history_add(struct history *h, const char *type, const char *action, const char *target,
		 json_t *more);
/* Returns when all that was added is written. Not with a lock held: it touches the disk. */
int history_sync(struct history *h);
/* What the last write said: 0 or -errno. Any thread. */
int history_error(struct history *h);
/* A file of it was not as it should be when squalld started. Any thread. */
bool history_aside(const struct history *h);

/* NULL or 0: any. */
struct history_filter {
	const char *target, *type, *action, *who;
	uint64_t since_ms, until_ms; /* CLOCK_REALTIME, inclusive */
	uint64_t before;	     /* an event's id: only older ones */
	unsigned int limit;
};

/* The newest first. *ret_more: there are older ones that match. */
json_t *history_query(struct history *h, const struct history_filter *f, bool *ret_more);
unsigned int history_count(struct history *h);

/* A bus_fn: what the bus tells, as events. arg is the history. */
void history_hear(void *arg, const char *type, const json_t *data);

#endif
