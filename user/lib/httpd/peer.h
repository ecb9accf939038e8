/* SPDX-License-Identifier: GPL-2.0-only */
/* Who is at the other end of a TCP connection within this machine. */
#ifndef SQUALL_LIB_HTTPD_PEER_H
#define SQUALL_LIB_HTTPD_PEER_H

#include <stdbool.h>
#include <sys/types.h>

/*
 * The user who made the socket that fd is connected to, both of them in the
 * calling thread's network namespace. -ENOENT: there is none, or nobody holds
 * it any more; a closed one would be said to be root's.
 */
int httpd_peer_uid(int fd, uid_t *ret);

/* Is that user in that group, as the system's user database has it now? */
bool httpd_in_group(uid_t uid, gid_t gid);

#endif
