// SPDX-License-Identifier: GPL-2.0-only
/*
 * The HTTP side: who may ask, which path is what, the event stream. A thread per connection; the
 * shards know nothing of it.
 */
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "lib/httpd/address.h"
#include "lib/httpd/framing.h"
#include "lib/httpd/gate.h"
#include "lib/httpd/guard.h"
#include "lib/experiments/register.h"
#include "lib/httpd/problem.h"
#include "sim/base/clock.h"
#include "sim/web/web.h"
#include "sim/web/experiments.h"
#include "sim/web/files.h"

#define BODY_MAX	65536
#define MAX_CONNECTIONS 128
#define PER_ADDRESS	64

struct listener {
	struct sim_web *w;
	struct MHD_Daemon *d;
	struct httpd_door door;
	bool load; /* load: the whole API, not only /metrics */
	struct httpd_address addr;
};

struct sim_web {
	struct sim_run *r;
	struct sim_load load;
	struct sim_faults *faults;
	struct sim_exps *exps; /* NULL: no --experiments */
	struct httpd_gate *gate;
	struct httpd_guard *guard;
	struct listener web, metrics;
	char root[PATH_MAX]; /* "": the files inside the program */
	bool stopping;
};

/* A request's body, collected over several call-backs. */
struct request {
	size_t len;
	bool too_long;
	char body[BODY_MAX + 1];
};

static enum MHD_Result send_text(struct MHD_Connection *c, unsigned status, const char *type,
				 char *text, size_t len)
{
	struct MHD_Response *resp =
		MHD_create_response_from_buffer(len, text, MHD_RESPMEM_MUST_FREE);
	enum MHD_Result rc;

	if (!resp) {
		free(text);
		return MHD_NO;
	}
	MHD_add_response_header(resp, "Content-Type", type);
	MHD_add_response_header(resp, "Cache-Control", "no-store");
	MHD_add_response_header(resp, "X-Content-Type-Options", "nosniff");
	/* The report brings its style with it, and no script. */
	MHD_add_response_header(
		resp, "Content-Security-Policy",
		"default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'");
	/* Of a header that is not understood, the end is not either. */
	if (status == 400)
		MHD_add_response_header(resp, "Connection", "close");
	if (status == 401)
		MHD_add_response_header(resp, "WWW-Authenticate", "Bearer");
	rc = MHD_queue_response(c, status, resp);
	MHD_destroy_response(resp);
	return rc;
}

static enum MHD_Result send_object(struct MHD_Connection *c, unsigned status, const char *type,
				   json_t *o)
{
	char *text = json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(12));

	json_decref(o);
	return text ? send_text(c, status, type, text, strlen(text)) : MHD_NO;
}

static enum MHD_Result send_json(struct MHD_Connection *c, unsigned status, json_t *o)
{
	return send_object(c, status, "application/json", o);
}

static enum MHD_Result send_error(struct MHD_Connection *c, unsigned status, const char *why)
{
	char field[32] = "";
	size_t n = strspn(why, "abcdefghijklmnopqrstuvwxyz_");

	/* "interval_ms: accepted: ..." is of that field. */
	if (why[n] == ':' && n < sizeof(field))
		snprintf(field, sizeof(field), "%.*s", (int)n, why);
	return send_object(c, status, HTTPD_PROBLEM_TYPE,
			   httpd_problem(status, field, json_string(why)));
}

/* --- who may ask ------------------------------------------------------------------------ */

/* The page must load before it can ask for the token. */
static bool is_public(const struct listener *l, const char *method, const char *url)
{
	return l->load && !strcmp(method, "GET") &&
	       (!strcmp(url, "/") || !strcmp(url, "/ui") || !strncmp(url, "/ui/", 4));
}

static unsigned int who_asks(const struct listener *l, struct MHD_Connection *c, const char *url,
			     const char *method, char *why, size_t size)
{
	struct httpd_ask ask = {
		.conn = c,
		.method = method,
		.is_public = is_public(l, method, url),
		/* A browser's download and EventSource cannot set a header. */
		.token = MHD_lookup_connection_value(c, MHD_GET_ARGUMENT_KIND, "token"),
	};

	return httpd_guard_check(l->w->guard, &ask, why, size);
}

