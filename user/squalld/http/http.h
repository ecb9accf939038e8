/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * HTTP: listeners, the life of a request, and replies. Knows neither a path
 * nor what it is for: who answers is handed to http_start().
 */
#ifndef SQUALLD_HTTP_H
#define SQUALLD_HTTP_H

#include <microhttpd.h>
#include "lib/httpd/guard.h"
#include "squalld/base/json.h"
#include "squalld/process/options.h"

#define HTTP_BODY_MAX	 (1u << 20)
#define HTTP_CONNECTIONS 512 /* over all listeners; 64 of them are the unix socket's */
#define HTTP_MAX_SEGS	 24

struct httpd_guard;
struct http;
struct listener;

struct request {
	void *arg; /* of http_start() */
	struct listener *listener;
	struct MHD_Connection *conn;
	const char *method;
	char *target; /* as sent: path?query */
	char *path;   /* copy of the path, cut and decoded in place */
	const char *seg[HTTP_MAX_SEGS];
	int n_seg;
	const char *query; /* raw, "" if none */
	char *body;
	size_t len, cap;
	size_t discarded;
	bool too_large;
	unsigned int refused; /* status, once the guard has said no, and why */
	char why[HTTPD_WHY];
	char token[HTTPD_TOKEN_NAME]; /* the name of the one that was shown, if it has any */
	bool close;		      /* with the answer */
	bool started, local;	      /* local: came over the unix socket */
	char etag[48];		      /* sent if set, without quotes */
	char allow[64];		      /* sent with 405 */
	char who[96];		      /* request_who(), once it has been asked */
	/* Set by who answers: called once the request is over, however it ended. */
	void (*on_done)(struct request *r, void *arg);
	void *done_arg;
};

/* Who answers. Both are called by a listener's thread, of which there is one for each address. */
struct http_app {
	/* A whole request: queues a reply. */
	enum MHD_Result (*answer)(struct request *r);
	/* May anybody see this, without a token? Only what tells and changes nothing. */
	bool (*is_public)(const struct request *r);
	/* A connection is no more, and its pointer may be another's next. May be NULL. */
	void (*gone)(void *arg, const struct MHD_Connection *conn);
};

/* Binds every listener; nothing is served yet. opt and guard outlive it. err: one line. */
int http_bind(const struct options *opt, struct httpd_guard *guard, struct http **ret,
	      struct sq_error *err);
/* Serves; app outlives it, arg is each request's. */
int http_start(struct http *h, const struct http_app *app, void *arg, struct sq_error *err);
void http_stop(struct http *h); /* no more requests; each on_done has been called */
void http_free(struct http *h);
uint16_t http_port(const struct http *h); /* of the first TCP listener, 0 if none */
uint64_t http_requests(const struct http *h);
json_t *http_listeners(const struct http *h);

/* "uid 1000 (process 77)", "10.1.2.3 with a token", "10.1.2.3 with token NAME": for the log. */
const char *request_who(struct request *r);
const char *request_header(struct request *r, const char *name);
/* Value of a query parameter, decoded into buf; NULL if absent. */
const char *request_query(struct request *r, const char *name, char *buf, size_t size);
/* The body as a JSON object or array of the given type. NULL: p says why. */
json_t *request_json(struct request *r, struct sq_error *p);

enum MHD_Result reply_json(struct request *r, unsigned int status, json_t *body /* stolen */);
enum MHD_Result reply_text(struct request *r, unsigned int status, const char *type,
			   const char *text, size_t len);
enum MHD_Result reply_empty(struct request *r, unsigned int status);
enum MHD_Result reply_status(struct request *r, unsigned int status, const char *field,
			     const char *fmt, ...) __attribute__((format(printf, 4, 5)));
enum MHD_Result reply_problem(struct request *r, struct sq_error *p);
enum MHD_Result reply_response(struct request *r, unsigned int status,
			       struct MHD_Response *response);
/* An event stream; it owes no end. */
enum MHD_Result reply_stream(struct request *r, struct MHD_Response *response /* taken */);
unsigned int errno_to_status(int code); /* the one place that maps them */

#endif
