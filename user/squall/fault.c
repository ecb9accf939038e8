// SPDX-License-Identifier: GPL-2.0-only
/* squall fault: rules in, rules out. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <squall/units.h>
#include "squall/cli.h"
#include "squall/help/suggest.h"

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

static int understand(const struct cli *cli, int n, char **words, struct sq_rule *ret)
{
	struct sq_error err;
	const char *bare;
	int r;

	r = sq_rule_from_words(n, (const char *const *)words, ret, &err);
	if (r) {
		suggest_rule(n, words, &err);
		return complain(cli, r == -ENOMEM ? EXIT_FAILED : EXIT_USAGE, &err);
	}
	bare = bare_delay(n, words);
	if (bare && !(cli->given & OPT_QUIET))
		fprintf(stderr, "squall: delay %.32s is %.32sus, as in tc; did you mean %.32sms?\n",
			bare, bare, bare);
	return 0;
}

int rule_of_words(const struct cli *cli, int n, char **words, json_t **ret)
{
	struct sq_rule rule;
	int r = understand(cli, n, words, &rule);

	if (r)
		return r;
	*ret = sq_rule_to_json(&rule, now_ns());
	return *ret ? 0 : complain_text(cli, EXIT_FAILED, "out of memory");
}

int text_of_words(const struct cli *cli, int n, char **words, json_t **ret)
{
	char text[SQ_RULE_CANONICAL_MAX];
	struct sq_rule rule;
	int r = understand(cli, n, words, &rule);

	if (r)
		return r;
	*ret = sq_rule_to_text(&rule, text, sizeof(text)) < 0 ? NULL
							      : json_pack("{s:s}", "text", text);
	return *ret ? 0 : complain_text(cli, EXIT_FAILED, "out of memory");
}

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

static void print_one_line(const json_t *entry)
{
	const json_t *members = json_object_get(entry, "members");

	print_safe(stdout, text_of(entry, "target"));
	putchar(' ');
	print_safe(stdout, text_of(json_object_get(entry, "rule"), "text"));
	if (members)
		printf(", on %zu target%s", json_array_size(members),
		       json_array_size(members) == 1 ? "" : "s");
	putchar('\n');
}

/* Why it may act otherwise than expected: talk, so not on stdout. */
static void print_notes(const json_t *entry)
{
	const json_t *note;
	size_t i;

	json_array_foreach(json_object_get(entry, "notes"), i, note)
	{
		fputs("note: ", stderr);
		print_safe(stderr, json_string_value(note));
		fputc('\n', stderr);
	}
}

int in_force(struct cli *cli, int r, json_t *answer)
{
	if (!r && !(cli->given & OPT_QUIET)) {
		if (cli->json)
			print_json(cli, answer);
		else
			print_one_line(answer);
	}
	if (!r && !cli->json && !(cli->given & OPT_QUIET))
		print_notes(answer);
	json_decref(answer);
	return r;
}

int cmd_fault_set(struct cli *cli, int argc, char **argv)
{
	json_t *rule = NULL, *answer = NULL;
	struct sq_rule parsed;
	struct sq_error err;
	int r;

	/* A container may be called "loss": only where the words are no rule without it. */
	if (begins_rule(argv[0]) &&
	    sq_rule_from_words(argc - 1, (const char *const *)argv + 1, &parsed, &err))
		return complain_text(
			cli, EXIT_USAGE,
			"the target is missing before \"%.16s\", as in \"squall fault "
			"set my-app %.16s ...\"; \"squall target list\" shows what there is",
			argv[0], argv[0]);
	r = rule_of_words(cli, argc - 1, argv + 1, &rule);
	if (r)
		return r;
	r = api_target(cli, "PUT", "/api/v1/rules/", argv[0], "?notes=1", rule, &answer);
	json_decref(rule);
	if (r || !(cli->given & OPT_WAIT))
		return in_force(cli, r, answer);
	if (cli->json) {
		r = wait_and_tell(cli, argv[0], answer);
		return in_force(cli, r, answer);
	}
	in_force(cli, 0, json_incref(answer));
	fflush(stdout);
	r = wait_and_tell(cli, argv[0], answer);
	json_decref(answer);
	return r;
}

int cmd_fault_check(struct cli *cli, int argc, char **argv)
{
	json_t *rule = NULL;
	int r = rule_of_words(cli, argc, argv, &rule);

	if (r)
		return r;
	if (cli->json)
		print_json(cli, rule);
	else
		puts(text_of(rule, "text"));
	json_decref(rule);
	return 0;
}

