/* SPDX-License-Identifier: GPL-2.0-only */
/* Text from anywhere, within XML and HTML of ours. */
#ifndef SQUALL_LIB_MARKUP_H
#define SQUALL_LIB_MARKUP_H

#include <stdio.h>

/* & < > " and the bytes that XML does not have. */
void markup_escape(FILE *f, const char *s);
/* fmt holds %s, each escaped, and no other conversion; the rest is markup and goes out as it is. */
void markup_print(FILE *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
