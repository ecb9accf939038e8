// SPDX-License-Identifier: GPL-2.0-only
#include "squalld/api/events.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "lib/clock.h"
#include "lib/error.h"
#include "squalld/api/api.h"
#include "squalld/control/book.h"
#include "squalld/control/bus.h"
#include "squalld/meter/loud.h"
#include "squalld/meter/meter.h"
#include "squalld/kernel/kernel.h"

#define QUEUE	    256
#define MAX_STREAMS 128
#define MAX_TRACES  16

/* How much a stream wants of what is counted. */
enum figures { FIGURES_CHANGED, FIGURES_ALL, FIGURES_BRIEF, FIGURES_RATES, FIGURES };
static const char *const figures[FIGURES] = {"changed", "all", "brief", "rates"};

struct stream {
	struct stream *prev, *next;
	struct events *ev;
	struct MHD_Connection *conn;
	char *queue[QUEUE];
	unsigned int head, count, lost;
	size_t offset; /* of the oldest, already sent */
	bool suspended, ended;
	/* sampled packets */
	struct engine_trace *trace;
	atomic_bool trace_stop;
	uint64_t target_id; /* of the last packet, and the name it has */
	char target_name[TARGET_NAME_MAX];
	char only[TARGET_NAME_MAX]; /* this target's packets and counters only; "" = all */
	enum figures figures;
	bool traffic;
};

struct events {
	const struct api *api;
	pthread_mutex_t lock;
	struct stream head;
	atomic_uint n;
	atomic_uint traces;
	bool stopped;
	json_t *told; /* the counters of the last second; the publisher's */
};

static void on_event(void *arg, const char *type, const json_t *data);

int events_new(const struct api *api, struct events **ret)
{
	struct events *ev = calloc(1, sizeof(*ev));

	if (!ev)
		return -ENOMEM;
	pthread_mutex_init(&ev->lock, NULL);
	ev->head.next = ev->head.prev = &ev->head;
	ev->api = api;
	*ret = ev;
	bus_listen(api->bus, on_event, ev);
	return 0;
}

void events_free(struct events *ev)
{
	if (!ev)
		return;
	bus_listen(ev->api->bus, NULL, NULL);
	for (int i = 0; i < 100 && ev->traces; i++)
		usleep(20000); /* tracers look every 200 ms */
	pthread_mutex_destroy(&ev->lock);
	json_decref(ev->told);
	free(ev);
}

unsigned int events_count(const struct events *ev)
{
	return ev ? ev->n : 0;
}

static char *format(const char *type, const json_t *data)
{
	char *json = data ? json_dumps(data, JSON_COMPACT | JSON_ENSURE_ASCII | SQ_JSON_FLAGS)
			  : NULL,
	     *line = NULL;

	if (json && asprintf(&line, "event: %s\ndata: %s\n\n", type, json) < 0)
		line = NULL;
	free(json);
	return line;
}

/* The lock is held. */
static void push(struct stream *s, char *line)
{
	if (!line)
		return;
	if (s->count == QUEUE) {
		/* Never cut one that is half sent. */
		unsigned int victim = (s->head + (s->offset ? 1 : 0)) % QUEUE;

		free(s->queue[victim]);
		if (s->offset)
			s->queue[victim] = s->queue[s->head];
		s->head = (s->head + 1) % QUEUE;
		s->count--;
		s->lost++;
	}
	s->queue[(s->head + s->count++) % QUEUE] = line;
	if (s->suspended) {
		s->suspended = false;
		MHD_resume_connection(s->conn);
	}
}

/* What a stream is told of the counters, or NULL. */
static char *counters_line(const struct stream *s, const json_t *said)
{
	json_t *own, *brief;
	char *line;

	if (s->figures == FIGURES_RATES)
		return NULL;
	own = s->only[0] ? counters_of_target(said, s->only)
			 : json_incref((json_t *)(uintptr_t)said);
	brief = s->figures == FIGURES_BRIEF ? counters_brief(own) : json_incref(own);
	line = format("counters", brief);
	json_decref(brief);
	json_decref(own);
	return line;
}

static void tell_counters(struct events *ev, const json_t *data)
{
	json_t *changed = counters_changed(&ev->told, data);

	pthread_mutex_lock(&ev->lock);
	for (struct stream *s = ev->head.next; s != &ev->head; s = s->next)
		push(s, counters_line(s, s->figures == FIGURES_ALL ? data : changed));
	pthread_mutex_unlock(&ev->lock);
	json_decref(changed);
}

