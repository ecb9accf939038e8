// SPDX-License-Identifier: GPL-2.0-only
#include "squall/cli.h"

int main(int argc, char **argv)
{
	return squall_main(argc, argv);
}
