// SPDX-License-Identifier: GPL-2.0-only
/* JSON, and lines for people, of bytes that may not be UTF-8: file names, command lines, what
 * others answered. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
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

static uint32_t code_point(const unsigned char *s, int len)
{
	static const unsigned char first[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
	uint32_t c = s[0] & first[len];

	for (int i = 1; i < len; i++)
		c = c << 6 | (s[i] & 0x3f);
	return c;
}

/* Ranges of what acts instead of being seen. */
static bool acts(uint32_t c)
{
	static const uint32_t range[][2] = {
		{0, 0x1f},	  {0x7f, 0x9f},	    {0xad, 0xad},	{0x61c, 0x61c},
		{0x180e, 0x180e}, {0x200b, 0x200f}, {0x2028, 0x202e},	{0x2060, 0x206f},
		{0xfeff, 0xfeff}, {0xfff9, 0xfffb}, {0xe0000, 0xe007f}, {0xfffe, 0xffff},
	};

	for (size_t i = 0; i < sizeof(range) / sizeof(*range); i++)
		if (c >= range[i][0] && c <= range[i][1])
			return true;
	return false;
}

size_t text_one(char ret[static TEXT_ONE], const char *from, size_t n)
{
	unsigned char s[5] = {0}; /* what follows is looked at, and that may be past the end */
	size_t len;

	memcpy(s, from, n < 4 ? n : 4);
	len = (size_t)utf8_len(s);
	if (!len || (len == 1 && acts(s[0]))) {
		snprintf(ret, TEXT_ONE, "\\x%02x", s[0]);
	} else if (acts(code_point(s, (int)len))) {
		snprintf(ret, TEXT_ONE, "\\u%04x", code_point(s, (int)len));
	} else {
		memcpy(ret, s, len);
		ret[len] = 0;
	}
	return len ? len : 1;
}

size_t text_shown(char *to, size_t cap, const char *from, size_t n)
{
	size_t at = 0;

	for (size_t i = 0; i < n;) {
		char one[TEXT_ONE];
		size_t took = text_one(one, from + i, n - i), len = strlen(one);

		if (at + len >= cap)
			break;
		memcpy(to + at, one, len);
		at += len;
		i += took;
	}
	to[at] = 0;
	return at;
}

void text_print(FILE *f, const char *text)
{
	char one[TEXT_ONE];

	for (size_t left = strlen(text), n; left; text += n, left -= n) {
		/* Almost all of it is plain: a character at a time took as long as the rest of a
		 * rule's line. */
		for (n = 0; n < left && text[n] >= ' ' && text[n] < 0x7f; n++)
			;
		if (n) {
			fwrite(text, 1, n, f);
			continue;
		}
		n = text_one(one, text, left);
		fputs(one, f);
	}
}
