// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reports: the sum over all shards, minus the sum at the reader's last take.
 * Cells are 32 bits wide and may wrap; differences do not care.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "sim/engine/shard.h"

struct seen {
	uint64_t requests, failures, bytes, total_us;
	uint64_t (*req)[SIM_SECONDS], (*fail)[SIM_SECONDS]; /* per shard */
	struct sim_hist hist;
};

struct sim_reader {
	struct sim_arena *a;
	struct seen *seen;		/* [type * SIM_NAMES + name] */
	struct sim_entry *entry;	/* likewise */
	uint64_t (*errors)[SIM_ERRORS]; /* per shard */
	unsigned caperrors;
	struct sim_report report;
};

void sim_reader_free(struct sim_reader *r)
{
	if (!r)
		return;
	for (unsigned i = 0; r->seen && i < r->a->ntypes * SIM_NAMES; i++) {
		free(r->seen[i].req);
		free(r->seen[i].fail);
	}
	free(r->seen);
	free(r->entry);
	free(r->errors);
	free(r->report.error);
	free(r);
}

struct sim_reader *sim_reader_new(struct sim_engine *e)
{
	struct sim_reader *r = calloc(1, sizeof(*r));
	unsigned n;

	if (!r)
		return NULL;
	r->a = sim_engine_arena(e);
	n = r->a->ntypes * SIM_NAMES;
	r->seen = calloc(n, sizeof(*r->seen));
	r->entry = calloc(n, sizeof(*r->entry));
	r->errors = calloc(r->a->nshards, sizeof(*r->errors));
	if (!r->seen || !r->entry || !r->errors) {
		sim_reader_free(r);
		return NULL;
	}
	for (unsigned i = 0; i < n; i++) {
		r->seen[i].req = calloc(r->a->nshards, sizeof(*r->seen[i].req));
		r->seen[i].fail = calloc(r->a->nshards, sizeof(*r->seen[i].fail));
		if (!r->seen[i].req || !r->seen[i].fail) {
			sim_reader_free(r);
			return NULL;
		}
	}
	return r;
}

static int by_epoch(const void *a, const void *b)
{
	const struct sim_second *x = a, *y = b;

	return (x->epoch > y->epoch) - (x->epoch < y->epoch);
}

/* Adds what one shard's ring of seconds has gained. */
static void take_seconds(const uint64_t *ring, uint64_t *seen, struct sim_second *to, unsigned *n)
{
	for (unsigned i = 0; i < SIM_SECONDS; i++) {
		uint64_t v = __atomic_load_n(&ring[i], __ATOMIC_RELAXED);
		uint32_t gain = (uint32_t)v, k;

		if (v == seen[i])
			continue;
		if (v >> 32 == seen[i] >> 32)
			gain -= (uint32_t)seen[i];
		seen[i] = v;
		for (k = 0; k < *n && to[k].epoch != v >> 32; k++)
			;
		if (k == *n && *n < SIM_SECONDS)
			to[(*n)++] = (struct sim_second){(uint32_t)(v >> 32), 0};
		if (k < *n)
			to[k].count += gain;
	}
}

static bool take_entry(struct sim_reader *r, unsigned i)
{
	struct sim_entry *e = r->entry + i;
	struct seen *s = r->seen + i;
	uint64_t requests = 0, failures = 0, bytes = 0, total = 0, last = 0;
	bool first = true;

	for (unsigned k = 0; k < r->a->nshards; k++) {
		struct sim_stat *st = &sim_arena_pub(r->a, k)->stat[i];
		uint64_t at = __atomic_load_n(&st->last_ns, __ATOMIC_RELAXED);

		failures += __atomic_load_n(&st->failures, __ATOMIC_RELAXED);
		requests += __atomic_load_n(&st->requests, __ATOMIC_RELAXED);
		bytes += __atomic_load_n(&st->bytes, __ATOMIC_RELAXED);
		total += __atomic_load_n(&st->total_us, __ATOMIC_RELAXED);
		if (at > last)
			last = at;
	}
	if (requests == s->requests && failures == s->failures)
		return false;
	memset(e, 0, sizeof(*e));
	e->type = i / SIM_NAMES;
	e->name = (enum sim_name)(i % SIM_NAMES);
	e->num_failures = failures - s->failures;
	e->content_length = bytes - s->bytes;
	e->total_ms = (double)(total - s->total_us) / 1000.0;
	e->last_request = (double)((int64_t)last + r->a->epoch_off_ns) / 1e9;
	s->requests = requests;
	s->failures = failures;
	s->bytes = bytes;
	s->total_us = total;
	for (unsigned c = 0; c < SIM_HIST_CELLS; c++) {
		uint32_t sum = 0;

		for (unsigned k = 0; k < r->a->nshards; k++)
			sum += __atomic_load_n(&sim_arena_pub(r->a, k)->stat[i].hist.cell[c],
					       __ATOMIC_RELAXED);
		e->hist.cell[c] = sum - s->hist.cell[c];
		s->hist.cell[c] = sum;
		if (!e->hist.cell[c])
			continue;
		e->timed += e->hist.cell[c];
		e->max_ms = sim_hist_ms(c);
		if (first)
			e->min_ms = e->max_ms;
		first = false;
	}
	/* Shards go on counting meanwhile: the histogram decides, so that the report adds up. */
	e->num_requests = e->timed + e->num_failures;
	for (unsigned k = 0; k < r->a->nshards; k++) {
		struct sim_stat *st = &sim_arena_pub(r->a, k)->stat[i];

		take_seconds(st->req_sec, s->req[k], e->req, &e->nreq);
		take_seconds(st->fail_sec, s->fail[k], e->fail, &e->nfail);
	}
	qsort(e->req, e->nreq, sizeof(e->req[0]), by_epoch);
	qsort(e->fail, e->nfail, sizeof(e->fail[0]), by_epoch);
	return true;
}

static void add_error(struct sim_reader *r, uint64_t key, const char *note, uint64_t n,
		      uint64_t first_ns)
{
	struct sim_report *rep = &r->report;
	struct sim_error text, *grown;

	sim_error_text(key, note, &text);
	for (unsigned i = 0; i < rep->nerrors; i++) {
		struct sim_error *e = &rep->error[i];

		if (e->type == text.type && e->name == text.name && !strcmp(e->text, text.text)) {
			e->occurrences += n;
			if (first_ns < e->first_ns)
				e->first_ns = first_ns;
			return;
		}
	}
	if (rep->nerrors == r->caperrors) {
		grown = realloc(rep->error, (r->caperrors + 32) * sizeof(*grown));
		if (!grown)
			return;
		rep->error = grown;
		r->caperrors += 32;
	}
	text.occurrences = n;
	text.first_ns = first_ns;
	rep->error[rep->nerrors++] = text;
}

const struct sim_report *sim_reader_take(struct sim_reader *r)
{
	r->report.nentries = r->report.nerrors = 0;
	for (unsigned i = 0; i < r->a->ntypes * SIM_NAMES; i++)
		if (take_entry(r, i))
			r->report.entry[r->report.nentries++] = &r->entry[i];
	for (unsigned k = 0; k < r->a->nshards; k++) {
		struct sim_pub *p = sim_arena_pub(r->a, k);

		for (unsigned i = 0; i < SIM_ERRORS; i++) {
			uint64_t key = SIM_LOAD(&p->error[i].key), n = SIM_LOAD(&p->error[i].n);

			if (!key || n == r->errors[k][i])
				continue;
			add_error(r, key, p->error[i].note, n - r->errors[k][i],
				  p->error[i].first_ns);
			r->errors[k][i] = n;
		}
	}
	return &r->report;
}
