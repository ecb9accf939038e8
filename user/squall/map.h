/* SPDX-License-Identifier: GPL-2.0-only */
/* The kernel's maps by name: what they hold and how to say it. */
#ifndef SQUALL_MAP_H
#define SQUALL_MAP_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct map_def {
	const char *name;
	const char *holds;
	uint32_t key_size, value_size;
	bool cgroup_key;
	/* n: values of as many CPUs, each padded to 8 bytes. NULL: leave the entry out. */
	json_t *(*decode)(const void *key, const void *value, size_t n);
};

extern const struct map_def maps[];
extern const size_t n_maps;

const struct map_def *map_find(const char *name);
/* Path below the cgroup v2 mount -> id. 0 or -errno. */
int cgroup_id(const char *path, uint64_t *ret);

#endif
