/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Files under --state-dir: rules.json, profiles.json, schedules.json, ecs.json.
 *
 * Written by a thread of its own to a temporary file, fsynced, renamed, and
 * the directory fsynced. Changes within WRITE_DELAY_MS share one write, so a
 * thousand rules a second cost ten fsyncs; what a power cut can take is that
 * much. If only squalld dies nothing is lost: the kernel has the rules, and
 * what it has not (schedules, profiles, rules that wait and are deleted) is
 * written before the answer, by state_flush().
 */
#ifndef SQUALLD_STATE_H
#define SQUALLD_STATE_H

#include <jansson.h>
#include <pthread.h>
#include <stdbool.h>
#include "lib/error.h"

struct state;

enum { STATE_RULES = 1, STATE_PROFILES = 2, STATE_SCHEDULES = 4, STATE_ECS = 8 };

/* What there is to save, as a JSON object; the lock held. clean: squalld ends in good order. */
typedef json_t *state_save_fn(void *arg, bool clean);
/* `what` is one of the above, written to KIND.json. Before state_start(). */
void state_register(struct state *s, unsigned int what, const char *kind, state_save_fn *save,
		    void *arg);

/* The same in two steps, where it is long: a copy is taken with the lock held (NULL: out of
 * memory), and told without it, and freed: the keys of the object with their values, as text
 * without its braces, or NULL. */
struct state_slow {
	void *(*take)(void *arg, bool clean);
	char *(*tell)(void *taken);
};
void state_register_slow(struct state *s, unsigned int what, const char *kind,
			 const struct state_slow *slow, void *arg);

/* Makes the directory if needed and proves that it can be written; err: one line. lock is held
 * over each saver. dir and lock outlive it. */
int state_open(const char *dir, pthread_mutex_t *lock, struct state **ret, struct sq_error *err);
int state_start(struct state *s);
/* Writes what is dirty, with rules marked as left in good order (or not), and stops. */
void state_close(struct state *s, bool clean);
/* NULL if there is none. One that is torn or not ours is renamed out of the way and reported. */
json_t *state_load(struct state *s, const char *kind);
void state_dirty(struct state *s, unsigned int what); /* cheap; any thread */
/*
 * Writes now, and returns when it is on the disk: what was acknowledged
 * survives a kill at any moment. For what the kernel does not keep. Not with
 * the lock held; some milliseconds. 0 or -errno, which state_error() says too.
 */
int state_flush(struct state *s, unsigned int what);
/* What the last write said: 0 or -errno. */
int state_error(struct state *s);
/* What was set aside at the start, for people; "" if nothing was. Until squalld ends. */
const char *state_aside(const struct state *s);

#endif
