// SPDX-License-Identifier: GPL-2.0-only
/* End to end: what a fleet's own subscribers learn about its messages by their marks. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

/* --- which messages have not come ------------------------------------------------- */

#define GAPS_MAX (1u << 22) /* of one subscriber: 48 MiB */

/* Its place, from 1; 0 when it cannot be kept: what is in it counts as lost if it comes or not. */
static uint32_t gap_new(struct extra *x, uint32_t from, uint32_t to, uint32_t older)
{
	uint32_t i = x->free_gap;

	if (i) {
		x->free_gap = x->gap[i - 1].older;
	} else {
		if (x->ngap == x->capgap) {
			uint32_t cap = x->capgap ? x->capgap * 2 : 16;
			struct gap *grown =
				cap > GAPS_MAX ? NULL : realloc(x->gap, cap * sizeof(*grown));

			if (!grown) {
				x->unkept += to - from + 1;
				return 0;
			}
			x->gap = grown;
			x->capgap = cap;
		}
		i = ++x->ngap;
	}
	x->gap[i - 1] = (struct gap){from, to, older};
	return i;
}

/* True when it was in the gap whose place is at *link; that is then one less, or two. */
static void gap_fill(struct extra *x, uint32_t *link, uint32_t seq)
{
	uint32_t i = *link, lower;
	struct gap *g = &x->gap[i - 1];

	if (g->from == g->to) {
		*link = g->older;
		g->older = x->free_gap;
		x->free_gap = i;
	} else if (seq == g->from) {
		g->from++;
	} else if (seq == g->to) {
		g->to--;
	} else {
		lower = gap_new(x, g->from, seq - 1, g->older);
		g = &x->gap[i - 1];
		g->from = seq + 1;
		if (lower)
			g->older = lower;
	}
}

/* True when it is new. */
static bool heard_add(struct extra *x, struct heard *h, uint32_t seq)
{
	uint32_t place;

	if (seq > h->high) {
		place = seq == h->high + 1 ? 0 : gap_new(x, h->high + 1, seq - 1, h->gap);
		if (place)
			h->gap = place;
		h->high = seq;
		return true;
	}
	for (uint32_t *link = &h->gap; *link; link = &x->gap[*link - 1].older) {
		if (seq > x->gap[*link - 1].to)
			return false;
		if (seq >= x->gap[*link - 1].from) {
			gap_fill(x, link, seq);
			return true;
		}
	}
	return false;
}

/* What came before the first that was heard. */
static uint32_t heard_before(const struct extra *x, const struct heard *h)
{
	const struct gap *g = NULL;

	for (uint32_t i = h->gap; i; i = g->older)
		g = &x->gap[i - 1];
	return g && g->from == 1 ? g->to : 0;
}

static void heard_free(struct extra *x)
{
	free(x->heard);
	free(x->gap);
	x->heard = NULL;
	x->gap = NULL;
	x->nheard = x->capheard = x->ngap = x->capgap = x->free_gap = x->unkept = 0;
}

void e2e_forget(struct extra *x)
{
	heard_free(x);
	x->ever_subscribed = false;
	x->again = true;
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
	if (heard_add(x, h, (uint32_t)seq)) {
		SIM_ADD(&ln->led.pub->tot.unique, 1);
		stat_ok(&ln->led, d->type, SIM_RECEIVE, us * 1000, ln->led.now, bytes);
	} else {
		SIM_ADD(&ln->led.pub->tot.duplicates, 1);
	}
}

/* --- who published what --------------------------------------------------------------- */

/* Who publishes what: a filter without a wildcard is not held against all publishers. */
struct published {
	uint64_t hash; /* of the topic */
	uint32_t type, index;
};

struct publishers {
	struct published *all; /* by their hash */
	size_t n, nunacked;
	struct sim_unacked *unacked; /* by device and number */
};

static uint64_t hash_of(const char *topic)
{
	uint64_t h = 14695981039346656037ull; /* FNV-1a */

	for (; *topic; topic++)
		h = (h ^ (uint8_t)*topic) * 1099511628211ull;
	return h;
}

