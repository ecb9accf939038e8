// SPDX-License-Identifier: GPL-2.0-only
/* The escapes of a URL, RFC 3986, 2.1. */
#include "squalld/base/url.h"

#include <errno.h>

static int hex(int c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
				      : -1;
}

int percent_decode(char *s, bool plus, bool strict)
{
	char *out = s;

	for (; *s; s++) {
		if (*s == '+' && plus) {
			*out++ = ' ';
		} else if (*s == '%') {
			int hi = hex((unsigned char)s[1]),
			    lo = hi < 0 ? -1 : hex((unsigned char)s[2]);

			if (lo < 0 || (hi == 0 && lo == 0)) {
				if (strict)
					return -EINVAL;
				*out++ = *s;
				continue;
			}
			*out++ = (char)(hi << 4 | lo);
			s += 2;
		} else {
			*out++ = *s;
		}
	}
	*out = 0;
	return 0;
}
