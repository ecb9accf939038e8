// SPDX-License-Identifier: GPL-2.0-only
/*
 * The thread of a worker's faults: messages in the order in which they came, leases in between.
 *
 *   set --> live, renewed every 2 s --> its time is over, del, or clear (stop, quit, no master)
 *              \--> lost: a renewal was refused; told to the master
 */
#include "sim/inject/faults.h"

#include <errno.h>
#include <fnmatch.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "lib/boot.h"
#include "lib/error.h"
#include "sim/base/clock.h"
#include "sim/inject/injector.h"

#define LIVE_MAX  16
#define NAME_LEN  128
#define QUEUE_MAX 32
#define MS_NS	  1000000ull
#define NEVER	  UINT64_MAX

struct live {
	char id[FAULT_ID];
	char target[FAULT_TARGET];
	char tag[INJECTOR_TAG];
	uint64_t ends_ns, renew_ns;
};

struct faults {
	struct faults_opts opts;
	char host[NAME_LEN], squalld[NAME_LEN];
	pthread_t thread;
	bool runs;

	pthread_mutex_t lock; /* of all below */
	pthread_cond_t wake;
	struct fault_ask *queue[QUEUE_MAX];
	unsigned int n_queue;
	const char *clear; /* asked for, and why */
	bool stop, busy;
	unsigned int n_live; /* written by the thread */

	/* The thread's own: */
	struct injector *injector;
	struct live live[LIVE_MAX];
};

static void answer(struct faults *f, const char *id, const char *op, bool ok, const char *text)
{
	struct fault_answer a = {id, op, ok, text, f->host, f->squalld};
	struct timespec nap = {0, 10 * MS_NS};

	/* The room is for 16: a report of the worker's thread may be in the way. */
	for (int i = 0; i < 100 && f->opts.answer(f->opts.arg, &a) == -EAGAIN; i++)
		nanosleep(&nap, NULL);
}

/* Workers of one host have one squalld: containers see its socket under the same inode, and the
 * kernel has one boot id. */
