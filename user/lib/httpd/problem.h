/* SPDX-License-Identifier: GPL-2.0-only */
/* How a refusal reads: application/problem+json (RFC 9457). */
#ifndef SQUALL_LIB_HTTPD_PROBLEM_H
#define SQUALL_LIB_HTTPD_PROBLEM_H

#include <jansson.h>

#define HTTPD_PROBLEM_TYPE "application/problem+json"

/* detail is stolen. field: what of the request is meant; NULL or "": all of it. NULL: no memory. */
json_t *httpd_problem(unsigned int status, const char *field, json_t *detail);

#endif
