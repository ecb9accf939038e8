/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What "doctor" of a program looked at, what it found and what to do: a list
 * of findings, printed as a table or as JSON. Not thread-safe: a list belongs
 * to who made it.
 */
#ifndef SQUALL_LIB_CHECKUP_H
#define SQUALL_LIB_CHECKUP_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

enum checkup_state {
	CHECKUP_OK,
	CHECKUP_NOTE, /* works, but otherwise than one may expect, or could not be looked at */
	CHECKUP_BAD,  /* what the program is for will not work */
};

/* A finding at the end of list. remedy: what to do, NULL or "" if there is nothing; copied. */
void checkup_add(json_t *list, const char *name, enum checkup_state state, const char *remedy,
		 const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* {"checks": [{name, state: ok|note|bad, found, remedy}], "bad": N} or, for people, a line each
 * with the remedy below. Returns how many are bad. */
int checkup_print(const json_t *list, bool json, bool pretty, FILE *f);

/* --- what every program wants to know ------------------------------------------------ */

/* May a process open `wanted` files? Of process pid; 0: this one. what: what they are for. */
void checkup_descriptors(json_t *list, int pid, unsigned long wanted, const char *what);

/* Timers of the machine: the clock source, how late 1 ms sleeps end, and whether the wall clock
 * is set by anyone (adjtimex(2)), which two machines' timestamps need. Takes 20 ms. */
void checkup_clock(json_t *list);

/* 0, or the negative errno of binding a TCP socket to this IPv4 or IPv6 address and port;
 * -EADDRINUSE: somebody listens there. */
int checkup_bind(const char *address, unsigned int port);

#endif
