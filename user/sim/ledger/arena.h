// SPDX-License-Identifier: GPL-2.0-only
/*
 * The arena: anonymous shared memory between the engine's owner and its shards,
 * whichever process they live in. The owner writes the first part, each shard
 * its own `sim_pub`; nobody writes what another writes.
 */
#ifndef SQUALL_SIM_ARENA_H
#define SQUALL_SIM_ARENA_H

#include <pthread.h>
#include "sim/base/clock.h"
#include "sim/base/hist.h"
#include "sim/fleet/profile.h"
#include "sim/ledger/counts.h"

#define SIM_MAX_SHARDS 256
#define SIM_ERRORS     1024 /* 32 types with a dozen kinds each, and room for details */

/* Why something failed: half of an error's key, with a detail of the kind's own meaning. */
enum sim_fail {
	F_NONE,
	F_REFUSED,
	F_RESET,
	F_UNREACHABLE, /* errno */
	F_SOCKET,      /* errno: on this machine, e.g. out of ports */
	F_TCP_TIMEOUT,
	F_TLS,	      /* OpenSSL's error code */
	F_TLS_VERIFY, /* X.509 code */
	F_CERT,	      /* this device's certificate cannot be loaded */
	F_CONNACK,    /* return or reason code, bit 8: MQTT 5 */
	F_CONNACK_TIMEOUT,
	F_SUBACK, /* reason, bit 8: MQTT 5 */
	F_SUBACK_TIMEOUT,
	F_MAX_QOS,     /* what the broker grants */
	F_UNSUPPORTED, /* enum sim_lack */
	F_CLOSED,
	F_DISCONNECT, /* MQTT 5 reason */
	F_KEEPALIVE,
	F_MALFORMED, /* enum sim_protocol */
	F_WRONG_ID,  /* type of the acknowledgement of what was never sent */
	F_PROTOCOL,  /* enum sim_protocol */
	F_NO_PUBACK,
	F_NO_PUBCOMP,
	F_ACK_REASON, /* MQTT 5 reason, packet type << 8 */
	F_NOT_CONNECTED,
	F_BACKLOG,
	F_UNSENT,
	F_LOST,
	F_SESSION_LOST,
	F_STOPPED,
	F_TOO_BIG,
	F_MEMORY,
	F_NAME,	      /* the device could not be made */
	F_DOWNGRADED, /* PUBACK for QoS 2 */
	F_UPGRADE, /* to WebSocket: HTTP status, 1: none in time, 0: another reason, in the note */
	F_UNRESOLVED, /* the server's name */
	F_SILENT,     /* a connection that was there: TCP gave up */
	F_FAILED,     /* paho's library does not say; its code, negated, 0: none */
	F_KINDS
};

enum sim_protocol {
	PROTO_MALFORMED,
	PROTO_TOO_BIG,
	PROTO_UNEXPECTED,
	PROTO_CONNACK,
	PROTO_SESSION,
	PROTO_ALIAS,
	PROTO_AUTH,
	PROTO_WS,
	PROTO_SUBACK
};
/* What a device needs and its broker does not have. */
enum sim_lack { LACK_RETAIN, LACK_WILDCARD, LACK_SHARED };

static inline uint64_t sim_error_key(unsigned type, unsigned name, unsigned kind, uint32_t detail)
{
	return (uint64_t)type << 56 | (uint64_t)name << 48 | (uint64_t)kind << 40 | detail;
}
/* Of the same kind, whatever the detail: `key` is one too many. */
#define SIM_ERROR_OTHER (1ull << 32)
static inline uint64_t sim_error_other(uint64_t key)
{
	return (key & ~0xffffffffull) | SIM_ERROR_OTHER;
}
/* In the detail of F_CONNACK and F_DISCONNECT: the server that was named is none. */
#define SIM_NOT_FOLLOWED (1u << 16)
#define SIM_NOTE	 65 /* of what the broker said, with its NUL */

/* `note`: what the broker said about it; may be empty. */
void sim_error_text(uint64_t key, const char *note, struct sim_error *ret);

struct sim_stat {
	uint64_t requests, failures, bytes, total_us, last_ns;
	uint64_t req_sec[SIM_SECONDS], fail_sec[SIM_SECONDS]; /* epoch << 32 | count */
	struct sim_hist hist;
};

struct sim_pub {
	uint64_t heartbeat_ns;
	uint32_t state;	  /* 0 starting, 1 running, 2 its devices have ended, 3 finished */
	uint32_t settled; /* the last `settle` that it has followed */
	struct {
		uint32_t running, connected, backoff;
	} type[SIM_MAX_TYPES];
	struct sim_totals tot;
	uint32_t nerrors;
	struct {
		uint64_t key, n, first_ns;
		char note[SIM_NOTE + 7]; /* complete before the key is there */
	} error[SIM_ERRORS];
	struct sim_stat stat[]; /* [type * SIM_NAMES + name] */
};

/* From `from` at t0 evenly to `to` at t1. */
struct sim_ramp {
	uint32_t from, to;
	uint64_t t0, t1;
};

/* Sequence numbers of a device, both ends included. */
#define SIM_UNACKED (1u << 24)
struct sim_unacked {
	uint32_t at; /* type * max_devices + index */
	uint32_t from, to;
};

struct sim_arena {
	/* Written by the owner under `lock`, read by shards: generations say when to look. */
	uint32_t stop;	 /* 1: end; 2: all have ended, so say what was lost */
	uint32_t quiet;	 /* publish no more, stay connected */
	uint32_t settle; /* nobody runs: say what was lost, and begin anew */
	uint32_t gen;	 /* any of the below has changed */
	uint32_t storm, storm_ppm;
	uint8_t figures; /* the last reset's number, never 0: who connects first counts anew */
	uint32_t conf_gen[SIM_MAX_TYPES];
	struct sim_ramp ramp[SIM_MAX_TYPES];
	pthread_mutex_t lock; /* shared between processes; never held across anything slow */

	/* Fixed at start. */
	unsigned ntypes, nshards, nlean;
	/* A type's devices live in these shards: all, or those of its cgroup's processes. */
	uint16_t shard_from[SIM_MAX_TYPES], shard_n[SIM_MAX_TYPES];
	uint32_t max_devices;
	uint32_t run_id;
	uint64_t seed;
	int64_t epoch_off_ns; /* wall clock minus monotonic */
	size_t pub_size, pub_at;
	/* End to end, [type * max_devices + index]: the sequence number of the last marked message
	 * that was sent, ms of when the device was first online, its last in `unacked`, from 1. */
	uint32_t *sent, *first_ms, *last_unacked;
	struct sim_unacked *unacked; /* what has failed, see msg_unacked() */
	uint32_t nunacked;	     /* its length, by all shards */
	struct sim_profile conf[];
};

static inline struct sim_pub *sim_arena_pub(struct sim_arena *a, unsigned shard)
{
	return (struct sim_pub *)((char *)a + a->pub_at + shard * a->pub_size);
}

/* The number of devices a ramp allows at `now`. */
uint32_t sim_ramp_at(const struct sim_ramp *r, uint64_t now);
/* When a ramp passes device `index`, up or down. */
uint64_t sim_ramp_when(const struct sim_ramp *r, uint32_t index);

#define SIM_LOAD(p)	__atomic_load_n(p, __ATOMIC_ACQUIRE)
#define SIM_STORE(p, v) __atomic_store_n(p, v, __ATOMIC_RELEASE)
/* A counter with one writer: a plain add that no reader sees torn. */
#define SIM_ADD(p, v) __atomic_store_n(p, *(p) + (v), __ATOMIC_RELAXED)

#endif
