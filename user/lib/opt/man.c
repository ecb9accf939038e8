// SPDX-License-Identifier: GPL-2.0-only
/* The manual page, made of the tables: docs/squall.8 is this output. */
#include <ctype.h>
#include <string.h>
#include "lib/opt/opt.h"

/* roff: backslashes and leading dots mean something, "-" is a hyphen unless escaped. */
static void put(FILE *f, const char *text, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (i == 0 && (text[i] == '.' || text[i] == '\''))
			fputs("\\&", f);
		if (text[i] == '\\')
			fputs("\\e", f);
		else if (text[i] == '-')
			fputs("\\-", f);
		else
			fputc(text[i], f);
	}
}

void man_text(FILE *f, const char *text)
{
	put(f, text, strlen(text));
}

/* Lines that start with a space are set as they are, the rest is filled. */
static void paragraphs(FILE *f, const char *text)
{
	bool verbatim = false;

	while (*text) {
		size_t n = strcspn(text, "\n");

		if ((*text == ' ') != verbatim) {
			fputs(verbatim ? ".fi\n" : ".nf\n", f);
			verbatim = !verbatim;
		}
		if (n) {
			put(f, text, n);
			fputc('\n', f);
		} else {
			fputs(".PP\n", f);
		}
		text += n + (text[n] == '\n');
	}
	if (verbatim)
		fputs(".fi\n", f);
}

static void one_option(FILE *f, const struct opt *o)
{
	size_t n = strlen(o->help);

	fputs(".TP\n", f);
	if (o->letter)
		fprintf(f, "\\fB\\-%c\\fR, ", o->letter);
	fputs("\\fB\\-\\-", f);
	man_text(f, o->name);
	fputs("\\fR", f);
	if (o->arg) {
		fputs(" \\fI", f);
		man_text(f, o->arg);
		fputs("\\fR", f);
	}
	fputc('\n', f);
	man_text(f, o->help);
	if (o->def) {
		fputs(" (default: ", f);
		man_text(f, o->def);
		fputc(')', f);
	}
	fputs(n && o->help[n - 1] == '.' && !o->def ? "\n" : ".\n", f);
}

static void options(FILE *f, const struct opt *o, uint32_t bits)
{
	const char *group = NULL;

	for (; o && o->name; o++) {
		if (bits && !(o->bit & bits))
			continue;
		if (o->group && (!group || strcmp(group, o->group)))
			fprintf(f, ".PP\n%s:\n", o->group);
		group = o->group;
		one_option(f, o);
	}
}

static void example_lines(FILE *f, const char *text)
{
	fputs(".PP\n.nf\n", f);
	while (*text) {
		size_t n = strcspn(text, "\n");

		fputs("    ", f);
		put(f, text, n);
		fputc('\n', f);
		text += n + (text[n] == '\n');
	}
	fputs(".fi\n", f);
}

static void name(const struct cli_table *t, FILE *f, const struct command *c, const char *between)
{
	man_text(f, t->name);
	fputs(between, f);
	fprintf(f, "%s%s%s", c->object, c->verb ? " " : "", c->verb ? c->verb : "");
}

static void one_command(const struct cli_table *t, FILE *f, const struct command *c)
{
	if (t->objects) {
		fputs(".SS ", f);
		name(t, f, c, " ");
		fputc(' ', f);
		man_text(f, c->args);
		fputc('\n', f);
		man_text(f, c->summary);
		fputs(".\n", f);
	}
	if (c->text) {
		fputs(".PP\n", f);
		paragraphs(f, c->text);
	}
	if (!t->objects)
		fputs(".SH OPTIONS\n", f);
	if (c->options)
		options(f, t->options, c->options);
	for (int i = 0; i < 3; i++)
		options(f, c->sets[i], 0);
	if (!t->objects)
		fputs(".SH EXAMPLES\n", f);
	example_lines(f, c->examples);
}

static void synopsis(const struct cli_table *t, FILE *f)
{
	for (const struct command *c = t->commands; c->object; c++) {
		fputs("\\fB", f);
		man_text(f, t->name);
		fputs("\\fR", f);
		if (t->objects)
			fprintf(f, " [OPTION...] \\fB%s%s%s\\fR", c->object, c->verb ? " " : "",
				c->verb ? c->verb : "");
		fputc(' ', f);
		man_text(f, c->args);
		fputc('\n', f);
	}
}

void man_page(const struct cli_table *t, FILE *f)
{
	const struct command *c;

	fprintf(f, ".\\\" Made by \"%s%s --man\" of the table of its commands.\n.TH ", t->name,
		t->objects ? " help" : "");
	for (const char *p = t->name; *p; p++)
		fprintf(f, "%s%c", *p == '-' ? "\\" : "", toupper((unsigned char)*p));
	fprintf(f, " %d \"\" \"squall " SQUALL_VERSION "\" \"%s\"\n.nh\n.SH NAME\n", t->section,
		t->section == 8 ? "System administration" : "User commands");
	man_text(f, t->name);
	fputs(" \\- ", f);
	man_text(f, t->summary);
	fputs("\n.SH SYNOPSIS\n.nf\n", f);
	synopsis(t, f);
	fputs(".fi\n.SH DESCRIPTION\n", f);
	paragraphs(f, t->about);
	if (!t->about[0] || t->about[strlen(t->about) - 1] != '\n')
		fputc('\n', f);
	if (t->objects) {
		fputs(".SH OPTIONS\nOptions may stand anywhere.\n", f);
		options(f, t->options, t->global);
		fputs(".SH COMMANDS\n", f);
	}
	for (c = t->commands; c->object; c++)
		one_command(t, f, c);
	fputs(".SH EXIT STATUS\n", f);
	man_text(f, t->exits);
	fputc('\n', f);
	if (t->man_more)
		t->man_more(f);
}
