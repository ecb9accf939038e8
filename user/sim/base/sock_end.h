// SPDX-License-Identifier: GPL-2.0-only
/* How a socket of a library ended, which that library asks the kernel and OpenSSL and keeps to
 * itself. */
#ifndef SQUALL_SIM_SOCK_END_H
#define SQUALL_SIM_SOCK_END_H

#include <stdbool.h>
#include <stdint.h>

enum { TCP_IS_ESTABLISHED = 1, TCP_IS_SYN_SENT = 2, TCP_IS_CLOSE = 7 }; /* the kernel's numbers */

struct sock_end {
	int error;   /* what connect() ended with; 0: nothing is known */
	uint8_t tcp; /* its state when it was shut down */
	bool late;   /* TCP_IS_CLOSE: the peer had closed, and did not want what we still sent */
	bool closed; /* its TLS: the peer had said that it closes */
};

/* Called by the thread that shuts a TCP socket down, before that; NULL at first. */
extern void (*sock_end_seen)(const struct sock_end *end);

#endif
