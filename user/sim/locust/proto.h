// SPDX-License-Identifier: GPL-2.0-only
/*
 * The messages between a Locust master and its workers: one ZeroMQ frame, one
 * msgpack array [type, data, node id]. Everything that leaves here is checked
 * (text is UTF-8, numbers are finite, counts are not negative), because one
 * message that a master cannot take kills its listener for the rest of the
 * test. Everything that comes in is untrusted and bounded.
 */
#ifndef SQUALL_LOCUST_PROTO_H
#define SQUALL_LOCUST_PROTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "sim/inject/faults.h"

/* A master's largest message is a spawn of about 1 KiB plus its classes. */
#define LOCUST_FRAME_MAX (1u << 20)
#define LOCUST_DEPTH_MAX 16
/* Of one byte each, a megabyte of them is 25 in memory, and 50 ms of the thread that beats. */
#define LOCUST_OBJECTS_MAX 65536
#define LOCUST_CLASSES_MAX 256
#define LOCUST_NAME_MAX	   128
#define LOCUST_ERROR_MAX   512
#define LOCUST_TEXT_MAX	   8192
#define LOCUST_USERS_MAX   100000000

enum locust_kind {
	LOCUST_ACK,
	LOCUST_SPAWN,
	LOCUST_SPAWNING_COMPLETE,
	LOCUST_STOP,
	LOCUST_QUIT,
	LOCUST_RECONNECT,
	LOCUST_HEARTBEAT,
	LOCUST_UPDATE_USER_CLASS,
	LOCUST_FAULT,	/* squall.fault, of the locustfile that squall-sim locustfile --faults makes
			 */
	LOCUST_UNKNOWN, /* a custom message, or a newer master's */
};

struct locust_class {
	char name[LOCUST_NAME_MAX];
	int64_t count;
};

/* What a master sent. Owns memory: locust_msg_free(). */
struct locust_msg {
	enum locust_kind kind;
	char type[LOCUST_NAME_MAX];
	int64_t index;		      /* ack: -1 where the master gives none */
	double timestamp;	      /* spawn */
	double stop_timeout;	      /* spawn: 0 for nil */
	char host[LOCUST_ERROR_MAX];  /* spawn: "" for nil */
	struct locust_class *classes; /* spawn */
	size_t n_classes;
	struct fault_ask *fault; /* squall.fault */
	void *owned;		 /* the decoded tree, and in it: */
	const void *options;	 /* spawn: parsed_options */
	size_t held;		 /* bytes that it owns */
};

/*
 * 0, -EBADMSG with *ret_why set to what is wrong with it, or -ENOMEM. The
 * frame must hold exactly one message: a tail is refused as Locust does.
 */
int locust_decode(const void *frame, size_t len, struct locust_msg *ret_msg, const char **ret_why);
void locust_msg_free(struct locust_msg *msg);

/*
 * The option's value as text ("" for nil and false, "true" for true): -ENOENT
 * if the master's message lacks it, -E2BIG if it does not fit, -EINVAL for a
 * list or a map.
 */
int locust_option(const struct locust_msg *msg, const char *name, char *buf, size_t len);

/* An outgoing frame; freed by locust_frame_free() whatever the result was. */
struct locust_frame {
	char *data;
	size_t len;
};
void locust_frame_free(struct locust_frame *frame);

/* One cell of a map of counts: {response time in ms: n}, {epoch second: n}. */
struct locust_pair {
	int64_t key;
	uint64_t n;
};

struct locust_pairs {
	const struct locust_pair *at;
	size_t n;
};

struct locust_entry {
	const char *name;
	const char *method;
	uint64_t requests;	/* failures included, as Locust counts */
	uint64_t none_requests; /* those that have no response time */
	uint64_t failures;
	double total_ms, min_ms, max_ms;
	uint64_t content_bytes;
	struct locust_pairs times; /* keys from locust_round_ms() */
	struct locust_pairs requests_per_s, failures_per_s;
};

struct locust_error {
	const char *name;
	const char *method;
	const char *error;
	uint64_t occurrences;
	double first_seen, last_seen; /* epoch seconds; 0: not told */
};

struct locust_report {
	double start_time;   /* epoch seconds */
	double last_request; /* 0: there was none */
	const struct locust_entry *entries;
	size_t n_entries;
	const struct locust_error *errors;
	size_t n_errors;
	const struct locust_class *classes;
	size_t n_classes;
};

/* All return 0 or -ENOMEM; node is the sender's identity. */
int locust_put_client_ready(struct locust_frame *f, const char *node);
int locust_put_simple(struct locust_frame *f, const char *node, const char *type);
int locust_put_heartbeat(struct locust_frame *f, const char *node, const char *state,
			 double cpu_percent, uint64_t memory_bytes);
int locust_put_spawning_complete(struct locust_frame *f, const char *node,
				 const struct locust_class *classes, size_t n);
int locust_put_exception(struct locust_frame *f, const char *node, const char *msg,
			 const char *traceback);
int locust_put_fault_answer(struct locust_frame *f, const char *node, const struct fault_answer *a);
int locust_put_stats(struct locust_frame *f, const char *node, const struct locust_report *r);

/* Locust's key for a response time. */
int64_t locust_round_ms(double ms);

/* The User class that stands for a device type: "temp-sensor" -> "temp_sensor". */
int locust_class_name(const char *device_type, char *buf, size_t len);

#endif
