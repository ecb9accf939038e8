// SPDX-License-Identifier: GPL-2.0-only
/*
 * The list of targets is walked each few seconds only, and a few new ones are
 * followed a second: what it costs is spread, as the lock is held.
 */
#include "squalld/meter/loud.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lib/clock.h"
#include "lib/error.h"
#include "squalld/base/log.h"
#include "squalld/control/bus.h"
#include "squalld/meter/series.h"
#include "squalld/control/targets.h"
#include "squalld/net/traffic.h"

#define HOLD_NS	  60000000000ull /* counting goes on for so long after the last one looked */
#define WALK_NS	  3000000000ull
#define A_SECOND  64 /* new ones followed */
#define TELL_EACH 2  /* seconds */

static const char *const names[LOUD_COLUMNS] = {"pkts", "bytes", "pkts", "bytes"};
static const char *const modes[] = {"auto", "on", "off", NULL};
enum { AUTO, ON, OFF };

struct heard {
	uint64_t id;
	bool here, known;
	struct traffic_count told; /* at the last telling */
	char *name;
};

struct loud {
	struct targets *targets;
	struct bus *bus;
	struct series *series;
	struct traffic *traffic; /* NULL: not counting */
	struct heard *list;
	unsigned int n, room, all; /* all: targets at the last walk */
	int mode, error;
	unsigned int ticks, fresh;
	uint64_t walked_ns, told_ns, told_ms;
	json_t *rates;
	atomic_int wanted;
	atomic_ullong looked_ns; /* when the last one left */
	char why[200];
};

static int mode_of(const char *text)
{
	for (int i = 0; modes[i]; i++)
		if (!strcmp(text, modes[i]))
			return i;
	return -EINVAL;
}

int loud_new(struct targets *targets, struct bus *bus, const char *mode, struct loud **ret)
{
	struct loud *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	l->targets = targets;
	l->bus = bus;
	l->mode = mode_of(mode);
	l->rates = json_object();
	if (!l->rates || series_new(LOUD_MAX_BYTES, names, LOUD_COLUMNS, &l->series) < 0) {
		loud_free(l);
		return -ENOMEM;
	}
	*ret = l;
	return 0;
}

static void silence(struct loud *l)
{
	traffic_close(l->traffic);
	l->traffic = NULL;
	for (unsigned int i = 0; i < l->n; i++)
		free(l->list[i].name);
	free(l->list);
	l->list = NULL;
	l->n = l->room = 0;
	json_object_clear(l->rates);
}

void loud_free(struct loud *l)
{
	if (!l)
		return;
	silence(l);
	json_decref(l->rates);
	series_free(l->series);
	free(l);
}

void loud_want(struct loud *l, int more)
{
	if (more < 0)
		l->looked_ns = sq_mono_ns();
	l->wanted += more;
}

int loud_set(struct loud *l, const char *mode, struct sq_error *p)
{
	int is = mode_of(mode);

	if (is < 0)
		return sq_error_set(p, -EINVAL, "mode",
				    "\"%.15s\" is not accepted: auto, on or off", mode);
	l->mode = is;
	l->error = 0;
	l->walked_ns = 0;
	l->why[0] = 0;
	return 0;
}

/* --- who is followed ------------------------------------------------------------------- */

static struct heard *heard_of(struct loud *l, uint64_t id)
{
	for (unsigned int i = 0; i < l->n; i++)
		if (l->list[i].id == id)
			return &l->list[i];
	return NULL;
}

static bool is_here(uint64_t id, void *arg)
{
	const struct heard *h = heard_of(arg, id);

	return h && h->here;
}

static unsigned int most(const struct loud *l)
{
	return l->mode == AUTO ? LOUD_AUTO : LOUD_MAX;
}

static int count_one(const struct target *t, void *arg)
{
	struct loud *l = arg;

	return t->id && ++l->all > most(l) ? -E2BIG : 0;
}

static void add(struct loud *l, const struct target *t)
{
	struct heard *h;

	if (l->n == l->room) {
		unsigned int room = l->room ? l->room * 2 : 64;

		h = reallocarray(l->list, room, sizeof(*h));
		if (!h)
			return;
		l->list = h;
		l->room = room;
	}
	h = &l->list[l->n];
	*h = (struct heard){.id = t->id, .here = true, .name = strdup(t->name)};
	l->n += h->name != NULL;
}

static int follow_one(const struct target *t, void *arg)
{
	struct loud *l = arg;
	struct heard *h = t->id ? heard_of(l, t->id) : NULL;
	int rc;

	if (h)
		h->here = true;
	if (!t->id || h || l->fresh >= A_SECOND)
		return 0;
	rc = traffic_follow(l->traffic, t->cgroup, t->id);
	if (rc > 0) {
		l->fresh++;
		add(l, t);
	} else if (rc < 0 && rc != -ENOENT) {
		snprintf(l->why, sizeof(l->why), "%.100s cannot be counted: %s", t->name,
			 strerror(-rc));
		if (rc == -EMFILE || rc == -ENFILE)
			return rc;
	}
	return 0;
}

