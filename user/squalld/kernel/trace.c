// SPDX-License-Identifier: GPL-2.0-only
/* One ring buffer in the kernel, any number of readers here. */
#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <bpf/libbpf.h>
#include "squall.skel.h"
#include "squalld/kernel/engine_internal.h"

#define QUEUE 4096 /* events a slow reader may lag; then the oldest go */

struct engine_trace {
	struct engine *engine;
	struct engine_trace *next;
	pthread_cond_t more;
	uint32_t every, seen;
	size_t head, n;
	struct sq_event queue[QUEUE];
};

static int on_event(void *arg, void *data, size_t size)
{
	struct engine *e = arg;

	if (size < sizeof(struct sq_event))
		return 0;
	pthread_mutex_lock(&e->lock);
	for (struct engine_trace *t = e->traces; t; t = t->next) {
		if (t->every > 1 && t->seen++ % t->every)
			continue;
		if (t->n == QUEUE) {
			t->head = (t->head + 1) % QUEUE;
			t->n--;
		}
		t->queue[(t->head + t->n++) % QUEUE] = *(struct sq_event *)data;
		pthread_cond_signal(&t->more);
	}
	pthread_mutex_unlock(&e->lock);
	return 0;
}

static void *trace_main(void *arg)
{
	struct engine *e = arg;
	bool run = true;

	while (run) {
		ring_buffer__poll(e->ring, 100);
		pthread_mutex_lock(&e->lock);
		run = e->traces && !e->stop;
		if (!run) {
			ring_buffer__free(e->ring);
			e->ring = NULL;
			e->trace_running = false;
		}
		pthread_mutex_unlock(&e->lock);
	}
	return NULL;
}

int engine_trace_open(struct engine *e, uint32_t every, struct engine_trace **ret)
{
	struct engine_trace *t = calloc(1, sizeof(*t));
	pthread_condattr_t attr;
	int err = 0;

	if (!t)
		return -ENOMEM;
	t->engine = e;
	t->every = every;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&t->more, &attr);
	pthread_condattr_destroy(&attr);
	pthread_mutex_lock(&e->lock);
	t->next = e->traces;
	e->traces = t;
	/* Sampling is done here, per reader: the kernel hands over everything. */
	e->cfg->trace_every = 1;
	__atomic_or_fetch(&e->cfg->flags, SQ_C_TRACE, __ATOMIC_RELEASE);
	if (!e->trace_running) {
		/* Here and not in the thread, so that its failure is told and the next
		 * reader may try again. */
		e->ring = ring_buffer__new(bpf_map__fd(e->skel->maps.sq_events), on_event, e, NULL);
		err = e->ring ? -pthread_create(&e->trace_thread, NULL, trace_main, e) : -errno;
		if (err) {
			ring_buffer__free(e->ring);
			e->ring = NULL;
		} else {
			e->trace_running = true;
			pthread_detach(e->trace_thread);
		}
	}
	pthread_mutex_unlock(&e->lock);
	if (err)
		engine_trace_close(t);
	else
		*ret = t;
	return err;
}

int engine_trace_next(struct engine_trace *t, struct sq_event *ret, int timeout_ms)
{
	struct engine *e = t->engine;
	struct timespec until;
	int got = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += timeout_ms / 1000;
	until.tv_nsec += timeout_ms % 1000 * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	pthread_mutex_lock(&e->lock);
	while (!t->n && timeout_ms && !pthread_cond_timedwait(&t->more, &e->lock, &until))
		;
	if (t->n) {
		*ret = t->queue[t->head];
		t->head = (t->head + 1) % QUEUE;
		t->n--;
		got = 1;
	}
	pthread_mutex_unlock(&e->lock);
	return got;
}

void engine_trace_close(struct engine_trace *t)
{
	struct engine_trace **p;
	struct engine *e;

	if (!t)
		return;
	e = t->engine;
	pthread_mutex_lock(&e->lock);
	for (p = &e->traces; *p && *p != t; p = &(*p)->next)
		;
	if (*p)
		*p = t->next;
	if (!e->traces)
		__atomic_and_fetch(&e->cfg->flags, ~SQ_C_TRACE, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&e->lock);
	pthread_cond_destroy(&t->more);
	free(t);
}

/* The thread looks at the flag at least ten times a second. */
void trace_stop(struct engine *e)
{
	struct timespec nap = {.tv_nsec = 10000000};
	bool running = true;

	while (running) {
		pthread_mutex_lock(&e->lock);
		running = e->trace_running;
		pthread_mutex_unlock(&e->lock);
		if (running)
			nanosleep(&nap, NULL);
	}
}