/* --- what is told ---------------------------------------------------------------------------- */

static json_t *load_json(struct sim_web *w)
{
	json_t *o = sim_load_json(&w->load);
	uint64_t run_ms;

	pthread_mutex_lock(&w->load.t->lock);
	run_ms = (sim_now() - w->load.t->start_ns) / 1000000;
	pthread_mutex_unlock(&w->load.t->lock);
	sim_faults_add(w->faults, o, run_ms);
	return o;
}

/* --- event stream --------------------------------------------------------------------------------
 */

struct stream {
	struct sim_web *w;
	char *text;
	size_t len, at;
	uint32_t seen;
	bool first;
};

static ssize_t stream_read(void *ctx, uint64_t pos, char *buf, size_t max)
{
	struct stream *s = ctx;
	size_t n;

	(void)pos;
	while (s->at == s->len) {
		json_t *o;
		char *body;

		/* A second has passed when the tally says so; looked at ten times in it. */
		for (unsigned i = 0; !s->first && i < 50; i++) {
			uint32_t ticks;

			if (__atomic_load_n(&s->w->stopping, __ATOMIC_RELAXED))
				return MHD_CONTENT_READER_END_OF_STREAM;
			pthread_mutex_lock(&s->w->load.t->lock);
			ticks = s->w->load.t->ticks;
			pthread_mutex_unlock(&s->w->load.t->lock);
			if (ticks != s->seen) {
				s->seen = ticks;
				break;
			}
			usleep(100000);
		}
		s->first = false;
		o = load_json(s->w);
		body = json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(12));
		json_decref(o);
		free(s->text);
		s->text = NULL;
		s->at = s->len = 0;
		if (!body || asprintf(&s->text, "event: load\ndata: %s\n\n", body) < 0) {
			free(body);
			s->text = NULL;
			return MHD_CONTENT_READER_END_WITH_ERROR;
		}
		free(body);
		s->len = strlen(s->text);
	}
	n = s->len - s->at < max ? s->len - s->at : max;
	memcpy(buf, s->text + s->at, n);
	s->at += n;
	return (ssize_t)n;
}

static void stream_free(void *ctx)
{
	struct stream *s = ctx;

	free(s->text);
	free(s);
}

static enum MHD_Result send_stream(struct sim_web *w, struct MHD_Connection *c)
{
	struct stream *s = calloc(1, sizeof(*s));
	struct MHD_Response *resp;
	enum MHD_Result rc;

	if (!s)
		return MHD_NO;
	if (!httpd_phase(c, HTTPD_STREAM)) {
		free(s);
		return send_error(c, 503,
				  "too many event streams from this address: end one first");
	}
	s->w = w;
	s->first = true;
	resp = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 16384, stream_read, s,
						 stream_free);
	if (!resp) {
		free(s);
		return MHD_NO;
	}
	MHD_add_response_header(resp, "Content-Type", "text/event-stream");
	MHD_add_response_header(resp, "Cache-Control", "no-store");
	rc = MHD_queue_response(c, 200, resp);
	MHD_destroy_response(resp);
	return rc;
}

/* --- paths
 * -------------------------------------------------------------------------------------------- */

static json_t *or_null(float v)
{
	return isnan(v) ? json_null() : json_real((double)v);
}

static json_t *history(struct sim_tally *t)
{
	json_t *list = json_array();

	pthread_mutex_lock(&t->lock);
	for (unsigned i = 0; i < t->nhistory; i++) {
		const struct sim_point *p = &t->history[i];

		json_array_append_new(
			list, json_pack("{s:f,s:i,s:f,s:f,s:o,s:o,s:o,s:o}", "t_s", (double)p->t_s,
					"connected", (int)p->connected, "rate", (double)p->rate,
					"fail_rate", (double)p->fail_rate, "p50", or_null(p->p50),
					"p95", or_null(p->p95), "p99", or_null(p->p99), "failures",
					sim_point_kinds(t, p)));
	}
	pthread_mutex_unlock(&t->lock);
	return json_pack("{s:o}", "points", list);
}

