// SPDX-License-Identifier: GPL-2.0-only
/* The listening socket and the TLS context. */
#include <arpa/inet.h>
#include <openssl/err.h>
#include <string.h>
#include <sys/socket.h>
#include "broker.h"

int make_listener(void)
{
	struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_port = htons(opt.port)};
	struct sockaddr_in a4 = {.sin_family = AF_INET, .sin_port = htons(opt.port)};
	bool v6 = strchr(opt.addr, ':');
	struct sockaddr *sa = v6 ? (void *)&a6 : (void *)&a4;
	socklen_t len = v6 ? sizeof(a6) : sizeof(a4);
	int fd, one = 1;

	if (inet_pton(v6 ? AF_INET6 : AF_INET, opt.addr,
		      v6 ? (void *)&a6.sin6_addr : (void *)&a4.sin_addr) != 1)
		die("--addr %s: not an IP address", opt.addr);
	fd = socket(sa->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		die("socket: %m");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
	if (bind(fd, sa, len) || listen(fd, 4096))
		die("%s port %u: %m", opt.addr, opt.port);
	if (!opt.port) {
		getsockname(fd, sa, &len);
		opt.port = ntohs(v6 ? a6.sin6_port : a4.sin_port);
	}
	return fd;
}

SSL_CTX *make_ctx(void)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	if (!ctx || SSL_CTX_use_certificate_chain_file(ctx, opt.cert) != 1 ||
	    SSL_CTX_use_PrivateKey_file(ctx, opt.key, SSL_FILETYPE_PEM) != 1)
		die("--cert/--key: %s", ERR_reason_error_string(ERR_get_error()));
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
				      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"sink", 4);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF); /* tickets only */
	if (opt.no_tickets) {
		SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
		SSL_CTX_set_num_tickets(ctx, 0);
	} else {
		SSL_CTX_set_num_tickets(ctx, 1);
	}
	if (opt.tls_version) {
		SSL_CTX_set_min_proto_version(ctx, opt.tls_version);
		SSL_CTX_set_max_proto_version(ctx, opt.tls_version);
	}
	if (opt.cafile) {
		if (SSL_CTX_load_verify_locations(ctx, opt.cafile, NULL) != 1)
			die("--cafile %s: %s", opt.cafile,
			    ERR_reason_error_string(ERR_get_error()));
		SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	}
	return ctx;
}
