// SPDX-License-Identifier: GPL-2.0-only
#ifndef SQUALL_LOCUST_ADDR_H
#define SQUALL_LOCUST_ADDR_H

#include <stddef.h>
#include <stdint.h>

/* HOST_UUID, as Locust's own workers call themselves. 0 or -EIO. */
int locust_fresh_node(char *buf, size_t len);
/* "tcp://ADDRESS:PORT". Resolves here, because libzmq fails to in silence. 0 or -EHOSTUNREACH. */
int locust_endpoint(const char *host, uint16_t port, char *buf, size_t len, const char **ret_why);
/* How long TCP and ZeroMQ may take to agree. */
#define LOCUST_HANDSHAKE_MS 5000
/*
 * A DEALER of identity `node` that connects to url, and the monitor that tells
 * what becomes of it (mon_name: inproc, not used before). The caller closes
 * both. 0 or -errno.
 */
int locust_dealer(void *ctx, const char *url, const char *node, const char *mon_name, int out_max,
		  void **ret_sock, void **ret_mon);
/* libzmq closes a connection that failed without a reason: this asks TCP for it. */
const char *locust_connect_error(const char *host, uint16_t port);

#endif
