// SPDX-License-Identifier: GPL-2.0-only
/* What all forms of a report need: its members. */
#include "sim/outcome/outcome.h"

const char *outcome_text(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

double outcome_number(const json_t *o, const char *key)
{
	return json_number_value(json_object_get(o, key));
}
