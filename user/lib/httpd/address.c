// SPDX-License-Identifier: GPL-2.0-only
/* ADDRESS:PORT to a socket's address, without asking any name server. */
#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include "lib/httpd/address.h"

int httpd_address_parse(const char *text, struct httpd_address *ret)
{
	struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
				 .ai_socktype = SOCK_STREAM},
			*ai;
	const char *colon = strrchr(text, ':'), *port = colon ? colon + 1 : "";
	char host[128];
	size_t n = colon ? (size_t)(colon - text) : 0;

	if (!n || n >= sizeof(host) || !*port || strspn(port, "0123456789") != strlen(port) ||
	    strtoul(port, NULL, 10) > 65535)
		return -EINVAL;
	if (text[0] == '[' && text[n - 1] == ']') {
		text++;
		n -= 2;
	}
	memcpy(host, text, n);
	host[n] = 0;
	if (strcmp(host, "localhost") == 0)
		strcpy(host, "127.0.0.1");
	if (getaddrinfo(host, port, &hints, &ai) != 0)
		return -EINVAL;
	memset(ret, 0, sizeof(*ret));
	memcpy(&ret->sa, ai->ai_addr, ai->ai_addrlen);
	ret->len = ai->ai_addrlen;
	freeaddrinfo(ai);
	ret->loopback = ret->sa.sa_family == AF_INET ? ntohl(ret->in.sin_addr.s_addr) >> 24 == 127
						     : IN6_IS_ADDR_LOOPBACK(&ret->in6.sin6_addr);
	return 0;
}

uint16_t httpd_address_port(const struct httpd_address *a)
{
	return ntohs(a->sa.sa_family == AF_INET ? a->in.sin_port : a->in6.sin6_port);
}
