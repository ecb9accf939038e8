// SPDX-License-Identifier: GPL-2.0-only
/*
 * The lean client's inside. Each file uses only those below it:
 *
 *   device.c   a device's life: connect, online, lost, backoff, stop
 *   connect.c  the way to a session: socket, handshake, CONNECT, SUBSCRIBE
 *   receive.c  packets in; those that change a life are handed up
 *   e2e.c      what a fleet's own subscribers learn about its messages
 *   publish.c  messages out: schedule, encoding, backlog
 *   window.c   unacknowledged messages, what became of them, sending them again
 *   ws.c       WebSocket: the upgrade, pings, close
 *   big.c      a PUBLISH that is not held but counted as it passes
 *   out.c      the outbox: packets collect and leave in one write()
 *   stream.c   a PUBLISH that is read from its source as it leaves
 *   source.c   where a connection comes from: address and port
 *   io.c       bytes, TCP or TLS
 *   frame.c    WebSocket's frames
 *   types.c    device types, compiled
 *
 * Nobody below device.c ends a connection. What finds it broken marks the device
 * (dev_fail()); from then on nothing is sent or read, and dev_settle(), once at
 * the end of each handler, does the rest. So no call destroys what its caller holds.
 */
#ifndef SQUALL_SIM_LEAN_H
#define SQUALL_SIM_LEAN_H

#include <openssl/ssl.h>
#include <string.h>
#include "sim/base/wheel.h"
#include "sim/fleet/resolve.h"
#include "sim/fleet/tls.h"
#include "sim/fleet/tmpl.h"
#include "sim/ledger/stats.h"
#include "sim/mqtt/mqtt.h"

#define SIM_RX_MAX	(1u << 20) /* the longest packet that is held; see big.c */
#define SIM_RX_CAP	(SIM_RX_MAX + 65536u)
#define SIM_TX_CAP	(SIM_RENDER_MAX + 65536u)
#define SIM_TX_FULL	60000u	   /* what is left after this holds the longest message */
#define SIM_UNSENT_STOP 65536u	   /* with so much unsent a device reads no more */
#define SIM_UNSENT_MAX	(4u << 20) /* and what one read can still add to that has room */
#define SIM_BACKLOG_MAX 1024
#define SIM_TX_MSGS	1024

enum dev_state {
	D_OFF,
	D_WAIT, /* for its (re)connect */
	D_TCP,
	D_TLS,
	D_UPGRADE, /* to WebSocket */
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
	struct kept *copy; /* the packet, for a persistent session; NULL otherwise */
	uint16_t id;	   /* 0: free */
	uint8_t await;	   /* packet type that must come next */
	bool marked : 1, sent : 1 /* as a PUBLISH on this connection */;
};

/* A packet to send again: its bytes, or its head and where the rest of it comes from. */
struct kept {
	struct sim_bulk *rest; /* NULL: it is whole */
	uint32_t from;	       /* the first byte of `rest` that is the packet's */
	uint32_t len;	       /* of p */
	uint8_t p[];
};

struct window {
	uint16_t mask, n, nsent;
	uint16_t owed;	 /* given up on this connection; the broker's Receive Maximum still counts
			    them */
	uint32_t resend; /* place of the next one to send again, from 1; 0: none is left */
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
		uint32_t end, seq, bytes;
		uint64_t sched_ns;
	} * msg;
	uint8_t *buf;
	struct stream *stream; /* NULL, or what leaves before them */
};

/* A message that leaves piece by piece. */
struct stream {
	struct sim_bulk *src;
	uint64_t sched_ns;
	uint32_t at;	/* the next byte of src, whose end is the message's */
	uint32_t bytes; /* of the packet */
	uint32_t len,
		off; /* of `head`, which goes first: the packet's, or what is left of a frame */
	uint8_t *head;
	uint16_t id; /* QoS 1 and 2 */
	bool again;  /* was told as published before */
	bool count;  /* QoS 0: done when written */
	bool marked;
};

/* A message that passes: its start, and how much is still to come. */
struct big {
	uint32_t left, len;
	uint8_t p[];
};