/* The topic that a device of that type publishes to. */
static bool topic_of(const struct stype *ty, uint32_t index, char *buf, size_t cap)
{
	char thing[256];
	struct sim_tmpl_ctx c = {.type = ty->p.name,
				 .index = index + ty->p.first,
				 .row = index + ty->p.credentials_skip,
				 .seq = UINT32_MAX}; /* {seq}: only a wildcard takes them all */
	long n = sim_tmpl_render(ty->thing, &c, thing, sizeof(thing) - 1);

	if (n < 0)
		return false;
	thing[n] = 0;
	c.thing = c.client_id = thing;
	n = sim_tmpl_render(ty->topic, &c, buf, cap - 1);
	if (n <= 0)
		return false;
	buf[n] = 0;
	return true;
}

static int by_hash(const void *a, const void *b)
{
	const struct published *p = a, *q = b;

	return p->hash < q->hash ? -1 : p->hash > q->hash;
}

static int by_number(const void *a, const void *b)
{
	const struct sim_unacked *p = a, *q = b;

	if (p->at != q->at)
		return p->at < q->at ? -1 : 1;
	return p->from < q->from ? -1 : p->from > q->from;
}

static void publishers_free(struct publishers *p)
{
	free(p->all);
	free(p->unacked);
}

/* All that sent something, in this shard or another, and which of it was not acknowledged. */
static bool publishers_of(const struct lean *ln, struct publishers *ret)
{
	uint32_t most = ln->led.a->max_devices, n = SIM_LOAD(&ln->led.a->nunacked);
	char topic[1024];

	ret->nunacked = n < SIM_UNACKED ? n : SIM_UNACKED;
	for (size_t at = 0; at < (size_t)ln->led.a->ntypes * most; at++)
		ret->n += ln->led.a->sent[at] > 0;
	ret->all = calloc(ret->n + 1, sizeof(*ret->all));
	ret->unacked = malloc((ret->nunacked + 1) * sizeof(*ret->unacked));
	if (!ret->all || !ret->unacked)
		return false;
	memcpy(ret->unacked, ln->led.a->unacked, ret->nunacked * sizeof(*ret->unacked));
	qsort(ret->unacked, ret->nunacked, sizeof(*ret->unacked), by_number);
	ret->n = 0;
	for (uint32_t t = 0; t < ln->led.a->ntypes; t++) {
		const struct stype *ty = &ln->type[t];

		for (uint32_t i = 0; ty->p.e2e && *ty->p.topic && ty->topic && i < most; i++)
			if (ln->led.a->sent[(size_t)t * most + i] &&
			    topic_of(ty, i, topic, sizeof(topic)))
				ret->all[ret->n++] = (struct published){hash_of(topic), t, i};
	}
	qsort(ret->all, ret->n, sizeof(*ret->all), by_hash);
	return true;
}

/*
 * What every device had sent at some moments behind a first SUBACK. One look stands for all
 * devices that subscribed since the one before, and when all are used every second goes: who
 * came in its time has the next one, which forgives more and never less.
 */
#define LOOKS	      32
#define LOOK_APART_NS 100000000ull

struct looks {
	uint64_t apart_ns, ns[LOOKS];
	unsigned n;
	bool due;
	uint32_t *sent[LOOKS];
};

static void look(struct lean *ln)
{
	size_t n = (size_t)ln->led.a->ntypes * ln->led.a->max_devices;
	struct looks *k = ln->looks;
	uint32_t *sent = malloc(n * sizeof(*sent));

	if (!sent)
		return;
	for (size_t at = 0; at < n; at++)
		sent[at] = SIM_LOAD(&ln->led.a->sent[at]);
	if (k->n == LOOKS) {
		for (unsigned i = 0; i < LOOKS / 2; i++) {
			free(k->sent[2 * i]);
			k->sent[i] = k->sent[2 * i + 1];
			k->ns[i] = k->ns[2 * i + 1];
		}
		k->n = LOOKS / 2;
		k->apart_ns *= 2;
	}
	k->ns[k->n] = ln->led.now;
	k->sent[k->n++] = sent;
	k->due = false;
}

