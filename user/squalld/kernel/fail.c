// SPDX-License-Identifier: GPL-2.0-only
/* The engine's failures: one line, whose first word names the field. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "squalld/kernel/engine_internal.h"

#undef engine_fail /* the analyzer's */

int engine_fail(struct sq_error *err, int ret, const char *fmt, ...)
{
	const char *colon;
	va_list ap;

	if (!err)
		return ret;
	va_start(ap, fmt);
	vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	/* "field: what is wrong" */
	err->field[0] = 0;
	colon = strchr(err->text, ':');
	if (colon && (size_t)(colon - err->text) < sizeof(err->field) &&
	    strcspn(err->text, " ") > (size_t)(colon - err->text))
		snprintf(err->field, sizeof(err->field), "%.*s", (int)(colon - err->text),
			 err->text);
	return ret;
}
