// SPDX-License-Identifier: GPL-2.0-only
/*
 * squall batch: the lines of a file, each a command. First all are understood, then they run, by
 * one connection; "fault set" lines that follow each other go as one request.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "squall/cli.h"

#define AT_ONCE	  500	/* rules of one request: 200 KB at the most that one has */
#define WORDS	  1024	/* of a line */
#define LINE_MAX_ 65536 /* bytes of one */

struct step {
	unsigned number;      /* of its line, from 1 */
	char *text;	      /* the words point into it */
	char **words, **argv; /* all of them; those after the command */
	int argc;
	const struct command *command;
	uint32_t given;
	struct cli own; /* its options */
	json_t *rule;	/* of a fault set */
};

struct batch {
	struct cli *cli;
	const char *file;
	struct step *step;
	size_t n;
	char where[300];
};

static const char *at_line(struct batch *b, unsigned number)
{
	snprintf(b->where, sizeof(b->where), "%.200s:%u: ", b->file, number);
	return b->cli->where = b->where;
}

/* Words as a shell has them, in place; -EINVAL: a quote does not end, -E2BIG: too many. */
static int split(char *s, char **words, int max)
{
	int n = 0;

	for (;;) {
		char *out, quote = 0;

		s += strspn(s, " \t\r\n");
		if (!*s || *s == '#')
			return n;
		if (n == max)
			return -E2BIG;
		words[n++] = out = s;
		for (; *s && (quote || !strchr(" \t\r\n", *s)); s++) {
			if (*s == quote)
				quote = 0;
			else if (!quote && (*s == '"' || *s == '\''))
				quote = *s;
			else if (*s == '\\' && quote != '\'' && s[1])
				*out++ = *++s;
			else
				*out++ = *s;
		}
		if (quote)
			return -EINVAL;
		s += *s != 0;
		*out = 0;
	}
}

/* What ends by itself and leaves the terminal alone. */
static bool for_batch(const struct command *c, uint32_t given)
{
	static const char *const objects[] = {"target", "fault",   "profile", "schedule", "stats",
					      "status", "explain", "flows",   "history",  NULL};

	for (size_t i = 0; objects[i] && !(given & OPT_WATCH); i++)
		if (!strcmp(objects[i], c->object))
			return true;
	return false;
}

/* A line's words to a command, its options and, of a fault set, its rule. */
static int understand(struct batch *b, struct step *s)
{
	struct opt_line line = {.table = b->cli->table, .base = {&s->own}};
	struct cli plain = *b->cli;
	struct sq_error err;
	int words = 0, r;

	s->own = (struct cli){.table = b->cli->table, .dashes = -1};
	if (opt_take(&line, &s->argc, s->argv, &err))
		return complain(b->cli, EXIT_USAGE, &err);
	s->given = line.given;
	if (s->given & OPT_GLOBAL & ~(uint32_t)(OPT_JSON | OPT_PRETTY))
		return complain_text(b->cli, EXIT_USAGE,
				     "whom to ask is said before \"batch\", for all lines");
	s->command = find_command(b->cli->table, s->argc, s->argv, &words);
	if (!s->command) {
		opt_no_command(b->cli->table, s->argc, s->argv, &err);
		return complain(b->cli, EXIT_USAGE, &err);
	}
	if (!for_batch(s->command, s->given))
		return complain_text(b->cli, EXIT_USAGE, "\"%s\" is no command for a batch",
				     s->command->object);
	s->argc -= words;
	s->argv += words;
	if (opt_check(b->cli->table, s->command, s->given, s->argc, s->argv, &err))
		return complain(b->cli, EXIT_USAGE, &err);
	if (s->command->run != cmd_fault_set || s->given & OPT_WAIT)
		return 0;
	r = text_of_words(&plain, s->argc - 1, s->argv + 1, &s->rule);
	if (!r && !*s->argv[0])
		return complain_text(b->cli, EXIT_USAGE, "an empty name is not accepted");
	/* Told in a way of its own, it is set by itself. */
	if (s->given & (OPT_JSON | OPT_PRETTY)) {
		json_decref(s->rule);
		s->rule = NULL;
	}
	return r;
}

