// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a type of device does: one plain struct, so that it can lie in memory
 * that several processes share, filled through one table of options
 * (options.c), which command line, fleet file, seed configuration, environment,
 * Locust's parsed_options and the web API all use.
 */
#ifndef SQUALL_SIM_PROFILE_H
#define SQUALL_SIM_PROFILE_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "lib/error.h"

#define SIM_MAX_TYPES	   32
#define SIM_MAX_ADDRS	   64
#define SIM_MAX_BINDS	   64
#define SIM_MAX_SUBS	   64
#define SIM_USER_MAX	   1024 /* a user name and a password as a broker gets them */
#define SIM_PASSWORD_MAX   8192
#define SIM_MAX_USER_PROPS 8
#define SIM_WILL_MAX	   4095
#define SIM_WILL_WALKS	   16
#define SIM_PATH_MAX	   1024
#define SIM_MAX_WS_HEADERS 8
#define SIM_PATH_WORDS	   "a path: printable ASCII without blanks and #; write others as %XX"
#define SIM_HEADER_WORDS   "a header: no control characters"
#define SIM_TYPE_NAME	   64
#define SIM_PAYLOAD_MAX	   65536
#define SIM_MAX_OPTS	   80

union sim_addr {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

/* Addresses in a row. */
struct sim_range {
	union sim_addr first;
	uint32_t n;
};

enum sim_engine_kind { SIM_LEAN, SIM_PAHO };
enum sim_resolve { SIM_RESOLVE_EACH, SIM_RESOLVE_ONCE };
/* Where an option of a type comes from. */
enum sim_given { SIM_DEFAULT, SIM_SHARED /* with all types of a fleet file */, SIM_OWN };
enum sim_resume { SIM_RESUME_FULL, SIM_RESUME_ALWAYS, SIM_RESUME_MIXED };

struct sim_profile {
	char name[SIM_TYPE_NAME];
	uint8_t engine;	 /* enum sim_engine_kind */
	uint8_t version; /* 4 or 5 */
	uint8_t qos;
	bool retain, clean, tls, insecure, e2e, shadow, aws;
	uint32_t weight;
	char cgroup[256]; /* its devices' processes enter it; empty: none of its own */
	uint32_t first;	  /* index of this type's first device, for {{index}} */

	/* where to */
	char broker[1024];
	bool ws;
	char path[SIM_PATH_MAX]; /* of ws:// and wss://, with its query */
	uint8_t nws_headers;
	char ws_header[SIM_MAX_WS_HEADERS][512]; /* "Name: value" */
	char sigv4[32];				 /* AWS region; empty: the path is not signed */
	char host[200];
	uint16_t port;
	uint8_t naddrs, nbinds;
	uint8_t resolve; /* enum sim_resolve */
	bool follow_redirect;
	union sim_addr addr[SIM_MAX_ADDRS];
	struct sim_range bind[SIM_MAX_BINDS]; /* [nbinds]; see bind.h */
	uint16_t port_low, port_high;	      /* each device its own of these; 0: the kernel's */

	/* who */
	char thing[128], client_id[160], username[256], password[2048];
	char credentials[256];	   /* CSV, a row a device */
	uint32_t credentials_skip; /* rows at its head that are others' */
	char ca[256], cert[256], key[256], alpn[64], sni[200];
	uint8_t tls_min, tls_max; /* 12, 13 or 0 */
	uint8_t resume;		  /* enum sim_resume */

	/* what */
	char topic[256];
	char payload[SIM_PAYLOAD_MAX]; /* a size, @FILE, @@FILE (its lines) or a template */
	uint64_t interval_ns;	       /* 0: as fast as the broker takes them */
	uint32_t jitter_ppm;
	uint32_t burst;	   /* messages that fall due together */
	uint32_t batch;	   /* messages per write() at most; 0: no limit */
	uint32_t inflight; /* QoS 1 and 2 window */
	uint32_t count;	   /* messages per device, 0: no limit */

	char will_topic[256], will_payload[1024];
	uint8_t will_qos;
	bool will_retain;

	uint8_t nsubs, sub_qos;
	char sub[SIM_MAX_SUBS][256];
	char command[256], response[256], response_payload[1024];

