/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Who breaks the network on a worker's host: squalld, by its unix socket, or the ECS agent of the
 * worker's own task. One thread at a time. Functions return 0 or a negative errno with a line for
 * people in *err.
 */
#ifndef SQUALL_INJECT_INJECTOR_H
#define SQUALL_INJECT_INJECTOR_H

#include <stddef.h>
#include <stdint.h>
#include <squall/rule.h>

#define INJECTOR_TAG 48
/* A fault of a worker that died, or hangs, ends after so long at the latest, by the kernel. */
#define INJECTOR_LEASE 6000000000ull
#define INJECTOR_RENEW 2000000000ull
/* Of a request: less than a lease, so that one that hangs does not cost the next. */
#define INJECTOR_WAIT_MS 3000

struct injector;

struct injector_ops {
	/* Is it there? text: what it is, for people. */
	int (*look)(struct injector *i, char *text, size_t size, struct sq_error *err);
	/*
	 * Sets the rule for so long, or for the lease if that is less. tag: what our own fault on
	 * that target was answered with, "" if there is none; becomes that of the new one. Where
	 * somebody else has a rule, it stays: -ESTALE.
	 */
	int (*set)(struct injector *i, const char *target, const char *rule, uint64_t for_ns,
		   char tag[INJECTOR_TAG], struct sq_error *err);
	/* Another lease. -ENOENT or -ESTALE: it is ours no more. */
	int (*keep)(struct injector *i, const char *target, const char *tag, uint64_t for_ns,
		    struct sq_error *err);
	/* 0 too when it is gone, or another's by now, which then stays: text says so. */
	int (*end)(struct injector *i, const char *target, const char *tag, char *text, size_t size,
		   struct sq_error *err);
	void (*close)(struct injector *i);
};

struct injector {
	const struct injector_ops *ops;
};

/* Talks to nobody yet. master_port is excepted from each rule. */
int injector_squalld(const char *socket, uint16_t master_port, struct injector **ret,
		     struct sq_error *err);
/* $ECS_AGENT_URI; master: its host, which no fault may strike. Kept, not copied. */
int injector_ecs(const char *master, struct injector **ret, struct sq_error *err);
/* Has the agent a word for all of it? Nobody is asked. -ENOENT: another target than "task". */
int injector_ecs_can(const char *target, const char *rule, struct sq_error *err);
/* Ends what a process that is gone has set by that rule. */
int injector_ecs_stop(const char *rule, struct sq_error *err);

#endif
