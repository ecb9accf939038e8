// SPDX-License-Identifier: GPL-2.0-only
/* squall status, target, explain and history: what there is, why it acts so, what happened. */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <squall/units.h>
#include "squall/cli.h"

/* Of an api call: its result, and the answer, which is freed. */
static int show(struct cli *cli, int r, json_t *answer)
{
	if (r)
		return r;
	if (cli->json)
		print_json(cli, answer);
	else
		render(answer, stdout);
	json_decref(answer);
	return 0;
}

int cmd_status(struct cli *cli, int argc, char **argv)
{
	json_t *answer = NULL;
	int r;

	(void)argc, (void)argv;
	r = api(cli, "GET", "/api/v1/status", NULL, &answer);
	return show(cli, r, answer);
}

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text && *text ? text : "-";
}

static void list_row(struct table *table, const json_t *t)
{
	table_cell(table, false, "%s", text_of(t, "target"));
	table_cell(table, true, "%s", text_of(t, "id"));
	table_cell(table, false, "%s",
		   json_is_false(json_object_get(t, "running"))
			   ? "not running"
			   : text_of(json_object_get(t, "view"), "mode"));
	table_cell(table, false, "%s", text_of(t, "network_mode"));
	table_cell(table, false, "%s", text_of(json_object_get(t, "rule"), "by"));
	table_cell(table, false, "%s",
		   text_of(json_object_get(json_object_get(t, "rule"), "rule"), "text"));
}

int cmd_target_list(struct cli *cli, int argc, char **argv)
{
	static const char *const head[] = {"TARGET", ">CGROUP ID", "SEEN", "NETWORK",
					   "BY",     "RULE",	   NULL};

	char *path;
	int r;

	(void)argc, (void)argv;
	path = cli->match ? sq_client_path("/api/v1/targets?match=", cli->match, "")
			  : sq_client_path("/api/v1/targets", "", "");
	if (!path)
		return complain_text(cli, EXIT_FAILED, "out of memory");
	r = api_list(cli, path, "targets", head, list_row);
	free(path);
	return r;
}

int cmd_target_show(struct cli *cli, int argc, char **argv)
{
	json_t *answer = NULL;
	int r;

	(void)argc;
	r = api_target(cli, "GET", "/api/v1/targets/", argv[0], "", NULL, &answer);
	return show(cli, r, answer);
}

/* --- explain, and the look that "fault set --wait" takes ------------------------- */

static const char *word_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

static void print_seen(const json_t *seen)
{
	static const char *const dirs[] = {"up", "down"};
	const json_t *one;
	char when[32] = "";
	time_t since = (time_t)(json_integer_value(json_object_get(seen, "since_ms")) / 1000);
	size_t i;

	printf("seen      %s, %lld processes, %lld connections\n", word_of(seen, "mode"),
	       (long long)json_integer_value(json_object_get(seen, "processes")),
	       (long long)json_integer_value(json_object_get(seen, "connections")));
	json_array_foreach(json_object_get(seen, "interfaces"), i, one)
	{
		printf("%s", i ? "          " : "at        ");
		print_safe(stdout, word_of(one, "name"));
		printf(": up at its %s, down at its %s\n", word_of(one, "up"),
		       word_of(one, "down"));
	}
	if (since)
		strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", localtime(&since));
	for (i = 0; since && i < 2; i++) {
		one = json_object_get(seen, dirs[i]);
		printf("%-10s%lld packets since %s, %lld struck, %lld lost\n", dirs[i],
		       (long long)json_integer_value(json_object_get(one, "pkts")), when,
		       (long long)json_integer_value(json_object_get(one, "struck_pkts")),
		       (long long)json_integer_value(json_object_get(one, "lost_pkts")));
	}
}

int cmd_explain(struct cli *cli, int argc, char **argv)
{
	json_t *answer = NULL, *one;
	size_t i;
	int r;

	(void)argc;
	r = api_target(cli, "GET", "/api/v1/targets/", argv[0], "/explain", NULL, &answer);
	if (r)
		return r;
	if (cli->json) {
		print_json(cli, answer);
	} else {
		fputs(style(cli, "\x1b[1m"), stdout);
		print_safe(stdout, word_of(answer, "target"));
		fputs(style(cli, "\x1b[0m"), stdout);
		printf(": %s\n", word_of(answer, "summary"));
		print_seen(json_object_get(answer, "seen"));
		json_array_foreach(json_object_get(answer, "reasons"), i, one)
		{
			printf("why       ");
			print_safe(stdout, word_of(one, "text"));
			printf("\n  do      ");
			print_safe(stdout, word_of(one, "do"));
			putchar('\n');
		}
		if (!i && json_is_true(json_object_get(answer, "in_force")))
			puts("why       nothing is known that escapes the rule");
	}
	json_decref(answer);
	return 0;
}

struct met {
	long long pkts, lost;
};

