// libs: -Lsqualld
// SPDX-License-Identifier: GPL-2.0-only
/* docker-tc's forms. The first byte chooses direction and link speed. */
#include "dockertc_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sq_error err = {0};
	char echo[TC_ECHO_MAX];
	struct sq_rule rule;
	int rc;

	if (size < 1)
		return 0;
	memset(&rule, UNTOUCHED, sizeof(rule));
	rc = dockertc_parse_form((const char *)data + 1, size - 1, TC_UP + (data[0] >> 1) % 3,
				 data[0] & 8 ? 10000000000u : 0, &rule, echo, &err);
	if (strlen(echo) >= sizeof(echo))
		abort();
	check_parsed(rc, true, &rule, &err);
	return 0;
}
