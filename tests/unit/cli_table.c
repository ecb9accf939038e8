// SPDX-License-Identifier: GPL-2.0-only
/* One table makes parser, help, completion and man page: they must not disagree. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "squall/cli.h"

#define EACH_COMMAND(c) for (const struct command *c = squall_table.commands; c->object; c++)
#define EACH_OPTION(o)	for (const struct opt *o = squall_table.options; o->name; o++)

static char *text_of(void (*print)(const struct cli_table *, FILE *))
{
	static char *text; /* static: the compiler does not see that fclose() sets it */
	size_t n;
	FILE *f = open_memstream(&text, &n);

	print(&squall_table, f);
	fclose(f);
	return text;
}

static char *help_of(const struct command *c)
{
	static char *text; /* static: the compiler does not see that fclose() sets it */
	size_t n;
	FILE *f = open_memstream(&text, &n);

	help_command(&squall_table, f, c);
	fclose(f);
	return text;
}

static void name_of(const struct command *c, char *buf, size_t size)
{
	snprintf(buf, size, "%s%s%s", c->object, c->verb ? " " : "", c->verb ? c->verb : "");
}

static void must_hold(const char *where, const char *text, const char *what)
{
	if (!strstr(text, what))
		fail_msg("%s does not hold \"%s\"", where, what);
}

/* "\-" and "\e" of roff back to what a reader sees. */
static char *plain_man(void)
{
	char *text = text_of(man_page), *in = text, *out = text;

	while (*in) {
		if (in[0] == '\\' && (in[1] == '-' || in[1] == 'e' || in[1] == '&')) {
			if (in[1] == '-')
				*out++ = '-';
			else if (in[1] == 'e')
				*out++ = '\\';
			in += 2;
		} else if (in[0] == '\\' && in[1] == 'f') {
			in += 3;
		} else {
			*out++ = *in++;
		}
	}
	*out = 0;
	return text;
}

static void the_table_is_sound(void **state)
{
	uint32_t seen = 0;
	int i;

	(void)state;
	EACH_OPTION(o)
	{
		assert_false(seen & o->bit);
		seen |= o->bit;
		EACH_OPTION(p)
		{
			assert_true(o == p || strcmp(o->name, p->name));
			assert_true(o == p || !o->letter || o->letter != p->letter);
		}
	}
	assert_int_equal(seen & OPT_GLOBAL, OPT_GLOBAL);
	EACH_COMMAND(c)
	{
		assert_non_null(c->run);
		assert_non_null(c->args);
		assert_non_null(c->summary);
		assert_non_null(c->examples);
		assert_int_equal(c->options & ~seen, 0);
		assert_true(c->max < 0 || c->max >= c->min);
		assert_true((c->max == 0) == !*c->args);
		for (i = 0;
		     squall_table.objects[i][0] && strcmp(squall_table.objects[i][0], c->object);
		     i++)
			;
		assert_non_null(squall_table.objects[i][0]);
		EACH_COMMAND(d)
		{
			assert_true(c == d || strcmp(c->object, d->object) ||
				    (c->verb && d->verb && strcmp(c->verb, d->verb)));
		}
	}
	for (i = 0; squall_table.objects[i][0]; i++) {
		bool used = false;

		EACH_COMMAND(c)
		used |= !strcmp(c->object, squall_table.objects[i][0]);
		assert_true(used);
	}
}

static void help_says_all(void **state)
{
	char *top = text_of(help_top), name[64], dashed[40];
	int i;

	(void)state;
	for (i = 0; squall_table.objects[i][0]; i++) {
		must_hold("help", top, squall_table.objects[i][0]);
		must_hold("help", top, squall_table.objects[i][1]);
	}
	EACH_COMMAND(c)
	{
		char *help = help_of(c);

		name_of(c, name, sizeof(name));
		must_hold(name, help, name);
		must_hold(name, help, c->args);
		must_hold(name, help, "examples:\n  s");
		EACH_OPTION(o)
		{
			snprintf(dashed, sizeof(dashed), "--%s", o->name);
			if (o->bit & (c->options | OPT_GLOBAL))
				must_hold(name, help, dashed);
			/* the examples may speak of an option of another command */
		}
		free(help);
	}
	free(top);
}

