// SPDX-License-Identifier: GPL-2.0-only
/* squall status and squall target: what there is. */
#include <stdlib.h>
#include <string.h>
#include "squall/cli.h"

int cmd_status(struct cli *cli, int argc, char **argv)
{
	json_t *answer = NULL;
	int r;

	(void)argc, (void)argv;
	r = api(cli, "GET", "/api/v1/status", NULL, &answer);
	if (r)
		return r;
	if (cli->json)
		print_json(cli, answer);
	else
		render(answer, stdout);
	json_decref(answer);
	return 0;
}

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text && *text ? text : "-";
}

int cmd_target_list(struct cli *cli, int argc, char **argv)
{
	json_t *answer = NULL, *t;
	struct table *table;
	size_t i;
	int r;

	(void)argc, (void)argv;
	r = api(cli, "GET", "/api/v1/targets", NULL, &answer);
	if (r)
		return r;
	if (cli->json) {
		print_json(cli, answer);
		json_decref(answer);
		return 0;
	}
	table = table_new();
	table_cell(table, false, "TARGET");
	table_cell(table, true, "CGROUP ID");
	table_cell(table, false, "SEEN");
	table_cell(table, false, "NETWORK");
	table_cell(table, false, "RULE");
	table_row(table);
	json_array_foreach(json_object_get(answer, "targets"), i, t)
	{
		table_cell(table, false, "%s", text_of(t, "target"));
		table_cell(table, true, "%s", text_of(t, "id"));
		table_cell(table, false, "%s",
			   json_is_false(json_object_get(t, "running"))
				   ? "not running"
				   : text_of(json_object_get(t, "view"), "mode"));
		table_cell(table, false, "%s", text_of(t, "network_mode"));
		table_cell(table, false, "%s", text_of(json_object_get(json_object_get(t, "rule"), "rule"), "text"));
		table_row(table);
	}
	table_print(table, stdout);
	table_free(table);
	json_decref(answer);
	return 0;
}

int cmd_target_show(struct cli *cli, int argc, char **argv)
{
	json_t *answer = NULL;
	int r;

	(void)argc;
	r = api_target(cli, "GET", "/api/v1/targets/", argv[0], "", NULL, &answer);
	if (r)
		return r;
	if (cli->json)
		print_json(cli, answer);
	else
		render(answer, stdout);
	json_decref(answer);
	return 0;
}
