// SPDX-License-Identifier: GPL-2.0-only
/* Taking a run apart while it happens: sums by part, the seconds, recovery's tenths. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "sim/base/clock.h"
#include "sim/experiment/record.h"

struct exp_record *exp_record_new(const struct experiment *x, struct sim_engine *e)
{
	struct exp_record *r = calloc(1, sizeof(*r));
	bool bad = !r;

	if (!r)
		return NULL;
	r->x = x;
	r->e = e;
	r->main = SIM_PUBLISH;
	for (unsigned i = 0; i < x->fleet.ntypes; i++)
		if (x->fleet.type[i].qos && *x->fleet.type[i].topic)
			r->main = SIM_PUBACK;
	r->nrows = x->fleet.ntypes * SIM_NAMES;
	for (unsigned i = 0; i < EXP_PARTS && r->nrows; i++) {
		r->part[i].row = calloc(r->nrows, sizeof(*r->part[i].row));
		r->part[i].connected_min = UINT32_MAX;
		bad |= !r->part[i].row;
	}
	r->seconds = json_array();
	r->sec_kinds = json_object();
	r->sec_hist = calloc(1, sizeof(*r->sec_hist));
	r->reader = e ? sim_reader_new(e) : NULL;
	r->start_ns = sim_now();
	r->sec_phase = r->now_phase = exp_phase_at(x, 0, &r->sec_faults);
	r->now_faults = r->sec_faults;
	r->now_p95 = NAN;
	if (bad || !r->seconds || !r->sec_hist || (e && !r->reader)) {
		exp_record_free(r);
		return NULL;
	}
	return r;
}

void exp_record_free(struct exp_record *r)
{
	if (!r)
		return;
	for (unsigned i = 0; i < EXP_PARTS; i++) {
		for (unsigned k = 0; r->part[i].row && k < r->nrows; k++)
			free(r->part[i].row[k].hist);
		free(r->part[i].row);
	}
	sim_reader_free(r->reader);
	json_decref(r->seconds);
	json_decref(r->sec_kinds);
	free(r->sec_hist);
	free(r->slot);
	free(r->failure);
	free(r);
}

uint64_t exp_record_now(const struct exp_record *r)
{
	return sim_now() - r->start_ns;
}

/* Every counter of the totals, which are 64 bit words up to cpu_s. */
static void add_totals(struct sim_totals *to, const struct sim_totals *d)
{
	uint64_t *a = (uint64_t *)to;
	const uint64_t *b = (const uint64_t *)d;

	for (size_t i = 0; i < offsetof(struct sim_totals, cpu_s) / sizeof(uint64_t); i++)
		a[i] += b[i];
	to->cpu_s += d->cpu_s;
}

static void add_row(struct exp_row *o, const struct sim_entry *e)
{
	if (e->timed && (o->requests == o->failures || e->min_ms < o->min_ms))
		o->min_ms = e->min_ms;
	if (e->timed && e->max_ms > o->max_ms)
		o->max_ms = e->max_ms;
	o->requests += e->num_requests;
	o->failures += e->num_failures;
	o->total_ms += e->total_ms;
	if (e->timed && !o->hist)
		o->hist = calloc(1, sizeof(*o->hist));
	if (e->timed && o->hist)
		sim_hist_merge(o->hist, &e->hist);
}

static void add_failure(struct exp_record *r, const struct sim_error *e, const bool *in)
{
	struct exp_failure *f = NULL, *grown;

	for (unsigned i = 0; i < r->nfailures && !f; i++)
		if (r->failure[i].e.type == e->type && r->failure[i].e.name == e->name &&
		    !strcmp(r->failure[i].e.text, e->text))
			f = &r->failure[i];
	if (!f) {
		grown = realloc(r->failure, (r->nfailures + 1) * sizeof(*grown));
		if (!grown)
			return;
		r->failure = grown;
		f = &grown[r->nfailures++];
		memset(f, 0, sizeof(*f));
		f->e = *e;
		f->e.occurrences = 0;
	}
	f->e.occurrences += e->occurrences;
	for (unsigned i = 0; i < EXP_PARTS; i++)
		if (in[i])
			f->by_part[i] += e->occurrences;
}

/* --- the seconds ---------------------------------------------------------------------------- */

static json_t *ms(double v)
{
	return isnan(v) ? json_null() : json_real(round(v * 1000) / 1000);
}

