// SPDX-License-Identifier: GPL-2.0-only
/* The one place where text becomes markup, so that none is forgotten. */
#include <assert.h>
#include <stdarg.h>
#include <string.h>
#include "lib/markup.h"
#include "lib/text.h"

void markup_escape(FILE *f, const char *s)
{
	char one[TEXT_ONE];

	for (size_t left = strlen(s), n; left; s += n, left -= n) {
		char c = *s;

		n = text_one(one, s, left);

		if (c == '&')
			fputs("&amp;", f);
		else if (c == '<')
			fputs("&lt;", f);
		else if (c == '>')
			fputs("&gt;", f);
		else if (c == '"')
			fputs("&quot;", f);
		else
			fputs(c == '\n' ? "\n" : c == '\t' ? "\t" : one, f);
	}
}

void markup_print(FILE *f, const char *fmt, ...)
{
	const char *at;
	va_list ap;

	va_start(ap, fmt);
	while ((at = strchr(fmt, '%'))) {
		assert(at[1] == 's');
		fwrite(fmt, 1, (size_t)(at - fmt), f);
		markup_escape(f, va_arg(ap, const char *));
		fmt = at + 2;
	}
	va_end(ap);
	fputs(fmt, f);
}
