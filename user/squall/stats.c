// SPDX-License-Identifier: GPL-2.0-only
/* squall stats: counters, once or as rates each second. squall flows: the connections of a rule. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <squall/units.h>
#include "squall/cli.h"

volatile bool interrupted;

static void on_signal(int sig)
{
	(void)sig;
	interrupted = true;
}

void catch_interrupts(void)
{
	struct sigaction sa = {.sa_handler = on_signal}; /* no SA_RESTART: sleeps end */

	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
}

static const struct {
	const char *key, *title;
} columns[] = {
	{"seen_pkts", "SEEN"},
	{"lost_pkts", "LOST"},
	{"delayed_pkts", "DELAYED"},
	{"duplicated_pkts", "DUPLICATED"},
	{"corrupted_pkts", "CORRUPTED"},
	{"reordered_pkts", "REORDERED"},
	{"over_limit_pkts", "OVER LIMIT"},
	{"errors", "ERRORS"},
	{"lane_lost_pkts", "LANE LOST"},
};
#define N_COLUMNS (sizeof(columns) / sizeof(columns[0]))

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text && *text ? text : "-";
}

static json_int_t number_of(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

/* The same target, clause and direction in an earlier answer. */
static const json_t *same_row(const json_t *answer, const json_t *row)
{
	const json_t *r;
	size_t i;

	json_array_foreach(
		json_object_get(answer, "counters"), i,
		r) if (!strcmp(text_of(r, "target"), text_of(row, "target")) &&
		       number_of(r, "clause") == number_of(row, "clause") &&
		       !strcmp(text_of(r, "direction"), text_of(row, "direction"))) return r;
	return NULL;
}

/* before: NULL for totals. A counter that went back started anew with its rule. */
static double value_of(const json_t *row, const json_t *before, const char *key, double seconds)
{
	json_int_t now = number_of(row, key), then = number_of(before, key);

	if (!before)
		return (double)now;
	return (double)(now >= then ? now - then : now) / seconds;
}

static void head(struct table *t, bool rates)
{
	size_t i;

	table_cell(t, false, "TARGET");
	table_cell(t, true, "CLAUSE");
	table_cell(t, false, "DIR");
	table_cell(t, false, "MATCH");
	for (i = 0; i < N_COLUMNS; i++)
		table_cell(t, true, "%s%s", columns[i].title, rates ? "/s" : "");
	table_cell(t, true, rates ? "RATE" : "BYTES");
	table_row(t);
}

static void print_counters(const json_t *answer, const json_t *before, FILE *f)
{
	double seconds =
		(double)(number_of(answer, "time_ms") - number_of(before, "time_ms")) / 1e3;
	struct table *t = table_new();
	const json_t *row, *old;
	char text[32], match[256];
	size_t i, c;

	if (seconds <= 0)
		seconds = 1;
	head(t, before);
	json_array_foreach(json_object_get(answer, "counters"), i, row)
	{
		static const char none[] = "{}";
		json_t *zero = NULL;

		old = before ? same_row(before, row) : NULL;
		if (before && !old) /* new since: all of it happened in this second */
			old = zero = json_loads(none, 0, NULL);
		table_cell(t, false, "%s", text_of(row, "target"));
		table_cell(t, true, "%lld", (long long)number_of(row, "clause"));
		table_cell(t, false, "%s", text_of(row, "direction"));
		table_cell(t, false, "%s",
			   sq_client_match(json_object_get(row, "match"), match, sizeof(match)));
		for (c = 0; c < N_COLUMNS; c++)
			table_cell(t, true, "%.0f", value_of(row, old, columns[c].key, seconds));
		if (before)
			table_cell(t, true, "%s",
				   sq_format_rate((uint64_t)(8 * value_of(row, old, "seen_bytes",
									  seconds)) /
							  1000 * 1000,
						  text, sizeof(text)));
		else
			table_cell(t, true, "%lld", (long long)number_of(row, "seen_bytes"));
		table_row(t);
		json_decref(zero);
	}
	table_print(t, f);
	table_free(t);
}

void counters_print(const json_t *answer, FILE *f)
{
	print_counters(answer, NULL, f);
}

static int get(struct cli *cli, const char *target, json_t **ret)
{
	*ret = NULL;
	if (target)
		return api_target(cli, "GET", "/api/v1/counters/", target, "", NULL, ret);
	return api(cli, "GET", "/api/v1/counters", NULL, ret);
}

static void sleep_until(struct timespec *next)
{
	next->tv_sec++;
	while (!interrupted && clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, next, NULL) == EINTR)
		;
}

/* What is shown, once or each second. */
struct shown {
	int (*get)(struct cli *cli, const char *target, json_t **ret);
	void (*print)(const json_t *answer, const json_t *before, FILE *f);
	const char *heading; /* behind the time, when watched */
};

