// SPDX-License-Identifier: GPL-2.0-only
/*
 * squall map: the pinned maps themselves, with or without squalld. Reading
 * only. Each map has a decoder here; what abi.h gains must be added, and the
 * sizes are compared before anything is decoded.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <squall/abi.h>
#include <squall/units.h>
#include "squall/cli.h"
#include "squall/map.h"

#define PIN_DIR "/sys/fs/bpf/squall"

static int open_map(const struct cli *cli, const char *name, const struct map_def **ret_def,
		    struct bpf_map_info *info)
{
	const char *dir = cli->pin_dir ? cli->pin_dir : PIN_DIR;
	const struct map_def *def = map_find(name);
	__u32 len = sizeof(*info);
	char path[4096], list[160] = "";
	size_t i;
	int fd, e;

	if (!def) {
		for (i = 0; i < n_maps; i++) {
			size_t n = strlen(list);

			snprintf(list + n, sizeof(list) - n, "%s%s", i ? ", " : "", maps[i].name);
		}
		complain_text(cli, 0, "map: \"%.64s\" is not accepted: %s", name, list);
		return -EINVAL;
	}
	snprintf(path, sizeof(path), "%s/v%u/%s", dir, SQ_ABI_VERSION, name);
	fd = bpf_obj_get(path);
	if (fd < 0) {
		e = errno;
		if (e == ENOENT)
			complain_text(cli, 0,
				      "there is no %s: squalld has not run since the last "
				      "boot or cleanup, or pins elsewhere (--pin-dir)",
				      path);
		else if (e == EPERM || e == EACCES)
			complain_text(cli, 0, "may not open %s: only root may read BPF maps", path);
		else
			complain_text(cli, 0, "cannot open %s: %s", path, strerror(e));
		return -e;
	}
	memset(info, 0, sizeof(*info));
	if (bpf_obj_get_info_by_fd(fd, info, &len)) {
		e = errno;
		complain_text(cli, 0, "cannot ask about %s: %s", path, strerror(e));
		close(fd);
		return -e;
	}
	if (info->key_size != def->key_size || info->value_size != def->value_size) {
		complain_text(cli, 0,
			      "%s has keys of %u and values of %u bytes, not %u and %u: it "
			      "is of another version of squall",
			      path, info->key_size, info->value_size, def->key_size,
			      def->value_size);
		close(fd);
		return -EPROTO;
	}
	*ret_def = def;
	return fd;
}

static int exit_code(int r)
{
	return r == -EINVAL ? EXIT_USAGE : EXIT_FAILED;
}

static bool iterable(const struct bpf_map_info *info)
{
	return info->type != BPF_MAP_TYPE_RINGBUF;
}

static bool per_cpu(const struct bpf_map_info *info)
{
	return info->type == BPF_MAP_TYPE_PERCPU_HASH || info->type == BPF_MAP_TYPE_PERCPU_ARRAY;
}

static const char *type_name(const struct bpf_map_info *info)
{
	const char *name = libbpf_bpf_map_type_str(info->type);

	return name ? name : "?";
}

/* Values of per-CPU maps come once per possible CPU, each padded to 8 bytes. */
static size_t value_room(const struct bpf_map_info *info)
{
	size_t one = (info->value_size + 7u) & ~7u;
	int cpus = per_cpu(info) ? libbpf_num_possible_cpus() : 1;

	return one * (size_t)(cpus > 0 ? cpus : 1);
}

static json_t *hex(const unsigned char *p, size_t n)
{
	char *text = malloc(3 * n + 1);
	json_t *json;
	size_t i;

	if (!text)
		return NULL;
	text[0] = 0;
	for (i = 0; i < n; i++)
		sprintf(text + 3 * i, i + 1 < n ? "%02x " : "%02x", p[i]);
	json = json_string(text);
	free(text);
	return json;
}

