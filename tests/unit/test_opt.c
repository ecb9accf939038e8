// SPDX-License-Identifier: GPL-2.0-only
/* The option engine: what is stored, what is refused and in which words, what is offered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lib/opt/opt.h"

struct values {
	bool flag, yes, kept;
	const char *text;
	const char *list[3];
	size_t n_list;
	char str[8];
	uint8_t choice;
	uint32_t n, seconds, ppm;
	uint64_t big, ns, milli;
	int calls;
};

static int call(void *base, const char *value, struct sq_error *err)
{
	struct values *v = base;

	if (strcmp(value, "good")) {
		snprintf(err->text, sizeof(err->text), "call '%s': accepted: good", value);
		return -EINVAL;
	}
	v->calls++;
	return 0;
}

#define ROW(n, a, k, f)                                                                            \
	.name = n, .arg = a, .help = "what it does; more", .kind = k,                              \
	.at = offsetof(struct values, f)
static const struct opt own[] = {
	{ROW("flag", NULL, OPT_FLAG, flag), .letter = 'f'},
	{ROW("keep", NULL, OPT_FLAG, kept), .min = 1},
	{ROW("text", "FILE", OPT_TEXT, text), .min = 1},
	{ROW("lane", "LANE", OPT_TEXT, text), .choices = "auto fq tap"},
	{ROW("list", "ADDRESS", OPT_LIST, list), .size = offsetof(struct values, n_list), .max = 2},
	{ROW("str", "WORD", OPT_STR, str), .size = 8},
	{ROW("choice", "VERSION", OPT_CHOICE, choice), .choices = "3.1.1=4 5=5"},
	{ROW("number", "N", OPT_U32, n), .min = 1, .max = 9, .letter = 'n'},
	{ROW("big", "N", OPT_U64, big), .max = UINT64_MAX},
	{ROW("seconds", "SECONDS", OPT_SECONDS, seconds), .max = 60},
	{ROW("time", "DURATION", OPT_TIME, ns), .max = 60000000000},
	{ROW("share", "PERCENT", OPT_PERCENT, ppm)},
	{ROW("rate", "RATE", OPT_RATE, milli)},
	{ROW("call", "WHAT", OPT_CALL, calls), .call = call},
	{.name = NULL},
};
static const struct opt common[] = {
	{ROW("yes", NULL, OPT_SWITCH, yes), .letter = 'y', .bit = 1},
	{ROW("other", NULL, OPT_BIT, yes), .bit = 2},
	{.name = NULL},
};
static const struct command commands[] = {
	{.object = "go",
	 .args = "WORD",
	 .summary = "goes",
	 .examples = "prog go x\n",
	 .max = 2,
	 .kinds = {ARG_FILE},
	 .sets = {own}},
	{.object = "map",
	 .verb = "list",
	 .args = "",
	 .summary = "lists",
	 .examples = "",
	 .options = 2},
	{.object = "map",
	 .verb = "dump",
	 .args = "MAP...",
	 .summary = "dumps",
	 .examples = "",
	 .min = 1,
	 .max = -1,
	 .kinds = {ARG_NONE, ARG_OF_PROGRAM}},
	{.object = "shell",
	 .args = "SHELL",
	 .summary = "shells",
	 .examples = "",
	 .max = 1,
	 .kinds = {ARG_SHELL}},
	{.object = NULL},
};
static const char *const objects[][2] = {
	{"go", "goes"}, {"map", "maps"}, {"shell", "sh"}, {NULL, NULL}};
static const char *const synonyms[][2] = {
	{"amount", "nothing"}, {"amount", "number"}, {NULL, NULL}};

static void names(const struct cli_table *t, struct opt_words *w, int kind, int n, char **words)
{
	(void)t;
	(void)kind;
	(void)words;
	opt_word(w, n > 3 ? "third" : "second", NULL);
	opt_word(w, "two\nlines", NULL);
}

static bool literal(int n, char **words)
{
	return n >= 2 && !strcmp(words[0], "rule");
}

static const struct cli_table table = {.name = "prog",
				       .summary = "a program",
				       .commands = commands,
				       .options = common,
				       .objects = objects,
				       .global = 1,
				       .start = "",
				       .exits = "",
				       .about = "",
				       .synonyms = synonyms,
				       .literal = literal,
				       .complete = names};

/* Takes a line as typed; returns what opt_take() says. */
static int take(const char *typed, const struct command *c, struct values *v, struct opt_line *l,
		char **words, int *n, struct sq_error *err)
{
	static char copy[256];
	char *w;

	snprintf(copy, sizeof(copy), "%s", typed);
	*n = 0;
	for (w = strtok(copy, " "); w; w = strtok(NULL, " "))
		words[(*n)++] = w;
	words[*n] = NULL;
	*l = (struct opt_line){.table = &table, .command = c, .base = {v, v}};
	return opt_take(l, n, words, err);
}