static char *csv_text(struct sim_tally *t)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return NULL;
	pthread_mutex_lock(&t->lock);
	sim_csv_stats(t, f);
	pthread_mutex_unlock(&t->lock);
	fclose(f);
	return text;
}

static enum MHD_Result send_made(struct MHD_Connection *c, const char *type, char *text)
{
	return text ? send_text(c, 200, type, text, strlen(text))
		    : send_error(c, 500, "out of memory");
}

static enum MHD_Result verb(struct sim_web *w, struct MHD_Connection *c, const char *what,
			    struct request *q)
{
	struct sq_error err = {0};
	json_error_t je;
	json_t *body = NULL;
	unsigned status;

	if (q->len) {
		body = json_loadb(q->body, q->len, JSON_REJECT_DUPLICATES, &je);
		if (!body) {
			sq_bad(&err, "body: not JSON: %.200s", je.text);
			return send_error(c, 400, err.text);
		}
	}
	if (!strcmp(what, "start"))
		status = sim_load_start(&w->load, body, &err);
	else if (!strcmp(what, "stop"))
		status = sim_load_stop(&w->load, &err);
	else
		status = sim_load_patch(&w->load, body, &err);
	json_decref(body);
	return status == 200 ? send_json(c, 200, load_json(w)) : send_error(c, status, err.text);
}

static enum MHD_Result experiments(struct sim_web *w, struct MHD_Connection *c, const char *method,
				   const char *path)
{
	struct sim_exps_answer answer;
	struct sq_error err = {0};
	struct MHD_Response *resp;
	enum MHD_Result rc;
	unsigned status;

	if (!w->exps)
		return send_error(c, 404, "no such path: started without --experiments");
	status = sim_exps_ask(w->exps, method, path, &answer, &err);
	if (status >= 400) {
		json_decref(answer.json);
		return send_error(c, status, err.text);
	}
	if (!answer.html)
		return send_json(c, status, answer.json);
	resp = MHD_create_response_from_buffer(answer.len, answer.html, MHD_RESPMEM_MUST_FREE);
	if (!resp) {
		free(answer.html);
		return MHD_NO;
	}
	MHD_add_response_header(resp, "Content-Type", "text/html; charset=utf-8");
	MHD_add_response_header(resp, "Content-Security-Policy", EXPREG_CSP);
	MHD_add_response_header(resp, "X-Content-Type-Options", "nosniff");
	rc = MHD_queue_response(c, status, resp);
	MHD_destroy_response(resp);
	return rc;
}

static enum MHD_Result route(struct listener *l, struct MHD_Connection *c, const char *url,
			     const char *method, struct request *q)
{
	struct sim_web *w = l->w;
	bool get = !strcmp(method, "GET");
	char why[HTTPD_WHY];
	unsigned int status;

	status = who_asks(l, c, url, method, why, sizeof(why));
	if (status)
		return send_error(c, status, why);
	if (is_public(l, method, url))
		return strncmp(url, "/ui/", 4) ? sim_web_redirect(c)
					       : sim_web_file(c, w->root, url + 4);
	if (q->too_long)
		return send_error(c, 413, "body: at most 65536 bytes");
	if (!strcmp(url, "/metrics"))
		return get ? send_made(c, "text/plain; version=0.0.4", sim_metrics_text(w->load.t))
			   : send_error(c, 405, "accepted: GET");
	if (!l->load)
		return send_error(c, 404, "accepted: /metrics");
	if (!strcmp(url, "/api/v1/load")) {
		if (!strcmp(method, "PATCH"))
			return verb(w, c, "patch", q);
		return get ? send_json(c, 200, load_json(w))
			   : send_error(c, 405, "accepted: GET, PATCH");
	}
	if (!strcmp(url, "/api/v1/load/start") || !strcmp(url, "/api/v1/load/stop"))
		return !strcmp(method, "POST") ? verb(w, c, url + 13, q)
					       : send_error(c, 405, "accepted: POST");
	if (!strncmp(url, "/api/v1/experiment", 18))
		return experiments(w, c, method, url + 8);
	if (!get)
		return send_error(c, 405, "accepted: GET");
	if (!strcmp(url, "/api/v1/load/events"))
		return send_stream(w, c);
	if (!strcmp(url, "/api/v1/load/history"))
		return send_json(c, 200, history(w->load.t));
	if (!strcmp(url, "/api/v1/load/stats.csv"))
		return send_made(c, "text/csv", csv_text(w->load.t));
	if (!strcmp(url, "/api/v1/load/report.html"))
		return send_made(c, "text/html; charset=utf-8",
				 sim_report_html(w->load.t, w->load.e, w->faults));
	if (!strcmp(url, "/healthz")) {
		struct sq_error err;

		return sim_engine_health(w->load.e, &err)
			       ? send_error(c, 503, err.text)
			       : send_json(c, 200, json_pack("{s:s}", "status", "ok"));
	}
	return send_error(c, 404, "no such path");
}

