// SPDX-License-Identifier: GPL-2.0-only
/*
 * The lean client's inside: a shard, its device types, its devices.
 *
 *   shard.c    the loop: targets, timers, events
 *   device.c   a device's life: connect, online, lost, backoff, stop
 *   publish.c  messages out: schedule, window, encoding, what became of them
 *   receive.c  packets in
 *   io.c       bytes in and out, TCP or TLS
 */
#ifndef SQUALL_SIM_SHARD_H
#define SQUALL_SIM_SHARD_H

#include <openssl/ssl.h>
#include <string.h>
#include "sim/ledger/arena.h"
#include "sim/mqtt/mqtt.h"
#include "sim/device/tls.h"
#include "sim/fleet/tmpl.h"
#include "sim/base/wheel.h"

#define SIM_RX_MAX	(1u << 20) /* the longest packet that is accepted */
#define SIM_TX_CAP	(SIM_RENDER_MAX + 65536u)
#define SIM_BACKLOG_MAX 1024
#define SIM_TX_MSGS	1024

enum dev_state {
	D_OFF,
	D_WAIT, /* for its (re)connect */
	D_TCP,
	D_TLS,
	D_CONNACK,
	D_SUBACK,
	D_ONLINE,
	D_DRAIN, /* stopping: no new messages, old ones finish */
};

enum { T_PUB, T_LIFE };

/* One unacknowledged QoS 1 or 2 message. */
struct inflight {
	uint64_t sched_ns;
	uint32_t sent_ms, seq;
	uint8_t *copy; /* the packet, for a persistent session; NULL otherwise */
	uint32_t copy_len;
	uint16_t id;   /* 0: free */
	uint8_t await; /* packet type that must come next */
	bool marked;
};

struct window {
	uint16_t mask, n;
	struct inflight slot[];
};

/* Messages that fell due and could not be sent yet. */
struct backlog {
	uint16_t head, n, cap;
	uint64_t sched_ns[];
};

/* Bytes the socket did not take yet, and which QoS 0 messages end where in them. */
struct unsent {
	uint32_t len, off, nmsg;
	struct {
		uint32_t end, seq;
		uint64_t sched_ns;
	} * msg;
	uint8_t *buf;
};

/* What few devices need. */
struct extra {
	double *walk;
	uint16_t *qos2; /* packet ids received and not released yet */
	uint16_t nqos2;
	uint64_t subscribed_ns;
	struct heard {
		uint32_t key; /* type << 24 | index, plus 1; 0: free */
		uint32_t high, first, unique;
		uint64_t seen; /* bit i: high - i has arrived */
	} * heard;
	uint32_t nheard, capheard;
	bool ever_subscribed;
};

/*
 * A device, in the order of use: a QoS 0 message touches the first two cache
 * lines, an acknowledged one the third as well. (Arrays of them begin on a page.)
 */
struct device {
	struct timer pub;
	uint64_t due_ns;  /* next publish, with its jitter */
	uint64_t base_ns; /* the grid */
	uint32_t index;	  /* in its type, without profile.first */
	uint32_t last_out_ms;
	int fd;
	uint8_t type, state;
	bool blocked, ever_online;

	char *thing;
	struct window *win;
	struct backlog *back;
	struct unsent *out;
	SSL *ssl;
	struct device *busy_next, *busy_prev; /* busy_next NULL: not in the ring */
	uint32_t seq, published;

	struct timer life;
	uint64_t rng;
	uint8_t *in; /* start of a packet whose end has not come */
	uint32_t in_len, cap_sec, last_in_ms;
	uint16_t next_id, recv_max;

	uint64_t connect_ns; /* scheduled start of this connect */
	SSL_SESSION *session;
	struct extra *x;
	uint32_t ping_ms;
	uint16_t cap_n, keepalive_s;
	uint8_t attempts;
	bool ended /* the broker sends no more */, pinging, connected_once, drop, ticket;
	uint8_t pad[26];
};
_Static_assert(sizeof(struct device) == 256, "four cache lines");

struct stype {
	struct sim_profile p;
	uint32_t gen;
	bool any, lean;
	struct sim_tmpl *thing, *client, *user, *topic, *payload, *response, *answer, *will,
		*will_payload, *command, *sub[SIM_MAX_SUBS + 4];
	unsigned nsubs;
	const char *fixed_payload;
	size_t fixed_len;
	struct sim_tls *tls;
	struct device *dev;    /* reserved address space; pages come with devices */
	unsigned nshards, nth; /* over which its devices are spread, and which of them this is */
	uint64_t grid;	       /* messages fall due on multiples of this; see pub_grid() */
	uint32_t started, cap;
	uint64_t churn_ns;
	unsigned next_addr, next_bind;
};

struct shard {
	struct sim_arena *a;
	struct sim_pub *pub;
	unsigned id;
	int epfd, wakefd;
	bool coarse;  /* no epoll_pwait2(2) here */
	uint64_t now; /* of this turn of the loop, or at most SIM_CLOCK_WRITES writes old */
	unsigned clock_age;
	uint32_t gen, storm;
	bool quiet;
	struct sim_ramp ramp[SIM_MAX_TYPES];
	struct stype *type; /* [ntypes] */
	struct wheel wheel;
	struct device busy; /* ring's head */
	unsigned nbusy;
	uint64_t rng, next_connect_ns;
#define SIM_TRIM_NS 1000000000ull /* after the last handshake or loss */
	uint64_t trim_ns;	  /* when to give freed memory back; 0: nothing was freed */

