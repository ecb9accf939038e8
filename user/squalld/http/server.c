// SPDX-License-Identifier: GPL-2.0-only
/*
 * Listeners and the life of a request.
 *
 * One libmicrohttpd daemon with its own epoll thread per listener. A request
 * is made when its first line has been read (uri_log_callback), its body is
 * gathered up to HTTP_BODY_MAX, it is answered when it is whole, and freed in
 * the completion call-back. Requests never wait: rules are written to the
 * kernel in microseconds and to disk by another thread.
 *
 * Who holds a connection without asking is lib/httpd/gate.h's to send away.
 */
#include "squalld/http/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "lib/httpd/address.h"
#include "lib/httpd/framing.h"
#include "lib/httpd/gate.h"
#include "squalld/base/log.h"
#include "squalld/base/url.h"

#define MAX_LISTENERS	 (OPT_MAX_LIST + 1)
#define UNIX_CONNECTIONS 64
#define IDLE_LIMIT_S	 15
#define PER_ADDRESS	 256 /* of one listener; a proxy is one address */
/* TLS 1.3, and of 1.2 what keeps old recordings secret: ECDHE, and AEAD alone. */
#define TLS_PRIORITIES                                                                             \
	"NONE:+VERS-TLS1.3:+VERS-TLS1.2:+ECDHE-ECDSA:+ECDHE-RSA:+AES-256-GCM:+AES-128-GCM:"        \
	"+CHACHA20-POLY1305:+AEAD:+SIGN-ALL:-SIGN-RSA-SHA1:-SIGN-ECDSA-SHA1:+GROUP-ALL:+COMP-"     \
	"NULL:+CTYPE-X509"
#define HEADER_MEMORY	 (32u << 10)
#define HTTP_DISCARD_MAX (16u << 20)

struct listener {
	struct http *http;
	struct MHD_Daemon *mhd;
	struct httpd_door door;
	int fd;
	bool local;
	uint16_t port;
	char name[160];
};

struct http {
	const struct options *opt;
	struct httpd_guard *guard;
	const struct http_app *app;
	void *arg;
	struct listener listener[MAX_LISTENERS];
	int n;
	char *cert, *key;
	_Atomic uint64_t requests;
	struct httpd_gate *gate;
};

/* --- binding --------------------------------------------------------------------- */

