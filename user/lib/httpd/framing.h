/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where a request ends, by its header: what two readers could read in two ways
 * is refused, since a proxy in front may be the other reader (RFC 9112, 6.3).
 */
#ifndef SQUALL_LIB_HTTPD_FRAMING_H
#define SQUALL_LIB_HTTPD_FRAMING_H

#include <microhttpd.h>
#include <stddef.h>

struct httpd_framing {
	unsigned int hosts, lengths, codings, once; /* seen so far */
	const char *wrong;			    /* static text; NULL: nothing so far */
};

/* Each header in turn; value may be NULL. */
void httpd_framing_header(struct httpd_framing *f, const char *name, const char *value);
/* After the last one. What is wrong, or NULL. */
const char *httpd_framing_end(struct httpd_framing *f, const char *version);

/* All of a request's headers. NULL, or what is wrong: answer 400 and close. */
const char *httpd_framing_check(struct MHD_Connection *conn, const char *version);

#endif
