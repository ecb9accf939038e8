// SPDX-License-Identifier: GPL-2.0-only
/*
 * Requests by libcurl's easy interface: one handle per client, connection kept
 * alive. Proxies are never used: what talks to a fault injector should not
 * depend on http_proxy being set, and a unix socket has none.
 *
 * libcurl is loaded when a URL or a stream asks for it: with the libraries that
 * it brings it costs 6 ms, and most commands are over in 2.
 */
#define CURL_DISABLE_TYPECHECK /* curl_easy_setopt() is a name of ours below */
#include <curl/curl.h>
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "lib/client_internal.h"
#include "lib/error.h"

#define SILENCE_S 20L

struct client_curl {
	CURL *handle;
	struct curl_slist *headers, *sse_headers;
	struct curl_slist *connect_to; /* NULL: where the URL says */
	char error[CURL_ERROR_SIZE];
};

#define FUNCTIONS(F)                                                                               \
	F(curl_global_init)                                                                        \
	F(curl_easy_init)                                                                          \
	F(curl_easy_cleanup)                                                                       \
	F(curl_easy_reset)                                                                         \
	F(curl_easy_setopt)                                                                        \
	F(curl_easy_perform)                                                                       \
	F(curl_easy_getinfo)                                                                       \
	F(curl_easy_strerror)                                                                      \
	F(curl_slist_append)                                                                       \
	F(curl_slist_free_all)                                                                     \
	F(curl_url)                                                                                \
	F(curl_url_set)                                                                            \
	F(curl_url_get)                                                                            \
	F(curl_url_cleanup)                                                                        \
	F(curl_free)

/* Their own types, so that a call is checked as if it were linked. */
#undef curl_easy_setopt
#undef curl_easy_getinfo
static struct {
#define MEMBER(f) __typeof__(&f) f;
	FUNCTIONS(MEMBER)
} lib;
static char missing[200];

