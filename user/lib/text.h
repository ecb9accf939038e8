/* SPDX-License-Identifier: GPL-2.0-only */
/* Bytes of others as JSON. Nothing here is shared between threads. */
#ifndef SQUALL_LIB_TEXT_H
#define SQUALL_LIB_TEXT_H

#include <jansson.h>

/* A JSON string of bytes from anywhere: what is not UTF-8 becomes '?'. New reference. */
json_t *json_text(const char *bytes);

#endif
