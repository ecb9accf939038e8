// SPDX-License-Identifier: GPL-2.0-only
/* GET /metrics: Prometheus' text format, version 0.0.4. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "squalld/api/api.h"
#include "squalld/control/book.h"
#include "squalld/discovery/docker.h"
#include "squalld/api/events.h"
#include "squalld/control/state.h"
#include "squalld/kernel/kernel.h"

static const struct {
	const char *what;
	size_t pkts, bytes;
} columns[] = {
	{"seen", offsetof(struct sq_counters, seen_pkts), offsetof(struct sq_counters, seen_bytes)},
	{"lost", offsetof(struct sq_counters, lost_pkts), offsetof(struct sq_counters, lost_bytes)},
	{"delayed", offsetof(struct sq_counters, delayed_pkts),
	 offsetof(struct sq_counters, delayed_bytes)},
	{"duplicated", offsetof(struct sq_counters, duplicated_pkts),
	 offsetof(struct sq_counters, duplicated_bytes)},
	{"corrupted", offsetof(struct sq_counters, corrupted_pkts),
	 offsetof(struct sq_counters, corrupted_bytes)},
	{"reordered", offsetof(struct sq_counters, reordered_pkts),
	 offsetof(struct sq_counters, reordered_bytes)},
	{"over_limit", offsetof(struct sq_counters, over_limit_pkts),
	 offsetof(struct sq_counters, over_limit_bytes)},
};
#define N_COLUMNS (sizeof(columns) / sizeof(columns[0]))

struct row {
	char labels[TARGET_NAME_MAX * 2];
	struct sq_counters c;
};

struct flow_row {
	char target[TARGET_NAME_MAX + 64];
	struct flow_count c[FLOW_COUNTS];
};

struct rows {
	struct engine *engine;
	struct flow_row *flows;
	size_t n_flows;
	struct row **row;
	size_t n, cap;
};

/* A label's value: backslash, quote and newline are escaped; bytes that are not UTF-8 are replaced.
 */
static void escape(char *out, size_t size, const char *in)
{
	json_t *clean = json_text(in);
	size_t n = 0;

	for (const char *s = json_string_value(clean); s && *s && n + 3 < size; s++) {
		if (*s == '\\' || *s == '"' || *s == '\n')
			out[n++] = '\\';
		out[n++] = *s == '\n' ? 'n' : *s;
	}
	out[n] = 0;
	json_decref(clean);
}

static void gather_flows(struct rows *rows, struct rule_entry *e, const char *name)
{
	struct flow_row *p, row;

	if (!flow_counts(rows->engine, e, row.c))
		return;
	snprintf(row.target, sizeof(row.target), "%s", name);
	p = realloc(rows->flows, (rows->n_flows + 1) * sizeof(*p));
	if (!p)
		return;
	rows->flows = p;
	p[rows->n_flows++] = row;
}

static void flow_family(FILE *f, const struct rows *rows)
{
	fprintf(f,
		"# HELP squall_flows Flows of targets whose rule follows them, since it was set; "
		"full: packets whose flow found no place and passed.\n"
		"# TYPE squall_flows gauge\n");
	for (size_t i = 0; i < rows->n_flows; i++)
		for (int k = 0; k < FLOW_COUNTS; k++)
			fprintf(f, "squall_flows{target=\"%s\",what=\"%s\"} %llu\n",
				rows->flows[i].target, rows->flows[i].c[k].what,
				(unsigned long long)rows->flows[i].c[k].n);
}

static int gather(struct rule_entry *e, void *arg)
{
	struct rows *rows = arg;
	char name[TARGET_NAME_MAX + 64];

	if (!e->in_force)
		return 0;
	escape(name, sizeof(name), e->name);
	gather_flows(rows, e, name);
	for (uint32_t i = 0; i < e->rule.n_clauses && i < SQ_MAX_CLAUSES; i++) {
		for (int dir = 0; dir < SQ_DIRS; dir++) {
			const struct sq_faults *f = &e->rule.clause[i].faults[dir];
			struct row *row;

			if (!(f->flags & SQ_F_ACTIVE))
				continue;
			if (rows->n == rows->cap) {
				size_t cap = rows->cap ? rows->cap * 2 : 64;
				struct row **p = realloc(rows->row, cap * sizeof(*p));

				if (!p)
					return -1;
				rows->row = p;
				rows->cap = cap;
			}
			row = malloc(sizeof(*row));
			if (!row || engine_counters(rows->engine, f->counter, &row->c) < 0) {
				free(row);
				continue;
			}
			snprintf(row->labels, sizeof(row->labels),
				 "target=\"%s\",clause=\"%u\",direction=\"%s\"", name, i,
				 dir == SQ_UP ? "up" : "down");
			rows->row[rows->n++] = row;
		}
	}
	return 0;
}