/* A second ends with it, or with its phase: so the seconds of a phase add up to it. */
static void end_second(struct exp_record *r, uint64_t to)
{
	const struct sim_totals *d = &r->sec_tot;
	double s = (double)(to - r->sec_from_ns) / 1e9;
	uint64_t n = sim_hist_count(r->sec_hist);
	json_t *o, *names = json_array(), *hist = json_array();

	r->now_phase = r->sec_phase;
	r->now_faults = r->sec_faults;
	r->now_p95 = n ? sim_hist_quantile(r->sec_hist, 0.95) : NAN;
	r->now_rate = s > 0 ? (double)d->acked / s : 0;
	r->now_fail_rate = s > 0 ? (double)d->failed / s : 0;
	for (unsigned i = 0; i < r->x->nfaults; i++)
		if (r->sec_faults & 1u << i)
			json_array_append_new(names, json_string(r->x->fault[i].name));
	for (unsigned c = 0; n && c < SIM_HIST_CELLS; c++) {
		if (!r->sec_hist->cell[c])
			continue;
		json_array_append_new(hist, ms(sim_hist_ms(c)));
		json_array_append_new(hist, json_integer(r->sec_hist->cell[c]));
	}
	o = json_pack("{s:o,s:o,s:s,s:o}", "t_s", ms((double)r->sec_from_ns / 1e9), "for_s", ms(s),
		      "phase", exp_phase_words[r->sec_phase], "faults", names);
	if (r->e) {
#define PUT(name, v) json_object_set_new(o, name, json_integer((json_int_t)(v)))
		PUT("target", r->counts.target);
		PUT("connected", r->counts.connected);
		PUT("scheduled", d->scheduled);
		PUT("acked", d->acked);
		PUT("failed", d->failed);
		PUT("connects", d->connects);
		PUT("connect_failures", d->connect_failures);
		PUT("reconnects", d->reconnects);
		PUT("lost_connections", d->lost_connections);
		PUT("samples", n);
#undef PUT
		json_object_set_new(o, "p50", ms(n ? sim_hist_quantile(r->sec_hist, 0.5) : NAN));
		json_object_set_new(o, "p95", ms(r->now_p95));
		json_object_set_new(o, "p99", ms(n ? sim_hist_quantile(r->sec_hist, 0.99) : NAN));
		json_object_set_new(o, "max", ms(n ? r->sec_max_ms : NAN));
		json_object_set_new(o, "hist", hist);
		json_object_set_new(o, "failures", r->sec_kinds);
		r->sec_kinds = json_object();
	} else {
		json_decref(hist);
	}
	json_array_append_new(r->seconds, o);
	memset(r->sec_hist, 0, sizeof(*r->sec_hist));
	memset(&r->sec_tot, 0, sizeof(r->sec_tot));
	r->sec_max_ms = 0;
	r->sec_from_ns = to;
}

static void second_adds(struct exp_record *r, const struct sim_totals *d,
			const struct sim_report *rep)
{
	add_totals(&r->sec_tot, d);
	for (unsigned i = 0; i < rep->nentries; i++) {
		const struct sim_entry *e = rep->entry[i];

		if (e->name != r->main)
			continue;
		sim_hist_merge(r->sec_hist, &e->hist);
		if (e->max_ms > r->sec_max_ms)
			r->sec_max_ms = e->max_ms;
	}
	for (unsigned i = 0; i < rep->nerrors; i++) {
		const struct sim_error *e = &rep->error[i];
		json_int_t had = json_integer_value(json_object_get(r->sec_kinds, e->kind));

		json_object_set_new(r->sec_kinds, e->kind,
				    json_integer(had + (json_int_t)e->occurrences));
	}
}

/* --- recovery -----------------------------------------------------------------------------------
 */

/* What "back" is, from what was before the first fault. */
static void set_band(struct exp_record *r)
{
	const struct exp_sum *b = &r->part[EXP_BEFORE];
	struct sim_hist *h = calloc(1, sizeof(*h));
	double p95;

	for (unsigned i = r->main; h && i < r->nrows; i += SIM_NAMES)
		if (b->row[i].hist)
			sim_hist_merge(h, b->row[i].hist);
	p95 = h ? sim_hist_quantile(h, 0.95) : 0;
	free(h);
	r->limit_ms = p95 * (1 + r->x->band_ppm / 1e6);
	if (r->limit_ms < p95 + (double)r->x->floor_ns / 1e6)
		r->limit_ms = p95 + (double)r->x->floor_ns / 1e6;
	r->before_rate = b->seconds > 0 ? (double)b->tot.acked / b->seconds : 0;
	r->before_connected = r->counts.connected;
}

static void add_slot(struct exp_record *r, const struct sim_totals *d, const struct sim_report *rep)
{
	struct exp_slot *s;

	if (r->nslots == r->cap) {
		s = realloc(r->slot, (r->cap * 2 + 1024) * sizeof(*s));
		if (!s)
			return;
		r->slot = s;
		r->cap = r->cap * 2 + 1024;
	}
	s = &r->slot[r->nslots++];
	*s = (struct exp_slot){.from_ns = r->last_ns,
			       .connected = r->counts.connected,
			       .target = r->counts.target,
			       .acked = (uint32_t)d->acked};
	for (unsigned i = 0; i < rep->nentries; i++) {
		const struct sim_entry *e = rep->entry[i];

		if (e->name != r->main)
			continue;
		s->n += (uint32_t)e->timed;
		for (unsigned c = 0; c < SIM_HIST_CELLS; c++)
			if (e->hist.cell[c] && sim_hist_ms(c) > r->limit_ms)
				s->over += e->hist.cell[c];
	}
}

