// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fleet and configuration files: YAML (so JSON too). Keys are option names, or
 * the camelCase names of the project this one continues.
 *
 *   broker: mqtts://broker:8883        # for all types
 *   devices: 1000                      # options of the run, too
 *   types:
 *     - name: meter
 *       weight: 3
 *       interval: 10s
 *       subscribe: [ "cmd/{thing}/#" ]   # as user-property and ws-header: a list
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "sim/fleet/options.h"
#include "sim/fleet/yaml.h"

struct file {
	const char *path;
	yaml_document_t *doc; /* `own`, or a document that holds a fleet among other things */
	yaml_document_t own;
	const struct sim_keys *more; /* whose command line goes over it; may be NULL */
};

static int bad_at(const struct file *f, const yaml_node_t *n, const char *what,
		  struct sq_error *err)
{
	return sq_bad(err, "%.150s:%zu:%zu: %.300s", f->path, n->start_mark.line + 1,
		      n->start_mark.column + 1, what);
}

/* One key of a mapping, into the profile or what else the file may set. */
static int set_key(struct file *f, yaml_node_t *key, yaml_node_t *value,
		   const struct sim_keys *more, struct sim_profile *p, struct sq_error *err)
{
	const char *k = sim_yaml_scalar(key), *v = sim_yaml_scalar(value);
	const struct opt *o = NULL, *of;
	struct sq_error why;
	char text[512];
	int rc = 0;

	if (!k)
		return bad_at(f, key, "a key must be a word", err);
	if (more)
		o = opt_find_key(more->opts, k);
	of = o ? NULL : opt_find_key(sim_profile_opts, k);
	if (value->type == YAML_SEQUENCE_NODE) {
		/* Of anything else the last would win. */
		if (o ? o->kind != OPT_CALL : !of || !sim_profile_adds(of))
			return bad_at(f, value,
				      "only subscribe, user-property, ws-header, fail-if and storm "
				      "take a list",
				      err);
		yaml_node_item_t *i;

		for (i = value->data.sequence.items.start;
		     i < value->data.sequence.items.top && !rc; i++) {
			yaml_node_t *one = yaml_document_get_node(f->doc, *i);

			rc = set_key(f, key, one, more, p, err);
		}
		return rc;
	}
	if (!v) {
		snprintf(text, sizeof(text), "%.100s: accepted: one value", k);
		return bad_at(f, value, text, err);
	}
	if (!o)
		rc = sim_profile_set(p, k, v, &why);
	else if (more->base)
		rc = opt_set(o, more->base, v, &why);
	return rc ? bad_at(f, key, why.text, err) : 0;
}

static int set_map(struct file *f, yaml_node_t *map, const struct sim_keys *more,
		   struct sim_profile *p, yaml_node_t **ret_types, struct sq_error *err)
{
	yaml_node_pair_t *i;
	int rc = 0;

	if (!map || map->type != YAML_MAPPING_NODE)
		return map ? bad_at(f, map, "accepted: 'key: value' lines", err)
			   : sq_bad(err, "%.200s: the file is empty", f->path);
	for (i = map->data.mapping.pairs.start; i < map->data.mapping.pairs.top && !rc; i++) {
		yaml_node_t *key = yaml_document_get_node(f->doc, i->key);
		yaml_node_t *value = yaml_document_get_node(f->doc, i->value);
		const char *k = sim_yaml_scalar(key);

		if (k && ret_types && !strcmp(k, "types")) {
			*ret_types = value;
			continue;
		}
		if (k && !ret_types &&
		    (!strcmp(k, "name") || !strcmp(k, "weight") || !strcmp(k, "cgroup")))
			continue; /* read before */
		rc = set_key(f, key, value, more, p, err);
	}
	return rc;
}

static int one_type(struct file *f, yaml_node_t *map, const struct sim_profile *base,
		    struct sim_profile *p, struct sq_error *err)
{
	yaml_node_pair_t *i;