/* What few devices need. */
struct extra {
	double *walk;
	unsigned nwalk; /* places in it; templates share them */
	uint16_t *qos2; /* packet ids received and not released yet */
	uint16_t nqos2;
	uint64_t subscribed_ns;
	struct heard {
		uint32_t key;  /* type << 24 | index, plus 1; 0: free */
		uint32_t high; /* the highest number that arrived */
		uint32_t gap;  /* the highest numbers below it that did not: a place, from 1 */
	} * heard;
	uint32_t nheard, capheard;
	struct gap {
		uint32_t from, to, older; /* the next lower one's place; 0: none */
	} * gap;
	uint32_t ngap, capgap, free_gap, unkept /* messages */;
	struct big *big;	   /* NULL, or what is being received */
	struct sim_host *redirect; /* where a server has sent it */
	bool ever_subscribed, again /* had been stopped */, moved /* for good */,
		sent_away /* by the loss of this turn */;
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
	uint8_t fail; /* enum sim_fail: the connection is lost, and why; see dev_fail() */
	/* What every turn asks for is here, and no look at a line further down. */
	bool blocked : 1, ever_online : 1;
	bool limited : 1; /* there is a max_packet */
	bool ended : 1;	  /* the broker sends no more: read up to the end */
	bool unread : 1;  /* the socket may hold more, which is read when the outbox is empty */
	bool passing : 1; /* a message that is not held, see big.c */
	bool mute : 1;	  /* a write has failed: what came before it is still read */

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

	uint64_t connect_ns; /* scheduled start of this connect; after CONNACK: what it took */
	SSL_SESSION *session;
	struct extra *x;
	uint32_t ping_ms, fail_detail;
	uint16_t cap_n, keepalive_s;
	uint8_t attempts;
	bool pinging, ticket;
	uint8_t connected_in; /* arena.figures of its last connection; 0: had none */
	bool timed_out;	      /* draining: what is left has had its time */
	uint32_t max_packet;  /* the broker takes no longer one; 0: any (and not `limited`) */
	uint32_t up_ms;	      /* when it came online */
	uint16_t alias_max;   /* topic aliases that the broker takes */
	uint8_t subacks;      /* bit i: the one of SUBSCRIBE i has not come */
	bool aliased;	      /* on this connection: alias 1 stands for the topic */
	struct ws *ws;	      /* NULL: plain MQTT */
};
_Static_assert(sizeof(struct device) == 256, "four cache lines");

struct stype {
	struct sim_profile p;
	uint32_t gen;
	bool any, lean;
	struct sim_tmpl *thing, *client, *user, *topic, *payload, *response, *answer, *will,
		*will_payload, *command, *password, *reply_to, *path,
		*ws_header[SIM_MAX_WS_HEADERS], *sub[SIM_MAX_SUBS + 4];
	unsigned nsubs;
	const struct sim_creds *creds;
	struct mqtt_props props; /* of each message, but what differs between them */
	uint8_t users[SIM_MAX_USER_PROPS * 264]; /* user properties behind the first, encoded */
	bool topic_varies;			 /* between a device's messages */
	bool same;  /* a device's messages differ in their identifiers only, and no copy is kept */
	bool alias; /* the topic is one that an alias can stand for */
	const char *fixed_payload;
	size_t fixed_len;
	struct sim_bulk *bulk; /* NULL, or a payload too long to render: the template's */
	struct sim_tls *tls;
	struct device *dev;    /* reserved address space; pages come with devices */
	unsigned nshards, nth; /* over which its devices are spread, and which of them this is */
	uint64_t grid;	       /* messages fall due on multiples of this; see stype_grid() */
	uint32_t started, cap;
	uint64_t churn_ns;
	unsigned next_addr, next_bind;
	uint16_t local_low, local_high; /* the system's ports */
	bool own_ports;			/* chosen here: the kernel's search would be slow */
	struct sim_host *host;		/* to look up again; NULL: an address, or --resolve once */
	uint32_t host_gen;
};

/* What the devices of a shard share, whoever runs them. */
struct lean {
	struct ledger led; /* led.now: of this turn, or at most SIM_CLOCK_WRITES writes old */
	unsigned clock_age;
	int epfd;
	bool quiet;
	struct stype *type; /* [ntypes] */
	struct wheel wheel;
	struct device busy; /* ring's head */
	unsigned nbusy;
	uint64_t next_connect_ns;
	unsigned shard;		  /* which one this is */
	uint32_t next_place;	  /* of addresses and ports, see source.c */
#define SIM_TRIM_NS 1000000000ull /* after the last handshake or loss */
	uint64_t trim_ns;	  /* when to give freed memory back; 0: nothing was freed */

