/* SPDX-License-Identifier: GPL-2.0-only */
/* Bytes of others, as JSON and as text for people. Nothing here is shared between threads. */
#ifndef SQUALL_LIB_TEXT_H
#define SQUALL_LIB_TEXT_H

#include <jansson.h>
#include <stddef.h>
#include <stdio.h>

/* A JSON string of bytes from anywhere: what is not UTF-8 becomes '?'. New reference. */
json_t *json_text(const char *bytes);

/*
 * The first character of n bytes (1 or more) as a part of a line that drives no terminal and moves
 * no text: controls (C0, C1), what sets a direction or that nobody sees, Unicode's line ends and
 * what is not UTF-8 become \x1b, \u009b. Returns how many bytes it was.
 */
#define TEXT_ONE 16
size_t text_one(char ret[static TEXT_ONE], const char *from, size_t n);
/* All n bytes, cut to `cap` with a NUL, never within a character. Returns the length. */
size_t text_shown(char *to, size_t cap, const char *from, size_t n);
/* All of it. */
void text_print(FILE *f, const char *text);

#endif
