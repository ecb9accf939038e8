// SPDX-License-Identifier: GPL-2.0-only
/*
 * --help of every level, made of the table: squall, an object, a command.
 */
#include <string.h>
#include "squall/cli.h"

#define WIDTH 79

/* Paragraphs filled to the screen; lines that start with a space stay as they are. */
static void fill(FILE *f, const char *text, int indent)
{
	int column = 0;

	while (*text) {
		size_t n = strcspn(text, " \n");

		if (column == 0 && *text == ' ') {
			size_t line = strcspn(text, "\n");

			fprintf(f, "%*s%.*s\n", indent, "", (int)line, text);
			text += line + (text[line] == '\n');
			continue;
		}
		if (column && column + 1 + (int)n > WIDTH) {
			fputc('\n', f);
			column = 0;
		}
		if (column)
			column += fprintf(f, " %.*s", (int)n, text);
		else
			column = fprintf(f, "%*s%.*s", indent, "", (int)n, text);
		text += n;
		if (*text == ' ') {
			text++;
		} else if (*text == '\n') {
			fputc('\n', f);
			column = 0;
			text++;
		}
	}
	if (column)
		fputc('\n', f);
}

static void list_options(const struct cli_table *t, FILE *f, uint32_t bits)
{
	const struct option_def *o;
	char left[40];

	for (o = t->options; o->bit; o++) {
		if (!(o->bit & bits))
			continue;
		snprintf(left, sizeof(left), "%c%c%s--%s%s%s", o->letter ? '-' : ' ',
			 o->letter ? o->letter : ' ', o->letter ? ", " : "  ", o->name,
			 o->arg ? " " : "", o->arg ? o->arg : "");
		fprintf(f, "  %-22s %s\n", left, o->help);
	}
}

static void usage(FILE *f, const struct command *c)
{
	fprintf(f, "squall %s%s%s%s%s", c->object, c->verb ? " " : "", c->verb ? c->verb : "",
		*c->args ? " " : "", c->args);
}

static void examples(FILE *f, const char *text)
{
	while (*text) {
		size_t n = strcspn(text, "\n");

		if (*text == '#')
			fprintf(f, "        %.*s\n", (int)n - 2, text + 2);
		else
			fprintf(f, "  %.*s\n", (int)n, text);
		text += n + (text[n] == '\n');
	}
}

void help_top(const struct cli_table *t, FILE *f)
{
	int i;

	fputs("squall: real network faults for containers and cgroups, in the kernel\n\n"
	      "usage: squall [OPTION...] COMMAND [WORD...]\n\n",
	      f);
	for (i = 0; t->objects[i][0]; i++)
		fprintf(f, "  %-11s %s\n", t->objects[i][0], t->objects[i][1]);
	fputs("\noptions of all commands:\n", f);
	list_options(t, f, OPT_GLOBAL);
	fputs("\nstart here:\n"
	      "  squall target list\n"
	      "  squall fault set worker up loss 10% delay 100ms for 60s\n"
	      "  squall stats -w\n"
	      "  squall fault del all\n"
	      "\n\"squall help COMMAND\" tells more, with examples. Exit status: 0 done, 1 "
	      "failed,\n"
	      "2 not understood.\n",
	      f);
}

void help_object(const struct cli_table *t, FILE *f, const char *object)
{
	const struct command *c, *only = NULL;
	int n = 0, i;

	for (c = t->commands; c->object; c++) {
		if (!strcmp(c->object, object)) {
			only = c;
			n++;
		}
	}
	if (n == 1) {
		help_command(t, f, only);
		return;
	}
	for (i = 0; t->objects[i][0]; i++)
		if (!strcmp(t->objects[i][0], object))
			fprintf(f, "squall %s: %s\n\n", object, t->objects[i][1]);
	for (c = t->commands; c->object; c++) {
		if (strcmp(c->object, object))
			continue;
		fputs("  ", f);
		usage(f, c);
		fprintf(f, "\n        %s\n", c->summary);
	}
	fputs("\nexamples:\n", f);
	for (c = t->commands; c->object; c++)
		if (!strcmp(c->object, object))
			examples(f, c->examples);
	fprintf(f, "\n\"squall help %s COMMAND\" tells more.\n", object);
}

void help_command(const struct cli_table *t, FILE *f, const struct command *c)
{
	fputs("usage: ", f);
	usage(f, c);
	fprintf(f, "\n\n");
	fill(f, c->summary, 0);
	if (c->text) {
		fputc('\n', f);
		fill(f, c->text, 0);
	}
	if (c->options) {
		fputs("\noptions:\n", f);
		list_options(t, f, c->options);
	}
	fputs("\noptions of all commands:\n", f);
	list_options(t, f, OPT_GLOBAL);
	fputs("\nexamples:\n", f);
	examples(f, c->examples);
}