	/* The outbox of the device being served: everything leaves in one write(). */
	struct device *owner;
	uint8_t *tx;
	uint32_t tx_len, tx_n;
	uint32_t topic_len; /* of `topic`, the schedule's for this device; 0: not rendered yet */
	/* Its messages, if they differ in their identifiers only: such stand in tx up to
	 * same_end, each same_len long (0: none do), whose identifier is at same_id. */
	uint32_t same_len, same_end, same_id;
	struct tx_msg {
		uint32_t end, seq;
		uint64_t sched_ns;
		bool count; /* QoS 0: done when written */
		bool marked;
	} tx_msg[SIM_TX_MSGS];
	uint8_t *frame; /* the outbox as a WebSocket frame; made when one is needed */
	uint8_t ws_op;	/* of the next frame; 0: binary */
	/* Its inbox: bytes read and not decoded yet. */
	uint8_t *rx;
	uint32_t rx_at, rx_len;
	char note[SIM_NOTE]; /* what the broker said about the loss of this turn's device */
	bool rx_acks;	     /* the window has got room since the last look at the backlog */
	bool rx_emptied;     /* the socket is, until its next edge */
	struct looks *looks; /* NULL, or at what everybody had sent, see e2e.c */
	char topic[1024], reply_to[1024], payload[SIM_RENDER_MAX + 64], mark[SIM_MARK_LEN + 1];
};

/*
 * Reading the clock costs a hundredth of a write(), and 8 writes take less than a
 * tick of the wheel, below which times mean nothing anyway.
 */
#define SIM_CLOCK_WRITES 8

static inline void lean_clock(struct lean *ln)
{
	ln->led.now = sim_now();
	ln->clock_age = 0;
}

static inline struct stype *type_of(const struct lean *ln, const struct device *d)
{
	return &ln->type[d->type];
}

/* Names for templates, which all refer to the device itself. */
static inline struct sim_tmpl_ctx names_of(const struct stype *ty, struct device *d)
{
	return (struct sim_tmpl_ctx){.thing = d->thing,
				     .client_id = d->thing,
				     .type = ty->p.name,
				     .index = d->index + ty->p.first,
				     .row = d->index + ty->p.credentials_skip,
				     .seq = d->seq,
				     .rng = &d->rng};
}

/* The connection is lost, for this reason; the first reason counts. */
static inline void dev_fail(struct device *d, enum sim_fail kind, uint32_t detail)
{
	if (d->fail)
		return;
	d->fail = (uint8_t)kind;
	d->fail_detail = detail;
}

/* With what the broker said about it. */
void dev_fail_props(struct lean *ln, struct device *d, enum sim_fail kind, uint32_t detail,
		    const struct mqtt_props *props);
/* A server reference and a reason string as a part of a line (text_shown), cut to SIM_NOTE. */
void props_note(const struct mqtt_props *p, char *ret);

/* NULL without memory. */
struct extra *dev_extra(struct device *d);

/* types.c */
int stype_compile(struct stype *ty, struct sq_error *err);
void stype_clear(struct stype *ty);
/* The grid on which `n` devices of a type in this shard fall due. */
uint64_t stype_grid(uint64_t interval_ns, uint32_t n);
/* How many of a type's first `n` devices are this shard's. */
uint32_t stype_share(const struct stype *ty, uint32_t n);
/* The device at a type's place `local` in this shard, made up if it never was one. */
struct device *stype_device(struct lean *ln, unsigned type, uint32_t local);

/* The ring of devices that send without pause. */
static inline void busy_add(struct lean *ln, struct device *d)
{
	if (d->busy_next)
		return;
	d->busy_prev = ln->busy.busy_prev;
	d->busy_next = &ln->busy;
	d->busy_prev->busy_next = d;
	ln->busy.busy_prev = d;
	ln->nbusy++;
}

static inline void busy_del(struct lean *ln, struct device *d)
{
	if (!d->busy_next)
		return;
	d->busy_prev->busy_next = d->busy_next;
	d->busy_next->busy_prev = d->busy_prev;
	d->busy_next = d->busy_prev = NULL;
	ln->nbusy--;
}

/* ws.c */
bool ws_open(const struct device *d);	 /* what is written from now on is frames */
bool ws_closing(const struct device *d); /* the server has closed: nothing more comes */
void ws_free(struct device *d);
/* Asks for the upgrade, and follows the answer: 0 done, 1 not yet, -1 lost. */
int ws_hello(struct lean *ln, struct device *d);
int ws_upgrade(struct lean *ln, struct device *d);
/* The outbox as a frame; *len becomes the frame's. NULL without memory. */
const uint8_t *ws_wrap(struct lean *ln, struct device *d, uint32_t *len);
/* Takes the frames off n bytes, in place: what is left, or -1 when the connection is lost. */
long ws_unwrap(struct lean *ln, struct device *d, uint8_t *p, size_t n);

