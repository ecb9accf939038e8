// SPDX-License-Identifier: GPL-2.0-only
/* From argv to a command of the table. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "squall/cli.h"
#include "squall/help/suggest.h"

static const struct option_def *find_long(const struct cli_table *t, const char *name, size_t len)
{
	const struct option_def *o;

	for (o = t->options; o->bit; o++)
		if (strlen(o->name) == len && !memcmp(o->name, name, len))
			return o;
	return NULL;
}

static const struct option_def *find_letter(const struct cli_table *t, char letter)
{
	const struct option_def *o;

	for (o = t->options; o->bit; o++)
		if (o->letter == letter)
			return o;
	return NULL;
}

static int number(const struct cli *cli, const struct option_def *o, const char *value,
		  unsigned long max, unsigned long *ret)
{
	char *end;
	unsigned long v;

	errno = 0;
	v = strtoul(value, &end, 10);
	if (*value < '0' || *value > '9' || *end || errno || v < 1 || v > max)
		return complain_text(cli, EXIT_USAGE,
				     "--%s: \"%.32s\" is not accepted: a number "
				     "from 1 to %lu",
				     o->name, value, max);
	*ret = v;
	return 0;
}

static int apply(struct cli *cli, const struct option_def *o, const char *value)
{
	unsigned long n = 0;
	int r = 0;

	cli->given |= o->bit;
	switch (o->bit) {
	case OPT_JSON:
		cli->json = true;
		break;
	case OPT_PRETTY:
		cli->json = cli->pretty = true;
		break;
	case OPT_URL:
		cli->url = value;
		break;
	case OPT_SOCKET:
		cli->socket = value;
		break;
	case OPT_TOKEN_FILE:
		cli->token_file = value;
		break;
	case OPT_CACERT:
		cli->cacert = value;
		break;
	case OPT_PIN_DIR:
		cli->pin_dir = value;
		break;
	case OPT_DESCRIPTION:
		cli->description = value;
		break;
	case OPT_PROFILE:
		cli->profile = value;
		break;
	case OPT_FOR:
		cli->for_time = value;
		break;
	case OPT_CONTAINER:
		cli->container = value;
		break;
	case OPT_EVERY:
		r = number(cli, o, value, 1000000, &n);
		cli->every = (unsigned)n;
		break;
	case OPT_COUNT:
		r = number(cli, o, value, 1000000000000000ul, &n);
		cli->count = n;
		break;
	}
	return r;
}

static int unknown_option(const struct cli *cli, const char *w)
{
	size_t dashes = strspn(w, "-"), n = strcspn(w + dashes, "=");
	const struct option_def *o;
	char name[40];
	struct suggestion s = {.word = name};

	snprintf(name, sizeof(name), "%.*s", (int)n, w + dashes);
	for (o = cli->table->options; o->bit; o++)
		suggest_from(&s, o->name);
	if (s.best)
		return complain_text(cli, EXIT_USAGE,
				     "unknown option \"%.32s\"; did you mean --%s?", w, s.best);
	return complain_text(cli, EXIT_USAGE, "unknown option \"%.32s\"; see \"squall --help\"", w);
}

/*
 * Takes the options out of argv, wherever they stand, and leaves the words.
 * In the words of a rule "-1ms" is a bad time, not a bad option, so there a
 * word that is no option of ours stays a word.
 */
