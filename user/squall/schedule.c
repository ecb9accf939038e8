// SPDX-License-Identifier: GPL-2.0-only
/* squall schedule: timelines of rules. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <squall/units.h>
#include "squall/cli.h"
#include "squall/help/suggest.h"

static void list_row(struct table *t, const json_t *s)
{
	const json_t *step = json_object_get(s, "step");

	table_cell(t, false, "%s", json_string_value(json_object_get(s, "target")) ?: "");
	table_cell(t, false, "%s",
		   json_is_true(json_object_get(s, "running")) ? "running" : "stopped");
	if (json_is_integer(step))
		table_cell(t, true, "%lld", (long long)json_integer_value(step));
	else
		table_cell(t, true, "-");
	table_cell(t, true, "%zu", json_array_size(json_object_get(s, "steps")));
	table_cell(t, true, "%lld", (long long)json_integer_value(json_object_get(s, "round")));
}

int cmd_schedule_list(struct cli *cli, int argc, char **argv)
{
	static const char *const head[] = {"TARGET", "STATE", ">STEP", ">STEPS", ">ROUND", NULL};

	(void)argc, (void)argv;
	return api_list(cli, "/api/v1/schedules", "schedules", head, list_row);
}

static void print_steps(const json_t *schedule)
{
	const json_t *step, *rule, *profile, *current = json_object_get(schedule, "step");
	const char *text;
	char time[32];
	size_t i;

	json_array_foreach(json_object_get(schedule, "steps"), i, step)
	{
		rule = json_object_get(step, "rule");
		profile = json_object_get(step, "profile");
		text = json_string_value(json_object_get(rule, "text"));
		printf("%c at %-8s ",
		       json_is_integer(current) && (size_t)json_integer_value(current) == i ? '>'
											    : ' ',
		       sq_format_duration(
			       (uint64_t)json_integer_value(json_object_get(step, "at_ns")), time,
			       sizeof(time)));
		if (profile && !json_is_null(profile)) {
			printf("profile ");
			print_safe(stdout, json_string_value(profile) ?: "");
		} else if (!rule || json_is_null(rule)) {
			printf("none");
		} else {
			print_safe(stdout, text ?: "(see squall -p schedule show)");
		}
		putchar('\n');
	}
	printf("  length %s", sq_format_duration((uint64_t)json_integer_value(
							 json_object_get(schedule, "length_ns")),
						 time, sizeof(time)));
	printf(", repeat %lld, %s\n",
	       (long long)json_integer_value(json_object_get(schedule, "repeat")),
	       json_is_true(json_object_get(schedule, "running")) ? "running" : "stopped");
}

static int show(struct cli *cli, const json_t *schedule)
{
	if (cli->json) {
		print_json(cli, schedule);
		return 0;
	}
	print_safe(stdout, json_string_value(json_object_get(schedule, "target")) ?: "");
	putchar('\n');
	print_steps(schedule);
	return 0;
}

int cmd_schedule_show(struct cli *cli, int argc, char **argv)
{
	json_t *answer = NULL;
	int r;

	(void)argc;
	r = api_target(cli, "GET", "/api/v1/schedules/", argv[0], "", NULL, &answer);
	if (!r)
		r = show(cli, answer);
	json_decref(answer);
	return r;
}

/* "lenght" in a step is a word of the rule to the parser. */
static void suggest_boundary(int n, char **w, struct sq_error *err)
{
	size_t end = strlen(err->text);
	struct suggestion s = {0};
	char quoted[72];
	int i;

	for (i = 0; i < n && !s.best && !strstr(err->text, "did you mean"); i++) {
		snprintf(quoted, sizeof(quoted), "\"%.64s\"", w[i]);
		s.word = w[i];
		if (strlen(w[i]) > 3 && strstr(err->text, quoted)) {
			suggest_from(&s, "length");
			suggest_from(&s, "repeat");
		}
	}
	if (s.best)
		snprintf(err->text + end, sizeof(err->text) - end, "; did you mean \"%s\"?",
			 s.best);
}

/* One step's words, up to the next "at", "length" or "repeat". */
static int step_of_words(const struct cli *cli, uint64_t at_ns, int n, char **w, json_t *steps)
{
	json_t *step = json_pack("{s:I}", "at_ns", (json_int_t)at_ns), *rule = NULL;
	struct sq_error err;
	struct sq_rule r;
	int e;

	if (n == 1 && !strcmp(w[0], "none")) {
		rule = json_null();
	} else if (n == 2 && !strcmp(w[0], "profile")) {
		json_object_set_new(step, "profile", json_string(w[1]));
	} else {
		e = sq_rule_from_words(n, (const char *const *)w, &r, &err);
		if (e) {
			json_decref(step);
			suggest_rule(n, w, &err);
			suggest_boundary(n, w, &err);
			return complain_text(cli, e == -ENOMEM ? EXIT_FAILED : EXIT_USAGE,
					     "steps[%zu].%s", json_array_size(steps), err.text);
		}
		rule = sq_rule_to_json(&r, 0);
	}
	if (rule)
		json_object_set_new(step, "rule", rule);
	if (json_array_append_new(steps, step))
		return complain_text(cli, EXIT_FAILED, "out of memory");
	return 0;
}

