// SPDX-License-Identifier: GPL-2.0-only
/* Options of a run that do nothing by themselves. */
#include <string.h>
#include "sim/run/run.h"

/* Each with the other that makes something of it, or one of two. */
static const char *const needs[][3] = {
	{"max-devices", "web", NULL},	     {"web-root", "web", NULL},
	{"experiments", "web", NULL},	     {"squalld", "web", NULL},
	{"squalld-target", "squalld", NULL}, {"squalld-token-file", "squalld", NULL},
	{"squalld-cacert", "squalld", NULL}, {"token", "web", "metrics"},
	{"token-file", "web", "metrics"},
};

/* All of these are 0 or empty where nobody has set them. */
static bool is_set(const struct sim_run *r, const char *name)
{
	const struct opt *o = name ? opt_find(sim_run_opts, name) : NULL;
	const char *at = (const char *)r + (o ? o->at : 0);

	if (!o || o->kind != OPT_U32)
		return o && *at;
	return *(const uint32_t *)at;
}

static int check_storms(const struct sim_run *r, const struct sim_fleet *f, struct sq_error *err)
{
	for (unsigned i = 0; i < r->nstorms; i++) {
		double at = (double)r->storm[i].at_ns / 1e9, end = (double)r->duration_ns / 1e9;

		if (r->duration_ns && r->storm[i].at_ns >= r->duration_ns)
			return sq_bad(err,
				      "storm %gs: it would come when the run has ended; accepted: "
				      "less than the %gs of --duration",
				      at, end);
		for (unsigned t = 0; t < f->ntypes; t++)
			if (f->type[t].engine == SIM_PAHO)
				return sq_bad(err,
					      "client paho: storm %gs is of the lean client only; "
					      "accepted: client lean, or leave storm out",
					      at);
	}
	return 0;
}

int sim_run_needs(const struct sim_run *r, const struct sim_fleet *f, struct sq_error *err)
{
	char value[OPT_SHOWN];
	bool lean = false;

	for (size_t i = 0; i < sizeof(needs) / sizeof(*needs); i++) {
		const char *const *n = needs[i];

		if (is_set(r, n[0]) && !is_set(r, n[1]) && !is_set(r, n[2]))
			return sq_bad(err,
				      "%s%s: accepted with --%s%s%s, without which it does "
				      "nothing; add that, or leave %s out",
				      n[0], opt_show(opt_find(sim_run_opts, n[0]), r, value), n[1],
				      n[2] ? " or --" : "", n[2] ? n[2] : "", n[0]);
	}
	for (unsigned t = 0; t < f->ntypes; t++)
		lean |= f->type[t].engine == SIM_LEAN;
	if (!lean && r->threads > 1)
		return sq_bad(
			err,
			"client paho: threads %u: all its devices are one thread's; accepted: "
			"1, or leave threads out",
			r->threads);
	return check_storms(r, f, err);
}
