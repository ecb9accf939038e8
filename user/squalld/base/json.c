// SPDX-License-Identifier: GPL-2.0-only
/* JSON of addresses; keys that nobody knows. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "squalld/base/json.h"

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
