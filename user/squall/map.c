// SPDX-License-Identifier: GPL-2.0-only
/* squall map: the pinned maps themselves, with or without squalld. Reading only. */
#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <squall/maps.h>
#include "lib/cgroup.h"
#include "squall/cli.h"

/* Opens for a command one that has entries; says what is wrong. Returns an exit code. */
static int open_map(const struct cli *cli, const char *name, struct sq_map *ret)
{
	struct sq_error err;
	struct suggestion s = {.word = name};
	int r = sq_map_open(cli->pin_dir, name, ret, &err);

	if (r == -EINVAL) {
		for (size_t i = 0; i < sq_n_maps; i++)
			suggest_from(&s, sq_map_defs[i].name);
		if (s.best)
			snprintf(err.text + strlen(err.text), sizeof(err.text) - strlen(err.text),
				 "; did you mean \"%s\"?", s.best);
	}
	if (r)
		return complain(cli, r == -EINVAL ? EXIT_USAGE : EXIT_FAILED, &err);
	if (sq_map_has_entries(ret))
		return 0;
	sq_map_close(ret);
	return complain_text(cli, EXIT_FAILED,
			     "%s is a ring buffer and has no entries to show: see "
			     "\"squall trace\"",
			     ret->def->name);
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

struct dump {
	const struct cli *cli;
	const struct sq_map *map;
	json_t *entries; /* NULL: print at once */
};

static int dump_entry(const void *key, const void *value, void *arg)
{
	const struct dump *d = arg;
	json_t *entry = sq_map_entry(d->map, key, value, d->cli->given & OPT_RAW);

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
	struct sq_map map;
	struct dump d = {.cli = cli, .map = &map};
	int r;

	(void)argc;
	r = open_map(cli, argv[0], &map);
	if (r)
		return r;
	if (cli->json)
		d.entries = json_array();
	r = sq_map_each(&map, dump_entry, &d);
	sq_map_close(&map);
	if (r)
		r = complain_text(cli, EXIT_FAILED, "cannot read %s: %s", argv[0], strerror(-r));
	else if (cli->json)
		print_json(cli, d.entries);
	json_decref(d.entries);
	return r;
}

static void list_row(struct table *t, const json_t *m)
{
	const char *type = json_string_value(json_object_get(m, "type"));

	table_cell(t, false, "%s", json_string_value(json_object_get(m, "name")));
	table_cell(t, false, "%s", type);
	table_cell(t, true, "%lld", (long long)json_integer_value(json_object_get(m, "key_bytes")));
	table_cell(t, true, "%lld",
		   (long long)json_integer_value(json_object_get(m, "value_bytes")));
	if (!strcmp(type, "ringbuf"))
		table_cell(t, true, "-");
	else
		table_cell(t, true, "%lld",
			   (long long)json_integer_value(json_object_get(m, "entries")));
	table_cell(t, true, "%lld",
		   (long long)json_integer_value(json_object_get(m, "max_entries")));
	table_cell(t, false, "%s", json_string_value(json_object_get(m, "holds")));
	table_row(t);
}

int cmd_map_list(struct cli *cli, int argc, char **argv)
{
	struct sq_error err;
	json_t *list, *m;
	struct table *t;
	size_t i;
	int r = sq_maps_list(cli->pin_dir, &list, &err);

	(void)argc, (void)argv;
	if (r)
		return complain(cli, EXIT_FAILED, &err);
	if (cli->json) {
		print_json(cli, list);
		json_decref(list);
		return 0;
	}
	t = table_new();
	table_cell(t, false, "MAP");
	table_cell(t, false, "TYPE");
	table_cell(t, true, "KEY");
	table_cell(t, true, "VALUE");
	table_cell(t, true, "ENTRIES");
	table_cell(t, true, "ROOM");
	table_cell(t, false, "HOLDS");
	table_row(t);
	json_array_foreach(list, i, m) list_row(t, m);
	table_print(t, stdout);
	table_free(t);
	json_decref(list);
	return 0;
}

/* A number, or a cgroup's path where the key is a cgroup id. */
static int parse_key(const struct cli *cli, const struct sq_map_def *def, const char *text,
		     void *key)
{
	uint64_t v = 0;
	uint32_t v32;
	char *end;

	if (def->cgroup_key && !strncmp(text, "cgroup:", 7)) {
		if (cgroup_id_of(text + 7, &v, NULL)) {
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
	unsigned char key[8];
	struct sq_map map;
	json_t *entry;
	void *value;
	int r;

	(void)argc;
	r = open_map(cli, argv[0], &map);
	if (r)
		return r;
	value = calloc(1, sq_map_value_room(&map));
	r = parse_key(cli, map.def, argv[1], key);
	if (r) {
		r = r == -EINVAL ? EXIT_USAGE : EXIT_FAILED;
		goto out;
	}
	if (!value || bpf_map_lookup_elem(map.fd, key, value)) {
		r = complain_text(cli, EXIT_FAILED, "%s has no entry %.128s%s", argv[0], argv[1],
				  errno == ENOENT ? "" : " that can be read");
		goto out;
	}
	entry = sq_map_entry(&map, key, value, cli->given & OPT_RAW);
	if (cli->json)
		print_json(cli, entry);
	else
		print_entry(cli, entry);
	json_decref(entry);
out:
	free(value);
	sq_map_close(&map);
	return r;
}
