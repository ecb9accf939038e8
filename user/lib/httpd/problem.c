// SPDX-License-Identifier: GPL-2.0-only
/* The body of every refusal, of squalld and of squall-sim: a client needs one reader for both. */
#include "lib/httpd/problem.h"

static const char *title_of(unsigned int status)
{
	switch (status) {
	case 400:
		return "Bad Request";
	case 401:
		return "Unauthorized";
	case 403:
		return "Forbidden";
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	case 409:
		return "Conflict";
	case 412:
		return "Precondition Failed";
	case 413:
		return "Content Too Large";
	case 422:
		return "Unprocessable Content";
	case 503:
		return "Service Unavailable";
	case 507:
		return "Insufficient Storage";
	default:
		return "Internal Server Error";
	}
}

json_t *httpd_problem(unsigned int status, const char *field, json_t *detail)
{
	json_t *body = json_pack("{s:s,s:s,s:i,s:o}", "type", "about:blank", "title",
				 title_of(status), "status", (int)status, "detail", detail);

	if (body && field && *field)
		json_object_set_new(body, "field", json_string(field));
	return body;
}
