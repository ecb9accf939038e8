// SPDX-License-Identifier: GPL-2.0-only
/*
 * Slots by the monotonic clock, so that a step of the wall clock tears no hole:
 * slot n is second n, modulo the ring, and a stamp says whose second it holds.
 * Columns are made when they first have something to hold, as most of what can
 * be done to a packet is not done to most targets.
 */
#include "squalld/meter/series.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "lib/clock.h"

#define BUCKETS 1024
#define TENS	(SERIES_HOUR / SERIES_GRAIN)
#define SLOTS	(SERIES_SECONDS + TENS)
#define COLUMN	(SLOTS * sizeof(float))
#define PAID	2

struct one {
	struct one *next;
	char *name;
	uint32_t last; /* second of the last call; 0: none */
	uint64_t before[SERIES_COLUMNS];
	uint32_t stamp[SLOTS];	  /* the second, or the ten, that the slot holds; 0: none */
	uint8_t counted[TENS];	  /* seconds of it */
	float *v[SERIES_COLUMNS]; /* SLOTS each, or NULL: all 0 */
};

struct series {
	const char *const *names;
	unsigned int n;
	size_t max, used;
	uint64_t refused;
	struct one *bucket[BUCKETS];
};

int series_new(size_t max_bytes, const char *const *names, unsigned int n, struct series **ret)
{
	struct series *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->names = names;
	s->n = n < SERIES_COLUMNS ? n : SERIES_COLUMNS;
	s->max = max_bytes;
	*ret = s;
	return 0;
}

static unsigned int columns(const struct one *o)
{
	unsigned int n = 0;

	for (int i = 0; i < SERIES_COLUMNS; i++)
		n += o->v[i] != NULL;
	return n;
}

/* Two columns are paid for at once, or many that are silent would leave no room to those that are
 * not. */
static size_t weight(size_t name, unsigned int n)
{
	return sizeof(struct one) + name + 1 + (n > PAID ? n : PAID) * COLUMN;
}

static void drop(struct series *s, struct one **link)
{
	struct one *o = *link;

	*link = o->next;
	s->used -= weight(strlen(o->name), columns(o));
	for (int i = 0; i < SERIES_COLUMNS; i++)
		free(o->v[i]);
	free(o->name);
	free(o);
}

void series_free(struct series *s)
{
	if (!s)
		return;
	for (int i = 0; i < BUCKETS; i++)
		while (s->bucket[i])
			drop(s, &s->bucket[i]);
	free(s);
}

static struct one **find(struct series *s, const char *name)
{
	uint32_t h = 2166136261u;
	struct one **link;

	for (const char *p = name; *p; p++)
		h = (h ^ (unsigned char)*p) * 16777619u;
	link = &s->bucket[(h ^ h >> 16) % BUCKETS];
	while (*link && strcmp((*link)->name, name) != 0)
		link = &(*link)->next;
	return link;
}

/* Room for so much: of who was silent for the longest, but not of who counts. */
static bool make_room(struct series *s, size_t bytes, uint32_t second)
{
	while (s->used + bytes > s->max) {
		struct one **oldest = NULL;

		for (int i = 0; i < BUCKETS; i++)
			for (struct one **link = &s->bucket[i]; *link; link = &(*link)->next)
				if ((*link)->last + 2 < second &&
				    (!oldest || (*link)->last < (*oldest)->last))
					oldest = link;
		if (!oldest)
			return false;
		drop(s, oldest);
	}
	s->used += bytes;
	return true;
}

static struct one *make(struct series *s, const char *name, uint32_t second)
{
	size_t size = strlen(name) + 1;
	struct one **link, *o;

	if (!make_room(s, weight(size - 1, 0), second))
		return NULL;
	o = calloc(1, sizeof(*o));
	if (!o || !(o->name = malloc(size))) {
		free(o);
		s->used -= weight(size - 1, 0);
		return NULL;
	}
	memcpy(o->name, name, size);
	link = find(s, name); /* room may have been made where it ends */
	o->next = NULL;
	*link = o;
	return o;
}

/* Whose hour is over. A bucket a second is enough. */
static void forget(struct series *s, uint32_t second)
{
	struct one **link = &s->bucket[second % BUCKETS];

	while (*link) {
		if ((*link)->last + SERIES_HOUR < second)
			drop(s, link);
		else
			link = &(*link)->next;
	}
}

/* Empties a slot for a new second, or ten. False: it is its already. */
static bool claim(struct one *o, unsigned int slot, uint32_t stamp)
{
	if (o->stamp[slot] == stamp)
		return false;
	o->stamp[slot] = stamp;
	for (int i = 0; i < SERIES_COLUMNS; i++)
		if (o->v[i])
			o->v[i][slot] = 0;
	if (slot >= SERIES_SECONDS)
		o->counted[slot - SERIES_SECONDS] = 0;
	return true;
}

/* A part of what was counted, one in so many, is of this second. */
static void record(struct series *s, struct one *o, uint32_t second, const float *delta, float part)
{
	unsigned int slot = second % SERIES_SECONDS,
		     ten = SERIES_SECONDS + second / SERIES_GRAIN % TENS;

	claim(o, ten, second / SERIES_GRAIN);
	o->counted[ten - SERIES_SECONDS] += claim(o, slot, second);
	for (unsigned int i = 0; i < s->n; i++) {
		if (!delta[i])
			continue;
		if (!o->v[i] && (columns(o) < PAID || make_room(s, COLUMN, second))) {
			o->v[i] = calloc(1, COLUMN);
			if (!o->v[i] && columns(o) >= PAID)
				s->used -= COLUMN;
		}
		if (!o->v[i]) {
			s->refused++;
			continue;
		}
		o->v[i][slot] += delta[i] / part;
		o->v[i][ten] += delta[i] / part;
	}
}

