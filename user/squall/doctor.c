// SPDX-License-Identifier: GPL-2.0-only
/* squall doctor: what hinders this machine, and what to do about each. */
#include <errno.h>
#include <string.h>
#include "lib/checkup/checkup.h"
#include "squall/cli.h"
#include "squall/doctor/doctor.h"

int cmd_doctor(struct cli *cli, int argc, char **argv)
{
	json_t *list = json_array(), *status = NULL;
	struct sq_error err = {.text = "out of memory"};
	int r = api_client(cli, &err), bad;

	(void)argc, (void)argv;
	if (r == -EINVAL) {
		json_decref(list);
		return complain(cli, EXIT_USAGE, &err);
	}
	if (!r)
		sq_client_request(cli->client, "GET", "/api/v1/status", NULL, &status, &err);
	doctor_squalld(list, status, &err, cli->client ? sq_client_peer(cli->client) : "");
	/* Of another machine only what its squalld tells. */
	if (!cli->client || !strncmp(sq_client_peer(cli->client), "unix:", 5)) {
		doctor_machine(list, status);
		doctor_around(list, status);
	}
	bad = checkup_print(list, cli->json, cli->pretty, stdout);
	json_decref(list);
	json_decref(status);
	return bad ? EXIT_FAILED : EXIT_OK;
}
