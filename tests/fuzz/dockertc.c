// libs: -Lsqualld
// SPDX-License-Identifier: GPL-2.0-only
/*
 * docker-tc's forms and labels. The first byte chooses: even, a form; odd,
 * labels, one KEY=VALUE a line. What is refused leaves the rule alone and says
 * why; what is accepted is a rule that the rule parser knows.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "squalld/dockertc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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
	char echo[TC_ECHO_MAX], text[SQ_RULE_CANONICAL_MAX];
	struct sq_rule rule, again;
	struct sq_error err;
	enum tc_direction direction;
	bool enabled = true;
	int rc;

	if (size < 1)
		return 0;
	memset(&rule, 0x5a, sizeof(rule));
	memcpy(&again, &rule, sizeof(again));
	direction = TC_UP + (data[0] >> 1) % 3;
	if (data[0] & 1) {
		json_t *labels = labels_of((const char *)data + 1, size - 1);

		rc = dockertc_parse_labels(labels, direction, data[0] & 8 ? 10000000000u : 0, &rule, &enabled, &err);
		json_decref(labels);
	} else {
		rc = dockertc_parse_form((const char *)data + 1, size - 1, direction, data[0] & 8 ? 10000000000u : 0, &rule,
					 echo, &err);
		if (strlen(echo) >= sizeof(echo))
			abort();
	}
	if (rc < 0 || !enabled) {
		if (memcmp(&rule, &again, sizeof(rule)) != 0 || (rc < 0 && rc != -ENODATA && !err.text[0]))
			abort();
		return 0;
	}
	if (rule.n_clauses != 1 || sq_rule_to_text(&rule, text, sizeof(text)) < 0 ||
	    sq_rule_from_text(text, strlen(text), &again, &err) < 0 || !sq_rule_equal(&rule, &again))
		abort();
	return 0;
}
