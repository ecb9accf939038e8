// SPDX-License-Identifier: GPL-2.0-only
/* squall trace: packets as squalld's event stream tells of them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <squall/units.h>
#include "squall/cli.h"

struct tracer {
	struct cli *cli;
	unsigned long n;
};

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

static json_int_t number_of(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

/* squalld's time of day: the packet may be another machine's. */
static void print_time(json_int_t ms)
{
	time_t seconds = (time_t)(ms / 1000);
	char text[16];
	struct tm tm;

	localtime_r(&seconds, &tm);
	strftime(text, sizeof(text), "%T", &tm);
	printf("%s.%03d ", text, (int)(ms % 1000));
}

static void print_packet(const struct tracer *t, const json_t *e)
{
	json_int_t delay = number_of(e, "delay_ns");
	const json_t *what;
	char text[32];
	size_t i;

	print_time(number_of(e, "time_ms"));
	print_safe(stdout, text_of(e, "target"));
	printf(" %s %s %s > %s len %lld", text_of(e, "direction"), text_of(e, "proto"),
	       text_of(e, "src"), text_of(e, "dst"), (long long)number_of(e, "len"));
	if (number_of(e, "segs") > 1)
		printf(" segs %lld", (long long)number_of(e, "segs"));
	printf(" %s", style(t->cli, "\x1b[1m"));
	json_array_foreach(json_object_get(e, "what"), i, what)
		printf("%s%s", i ? "," : "", json_string_value(what) ?: "");
	fputs(style(t->cli, "\x1b[0m"), stdout);
	if (delay)
		printf(" %s", sq_format_time((uint64_t)delay, text, sizeof(text)));
	printf(" rule %lld.%lld\n", (long long)number_of(e, "rule_id"),
	       (long long)number_of(e, "clause"));
}

static int on_event(const char *event, const json_t *data, void *arg)
{
	struct tracer *t = arg;

	if (!strcmp(event, "lost")) {
		complain_text(t->cli, 0,
			      "%lld events came faster than they were read; --every N "
			      "takes a sample",
			      (long long)number_of(data, "events"));
		return 0;
	}
	if (strcmp(event, "packet"))
		return 0;
	if (t->cli->json)
		print_json(t->cli, data);
	else
		print_packet(t, data);
	if (fflush(stdout))
		return 1;
	t->n++;
	return t->cli->count && t->n >= t->cli->count;
}

int cmd_trace(struct cli *cli, int argc, char **argv)
{
	struct tracer t = {.cli = cli};
	struct sq_error err;
	char prefix[64], *path;
	int r = api_open(cli);

	if (r)
		return r;
	snprintf(prefix, sizeof(prefix), "/api/v1/events?trace=1&every=%u%s",
		 cli->every ? cli->every : 1, argc ? "&target=" : "");
	path = sq_client_path(prefix, argc ? argv[0] : "", "");
	if (!path)
		return complain_text(cli, EXIT_FAILED, "out of memory");
	catch_interrupts();
	r = sq_client_events(cli->client, path, on_event, &t, &interrupted, &err);
	free(path);
	if (!r || ferror(stdout))
		return 0;
	if (strstr(err.text, "there is no"))
		snprintf(err.text + strlen(err.text), sizeof(err.text) - strlen(err.text),
			 "; \"squall target list\" shows what there is");
	return complain(cli, r == -EINVAL ? EXIT_USAGE : EXIT_FAILED, &err);
}
