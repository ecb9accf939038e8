// SPDX-License-Identifier: GPL-2.0-only
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "lib/error.h"

#undef sq_error_set /* the analyzer's */

int sq_error_set(struct sq_error *err, int ret, const char *field, const char *fmt, ...)
{
	va_list args;
	int n = 0;

	if (!err)
		return ret;
	err->code = ret;
	err->candidates = NULL;
	snprintf(err->field, sizeof(err->field), "%s", field ? field : "");
	if (field && *field)
		n = snprintf(err->text, sizeof(err->text), "%s: ", err->field);
	va_start(args, fmt);
	vsnprintf(err->text + n, sizeof(err->text) - n, fmt, args);
	va_end(args);
	return ret;
}

char *sq_quote(const char *value, size_t len, char *buf, size_t size)
{
	/* Room for an escape, "...", the closing quote and the NUL. */
	const size_t tail = 4 + 3 + 1 + 1;
	size_t out = 0, i;

	if (size < tail + 2) {
		if (size)
			buf[0] = 0;
		return buf;
	}
	buf[out++] = '"';
	for (i = 0; i < len; i++) {
		unsigned char c = value[i];

		if (out + tail > size) {
			memcpy(buf + out, "...", 3);
			out += 3;
			break;
		}
		if (c == '"' || c == '\\') {
			buf[out++] = '\\';
			buf[out++] = (char)c;
		} else if (c < 0x20 || c >= 0x7f) {
			out += (size_t)snprintf(buf + out, size - out, "\\x%02x", c);
		} else {
			buf[out++] = (char)c;
		}
	}
	buf[out++] = '"';
	buf[out] = 0;
	return buf;
}

int sq_error_value(struct sq_error *err, int ret, const char *field, const char *value,
		   const char *what)
{
	char quoted[SQ_QUOTED];

	return sq_error_set(err, ret, field, "%s is not accepted: %s",
			    sq_quote(value, strlen(value), quoted, sizeof(quoted)), what);
}

void sq_error_within(struct sq_error *err, const char *where)
{
	struct sq_error inner = *err;

	snprintf(err->field, sizeof(err->field), "%.20s%s%.40s", where, *inner.field ? "." : "",
		 inner.field);
	snprintf(err->text, sizeof(err->text), "%.40s: %.460s", where, inner.text);
}
