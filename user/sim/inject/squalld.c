// SPDX-License-Identifier: GPL-2.0-only
/*
 * Faults by the host's squalld. A rule is held by our connection and has a lease as its end, so it
 * goes at once when this process dies, and with the lease when it hangs; each renewal leaves the
 * rule as it is. It is set only where there is none, and deleted only while it is ours.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <squall/client.h>
#include "lib/error.h"
#include "sim/inject/injector.h"

struct by_squalld {
	struct injector i;
	struct sq_client *client;
	uint16_t master_port;
};

static uint64_t lease(uint64_t for_ns)
{
	return for_ns < INJECTOR_LEASE ? for_ns : INJECTOR_LEASE;
}

static int request(struct injector *i, const char *method, const char *target, const char *suffix,
		   const char *condition, json_t *body /* stolen */, json_t **ret,
		   struct sq_error *err)
{
	struct by_squalld *s = (struct by_squalld *)i;
	char *path = sq_client_path("/api/v1/rules/", target, suffix);
	int r = path ? sq_client_request_if(s->client, method, path, condition, body, ret, err)
		     : sq_error_set(err, -ENOMEM, NULL, "out of memory");

	free(path);
	json_decref(body);
	return r;
}

static void if_match(char buf[INJECTOR_TAG + 16], const char *tag)
{
	snprintf(buf, INJECTOR_TAG + 16, "If-Match: \"%s\"", tag);
}

static int look(struct injector *i, char *text, size_t size, struct sq_error *err)
{
	struct by_squalld *s = (struct by_squalld *)i;
	json_t *o = NULL;
	const char *version;
	int r = sq_client_request(s->client, "GET", "/api/v1/status", NULL, &o, err);

	version = json_string_value(json_object_get(o, "version"));
	if (!r)
		snprintf(text, size, "squalld %s", version ? version : "");
	json_decref(o);
	return r;
}

static int set(struct injector *i, const char *target, const char *rule, uint64_t for_ns,
	       char tag[INJECTOR_TAG], struct sq_error *err)
{
	struct by_squalld *s = (struct by_squalld *)i;
	char condition[INJECTOR_TAG + 16] = "If-None-Match: *", *text = NULL;
	json_t *o = NULL;
	const char *etag;
	int r;

	if (*tag)
		if_match(condition, tag);
	/* Its own master is not to be lost, whatever its port. */
	if (asprintf(&text, "%s except proto tcp port %u for %lluns", rule, s->master_port,
		     (unsigned long long)lease(for_ns)) < 0)
		return sq_error_set(err, -ENOMEM, NULL, "out of memory");
	r = request(i, "PUT", target, "?hold=1", condition, json_pack("{s:s}", "text", text), &o,
		    err);
	free(text);
	if (r == -ESTALE)
		return sq_error_set(err, r, NULL,
				    "%s has a rule that this worker has not set, and keeps it",
				    target);
	etag = json_string_value(json_object_get(o, "etag"));
	if (!r)
		snprintf(tag, INJECTOR_TAG, "%s", etag ? etag : "");
	json_decref(o);
	return r;
}

static int keep(struct injector *i, const char *target, const char *tag, uint64_t for_ns,
		struct sq_error *err)
{
	char condition[INJECTOR_TAG + 16];

	if_match(condition, tag);
	return request(i, "POST", target, "/prolong", condition,
		       json_pack("{s:I}", "for_ns", (json_int_t)lease(for_ns)), NULL, err);
}

static int end(struct injector *i, const char *target, const char *tag, char *text, size_t size,
	       struct sq_error *err)
{
	char condition[INJECTOR_TAG + 16];
	int r;

	if_match(condition, tag);
	r = request(i, "DELETE", target, "", condition, NULL, NULL, err);
	snprintf(text, size, "%s",
		 r == -ENOENT	? "was gone"
		 : r == -ESTALE ? "another's rule is there by now, and stays"
				: "removed");
	return r == -ENOENT || r == -ESTALE ? 0 : r;
}

static void close_client(struct injector *i)
{
	struct by_squalld *s = (struct by_squalld *)i;

	sq_client_close(s->client);
	free(s);
}

int injector_squalld(const char *socket, uint16_t master_port, struct injector **ret,
		     struct sq_error *err)
{
	static const struct injector_ops ops = {look, set, keep, end, close_client};
	struct sq_client_options o = {.socket = socket, .timeout_ms = INJECTOR_WAIT_MS};
	struct by_squalld *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return sq_error_set(err, -ENOMEM, NULL, "out of memory");
	s->i.ops = &ops;
	s->master_port = master_port;
	r = sq_client_open(&o, &s->client, err);
	if (r)
		free(s);
	else
		*ret = &s->i;
	return r;
}
