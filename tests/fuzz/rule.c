// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rule text. What is accepted must come back from its canonical text and from
 * its JSON as the same rule, bit by bit; what is refused must leave the rule
 * alone and say one printable line.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <squall/rule.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void refused(const struct sq_rule *rule, const struct sq_error *err)
{
	const unsigned char *bytes = (const unsigned char *)rule;
	size_t i;

	for (i = 0; i < sizeof(*rule); i++)
		if (bytes[i] != 0x5a)
			abort();
	if (!err->text[0])
		abort();
	for (i = 0; err->text[i]; i++)
		if (err->text[i] < 0x20 || err->text[i] > 0x7e)
			abort();
}

static void same(const struct sq_rule *a, const struct sq_rule *b)
{
	if (memcmp(a, b, sizeof(*a)) || !sq_rule_equal(a, b))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[SQ_RULE_CANONICAL_MAX], again[SQ_RULE_CANONICAL_MAX];
	struct sq_error err = {0};
	struct sq_rule a, b;
	json_t *json, *read;
	char *dump;
	int n;

	memset(&a, 0x5a, sizeof(a));
	if (sq_rule_from_text((const char *)data, size, &a, &err)) {
		refused(&a, &err);
		return 0;
	}
	n = sq_rule_to_text(&a, text, sizeof(text));
	if (n < 0 || sq_rule_from_text(text, (size_t)n, &b, &err))
		abort();
	same(&a, &b);
	if (sq_rule_to_text(&b, again, sizeof(again)) != n || strcmp(text, again))
		abort();
	json = sq_rule_to_json(&a, 0);
	dump = json_dumps(json, SQ_JSON_FLAGS);
	read = json_loads(dump, JSON_REJECT_DUPLICATES, NULL);
	if (sq_rule_from_json(read, &b, &err))
		abort();
	same(&a, &b);
	json_decref(json);
	json_decref(read);
	free(dump);
	return 0;
}
