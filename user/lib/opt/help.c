// SPDX-License-Identifier: GPL-2.0-only
/*
 * --help of every level, made of the tables: the program, an object, a command.
 */
#include <string.h>
#include "lib/opt/opt.h"

#define WIDTH  79
#define COLUMN 25 /* where an option's help begins */

/* Paragraphs filled to the screen; lines that start with a space stay as they are. column: where
 * the first line stands already. */
static void fill(FILE *f, const char *text, int indent, int column)
{
	while (*text) {
		size_t n = strcspn(text, " \n");

		if (column == 0 && *text == ' ') {
			size_t line = strcspn(text, "\n");

			fprintf(f, "%*s%.*s\n", indent, "", (int)line, text);
			text += line + (text[line] == '\n');
			continue;
		}
		if (column > indent && column + 1 + (int)n > WIDTH) {
			fputc('\n', f);
			column = 0;
		}
		if (column > indent)
			column += fprintf(f, " %.*s", (int)n, text);
		else
			column += fprintf(f, "%*s%.*s", indent - column, "", (int)n, text);
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

static void one_option(FILE *f, const struct opt *o)
{
	char text[700];
	int column =
		fprintf(f, "  %c%c%s--%s%s%s", o->letter ? '-' : ' ', o->letter ? o->letter : ' ',
			o->letter ? ", " : "  ", o->name, o->arg ? " " : "", o->arg ? o->arg : "");

	if (column >= COLUMN) {
		fputc('\n', f);
		column = 0;
	}
	snprintf(text, sizeof(text), "%s%s%s%s", o->help, o->def ? " [" : "", o->def ? o->def : "",
		 o->def ? "]" : "");
	fprintf(f, "%*s", COLUMN - column, "");
	fill(f, text, COLUMN, COLUMN);
}

/* The options of the table that have one of the bits; bits 0: all of them. */
static void list_options(FILE *f, const struct opt *o, uint32_t bits, const char *heading)
{
	const char *group = NULL;

	for (; o && o->name; o++) {
		const char *its = o->group ? o->group : heading;

		if (bits && !(o->bit & bits))
			continue;
		if (!group || strcmp(group, its))
			fprintf(f, "\n%s:\n", its);
		group = its;
		one_option(f, o);
	}
}

static void usage(const struct cli_table *t, FILE *f, const struct command *c)
{
	fprintf(f, "%s%s%s%s%s%s%s", t->name, *c->object ? " " : "", c->object, c->verb ? " " : "",
		c->verb ? c->verb : "", *c->args ? " " : "", c->args);
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

	if (!t->objects) {
		help_command(t, f, t->commands);
		return;
	}
	fprintf(f, "%s: %s\n\nusage: %s %s\n\n", t->name, t->summary, t->name, t->usage);
	for (i = 0; t->objects[i][0]; i++)
		fprintf(f, "  %-11s %s\n", t->objects[i][0], t->objects[i][1]);
	list_options(f, t->options, t->global, "options of all commands");
	fputs("\nstart here:\n", f);
	examples(f, t->start);
	fputc('\n', f);
	fprintf(f, "\"%s help COMMAND\" tells more, with examples.\nExit status:", t->name);
	fill(f, t->exits, 0, 12);
}

bool help_object(const struct cli_table *t, FILE *f, const char *object)
{
	const struct command *c, *only = NULL;
	int n = 0, i;

	for (c = t->commands; c->object; c++) {
		if (!strcmp(c->object, object)) {
			only = c;
			n++;
		}
	}
	if (n < 2) {
		if (only)
			help_command(t, f, only);
		return only;
	}
	for (i = 0; t->objects[i][0]; i++)
		if (!strcmp(t->objects[i][0], object))
			fprintf(f, "%s %s: %s\n\n", t->name, object, t->objects[i][1]);
	for (c = t->commands; c->object; c++) {
		if (strcmp(c->object, object))
			continue;
		fputs("  ", f);
		usage(t, f, c);
		fprintf(f, "\n        %s\n", c->summary);
	}
	fputs("\nexamples:\n", f);
	for (c = t->commands; c->object; c++)
		if (!strcmp(c->object, object))
			examples(f, c->examples);
	fprintf(f, "\n\"%s help %s COMMAND\" tells more.\n", t->name, object);
	return true;
}

void help_command(const struct cli_table *t, FILE *f, const struct command *c)
{
	fputs("usage: ", f);
	usage(t, f, c);
	fputs("\n\n", f);
	fill(f, c->summary, 0, 0);
	if (c->text) {
		fputc('\n', f);
		fill(f, c->text, 0, 0);
	}
	if (c->options)
		list_options(f, t->options, c->options, "options");
	for (int i = 0; i < 3; i++)
		list_options(f, c->sets[i], 0, "options");
	list_options(f, t->options, t->global, "options of all commands");
	fputs("\nexamples:\n", f);
	examples(f, c->examples);
	if (!t->objects) {
		fputs("\nExit status:", f);
		fill(f, t->exits, 0, 12);
	}
}

int opt_help(const struct cli_table *t, int argc, char **argv, struct sq_error *err)
{
	const struct command *c;
	int words;

	if (!argc) {
		help_top(t, stdout);
		return 0;
	}
	c = find_command(t, argc, argv, &words);
	if (c && words == argc) {
		help_command(t, stdout, c);
		return 0;
	}
	if (argc == 1 && help_object(t, stdout, argv[0]))
		return 0;
	return opt_no_command(t, argc, argv, err);
}
