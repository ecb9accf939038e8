// SPDX-License-Identifier: GPL-2.0-only
/* Command lines from option tables: parsing, help, manual page, completion. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "sim/run/run.h"

static const struct sim_opt *find(const struct sim_cli *c, const char *name, void **ret_base)
{
	const struct sim_opt *o = sim_opt_find(c->opts, c->nopts, name);

	*ret_base = c->base;
	if (o)
		return o;
	*ret_base = c->profile;
	return sim_opt_find(sim_profile_opts, sim_profile_nopts, name);
}

static int from_environment(const struct sim_cli *c, struct sim_err *err)
{
	struct sim_err why;

	for (unsigned i = 0; i < sim_naliases; i++) {
		const char *v = getenv(sim_aliases[i].env);

		if (!v || !*v)
			continue;
		if (sim_profile_set(c->profile, sim_aliases[i].env, v, &why))
			return sim_bad(err, "environment %s: %s", sim_aliases[i].env, why.text);
	}
	return 0;
}

/* The value of a bare "--config X" anywhere, because files come before the command line. */
static const char *early(int argc, char **argv, const char *name)
{
	size_t n = strlen(name);

	for (int i = 1; i < argc; i++) {
		if (strncmp(argv[i], "--", 2) || strncmp(argv[i] + 2, name, n))
			continue;
		if (argv[i][2 + n] == '=')
			return argv[i] + 3 + n;
		if (!argv[i][2 + n] && i + 1 < argc)
			return argv[i + 1];
	}
	return NULL;
}

static void hint(const struct sim_cli *c, const char *name, char *buf, size_t cap)
{
	*buf = 0;
	/* The first option that begins alike. */
	for (size_t n = strlen(name); n > 2; n--) {
		for (unsigned i = 0; i < c->nopts + sim_profile_nopts; i++) {
			const struct sim_opt *o =
				i < c->nopts ? &c->opts[i] : &sim_profile_opts[i - c->nopts];

			if (strncmp(o->name, name, n))
				continue;
			snprintf(buf, cap, "; did you mean --%s?", o->name);
			return;
		}
	}
}

int sim_cli_parse(struct sim_cli *c, int argc, char **argv, struct sim_err *err)
{
	const char *config = early(argc, argv, "config");
	int rc;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
			sim_cli_help(c, stdout);
			return 1;
		}
	}
	rc = from_environment(c, err);
	if (!rc && config)
		rc = sim_config_load(config, c->base, c->profile, err);
	for (int i = 1; i < argc && !rc; i++) {
		const struct sim_opt *o;
		char name[64], guess[96], *eq;
		const char *value;
		void *base;

		if (!strcmp(argv[i], "-j"))
			snprintf(name, sizeof(name), "json");
		else if (!strncmp(argv[i], "--", 2) && argv[i][2])
			snprintf(name, sizeof(name), "%s", argv[i] + 2);
		else
			return sim_bad(err, "'%.100s' is not an option; see squall-sim %s --help",
				       argv[i], c->command);
		eq = strchr(name, '=');
		if (eq)
			*eq = 0;
		value = strchr(argv[i], '=');
		value = eq && value ? value + 1 : NULL;
		o = find(c, name, &base);
		if (!o || strchr(name, '_')) {
			hint(c, name, guess, sizeof(guess));
			return sim_bad(err, "option '--%.60s' is unknown%s", name, guess);
		}
		if (o->kind == SIM_OPT_FLAG && !value) {
			value = "true";
		} else if (!value) {
			if (++i >= argc)
				return sim_bad(err, "--%s: its %s is missing", o->name, o->arg);
			value = argv[i];
		}
		rc = sim_opt_set(o, base, value, err);
		if (c->given)
			c->given[c->ngiven++] = (struct sim_given){o, value};
	}
	return rc;
}

static void wrap(FILE *f, const char *text, int indent, int col)
{
	while (*text) {
		int n = (int)strcspn(text, " ");

		if (col + n > 99 && col > indent) {
			fprintf(f, "\n%*s", indent, "");
			col = indent;
		}
		fprintf(f, "%.*s", n, text);
		col += n;
		text += n;
		if (*text == ' ') {
			text++;
			if (col < 99)
				fputc(' ', f);
			col++;
		}
	}
}

static void help_table(FILE *f, const struct sim_opt *opts, unsigned n)
{
	const char *group = "";

	for (unsigned i = 0; i < n; i++) {
		const struct sim_opt *o = &opts[i];
		char text[600];
		int col;

		if (strcmp(group, o->group)) {
			group = o->group;
			fprintf(f, "\n%s:\n", group);
		}
		col = fprintf(f, "  --%s%s%s", o->name, o->arg ? " " : "", o->arg ? o->arg : "");
		if (col > 29) {
			fputc('\n', f);
			col = 0;
		}
		fprintf(f, "%*s", 30 - col, "");
		snprintf(text, sizeof(text), "%s%s%s%s", o->help, o->def ? " [" : "",
			 o->def ? o->def : "", o->def ? "]" : "");
		wrap(f, text, 30, 30);
		fputc('\n', f);
	}
}

