// SPDX-License-Identifier: GPL-2.0-only
/* The line that a refusal is told with. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include "sim/base/err.h"

#undef sim_bad /* the analyzer's */

int sim_bad(struct sim_err *err, const char *fmt, ...)
{
	va_list ap;

	err->field[0] = 0;
	va_start(ap, fmt);
	vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	return -EINVAL;
}