static void *on_uri(void *ctx, const char *uri, struct MHD_Connection *c)
{
	(void)ctx;
	(void)uri;
	httpd_phase(c, HTTPD_HEADER);
	return NULL;
}

static enum MHD_Result on_request(void *ctx, struct MHD_Connection *c, const char *url,
				  const char *method, const char *version, const char *data,
				  size_t *size, void **state)
{
	struct request *q = *state;

	if (!q) {
		const char *wrong = httpd_framing_check(c, version);

		httpd_phase(c, HTTPD_BODY);
		if (wrong)
			return send_error(c, 400, wrong);
		q = malloc(sizeof(*q));
		if (!q)
			return MHD_NO;
		q->len = 0;
		q->too_long = false;
		*state = q;
		return MHD_YES;
	}
	if (*size) {
		if (q->len + *size > BODY_MAX) {
			q->too_long = true;
		} else {
			memcpy(q->body + q->len, data, *size);
			q->len += *size;
		}
		*size = 0;
		return MHD_YES;
	}
	httpd_phase(c, HTTPD_ANSWER);
	return route(ctx, c, url, method, q);
}

static void on_completed(void *ctx, struct MHD_Connection *c, void **state,
			 enum MHD_RequestTerminationCode why)
{
	(void)ctx;
	(void)why;
	httpd_phase(c, HTTPD_IDLE);
	free(*state);
	*state = NULL;
}

/* --- start and stop ------------------------------------------------------------------- */

