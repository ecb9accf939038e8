// SPDX-License-Identifier: GPL-2.0-only
/*
 * GET /api/v1/history: filters, a page at a time, as JSON or CSV; and of the last hour what the
 * target sent and received before, during and after each rule.
 */
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "lib/clock.h"
#include "squalld/api/api.h"
#include "squalld/control/history.h"
#include "squalld/control/selector.h"
#include "squalld/control/targets.h"
#include "squalld/meter/loud.h"
#include "squalld/meter/meter.h"
#include "squalld/meter/series.h"

#define PAGE	  100
#define PAGE_MAX  1000
#define CSV_MAX	  100000
#define AROUND_MS 60000	  /* before and after, at most */
#define LEAST_MS  4000	  /* in less no second lies wholly */
#define ENOUGH	  3	  /* seconds of all traffic, for more of what rules met to be left */
#define HOUR_MS	  3600000 /* of the series */

/* A whole number of milliseconds or an event's id. False: it is there, and is none. */
static bool number(struct request *r, const char *key, uint64_t *ret)
{
	char text[32], *end;

	if (!request_query(r, key, text, sizeof(text)))
		return true;
	*ret = strtoull(text, &end, 10);
	return *text >= '0' && *text <= '9' && !*end && strlen(text) < 19;
}

struct asked {
	struct history_filter f;
	char target[TARGET_NAME_MAX], type[24], action[24], who[100];
	bool csv;
};

static int ask(struct request *r, struct asked *a, struct sq_error *p)
{
	static const char *const numbers[] = {"since_ms", "until_ms", "before", "limit"};
	static const char *const types[] = {"rule",   "schedule", "target",	"lane",
					    "health", "squalld",  "experiment", "profile"};
	uint64_t value[4] = {0};
	char format[8] = "";
	bool known = false;

	for (int i = 0; i < 4; i++)
		if (!number(r, numbers[i], &value[i]))
			return sq_error_set(p, -EINVAL, numbers[i], "a whole number is expected");
	if (strstr(r->query, "format=") &&
	    (!request_query(r, "format", format, sizeof(format)) ||
	     (strcmp(format, "csv") != 0 && strcmp(format, "json") != 0)))
		return sq_error_set(p, -EINVAL, "format", "json or csv is accepted");
	a->csv = strcmp(format, "csv") == 0;
	if (!value[3] && !strstr(r->query, "limit="))
		value[3] = a->csv ? CSV_MAX : PAGE;
	if (!value[3] || value[3] > (a->csv ? CSV_MAX : PAGE_MAX))
		return sq_error_set(p, -EINVAL, "limit", "1 to %d are accepted",
				    a->csv ? CSV_MAX : PAGE_MAX);
	a->f = (struct history_filter){
		.target = request_query(r, "target", a->target, sizeof(a->target)),
		.type = request_query(r, "type", a->type, sizeof(a->type)),
		.action = request_query(r, "action", a->action, sizeof(a->action)),
		.who = request_query(r, "who", a->who, sizeof(a->who)),
		.since_ms = value[0],
		.until_ms = value[1],
		.before = value[2],
		.limit = (unsigned int)value[3],
	};
	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
		known = known || (a->f.type && !strcmp(a->f.type, types[i]));
	if (a->f.type && *a->f.type && !known)
		return sq_error_set(p, -EINVAL, "type",
				    "\"%s\" is not accepted: rule, schedule, target, lane, health, "
				    "squalld, experiment or profile",
				    a->f.type);
	return 0;
}

/* A target that is there has its canonical name in the history; one that is gone is taken as it is.
 */
static void name_target(struct request *r, struct asked *a)
{
	struct sq_error ignored = {0};
	struct target t;

	if (!a->f.target)
		return;
	pthread_mutex_lock(api_of(r)->lock);
	if (target_resolve(api_of(r)->targets, a->target, &t, &ignored) == 0)
		snprintf(a->target, sizeof(a->target), "%s", t.name);
	pthread_mutex_unlock(api_of(r)->lock);
	json_decref(ignored.candidates);
}

