/* SPDX-License-Identifier: GPL-2.0-only */
/* Names of hosts as DNS has them. Nothing here is shared between threads. */
#ifndef SQUALL_LIB_HOSTNAME_H
#define SQUALL_LIB_HOSTNAME_H

#include <stdbool.h>

#define HOSTNAME_SIZE 254

/* What is accepted, in words. */
#define HOSTNAME_LABELS                                                                            \
	"labels of 1 to 63 letters, digits, \"_\" and \"-\", which neither begin nor end with "    \
	"\"-\", and 253 bytes in all"

/* Is it one? *ret_name: in small letters, without the dot of the root. An address is none. */
bool hostname_take(const char *value, char ret_name[static HOSTNAME_SIZE]);

#endif