/* Each line that is no comment becomes a step. */
static int read_steps(struct batch *b, FILE *f)
{
	char *text = NULL, *words[WORDS];
	size_t cap = 0, room = 0;
	unsigned number = 0;
	ssize_t len;
	int n, r = 0;

	while (!r && (len = getline(&text, &cap, f)) >= 0) {
		struct step *s;

		at_line(b, ++number);
		if (len > LINE_MAX_ || strlen(text) != (size_t)len) {
			r = complain_text(b->cli, EXIT_USAGE, "a line is text of at most %d bytes",
					  LINE_MAX_);
			break;
		}
		n = split(text, words, WORDS);
		if (n < 0)
			r = complain_text(b->cli, EXIT_USAGE,
					  n == -E2BIG ? "too many words" : "a quote does not end");
		if (n <= 0)
			continue;
		if (b->n == room) {
			room = room ? 2 * room : 64;
			s = reallocarray(b->step, room, sizeof(*s));
			if (!s) {
				r = complain_text(b->cli, EXIT_FAILED, "out of memory");
				break;
			}
			b->step = s;
		}
		s = &b->step[b->n++];
		*s = (struct step){.number = number, .argc = n, .text = text};
		s->words = s->argv = malloc(sizeof(words[0]) * (size_t)(n + 1));
		if (s->argv) {
			memcpy(s->argv, words, sizeof(words[0]) * (size_t)n);
			s->argv[n] = NULL;
		}
		text = NULL;
		cap = 0;
		r = s->argv ? understand(b, s)
			    : complain_text(b->cli, EXIT_FAILED, "out of memory");
	}
	free(text);
	/* A folder, too: it opens, and its first line does not come. */
	if (!r && ferror(f)) {
		b->cli->where = NULL;
		r = complain_text(b->cli, EXIT_USAGE, "cannot read %s: %s", b->file,
				  strerror(errno));
	}
	return r;
}

/* n steps from i on, all of them rules: one request. */
static int set_rules(struct batch *b, size_t i, size_t n)
{
	const char *path = b->cli->given & OPT_QUIET ? "/api/v1/rules?entries=0"
			   : b->cli->json	     ? "/api/v1/rules"
						     : "/api/v1/rules?entries=brief";
	json_t *list = json_array(), *body, *answer = NULL, *one;
	unsigned line = b->step[i].number;
	struct sq_error err;
	size_t k;
	int r;

	for (k = 0; k < n; k++)
		json_array_append_new(list, json_pack("{s:s,s:O}", "target", b->step[i + k].argv[0],
						      "rule", b->step[i + k].rule));
	body = json_pack("{s:o}", "rules", list);
	at_line(b, line);
	r = api_open(b->cli);
	if (!r && (r = sq_client_request(b->cli->client, "PUT", path, body, &answer, &err))) {
		/* "rules[7].target" is the eighth's. */
		if (sscanf(err.text, "rules[%zu", &k) == 1 && k < n) {
			const char *text = strstr(err.text, "]: ");

			at_line(b, b->step[i + k].number);
			memmove(err.text, text ? text + 3 : err.text,
				strlen(text ? text + 3 : err.text) + 1);
		}
		r = complain(b->cli, r == -EINVAL ? EXIT_USAGE : EXIT_FAILED, &err);
	}
	json_array_foreach(json_object_get(answer, "rules"), k, one)
	{
		b->cli->where = NULL;
		if (!(b->step[i + k].given & OPT_QUIET))
			in_force(b->cli, 0, json_incref(one));
	}
	json_decref(answer);
	json_decref(body);
	return r;
}

static int run_step(struct batch *b, struct step *s)
{
	struct cli all = *b->cli;
	int r;

	at_line(b, s->number);
	s->own.json |= all.json;
	s->own.pretty |= all.pretty;
	s->own.given = s->given | (all.given & (OPT_QUIET | OPT_GLOBAL));
	s->own.url = all.url;
	s->own.socket = all.socket;
	s->own.token_file = all.token_file;
	s->own.cacert = all.cacert;
	s->own.color = all.color;
	s->own.where = b->where;
	s->own.client = all.client;
	r = s->command->run(&s->own, s->argc, s->argv);
	b->cli->client = s->own.client;
	return r;
}

static int run_all(struct batch *b)
{
	int r = 0;

	for (size_t i = 0, n; !r && i < b->n; i += n) {
		for (n = 0; i + n < b->n && n < AT_ONCE && b->step[i + n].rule; n++)
			;
		r = n ? set_rules(b, i, n) : run_step(b, &b->step[i]);
		n += !n;
	}
	return r;
}

int cmd_batch(struct cli *cli, int argc, char **argv)
{
	bool in = !strcmp(argv[0], "-");
	struct batch b = {.cli = cli, .file = in ? "stdin" : argv[0]};
	FILE *f = in ? stdin : fopen(argv[0], "re");
	int r;

	(void)argc;
	if (!f)
		return complain_text(cli, EXIT_USAGE, "cannot read %s: %s", argv[0],
				     strerror(errno));
	r = read_steps(&b, f);
	if (!in)
		fclose(f);
	if (!r)
		r = run_all(&b);
	cli->where = NULL;
	for (size_t i = 0; i < b.n; i++) {
		json_decref(b.step[i].rule);
		free(b.step[i].text);
		free(b.step[i].words);
	}
	free(b.step);
	return r;
}
