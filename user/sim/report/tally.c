// SPDX-License-Identifier: GPL-2.0-only
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "sim/base/clock.h"
#include "sim/report/tally.h"

struct sim_tally *sim_tally_new(struct sim_engine *e)
{
	struct sim_tally *t = calloc(1, sizeof(*t));
	struct sim_profile *p = malloc(sizeof(*p));

	if (!t || !p) {
		free(t);
		free(p);
		return NULL;
	}
	pthread_mutex_init(&t->lock, NULL);
	t->e = e;
	t->nrows = sim_engine_types(e) * SIM_NAMES;
	t->row = calloc(t->nrows, sizeof(*t->row));
	t->history = calloc(SIM_HISTORY, sizeof(*t->history));
	t->reader = sim_reader_new(e);
	t->start_ns = t->last_ns = sim_now();
	t->state = "running";
	t->main = SIM_PUBLISH;
	for (unsigned i = 0; i < sim_engine_types(e); i++)
		if (!sim_engine_profile(e, i, p) && p->qos && *p->topic)
			t->main = SIM_PUBACK;
	free(p);
	if (!t->row || !t->history || !t->reader) {
		sim_tally_free(t);
		return NULL;
	}
	return t;
}

void sim_tally_free(struct sim_tally *t)
{
	if (!t)
		return;
	sim_reader_free(t->reader);
	pthread_mutex_destroy(&t->lock);
	free(t->row);
	free(t->error);
	free(t->now_error);
	free(t->history);
	free(t);
}

static void add_entry(struct sim_tally *t, const struct sim_entry *e)
{
	struct sim_row *r = &t->row[e->type * SIM_NAMES + e->name];

	if (e->timed) {
		if (r->requests == r->failures || e->min_ms < r->min_ms)
			r->min_ms = e->min_ms;
		if (e->max_ms > r->max_ms)
			r->max_ms = e->max_ms;
	}
	r->used = true;
	r->requests += e->num_requests;
	r->failures += e->num_failures;
	r->bytes += e->content_length;
	r->total_ms += e->total_ms;
	sim_hist_merge(&r->hist, &e->hist);
	r->now_requests = e->num_requests;
	r->now_failures = e->num_failures;
	r->now_max = e->max_ms;
}

static void add_error(struct sim_tally *t, const struct sim_error *e)
{
	struct sim_error *grown;

	for (unsigned i = 0; i < t->nerrors; i++) {
		struct sim_error *o = &t->error[i];

		if (o->type == e->type && o->name == e->name && !strcmp(o->text, e->text)) {
			o->occurrences += e->occurrences;
			if (e->first_ns >= t->start_ns && e->first_ns < o->first_ns)
				o->first_ns = e->first_ns;
			return;
		}
	}
	grown = realloc(t->error, (t->nerrors + 1) * sizeof(*grown));
	if (!grown)
		return;
	t->error = grown;
	t->error[t->nerrors] = *e;
	/* It came before the reset as well: now is as near as is known. */
	if (e->first_ns < t->start_ns)
		t->error[t->nerrors].first_ns = sim_now();
	t->nerrors++;
}

static void since_reset(struct sim_totals *t, const struct sim_totals *base)
{
	uint64_t *a = (uint64_t *)t, in_flight = t->in_flight;
	const uint64_t *b = (const uint64_t *)base;

	for (size_t i = 0; i < offsetof(struct sim_totals, cpu_s) / sizeof(uint64_t); i++)
		a[i] -= b[i];
	t->in_flight = in_flight;
	t->cpu_s -= base->cpu_s;
}

void sim_tally_reset(struct sim_tally *t)
{
	pthread_mutex_lock(&t->lock);
	sim_reader_take(t->reader);
	sim_engine_totals(t->e, &t->base);
	sim_engine_anew(t->e);
	/* What is in flight now will be acknowledged after the reset: scheduled again, so to say.
	 */
	t->base.scheduled -= t->base.in_flight;
	memset(t->row, 0, t->nrows * sizeof(*t->row));
	memset(&t->tot, 0, sizeof(t->tot));
	memset(&t->now, 0, sizeof(t->now));
	t->nerrors = t->nnow = t->nhistory = 0;
	t->t_s = t->dt_s = t->pub_from_s = t->pub_to_s = 0;
	t->most_running = 0;
	t->start_ns = t->last_ns = sim_now();
	pthread_mutex_unlock(&t->lock);
}

