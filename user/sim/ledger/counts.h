// SPDX-License-Identifier: GPL-2.0-only
/* What is counted, by name: the words that shards, reports and their readers share. */
#ifndef SQUALL_SIM_COUNTS_H
#define SQUALL_SIM_COUNTS_H

#include <stdint.h>

/* The requests that are counted; method is always "MQTT". */
enum sim_name {
	SIM_CONNECT, /* scheduled start of the connect -> CONNACK; told when it is online */
	SIM_PUBLISH, /* scheduled time -> handed to the socket */
	SIM_PUBACK,  /* scheduled time -> PUBACK or PUBCOMP; QoS 1 and 2 only */
	SIM_RECEIVE, /* scheduled time at the sender -> delivered to a subscriber of this fleet */
	SIM_DISCONNECT, /* only failures: connections lost without having been asked to */
	SIM_NAMES
};
/* "connect" "publish" "puback" "receive" "disconnect" */
const char *sim_name_text(enum sim_name name);

struct sim_counts {
	uint32_t target;    /* as asked */
	uint32_t allowed;   /* as of now, on the way to target */
	uint32_t running;   /* devices that exist: connecting, connected or backing off */
	uint32_t connected; /* of these, with CONNACK (and SUBACKs) received */
	uint32_t backoff;   /* of these, waiting to reconnect */
};

/*
 * Everything since the start. At every moment scheduled = acked + failed +
 * in_flight, where acked is "handed to the socket" for QoS 0. `in_flight` is
 * counted from the devices' own state and not by subtraction, so that the sum
 * proves something; while shards run, the sum may be off by the few messages
 * that moved between two reads.
 */
struct sim_totals {
	uint64_t scheduled, acked, failed, in_flight;
	uint64_t answers; /* of `scheduled`: to commands, so no part of --count */
	uint64_t connects, connect_failures, reconnects, lost_connections, resumed;
	uint64_t dropped;  /* connections that were ended on purpose: --churn, --storm */
	uint64_t not_made; /* devices that could not be made, each time; connect_failures as well */
	uint64_t subscribed;
	uint64_t received, unique, duplicates,
		lost;	    /* end to end; `lost` after sim_engine_hush, _stop */
	uint64_t late_acks; /* PUBACKs after their timeout */
	uint64_t overruns;  /* times a device fell a whole interval behind its schedule */
	uint64_t bytes_out, bytes_in, writes;
	uint64_t unaccounted; /* shards whose devices held another number than in_flight at the end
			       */
	double cpu_s;	      /* of the shards */
};

struct sim_second {
	uint32_t epoch; /* wall clock second */
	uint32_t count;
};
#define SIM_SECONDS 64

struct sim_error {
	unsigned type;
	enum sim_name name;
	uint64_t occurrences;
	uint64_t first_ns; /* when it came first */
	char kind[32];	   /* stable word: "refused" "reset" "timeout" "no-puback" ... */
	char text[128];	   /* for people, the same for all devices with this failure */
};

#endif
