// SPDX-License-Identifier: GPL-2.0-only
/*
 * The engine as a whole: opens and closes in order, the thread that renews the lease, and rules
 * that are read or prolonged.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "squall.skel.h"
#include "lib/cgroup.h"
#include "squalld/base/log.h"
#include "squalld/kernel/engine_internal.h"

#define LEASE_TICK_NS 200000000
#define LANE_BYTES    (256u << 20)

int engine_cgroup_id(const char *path, uint64_t *ret_id, struct sq_error *err)
{
	char clean[4096];
	int res;

	if (!cgroup_mount())
		return sq_error_set(err, -ENOSYS, "target",
				    "no cgroup v2 here; mount it: mount -t cgroup2 none "
				    "/sys/fs/cgroup/unified");
	if (snprintf(clean, sizeof(clean), "%s/", path) >= (int)sizeof(clean) ||
	    strstr(clean, "/../") || !strncmp(clean, "../", 3))
		return sq_error_set(err, -EINVAL, "target", "\"%.200s\" is not a path below %s",
				    path, cgroup_mount());
	if (!path[strspn(path, "/.")])
		return sq_error_set(err, -EINVAL, "target",
				    "the root cgroup holds everything; name one below it");
	res = cgroup_id_of(path, ret_id, NULL);
	if (res)
		return sq_error_set(err, res == -ENOTDIR ? -ENOENT : res, "target",
				    "no cgroup \"%.200s\" below %s (%s)", path, cgroup_mount(),
				    strerror(-res));
	return 0;
}

int engine_cgroup_path(uint64_t id, char *ret_path, size_t size)
{
	return cgroup_path_of(id, ret_path, size);
}

/* --- the lease ------------------------------------------------------------ */

static void *lease_main(void *arg)
{
	struct engine *e = arg;
	struct timespec nap = {.tv_nsec = LEASE_TICK_NS};
	bool run = true;

	prctl(PR_SET_NAME, "squall-lease");
	while (run) {
		__atomic_store_n(&e->cfg->lease_ns, engine_now(), __ATOMIC_RELEASE);
		nanosleep(&nap, NULL);
		pthread_mutex_lock(&e->lock);
		run = !e->stop;
		pthread_mutex_unlock(&e->lock);
	}
	return NULL;
}

/* --- an end put off ------------------------------------------------------------ */

/* 0, or -ENOENT: the kernel has no such version. */
static int put_off(struct engine *e, uint32_t rule_id, uint64_t ends_ns, uint64_t for_ns)
{
	/* What the program gets is in the context; a test run wants a packet all the same. */
	unsigned char packet[64] = {0};
	struct __sk_buff ctx = {.cb = {rule_id, (__u32)ends_ns, (__u32)(ends_ns >> 32),
				       (__u32)for_ns, (__u32)(for_ns >> 32)}};
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = packet, .data_size_in = sizeof(packet),
		    .ctx_in = &ctx, .ctx_size_in = sizeof(ctx), .repeat = 1);
	int res = bpf_prog_test_run_opts(e->prog_fd[P_PROLONG], &o);

	return res ? res : o.retval == 1 ? 0 : -ENOENT;
}

int engine_prolong(struct engine *e, uint64_t cgroup_id, uint64_t for_ns, uint64_t *ret_ends_ns)
{
	uint64_t now = engine_now();
	struct ruled *r;
	int res;

	pthread_mutex_lock(&e->lock);
	r = ruled_find(e, cgroup_id);
	/* What has ended stays so: its packets pass already. */
	if (!r || (r->rule.expires_ns && r->rule.expires_ns <= now))
		res = -ENOENT;
	else
		res = put_off(e, r->rule.id, now + for_ns, for_ns);
	if (!res) {
		r->rule.for_ns = for_ns;
		*ret_ends_ns = r->rule.expires_ns = now + for_ns;
		table_in_force(e->tables, &r->rule);
	}
	pthread_mutex_unlock(&e->lock);
	return res;
}

/* --- rules, read ------------------------------------------------------------------ */

