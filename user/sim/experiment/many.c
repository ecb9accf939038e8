// SPDX-License-Identifier: GPL-2.0-only
/*
 * One run or many: --repeat judges the median, --hunt looks for the mildest value
 * that breaks a threshold, --compare holds the result against an older one.
 */
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include "sim/experiment/announce.h"
#include "sim/experiment/file/node.h"
#include "sim/experiment/go.h"
#include "sim/experiment/hunt.h"
#include "sim/experiment/judge.h"
#include "sim/experiment/live.h"
#include "sim/outcome/outcome.h"
#include "sim/sim.h"

#define MAX_REPEATS 1000

/* "never" lies above every number. */
static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	if (isnan(x) || isnan(y))
		return isnan(x) - isnan(y);
	return x < y ? -1 : x > y;
}

static void say(const struct exp_threshold *t, double v, char *buf, size_t cap)
{
	if (isnan(v))
		snprintf(buf, cap, "never");
	else if (isinf(v))
		snprintf(buf, cap, "nothing to judge it by");
	else if (t->unit == EXP_TIME && v >= 1000)
		snprintf(buf, cap, "%.2f s", v / 1000);
	else
		snprintf(buf, cap, "%.4g%s", v,
			 t->unit == EXP_TIME   ? " ms"
			 : t->percent	       ? " %"
			 : t->unit == EXP_RATE ? "/s"
					       : "");
}

/*
 * Threshold i over all runs: the median is judged, of an even number the worse of the two in the
 * middle; the spread is told. A run that had nothing to judge it by is worse than any figure.
 */
static bool merge_one(const struct exp_threshold *t, json_t *const *doc, unsigned n, unsigned i,
		      json_t *ret)
{
	bool upwards = *t->op == '>';
	double v[MAX_REPEATS], median;
	json_t *values = json_array();
	char mid[40], least[40], most[40], said[160];
	unsigned held = 0;
	bool ok;

	for (unsigned k = 0; k < n; k++) {
		json_t *o = json_array_get(json_object_get(doc[k], "thresholds"), i);
		json_t *value = json_object_get(o, "value");

		v[k] = json_is_number(value)		  ? json_number_value(value)
		       : outcome_number(o, "samples") > 0 ? NAN
		       : upwards			  ? -INFINITY
							  : INFINITY;
		held += !strcmp(outcome_text(o, "verdict"), "ok");
		json_array_append(values, value);
	}
	qsort(v, n, sizeof(*v), by_value);
	median = v[upwards ? (n - 1) / 2 : n / 2];
	ok = !isinf(median) && exp_compare(median, t->op, t->value);
	say(t, median, mid, sizeof(mid));
	say(t, v[0], least, sizeof(least));
	say(t, v[n - 1], most, sizeof(most));
	snprintf(said, sizeof(said), "median %s, %s to %s, held in %u of %u runs", mid, least, most,
		 held, n);
	json_object_set_new(ret, "values", values);
	json_object_set_new(ret, "value", isfinite(median) ? json_real(median) : json_null());
	json_object_set_new(ret, "said", json_string(said));
	json_object_set_new(ret, "held", json_integer(held));
	json_object_set_new(ret, "verdict", json_string(ok ? "ok" : "crossed"));
	return ok;
}

static int merge(const struct experiment *x, json_t *const *doc, unsigned n, json_t *ret)
{
	json_t *runs = json_array();
	unsigned cut = 0;
	bool ok;

	for (unsigned k = 0; k < n; k++) {
		/* Its thresholds with abort: ended it, whatever they came to afterwards. */
		cut += outcome_number(doc[k], "exit") == SIM_EXIT_THRESHOLD &&
		       *outcome_text(doc[k], "why");
		json_array_append_new(runs, json_pack("{s:O,s:O,s:O}", "seed",
						      json_object_get(doc[k], "seed"), "exit",
						      json_object_get(doc[k], "exit"), "duration_s",
						      json_object_get(doc[k], "duration_s")));
	}
	ok = cut * 2 < n;
	for (unsigned i = 0; i < x->nthresholds; i++)
		ok &= merge_one(&x->threshold[i], doc, n, i,
				json_array_get(json_object_get(ret, "thresholds"), i));
	json_object_set_new(ret, "repeats", runs);
	json_object_set_new(ret, "verdict", json_string(ok ? "passed" : "failed"));
	json_object_set_new(ret, "exit", json_integer(ok ? SIM_EXIT_OK : SIM_EXIT_THRESHOLD));
	return ok ? SIM_EXIT_OK : SIM_EXIT_THRESHOLD;
}