/* A long run keeps its whole length: every second point goes, the latest stays. */
static void thin(struct sim_tally *t)
{
	t->nhistory /= 2;
	for (unsigned i = 0; i < t->nhistory; i++)
		t->history[i] = t->history[2 * i + 1];
}

/* Of the main request since the last update; no sample is no time, not 0. */
static void quantiles(struct sim_tally *t, const struct sim_report *rep)
{
	static const double part[] = {0.5, 0.95, 0.99};
	struct sim_hist *h = calloc(1, sizeof(*h));

	for (unsigned i = 0; h && i < rep->nentries; i++)
		if (rep->entry[i]->name == t->main)
			sim_hist_merge(h, &rep->entry[i]->hist);
	for (unsigned i = 0; i < 3; i++)
		t->now_p[i] = h && sim_hist_count(h) ? sim_hist_quantile(h, part[i]) : NAN;
	free(h);
}

/* The number of a kind, from 1; 0: no room. */
static unsigned kind_number(struct sim_tally *t, const char *kind)
{
	unsigned i = 0;

	while (i < t->nkinds && strcmp(t->kind[i], kind))
		i++;
	if (i == t->nkinds && t->nkinds < sizeof(t->kind) / sizeof(*t->kind))
		snprintf(t->kind[t->nkinds++], sizeof(t->kind[0]), "%s", kind);
	return i < t->nkinds ? i + 1 : 0;
}

static void note_kinds(struct sim_tally *t, struct sim_point *p)
{
	memset(p->kind, 0, sizeof(p->kind));
	memset(p->failed, 0, sizeof(p->failed));
	for (unsigned i = 0; i < t->nnow; i++) {
		unsigned n = kind_number(t, t->now_error[i].kind), at = 0;

		while (at < SIM_POINT_KINDS && p->kind[at] && p->kind[at] != n)
			at++;
		if (!n || at == SIM_POINT_KINDS)
			continue;
		p->kind[at] = (uint8_t)n;
		p->failed[at] += (uint32_t)t->now_error[i].occurrences;
	}
}

json_t *sim_point_kinds(const struct sim_tally *t, const struct sim_point *p)
{
	json_t *o = json_object();

	for (unsigned i = 0; i < SIM_POINT_KINDS && p->kind[i]; i++)
		json_object_set_new(o, t->kind[p->kind[i] - 1], json_integer(p->failed[i]));
	return o;
}

void sim_tally_look(struct sim_tally *t)
{
	struct sim_totals tot;

	pthread_mutex_lock(&t->lock);
	if (!t->tot.scheduled) {
		sim_engine_totals(t->e, &tot);
		since_reset(&tot, &t->base);
		if (!tot.scheduled)
			t->pub_from_s = (double)(sim_now() - t->start_ns) / 1e9;
	}
	pthread_mutex_unlock(&t->lock);
}

void sim_tally_update(struct sim_tally *t)
{
	const struct sim_report *rep;
	struct sim_totals tot;
	uint64_t now;
	const uint64_t *a, *b;
	uint64_t *d;

	pthread_mutex_lock(&t->lock);
	now = sim_now();
	rep = sim_reader_take(t->reader);
	for (unsigned i = 0; i < t->nrows; i++)
		t->row[i].now_requests = t->row[i].now_failures = 0;
	for (unsigned i = 0; i < rep->nentries; i++)
		add_entry(t, rep->entry[i]);
	for (unsigned i = 0; i < rep->nerrors; i++)
		add_error(t, &rep->error[i]);
	free(t->now_error);
	t->now_error = rep->nerrors ? malloc(rep->nerrors * sizeof(*rep->error)) : NULL;
	t->nnow = t->now_error ? rep->nerrors : 0;
	if (t->nnow)
		memcpy(t->now_error, rep->error, t->nnow * sizeof(*rep->error));
	sim_engine_totals(t->e, &tot);
	since_reset(&tot, &t->base);
	a = (const uint64_t *)&tot;
	b = (const uint64_t *)&t->tot;
	d = (uint64_t *)&t->now;
	for (size_t i = 0; i < offsetof(struct sim_totals, cpu_s) / sizeof(uint64_t); i++)
		d[i] = a[i] - b[i];
	t->now.cpu_s = tot.cpu_s - t->tot.cpu_s;
	t->tot = tot;
	sim_engine_counts(t->e, -1, &t->counts);
	t->t_s = (double)(now - t->start_ns) / 1e9;
	if (t->counts.running + (uint32_t)tot.not_made > t->most_running)
		t->most_running = t->counts.running + (uint32_t)tot.not_made;
	if (!tot.scheduled)
		t->pub_from_s = t->t_s;
	if (t->counts.target)
		t->pub_to_s = t->t_s;
	t->dt_s = (double)(now - t->last_ns) / 1e9;
	t->last_ns = now;
	t->ticks++;
	if (t->nhistory == SIM_HISTORY)
		thin(t);
	quantiles(t, rep);
	/* The last update of a run may come at once behind the one before. */
	if (t->dt_s > 0.2) {
		struct sim_point *p = &t->history[t->nhistory++];

		p->t_s = (float)t->t_s;
		p->rate = (float)((double)t->now.acked / t->dt_s);
		p->fail_rate = (float)((double)t->now.failed / t->dt_s);
		p->connected = t->counts.connected;
		p->p50 = (float)t->now_p[0];
		p->p95 = (float)t->now_p[1];
		p->p99 = (float)t->now_p[2];
		note_kinds(t, p);
	}
	pthread_mutex_unlock(&t->lock);
}

