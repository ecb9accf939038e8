/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * sink: a counting MQTT broker for tests of the simulator, fast enough that the
 * client under test is what gets measured, and able to misbehave on request.
 *
 *   main.c       the parent: starts the workers, adds up what they count, reports
 *   options.c    the command line
 *   listen.c     the listening socket and the TLS context
 *   worker.c     one process with one epoll: accepts and reads
 *   conn.c       connections, and what goes out on them
 *   packets.c    MQTT 3.1.1 and 5: takes packets in, answers them
 *   subs.c       who gets a message
 *   misbehave.c  what a broker should not do
 *
 * CONNECT, PUBLISH of QoS 0/1/2, SUBSCRIBE (exact topics, + and #), UNSUBSCRIBE,
 * PINGREQ, DISCONNECT; TCP or TLS. No retained messages, no sessions, no wills,
 * nothing is resent: tests that need those have mosquitto.
 *
 * One worker is one process with one epoll: a process may hold 20,000
 * descriptors on the machines we test on, so many connections mean --workers N,
 * over which the kernel spreads them (SO_REUSEPORT). Workers share counters but
 * no subscriptions; with more than one, SUBSCRIBE is answered with failure
 * rather than with a silence that looks like loss.
 *
 * --spin polls without sleeping: then no sender pays for waking the sink, which
 * in a virtual machine costs more than the send itself and would hide what a
 * bench wants to see.
 *
 * stdout carries JSON lines: {"listening":PORT}, then one line of totals for
 * each SIGUSR1, and a last one ("final":true, with the per-second series) on
 * SIGTERM or SIGINT.
 */
#ifndef SINK_BROKER_H
#define SINK_BROKER_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

/* clang-format never comes to an end with this list. */
/* clang-format off */
#define COUNTERS(X) \
	X(accepted) X(open) X(connected) X(connects) X(connects_v5) X(refused) X(disconnects) \
	X(closed_by_peer) X(resets_sent) X(malformed) X(publishes) X(publishes_q0) \
	X(publishes_q1) X(publishes_q2) X(publishes_dup) X(payload_bytes) X(bytes_in) \
	X(bytes_out) X(pubacks_out) X(pubacks_in) X(pubrels_in) X(pubcomps_in) X(subscribes) \
	X(unsubscribes) X(delivered) X(deliveries_lost) X(deliveries_doubled) X(pings) X(reads) \
	X(slow_consumers) X(tls_full) X(tls_resumed) X(tls_failed) X(fd_full)
/* clang-format on */

struct stats {
#define X(n) uint64_t n;
	COUNTERS(X)
#undef X
} __attribute__((aligned(64)));

extern struct options {
	const char *addr, *cert, *key, *cafile;
	int tls_version, refuse; /* refuse: a CONNACK's code, or -1 */
	uint32_t port, workers, delay_connack, delay_puback, reset_after, lose_every, double_every;
	/* int, because getopt_long() sets them */
	int no_puback, wrong_ids, garbage, drop_connects, silent, no_pingresp, no_tickets, spin;
} opt;

/* main.c */
extern struct stats *st; /* this worker's */
uint64_t now_ns(void);
void die(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));
void *must(void *p);

/* options.c: ends the program on a bad one */
void options(int argc, char **argv);

/* listen.c */
int make_listener(void); /* sets opt.port where it was 0 */
SSL_CTX *make_ctx(void);

/* worker.c: owns the listener; ctx may be NULL */
void worker(int listener, SSL_CTX *ctx, int max_fd) __attribute__((noreturn));

#endif