static int take_options(struct cli *cli, int *argc, char **argv)
{
	int n = 0, i, r;
	bool in_rule = false;

	for (i = 0; i < *argc; i++) {
		const struct option_def *o = NULL;
		const char *w = argv[i], *value = NULL;

		if (!strcmp(w, "--") && !in_rule) {
			cli->dashes = n;
			for (i++; i < *argc; i++)
				argv[n++] = argv[i];
			break;
		}
		if (w[0] == '-' && w[1] == '-') {
			const char *eq = strchr(w, '=');

			o = find_long(cli->table, w + 2, eq ? (size_t)(eq - w - 2) : strlen(w + 2));
			value = eq ? eq + 1 : NULL;
		} else if (w[0] == '-' && w[1] && !w[2]) {
			o = find_letter(cli->table, w[1]);
		}
		if (!o) {
			if (w[0] == '-' && w[1] && !in_rule)
				return unknown_option(cli, w);
			argv[n++] = argv[i];
			/* fault set TARGET, fault check, profile set NAME: a rule follows */
			in_rule |= n >= 2 &&
				   (!strcmp(argv[0], "fault") || !strcmp(argv[0], "profile") ||
				    !strcmp(argv[0], "schedule")) &&
				   (!strcmp(argv[1], "set") ? n >= 3 : !strcmp(argv[1], "check"));
			continue;
		}
		if (o->arg && !value) {
			if (++i == *argc)
				return complain_text(cli, EXIT_USAGE, "--%s needs a value: %s %s",
						     o->name, o->arg, o->help);
			value = argv[i];
		} else if (!o->arg && value) {
			return complain_text(cli, EXIT_USAGE, "--%s takes no value", o->name);
		}
		if (value && !*value && o->bit != OPT_DESCRIPTION)
			return complain_text(cli, EXIT_USAGE, "--%s: an empty %s is not accepted",
					     o->name, o->arg);
		r = apply(cli, o, value);
		if (r)
			return r;
	}
	*argc = n;
	argv[n] = NULL;
	return 0;
}

static bool is_object(const struct cli_table *t, const char *word)
{
	const struct command *c;

	for (c = t->commands; c->object; c++)
		if (!strcmp(c->object, word))
			return true;
	return false;
}

/* The command that argv starts with, and how many words it is. */
const struct command *find_command(const struct cli_table *t, int argc, char **argv, int *ret_words)
{
	const struct command *c;

	for (c = t->commands; c->object; c++) {
		if (argc < 1 || strcmp(c->object, argv[0]))
			continue;
		if (c->verb && (argc < 2 || strcmp(c->verb, argv[1])))
			continue;
		*ret_words = c->verb ? 2 : 1;
		return c;
	}
	return NULL;
}

static int no_such_command(const struct cli *cli, int argc, char **argv)
{
	char verbs[128] = "";
	const struct command *c;
	struct suggestion s = {.word = argv[0]};
	const char *near;

	if (!is_object(cli->table, argv[0])) {
		for (c = cli->table->commands; c->object; c++)
			suggest_from(&s, c->object);
		near = suggest_object(argv[0]) ?: s.best;
		if (near)
			return complain_text(
				cli, EXIT_USAGE,
				"unknown command \"%.32s\"; did you mean \"squall %s\"? "
				"\"squall --help\" lists all",
				argv[0], near);
		return complain_text(cli, EXIT_USAGE,
				     "unknown command \"%.32s\"; \"squall --help\" "
				     "lists them",
				     argv[0]);
	}
	for (c = cli->table->commands; c->object; c++) {
		size_t n = strlen(verbs);

		if (!strcmp(c->object, argv[0]))
			snprintf(verbs + n, sizeof(verbs) - n, "%s%s", n ? ", " : "", c->verb);
	}
	if (argc < 2) {
		help_object(cli->table, stderr, argv[0]);
		return EXIT_USAGE;
	}
	s.word = argv[1];
	for (c = cli->table->commands; c->object; c++)
		if (!strcmp(c->object, argv[0]))
			suggest_from(&s, c->verb);
	/* ls is list; where there is no list, it is show. */
	for (near = suggest_verb(argv[1]); near; near = suggest_verb(near)) {
		for (c = cli->table->commands; c->object; c++)
			if (!strcmp(c->object, argv[0]) && !strcmp(c->verb, near))
				break;
		if (c->object) {
			s.best = c->verb;
			break;
		}
	}
	if (s.best)
		return complain_text(cli, EXIT_USAGE,
				     "unknown command \"%.32s %.32s\"; did you mean \"squall %s "
				     "%s\"? %s comes after %s",
				     argv[0], argv[1], argv[0], s.best, verbs, argv[0]);
	return complain_text(cli, EXIT_USAGE, "unknown command \"%.32s %.32s\": %s comes after %s",
			     argv[0], argv[1], verbs, argv[0]);
}

