// SPDX-License-Identifier: GPL-2.0-only
/* An experiment's file, its timeline, and the forms of a report, without any network. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "sim/experiment/file/node.h"
#include "sim/experiment/judge.h"
#include "sim/outcome/outcome.h"

static int load_text(const char *text, struct experiment **ret, struct sq_error *err)
{
	char path[] = "/tmp/squall-unit-XXXXXX";
	int fd = mkstemp(path), rc;

	assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
	rc = exp_load(path, ret, err);
	unlink(path);
	return rc;
}

#define HEAD                                                                                       \
	"name: t\nfleet: {broker: 'mqtt://127.0.0.1', qos: 1}\n"                                   \
	"load: {stages: [{duration: 2s, target: 10}, {duration: 1s, target: 20}]}\n"

static void timeline(void **state)
{
	struct experiment *x;
	struct sq_error err;
	uint32_t faults;

	(void)state;
	assert_int_equal(
		load_text(HEAD
			  "before: 2s\nafter: 3s\nfaults:\n"
			  "- {name: a, at: 6s, for: 4s, target: 'cgroup:/a', rule: up loss 1%}\n"
			  "- {name: b, at: 8s, for: 4s, target: 'cgroup:/b', rule: up loss 1%}\n"
			  "- {name: c, at: 14s, for: 1s, target: 'cgroup:/a', rule: up loss 1%}\n"
			  "thresholds: {errors: '<1%', 'puback.p99.9{phase:between}': '<1.5s'}\n",
			  &x, &err),
		0);
	assert_int_equal(x->total_ns, 18 * EXP_NS);
	assert_int_equal(exp_phase_at(x, 0, &faults), EXP_RAMP);
	assert_int_equal(exp_phase_at(x, 4 * EXP_NS, &faults), EXP_BEFORE);
	assert_int_equal(exp_phase_at(x, 6 * EXP_NS - 1, &faults), EXP_BEFORE);
	assert_int_equal(exp_phase_at(x, 6 * EXP_NS, &faults), EXP_FAULT);
	assert_int_equal(faults, 1);
	assert_int_equal(exp_phase_at(x, 9 * EXP_NS, &faults), EXP_FAULT);
	assert_int_equal(faults, 3);
	assert_int_equal(exp_phase_at(x, 12 * EXP_NS, &faults), EXP_BETWEEN);
	assert_int_equal(exp_phase_at(x, 15 * EXP_NS, &faults), EXP_AFTER);
	assert_int_equal(exp_next_edge(x, 8 * EXP_NS), 10 * EXP_NS);
	assert_int_equal(exp_load_at(x, EXP_NS), 5);
	assert_int_equal(exp_load_at(x, 5 * EXP_NS / 2), 15);
	assert_int_equal(exp_load_at(x, 9 * EXP_NS), 20);
	assert_int_equal(x->threshold[1].part, EXP_BETWEEN);
	assert_true(x->threshold[1].quantile > 0.998 && x->threshold[1].value == 1500);
	assert_true(x->threshold[0].percent);
	exp_free(x);
}

static void refused(void **state)
{
	struct experiment *x;
	struct sq_error err;

	(void)state;
	assert_int_equal(load_text("", &x, &err), -EINVAL);
	assert_int_equal(load_text("[]", &x, &err), -EINVAL);
	assert_int_equal(load_text("a: &a [*a]\n", &x, &err), -EINVAL);
	assert_int_equal(load_text(HEAD "thresholds: {errrs: '<1%'}\n", &x, &err), -EINVAL);
	assert_non_null(strstr(err.text, ":4:14: "));
	assert_non_null(strstr(err.text, "did you mean 'errors'"));
	/* A fault that ends when the next begins leaves no time to put a rule back. */
	assert_int_equal(load_text(HEAD
				   "faults:\n"
				   "- {name: a, at: 6s, for: 2s, target: x, rule: up loss 1%}\n"
				   "- {name: b, at: 8s, for: 2s, target: x, rule: up loss 1%}\n"
				   "thresholds: {errors: '<1%'}\n",
				   &x, &err),
			 -EINVAL);
	assert_non_null(strstr(err.text, ":6:3: "));
}

static void never_is_long(void **state)
{
	(void)state;
	assert_false(exp_compare(NAN, "<", 1e9));
	assert_true(exp_compare(NAN, ">", 1e9));
	assert_false(exp_compare(NAN, "==", 1));
	assert_true(exp_compare(2, "<=", 2));
}

static json_t *report(double value)
{
	json_t *doc = json_pack("{s:s,s:s,s:i,s:f,s:I,s:[{s:s,s:s,s:s,s:s,s:f,s:s}]}", "name",
				"a <b> & \"c\"", "verdict", "failed", "exit", 99, "duration_s",
				600.0, "started_ms", (json_int_t)1700000000000, "thresholds",
				"metric", "p95", "limit", "<1s", "verdict", "crossed", "said",
				"2 s \x01", "value", value, "unit", "ms");
	json_t *seconds = json_array();

	for (int i = 0; i < 600; i++)
		json_array_append_new(seconds,
				      json_pack("{s:f,s:f,s:i,s:i,s:i,s:i,s:f,s:f,s:f}", "t_s",
						(double)i, "for_s", 1.0, "connected", 1000 + i,
						"target", 2000, "acked", 12345 + i, "failed", i,
						"p50", i / 7.0, "p95", i / 3.0, "p99", i / 1.0));
	json_object_set_new(doc, "seconds", seconds);
	return doc;
}