/* "42.1s left", "9m59s left" */
static void print_left(const json_t *rule)
{
	const json_t *v = json_object_get(rule, "expires_in_ns");
	uint64_t tenths = (uint64_t)json_integer_value(v) / 100000000, s = tenths / 10;
	char text[32];

	if (!v)
		return;
	if (s >= 120)
		printf("%" PRIu64 "m%02us left, ", s / 60, (unsigned int)(s % 60));
	else
		printf("%s left, ", sq_format_time(tenths * 100000000, text, sizeof(text)));
}

/* Of a selector's rule: on whom it acts, and why not on others. */
static void print_members(const json_t *entry, const json_t *members)
{
	const json_t *one;
	size_t i;

	json_array_foreach(members, i, one)
	{
		fputs(i ? ", " : "    on ", stdout);
		print_safe(stdout, text_of(one, "target"));
	}
	if (i)
		putchar('\n');
	json_array_foreach(json_object_get(entry, "notes"), i, one)
	{
		fputs("    ", stdout);
		print_safe(stdout, json_string_value(one));
		putchar('\n');
	}
}

static void print_entry(const struct cli *cli, const json_t *entry)
{
	const json_t *rule = json_object_get(entry, "rule"),
		     *members = json_object_get(entry, "members");
	const char *drawn = text_of(rule, "drawn_seed");

	fputs(style(cli, "\x1b[1m"), stdout);
	print_safe(stdout, text_of(entry, "target"));
	fputs(style(cli, "\x1b[0m"), stdout);
	fputs("\n    ", stdout);
	print_safe(stdout, text_of(rule, "text"));
	fputs("\n    ", stdout);
	if (json_is_false(json_object_get(entry, "in_force")) && !members)
		printf("waits for the target to run, ");
	print_left(rule);
	printf("by %s, on-crash %s", text_of(entry, "source"), text_of(rule, "on_crash"));
	if (*text_of(entry, "by")) {
		fputs(", in force by ", stdout);
		print_safe(stdout, text_of(entry, "by"));
	}
	if (*drawn)
		printf(", seed %s (drawn)", drawn);
	putchar('\n');
	if (members)
		print_members(entry, members);
}

int cmd_fault_show(struct cli *cli, int argc, char **argv)
{
	json_t *answer = NULL, *entry;
	size_t i;
	int r;

	if (argc)
		r = api_target(cli, "GET", "/api/v1/rules/", argv[0], "", NULL, &answer);
	else
		r = api(cli, "GET", "/api/v1/rules", NULL, &answer);
	if (r)
		return r;
	if (cli->json) {
		print_json(cli, answer);
	} else if (argc) {
		print_entry(cli, answer);
	} else {
		json_array_foreach(json_object_get(answer, "rules"), i, entry)
			print_entry(cli, entry);
		print_notes(answer);
	}
	json_decref(answer);
	return 0;
}

static const char *cleared(const json_t *answer, char *buf, size_t size)
{
	static const struct {
		const char *key, *one, *many;
	} what[] = {
		{"deleted", "rule deleted", "rules deleted"},
		{"waiting", "of them waiting for its target", "of them waiting for their targets"},
		{"schedules", "schedule stopped", "schedules stopped"},
		{"labels", "container's labels ignored from now on",
		 "containers' labels ignored from now on"},
		{"experiments", "experiment asked to stop", "experiments asked to stop"},
	};
	size_t at = 0;

	for (size_t i = 0; i < sizeof(what) / sizeof(what[0]) && at < size; i++) {
		json_int_t n = json_integer_value(json_object_get(answer, what[i].key));

		if (n || !i)
			at += (size_t)snprintf(buf + at, size - at, "%s%" JSON_INTEGER_FORMAT " %s",
					       i ? ", " : "", n,
					       n == 1 ? what[i].one : what[i].many);
	}
	return buf;
}

/* Its next step brings a fault back. */
static void tell_schedule(struct cli *cli, const char *target)
{
	const json_t *s;
	json_t *answer = NULL;
	size_t i;

	if (api(cli, "GET", "/api/v1/schedules", NULL, &answer))
		return;
	json_array_foreach(json_object_get(answer, "schedules"), i,
			   s) if (json_is_true(json_object_get(s, "running")) &&
				  !strcmp(text_of(s, "target"), target))
		fprintf(stderr,
			"squall: its schedule goes on and sets a rule at its next step: squall "
			"schedule stop %s\n",
			target);
	json_decref(answer);
}