void e2e_beat(struct lean *ln)
{
	struct looks *k = ln->looks;

	if (k && k->due && (!k->n || ln->led.now - k->ns[k->n - 1] >= k->apart_ns))
		look(ln);
}

void e2e_online(struct lean *ln, const struct device *d)
{
	size_t at = (size_t)d->type * ln->led.a->max_devices + d->index;

	/* One that was stopped and comes back published before. */
	if (ln->led.a->first_ms && !ln->led.a->first_ms[at])
		SIM_STORE(&ln->led.a->first_ms[at], ms_of(ln->led.now));
}

void e2e_subscribed(struct lean *ln)
{
	if (!ln->led.a->sent)
		return;
	if (!ln->looks) {
		ln->looks = calloc(1, sizeof(*ln->looks));
		if (!ln->looks)
			return;
		ln->looks->apart_ns = LOOK_APART_NS;
	}
	ln->looks->due = true;
	e2e_beat(ln);
}

void e2e_free(struct lean *ln)
{
	for (unsigned i = 0; ln->looks && i < ln->looks->n; i++)
		free(ln->looks->sent[i]);
	free(ln->looks);
	ln->looks = NULL;
}

/* The last of that publisher's messages that may have been sent before this device listened. */
static uint32_t sent_before(const struct lean *ln, const struct device *d, size_t at)
{
	const struct looks *k = ln->looks;

	for (unsigned i = 0; k && i < k->n; i++)
		if (k->ns[i] >= d->x->subscribed_ns)
			return k->sent[i][at];
	return UINT32_MAX;
}

/* How many of a device's messages from..to were acknowledged. */
static uint64_t acked_of(const struct publishers *all, uint32_t at, uint32_t from, uint32_t to)
{
	const struct sim_unacked *r = all->unacked;
	size_t lo = 0, hi = all->nunacked;
	uint64_t n;

	if (from > to)
		return 0;
	n = to - from + 1;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (r[mid].at < at || (r[mid].at == at && r[mid].to < from))
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; lo < all->nunacked && r[lo].at == at && r[lo].from <= to; lo++)
		n -= (r[lo].to < to ? r[lo].to : to) - (r[lo].from > from ? r[lo].from : from) + 1;
	return n;
}

/* What of that publisher's has not reached this device, which had subscribed to it. */
static void settle_with(struct lean *ln, struct device *d, const struct published *p,
			const struct publishers *all)
{
	uint32_t at = p->type * ln->led.a->max_devices + p->index, before = 0;
	uint64_t lost;
	struct heard *h = heard_find(d->x, (p->type << 24 | p->index) + 1);

	if (!h)
		return;
	/*
	 * What was sent before this device listened is not missing. Both are more than that: what
	 * had been sent at a look behind its SUBACK, and what came before the first that it heard.
	 * (Nobody publishes before its own first SUBACK, which is in the same millisecond.)
	 */
	if (ln->led.a->first_ms[at] && ms_of(d->x->subscribed_ns) >= ln->led.a->first_ms[at] &&
	    (p->type != d->type || p->index != d->index || d->x->again)) {
		before = sent_before(ln, d, at);
		if (h->high && heard_before(d->x, h) < before)
			before = heard_before(d->x, h);
	}
	/* Message by message: what arrived without an acknowledgement makes up for no other. */
	lost = before == UINT32_MAX ? 0
				    : acked_of(all, at, (h->high > before ? h->high : before) + 1,
					       ln->led.a->sent[at]);
	for (uint32_t i = h->gap; i && d->x->gap[i - 1].to > before; i = d->x->gap[i - 1].older) {
		const struct gap *g = &d->x->gap[i - 1];

		lost += acked_of(all, at, g->from > before ? g->from : before + 1, g->to);
	}
	SIM_ADD(&ln->led.pub->tot.lost, lost);
}

