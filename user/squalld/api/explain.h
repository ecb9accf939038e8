/* SPDX-License-Identifier: GPL-2.0-only */
/* Why a rule has the effect that it has, or none. */
#ifndef SQUALLD_API_EXPLAIN_H
#define SQUALLD_API_EXPLAIN_H

#include "squalld/api/api.h"

/* What GET /api/v1/targets/NAME/explain answers, NULL with p. Looks at processes and interfaces:
 * some milliseconds, without the lock, which it takes for moments. */
json_t *explain_json(struct api *a, const char *name, struct sq_error *p);

/* Of the same, the lines that are known the moment a rule is set; NULL: none. */
json_t *explain_notes(struct api *a, const char *name);

/* flows.c: why clause i, if it is about connections, has done nothing to any, or not to all. */
void flow_reasons(const struct sq_rule *rule, uint32_t i, const struct sq_flow_head *counted,
		  json_t *reasons);

/* flows.c: what of its packets the rule cannot meet where its target lives. */
struct place {
	bool host, shared;
	bool others;  /* have rules too */
	bool at_once; /* when the rule is set: only what can never act */
};
void limit_reasons(const struct sq_rule *rule, const struct place *at,
		   const struct sq_counters sum[SQ_DIRS], json_t *reasons);

#endif
