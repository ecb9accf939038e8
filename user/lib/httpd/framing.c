// SPDX-License-Identifier: GPL-2.0-only
/*
 * Two Content-Length, one with a Transfer-Encoding, a coding that is not
 * "chunked", two Host: libmicrohttpd takes one of them and ignores the rest.
 */
#include "lib/httpd/framing.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

/* Letters alone: "Transfer_Encoding" and "Transfer-Encoding " are somebody's Transfer-Encoding. */
static bool alike(const char *name, const char *word)
{
	for (; *name; name++) {
		if (!isalpha((unsigned char)*name))
			continue;
		if (tolower((unsigned char)*name) != *word)
			return false;
		word++;
	}
	return !*word;
}

/* RFC 9110, 5.6.2. */
static bool is_token(const char *s)
{
	if (!*s)
		return false;
	for (; *s; s++)
		if (!isalnum((unsigned char)*s) && !strchr("!#$%&'*+-.^_`|~", *s))
			return false;
	return true;
}

static void wrong(struct httpd_framing *f, const char *why)
{
	if (!f->wrong)
		f->wrong = why;
}

void httpd_framing_header(struct httpd_framing *f, const char *name, const char *value)
{
	static const char *const once[] = {"Authorization", "Origin", "Sec-Fetch-Site"};

	if (!value)
		value = "";
	if (!is_token(name))
		wrong(f, "header: a name may hold neither spaces nor other separators");
	if (strcasecmp(name, "Host") == 0) {
		f->hosts++;
	} else if (strcasecmp(name, "Content-Length") == 0) {
		f->lengths++;
		if (!*value || strspn(value, "0123456789") != strlen(value))
			wrong(f, "Content-Length: a number of bytes is accepted, in digits alone");
	} else if (strcasecmp(name, "Transfer-Encoding") == 0) {
		f->codings++;
		if (strcasecmp(value, "chunked") != 0)
			wrong(f, "Transfer-Encoding: \"chunked\" alone is accepted");
	} else if (alike(name, "transferencoding") || alike(name, "contentlength")) {
		wrong(f, "header: a misspelt Transfer-Encoding or Content-Length");
	}
	for (size_t i = 0; i < sizeof(once) / sizeof(once[0]); i++) {
		if (strcasecmp(name, once[i]) != 0)
			continue;
		if (f->once & 1u << i)
			wrong(f, "header: Authorization, Origin and Sec-Fetch-Site are accepted "
				 "once");
		f->once |= 1u << i;
	}
}

const char *httpd_framing_end(struct httpd_framing *f, const char *version)
{
	if (f->hosts > 1)
		wrong(f, "Host: accepted once");
	if (f->lengths > 1)
		wrong(f, "Content-Length: accepted once");
	if (f->codings > 1)
		wrong(f, "Transfer-Encoding: accepted once");
	if (f->lengths && f->codings)
		wrong(f, "Content-Length: not accepted together with Transfer-Encoding");
	if (f->codings && strcmp(version, "HTTP/1.1") != 0)
		wrong(f, "Transfer-Encoding: accepted in HTTP/1.1 alone");
	return f->wrong;
}

static enum MHD_Result each(void *arg, enum MHD_ValueKind kind, const char *name, const char *value)
{
	(void)kind;
	httpd_framing_header(arg, name, value);
	return MHD_YES;
}

const char *httpd_framing_check(struct MHD_Connection *conn, const char *version)
{
	struct httpd_framing f = {0};

	MHD_get_connection_values(conn, MHD_HEADER_KIND, each, &f);
	return httpd_framing_end(&f, version);
}
