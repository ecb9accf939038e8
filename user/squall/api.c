// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <stdlib.h>
#include "squall/cli.h"

int api_open(struct cli *cli)
{
	struct sq_client_options o = {
		.url = cli->url,
		.socket = cli->socket,
		.token_file = cli->token_file,
		.cacert = cli->cacert,
		.timeout_ms = cli->timeout_ms,
	};
	struct sq_error err;
	int r;

	if (cli->client)
		return 0;
	if (cli->url && cli->socket)
		return complain_text(cli, EXIT_USAGE, "--url and --socket exclude each other");
	r = sq_client_open(&o, &cli->client, &err);
	return r ? complain(cli, r == -EINVAL ? EXIT_USAGE : EXIT_FAILED, &err) : 0;
}

int api(struct cli *cli, const char *method, const char *path, const json_t *body, json_t **ret)
{
	struct sq_error err;
	int r = api_open(cli);

	if (r)
		return r;
	r = sq_client_request(cli->client, method, path, body, ret, &err);
	/* What the daemon refuses to understand is as wrong as what we refuse. */
	return r ? complain(cli, r == -EINVAL ? EXIT_USAGE : EXIT_FAILED, &err) : 0;
}

int api_target(struct cli *cli, const char *method, const char *prefix, const char *target,
	       const char *suffix, const json_t *body, json_t **ret)
{
	char *path;
	int r;

	if (!*target)
		return complain_text(cli, EXIT_USAGE, "an empty name is not accepted");
	path = sq_client_path(prefix, target, suffix);
	if (!path)
		return complain_text(cli, EXIT_FAILED, "out of memory");
	r = api(cli, method, path, body, ret);
	free(path);
	return r;
}

int api_list(struct cli *cli, const char *path, const char *key, const char *const *head,
	     void (*row)(struct table *t, const json_t *one))
{
	json_t *answer = NULL, *one;
	struct table *t;
	size_t i;
	int r = api(cli, "GET", path, NULL, &answer);

	if (r)
		return r;
	if (cli->json) {
		print_json(cli, answer);
		json_decref(answer);
		return 0;
	}
	t = table_new();
	for (; *head; head++)
		table_cell(t, **head == '>', "%s", **head == '>' ? *head + 1 : *head);
	table_row(t);
	json_array_foreach(json_object_get(answer, key), i, one)
	{
		row(t, one);
		table_row(t);
	}
	table_print(t, stdout);
	table_free(t);
	json_decref(answer);
	return 0;
}
