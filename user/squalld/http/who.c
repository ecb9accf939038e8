// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who asks, for the log: the user behind the unix socket, as the kernel knows
 * it, or the address, and whether a token was shown (the guard checked it).
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>
#include "squalld/http/http.h"

static void find(struct request *r)
{
	char *buf = r->who;
	const size_t size = sizeof(r->who);
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(r->conn, r->local ? MHD_CONNECTION_INFO_CONNECTION_FD
							  : MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	char addr[INET6_ADDRSTRLEN] = "?";
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (r->local) {
		if (info && getsockopt(info->connect_fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0)
			snprintf(buf, size, "uid %u (process %d)", peer.uid, peer.pid);
		else
			snprintf(buf, size, "the unix socket");
		return;
	}
	if (info && info->client_addr && info->client_addr->sa_family == AF_INET)
		inet_ntop(AF_INET, &((struct sockaddr_in *)info->client_addr)->sin_addr, addr,
			  sizeof(addr));
	else if (info && info->client_addr && info->client_addr->sa_family == AF_INET6)
		inet_ntop(AF_INET6, &((struct sockaddr_in6 *)info->client_addr)->sin6_addr, addr,
			  sizeof(addr));
	if (r->token[0])
		snprintf(buf, size, "%s with token %s", addr, r->token);
	else
		snprintf(buf, size, "%s%s", addr,
			 request_header(r, "Authorization") ? " with a token" : "");
}

const char *request_who(struct request *r)
{
	if (!r->who[0])
		find(r);
	return r->who;
}
