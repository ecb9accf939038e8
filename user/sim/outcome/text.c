// SPDX-License-Identifier: GPL-2.0-only
/* What all forms of a report need: its members, and text that is only text. */
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

void outcome_escape(FILE *f, const char *s)
{
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c == '&')
			fputs("&amp;", f);
		else if (c == '<')
			fputs("&lt;", f);
		else if (c == '>')
			fputs("&gt;", f);
		else if (c == '"')
			fputs("&quot;", f);
		else if (c >= 0x20 || c == '\n' || c == '\t')
			fputc(c, f);
	}
}