/* --- traffic around a rule -------------------------------------------------------------- */

struct now {
	uint64_t mono_ns, real_ms;
};

static uint64_t mono_of(const struct now *now, uint64_t real_ms)
{
	uint64_t ago_ns = real_ms < now->real_ms ? (now->real_ms - real_ms) * 1000000u : 0;

	return ago_ns < now->mono_ns ? now->mono_ns - ago_ns : 0;
}

/* The first half of a series' columns is up, the other down; packets and bytes come first. */
static json_t *window_json(const double *sum, unsigned int columns, unsigned int seconds,
			   const char *of)
{
	static const char *const dirs[] = {"up", "down"};
	json_t *o = json_pack("{s:i,s:s}", "seconds", (int)seconds, "of", of);

	for (unsigned int d = 0; d < 2; d++) {
		const double *v = sum + d * columns / 2;

		json_object_set_new(o, dirs[d],
				    json_pack("{s:f,s:I}", "pkts_per_s",
					      round(v[0] / seconds * 10) / 10, "bits_per_s",
					      (json_int_t)(v[1] / seconds * 8 + 0.5)));
	}
	return o;
}

/* All that the target sent and received, where that was counted; else what rules met, which is no
 * more than they match. The lock is held. */
static json_t *window(struct api *a, const char *target, const struct now *now, uint64_t from_ms,
		      uint64_t to_ms)
{
	double all[SERIES_COLUMNS], met[SERIES_COLUMNS];
	uint64_t from = mono_of(now, from_ms), to = mono_of(now, to_ms);
	unsigned int n_all, n_met;
	const char *why;

	n_all = series_between(loud_series(a->loud), target, now->mono_ns, from, to, all);
	n_met = series_between(meter_series(a->meter), target, now->mono_ns, from, to, met);
	if (n_all && (n_all >= ENOUGH || n_all >= n_met))
		return window_json(all, LOUD_COLUMNS, n_all, "all");
	if (n_met)
		return window_json(met, METER_COLUMNS, n_met, "rules");
	if (to_ms < from_ms + LEAST_MS)
		why = to_ms >= now->real_ms ? "it has only just ended" : "too short";
	else if (from_ms + HOUR_MS < now->real_ms)
		why = "it is over an hour ago";
	else
		why = "it was not counted: it is while the list or the target is looked at, or "
		      "with --traffic on";
	return json_pack("{s:i,s:s}", "seconds", 0, "why", why);
}

/* False: it is too old, as are all that come after it. */
static bool add_traffic(struct api *a, json_t *e, const struct now *now)
{
	const char *type = json_string_value(json_object_get(e, "type")),
		   *target = json_string_value(json_object_get(e, "target"));
	uint64_t end = (uint64_t)json_integer_value(json_object_get(e, "time_ms")),
		 lasted = (uint64_t)json_integer_value(json_object_get(e, "lasted_ms")),
		 begin = lasted < end ? end - lasted : end,
		 after = end + AROUND_MS < now->real_ms ? end + AROUND_MS : now->real_ms;
	json_t *o;

	if (end + HOUR_MS < now->real_ms)
		return false;
	if (!type || strcmp(type, "rule") != 0 || !target || selector_is(target))
		return true;
	o = json_object();
	pthread_mutex_lock(a->lock);
	json_object_set_new(o, "before", window(a, target, now, begin - AROUND_MS, begin));
	if (json_object_get(e, "counters")) {
		json_object_set_new(o, "during", window(a, target, now, begin, end));
		json_object_set_new(o, "after", window(a, target, now, end, after));
	}
	pthread_mutex_unlock(a->lock);
	json_object_set_new(e, "traffic", o);
	return true;
}

/* --- answers ---------------------------------------------------------------------------- */

