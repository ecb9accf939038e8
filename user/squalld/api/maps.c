// SPDX-License-Identifier: GPL-2.0-only
/* The kernel's side, decoded: maps and programs, as `squall map` shows them. */
#include <errno.h>
#include <stdlib.h>
#include <squall/maps.h>
#include "squalld/api/api.h"

#define LIMIT	  100
#define LIMIT_MAX 10000

typedef int list_fn(const char *pin_dir, json_t **ret, struct sq_error *err);

static enum MHD_Result reply_list(struct request *r, list_fn *fn, const char *key)
{
	struct sq_error p = {0};
	json_t *list;

	p.code = fn(api_of(r)->opt->pin_dir, &list, &p);
	return p.code < 0 ? reply_problem(r, &p)
			  : reply_json(r, 200, json_pack("{s:o}", key, list));
}

enum MHD_Result api_maps(struct request *r, const char *name)
{
	(void)name;
	return reply_list(r, sq_maps_list, "maps");
}

enum MHD_Result api_programs(struct request *r, const char *name)
{
	(void)name;
	return reply_list(r, sq_programs_list, "programs");
}

struct collect {
	const struct sq_map *map;
	json_t *entries;
	size_t limit;
};

static int append(const void *key, const void *value, void *arg)
{
	struct collect *x = arg;
	json_t *entry = sq_map_entry(x->map, key, value, false);

	if (!entry)
		return 0;
	if (json_array_size(x->entries) == x->limit) {
		json_decref(entry);
		return 1;
	}
	return json_array_append_new(x->entries, entry) ? -ENOMEM : 0;
}

enum MHD_Result api_map(struct request *r, const char *name)
{
	struct collect x = {.limit = LIMIT};
	struct sq_error p = {0};
	struct sq_map map;
	char text[16], *end;
	int rc;

	if (request_query(r, "limit", text, sizeof(text))) {
		x.limit = strtoul(text, &end, 10);
		if (*end || end == text || text[0] == '-' || x.limit < 1 || x.limit > LIMIT_MAX)
			return reply_status(r, 400, "limit",
					    "limit: \"%.15s\" is not accepted: 1 to %d", text,
					    LIMIT_MAX);
	}
	rc = sq_map_open(api_of(r)->opt->pin_dir, name, &map, &p);
	if (rc < 0) {
		p.code = rc == -EINVAL ? -ENOENT : rc; /* no map has that name */
		return reply_problem(r, &p);
	}
	x.map = &map;
	x.entries = json_array();
	rc = sq_map_each(&map, append, &x);
	if (rc < 0) {
		json_decref(x.entries);
		sq_error_set(&p, rc, NULL, "out of memory");
		sq_map_close(&map);
		return reply_problem(r, &p);
	}
	json_t *o = json_pack("{s:o,s:o,s:b}", "map", sq_map_about(&map), "entries", x.entries,
			      "truncated", rc > 0);

	sq_map_close(&map);
	return reply_json(r, 200, o);
}
