// SPDX-License-Identifier: GPL-2.0-only
/*
 * The program's own getsockopt(), shutdown() and SSL_shutdown() go before libc's and OpenSSL's, for
 * all its libraries: they do the same, and look. So it is seen how paho's sockets end; where it did
 * not work, nothing would.
 */
#include <dlfcn.h>
#include <errno.h>
#include <string.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "sim/base/sock_end.h"

void (*sock_end_seen)(const struct sock_end *end);
static _Thread_local int error;
static _Thread_local bool closed;

/* The kernel tells a failed connect() once, to whoever asks first. */
int getsockopt(int fd, int level, int name, void *restrict value, socklen_t *restrict len)
{
	int rc = (int)syscall(SYS_getsockopt, fd, level, name, value, len), e;

	if (rc || level != SOL_SOCKET || name != SO_ERROR || *len != sizeof(e))
		return rc;
	memcpy(&e, value, sizeof(e));
	if (e)
		error = e;
	return rc;
}

/* paho ends the TLS of a connection just before its socket. */
int SSL_shutdown(SSL *ssl)
{
	static int (*real)(SSL * ssl);
	int (*f)(SSL * ssl) = __atomic_load_n(&real, __ATOMIC_RELAXED);

	if (!f) {
		*(void **)&f = dlsym(RTLD_NEXT, "SSL_shutdown");
		__atomic_store_n(&real, f, __ATOMIC_RELAXED);
	}
	closed = SSL_get_shutdown(ssl) & SSL_RECEIVED_SHUTDOWN;
	return f(ssl);
}

int shutdown(int fd, int how)
{
	struct sock_end end = {.error = error};
	struct tcp_info ti = {0};
	socklen_t len = sizeof(ti);
	int e = errno, pending = 0;

	if (sock_end_seen && !syscall(SYS_getsockopt, fd, IPPROTO_TCP, TCP_INFO, &ti, &len)) {
		error = 0;
		end.closed = closed;
		closed = false;
		end.tcp = ti.tcpi_state;
		if (end.tcp == TCP_IS_CLOSE && !ti.tcpi_segs_out && !end.error)
			end.error = e; /* connect() has just said so */
		len = sizeof(pending);
		if (end.tcp == TCP_IS_CLOSE)
			syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_ERROR, &pending, &len);
		end.late = pending == EPIPE;
		sock_end_seen(&end);
	}
	return (int)syscall(SYS_shutdown, fd, how);
}
