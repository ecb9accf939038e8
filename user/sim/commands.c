// SPDX-License-Identifier: GPL-2.0-only
/* The Locust commands of a build without user/sim/locust_*.c, which replace this file. */
#include <stdio.h>
#include "sim.h"

int locust_worker_main(int argc, char **argv)
{
	(void)argc;
	fprintf(stderr, "squall-sim %s: built without the Locust worker\n", argv[0]);
	return SIM_EXIT_FAIL;
}

int locust_file_main(int argc, char **argv)
{
	(void)argc;
	fprintf(stderr, "squall-sim %s: built without the Locust worker\n", argv[0]);
	return SIM_EXIT_FAIL;
}