/* io.c: bytes moved; 0 when none can be now; -1 when the connection is lost (dev_fail) */
long io_write(struct lean *ln, struct device *d, const uint8_t *p, size_t len);
long io_read(struct lean *ln, struct device *d, uint8_t *p, size_t room);
void io_close(struct lean *ln, struct device *d, bool reset);
/* Its turn ends although the socket could go on: an event brings it back at once. */
void io_again(struct lean *ln, struct device *d);
int io_session(SSL *ssl, SSL_SESSION *s); /* the device's TLS session, to come back with */

/* stream.c */
#define SIM_TURN (1u << 20) /* bytes that one device may move before others have their turn */
/* A copy of `head`, n bytes, which may be the outbox's, goes first. NULL without memory. */
struct stream *stream_new(struct lean *ln, struct device *d, struct sim_bulk *src, uint32_t from,
			  const uint8_t *head, uint32_t n, bool again);
void stream_free(struct stream *s);
/* True when all of it has left; the outbox's buffer is empty before and after. */
bool stream_write(struct lean *ln, struct device *d, struct stream *s);

/* out.c: between out_begin() and out_end() all packets written are device d's */
void out_begin(struct lean *ln, struct device *d);
void out_end(struct lean *ln);
/* Room for `need` more bytes; NULL when the connection is lost. */
uint8_t *out_room(struct lean *ln, size_t need, size_t *ret_cap);
/* n bytes were put there. These two are inline: they are called once a message. */
static inline void out_wrote(struct lean *ln, long n)
{
	if (n > 0)
		ln->tx_len += (uint32_t)n;
}

/* They were a message: told as published when they have left. */
static inline void out_message(struct lean *ln, uint32_t seq, uint64_t sched_ns, bool count,
			       bool marked)
{
	ln->tx_msg[ln->tx_n].end = ln->tx_len;
	ln->tx_msg[ln->tx_n].seq = seq & 0x7fffffff;
	ln->tx_msg[ln->tx_n].sched_ns = sched_ns;
	ln->tx_msg[ln->tx_n].count = count;
	ln->tx_msg[ln->tx_n++].marked = marked;
}

void out_flush(struct lean *ln);
void out_flush_frame(struct lean *ln); /* an empty one as well: of WebSocket's own */
/* What is too long for the buffer, which is empty: the outbox owns it from here on. */
void out_stream(struct lean *ln, struct stream *s);
void out_writable(struct lean *ln); /* the socket takes more */
void out_ack(struct lean *ln, uint8_t type, uint16_t id, uint8_t reason);
/* QoS 0 messages that did not leave have failed so. */
void out_fail(struct lean *ln, struct device *d, enum sim_fail kind);

/* window.c */
/* How many messages may be in flight. */
uint32_t win_size(const struct stype *ty, const struct device *d);
/* A free place, whose identifier is d->next_id; NULL without memory. */
struct inflight *win_slot(struct stype *ty, struct device *d);
/* A message of that identifier waits there for its acknowledgement. */
void win_put(struct lean *ln, struct device *d, struct inflight *slot, uint64_t sched_ns,
	     const struct mqtt_publish *m, const struct mqtt_props *props, bool marked);
/* `props` may be NULL. */
void win_ack(struct lean *ln, struct device *d, uint8_t type, uint16_t id, uint8_t reason,
	     const struct mqtt_props *props);
/* PUBACKs at the start of p that are awaited, and no more than an identifier: how many bytes. */
uint32_t win_pubacks(struct lean *ln, struct device *d, const uint8_t *p, uint32_t len);
/* What has waited too long has failed; *next_ns becomes the time of the next, if earlier. */
void win_timeouts(struct lean *ln, struct device *d, uint64_t *next_ns);
/* A session goes on: from here on win_resend() sends what is in flight again. */
void win_resume(struct lean *ln, struct device *d);
void win_resend(struct lean *ln, struct device *d); /* as far as the socket takes it */
static inline bool win_resending(const struct device *d)
{
	return d->win && d->win->resend;
}
void win_fail(struct lean *ln, struct device *d, enum sim_fail kind); /* all have failed so */

/* publish.c */
void pub_due(struct lean *ln, struct device *d);
void pub_schedule(struct lean *ln, struct device *d, bool rephase);
void pub_busy(struct lean *ln, struct device *d);
void pub_more(struct lean *ln, struct device *d); /* the window or the socket has room again */
void pub_answer(struct lean *ln, struct device *d, struct mqtt_slice topic,
		struct mqtt_slice payload, struct mqtt_slice correlation);
/* What was not sent has failed so. */
void pub_fail(struct lean *ln, struct device *d, enum sim_fail kind);
static inline bool pub_idle(const struct device *d)
{
	return (!d->win || !d->win->n) && (!d->back || !d->back->n) && !d->out;
}