static int check_arguments(const struct cli *cli, const struct command *c, int n, char **argv)
{
	const struct option_def *o;
	uint32_t extra = cli->given & ~(OPT_GLOBAL | c->options);
	const char *verb = c->verb ? c->verb : "", *space = c->verb ? " " : "";

	for (o = cli->table->options; o->bit; o++)
		if (extra & o->bit)
			return complain_text(cli, EXIT_USAGE,
					     "--%s means nothing to \"squall "
					     "%s%s%s\"",
					     o->name, c->object, space, verb);
	if (n < c->min)
		return complain_text(cli, EXIT_USAGE, "too few arguments; usage: squall %s%s%s %s",
				     c->object, space, verb, c->args);
	if (c->max >= 0 && n > c->max)
		return complain_text(cli, EXIT_USAGE,
				     "\"%.64s\" is one argument too many; usage: squall %s%s%s %s",
				     argv[c->max], c->object, space, verb, c->args);
	return 0;
}

int cmd_help(struct cli *cli, int argc, char **argv)
{
	const struct command *c;
	int words;

	if (cli->given & OPT_MAN) {
		if (argc)
			return complain_text(cli, EXIT_USAGE,
					     "the man page is one for all "
					     "commands");
		man_page(cli->table, stdout);
		return 0;
	}
	if (!argc) {
		help_top(cli->table, stdout);
		return 0;
	}
	c = find_command(cli->table, argc, argv, &words);
	if (c && words == argc)
		help_command(cli->table, stdout, c);
	else if (argc == 1 && is_object(cli->table, argv[0]))
		help_object(cli->table, stdout, argv[0]);
	else
		return no_such_command(cli, argc, argv);
	return 0;
}

int cmd_completion(struct cli *cli, int argc, char **argv)
{
	(void)argc;
	if (strcmp(argv[0], "bash"))
		return complain_text(cli, EXIT_USAGE, "completion: \"%.32s\" is not accepted: bash",
				     argv[0]);
	completion_bash(cli->table, stdout);
	return 0;
}

static int dispatch(struct cli *cli, int argc, char **argv)
{
	const struct command *c;
	int words = 0, r;

	r = take_options(cli, &argc, argv);
	if (r)
		return r;
	if (cli->given & OPT_VERSION) {
		puts("squall " SQUALL_VERSION);
		return 0;
	}
	if (cli->given & OPT_HELP)
		return cmd_help(cli, argc > 2 ? 2 : argc, argv);
	if (!argc) {
		help_top(cli->table, stderr);
		return EXIT_USAGE;
	}
	c = find_command(cli->table, argc, argv, &words);
	if (!c)
		return no_such_command(cli, argc, argv);
	r = check_arguments(cli, c, argc - words, argv + words);
	if (r)
		return r;
	return c->run(cli, argc - words, argv + words);
}

int squall_main(const struct cli_table *t, int argc, char **argv)
{
	struct cli cli = {.table = t, .dashes = -1};
	const char *no_color = getenv("NO_COLOR");
	int r;

	cli.color = isatty(STDOUT_FILENO) && !(no_color && *no_color);
	r = dispatch(&cli, argc - 1, argv + 1);
	sq_client_close(cli.client);
	/* A full disk must not look like success. */
	if (fflush(stdout) || ferror(stdout)) {
		if (errno == EPIPE)
			return r;
		return complain_text(&cli, EXIT_FAILED, "cannot write the output: %s",
				     strerror(errno));
	}
	return r;
}
