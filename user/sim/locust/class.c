// SPDX-License-Identifier: GPL-2.0-only
/* Names of device types as Python names, the same in the locustfile and the worker. */
#include "sim/locust/proto.h"

#include <errno.h>
#include <string.h>

/* A Python identifier that is no keyword; device types may have dashes and dots. */
int locust_class_name(const char *device_type, char *buf, size_t len)
{
	static const char *const keywords[] = {
		"False",
		"None",
		"True",
		"and",
		"as",
		"assert",
		"async",
		"await",
		"break",
		"class",
		"continue",
		"def",
		"del",
		"elif",
		"else",
		"except",
		"finally",
		"for",
		"from",
		"global",
		"if",
		"import",
		"in",
		"is",
		"lambda",
		"nonlocal",
		"not",
		"or",
		"pass",
		"raise",
		"return",
		"try",
		"while",
		"with",
		"yield",
		/* names that the generated file uses itself */
		"User",
		"events",
		"options",
		"task",
	};
	size_t n = 0, i;
	const char *c;

	if (!*device_type || strlen(device_type) + 2 > len)
		return -EINVAL;
	if (*device_type >= '0' && *device_type <= '9')
		buf[n++] = 'T';
	for (c = device_type; *c; c++)
		buf[n++] = (*c >= '0' && *c <= '9') || (*c >= 'a' && *c <= 'z') ||
					   (*c >= 'A' && *c <= 'Z')
				   ? *c
				   : '_';
	buf[n] = 0;
	for (i = 0; i < sizeof(keywords) / sizeof(*keywords); i++)
		if (!strcmp(buf, keywords[i])) {
			buf[n++] = '_';
			buf[n] = 0;
			break;
		}
	/* Python mangles, and Locust skips, names that begin with an underscore. */
	if (*buf == '_') {
		memmove(buf + 1, buf, n + 1 < len ? n + 1 : len - 1);
		*buf = 'T';
		buf[len - 1] = 0;
	}
	return 0;
}
