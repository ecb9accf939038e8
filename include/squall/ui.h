/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The panel's files (web/), embedded, for whoever serves /ui/: squalld and
 * squall-sim. They hold no secret, so they need no token; the API does.
 */
#ifndef SQUALL_UI_H
#define SQUALL_UI_H

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

/* Headers to send with each file. No inline script or style exists in web/;
 * connect-src 'self' is what makes "no request to another host" binding. */
#define SQ_UI_CSP                                                                            \
	"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "    \
	"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

/* path is what follows "/ui/"; "" is index.html. NULL if there is no such file. */
const struct sq_ui_file *sq_ui_find(const char *path);

/* Content-Type of a file on disk (--web-root), by its extension. */
const char *sq_ui_type(const char *path);

#endif