int engine_get_rule(struct engine *e, uint64_t cgroup_id, struct sq_rule *ret)
{
	struct ruled *r;
	int res = -ENOENT;

	pthread_mutex_lock(&e->lock);
	r = ruled_find(e, cgroup_id);
	if (r && !rule_over_for(&r->rule, 0)) {
		*ret = r->rule;
		res = 0;
	}
	pthread_mutex_unlock(&e->lock);
	return res;
}

int engine_each_rule(struct engine *e, int (*fn)(const struct sq_rule *rule, void *arg), void *arg)
{
	struct sq_rule *copy;
	int n = 0, res = 0;

	/* fn may call the engine: it gets copies, without the lock. */
	pthread_mutex_lock(&e->lock);
	copy = malloc((e->n_rules + 1) * sizeof(*copy));
	for (int b = 0; copy && b < RULE_BUCKETS; b++)
		for (struct ruled *r = e->rules[b]; r; r = r->next)
			if (!rule_over_for(&r->rule, 0))
				copy[n++] = r->rule;
	pthread_mutex_unlock(&e->lock);
	if (!copy)
		return -ENOMEM;
	for (int i = 0; i < n && !res; i++)
		res = fn(&copy[i], arg);
	free(copy);
	return res;
}

int engine_counters(struct engine *e, uint32_t counter, struct sq_counters *ret)
{
	int cpus = libbpf_num_possible_cpus();
	struct sq_counters *per_cpu = calloc(cpus, sizeof(*per_cpu));
	int err;

	if (!per_cpu)
		return -ENOMEM;
	err = bpf_map_lookup_elem(bpf_map__fd(e->skel->maps.sq_counters), &counter, per_cpu);
	if (!err) {
		memset(ret, 0, sizeof(*ret));
		for (int c = 0; c < cpus; c++)
			for (size_t i = 0; i < sizeof(*ret) / sizeof(uint64_t); i++)
				((uint64_t *)ret)[i] += ((uint64_t *)&per_cpu[c])[i];
	}
	free(per_cpu);
	return err;
}

/* --- open --------------------------------------------------------------------- */

static int choose_lane(struct engine *e, const char *asked, struct sq_error *err)
{
	bool fq = e->features[F_FQ].available, tap = e->features[F_TAP].available;

	if (!strcmp(asked, "fq") && !fq)
		return sq_error_set(err, -EOPNOTSUPP, "--lane", "\"fq\" is not possible: %s",
				    e->features[F_FQ].why);
	if (!strcmp(asked, "tap") && !tap)
		return sq_error_set(err, -EOPNOTSUPP, "--lane", "\"tap\" is not possible: %s",
				    e->features[F_TAP].why);
	if (strcmp(asked, "fq") && strcmp(asked, "tap") && strcmp(asked, "auto"))
		return sq_error_set(err, -EINVAL, "--lane",
				    "\"%s\" is not accepted: auto, fq or tap", asked);
	e->lane = fq && strcmp(asked, "tap") ? SQ_LANE_FQ : tap ? SQ_LANE_TAP : SQ_LANE_NONE;
	if (e->lane == SQ_LANE_FQ)
		snprintf(e->lane_why, sizeof(e->lane_why), "sch_fq is there");
	else if (e->lane == SQ_LANE_TAP)
		snprintf(e->lane_why, sizeof(e->lane_why), "%s",
			 fq ? "asked for by --lane" : e->features[F_FQ].why);
	else
		snprintf(e->lane_why, sizeof(e->lane_why), "no fq (%.60s), no tap (%.80s)",
			 e->features[F_FQ].why, e->features[F_TAP].why);
	return 0;
}

static int lock_netns(struct engine *e, struct sq_error *err)
{
	e->netns_lock = netns_lock();
	if (e->netns_lock == -EBUSY)
		return sq_error_set(err, -EBUSY, NULL,
				    "another squalld runs in this network namespace, or has a "
				    "target in it; `squall status` shows it");
	return e->netns_lock < 0
		       ? sq_error_set(err, e->netns_lock, NULL, "cannot open a socket: %s",
				      strerror(-e->netns_lock))
		       : 0;
}