static bool is_boundary(const char *w)
{
	return !strcmp(w, "at") || !strcmp(w, "length") || !strcmp(w, "repeat");
}

static int time_word(const struct cli *cli, const char *field, const char *w, uint64_t *ret)
{
	/* "0" needs no unit. */
	if (w && (!sq_parse_duration(w, ret) || (!strcmp(w, "0") && !sq_parse_time(w, ret))))
		return 0;
	if (!w)
		return complain_text(cli, EXIT_USAGE,
				     "%s: a value is missing: a time with its "
				     "unit, as in 20s",
				     field);
	return complain_text(cli, EXIT_USAGE,
			     "%s: \"%.32s\" is not accepted: a time with its "
			     "unit, as in 20s",
			     field, w);
}

static int schedule_of_words(const struct cli *cli, int n, char **w, json_t *body)
{
	json_t *steps = json_object_get(body, "steps");
	uint64_t v = 0;
	char *end;
	int i = 0, first, r;

	while (i < n) {
		const char *word = w[i++];

		if (!strcmp(word, "at")) {
			r = time_word(cli, word, w[i], &v);
			if (r)
				return r;
			for (first = ++i; i < n && !is_boundary(w[i]); i++)
				;
			r = step_of_words(cli, v, i - first, w + first, steps);
			if (r)
				return r;
		} else if (!strcmp(word, "length")) {
			r = time_word(cli, word, w[i++], &v);
			if (r)
				return r;
			json_object_set_new(body, "length_ns", json_integer((json_int_t)v));
		} else if (!strcmp(word, "repeat")) {
			v = w[i] ? strtoul(w[i], &end, 10) : 0;
			if (!w[i] || *w[i] < '0' || *w[i] > '9' || *end || v > 1000000)
				return complain_text(cli, EXIT_USAGE,
						     "repeat: \"%.32s\" is not "
						     "accepted: a number from 0 (for ever) to "
						     "1000000",
						     w[i] ? w[i] : "");
			i++;
			json_object_set_new(body, "repeat", json_integer((json_int_t)v));
		} else {
			return complain_text(cli, EXIT_USAGE,
					     "schedule: \"%.32s\" is not "
					     "accepted: at, length or repeat comes here, as in "
					     "\"at 0s loss 5%% length 20s\"",
					     word);
		}
	}
	if (!json_array_size(steps))
		return complain_text(cli, EXIT_USAGE,
				     "schedule: at least one step is needed, as in "
				     "\"at 0s loss 10%%\"");
	if (!json_object_get(body, "length_ns"))
		return complain_text(cli, EXIT_USAGE,
				     "schedule: length is missing, as in "
				     "\"length 60s\"");
	return 0;
}

static int schedule_of_file(const struct cli *cli, const char *path, json_t **ret)
{
	json_error_t err;

	*ret = strcmp(path, "-") ? json_load_file(path, JSON_REJECT_DUPLICATES, &err)
				 : json_loadf(stdin, JSON_REJECT_DUPLICATES, &err);
	if (*ret)
		return 0;
	if (err.line < 0)
		return complain_text(cli, EXIT_FAILED, "%s", err.text);
	return complain_text(cli, EXIT_USAGE, "%s: line %d: %s", path, err.line, err.text);
}

int cmd_schedule_set(struct cli *cli, int argc, char **argv)
{
	json_t *body, *answer = NULL;
	char what[96];
	size_t n;
	int r;

	if (!strcmp(argv[1], "file")) {
		if (argc != 3)
			return complain_text(cli, EXIT_USAGE,
					     "usage: squall schedule set TARGET "
					     "file FILE");
		r = schedule_of_file(cli, argv[2], &body);
		if (r)
			return r;
	} else {
		body = json_pack("{s:[]}", "steps");
		r = schedule_of_words(cli, argc - 1, argv + 1, body);
	}
	if (!r)
		r = api_target(cli, "PUT", "/api/v1/schedules/", argv[0], "", body, &answer);
	json_decref(body);
	n = json_array_size(json_object_get(answer, "steps"));
	if (!r)
		snprintf(what, sizeof(what),
			 "schedule saved, %zu step%s; \"squall schedule start\" begins it", n,
			 n == 1 ? "" : "s");
	return done(cli, r, answer, argv[0], what);
}

int cmd_schedule_del(struct cli *cli, int argc, char **argv)
{
	int r = api_target(cli, "DELETE", "/api/v1/schedules/", argv[0], "", NULL, NULL);

	(void)argc;
	return done(cli, r, NULL, argv[0], "schedule deleted");
}

static int run(struct cli *cli, const char *target, const char *suffix, const char *what)
{
	json_t *answer = NULL;
	int r = api_target(cli, "POST", "/api/v1/schedules/", target, suffix, NULL, &answer);

	return done(cli, r, answer, target, what);
}

int cmd_schedule_start(struct cli *cli, int argc, char **argv)
{
	(void)argc;
	return run(cli, argv[0], "/start", "schedule started");
}

int cmd_schedule_stop(struct cli *cli, int argc, char **argv)
{
	(void)argc;
	return run(cli, argv[0], "/stop", "schedule stopped, its rule is gone");
}
