/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What goes into JSON from anywhere, and what may stand in it.
 * Nothing here is shared between threads.
 */
#ifndef SQUALLD_JSON_H
#define SQUALLD_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include "lib/error.h"
#include "lib/text.h"

/* "10.0.0.1:53", "[fd00::1]:53", without the port where it is 0; family: 4 or 6. */
json_t *json_endpoint(unsigned int family, const uint8_t *addr, unsigned int port);

/* Only these keys; returns false and fills p otherwise. */
bool json_only_keys(const json_t *object, const char *const *keys, struct sq_error *p);

#endif
