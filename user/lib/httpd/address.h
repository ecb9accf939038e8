/* SPDX-License-Identifier: GPL-2.0-only */
/* Where a server listens, as an option says it. */
#ifndef SQUALL_LIB_HTTPD_ADDRESS_H
#define SQUALL_LIB_HTTPD_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>

struct httpd_address {
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	};
	socklen_t len;
	bool loopback; /* nobody else's machine reaches it */
};

/* "127.0.0.1:4080", "[::1]:4080", "localhost:0": a numeric address and a port. 0 or -EINVAL. */
int httpd_address_parse(const char *text, struct httpd_address *ret);
uint16_t httpd_address_port(const struct httpd_address *a);

#endif
