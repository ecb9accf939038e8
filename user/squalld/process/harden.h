/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SQUALLD_HARDEN_H
#define SQUALLD_HARDEN_H

#include "lib/error.h"

/*
 * Keeps only the capabilities and system calls that squalld needs from here
 * on, for this thread and all that it will start: so before the first thread.
 * Returns 0 or -errno with one line in err.
 */
int harden(struct sq_error *err);

#endif
