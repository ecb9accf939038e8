// libs: -lmicrohttpd
// SPDX-License-Identifier: GPL-2.0-only
/*
 * A request's header lines as they come: what lib/httpd/framing accepts must
 * have one end for every reader, by a second opinion that shares no code.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "lib/httpd/framing.h"

#define LINES 64

/* Does a lax reader take this name for `word`? It skips what is no letter. */
static int lax(const char *name, const char *word)
{
	char letters[64];
	size_t n = 0;

	for (; *name && n < sizeof(letters) - 1; name++)
		if ((*name | 32) >= 'a' && (*name | 32) <= 'z')
			letters[n++] = *name;
	letters[n] = 0;
	return !*name && strcasecmp(letters, word) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned int lengths = 0, codings = 0, hosts = 0, odd = 0, lines = 0;
	const char *version = size && (data[0] & 1) ? "HTTP/1.1" : "HTTP/1.0";
	struct httpd_framing f = {0};
	char *text = malloc(size + 1), *line, *save;

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = 0;
	for (line = strtok_r(size ? text + 1 : text, "\r\n", &save); line && lines < LINES;
	     line = strtok_r(NULL, "\r\n", &save), lines++) {
		char *value = strchr(line, ':');

		if (value) {
			*value++ = 0;
			value += strspn(value, " \t");
		}
		httpd_framing_header(&f, line, value);
		if (lax(line, "contentlength")) {
			lengths++;
			odd |= strlen(line) != 14 || !value || !*value;
			for (const char *c = value ? value : ""; *c; c++)
				odd |= *c < '0' || *c > '9';
		} else if (lax(line, "transferencoding")) {
			codings++;
			odd |= strlen(line) != 17 || !value || strcasecmp(value, "chunked") != 0;
		} else if (lax(line, "host")) {
			hosts += strlen(line) == 4;
		}
	}
	if (!httpd_framing_end(&f, version) &&
	    (odd || lengths > 1 || codings > 1 || hosts > 1 || (lengths && codings) ||
	     (codings && strcmp(version, "HTTP/1.1"))))
		abort();
	free(text);
	return 0;
}
