// SPDX-License-Identifier: GPL-2.0-only
/* GET /api/v1/history: filters, a page at a time, as JSON or CSV. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "squalld/api/api.h"
#include "squalld/control/history.h"
#include "squalld/control/targets.h"

#define PAGE	 100
#define PAGE_MAX 1000
#define CSV_MAX	 100000

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
	uint64_t value[4] = {0};
	char format[8] = "";

	for (int i = 0; i < 4; i++)
		if (!number(r, numbers[i], &value[i]))
			return sq_error_set(p, -EINVAL, numbers[i], "a whole number is expected");
	if (strstr(r->query, "format=") &&
	    (!request_query(r, "format", format, sizeof(format)) ||
	     (strcmp(format, "csv") != 0 && strcmp(format, "json") != 0)))
		return sq_error_set(p, -EINVAL, "format", "json or csv is accepted");
	a->csv = strcmp(format, "csv") == 0;
	if (!value[3])
		value[3] = a->csv ? CSV_MAX : PAGE;
	if (value[3] > (a->csv ? CSV_MAX : PAGE_MAX))
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
	cell(f, json_string_value(json_object_get(e, "detail")), true);
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
	      "down_seen_pkts,down_lost_pkts,detail\r\n",
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
