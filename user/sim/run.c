// SPDX-License-Identifier: GPL-2.0-only
/* squall-sim run. */
#include <stdio.h>
#include "sim.h"

int sim_run_main(int argc, char **argv)
{
	(void)argc;
	fprintf(stderr, "squall-sim %s: the engine is not part of this build\n", argv[0]);
	return SIM_EXIT_FAIL;
}
