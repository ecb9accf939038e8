// SPDX-License-Identifier: GPL-2.0-only
/* A fault and its squalld. A client belongs to one thread. */
#ifndef SQUALL_SIM_EXPERIMENT_PEERS_H
#define SQUALL_SIM_EXPERIMENT_PEERS_H

#include <squall/client.h>
#include "sim/experiment/file/experiment.h"

/*
 * The kernel's own end of a rule lies this much behind ours, which reads the
 * counters first: it is what ends the fault when nobody else is left to.
 */
#define EXP_GRACE_NS (2 * EXP_NS)

/* The client of fault i's squalld. 0, or -errno. */
int exp_peer_open(const struct experiment *x, unsigned i, struct sq_client **ret,
		  struct sq_error *err);
/*
 * Everything of the faults that can be wrong before one is set: squalld answers,
 * the target is there (a cgroup of the fleet's own may come with it), the profile
 * is known, no two faults mean one target at one time. 0 or -EINVAL.
 */
int exp_peers_check(const struct experiment *x, struct sq_error *err);
/* The rule in force now as a body that puts it back, NULL: none. 0 or -errno. */
int exp_peer_rule(struct sq_client *c, const char *target, json_t **ret, struct sq_error *err);
/* What fault i was named in a message: squalld's address. */
const char *exp_peer_url(const struct experiment *x, unsigned i);
/* The ECS agent is asked for fault i (agent.h), and no squalld. */
bool exp_by_agent(const struct experiment *x, unsigned i);
/*
 * Ends the rule of fault i, marked `etag` and set ago_ns ago: puts back what is left of `prior`
 * (as exp_peer_rule() gave it then; NULL: none), or deletes. What somebody else has set or deleted
 * meanwhile stays so: -ESTALE. ret_back: was it put back? May be NULL.
 */
int exp_peer_end(const struct experiment *x, unsigned i, struct sq_client *c, const char *etag,
		 const json_t *prior, uint64_t ago_ns, bool *ret_back, struct sq_error *err);
/* The rule to send for fault i. New reference. */
json_t *exp_peer_body(const struct experiment *x, unsigned i);

#endif