	/* The packet buffer of the device being served: everything leaves in one write(). */
	uint8_t *tx;
	uint32_t tx_len, tx_n;
	struct {
		uint32_t end, seq;
		uint64_t sched_ns;
		bool count; /* QoS 0: done when written */
		bool marked;
	} tx_msg[SIM_TX_MSGS];
	uint8_t *rx;
	char topic[1024], payload[SIM_RENDER_MAX + 64], mark[SIM_MARK_LEN + 1];
};

static inline uint64_t sim_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

/*
 * Reading the clock costs a hundredth of a write(), and 8 writes take less than a
 * tick of the wheel, below which times mean nothing anyway.
 */
#define SIM_CLOCK_WRITES 8

static inline void shard_clock(struct shard *sh)
{
	sh->now = sim_now();
	sh->clock_age = 0;
}

static inline uint32_t ms_of(uint64_t ns)
{
	return (uint32_t)(ns / 1000000);
}

/* shard.c */
void *sim_shard_main(void *shard);
int sim_shard_init(struct shard *sh, struct sim_arena *a, unsigned id, int wakefd);
int stype_compile(struct stype *ty, struct sim_err *err);
void busy_add(struct shard *sh, struct device *d);
void busy_del(struct shard *sh, struct device *d);

/* device.c */
void dev_start(struct shard *sh, struct device *d, uint64_t sched_ns);
void dev_stop(struct shard *sh, struct device *d);
void dev_life(struct shard *sh, struct device *d);
void dev_event(struct shard *sh, struct device *d, uint32_t events);
void dev_lost(struct shard *sh, struct device *d, enum sim_fail kind, uint32_t detail);
/* Drops the connection on purpose; it comes back at once. */
void dev_drop(struct shard *sh, struct device *d);
void dev_connack(struct shard *sh, struct device *d, const struct mqtt_packet *p);
void dev_suback(struct shard *sh, struct device *d, const struct mqtt_packet *p);
void dev_drained(struct shard *sh, struct device *d);
void dev_free(struct shard *sh, struct device *d);
struct extra *dev_extra(struct device *d);

/* publish.c */
void pub_due(struct shard *sh, struct device *d);
void pub_schedule(struct shard *sh, struct device *d, bool rephase);
/* The grid on which `n` devices of a type in this shard fall due. */
uint64_t pub_grid(uint64_t interval_ns, uint32_t n);
void pub_busy(struct shard *sh, struct device *d);
void pub_more(struct shard *sh, struct device *d); /* the window or the socket has room again */
void pub_answer(struct shard *sh, struct device *d, struct mqtt_slice topic,
		struct mqtt_slice payload, struct mqtt_slice correlation);
void pub_ack(struct shard *sh, struct device *d, uint8_t type, uint16_t id, uint8_t reason);
void pub_timeouts(struct shard *sh, struct device *d, uint64_t *next_ns);
void pub_written(struct shard *sh, struct device *d, uint64_t sched_ns, uint32_t bytes, bool marked,
		 bool count);
void pub_resend(struct shard *sh, struct device *d);
/* The connection is gone: all (or all but the window) has failed so. */
void pub_fail_all(struct shard *sh, struct device *d, enum sim_fail kind, bool keep_window);
static inline bool pub_idle(const struct device *d)
{
	return (!d->win || !d->win->n) && (!d->back || !d->back->n) && !d->out;
}

/* receive.c */
void rx_packets(struct shard *sh, struct device *d, size_t len);
void e2e_settle(struct shard *sh);

/* io.c */
void io_flush(struct shard *sh, struct device *d);
/* Room for `need` more bytes of packets to the device being served. */
uint8_t *io_room(struct shard *sh, struct device *d, size_t need, size_t *ret_cap);
void io_wrote(struct shard *sh, long n); /* n bytes were put there */
void io_readable(struct shard *sh, struct device *d);
void io_writable(struct shard *sh, struct device *d);
void io_close(struct shard *sh, struct device *d, bool reset);
int io_session(SSL *ssl, SSL_SESSION *s); /* the device's TLS session, to come back with */

/* stats.c */
void stat_ok(struct shard *sh, unsigned type, enum sim_name name, uint64_t from_ns, uint64_t now,
	     uint32_t bytes);
void stat_fail(struct shard *sh, unsigned type, enum sim_name name, enum sim_fail kind,
	       uint32_t detail, uint64_t n);
/* A message ends: exactly one of these per scheduled message. */
static inline void msg_acked(struct shard *sh)
{
	SIM_ADD(&sh->pub->tot.acked, 1);
	SIM_ADD(&sh->pub->tot.in_flight, -1);
}
static inline void msg_failed(struct shard *sh, unsigned type, enum sim_name name,
			      enum sim_fail kind, uint32_t detail)
{
	stat_fail(sh, type, name, kind, detail, 1);
	SIM_ADD(&sh->pub->tot.failed, 1);
	SIM_ADD(&sh->pub->tot.in_flight, -1);
}
static inline void msg_scheduled(struct shard *sh)
{
	SIM_ADD(&sh->pub->tot.scheduled, 1);
	SIM_ADD(&sh->pub->tot.in_flight, 1);
}

#endif
