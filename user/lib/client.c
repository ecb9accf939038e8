// SPDX-License-Identifier: GPL-2.0-only
/*
 * Requests by libcurl's easy interface: one handle per client, connection kept
 * alive. Proxies are never used: what talks to a fault injector should not
 * depend on http_proxy being set, and a unix socket has none.
 */
#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <squall/client.h>
#include "lib/client_internal.h"
#include "lib/error.h"

#define ANSWER_MAX (64u << 20)
#define TOKEN_MAX  4096
#define TIMEOUT_MS 30000
#define CONNECT_MS 5000

int client_buffer_add(struct client_buffer *b, const char *data, size_t len)
{
	size_t room = b->room ? b->room : 4096;
	char *bigger;

	if (len > b->max - b->len)
		return -E2BIG;
	while (room < b->len + len + 1)
		room *= 2;
	if (room != b->room) {
		bigger = realloc(b->data, room);
		if (!bigger)
			return -ENOMEM;
		b->data = bigger;
		b->room = room;
	}
	memcpy(b->data + b->len, data, len);
	b->len += len;
	b->data[b->len] = 0;
	return 0;
}

static size_t collect(char *data, size_t size, size_t n, void *arg)
{
	return client_buffer_add(arg, data, size * n) ? 0 : size * n;
}

static const char *environment(const char *given, const char *name)
{
	const char *v = given ? given : getenv(name);

	return v && *v ? v : NULL;
}

/* The first line; it must be all there is, so that a wrong file is not sent around. */
static int read_token(const char *path, char **ret, struct sq_error *err)
{
	char text[TOKEN_MAX + 2], *end;
	size_t n;
	FILE *f;

	f = fopen(path, "re");
	if (!f)
		return sq_error_set(err, -errno, "token-file", "cannot read %s: %s", path,
				    strerror(errno));
	n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[n] = 0;
	end = text + strcspn(text, "\r\n");
	n = strlen(end);
	if (end == text || strspn(end, "\r\n") != n || strlen(text) > TOKEN_MAX)
		return sq_error_set(err, -EINVAL, "token-file",
				    "%s does not hold one line with a "
				    "token",
				    path);
	*end = 0;
	*ret = strdup(text);
	return *ret ? 0 : sq_error_set(err, -ENOMEM, NULL, "out of memory");
}

static int check_token(const char *token, struct sq_error *err)
{
	const char *c;

	for (c = token; *c; c++)
		if (*c <= 0x20 || *c >= 0x7f)
			return sq_error_set(err, -EINVAL, "token",
					    "holds a byte that no header "
					    "may hold: printable ASCII without spaces is needed");
	return 0;
}

static int check_url(const char *url, struct sq_error *err)
{
	static const char accepts[] = "http://HOST:PORT or https://HOST:PORT";
	CURLU *u = curl_url();
	char *path = NULL, *query = NULL;
	int r = 0;

	if (!u)
		return sq_error_set(err, -ENOMEM, NULL, "out of memory");
	if ((strncmp(url, "http://", 7) && strncmp(url, "https://", 8)) ||
	    curl_url_set(u, CURLUPART_URL, url, 0))
		r = sq_error_value(err, -EINVAL, "url", url, accepts);
	else if (curl_url_get(u, CURLUPART_PATH, &path, 0) || strcmp(path, "/") ||
		 !curl_url_get(u, CURLUPART_QUERY, &query, 0))
		r = sq_error_value(err, -EINVAL, "url", url,
				   "http://HOST:PORT or https://HOST:PORT, without a path");
	curl_free(path);
	curl_free(query);
	curl_url_cleanup(u);
	return r;
}

static void global_init(void)
{
	curl_global_init(CURL_GLOBAL_DEFAULT);
}

static int add_header(struct curl_slist **list, const char *line)
{
	struct curl_slist *longer = curl_slist_append(*list, line);

	if (!longer)
		return -ENOMEM;
	*list = longer;
	return 0;
}

