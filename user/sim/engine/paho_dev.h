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

struct pdev {
	struct timer pub, life;
	MQTTAsync client;
	struct pmsg *msgs;
	uint64_t base_ns, due_ns, connect_ns, rng;
	char *thing;
	double *walk;
	uint64_t asked_ns; /* when its SUBSCRIBEs left, or the DISCONNECT of pdev_leave() */
	uint32_t index, seq, published, nmsgs;
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

/* Around counters and messages; never across a call into the library. */
void pdev_lock(void);
void pdev_unlock(void);
/* From now on it is seen when a broker takes QoS 2 for 1; costs a line of text a packet. */
void pdev_watch_qos(void);
void pdev_start(struct pdev *d, uint64_t sched_ns);
void pdev_connect(struct pdev *d);
/* Ends the connection, to begin another. */
void pdev_leave(struct pdev *d);
/* With the lock: its subscriptions were refused, or not answered, so. */
void pdev_unsubscribed(struct pdev *d, enum sim_fail kind, uint32_t detail);
/* The library gives up its messages, we count what it did not tell. */
void pdev_destroy(struct pdev *d);
void pdev_publish(struct pdev *d, uint64_t sched_ns);
/* With the lock: m has ended so. */
void pdev_end(struct pmsg *m, enum sim_fail kind, uint32_t detail);

#endif
