// SPDX-License-Identifier: GPL-2.0-only
/*
 * Completion: the scripts of the three shells ask the program itself, so that all know the same,
 * and nothing that a name holds is ever run by a shell.
 */
#include <errno.h>
#include <string.h>
#include "lib/opt/opt.h"

#define WORDS_MAX 256
#define SETS	  4

struct opt_words {
	FILE *f;
	const char *typed, *before; /* before: "--lane=" of "--lane=t", what stays */
};

void opt_word(struct opt_words *w, const char *word, const char *what)
{
	size_t n;

	if (strncmp(word, w->typed, strlen(w->typed)))
		return;
	for (const char *p = word; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			return; /* a line is one word */
	fprintf(w->f, "%s%s", w->before, word);
	/* The first clause: menus are narrow. */
	n = what ? strcspn(what, ";(\n") : 0;
	while (n && what[n - 1] == ' ')
		n--;
	fprintf(w->f, n ? "\t%.*s\n" : "\n", (int)(n > 70 ? 70 : n), what ? what : "");
}

/* The words of "a=1 b=2" or "a|b". */
static void listed(struct opt_words *w, const char *list, const char *ends)
{
	char word[64];

	while (*list) {
		size_t n = strcspn(list, ends);

		snprintf(word, sizeof(word), "%.*s", (int)strcspn(list, "= |"), list);
		if (*word)
			opt_word(w, word, NULL);
		list += n + (list[n] != 0);
	}
}

static void values(struct opt_words *w, const struct opt *o)
{
	static const char *const files[] = {"FILE", "PATH", "DIR", "PREFIX"};

	if (o->choices) {
		listed(w, o->choices, " ");
		return;
	}
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		if (strstr(o->arg, files[i])) {
			fputs(":files\n", w->f);
			return;
		}
	}
	if (strchr(o->arg, '|') && !strpbrk(o->arg, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
		listed(w, o->arg, "|");
}

static const struct opt *set_at(const struct cli_table *t, const struct command *c, int i)
{
	return !i ? t->options : c ? c->sets[i - 1] : NULL;
}

static bool takes(const struct cli_table *t, const struct command *c, const struct opt *o)
{
	return !o->bit || (o->bit & (t->global | (c ? c->options : 0)));
}

/* The option that a word names, of any command: its value must be told from a word. */
static const struct opt *option_of(const struct cli_table *t, const struct command *c,
				   const char *word)
{
	size_t n;

	if (word[0] != '-' || !word[1])
		return NULL;
	n = strcspn(word + 2, "=");
	for (int i = 0; i < SETS; i++) {
		for (const struct opt *o = set_at(t, c, i); o && o->name; o++) {
			if (word[1] == '-' ? strlen(o->name) == n && !memcmp(o->name, word + 2, n)
					   : o->letter == word[1] && !word[2])
				return o;
		}
	}
	return NULL;
}

static void options(struct opt_words *w, const struct cli_table *t, const struct command *c)
{
	char dashed[48];

	for (int i = SETS - 1; i >= 0; i--) {
		for (const struct opt *o = set_at(t, c, i); o && o->name; o++) {
			if (!takes(t, c, o))
				continue;
			snprintf(dashed, sizeof(dashed), "--%s", o->name);
			opt_word(w, dashed, o->help);
			snprintf(dashed, sizeof(dashed), "-%c", o->letter);
			if (o->letter)
				opt_word(w, dashed, o->help);
		}
	}
}

static void verbs(struct opt_words *w, const struct cli_table *t, const char *object)
{
	for (const struct command *c = t->commands; c->object; c++)
		if (c->verb && !strcmp(c->object, object))
			opt_word(w, c->verb, c->summary);
}

static void commands(struct opt_words *w, const struct cli_table *t, int n, char **words)
{
	if (n == 1)
		verbs(w, t, words[0]);
	for (int i = 0; !n && t->objects && t->objects[i][0]; i++)
		opt_word(w, t->objects[i][0], t->objects[i][1]);
}

static void shells(struct opt_words *w)
{
	opt_word(w, "bash", NULL);
	opt_word(w, "fish", NULL);
	opt_word(w, "zsh", NULL);
}

/* Word i after the command. all, n: everything typed before it, for the program. */
static void argument(struct opt_words *w, const struct cli_table *t, const struct command *c, int i,
		     char **args, int n, char **all)
{
	int kind, last = 2;

	while (last > 0 && !c->kinds[last])
		last--;
	if (c->max >= 0 && i >= c->max) {
		options(w, t, c);
		return;
	}
	kind = i <= last ? c->kinds[i] : c->max < 0 ? c->kinds[last] : ARG_NONE;
	if (kind == ARG_SHELL)
		shells(w);
	else if (kind == ARG_COMMAND)
		commands(w, t, i, args);
	else if (kind == ARG_FILE)
		fputs(":files\n", w->f);
	else if (kind && t->complete)
		t->complete(t, w, kind, n, all);
}

void opt_complete(const struct cli_table *t, FILE *f, int n, char **words)
{
	struct opt_words w = {.f = f, .typed = n ? words[n - 1] : "", .before = ""};
	const struct opt *o = NULL, *waits = NULL;
	char *left[WORDS_MAX + 1], before[64];
	int used = 0, have = 0;
	const struct command *c = find_command(t, 0, left, &used);

	/* A command's own options are known when the command is, and it comes before them. */
	for (int i = 0; i < n - 1 && have < WORDS_MAX; i++) {
		if (waits) {
			waits = NULL;
			continue;
		}
		if (!strcmp(words[i], "--")) {
			fputs(":files\n", f);
			return;
		}
		o = option_of(t, c, words[i]);
		if (o && o->arg && !strchr(words[i], '='))
			waits = o;
		if (words[i][0] == '-' && words[i][1])
			continue;
		left[have++] = words[i];
		if (!c)
			c = find_command(t, have, left, &used);
	}
	if (!waits && !strncmp(w.typed, "--", 2) && strchr(w.typed, '=')) {
		snprintf(before, sizeof(before), "%.*s", (int)strcspn(w.typed, "=") + 1, w.typed);
		waits = option_of(t, c, w.typed);
		w.typed = strchr(w.typed, '=') + 1;
		w.before = before;
		if (!waits || !waits->arg)
			return;
	}
	if (waits)
		values(&w, waits);
	else if (*w.typed == '-')
		options(&w, t, c);
	else if (!c)
		commands(&w, t, have, left);
	else
		argument(&w, t, c, have - used, left + used, n - 1, words);
}

bool opt_completed(const struct cli_table *t, int argc, char **argv)
{
	if (argc < 2 || strcmp(argv[1], "__complete"))
		return false;
	opt_complete(t, stdout, argc - 2, argv + 2);
	return true;
}