	*p = *base;
	for (unsigned k = 0; k < SIM_MAX_OPTS; k++)
		p->given[k] = p->given[k] ? SIM_SHARED : SIM_DEFAULT;
	*p->name = 0;
	if (map->type != YAML_MAPPING_NODE)
		return bad_at(f, map, "a type is 'key: value' lines", err);
	for (i = map->data.mapping.pairs.start; i < map->data.mapping.pairs.top; i++) {
		yaml_node_t *key = yaml_document_get_node(f->doc, i->key);
		yaml_node_t *value = yaml_document_get_node(f->doc, i->value);
		const char *k = sim_yaml_scalar(key), *v = sim_yaml_scalar(value);
		char *end;

		if (k && !strcmp(k, "name")) {
			/* It is a field of CSV, a label of Prometheus and a word of conditions. */
			if (!v || !*v || strlen(v) >= sizeof(p->name) ||
			    strpbrk(v, "{}+#/,\"\\<>=") || sim_header_bad(v, strlen(v)) >= 0)
				return bad_at(f, value,
					      "name: accepted: up to 63 letters, digits "
					      "and dashes",
					      err);
			snprintf(p->name, sizeof(p->name), "%s", v);
		} else if (k && !strcmp(k, "weight")) {
			unsigned long w = v ? strtoul(v, &end, 10) : 0;

			if (!v || *v < '0' || *v > '9' || *end || w > 1000000)
				return bad_at(f, value, "weight: accepted: 0 to 1000000", err);
			p->weight = (uint32_t)w;
		} else if (k && !strcmp(k, "cgroup")) {
			/* Not the run's option of this name: these devices' own processes enter it.
			 */
			if (!v || *v != '/' || strlen(v) >= sizeof(p->cgroup))
				return bad_at(f, value,
					      "cgroup: accepted: a directory below the cgroup "
					      "v2 mount, e.g. /sys/fs/cgroup/meters",
					      err);
			snprintf(p->cgroup, sizeof(p->cgroup), "%s", v);
		}
	}
	if (!*p->name)
		return bad_at(f, map, "name: is missing", err);
	if (!strcmp(p->thing, "squall-{index}"))
		snprintf(p->thing, sizeof(p->thing), "{type}-{index}");
	return set_map(f, map, NULL, p, NULL, err);
}

/* What the command line gave, over what the file said. Lists have been added to. */
static int again(const struct sim_keys *more, struct sim_profile *p, const char *only,
		 struct sq_error *err)
{
	for (unsigned i = 0; more && i < more->ngiven; i++) {
		const struct opt *o = more->given[i].o;
		bool of_run = opt_find(more->opts, o->name) == o;
		int rc = 0;

		if ((only && strcmp(o->name, only)) || (of_run && o->kind == OPT_CALL) ||
		    (!of_run && sim_profile_adds(o)))
			continue;
		rc = opt_set(o, of_run ? more->base : p, more->given[i].value, err);
		if (rc)
			return rc;
	}
	return 0;
}

static int load_types(struct file *f, const yaml_node_t *types, const struct sim_profile *base,
		      struct sim_fleet *ret, struct sq_error *err)
{
	yaml_node_item_t *i;
	size_t n = (size_t)(types->data.sequence.items.top - types->data.sequence.items.start);
	uint32_t weight = 0;
	int rc = 0;

