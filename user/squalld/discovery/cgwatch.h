/* SPDX-License-Identifier: GPL-2.0-only */
/* Cgroups come and go: a thread watches the tree and tells the event streams. */
#ifndef SQUALLD_CGWATCH_H
#define SQUALLD_CGWATCH_H

#include "squalld/daemon.h"

int cgwatch_start(struct daemon *d);
void cgwatch_stop(struct daemon *d);
/* {"watched":N,"error":TEXT|null} */
json_t *cgwatch_status(struct daemon *d);

#endif
