// SPDX-License-Identifier: GPL-2.0-only
/*
 * Messages to the master. What a master makes of a malformed one was tried:
 * a spawning_complete without its counts, or a client_ready with a map, ends
 * its listener and with it the test. So a caller cannot leave a field out, and
 * no text or number gets through that Python's unpacker or the UI's JSON would
 * choke on.
 */
#include "sim/locust/proto.h"

#include <errno.h>
#include <math.h>
#include <msgpack.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Memory is the only thing that fails; remembered, asked for at the end. */
struct out {
	msgpack_sbuffer buf;
	msgpack_packer pk;
	bool failed;
};

static int out_write(void *data, const char *bytes, size_t len)
{
	struct out *o = data;

	if (!o->failed && msgpack_sbuffer_write(&o->buf, bytes, len))
		o->failed = true;
	return 0;
}

/* Length of the UTF-8 sequence at s, 0 if it is none (overlong, surrogate). */
static unsigned int utf8_len(const unsigned char *s, size_t left)
{
	unsigned int n, i;

	if (*s < 0x80)
		return 1;
	n = *s >= 0xc2 && *s <= 0xdf   ? 2
	    : *s >= 0xe0 && *s <= 0xef ? 3
	    : *s >= 0xf0 && *s <= 0xf4 ? 4
				       : 0;
	if (!n || left < n)
		return 0;
	for (i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((*s == 0xe0 && s[1] < 0xa0) || (*s == 0xed && s[1] > 0x9f) ||
	    (*s == 0xf0 && s[1] < 0x90) || (*s == 0xf4 && s[1] > 0x8f))
		return 0;
	return n;
}

/* At most max bytes, cut between characters; what is not UTF-8 becomes '?'. */
static void put_text(struct out *o, const char *text, size_t max)
{
	const unsigned char *s = (const unsigned char *)(text ? text : "");
	size_t len = strlen((const char *)s), in = 0, n = 0;
	char *copy = malloc(max + 1);

	if (!copy) {
		o->failed = true;
		return;
	}
	while (in < len) {
		unsigned int c = utf8_len(s + in, len - in);

		if (n + (c ? c : 1) > max)
			break;
		if (c)
			memcpy(copy + n, s + in, c);
		else
			copy[n] = '?';
		n += c ? c : 1;
		in += c ? c : 1;
	}
	msgpack_pack_str(&o->pk, n);
	msgpack_pack_str_body(&o->pk, copy, n);
	free(copy);
}

static void put_key(struct out *o, const char *key)
{
	msgpack_pack_str(&o->pk, strlen(key));
	msgpack_pack_str_body(&o->pk, key, strlen(key));
}

/* NaN and infinity become JSON that no browser reads. */
static void put_double(struct out *o, double v)
{
	msgpack_pack_double(&o->pk, isfinite(v) && v > 0 ? v : 0);
}

static void start(struct out *o, const char *type)
{
	o->failed = false;
	msgpack_sbuffer_init(&o->buf);
	msgpack_packer_init(&o->pk, o, out_write);
	msgpack_pack_array(&o->pk, 3);
	put_key(o, type);
}

static int finish(struct out *o, const char *node, struct locust_frame *f)
{
	put_text(o, node, LOCUST_NAME_MAX);
	if (o->failed) {
		msgpack_sbuffer_destroy(&o->buf);
		*f = (struct locust_frame){0};
		return -ENOMEM;
	}
	f->len = o->buf.size;
	f->data = msgpack_sbuffer_release(&o->buf);
	return 0;
}

void locust_frame_free(struct locust_frame *frame)
{
	free(frame->data);
	*frame = (struct locust_frame){0};
}

/*
 * A version string must equal the master's own or it warns, and Debian's
 * 2.12.1 has an empty one, which it takes for "pre 2.0" and refuses. -1 is
 * the value that every master takes without a word.
 */
int locust_put_client_ready(struct locust_frame *f, const char *node)
{
	struct out o;

	start(&o, "client_ready");
	msgpack_pack_int(&o.pk, -1);
	return finish(&o, node, f);
}

int locust_put_simple(struct locust_frame *f, const char *node, const char *type)
{
	struct out o;

	start(&o, type);
	msgpack_pack_nil(&o.pk);
	return finish(&o, node, f);
}

int locust_put_heartbeat(struct locust_frame *f, const char *node, const char *state,
			 double cpu_percent, uint64_t memory_bytes)
{
	struct out o;

	start(&o, "heartbeat");
	msgpack_pack_map(&o.pk, 3);
	put_key(&o, "state");
	put_text(&o, state, LOCUST_NAME_MAX);
	put_key(&o, "current_cpu_usage");
	/* One decimal, as the UI shows it. */
	put_double(&o, isfinite(cpu_percent) ? round(cpu_percent * 10) / 10 : 0);
	put_key(&o, "current_memory_usage");
	msgpack_pack_uint64(&o.pk, memory_bytes);
	return finish(&o, node, f);
}

static uint64_t not_negative(int64_t v)
{
	return v > 0 ? (uint64_t)v : 0;
}

static void put_classes(struct out *o, const struct locust_class *classes, size_t n)
{
	uint64_t total = 0;
	size_t i;

	put_key(o, "user_classes_count");
	msgpack_pack_map(&o->pk, n);
	for (i = 0; i < n; i++) {
		put_text(o, classes[i].name, LOCUST_NAME_MAX);
		msgpack_pack_uint64(&o->pk, not_negative(classes[i].count));
		total += not_negative(classes[i].count);
	}
	put_key(o, "user_count");
	msgpack_pack_uint64(&o->pk, total);
}

int locust_put_spawning_complete(struct locust_frame *f, const char *node,
				 const struct locust_class *classes, size_t n)
{
	struct out o;

	start(&o, "spawning_complete");
	msgpack_pack_map(&o.pk, 2);
	put_classes(&o, classes, n);
	return finish(&o, node, f);
}

int locust_put_fault_answer(struct locust_frame *f, const char *node, const struct fault_answer *a)
{
	struct out o;

	start(&o, "squall.fault.result");
	msgpack_pack_map(&o.pk, 7);
	put_key(&o, "v");
	msgpack_pack_int(&o.pk, 1);
	put_key(&o, "id");
	put_text(&o, a->id, FAULT_ID);
	put_key(&o, "op");
	put_text(&o, a->op, FAULT_ID);
	put_key(&o, "ok");
	a->ok ? msgpack_pack_true(&o.pk) : msgpack_pack_false(&o.pk);
	put_key(&o, "text");
	put_text(&o, a->text, LOCUST_TEXT_MAX);
	put_key(&o, "host");
	put_text(&o, a->host, LOCUST_NAME_MAX);
	put_key(&o, "squalld");
	put_text(&o, a->squalld, LOCUST_ERROR_MAX);
	return finish(&o, node, f);
}

int locust_put_exception(struct locust_frame *f, const char *node, const char *msg,
			 const char *traceback)
{
	struct out o;

	start(&o, "exception");
	msgpack_pack_map(&o.pk, 2);
	put_key(&o, "msg");
	put_text(&o, msg, LOCUST_TEXT_MAX);
	put_key(&o, "traceback");
	put_text(&o, traceback, LOCUST_TEXT_MAX);
	return finish(&o, node, f);
}

static void put_pairs(struct out *o, const char *key, struct locust_pairs p)
{
	size_t i;

	put_key(o, key);
	msgpack_pack_map(&o->pk, p.n);
	for (i = 0; i < p.n; i++) {
		msgpack_pack_int64(&o->pk, p.at[i].key);
		msgpack_pack_uint64(&o->pk, p.at[i].n);
	}
}

static void put_entry(struct out *o, const struct locust_entry *e, const struct locust_report *r)
{
	bool timed = e->requests > e->none_requests;

	msgpack_pack_map(&o->pk, 14);
	put_key(o, "name");
	put_text(o, e->name, LOCUST_NAME_MAX);
	put_key(o, "method");
	put_text(o, e->method, LOCUST_NAME_MAX);
	put_key(o, "last_request_timestamp");
	if (e->requests && r->last_request > 0)
		put_double(o, r->last_request);
	else
		msgpack_pack_nil(&o->pk);
	put_key(o, "start_time");
	put_double(o, r->start_time);
	put_key(o, "num_requests");
	msgpack_pack_uint64(&o->pk, e->requests);
	put_key(o, "num_none_requests");
	msgpack_pack_uint64(&o->pk, e->none_requests);
	put_key(o, "num_failures");
	msgpack_pack_uint64(&o->pk, e->failures);
	put_key(o, "total_response_time");
	put_double(o, e->total_ms);
	put_key(o, "max_response_time");
	put_double(o, e->max_ms);
	/* 0 is a real minimum: "none" has to be nil. */
	put_key(o, "min_response_time");
	if (timed)
		put_double(o, e->min_ms);
	else
		msgpack_pack_nil(&o->pk);
	put_key(o, "total_content_length");
	msgpack_pack_uint64(&o->pk, e->content_bytes);
	put_pairs(o, "response_times", e->times);
	put_pairs(o, "num_reqs_per_sec", e->requests_per_s);
	put_pairs(o, "num_fail_per_sec", e->failures_per_s);
}

/*
 * Keyed by any text that is the same for the same failure on every worker, so
 * that the master adds them up (Locust's own workers use a SHA-256).
 */
static void put_error(struct out *o, const struct locust_error *e)
{
	char key[LOCUST_NAME_MAX * 2 + LOCUST_ERROR_MAX];

	snprintf(key, sizeof(key), "%s.%s.%s", e->method, e->name, e->error);
	put_text(o, key, sizeof(key));
	/* first_seen and last_seen: read since 2.44, ignored by older masters. */
	msgpack_pack_map(&o->pk, e->first_seen > 0 ? 6 : 4);
	put_key(o, "name");
	put_text(o, e->name, LOCUST_NAME_MAX);
	put_key(o, "method");
	put_text(o, e->method, LOCUST_NAME_MAX);
	put_key(o, "error");
	put_text(o, e->error, LOCUST_ERROR_MAX);
	put_key(o, "occurrences");
	msgpack_pack_uint64(&o->pk, e->occurrences);
	if (e->first_seen > 0) {
		put_key(o, "first_seen");
		put_double(o, e->first_seen);
		put_key(o, "last_seen");
		put_double(o, e->last_seen);
	}
}

static bool entry_empty(const struct locust_entry *e)
{
	return !e->requests && !e->failures;
}

static int pair_cmp(const void *a, const void *b)
{
	int64_t x = ((const struct locust_pair *)a)->key, y = ((const struct locust_pair *)b)->key;

	return (x > y) - (x < y);
}

static struct locust_pairs map_of(const struct locust_entry *e, size_t offset)
{
	return *(const struct locust_pairs *)((const char *)e + offset);
}

/* The sum of one map of all entries; `map` is its offset in an entry. */
static int sum_pairs(const struct locust_report *r, size_t map, struct locust_pairs *ret)
{
	struct locust_pair *all;
	size_t i, n = 0, out = 0;

	for (i = 0; i < r->n_entries; i++)
		n += map_of(&r->entries[i], map).n;
	all = calloc(n + 1, sizeof(*all));
	if (!all)
		return -ENOMEM;
	for (i = 0, n = 0; i < r->n_entries; i++) {
		struct locust_pairs p = map_of(&r->entries[i], map);

		if (p.n)
			memcpy(&all[n], p.at, p.n * sizeof(*all));
		n += p.n;
	}
	qsort(all, n, sizeof(*all), pair_cmp);
	for (i = 0; i < n; i++) {
		if (out && all[out - 1].key == all[i].key)
			all[out - 1].n += all[i].n;
		else
			all[out++] = all[i];
	}
	*ret = (struct locust_pairs){all, out};
	return 0;
}

static int sum_entries(const struct locust_report *r, struct locust_entry *t)
{
	bool timed = false;
	size_t i;

	*t = (struct locust_entry){.name = "Aggregated", .method = ""};
	for (i = 0; i < r->n_entries; i++) {
		const struct locust_entry *e = &r->entries[i];

		t->requests += e->requests;
		t->none_requests += e->none_requests;
		t->failures += e->failures;
		t->content_bytes += e->content_bytes;
		t->total_ms += e->total_ms;
		if (e->requests > e->none_requests) {
			t->min_ms = timed ? fmin(t->min_ms, e->min_ms) : e->min_ms;
			t->max_ms = timed ? fmax(t->max_ms, e->max_ms) : e->max_ms;
			timed = true;
		}
	}
	if (sum_pairs(r, offsetof(struct locust_entry, times), &t->times) ||
	    sum_pairs(r, offsetof(struct locust_entry, requests_per_s), &t->requests_per_s) ||
	    sum_pairs(r, offsetof(struct locust_entry, failures_per_s), &t->failures_per_s))
		return -ENOMEM;
	return 0;
}

int locust_put_stats(struct locust_frame *f, const char *node, const struct locust_report *r)
{
	struct locust_entry total;
	struct out o;
	size_t i, n = 0;
	int ret = -ENOMEM;

	*f = (struct locust_frame){0};
	if (sum_entries(r, &total))
		goto out;
	start(&o, "stats");
	msgpack_pack_map(&o.pk, 5);
	/* A master makes a row of whatever it gets: no row for what did not happen. */
	for (i = 0; i < r->n_entries; i++)
		n += !entry_empty(&r->entries[i]);
	put_key(&o, "stats");
	msgpack_pack_array(&o.pk, n);
	for (i = 0; i < r->n_entries; i++)
		if (!entry_empty(&r->entries[i]))
			put_entry(&o, &r->entries[i], r);
	put_key(&o, "stats_total");
	put_entry(&o, &total, r);
	put_key(&o, "errors");
	msgpack_pack_map(&o.pk, r->n_errors);
	for (i = 0; i < r->n_errors; i++)
		put_error(&o, &r->errors[i]);
	put_classes(&o, r->classes, r->n_classes);
	ret = finish(&o, node, f);
out:
	free((void *)total.times.at);
	free((void *)total.requests_per_s.at);
	free((void *)total.failures_per_s.at);
	return ret;
}