static void on_event(void *arg, const char *type, const json_t *data)
{
	bool rates = !strcmp(type, "rates"), traffic = !strcmp(type, "traffic");
	struct events *ev = arg;
	char *line;

	if (!strcmp(type, "counters")) {
		tell_counters(ev, data);
		return;
	}
	line = format(type, data);
	if (!line)
		return;
	pthread_mutex_lock(&ev->lock);
	for (struct stream *s = ev->head.next; s != &ev->head; s = s->next)
		/* Who looks at one target has it counted, for the history of what he sets. */
		if ((!rates || s->figures == FIGURES_RATES) &&
		    (!traffic || (s->traffic && !s->only[0])))
			push(s, strdup(line));
	pthread_mutex_unlock(&ev->lock);
	free(line);
}

/* libmicrohttpd wants more to send. */
static ssize_t read_stream(void *cls, uint64_t pos, char *buf, size_t max)
{
	struct stream *s = cls;
	struct events *ev = s->ev;
	ssize_t n = 0;

	(void)pos;
	pthread_mutex_lock(&ev->lock);
	if (s->ended) {
		n = MHD_CONTENT_READER_END_OF_STREAM;
	} else if (s->lost && !s->offset && max > 64) {
		n = snprintf(buf, max, "event: lost\ndata: {\"events\":%u}\n\n", s->lost);
		s->lost = 0;
	} else if (s->count) {
		char *line = s->queue[s->head];
		size_t left = strlen(line) - s->offset, take = left < max ? left : max;

		memcpy(buf, line + s->offset, take);
		n = (ssize_t)take;
		s->offset += take;
		if (take == left) {
			free(line);
			s->head = (s->head + 1) % QUEUE;
			s->count--;
			s->offset = 0;
		}
	} else {
		/* Under the lock, so that no publisher can come between the look and the sleep. */
		s->suspended = true;
		MHD_suspend_connection(s->conn);
	}
	pthread_mutex_unlock(&ev->lock);
	return n;
}

/* --- sampled packets --------------------------------------------------------------- */

static const char *proto_name(unsigned int proto, char *buf, size_t size)
{
	switch (proto) {
	case IPPROTO_TCP:
		return "tcp";
	case IPPROTO_UDP:
		return "udp";
	case IPPROTO_ICMP:
		return "icmp";
	case IPPROTO_ICMPV6:
		return "icmp6";
	}
	snprintf(buf, size, "%u", proto);
	return buf;
}

static json_t *packet_json(const struct stream *s, const struct sq_event *e)
{
	static const struct {
		uint32_t bit;
		const char *name;
	} what[] = {
		{SQ_E_LOST, "lost"},
		{SQ_E_DELAYED, "delayed"},
		{SQ_E_DUPLICATED, "duplicated"},
		{SQ_E_CORRUPTED, "corrupted"},
		{SQ_E_REORDERED, "reordered"},
		{SQ_E_OVER_LIMIT, "over_limit"},
		{SQ_E_BLACKHOLE, "blackhole"},
		{SQ_E_LANE_FULL, "lane_full"},
		{SQ_E_MTU, "mtu"},
		{SQ_E_HUNG, "hung"},
		{SQ_E_RESET, "reset"},
		{SQ_E_REFUSED, "refused"},
		{SQ_E_DNS, "dns"},
	};
	char id[24], number[8];
	json_t *list = json_array();

	snprintf(id, sizeof(id), "%llu", (unsigned long long)e->target);
	for (size_t i = 0; i < sizeof(what) / sizeof(what[0]); i++)
		if (e->what & what[i].bit)
			json_array_append_new(list, json_string(what[i].name));
	return json_pack("{s:I,s:I,s:o,s:s,s:i,s:s,s:i,s:o,s:I,s:s,s:o,s:o,s:i,s:i,s:i}", "time_ms",
			 (json_int_t)(sq_real_ms() - (sq_mono_ns() - e->time_ns) / 1000000u),
			 "time_ns", (json_int_t)e->time_ns, "target", json_text(s->target_name),
			 "target_id", id, "rule_id", (int)e->rule_id, "direction",
			 e->dir == SQ_UP ? "up" : "down", "clause", (int)e->clause, "what", list,
			 "delay_ns", (json_int_t)e->delay_ns, "proto",
			 proto_name(e->proto, number, sizeof(number)), "src",
			 json_endpoint(e->family, e->saddr, e->sport), "dst",
			 json_endpoint(e->family, e->daddr, e->dport), "len", (int)e->len, "segs",
			 (int)e->segs, "ifindex", (int)e->ifindex);
}

