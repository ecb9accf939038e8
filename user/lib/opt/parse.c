// SPDX-License-Identifier: GPL-2.0-only
/* From argv to options that are stored and words that are left, and to a command. */
#include <errno.h>
#include <string.h>
#include <strings.h>
#include "lib/error.h"
#include "lib/opt/opt.h"

#define SETS 4 /* the program's options and the three of a command */

static const struct opt *set_at(const struct opt_line *l, int i)
{
	if (!i)
		return l->table->options;
	return l->command ? l->command->sets[i - 1] : NULL;
}

static const struct opt *find_long(const struct opt_line *l, const char *name, size_t len, int *set)
{
	for (*set = 0; *set < SETS; ++*set)
		for (const struct opt *o = set_at(l, *set); o && o->name; o++)
			if (strlen(o->name) == len && !memcmp(o->name, name, len))
				return o;
	return NULL;
}

static const struct opt *find_letter(const struct opt_line *l, char letter, int *set)
{
	for (*set = 0; *set < SETS; ++*set)
		for (const struct opt *o = set_at(l, *set); o && o->name; o++)
			if (o->letter == letter)
				return o;
	return NULL;
}

/* How to ask for help on what was typed: "squall --help", "squall-sim run --help". */
static const char *help_words(const struct opt_line *l, const struct command *c, char *buf,
			      size_t size)
{
	const char *object = c ? c->object : "", *verb = c && c->verb ? c->verb : "";

	snprintf(buf, size, "%s%s%s%s%s", l->table->name, *object ? " " : "", object,
		 *verb ? " " : "", verb);
	return buf;
}

/* One of the words that a command takes, capitals or not: "target" and "all" of "TARGET|all"; not
 * "file" of "--fleet FILE". */
static bool is_argument(const char *args, const char *word)
{
	size_t n = strlen(word);

	for (const char *p = args; *p; p += strcspn(p, " []|."), p += strspn(p, " []|."))
		if (!strncmp(p, "--", 2) && p[2] > ' ')
			return false;
		else if (strcspn(p, " []|.") == n && !strncasecmp(p, word, n))
			return true;
	return false;
}

/* Is it an option of this command? Of a command that is not known yet every one is. */
static bool takes(const struct cli_table *t, const struct command *c, const struct opt *o)
{
	return !c || !o->bit || o->bit & (t->global | c->options);
}

/* c: the command, NULL if not known yet. */
static int unknown_option(const struct opt_line *l, const struct command *c, const char *w,
			  struct sq_error *err)
{
	size_t dashes = strspn(w, "-"), n = strcspn(w + dashes, "=");
	const char *object = c ? c->object : "", *verb = c && c->verb ? c->verb : "";
	char name[40], help[40];
	struct suggestion s = {.word = name};
	const struct opt *o;
	int set;

	snprintf(name, sizeof(name), "%.*s", (int)n, w + dashes);
	if (c && is_argument(c->args, name))
		return sq_error_set(err, -EINVAL, NULL,
				    "unknown option \"%.32s\": it is a word here, without \"--\"; "
				    "usage: %s %s%s%s %s",
				    w, l->table->name, object, *verb ? " " : "", verb, c->args);
	for (int i = 0; i < SETS; i++)
		for (o = set_at(l, i); o && o->name; o++)
			if (i || takes(l->table, c, o))
				suggest_from(&s, o->name);
	/* A word may stand for several options, of several commands: the one that is here. */
	for (const char *const(*y)[2] = l->table->synonyms; y && (*y)[0]; y++)
		if (!strcasecmp((*y)[0], name) &&
		    (o = find_long(l, (*y)[1], strlen((*y)[1]), &set)) &&
		    (set || takes(l->table, c, o)))
			s.best = (*y)[1];
	if (s.best)
		return sq_error_set(err, -EINVAL, NULL,
				    "unknown option \"%.32s\"; did you mean --%s?", w, s.best);
	if (c && strstr(c->args, " -- "))
		return sq_error_set(err, -EINVAL, NULL,
				    "unknown option \"%.32s\"; a command with options of its own "
				    "comes after \"--\": %s %s %s",
				    w, l->table->name, object, c->args);
	return sq_error_set(err, -EINVAL, NULL, "unknown option \"%.32s\"; see \"%s --help\"", w,
			    help_words(l, c, help, sizeof(help)));
}

static int store(struct opt_line *l, const struct opt *o, int set, const char *value,
		 struct sq_error *err)
{
	char text[sizeof(err->text)];
	int r;

	l->given |= o->bit;
	if (!l->base[set])
		return 0;
	value = value ? value : "true";
	r = opt_set(o, l->base[set], value, err);
	if (!r && l->each)
		l->each[l->n_each++] = (struct opt_given){o, value};
	if (r && !strncmp(err->text, o->name, strlen(o->name))) {
		snprintf(text, sizeof(text), "--%.*s", (int)sizeof(text) - 3, err->text);
		memcpy(err->text, text, sizeof(text));
	}
	return r;
}

