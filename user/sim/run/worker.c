// SPDX-License-Identifier: GPL-2.0-only
/* squall-sim worker: options, the fleet, the engine; then worker.c. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <squall/client.h>
#include "lib/hostname.h"
#include "sim/locust/worker.h"
#include "sim/fleet/creds.h"
#include "sim/run/locust.h"
#include "sim/run/run.h"
#include "sim/sim.h"

struct settings {
	struct locust_worker_opts worker;
	struct sim_engine_opts engine;
	const char *fleet;
	uint32_t port;
};

static int set_folder(void *base, const char *path, struct sq_error *err)
{
	struct settings *s = base;
	struct stat st;

	if (stat(path, &st) || !S_ISDIR(st.st_mode))
		return sq_error_value(err, -EINVAL, "allow-files", path, "a folder");
	s->worker.allow_files = path;
	return 0;
}

static int set_host(void *base, const char *name, struct sq_error *err)
{
	struct settings *s = base;

	char taken[HOSTNAME_SIZE];
	struct in6_addr addr;

	if (!hostname_take(name, taken) && inet_pton(AF_INET, name, &addr) != 1 &&
	    inet_pton(AF_INET6, name, &addr) != 1)
		return sq_error_value(err, -EINVAL, "master-host", name,
				      "an address or the name of a host (" HOSTNAME_LABELS ")");
	s->worker.master.host = name;
	return 0;
}

/* Comma separated; repeatable. */
static int set_faults(void *base, const char *list, struct sq_error *err)
{
	struct settings *s = base;
	char *copy = strdup(list), *save = NULL; /* lives as long as the program */

	if (!copy)
		return sq_bad(err, "out of memory");
	for (char *w = strtok_r(copy, ",", &save); w; w = strtok_r(NULL, ",", &save)) {
		if (s->worker.faults.n_allow == FAULTS_ALLOW)
			return sq_bad(err, "faults: more than %d patterns", FAULTS_ALLOW);
		s->worker.faults.allow[s->worker.faults.n_allow++] = w;
	}
	if (!s->worker.faults.n_allow)
		return sq_error_value(err, -EINVAL, "faults", list,
				      "targets or patterns of them, as worker,ecs:locust-*");
	return 0;
}

static int set_squalld(void *base, const char *url, struct sq_error *err)
{
	struct settings *s = base;

	if (strcmp(url, "ecs") && strncmp(url, "unix:/", 6))
		return sq_error_value(err, -EINVAL, "squalld", url,
				      "unix:PATH, the socket of this host's squalld, or ecs, the "
				      "agent of this ECS task");
	s->worker.faults.by = strcmp(url, "ecs") ? url + 5 : url;
	return 0;
}

#define AT(field) offsetof(struct settings, field)
#define NUMBER(field, lo, hi)                                                                      \
	.kind = sizeof(((struct settings *)0)->field) == 8 ? OPT_U64 : OPT_U32, .at = AT(field),   \
	.min = lo, .max = hi

const struct opt locust_worker_opts[] = {
	{.name = "fleet",
	 .arg = "FILE",
	 .help = "the fleet: one Locust User class per device type (required)",
	 .kind = OPT_TEXT,
	 .at = AT(fleet),
	 .min = 1},
	{.name = "master-host",
	 .arg = "HOST",
	 .help = "the master's name or address",
	 .kind = OPT_CALL,
	 .call = set_host,
	 .def = "127.0.0.1"},
	{.name = "master-port",
	 .arg = "PORT",
	 .help = "its --master-bind-port",
	 NUMBER(port, 1, 65535),
	 .def = "5557"},
	{.name = "max-devices",
	 .arg = "N",
	 .help = "users that this worker takes at most",
	 NUMBER(engine.max_devices, 1, 10000000),
	 .def = "10000"},
	{.name = "shards",
	 .arg = "N",
	 .help = "threads of the engine",
	 NUMBER(engine.shards, 1, 256),
	 .def = "one per CPU"},
	{.name = "seed",
	 .arg = "N",
	 .help = "repeat jitter, phases and templates",
	 NUMBER(engine.seed, 1, UINT64_MAX)},
	{.name = "master-wait",
	 .arg = "SECONDS",
	 .help = "exit after so long without a master; 0: never",
	 .kind = OPT_SECONDS,
	 .at = AT(worker.master.give_up_s),
	 .max = 86400 * 365,
	 .def = "300"},
	{.name = "stay",
	 .help = "when the master quits, wait for the next one",
	 .kind = OPT_FLAG,
	 .at = AT(worker.stay)},
	{.name = "allow-files",
	 .arg = "DIR",
	 .help = "Locust's form may name payload files below DIR; without it, none",
	 .kind = OPT_CALL,
	 .call = set_folder},
	{.name = "faults",
	 .arg = "TARGET,...",
	 .help = "let the master's page break these targets of this host (patterns as *, ?); "
		 "without "
		 "it, none",
	 .kind = OPT_CALL,
	 .call = set_faults},
	{.name = "faults-longest",
	 .arg = "DURATION",
	 .help = "and for how long at most (required with --faults)",
	 .kind = OPT_TIME,
	 .at = AT(worker.faults.longest_ns),
	 .size = 8,
	 .min = 1000000000ull,
	 .max = 86400 * 1000000000ull},
	{.name = "squalld",
	 .arg = "unix:PATH|ecs",
	 .help = "who breaks them: this host's squalld, or the agent of this ECS task",
	 .kind = OPT_CALL,
	 .call = set_squalld,
	 .def = "unix:" SQ_SOCKET_DEFAULT},
	{.name = "json",
	 .letter = 'j',
	 .help = "print what was reported after each run as a line of JSON",
	 .kind = OPT_FLAG,
	 .at = AT(worker.json)},
	{.name = NULL},
};

