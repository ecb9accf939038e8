// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pinned maps and the programs that use them. Each map has a decoder in
 * decode.c; sizes are compared before anything is decoded, so that a map
 * of another version is an error and not nonsense.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <squall/abi.h>
#include <squall/maps.h>
#include "lib/error.h"

#define PROGRAM_MAPS 64 /* more than any of ours uses */

static const struct sq_map_def *find(const char *name)
{
	for (size_t i = 0; i < sq_n_maps; i++)
		if (!strcmp(sq_map_defs[i].name, name))
			return &sq_map_defs[i];
	return NULL;
}

static int no_such_map(const char *name, struct sq_error *err)
{
	char list[160] = "";

	for (size_t i = 0; i < sq_n_maps; i++) {
		size_t n = strlen(list);

		snprintf(list + n, sizeof(list) - n, "%s%s", i ? ", " : "", sq_map_defs[i].name);
	}
	return sq_error_value(err, -EINVAL, "map", name, list);
}

int sq_map_open(const char *pin_dir, const char *name, struct sq_map *ret, struct sq_error *err)
{
	const struct sq_map_def *def = find(name);
	__u32 len = sizeof(ret->info);
	char path[4096];
	int e;

	if (!def)
		return no_such_map(name, err);
	snprintf(path, sizeof(path), "%s/v%u/%s", pin_dir ? pin_dir : SQ_PIN_DIR_DEFAULT,
		 SQ_ABI_VERSION, name);
	memset(ret, 0, sizeof(*ret));
	ret->def = def;
	ret->fd = bpf_obj_get(path);
	if (ret->fd < 0) {
		e = errno;
		if (e == ENOENT)
			return sq_error_set(err, -e, NULL,
					    "there is no %s: squalld has not run since the last "
					    "boot or cleanup, or pins elsewhere (--pin-dir)",
					    path);
		if (e == EPERM || e == EACCES)
			return sq_error_set(err, -e, NULL,
					    "may not open %s: only root may read BPF maps", path);
		return sq_error_set(err, -e, NULL, "cannot open %s: %s", path, strerror(e));
	}
	if (bpf_obj_get_info_by_fd(ret->fd, &ret->info, &len)) {
		e = errno;
		sq_map_close(ret);
		return sq_error_set(err, -e, NULL, "cannot ask about %s: %s", path, strerror(e));
	}
	if (ret->info.key_size != def->key_size || ret->info.value_size != def->value_size) {
		sq_map_close(ret);
		return sq_error_set(err, -EPROTO, NULL,
				    "%s has keys of %u and values of %u bytes, not %u and %u: it "
				    "is of another version of squall",
				    path, ret->info.key_size, ret->info.value_size, def->key_size,
				    def->value_size);
	}
	return 0;
}

void sq_map_close(struct sq_map *map)
{
	if (map->fd >= 0)
		close(map->fd);
	map->fd = -1;
}

bool sq_map_has_entries(const struct sq_map *map)
{
	return map->info.type != BPF_MAP_TYPE_RINGBUF;
}

static bool per_cpu(const struct sq_map *map)
{
	return map->info.type == BPF_MAP_TYPE_PERCPU_HASH ||
	       map->info.type == BPF_MAP_TYPE_PERCPU_ARRAY;
}

/* Values of per-CPU maps come once per possible CPU, each padded to 8 bytes. */
size_t sq_map_value_room(const struct sq_map *map)
{
	size_t one = (map->info.value_size + 7u) & ~7u;
	int cpus = per_cpu(map) ? libbpf_num_possible_cpus() : 1;

	return one * (size_t)(cpus > 0 ? cpus : 1);
}

static json_t *hex(const unsigned char *p, size_t n)
{
	char *text = malloc(3 * n + 1);
	json_t *json;

	if (!text)
		return NULL;
	text[0] = 0;
	for (size_t i = 0; i < n; i++)
		sprintf(text + 3 * i, i + 1 < n ? "%02x " : "%02x", p[i]);
	json = json_string(text);
	free(text);
	return json;
}

json_t *sq_map_entry(const struct sq_map *map, const void *key, const void *value, bool raw)
{
	size_t one = (map->info.value_size + 7u) & ~7u, n = sq_map_value_room(map) / one;
	json_t *entry, *values;

	if (!raw)
		return map->def->decode(key, value, n);
	entry = json_object();
	json_object_set_new(entry, "key", hex(key, map->info.key_size));
	if (!per_cpu(map)) {
		json_object_set_new(entry, "value", hex(value, map->info.value_size));
		return entry;
	}
	values = json_array();
	for (size_t i = 0; i < n; i++)
		json_array_append_new(values, json_pack("{s:i, s:o}", "cpu", (int)i, "value",
							hex((const unsigned char *)value + i * one,
							    map->info.value_size)));
	json_object_set_new(entry, "values", values);
	return entry;
}

/*
 * Keys can come and go while we walk: a key that vanished makes the kernel
 * start over, so the walk ends after as many entries as the map can hold.
 * fn NULL: the values are not read, only the keys counted into *arg.
 */
