// SPDX-License-Identifier: GPL-2.0-only
/*
 * The BPF programs and their maps, from the skeleton into the kernel.
 *
 * Verifying takes most of a start: two programs hold the whole data path each, and libbpf loads one
 * after the other. So the programs are pinned too, by a name that says of which build they are: a
 * squalld of the same build takes them over, and finds them at each interface. Where those that
 * are pinned are another build's, the program for egress is loaded from an object of its own by a
 * second thread, meanwhile, with the same maps.
 *
 * The maps that a squalld before left pinned are the truth: their rules are taken up as they stand,
 * and what it had no time to delete is deleted.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "squall.skel.h"
#include "lib/cgroup.h"
#include "squalld/kernel/engine_internal.h"

static _Thread_local char last_libbpf_line[400];

static __attribute__((format(printf, 2, 0))) int keep_libbpf_line(enum libbpf_print_level level,
								  const char *fmt, va_list ap)
{
	if (level == LIBBPF_WARN) {
		vsnprintf(last_libbpf_line, sizeof(last_libbpf_line), fmt, ap);
		last_libbpf_line[strcspn(last_libbpf_line, "\n")] = 0;
	}
	return 0;
}

/* Is what is pinned the map that this squalld has? The kernel would say EINVAL. */
static int same_layout(const struct bpf_map *map, const char *path, struct sq_error *err)
{
	struct bpf_map_info info = {0};
	uint32_t len = sizeof(info);
	int fd = bpf_obj_get(path), res;

	if (fd < 0)
		return 0;
	res = bpf_obj_get_info_by_fd(fd, &info, &len);
	close(fd);
	if (res || (info.type == bpf_map__type(map) && info.key_size == bpf_map__key_size(map) &&
		    info.value_size == bpf_map__value_size(map) &&
		    info.max_entries == bpf_map__max_entries(map)))
		return 0;
	return sq_error_set(err, -EPROTO, "--pin-dir",
			    "the map %s there has another layout (another squalld's: "
			    "value of %u bytes, here %u); remove it: squalld --cleanup",
			    bpf_map__name(map), info.value_size, bpf_map__value_size(map));
}

/* In one call each: an element each took 10 ms of every start. */
static int fill_distributions(int fd)
{
	uint32_t *keys = calloc(SQ_DIST_SIZE, sizeof(*keys)), n;
	int16_t *table = calloc(SQ_DIST_SIZE, sizeof(*table));
	int res = keys && table ? 0 : -ENOMEM;

	for (int which = SQ_DIST_NORMAL; !res && which <= SQ_DIST_PARETONORMAL; which++) {
		sq_distribution_table(which, table);
		for (uint32_t i = 0; i < SQ_DIST_SIZE; i++)
			keys[i] = which * SQ_DIST_SIZE + i;
		n = SQ_DIST_SIZE;
		res = bpf_map_update_batch(fd, keys, table, &n, NULL);
	}
	free(keys);
	free(table);
	return res;
}

/* --- by two threads ---------------------------------------------------------- */

static bool is_pinned(const struct bpf_map *map)
{
	return !strncmp(bpf_map__name(map), "sq_", 3);
}

/* The object for egress alone, with the maps that are pinned; NULL: not all of them are. */
static struct squall_bpf *open_egress(const struct squall_bpf *whole)
{
	struct squall_bpf *skel = squall_bpf__open();
	struct bpf_program *prog;
	struct bpf_map *map;
	int res = 0;

	if (!skel)
		return NULL;
	bpf_object__for_each_program(prog, skel->obj)
		bpf_program__set_autoload(prog, prog == skel->progs.squall_egress);
	bpf_object__for_each_map(map, skel->obj)
	{
		struct bpf_map *same = bpf_object__find_map_by_name(whole->obj, bpf_map__name(map));
		int fd;

		if (!is_pinned(map))
			continue;
		fd = bpf_obj_get(bpf_map__pin_path(same));
		res = fd < 0 ? fd : bpf_map__reuse_fd(map, fd);
		if (fd >= 0)
			close(fd);
		if (res)
			break;
	}
	if (!res)
		return skel;
	squall_bpf__destroy(skel);
	return NULL;
}

struct egress_load {
	struct squall_bpf *skel;
	int res;
	char why[sizeof(last_libbpf_line)];
};

