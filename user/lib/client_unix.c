// SPDX-License-Identifier: GPL-2.0-only
/*
 * Requests over squalld's own socket, without libcurl: loading it and the thirty libraries behind
 * it takes three times as long as the whole of `squall fault set`. One connection, kept alive.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>
#include "lib/client_internal.h"
#include "lib/clock.h"
#include "lib/error.h"

#define HEADER_MAX 65536

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

int client_no_socket(const struct sq_client *c, int why, struct sq_error *err)
{
	if (access(c->socket, F_OK) && errno == ENOENT)
		return sq_error_set(err, -ECONNREFUSED, NULL,
				    "squalld is not running (no %s); start it with "
				    "\"squalld\" as root, or name it with --url or "
				    "--socket",
				    c->socket);
	if (why == EACCES || (access(c->socket, W_OK) && errno == EACCES))
		return sq_error_set(err, -EACCES, NULL,
				    "may not open %s: be root or in the group squall", c->socket);
	return sq_error_set(err, -ECONNREFUSED, NULL,
			    "squalld is not running (nobody listens on %s); start "
			    "it with \"squalld\" as root",
			    c->socket);
}

struct exchange {
	struct sq_client *c;
	uint64_t until_ms;
	struct client_buffer in; /* what has come and is not used yet, from `at` on */
	size_t at;
	bool began;   /* something came */
	bool chunked; /* the answer's body; else `left` bytes of it, or all until the end */
	bool to_end, keep;
	uint64_t left;
	struct sq_error *err;
};

void client_unix_close(struct sq_client *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
}

static int failed(struct exchange *x, int code, const char *why)
{
	client_unix_close(x->c);
	return sq_error_set(x->err, code, NULL, "talking to squalld at %s failed: %s", x->c->peer,
			    why);
}

static int connect_now(struct sq_client *c, struct sq_error *err)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	struct timeval bound = {.tv_sec = CONNECT_MS / 1000};
	int why;

	if (strlen(c->socket) >= sizeof(sa.sun_path))
		return sq_error_set(err, -EINVAL, "socket",
				    "a path of %zu bytes is not accepted: at most %zu",
				    strlen(c->socket), sizeof(sa.sun_path) - 1);
	strcpy(sa.sun_path, c->socket);
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		return sq_error_set(err, -errno, NULL, "cannot open a socket: %s", strerror(errno));
	/* Its queue may be full. */
	setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &bound, sizeof(bound));
	if (!connect(c->fd, (struct sockaddr *)&sa, sizeof(sa)))
		return 0;
	why = errno;
	client_unix_close(c);
	if (why == EAGAIN)
		return sq_error_set(err, -ETIMEDOUT, NULL,
				    "squalld at %s does not answer in time: its queue is full",
				    c->peer);
	return client_no_socket(c, why, err);
}