static int walk(const struct sq_map *map, int (*fn)(const void *key, const void *value, void *arg),
		void *arg)
{
	unsigned char *key = calloc(1, map->info.key_size), *next = calloc(1, map->info.key_size);
	unsigned char *value = calloc(1, sq_map_value_room(map));
	int r = key && next && value ? 0 : -ENOMEM;

	for (uint32_t n = 0; !r && n < map->info.max_entries; n++) {
		if (bpf_map_get_next_key(map->fd, n ? key : NULL, next))
			break;
		if (!fn)
			++*(uint64_t *)arg;
		else if (!bpf_map_lookup_elem(map->fd, next, value))
			r = fn(next, value, arg);
		memcpy(key, next, map->info.key_size);
	}
	free(key);
	free(next);
	free(value);
	return r;
}

int sq_map_each(const struct sq_map *map, int (*fn)(const void *key, const void *value, void *arg),
		void *arg)
{
	return sq_map_has_entries(map) ? walk(map, fn, arg) : 0;
}

json_t *sq_map_about(const struct sq_map *map)
{
	const char *type = libbpf_bpf_map_type_str(map->info.type);
	uint64_t used = sq_map_has_entries(map) ? map->info.max_entries : 0;

	if (map->info.type == BPF_MAP_TYPE_HASH || map->info.type == BPF_MAP_TYPE_PERCPU_HASH) {
		used = 0;
		walk(map, NULL, &used);
	}
	return json_pack("{s:s, s:i, s:s, s:i, s:i, s:I, s:I, s:s}", "name", map->def->name,
			 "map_id", (int)map->info.id, "type", type ? type : "?", "key_bytes",
			 (int)map->info.key_size, "value_bytes", (int)map->info.value_size,
			 "entries", (json_int_t)used, "max_entries",
			 (json_int_t)map->info.max_entries, "holds", map->def->holds);
}

int sq_maps_list(const char *pin_dir, json_t **ret, struct sq_error *err)
{
	json_t *list = json_array();
	struct sq_map map;
	int r = 0;

	for (size_t i = 0; !r && i < sq_n_maps; i++) {
		r = sq_map_open(pin_dir, sq_map_defs[i].name, &map, err);
		if (r)
			break;
		if (json_array_append_new(list, sq_map_about(&map)))
			r = sq_error_set(err, -ENOMEM, NULL, "out of memory");
		sq_map_close(&map);
	}
	if (r)
		json_decref(list);
	else
		*ret = list;
	return r;
}

/* --- programs ---------------------------------------------------------------------------- */

/* Which of the pinned maps has that id; NULL: none of ours. */
static const char *map_of_id(const json_t *maps, uint32_t id)
{
	const json_t *m;
	size_t i;

	json_array_foreach(maps, i, m) if (json_integer_value(json_object_get(m, "map_id")) ==
					   id) return json_string_value(json_object_get(m, "name"));
	return NULL;
}

static json_t *program_json(const struct bpf_prog_info *info, const json_t *maps)
{
	const __u32 *ids = (const __u32 *)(uintptr_t)info->map_ids;
	const char *type = libbpf_bpf_prog_type_str(info->type);
	json_t *used = json_array();
	char tag[2 * BPF_TAG_SIZE + 1];

	for (uint32_t i = 0; i < info->nr_map_ids && i < PROGRAM_MAPS; i++)
		if (map_of_id(maps, ids[i]))
			json_array_append_new(used, json_string(map_of_id(maps, ids[i])));
	if (!json_array_size(used)) {
		json_decref(used);
		return NULL;
	}
	for (int i = 0; i < BPF_TAG_SIZE; i++)
		sprintf(tag + 2 * i, "%02x", info->tag[i]);
	return json_pack("{s:s%, s:i, s:s, s:s, s:i, s:i, s:I, s:o}", "name", info->name,
			 strnlen(info->name, sizeof(info->name)), "id", (int)info->id, "type",
			 type ? type : "?", "tag", tag, "bytes", (int)info->xlated_prog_len,
			 "jited_bytes", (int)info->jited_prog_len, "loaded_ns",
			 (json_int_t)info->load_time, "maps", used);
}

int sq_programs_list(const char *pin_dir, json_t **ret, struct sq_error *err)
{
	json_t *maps = NULL, *list, *one;
	uint32_t id = 0;
	int r = sq_maps_list(pin_dir, &maps, err);

	if (r)
		return r;
	list = json_array();
	while (!bpf_prog_get_next_id(id, &id)) {
		__u32 ids[PROGRAM_MAPS];
		struct bpf_prog_info info = {.map_ids = (uintptr_t)ids, .nr_map_ids = PROGRAM_MAPS};
		__u32 len = sizeof(info);
		int fd = bpf_prog_get_fd_by_id(id);

		if (fd < 0) {
			if (errno == ENOENT)
				continue; /* it went meanwhile */
			r = sq_error_set(err, -errno, NULL,
					 "cannot look at the kernel's programs: %s",
					 strerror(errno));
			break;
		}
		one = bpf_obj_get_info_by_fd(fd, &info, &len) ? NULL : program_json(&info, maps);
		if (one)
			json_array_append_new(list, one);
		close(fd);
	}
	json_decref(maps);
	if (r)
		json_decref(list);
	else
		*ret = list;
	return r;
}
