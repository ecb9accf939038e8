// libs: -Lsqualld
// SPDX-License-Identifier: GPL-2.0-only
/* docker-tc's labels, one KEY=VALUE a line. The first byte chooses direction and link speed. */
#include "dockertc_check.h"

static json_t *labels_of(const char *text, size_t size)
{
	json_t *labels = json_object();

	while (size) {
		const char *end = memchr(text, '\n', size);
		size_t n = end ? (size_t)(end - text) : size;
		const char *eq = memchr(text, '=', n);

		if (eq)
			json_object_setn_new(labels, text, (size_t)(eq - text),
					     json_stringn(eq + 1, (size_t)(text + n - eq - 1)));
		text += n + (end != NULL);
		size -= n + (end != NULL);
	}
	return labels;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sq_error err = {0};
	struct sq_rule rule;
	bool enabled = true;
	json_t *labels;
	int rc;

	if (size < 1)
		return 0;
	memset(&rule, UNTOUCHED, sizeof(rule));
	labels = labels_of((const char *)data + 1, size - 1);
	rc = dockertc_parse_labels(labels, TC_UP + (data[0] >> 1) % 3,
				   data[0] & 8 ? 10000000000u : 0, &rule, &enabled, &err);
	json_decref(labels);
	check_parsed(rc, enabled, &rule, &err);
	return 0;
}
