// SPDX-License-Identifier: GPL-2.0-only
/*
 * The device engine: a fleet of device types, run by shards.
 *
 * A shard is a thread with its own epoll and timer wheel; when one process may
 * not open enough descriptors, shards live in several forked processes. All of
 * them share one anonymous memory area ("the arena") in which the caller writes
 * targets and the shards write counters. Every counter has one writer and only
 * grows; readers take differences. So no call here waits for a shard, and load
 * cannot starve the thread that calls: each takes microseconds to a few
 * milliseconds (a report with several types), and all are safe from any thread.
 *
 * Fork: sim_engine_start() may fork, so call it before you create threads of
 * your own (zmq contexts, web servers); with one process it does not fork.
 *
 *   sim_fleet -> sim_engine_new -> sim_engine_start -> sim_engine_target ...
 *   sim_reader_new -> sim_reader_take, sim_reader_take, ...
 *   sim_engine_stop -> last sim_reader_take -> sim_engine_free
 */
#ifndef SQUALL_SIM_ENGINE_H
#define SQUALL_SIM_ENGINE_H

#include <stdio.h>
#include "sim/base/hist.h"
#include "sim/fleet/profile.h"
#include "sim/ledger/counts.h"

struct sim_engine;
struct sim_reader;

struct sim_engine_opts {
	unsigned shards;      /* 0: one per CPU */
	uint32_t max_devices; /* all types together; a target beyond is refused. 0: 10,000 */
	uint64_t seed;	      /* 0: from the clock; else jitter, phases and templates repeat */
};

/*
 * Copies the fleet (whose profiles passed sim_profile_check). Plans processes
 * by descriptor limits and raises the soft one. 0, or -errno with `err`:
 * -EMFILE when max_devices does not fit this machine.
 */
int sim_engine_new(const struct sim_fleet *fleet, const struct sim_engine_opts *opts,
		   struct sim_engine **ret, struct sq_error *err);
/* Starts the shards; no device yet. */
int sim_engine_start(struct sim_engine *e, struct sq_error *err);

/*
 * The number of devices of `type` that shall run, absolute. The change is
 * smeared evenly over `over_ns` from now (0: at once). A new call replaces the
 * old one, from wherever that had got. Devices that stop finish what is in
 * flight (bounded by their ack timeout), then DISCONNECT. -E2BIG past
 * max_devices, -EINVAL for an unknown type; then nothing changes.
 */
int sim_engine_target(struct sim_engine *e, unsigned type, uint32_t n, uint64_t over_ns);

/*
 * Changes options of a type (or of all with type -1) while running, all or none, e.g.
 * "interval", "qos", "topic", "payload", "broker". Checked as a whole first.
 * Connection options act on a device's next connect, the others within a tick.
 * 0, -ENOENT (no such option), -EINVAL; then nothing changes. A "broker" must
 * resolve, which blocks the caller (and nobody else) for as long as DNS takes.
 */
int sim_engine_override_n(struct sim_engine *e, int type, const char *const key[],
			  const char *const value[], unsigned n, struct sq_error *err);
/* A copy of a type's current options. */
int sim_engine_profile(struct sim_engine *e, unsigned type, struct sim_profile *ret);

unsigned sim_engine_types(const struct sim_engine *e);
const char *sim_engine_type_name(const struct sim_engine *e, unsigned type);
unsigned sim_engine_processes(const struct sim_engine *e);

void sim_engine_counts(struct sim_engine *e, int type /* -1: all */, struct sim_counts *ret);

void sim_engine_totals(struct sim_engine *e, struct sim_totals *ret);

/* Drops `ppm` of the connected devices' connections at once; they reconnect. */
int sim_engine_storm(struct sim_engine *e, uint32_t ppm);

/*
 * A load ends, and another may follow. Publishers fall silent first; subscribers stay for what is
 * in flight, for `drain_ns` at most, and for what is still on its way to them (--e2e); then target
 * is 0 for all types, and what was lost is counted. Does not wait: sim_engine_hushed() takes the
 * next step when it is time, and says true when all is done. Both from one thread at a time.
 */
void sim_engine_hush(struct sim_engine *e, uint64_t drain_ns);
bool sim_engine_hushed(struct sim_engine *e);
/* Waits no longer for it: who still runs may finish what is in flight, and another load begins. */
void sim_engine_unhush(struct sim_engine *e);

/*
 * The same, waiting until no device runs or `drain_ns` has
 * passed, and stops the shards. What is still in flight then has failed with
 * kind "stopped while in flight", so the sum holds with in_flight = 0.
 */
void sim_engine_stop(struct sim_engine *e, uint64_t drain_ns);
/* The drain has lasted long enough: somebody asked twice. From a signal handler, too. */
void sim_engine_hurry(struct sim_engine *e);
/* The figures are counted anew: a device's next connection is its first. */
void sim_engine_anew(struct sim_engine *e);
void sim_engine_free(struct sim_engine *e);
/* 0, or -EIO with `err` when a shard's process died. */
int sim_engine_health(struct sim_engine *e, struct sq_error *err);

/* --- reports --------------------------------------------------------------- */

/* One (type, name), since the reader's previous take: Locust's stats entry. */
struct sim_entry {
	unsigned type;
	enum sim_name name;
	uint64_t num_requests; /* failures included */
	uint64_t num_failures;
	uint64_t content_length;
	double total_ms, min_ms, max_ms; /* of the successes; min and max 0 without any */
	uint64_t timed;			 /* samples in `hist`: always num_requests - num_failures */
	struct sim_hist hist;
	unsigned nreq, nfail;
	struct sim_second req[SIM_SECONDS], fail[SIM_SECONDS];
	double last_request; /* epoch, 0: none in this report */
};

struct sim_report {
	unsigned nentries, nerrors;
	struct sim_entry *entry[SIM_MAX_TYPES * SIM_NAMES]; /* only those with requests */
	struct sim_error *error;
};

/* Each reader sees everything once, whatever other readers do. */
struct sim_reader *sim_reader_new(struct sim_engine *e);
/*
 * What happened since the previous take (or the start). Valid until the
 * reader's next take. Call it at least once a minute, or per-second counts of
 * the oldest seconds are lost (never the sums).
 */
const struct sim_report *sim_reader_take(struct sim_reader *r);
void sim_reader_free(struct sim_reader *r);

#endif