static int start_threads(struct engine *e, struct sq_error *err)
{
	int res;

	if (e->lane == SQ_LANE_TAP) {
		e->cfg->pacer_ns = engine_now();
		res = pacer_start((uint64_t *)&e->cfg->pacer_ns, e->lane_state->max_bytes,
				  &e->pacer);
		if (res)
			return sq_error_set(err, res, NULL, "cannot start the pacer: %s",
					    strerror(-res));
	}
	res = plumber_start(e, err);
	if (res)
		return res;
	res = -pthread_create(&e->lease, NULL, lease_main, e);
	if (res)
		return sq_error_set(err, res, NULL, "cannot start a thread: %s", strerror(-res));
	e->lease_runs = true;
	return 0;
}

static void stop_threads(struct engine *e)
{
	plumber_stop(e); /* says so to the lease's thread too */
	if (e->lease_runs)
		pthread_join(e->lease, NULL);
	e->lease_runs = false;
}

static void unpin(const char *dir)
{
	struct dirent *d;
	DIR *p = opendir(dir);

	while (p && (d = readdir(p)))
		if (d->d_name[0] != '.')
			unlinkat(dirfd(p), d->d_name, 0);
	if (p)
		closedir(p);
	rmdir(dir);
}

static void engine_free(struct engine *e)
{
	rules_free(e);
	tables_free(e->tables);
	if (e->cfg)
		munmap(e->cfg, sysconf(_SC_PAGESIZE));
	squall_bpf__destroy(e->skel);
	if (e->waiting)
		munmap(e->waiting, WAITING_SIZE);
	if (e->lane_state)
		munmap(e->lane_state, sysconf(_SC_PAGESIZE));
	free(e->before);
	for (char **p = e->ifaces; p && *p; p++)
		free(*p);
	free(e->ifaces);
	free(e->pin_dir);
	for (int i = 0; i < PROGRAMS; i++)
		if (e->prog_fd[i] >= 0)
			close(e->prog_fd[i]);
	for (size_t i = 0; i < 5; i++) {
		int fd = (int[]){e->host_fd, e->netns_lock, e->wake_fd, e->monitor_fd,
				 e->life_fd}[i];

		if (fd >= 0)
			close(fd);
	}
	free(e);
}

static void engine_shut(struct engine *e, bool keep)
{
	char *parent;
	int stuck;

	stop_threads(e);
	if (e->cfg)
		trace_stop(e);
	/* A stale lease would take 2 s to end `clear` rules. */
	if (e->cfg) {
		__atomic_store_n(&e->cfg->lease_ns, 0, __ATOMIC_RELEASE);
		__atomic_store_n(&e->cfg->pacer_ns, 0, __ATOMIC_RELEASE);
	}
	e->ending = true;
	if (!keep && e->skel && e->skel->maps.sq_targets)
		rules_clear(e);
	/* New packets pass from here on; with `keep`, fq goes on without us. */
	if (e->waiting && (!keep || e->lane == SQ_LANE_TAP))
		lane_drain(e);
	attach_stop(e, keep);
	stuck = pacer_stop(e->pacer);
	if (stuck)
		log_error("pacer: got no CPU for 5 s, ending without it");
	if (!keep && e->pin_dir) {
		unpin(e->pin_dir);
		parent = strrchr(e->pin_dir, '/');
		*parent = 0;
		rmdir(e->pin_dir);
	}
	if (!stuck) /* else its heartbeat goes into e->cfg */
		engine_free(e);
}

static struct engine *engine_new(const struct engine_options *o)
{
	struct engine *e = calloc(1, sizeof(*e));
	pthread_condattr_t attr;
	size_t n = 0;

	if (!e)
		return NULL;
	e->host_fd = e->netns_lock = e->wake_fd = e->monitor_fd = e->life_fd = -1;
	memset(e->prog_fd, -1, sizeof(e->prog_fd));
	pthread_mutex_init(&e->lock, NULL);
	pthread_mutex_init(&e->att_lock, NULL);
	/* The wall clock may be set while somebody waits. */
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&e->scanned, &attr);
	pthread_condattr_destroy(&attr);
	while (o->ifaces && o->ifaces[n])
		n++;
	if (n)
		e->ifaces = calloc(n + 1, sizeof(char *));
	for (size_t i = 0; e->ifaces && i < n; i++)
		e->ifaces[i] = strdup(o->ifaces[i]);
	e->lo_off = o->lo_off;
	return e;
}

