// SPDX-License-Identifier: GPL-2.0-only
/*
 * The program's own getsockopt() and shutdown() go before libc's, for all its libraries: they do
 * the same, and look. So it is seen how paho's sockets end; where it did not work, nothing would.
 */
#include <errno.h>
#include <string.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "sim/base/sock_end.h"

void (*sock_end_seen)(const struct sock_end *end);
static _Thread_local int error;

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

int shutdown(int fd, int how)
{
	struct sock_end end = {.error = error};
	struct tcp_info ti = {0};
	socklen_t len = sizeof(ti);
	int e = errno, pending = 0;

	if (sock_end_seen && !syscall(SYS_getsockopt, fd, IPPROTO_TCP, TCP_INFO, &ti, &len)) {
		error = 0;
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
