/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel's side as it is: the pinned maps by name, what they hold and how
 * to say it, and the programs that use them. Reading only; works with or
 * without squalld. Link with -lbpf.
 *
 * Functions return 0 or a negative errno and fill struct sq_error.
 */
#ifndef SQUALL_MAPS_H
#define SQUALL_MAPS_H

#include <jansson.h>
#include <linux/bpf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <squall/rule.h>

#define SQ_PIN_DIR_DEFAULT "/sys/fs/bpf/squall"

struct sq_map_def {
	const char *name;
	const char *holds;
	uint32_t key_size, value_size;
	bool cgroup_key;
	/* n: values of as many CPUs, each padded to 8 bytes. NULL: leave the entry out. */
	json_t *(*decode)(const void *key, const void *value, size_t n);
};
extern const struct sq_map_def sq_map_defs[];
extern const size_t sq_n_maps;

struct sq_map {
	int fd;
	const struct sq_map_def *def;
	struct bpf_map_info info;
};

/* pin_dir: what --pin-dir names; NULL is the default. -EINVAL: no map has that name; -ENOENT: it is
 * not pinned there; -EPROTO: it is of another version of squall. */
int sq_map_open(const char *pin_dir, const char *name, struct sq_map *ret, struct sq_error *err);
void sq_map_close(struct sq_map *map);

bool sq_map_has_entries(const struct sq_map *map);  /* false: a ring buffer */
size_t sq_map_value_room(const struct sq_map *map); /* bytes that a look-up fills */

/* {"name","map_id","type","key_bytes","value_bytes","entries","max_entries","holds"} */
json_t *sq_map_about(const struct sq_map *map);
/* The entry with names and units; NULL if the decoder leaves it out. raw: bytes in hexadecimal. */
json_t *sq_map_entry(const struct sq_map *map, const void *key, const void *value, bool raw);
/* Until fn returns non-zero, which is returned. Entries may come and go meanwhile. */
int sq_map_each(const struct sq_map *map, int (*fn)(const void *key, const void *value, void *arg),
		void *arg);

/* An array of what sq_map_about() says of each map. */
int sq_maps_list(const char *pin_dir, json_t **ret, struct sq_error *err);
/* Programs that use these maps:
 * [{"name","id","type","tag","bytes","jited_bytes","loaded_ns","maps"}]. Needs CAP_SYS_ADMIN. */
int sq_programs_list(const char *pin_dir, json_t **ret, struct sq_error *err);

#endif
