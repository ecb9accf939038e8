// SPDX-License-Identifier: GPL-2.0-only
/* squall control: what is wrong is said on the plain terminal, then the panel takes it over. */
#include <unistd.h>
#include "squall/cli.h"
#include "squall/panel/panel.h"

int cmd_control(struct cli *cli, int argc, char **argv)
{
	struct panel ui = {.stop = &interrupted};
	json_t *target = NULL;
	int r;

	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		return complain_text(cli, EXIT_USAGE,
				     "control needs a terminal; \"squall fault\" and "
				     "\"squall stats\" do the same without one");
	cli->timeout_ms = 5000; /* somebody is looking */
	r = api(cli, "GET", "/api/v1/targets", NULL, &ui.targets);
	if (!r && argc) {
		r = api_target(cli, "GET", "/api/v1/targets/", argv[0], "", NULL, &target);
		snprintf(ui.selected, sizeof(ui.selected), "%s", panel_text(target, "target"));
		json_decref(target);
	}
	if (r) {
		json_decref(ui.targets);
		return r;
	}
	ui.client = cli->client;
	catch_interrupts();
	panel_run(&ui);
	return 0;
}
