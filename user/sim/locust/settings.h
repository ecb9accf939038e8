// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a user of Locust may set in its form or on the master's command line:
 * the options that the generated locustfile declares. An empty field means
 * what the fleet file says.
 */
#ifndef SQUALL_LOCUST_SETTINGS_H
#define SQUALL_LOCUST_SETTINGS_H

#include "sim/engine/engine.h"
#include "sim/locust/proto.h"

/* option: as in parsed_options; key: as in sim_profile_set(). */
struct locust_setting {
	const char *option;
	const char *key;
	const char *help;
};
extern const struct locust_setting locust_settings[];
extern const unsigned int n_locust_settings;

struct locust_settings;

/*
 * Remembers the fleet's own values. allow_files is the only folder below which a
 * payload that the master names is read, NULL: no file is. Kept, not copied.
 */
int locust_settings_new(struct sim_engine *engine, const char *allow_files,
			struct locust_settings **ret);
void locust_settings_free(struct locust_settings *s);
/*
 * Applies what a spawn message asks for, where it differs from what is set.
 * 0, or -errno with one line in *err and nothing changed.
 */
int locust_settings_apply(struct locust_settings *s, const struct locust_msg *spawn,
			  struct sq_error *err);

#endif
