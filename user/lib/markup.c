// SPDX-License-Identifier: GPL-2.0-only
/* The one place where text becomes markup, so that none is forgotten. */
#include <assert.h>
#include <stdarg.h>
#include <string.h>
#include "lib/markup.h"

void markup_escape(FILE *f, const char *s)
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
