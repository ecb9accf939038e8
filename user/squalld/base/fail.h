/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A failure on its way to a client, and what goes into JSON from anywhere.
 * Nothing here is shared between threads.
 */
#ifndef SQUALLD_FAIL_H
#define SQUALLD_FAIL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <squall/rule.h>

struct problem {
	int code;	       /* negative errno */
	struct sq_error error; /* field and text */
	json_t *candidates;    /* of an ambiguous name; stolen by the reply */
};
int fail(struct problem *p, int code, const char *field, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* A JSON string of bytes from anywhere: what is not UTF-8 becomes '?'. */
json_t *json_text(const char *bytes);
/* "10.0.0.1:53", "[fd00::1]:53", without the port where it is 0; family: 4 or 6. */
json_t *json_endpoint(unsigned int family, const uint8_t *addr, unsigned int port);

/* A key that is present must be of the type; returns false and fills p otherwise. */
bool json_only_keys(const json_t *object, const char *const *keys, struct problem *p);

#endif