static void clock_line(const char *heading)
{
	char text[32];
	time_t now = time(NULL);
	struct tm tm;

	localtime_r(&now, &tm);
	strftime(text, sizeof(text), "%T", &tm);
	/* On a terminal in place, else one block after the other. */
	printf("%s%s%s\n", isatty(STDOUT_FILENO) ? "\x1b[H\x1b[2J" : "", text, heading);
}

static int watch(struct cli *cli, const char *target, const struct shown *what)
{
	json_t *before = NULL, *now = NULL;
	struct timespec next;
	unsigned long n = 0;
	int r;

	catch_interrupts();
	clock_gettime(CLOCK_MONOTONIC, &next);
	r = what->get(cli, target, &before);
	while (!r && !interrupted && (!cli->count || n < cli->count)) {
		sleep_until(&next);
		if (interrupted)
			break;
		r = what->get(cli, target, &now);
		if (r)
			break;
		if (cli->json) {
			print_json(cli, now);
		} else {
			clock_line(what->heading);
			what->print(now, before, stdout);
		}
		if (fflush(stdout))
			break;
		json_decref(before);
		before = now;
		n++;
	}
	json_decref(before);
	return interrupted ? 0 : r;
}

static int show(struct cli *cli, const char *target, const struct shown *what)
{
	json_t *answer;
	int r;

	if (cli->given & OPT_WATCH)
		return watch(cli, target, what);
	if (cli->given & OPT_COUNT)
		return complain_text(cli, EXIT_USAGE, "--count needs --watch");
	r = what->get(cli, target, &answer);
	if (r)
		return r;
	if (cli->json)
		print_json(cli, answer);
	else
		what->print(answer, NULL, stdout);
	json_decref(answer);
	return 0;
}

int cmd_stats(struct cli *cli, int argc, char **argv)
{
	static const struct shown counters = {get, print_counters, "  per second"};

	return show(cli, argc ? argv[0] : NULL, &counters);
}

static int get_flows(struct cli *cli, const char *target, json_t **ret)
{
	*ret = NULL;
	return api_target(cli, "GET", "/api/v1/flows/", target, "", NULL, ret);
}

static void print_states(struct table *t, const json_t *states)
{
	char text[64] = "";
	const json_t *s;
	size_t i, len;

	json_array_foreach(states, i, s)
	{
		len = strlen(text);
		snprintf(text + len, sizeof(text) - len, "%s%s", len ? " " : "",
			 json_string_value(s));
	}
	table_cell(t, false, "%s", *text ? text : "-");
}

static void print_flows(const json_t *answer, const json_t *before, FILE *f)
{
	static const char *const numbers[] = {"up_pkts", "up_bytes", "down_pkts", "down_bytes"};
	static const char *const titles[] = {"PROTO",	 "LOCAL",     "REMOTE",
					     "AGE",	 "IDLE",      "UP PKTS",
					     "UP BYTES", "DOWN PKTS", "DOWN BYTES"};
	static const char *const counts[] = {"seen", "alive",	"hung",	  "reset",
					     "full", "evicted", "refused"};
	struct table *t = table_new();
	const json_t *flow;
	size_t i, c;

	(void)before;
	for (c = 0; c < sizeof(titles) / sizeof(titles[0]); c++)
		table_cell(t, c >= 3, "%s", titles[c]);
	table_cell(t, false, "STATE");
	table_row(t);
	json_array_foreach(json_object_get(answer, "flows"), i, flow)
	{
		table_cell(t, false, "%s", text_of(flow, "proto"));
		table_cell(t, false, "%s", text_of(flow, "local"));
		table_cell(t, false, "%s", text_of(flow, "remote"));
		table_cell(t, true, "%.1fs", (double)number_of(flow, "age_ms") / 1e3);
		table_cell(t, true, "%.1fs", (double)number_of(flow, "idle_ms") / 1e3);
		for (c = 0; c < 4; c++)
			table_cell(t, true, "%lld", (long long)number_of(flow, numbers[c]));
		print_states(t, json_object_get(flow, "state"));
		table_row(t);
	}
	table_print(t, f);
	table_free(t);
	for (c = 0; c < sizeof(counts) / sizeof(counts[0]); c++)
		fprintf(f, "%s%s %lld", c ? ", " : "", counts[c],
			(long long)number_of(json_object_get(answer, "counts"), counts[c]));
	if (number_of(answer, "more"))
		fprintf(f, "; %lld more are not shown", (long long)number_of(answer, "more"));
	fputc('\n', f);
}

int cmd_flows(struct cli *cli, int argc, char **argv)
{
	static const struct shown flows = {get_flows, print_flows, ""};

	(void)argc;
	return show(cli, argv[0], &flows);
}