uint32_t sim_tally_never_connected(const struct sim_tally *t)
{
	uint64_t did = t->tot.connects - t->tot.reconnects;

	return did < t->most_running ? t->most_running - (uint32_t)did : 0;
}

double sim_tally_publishing_s(const struct sim_tally *t)
{
	double s = t->pub_to_s - t->pub_from_s;

	return s > 0 ? s : t->t_s > 0 ? t->t_s : 1;
}

void sim_row_add(struct sim_row *ret, const struct sim_row *r)
{
	if (r->requests > r->failures) {
		if (ret->requests == ret->failures || r->min_ms < ret->min_ms)
			ret->min_ms = r->min_ms;
		if (r->max_ms > ret->max_ms)
			ret->max_ms = r->max_ms;
	}
	ret->requests += r->requests;
	ret->failures += r->failures;
	ret->bytes += r->bytes;
	ret->total_ms += r->total_ms;
	ret->now_requests += r->now_requests;
	ret->now_failures += r->now_failures;
	sim_hist_merge(&ret->hist, &r->hist);
}

void sim_tally_name(struct sim_tally *t, enum sim_name name, struct sim_row *ret)
{
	memset(ret, 0, sizeof(*ret));
	for (unsigned i = name; i < t->nrows; i += SIM_NAMES) {
		const struct sim_row *r = &t->row[i];

		if (!r->used)
			continue;
		sim_row_add(ret, r);
		ret->used = true;
	}
}

/* Three digits behind the point: a microsecond, which is what is measured. */
static json_t *real(double v)
{
	return json_real(round(v * 1000) / 1000);
}

/* A time that rests upon n samples: of none there is none, least of all 0 ms. */
static json_t *ms(uint64_t n, double v)
{
	return n ? real(v) : json_null();
}

static json_t *row_json(const struct sim_tally *t, unsigned i)
{
	const struct sim_row *r = &t->row[i];
	uint64_t timed = r->requests - r->failures;
	json_t *o = json_object();

	json_object_set_new(o, "type", json_string(sim_engine_type_name(t->e, i / SIM_NAMES)));
	json_object_set_new(o, "name", json_string(sim_name_text((enum sim_name)(i % SIM_NAMES))));
	json_object_set_new(o, "method", json_string("MQTT"));
	json_object_set_new(o, "requests", json_integer((json_int_t)r->requests));
	json_object_set_new(o, "failures", json_integer((json_int_t)r->failures));
	json_object_set_new(o, "bytes", json_integer((json_int_t)r->bytes));
	json_object_set_new(o, "avg_ms", ms(timed, timed ? r->total_ms / (double)timed : 0));
	json_object_set_new(o, "min_ms", ms(timed, r->min_ms));
	json_object_set_new(o, "max_ms", ms(timed, r->max_ms));
	json_object_set_new(o, "p50_ms", ms(timed, sim_hist_quantile(&r->hist, 0.5)));
	json_object_set_new(o, "p95_ms", ms(timed, sim_hist_quantile(&r->hist, 0.95)));
	json_object_set_new(o, "p99_ms", ms(timed, sim_hist_quantile(&r->hist, 0.99)));
	json_object_set_new(o, "rate", real(t->dt_s > 0 ? (double)r->now_requests / t->dt_s : 0));
	json_object_set_new(o, "fail_rate",
			    real(t->dt_s > 0 ? (double)r->now_failures / t->dt_s : 0));
	return o;
}

