// SPDX-License-Identifier: GPL-2.0-only
#include "sim/locust/settings.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include "sim/fleet/options.h"
#include "sim/fleet/tmpl.h"

const struct locust_setting locust_settings[] = {
	{"mqtt_broker", "broker", "broker, e.g. mqtt://broker.example:1883 or mqtts://...:8883"},
	{"mqtt_topic", "topic",
	 "topic that every device type publishes to, e.g. dt/{thing}/telemetry"},
	{"mqtt_payload", "payload", "payload: a template, or a size in bytes"},
	{"mqtt_qos", "qos", "QoS 0, 1 or 2"},
	{"mqtt_interval", "interval", "time between two messages of a device, e.g. 500ms"},
};
#define N (sizeof(locust_settings) / sizeof(*locust_settings))
const unsigned int n_locust_settings = N;

struct locust_settings {
	struct sim_engine *engine;
	const char *allow_files;
	char *set[N];		     /* what the form says now; NULL: nothing */
	char *own[SIM_MAX_TYPES][N]; /* what the fleet file says */
};

static int own_values(struct locust_settings *s, unsigned int type, struct sim_profile *p)
{
	char qos[16], interval[40];
	const char *value[N] = {p->broker, p->topic, p->payload, qos, interval};
	unsigned int i;
	int r = sim_engine_profile(s->engine, type, p);

	if (r)
		return r;
	snprintf(qos, sizeof(qos), "%u", p->qos);
	snprintf(interval, sizeof(interval), "%" PRIu64 "ns", p->interval_ns);
	for (i = 0; i < N; i++) {
		s->own[type][i] = strdup(value[i]);
		if (!s->own[type][i])
			return -ENOMEM;
	}
	return 0;
}

int locust_settings_new(struct sim_engine *engine, const char *allow_files,
			struct locust_settings **ret)
{
	struct locust_settings *s = calloc(1, sizeof(*s));
	struct sim_profile *p = malloc(sizeof(*p));
	unsigned int t;
	int r = s && p ? 0 : -ENOMEM;

