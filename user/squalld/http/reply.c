// SPDX-License-Identifier: GPL-2.0-only
/* Replies, and the one place that maps errno to HTTP status. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <squall/ui.h>
#include "lib/httpd/gate.h"
#include "lib/httpd/problem.h"

#include "squalld/base/url.h"
#include "squalld/http/http.h"

unsigned int errno_to_status(int code)
{
	switch (-code) {
	case 0:
		return 200;
	case EINVAL:
	case ERANGE:
	case ENAMETOOLONG:
		return 400;
	case EPERM:
	case EACCES:
		return 403;
	case ENOENT:
	case ESRCH:
		return 404;
	case EEXIST:
	case ENOTUNIQ:
	case EBUSY:
	case EHOSTDOWN: /* the container is not running */
		return 409;
	case ESTALE: /* If-Match does not */
		return 412;
	case E2BIG:
	case EMSGSIZE:
		return 413;
	case EOPNOTSUPP:
	case ENOTCONN: /* the target has no network that could be faulted */
		return 422;
	case ENOMEM:
	case EAGAIN:
		return 503;
	case ENOSPC:
		return 507;
	default:
		return 500;
	}
}

const char *request_header(struct request *r, const char *name)
{
	return MHD_lookup_connection_value(r->conn, MHD_HEADER_KIND, name);
}

const char *request_query(struct request *r, const char *name, char *buf, size_t size)
{
	size_t len = strlen(name);

	for (const char *p = r->query; *p;) {
		size_t n = strcspn(p, "&");

		if (n >= len && memcmp(p, name, len) == 0 && (n == len || p[len] == '=')) {
			size_t skip = n == len ? len : len + 1;

			if (n - skip >= size)
				return NULL;
			memcpy(buf, p + skip, n - skip);
			buf[n - skip] = 0;
			return percent_decode(buf, true, true) < 0 ? NULL : buf;
		}
		p += n + (p[n] == '&');
	}
	return NULL;
}

json_t *request_json(struct request *r, struct sq_error *p)
{
	json_error_t e;
	json_t *json;

	if (!r->len) {
		sq_error_set(p, -EINVAL, "body", "a JSON object is expected, none was sent");
		return NULL;
	}
	json = json_loadb(r->body, r->len, JSON_REJECT_DUPLICATES, &e);
	if (!json) {
		sq_error_set(p, -EINVAL, "body", "not JSON: line %d, column %d: %s", e.line,
			     e.column, e.text);
		return NULL;
	}
	if (!json_is_object(json)) {
		sq_error_set(p, -EINVAL, "body", "a JSON object is expected");
		json_decref(json);
		return NULL;
	}
	return json;
}

enum MHD_Result reply_response(struct request *r, unsigned int status,
			       struct MHD_Response *response)
{
	enum MHD_Result result;

	if (!response)
		return MHD_NO;
	MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
	if (!MHD_get_response_header(response, "Cache-Control"))
		MHD_add_response_header(response, "Cache-Control", "no-store");
	if (r->etag[0]) {
		char quoted[sizeof(r->etag) + 2];

		snprintf(quoted, sizeof(quoted), "\"%s\"", r->etag);
		MHD_add_response_header(response, "ETag", quoted);
	}
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED && r->allow[0])
		MHD_add_response_header(response, "Allow", r->allow);
	if (status == MHD_HTTP_UNAUTHORIZED)
		MHD_add_response_header(response, "WWW-Authenticate", "Bearer realm=\"squall\"");
	if (r->close)
		MHD_add_response_header(response, "Connection", "close");
	result = MHD_queue_response(r->conn, status, response);
	MHD_destroy_response(response);
	return result;
}

enum MHD_Result reply_stream(struct request *r, struct MHD_Response *response)
{
	if (!httpd_phase(r->conn, HTTPD_STREAM)) {
		MHD_destroy_response(response);
		return reply_status(r, MHD_HTTP_SERVICE_UNAVAILABLE, "",
				    "too many event streams from this address: end one first");
	}
	MHD_add_response_header(response, "Content-Type", "text/event-stream");
	return reply_response(r, MHD_HTTP_OK, response);
}

