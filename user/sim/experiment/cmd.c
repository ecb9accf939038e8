// SPDX-License-Identifier: GPL-2.0-only
/* squall-sim experiment: the command line. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "sim/experiment/cmd.h"
#include "sim/experiment/go.h"
#include "sim/experiment/file/node.h"
#include "sim/fleet/tls.h"
#include "sim/sim.h"

#define AT(f)	offsetof(struct exp_cmd, f)
#define STR(f)	SIM_OPT_STR, AT(f), sizeof(((struct exp_cmd *)0)->f), 0, 0, NULL, NULL
#define FLAG(f) SIM_OPT_FLAG, AT(f), 1, 0, 0, NULL, NULL

static const struct sim_opt opts[] = {
	{"check", NULL, "",
	 "check everything, also that targets and squalld are there; start nothing", FLAG(check),
	 NULL},
	{"dry-run", NULL, "", "print the timeline; ask nobody", FLAG(dry_run), NULL},
	{"json", NULL, "", "the report as JSON on the standard output (also -j)", FLAG(json), NULL},
	{"quiet", NULL, "", "only the verdict", FLAG(quiet), NULL},
	{"html", "FILE", "", "write the report as one HTML file; over outputs: html", STR(html),
	 NULL},
	{"junit", "FILE", "", "write JUnit XML, a case per threshold", STR(junit), NULL},
	{"json-file", "FILE", "", "write the report as JSON", STR(json_file), NULL},
	{"seed", "N", "", "over the file's seed", SIM_OPT_U32, AT(seed), 4, 0, UINT32_MAX, NULL,
	 NULL, NULL},
};
#define NOPTS (sizeof(opts) / sizeof(*opts))

static const char summary[] =
	"usage: squall-sim experiment FILE.yaml [OPTIONS]\n\n"
	"Runs a fleet, sets faults through squalld while it runs, probes your service, and\n"
	"judges thresholds, all from one file (docs/experiments.md):\n\n"
	"  name: tunnel\n"
	"  fleet: { broker: mqtt://localhost, qos: 1, interval: 200ms }\n"
	"  cgroup: /sys/fs/cgroup/fleet\n"
	"  load: { stages: [ {duration: 2s, target: 50}, {duration: 30s, target: 50} ] }\n"
	"  before: 5s\n"
	"  faults:\n"
	"    - { name: tunnel, at: 8s, for: 5s, target: \"cgroup:/fleet\", rule: \"both "
	"blackhole\" }\n"
	"  after: 15s\n"
	"  thresholds:\n"
	"    \"puback.p95{phase:before}\": \"<50ms\"\n"
	"    \"recovery{fault:tunnel}\": \"<10s\"\n\n";

static const char after[] =
	"\nExit status: 0 all thresholds held, 1 it could not be run or was interrupted, 2 the\n"
	"file or a target is bad (nothing was connected), 98 the steady state was not reached, so\n"
	"nothing was broken, 99 a threshold was crossed.\n\n"
	"Examples:\n"
	"  squall-sim experiment tunnel.yaml --dry-run\n"
	"  squall-sim experiment tunnel.yaml --html report.html --junit report.xml\n";

void sim_experiment_help(FILE *f)
{
	fputs(summary, f);
	for (unsigned i = 0; i < NOPTS; i++) {
		char left[40];

		snprintf(left, sizeof(left), "--%s%s%s", opts[i].name, opts[i].arg ? " " : "",
			 opts[i].arg ? opts[i].arg : "");
		fprintf(f, "  %-22s %s\n", left, opts[i].help);
	}
	fputs(after, f);
}

static const struct sim_opt *find(const char *arg, struct sim_err *err)
{
	const struct sim_opt *o;
	const char *near;
	char name[64];

	snprintf(name, sizeof(name), "%.*s", (int)strcspn(arg + 2, "="), arg + 2);
	o = strncmp(arg, "--", 2) ? NULL : sim_opt_find(opts, NOPTS, name);
	if (!strcmp(arg, "-j"))
		o = sim_opt_find(opts, NOPTS, "json");
	if (o)
		return o;
	near = strncmp(arg, "--", 2) ? NULL : exp_near(name, opts, NOPTS, sizeof(*opts));
	sim_bad(err, "option '%.60s' is unknown%s%s%s", arg,
		near ? "; did you mean --" : "; see squall-sim experiment --help", near ? near : "",
		near ? "?" : "");
	return NULL;
}

static int parse(int argc, char **argv, struct exp_cmd *c, struct sim_err *err)
{
	for (int i = 1; i < argc; i++) {
		const struct sim_opt *o;
		const char *value;
		int rc;

		snprintf(c->command + strlen(c->command), sizeof(c->command) - strlen(c->command),
			 " %s", argv[i]);
		if (*argv[i] != '-') {
			if (*c->file || strlen(argv[i]) >= sizeof(c->file))
				return sim_bad(err, "'%.100s': one FILE is accepted", argv[i]);
			snprintf(c->file, sizeof(c->file), "%s", argv[i]);
			continue;
		}
		o = find(argv[i], err);
		if (!o)
			return -EINVAL;
		value = strchr(argv[i], '=');
		value = value ? value + 1 : NULL;
		if (o->kind == SIM_OPT_FLAG && !value) {
			value = "true";
		} else if (!value) {
			if (++i >= argc)
				return sim_bad(err, "--%s: its %s is missing", o->name, o->arg);
			value = argv[i];
			snprintf(c->command + strlen(c->command),
				 sizeof(c->command) - strlen(c->command), " %s", value);
		}
		rc = sim_opt_set(o, c, value, err);
		if (rc)
			return rc;
	}
	if (!*c->file)
		return sim_bad(err, "FILE is missing; see squall-sim experiment --help");
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
	if (c->seed)
		x->seed = c->seed;
}

int sim_experiment_main(int argc, char **argv)
{
	struct exp_cmd *c = calloc(1, sizeof(*c));
	struct experiment *x = NULL;
	struct sim_err err = {""};
	int rc, code;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
			sim_experiment_help(stdout);
			free(c);
			return SIM_EXIT_OK;
		}
	}
	if (!c) {
		fputs("squall-sim: out of memory\n", stderr);
		return SIM_EXIT_FAIL;
	}
	snprintf(c->command, sizeof(c->command), "squall-sim experiment");
	rc = parse(argc, argv, c, &err);
	if (!rc)
		rc = exp_load(c->file, &x, &err);
	if (!rc)
		over(x, c);
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