struct by_id {
	uint64_t id;
	char *name;
	size_t size;
};

static int name_of(struct rule_entry *e, void *arg)
{
	struct by_id *x = arg;

	if (!e->in_force || e->cgroup_id != x->id)
		return 0;
	snprintf(x->name, x->size, "%s", e->name);
	return 1;
}

/* Remembers the last one: most packets in a row are of one target. */
static bool wanted(struct stream *s, const struct sq_event *e)
{
	if (s->target_id != e->target) {
		struct by_id x = {e->target, s->target_name, sizeof(s->target_name)};

		pthread_mutex_lock(s->ev->api->lock);
		if (!book_each(s->ev->api->book, name_of, &x))
			snprintf(s->target_name, sizeof(s->target_name), "%llu",
				 (unsigned long long)e->target);
		pthread_mutex_unlock(s->ev->api->lock);
		s->target_id = e->target;
	}
	return !s->only[0] || strcmp(s->only, s->target_name) == 0;
}

static void stream_free(struct stream *s)
{
	for (unsigned int i = 0; i < s->count; i++)
		free(s->queue[(s->head + i) % QUEUE]);
	free(s);
}

/* Owns the stream once the connection has gone, as nobody may wait for it in the server's thread.
 */
static void *trace_thread(void *arg)
{
	struct stream *s = arg;
	struct events *ev = s->ev;

	pthread_setname_np(pthread_self(), "trace");
	while (!s->trace_stop) {
		struct sq_event e;
		json_t *json;
		char *line;

		if (engine_trace_next(s->trace, &e, 200) != 1 || !wanted(s, &e))
			continue;
		json = packet_json(s, &e);
		line = format("packet", json);
		json_decref(json);
		pthread_mutex_lock(&ev->lock);
		push(s, line);
		pthread_mutex_unlock(&ev->lock);
	}
	engine_trace_close(s->trace);
	stream_free(s);
	pthread_mutex_lock(&ev->lock);
	ev->traces--;
	pthread_mutex_unlock(&ev->lock);
	return NULL;
}

static int start_trace(struct stream *s, uint32_t every)
{
	struct events *ev = s->ev;
	pthread_attr_t attr;
	pthread_t thread;
	int rc = 0;

	pthread_mutex_lock(&ev->lock);
	if (ev->traces >= MAX_TRACES)
		rc = -EBUSY;
	else
		ev->traces++;
	pthread_mutex_unlock(&ev->lock);
	if (rc < 0)
		return rc;
	rc = engine_trace_open(s->ev->api->engine, every, &s->trace);
	if (rc == 0) {
		pthread_attr_init(&attr);
		pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
		if (pthread_create(&thread, &attr, trace_thread, s) != 0) {
			engine_trace_close(s->trace);
			s->trace = NULL;
			rc = -EAGAIN;
		}
		pthread_attr_destroy(&attr);
	}
	if (rc < 0) {
		pthread_mutex_lock(&ev->lock);
		ev->traces--;
		pthread_mutex_unlock(&ev->lock);
	}
	return rc;
}

/* --- life ----------------------------------------------------------------------------- */

static void on_done(struct request *r, void *arg)
{
	struct stream *s = arg;
	struct events *ev = api_of(r)->events;

	pthread_mutex_lock(&ev->lock);
	s->prev->next = s->next;
	s->next->prev = s->prev;
	ev->n--;
	bus_want(s->ev->api->bus, -1);
	if (s->traffic)
		loud_want(ev->api->loud, -1);
	s->suspended = false; /* the connection is going: no one may resume it */
	pthread_mutex_unlock(&ev->lock);
	if (s->trace)
		s->trace_stop = true; /* the thread frees it */
	else
		stream_free(s);
}

/* What is counted now, as the first event. */
static void push_first(struct stream *s)
{
	const struct api *a = s->ev->api;
	bool rates = s->figures == FIGURES_RATES;
	json_t *first;

	pthread_mutex_lock(a->lock);
	first = rates ? meter_rates(a->meter)
		      : counters_json(a->engine, a->book, s->only[0] ? s->only : NULL);
	pthread_mutex_unlock(a->lock);
	push(s, strdup("retry: 1000\n\n"));
	push(s, rates ? format("rates", first) : counters_line(s, first));
	json_decref(first);
}