/* All that a report may hold: probes that flap all the time, faults, failures, words of markup. */
static json_t *full_report(void)
{
	json_t *doc = report(2000), *probes = json_array(), *faults = json_array();
	json_t *figures = json_object(), *failures = json_array();
	static const char *const parts[] = {"ramp",  "before",	"fault", "between",
					    "after", "fault:a", "run"};

	for (int i = 0; i < 16; i++) {
		json_t *answers = json_array();

		for (int k = 0; k < 3000; k++)
			json_array_append_new(answers,
					      json_pack("[f,b,n]", k / 5.0, (k / 2 + i) % 2));
		json_array_append_new(probes,
				      json_pack("{s:s,s:o}", "name", "<p>&", "answers", answers));
	}
	for (int i = 0; i < 32; i++)
		json_array_append_new(
			faults, json_pack("{s:s,s:f,s:f,s:s,s:s,s:s,s:[{s:s,s:i,s:i,s:i}],s:s,s:s}",
					  "name", "<a>", "from_s", i * 18.0, "to_s", i * 18.0 + 9,
					  "target", "cgroup:/<fleet>", "rule", "up loss 5%",
					  "recovery_s", "never", "counters", "direction", "up",
					  "seen_pkts", 1000, "lost_pkts", 50, "delayed_pkts", 0,
					  "squalld", "http://<host>", "note", "\"gone\" & back"));
	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++)
		json_object_set_new(figures, parts[i],
				    json_pack("{s:f,s:i,s:{s:{s:f,s:f,s:i}},s:{s:{s:f}}}",
					      "seconds", 60.0, "acked", 123456, "requests",
					      "puback", "p50_ms", 1.5, "p95_ms", 12.25, "failures",
					      3, "probes", "<p>&", "up_pct", 50.0));
	for (int i = 0; i < 100; i++)
		json_array_append_new(failures,
				      json_pack("{s:s,s:s,s:s,s:s,s:i,s:{s:i,s:i}}", "type",
						"meter", "request", "puback", "kind", "no-puback",
						"text", "no PUBACK in time <&>", "count", 7,
						"by_phase", "fault:a", 6, "after", 1));
	json_object_set_new(doc, "probes", probes);
	json_object_set_new(doc, "faults", faults);
	json_object_set_new(doc, "figures", figures);
	json_object_set_new(doc, "failures", failures);
	json_object_set_new(doc, "again", json_string("squall-sim experiment <x>.yaml --seed 7"));
	json_object_set_new(doc, "description", json_string("A & B"));
	return doc;
}

static char *form(const json_t *doc, void (*make)(const json_t *, FILE *), size_t *ret_len)
{
	char *text;
	FILE *f = open_memstream(&text, ret_len);

	make(doc, f);
	fclose(f);
	return text;
}

/* For checkers that are no part of a unit test: tests/sim, tests/browser. */
static void keep(const char *name, const char *text)
{
	const char *dir = getenv("KEEP_REPORTS");
	char path[512];
	FILE *f;

	if (!dir)
		return;
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "we");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

/* Ten minutes are a page of at most 400 KiB; what a name holds is text in each form. */
static void forms(void **state)
{
	json_t *doc = full_report();
	size_t len;
	char *s = form(doc, outcome_html, &len);

	(void)state;
	assert_in_range(len, 10000, 400 * 1024);
	keep("full.html", s);
	assert_non_null(strstr(s, "<h1>a &lt;b&gt; &amp; &quot;c&quot;</h1>"));
	assert_null(strstr(s, "<b>"));
	assert_null(strstr(s, "<script"));
	assert_null(strchr(s, 1));
	free(s);
	s = form(doc, outcome_junit, &len);
	keep("full.xml", s);
	assert_non_null(strstr(s, "tests=\"1\" failures=\"1\""));
	assert_null(strchr(s, 1));
	free(s);
	json_decref(doc);
}

static const char *against(double was, double is)
{
	static char verdict[32];
	json_t *old = report(was), *doc = report(is);

	outcome_compare(old, doc);
	snprintf(verdict, sizeof(verdict), "%s",
		 outcome_text(json_array_get(json_object_get(doc, "compare"), 0), "verdict"));
	json_decref(old);
	json_decref(doc);
	return verdict;
}

static void compared(void **state)
{
	(void)state;
	assert_string_equal(against(1000, 1100), "within noise");
	assert_string_equal(against(1000, 1500), "worse");
	assert_string_equal(against(1000, 500), "better");
	assert_string_equal(against(1, 4), "within noise"); /* 5 ms is nothing */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(timeline),	 cmocka_unit_test(refused),
		cmocka_unit_test(never_is_long), cmocka_unit_test(forms),
		cmocka_unit_test(compared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