static int send_all(struct exchange *x, const char *data, size_t len)
{
	while (len) {
		ssize_t n = send(x->c->fd, data, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

/* More of the answer. 1: some came, 0: that was all, or -errno, which is told. */
static int more(struct exchange *x)
{
	char buf[16384];

	for (;;) {
		struct pollfd p = {.fd = x->c->fd, .events = POLLIN};
		uint64_t now = sq_mono_ms();
		ssize_t n;
		int r = now < x->until_ms ? poll(&p, 1, (int)(x->until_ms - now)) : 0;

		if (!r) {
			client_unix_close(x->c);
			return sq_error_set(x->err, -ETIMEDOUT, NULL,
					    "squalld at %s does not answer in time: nothing more "
					    "came for %ld ms",
					    x->c->peer, x->c->timeout_ms);
		}
		if (r < 0 && errno == EINTR)
			continue;
		n = r < 0 ? -1 : read(x->c->fd, buf, sizeof(buf));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return x->began ? failed(x, -EPROTO, strerror(errno)) : -EPIPE;
		if (n == 0)
			return 0;
		x->began = true;
		if (client_buffer_add(&x->in, buf, (size_t)n))
			return failed(x, -ENOMEM, "out of memory");
		return 1;
	}
}

/* The next line without its end, in *ret, until more is read. */
static int line(struct exchange *x, char **ret)
{
	char *end;
	int r;

	while (!(end = x->in.len > x->at ? memchr(x->in.data + x->at, '\n', x->in.len - x->at)
					 : NULL)) {
		if (x->in.len - x->at > HEADER_MAX)
			return failed(x, -EPROTO, "its header is too long");
		r = more(x);
		if (r < 0)
			return r;
		if (!r)
			return x->began ? failed(x, -EPROTO, "it closed the connection too early")
					: -EPIPE;
	}
	*end = 0;
	*ret = x->in.data + x->at;
	x->at = (size_t)(end - x->in.data) + 1;
	if (end > *ret && end[-1] == '\r')
		end[-1] = 0;
	return 0;
}

static int number(const char *text, int base, uint64_t *ret)
{
	char *end;

	text += strspn(text, " \t");
	errno = 0;
	*ret = strtoull(text, &end, base);
	return errno || end == text || *text == '-' || (*end && !strchr("; \t", *end)) ? -EPROTO
										       : 0;
}

static int headers(struct exchange *x)
{
	int r, minor, at = 0;
	char *l, *value;

	x->chunked = false;
	x->to_end = true;
	r = line(x, &l);
	if (r)
		return r;
	if (sscanf(l, "HTTP/1.%1d %3ld%n", &minor, &x->c->status, &at) != 2 || !at)
		return failed(x, -EPROTO, "that is no HTTP/1.1");
	x->keep = minor == 1;
	while (!(r = line(x, &l)) && *l) {
		value = strchr(l, ':');
		if (!value)
			continue;
		*value++ = 0;
		value += strspn(value, " \t");
		if (!strcasecmp(l, "Content-Length")) {
			if (number(value, 10, &x->left))
				return failed(x, -EPROTO, "its Content-Length is none");
			x->to_end = false;
		} else if (!strcasecmp(l, "Transfer-Encoding")) {
			x->chunked = !strcasecmp(value, "chunked");
			x->to_end = false;
		} else if (!strcasecmp(l, "Connection")) {
			x->keep = x->keep && strcasecmp(value, "close") != 0;
		}
	}
	return r;
}

/* The next n bytes, or all to the end of the connection. */
static int bytes(struct exchange *x, uint64_t n, bool to_end, struct client_buffer *answer)
{
	int r;

	while (n || to_end) {
		size_t have = x->in.len - x->at;

		if (!to_end && have > n)
			have = (size_t)n;
		r = have && answer ? client_buffer_add(answer, x->in.data + x->at, have) : 0;
		if (r) {
			client_unix_close(x->c);
			return sq_error_set(x->err, r, NULL,
					    r == -E2BIG ? "the answer of %s is too big"
							: "out of memory, for the answer of %s",
					    x->c->peer);
		}
		x->at += have;
		n -= to_end ? 0 : have;
		if (!n && !to_end)
			break;
		x->in.len = x->at = 0;
		r = more(x);
		if (r < 0)
			return r;
		if (!r)
			return to_end ? 0
				      : failed(x, -EPROTO, "it closed the connection too early");
	}
	return 0;
}

static int body(struct exchange *x, struct client_buffer *answer)
{
	uint64_t n;
	char *l;
	int r;

	if (x->c->status == 204 || x->c->status == 304)
		return 0;
	if (!x->chunked)
		return bytes(x, x->to_end ? 0 : x->left, x->to_end, answer);
	do {
		r = line(x, &l);
		if (!r && number(l, 16, &n))
			r = failed(x, -EPROTO, "its chunks are none");
		if (!r)
			r = bytes(x, n, false, answer);
		if (!r && n)
			r = line(x, &l);
	} while (!r && n);
	while (!r && !(r = line(x, &l)) && *l) /* trailers */
		;
	return r;
}

static int exchange(struct exchange *x, const char *request, size_t len,
		    struct client_buffer *answer)
{
	int r = send_all(x, request, len);

	/* A refusal may have come before all was sent; else it is not there any more. */
	if (r && r != -EPIPE)
		return failed(x, r, strerror(-r));
	do
		r = headers(x);
	while (!r && x->c->status / 100 == 1);
	if (!r)
		r = body(x, answer);
	if (!r && (!x->keep || x->to_end))
		client_unix_close(x->c);
	return r;
}

static char *request_text(const struct sq_client *c, const char *method, const char *path,
			  const char *body, size_t *ret_len)
{
	char *text = NULL;
	FILE *f = open_memstream(&text, ret_len);

	if (!f)
		return NULL;
	fprintf(f,
		"%s %s HTTP/1.1\r\nHost: localhost\r\nUser-Agent: squall/" SQUALL_VERSION
		"\r\nAccept: application/json\r\n",
		method, path);
	if (c->token)
		fprintf(f, "Authorization: Bearer %s\r\n", c->token);
	if (c->condition)
		fprintf(f, "%s\r\n", c->condition);
	if (body)
		fprintf(f, "Content-Type: application/json\r\nContent-Length: %zu\r\n",
			strlen(body));
	fprintf(f, "\r\n%s", body ? body : "");
	if (!fclose(f))
		return text;
	free(text);
	return NULL;
}

int client_unix_ask(struct sq_client *c, const char *method, const char *path, const char *body,
		    struct client_buffer *answer, struct sq_error *err)
{
	struct exchange x = {.c = c, .in.max = 1u << 30, .err = err};
	bool kept = c->fd >= 0;
	size_t len;
	char *text;
	int r;

	for (const char *p = path; *p; p++)
		if ((unsigned char)*p <= 0x20 || *p == 0x7f)
			return sq_error_set(err, -EINVAL, "path", "holds a byte that none may");
	text = request_text(c, method, path, body, &len);
	if (!text)
		return sq_error_set(err, -ENOMEM, NULL, "out of memory");
	x.until_ms = sq_mono_ms() + (uint64_t)c->timeout_ms;
	r = kept ? 0 : connect_now(c, err);
	if (!r)
		r = exchange(&x, text, len, answer);
	/* squalld closes what was silent for long: then it has not seen the request. */
	if (r == -EPIPE && kept) {
		client_unix_close(c);
		r = connect_now(c, err);
		if (!r)
			r = exchange(&x, text, len, answer);
	}
	if (r == -EPIPE)
		r = failed(&x, -EPROTO, "it closed the connection without an answer");
	explicit_bzero(text, len); /* a token may stand in it */
	free(text);
	free(x.in.data);
	return r;
}