static void man_says_all(void **state)
{
	char *man = plain_man(), line[512], name[64];

	(void)state;
	EACH_COMMAND(c)
	{
		name_of(c, name, sizeof(name));
		snprintf(line, sizeof(line), ".SS squall %s %s\n", name, c->args);
		must_hold("the man page", man, line);
		snprintf(line, sizeof(line), "%s.\n", c->summary);
		must_hold("the man page", man, line);
	}
	EACH_OPTION(o)
	{
		snprintf(line, sizeof(line), "--%s", o->name);
		must_hold("the man page", man, line);
		must_hold("the man page", man, o->help);
	}
	free(man);
}

/* The file that is installed is what the program says. */
static void man_file_is_current(void **state)
{
	char *now = text_of(man_page), *file = NULL;
	size_t n = 0;
	FILE *f = fopen("docs/squall.8", "r");

	(void)state;
	if (!f) { /* not run from the top of the tree */
		free(now);
		skip();
	}
	assert_true(getdelim(&file, &n, 0, f) > 0);
	fclose(f);
	if (strcmp(file, now))
		fail_msg("docs/squall.8 is stale: squall help --man >docs/squall.8");
	free(file);
	free(now);
}

/* What completion offers after these words, the last of which is being typed; a line each. */
static char *offered(const char *line)
{
	static char *text;
	char copy[256], *words[16], *w;
	size_t size;
	int n = 0;
	FILE *f = open_memstream(&text, &size);

	snprintf(copy, sizeof(copy), "%s", line);
	for (w = copy; w; n++)
		words[n] = strsep(&w, " ");
	fputc('\n', f);
	opt_complete(&squall_table, f, n, words);
	fclose(f);
	return text;
}

static void completion_knows_all(void **state)
{
	char line[512], name[64], *text = offered("");

	(void)state;
	for (int i = 0; squall_table.objects[i][0]; i++) {
		snprintf(line, sizeof(line), "\n%s\t", squall_table.objects[i][0]);
		must_hold("completion", text, line);
	}
	free(text);
	EACH_COMMAND(c)
	{
		name_of(c, name, sizeof(name));
		if (c->verb) {
			snprintf(line, sizeof(line), "%s ", c->object);
			text = offered(line);
			snprintf(line, sizeof(line), "\n%s\t", c->verb);
			must_hold(name, text, line);
			free(text);
		}
		snprintf(line, sizeof(line), "%s -", name);
		text = offered(line);
		EACH_OPTION(o)
		{
			snprintf(line, sizeof(line), "\n--%s\t", o->name);
			if (!!(o->bit & (c->options | OPT_GLOBAL)) != !!strstr(text, line))
				fail_msg("completion of %s and --%s disagree", name, o->name);
		}
		free(text);
	}
}

/* Every example of the help parses: its command exists, and so do its rules. */
static void examples_are_true(void **state)
{
	char line[512], *words[64], *w;
	const char *e;
	int n, used, skip_words;

	(void)state;
	EACH_COMMAND(c)
	{
		for (e = c->examples; *e; e += strcspn(e, "\n") + 1) {
			snprintf(line, sizeof(line), "%.*s", (int)strcspn(e, "\n"), e);
			if (*line == '#' || strncmp(line, "squall ", 7))
				continue;
			n = 0;
			for (w = strtok(line + 7, " "); w && strcmp(w, "|") && *w != '>';
			     w = strtok(NULL, " ")) {
				if (w[0] == '-' && w[1]) {
					if (!strcmp(w, "--url") || !strcmp(w, "--token-file") ||
					    !strcmp(w, "-n") || !strcmp(w, "--profile") ||
					    !strcmp(w, "--container") || !strcmp(w, "--match") ||
					    !strcmp(w, "--every"))
						strtok(NULL, " ");
					continue;
				}
				words[n++] = w;
			}
			const struct command *found = find_command(&squall_table, n, words, &used);

			if (found != c)
				fail_msg("\"%s\" is not an example of %s", e, c->object);
			if (n - used < c->min || (c->max >= 0 && n - used > c->max))
				fail_msg("\"%s\": wrong number of words", e);
			if (c->run != cmd_fault_set && c->run != cmd_fault_check &&
			    c->run != cmd_profile_set)
				continue;
			skip_words = used + (c->run != cmd_fault_check);
			struct sq_error err;
			struct sq_rule rule;

			if (sq_rule_from_words(n - skip_words,
					       (const char *const *)words + skip_words, &rule,
					       &err))
				fail_msg("\"%s\": %s", e, err.text);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_table_is_sound),	cmocka_unit_test(help_says_all),
		cmocka_unit_test(man_says_all),		cmocka_unit_test(man_file_is_current),
		cmocka_unit_test(completion_knows_all), cmocka_unit_test(examples_are_true),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