static void *load_egress(void *arg)
{
	struct egress_load *x = arg;

	x->res = squall_bpf__load(x->skel);
	memcpy(x->why, last_libbpf_line, sizeof(x->why));
	return NULL;
}

static uint32_t id_of(const struct bpf_map *map)
{
	struct bpf_map_info info = {0};
	uint32_t len = sizeof(info);

	return bpf_obj_get_info_by_fd(bpf_map__fd(map), &info, &len) ? 0 : info.id;
}

/* Nobody took a pin away in between? Two programs with a map each would not be one data path. */
static bool same_maps(const struct squall_bpf *a, const struct squall_bpf *b)
{
	const struct bpf_map *map;

	bpf_object__for_each_map(map, a->obj)
	{
		const struct bpf_map *other =
			bpf_object__find_map_by_name(b->obj, bpf_map__name(map));

		if (is_pinned(map) && id_of(map) != id_of(other))
			return false;
	}
	return true;
}

/* Of descriptors of the programs' own: the object for egress goes, and who takes programs over has
 * no others either. */
static int take_programs(struct engine *e, const struct squall_bpf *egress)
{
	for (int p = 0; p < PROGRAMS; p++) {
		const struct squall_bpf *of = p == P_EGRESS && egress ? egress : e->skel;
		struct bpf_program *prog =
			bpf_object__find_program_by_name(of->obj, program_name(p));

		e->prog_fd[p] = fcntl(bpf_program__fd(prog), F_DUPFD_CLOEXEC, 3);
		if (e->prog_fd[p] < 0)
			return -errno;
		bpf_program__unload(prog);
	}
	return 0;
}

/* All programs; last_libbpf_line says why not. */
static int load_programs(struct engine *e)
{
	struct egress_load x = {0};
	pthread_t thread;
	int res;

	if (sysconf(_SC_NPROCESSORS_ONLN) > 1)
		x.skel = open_egress(e->skel);
	if (x.skel && pthread_create(&thread, NULL, load_egress, &x)) {
		squall_bpf__destroy(x.skel);
		x.skel = NULL;
	}
	if (x.skel)
		bpf_program__set_autoload(e->skel->progs.squall_egress, false);
	res = squall_bpf__load(e->skel);
	if (x.skel) {
		pthread_join(thread, NULL);
		if (!res && x.res)
			memcpy(last_libbpf_line, x.why, sizeof(x.why));
		res = res ? res : x.res;
	}
	if (!res && x.skel && !same_maps(e->skel, x.skel)) {
		snprintf(last_libbpf_line, sizeof(last_libbpf_line),
			 "pins were taken away meanwhile; start again");
		res = -EAGAIN;
	}
	if (!res)
		res = take_programs(e, x.skel);
	squall_bpf__destroy(x.skel);
	return res;
}

/* --- those of a squalld before ------------------------------------------------- */

#define PROGRAM_PINS "squall_" /* how their names begin; those of maps: "sq_" */

const char *program_name(enum program p)
{
	static const char *const names[PROGRAMS] = {
		[P_INGRESS] = "squall_ingress", [P_EGRESS] = "squall_egress",
		[P_FRONT] = "squall_front_i",	[P_FRONT_E] = "squall_front_e",
		[P_SEG_IN] = "squall_seg_in",	[P_FQ_OUT] = "squall_fq_out",
		[P_FQ_IN] = "squall_fq_in",	[P_TAP_OUT] = "squall_tap_out",
		[P_TAP_IN] = "squall_tap_in",	[P_PROLONG] = "squall_prolong",
	};

	return names[p];
}

const char *program_path(const struct engine *e, enum program p, char *buf, size_t size)
{
	snprintf(buf, size, "%s/%s-%016llx", e->pin_dir, program_name(p),
		 (unsigned long long)e->build);
	return buf;
}

/* Of the same file the same kernel makes the same programs (FNV-1a). */
static uint64_t build_of(void)
{
	uint64_t h = 0xcbf29ce484222325ull;
	size_t size;
	const unsigned char *p = squall_bpf__elf_bytes(&size);

	for (size_t i = 0; i < size; i++)
		h = (h ^ p[i]) * 0x100000001b3ull;
	return h;
}

