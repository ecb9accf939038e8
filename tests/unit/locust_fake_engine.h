// SPDX-License-Identifier: GPL-2.0-only
/*
 * An engine that only keeps books: devices "connect" along the smear at once,
 * and results are what a test puts in. It stands in for user/sim/engine/engine.c, whose
 * functions it replaces at link time, so that the worker's protocol is tested
 * alone, to the millisecond and without a broker.
 */
#ifndef LOCUST_FAKE_ENGINE_H
#define LOCUST_FAKE_ENGINE_H

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "sim/engine/engine.h"

#define FAKE_TYPES 2

struct fake_type {
	uint32_t from, to;
	uint64_t start, over;
};

static struct fake_engine {
	pthread_mutex_t lock;
	struct fake_type type[FAKE_TYPES];
	uint32_t limit;
	uint32_t refuse;	    /* devices beyond this number never connect */
	uint64_t drain_ns;	    /* a device takes this long to go */
	uint64_t results, failures; /* not yet taken */
	char topic[64], broker[64], qos[8], payload[256];
	unsigned int overrides, first, skip;
	bool rows; /* the first type has --credentials, of this many */
	unsigned int nrows;
} fake = {.lock = PTHREAD_MUTEX_INITIALIZER, .limit = 100000, .refuse = UINT32_MAX};

/* What a test reads and sets while the worker runs. */
#define fake_get(field)                                                                            \
	({                                                                                         \
		pthread_mutex_lock(&fake.lock);                                                    \
		typeof(fake.field) got_ = fake.field;                                              \
		pthread_mutex_unlock(&fake.lock);                                                  \
		got_;                                                                              \
	})
#define fake_put(field, value)                                                                     \
	do {                                                                                       \
		pthread_mutex_lock(&fake.lock);                                                    \
		fake.field = (value);                                                              \
		pthread_mutex_unlock(&fake.lock);                                                  \
	} while (0)

/* A copy of one of fake's texts, until the next call. */
static inline const char *fake_text(const char *text)
{
	static char copy[sizeof(fake.payload)];

	pthread_mutex_lock(&fake.lock);
	snprintf(copy, sizeof(copy), "%s", text);
	pthread_mutex_unlock(&fake.lock);
	return copy;
}

static uint64_t fake_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

/* The lock is held. */
static uint32_t fake_allowed(const struct fake_type *t)
{
	uint64_t gone = fake_now() - t->start;
	uint64_t over = t->over + (t->to < t->from ? fake.drain_ns : 0);

	if (gone >= over)
		return t->to;
	return (uint32_t)(t->from + ((double)t->to - t->from) * (double)gone / (double)over);
}

static void fake_add(uint64_t results, uint64_t failures)
{
	pthread_mutex_lock(&fake.lock);
	fake.results += results;
	fake.failures += failures;
	pthread_mutex_unlock(&fake.lock);
}

static inline uint32_t fake_running(unsigned int type)
{
	uint32_t n;

	pthread_mutex_lock(&fake.lock);
	n = fake_allowed(&fake.type[type]);
	pthread_mutex_unlock(&fake.lock);
	return n;
}

static uint32_t fake_target(unsigned int type)
{
	uint32_t n;

	pthread_mutex_lock(&fake.lock);
	n = fake.type[type].to;
	pthread_mutex_unlock(&fake.lock);
	return n;
}

const char *sim_name_text(enum sim_name name)
{
	static const char *const text[] = {"connect", "publish", "puback", "receive", "disconnect"};

	return text[name];
}

int sim_engine_target(struct sim_engine *e, unsigned type, uint32_t n, uint64_t over_ns)
{
	struct fake_type *t = &fake.type[type];

	(void)e;
	if (type >= FAKE_TYPES)
		return -EINVAL;
	pthread_mutex_lock(&fake.lock);
	if (n > fake.limit) {
		pthread_mutex_unlock(&fake.lock);
		return -E2BIG;
	}
	*t = (struct fake_type){fake_allowed(t), n, fake_now(), over_ns};
	pthread_mutex_unlock(&fake.lock);
	return 0;
}

int sim_engine_override_n(struct sim_engine *e, int type, const char *const key[],
			  const char *const value[], unsigned n, struct sq_error *err)
{
	unsigned int i;

	(void)e;
	for (i = 0; i < n; i++)
		if (!strcmp(key[i], "qos") && strcmp(value[i], "0") && strcmp(value[i], "1") &&
		    strcmp(value[i], "2")) {
			snprintf(err->text, sizeof(err->text), "qos '%s': 0, 1 or 2", value[i]);
			return -EINVAL;
		} else if (!strcmp(key[i], "credentials-skip") &&
			   (unsigned int)atoi(value[i]) >= fake_get(nrows)) {
			snprintf(err->text, sizeof(err->text), "credentials-skip %s: too many",
				 value[i]);
			return -EINVAL;
		}
	pthread_mutex_lock(&fake.lock);
	for (i = 0; i < n && type == 0; i++) {
		if (!strcmp(key[i], "topic"))
			snprintf(fake.topic, sizeof(fake.topic), "%s", value[i]);
		if (!strcmp(key[i], "broker"))
			snprintf(fake.broker, sizeof(fake.broker), "%s", value[i]);
		if (!strcmp(key[i], "payload"))
			snprintf(fake.payload, sizeof(fake.payload), "%s", value[i]);
		if (!strcmp(key[i], "qos"))
			snprintf(fake.qos, sizeof(fake.qos), "%s", value[i]);
		if (!strcmp(key[i], "credentials-skip"))
			fake.skip = (unsigned int)atoi(value[i]);
		if (!strcmp(key[i], "first"))
			fake.first = (unsigned int)atoi(value[i]);
		else
			fake.overrides++;
	}
	pthread_mutex_unlock(&fake.lock);
	return 0;
}

