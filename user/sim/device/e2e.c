// SPDX-License-Identifier: GPL-2.0-only
/* End to end: what a fleet's own subscribers learn about its messages by their marks. */
#include <stdlib.h>
#include "sim/device/lean.h"

static struct heard *heard_find(struct extra *x, uint32_t key)
{
	uint32_t i, cap = x->capheard;

	if (x->nheard * 4 >= cap * 3) {
		struct heard *old = x->heard, *grown;
		uint32_t want = cap ? cap * 2 : 16;

		grown = calloc(want, sizeof(*grown));
		if (!grown)
			return NULL;
		for (uint32_t k = 0; k < cap; k++) {
			if (!old[k].key)
				continue;
			i = old[k].key * 2654435769u & (want - 1);
			while (grown[i].key)
				i = (i + 1) & (want - 1);
			grown[i] = old[k];
		}
		free(old);
		x->heard = grown;
		x->capheard = cap = want;
	}
	for (i = key * 2654435769u & (cap - 1); x->heard[i].key; i = (i + 1) & (cap - 1))
		if (x->heard[i].key == key)
			return &x->heard[i];
	x->heard[i].key = key;
	x->nheard++;
	return &x->heard[i];
}

/* True when it is new. */
static bool heard_add(struct heard *h, uint32_t seq)
{
	uint32_t behind;

	if (!h->first) {
		h->first = h->high = seq;
		h->seen = 1;
		h->unique = 1;
		return true;
	}
	if (seq > h->high) {
		uint32_t ahead = seq - h->high;

		h->seen = ahead < 64 ? h->seen << ahead | 1 : 1;
		h->high = seq;
		h->unique++;
		return true;
	}
	behind = h->high - seq;
	/* Older than the window remembers: taken for a duplicate. */
	if (behind >= 64 || h->seen >> behind & 1)
		return false;
	h->seen |= 1ull << behind;
	if (seq < h->first)
		h->first = seq;
	h->unique++;
	return true;
}

static bool hex(const uint8_t *p, unsigned digits, uint64_t *ret)
{
	uint64_t v = 0;

	while (digits--) {
		uint8_t c = *p++;

		if (c >= '0' && c <= '9')
			v = v << 4 | (uint64_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			v = v << 4 | (uint64_t)(c - 'a' + 10);
		else
			return false;
	}
	*ret = v;
	return true;
}

void e2e_heard(struct lean *ln, struct device *d, struct mqtt_slice payload, uint32_t bytes)
{
	const uint8_t *m =
		payload.n < SIM_MARK_LEN ? NULL : memmem(payload.p, payload.n, "SQ1:", 4);
	uint64_t run, who, seq, us;
	struct extra *x;
	struct heard *h;

	if (!m || payload.p + payload.n - m < SIM_MARK_LEN || !hex(m + 4, 8, &run) ||
	    !hex(m + 12, 10, &who) || !hex(m + 22, 8, &seq) || !hex(m + 30, 14, &us))
		return;
	/* Someone else's, or an earlier run's, kept by the broker. */
	if (run != ln->led.a->run_id || who >> 32 >= ln->led.a->ntypes ||
	    (uint32_t)who >= ln->led.a->max_devices || !seq)
		return;
	x = dev_extra(d);
	h = x ? heard_find(x, (uint32_t)((who >> 32) << 24 | (who & 0xffffff)) + 1) : NULL;
	if (!h)
		return;
	if (heard_add(h, (uint32_t)seq)) {
		SIM_ADD(&ln->led.pub->tot.unique, 1);
		stat_ok(&ln->led, d->type, SIM_RECEIVE, us * 1000, ln->led.now, bytes);
	} else {
		SIM_ADD(&ln->led.pub->tot.duplicates, 1);
	}
}

/* Does any of the device's filters take this publisher's topic? */
static bool wanted(const struct stype *sub, char *const *filters, const struct stype *pubtype,
		   uint32_t index, char *buf, size_t cap)
{
	char thing[256];
	struct sim_tmpl_ctx c = {.type = pubtype->p.name,
				 .index = index + pubtype->p.first,
				 .row = index + pubtype->p.credentials_skip};
	long n = sim_tmpl_render(pubtype->thing, &c, thing, sizeof(thing) - 1);

	if (n < 0)
		return false;
	thing[n] = 0;
	c.thing = c.client_id = thing;
	n = sim_tmpl_render(pubtype->topic, &c, buf, cap);
	for (unsigned i = 0; n > 0 && i < sub->nsubs; i++)
		if (filters[i] && mqtt_match((const uint8_t *)filters[i], strlen(filters[i]),
					     (const uint8_t *)buf, (size_t)n))
			return true;
	return false;
}

/*
 * At the end: what was acknowledged to its sender and never reached a device of
 * this shard that had subscribed to it. Costs subscribers times publishers.
 */
static void settle_device(struct lean *ln, struct stype *ty, struct device *d)
{
	char *filters[SIM_MAX_SUBS + 4] = {NULL}, topic[1024];
	struct sim_tmpl_ctx c = names_of(ty, d);

	for (unsigned i = 0; i < ty->nsubs; i++) {
		long n = sim_tmpl_render(ty->sub[i], &c, topic, sizeof(topic) - 1);

		if (n >= 0) {
			topic[n] = 0;
			filters[i] = strdup(topic);
		}
	}
	for (unsigned t = 0; t < ln->led.a->ntypes; t++) {
		struct stype *pt = &ln->type[t];

		if (!pt->p.e2e || !*pt->p.topic || !pt->topic)
			continue;
		for (uint32_t i = 0; i < ln->led.a->max_devices; i++) {
			size_t at = (size_t)t * ln->led.a->max_devices + i;
			uint32_t acked = ln->led.a->acked[at], before = 0;
			struct heard *h;

			if (!acked || !wanted(ty, filters, pt, i, topic, sizeof(topic)))
				continue;
			h = heard_find(d->x, ((uint32_t)t << 24 | i) + 1);
			if (!h)
				continue;
			/* What was sent before this device listened is not missing. */
			if (ln->led.a->first_ms[at] &&
			    ms_of(d->x->subscribed_ns) > ln->led.a->first_ms[at])
				before = h->first ? h->first - 1 : acked;
			if (acked > before + h->unique)
				SIM_ADD(&ln->led.pub->tot.lost, acked - before - h->unique);
		}
	}
	for (size_t i = 0; i < sizeof(filters) / sizeof(*filters); i++)
		free(filters[i]);
}

void e2e_settle(struct lean *ln)
{
	if (!ln->led.a->acked)
		return;
	for (unsigned t = 0; t < ln->led.a->ntypes; t++) {
		struct stype *ty = &ln->type[t];

		for (uint32_t i = 0; ty->lean && ty->nsubs && i < ty->cap; i++) {
			struct device *d = &ty->dev[i];

			/* Devices start in order: the first that never did ends the list. */
			if (!d->thing)
				break;
			if (d->x && d->x->ever_subscribed)
				settle_device(ln, ty, d);
		}
	}
}
