// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "lib/cgroup.h"
#include "lib/error.h"
#include "squall/cli.h"
#include "squall/help/suggest.h"

int api_client(struct cli *cli, struct sq_error *err)
{
	struct sq_client_options o = {
		.url = cli->url,
		.socket = cli->socket,
		.token_file = cli->token_file,
		.cacert = cli->cacert,
		.timeout_ms = cli->timeout_ms,
		.address = cli->address,
	};

	if (cli->client)
		return 0;
	if (cli->url && cli->socket)
		return sq_error_set(err, -EINVAL, "", "--url and --socket exclude each other");
	return sq_client_open(&o, &cli->client, err);
}

int api_open(struct cli *cli)
{
	struct sq_error err;
	int r = api_client(cli, &err);

	return r ? complain(cli, r == -EINVAL ? EXIT_USAGE : EXIT_FAILED, &err) : 0;
}

/* What squalld says to programs, in the words of this one. */
static void to_our_words(struct sq_error *err)
{
	static const char *const words[][2] = {
		{"see the list of profiles", "\"squall profile list\" shows them"},
		{"with \"text\" or \"clauses\"", "as \"squall -p fault check\" prints it"},
	};
	char text[sizeof(err->text)];
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		char *at = strstr(err->text, words[i][0]);

		if (!at)
			continue;
		snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - err->text), err->text,
			 words[i][1], at + strlen(words[i][0]));
		memcpy(err->text, text, sizeof(text));
	}
}

/* "/worker", "/sys/fs/cgroup/worker", "system.slice/x.service": paths of cgroups, as others write
 * them. The start of what is to come after "cgroup:/", or NULL. */
static const char *path_of_cgroup(const char *name)
{
	const char *mount = cgroup_mount();
	size_t n = mount ? strlen(mount) : 0;

	if (n && !strncmp(name, mount, n) && name[n] == '/')
		name += n;
	else if (!strncmp(name, "/sys/fs/cgroup/", 15))
		name += 14;
	if (!strncmp(name, "cgroup:", 7))
		return name[7] != '/' ? name + 7 : NULL;
	return strchr(name, '/') ? name + strspn(name, "/") : NULL;
}

/* "cgroups:/x", "docker:web": of a kind that there is not, the one that there is. */
static void suggest_kind(const char *name, struct sq_error *err)
{
	static const char *const kinds[] = {"cgroup", "name",  "ecs",	"ecs-service", "ecs-family",
					    "label",  "image", "swarm", "compose"};
	size_t end = strlen(err->text), n = strcspn(name, ":");
	char kind[40];
	struct suggestion s = {.word = kind};

	snprintf(kind, sizeof(kind), "%.*s", (int)n, name);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		suggest_from(&s, kinds[i]);
	if (!strcmp(kind, "docker") || !strcmp(kind, "container"))
		snprintf(err->text + end, sizeof(err->text) - end, "; did you mean \"%.200s\"?",
			 name + n + 1);
	else if (s.best)
		snprintf(err->text + end, sizeof(err->text) - end, "; did you mean \"%s%.200s\"?",
			 s.best, name + n);
}

/* A name that is not there: the nearest of those that are. */
static void suggest_name(struct cli *cli, const char *name, const char *path, const char *list,
			 const char *key, struct sq_error *err)
{
	struct suggestion s = {.word = name};
	json_t *answer = NULL, *one;
	size_t i, end = strlen(err->text), n_with = 0;
	const char *with = NULL; /* "web" of "shop-web-1", if it is in no other */
	const char *cgroup = strcmp(key, "target") ? NULL : path_of_cgroup(name);
	struct sq_error ignored;

	if (strstr(err->text, "has no schedule")) {
		snprintf(err->text + end, sizeof(err->text) - end,
			 "; \"squall schedule set\" writes one");
		return;
	}
	if (strstr(err->text, "no kind of selector")) {
		suggest_kind(name, err);
		if (strlen(err->text) > end)
			return;
	} else if (cgroup && *cgroup) {
		snprintf(err->text + end, sizeof(err->text) - end,
			 "; did you mean \"cgroup:/%.200s\"?", cgroup);
		return;
	}
	if (sq_client_request(cli->client, "GET", path, NULL, &answer, &ignored))
		return;
	json_array_foreach(json_object_get(answer, list), i, one)
	{
		const char *there = json_string_value(json_object_get(one, key));

		/* It is there, and something else is wrong with it. */
		if (there && !strcmp(there, name)) {
			json_decref(answer);
			return;
		}
		if (there)
			suggest_from(&s, there);
		if (there && strlen(name) > 2 && strstr(there, name) && !n_with++)
			with = there;
	}
	if (!s.best && n_with == 1)
		s.best = with;
	if (s.best)
		snprintf(err->text + end, sizeof(err->text) - end, "; did you mean \"%s\"?",
			 s.best);
	else if (!strstr(err->text, " list\""))
		snprintf(err->text + end, sizeof(err->text) - end,
			 "; \"squall %.*s list\" shows what there is", (int)strlen(list) - 1, list);
	json_decref(answer);
}

int api(struct cli *cli, const char *method, const char *path, const json_t *body, json_t **ret)
{
	struct sq_error err;
	int r = api_open(cli);

	if (r)
		return r;
	r = sq_client_request(cli->client, method, path, body, ret, &err);
	if (r)
		to_our_words(&err);
	/* What the daemon refuses to understand is as wrong as what we refuse. */
	return r ? complain(cli, r == -EINVAL ? EXIT_USAGE : EXIT_FAILED, &err) : 0;
}

/* The profile that a request is about: the body's, or the path's own. */
static const char *profile_of(const char *target, const json_t *body)
{
	const char *name = json_string_value(json_object_get(body, "name"));

	return name ? name : target;
}

int api_target(struct cli *cli, const char *method, const char *prefix, const char *target,
	       const char *suffix, const json_t *body, json_t **ret)
{
	struct sq_error err;
	char *path;
	int r;

	if (!*target)
		return complain_text(cli, EXIT_USAGE, "an empty name is not accepted");
	path = sq_client_path(prefix, target, suffix);
	if (!path)
		return complain_text(cli, EXIT_FAILED, "out of memory");
	r = api_open(cli);
	if (!r) {
		r = sq_client_request(cli->client, method, path, body, ret, &err);
		if (r) {
			to_our_words(&err);
			if ((r == -ENOENT || r == -EINVAL) && !strcmp(err.field, "target"))
				suggest_name(cli, target, "/api/v1/targets", "targets", "target",
					     &err);
			if (r == -ENOENT && !strcmp(err.field, "name"))
				suggest_name(cli, profile_of(target, body), "/api/v1/profiles",
					     "profiles", "name", &err);
			r = complain(cli, r == -EINVAL ? EXIT_USAGE : EXIT_FAILED, &err);
		}
	}
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
