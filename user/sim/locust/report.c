// SPDX-License-Identifier: GPL-2.0-only
#include "sim/locust/report.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROWS   (SIM_MAX_TYPES * SIM_NAMES)
#define METHOD "MQTT"
/* Every key that an hour of milliseconds can have (4,295 s is the histogram's end). */
#define TIMES_MAX 4700

/* What a master was told of one row in this run. */
struct row {
	uint64_t requests, failures, bytes;
	double total_ms, min_ms, max_ms;
	uint64_t timed;
	struct sim_hist *hist;
};

struct locust_reporter {
	struct sim_engine *engine;
	struct sim_reader *reader;
	double since; /* epoch; start of the next report */
	char name[ROWS][LOCUST_NAME_MAX];
	struct row row[ROWS];

	/* The report being built. */
	struct locust_entry entry[ROWS];
	struct locust_pair *pairs; /* one block for all maps of all rows */
	size_t n_pairs, max_pairs;
	struct locust_error *errors;
	size_t max_errors;
};

static double epoch(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

int locust_reporter_new(struct sim_engine *engine, struct locust_reporter **ret)
{
	struct locust_reporter *rp = calloc(1, sizeof(*rp));
	unsigned int t, n;

	if (!rp)
		return -ENOMEM;
	rp->engine = engine;
	rp->reader = sim_reader_new(engine);
	rp->max_pairs = ROWS * (TIMES_MAX + 2 * SIM_SECONDS);
	/* Touched only as far as it is used: a row has some hundred pairs. */
	rp->pairs = calloc(rp->max_pairs, sizeof(*rp->pairs));
	if (!rp->reader || !rp->pairs) {
		locust_reporter_free(rp);
		return -ENOMEM;
	}
	for (t = 0; t < sim_engine_types(engine); t++)
		for (n = 0; n < SIM_NAMES; n++)
			snprintf(rp->name[t * SIM_NAMES + n], LOCUST_NAME_MAX, "%s/%s",
				 sim_engine_type_name(engine, t), sim_name_text((enum sim_name)n));
	rp->since = epoch();
	*ret = rp;
	return 0;
}

void locust_reporter_free(struct locust_reporter *rp)
{
	unsigned int i;

	if (!rp)
		return;
	for (i = 0; i < ROWS; i++)
		free(rp->row[i].hist);
	if (rp->reader)
		sim_reader_free(rp->reader);
	free(rp->pairs);
	free(rp->errors);
	free(rp);
}

static void add_pair(struct locust_reporter *rp, int64_t key, uint64_t n)
{
	if (rp->n_pairs < rp->max_pairs)
		rp->pairs[rp->n_pairs++] = (struct locust_pair){key, n};
}

static void emit_time(void *ctx, uint32_t ms, uint64_t n)
{
	add_pair(ctx, ms, n);
}

static struct locust_pairs seconds(struct locust_reporter *rp, const struct sim_second *s,
				   unsigned int n)
{
	size_t from = rp->n_pairs;
	unsigned int i;

	for (i = 0; i < n; i++)
		if (s[i].count)
			add_pair(rp, s[i].epoch, s[i].count);
	return (struct locust_pairs){rp->pairs + from, rp->n_pairs - from};
}

static void remember(struct row *row, const struct sim_entry *e)
{
	row->requests += e->num_requests;
	row->failures += e->num_failures;
	row->bytes += e->content_length;
	row->total_ms += e->total_ms;
	if (e->timed) {
		row->min_ms = row->timed ? fmin(row->min_ms, e->min_ms) : e->min_ms;
		row->max_ms = fmax(row->max_ms, e->max_ms);
		row->timed += e->timed;
	}
	if (!row->hist)
		row->hist = calloc(1, sizeof(*row->hist));
	if (row->hist)
		sim_hist_merge(row->hist, &e->hist);
}

static void convert(struct locust_reporter *rp, const struct sim_entry *e, struct locust_entry *ret)
{
	unsigned int row = e->type * SIM_NAMES + e->name;
	size_t from = rp->n_pairs;

	*ret = (struct locust_entry){
		.name = rp->name[row],
		.method = METHOD,
		.requests = e->num_requests,
		.none_requests = e->num_requests - e->timed,
		.failures = e->num_failures,
		.total_ms = e->total_ms,
		.min_ms = e->min_ms,
		.max_ms = e->max_ms,
		.content_bytes = e->content_length,
	};
	sim_hist_locust(&e->hist, emit_time, rp);
	ret->times = (struct locust_pairs){rp->pairs + from, rp->n_pairs - from};
	ret->requests_per_s = seconds(rp, e->req, e->nreq);
	ret->failures_per_s = seconds(rp, e->fail, e->nfail);
	remember(&rp->row[row], e);
}

static int convert_errors(struct locust_reporter *rp, const struct sim_report *sr, double now)
{
	unsigned int i;

	if (sr->nerrors > rp->max_errors) {
		void *p = realloc(rp->errors, sr->nerrors * sizeof(*rp->errors));

		if (!p)
			return -ENOMEM;
		rp->errors = p;
		rp->max_errors = sr->nerrors;
	}
	for (i = 0; i < sr->nerrors; i++) {
		const struct sim_error *e = &sr->error[i];

		rp->errors[i] = (struct locust_error){
			.name = rp->name[e->type * SIM_NAMES + e->name],
			.method = METHOD,
			.error = e->text,
			.occurrences = e->occurrences,
			/* Some time in this report: no nearer than that is known. */
			.first_seen = rp->since,
			.last_seen = now,
		};
	}
	return 0;
}

int locust_reporter_take(struct locust_reporter *rp, struct locust_report *ret)
{
	const struct sim_report *sr = sim_reader_take(rp->reader);
	double now = epoch();
	unsigned int i;
	int r;

	*ret = (struct locust_report){
		.start_time = rp->since, .entries = rp->entry, .n_entries = sr->nentries};
	rp->n_pairs = 0;
	for (i = 0; i < sr->nentries; i++) {
		convert(rp, sr->entry[i], &rp->entry[i]);
		ret->last_request = fmax(ret->last_request, sr->entry[i]->last_request);
	}
	r = convert_errors(rp, sr, now);
	if (r)
		return r;
	ret->errors = rp->errors;
	ret->n_errors = sr->nerrors;
	rp->since = now;
	return 0;
}

uint64_t locust_reporter_discard(struct locust_reporter *rp)
{
	const struct sim_report *sr = sim_reader_take(rp->reader);
	uint64_t n = 0;
	unsigned int i;

	for (i = 0; i < sr->nentries; i++)
		n += sr->entry[i]->num_requests;
	rp->since = epoch();
	return n;
}

void locust_reporter_reset(struct locust_reporter *rp)
{
	unsigned int i;

	for (i = 0; i < ROWS; i++) {
		free(rp->row[i].hist);
		rp->row[i] = (struct row){0};
	}
}

uint64_t locust_reporter_requests(const struct locust_reporter *rp)
{
	uint64_t n = 0;
	unsigned int i;

	for (i = 0; i < ROWS; i++)
		n += rp->row[i].requests;
	return n;
}

static double quantile(const struct row *row, double part)
{
	return row->hist ? sim_hist_quantile(row->hist, part) : 0;
}

void locust_reporter_print(const struct locust_reporter *rp, FILE *f, bool json)
{
	const char *comma = "";
	unsigned int i;

	if (json)
		fprintf(f, "{\"requests\":%llu,\"rows\":[",
			(unsigned long long)locust_reporter_requests(rp));
	else
		fprintf(f, "%-32s %10s %9s %9s %9s %9s %9s\n", "reported to the master", "requests",
			"failures", "p50 ms", "p95 ms", "p99 ms", "max ms");
	for (i = 0; i < ROWS; i++) {
		const struct row *w = &rp->row[i];
		double p50, p95, p99;

		if (!w->requests)
			continue;
		p50 = quantile(w, 0.5);
		p95 = quantile(w, 0.95);
		p99 = quantile(w, 0.99);
		if (json)
			fprintf(f,
				"%s{\"name\":\"%s\",\"requests\":%llu,\"failures\":%llu,\"bytes\":%"
				"llu,"
				"\"total_ms\":%.3f,\"min_ms\":%.3f,\"max_ms\":%.3f,\"p50_ms\":%.3f,"
				"\"p95_ms\":%.3f,\"p99_ms\":%.3f}",
				comma, rp->name[i], (unsigned long long)w->requests,
				(unsigned long long)w->failures, (unsigned long long)w->bytes,
				w->total_ms, w->min_ms, w->max_ms, p50, p95, p99);
		else
			fprintf(f, "%-32s %10llu %9llu %9.1f %9.1f %9.1f %9.1f\n", rp->name[i],
				(unsigned long long)w->requests, (unsigned long long)w->failures,
				p50, p95, p99, w->max_ms);
		comma = ",";
	}
	if (json)
		fputs("]}\n", f);
	fflush(f);
}
