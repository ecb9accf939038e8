// SPDX-License-Identifier: GPL-2.0-only
/* The command line. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "broker.h"

struct options opt = {.addr = "127.0.0.1", .workers = 1, .refuse = -1};

static const char usage[] =
	"usage: sink [--addr IP] [--port N] [--workers N] [--spin]\n"
	"            [--cert PEM --key PEM [--cafile PEM] [--tls 1.2|1.3] [--no-tickets]]\n"
	"misbehaviour: --no-puback --delay-puback MS --delay-connack MS --reset-after N\n"
	"            --wrong-ids --garbage --refuse CODE --drop-connects --silent --no-pingresp\n"
	"            --lose-every N --double-every N   (deliveries to subscribers)\n";

static long number(const char *name, const char *arg, long max)
{
	char *end;
	long v = strtol(arg, &end, 0);

	if (*end || end == arg || v < 0 || v > max)
		die("--%s %s: a number from 0 to %ld", name, arg, max);
	return v;
}

/* What getopt_long() returns: FLAG is one that it has set itself. */
enum {
	FLAG,
	PORT,
	WORKERS,
	DELAY_PUBACK,
	DELAY_CONNACK,
	RESET_AFTER,
	LOSE,
	DOUBLE,
	NUMBERS,
	REFUSE = NUMBERS,
	ADDR,
	CERT,
	KEY,
	CAFILE,
	TLS
};

static const struct {
	uint32_t *to;
	long max;
} numbers[NUMBERS] = {
	[PORT] = {&opt.port, 65535},
	[WORKERS] = {&opt.workers, 64},
	[DELAY_PUBACK] = {&opt.delay_puback, 3600000},
	[DELAY_CONNACK] = {&opt.delay_connack, 3600000},
	[RESET_AFTER] = {&opt.reset_after, 1 << 30},
	[LOSE] = {&opt.lose_every, 1 << 30},
	[DOUBLE] = {&opt.double_every, 1 << 30},
};

static const struct option names[] = {
	{"addr", 1, NULL, ADDR},
	{"port", 1, NULL, PORT},
	{"workers", 1, NULL, WORKERS},
	{"spin", 0, &opt.spin, 1},
	{"cert", 1, NULL, CERT},
	{"key", 1, NULL, KEY},
	{"cafile", 1, NULL, CAFILE},
	{"tls", 1, NULL, TLS},
	{"no-tickets", 0, &opt.no_tickets, 1},
	{"no-puback", 0, &opt.no_puback, 1},
	{"delay-puback", 1, NULL, DELAY_PUBACK},
	{"delay-connack", 1, NULL, DELAY_CONNACK},
	{"reset-after", 1, NULL, RESET_AFTER},
	{"wrong-ids", 0, &opt.wrong_ids, 1},
	{"garbage", 0, &opt.garbage, 1},
	{"refuse", 1, NULL, REFUSE},
	{"drop-connects", 0, &opt.drop_connects, 1},
	{"silent", 0, &opt.silent, 1},
	{"no-pingresp", 0, &opt.no_pingresp, 1},
	{"lose-every", 1, NULL, LOSE},
	{"double-every", 1, NULL, DOUBLE},
	{0},
};

static void __attribute__((noreturn)) bad_usage(void)
{
	fputs(usage, stderr);
	exit(2);
}

void options(int argc, char **argv)
{
	int c, i;

	while ((c = getopt_long(argc, argv, "", names, &i)) != -1) {
		switch (c) {
		case FLAG:
			break;
		case ADDR:
			opt.addr = optarg;
			break;
		case CERT:
			opt.cert = optarg;
			break;
		case KEY:
			opt.key = optarg;
			break;
		case CAFILE:
			opt.cafile = optarg;
			break;
		case REFUSE:
			opt.refuse = number(names[i].name, optarg, 255);
			break;
		case TLS:
			if (!strcmp(optarg, "1.2"))
				opt.tls_version = TLS1_2_VERSION;
			else if (!strcmp(optarg, "1.3"))
				opt.tls_version = TLS1_3_VERSION;
			else
				die("--tls %s: 1.2 or 1.3", optarg);
			break;
		default:
			if (c >= NUMBERS)
				bad_usage();
			*numbers[c].to = number(names[i].name, optarg, numbers[c].max);
		}
	}
	if (optind < argc || !opt.workers || !opt.cert != !opt.key)
		bad_usage();
}