bool series_put(struct series *s, const char *name, uint64_t now_ns, const uint64_t *totals,
		bool fresh, float *ret_delta)
{
	uint32_t second = (uint32_t)(now_ns / 1000000000u) + 1, last; /* 0 is no second */
	float delta[SERIES_COLUMNS] = {0};
	struct one *o;
	bool known, late;

	forget(s, second);
	o = *find(s, name);
	if (!o && !(o = make(s, name, second))) {
		s->refused++;
		return false;
	}
	last = o->last;
	o->last = second; /* first of all: who counts is not thrown out to make room */
	known = fresh || (last && second - last <= 2);
	for (unsigned int i = 0; i < s->n; i++) {
		uint64_t was = fresh || totals[i] < o->before[i] ? 0 : o->before[i];

		delta[i] = known ? (float)(totals[i] - was) : 0;
		o->before[i] = totals[i];
	}
	/* Timers are late: two calls may fall into one second, or leave one out. */
	late = !fresh && second - last == 2;
	if (known && late)
		record(s, o, second - 1, delta, 2);
	if (known)
		record(s, o, second, delta, late ? 2 : 1);
	if (ret_delta)
		memcpy(ret_delta, delta, sizeof(delta));
	return known;
}

/* The slots of one grain, the oldest first. */
static json_t *grain(const struct series *s, const struct one *o, bool tens, uint32_t second,
		     uint64_t now_ms)
{
	unsigned int base = tens ? SERIES_SECONDS : 0, n = tens ? TENS : SERIES_SECONDS, at[TENS];
	uint32_t width = tens ? SERIES_GRAIN : 1, last = second / width, slots = 0;
	json_t *time = json_array(), *counted = json_array(),
	       *dir[2] = {json_object(), json_object()};

	for (uint32_t stamp = last >= n ? last - n + 1 : 1; stamp <= last; stamp++) {
		if (o->stamp[base + stamp % n] != stamp)
			continue;
		at[slots++] = base + stamp % n;
		json_array_append_new(
			time,
			json_integer((json_int_t)(now_ms - (second - stamp * width) * 1000ull)));
		json_array_append_new(counted, json_integer(tens ? o->counted[stamp % n] : 1));
	}
	for (unsigned int i = 0; i < s->n; i++) {
		json_t *list = o->v[i] ? json_array() : NULL;

		for (uint32_t k = 0; list && k < slots; k++)
			json_array_append_new(list,
					      json_integer((json_int_t)(o->v[i][at[k]] + 0.5f)));
		if (list)
			json_object_set_new(dir[i >= s->n / 2], s->names[i], list);
	}
	return json_pack("{s:i,s:o,s:o,s:o,s:o}", "grain_s", (int)width, "time_ms", time, "seconds",
			 counted, "up", dir[0], "down", dir[1]);
}

json_t *series_json(struct series *s, const char *name, uint64_t now_ns)
{
	uint32_t second = (uint32_t)(now_ns / 1000000000u) + 1;
	const struct one *o = *find(s, name);
	uint64_t now_ms = sq_real_ms();

	return o ? json_pack("{s:b,s:[o,o]}", "kept", 1, "grains",
			     grain(s, o, false, second, now_ms), grain(s, o, true, second, now_ms))
		 : json_pack("{s:b,s:[]}", "kept", 0, "grains");
}

unsigned int series_between(struct series *s, const char *name, uint64_t now_ns, uint64_t from_ns,
			    uint64_t to_ns, double *ret_sum)
{
	const struct one *o = *find(s, name);
	uint32_t now = (uint32_t)(now_ns / 1000000000u) + 1, counted = 0;
	/* A second is counted when the timer ticks, somewhere in the next: it may have begun two
	 * before its number. */
	uint32_t first = (uint32_t)(from_ns / 1000000000u) + 3,
		 last = (uint32_t)(to_ns / 1000000000u);
	bool tens = first + SERIES_SECONDS <= now;
	uint32_t width = tens ? SERIES_GRAIN : 1, base = tens ? SERIES_SECONDS : 0,
		 n = tens ? TENS : SERIES_SECONDS;

	memset(ret_sum, 0, SERIES_COLUMNS * sizeof(*ret_sum));
	if (!o)
		return 0;
	if (first + SERIES_HOUR < now)
		first = now - SERIES_HOUR;
	for (uint32_t stamp = (first + width - 1) / width; (stamp + 1) * width <= last + 1;
	     stamp++) {
		uint32_t slot = base + stamp % n;

		if (o->stamp[slot] != stamp)
			continue;
		counted += tens ? o->counted[stamp % n] : 1;
		for (unsigned int i = 0; i < s->n; i++)
			if (o->v[i])
				ret_sum[i] += (double)o->v[i][slot];
	}
	return counted;
}

size_t series_bytes(const struct series *s)
{
	return s->used;
}

uint64_t series_refused(const struct series *s)
{
	return s->refused;
}