static void programs_close(struct engine *e)
{
	for (int p = 0; p < PROGRAMS; p++) {
		if (e->prog_fd[p] >= 0)
			close(e->prog_fd[p]);
		e->prog_fd[p] = -1;
	}
}

static bool programs_open(struct engine *e)
{
	char path[600];

	for (int p = 0; p < PROGRAMS; p++) {
		e->prog_fd[p] = bpf_obj_get(program_path(e, p, path, sizeof(path)));
		if (e->prog_fd[p] < 0)
			return false;
	}
	return true;
}

/* Of its maps, those that are pinned are ours. */
static bool uses_our_maps(const struct engine *e, int prog)
{
	uint32_t ids[64];
	struct bpf_prog_info info = {.map_ids = (uintptr_t)ids, .nr_map_ids = 64};
	uint32_t len = sizeof(info);

	if (bpf_obj_get_info_by_fd(prog, &info, &len) || info.nr_map_ids > 64)
		return false;
	for (uint32_t i = 0; i < info.nr_map_ids; i++) {
		struct bpf_map_info map = {0};
		const struct bpf_map *same;
		int fd = bpf_map_get_fd_by_id(ids[i]), res = -1;

		len = sizeof(map);
		if (fd >= 0) {
			res = bpf_obj_get_info_by_fd(fd, &map, &len);
			close(fd);
		}
		same = res ? NULL : bpf_object__find_map_by_name(e->skel->obj, map.name);
		if (res || (!strncmp(map.name, "sq_", 3) && (!same || id_of(same) != map.id)))
			return false;
	}
	return true;
}

/* Also loads the skeleton, with its maps alone. */
static bool take_over(struct engine *e)
{
	struct bpf_program *prog;
	bool taken;

	bpf_object__for_each_program(prog, e->skel->obj) bpf_program__set_autoload(prog, false);
	taken = !squall_bpf__load(e->skel);
	for (int p = 0; p < PROGRAMS && taken; p++)
		taken = uses_our_maps(e, e->prog_fd[p]);
	return taken;
}

/* What is pinned is then ours. If it cannot be, the next start verifies. */
static void pin_programs(struct engine *e)
{
	DIR *dir = opendir(e->pin_dir);
	struct dirent *d;
	char path[600];

	while (dir && (d = readdir(dir)))
		if (!strncmp(d->d_name, PROGRAM_PINS, strlen(PROGRAM_PINS)))
			unlinkat(dirfd(dir), d->d_name, 0);
	if (dir)
		closedir(dir);
	for (int p = 0; p < PROGRAMS; p++)
		bpf_obj_pin(e->prog_fd[p], program_path(e, p, path, sizeof(path)));
}

/* --- which interfaces a squalld before us was attached to ---------------------- */

static int attach_remember(struct engine *e)
{
	uint32_t *keys = calloc(SQ_MAX_ATTACH, sizeof(*keys)), next, n = SQ_MAX_ATTACH;
	int res = -ENOMEM;

	e->before = calloc(SQ_MAX_ATTACH, sizeof(*e->before));
	/* An array: in their order. */
	if (keys && e->before)
		res = bpf_map_lookup_batch(bpf_map__fd(e->skel->maps.sq_att), NULL, &next, keys,
					   e->before, &n, NULL);
	free(keys);
	if (res && res != -ENOENT) /* that was the last one */
		return res;
	for (uint16_t i = SQ_MAX_ATTACH - 1; i; i--)
		if (e->before[i].ifindex)
			slot_put(&e->then, i, e->before[i].netns_ino, e->before[i].ifindex);
	return 0;
}

uint32_t slot_before(const struct engine *e, uint64_t ino, uint32_t ifindex)
{
	uint16_t i = e->then.first[slot_hash(ino, ifindex)];

	while (i && (e->before[i].ifindex != ifindex || e->before[i].netns_ino != (uint32_t)ino))
		i = e->then.next[i];
	return i;
}

/* --- all of it --------------------------------------------------------------- */

static int open_whole(struct engine *e, struct sq_error *err)
{
	struct bpf_map *map;
	char path[512];
	int res;

	e->skel = squall_bpf__open();
	if (!e->skel)
		return sq_error_set(err, -errno, NULL, "cannot open the BPF programs: %s",
				    strerror(errno));
	bpf_object__for_each_map(map, e->skel->obj)
	{
		if (!is_pinned(map))
			continue;
		snprintf(path, sizeof(path), "%s/%s", e->pin_dir, bpf_map__name(map));
		bpf_map__set_pin_path(map, path);
		res = same_layout(map, path, err);
		if (res)
			return res;
	}
	return 0;
}

