/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One command on several hosts: a process for each, so that one that does not
 * answer holds up none of the others, and what each says is told by host.
 */
#ifndef SQUALL_HOSTS_H
#define SQUALL_HOSTS_H

#include <stdbool.h>
#include <stdio.h>
#include <squall/rule.h>

#define HOSTS_MAX 256

struct host {
	const char *url;
	char address[64]; /* connect here; "": where the URL says */
	char name[512];	  /* for people: the URL, and the address if there is one */
	FILE *out, *err;  /* what its process said */
	int pid, status;  /* exit status, -1: ended by a signal */
};

/* The hosts of n URLs; with all_addresses one for each address that a URL's name has, or that the
 * hosts of its SRV records have. Returns how many, 0 or more, or -errno with err (-ENOENT: a name
 * that does not resolve). */
int hosts_of(const char *const *urls, int n, bool all_addresses, struct host ret[HOSTS_MAX],
	     struct sq_error *err);

/* Calls run in a process of its own for each host, all at once; its return is the exit status.
 * Prints what they said, by host. 0, 2 if all refuse in the same words, else 1 where any failed,
 * with those hosts named on stderr. */
int hosts_run(struct host *hosts, int n, bool json, bool pretty,
	      int (*run)(const struct host *h, void *arg), void *arg);

#endif
