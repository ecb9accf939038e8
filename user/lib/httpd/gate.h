/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How many may be inside and for how long: a server's connections, so that
 * nobody can shut the others out by holding them open.
 *
 * A gate has a thread and one or more doors, one a listener. What comes when
 * its address, or the door, is full takes the place of whoever has waited
 * longest without a whole request; so there is always room for one who asks at
 * once, also from the address that attacks (on loopback it is everybody's).
 */
#ifndef SQUALL_LIB_HTTPD_GATE_H
#define SQUALL_LIB_HTTPD_GATE_H

#include <microhttpd.h>
#include <stdbool.h>
#include <sys/types.h>

struct httpd_gate;

struct httpd_door {
	struct httpd_gate *gate;
	unsigned int total, per_address; /* connections; streams: at most half of them */
	unsigned int n;			 /* inside now; the gate's */
};

/* Given to libmicrohttpd on top of a door's total: those told to go, and not gone yet. */
#define HTTPD_LEAVING 32

enum httpd_phase {
	HTTPD_IDLE,   /* between two requests: 15 s */
	HTTPD_HEADER, /* from connect, or from the first line: 5 s */
	HTTPD_BODY,   /* the rest of the request: 20 s with the header */
	HTTPD_ANSWER, /* we compute, or it reads: 60 s */
	HTTPD_STREAM, /* event stream: as long as it likes */
};

/* 0, or -ENOMEM or -EAGAIN. */
int httpd_gate_open(struct httpd_gate **ret);
/* After MHD_stop_daemon() of each door; accepts NULL. */
void httpd_gate_close(struct httpd_gate *gate);

/* MHD_OPTION_NOTIFY_CONNECTION with a struct httpd_door. Takes the connection's socket context. */
void httpd_door_event(void *door, struct MHD_Connection *conn, void **ctx,
		      enum MHD_ConnectionNotificationCode code);

/* What libmicrohttpd logs, said in the thread that accepts; may sleep there. */
void httpd_heard(const char *said);

/* False: no room for one more stream from that address; the phase stays. Any thread. */
bool httpd_phase(struct MHD_Connection *conn, enum httpd_phase phase);

#endif