int cmd_fault_del(struct cli *cli, int argc, char **argv)
{
	bool all = !strcmp(argv[0], "all"), keep = cli->given & OPT_KEEP_SCHEDULES;
	json_t *answer = NULL;
	char what[256];
	int r;

	(void)argc;
	if (keep && !all)
		return complain_text(cli, EXIT_USAGE, "--keep-schedules: goes with \"all\" only");
	if (all)
		r = api(cli, "DELETE", keep ? "/api/v1/rules?schedules=keep" : "/api/v1/rules",
			NULL, &answer);
	else
		r = api_target(cli, "DELETE", "/api/v1/rules/", argv[0], "", NULL, &answer);
	if (!all && !r)
		tell_schedule(cli, argv[0]);
	if (all && !r)
		return done(cli, r, answer, argv[0], cleared(answer, what, sizeof(what)));
	if (!r && *text_of(answer, "by")) {
		snprintf(what, sizeof(what), "rule deleted; now in force by %.200s",
			 text_of(answer, "by"));
		return done(cli, r, answer, argv[0], what);
	}
	return done(cli, r, answer, argv[0], "rule deleted");
}

/* --- profiles: rules with a name --------------------------------------------- */

static void profile_row(struct table *t, const json_t *p)
{
	table_cell(t, false, "%s", text_of(p, "name"));
	table_cell(t, false, "%s", text_of(p, "description"));
}

int cmd_profile_list(struct cli *cli, int argc, char **argv)
{
	static const char *const head[] = {"NAME", "DESCRIPTION", NULL};

	(void)argc, (void)argv;
	return api_list(cli, "/api/v1/profiles", "profiles", head, profile_row);
}

int cmd_profile_show(struct cli *cli, int argc, char **argv)
{
	json_t *answer = NULL;
	int r;

	(void)argc;
	r = api_target(cli, "GET", "/api/v1/profiles/", argv[0], "", NULL, &answer);
	if (r)
		return r;
	if (cli->json) {
		print_json(cli, answer);
	} else {
		printf("name        ");
		print_safe(stdout, text_of(answer, "name"));
		printf("\nrule        %s\ndescription ",
		       text_of(json_object_get(answer, "rule"), "text"));
		print_safe(stdout, text_of(answer, "description"));
		printf("\nsource      ");
		print_safe(stdout, text_of(answer, "source"));
		putchar('\n');
	}
	json_decref(answer);
	return 0;
}

int cmd_profile_set(struct cli *cli, int argc, char **argv)
{
	json_t *rule = NULL, *body, *answer = NULL;
	int r = rule_of_words(cli, argc - 1, argv + 1, &rule);

	if (r)
		return r;
	body = json_pack("{s:o, s:s}", "rule", rule, "description",
			 cli->description ? cli->description : "");
	if (!body)
		return complain_text(cli, cli->description ? EXIT_USAGE : EXIT_FAILED,
				     "description: only UTF-8 text is accepted");
	r = api_target(cli, "PUT", "/api/v1/profiles/", argv[0], "", body, &answer);
	json_decref(body);
	return done(cli, r, answer, argv[0], "profile saved");
}

int cmd_profile_del(struct cli *cli, int argc, char **argv)
{
	int r = api_target(cli, "DELETE", "/api/v1/profiles/", argv[0], "", NULL, NULL);

	(void)argc;
	return done(cli, r, NULL, argv[0], "profile deleted");
}

int cmd_profile_apply(struct cli *cli, int argc, char **argv)
{
	json_t *body, *answer = NULL;
	uint64_t for_ns = 0;
	int r;

	if (argc > 2) {
		if (strcmp(argv[2], "for"))
			return complain_text(cli, EXIT_USAGE,
					     "\"%.32s\" is not accepted: only "
					     "\"for TIME\" may follow the profile",
					     argv[2]);
		if (argc < 4)
			return complain_text(cli, EXIT_USAGE,
					     "for: a value is missing: a time "
					     "above 0 with its unit, as in 60s");
		if (sq_parse_duration(argv[3], &for_ns) || !for_ns)
			return complain_text(cli, EXIT_USAGE,
					     "for: \"%.32s\" is not accepted: a "
					     "time above 0 with its unit, as in 60s, 5m, 1h",
					     argv[3]);
	}
	body = for_ns ? json_pack("{s:s, s:I}", "name", argv[1], "for_ns", (json_int_t)for_ns)
		      : json_pack("{s:s}", "name", argv[1]);
	if (!body)
		return complain_text(cli, EXIT_USAGE, "profile: only UTF-8 names are accepted");
	r = api_target(cli, "POST", "/api/v1/rules/", argv[0], "/profile?notes=1", body, &answer);
	json_decref(body);
	return in_force(cli, r, answer);
}