static void both(const json_t *explained, struct met *ret)
{
	static const char *const dirs[] = {"up", "down"};
	const json_t *seen = json_object_get(explained, "seen"), *dir;

	for (size_t i = 0; i < 2; i++) {
		dir = json_object_get(seen, dirs[i]);
		ret->pkts += json_integer_value(json_object_get(dir, "pkts"));
		ret->lost += json_integer_value(json_object_get(dir, "lost_pkts"));
	}
}

/* What the rule has met so far: of a selector, the rules of those that follow it by now. */
static int met(struct cli *cli, const char *target, const json_t *entry, struct met *ret)
{
	const json_t *members = json_object_get(entry, "members"), *one;
	json_t *explained = NULL;
	size_t i;
	int r = 0;

	memset(ret, 0, sizeof(*ret));
	for (i = 0; !r && i < (members ? json_array_size(members) : 1); i++) {
		one = json_array_get(members, i);
		r = api_target(cli, "GET", "/api/v1/targets/",
			       one ? word_of(one, "target") : target, "/explain", NULL, &explained);
		if (!r)
			both(explained, ret);
		json_decref(explained);
		explained = NULL;
	}
	return r;
}

int wait_and_tell(struct cli *cli, const char *target, json_t *entry)
{
	struct timespec nap = {.tv_sec = (time_t)(cli->wait_ns / 1000000000u),
			       .tv_nsec = (long)(cli->wait_ns % 1000000000u)};
	bool selector = json_object_get(entry, "members");
	struct met before, after;
	int r;

	/* A clause with the filter of the rule before goes on counting where that was. */
	r = met(cli, target, entry, &before);
	if (r)
		return r;
	while (nanosleep(&nap, &nap) < 0 && !interrupted)
		;
	r = met(cli, target, entry, &after);
	if (r)
		return r;
	after.pkts -= before.pkts;
	after.lost -= before.lost;
	if (cli->json)
		json_object_set_new(entry, "seen",
				    json_pack("{s:I,s:I,s:I}", "wait_ns", (json_int_t)cli->wait_ns,
					      "pkts", (json_int_t)after.pkts, "lost_pkts",
					      (json_int_t)after.lost));
	else if (after.pkts)
		printf("%lld packets seen, %lld lost so far\n", after.pkts, after.lost);
	else
		printf("no packet seen; \"squall %s %s\" says why\n",
		       selector ? "fault show" : "explain", target);
	return 0;
}

/* --- history ------------------------------------------------------------------- */

static void print_event(const json_t *e)
{
	const json_t *counters = json_object_get(e, "counters");
	json_int_t ms = json_integer_value(json_object_get(e, "time_ms")), seen = 0, lost = 0;
	static const char *const dirs[] = {"up", "down"}, *const texts[] = {"rule", "detail"};
	time_t t = (time_t)(ms / 1000);
	char when[32];

	strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", localtime(&t));
	printf("%s %s %s", when, word_of(e, "type"), word_of(e, "action"));
	if (*word_of(e, "target")) {
		putchar(' ');
		print_safe(stdout, word_of(e, "target"));
	}
	for (size_t i = 0; i < 2; i++) {
		if (!*word_of(e, texts[i]))
			continue;
		fputs(": ", stdout);
		print_safe(stdout, word_of(e, texts[i]));
	}
	if (counters) {
		for (size_t i = 0; i < 2; i++) {
			const json_t *c = json_object_get(counters, dirs[i]);

			seen += json_integer_value(json_object_get(c, "seen_pkts"));
			lost += json_integer_value(json_object_get(c, "lost_pkts"));
		}
		fputs("; before it \"", stdout);
		print_safe(stdout, word_of(e, "was"));
		printf("\": %lld packets, %lld lost", (long long)seen, (long long)lost);
	}
	fputs("; by ", stdout);
	print_safe(stdout, word_of(e, "who"));
	putchar('\n');
}

int cmd_history(struct cli *cli, int argc, char **argv)
{
	char limit[64], *path = NULL;
	json_t *answer = NULL, *events;
	int r;

	if (cli->count > 1000)
		return complain_text(cli, EXIT_USAGE, "--count: 1 to 1000 are accepted");
	snprintf(limit, sizeof(limit), "&limit=%lu", cli->count ? cli->count : 20);
	path = argc ? sq_client_path("/api/v1/history?target=", argv[0], limit)
		    : sq_client_path("/api/v1/history?type", "", limit);
	if (!path)
		return complain_text(cli, EXIT_FAILED, "out of memory");
	if (!argc)
		snprintf(path, strlen(path) + 1, "/api/v1/history?%s", limit + 1);
	r = api(cli, "GET", path, NULL, &answer);
	free(path);
	if (r)
		return r;
	events = json_object_get(answer, "events");
	if (cli->json)
		print_json(cli, answer);
	else if (!json_array_size(events))
		fprintf(stderr, "nothing is kept%s%s\n", argc ? " of " : " yet",
			argc ? argv[0] : "");
	else
		for (size_t i = json_array_size(events); i-- > 0;)
			print_event(json_array_get(events, i));
	json_decref(answer);
	return 0;
}