static int make_headers(struct sq_client *c)
{
	char line[TOKEN_MAX + 64];
	int r = 0;

	r |= add_header(&c->headers, "Accept: application/json");
	r |= add_header(&c->headers, "Content-Type: application/json");
	r |= add_header(&c->headers, "Expect:"); /* no 100-continue round trip */
	r |= add_header(&c->sse_headers, "Accept: text/event-stream");
	if (c->token) {
		snprintf(line, sizeof(line), "Authorization: Bearer %s", c->token);
		r |= add_header(&c->headers, line);
		r |= add_header(&c->sse_headers, line);
	}
	return r ? -ENOMEM : 0;
}

/* "::": whatever host and port the URL has; a port that is left out stays. */
static int connect_to(struct sq_client *c, const char *address)
{
	char *to = NULL;

	if (asprintf(&to, strchr(address, ':') ? "::[%s]:" : "::%s:", address) < 0)
		return -ENOMEM;
	c->connect_to = curl_slist_append(NULL, to);
	free(to);
	return c->connect_to ? 0 : -ENOMEM;
}

int sq_client_open(const struct sq_client_options *options, struct sq_client **ret,
		   struct sq_error *err)
{
	static const struct sq_client_options none;
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	const struct sq_client_options *o = options ? options : &none;
	const char *url, *socket, *token, *token_file, *cacert;
	struct sq_client *c;
	size_t n;
	int r = -ENOMEM;

	pthread_once(&once, global_init);
	/* An explicit socket must not lose against $SQUALL_URL. */
	url = o->socket && !o->url ? NULL : environment(o->url, "SQUALL_URL");
	socket = environment(o->socket, "SQUALL_SOCKET");
	token_file = environment(o->token_file, "SQUALL_TOKEN_FILE");
	token = o->token_file ? NULL : environment(NULL, "SQUALL_TOKEN");
	cacert = environment(o->cacert, "SQUALL_CACERT");
	if (url) {
		r = check_url(url, err);
		if (r)
			return r;
	}
	c = calloc(1, sizeof(*c));
	if (!c)
		return sq_error_set(err, -ENOMEM, NULL, "out of memory");
	if (token)
		c->token = strdup(token);
	else if (token_file && (r = read_token(token_file, &c->token, err)))
		goto fail_said;
	if (c->token && (r = check_token(c->token, err)))
		goto fail_said;
	r = -ENOMEM;
	if (token && !c->token)
		goto fail;
	if (url) {
		c->base = strdup(url);
		c->peer = strdup(url);
		if (!c->base)
			goto fail;
		n = strlen(c->base);
		if (n && c->base[n - 1] == '/')
			c->base[n - 1] = 0;
	} else {
		c->socket = strdup(socket ? socket : SQ_SOCKET_DEFAULT);
		c->base = strdup("http://localhost");
		if (!c->socket || !c->base || asprintf(&c->peer, "unix:%s", c->socket) < 0)
			goto fail;
	}
	if (cacert && !(c->cacert = strdup(cacert)))
		goto fail;
	if (o->address && connect_to(c, o->address))
		goto fail;
	c->timeout_ms = o->timeout_ms ? (long)o->timeout_ms : TIMEOUT_MS;
	c->curl = curl_easy_init();
	if (!c->curl || !c->peer || make_headers(c))
		goto fail;
	*ret = c;
	return 0;
fail:
	sq_error_set(err, r, NULL, "out of memory");
fail_said:
	sq_client_close(c);
	return r;
}

void sq_client_close(struct sq_client *c)
{
	if (!c)
		return;
	curl_easy_cleanup(c->curl);
	curl_slist_free_all(c->headers);
	curl_slist_free_all(c->sse_headers);
	curl_slist_free_all(c->connect_to);
	if (c->token)
		explicit_bzero(c->token, strlen(c->token));
	free(c->token);
	free(c->base);
	free(c->socket);
	free(c->peer);
	free(c->cacert);
	free(c);
}

const char *sq_client_peer(const struct sq_client *c)
{
	return c->peer;
}

long sq_client_status(const struct sq_client *c)
{
	return c->status;
}

