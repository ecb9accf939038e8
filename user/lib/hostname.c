// SPDX-License-Identifier: GPL-2.0-only
/* RFC 1123, 2.1, and the underscore that names of services have. */
#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>
#include "lib/hostname.h"

bool hostname_take(const char *value, char ret_name[static HOSTNAME_SIZE])
{
	size_t n = strlen(value), label = 0;
	struct in6_addr addr;

	if (n && value[n - 1] == '.')
		n--;
	if (!n || n >= HOSTNAME_SIZE || inet_pton(AF_INET, value, &addr) == 1)
		return false;
	for (size_t i = 0; i <= n; i++) {
		unsigned char c = i < n ? (unsigned char)value[i] : '.';

		if (c == '.' ? !label || value[i - 1] == '-'
			     : ++label > 63 || (c == '-' && label == 1) ||
				       !(c == '_' || c == '-' || (c < 128 && isalnum(c))))
			return false;
		if (c == '.')
			label = 0;
		ret_name[i] = i < n ? (char)tolower(c) : 0;
	}
	return true;
}
