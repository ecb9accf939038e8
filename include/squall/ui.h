/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The panel's files (web/), embedded, for whoever serves /ui/: squalld and
 * squall-sim. They hold no secret, so they need no token; the API does.
 */
#ifndef SQUALL_UI_H
#define SQUALL_UI_H

#include <stdbool.h>
#include <stddef.h>

struct sq_ui_file {
	const char *path; /* below /ui/, "index.html" */
	const char *type; /* Content-Type */
	const void *data;
	size_t size;
	const void *gz_data; /* the same for Accept-Encoding: gzip (send Vary with it) */
	size_t gz_size;
	char etag[20]; /* quoted, of the content */
};

/* path is what follows "/ui/"; "" is index.html. NULL if there is no such file. */
const struct sq_ui_file *sq_ui_find(const char *path);

/* Content-Type of a file on disk (--web-root), by its extension. */
const char *sq_ui_type(const char *path);

/* Of the request's Accept-Encoding; NULL: there is none. */
bool sq_accepts_gzip(const char *accept_encoding);

struct MHD_Connection;
struct MHD_Response;
/* Adds what each answer below /ui/ carries; the functions after it have done so. NULL: no memory.
 */
struct MHD_Response *sq_ui_headers(struct MHD_Response *response);
/* ret_status: 200, or 304 to an If-None-Match that holds the file's ETag. */
struct MHD_Response *sq_ui_response(struct MHD_Connection *c, const struct sq_ui_file *file,
				    unsigned int *ret_status);
/* Of a file on disk. fd is taken, and may be < 0; NULL too if it is not a regular file. */
struct MHD_Response *sq_ui_response_fd(int fd, const char *path);
/* To /ui/, for a status of 3xx. */
struct MHD_Response *sq_ui_redirect(void);

#endif
