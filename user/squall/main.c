// SPDX-License-Identifier: GPL-2.0-only
/* The one place that ties the table of commands to the parser. */
#include "squall/cli.h"

int main(int argc, char **argv)
{
	return squall_main(&squall_table, argc, argv);
}