static void walk(struct loud *l)
{
	unsigned int kept = 0;

	for (unsigned int i = 0; i < l->n; i++)
		l->list[i].here = false;
	l->fresh = 0;
	targets_each(l->targets, true, true, follow_one, l);
	traffic_keep(l->traffic, is_here, l);
	for (unsigned int i = 0; i < l->n; i++) {
		if (l->list[i].here)
			l->list[kept++] = l->list[i];
		else
			free(l->list[i].name);
	}
	l->n = kept;
}

/* Whether to count now; *l->why says why not. */
static bool may_count(struct loud *l, uint64_t now)
{
	bool looked = l->wanted > 0 || (l->looked_ns && now - l->looked_ns < HOLD_NS);

	if (l->error)
		return false;
	if (l->mode == OFF || (l->mode == AUTO && !looked)) {
		l->why[0] = 0;
		return false;
	}
	if (l->walked_ns && now - l->walked_ns < WALK_NS)
		return l->traffic != NULL;
	l->walked_ns = now;
	l->all = 0;
	targets_each(l->targets, true, true, count_one, l);
	if (l->all > most(l)) {
		snprintf(l->why, sizeof(l->why), "there are more than %u targets%s", most(l),
			 l->mode == AUTO ? "; it can be switched on" : "");
		return false;
	}
	l->why[0] = 0;
	if (!l->traffic) {
		struct sq_error err = {0};

		l->error = traffic_open(&l->traffic, &err);
		if (l->error < 0) {
			snprintf(l->why, sizeof(l->why), "%.190s", err.text);
			log_info("traffic: %s", l->why);
			return false;
		}
	}
	walk(l);
	return true;
}

/* --- what they say --------------------------------------------------------------------- */

static void read_one(struct loud *l, struct heard *h, uint64_t now, uint64_t past_ns)
{
	struct traffic_count c;
	uint64_t totals[SERIES_COLUMNS];
	char id[24];

	if (traffic_read(l->traffic, h->id, &c) < 0)
		return;
	totals[0] = c.up_pkts;
	totals[1] = c.up_bytes;
	totals[2] = c.down_pkts;
	totals[3] = c.down_bytes;
	/* Counted since some part of a second, which is no second of silence: never fresh. */
	series_put(l->series, h->name, now, totals, false, NULL);
	if (past_ns && h->known &&
	    (c.up_pkts != h->told.up_pkts || c.down_pkts != h->told.down_pkts)) {
		double s = (double)past_ns / 1e9;

		snprintf(id, sizeof(id), "%llu", (unsigned long long)h->id);
		json_object_set_new(
			l->rates, id,
			json_pack(
				"[I,I,I,I]",
				(json_int_t)((double)(c.up_pkts - h->told.up_pkts) / s + 0.5),
				(json_int_t)((double)(c.up_bytes - h->told.up_bytes) * 8 / s),
				(json_int_t)((double)(c.down_pkts - h->told.down_pkts) / s + 0.5),
				(json_int_t)((double)(c.down_bytes - h->told.down_bytes) * 8 / s)));
	}
	if (past_ns || !h->known)
		h->told = c;
	h->known = true;
}

void loud_tick(struct loud *l)
{
	uint64_t now = sq_mono_ns(), past = 0;

	if (!may_count(l, now)) {
		if (l->traffic)
			silence(l);
		return;
	}
	if (++l->ticks % TELL_EACH == 0) {
		past = l->told_ns ? now - l->told_ns : TELL_EACH * 1000000000ull;
		l->told_ns = now;
		l->told_ms = sq_real_ms();
		json_object_clear(l->rates);
	}
	for (unsigned int i = 0; i < l->n; i++)
		read_one(l, &l->list[i], now, past);
	if (past && l->wanted > 0)
		bus_publish(l->bus, "traffic", loud_rates(l));
}

struct series *loud_series(struct loud *l)
{
	return l->series;
}

json_t *loud_rates(const struct loud *l)
{
	/* A copy: the next second changes ours. */
	return json_pack("{s:I,s:o}", "time_ms", (json_int_t)l->told_ms, "traffic",
			 json_copy(l->rates));
}

json_t *loud_json(const struct loud *l)
{
	static const char *const soon[] = {"nobody looks", "it begins with the next second",
					   "it is switched off"};
	json_t *o = loud_rates(l);
	const char *why = l->why[0] ? l->why : l->traffic ? NULL : soon[l->mode];

	json_object_set_new(o, "mode", json_string(modes[l->mode]));
	json_object_set_new(o, "counting", json_boolean(l->traffic != NULL));
	json_object_set_new(o, "why", why ? json_text(why) : json_null());
	json_object_set_new(o, "targets", json_integer(l->n));
	json_object_set_new(o, "auto_max", json_integer(LOUD_AUTO));
	json_object_set_new(o, "max", json_integer(LOUD_MAX));
	return o;
}
