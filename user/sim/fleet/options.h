// SPDX-License-Identifier: GPL-2.0-only
/*
 * The options of a device type: a table of lib/opt, and the fleet file's keys.
 */
#ifndef SQUALL_SIM_OPTIONS_H
#define SQUALL_SIM_OPTIONS_H

#include "lib/opt/opt.h"
#include "sim/fleet/profile.h"

/* The options of a device type, and the other names they go by. */
extern const struct opt sim_profile_opts[];

struct sim_alias {
	const char *camel, *env, *name;
	const char *wrap; /* printf format to wrap the value in, NULL: as is */
};
extern const struct sim_alias sim_aliases[];
extern const unsigned sim_naliases;

/* Begins as a broker's URL does. */
bool sim_broker_url(const char *text);
/* Each value of it is one more, and none takes another's place. */
bool sim_profile_adds(const struct opt *o);

/* "128", "4KiB", "1kb"... when the whole text is a size. */
int sim_parse_size(const char *s, uint64_t *ret);

#endif
