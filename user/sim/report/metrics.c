// SPDX-License-Identifier: GPL-2.0-only
/* Prometheus' text format. */
#include <stdlib.h>
#include <string.h>
#include "sim/web/web.h"

static const double bounds[] = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
				0.25,	0.5,   1,      2.5,   5,    10,	   30,	 60};

static void head(FILE *f, const char *name, const char *type, const char *help)
{
	fprintf(f, "# HELP squall_sim_%s %s\n# TYPE squall_sim_%s %s\n", name, help, name, type);
}

static void histogram(FILE *f, const struct sim_tally *t, unsigned i)
{
	const struct sim_row *r = &t->row[i];
	const char *type = sim_engine_type_name(t->e, i / SIM_NAMES);
	const char *name = sim_name_text((enum sim_name)(i % SIM_NAMES));
	unsigned cell = 0;
	uint64_t n = 0;

	for (size_t b = 0; b < sizeof(bounds) / sizeof(*bounds); b++) {
		while (cell < SIM_HIST_CELLS && sim_hist_ms(cell) <= bounds[b] * 1000)
			n += r->hist.cell[cell++];
		fprintf(f,
			"squall_sim_request_seconds_bucket{type=\"%s\",name=\"%s\",le=\"%g\"} "
			"%llu\n",
			type, name, bounds[b], (unsigned long long)n);
	}
	fprintf(f,
		"squall_sim_request_seconds_bucket{type=\"%s\",name=\"%s\",le=\"+Inf\"} %llu\n"
		"squall_sim_request_seconds_sum{type=\"%s\",name=\"%s\"} %.9g\n"
		"squall_sim_request_seconds_count{type=\"%s\",name=\"%s\"} %llu\n",
		type, name, (unsigned long long)(r->requests - r->failures), type, name,
		r->total_ms / 1000, type, name, (unsigned long long)(r->requests - r->failures));
}

static void experiment(FILE *f, const struct sim_tally *t)
{
	if (!*t->experiment)
		return;
	head(f, "experiment_phase", "gauge", "1 for the phase that an experiment is in.");
	fputs("squall_sim_experiment_phase{experiment=\"", f);
	for (const char *s = t->experiment; *s; s++)
		fprintf(f, *s == '"' || *s == '\\' ? "\\%c" : *s == '\n' ? " " : "%c", *s);
	fprintf(f, "\",phase=\"%s\",fault=\"%s\"} 1\n", t->phase, t->fault);
}

char *sim_metrics_text(struct sim_tally *t)
{
	const struct sim_totals *x = &t->tot;
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return NULL;
	pthread_mutex_lock(&t->lock);
	head(f, "devices", "gauge", "Devices by state.");
	fprintf(f,
		"squall_sim_devices{state=\"target\"} %u\nsquall_sim_devices{state=\"running\"} "
		"%u\n"
		"squall_sim_devices{state=\"connected\"} %u\nsquall_sim_devices{state=\"backoff\"} "
		"%u\n",
		t->counts.target, t->counts.running, t->counts.connected, t->counts.backoff);
	experiment(f, t);
	head(f, "messages_in_flight", "gauge", "Messages neither acknowledged nor failed yet.");
	fprintf(f, "squall_sim_messages_in_flight %llu\n", (unsigned long long)x->in_flight);
#define COUNTER(name, field, help)                                                                 \
	head(f, name "_total", "counter", help);                                                   \
	fprintf(f, "squall_sim_" name "_total %llu\n", (unsigned long long)x->field)
	COUNTER("messages_scheduled", scheduled, "Messages that fell due.");
	COUNTER("messages_acked", acked, "Messages acknowledged; for QoS 0 written.");
	COUNTER("messages_failed", failed, "Messages that failed.");
	COUNTER("connects", connects,
		"Connections accepted by the broker, with the subscriptions if there are any.");
	COUNTER("connect_failures", connect_failures, "Connects that failed.");
	COUNTER("devices_not_made", not_made, "Devices that could not be made.");
	COUNTER("reconnects", reconnects, "Connections after a device's first.");
	COUNTER("connections_lost", lost_connections, "Connections lost.");
	COUNTER("tls_resumed", resumed, "TLS sessions resumed.");
	COUNTER("received", received, "Messages received.");
	COUNTER("received_duplicates", duplicates, "Marked messages received again.");
	COUNTER("bytes_out", bytes_out, "Bytes written.");
	COUNTER("bytes_in", bytes_in, "Bytes read.");
#undef COUNTER
	head(f, "cpu_seconds_total", "counter", "CPU time of the shards.");
	fprintf(f, "squall_sim_cpu_seconds_total %.6f\n", x->cpu_s);
	head(f, "request_failures_total", "counter", "Failures by kind.");
	for (unsigned i = 0; i < t->nerrors; i++) {
		const struct sim_error *e = &t->error[i];
		uint64_t sum = 0;
		bool before = false;

		/* Several texts may share a kind, and a series may stand only once. */
		for (unsigned k = 0; k < t->nerrors; k++) {
			const struct sim_error *o = &t->error[k];

			if (o->type != e->type || o->name != e->name || strcmp(o->kind, e->kind))
				continue;
			before |= k < i;
			sum += o->occurrences;
		}
		if (!before)
			fprintf(f,
				"squall_sim_request_failures_total{type=\"%s\",name=\"%s\",kind="
				"\"%s\"} %llu\n",
				sim_engine_type_name(t->e, e->type), sim_name_text(e->name),
				e->kind, (unsigned long long)sum);
	}
	head(f, "request_seconds", "histogram", "Times from the scheduled moment.");
	for (unsigned i = 0; i < t->nrows; i++)
		if (t->row[i].used)
			histogram(f, t, i);
	pthread_mutex_unlock(&t->lock);
	fclose(f);
	return text;
}
