// SPDX-License-Identifier: GPL-2.0-only
/* JSON of bytes that may not be UTF-8: file names, command lines, what others answered. */
#include <stdlib.h>
#include <string.h>
#include "lib/text.h"

/* Length of the UTF-8 sequence at s, 0 if it is not one. */
static int utf8_len(const unsigned char *s)
{
	int n = s[0] < 0x80		      ? 1
		: s[0] >= 0xc2 && s[0] < 0xe0 ? 2
		: (s[0] & 0xf0) == 0xe0	      ? 3
		: s[0] >= 0xf0 && s[0] < 0xf5 ? 4
					      : 0;

	for (int i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	/* Overlong forms, surrogates and what lies beyond U+10FFFF. */
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return n;
}

json_t *json_text(const char *bytes)
{
	size_t n = 0;
	json_t *text;
	char *buf;

	if (!bytes)
		return json_null();
	buf = malloc(strlen(bytes) + 1); /* never longer: a bad byte becomes one */
	if (!buf)
		return NULL;
	for (const unsigned char *s = (const unsigned char *)bytes; *s;) {
		int len = utf8_len(s);

		if (!len) {
			buf[n++] = '?';
			s++;
			continue;
		}
		memcpy(buf + n, s, (size_t)len);
		n += (size_t)len;
		s += len;
	}
	text = json_stringn(buf, n);
	free(buf);
	return text;
}
