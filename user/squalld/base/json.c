// SPDX-License-Identifier: GPL-2.0-only
/* JSON of bytes that may not be UTF-8, of addresses; keys that nobody knows. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "squalld/base/json.h"

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

bool json_only_keys(const json_t *object, const char *const *keys, struct sq_error *p)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)object, key, value)
	{
		const char *const *k = keys;
		char list[256] = "";

		while (*k && strcmp(*k, key) != 0)
			k++;
		if (*k)
			continue;
		for (k = keys; *k; k++)
			snprintf(list + strlen(list), sizeof(list) - strlen(list), "%s%s",
				 k == keys ? "" : ", ", *k);
		sq_error_set(p, -EINVAL, key, "unknown key; accepted: %s", list);
		return false;
	}
	return true;
}

json_t *json_endpoint(unsigned int family, const uint8_t *addr, unsigned int port)
{
	char text[INET6_ADDRSTRLEN] = "", full[INET6_ADDRSTRLEN + 16];

	inet_ntop(family == 6 ? AF_INET6 : AF_INET, addr, text, sizeof(text));
	snprintf(full, sizeof(full), !port ? "%s" : family == 6 ? "[%s]:%u" : "%s:%u", text, port);
	return json_string(full);
}