/* All programs, with all maps. */
static int load_whole(struct engine *e, struct sq_error *err)
{
	struct utsname un;
	int res = open_whole(e, err);

	e->build = build_of();
	if (!res && programs_open(e)) {
		if (take_over(e))
			return 0;
		squall_bpf__destroy(e->skel);
		e->skel = NULL;
		res = open_whole(e, err);
	}
	programs_close(e);
	if (res)
		return res;
	res = load_programs(e);
	if (res)
		return sq_error_set(
			err, res, NULL,
			"kernel %s refused the BPF programs, which need 5.15 or later: %s (%s)",
			uname(&un) ? "?" : un.release, strerror(-res), last_libbpf_line);
	pin_programs(e);
	return 0;
}

static int know_ids(struct engine *e)
{
	for (int p = 0; p < PROGRAMS; p++) {
		struct bpf_prog_info info = {0};
		uint32_t len = sizeof(info);

		if (bpf_obj_get_info_by_fd(e->prog_fd[p], &info, &len))
			return -errno;
		e->prog_id[p] = info.id;
	}
	return 0;
}

int engine_load(struct engine *e, struct sq_error *err)
{
	int res;

	libbpf_set_print(keep_libbpf_line);
	res = load_whole(e, err);
	if (res)
		return res;
	res = know_ids(e);
	if (res)
		return sq_error_set(err, res, NULL, "cannot look at the BPF programs: %s",
				    strerror(-res));
	e->cfg = mmap(NULL, sysconf(_SC_PAGESIZE), PROT_READ | PROT_WRITE, MAP_SHARED,
		      bpf_map__fd(e->skel->maps.sq_cfg), 0);
	if (e->cfg == MAP_FAILED) {
		e->cfg = NULL;
		return sq_error_set(err, -errno, NULL, "cannot map sq_cfg: %s", strerror(errno));
	}
	e->lane_state = mmap(NULL, sysconf(_SC_PAGESIZE), PROT_READ | PROT_WRITE, MAP_SHARED,
			     bpf_map__fd(e->skel->maps.sq_lane), 0);
	if (e->lane_state == MAP_FAILED) {
		e->lane_state = NULL;
		return sq_error_set(err, -errno, NULL, "cannot map sq_lane: %s", strerror(errno));
	}
	e->waiting = mmap(NULL, WAITING_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
			  bpf_map__fd(e->skel->maps.sq_waiting), 0);
	if (e->waiting == MAP_FAILED) {
		e->waiting = NULL;
		return sq_error_set(err, -errno, NULL, "cannot map sq_waiting: %s",
				    strerror(errno));
	}
	if (e->cfg->abi_version && e->cfg->abi_version != SQ_ABI_VERSION)
		return sq_error_set(err, -EPROTO, "--pin-dir",
				    "maps there have layout %u, this squalld has %u; "
				    "remove them: squalld --cleanup",
				    e->cfg->abi_version, SQ_ABI_VERSION);
	res = attach_remember(e);
	if (res)
		return sq_error_set(err, res, NULL, "cannot read sq_att: %s", strerror(-res));
	res = front_init(e);
	if (res)
		return sq_error_set(err, res, NULL, "cannot fill sq_hooks: %s", strerror(-res));
	res = fill_distributions(bpf_map__fd(e->skel->maps.sq_dist));
	return res ? sq_error_set(err, res, NULL, "cannot fill the maps: %s", strerror(-res)) : 0;
}

/* --- what a squalld before left ------------------------------------------------ */

static int map_fd(const struct bpf_map *map)
{
	return bpf_map__fd(map);
}