/* RFC 4180; a spreadsheet would run what begins like a formula. */
static void cell(FILE *f, const char *text, bool last)
{
	fputs(text && strchr("=+-@\t", text[0]) && text[0] ? "\"'" : "\"", f);
	for (; text && *text; text++) {
		if (*text == '"')
			fputc('"', f);
		fputc(*text, f);
	}
	fputs(last ? "\"\r\n" : "\",", f);
}

static void csv_line(FILE *f, const json_t *e)
{
	static const char *const texts[] = {"type",   "action", "target", "who",
					    "source", "rule",	"was",	  NULL};
	const json_t *counters = json_object_get(e, "counters"), *up, *down;
	json_int_t ms = json_integer_value(json_object_get(e, "time_ms"));
	time_t t = (time_t)(ms / 1000);
	char when[40];
	struct tm tm;

	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", gmtime_r(&t, &tm));
	fprintf(f, "%lld,%s.%03dZ,", (long long)json_integer_value(json_object_get(e, "id")), when,
		(int)(ms % 1000));
	for (const char *const *key = texts; *key; key++)
		cell(f, json_string_value(json_object_get(e, *key)), false);
	up = json_object_get(counters, "up");
	down = json_object_get(counters, "down");
	fprintf(f, "%lld,%lld,%lld,%lld,%lld,",
		(long long)json_integer_value(json_object_get(e, "lasted_ms")),
		(long long)json_integer_value(json_object_get(up, "seen_pkts")),
		(long long)json_integer_value(json_object_get(up, "lost_pkts")),
		(long long)json_integer_value(json_object_get(down, "seen_pkts")),
		(long long)json_integer_value(json_object_get(down, "lost_pkts")));
	cell(f, json_string_value(json_object_get(e, "detail")), false);
	for (int i = 0; i < 4; i++) {
		const json_t *w =
			json_object_get(json_object_get(e, "traffic"), i < 2 ? "before" : "after");

		/* What was not counted is empty, and not 0. */
		if (json_integer_value(json_object_get(w, "seconds")))
			fprintf(f, "%.1f",
				json_real_value(json_object_get(
					json_object_get(w, i % 2 ? "down" : "up"), "pkts_per_s")));
		fputs(i < 3 ? "," : "\r\n", f);
	}
}

static enum MHD_Result reply_csv(struct request *r, const json_t *list)
{
	enum MHD_Result result;
	char *text = NULL;
	const json_t *one;
	size_t len, i;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return reply_status(r, 503, "", "out of memory");
	fputs("id,time,type,action,target,who,source,rule,was,lasted_ms,up_seen_pkts,up_lost_pkts,"
	      "down_seen_pkts,down_lost_pkts,detail,before_up_pkts_per_s,before_down_pkts_per_s,"
	      "after_up_pkts_per_s,after_down_pkts_per_s\r\n",
	      f);
	json_array_foreach(list, i, one) csv_line(f, one);
	fclose(f);
	result = reply_text(r, 200, "text/csv; charset=utf-8", text, len);
	free(text);
	return result;
}

enum MHD_Result api_history(struct request *r, const char *name)
{
	struct history *h = api_of(r)->history;
	struct asked *a = calloc(1, sizeof(*a));
	const struct now now = {sq_mono_ns(), sq_real_ms()};
	struct sq_error p = {0};
	enum MHD_Result result;
	json_t *list;
	bool more;

	(void)name;
	if (!a)
		return reply_status(r, 503, "", "out of memory");
	if (ask(r, a, &p) < 0) {
		free(a);
		return reply_problem(r, &p);
	}
	name_target(r, a);
	list = history_query(h, &a->f, &more);
	for (size_t i = 0; i < json_array_size(list); i++)
		if (!add_traffic(api_of(r), json_array_get(list, i), &now))
			break;
	if (a->csv) {
		result = reply_csv(r, list);
		json_decref(list);
	} else {
		result = reply_json(r, 200,
				    json_pack("{s:o,s:b,s:i}", "events", list, "more", (int)more,
					      "kept", (int)history_count(h)));
	}
	free(a);
	return result;
}
