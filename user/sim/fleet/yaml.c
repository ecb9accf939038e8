// SPDX-License-Identifier: GPL-2.0-only
/* The one way in which a file becomes a YAML document. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "sim/fleet/yaml.h"

/* What follows a line of three dashes would be read by nobody. */
static int only_one(const char *path, yaml_parser_t *p, yaml_document_t *first,
		    struct sq_error *err)
{
	yaml_document_t more;
	yaml_node_t *root;
	int rc = 0;

	if (!yaml_parser_load(p, &more)) {
		rc = sq_bad(err, "%.150s:%zu:%zu: not YAML: %.200s", path, p->problem_mark.line + 1,
			    p->problem_mark.column + 1, p->problem ? p->problem : "unreadable");
	} else {
		root = yaml_document_get_root_node(&more);
		if (root)
			rc = sq_bad(err,
				    "%.150s:%zu:%zu: a second document: accepted: one in a file",
				    path, root->start_mark.line + 1, root->start_mark.column + 1);
		yaml_document_delete(&more);
	}
	if (rc)
		yaml_document_delete(first);
	return rc;
}

int sim_yaml_load(const char *path, yaml_document_t *ret, struct sq_error *err)
{
	FILE *in = fopen(path, "re");
	yaml_parser_t p;
	int rc = 0;

	if (!in)
		return sq_bad(err, "file '%.200s': %s", path, strerror(errno));
	if (!yaml_parser_initialize(&p)) {
		fclose(in);
		return sq_bad(err, "out of memory");
	}
	yaml_parser_set_input_file(&p, in);
	if (!yaml_parser_load(&p, ret))
		rc = sq_bad(err, "%.150s:%zu:%zu: not YAML: %.200s", path, p.problem_mark.line + 1,
			    p.problem_mark.column + 1, p.problem ? p.problem : "unreadable");
	else if (yaml_document_get_root_node(ret))
		rc = only_one(path, &p, ret, err);
	yaml_parser_delete(&p);
	fclose(in);
	return rc;
}

const char *sim_yaml_scalar(const yaml_node_t *n)
{
	return n && n->type == YAML_SCALAR_NODE &&
			       strlen((const char *)n->data.scalar.value) == n->data.scalar.length
		       ? (const char *)n->data.scalar.value
		       : NULL;
}