int opt_take(struct opt_line *l, int *argc, char **argv, struct sq_error *err)
{
	bool literal = false;
	int n = 0, set = 0, words, r;

	l->dashes = -1;
	for (int i = 0; i < *argc; i++) {
		const char *w = argv[i], *value = NULL, *eq;
		const struct opt *o = NULL;

		if (!strcmp(w, "--") && !literal) {
			l->dashes = n;
			for (i++; i < *argc; i++)
				argv[n++] = argv[i];
			break;
		}
		if (w[0] == '-' && w[1] == '-') {
			eq = strchr(w, '=');
			o = find_long(l, w + 2, eq ? (size_t)(eq - w - 2) : strlen(w + 2), &set);
			value = eq ? eq + 1 : NULL;
		} else if (w[0] == '-' && w[1] && !w[2]) {
			o = find_letter(l, w[1], &set);
		}
		if (!o) {
			if (w[0] == '-' && w[1] && !literal)
				return unknown_option(
					l, l->command ?: find_command(l->table, n, argv, &words), w,
					err);
			argv[n++] = argv[i];
			literal |= l->table->literal && l->table->literal(n, argv);
			continue;
		}
		if (o->arg && !value) {
			if (++i == *argc)
				return sq_error_set(err, -EINVAL, NULL, "--%s needs a value: %s %s",
						    o->name, o->arg, o->help);
			value = argv[i];
		} else if (value && (o->kind == OPT_BIT || o->kind == OPT_SWITCH)) {
			return sq_error_set(err, -EINVAL, NULL, "--%s takes no value", o->name);
		}
		r = store(l, o, set, value, err);
		if (r)
			return r;
	}
	*argc = n;
	argv[n] = NULL;
	return 0;
}

const struct command *find_command(const struct cli_table *t, int argc, char **argv, int *ret_words)
{
	const struct command *c;

	for (c = t->commands; c->object; c++) {
		if (!*c->object) {
			*ret_words = 0;
			return c;
		}
		if (argc < 1 || strcmp(c->object, argv[0]))
			continue;
		if (c->verb && (argc < 2 || strcmp(c->verb, argv[1])))
			continue;
		*ret_words = c->verb ? 2 : 1;
		return c;
	}
	return NULL;
}

static bool is_object(const struct cli_table *t, const char *word)
{
	const struct command *c;

	for (c = t->commands; c->object; c++)
		if (!strcmp(c->object, word))
			return true;
	return false;
}

static int no_object(const struct cli_table *t, const char *word, struct sq_error *err)
{
	struct suggestion s = {.word = word};
	const char *near = t->object_for ? t->object_for(word) : NULL;

	if (*word == '-')
		return sq_error_set(err, -EINVAL, NULL,
				    "the command is missing before \"%.32s\"; usage: %s %s; "
				    "\"%s --help\" lists them",
				    word, t->name, t->usage, t->name);
	for (const struct command *c = t->commands; c->object; c++)
		suggest_from(&s, c->object);
	if (!near)
		near = s.best;
	if (near)
		return sq_error_set(err, -EINVAL, NULL,
				    "unknown command \"%.32s\"; did you mean \"%s %s\"? "
				    "\"%s --help\" lists all",
				    word, t->name, near, t->name);
	return sq_error_set(err, -EINVAL, NULL,
			    "unknown command \"%.32s\"; \"%s --help\" lists them", word, t->name);
}

int opt_no_command(const struct cli_table *t, int argc, char **argv, struct sq_error *err)
{
	char verbs[128] = "";
	const struct command *c;
	struct suggestion s = {0};
	const char *near;

	if (!is_object(t, argv[0]))
		return no_object(t, argv[0], err);
	if (argc > 1)
		s.word = argv[1];
	for (c = t->commands; c->object; c++) {
		size_t n = strlen(verbs);

		if (strcmp(c->object, argv[0]) || !c->verb)
			continue;
		snprintf(verbs + n, sizeof(verbs) - n, "%s%s", n ? ", " : "", c->verb);
		if (s.word)
			suggest_from(&s, c->verb);
	}
	if (argc < 2)
		return sq_error_set(err, -EINVAL, NULL, "%s comes after \"%s %.32s\"", verbs,
				    t->name, argv[0]);
	/* ls is list; where there is no list, it is show. */
	for (near = t->verb_for ? t->verb_for(argv[1]) : NULL; near; near = t->verb_for(near)) {
		for (c = t->commands; c->object; c++)
			if (!strcmp(c->object, argv[0]) && c->verb && !strcmp(c->verb, near))
				break;
		if (c->object) {
			s.best = c->verb;
			break;
		}
	}
	if (s.best)
		return sq_error_set(err, -EINVAL, NULL,
				    "unknown command \"%.32s %.32s\"; did you mean \"%s %s %s\"? "
				    "%s comes after %s",
				    argv[0], argv[1], t->name, argv[0], s.best, verbs, argv[0]);
	return sq_error_set(err, -EINVAL, NULL,
			    "unknown command \"%.32s %.32s\": %s comes after %s", argv[0], argv[1],
			    verbs, argv[0]);
}

int opt_check(const struct cli_table *t, const struct command *c, uint32_t given, int argc,
	      char **argv, struct sq_error *err)
{
	uint32_t extra = given & ~(t->global | c->options);
	char name[80];

	snprintf(name, sizeof(name), "%s%s%s%s%s", t->name, *c->object ? " " : "", c->object,
		 c->verb ? " " : "", c->verb ? c->verb : "");
	for (const struct opt *o = t->options; o && o->name; o++)
		if (extra & o->bit)
			return sq_error_set(err, -EINVAL, NULL,
					    "--%s means nothing to \"%s\"; usage: %s %s", o->name,
					    name, name, c->args);
	if (argc < c->min)
		return sq_error_set(err, -EINVAL, NULL, "too few arguments; usage: %s %s", name,
				    c->args);
	if (c->max >= 0 && argc > c->max)
		return sq_error_set(err, -EINVAL, NULL,
				    "\"%.64s\" is one argument too many; usage: %s%s%s",
				    argv[c->max], name, *c->args ? " " : "",
				    *c->args	 ? c->args
				    : c->sets[0] ? " [OPTION...]"
						 : "");
	return 0;
}