static void name_squalld(struct faults *f)
{
	struct stat st = {0};

	if (stat(f->opts.by, &st) == 0)
		snprintf(f->squalld, sizeof(f->squalld), "%s/%llu/%llu", sq_boot_id(),
			 (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
	else
		snprintf(f->squalld, sizeof(f->squalld), "%s/%.60s", sq_boot_id(), f->host);
}

static struct live *find_live(struct faults *f, const char *id, const char *target)
{
	for (unsigned int i = 0; i < f->n_live; i++)
		if ((id && !strcmp(f->live[i].id, id)) ||
		    (target && !strcmp(f->live[i].target, target)))
			return &f->live[i];
	return NULL;
}

static void forget(struct faults *f, struct live *l)
{
	pthread_mutex_lock(&f->lock);
	*l = f->live[--f->n_live];
	pthread_mutex_unlock(&f->lock);
}

static bool allowed(const struct faults *f, const char *target)
{
	for (size_t i = 0; i < f->opts.n_allow; i++)
		if (fnmatch(f->opts.allow[i], target, 0) == 0)
			return true;
	return false;
}

static const char *seconds(uint64_t ns, char *buf, size_t size)
{
	snprintf(buf, size, "%.3g s", (double)ns / 1e9);
	return buf;
}

static int check(struct faults *f, const struct fault_ask *m, struct sq_error *err)
{
	struct sq_rule *rule;
	char longest[32];
	int r = 0;

	if (!*m->id)
		return sq_error_set(err, -EINVAL, NULL,
				    "id: a text of at most 63 bytes is expected");
	if (!allowed(f, m->target))
		return sq_error_set(err, -EPERM, NULL,
				    "target: \"%.200s\" is not one that this worker may break "
				    "(its --faults)",
				    m->target);
	if (m->for_ms < 1 || (uint64_t)m->for_ms > f->opts.longest_ns / MS_NS)
		return sq_error_set(err, -EINVAL, NULL,
				    "for: %lld ms is not accepted: this worker allows up to %s "
				    "(its --faults-longest)",
				    (long long)m->for_ms,
				    seconds(f->opts.longest_ns, longest, sizeof(longest)));
	rule = malloc(sizeof(*rule));
	if (!rule)
		return sq_error_set(err, -ENOMEM, NULL, "out of memory");
	r = sq_rule_from_text(m->rule, strlen(m->rule), rule, err);
	if (!r && (rule->for_ns || (rule->flags & SQ_R_KEEP)))
		r = sq_error_set(err, -EINVAL, NULL,
				 "rule: \"for\" and \"on-crash\" are not part of it here: how "
				 "long is asked for beside it");
	free(rule);
	return r;
}

static int set(struct faults *f, const struct fault_ask *m, char *text, size_t size,
	       struct sq_error *err)
{
	uint64_t for_ns = (uint64_t)m->for_ms * MS_NS, now = sim_now();
	struct live *l;
	char tag[INJECTOR_TAG] = "";
	int r = check(f, m, err);

	if (r)
		return r;
	l = find_live(f, m->id, NULL);
	if (l) {
		snprintf(text, size, "is set");
		return 0;
	}
	l = find_live(f, NULL, m->target);
	if (!l && f->n_live == LIVE_MAX)
		return sq_error_set(err, -ENOSPC, NULL, "this worker has %d faults set already",
				    LIVE_MAX);
	if (l)
		snprintf(tag, sizeof(tag), "%s", l->tag);
	r = f->injector->ops->set(f->injector, m->target, m->rule, for_ns, tag, err);
	if (r)
		return r;
	if (!l) {
		pthread_mutex_lock(&f->lock);
		l = &f->live[f->n_live++];
		pthread_mutex_unlock(&f->lock);
	}
	snprintf(l->id, sizeof(l->id), "%s", m->id);
	snprintf(l->target, sizeof(l->target), "%s", m->target);
	snprintf(l->tag, sizeof(l->tag), "%s", tag);
	l->ends_ns = now + for_ns;
	l->renew_ns = now + INJECTOR_RENEW;
	snprintf(text, size, "set");
	return 0;
}

static int end_one(struct faults *f, struct live *l, char *text, size_t size, struct sq_error *err)
{
	int r = f->injector->ops->end(f->injector, l->target, l->tag, text, size, err);

	/* Whom we cannot reach ends it without us: the lease is not renewed. */
	forget(f, l);
	return r;
}

static int del(struct faults *f, const struct fault_ask *m, char *text, size_t size,
	       struct sq_error *err)
{
	struct live *l = find_live(f, m->id, NULL);

	if (l)
		return end_one(f, l, text, size, err);
	snprintf(text, size, "was gone");
	return 0;
}

static int hello(struct faults *f, char *text, size_t size, struct sq_error *err)
{
	char by[128], longest[32];
	size_t n = 0;
	int r = f->injector->ops->look(f->injector, by, sizeof(by), err);

	name_squalld(f); /* it may have been started since */
	if (r)
		return r;
	n += (size_t)snprintf(text, size, "%.100s; at most %s; targets", by,
			      seconds(f->opts.longest_ns, longest, sizeof(longest)));
	for (size_t i = 0; i < f->opts.n_allow && n < size; i++)
		n += (size_t)snprintf(text + n, size - n, " %s", f->opts.allow[i]);
	return 0;
}

static void serve(struct faults *f, const struct fault_ask *m)
{
	struct sq_error err = {0};
	char text[512] = "";
	int r;

	if (m->v != 1)
		r = sq_error_set(&err, -EINVAL, NULL,
				 "v: %lld is not known: this worker (" SQUALL_VERSION ") speaks 1",
				 (long long)m->v);
	else if (!strcmp(m->op, "hello"))
		r = hello(f, text, sizeof(text), &err);
	else if (!strcmp(m->op, "set"))
		r = set(f, m, text, sizeof(text), &err);
	else if (!strcmp(m->op, "del"))
		r = del(f, m, text, sizeof(text), &err);
	else
		r = sq_error_set(&err, -EINVAL, NULL, "op: \"%s\" is not known: hello, set or del",
				 m->op);
	if (strcmp(m->op, "hello"))
		f->opts.say("fault %s on %s: %s", m->op, m->target, r ? err.text : text);
	answer(f, m->id, m->op, !r, r ? err.text : text);
}

/* Leases that are due; returns when the next is. */
static uint64_t renew(struct faults *f)
{
	uint64_t next = NEVER;
	struct sq_error err;

	for (unsigned int i = f->n_live; i-- > 0;) {
		struct live *l = &f->live[i], was = *l;
		uint64_t now = sim_now();
		int r = 0;

		if (now >= l->ends_ns) {
			char text[128];

			/* The kernel has ended it; the ECS agent has no clock. */
			end_one(f, l, text, sizeof(text), &err);
			continue;
		}
		if (now >= l->renew_ns) {
			l->renew_ns = now + INJECTOR_RENEW;
			r = f->injector->ops->keep(f->injector, l->target, l->tag, l->ends_ns - now,
						   &err);
		}
		if (r == -EAGAIN || r == -ETIMEDOUT)
			r = 0; /* once more before the lease is over */
		if (r) {
			forget(f, l);
			f->opts.say("fault on %s is lost: %s", was.target, err.text);
			answer(f, was.id, "lost", false, err.text);
			continue;
		}
		now = l->renew_ns < l->ends_ns ? l->renew_ns : l->ends_ns;
		next = now < next ? now : next;
	}
	return next;
}

static void clear_all(struct faults *f, const char *why)
{
	while (f->n_live) {
		struct live was = f->live[f->n_live - 1];
		struct sq_error err = {0};
		char text[128] = "";
		int r = end_one(f, &f->live[f->n_live - 1], text, sizeof(text), &err);

		f->opts.say("fault on %s: %s, since %s", was.target, r ? err.text : text, why);
		answer(f, was.id, "del", !r, r ? err.text : text);
	}
}

/* The lock is held. */
static void wait_until(struct faults *f, uint64_t at)
{
	struct timespec ts = {(time_t)(at / 1000000000u), (long)(at % 1000000000u)};

	if (at == NEVER)
		pthread_cond_wait(&f->wake, &f->lock);
	else
		pthread_cond_timedwait(&f->wake, &f->lock, &ts);
}

static void *faults_main(void *arg)
{
	struct faults *f = arg;
	uint64_t next = NEVER;

	pthread_setname_np(pthread_self(), "faults");
	pthread_mutex_lock(&f->lock);
	for (;;) {
		struct fault_ask *m = NULL;
		const char *why;

		if (!f->n_queue && !f->clear && !f->stop && sim_now() < next) {
			wait_until(f, next);
			continue;
		}
		why = f->clear ? f->clear : f->stop ? "the worker ends" : NULL;
		f->clear = NULL;
		if (f->n_queue && !why) {
			m = f->queue[0];
			memmove(f->queue, f->queue + 1, --f->n_queue * sizeof(m));
		}
		f->busy = true;
		pthread_mutex_unlock(&f->lock);
		if (why)
			clear_all(f, why);
		if (m)
			serve(f, m);
		free(m);
		next = renew(f);
		pthread_mutex_lock(&f->lock);
		f->busy = false;
		if (f->stop && !f->n_live)
			break;
	}
	pthread_mutex_unlock(&f->lock);
	return NULL;
}

void faults_take(struct faults *f, struct fault_ask *msg)
{
	bool full;

	if (!f->runs) {
		answer(f, msg->id, msg->op, false,
		       "this worker breaks nothing: it was started without --faults");
		free(msg);
		return;
	}
	pthread_mutex_lock(&f->lock);
	full = f->n_queue == QUEUE_MAX;
	if (!full)
		f->queue[f->n_queue++] = msg;
	pthread_cond_signal(&f->wake);
	pthread_mutex_unlock(&f->lock);
	if (full) {
		answer(f, msg->id, msg->op, false, "too many at once: 32 wait already");
		free(msg);
	}
}

void faults_clear(struct faults *f, const char *why)
{
	pthread_mutex_lock(&f->lock);
	while (f->n_queue)
		free(f->queue[--f->n_queue]);
	f->clear = f->n_live || f->busy ? why : NULL;
	pthread_cond_signal(&f->wake);
	pthread_mutex_unlock(&f->lock);
}

bool faults_idle(struct faults *f)
{
	bool idle;

	pthread_mutex_lock(&f->lock);
	idle = !f->n_queue && !f->busy && !f->clear && !f->n_live;
	pthread_mutex_unlock(&f->lock);
	return idle;
}

int faults_new(const struct faults_opts *opts, struct faults **ret)
{
	struct faults *f = calloc(1, sizeof(*f));
	pthread_condattr_t attr;
	struct sq_error err;
	int r = 0;

	if (!f)
		return -ENOMEM;
	f->opts = *opts;
	if (gethostname(f->host, sizeof(f->host) - 1))
		snprintf(f->host, sizeof(f->host), "squall");
	pthread_mutex_init(&f->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&f->wake, &attr);
	pthread_condattr_destroy(&attr);
	if (opts->n_allow) {
		name_squalld(f);
		r = !strcmp(opts->by, "ecs")
			    ? injector_ecs(opts->master, &f->injector, &err)
			    : injector_squalld(opts->by, opts->master_port, &f->injector, &err);
		if (r)
			f->opts.say("%s", err.text);
		else
			r = -pthread_create(&f->thread, NULL, faults_main, f);
		f->runs = !r;
	}
	if (r)
		faults_free(f);
	else
		*ret = f;
	return r;
}

void faults_free(struct faults *f)
{
	if (!f)
		return;
	if (f->runs) {
		pthread_mutex_lock(&f->lock);
		f->stop = true;
		pthread_cond_signal(&f->wake);
		pthread_mutex_unlock(&f->lock);
		pthread_join(f->thread, NULL);
	}
	while (f->n_queue)
		free(f->queue[--f->n_queue]);
	if (f->injector)
		f->injector->ops->close(f->injector);
	pthread_cond_destroy(&f->wake);
	pthread_mutex_destroy(&f->lock);
	free(f);
}