int sim_engine_profile(struct sim_engine *e, unsigned type, struct sim_profile *ret)
{
	(void)e;
	memset(ret, 0, sizeof(*ret));
	snprintf(ret->name, sizeof(ret->name), "%s", type ? "temp-sensor" : "meter");
	snprintf(ret->broker, sizeof(ret->broker), "mqtt://own");
	snprintf(ret->topic, sizeof(ret->topic), "own/topic");
	ret->qos = 1;
	if (!type && fake_get(rows)) {
		snprintf(ret->credentials, sizeof(ret->credentials), "rows.csv");
		ret->credentials_skip = 5;
	}
	return 0;
}

unsigned sim_engine_types(const struct sim_engine *e)
{
	(void)e;
	return FAKE_TYPES;
}

const char *sim_engine_type_name(const struct sim_engine *e, unsigned type)
{
	(void)e;
	return type ? "temp-sensor" : "meter";
}

void sim_engine_counts(struct sim_engine *e, int type, struct sim_counts *ret)
{
	unsigned int t;

	(void)e;
	*ret = (struct sim_counts){0};
	pthread_mutex_lock(&fake.lock);
	for (t = 0; t < FAKE_TYPES; t++) {
		uint32_t n = fake_allowed(&fake.type[t]);

		if (type >= 0 && t != (unsigned int)type)
			continue;
		ret->target += fake.type[t].to;
		ret->running += n;
		ret->connected += n < fake.refuse ? n : fake.refuse;
	}
	pthread_mutex_unlock(&fake.lock);
}

int sim_engine_health(struct sim_engine *e, struct sq_error *err)
{
	(void)e;
	(void)err;
	return 0;
}

void sim_engine_stop(struct sim_engine *e, uint64_t drain_ns)
{
	unsigned int t;

	(void)drain_ns;
	for (t = 0; t < FAKE_TYPES; t++)
		sim_engine_target(e, t, 0, 0);
}

void sim_engine_hush(struct sim_engine *e, uint64_t drain_ns)
{
	sim_engine_stop(e, drain_ns);
}

bool sim_engine_hushed(struct sim_engine *e)
{
	struct sim_counts c;

	sim_engine_counts(e, -1, &c);
	return !c.running;
}

void sim_engine_unhush(struct sim_engine *e)
{
	(void)e;
}

struct sim_reader {
	struct sim_report report;
	struct sim_entry entry;
	struct sim_error error;
};

struct sim_reader *sim_reader_new(struct sim_engine *e)
{
	(void)e;
	return calloc(1, sizeof(struct sim_reader));
}

const struct sim_report *sim_reader_take(struct sim_reader *r)
{
	struct sim_entry *e = &r->entry;
	uint64_t ok;

	memset(&r->report, 0, sizeof(r->report));
	memset(e, 0, sizeof(*e));
	pthread_mutex_lock(&fake.lock);
	e->num_requests = fake.results;
	e->num_failures = fake.failures;
	fake.results = fake.failures = 0;
	pthread_mutex_unlock(&fake.lock);
	if (!e->num_requests)
		return &r->report;
	ok = e->num_requests - e->num_failures;
	e->name = SIM_PUBACK;
	e->timed = ok;
	e->content_length = e->num_requests * 100;
	e->total_ms = 7.0 * (double)ok;
	e->min_ms = e->max_ms = 7;
	e->hist.cell[sim_hist_cell(7000)] = (uint32_t)ok;
	e->nreq = 1;
	e->req[0] = (struct sim_second){(uint32_t)time(NULL), (uint32_t)e->num_requests};
	e->last_request = (double)time(NULL);
	r->report.nentries = 1;
	r->report.entry[0] = e;
	if (e->num_failures) {
		e->nfail = 1;
		e->fail[0] = (struct sim_second){(uint32_t)time(NULL), (uint32_t)e->num_failures};
		r->error = (struct sim_error){.name = SIM_PUBACK,
					      .occurrences = e->num_failures,
					      .kind = "no-puback",
					      .text = "no PUBACK in 20 s"};
		r->report.nerrors = 1;
		r->report.error = &r->error;
	}
	return &r->report;
}

void sim_reader_free(struct sim_reader *r)
{
	free(r);
}

#endif