/* What is needed before anything is made. */
static int look(struct engine *e, struct sq_error *err)
{
	int res;

	if (geteuid())
		return sq_error_set(err, -EPERM, NULL,
				    "squalld needs root: it loads BPF programs and attaches them");
	res = lock_netns(e, err);
	if (res)
		return res;
	e->host_fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	e->host_ino = netns_of(getpid());
	e->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	e->monitor_fd = nl_monitor_open();
	e->life_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (e->host_fd < 0 || e->wake_fd < 0 || e->monitor_fd < 0 || e->life_fd < 0)
		return sq_error_set(err, -EMFILE, NULL,
				    "cannot open what is needed: out of file descriptors?");
	return 0;
}

/* What this machine can is tried while the kernel verifies the programs: each takes a third of a
 * second, of two CPUs. */
static int load_and_probe(struct engine *e, const struct engine_options *o, bool *ret_adopted,
			  struct sq_error *err)
{
	struct sq_error why = {0};
	struct probe *probe;
	int res = probe_start(e, o->probe_missing, &probe, err), can;

	if (res)
		return res;
	res = pins_ready(o->pin_dir, &e->pin_dir, err);
	if (!res)
		res = engine_load(e, err);
	*ret_adopted = !res && e->cfg->abi_version;
	can = probe_end(probe, &why);
	if (!can)
		can = choose_lane(e, o->lane ? o->lane : "auto", &why);
	if (can && err)
		*err = why; /* it says more than the programs' failure */
	return can ? can : res;
}

int engine_open(const struct engine_options *o, struct engine **ret, struct sq_error *err)
{
	struct engine *e = engine_new(o);
	bool adopted = false;
	int res;

	if (!e)
		return sq_error_set(err, -ENOMEM, NULL, "out of memory");
	res = look(e, err);
	if (res) {
		engine_free(e);
		return res;
	}
	res = load_and_probe(e, o, &adopted, err);
	if (!res) {
		e->tables = tables_new(bpf_map__fd(e->skel->maps.sq_flows),
				       e->features[F_DESTROY].available);
		res = e->tables ? rules_adopt(e, err)
				: sq_error_set(err, -ENOMEM, NULL, "out of memory");
	}
	if (!res) {
		lane_adopt(e);
		e->cfg->abi_version = SQ_ABI_VERSION;
		e->cfg->lane = e->lane;
		e->cfg->control_port = o->control_port;
		e->cfg->flags &= ~SQ_C_TRACE;
		e->cfg->lease_ns = engine_now();
		e->lane_state->max_bytes = o->lane_memory ? o->lane_memory : LANE_BYTES;
		e->lane_state->target_max_bytes = e->lane_state->max_bytes / 2;
		res = start_threads(e, err);
	}
	if (res) {
		engine_shut(e, adopted);
		return res;
	}
	*ret = e;
	return 0;
}

void engine_close(struct engine *e, bool keep_rules)
{
	if (e)
		engine_shut(e, keep_rules);
}

int engine_cleanup(const char *pin_dir, struct sq_error *err)
{
	static struct engine probe; /* 750 KiB */
	char path[512];
	struct dirent *d;
	int res, att;
	DIR *dir;

	if (geteuid())
		return sq_error_set(err, -EPERM, NULL, "--cleanup needs root");
	res = lock_netns(&probe, err);
	if (res)
		return sq_error_set(err, res, "--cleanup", "a squalld is running; stop it first");
	snprintf(path, sizeof(path), "%s/v%u/sq_att", pin_dir, SQ_ABI_VERSION);
	att = bpf_obj_get(path);
	attach_clean_all(att);
	if (att >= 0)
		close(att);
	dir = opendir(pin_dir);
	while (dir && (d = readdir(dir))) {
		if (d->d_name[0] != 'v')
			continue;
		snprintf(path, sizeof(path), "%s/%.200s", pin_dir, d->d_name);
		unpin(path);
	}
	if (dir)
		closedir(dir);
	rmdir(pin_dir);
	close(probe.netns_lock);
	return 0;
}