static void values_are_stored(void **state)
{
	struct values v = {.kept = true};
	struct opt_line l;
	struct sq_error err;
	char *words[40];
	int n;

	(void)state;
	assert_int_equal(
		take("a -f --keep --text=x b --list 1 --list=2 --str abc --choice 3.1.1 -n 7 "
		     "--big 18446744073709551615 --seconds 30s --time 1.5s --share 12.5% "
		     "--rate 30/min --call good -y -- --flag",
		     &commands[0], &v, &l, words, &n, &err),
		0);
	assert_true(v.flag && !v.kept && v.yes);
	assert_string_equal(v.text, "x");
	assert_int_equal(v.n_list, 2);
	assert_string_equal(v.list[1], "2");
	assert_string_equal(v.str, "abc");
	assert_int_equal(v.choice, 4);
	assert_int_equal(v.n, 7);
	assert_true(v.big == UINT64_MAX);
	assert_int_equal(v.seconds, 30);
	assert_true(v.ns == 1500000000);
	assert_int_equal(v.ppm, 125000);
	assert_true(v.milli == 500);
	assert_int_equal(v.calls, 1);
	assert_int_equal(l.given, 1);
	assert_int_equal(n, 3);
	assert_int_equal(l.dashes, 2);
	assert_string_equal(words[2], "--flag");
	assert_null(words[3]);
	/* In the words of a rule "-1ms" is a bad time, not a bad option; -y is one all the same. */
	assert_int_equal(take("rule set -1ms -y --", NULL, &v, &l, words, &n, &err), 0);
	assert_int_equal(n, 4);
}

static void refusals_name_value_and_remedy(void **state)
{
	static const char *const bad[][2] = {
		{"--lane x", "--lane: \"x\" is not accepted: auto, fq, tap"},
		{"--lane au", "--lane: \"au\" is not accepted: auto, fq, tap"},
		{"--choice 4", "--choice: \"4\" is not accepted: 3.1.1, 5"},
		{"-n 10", "--number: \"10\" is not accepted: a whole number from 1 to 9"},
		{"-n -1", "--number: \"-1\" is not accepted: a whole number from 1 to 9"},
		{"--seconds 9m",
		 "--seconds: \"9m\" is not accepted: a whole number of seconds from 0 to 60"},
		{"--time 5", "--time: \"5\" is not accepted: a time with its unit, e.g. 250ms, "
			     "1.5s, 2m, from 0s to 60s"},
		{"--share 5", "--share: \"5\" is not accepted: 0% to 100%"},
		{"--rate inf", "--rate: \"inf\" is not accepted: a rate, e.g. 500/s, 10/min"},
		{"--str 12345678", "--str: longer than 7 bytes"},
		{"--text=", "--text: an empty FILE is not accepted"},
		{"--list 1 --list 2 --list 3", "--list: given more than 2 times"},
		{"--call bad", "--call 'bad': accepted: good"},
		{"--flag=maybe", "--flag: \"maybe\" is not accepted: true, false"},
		{"--yes=1", "--yes takes no value"},
		{"--text", "--text needs a value: FILE what it does; more"},
		{"--nmuber 3", "unknown option \"--nmuber\"; did you mean --number?"},
		{"--amount 3", "unknown option \"--amount\"; did you mean --number?"},
		{"--AMOUNT=3", "unknown option \"--AMOUNT=3\"; did you mean --number?"},
		{"-x", "unknown option \"-x\"; see \"prog go --help\""},
		{"--banana", "unknown option \"--banana\"; see \"prog go --help\""},
	};
	struct values v = {0}, before;
	struct opt_line l;
	struct sq_error err;
	char *words[40];
	int n;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		memset(&v, 0, sizeof(v));
		before = v;
		assert_int_equal(take(bad[i][0], &commands[0], &v, &l, words, &n, &err), -EINVAL);
		assert_string_equal(err.text, bad[i][1]);
		if (!strstr(bad[i][0], "--list"))
			assert_memory_equal(&v, &before, sizeof(v));
	}
}

