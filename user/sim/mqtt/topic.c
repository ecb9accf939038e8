// SPDX-License-Identifier: GPL-2.0-only
/* UTF-8, topic names, topic filters. */
#include <string.h>
#include "sim/mqtt/mqtt.h"

bool mqtt_utf8_ok(const uint8_t *p, size_t n)
{
	size_t i = 0;

	while (i < n) {
		uint8_t c = p[i++];
		unsigned more;
		uint32_t cp;

		if (c < 0x80) {
			if (!c)
				return false;
			continue;
		}
		if (c >= 0xc2 && c <= 0xdf) {
			more = 1;
			cp = c & 0x1f;
		} else if (c >= 0xe0 && c <= 0xef) {
			more = 2;
			cp = c & 0x0f;
		} else if (c >= 0xf0 && c <= 0xf4) {
			more = 3;
			cp = c & 0x07;
		} else {
			return false;
		}
		if (n - i < more)
			return false;
		for (unsigned k = 0; k < more; k++) {
			if ((p[i] & 0xc0) != 0x80)
				return false;
			cp = cp << 6 | (p[i++] & 0x3f);
		}
		/* Overlong forms, surrogates, past U+10FFFF. */
		if ((more == 2 && cp < 0x800) || (more == 3 && cp < 0x10000) || cp > 0x10ffff ||
		    (cp >= 0xd800 && cp <= 0xdfff))
			return false;
	}
	return true;
}

bool mqtt_topic_ok(const uint8_t *p, size_t n)
{
	return n && n <= MQTT_MAX_STRING && !memchr(p, '+', n) && !memchr(p, '#', n) &&
	       mqtt_utf8_ok(p, n);
}

bool mqtt_shared(const uint8_t *p, size_t n)
{
	return n >= 7 && !memcmp(p, "$share/", 7);
}

bool mqtt_filter_ok(const uint8_t *p, size_t n)
{
	if (!n || n > MQTT_MAX_STRING || !mqtt_utf8_ok(p, n))
		return false;
	if (mqtt_shared(p, n)) {
		/* A name without wildcards, then a filter of at least one character. */
		const uint8_t *name = p + 7, *end = memchr(name, '/', n - 7);

		if (!end || end == name || end + 1 == p + n || memchr(name, '+', end - name) ||
		    memchr(name, '#', end - name))
			return false;
	}
	for (size_t i = 0; i < n; i++) {
		bool first = i == 0 || p[i - 1] == '/', last = i + 1 == n;

		if (p[i] == '#' && !(first && last))
			return false;
		if (p[i] == '+' && !(first && (last || p[i + 1] == '/')))
			return false;
	}
	return true;
}

bool mqtt_match(const uint8_t *filter, size_t nf, const uint8_t *topic, size_t nt)
{
	size_t f = 0, t = 0;

	if (nt && nf && topic[0] == '$' && filter[0] != '$')
		return false;
	for (;;) {
		if (f < nf && filter[f] == '#')
			return true;
		if (f < nf && filter[f] == '+') {
			f++;
			while (t < nt && topic[t] != '/')
				t++;
		} else {
			while (f < nf && t < nt && filter[f] == topic[t] && filter[f] != '/') {
				f++;
				t++;
			}
		}
		if (f == nf || t == nt) {
			if (f == nf && t == nt)
				return true;
			/* "a/#" matches "a" too. */
			return t == nt && nf - f == 2 && filter[f] == '/' && filter[f + 1] == '#';
		}
		if (filter[f] != '/' || topic[t] != '/')
			return false;
		f++;
		t++;
	}
}