void sim_cli_help(const struct sim_cli *c, FILE *f)
{
	fprintf(f, "usage: squall-sim %s [OPTIONS]\n\n%s", c->command, c->summary);
	help_table(f, c->opts, c->nopts);
	help_table(f, sim_profile_opts, sim_profile_nopts);
	fprintf(f, "\n%s", c->examples);
}

static void man_text(FILE *f, const char *s)
{
	for (; *s; s++) {
		if (*s == '\\' || *s == '-')
			fputc('\\', f);
		fputc(*s, f);
	}
}

static void man_table(FILE *f, const struct sim_opt *opts, unsigned n)
{
	const char *group = "";

	for (unsigned i = 0; i < n; i++) {
		if (strcmp(group, opts[i].group)) {
			group = opts[i].group;
			fprintf(f, ".SS %s\n", group);
		}
		fprintf(f, ".TP\n\\fB\\-\\-");
		man_text(f, opts[i].name);
		fprintf(f, "\\fR");
		if (opts[i].arg) {
			fprintf(f, " \\fI");
			man_text(f, opts[i].arg);
			fprintf(f, "\\fR");
		}
		fputc('\n', f);
		man_text(f, opts[i].help);
		if (opts[i].def) {
			fputs(" (default: ", f);
			man_text(f, opts[i].def);
			fputc(')', f);
		}
		fputc('\n', f);
	}
}

void sim_cli_man(FILE *f)
{
	fputs(".TH SQUALL\\-SIM 1 \"\" \"squall " SQUALL_VERSION "\"\n.SH NAME\n"
	      "squall\\-sim \\- a fleet of MQTT devices on one machine\n.SH SYNOPSIS\n"
	      ".B squall\\-sim run\n[\\fIOPTIONS\\fR]\n.br\n.B squall\\-sim experiment\n"
	      "\\fIFILE\\fR [\\fIOPTIONS\\fR]\n.br\n.B squall\\-sim worker\n"
	      "[\\fIOPTIONS\\fR]\n.br\n.B squall\\-sim doctor\n[\\fIOPTIONS\\fR]\n.br\n.B "
	      "squall\\-sim locustfile\n[\\fIOPTIONS\\fR]\n"
	      ".SH DESCRIPTION\n",
	      f);
	man_text(f, sim_run_summary);
	fputs(".SH OPTIONS\n", f);
	man_table(f, sim_run_opts, sim_run_nopts);
	man_table(f, sim_profile_opts, sim_profile_nopts);
	fputs(".SH ENVIRONMENT\n", f);
	for (unsigned i = 0; i < sim_naliases; i++) {
		fprintf(f, ".TP\n\\fB%s\\fR\nsets \\fB\\-\\-", sim_aliases[i].env);
		man_text(f, sim_aliases[i].name);
		fprintf(f, "\\fR; in files \\fB%s\\fR.\n", sim_aliases[i].camel);
	}
	fputs(".SH EXIT STATUS\n0 done, 1 failed, or no device ever connected, stayed "
	      "connected or published a message, 2 bad usage (nothing was connected), 99 a "
	      "\\-\\-fail\\-if held.\n.SH EXAMPLES\n.nf\n",
	      f);
	man_text(f, sim_run_examples);
	fputs(".fi\n", f);
}

void sim_cli_bash(FILE *f)
{
	fputs("# bash completion for squall-sim\n_squall_sim() {\n"
	      "\tlocal cur=${COMP_WORDS[COMP_CWORD]}\n"
	      "\tif [ \"$COMP_CWORD\" -eq 1 ]; then\n"
	      "\t\tCOMPREPLY=($(compgen -W 'run experiment worker doctor locustfile help version' "
	      "-- "
	      "\"$cur\"))\n"
	      "\telif [[ $cur == -* ]]; then\n\t\tCOMPREPLY=($(compgen -W '--help",
	      f);
	for (unsigned i = 0; i < sim_run_nopts; i++)
		fprintf(f, " --%s", sim_run_opts[i].name);
	for (unsigned i = 0; i < sim_profile_nopts; i++)
		fprintf(f, " --%s", sim_profile_opts[i].name);
	fputs("' -- \"$cur\"))\n\telse\n\t\tCOMPREPLY=($(compgen -f -- \"$cur\"))\n\tfi\n}\n"
	      "complete -F _squall_sim squall-sim\n",
	      f);
}