/* The entry as JSON; NULL if the decoder leaves it out. */
static json_t *entry_json(const struct cli *cli, const struct map_def *def,
			  const struct bpf_map_info *info, const void *key, const void *value)
{
	size_t one = (info->value_size + 7u) & ~7u, n = value_room(info) / one, i;
	json_t *entry, *values;

	if (!(cli->given & OPT_RAW))
		return def->decode(key, value, n);
	entry = json_object();
	json_object_set_new(entry, "key", hex(key, info->key_size));
	if (!per_cpu(info)) {
		json_object_set_new(entry, "value", hex(value, info->value_size));
		return entry;
	}
	values = json_array();
	for (i = 0; i < n; i++)
		json_array_append_new(values, json_pack("{s:i, s:o}", "cpu", (int)i, "value",
							hex((const unsigned char *)value + i * one,
							    info->value_size)));
	json_object_set_new(entry, "values", values);
	return entry;
}

static void print_raw(const json_t *entry)
{
	const json_t *v, *values = json_object_get(entry, "values");
	size_t i;

	printf("key %s", json_string_value(json_object_get(entry, "key")));
	if (!values)
		printf("  value %s\n", json_string_value(json_object_get(entry, "value")));
	else
		putchar('\n');
	json_array_foreach(values, i, v) printf(
		"  cpu %lld  value %s\n", (long long)json_integer_value(json_object_get(v, "cpu")),
		json_string_value(json_object_get(v, "value")));
}

static void print_entry(const struct cli *cli, const json_t *entry)
{
	if (cli->given & OPT_RAW) {
		print_raw(entry);
		return;
	}
	render(entry, stdout);
	putchar('\n');
}

/*
 * Keys can come and go while we walk: a key that vanished makes the kernel
 * start over, so the walk ends after as many entries as the map can hold.
 */
static int walk(int fd, const struct bpf_map_info *info,
		int (*fn)(const void *key, const void *value, void *arg), void *arg)
{
	unsigned char *key = NULL, *next = NULL, *value = NULL;
	uint32_t n;
	int r = 0;

	key = calloc(1, info->key_size);
	next = calloc(1, info->key_size);
	value = calloc(1, value_room(info));
	if (!key || !next || !value) {
		r = -ENOMEM;
		goto out;
	}
	for (n = 0; n < info->max_entries; n++) {
		if (bpf_map_get_next_key(fd, n ? key : NULL, next))
			break;
		if (!bpf_map_lookup_elem(fd, next, value)) {
			r = fn(next, value, arg);
			if (r)
				break;
		}
		memcpy(key, next, info->key_size);
	}
out:
	free(key);
	free(next);
	free(value);
	return r;
}

struct dump {
	const struct cli *cli;
	const struct map_def *def;
	const struct bpf_map_info *info;
	json_t *entries; /* NULL: print at once */
};

static int dump_entry(const void *key, const void *value, void *arg)
{
	const struct dump *d = arg;
	json_t *entry = entry_json(d->cli, d->def, d->info, key, value);

	if (!entry)
		return 0;
	if (d->entries)
		return json_array_append_new(d->entries, entry) ? -ENOMEM : 0;
	print_entry(d->cli, entry);
	json_decref(entry);
	return 0;
}

int cmd_map_dump(struct cli *cli, int argc, char **argv)
{
	struct bpf_map_info info;
	struct dump d = {.cli = cli, .info = &info};
	int fd, r;

	(void)argc;
	fd = open_map(cli, argv[0], &d.def, &info);
	if (fd < 0)
		return exit_code(fd);
	if (!iterable(&info)) {
		close(fd);
		return complain_text(cli, EXIT_FAILED,
				     "%s is a ring buffer and has no entries to "
				     "show: see \"squall trace\"",
				     argv[0]);
	}
	if (cli->json)
		d.entries = json_array();
	r = walk(fd, &info, dump_entry, &d);
	close(fd);
	if (r)
		r = complain_text(cli, EXIT_FAILED, "cannot read %s: %s", argv[0], strerror(-r));
	else if (cli->json)
		print_json(cli, d.entries);
	json_decref(d.entries);
	return r;
}

static int count_entry(const void *key, const void *value, void *arg)
{
	(void)key, (void)value;
	++*(uint64_t *)arg;
	return 0;
}

