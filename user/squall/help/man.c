// SPDX-License-Identifier: GPL-2.0-only
/* squall(8), made of the table: docs/squall.8 is this output. */
#include <string.h>
#include "squall/cli.h"

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

static void puts_roff(FILE *f, const char *text)
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

static void option(FILE *f, const struct option_def *o)
{
	fputs(".TP\n", f);
	if (o->letter)
		fprintf(f, "\\fB\\-%c\\fR, ", o->letter);
	fputs("\\fB\\-\\-", f);
	puts_roff(f, o->name);
	fputs("\\fR", f);
	if (o->arg)
		fprintf(f, " \\fI%s\\fR", o->arg);
	fputc('\n', f);
	puts_roff(f, o->help);
	fputs(".\n", f);
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

static void one_command(const struct cli_table *t, FILE *f, const struct command *c)
{
	const struct option_def *o;

	fprintf(f, ".SS squall %s%s%s ", c->object, c->verb ? " " : "", c->verb ? c->verb : "");
	puts_roff(f, c->args);
	fputc('\n', f);
	puts_roff(f, c->summary);
	fputs(".\n", f);
	if (c->text) {
		fputs(".PP\n", f);
		paragraphs(f, c->text);
	}
	for (o = t->options; o->bit; o++)
		if (o->bit & c->options)
			option(f, o);
	example_lines(f, c->examples);
}

void man_page(const struct cli_table *t, FILE *f)
{
	static const char tail[] =
		".SH FILES\n"
		".TP\n\\fI/run/squall/squalld.sock\\fR\nsqualld's unix socket.\n"
		".TP\n\\fI/sys/fs/bpf/squall/v2/\\fR\nsqualld's pinned maps.\n"
		".SH ENVIRONMENT\n"
		".TP\n\\fBSQUALL_URL\\fR, \\fBSQUALL_SOCKET\\fR, \\fBSQUALL_TOKEN_FILE\\fR, "
		"\\fBSQUALL_CACERT\\fR\nas the options of these names.\n"
		".TP\n\\fBSQUALL_TOKEN\\fR\nthe token itself.\n"
		".TP\n\\fBNO_COLOR\\fR\nno colour, also on a terminal.\n"
		".SH EXIT STATUS\n0: done. 1: failed. 2: the command line or the rule was not "
		"understood, and nothing was changed.\n"
		".SH NOTES\n"
		"A correlation r makes a decision repeat the previous one with probability r; the "
		"rate that was asked for is kept: after a loss the next packet is lost with "
		"p + r(1\\-p). (tc\\-netem's formula lowers the rate.)\n"
		".PP\nThese are never faulted unless a rule names their single port or their "
		"address: DHCP, neighbour discovery, 169.254.169.254, 169.254.170.2, "
		"fd00:ec2::254, squalld's own port and Locust's 5557. ARP is never faulted.\n"
		".SH SEE ALSO\n"
		"\\fBtc\\-netem\\fR(8), \\fBtc\\-tbf\\fR(8), \\fBbpftool\\fR(8)\n";
	const struct option_def *o;
	const struct command *c;

	fputs(".\\\" Made by \"squall help --man\"; edit user/squall/commands.c instead.\n"
	      ".TH SQUALL 8 \"\" \"squall " SQUALL_VERSION "\" \"System administration\"\n"
	      ".nh\n.SH NAME\n"
	      "squall \\- real network faults for containers and cgroups, in the kernel\n"
	      ".SH SYNOPSIS\n.nf\n",
	      f);
	for (c = t->commands; c->object; c++) {
		fprintf(f, "\\fBsquall\\fR [OPTION...] \\fB%s%s%s\\fR ", c->object,
			c->verb ? " " : "", c->verb ? c->verb : "");
		puts_roff(f, c->args);
		fputc('\n', f);
	}
	fputs(".fi\n.SH DESCRIPTION\n"
	      "squall speaks to squalld, which holds rules in the kernel: what shall happen to "
	      "the packets that a cgroup or container sends (up) or receives (down). Words are "
	      "exact and never abbreviated. Results go to the standard output, complaints to the "
	      "standard error.\n"
	      ".SH OPTIONS\nOptions may stand anywhere.\n",
	      f);
	for (o = t->options; o->bit; o++)
		if (o->bit & OPT_GLOBAL)
			option(f, o);
	fputs(".SH COMMANDS\n", f);
	for (c = t->commands; c->object; c++)
		one_command(t, f, c);
	fputs(tail, f);
}
