// SPDX-License-Identifier: GPL-2.0-only
/* squall trace: packets as squalld's event stream tells of them. */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <squall/units.h>
#include "squall/cli.h"

struct tracer {
	struct cli *cli;
	char *only;    /* target id, NULL = all */
	json_t *names; /* id -> name */
	bool stale;    /* names: an id was not among them */
	unsigned long n;
	struct sq_client *client; /* for names, as the stream holds cli's */
};

static void learn_names(struct tracer *t)
{
	json_t *answer = NULL, *target, *id, *name;
	size_t i;

	if (sq_client_request(t->client, "GET", "/api/v1/targets", NULL, &answer, NULL))
		return;
	json_array_foreach(json_object_get(answer, "targets"), i, target)
	{
		id = json_object_get(target, "id");
		name = json_object_get(target, "target");
		if (json_is_string(id) && json_is_string(name))
			json_object_set(t->names, json_string_value(id), name);
	}
	json_decref(answer);
}

static const char *name_of(struct tracer *t, const char *id)
{
	const json_t *name = json_object_get(t->names, id);

	if (!name) {
		learn_names(t);
		name = json_object_get(t->names, id);
		if (!name) /* gone: do not ask again for each of its packets */
			json_object_set_new(t->names, id, json_string(id));
	}
	return name ? json_string_value(name) : id;
}

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

static json_int_t number_of(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

/* The packet's time is the kernel's monotonic clock. Where that is ours, say
 * the time of day; the stamps of another machine stay as they are. */
static void print_time(uint64_t ns)
{
	struct timespec mono, real;
	uint64_t now;
	time_t seconds;
	struct tm tm;
	char text[16];

	clock_gettime(CLOCK_MONOTONIC, &mono);
	clock_gettime(CLOCK_REALTIME, &real);
	now = (uint64_t)mono.tv_sec * 1000000000ull + (uint64_t)mono.tv_nsec;
	if (ns > now || now - ns > 60000000000ull) {
		printf("%llu.%06llu", (unsigned long long)(ns / 1000000000),
		       (unsigned long long)(ns % 1000000000 / 1000));
		return;
	}
	now = (uint64_t)real.tv_sec * 1000000000ull + (uint64_t)real.tv_nsec - (now - ns);
	seconds = (time_t)(now / 1000000000);
	localtime_r(&seconds, &tm);
	strftime(text, sizeof(text), "%T", &tm);
	printf("%s.%06llu", text, (unsigned long long)(now % 1000000000 / 1000));
}

static void print_end(const json_t *e, const char *addr, const char *port)
{
	bool v6 = strchr(text_of(e, addr), ':');

	printf(v6 ? "[%s]" : "%s", text_of(e, addr));
	if (number_of(e, "proto") == IPPROTO_TCP || number_of(e, "proto") == IPPROTO_UDP)
		printf(":%lld", (long long)number_of(e, port));
}

static void print_packet(struct tracer *t, const json_t *e)
{
	json_int_t proto = number_of(e, "proto"), delay = number_of(e, "delay_ns");
	const json_t *what;
	char text[32];
	size_t i;

	print_time((uint64_t)number_of(e, "time_ns"));
	putchar(' ');
	print_safe(stdout, name_of(t, text_of(e, "target_id")));
	printf(" %s ", text_of(e, "direction"));
	if (proto == IPPROTO_TCP || proto == IPPROTO_UDP)
		fputs(proto == IPPROTO_TCP ? "tcp " : "udp ", stdout);
	else if (proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6)
		fputs("icmp ", stdout);
	else
		printf("proto %lld ", (long long)proto);
	print_end(e, "src", "sport");
	fputs(" > ", stdout);
	print_end(e, "dst", "dport");
	printf(" len %lld", (long long)number_of(e, "len"));
	if (number_of(e, "segs") > 1)
		printf(" segs %lld", (long long)number_of(e, "segs"));
	putchar(' ');
	fputs(style(t->cli, "\x1b[1m"), stdout);
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
	if (t->only && strcmp(t->only, text_of(data, "target_id")))
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
	struct tracer t = {.cli = cli, .names = json_object()};
	json_t *target = NULL;
	struct sq_error err;
	char path[64];
	int r;

	if (argc) {
		r = api_target(cli, "GET", "/api/v1/targets/", argv[0], "", NULL, &target);
		if (r)
			goto out;
		t.only = strdup(text_of(target, "id"));
		json_object_set(t.names, text_of(target, "id"), json_object_get(target, "target"));
	}
	r = api_open(cli);
	if (r)
		goto out;
	t.client = cli->client;
	cli->client = NULL;
	r = api_open(cli); /* a second one: the stream occupies its own */
	if (r)
		goto out;
	catch_interrupts();
	snprintf(path, sizeof(path), "/api/v1/events?trace=1&every=%u",
		 cli->every ? cli->every : 1);
	r = sq_client_events(cli->client, path, on_event, &t, &interrupted, &err);
	if (r && !ferror(stdout))
		r = complain(cli, EXIT_FAILED, &err);
	else
		r = 0;
out:
	sq_client_close(t.client);
	json_decref(target);
	json_decref(t.names);
	free(t.only);
	return r;
}
