// SPDX-License-Identifier: GPL-2.0-only
/* The experiment's file: its keys, and the order in which they depend on each other. */
#include <errno.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include "sim/experiment/file/keys.h"

#define KEYS(k) (k), sizeof(k) / sizeof(*(k))
#define DAY	(86400 * EXP_NS)

struct top {
	struct experiment *x;
	yaml_node_t *fleet, *load, *thresholds;
};

static int read_fleet(struct exp_file *f, yaml_node_t *v, void *into)
{
	(void)f;
	((struct top *)into)->fleet = v;
	return 0;
}

static int read_load(struct exp_file *f, yaml_node_t *v, void *into)
{
	(void)f;
	((struct top *)into)->load = v;
	return 0;
}

static int read_thresholds(struct exp_file *f, yaml_node_t *v, void *into)
{
	(void)f;
	((struct top *)into)->thresholds = v;
	return 0;
}

static int read_name(struct exp_file *f, yaml_node_t *v, void *into)
{
	struct experiment *x = ((struct top *)into)->x;

	return exp_read_text(f, v, "name", x->name, sizeof(x->name));
}

static int read_description(struct exp_file *f, yaml_node_t *v, void *into)
{
	struct experiment *x = ((struct top *)into)->x;

	return exp_read_text(f, v, "description", x->description, sizeof(x->description));
}

static int read_before(struct exp_file *f, yaml_node_t *v, void *into)
{
	struct experiment *x = ((struct top *)into)->x;

	x->before_mark = exp_mark_of(v);
	return exp_read_time(f, v, "before", 0, DAY, &x->before_ns);
}

static int read_after(struct exp_file *f, yaml_node_t *v, void *into)
{
	return exp_read_time(f, v, "after", 0, DAY, &((struct top *)into)->x->after_ns);
}

static int read_drain(struct exp_file *f, yaml_node_t *v, void *into)
{
	return exp_read_time(f, v, "drain", 0, DAY, &((struct top *)into)->x->drain_ns);
}

static int read_seed(struct exp_file *f, yaml_node_t *v, void *into)
{
	uint64_t n;
	int rc = exp_read_count(f, v, "seed", UINT32_MAX, &n);

	((struct top *)into)->x->seed = (uint32_t)n;
	return rc;
}

static int read_cgroup(struct exp_file *f, yaml_node_t *v, void *into)
{
	struct experiment *x = ((struct top *)into)->x;
	int rc = exp_read_text(f, v, "cgroup", x->cgroup, sizeof(x->cgroup));

	if (!rc && *x->cgroup != '/')
		return exp_bad(f, v,
			       "cgroup '%.60s': accepted: a directory below the cgroup v2 mount, "
			       "e.g. /sys/fs/cgroup/fleet",
			       x->cgroup);
	return rc;
}

static int read_top_peer(struct exp_file *f, yaml_node_t *v, void *into)
{
	return exp_read_peer(f, v, &((struct top *)into)->x->peer);
}

static int read_faults(struct exp_file *f, yaml_node_t *v, void *into)
{
	return exp_read_faults(f, v, ((struct top *)into)->x);
}

static int read_probes(struct exp_file *f, yaml_node_t *v, void *into)
{
	return exp_read_probes(f, v, ((struct top *)into)->x);
}

static int read_outputs(struct exp_file *f, yaml_node_t *v, void *into)
{
	static const struct exp_key keys[] = {
#define OUT(k, f) {k, NULL, offsetof(struct exp_outputs, f), sizeof(((struct exp_outputs *)0)->f)}
		OUT("html", html),
		OUT("junit", junit),
		OUT("json", json),
		OUT("grafana", grafana),
		OUT("grafana-token-file", grafana_token_file),
	};
	struct experiment *x = ((struct top *)into)->x;
	int rc = exp_read_map(f, v, KEYS(keys), &x->out, "outputs");

	x->out.mark = exp_mark_of(v);
	if (!rc && *x->out.grafana && strncmp(x->out.grafana, "http://", 7) &&
	    strncmp(x->out.grafana, "https://", 8))
		return exp_bad(f, v, "outputs: grafana '%.60s': accepted: http://HOST:PORT",
			       x->out.grafana);
	return rc;
}

static int band(struct exp_file *f, yaml_node_t *v, void *into)
{
	const char *s = sim_yaml_scalar(v);

	if (!s || opt_parse_percent(s, &((struct experiment *)into)->band_ppm))
		return exp_bad(f, v, "recovery: band: accepted: a percentage, e.g. 10%%");
	return 0;
}

static int floor_key(struct exp_file *f, yaml_node_t *v, void *into)
{
	return exp_read_time(f, v, "recovery: floor", 0, DAY,
			     &((struct experiment *)into)->floor_ns);
}

static int stay(struct exp_file *f, yaml_node_t *v, void *into)
{
	return exp_read_time(f, v, "recovery: stay", EXP_NS, DAY,
			     &((struct experiment *)into)->stay_ns);
}

static int read_recovery(struct exp_file *f, yaml_node_t *v, void *into)
{
	static const struct exp_key keys[] = {
		{"band", band, 0, 0}, {"floor", floor_key, 0, 0}, {"stay", stay, 0, 0}};

	return exp_read_map(f, v, KEYS(keys), ((struct top *)into)->x, "recovery");
}

static const struct exp_key top_keys[] = {
	{"name", read_name, 0, 0},	   {"description", read_description, 0, 0},
	{"fleet", read_fleet, 0, 0},	   {"load", read_load, 0, 0},
	{"before", read_before, 0, 0},	   {"faults", read_faults, 0, 0},
	{"after", read_after, 0, 0},	   {"probes", read_probes, 0, 0},
	{"outputs", read_outputs, 0, 0},   {"thresholds", read_thresholds, 0, 0},
	{"recovery", read_recovery, 0, 0}, {"seed", read_seed, 0, 0},
	{"cgroup", read_cgroup, 0, 0},	   {"squalld", read_top_peer, 0, 0},
	{"drain", read_drain, 0, 0},
};

