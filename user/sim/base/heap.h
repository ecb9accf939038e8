/* SPDX-License-Identifier: GPL-2.0-only */
/* What is free of the heap goes back to the system. Any thread. */
#ifndef SQUALL_SIM_HEAP_H
#define SQUALL_SIM_HEAP_H

void sim_heap_trim(void);

#endif
