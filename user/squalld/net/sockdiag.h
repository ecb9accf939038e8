/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * TCP sockets of one network namespace, found by their ends and aborted: sock_diag(7), and
 * SOCK_DESTROY of a kernel with CONFIG_INET_DIAG_DESTROY. The socket that was opened belongs to
 * the namespace that its thread was in; its user may be elsewhere by then. One thread at a time.
 * Functions return 0 or a negative errno.
 */
#ifndef SQUALLD_SOCKDIAG_H
#define SQUALLD_SOCKDIAG_H

#include <stdint.h>

struct mnl_socket;

struct tcp_ends {
	uint8_t family;		       /* 4 or 6 */
	uint8_t local[16], remote[16]; /* IPv4 in the first four bytes */
	uint16_t lport, rport;	       /* host order */
};

struct mnl_socket *sockdiag_open(void);	   /* NULL, with errno */
void sockdiag_close(struct mnl_socket *s); /* NULL is nothing */
/* A connection, never who listens, with what its cgroup is. -ENOENT: none, or one that is bound to
 * an interface, which is not looked for. */
int sockdiag_find(struct mnl_socket *s, const struct tcp_ends *ends, uint64_t *ret_cookie,
		  uint64_t *ret_cgroup);
/* That one, if it still is: its program reads ECONNABORTED, and its peer gets a RST. -EOPNOTSUPP:
 * not with this kernel. */
int sockdiag_abort(struct mnl_socket *s, const struct tcp_ends *ends, uint64_t cookie);
/* Can it be done here? Tried with a connection over the calling thread's own lo, which is up. */
int sockdiag_try(void);

#endif