	if (!r) {
		s->engine = engine;
		s->allow_files = allow_files;
		for (t = 0; !r && t < sim_engine_types(engine); t++)
			r = own_values(s, t, p);
	}
	free(p);
	if (r) {
		locust_settings_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

void locust_settings_free(struct locust_settings *s)
{
	unsigned int t, i;

	if (!s)
		return;
	for (i = 0; i < N; i++) {
		free(s->set[i]);
		for (t = 0; t < SIM_MAX_TYPES; t++)
			free(s->own[t][i]);
	}
	free(s);
}

/*
 * Whoever may fill in Locust's form is not whoever may read this machine's
 * files, and the same form names the broker that a payload goes to. So a file is
 * read only below the folder that the worker's own command line names, after
 * every ".." and symbolic link. *ret: the value with the path as it really is,
 * which whoever opens it takes without symbolic links: one that comes there
 * meanwhile leads nowhere.
 */
static int file_payload(const struct locust_settings *s, const char *value, char **ret,
			struct sq_error *err)
{
	char dir[PATH_MAX], real[PATH_MAX], path[2 * PATH_MAX];
	const char *name = sim_tmpl_file(value);
	size_t n;

	*ret = NULL;
	if (!s->allow_files)
		return sq_error_set(
			err, -EACCES, NULL,
			"option mqtt_payload '%.100s' from Locust names a file: accepted is a "
			"size or a template; start the worker with --allow-files DIR for files "
			"below DIR",
			value);
	snprintf(path, sizeof(path), "%s%s%s", *name == '/' ? "" : s->allow_files,
		 *name == '/' ? "" : "/", name);
	/* Told alike for all: whether a file is there is not the form's to find out. */
	if (!realpath(s->allow_files, dir) || !realpath(path, real) ||
	    (n = strlen(dir), strncmp(real, dir, n) || (n > 1 && real[n] != '/')))
		return sq_error_set(
			err, -EACCES, NULL,
			"option mqtt_payload '%.100s' from Locust: there is no such file below "
			"%.200s, the worker's --allow-files",
			value, s->allow_files);
	n = (size_t)(name - value);
	/* A path by itself needs no mark: it is one. */
	if (asprintf(ret, "%.*s" SIM_NO_LINKS "%s", (int)n, value, real + 1) < 0) {
		*ret = NULL;
		return sq_error_set(err, -ENOMEM, NULL, "no memory");
	}
	return 0;
}

/* The broker may also stand in Locust's own field "Host". */
static int asked(const struct locust_msg *spawn, unsigned int i, char *buf, size_t len,
		 struct sq_error *err)
{
	int r = locust_option(spawn, locust_settings[i].option, buf, len);

	if (r == -E2BIG || r == -EINVAL)
		return sq_error_set(err, r, NULL,
				    "option %s from Locust must be a text of less than %zu bytes",
				    locust_settings[i].option, len);
	if (r)
		*buf = 0;
	if (*buf || !*spawn->host || strcmp(locust_settings[i].key, "broker"))
		return 0;
	if (!sim_broker_url(spawn->host))
		return sq_error_set(
			err, -EINVAL, NULL,
			"Host '%.100s' from Locust is no broker's URL: accepted are "
			"mqtt://, mqtts://, ws:// and wss://, or an empty field for the "
			"fleet file's broker",
			spawn->host);
	snprintf(buf, len, "%s", spawn->host);
	return 0;
}

static int value_of(const struct locust_settings *s, unsigned int i, const char *text, char **ret,
		    struct sq_error *err)
{
	if (!strcmp(locust_settings[i].key, "payload") && sim_tmpl_file(text))
		return file_payload(s, text, ret, err);
	*ret = strdup(text);
	if (*ret)
		return 0;
	return sq_error_set(err, -ENOMEM, NULL, "no memory");
}

static int apply_type(struct locust_settings *s, unsigned int type, char *const value[N],
		      struct sq_error *err)
{
	const char *keys[N], *values[N];
	unsigned int i, n = 0;

	for (i = 0; i < N; i++) {
		if (!value[i] && !s->set[i])
			continue;
		keys[n] = locust_settings[i].key;
		values[n++] = value[i] ? value[i] : s->own[type][i];
	}
	return n ? sim_engine_override_n(s->engine, (int)type, keys, values, n, err) : 0;
}

static bool same(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

int locust_settings_apply(struct locust_settings *s, const struct locust_msg *spawn,
			  struct sq_error *err)
{
	char *value[N] = {NULL}, *buf = malloc(SIM_PAYLOAD_MAX);
	bool changed = false;
	unsigned int i, t;
	int r = 0;

	if (!buf)
		return sq_error_set(err, -ENOMEM, NULL, "no memory");
	for (i = 0; i < N; i++) {
		r = asked(spawn, i, buf, SIM_PAYLOAD_MAX, err);
		if (r)
			goto out;
		if (*buf) {
			r = value_of(s, i, buf, &value[i], err);
			if (r)
				goto out;
		}
		changed |= !same(value[i], s->set[i]);
	}
	/* This message comes once per step of a ramp, and is the same each time. */
	if (!changed)
		goto out;
	for (t = 0; !r && t < sim_engine_types(s->engine); t++)
		r = apply_type(s, t, value, err);
	if (r) {
		/* What one type took and another refused goes back to what it was. */
		struct sq_error ignored;

		while (t-- > 0) {
			const char *keys[N], *values[N];

			for (i = 0; i < N; i++) {
				keys[i] = locust_settings[i].key;
				values[i] = s->set[i] ? s->set[i] : s->own[t][i];
			}
			sim_engine_override_n(s->engine, (int)t, keys, values, N, &ignored);
		}
		goto out;
	}
	for (i = 0; i < N; i++) {
		free(s->set[i]);
		s->set[i] = value[i];
		value[i] = NULL;
	}
out:
	for (i = 0; i < N; i++)
		free(value[i]);
	free(buf);
	return r;
}