/* All rows: how many users come, and which of the workers this is, is the master's. */
static int check_rows(const struct sim_profile *p, struct sq_error *err)
{
	const struct sim_creds *creds;
	int r = sim_creds_get(p->credentials, &creds, err);

	if (r || !creds || p->credentials_skip >= sim_creds_rows(creds))
		return r;
	return sim_creds_check(p, sim_creds_rows(creds) - p->credentials_skip, err);
}

static int load_fleet(const char *path, const struct opt *ignored, struct sim_fleet *ret)
{
	struct sim_profile *base = malloc(sizeof(*base));
	struct sq_error err = {.text = "out of memory"};
	unsigned int t;
	int r = -ENOMEM;

	if (base) {
		sim_profile_init(base);
		r = sim_fleet_load(path, ignored, base, ret, &err);
	}
	free(base);
	if (!r) {
		/* Resolves the broker too: the engine starts only what was checked. */
		r = sim_run_names(ret, NULL, &err);
		for (t = 0; !r && t < ret->ntypes; t++)
			r = sim_profile_check(&ret->type[t], &err);
		if (!r)
			r = sim_fleet_needs(ret, false, &err);
		for (t = 0; !r && t < ret->ntypes; t++)
			r = check_rows(&ret->type[t], &err);
		if (!r)
			r = locust_check_names(ret, &err);
		if (r)
			sim_fleet_free(ret);
	}
	if (r)
		fprintf(stderr, "squall-sim worker: %s\n", err.text);
	return r;
}

int locust_worker_main(struct cli *cli, int argc, char **argv)
{
	static const char by[] = SQ_SOCKET_DEFAULT; /* told from one that was given */
	struct settings s = {
		.worker.master = {.host = "127.0.0.1", .give_up_s = 300},
		.worker.faults.by = by,
		.port = 5557,
		.engine.max_devices = 10000,
	};
	struct sim_engine *engine;
	struct sim_fleet fleet = {0};
	struct sq_error err;
	int r;

	r = sim_cli_take(cli, &s, NULL, argc, argv, &err);
	if (!r && !s.fleet)
		r = sq_bad(&err, "--fleet FILE is required; see --help");
	if (!r && !s.worker.faults.n_allow != !s.worker.faults.longest_ns)
		r = sq_bad(&err,
			   "--faults and --faults-longest belong together: which targets, and for "
			   "how long at most");
	if (!r && s.worker.faults.by != by && !s.worker.faults.n_allow)
		r = sq_bad(&err,
			   "squalld '%.100s': accepted with --faults, without which it does "
			   "nothing; add that, or leave squalld out",
			   s.worker.faults.by);
	if (r < 0)
		fprintf(stderr, "squall-sim worker: %s\n", err.text);
	if (r)
		return r > 0 ? SIM_EXIT_OK : SIM_EXIT_USAGE;
	s.worker.master.port = (uint16_t)s.port;
	if (load_fleet(s.fleet, sim_run_keys(cli), &fleet))
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
