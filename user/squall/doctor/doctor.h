/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What squalld needs of this machine, and how the one that runs here is. Each
 * appends findings to a list of lib/checkup. Nothing is changed: what is tried
 * is tried in a network namespace that is gone afterwards.
 */
#ifndef SQUALL_DOCTOR_H
#define SQUALL_DOCTOR_H

#include <jansson.h>
#include <squall/rule.h>

/* kernel, permissions, cgroups, and what its network can do: by trial as root, else by what
 * `status` (squalld's answer; NULL: it does not run) says. */
void doctor_machine(json_t *list, const json_t *status);

/* squalld itself: reached or why not (err of the request, used where status is NULL), health,
 * version, programs in front. peer: where it was looked for. */
void doctor_squalld(json_t *list, const json_t *status, const struct sq_error *err,
		    const char *peer);

/* Docker's engine, the port of the API, descriptors. */
void doctor_around(json_t *list, const json_t *status);

#endif
