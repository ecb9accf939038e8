/* SPDX-License-Identifier: GPL-2.0-only */
/* Named rules: the shipped ones, read-only, and those that users save. */
#ifndef SQUALLD_PROFILES_H
#define SQUALLD_PROFILES_H

#include <jansson.h>
#include <stdbool.h>
#include "squalld/base/json.h"

struct profiles;
struct state;

#define PROFILE_NAME_MAX 64

int profiles_new(struct state *state, struct profiles **ret);
void profiles_free(struct profiles *profiles);
/* the lock held from here on. */
json_t *profiles_list(struct profiles *profiles);
json_t *profile_json(struct profiles *profiles, const char *name); /* NULL: there is none */
int profile_rule(struct profiles *profiles, const char *name, struct sq_rule *ret,
		 struct sq_error *p);
/* body: {"rule": RULE-BODY, "description": TEXT} */
int profile_put(struct profiles *profiles, const char *name, const json_t *body, bool *ret_fresh,
		struct sq_error *p);
int profile_delete(struct profiles *profiles, const char *name, struct sq_error *p);
json_t *profiles_save(void *profiles, bool clean); /* a state_save_fn */
void profiles_restore(struct profiles *profiles, json_t *saved);

#endif
