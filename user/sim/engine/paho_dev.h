// SPDX-License-Identifier: GPL-2.0-only
/* The paho client's inside: one thread's schedule, and devices that the library runs. */
#ifndef SQUALL_SIM_PAHO_DEV_H
#define SQUALL_SIM_PAHO_DEV_H

#include <MQTTAsync.h>
#include "sim/device/lean.h"
#include "sim/engine/paho.h"

struct pdev;

/* A message from its schedule to its end; freed with the device when nobody called back. */
struct pmsg {
	struct pmsg *next, **pprev;
	struct pdev *d;
	uint64_t sched_ns, sent_ns;
	uint8_t qos;
	bool ended;
};

/* What was seen of a connection's end, or its failure. */
struct pwhy {
	enum sim_fail kind; /* F_NONE: nothing, or the library has closed a sound connection */
	uint32_t detail;
	uint8_t tcp; /* its state then; 0: there was no socket */
};

struct pdev {
	struct timer pub, life;
	MQTTAsync client;
	struct pmsg *msgs;
	uint64_t base_ns, due_ns, connect_ns, rng;
	char *thing;
	double *walk;
	unsigned nwalk;	   /* places in it; templates share them */
	uint64_t asked_ns; /* when its SUBSCRIBEs left, or the DISCONNECT of pdev_leave() */
	uint32_t index, seq, published, nmsgs;
	uint32_t max_packet;	 /* the broker takes no longer one; 0: any */
	enum sim_fail ungranted; /* what its CONNACK lacks, with a detail; F_NONE: nothing */
	uint32_t lacks;
	uint8_t type, nsubs; /* SUBSCRIBEs that no SUBACK has come for */
	bool on, up, draining, was_up, lost_pending;
	bool linked;	       /* the broker has said CONNACK; up only with its subscriptions */
	bool refused, leaving; /* one of them was: the connection is given up and made again */
};

struct paho {
	pthread_t thread;
	pthread_mutex_t lock;
	struct ledger led;
	struct stype *type;
	struct wheel wheel;
	struct sim_ramp ramp[SIM_MAX_TYPES];
	uint32_t gen;
	bool quiet;
	struct pdev *dev[SIM_MAX_TYPES];
	uint32_t started[SIM_MAX_TYPES];
	int wakefd;
	char text[SIM_RENDER_MAX + 64];
};
extern struct paho *ph;

static inline struct stype *stype_of(const struct pdev *d)
{
	return &ph->type[d->type];
}

/* True when its broker does not take a packet of this body. */
static inline bool pdev_too_big(const struct pdev *d, size_t body)
{
	body += stype_of(d)->p.version == MQTT_V5; /* no properties */
	body += body < 128 ? 2 : body < 16384 ? 3 : body < 2097152 ? 4 : 5;
	return d->max_packet && body > d->max_packet;
}

void pdev_start(struct pdev *d, uint64_t sched_ns);
void pdev_connect(struct pdev *d);
/* Ends the connection, to begin another. */
void pdev_leave(struct pdev *d);
/* With the lock: its subscriptions were refused, or not answered, so. */
void pdev_unsubscribed(struct pdev *d, enum sim_fail kind, uint32_t detail);
/* The library gives up its messages, we count what it did not tell. */
void pdev_destroy(struct pdev *d);

/* paho_why.c; by the thread that calls back: what it has just seen, once */
struct pwhy pwhy_take(void);
bool pwhy_downgraded(void); /* a PUBACK came for QoS 2 */
int pwhy_tls(const char *line, size_t len, void *ctx);
/* From now on; costs a line of text a packet, with QoS 2 a hundred. */
void pwhy_watch(bool qos2);

/* paho_msg.c */
/* Around counters and messages; never across a call into the library. */
void pdev_lock(void);
void pdev_unlock(void);
/* Names for templates, as names_of() makes them of a lean device. */
struct sim_tmpl_ctx names_of_pdev(struct pdev *d);
/* As a text with a NUL; negative: longer than `cap` holds. */
long pdev_render(struct pdev *d, const struct sim_tmpl *t, uint64_t sched_ns, char *buf,
		 size_t cap);
void pdev_publish(struct pdev *d, uint64_t sched_ns);
/* With the lock: m has ended so. */
void pdev_end(struct pmsg *m, enum sim_fail kind, uint32_t detail);
/* With the lock: the library has given them up. */
void pdev_end_all(struct pdev *d);

#endif