static void load(void)
{
	void *so = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
	const char *why = so ? NULL : dlerror();

#define TAKE(f)                                                                                    \
	if (!why && !(*(void **)&lib.f = dlsym(so, #f)))                                           \
		why = dlerror();
	FUNCTIONS(TAKE)
	if (why)
		snprintf(missing, sizeof(missing), "%s", why);
	else
		lib.curl_global_init(CURL_GLOBAL_DEFAULT);
}

static int need(struct sq_error *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, load);
	return *missing ? sq_error_set(err, -ENOENT, NULL,
				       "libcurl is needed here, and cannot be loaded: %s", missing)
			: 0;
}

int client_curl_check_url(const char *url, struct sq_error *err)
{
	static const char accepts[] = "http://HOST:PORT or https://HOST:PORT";
	char *path = NULL, *query = NULL;
	int r = need(err);
	CURLU *u;

	if (r)
		return r;
	u = lib.curl_url();
	if (!u)
		return sq_error_set(err, -ENOMEM, NULL, "out of memory");
	if ((strncmp(url, "http://", 7) && strncmp(url, "https://", 8)) ||
	    lib.curl_url_set(u, CURLUPART_URL, url, 0))
		r = sq_error_value(err, -EINVAL, "url", url, accepts);
	else if (lib.curl_url_get(u, CURLUPART_PATH, &path, 0) || strcmp(path, "/") ||
		 !lib.curl_url_get(u, CURLUPART_QUERY, &query, 0))
		r = sq_error_value(err, -EINVAL, "url", url,
				   "http://HOST:PORT or https://HOST:PORT, without a path");
	lib.curl_free(path);
	lib.curl_free(query);
	lib.curl_url_cleanup(u);
	return r;
}

static int add_header(struct curl_slist **list, const char *line)
{
	struct curl_slist *longer = lib.curl_slist_append(*list, line);

	if (!longer)
		return -ENOMEM;
	*list = longer;
	return 0;
}

static int make_headers(struct sq_client *c)
{
	char line[TOKEN_MAX + 64];
	int r = 0;

	r |= add_header(&c->curl->headers, "Accept: application/json");
	r |= add_header(&c->curl->headers, "Content-Type: application/json");
	r |= add_header(&c->curl->headers, "Expect:"); /* no 100-continue round trip */
	r |= add_header(&c->curl->sse_headers, "Accept: text/event-stream");
	if (c->token) {
		snprintf(line, sizeof(line), "Authorization: Bearer %s", c->token);
		r |= add_header(&c->curl->headers, line);
		r |= add_header(&c->curl->sse_headers, line);
	}
	return r ? -ENOMEM : 0;
}

/* "::": whatever host and port the URL has; a port that is left out stays. */
static int connect_to(struct sq_client *c)
{
	char *to = NULL;
	int r;

	if (!c->address)
		return 0;
	if (asprintf(&to, strchr(c->address, ':') ? "::[%s]:" : "::%s:", c->address) < 0)
		return -ENOMEM;
	r = add_header(&c->curl->connect_to, to);
	free(to);
	return r;
}

static int open_once(struct sq_client *c, struct sq_error *err)
{
	int r = c->curl ? 0 : need(err);

	if (r || c->curl)
		return r;
	c->curl = calloc(1, sizeof(*c->curl));
	if (c->curl)
		c->curl->handle = lib.curl_easy_init();
	if (c->curl && c->curl->handle && !make_headers(c) && !connect_to(c))
		return 0;
	client_curl_close(c);
	return sq_error_set(err, -ENOMEM, NULL, "out of memory");
}

void client_curl_close(struct sq_client *c)
{
	if (!c->curl)
		return;
	lib.curl_easy_cleanup(c->curl->handle);
	lib.curl_slist_free_all(c->curl->headers);
	lib.curl_slist_free_all(c->curl->sse_headers);
	lib.curl_slist_free_all(c->curl->connect_to);
	free(c->curl);
	c->curl = NULL;
}

/* In a function with CURL *h and CURLcode e: the first failure stays. */
#define SET(opt, value)                                                                            \
	do {                                                                                       \
		if (!e)                                                                            \
			e = lib.curl_easy_setopt(h, opt, value);                                   \
	} while (0)

/* What every request has. */
static CURLcode prepare(struct sq_client *c, const char *method, const char *url)
{
	CURL *h = c->curl->handle;
	CURLcode e = CURLE_OK;

	lib.curl_easy_reset(h); /* options go, the connection stays */
	c->status = 0;
	c->curl->error[0] = 0;
	SET(CURLOPT_URL, url);
	SET(CURLOPT_PATH_AS_IS, 1L);
	SET(CURLOPT_CUSTOMREQUEST, method);
	SET(CURLOPT_PROTOCOLS_STR, "http,https");
	SET(CURLOPT_PROXY, "");
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_ERRORBUFFER, c->curl->error);
	SET(CURLOPT_USERAGENT, "squall/" SQUALL_VERSION);
	SET(CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
	if (c->socket)
		SET(CURLOPT_UNIX_SOCKET_PATH, c->socket);
	if (c->curl->connect_to)
		SET(CURLOPT_CONNECT_TO, c->curl->connect_to);
	if (c->cacert)
		SET(CURLOPT_CAINFO, c->cacert);
	return e;
}

/* Why there was no answer, and what to do. */
static int connection_error(const struct sq_client *c, CURLcode e, struct sq_error *err)
{
	const char *why = c->curl->error[0] ? c->curl->error : lib.curl_easy_strerror(e);
	long os_errno = 0;

	lib.curl_easy_getinfo(c->curl->handle, CURLINFO_OS_ERRNO, &os_errno);
	switch (e) {
	case CURLE_COULDNT_CONNECT:
		if (c->socket)
			return client_no_socket(c, (int)os_errno, err);
		return sq_error_set(err, -ECONNREFUSED, NULL,
				    "cannot reach squalld at %s: %s; is it running there, with "
				    "--listen on that address?",
				    c->peer, why);
	case CURLE_COULDNT_RESOLVE_HOST:
		return sq_error_set(err, -EHOSTUNREACH, "url", "%s: no such host", c->peer);
	case CURLE_OPERATION_TIMEDOUT:
		return sq_error_set(err, -ETIMEDOUT, NULL,
				    "squalld at %s does not answer in time: %s", c->peer, why);
	case CURLE_PEER_FAILED_VERIFICATION:
		return sq_error_set(err, -EPROTO, NULL,
				    "the certificate of %s is not trusted: %s; name the file that "
				    "signed it with --cacert",
				    c->peer, why);
	case CURLE_SSL_CONNECT_ERROR:
		return sq_error_set(err, -EPROTO, NULL,
				    "no TLS with squalld at %s: %s; does it serve TLS there "
				    "(--tls-cert), or is it http://?",
				    c->peer, why);
	case CURLE_SSL_CACERT_BADFILE:
		return sq_error_set(err, -EINVAL, "cacert", "%s: %s", c->cacert, why);
	case CURLE_OUT_OF_MEMORY:
		return sq_error_set(err, -ENOMEM, NULL, "out of memory");
	case CURLE_WRITE_ERROR:
		return sq_error_set(err, -E2BIG, NULL, "the answer of %s is too big", c->peer);
	default:
		return sq_error_set(err, -EPROTO, NULL, "talking to squalld at %s failed: %s",
				    c->peer, why);
	}
}

static size_t collect(char *data, size_t size, size_t n, void *arg)
{
	return client_buffer_add(arg, data, size * n) ? 0 : size * n;
}

/* The client's own headers and one more: to be freed, NULL: out of memory. */
static struct curl_slist *with_condition(const struct sq_client *c)
{
	struct curl_slist *copy = NULL;
	int r = 0;

	for (const struct curl_slist *h = c->curl->headers; h && !r; h = h->next)
		r = add_header(&copy, h->data);
	if (!r)
		r = add_header(&copy, c->condition);
	if (!r)
		return copy;
	lib.curl_slist_free_all(copy);
	return NULL;
}

int client_curl_ask(struct sq_client *c, const char *method, const char *path, const char *body,
		    struct client_buffer *answer, struct sq_error *err)
{
	int r = open_once(c, err);
	struct curl_slist *own = NULL;
	char *url = NULL;
	CURLcode e;
	CURL *h;

	if (r)
		return r;
	if ((c->condition && !(own = with_condition(c))) ||
	    asprintf(&url, "%s%s", c->base, path) < 0) {
		lib.curl_slist_free_all(own);
		return sq_error_set(err, -ENOMEM, NULL, "out of memory");
	}
	h = c->curl->handle;
	e = prepare(c, method, url);
	SET(CURLOPT_TIMEOUT_MS, c->timeout_ms);
	SET(CURLOPT_HTTPHEADER, own ? own : c->curl->headers);
	SET(CURLOPT_WRITEFUNCTION, collect);
	SET(CURLOPT_WRITEDATA, answer);
	if (body) {
		SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(body));
		SET(CURLOPT_POSTFIELDS, body);
		SET(CURLOPT_CUSTOMREQUEST, method);
	}
	if (!e)
		e = lib.curl_easy_perform(h);
	if (e)
		r = connection_error(c, e, err);
	else
		lib.curl_easy_getinfo(h, CURLINFO_RESPONSE_CODE, &c->status);
	lib.curl_slist_free_all(own);
	free(url);
	return r;
}

/* --- streams ------------------------------------------------------------------------- */

struct stream {
	struct sq_client *c;
	size_t (*bytes)(char *data, size_t size, size_t n, void *arg);
	bool (*go_on)(void *arg);
	void *arg;
	bool ended; /* by one of them */
};

static size_t stream_bytes(char *data, size_t size, size_t n, void *arg)
{
	struct stream *s = arg;
	size_t taken;

	lib.curl_easy_getinfo(s->c->curl->handle, CURLINFO_RESPONSE_CODE, &s->c->status);
	taken = s->bytes(data, size, n, s->arg);
	s->ended = taken != size * n;
	return taken;
}

static int stream_progress(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
	struct stream *s = arg;

	(void)a, (void)b, (void)c, (void)d;
	s->ended = s->ended || !s->go_on(s->arg);
	return s->ended;
}

int client_curl_stream(struct sq_client *c, const char *path,
		       size_t (*bytes)(char *data, size_t size, size_t n, void *arg),
		       bool (*go_on)(void *arg), void *arg, struct sq_error *err)
{
	struct stream s = {.c = c, .bytes = bytes, .go_on = go_on, .arg = arg};
	int r = open_once(c, err);
	char *url = NULL;
	CURLcode e;
	CURL *h;

	if (r)
		return r;
	if (asprintf(&url, "%s%s", c->base, path) < 0)
		return sq_error_set(err, -ENOMEM, NULL, "out of memory");
	h = c->curl->handle;
	e = prepare(c, "GET", url);
	SET(CURLOPT_HTTPHEADER, c->curl->sse_headers);
	/* Counters come each second: silence is a cable that was pulled. */
	SET(CURLOPT_LOW_SPEED_LIMIT, 1L);
	SET(CURLOPT_LOW_SPEED_TIME, SILENCE_S);
	SET(CURLOPT_WRITEFUNCTION, stream_bytes);
	SET(CURLOPT_WRITEDATA, &s);
	SET(CURLOPT_NOPROGRESS, 0L);
	SET(CURLOPT_XFERINFOFUNCTION, stream_progress);
	SET(CURLOPT_XFERINFODATA, &s);
	if (!e)
		e = lib.curl_easy_perform(h);
	free(url);
	if (s.ended)
		return 1;
	return e ? connection_error(c, e, err) : 0;
}