static bool back_at(const struct exp_record *r, unsigned from, uint64_t until)
{
	uint64_t stay = r->x->stay_ns, begin = r->slot[from].from_ns, block = begin + EXP_NS;
	double keep = 1 - r->x->band_ppm / 1e6;
	uint64_t n = 0, over = 0, acked = 0;

	if (begin + stay > until || (r->before_rate > 0 && !r->slot[from].n))
		return false;
	for (unsigned i = from; i < r->nslots && r->slot[i].from_ns < begin + stay; i++) {
		const struct exp_slot *s = &r->slot[i];
		uint32_t want = r->before_connected < s->target ? r->before_connected : s->target;

		if (s->connected < keep * want)
			return false;
		if (s->from_ns >= block) {
			if (over * 20 > n)
				return false;
			block += EXP_NS;
			n = over = 0;
		}
		n += s->n;
		over += s->over;
		acked += s->acked;
	}
	/* A fleet that hangs has no late answers either. */
	return over * 20 <= n && (double)acked >= r->before_rate * (double)stay / 1e9 / 2;
}

double exp_record_recovery(const struct exp_record *r, uint64_t end, uint64_t until)
{
	for (unsigned i = 0; i < r->nslots; i++) {
		/* A tenth begins a little after the edge that it was cut at. */
		if (r->slot[i].from_ns + EXP_NS / 20 < end)
			continue;
		if (back_at(r, i, until))
			return r->slot[i].from_ns > end ? (double)(r->slot[i].from_ns - end) / 1e9
							: 0;
	}
	return -1;
}

/* --- taking --------------------------------------------------------------------------------------
 */

static void parts_of(enum exp_phase phase, uint32_t faults, bool in[EXP_PARTS])
{
	memset(in, 0, EXP_PARTS * sizeof(*in));
	in[EXP_WHOLE] = in[phase] = true;
	for (unsigned i = 0; i < EXP_MAX_FAULTS; i++)
		if (faults & 1u << i)
			in[EXP_PHASES + i] = true;
}

static void take(struct exp_record *r, uint64_t now, enum exp_phase phase, uint32_t faults)
{
	static const struct sim_report none;
	const struct sim_report *rep = r->e ? sim_reader_take(r->reader) : &none;
	struct sim_totals tot = {0}, d;
	bool in[EXP_PARTS];

	if (r->e) {
		sim_engine_totals(r->e, &tot);
		sim_engine_counts(r->e, -1, &r->counts);
	}
	for (size_t i = 0; i < offsetof(struct sim_totals, cpu_s) / sizeof(uint64_t); i++)
		((uint64_t *)&d)[i] = ((const uint64_t *)&tot)[i] - ((const uint64_t *)&r->seen)[i];
	d.cpu_s = tot.cpu_s - r->seen.cpu_s;
	r->seen = tot;
	if (r->counts.running + (uint32_t)tot.not_made > r->most_running)
		r->most_running = r->counts.running + (uint32_t)tot.not_made;
	parts_of(phase, faults, in);
	for (unsigned p = 0; p < EXP_PARTS; p++) {
		struct exp_sum *s = &r->part[p];

		if (!in[p])
			continue;
		s->seconds += (double)(now - r->last_ns) / 1e9;
		s->ticks++;
		add_totals(&s->tot, &d);
		if (r->counts.connected < s->connected_min) {
			s->connected_min = r->counts.connected;
			s->target_min = r->counts.target;
		}
		for (unsigned i = 0; i < rep->nentries; i++)
			add_row(&s->row[rep->entry[i]->type * SIM_NAMES + rep->entry[i]->name],
				rep->entry[i]);
	}
	for (unsigned i = 0; i < rep->nerrors; i++)
		add_failure(r, &rep->error[i], in);
	second_adds(r, &d, rep);
	if (r->limit_ms > 0)
		add_slot(r, &d, rep);
	r->last_ns = now;
}

void exp_record_take(struct exp_record *r)
{
	uint64_t now = exp_record_now(r);
	uint32_t faults, next_faults;
	enum exp_phase phase = exp_phase_at(r->x, r->last_ns, &faults), next;

	take(r, now, phase, faults);
	next = exp_phase_at(r->x, now, &next_faults);
	if (next == EXP_FAULT && r->limit_ms <= 0 && r->e)
		set_band(r);
	if (next != phase || next_faults != faults ||
	    now - r->sec_from_ns >= EXP_NS - EXP_NS / 50) {
		end_second(r, now);
		r->sec_phase = next;
		r->sec_faults = next_faults;
	}
}

void exp_record_end(struct exp_record *r)
{
	uint32_t faults;
	enum exp_phase phase = exp_phase_at(r->x, r->last_ns, &faults);

	if (!r->e)
		return;
	/* Interrupted, the drain is no part of the phase that was cut. */
	take(r, r->last_ns, phase == EXP_FAULT ? EXP_WHOLE : phase, 0);
	end_second(r, r->last_ns);
}