int cmd_map_list(struct cli *cli, int argc, char **argv)
{
	const struct map_def *def;
	struct bpf_map_info info;
	struct table *t;
	json_t *list = json_array();
	uint64_t used;
	size_t i;
	int fd = -1;

	(void)argc, (void)argv;
	t = table_new();
	table_cell(t, false, "MAP");
	table_cell(t, false, "TYPE");
	table_cell(t, true, "KEY");
	table_cell(t, true, "VALUE");
	table_cell(t, true, "ENTRIES");
	table_cell(t, true, "ROOM");
	table_cell(t, false, "HOLDS");
	table_row(t);
	for (i = 0; i < n_maps; i++) {
		fd = open_map(cli, maps[i].name, &def, &info);
		if (fd < 0)
			break;
		used = info.max_entries;
		if (info.type == BPF_MAP_TYPE_HASH || info.type == BPF_MAP_TYPE_PERCPU_HASH) {
			used = 0;
			walk(fd, &info, count_entry, &used);
		}
		close(fd);
		json_array_append_new(
			list, json_pack("{s:s, s:i, s:s, s:i, s:i, s:I, s:I, s:s}", "name",
					maps[i].name, "map_id", (int)info.id, "type",
					type_name(&info), "key_bytes", (int)info.key_size,
					"value_bytes", (int)info.value_size, "entries",
					(json_int_t)(iterable(&info) ? used : 0), "max_entries",
					(json_int_t)info.max_entries, "holds", maps[i].holds));
		table_cell(t, false, "%s", maps[i].name);
		table_cell(t, false, "%s", type_name(&info));
		table_cell(t, true, "%u", info.key_size);
		table_cell(t, true, "%u", info.value_size);
		if (iterable(&info))
			table_cell(t, true, "%llu", (unsigned long long)used);
		else
			table_cell(t, true, "-");
		table_cell(t, true, "%u", info.max_entries);
		table_cell(t, false, "%s", maps[i].holds);
		table_row(t);
	}
	if (fd >= 0) {
		if (cli->json)
			print_json(cli, list);
		else
			table_print(t, stdout);
	}
	table_free(t);
	json_decref(list);
	return fd < 0 ? exit_code(fd) : 0;
}

/* A number, or a cgroup's path where the key is a cgroup id. */
static int parse_key(const struct cli *cli, const struct map_def *def, const char *text, void *key)
{
	uint64_t v = 0;
	uint32_t v32;
	char *end;

	if (def->cgroup_key && !strncmp(text, "cgroup:", 7)) {
		if (cgroup_id(text + 7, &v)) {
			complain_text(cli, 0, "key: there is no cgroup \"%.128s\"", text + 7);
			return -ENOENT;
		}
	} else {
		errno = 0;
		v = strtoull(text, &end, 0);
		if (*text < '0' || *text > '9' || *end || errno ||
		    (def->key_size == 4 && v > UINT32_MAX)) {
			complain_text(cli, 0, "key: \"%.64s\" is not accepted: a number%s", text,
				      def->cgroup_key ? " or cgroup:/path" : "");
			return -EINVAL;
		}
	}
	v32 = (uint32_t)v;
	memcpy(key, def->key_size == 4 ? (void *)&v32 : (void *)&v, def->key_size);
	return 0;
}

int cmd_map_lookup(struct cli *cli, int argc, char **argv)
{
	const struct map_def *def;
	struct bpf_map_info info;
	unsigned char key[8];
	json_t *entry;
	void *value;
	int fd, r;

	(void)argc;
	fd = open_map(cli, argv[0], &def, &info);
	if (fd < 0)
		return exit_code(fd);
	value = calloc(1, value_room(&info));
	if (!iterable(&info)) {
		r = complain_text(cli, EXIT_FAILED, "%s is a ring buffer: see \"squall trace\"",
				  argv[0]);
		goto out;
	}
	r = parse_key(cli, def, argv[1], key);
	if (r) {
		r = exit_code(r);
		goto out;
	}
	if (!value || bpf_map_lookup_elem(fd, key, value)) {
		r = complain_text(cli, EXIT_FAILED, "%s has no entry %.128s%s", argv[0], argv[1],
				  errno == ENOENT ? "" : " that can be read");
		goto out;
	}
	entry = entry_json(cli, def, &info, key, value);
	if (cli->json)
		print_json(cli, entry);
	else
		print_entry(cli, entry);
	json_decref(entry);
out:
	free(value);
	close(fd);
	return r;
}
