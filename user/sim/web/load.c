// SPDX-License-Identifier: GPL-2.0-only
/* Starting, stopping and changing a load at run time, as JSON asks for it. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "sim/fleet/tmpl.h"
#include "sim/web/web.h"

static json_t *settings(struct sim_load *l)
{
	struct sim_profile *p = malloc(sizeof(*p));
	json_t *o = json_object(), *types = json_array();

	json_object_set_new(o, "devices", json_integer(l->devices));
	json_object_set_new(o, "ramp", json_real(l->ramp));
	if (p && !sim_engine_profile(l->e, 0, p)) {
		json_object_set_new(o, "interval_ms", json_real((double)p->interval_ns / 1e6));
		json_object_set_new(o, "qos", json_integer(p->qos));
		json_object_set_new(o, "topic", json_string(p->topic));
		json_object_set_new(o, "payload", json_string(p->payload));
		json_object_set_new(o, "broker", json_string(p->broker));
	}
	free(p);
	json_object_set_new(o, "max_devices", json_integer(l->max_devices));
	for (unsigned i = 0; i < l->fleet->ntypes; i++) {
		json_t *t = json_object();

		json_object_set_new(t, "name", json_string(l->fleet->type[i].name));
		json_object_set_new(t, "weight", json_integer(l->fleet->type[i].weight));
		json_array_append_new(types, t);
	}
	json_object_set_new(o, "types", types);
	return o;
}

json_t *sim_load_json(struct sim_load *l)
{
	json_t *o;

	pthread_mutex_lock(&l->lock);
	pthread_mutex_lock(&l->t->lock);
	o = sim_tally_json(l->t, true);
	pthread_mutex_unlock(&l->t->lock);
	json_object_set_new(o, "settings", settings(l));
	pthread_mutex_unlock(&l->lock);
	return o;
}

static void apply(struct sim_load *l, uint32_t n)
{
	uint32_t share[SIM_MAX_TYPES];
	struct sim_counts c;
	double over;

	sim_engine_counts(l->e, -1, &c);
	sim_fleet_split(l->fleet, n, share);
	over = n > c.allowed ? n - c.allowed : c.allowed - n;
	over = l->ramp > 0 ? over / l->ramp * 1e9 : 0;
	/* Down before up, so that the sum never passes what the engine holds. */
	for (int up = 0; up < 2; up++) {
		for (unsigned i = 0; i < l->fleet->ntypes; i++) {
			sim_engine_counts(l->e, (int)i, &c);
			if ((share[i] > c.target) == up)
				sim_engine_target(l->e, i, share[i], (uint64_t)over);
		}
	}
}

static void set_state(struct sim_load *l, const char *state)
{
	pthread_mutex_lock(&l->t->lock);
	l->t->state = state;
	pthread_mutex_unlock(&l->t->lock);
}

static bool stopping(struct sim_load *l)
{
	bool is;

	pthread_mutex_lock(&l->t->lock);
	is = !strcmp(l->t->state, "stopping");
	pthread_mutex_unlock(&l->t->lock);
	return is;
}

/* An account of AWS IoT Core is one for all types; interval_ms below 0: as it is. */
static int check_account(struct sim_load *l, uint32_t devices, double ramp, double interval_ms,
			 struct sq_error *err)
{
	struct sim_profile *p = malloc(sizeof(*p));
	uint32_t share[SIM_MAX_TYPES];
	bool aws = false;
	double sum = 0;

	sim_fleet_split(l->fleet, devices, share);
	for (unsigned i = 0; p && i < l->fleet->ntypes; i++) {
		if (sim_engine_profile(l->e, i, p))
			continue;
		if (interval_ms >= 0)
			p->interval_ns = (uint64_t)(interval_ms * 1e6);
		aws |= p->aws;
		sum += sim_aws_publishes(p, share[i]);
	}
	free(p);
	if (aws && (ramp <= 0 || ramp > SIM_AWS_CONNECTS))
		return sq_bad(err, "ramp: preset aws-iot-core: accepted: more than 0, up to %d",
			      SIM_AWS_CONNECTS);
	return sum > SIM_AWS_PUBLISHES ? sq_bad(err,
						"devices: preset aws-iot-core: together %.0f "
						"publishes per second, and an account has %d",
						sum, SIM_AWS_PUBLISHES)
				       : 0;
}

static bool number(const json_t *v, double most, double *ret)
{
	*ret = json_number_value(v);
	return json_is_number(v) && isfinite(*ret) && *ret >= 0 && *ret <= most;
}

