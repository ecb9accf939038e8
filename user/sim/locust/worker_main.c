// SPDX-License-Identifier: GPL-2.0-only
/* squall-sim worker: options, the fleet, the engine; then locust_worker.c. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "sim/locust/worker.h"
#include "sim/sim.h"

struct settings {
	struct locust_worker_opts worker;
	struct sim_engine_opts engine;
	const char *fleet;
};

static void usage(FILE *f)
{
	fputs("usage: squall-sim worker --fleet FILE [OPTIONS]\n\n"
	      "Joins a Locust master (2.x) as a worker: users are devices of the fleet file.\n"
	      "The master needs the locustfile that squall-sim locustfile writes.\n\n"
	      "  --fleet FILE        the fleet: one Locust User class per device type (required)\n"
	      "  --master-host HOST  the master's name or address (127.0.0.1)\n"
	      "  --master-port PORT  its --master-bind-port (5557)\n"
	      "  --max-devices N     users that this worker takes at most (10000)\n"
	      "  --shards N          threads of the engine (one per CPU)\n"
	      "  --seed N            repeat jitter, phases and templates\n"
	      "  --master-wait S     exit after S seconds without a master; 0: never (300)\n"
	      "  --stay              when the master quits, wait for the next one\n"
	      "  --allow-files DIR   Locust's form may name payload files below DIR; without it, "
	      "none\n"
	      "  -j, --json          print what was reported after each run as a line of JSON\n\n"
	      "Broker, topic, payload, QoS and interval may be set in Locust's own form.\n"
	      "A worker that has lost its master for 60 s stops its devices.\n",
	      f);
}

/* One line, naming field, value and what is accepted. */
static int number(const char *name, const char *text, unsigned long long min,
		  unsigned long long max, unsigned long long *ret)
{
	unsigned long long v;
	char *end;

	errno = 0;
	v = strtoull(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || errno || v < min || v > max) {
		fprintf(stderr,
			"squall-sim worker: %s '%s': a number from %llu to %llu is accepted\n",
			name, text, min, max);
		return -EINVAL;
	}
	*ret = v;
	return 0;
}

static int folder(const char *path)
{
	struct stat st;

	if (!stat(path, &st) && S_ISDIR(st.st_mode))
		return 0;
	fprintf(stderr, "squall-sim worker: --allow-files '%s': a folder is accepted\n", path);
	return -EINVAL;
}

static int parse(int argc, char **argv, struct settings *s)
{
	enum { HOST = 256, PORT, FLEET, DEVICES, SHARDS, SEED, WAIT, STAY, FILES };
	static const struct option options[] = {
		{"master-host", required_argument, NULL, HOST},
		{"master-port", required_argument, NULL, PORT},
		{"fleet", required_argument, NULL, FLEET},
		{"max-devices", required_argument, NULL, DEVICES},
		{"shards", required_argument, NULL, SHARDS},
		{"seed", required_argument, NULL, SEED},
		{"master-wait", required_argument, NULL, WAIT},
		{"stay", no_argument, NULL, STAY},
		{"allow-files", required_argument, NULL, FILES},
		{"json", no_argument, NULL, 'j'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	unsigned long long v = 0;
	int o, r = 0;

	optind = 1;
	while (!r && (o = getopt_long(argc, argv, "jh", options, NULL)) != -1) {
		switch (o) {
		case HOST:
			s->worker.master.host = optarg;
			if (!*optarg || strlen(optarg) > 253) {
				fprintf(stderr,
					"squall-sim worker: --master-host '%s': a host name or an "
					"address is accepted\n",
					optarg);
				r = -EINVAL;
			}
			break;
		case PORT:
			r = number("--master-port", optarg, 1, 65535, &v);
			s->worker.master.port = (uint16_t)v;
			break;
		case FLEET:
			s->fleet = optarg;
			break;
		case DEVICES:
			r = number("--max-devices", optarg, 1, 10000000, &v);
			s->engine.max_devices = (uint32_t)v;
			break;
		case SHARDS:
			r = number("--shards", optarg, 1, 256, &v);
			s->engine.shards = (unsigned int)v;
			break;
		case SEED:
			r = number("--seed", optarg, 1, UINT64_MAX, &v);
			s->engine.seed = v;
			break;
		case WAIT:
			r = number("--master-wait", optarg, 0, 86400 * 365, &v);
			s->worker.master.give_up_s = (unsigned int)v;
			break;
		case STAY:
			s->worker.stay = true;
			break;
		case FILES:
			r = folder(optarg);
			s->worker.allow_files = optarg;
			break;
		case 'j':
			s->worker.json = true;
			break;
		case 'h':
			usage(stdout);
			exit(SIM_EXIT_OK);
		default:
			r = -EINVAL;
		}
	}
	if (!r && optind < argc) {
		fprintf(stderr, "squall-sim worker: '%s' is not an option; see --help\n",
			argv[optind]);
		r = -EINVAL;
	}
	if (!r && !s->fleet) {
		fprintf(stderr, "squall-sim worker: --fleet FILE is required; see --help\n");
		r = -EINVAL;
	}
	return r;
}

static int load_fleet(const char *path, struct sim_fleet *ret)
{
	struct sim_profile *base = malloc(sizeof(*base));
	struct sim_err err = {.text = "out of memory"};
	unsigned int t;
	int r = -ENOMEM;

	if (base) {
		sim_profile_init(base);
		r = sim_fleet_load(path, base, ret, &err);
	}
	free(base);
	if (!r) {
		/* Resolves the broker too: the engine starts only what was checked. */
		for (t = 0; !r && t < ret->ntypes; t++)
			r = sim_profile_check(&ret->type[t], &err);
		if (!r)
			r = locust_check_names(ret, &err);
		if (r)
			sim_fleet_free(ret);
	}
	if (r)
		fprintf(stderr, "squall-sim worker: %s\n", err.text);
	return r;
}

int locust_worker_main(int argc, char **argv)
{
	struct settings s = {
		.worker.master = {.host = "127.0.0.1", .port = 5557, .give_up_s = 300},
		.engine.max_devices = 10000,
	};
	struct sim_engine *engine;
	struct sim_fleet fleet = {0};
	struct sim_err err;
	int r;

	if (parse(argc, argv, &s) || load_fleet(s.fleet, &fleet))
		return SIM_EXIT_USAGE;
	r = sim_engine_new(&fleet, &s.engine, &engine, &err);
	sim_fleet_free(&fleet);
	if (r) {
		fprintf(stderr, "squall-sim worker: %s\n", err.text);
		return SIM_EXIT_USAGE;
	}
	/* May fork, so it comes before any thread. */
	r = sim_engine_start(engine, &err);
	if (r) {
		fprintf(stderr, "squall-sim worker: %s\n", err.text);
		sim_engine_free(engine);
		return SIM_EXIT_FAIL;
	}
	s.worker.max_devices = s.engine.max_devices;
	r = locust_worker_run(engine, &s.worker);
	sim_engine_free(engine);
	return r;
}
