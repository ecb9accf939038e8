// SPDX-License-Identifier: GPL-2.0-only
/* Flows of the rules that follow them: what was counted, for counters and metrics. */
#include <string.h>
#include "squalld/api/api.h"
#include "squalld/control/book.h"
#include "squalld/kernel/engine.h"

int flow_counts(struct engine *engine, const struct rule_entry *e, struct flow_count ret[])
{
	struct sq_flow_head h;

	if (!(e->rule.flags & SQ_R_FLOWS) || engine_flow_counts(engine, e->cgroup_id, &h) < 0)
		return 0;
	const struct flow_count c[FLOW_COUNTS] = {
		{"seen", h.seen},
		{"ended", h.ended},
		{"hung", h.hung},
		{"reset", h.reset},
		{"full", h.full},
		{"evicted", h.evicted},
		{"addresses", h.addresses},
		/* Two CPUs may have counted one end twice. */
		{"alive", h.seen > h.ended + h.evicted ? h.seen - h.ended - h.evicted : 0},
	};

	memcpy(ret, c, sizeof(c));
	return FLOW_COUNTS;
}

json_t *flow_counts_json(struct engine *engine, const struct rule_entry *e)
{
	struct flow_count c[FLOW_COUNTS];
	int n = flow_counts(engine, e, c);
	json_t *o;

	if (!n)
		return NULL;
	o = json_pack("{s:o}", "target", json_text(e->name));
	for (int i = 0; i < n; i++)
		json_object_set_new(o, c[i].what, json_integer((json_int_t)c[i].n));
	return o;
}
