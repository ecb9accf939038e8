// SPDX-License-Identifier: GPL-2.0-only
/*
 * squall-sim locustfile: the locustfile.py for the master. It declares one User
 * class per device type of the fleet, so that Locust knows names and weights,
 * and the options that the workers read; the master itself makes no load.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "sim/engine/engine.h"
#include "sim/locust/proto.h"
#include "sim/locust/settings.h"
#include "sim/run/locust.h"
#include "sim/sim.h"

/* A Python string literal; the text may hold quotes, newlines and any UTF-8. */
static void put_literal(FILE *f, const char *s)
{
	fputc('"', f);
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			fprintf(f, "\\%c", *s);
		else if ((unsigned char)*s < 0x20)
			fprintf(f, "\\x%02x", (unsigned char)*s);
		else
			fputc(*s, f);
	}
	fputc('"', f);
}

int locust_check_names(const struct sim_fleet *fleet, struct sq_error *err)
{
	char a[LOCUST_NAME_MAX], b[LOCUST_NAME_MAX];
	unsigned int i, j;

	for (i = 0; i < fleet->ntypes; i++) {
		if (locust_class_name(fleet->type[i].name, a, sizeof(a)))
			return sq_bad(err, "device type '%s' makes no class name",
				      fleet->type[i].name);
		for (j = 0; j < i; j++) {
			locust_class_name(fleet->type[j].name, b, sizeof(b));
			if (strcmp(a, b))
				continue;
			return sq_bad(err,
				      "device types '%s' and '%s' would both be Locust's class %s: "
				      "rename one",
				      fleet->type[j].name, fleet->type[i].name, a);
		}
	}
	return 0;
}

/* A part of its own, in Python, which is what it is. */
__asm__(".pushsection .rodata\n"
	"locust_faults_py:\n"
	".incbin \"user/sim/run/locust_faults.py\"\n"
	"locust_faults_py_end:\n"
	".byte 0\n"
	".popsection\n");
extern const char locust_faults_py[], locust_faults_py_end[];

static void write_locustfile(FILE *f, const struct sim_fleet *fleet, const char *path, bool faults)
{
	char name[LOCUST_NAME_MAX];
	unsigned int i;

	fputs("# For the Locust master. Written by squall-sim locustfile --fleet ", f);
	for (; *path; path++)
		fputc((unsigned char)*path < 0x20 ? '?' : *path, f);
	fputs("\n# The load comes from squall-sim worker, with the same fleet file.\n"
	      "from locust import User, events, task\n\n\n"
	      "@events.init_command_line_parser.add_listener\n"
	      "def options(parser):\n"
	      "    # Empty means: as the fleet file says. Shown in the web form too.\n",
	      f);
	for (i = 0; i < n_locust_settings; i++) {
		const char *opt = locust_settings[i].option, *c;

		fputs("    parser.add_argument(\"--", f);
		for (c = opt; *c; c++)
			fputc(*c == '_' ? '-' : *c, f);
		fputs("\", type=str, default=\"\", help=", f);
		put_literal(f, locust_settings[i].help);
		fputs(")\n", f);
	}
	for (i = 0; i < fleet->ntypes; i++) {
		const struct sim_profile *p = &fleet->type[i];

		locust_class_name(p->name, name, sizeof(name));
		fprintf(f, "\n\nclass %s(User):\n    host = ", name);
		put_literal(f, p->broker);
		fprintf(f,
			"\n    weight = %u\n\n"
			"    @task\n    def runs_in_squall_sim(self):\n        pass\n",
			p->weight);
	}
	if (faults)
		fwrite(locust_faults_py, 1, (size_t)(locust_faults_py_end - locust_faults_py), f);
}

struct settings {
	const char *fleet, *output;
	bool faults;
};

const struct opt locust_file_opts[] = {
	{.name = "fleet",
	 .letter = 'f',
	 .arg = "FILE",
	 .help = "the fleet (required)",
	 .kind = OPT_TEXT,
	 .at = offsetof(struct settings, fleet),
	 .min = 1},
	{.name = "output",
	 .letter = 'o',
	 .arg = "FILE",
	 .help = "where to",
	 .kind = OPT_TEXT,
	 .at = offsetof(struct settings, output),
	 .min = 1,
	 .def = "standard output"},
	{.name = "faults",
	 .help = "with a page for faults on the workers' hosts, /squall of the master; they act "
		 "where "
		 "workers were started with --faults",
	 .kind = OPT_FLAG,
	 .at = offsetof(struct settings, faults)},
	{.name = NULL},
};

int locust_file_main(struct cli *cli, int argc, char **argv)
{
	struct settings s = {0};
	struct sim_profile *base;
	struct sim_fleet fleet = {0};
	struct sq_error err = {.text = "out of memory"};
	FILE *f = stdout;
	bool failed;
	int r;

	r = sim_cli_take(cli, &s, NULL, argc, argv, &err);
	if (!r && !s.fleet)
		r = sq_bad(&err, "--fleet FILE is required; see --help");
	if (r < 0)
		fprintf(stderr, "squall-sim locustfile: %s\n", err.text);
	if (r)
		return r > 0 ? SIM_EXIT_OK : SIM_EXIT_USAGE;
	base = malloc(sizeof(*base));
	if (!base)
		return SIM_EXIT_FAIL;
	sim_profile_init(base);
	r = sim_fleet_load(s.fleet, sim_run_keys(cli), base, &fleet, &err);
	free(base);
	if (!r)
		r = locust_check_names(&fleet, &err);
	if (r) {
		fprintf(stderr, "squall-sim locustfile: %s\n", err.text);
		sim_fleet_free(&fleet);
		return SIM_EXIT_USAGE;
	}
	if (s.output)
		f = fopen(s.output, "we");
	if (f)
		write_locustfile(f, &fleet, s.fleet, s.faults);
	failed = !f || ferror(f) || fflush(f);
	if (s.output && f && fclose(f))
		failed = true;
	if (failed) {
		fprintf(stderr, "squall-sim locustfile: --output %s: %s\n",
			s.output ? s.output : "-", strerror(errno));
		r = -EIO;
	}
	sim_fleet_free(&fleet);
	return r ? SIM_EXIT_FAIL : SIM_EXIT_OK;
}
