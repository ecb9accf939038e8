// SPDX-License-Identifier: GPL-2.0-only
/* Locust's CSV files, column for column, so that what reads those reads ours. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "sim/fleet/options.h"
#include "sim/report/report.h"

static const double parts[] = {0.5, 0.66, 0.75, 0.80, 0.90, 0.95, 0.98, 0.99, 0.999, 0.9999, 1.0};
#define NPARTS (sizeof(parts) / sizeof(*parts))
static const char part_names[] = "50%,66%,75%,80%,90%,95%,98%,99%,99.9%,99.99%,100%";

/* Locust's Name: the type and the request; its Type column is the method. */
static void row_name(const struct sim_tally *t, unsigned i, char *buf, size_t cap)
{
	const char *type = sim_engine_type_name(t->e, i / SIM_NAMES);
	const char *name = sim_name_text((enum sim_name)(i % SIM_NAMES));

	if (sim_engine_types(t->e) == 1)
		snprintf(buf, cap, "%s", name);
	else
		snprintf(buf, cap, "%s %s", type, name);
}

/* A time in ms; of no sample there is none, and Locust's word for that is this. */
static void put_ms(FILE *f, bool any, double ms)
{
	if (any)
		fprintf(f, ",%.6g", ms);
	else
		fputs(",N/A", f);
}

static void quantiles(const struct sim_hist *h, bool any, FILE *f)
{
	for (size_t i = 0; i < NPARTS; i++)
		put_ms(f, any, sim_hist_quantile(h, parts[i]));
}

/* Median, average, shortest, longest, and the bytes of a message. */
static void figures(const struct sim_row *r, FILE *f)
{
	uint64_t timed = r->requests - r->failures;

	put_ms(f, timed, sim_hist_quantile(&r->hist, 0.5));
	put_ms(f, timed, timed ? r->total_ms / (double)timed : 0);
	put_ms(f, timed, r->min_ms);
	put_ms(f, timed, r->max_ms);
	fprintf(f, ",%.2f", r->requests ? (double)r->bytes / (double)r->requests : 0);
}

static void stats_row(const struct sim_row *r, const char *method, const char *name, double seconds,
		      FILE *f)
{
	uint64_t timed = r->requests - r->failures;

	fprintf(f, "%s,%s,%llu,%llu", method, name, (unsigned long long)r->requests,
		(unsigned long long)r->failures);
	figures(r, f);
	fprintf(f, ",%.6f,%.6f", seconds > 0 ? (double)r->requests / seconds : 0,
		seconds > 0 ? (double)r->failures / seconds : 0);
	quantiles(&r->hist, timed > 0, f);
	fputs("\r\n", f);
}

static void total_row(struct sim_tally *t, struct sim_row *ret)
{
	memset(ret, 0, sizeof(*ret));
	for (unsigned i = 0; i < t->nrows; i++) {
		const struct sim_row *r = &t->row[i];

		if (!r->used)
			continue;
		sim_row_add(ret, r);
	}
}

void sim_csv_stats(struct sim_tally *t, FILE *f)
{
	struct sim_row *total = malloc(sizeof(*total));
	char name[128];

	fprintf(f,
		"Type,Name,Request Count,Failure Count,Median Response Time,Average Response Time,"
		"Min Response Time,Max Response Time,Average Content Size,Requests/s,Failures/s,%s"
		"\r\n",
		part_names);
	for (unsigned i = 0; i < t->nrows; i++) {
		if (!t->row[i].used)
			continue;
		row_name(t, i, name, sizeof(name));
		stats_row(&t->row[i], "MQTT", name, sim_tally_publishing_s(t), f);
	}
	if (total) {
		total_row(t, total);
		stats_row(total, "", "Aggregated", sim_tally_publishing_s(t), f);
	}
	free(total);
}

int sim_csv_open(const char *prefix, FILE **ret_history, struct sq_error *err)
{
	char path[300];
	FILE *f;

	snprintf(path, sizeof(path), "%s_stats_history.csv", prefix);
	f = fopen(path, "we");
	if (!f)
		return sq_bad(err, "csv '%.200s': %s", path, strerror(errno));
	fprintf(f,
		"Timestamp,User Count,Type,Name,Requests/s,Failures/s,%s,Total Request Count,Total "
		"Failure Count,Total Median Response Time,Total Average Response Time,Total Min "
		"Response Time,Total Max Response Time,Total Average Content Size\r\n",
		part_names);
	*ret_history = f;
	return 0;
}

void sim_csv_history(struct sim_tally *t, FILE *f)
{
	struct sim_row *r = malloc(sizeof(*r));
	uint64_t timed;

	if (!r)
		return;
	total_row(t, r);
	timed = r->requests - r->failures;
	fprintf(f, "%lld,%u,,Aggregated,%.6f,%.6f", (long long)time(NULL), t->counts.running,
		t->dt_s > 0 ? (double)r->now_requests / t->dt_s : 0,
		t->dt_s > 0 ? (double)r->now_failures / t->dt_s : 0);
	quantiles(&r->hist, timed > 0, f);
	fprintf(f, ",%llu,%llu", (unsigned long long)r->requests, (unsigned long long)r->failures);
	figures(r, f);
	fputs("\r\n", f);
	fflush(f);
	free(r);
}

/* 0, or the file is not what it should be: a full disk tells it only now. */
static int finish(FILE *f, const char *prefix, const char *part, struct sq_error *err)
{
	bool before = ferror(f); /* then why is not known any more */
	int e = fclose(f) ? errno : 0;

	if (!before && !e)
		return 0;
	return sq_bad(err, "csv '%.200s_%s.csv': not all of it could be written%s%s", prefix, part,
		      e ? ": " : "", e ? strerror(e) : "");
}

int sim_csv_close(FILE *history, const char *prefix, struct sq_error *err)
{
	return finish(history, prefix, "stats_history", err);
}

int sim_csv_write(struct sim_tally *t, const char *prefix, struct sq_error *err)
{
	char path[300], name[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s_stats.csv", prefix);
	f = fopen(path, "we");
	if (!f)
		return sq_bad(err, "csv '%.200s': %s", path, strerror(errno));
	sim_csv_stats(t, f);
	if (finish(f, prefix, "stats", err))
		return -EINVAL;
	snprintf(path, sizeof(path), "%s_failures.csv", prefix);
	f = fopen(path, "we");
	if (!f)
		return sq_bad(err, "csv '%.200s': %s", path, strerror(errno));
	fputs("Method,Name,Error,Occurrences\r\n", f);
	for (unsigned i = 0; i < t->nerrors; i++) {
		const struct sim_error *e = &t->error[i];

		row_name(t, e->type * SIM_NAMES + e->name, name, sizeof(name));
		/* What a broker says may have quotes in it. */
		fprintf(f, "MQTT,%s,\"", name);
		for (const char *c = e->text; *c; c++)
			fprintf(f, *c == '"' ? "\"\"" : "%c", *c);
		fprintf(f, "\",%llu\r\n", (unsigned long long)e->occurrences);
	}
	return finish(f, prefix, "failures", err);
}