/* The rule of one element of sq_targets; one that has ended goes out of the map. */
static int adopt_target(struct engine *e, uint64_t id, struct sq_error *err)
{
	int targets = map_fd(e->skel->maps.sq_targets);
	struct ruled *r = calloc(1, sizeof(*r));
	uint64_t key = id;
	struct sq_target value;
	char path[PATH_MAX];
	bool dead;
	int res;

	if (!r)
		return sq_error_set(err, -ENOMEM, NULL, "out of memory");
	r->fd = -1;
	dead = bpf_map_lookup_elem(targets, &key, &value) ||
	       bpf_map_lookup_elem(map_fd(e->skel->maps.sq_rules), &value.rule_id, &r->rule) ||
	       rule_over_for(&r->rule, 0);
	res = dead ? -ENOENT : cgroup_path_of(id, path, sizeof(path));
	r->level = res ? res : cgroup_level(path, SQ_MAX_LEVELS);
	res = r->level < 0 ? r->level : cgroup_id_of(path, &id, &r->fd);
	/* Not a word of the cgroup, so not the end of its rule. */
	if (res == -EMFILE || res == -ENFILE || res == -ENOMEM) {
		free(r);
		return sq_error_set(err, res, NULL, "cannot look for the cgroup of a rule: %s",
				    strerror(-res));
	}
	if (res || !r->level) {
		bpf_map_delete_elem(targets, &key);
		free(r);
		return 0;
	}
	r->rule.target = id;
	r->elsewhere = lives_elsewhere(e, id);
	ruled_insert(e, r, id);
	e->down_users += rule_has_down(&r->rule);
	return 0;
}

/* Versions that nobody's target names. */
static void drop_versions(struct engine *e)
{
	int rules = map_fd(e->skel->maps.sq_rules);
	uint32_t next;

	for (bool more = !bpf_map_get_next_key(rules, NULL, &next); more;) {
		struct sq_rule rule;
		struct ruled *r;
		uint32_t k = next;

		more = !bpf_map_get_next_key(rules, &k, &next);
		if (k > e->next_rule_id)
			e->next_rule_id = k;
		if (bpf_map_lookup_elem(rules, &k, &rule))
			continue;
		r = ruled_find(e, rule.target);
		if (!r || r->rule.id != k)
			bpf_map_delete_elem(rules, &k);
	}
}

static int by_number(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* In which rules count, in order; NULL: out of memory. The caller frees it. */
static uint32_t *used_counters(const struct engine *e, size_t *ret_n)
{
	/* What a clause that is none has is 0, which is no counter's number. */
	uint32_t *used = calloc((size_t)e->n_rules * SQ_MAX_CLAUSES * SQ_DIRS + 1, sizeof(*used));
	size_t n = 0;

	for (int b = 0; used && b < RULE_BUCKETS; b++)
		for (const struct ruled *r = e->rules[b]; r; r = r->next)
			for (uint32_t i = 0; i < SQ_MAX_CLAUSES * SQ_DIRS; i++)
				used[n++] = r->rule.clause[i / SQ_DIRS].faults[i % SQ_DIRS].counter;
	if (used)
		qsort(used, n, sizeof(*used), by_number);
	*ret_n = n;
	return used;
}

/* Counters that no rule counts in. */
static void drop_counters(struct engine *e)
{
	int counters = map_fd(e->skel->maps.sq_counters);
	size_t n;
	uint32_t *used = used_counters(e, &n), next;

	for (bool more = !bpf_map_get_next_key(counters, NULL, &next); more;) {
		uint32_t k = next;

		more = !bpf_map_get_next_key(counters, &k, &next);
		if (k > e->next_counter)
			e->next_counter = k;
		if (used && !bsearch(&k, used, n, sizeof(*used), by_number))
			bpf_map_delete_elem(counters, &k);
	}
	free(used);
}

int rules_adopt(struct engine *e, struct sq_error *err)
{
	int targets = map_fd(e->skel->maps.sq_targets), res;
	uint64_t id, next;

	for (bool more = !bpf_map_get_next_key(targets, NULL, &next); more;) {
		id = next;
		more = !bpf_map_get_next_key(targets, &id, &next);
		res = adopt_target(e, id, err);
		if (res)
			return res;
	}
	drop_versions(e);
	drop_counters(e);
	e->named = true; /* by a squalld before us, who knows */
	for (int b = 0; b < RULE_BUCKETS; b++)
		for (struct ruled *r = e->rules[b]; r; r = r->next)
			table_adopt(e->tables, &r->rule);
	if (e->cfg->abi_version) /* the maps are those of a squalld before */
		tables_adopt_end(e->tables);
	rules_publish_levels(e);
	return 0;
}