/* A list of 500 targets is 190 KiB, and 12 packed, in 3 ms. Below this there is little to win. */
#define PACK_FROM 4096

/* The text packed, which takes its place, or as it is. */
static size_t pack(struct request *r, char **text)
{
	size_t len = strlen(*text), room = len / 2 + 64;
	char *out = len < PACK_FROM || r->etag[0] ||
				    !sq_accepts_gzip(request_header(r, "Accept-Encoding"))
			    ? NULL
			    : malloc(room);
	z_stream z = {.next_in = (unsigned char *)*text,
		      .avail_in = (unsigned int)len,
		      .next_out = (unsigned char *)out,
		      .avail_out = (unsigned int)room};
	int rc;

	if (!out || deflateInit2(&z, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
		free(out);
		return 0;
	}
	rc = deflate(&z, Z_FINISH);
	deflateEnd(&z);
	if (rc != Z_STREAM_END) { /* it does not even halve it */
		free(out);
		return 0;
	}
	free(*text);
	*text = out;
	return z.total_out;
}

static enum MHD_Result reply_dump(struct request *r, unsigned int status, json_t *body,
				  const char *type)
{
	char *text =
		body ? json_dumps(body, JSON_COMPACT | JSON_ENSURE_ASCII | SQ_JSON_FLAGS) : NULL;
	struct MHD_Response *response;
	size_t packed;

	json_decref(body);
	if (!text)
		return MHD_NO;
	packed = pack(r, &text);
	response = MHD_create_response_from_buffer(packed ? packed : strlen(text), text,
						   MHD_RESPMEM_MUST_FREE);
	if (!response) {
		free(text);
		return MHD_NO;
	}
	MHD_add_response_header(response, "Content-Type", type);
	MHD_add_response_header(response, "Vary", "Accept-Encoding");
	if (packed)
		MHD_add_response_header(response, "Content-Encoding", "gzip");
	return reply_response(r, status, response);
}

enum MHD_Result reply_json(struct request *r, unsigned int status, json_t *body)
{
	return reply_dump(r, status, body, "application/json");
}

enum MHD_Result reply_text(struct request *r, unsigned int status, const char *type,
			   const char *text, size_t len)
{
	struct MHD_Response *response = MHD_create_response_from_buffer(
		len, (void *)(uintptr_t)text, MHD_RESPMEM_MUST_COPY);

	if (!response)
		return MHD_NO;
	MHD_add_response_header(response, "Content-Type", type);
	return reply_response(r, status, response);
}

enum MHD_Result reply_empty(struct request *r, unsigned int status)
{
	return reply_response(
		r, status,
		MHD_create_response_from_buffer(0, (void *)(uintptr_t) "", MHD_RESPMEM_PERSISTENT));
}

static enum MHD_Result reply_error(struct request *r, unsigned int status, const char *field,
				   const char *detail, json_t *candidates)
{
	json_t *body = httpd_problem(status, field, json_text(detail));

	if (body && candidates)
		json_object_set_new(body, "candidates", candidates);
	return reply_dump(r, status, body, HTTPD_PROBLEM_TYPE);
}

enum MHD_Result reply_status(struct request *r, unsigned int status, const char *field,
			     const char *fmt, ...)
{
	char detail[600];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(detail, sizeof(detail), fmt, ap);
	va_end(ap);
	return reply_error(r, status, field, detail, NULL);
}

enum MHD_Result reply_problem(struct request *r, struct sq_error *p)
{
	json_t *candidates = p->candidates;

	p->candidates = NULL;
	r->etag[0] = 0;
	return reply_error(r, errno_to_status(p->code), p->field,
			   p->text[0] ? p->text : strerror(-p->code), candidates);
}
