/* SPDX-License-Identifier: GPL-2.0-only */
/* The escapes of a URL, RFC 3986, 2.1. Nothing here is shared between threads. */
#ifndef SQUALLD_URL_H
#define SQUALLD_URL_H

#include <stdbool.h>

/* Decodes in place. plus: '+' is a space, as in forms. strict: a bad escape or a NUL is -EINVAL;
 * else they stay as they are, and 0 is returned. */
int percent_decode(char *s, bool plus, bool strict);

#endif
