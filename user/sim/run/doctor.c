// SPDX-License-Identifier: GPL-2.0-only
/* squall-sim doctor: what would hinder this run, and what to do about each. */
#include <stdlib.h>
#include <string.h>
#include "lib/checkup/checkup.h"
#include "sim/doctor/doctor.h"
#include "sim/fleet/tls.h"
#include "sim/run/run.h"
#include "sim/sim.h"

/* ADDR:PORT of --web or --metrics; a name for an address is for the run itself to resolve. */
static void serving(json_t *list, const char *option, const char *where)
{
	const char *colon = strrchr(where, ':');
	char address[64];
	int r;

	if (!*where || !colon)
		return;
	snprintf(address, sizeof(address), "%.*s", (int)(colon - where), where);
	if (*address == '[') {
		memmove(address, address + 1, strlen(address));
		address[strcspn(address, "]")] = 0;
	}
	r = checkup_bind(*address ? address : "0.0.0.0", (unsigned int)atoi(colon + 1));
	if (r)
		checkup_add(list, "serving", CHECKUP_BAD, "another ADDR:PORT", "--%s %s: %s",
			    option, where, strerror(-r));
	else
		checkup_add(list, "serving", CHECKUP_OK, NULL, "--%s %s is free", option, where);
}

static void look(json_t *list, struct sim_run *r, struct sim_profile *base)
{
	struct sim_fleet fleet = {0, NULL};
	uint32_t count[SIM_MAX_TYPES];
	struct sq_error err = {0};
	int rc = sim_run_prepare(r, base, &fleet, count, &err);

	if (rc)
		checkup_add(list, "fleet", CHECKUP_BAD,
			    "mend it; its broker and ports are looked at then", "%s", err.text);
	else
		checkup_add(list, "fleet", CHECKUP_OK, NULL, "%u devices of %u type%s", r->devices,
			    fleet.ntypes, fleet.ntypes == 1 ? "" : "s");
	doctor_descriptors(list, r->devices);
	for (unsigned i = 0; !rc && i < fleet.ntypes; i++) {
		const struct sim_profile *p = &fleet.type[i];
		bool seen = false;

		doctor_ports(list, p, count[i]);
		doctor_certificates(list, p, count[i]);
		for (unsigned k = 0; k < i; k++)
			seen |= !strcmp(fleet.type[k].broker, p->broker) &&
				!strcmp(fleet.type[k].ca, p->ca) &&
				!strcmp(fleet.type[k].cert, p->cert);
		if (!seen)
			doctor_broker(list, p);
	}
	serving(list, "web", r->web);
	serving(list, "metrics", r->metrics);
	checkup_clock(list);
	sim_tls_check_free();
	sim_fleet_free(&fleet);
}

int sim_doctor_main(struct cli *cli, int argc, char **argv)
{
	struct sim_run *r = calloc(1, sizeof(*r));
	struct sim_profile *base = calloc(1, sizeof(*base));
	json_t *list = json_array();
	struct sq_error err = {0};
	int code = SIM_EXIT_FAIL, rc;

	if (!r || !base || !list) {
		fputs("squall-sim: out of memory\n", stderr);
		goto out;
	}
	sim_run_init(r, base);
	rc = sim_cli_parse(cli, r, base, argc, argv, &err);
	code = rc > 0 ? SIM_EXIT_OK : SIM_EXIT_USAGE;
	if (rc < 0)
		fprintf(stderr, "squall-sim: %s\n", err.text);
	if (rc)
		goto out;
	if (!r->devices)
		r->devices = 1;
	look(list, r, base);
	code = checkup_print(list, r->json, false, stdout) ? SIM_EXIT_FAIL : SIM_EXIT_OK;
out:
	json_decref(list);
	free(base);
	free(r);
	return code;
}