	if (!n || n > SIM_MAX_TYPES)
		return sq_bad(err, "%.200s: types: has %zu entries; accepted: 1 to %d", f->path, n,
			      SIM_MAX_TYPES);
	ret->type = calloc(n, sizeof(*ret->type));
	if (!ret->type)
		return sq_bad(err, "out of memory");
	for (i = types->data.sequence.items.start; i < types->data.sequence.items.top && !rc; i++) {
		yaml_node_t *map = yaml_document_get_node(f->doc, *i);

		rc = one_type(f, map, base, &ret->type[ret->ntypes], err);
		rc = rc ? rc : again(f->more, &ret->type[ret->ntypes], "broker", err);
		for (unsigned k = 0; !rc && k < ret->ntypes; k++)
			if (!strcmp(ret->type[k].name, ret->type[ret->ntypes].name))
				rc = bad_at(f, map, "name: another type has it already", err);
		weight |= ret->type[ret->ntypes++].weight;
	}
	if (!rc && !weight)
		rc = bad_at(f, types, "weight: is 0 in all types, and nothing would run", err);
	if (rc)
		sim_fleet_free(ret);
	return rc;
}

int sim_fleet_read(const char *path, const struct sim_keys *more, struct sim_profile *base,
		   struct sim_fleet *ret, struct sq_error *err)
{
	yaml_node_t *types = NULL;
	struct file f = {.path = path, .doc = &f.own};
	int rc = sim_yaml_load(path, &f.own, err);

	if (ret)
		*ret = (struct sim_fleet){0, NULL};
	if (rc)
		return rc;
	f.more = ret ? more : NULL;
	rc = set_map(&f, yaml_document_get_root_node(f.doc), more, base, &types, err);
	rc = rc ? rc : again(f.more, base, NULL, err);
	if (rc || !ret) {
		if (!rc && types)
			rc = bad_at(&f, types, "types: belongs into a fleet file (--fleet)", err);
	} else if (!types || types->type != YAML_SEQUENCE_NODE) {
		rc = sq_bad(err, "%.200s: types: is missing; accepted: a list of device types",
			    path);
	} else {
		rc = load_types(&f, types, base, ret, err);
	}
	yaml_document_delete(&f.own);
	return rc;
}

int sim_fleet_read_node(const char *path, void *doc, void *map, const struct sim_keys *more,
			struct sim_profile *base, struct sim_fleet *ret, struct sq_error *err)
{
	struct file f = {.path = path, .doc = doc};
	yaml_node_t *types = NULL;
	int rc = set_map(&f, map, more, base, &types, err);

	ret->ntypes = 0;
	ret->type = NULL;
	if (rc)
		return rc;
	if (types && types->type != YAML_SEQUENCE_NODE)
		return bad_at(&f, types, "types: accepted: a list of device types", err);
	if (types)
		return load_types(&f, types, base, ret, err);
	ret->type = malloc(sizeof(*ret->type));
	if (!ret->type)
		return sq_bad(err, "out of memory");
	*ret->type = *base;
	ret->ntypes = 1;
	return 0;
}

int sim_fleet_load(const char *path, const struct opt *ignored, const struct sim_profile *base,
		   struct sim_fleet *ret, struct sq_error *err)
{
	struct sim_profile *copy = malloc(sizeof(*copy));
	int rc = copy ? 0 : sq_bad(err, "out of memory");

	if (!rc) {
		*copy = *base;
		rc = sim_fleet_read(path, &(struct sim_keys){.opts = ignored}, copy, ret, err);
	}
	free(copy);
	return rc;
}

void sim_fleet_split(const struct sim_fleet *f, uint32_t n, uint32_t *ret)
{
	double rest[SIM_MAX_TYPES];
	uint64_t sum = 0;
	uint32_t given = 0;

	for (unsigned i = 0; i < f->ntypes; i++)
		sum += f->type[i].weight;
	for (unsigned i = 0; i < f->ntypes; i++) {
		double part = sum ? (double)n * f->type[i].weight / (double)sum : 0;

		ret[i] = (uint32_t)part;
		rest[i] = part - ret[i];
		given += ret[i];
	}
	while (sum && given < n) {
		unsigned best = 0;

		for (unsigned i = 1; i < f->ntypes; i++)
			if (rest[i] > rest[best])
				best = i;
		rest[best] = -1;
		ret[best]++;
		given++;
	}
}