/* A fleet's own file is beside the experiment's; an inline one lies in it. */
static int load_fleet(struct exp_file *f, struct experiment *x, yaml_node_t *v)
{
	const char *s = sim_yaml_scalar(v);
	struct sq_error why;

	if (v->type == YAML_MAPPING_NODE)
		return sim_fleet_load_node(f->path, f->doc, v, &x->run, &x->base, &x->fleet,
					   f->err);
	if (!s || !*s || strlen(s) >= sizeof(x->fleet_file) - sizeof(x->dir))
		return exp_bad(f, v, "fleet: accepted: a fleet file, or its keys");
	if (*s == '/')
		snprintf(x->fleet_file, sizeof(x->fleet_file), "%s", s);
	else
		snprintf(x->fleet_file, sizeof(x->fleet_file), "%s/%s", x->dir, s);
	if (sim_fleet_load_run(x->fleet_file, &x->run, &x->base, &x->fleet, &why))
		return exp_bad(f, v, "fleet: %.300s", why.text);
	return 0;
}

/* Without load: the fleet's own devices, at its ramp, and that until the end. */
static int default_load(struct experiment *x)
{
	if (!x->run.devices)
		x->run.devices = 1;
	x->nstages = 1;
	x->stage[0].target = x->run.devices;
	x->stage[0].over_ns = x->run.ramp_milli
				      ? (uint64_t)x->run.devices * 1000 * EXP_NS / x->run.ramp_milli
				      : 0;
	return 0;
}

static int parts(struct exp_file *f, struct top *t, yaml_node_t *root)
{
	struct experiment *x = t->x;
	int rc = 0;

	if (t->fleet)
		rc = load_fleet(f, x, t->fleet);
	if (rc)
		return rc;
	if (x->run.duration_ns || *x->run.web || *x->run.csv || x->run.nfail_if || x->run.nstorms)
		return exp_bad(
			f, t->fleet,
			"fleet: duration, web, csv, fail-if and storm are of squall-sim run; "
			"here load, outputs, thresholds and faults say it");
	if (*x->run.cgroup && !*x->cgroup)
		memcpy(x->cgroup, x->run.cgroup, sizeof(x->cgroup));
	if (t->load && !x->fleet.ntypes)
		return exp_bad(f, t->load,
			       "load: there is no fleet: to put it on; add one, or "
			       "leave load out");
	if (t->load)
		x->load_mark = exp_mark_of(t->load);
	rc = t->load ? exp_read_load(f, t->load, x) : x->fleet.ntypes ? default_load(x) : 0;
	if (!rc && !x->fleet.ntypes && !x->nprobes)
		return exp_bad(f, root,
			       "fleet: is missing, and there are no probes: either measures");
	if (!rc && !*x->name)
		return exp_bad(f, root, "name: is missing");
	if (!rc)
		rc = exp_timeline(x, f->err);
	if (!rc && t->thresholds)
		rc = exp_read_thresholds(f, t->thresholds, x);
	if (!rc && !x->nthresholds)
		return exp_bad(f, t->thresholds ? t->thresholds : root,
			       "thresholds: is missing; without one there is no verdict, e.g. "
			       "\"errors\": \"<1%%\"");
	for (unsigned i = 0; !rc && *x->cgroup && i < x->fleet.ntypes; i++)
		if (!*x->fleet.type[i].cgroup)
			memcpy(x->fleet.type[i].cgroup, x->cgroup, sizeof(x->cgroup));
	return rc;
}

int exp_load(const char *path, struct experiment **ret, struct sq_error *err)
{
	struct experiment *x = calloc(1, sizeof(*x));
	struct top t = {.x = x};
	yaml_document_t doc;
	struct exp_file f = {.path = path, .doc = &doc, .err = err};
	yaml_node_t *root;
	int rc;

	if (!x)
		return sq_bad(err, "out of memory");
	if (strlen(path) >= sizeof(x->path)) {
		free(x);
		return sq_bad(err, "file '%.60s...': its path is longer than %zu bytes", path,
			      sizeof(x->path) - 1);
	}
	snprintf(x->path, sizeof(x->path), "%s", path);
	snprintf(x->dir, sizeof(x->dir), "%s", path);
	memmove(x->dir, dirname(x->dir), strlen(dirname(x->dir)) + 1);
	sim_run_init(&x->run, &x->base);
	x->drain_ns = 5 * EXP_NS;
	x->band_ppm = 100000;
	x->floor_ns = EXP_NS / 20;
	x->stay_ns = 5 * EXP_NS;
	rc = sim_yaml_load(path, &doc, err);
	if (rc) {
		exp_free(x);
		return rc;
	}
	root = yaml_document_get_root_node(&doc);
	rc = exp_read_map(&f, root, KEYS(top_keys), &t, "experiment");
	if (!rc)
		rc = parts(&f, &t, root);
	yaml_document_delete(&doc);
	if (rc) {
		exp_free(x);
		return rc;
	}
	*ret = x;
	return 0;
}

void exp_free(struct experiment *x)
{
	if (!x)
		return;
	for (unsigned i = 0; i < EXP_MAX_PROBES; i++)
		for (unsigned k = 0; k < EXP_MAX_ARGS; k++)
			free(x->probe[i].argv[k]);
	sim_fleet_free(&x->fleet);
	free(x);
}
