// SPDX-License-Identifier: GPL-2.0-only
/* Rule JSON, as a client may send it: no crash, and what is accepted says the same as text. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <squall/rule.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_t *json = json_loadb((const char *)data, size, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	char text[SQ_RULE_CANONICAL_MAX];
	struct sq_error err = {0};
	struct sq_rule a, b;
	size_t i;
	int n;

	if (!json)
		return 0;
	memset(&a, 0x5a, sizeof(a));
	if (sq_rule_from_json(json, &a, &err)) {
		for (i = 0; i < sizeof(a); i++)
			if (((unsigned char *)&a)[i] != 0x5a)
				abort();
		for (i = 0; err.text[i]; i++)
			if (err.text[i] < 0x20 || err.text[i] > 0x7e)
				abort();
		if (!i)
			abort();
	} else {
		n = sq_rule_to_text(&a, text, sizeof(text));
		if (n < 0 || sq_rule_from_text(text, (size_t)n, &b, &err))
			abort();
		if (memcmp(&a, &b, sizeof(a)))
			abort();
	}
	json_decref(json);
	return 0;
}
