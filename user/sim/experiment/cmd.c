// SPDX-License-Identifier: GPL-2.0-only
/* squall-sim experiment: the command line. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "sim/experiment/announce.h"
#include "sim/experiment/cmd.h"
#include "sim/experiment/go.h"
#include "sim/experiment/file/node.h"
#include "sim/fleet/tls.h"
#include "sim/sim.h"

#define AT(f)	offsetof(struct exp_cmd, f)
#define STR(f)	OPT_STR, AT(f), sizeof(((struct exp_cmd *)0)->f), 0, 0, NULL, NULL, 0, 0
#define FLAG(f) OPT_FLAG, AT(f), 1, 0, 0, NULL, NULL, 0, 0

const struct opt sim_experiment_opts[] = {
	{"check", NULL, NULL,
	 "check everything, also that targets and squalld are there; start nothing", FLAG(check),
	 NULL},
	{"dry-run", NULL, NULL, "print the timeline; ask nobody", FLAG(dry_run), NULL},
	{"json", NULL, NULL, "the report as JSON on the standard output", OPT_FLAG, AT(json), 1, 0,
	 0, NULL, NULL, 'j', 0, NULL},
	{"quiet", NULL, NULL, "only the verdict", FLAG(quiet), NULL},
	{"progress", NULL, NULL,
	 "JSON lines on the standard output: each second what squalld is told, then the report",
	 FLAG(progress), NULL},
	{"html", "FILE", NULL, "write the report as one HTML file; over outputs: html", STR(html),
	 NULL},
	{"junit", "FILE", NULL, "write JUnit XML, a case per threshold", STR(junit), NULL},
	{"json-file", "FILE", NULL, "write the report as JSON", STR(json_file), NULL},
	{"metrics", "ADDR:PORT", NULL,
	 "serve Prometheus metrics while it runs, with the phase and the fault", STR(metrics),
	 NULL},
	{"repeat", "N", NULL, "so many runs; the median of each threshold is judged", OPT_U32,
	 AT(repeat), 4, 1, 1000, NULL, NULL, 0, 0, NULL},
	{"compare", "REPORT", NULL, "against an older JSON report: better, worse, within noise",
	 STR(compare), NULL},
	{"hunt", "WHAT", NULL,
	 "the mildest value that breaks a threshold: 'loss.rule.loss 0%..50%'", STR(hunt), NULL},
	{"seed", "N", NULL, "over the file's seed", OPT_U32, AT(seed), 4, 0, UINT32_MAX, NULL, NULL,
	 0, 0, NULL},
	{.name = NULL},
};

/* As a shell takes it. */
static void quoted(FILE *f, const char *word)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				    "-_=+,./:@%";

	if (*word && !word[strspn(word, plain)]) {
		fprintf(f, " %s", word);
		return;
	}
	fputs(" '", f);
	for (; *word; word++)
		fputs(*word == '\'' ? "'\\''" : (char[]){*word, 0}, f);
	fputc('\'', f);
}

static int parse(struct cli *cli, int argc, char **argv, struct exp_cmd *c, struct sq_error *err)
{
	FILE *f = fmemopen(c->command, sizeof(c->command), "w");
	int rc;

	if (!f)
		return sq_bad(err, "out of memory");
	fputs("squall-sim experiment", f);
	for (int i = 0; i < argc; i++)
		quoted(f, argv[i]);
	if (fclose(f))
		return sq_bad(err, "the command line is longer than %zu bytes",
			      sizeof(c->command) - 1);
	rc = sim_cli_take(cli, c, NULL, argc, argv, err);
	if (rc)
		return rc;
	if (c->json && c->progress)
		return sq_bad(err, "progress: not accepted together with --json");
	if (strlen(argv[0]) >= sizeof(c->file))
		return sq_bad(err, "'%.100s': longer than %zu bytes", argv[0], sizeof(c->file) - 1);
	snprintf(c->file, sizeof(c->file), "%s", argv[0]);
	return 0;
}

static void over(struct experiment *x, const struct exp_cmd *c)
{
	if (*c->html)
		memcpy(x->out.html, c->html, sizeof(c->html));
	if (*c->junit)
		memcpy(x->out.junit, c->junit, sizeof(c->junit));
	if (*c->json_file)
		memcpy(x->out.json, c->json_file, sizeof(c->json_file));
	memcpy(x->run.metrics, c->metrics, sizeof(c->metrics));
	if (c->seed)
		x->seed = c->seed;
}

int sim_experiment_main(struct cli *cli, int argc, char **argv)
{
	struct exp_cmd *c = calloc(1, sizeof(*c));
	struct experiment *x = NULL;
	struct sq_error err = {0};
	int rc, code;

	if (!c) {
		fputs("squall-sim: out of memory\n", stderr);
		return SIM_EXIT_FAIL;
	}
	rc = parse(cli, argc, argv, c, &err);
	if (rc > 0) {
		free(c);
		return SIM_EXIT_OK;
	}
	if (!rc)
		rc = exp_load(c->file, &x, &err);
	if (!rc) {
		over(x, c);
		exp_announce_id(x, c->id, sizeof(c->id));
	}
	if (!rc && c->dry_run && c->json) {
		json_t *o = exp_timeline_json(x);

		json_dumpf(o, stdout, JSON_COMPACT | JSON_REAL_PRECISION(12));
		puts("");
		json_decref(o);
	} else if (!rc && c->dry_run) {
		exp_show_timeline(x, stdout);
	} else if (!rc) {
		rc = exp_go(x, c, &err);
	}
	code = rc;
	if (rc < 0) {
		fprintf(stderr, "squall-sim: %s\n", err.text);
		code = rc == -EINVAL ? SIM_EXIT_USAGE : SIM_EXIT_FAIL;
	}
	sim_tls_check_free();
	exp_free(x);
	free(c);
	return code;
}
