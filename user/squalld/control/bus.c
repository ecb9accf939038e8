// SPDX-License-Identifier: GPL-2.0-only
/*
 * One listener and a count of those behind it. What costs is making the JSON,
 * so publishers ask bus_wanted() first, which is one load.
 */
#include "squalld/control/bus.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

struct bus {
	pthread_mutex_t lock; /* of the two below */
	bus_fn *fn;
	void *arg;
	atomic_int wanted;
	bus_fn *record; /* set once */
	void *record_arg;
};

int bus_new(struct bus **ret)
{
	struct bus *b = calloc(1, sizeof(*b));

	if (!b)
		return -ENOMEM;
	pthread_mutex_init(&b->lock, NULL);
	*ret = b;
	return 0;
}

void bus_free(struct bus *b)
{
	if (!b)
		return;
	pthread_mutex_destroy(&b->lock);
	free(b);
}

void bus_listen(struct bus *b, bus_fn *fn, void *arg)
{
	pthread_mutex_lock(&b->lock);
	b->fn = fn;
	b->arg = arg;
	pthread_mutex_unlock(&b->lock);
}

void bus_want(struct bus *b, int more)
{
	atomic_fetch_add(&b->wanted, more);
}

bool bus_wanted(struct bus *b)
{
	return b && b->wanted > 0;
}

void bus_record(struct bus *b, bus_fn *fn, void *arg)
{
	b->record_arg = arg;
	b->record = fn;
}

bool bus_heard(struct bus *b)
{
	return bus_wanted(b) || (b && b->record);
}

void bus_publish(struct bus *b, const char *type, json_t *data)
{
	if (bus_wanted(b)) {
		pthread_mutex_lock(&b->lock);
		if (b->fn)
			b->fn(b->arg, type, data);
		pthread_mutex_unlock(&b->lock);
	}
	if (b && b->record)
		b->record(b->record_arg, type, data);
	json_decref(data);
}