static void on_log(void *cls, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
static void on_log(void *cls, const char *fmt, va_list ap)
{
	char text[256];

	(void)cls;
	vsnprintf(text, sizeof(text), fmt, ap);
	httpd_heard(text);
}

static int start_listener(struct listener *l, struct sim_web *w, const char *field,
			  const char *value, struct sq_error *err)
{
	const union MHD_DaemonInfo *info;
	unsigned flags =
		MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_ERROR_LOG;
	char local[96];

	/* A port alone is this machine's. */
	snprintf(local, sizeof(local), "%s%s", *value == ':' ? "127.0.0.1" : "", value);
	if (strlen(value) > 64 || httpd_address_parse(local, &l->addr))
		return sq_bad(err, "%s '%.60s': accepted: ADDRESS:PORT, e.g. 127.0.0.1:8090", field,
			      value);
	if (!l->addr.loopback && !httpd_guard_has_token(w->guard))
		return sq_bad(err, "%s '%.60s': beyond loopback it needs --token-file or --token",
			      field, value);
	if (l->addr.sa.sa_family == AF_INET6)
		flags |= MHD_USE_IPv6;
	l->w = w;
	l->door = (struct httpd_door){
		.gate = w->gate, .total = MAX_CONNECTIONS, .per_address = PER_ADDRESS};
	l->d = MHD_start_daemon(
		flags, 0, NULL, NULL, on_request, l, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,
		MHD_OPTION_SOCK_ADDR, &l->addr.sa, MHD_OPTION_CONNECTION_LIMIT,
		(unsigned)MAX_CONNECTIONS + HTTPD_LEAVING, MHD_OPTION_CONNECTION_TIMEOUT, 15u,
		MHD_OPTION_URI_LOG_CALLBACK, on_uri, NULL, MHD_OPTION_NOTIFY_CONNECTION,
		httpd_door_event, &l->door, MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL,
		MHD_OPTION_END);
	if (!l->d)
		return sq_bad(err, "%s '%.60s': cannot listen: %s", field, value,
			      errno ? strerror(errno) : "refused");
	info = MHD_get_daemon_info(l->d, MHD_DAEMON_INFO_BIND_PORT);
	if (info && !*strrchr(value, ':'))
		return 0;
	/* Port 0 means any: whoever started us must learn which. */
	if (info && !strcmp(strrchr(value, ':'), ":0"))
		fprintf(stderr, "squall-sim: %s on port %u\n", field, info->port);
	return 0;
}

/* A file's token is not seen by who lists processes; one of the command line is. */
static int make_guard(const struct sim_run *r, struct httpd_guard **ret, struct sq_error *err)
{
	struct httpd_policy policy = {
		.token_file = *r->token_file ? r->token_file : NULL,
		.host_remedy = "",
	};
	const char *token = *r->token ? r->token : getenv("SQUALL_SIM_TOKEN");
	struct sq_error why;

	if (*r->token && *r->token_file)
		return sq_bad(err, "token-file: not accepted together with --token");
	if (httpd_guard_new(&policy, ret, &why) < 0)
		return sq_bad(err, "%s", why.text + (strncmp(why.text, "--", 2) ? 0 : 2));
	if (policy.token_file || !token || !*token || !httpd_guard_set_token(*ret, token, &why))
		return 0;
	httpd_guard_free(*ret);
	*ret = NULL;
	return sq_bad(err, "%s: %s", *r->token ? "token" : "SQUALL_SIM_TOKEN", why.text);
}

int sim_web_start(struct sim_run *r, const struct sim_fleet *fleet, uint32_t max_devices,
		  struct sim_engine *e, struct sim_tally *t, struct sim_web **ret,
		  struct sq_error *err)
{
	struct sim_web *w = calloc(1, sizeof(*w));
	int rc = 0;

	if (!w)
		return sq_bad(err, "out of memory");
	rc = make_guard(r, &w->guard, err);
	if (rc) {
		free(w);
		return rc;
	}
	w->r = r;
	if (httpd_gate_open(&w->gate)) {
		httpd_guard_free(w->guard);
		free(w);
		return sq_bad(err, "cannot start a thread for --web and --metrics");
	}
	pthread_mutex_init(&w->load.lock, NULL);
	w->load.fleet = fleet;
	w->load.e = e;
	w->load.t = t;
	w->load.max_devices = max_devices;
	w->load.devices = r->devices;
	w->load.ramp = (double)r->ramp_milli / 1000;
	w->load.drain_ns = r->drain_ns;
	w->load.on = r->devices > 0;
	if (*r->web) {
		if (*r->web_root && !realpath(r->web_root, w->root))
			rc = sq_bad(err, "web-root '%.200s': %s", r->web_root, strerror(errno));
		w->web.load = true;
		if (!rc)
			rc = sim_faults_start(r, &w->faults, err);
		if (!rc && *r->experiments)
			rc = sim_exps_start(r->experiments, &w->exps, err);
		if (!rc)
			rc = start_listener(&w->web, w, "web", r->web, err);
	}
	if (!rc && *r->metrics)
		rc = start_listener(&w->metrics, w, "metrics", r->metrics, err);
	if (rc) {
		sim_web_stop(w);
		return rc;
	}
	*ret = w;
	return 0;
}

void sim_web_stop(struct sim_web *w)
{
	if (!w)
		return;
	__atomic_store_n(&w->stopping, true, __ATOMIC_RELAXED);
	if (w->web.d)
		MHD_stop_daemon(w->web.d);
	if (w->metrics.d)
		MHD_stop_daemon(w->metrics.d);
	httpd_gate_close(w->gate);
	httpd_guard_free(w->guard);
	sim_faults_stop(w->faults);
	sim_exps_stop(w->exps);
	pthread_mutex_destroy(&w->load.lock);
	free(w);
}
