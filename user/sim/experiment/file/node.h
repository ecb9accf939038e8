// SPDX-License-Identifier: GPL-2.0-only
/* Reading a YAML document: each refusal names file, line and column. */
#ifndef SQUALL_SIM_EXPERIMENT_NODE_H
#define SQUALL_SIM_EXPERIMENT_NODE_H

#include "sim/experiment/file/experiment.h"
#include "sim/fleet/yaml.h"

struct exp_file {
	const char *path;
	yaml_document_t *doc;
	struct sq_error *err;
};

struct exp_mark exp_mark_of(const yaml_node_t *n);
/* "PATH:LINE:COLUMN: TEXT"; returns -EINVAL. */
int exp_bad(const struct exp_file *f, const yaml_node_t *n, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
int exp_bad_at(const struct experiment *x, struct exp_mark m, struct sq_error *err, const char *fmt,
	       ...) __attribute__((format(printf, 4, 5)));
yaml_node_t *exp_node(const struct exp_file *f, int index);

/* A key that a mapping may have, and who reads its value. */
struct exp_key {
	const char *name;
	int (*read)(struct exp_file *f, yaml_node_t *value, void *into);
	size_t at, size; /* of a struct: what the plain readers below fill */
};
/* The one of n words that was meant, or NULL. `stride`: bytes from one word's pointer to the next.
 */
const char *exp_near(const char *word, const void *first, unsigned n, size_t stride);
/*
 * Each pair of the mapping through its key's reader; unknown and repeated keys
 * are refused. `what` is told where it is no mapping.
 */
int exp_read_map(struct exp_file *f, yaml_node_t *map, const struct exp_key *keys, unsigned n,
		 void *into, const char *what);
/* Plain readers: `into` is the field itself. */
int exp_read_text(struct exp_file *f, yaml_node_t *v, const char *name, char *to, size_t size);
int exp_read_time(struct exp_file *f, yaml_node_t *v, const char *name, uint64_t min, uint64_t max,
		  uint64_t *ret);
int exp_read_count(struct exp_file *f, yaml_node_t *v, const char *name, uint64_t max,
		   uint64_t *ret);
/* A name that thresholds may use: letters, digits, - and _. */
int exp_read_name(struct exp_file *f, yaml_node_t *v, char to[EXP_NAME]);

#endif
