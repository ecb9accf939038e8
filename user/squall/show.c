// SPDX-License-Identifier: GPL-2.0-only
/* squall status and squall target: what there is. */
#include <stdlib.h>
#include <string.h>
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
	table_cell(table, false, "%s",
		   text_of(json_object_get(json_object_get(t, "rule"), "rule"), "text"));
}

int cmd_target_list(struct cli *cli, int argc, char **argv)
{
	static const char *const head[] = {"TARGET", ">CGROUP ID", "SEEN", "NETWORK", "RULE", NULL};

	(void)argc, (void)argv;
	return api_list(cli, "/api/v1/targets", "targets", head, list_row);
}

int cmd_target_show(struct cli *cli, int argc, char **argv)
{
	json_t *answer = NULL;
	int r;

	(void)argc;
	r = api_target(cli, "GET", "/api/v1/targets/", argv[0], "", NULL, &answer);
	return show(cli, r, answer);
}