static void commands_are_found_or_guessed(void **state)
{
	static const struct {
		const char *words[3];
		const char *says;
	} bad[] = {
		{{"mpa"}, "did you mean \"prog map\"?"},
		{{"map", "lst"}, "did you mean \"prog map list\"? list, dump comes after map"},
		{{"map", "banana"}, "unknown command \"map banana\": list, dump comes after map"},
		{{"map"}, "list, dump comes after \"prog map\""},
		{{"banana"}, "\"prog --help\" lists them"},
	};
	char *words[] = {"map", "dump", "x", NULL};
	struct sq_error err;
	int used;

	(void)state;
	assert_ptr_equal(find_command(&table, 3, words, &used), &commands[2]);
	assert_int_equal(used, 2);
	assert_int_equal(opt_check(&table, &commands[2], 1, 1, words + 2, &err), 0);
	assert_int_equal(opt_check(&table, &commands[2], 2, 1, words + 2, &err), -EINVAL);
	assert_string_equal(
		err.text,
		"--other means nothing to \"prog map dump\"; usage: prog map dump MAP...");
	assert_int_equal(opt_check(&table, &commands[2], 0, 0, words + 3, &err), -EINVAL);
	assert_string_equal(err.text, "too few arguments; usage: prog map dump MAP...");
	assert_int_equal(opt_check(&table, &commands[1], 0, 1, words, &err), -EINVAL);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int n = bad[i].words[1] ? 2 : 1;

		assert_null(find_command(&table, n, (char **)(uintptr_t)bad[i].words, &used));
		opt_no_command(&table, n, (char **)(uintptr_t)bad[i].words, &err);
		if (!strstr(err.text, bad[i].says))
			fail_msg("%s: %s", bad[i].words[0], err.text);
	}
}

static void completion_offers_what_fits(void **state)
{
	static const char *const cases[][2] = {
		{"", "go\tgoes\nmap\tmaps\nshell\tsh\n"},
		{"m", "map\tmaps\n"},
		{"map ", "list\tlists\ndump\tdumps\n"},
		{"map dump ", ""},
		{"map dump x ", "second\n"},
		{"map dump x y ", "third\n"},
		{"shell ", "bash\nfish\nzsh\n"},
		{"go ", ":files\n"},
		{"go --text ", ":files\n"},
		{"go --text=x", ":files\n"},
		{"go --lane ", "auto\nfq\ntap\n"},
		{"go --lane=t", "--lane=tap\n"},
		{"go --choice ", "3.1.1\n5\n"},
		{"go --lane tap --fl", "--flag\twhat it does\n"},
		{"go --", "--flag"},
		{"map list --o", "--other\twhat it does\n"},
		{"map dump --o", ""},
		{"-y map list --y", "--yes\twhat it does\n"},
		{"go -- ", ":files\n"},
		{"go --flag=", ""},
	};
	char copy[80], *words[10], *w, *text;
	size_t size;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		FILE *f = open_memstream(&text, &size);
		int n = 0;

		snprintf(copy, sizeof(copy), "%s", cases[i][0]);
		for (w = copy; w; n++)
			words[n] = strsep(&w, " ");
		opt_complete(&table, f, n, words);
		fclose(f);
		if (strncmp(text, cases[i][1], *cases[i][1] ? strlen(cases[i][1]) : 1) ||
		    (size != strlen(cases[i][1]) && strcmp(cases[i][0], "go --")))
			fail_msg("\"%s\" gives: %s", cases[i][0], text);
		free(text);
	}
}

/* The first paragraph of every level, and that long options do not run into their help. */
static void help_is_laid_out(void **state)
{
	char *text;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	(void)state;
	help_command(&table, f, &commands[0]);
	fclose(f);
	assert_non_null(strstr(text, "usage: prog go WORD\n\ngoes\n\noptions:\n"
				     "  -f, --flag             what it does; more\n"));
	assert_non_null(strstr(text, "\noptions of all commands:\n"
				     "  -y, --yes              what it does; more\n"));
	assert_non_null(strstr(text, "      --seconds SECONDS  what"));
	assert_null(strstr(text, "--other"));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_are_stored),
		cmocka_unit_test(refusals_name_value_and_remedy),
		cmocka_unit_test(commands_are_found_or_guessed),
		cmocka_unit_test(completion_offers_what_fits),
		cmocka_unit_test(help_is_laid_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