static void family(FILE *f, const struct rows *rows, const char *unit)
{
	bool bytes = strcmp(unit, "bytes") == 0;

	fprintf(f,
		"# HELP squall_%s_total %s of ruled targets, by what was done to them.\n# TYPE "
		"squall_%s_total counter\n",
		unit, bytes ? "Bytes" : "Packets", unit);
	for (size_t i = 0; i < rows->n; i++) {
		for (size_t k = 0; k < N_COLUMNS; k++) {
			const char *c = (const char *)&rows->row[i]->c;
			__u64 v;

			memcpy(&v, c + (bytes ? columns[k].bytes : columns[k].pkts), sizeof(v));
			fprintf(f, "squall_%s_total{%s,what=\"%s\"} %llu\n", unit,
				rows->row[i]->labels, columns[k].what, (unsigned long long)v);
		}
	}
}

static void gauge(FILE *f, const char *name, const char *type, const char *help, double value)
{
	fprintf(f, "# HELP %s %s\n# TYPE %s %s\n%s %.17g\n", name, help, name, type, name, value);
}

/* What the machinery itself lost: no rule asked for it. */
static void lanes(FILE *f, const struct rows *rows)
{
	struct engine_lane lane;

	engine_lane_stats(rows->engine, &lane);
	gauge(f, "squall_lane_waiting_packets", "gauge", "Packets that wait in the lanes.",
	      (double)lane.waiting_pkts);
	gauge(f, "squall_lane_waiting_bytes", "gauge", "Bytes that wait in the lanes.",
	      (double)lane.waiting_bytes);
	gauge(f, "squall_lane_max_bytes", "gauge", "Bytes that may wait: --lane-memory.",
	      (double)lane.max_bytes);
	gauge(f, "squall_lane_mended_total", "counter",
	      "Times that somebody broke a lane's devices and they were made right.",
	      (double)lane.mended);
	gauge(f, "squall_lane_late_seconds", "gauge",
	      "How long after its time a packet left its lane, at most, in the last minute.",
	      (double)lane.late_ns / 1e9);
	fprintf(f, "# HELP squall_lane_lost_packets_total Packets that squalld itself lost, which "
		   "no rule asked for.\n# TYPE squall_lane_lost_packets_total counter\n");
	for (int i = 0; i < LANE_LOSSES; i++)
		fprintf(f, "squall_lane_lost_packets_total{reason=\"%s\"} %llu\n",
			engine_lane_loss(i, NULL), (unsigned long long)lane.lost[i]);
	fprintf(f, "# HELP squall_target_lane_lost_packets_total The same by target, where a full "
		   "lane was the reason.\n# TYPE squall_target_lane_lost_packets_total counter\n");
	for (size_t i = 0; i < rows->n; i++)
		fprintf(f, "squall_target_lane_lost_packets_total{%s} %llu\n", rows->row[i]->labels,
			(unsigned long long)rows->row[i]->c.lane_lost_pkts);
}

enum MHD_Result api_metrics(struct request *r)
{
	struct api *a = api_of(r);
	struct rows rows = {.engine = a->engine};
	struct sq_error err = {0};
	unsigned int running, all, rules;
	enum MHD_Result result;
	uint64_t changes;
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return MHD_NO;
	pthread_mutex_lock(a->lock);
	book_each(a->book, gather, &rows);
	targets_count(a->targets, &running, &all);
	rules = book_count(a->book);
	changes = book_changes(a->book);
	pthread_mutex_unlock(a->lock);

	gauge(f, "squall_up", "gauge", "1 if packets are faulted as the rules say.",
	      engine_health(a->engine, true, &err) >= 0);
	gauge(f, "squall_rules", "gauge", "Rules in the book.", rules);
	gauge(f, "squall_rule_changes_total", "counter",
	      "Rules set, replaced, suspended and deleted.", (double)changes);
	gauge(f, "squall_containers", "gauge", "Containers known.", all);
	gauge(f, "squall_containers_running", "gauge", "Containers running.", running);
	gauge(f, "squall_event_streams", "gauge", "Open event streams.", events_count(a->events));
	gauge(f, "squall_http_requests_total", "counter", "HTTP requests received.",
	      (double)http_requests(a->http));
	gauge(f, "squall_state_error", "gauge", "1 if the state directory cannot be written.",
	      state_error(a->state) != 0);
	gauge(f, "squall_start_time_seconds", "gauge",
	      "When squalld started, seconds since the epoch.", (double)a->started_ms / 1000);
	lanes(f, &rows);
	family(f, &rows, "packets");
	family(f, &rows, "bytes");
	flow_family(f, &rows);
	free(rows.flows);
	fprintf(f, "# HELP squall_errors_total Packets that passed unfaulted because a kernel "
		   "helper failed.\n"
		   "# TYPE squall_errors_total counter\n");
	for (size_t i = 0; i < rows.n; i++) {
		fprintf(f, "squall_errors_total{%s} %llu\n", rows.row[i]->labels,
			(unsigned long long)rows.row[i]->c.errors);
		free(rows.row[i]);
	}
	free(rows.row);
	fclose(f);
	result = reply_text(r, 200, "text/plain; version=0.0.4; charset=utf-8", text, len);
	free(text);
	return result;
}
