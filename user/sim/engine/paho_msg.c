// SPDX-License-Identifier: GPL-2.0-only
/* A paho device's names and messages, as far as the library tells of them. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include "sim/engine/paho_dev.h"

struct paho *ph;

void pdev_lock(void)
{
	pthread_mutex_lock(&ph->lock);
	ph->led.now = sim_now();
}

void pdev_unlock(void)
{
	pthread_mutex_unlock(&ph->lock);
}

struct sim_tmpl_ctx names_of_pdev(struct pdev *d)
{
	const struct stype *ty = stype_of(d);

	return (struct sim_tmpl_ctx){.thing = d->thing,
				     .client_id = d->thing,
				     .type = ty->p.name,
				     .index = d->index + ty->p.first,
				     .seq = d->seq,
				     .rng = &d->rng};
}

long pdev_render(struct pdev *d, const struct sim_tmpl *t, uint64_t sched_ns, char *buf, size_t cap)
{
	struct sim_tmpl_ctx c = names_of_pdev(d);
	long n;

	c.sched_ms = ((int64_t)sched_ns + ph->led.a->epoch_off_ns) / 1000000;
	if (d->nwalk < sim_tmpl_walks(t)) {
		double *grown = realloc(d->walk, sim_tmpl_walks(t) * sizeof(double));

		if (!grown)
			return -ENOMEM;
		d->walk = grown;
		while (d->nwalk < sim_tmpl_walks(t))
			d->walk[d->nwalk++] = NAN;
	}
	c.walk = d->walk;
	n = sim_tmpl_render(t, &c, buf, cap - 1);
	if (n >= 0)
		buf[n] = 0;
	return n;
}

void pdev_end(struct pmsg *m, enum sim_fail kind, uint32_t detail)
{
	struct pdev *d = m->d;

	if (m->ended) {
		SIM_ADD(&ph->led.pub->tot.late_acks, 1);
		return;
	}
	m->ended = true;
	d->nmsgs--;
	if (kind) {
		msg_failed(&ph->led, d->type, m->qos && m->sent_ns ? SIM_PUBACK : SIM_PUBLISH, kind,
			   detail);
		return;
	}
	if (m->qos)
		stat_ok(&ph->led, d->type, SIM_PUBACK, m->sched_ns, ph->led.now, 0);
	else
		stat_ok(&ph->led, d->type, SIM_PUBLISH, m->sched_ns, ph->led.now, 0);
	msg_acked(&ph->led, 1);
}

static void free_msg(struct pmsg *m)
{
	*m->pprev = m->next;
	if (m->next)
		m->next->pprev = m->pprev;
	free(m);
}

static void called_back(struct pmsg *m, enum sim_fail kind, uint32_t detail)
{
	pdev_lock();
	/* We have ended the connection; before that it was there. */
	if (kind == F_LOST && m->d->draining && m->d->up)
		kind = F_STOPPED;
	if (kind == F_LOST && !m->qos)
		kind = F_UNSENT;
	pdev_end(m, kind, detail);
	free_msg(m);
	pdev_unlock();
}

/* A PUBACK to a message of QoS 2 (RabbitMQ) is a success to the library (1.3.12,
 * MQTTAsync_cycle()), which says so in its trace alone.
 */
static void sent(struct pmsg *m)
{
	called_back(m, pwhy_downgraded() && m->qos == 2 ? F_DOWNGRADED : F_NONE, 0);
}

static void on_sent(void *ctx, MQTTAsync_successData *r)
{
	(void)r;
	sent(ctx);
}

static void on_sent5(void *ctx, MQTTAsync_successData5 *r)
{
	(void)r; /* the library has looked at the reason */
	sent(ctx);
}

static void on_unsent(void *ctx, MQTTAsync_failureData *r)
{
	(void)r;
	called_back(ctx, F_LOST, 0);
}

static void on_unsent5(void *ctx, MQTTAsync_failureData5 *r)
{
	struct pmsg *m = ctx;
	uint32_t type = m->qos == 2 ? MQTT_PUBREC : MQTT_PUBACK;

	/* With a code of the library's own there is no reason, but what the stack held (1.3.12). */
	if (r && !r->code && r->reasonCode >= 0x80)
		called_back(m, F_ACK_REASON, type << 8 | (uint32_t)r->reasonCode);
	else
		called_back(m, F_LOST, 0);
}

void pdev_publish(struct pdev *d, uint64_t sched_ns)
{
	struct stype *ty = stype_of(d);
	MQTTAsync_responseOptions o = MQTTAsync_responseOptions_initializer;
	struct pmsg *m = calloc(1, sizeof(*m));
	char topic[1024];
	long n, len;
	int rc;

	d->seq++;
	d->published++;
	n = len = pdev_render(d, ty->topic, sched_ns, topic, sizeof(topic));
	if (n >= 0)
		n = pdev_render(d, ty->payload, sched_ns, ph->text, sizeof(ph->text));
	pdev_lock();
	if (n >= 0 && pdev_too_big(d, 2 + (size_t)len + (ty->p.qos ? 2 : 0) + (size_t)n))
		n = -EMSGSIZE;
	msg_scheduled(&ph->led, 1);
	if (!m || n < 0 || !d->up) {
		msg_failed(&ph->led, d->type, SIM_PUBLISH,
			   !m	   ? F_MEMORY
			   : n < 0 ? F_TOO_BIG
				   : F_NOT_CONNECTED,
			   0);
		pdev_unlock();
		free(m);
		return;
	}
	*m = (struct pmsg){
		.next = d->msgs, .pprev = &d->msgs, .d = d, .sched_ns = sched_ns, .qos = ty->p.qos};
	if (m->next)
		m->next->pprev = &m->next;
	d->msgs = m;
	d->nmsgs++;
	/* As if sent: the call-back may come before the call returns. */
	m->sent_ns = ph->led.now;
	pdev_unlock();
	o.context = m;
	if (ty->p.version == MQTT_V5) {
		o.onSuccess5 = on_sent5;
		o.onFailure5 = on_unsent5;
	} else {
		o.onSuccess = on_sent;
		o.onFailure = on_unsent;
	}
	rc = MQTTAsync_send(d->client, topic, (int)n, ph->text, ty->p.qos, ty->p.retain, &o);
	pdev_lock();
	if (rc != MQTTASYNC_SUCCESS) {
		/* Not taken, so no call-back comes. */
		m->sent_ns = 0;
		pdev_end(m,
			 rc == MQTTASYNC_DISCONNECTED		 ? F_NOT_CONNECTED
			 : rc == MQTTASYNC_MAX_BUFFERED_MESSAGES ? F_BACKLOG
								 : F_MEMORY,
			 0);
		free_msg(m);
	} else if (ty->p.qos) {
		/* The library tells when it is acknowledged, not when it is written. */
		stat_ok(&ph->led, d->type, SIM_PUBLISH, sched_ns, ph->led.now, (uint32_t)n);
	}
	pdev_unlock();
}

void pdev_end_all(struct pdev *d)
{
	for (struct pmsg *m = d->msgs, *next; m; m = next) {
		next = m->next;
		if (!m->ended)
			pdev_end(m, F_STOPPED, 0);
		free_msg(m);
	}
}
