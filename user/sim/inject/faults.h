/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a worker does about squall.fault messages. Whoever can reach the port of a master commands
 * its workers, so nothing is done unless the worker was started with targets and a longest time.
 *
 * A thread of its own asks squalld, so that no step of a ramp waits for it; the worker's thread
 * hands messages over. Each is answered, what is wrong with it included.
 */
#ifndef SQUALL_INJECT_FAULTS_H
#define SQUALL_INJECT_FAULTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FAULTS_ALLOW 16
#define FAULT_ID     64
#define FAULT_TEXT   2048
#define FAULT_TARGET 512

/* squall.fault. A field that is missing or not what it must be is empty: who answers says so. */
struct fault_ask {
	int64_t v, for_ms;
	char id[FAULT_ID];
	char op[16]; /* "hello", "set", "del" */
	char target[FAULT_TARGET];
	char rule[FAULT_TEXT];
};

/* squall.fault.result */
struct fault_answer {
	const char *id, *op; /* as asked; "lost": a fault that was set is gone before its time */
	bool ok;
	const char *text;
	const char *host, *squalld; /* whose faults these are: workers of one host have the same */
};

struct faults;

struct faults_opts {
	const char *allow[FAULTS_ALLOW]; /* patterns of targets, as of fnmatch(3) */
	size_t n_allow;			 /* 0: faults are off */
	uint64_t longest_ns;
	const char *by; /* squalld's socket, or "ecs" */
	const char *master;
	uint16_t master_port; /* no fault strikes what is between us and it */
	/* To the master: 0, or -EAGAIN where earlier ones have not left yet. Called by the thread,
	 * and by who hands a message over. */
	int (*answer)(void *arg, const struct fault_answer *a);
	void *arg;
	void (*say)(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
};

/* opts is copied, what it points at is not. */
int faults_new(const struct faults_opts *opts, struct faults **ret);
/* Ends what is left, and waits for that. Accepts NULL. */
void faults_free(struct faults *f);
/* Takes msg, which was allocated. */
void faults_take(struct faults *f, struct fault_ask *msg);
/* All that was set ends, and what was not done yet is not done. Returns at once. */
void faults_clear(struct faults *f, const char *why);
/* Nothing is set, nothing is being done. */
bool faults_idle(struct faults *f);

#endif
