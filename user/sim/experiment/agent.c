// SPDX-License-Identifier: GPL-2.0-only
#include "sim/experiment/agent.h"

#include <errno.h>
#include "lib/error.h"
#include "sim/experiment/file/node.h"
#include "sim/inject/injector.h"

/* Of what stands in the file beside the rule. */
static int possible(const struct experiment *x, unsigned i, struct sq_error *err)
{
	const struct exp_fault *f = &x->fault[i];

	if (*f->profile)
		return exp_bad_at(x, f->mark, err,
				  "profile '%.60s': the ECS agent knows none; write its rule",
				  f->profile);
	for (unsigned k = 0; k < x->nthresholds; k++) {
		const struct exp_threshold *t = &x->threshold[k];

		if ((t->what == EXP_PACKETS_SEEN || t->what == EXP_PACKETS_STRUCK) &&
		    t->part == EXP_PHASES + i)
			return exp_bad_at(x, t->mark, err,
					  "'%.100s': the ECS agent, which breaks fault '%s', "
					  "counts no packets",
					  t->metric, f->name);
	}
	return 0;
}

int exp_agent_can(const struct experiment *x, unsigned i, struct sq_error *err)
{
	const struct exp_fault *f = &x->fault[i];
	struct sq_error why = {0};
	int rc = possible(x, i, err);

	if (rc)
		return rc;
	rc = injector_ecs_can(f->target, f->rule, &why);
	return rc ? exp_bad_at(x, rc == -ENOENT ? f->target_mark : f->rule_mark, err,
			       "fault '%s': %.300s", f->name, why.text)
		  : 0;
}

int exp_agent_there(const struct experiment *x, unsigned i, struct sq_error *err)
{
	const struct exp_fault *f = &x->fault[i];
	struct injector *a = NULL;
	struct sq_error why = {0};
	char text[64];
	int rc = injector_ecs(NULL, &a, &why);

	if (!rc)
		rc = a->ops->look(a, text, sizeof(text), &why);
	if (a)
		a->ops->close(a);
	return rc ? exp_bad_at(x, f->mark, err, "fault '%s': %.300s", f->name, why.text) : 0;
}

int exp_agent_begin(const struct experiment *x, unsigned i, struct injector **ret,
		    struct sq_error *err)
{
	const struct exp_fault *f = &x->fault[i];
	char tag[INJECTOR_TAG] = "";
	int rc = injector_ecs(NULL, ret, err);

	if (rc)
		return rc;
	rc = (*ret)->ops->set(*ret, f->target, f->rule, f->for_ns, tag, err);
	if (rc) {
		(*ret)->ops->close(*ret);
		*ret = NULL;
	}
	return rc;
}

int exp_agent_end(struct injector *a, struct sq_error *err)
{
	char text[64];
	int rc = a->ops->end(a, "", "", text, sizeof(text), err);

	a->ops->close(a);
	return rc;
}

int exp_agent_stop(const struct experiment *x, unsigned i, struct sq_error *err)
{
	return injector_ecs_stop(x->fault[i].rule, err);
}