/* e2e.c */
/* A message of `bytes`, of which the start, where the mark is, may be all that is there. */
void e2e_heard(struct lean *ln, struct device *d, struct mqtt_slice payload, uint32_t bytes);
/* A device is online, and publishes from now on. */
void e2e_online(struct lean *ln, const struct device *d);
/* A device has subscribed for the first time: what others have sent until now is looked at. */
void e2e_subscribed(struct lean *ln);
/* To be called now and then: makes up for a look that would have come too soon. */
void e2e_beat(struct lean *ln);
/*
 * Says what was lost: acknowledged to its sender, and not delivered to a device of this shard
 * that had subscribed to it. Nobody of any shard runs any more; what was heard is forgotten.
 */
void e2e_settle(struct lean *ln);
/* Stopped on the way: what it misses from here on is not lost, so nothing is held against it. */
void e2e_forget(struct extra *x);
void e2e_free(struct lean *ln);

/* big.c */
/*
 * Takes bytes of a PUBLISH that is longer than SIM_RX_MAX, first its head: how many, 0 when
 * more must come first, -1 when the connection is lost. With its end *ret is the message,
 * until big_free().
 */
long big_take(struct lean *ln, struct device *d, const uint8_t *p, size_t n, bool *ret_whole,
	      struct mqtt_packet *ret);
void big_free(struct device *d);
static inline bool big_passing(const struct device *d)
{
	return d->passing;
}

/* receive.c */
void rx_begin(struct lean *ln, struct device *d);
/*
 * Reads, deals with messages and acknowledgements, and returns true with each
 * packet that changes the device's life: CONNACK, SUBACK, DISCONNECT. Its slices
 * live until the next call. False: nothing more for now, or the connection is lost.
 */
bool rx_next(struct lean *ln, struct device *d, struct mqtt_packet *ret);

#define CON_SUB_ID  65535 /* the first SUBSCRIBE; the next ones count down */
#define CON_SUB_AWS 8	  /* filters of a SUBSCRIBE at most (AWS IoT Core quotas) */
/* no message has one of these, see window.c */

/* source.c: a socket on its way; 0, or the errno of what this machine or its routes refuse */
int src_open(struct lean *ln, struct device *d, const union sim_addr *to);

/* connect.c: 0 done, 1 not yet, -1 lost (dev_fail) */
int con_open(struct lean *ln, struct device *d);
/* True while the address to connect to is being looked up. */
bool con_waits(struct lean *ln, struct device *d);
/*
 * A server's DISCONNECT or CONNACK, which has failed, may name another, to go to next
 * (--follow-redirect); what is none is told with the failure.
 */
void con_redirect(struct lean *ln, struct device *d, uint8_t reason,
		  const struct mqtt_props *props);
/* The connection is lost, or never was: where to go next may have changed. */
void con_lost(struct lean *ln, struct device *d, bool was_up);
int con_opened(struct lean *ln, struct device *d, uint32_t events);
int con_tls(struct lean *ln, struct device *d);
void con_hello(struct lean *ln, struct device *d); /* CONNECT */
void con_subscribe(struct lean *ln, struct device *d);
unsigned con_filters(const struct stype *ty, unsigned nth); /* of the nth SUBSCRIBE, from 0 */
/* What an errno means: of connect(), and of a connection that was there (io.c). */
enum sim_fail con_errno(int e, uint32_t *ret_detail);
enum sim_fail io_errno(int e, uint32_t *ret_detail);
/* What a CONNACK lacks that a device of this type needs; F_NONE: nothing. */
enum sim_fail con_ungranted(const struct stype *ty, struct sim_tmpl_ctx *c, bool session_present,
			    const struct mqtt_props *p, uint32_t *ret_detail);
/* CONNACK's own conditions; false when the device cannot live with them (dev_fail). */
bool con_granted(struct lean *ln, struct device *d, const struct mqtt_packet *p);

/* device.c: what the loop calls; each is a whole turn, after which the device is settled */
void dev_start(struct lean *ln, struct device *d, uint64_t sched_ns);
void dev_stop(struct lean *ln, struct device *d);
void dev_life(struct lean *ln, struct device *d);		    /* its life timer */
void dev_due(struct lean *ln, struct device *d);		    /* its publish timer */
void dev_busy(struct lean *ln, struct device *d);		    /* its turn in the ring */
void dev_event(struct lean *ln, struct device *d, uint32_t events); /* its socket */
/* Drops the connection on purpose; it comes back at once. */
void dev_drop(struct lean *ln, struct device *d);
void dev_end(struct lean *ln, struct device *d); /* at once: what is in flight has failed */
void dev_free(struct lean *ln, struct device *d);

#endif