static json_t *kinds_json(const struct sim_error *e, unsigned n)
{
	json_t *o = json_object();

	for (unsigned i = 0; i < n; i++) {
		json_int_t had = json_integer_value(json_object_get(o, e[i].kind));

		json_object_set_new(o, e[i].kind, json_integer(had + (json_int_t)e[i].occurrences));
	}
	return o;
}

static json_t *devices_json(struct sim_tally *t)
{
	json_t *d = json_object();

	json_object_set_new(d, "target", json_integer(t->counts.target));
	json_object_set_new(d, "running", json_integer(t->counts.running));
	json_object_set_new(d, "connected", json_integer(t->counts.connected));
	json_object_set_new(d, "backoff", json_integer(t->counts.backoff));
	json_object_set_new(d, "never_connected", json_integer(sim_tally_never_connected(t)));
	return d;
}

/* Of the last interval. */
static json_t *latency_json(const struct sim_tally *t)
{
	json_t *l = json_object();
	uint64_t n = 0;
	double max = 0;

	for (unsigned i = t->main; i < t->nrows; i += SIM_NAMES) {
		const struct sim_row *r = &t->row[i];

		n += r->now_requests - r->now_failures;
		if (r->now_requests > r->now_failures && r->now_max > max)
			max = r->now_max;
	}
	json_object_set_new(l, "of", json_string(sim_name_text(t->main)));
	json_object_set_new(l, "samples", json_integer((json_int_t)n));
	json_object_set_new(l, "p50", ms(n, t->now_p[0]));
	json_object_set_new(l, "p95", ms(n, t->now_p[1]));
	json_object_set_new(l, "p99", ms(n, t->now_p[2]));
	json_object_set_new(l, "max", ms(n, max));
	return l;
}

static json_t *totals_json(const struct sim_totals *x)
{
	json_t *s = json_object();

#define TOTAL(f) json_object_set_new(s, #f, json_integer((json_int_t)x->f))
	TOTAL(scheduled);
	TOTAL(acked);
	TOTAL(failed);
	TOTAL(in_flight);
	TOTAL(connects);
	TOTAL(connect_failures);
	TOTAL(not_made);
	TOTAL(reconnects);
	TOTAL(lost_connections);
	TOTAL(resumed);
	TOTAL(subscribed);
	TOTAL(received);
	TOTAL(unique);
	TOTAL(duplicates);
	TOTAL(lost);
	TOTAL(late_acks);
	TOTAL(overruns);
	TOTAL(bytes_out);
	TOTAL(bytes_in);
	TOTAL(writes);
	TOTAL(unaccounted);
#undef TOTAL
	json_object_set_new(s, "cpu_s", real(x->cpu_s));
	return s;
}

static json_t *rows_json(struct sim_tally *t)
{
	json_t *rows = json_array();

	for (unsigned i = 0; i < t->nrows; i++)
		if (t->row[i].used)
			json_array_append_new(rows, row_json(t, i));
	return rows;
}

static json_t *errors_json(struct sim_tally *t)
{
	json_t *errs = json_array();

	for (unsigned i = 0; i < t->nerrors; i++) {
		const struct sim_error *e = &t->error[i];
		json_t *f = json_object();

		json_object_set_new(f, "type", json_string(sim_engine_type_name(t->e, e->type)));
		json_object_set_new(f, "name", json_string(sim_name_text(e->name)));
		json_object_set_new(f, "kind", json_string(e->kind));
		json_object_set_new(f, "text", json_string(e->text));
		json_object_set_new(f, "count", json_integer((json_int_t)e->occurrences));
		json_array_append_new(errs, f);
	}
	return errs;
}

json_t *sim_tally_json(struct sim_tally *t, bool full)
{
	json_t *o = json_object();

	json_object_set_new(o, "t_s", real(t->t_s));
	json_object_set_new(o, "state", json_string(t->state));
	json_object_set_new(o, "devices", devices_json(t));
	json_object_set_new(o, "msgs_per_s",
			    real(t->dt_s > 0 ? (double)t->now.acked / t->dt_s : 0));
	json_object_set_new(o, "fails_per_s",
			    real(t->dt_s > 0 ? (double)t->now.failed / t->dt_s : 0));
	json_object_set_new(o, "latency_ms", latency_json(t));
	json_object_set_new(o, "failures", kinds_json(t->now_error, t->nnow));
	json_object_set_new(o, "totals", totals_json(&t->tot));
	if (full) {
		json_object_set_new(o, "rows", rows_json(t));
		json_object_set_new(o, "errors", errors_json(t));
	}
	return o;
}
