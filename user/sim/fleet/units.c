// SPDX-License-Identifier: GPL-2.0-only
/* Sizes as a payload has them: the library's, but "21.5" is text. */
#include <errno.h>
#include <string.h>
#include <squall/units.h>
#include "sim/fleet/options.h"

int sim_parse_size(const char *s, uint64_t *ret)
{
	size_t n = strlen(s);

	if (n && strpbrk(s, ".eE") && s[n - 1] >= '0' && s[n - 1] <= '9')
		return -EINVAL;
	return sq_parse_size(s, ret) ? -EINVAL : 0;
}