CURLcode client_prepare(struct sq_client *c, const char *method, const char *url)
{
	CURL *h = c->curl;
	CURLcode e = CURLE_OK;

	curl_easy_reset(h); /* options go, the connection stays */
	c->status = 0;
	c->curl_error[0] = 0;
	SET(CURLOPT_URL, url);
	SET(CURLOPT_PATH_AS_IS, 1L);
	SET(CURLOPT_CUSTOMREQUEST, method);
	SET(CURLOPT_PROTOCOLS_STR, "http,https");
	SET(CURLOPT_PROXY, "");
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_ERRORBUFFER, c->curl_error);
	SET(CURLOPT_USERAGENT, "squall/" SQUALL_VERSION);
	SET(CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
	if (c->socket)
		SET(CURLOPT_UNIX_SOCKET_PATH, c->socket);
	if (c->connect_to)
		SET(CURLOPT_CONNECT_TO, c->connect_to);
	if (c->cacert)
		SET(CURLOPT_CAINFO, c->cacert);
	return e;
}

/* Why there was no answer, and what to do. */
int client_connection_error(const struct sq_client *c, CURLcode e, struct sq_error *err)
{
	const char *why = c->curl_error[0] ? c->curl_error : curl_easy_strerror(e);
	long os_errno = 0;

	curl_easy_getinfo(c->curl, CURLINFO_OS_ERRNO, &os_errno);
	switch (e) {
	case CURLE_COULDNT_CONNECT:
		if (c->socket && access(c->socket, F_OK) && errno == ENOENT)
			return sq_error_set(err, -ECONNREFUSED, NULL,
					    "squalld is not running (no %s); start it with "
					    "\"squalld\" as root, or name it with --url or "
					    "--socket",
					    c->socket);
		if (c->socket &&
		    (os_errno == EACCES || (access(c->socket, W_OK) && errno == EACCES)))
			return sq_error_set(err, -EACCES, NULL,
					    "may not open %s: be root or in the group squall",
					    c->socket);
		if (c->socket)
			return sq_error_set(err, -ECONNREFUSED, NULL,
					    "squalld is not running (nobody listens on %s); start "
					    "it with \"squalld\" as root",
					    c->socket);
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

static int status_errno(long status)
{
	switch (status) {
	case 400:
	case 422:
		return -EINVAL;
	case 401:
		return -EACCES;
	case 403:
		return -EPERM;
	case 404:
		return -ENOENT;
	case 409:
		return -ENOTUNIQ;
	case 412:
		return -ESTALE;
	case 413:
		return -E2BIG;
	case 501:
		return -EOPNOTSUPP;
	case 503:
		return -EAGAIN;
	default:
		return -EPROTO;
	}
}

/* Of an ambiguous name: who is meant? As many as fit on the line. */
static void add_candidates(const json_t *body, struct sq_error *err)
{
	const json_t *list = json_object_get(body, "candidates"), *name;
	size_t i, len;

	json_array_foreach(list, i, name)
	{
		len = strlen(err->text);
		if (json_is_string(name) && len + json_string_length(name) + 8 < sizeof(err->text))
			snprintf(err->text + len, sizeof(err->text) - len, "%s%s", i ? ", " : " (",
				 json_string_value(name));
	}
	len = strlen(err->text);
	if (json_array_size(list) && len + 2 < sizeof(err->text))
		strcpy(err->text + len, ")");
}

/* A problem detail (RFC 9457), or whatever else there is to say. */
int client_answer_error(const struct sq_client *c, const json_t *body, struct sq_error *err)
{
	const char *detail = json_string_value(json_object_get(body, "detail"));
	const char *title = json_string_value(json_object_get(body, "title"));
	const char *field = json_string_value(json_object_get(body, "field"));
	int r = status_errno(c->status);

	if (c->status == 401)
		return sq_error_set(err, r, NULL,
				    "squalld at %s wants a token%s: give --token-file FILE or "
				    "$SQUALL_TOKEN",
				    c->peer, c->token ? ", and not this one" : "");
	if (!err)
		return r;
	if (detail || title)
		sq_error_set(err, r, NULL, "%s", detail ? detail : title);
	else
		sq_error_set(err, r, NULL,
			     "%s gives no reason for its answer: is it squalld (and this "
			     "version, " SQUALL_VERSION ")?",
			     c->peer);
	add_candidates(body, err);
	if (field)
		snprintf(err->field, sizeof(err->field), "%s", field);
	return r;
}

int sq_client_request(struct sq_client *c, const char *method, const char *path, const json_t *body,
		      json_t **ret, struct sq_error *err)
{
	struct client_buffer answer = {.max = ANSWER_MAX};
	CURL *h = c->curl;
	json_error_t json_error;
	char *url = NULL, *text = NULL;
	json_t *json = NULL;
	CURLcode e;
	int r;

	if (asprintf(&url, "%s%s", c->base, path) < 0)
		return sq_error_set(err, -ENOMEM, NULL, "out of memory");
	if (body && !(text = json_dumps(body, SQ_JSON_FLAGS | JSON_COMPACT))) {
		r = sq_error_set(err, -ENOMEM, NULL, "out of memory");
		goto out;
	}
	e = client_prepare(c, method, url);
	SET(CURLOPT_TIMEOUT_MS, c->timeout_ms);
	SET(CURLOPT_HTTPHEADER, c->headers);
	SET(CURLOPT_WRITEFUNCTION, collect);
	SET(CURLOPT_WRITEDATA, &answer);
	if (text) {
		SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(text));
		SET(CURLOPT_POSTFIELDS, text);
		SET(CURLOPT_CUSTOMREQUEST, method);
	}
	if (!e)
		e = curl_easy_perform(h);
	if (!e)
		curl_easy_getinfo(h, CURLINFO_RESPONSE_CODE, &c->status);
	if (e) {
		r = client_connection_error(c, e, err);
		goto out;
	}
	if (answer.len)
		json = json_loadb(answer.data, answer.len, JSON_ALLOW_NUL, &json_error);
	if (c->status >= 400) {
		r = client_answer_error(c, json, err);
		goto out;
	}
	if (answer.len && !json) {
		r = sq_error_set(err, -EPROTO, NULL,
				 "%s does not answer in JSON (%s): is it "
				 "squalld?",
				 c->peer, json_error.text);
		goto out;
	}
	r = 0;
	if (ret) {
		*ret = json;
		json = NULL;
	}
out:
	json_decref(json);
	free(answer.data);
	free(text);
	free(url);
	return r;
}

char *sq_client_path(const char *prefix, const char *segment, const char *suffix)
{
	static const char hex[] = "0123456789ABCDEF";
	size_t n = strlen(prefix) + 3 * strlen(segment) + strlen(suffix) + 1;
	char *path = malloc(n), *p;
	const char *c;

	if (!path)
		return NULL;
	p = stpcpy(path, prefix);
	for (c = segment; *c; c++) {
		unsigned char b = (unsigned char)*c;

		/* RFC 3986's unreserved; a lone "." or ".." as a segment would be
		 * folded away by some servers, so dots are encoded too. */
		if ((b >= '0' && b <= '9') || (b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z') ||
		    b == '-' || b == '_' || b == '~') {
			*p++ = *c;
		} else {
			*p++ = '%';
			*p++ = hex[b >> 4];
			*p++ = hex[b & 15];
		}
	}
	strcpy(p, suffix);
	return path;
}

char *sq_client_match(const json_t *match, char *buf, size_t size)
{
	FILE *f = fmemopen(buf, size, "w");
	const json_t *value, *word;
	const char *key;
	size_t i;

	snprintf(buf, size, "-");
	if (!f)
		return buf;
	json_object_foreach((json_t *)match, key, value)
	{
		fprintf(f, "%s%s", ftell(f) ? " " : "", key);
		if (json_is_integer(value))
			fprintf(f, " %lld", (long long)json_integer_value(value));
		else if (json_is_string(value))
			fprintf(f, " %s", json_string_value(value));
		json_array_foreach(value, i, word) fprintf(f, " %s", json_string_value(word));
	}
	if (ftell(f))
		fputc(0, f);
	fclose(f);
	buf[size - 1] = 0;
	if (!*buf)
		snprintf(buf, size, "-");
	return buf;
}
