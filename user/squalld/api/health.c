// SPDX-License-Identifier: GPL-2.0-only
/*
 * How well squalld is: "failing" when packets are not faulted as the rules
 * say, "degraded" when they are but something else that people count on is
 * not, each with its reason.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include "squalld/api/api.h"
#include "squalld/control/history.h"
#include "squalld/control/state.h"
#include "squalld/discovery/cgwatch.h"
#include "squalld/kernel/kernel.h"

#define NEARLY_PCT 90 /* of a limit: time left to raise it */

static void add(json_t *list, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void add(json_t *list, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	json_array_append_new(list, json_text(text));
}

static void descriptors(json_t *list)
{
	DIR *dir = opendir("/proc/self/fd");
	struct rlimit limit;
	rlim_t n = 0;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY) {
		if (dir)
			closedir(dir);
		return;
	}
	while (dir && readdir(dir))
		n++;
	if (dir)
		closedir(dir);
	if (!dir || n * 100 > limit.rlim_cur * NEARLY_PCT)
		add(list, "descriptors: more than %d %% of %llu are used; raise LimitNOFILE",
		    NEARLY_PCT, (unsigned long long)limit.rlim_cur);
}

static void watches(struct api *a, json_t *list)
{
	json_t *o = cgwatch_status(a->cgwatch);
	json_int_t n = json_integer_value(json_object_get(o, "watched"));
	const char *error = json_string_value(json_object_get(o, "error"));
	FILE *f = fopen("/proc/sys/fs/inotify/max_user_watches", "re");
	long long max = 0;

	if (f) {
		if (fscanf(f, "%lld", &max) != 1)
			max = 0;
		fclose(f);
	}
	if (error)
		add(list, "cgroups: not all are watched, new ones are seen later: %s", error);
	else if (max > 0 && n * 100 > max * NEARLY_PCT)
		add(list,
		    "cgroups: more than %d %% of %lld inotify watches are used; raise sysctl "
		    "fs.inotify.max_user_watches",
		    NEARLY_PCT, max);
	json_decref(o);
}

static void lane_losses(struct api *a, json_t *list)
{
	unsigned int ago;
	const char *text;

	for (int i = 0; (text = engine_lane_lost(a->engine, &i, &ago));)
		add(list,
		    "drops: packets of targets are lost, and not by a rule, the last %u s ago: %s; "
		    "squall status counts them",
		    ago, text);
}

json_t *health_json(struct api *a, bool ask, int *ret)
{
	json_t *reasons = json_array(), *first;
	struct sq_error err = {0};
	int rc = engine_health(a->engine, ask, &err);

	if (rc)
		add(reasons, "%s", err.text[0] ? err.text : strerror(abs(rc)));
	if (state_error(a->state))
		add(reasons,
		    "state: %.200s cannot be written: %s; rules act, but would not survive a "
		    "reboot",
		    a->opt->state_dir, strerror(-state_error(a->state)));
	if (*state_aside(a->state))
		add(reasons, "%s", state_aside(a->state));
	if (history_error(a->history))
		add(reasons, "history: cannot be written: %s",
		    strerror(-history_error(a->history)));
	lane_losses(a, reasons);
	if (history_aside(a->history))
		add(reasons, "history: a file that was no file, or too big, was set aside as "
			     "history*.bad-*; squalld started without what it held");
	descriptors(reasons);
	watches(a, reasons);
	if (rc == 0 && json_array_size(reasons))
		rc = 1;
	*ret = rc;
	first = json_array_get(reasons, 0);
	return json_pack("{s:s,s:O*,s:o}", "status",
			 rc < 0	  ? "failing"
			 : rc > 0 ? "degraded"
				  : "ok",
			 "reason", first, "reasons", reasons);
}

enum MHD_Result api_healthz(struct request *r)
{
	int rc;
	json_t *o = health_json(api_of(r), true, &rc);

	return reply_json(r, rc < 0 ? 503 : 200, o);
}
