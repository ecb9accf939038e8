/* SPDX-License-Identifier: GPL-2.0-only */
/* Named rules: the shipped ones, read-only, and those that users save. */
#ifndef SQUALLD_PROFILES_H
#define SQUALLD_PROFILES_H

#include "squalld/daemon.h"

#define PROFILE_NAME_MAX 64

int profiles_init(struct daemon *d);
void profiles_free(struct daemon *d);
/* d->lock held from here on. */
json_t *profiles_list(struct daemon *d);
json_t *profile_json(struct daemon *d, const char *name); /* NULL: there is none */
int profile_rule(struct daemon *d, const char *name, struct sq_rule *ret, struct problem *p);
/* body: {"rule": RULE-BODY, "description": TEXT} */
int profile_put(struct daemon *d, const char *name, const json_t *body, bool *ret_fresh,
		struct problem *p);
int profile_delete(struct daemon *d, const char *name, struct problem *p);
json_t *profiles_save(struct daemon *d, bool clean);
void profiles_restore(struct daemon *d, json_t *saved);

#endif