/* Caller holds the lock. All or nothing: the engine's options last, as they check themselves. */
static unsigned patch(struct sim_load *l, json_t *body, struct sq_error *err)
{
	const char *key[8], *value[8], *name;
	char interval[48], qos[24];
	uint32_t devices = l->devices;
	double ramp = l->ramp, every = -1;
	unsigned n = 0;
	json_t *v;

	if (!json_is_object(body)) {
		sq_bad(err, "body: accepted: a JSON object");
		return 400;
	}
	json_object_foreach(body, name, v)
	{
		if (!strcmp(name, "devices")) {
			if (!json_is_integer(v) || json_integer_value(v) < 0 ||
			    json_integer_value(v) > l->max_devices) {
				sq_bad(err, "devices: accepted: a whole number from 0 to %u",
				       l->max_devices);
				return 400;
			}
			devices = (uint32_t)json_integer_value(v);
		} else if (!strcmp(name, "ramp")) {
			if (!number(v, 1e6, &ramp)) {
				sq_bad(err, "ramp: accepted: devices per second, 0 to 1000000");
				return 400;
			}
		} else if (!strcmp(name, "interval_ms")) {
			if (!number(v, 2592000000.0, &every)) {
				sq_bad(err, "interval_ms: accepted: 0 to 2592000000");
				return 400;
			}
			snprintf(interval, sizeof(interval), "%.6fms", every);
			key[n] = "interval";
			value[n++] = interval;
		} else if (!strcmp(name, "qos")) {
			if (!json_is_integer(v)) {
				sq_bad(err, "qos: accepted: 0, 1, 2");
				return 400;
			}
			snprintf(qos, sizeof(qos), "%lld", (long long)json_integer_value(v));
			key[n] = "qos";
			value[n++] = qos;
		} else if (!strcmp(name, "topic") || !strcmp(name, "payload")) {
			/* A file of this machine is for the command line to name. */
			if (!json_is_string(v) ||
			    (*name == 'p' && sim_tmpl_file(json_string_value(v)))) {
				sq_bad(err, "%s: accepted: %s", name,
				       *name == 'p' ? "a size or a template" : "a topic");
				return 400;
			}
			key[n] = name;
			value[n++] = json_string_value(v);
		} else {
			sq_bad(err,
			       "%.60s: is unknown; accepted: devices, ramp, interval_ms, qos, "
			       "topic, payload",
			       name);
			return 400;
		}
	}
	if (check_account(l, devices, ramp, every, err))
		return 400;
	if (n && sim_engine_override_n(l->e, -1, key, value, n, err))
		return 400;
	l->devices = devices;
	l->ramp = ramp;
	return 200;
}

unsigned sim_load_patch(struct sim_load *l, json_t *body, struct sq_error *err)
{
	unsigned status;
	uint32_t before;

	pthread_mutex_lock(&l->lock);
	before = l->devices;
	status = patch(l, body, err);
	if (status == 200 && l->on && l->devices != before)
		apply(l, l->devices);
	pthread_mutex_unlock(&l->lock);
	return status;
}

unsigned sim_load_start(struct sim_load *l, json_t *body, struct sq_error *err)
{
	unsigned status = 200;
	struct sim_counts c;

	pthread_mutex_lock(&l->lock);
	sim_engine_counts(l->e, -1, &c);
	if (l->on || c.running || stopping(l)) {
		sq_bad(err, l->on ? "a load is running; stop it first"
				  : "the last load is still stopping");
		status = 409;
	}
	if (status == 200 && body)
		status = patch(l, body, err);
	if (status == 200 && !l->devices) {
		sq_bad(err, "devices: is 0; nothing would run");
		status = 400;
	}
	if (status == 200) {
		sim_tally_reset(l->t);
		l->on = true;
		set_state(l, "running");
		apply(l, l->devices);
	}
	pthread_mutex_unlock(&l->lock);
	return status;
}

unsigned sim_load_stop(struct sim_load *l, struct sq_error *err)
{
	unsigned status = 200;

	pthread_mutex_lock(&l->lock);
	/* With the state at once: who runs the fleet sees to the rest, and ends it by itself, too.
	 */
	pthread_mutex_lock(&l->t->lock);
	if (!l->on || !strcmp(l->t->state, "stopping")) {
		sq_bad(err, l->on ? "it is stopping" : "nothing runs");
		status = 409;
	} else {
		l->on = false;
		l->t->state = "stopping";
		sim_engine_hush(l->e, l->drain_ns);
	}
	pthread_mutex_unlock(&l->t->lock);
	pthread_mutex_unlock(&l->lock);
	return status;
}
