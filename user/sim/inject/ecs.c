// SPDX-License-Identifier: GPL-2.0-only
/*
 * Faults by the ECS agent of our own task, whose one target is "task". The agent has no clock and
 * knows no lease: our own ends a fault, and one whose process was killed goes with its task.
 */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <squall/client.h>
#include "lib/error.h"
#include "sim/inject/ecs_calls.h"
#include "sim/inject/injector.h"

#define TARGET "task"
/* The agent takes a request in 5 s of each kind, so the last try is 6 s behind the first. */
#define TOO_FAST 429
#define TRIES	 5
#define WAIT_MS	 1500

struct by_agent {
	struct injector i;
	struct sq_client *client;
	char path[256]; /* /api/ID of $ECS_AGENT_URI */
	const char *master;
	struct ecs_call calls[ECS_CALLS_MAX]; /* that run */
	unsigned int n;
};

static int ask(struct by_agent *a, const struct ecs_call *c, const char *op, struct sq_error *err)
{
	struct timespec nap = {WAIT_MS / 1000, WAIT_MS % 1000 * 1000000};
	char path[384];
	int r = 0;

	snprintf(path, sizeof(path), "%s/fault/v1/%s/%s", a->path, c->type, op);
	for (int i = 0; i < TRIES; i++) {
		if (i)
			nanosleep(&nap, NULL);
		r = sq_client_request(a->client, "POST", path, c->body, NULL, err);
		if (sq_client_status(a->client) != TOO_FAST)
			break;
		sq_error_set(err, -EAGAIN, NULL,
			     "the ECS agent takes one request in 5 s, and this was too fast");
	}
	return r;
}

static int stop_all(struct by_agent *a, struct sq_error *err)
{
	int r = 0, one;

	for (unsigned int i = 0; i < a->n; i++) {
		one = ask(a, &a->calls[i], "stop", err);
		r = r ? r : one;
	}
	ecs_calls_free(a->calls, a->n);
	a->n = 0;
	return r;
}

static int look(struct injector *i, char *text, size_t size, struct sq_error *err)
{
	const struct ecs_call any = {"network-latency", NULL};

	snprintf(text, size, "ECS agent");
	return ask((struct by_agent *)i, &any, "status", err);
}

/* The master's address now; "" if it has none, and then nothing can be lost to it. */
static void master_address(const struct by_agent *a, char *buf, size_t size)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *ai;

	buf[0] = 0;
	if (!a->master || getaddrinfo(a->master, NULL, &hints, &ai))
		return;
	if (getnameinfo(ai->ai_addr, ai->ai_addrlen, buf, (socklen_t)size, NULL, 0, NI_NUMERICHOST))
		buf[0] = 0;
	freeaddrinfo(ai);
}

static int calls_of(const char *target, const char *text, const char *spare,
		    struct ecs_call ret[ECS_CALLS_MAX], unsigned int *ret_n, struct sq_error *err)
{
	struct sq_rule *rule = malloc(sizeof(*rule));
	int r;

	if (!rule)
		return sq_error_set(err, -ENOMEM, NULL, "out of memory");
	r = strcmp(target, TARGET)
		    ? sq_error_set(err, -ENOENT, NULL,
				   "target: the ECS agent breaks this program's own task, \"" TARGET
				   "\", and nothing else")
		    : sq_rule_from_text(text, strlen(text), rule, err);
	if (!r)
		r = ecs_calls(rule, spare, ret, ret_n, err);
	free(rule);
	return r;
}

static int set(struct injector *i, const char *target, const char *text, uint64_t for_ns,
	       char tag[INJECTOR_TAG], struct sq_error *err)
{
	struct by_agent *a = (struct by_agent *)i;
	struct ecs_call calls[ECS_CALLS_MAX];
	unsigned int n = 0;
	char spare[64];
	int r;

	(void)for_ns;
	master_address(a, spare, sizeof(spare));
	r = calls_of(target, text, spare, calls, &n, err);
	if (r)
		return r;
	/* One that we replace. */
	r = *tag ? stop_all(a, err) : 0;
	for (unsigned int k = 0; k < n; k++) {
		if (!r)
			r = ask(a, &calls[k], "start", err);
		if (r)
			json_decref(calls[k].body);
		else
			a->calls[a->n++] = calls[k];
	}
	if (r) {
		struct sq_error ignored;

		stop_all(a, &ignored);
		return r;
	}
	snprintf(tag, INJECTOR_TAG, "ecs");
	return 0;
}

static int keep(struct injector *i, const char *target, const char *tag, uint64_t for_ns,
		struct sq_error *err)
{
	(void)i, (void)target, (void)tag, (void)for_ns, (void)err;
	return 0;
}

static int end(struct injector *i, const char *target, const char *tag, char *text, size_t size,
	       struct sq_error *err)
{
	(void)target, (void)tag;
	snprintf(text, size, "removed");
	return stop_all((struct by_agent *)i, err);
}

static void close_agent(struct injector *i)
{
	struct by_agent *a = (struct by_agent *)i;

	ecs_calls_free(a->calls, a->n);
	sq_client_close(a->client);
	free(a);
}

int injector_ecs(const char *master, struct injector **ret, struct sq_error *err)
{
	static const struct injector_ops ops = {look, set, keep, end, close_agent};
	const char *uri = getenv("ECS_AGENT_URI"), *path;
	struct sq_client_options o = {.timeout_ms =
					      2 * INJECTOR_WAIT_MS}; /* the agent's own: 5 s */
	struct by_agent *a;
	char *url;
	int r;

	if (!uri || strncmp(uri, "http://", 7) || !(path = strchr(uri + 7, '/')) ||
	    strlen(path) >= sizeof(a->path))
		return sq_error_set(
			err, -EINVAL, NULL,
			"squalld ecs: $ECS_AGENT_URI is not set, as the agent sets it in each "
			"task (1.88 or later)");
	a = calloc(1, sizeof(*a));
	url = strndup(uri, (size_t)(path - uri));
	if (!a || !url) {
		free(a);
		free(url);
		return sq_error_set(err, -ENOMEM, NULL, "out of memory");
	}
	a->i.ops = &ops;
	a->master = master;
	strcpy(a->path, path);
	o.url = url;
	r = sq_client_open(&o, &a->client, err);
	free(url);
	if (r)
		free(a);
	else
		*ret = &a->i;
	return r;
}

int injector_ecs_can(const char *target, const char *rule, struct sq_error *err)
{
	struct ecs_call calls[ECS_CALLS_MAX];
	unsigned int n = 0;
	int r = calls_of(target, rule, NULL, calls, &n, err);

	if (!r)
		ecs_calls_free(calls, n);
	return r;
}

int injector_ecs_stop(const char *rule, struct sq_error *err)
{
	struct injector *i = NULL;
	struct by_agent *a;
	int r = injector_ecs(NULL, &i, err);

	if (r)
		return r;
	a = (struct by_agent *)i;
	r = calls_of(TARGET, rule, NULL, a->calls, &a->n, err);
	if (!r)
		r = stop_all(a, err);
	close_agent(i);
	return r;
}