	/* life */
	uint32_t keepalive_s, session_expiry_s;
	uint64_t connect_timeout_ns, ack_timeout_ns, backoff_base_ns, backoff_max_ns,
		backoff_reset_ns;
	uint64_t churn_milli; /* connections dropped per second of the whole type, in thousandths */
	/* MQTT 5: what each message carries */
	uint8_t nuser_props;
	bool topic_alias;
	char user_prop[SIM_MAX_USER_PROPS][256]; /* NAME=VALUE */
	uint32_t message_expiry_s;
	char content_type[128], response_topic[256];

	/* its socket */
	uint8_t nodelay;
	uint32_t sndbuf, tcp_idle_s, tcp_interval_s, tcp_probes; /* 0: the system's */
	uint64_t user_timeout_ns;
	uint32_t publish_cap; /* per connection and second, 0: none */

	uint8_t given[SIM_MAX_OPTS]; /* enum sim_given of each of sim_profile_opts */
};

/* Fills defaults. */
void sim_profile_init(struct sim_profile *p);
/*
 * Sets one option by its name (without dashes, e.g. "qos", "broker"). 0 or
 * -EINVAL with `err` filled; -ENOENT when no option has that name. Then *p is
 * unchanged.
 */
int sim_profile_set(struct sim_profile *p, const char *key, const char *value,
		    struct sq_error *err);
struct opt;
/* This option was set, by whoever did not use sim_profile_set(); of other tables: nothing. */
void sim_profile_given(struct sim_profile *p, const struct opt *o);
/*
 * Checks the whole: fields that exclude each other, presets' rules, templates
 * parse, files can be read, key fits certificate; resolves the broker's name.
 * Nothing connects. 0 or -EINVAL.
 */
int sim_profile_check(struct sim_profile *p, struct sq_error *err);
/* needs.c; part of that: no option of its own does nothing, whatever may be set later. */
int sim_profile_needs(const struct sim_profile *p, struct sq_error *err);
/* Where in n bytes of a request's path, or of a header, is what may not be there; -1: nowhere. */
long sim_path_bad(const char *s, size_t n);
long sim_header_bad(const char *s, size_t n);
/*
 * What --preset aws-iot-core refuses of a topic, or of a filter, and of a client identifier; text
 * and field are what it came from. 0 or -EINVAL.
 */
int sim_aws_topic(const char *name, const char *text, const char *field, bool filter,
		  struct sq_error *err);
int sim_aws_client(const char *client, struct sq_error *err);
/* Publishes a second of n such devices, of those that an account has 20,000 of; 0: no such preset.
 */
#define SIM_AWS_PUBLISHES 20000
#define SIM_AWS_CONNECTS  500
double sim_aws_publishes(const struct sim_profile *p, uint32_t n);
/* The names and topics of the last of n devices, whose {index} is the longest. */
int sim_profile_check_last(const struct sim_profile *p, uint32_t n, struct sq_error *err);

struct sim_fleet {
	unsigned ntypes;
	struct sim_profile *type; /* ntypes of them */
};

void sim_fleet_free(struct sim_fleet *f);
/*
 * needs.c: no type has an option that does nothing without another. What all types have may do
 * nothing in some. `fixed`: topic, QoS, interval and broker stay as they are.
 */
int sim_fleet_needs(const struct sim_fleet *f, bool fixed, struct sq_error *err);
/*
 * What a file may set besides a device type's options; without a base it is accepted and ignored.
 * What the command line gave goes over what the file says for all types; a type's own words go
 * over that, but for the broker, which is the command line's if it has one.
 */
struct opt_given;
struct sim_keys {
	const struct opt *opts;
	void *base;
	const struct opt_given *given;
	unsigned ngiven;
};
/* Reads a fleet file (docs/sim.md); without ret one of options alone, for all types, and nothing
 * goes over it. Each type starts from *base. 0, or -errno and `err`. */
int sim_fleet_read(const char *path, const struct sim_keys *more, struct sim_profile *base,
		   struct sim_fleet *ret, struct sq_error *err);
/* The same from a mapping of a file that holds more than a fleet: `doc` is a yaml_document_t,
 * `map` a yaml_node_t of it; without types: there is one type. */
int sim_fleet_read_node(const char *path, void *doc, void *map, const struct sim_keys *more,
			struct sim_profile *base, struct sim_fleet *ret, struct sq_error *err);
/* The same from a file, which may hold these options as well; they are ignored. */
int sim_fleet_load(const char *path, const struct opt *ignored, const struct sim_profile *base,
		   struct sim_fleet *ret, struct sq_error *err);
/* N devices over the types by weight, largest remainders first. */
void sim_fleet_split(const struct sim_fleet *f, uint32_t n, uint32_t *ret);

#endif