/* Does any of the filters take this publisher's topic? */
static bool wanted(char *const *filters, const struct lean *ln, const struct published *p)
{
	char topic[1024];

	if (!topic_of(&ln->type[p->type], p->index, topic, sizeof(topic)))
		return false;
	for (unsigned i = 0; filters[i]; i++)
		if (mqtt_match((const uint8_t *)filters[i], strlen(filters[i]),
			       (const uint8_t *)topic, strlen(topic)))
			return true;
	return false;
}

/* The first of those with that hash, or where it would stand. */
static size_t first_of(const struct publishers *all, uint64_t hash)
{
	size_t lo = 0, hi = all->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (all->all[mid].hash < hash)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* One of FILTERS, none of which has a wildcard; those before it were looked at. */
static void settle_exact(struct lean *ln, struct device *d, const struct publishers *all,
			 char *const *filters, unsigned i)
{
	char *one[2] = {filters[i], NULL};
	uint64_t hash = hash_of(filters[i]);

	for (unsigned k = 0; k < i; k++)
		if (!strcmp(filters[k], filters[i]))
			return;
	for (size_t at = first_of(all, hash); at < all->n && all->all[at].hash == hash; at++)
		if (wanted(one, ln, &all->all[at]))
			settle_with(ln, d, &all->all[at], all);
}

/* With wildcards it costs subscribers times publishers. */
static void settle_device(struct lean *ln, struct stype *ty, struct device *d,
			  const struct publishers *all)
{
	char *filters[SIM_MAX_SUBS + 5] = {NULL}, topic[1024];
	struct sim_tmpl_ctx c = names_of(ty, d);
	unsigned nfilters = 0;
	bool wild = false;

	for (unsigned i = 0; i < ty->nsubs; i++) {
		long n = sim_tmpl_render(ty->sub[i], &c, topic, sizeof(topic) - 1);

		if (n < 0)
			continue;
		topic[n] = 0;
		wild |= strpbrk(topic, "+#") != NULL;
		filters[nfilters] = strdup(topic);
		nfilters += filters[nfilters] != NULL;
	}
	for (size_t i = 0; wild && i < all->n; i++)
		if (wanted(filters, ln, &all->all[i]))
			settle_with(ln, d, &all->all[i], all);
	for (unsigned i = 0; !wild && i < nfilters; i++)
		settle_exact(ln, d, all, filters, i);
	for (unsigned i = 0; i < nfilters; i++)
		free(filters[i]);
}

/* Somebody of this shard has. Devices start in order: the first that never did ends the list. */
static bool listened(const struct lean *ln)
{
	for (unsigned t = 0; t < ln->led.a->ntypes; t++) {
		const struct stype *ty = &ln->type[t];

		for (uint32_t i = 0; ty->lean && ty->nsubs && i < ty->cap && ty->dev[i].thing; i++)
			if (ty->dev[i].x && ty->dev[i].x->ever_subscribed)
				return true;
	}
	return false;
}

void e2e_settle(struct lean *ln)
{
	struct publishers all = {0};

	if (!ln->led.a->sent || !listened(ln))
		return;
	if (!publishers_of(ln, &all)) {
		fputs("squall-sim: out of memory: what was lost end to end is not known\n", stderr);
		publishers_free(&all);
		return;
	}
	for (unsigned t = 0; t < ln->led.a->ntypes; t++) {
		struct stype *ty = &ln->type[t];

		for (uint32_t i = 0; ty->lean && ty->nsubs && i < ty->cap && ty->dev[i].thing;
		     i++) {
			struct device *d = &ty->dev[i];

			if (!d->x)
				continue;
			if (d->x->ever_subscribed)
				settle_device(ln, ty, d, &all);
			SIM_ADD(&ln->led.pub->tot.lost, d->x->unkept);
			e2e_forget(d->x);
		}
	}
	publishers_free(&all);
}