static int ask_switch(struct request *r, const char *name, bool *ret, struct sq_error *p)
{
	char text[8];

	*ret = false;
	if (!request_query(r, name, text, sizeof(text)))
		return 0;
	if (strcmp(text, "0") != 0 && strcmp(text, "1") != 0)
		return sq_error_set(p, -EINVAL, name, "\"%.7s\" is not accepted: 0 or 1", text);
	*ret = text[0] == '1';
	return 0;
}

/* Fills s from the query. What it refuses is in p. */
static int ask(struct request *r, struct stream *s, unsigned long *every, bool *trace,
	       struct sq_error *p)
{
	struct api *a = api_of(r);
	char text[16], *end;
	struct target t;
	int rc;

	*every = 1;
	if (request_query(r, "every", text, sizeof(text))) {
		*every = strtoul(text, &end, 10);
		if (*end || end == text || *every < 1 || *every > 1000000)
			return sq_error_set(p, -EINVAL, "every",
					    "\"%.15s\" is not accepted: 1 to 1000000", text);
	}
	if (ask_switch(r, "trace", trace, p) < 0 || ask_switch(r, "traffic", &s->traffic, p) < 0)
		return -EINVAL;
	if (request_query(r, "counters", text, sizeof(text))) {
		while (s->figures < FIGURES && strcmp(text, figures[s->figures]) != 0)
			s->figures++;
		if (s->figures == FIGURES)
			return sq_error_set(
				p, -EINVAL, "counters",
				"\"%.15s\" is not accepted: changed, all, brief or rates", text);
	}
	if (!request_query(r, "target", s->only, sizeof(s->only)))
		return 0;
	pthread_mutex_lock(a->lock);
	rc = target_resolve(a->targets, s->only, &t, p);
	pthread_mutex_unlock(a->lock);
	if (rc == 0)
		strcpy(s->only, t.name);
	return rc;
}

static void stream_insert(struct events *ev, struct stream *s)
{
	/* Whoever makes an event looks first for whom it is, and holds this over both. */
	pthread_mutex_lock(ev->api->lock);
	pthread_mutex_lock(&ev->lock);
	s->next = ev->head.next;
	s->prev = &ev->head;
	s->next->prev = s;
	ev->head.next = s;
	ev->n++;
	bus_want(ev->api->bus, 1);
	if (s->traffic)
		loud_want(ev->api->loud, 1);
	pthread_mutex_unlock(&ev->lock);
	pthread_mutex_unlock(ev->api->lock);
}

enum MHD_Result events_serve(struct request *r)
{
	struct events *ev = api_of(r)->events;
	struct MHD_Response *response;
	struct sq_error p = {0};
	unsigned long every;
	struct stream *s;
	bool trace;
	int rc = 0;

	s = calloc(1, sizeof(*s));
	if (!s)
		return MHD_NO;
	s->ev = ev;
	s->conn = r->conn;
	if (ask(r, s, &every, &trace, &p) < 0) {
		stream_free(s);
		return reply_problem(r, &p);
	}
	push_first(s);
	response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 16384, read_stream, s, NULL);
	if (!response) {
		stream_free(s);
		return MHD_NO;
	}
	pthread_mutex_lock(&ev->lock);
	if (ev->stopped || ev->n >= MAX_STREAMS)
		rc = -EBUSY;
	pthread_mutex_unlock(&ev->lock);
	if (rc == 0 && trace)
		rc = start_trace(s, (uint32_t)every);
	if (rc < 0) {
		MHD_destroy_response(response);
		stream_free(s);
		return reply_status(r, 503, "",
				    "too many event streams, or tracing cannot start: %s",
				    strerror(-rc));
	}
	stream_insert(ev, s);
	r->on_done = on_done;
	r->done_arg = s;
	return reply_stream(r, response);
}

void events_stop(struct events *ev)
{
	if (!ev)
		return;
	pthread_mutex_lock(&ev->lock);
	ev->stopped = true;
	for (struct stream *s = ev->head.next; s != &ev->head; s = s->next) {
		s->ended = true;
		if (s->suspended) {
			s->suspended = false;
			MHD_resume_connection(s->conn);
		}
	}
	pthread_mutex_unlock(&ev->lock); /* Tracers end with their connections, which http_stop()
					    closes; see events_free(). */
}
