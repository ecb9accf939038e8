/* SPDX-License-Identifier: GPL-2.0-only */
/* What holds of a form and of labels: what is refused leaves the rule alone and says why; what is
 * accepted is a rule that the rule parser knows. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "squalld/dockertc/dockertc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define UNTOUCHED 0x5a

static inline void check_parsed(int rc, bool enabled, const struct sq_rule *rule,
				const struct sq_error *err)
{
	char text[SQ_RULE_CANONICAL_MAX];
	struct sq_rule again;
	struct sq_error why;

	memset(&again, UNTOUCHED, sizeof(again));
	if (rc < 0 || !enabled) {
		if (memcmp(rule, &again, sizeof(again)) != 0 ||
		    (rc < 0 && rc != -ENODATA && !err->text[0]))
			abort();
		return;
	}
	if (rule->n_clauses != 1 || sq_rule_to_text(rule, text, sizeof(text)) < 0 ||
	    sq_rule_from_text(text, strlen(text), &again, &why) < 0 || !sq_rule_equal(rule, &again))
		abort();
}
