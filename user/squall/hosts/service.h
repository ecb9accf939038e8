/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Hosts by DNS records of type SRV (RFC 2782): what a name in AWS's Cloud Map has in place of
 * addresses where tasks are in their hosts' network. Ports and weights are not looked at: the
 * port is the URL's, and all hosts are asked.
 */
#ifndef SQUALL_HOSTS_SERVICE_H
#define SQUALL_HOSTS_SERVICE_H

/* Calls each for the name of every host that `name` has as a service, until it returns below 0.
 * Returns the last value of each; 0 if there is none or the name servers do not answer. */
int service_hosts(const char *name, int (*each)(const char *host, void *arg), void *arg);

#endif
