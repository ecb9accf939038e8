// SPDX-License-Identifier: GPL-2.0-only
/*
 * Slips are found by edit distance, where two letters that changed places are
 * one slip; words of other tools by a table.
 */
#include <ctype.h>
#include <string.h>
#include <strings.h>
#include "lib/opt/opt.h"

#define WORD_MAX 64

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Damerau-Levenshtein without edits of an edited pair; capitals do not count. */
static size_t distance(const char *a, const char *b)
{
	size_t rows[3][WORD_MAX + 1], na = strlen(a), nb = strlen(b), i, j;
	size_t *before = rows[0], *last = rows[1], *row = rows[2], *t;

	if (na > WORD_MAX || nb > WORD_MAX)
		return WORD_MAX;
	for (j = 0; j <= nb; j++)
		last[j] = before[j] = j;
	for (i = 1; i <= na; i++) {
		row[0] = i;
		for (j = 1; j <= nb; j++) {
			int x = tolower((unsigned char)a[i - 1]);
			int y = tolower((unsigned char)b[j - 1]);

			row[j] = least(least(last[j], row[j - 1]) + 1, last[j - 1] + (x != y));
			if (i > 1 && j > 1 && x == tolower((unsigned char)b[j - 2]) &&
			    y == tolower((unsigned char)a[i - 2]))
				row[j] = least(row[j], before[j - 2] + 1);
		}
		t = before;
		before = last;
		last = row;
		row = t;
	}
	return last[nb];
}

void suggest_from(struct suggestion *s, const char *name)
{
	size_t n = strlen(s->word), d, bound = n < 5 ? 1 : n < 9 ? 2 : n / 3;
	bool begins = n >= 3 && !strncmp(name, s->word, n);

	if (!n)
		return;
	/* "stat", "sched", "worker-1" for a longer name: a beginning of three letters is near. */
	d = begins ? 1 : distance(s->word, name);
	if (d > bound || d >= strlen(name) || (s->best && d > s->distance))
		return;
	/* Of two that begin so, the one with less to add: "stat" is "stats", not "status". */
	if (s->best && d == s->distance && (!begins || strlen(name) >= strlen(s->best)))
		return;
	s->best = name;
	s->distance = d;
}

const char *opt_synonym(const char *const (*table)[2], const char *word)
{
	for (; table && (*table)[0]; table++)
		if (!strcasecmp((*table)[0], word))
			return (*table)[1];
	return NULL;
}
