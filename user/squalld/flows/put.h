/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A table of flows into its slot of sq_flows, without the wait. The kernel puts an inner map where
 * packets find it at once, and then waits until none reads what was there before: 5 to 25 ms, and
 * up to 1 s on a loaded machine. Nothing was there before; so a thread waits for that, and who
 * wanted the table goes on when it is seen in its slot. Measured on a busy machine with 6.18: 1,000
 * rules with a table each were set in 17.6 s, and are in 1.1.
 *
 * Any thread; no lock that others need.
 */
#ifndef SQUALLD_PUT_H
#define SQUALLD_PUT_H

#include <stdint.h>

/* table_fd is closed. 0 or a negative errno. */
int flows_put(int outer_fd, uint32_t slot, int table_fd);

#endif