/* The last run's report, with the thresholds of all. One that gave no verdict ends it. */
static int repeat(struct experiment *x, const struct exp_cmd *c, int sigfd, json_t **ret_doc,
		  struct sq_error *err)
{
	FILE *f = c->quiet || c->progress ? NULL : c->json || c->progress ? stderr : stdout;
	json_t *doc[MAX_REPEATS] = {NULL};
	uint32_t seed = x->seed;
	unsigned n = 0;
	int rc = 0;

	for (; n < c->repeat; n++) {
		x->seed = seed + n;
		if (f)
			fprintf(f, "run %u of %u, seed %u\n", n + 1, c->repeat, x->seed);
		rc = exp_once(x, c, sigfd, &doc[n], err);
		if (rc && rc != SIM_EXIT_THRESHOLD)
			break;
	}
	if (n == c->repeat) {
		*ret_doc = json_incref(doc[n - 1]);
		rc = merge(x, doc, n, *ret_doc);
	} else {
		*ret_doc = json_incref(doc[n]);
	}
	for (unsigned i = 0; i < c->repeat; i++)
		json_decref(doc[i]);
	return rc;
}

static struct outcome_files files_of(const struct experiment *x)
{
	const struct exp_outputs *o = &x->out;

	return (struct outcome_files){.html = o->html,
				      .junit = o->junit,
				      .json = o->json,
				      .grafana = o->grafana,
				      .grafana_token_file = o->grafana_token_file,
				      .read = {x->path, x->fleet_file}};
}

/* Before anything is broken: after an hour's run it would be late. */
static int check_outputs(const struct experiment *x, struct sq_error *err)
{
	struct outcome_files files = files_of(x);
	struct sq_error why = {0};

	if (!outcome_check(&files, &why))
		return 0;
	return x->out.mark.line ? exp_bad_at(x, x->out.mark, err, "outputs: %.350s", why.text)
				: sq_bad(err, "%.350s", why.text);
}

static int write_all(const struct experiment *x, const struct exp_cmd *c, json_t *doc,
		     const json_t *old, struct sq_error *err)
{
	struct outcome_files files = files_of(x);
	FILE *f = c->json || c->progress ? stderr : stdout;
	int rc;

	if (old)
		outcome_compare(old, doc);
	rc = outcome_write(doc, &files, err);
	exp_announce_report(x, c, doc);
	if (c->json) {
		json_dumpf(doc, stdout, JSON_COMPACT | JSON_REAL_PRECISION(12));
		fputc('\n', stdout);
		if (!rc && (fflush(stdout) || ferror(stdout)))
			rc = sq_error_set(err, -EIO, NULL,
					  "json: the standard output takes no more");
	}
	exp_live_verdict(f, doc);
	return rc;
}

static json_t *read_old(const struct exp_cmd *c, struct sq_error *err)
{
	json_error_t why;
	json_t *o = json_load_file(c->compare, 0, &why);

	if (!o)
		sq_bad(err, "compare '%.150s': %.200s", c->compare, why.text);
	else if (json_integer_value(json_object_get(o, "format")) != 1)
		sq_bad(err, "compare '%.150s': not a report of an experiment (format 1)",
		       c->compare);
	else
		return o;
	json_decref(o);
	return NULL;
}

int exp_go(struct experiment *x, const struct exp_cmd *c, struct sq_error *err)
{
	json_t *doc = NULL, *old = NULL;
	struct exp_hunt hunt;
	sigset_t set;
	int rc = 0, sigfd;

	/* Before any thread and any process, so that all inherit it. */
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	sigfd = signalfd(-1, &set, SFD_CLOEXEC);
	if (*c->compare) {
		old = read_old(c, err);
		rc = old ? 0 : -EINVAL;
	}
	if (!rc && *c->hunt)
		rc = exp_hunt_parse(x, c->hunt, &hunt, err);
	if (!rc)
		rc = check_outputs(x, err);
	if (!rc)
		rc = exp_prepare(x, err);
	if (!rc && c->check)
		printf("ok: %s: %u devices, %u faults, %u probes, %u thresholds\n", x->name,
		       x->most, x->nfaults, x->nprobes, x->nthresholds);
	else if (!rc && *c->hunt)
		rc = exp_hunt(x, c, &hunt, sigfd, &doc, err);
	else if (!rc && c->repeat > 1)
		rc = repeat(x, c, sigfd, &doc, err);
	else if (!rc)
		rc = exp_once(x, c, sigfd, &doc, err);
	if (doc && write_all(x, c, doc, old, err))
		rc = -EIO;
	json_decref(doc);
	json_decref(old);
	close(sigfd);
	return rc;
}