static int bind_tcp(struct http *h, const char *text, struct sq_error *err)
{
	struct listener *l = &h->listener[h->n];
	struct httpd_address a;
	int rc, one = 1;

	rc = httpd_address_parse(text, &a);
	if (rc < 0) {
		sq_error_set(
			err, rc, NULL,
			"--listen: \"%.80s\" is not accepted: ADDRESS:PORT with a numeric address, "
			"as 127.0.0.1:4080 or [::1]:4080",
			text);
		return rc;
	}
	if (!a.loopback && !h->opt->token_file)
		return sq_error_set(
			err, -EINVAL, NULL,
			"--listen: %.80s can be reached from other machines: give --token-file "
			"(and --tls-cert, --tls-key), or listen on 127.0.0.1",
			text);
	l->fd = socket(a.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (l->fd < 0)
		goto fail;
	setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (a.sa.sa_family == AF_INET6)
		setsockopt(l->fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (bind(l->fd, &a.sa, a.len) < 0 || listen(l->fd, 512) < 0)
		goto fail;
	if (getsockname(l->fd, &a.sa, &a.len) < 0)
		goto fail;
	l->port = httpd_address_port(&a);
	snprintf(l->name, sizeof(l->name), "%.*s:%u", (int)(strrchr(text, ':') - text), text,
		 l->port);
	h->n++;
	return 0;
fail:
	rc = -errno;
	if (rc == -EADDRINUSE)
		sq_error_set(
			err, rc, NULL,
			"--listen: %.80s is taken by another program: stop it, or choose another "
			"port with --listen",
			text);
	else
		sq_error_set(err, rc, NULL, "--listen: cannot listen on %.80s: %s", text,
			     strerror(-rc));
	if (l->fd >= 0)
		close(l->fd);
	return rc;
}

static int bind_unix(struct http *h, const char *path, struct sq_error *err)
{
	struct listener *l = &h->listener[h->n];
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	const struct group *gr;
	char dir[sizeof(sa.sun_path)];
	mode_t mask;
	int rc;

	if (strlen(path) >= sizeof(sa.sun_path))
		return sq_error_set(err, -EINVAL, NULL,
				    "--socket: a path of %zu bytes is not accepted: at most %zu",
				    strlen(path), sizeof(sa.sun_path) - 1);
	strcpy(sa.sun_path, path);
	strcpy(dir, path);
	if (strrchr(dir, '/') && strrchr(dir, '/') != dir) {
		*strrchr(dir, '/') = 0;
		mkdir(dir, 0755);
	}
	l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (l->fd < 0)
		goto fail;
	/* A socket file nobody answers on is left over; one that answers is a running squalld's. */
	if (connect(l->fd, (struct sockaddr *)&sa, sizeof(sa)) == 0) {
		close(l->fd);
		return sq_error_set(
			err, -EADDRINUSE, NULL,
			"--socket: another squalld answers on %s: stop it, or choose another "
			"--socket",
			path);
	}
	if (errno == ECONNREFUSED)
		unlink(path);
	mask = umask(0117);
	rc = bind(l->fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 ? -errno : 0;
	umask(mask);
	errno = -rc;
	if (rc < 0 || listen(l->fd, 128) < 0)
		goto fail;
	fcntl(l->fd, F_SETFL, O_NONBLOCK);
	gr = getgrnam(h->opt->socket_group);
	if (gr && chown(path, (uid_t)-1, gr->gr_gid) < 0)
		log_warn("cannot give %s to group %s: %s", path, h->opt->socket_group,
			 strerror(errno));
	l->local = true;
	snprintf(l->name, sizeof(l->name), "unix:%s", path);
	h->n++;
	return 0;
fail:
	rc = -errno;
	sq_error_set(err, rc, NULL, "--socket: cannot listen on %s: %s", path, strerror(-rc));
	if (l->fd >= 0)
		close(l->fd);
	return rc;
}

static char *read_pem(const char *option, const char *path, struct sq_error *err)
{
	char *buf = calloc(1, 65536);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 && buf ? read(fd, buf, 65535) : -1;

	if (fd >= 0)
		close(fd);
	if (n <= 0 || !strstr(buf, "-----BEGIN")) {
		sq_error_set(err, -EINVAL, NULL, "--%s: %.200s is not a readable PEM file%s%s",
			     option, path, n < 0 ? ": " : "", n < 0 ? strerror(errno) : "");
		free(buf);
		return NULL;
	}
	return buf;
}

int http_bind(const struct options *opt, struct httpd_guard *guard, struct http **ret,
	      struct sq_error *err)
{
	struct http *h = calloc(1, sizeof(*h));
	int rc = 0;

	if (!h)
		return -ENOMEM;
	h->opt = opt;
	h->guard = guard;
	if (opt->tls_cert) {
		h->cert = read_pem("tls-cert", opt->tls_cert, err);
		h->key = h->cert ? read_pem("tls-key", opt->tls_key, err) : NULL;
		rc = h->key ? 0 : -EINVAL;
	}
	for (size_t i = 0; rc == 0 && i < opt->n_listen; i++)
		if (strcmp(opt->listen[i], "none") != 0)
			rc = bind_tcp(h, opt->listen[i], err);
	if (rc == 0 && strcmp(opt->socket, "none") != 0)
		rc = bind_unix(h, opt->socket, err);
	if (rc == 0 && h->n == 0) {
		rc = sq_error_set(
			err, -EINVAL, NULL,
			"--listen and --socket are both \"none\": nobody could ever ask for "
			"anything");
	}
	if (rc < 0) {
		http_free(h);
		return rc;
	}
	*ret = h;
	return 0;
}

/* --- a request's life -------------------------------------------------------------- */

static void *on_uri(void *cls, const char *uri, struct MHD_Connection *conn)
{
	struct listener *l = cls;
	struct request *r = calloc(1, sizeof(*r));

	httpd_phase(conn, HTTPD_HEADER);
	if (!r)
		return NULL;
	r->arg = l->http->arg;
	r->listener = l;
	r->local = l->local;
	r->conn = conn;
	r->target = strdup(uri);
	r->query = "";
	atomic_fetch_add_explicit(&l->http->requests, 1, memory_order_relaxed);
	return r;
}

/* Cuts the target into decoded path segments and the raw query. */
static int split_target(struct request *r)
{
	char *p = r->target, *q;

	if (!p)
		return -ENOMEM;
	if (strncasecmp(p, "http://", 7) == 0 || strncasecmp(p, "https://", 8) == 0) {
		p = strchr(strstr(p, "://") + 3, '/');
		if (!p)
			return -EINVAL;
	}
	if (*p != '/' || strchr(p, '#'))
		return -EINVAL;
	r->path = strdup(p);
	if (!r->path)
		return -ENOMEM;
	q = strchr(r->path, '?');
	if (q) {
		*q = 0;
		r->query = q + 1;
	}
	for (p = r->path; p;) {
		char *start = p + 1;

		p = strchr(start, '/');
		if (p)
			*p = 0;
		if (!*start && !p)
			break; /* a trailing slash */
		if (r->n_seg == HTTP_MAX_SEGS)
			return -EINVAL;
		r->seg[r->n_seg++] = start;
	}
	for (int i = 0; i < r->n_seg; i++)
		if (percent_decode((char *)r->seg[i], false, true) < 0)
			return -EINVAL;
	return 0;
}

static enum MHD_Result first_call(struct request *r, const char *version)
{
	const struct http *h = r->listener->http;
	const char *length, *wrong;
	int rc;

	r->started = true;
	httpd_phase(r->conn, HTTPD_BODY);
	rc = split_target(r);
	if (rc < 0)
		return reply_status(r, rc == -ENOMEM ? 503 : 400, "path",
				    "path: a well-formed /path?query is expected");
	wrong = httpd_framing_check(r->conn, version);
	if (wrong) {
		r->close = true;
		return reply_status(r, MHD_HTTP_BAD_REQUEST, "header", "%s", wrong);
	}
	if (!r->local)
		r->refused = httpd_guard_check(h->guard,
					       &(struct httpd_ask){
						       .conn = r->conn,
						       .method = r->method,
						       .is_public = h->app->is_public(r),
						       .ret_name = r->token,
					       },
					       r->why, sizeof(r->why));
	length = request_header(r, "Content-Length");
	/* Answered when the request is whole, which keeps the connection. */
	if (r->refused && !length && !request_header(r, "Transfer-Encoding"))
		return MHD_YES;
	if (r->refused)
		return reply_status(r, r->refused, "", "%s", r->why);
	if (length && strtoull(length, NULL, 10) > HTTP_DISCARD_MAX)
		return reply_status(r, MHD_HTTP_CONTENT_TOO_LARGE, "body",
				    "body: %.20s bytes are not accepted: at most %u", length,
				    HTTP_BODY_MAX);
	return MHD_YES;
}

/* What is too large is read to its end, if that is not far, as a client that is still writing when
 * the connection is closed never sees the answer. */
static enum MHD_Result gather(struct request *r, const char *data, size_t n)
{
	if (r->len + n > HTTP_BODY_MAX) {
		r->too_large = true;
		r->discarded += n;
		return r->discarded > HTTP_DISCARD_MAX ? MHD_NO : MHD_YES;
	}
	if (r->len + n + 1 > r->cap) {
		size_t cap = (r->len + n + 1) * 2;
		char *body = realloc(r->body, cap);

		if (!body)
			return MHD_NO;
		r->body = body;
		r->cap = cap;
	}
	memcpy(r->body + r->len, data, n);
	r->len += n;
	r->body[r->len] = 0;
	return MHD_YES;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *conn, const char *url,
				  const char *method, const char *version, const char *data,
				  size_t *size, void **con_cls)
{
	struct request *r = *con_cls;

	(void)cls;
	(void)url;
	if (!r)
		return MHD_NO; /* out of memory in on_uri() */
	if (!r->started) {
		r->method = method;
		return first_call(r, version);
	}
	if (*size) {
		enum MHD_Result more = gather(r, data, *size);

		*size = 0;
		return more;
	}
	httpd_phase(conn, HTTPD_ANSWER);
	if (r->refused)
		return reply_status(r, r->refused, "", "%s", r->why);
	if (r->too_large)
		return reply_status(r, MHD_HTTP_CONTENT_TOO_LARGE, "body",
				    "body: at most %u bytes are accepted", HTTP_BODY_MAX);
	return r->listener->http->app->answer(r);
}

static void on_completed(void *cls, struct MHD_Connection *conn, void **con_cls,
			 enum MHD_RequestTerminationCode code)
{
	struct request *r = *con_cls;

	(void)cls;
	(void)code;
	if (!r)
		return;
	if (r->on_done)
		r->on_done(r, r->done_arg);
	httpd_phase(conn, HTTPD_IDLE);
	free(r->target);
	free(r->path);
	free(r->body);
	free(r);
	*con_cls = NULL;
}

static void on_connection(void *cls, struct MHD_Connection *conn, void **ctx,
			  enum MHD_ConnectionNotificationCode code)
{
	struct listener *l = cls;

	if (code == MHD_CONNECTION_NOTIFY_CLOSED && l->http->app->gone)
		l->http->app->gone(l->http->arg, conn);
	httpd_door_event(&l->door, conn, ctx, code);
}

static void on_log(void *cls, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
static void on_log(void *cls, const char *fmt, va_list ap)
{
	char text[256];

	(void)cls;
	vsnprintf(text, sizeof(text), fmt, ap);
	text[strcspn(text, "\n")] = 0;
	log_debug("http: %s", text);
	httpd_heard(text);
}

int http_start(struct http *h, const struct http_app *app, void *arg, struct sq_error *err)
{
	int tcp = 0, rc = httpd_gate_open(&h->gate);

	if (rc < 0) {
		sq_error_set(err, rc, NULL, "cannot start the HTTP server: %s", strerror(-rc));
		return rc;
	}
	h->app = app;
	h->arg = arg;
	for (int i = 0; i < h->n; i++)
		tcp += !h->listener[i].local;
	for (int i = 0; i < h->n; i++) {
		struct listener *l = &h->listener[i];
		bool tls = h->cert && !l->local;
		unsigned int flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME |
				     MHD_USE_ERROR_LOG | (tls ? MHD_USE_TLS : 0);
		unsigned int limit = l->local ? UNIX_CONNECTIONS
					      : (HTTP_CONNECTIONS - UNIX_CONNECTIONS) /
							(unsigned int)(tcp ? tcp : 1);
		struct MHD_OptionItem extra[] = {
			{MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)TLS_PRIORITIES},
			{MHD_OPTION_HTTPS_MEM_CERT, 0, h->cert},
			{MHD_OPTION_HTTPS_MEM_KEY, 0, h->key},
			{MHD_OPTION_END, 0, NULL},
		};

		if (!tls)
			extra[0].option = MHD_OPTION_END;
		l->http = h;
		l->door = (struct httpd_door){
			.gate = h->gate,
			.total = limit,
			.per_address = limit < PER_ADDRESS ? limit : PER_ADDRESS,
		};
		l->mhd = MHD_start_daemon(
			flags, l->port, NULL, NULL, on_request, l, MHD_OPTION_EXTERNAL_LOGGER,
			on_log, NULL, /* first: others may log */
			MHD_OPTION_LISTEN_SOCKET, l->fd, MHD_OPTION_ARRAY, extra,
			MHD_OPTION_CONNECTION_LIMIT, limit + HTTPD_LEAVING,
			MHD_OPTION_CONNECTION_TIMEOUT, (unsigned int)IDLE_LIMIT_S,
			MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HEADER_MEMORY,
			MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1,
			MHD_OPTION_URI_LOG_CALLBACK, on_uri, l, MHD_OPTION_NOTIFY_COMPLETED,
			on_completed, NULL, MHD_OPTION_NOTIFY_CONNECTION, on_connection, l,
			MHD_OPTION_END);
		if (!l->mhd)
			return sq_error_set(
				err, -EINVAL, NULL,
				tls ? "cannot serve TLS on %s: are --tls-cert and --tls-key a pair?"
				    : "cannot start the HTTP server on %s",
				l->name);
	}
	return 0;
}

void http_stop(struct http *h)
{
	if (!h)
		return;
	for (int i = 0; i < h->n; i++) {
		if (h->listener[i].mhd) {
			MHD_stop_daemon(h->listener[i].mhd); /* closes the listening socket too */
			h->listener[i].mhd = NULL;
			h->listener[i].fd = -1;
		}
	}
	httpd_gate_close(h->gate);
	h->gate = NULL;
}

void http_free(struct http *h)
{
	if (!h)
		return;
	for (int i = 0; i < h->n; i++) {
		if (h->listener[i].fd >= 0)
			close(h->listener[i].fd);
		if (h->listener[i].local)
			unlink(h->listener[i].name + strlen("unix:"));
	}
	free(h->cert);
	free(h->key);
	free(h);
}

uint16_t http_port(const struct http *h)
{
	for (int i = 0; h && i < h->n; i++)
		if (!h->listener[i].local)
			return h->listener[i].port;
	return 0;
}

uint64_t http_requests(const struct http *h)
{
	return h ? h->requests : 0;
}

json_t *http_listeners(const struct http *h)
{
	json_t *list = json_array();

	for (int i = 0; h && i < h->n; i++)
		json_array_append_new(list, json_text(h->listener[i].name));
	return list;
}
