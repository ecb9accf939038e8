// SPDX-License-Identifier: GPL-2.0-only
/* Tables of flows: made, dropped, walked; and whether their memory can be had. */
#include <errno.h>
#include <linux/bpf.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include "squalld/flows/flows.h"
#include "squalld/flows/put.h"

uint32_t flows_sets(uint32_t links)
{
	uint64_t places = (uint64_t)links + (links + 3) / 4;
	uint32_t sets = (uint32_t)((places + SQ_FLOW_WAYS - 1) / SQ_FLOW_WAYS);

	return sets - sets / 200;
}

uint32_t flows_sets_in(uint32_t elements)
{
	return (uint64_t)(elements - 1) * SQ_FLOW_LINES / (SQ_FLOW_LINES + 1);
}

static size_t map_bytes(uint32_t sets)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), n = SQ_FLOW_ELEMENTS(sets);

	return (n * sizeof(union sq_flow_set) + page - 1) / page * page;
}

uint64_t flows_bytes(uint32_t sets)
{
	return map_bytes(sets) + (size_t)sysconf(_SC_PAGESIZE);
}

static bool read_number(const char *path, const char *key, uint64_t *ret)
{
	FILE *f = fopen(path, "re");
	unsigned long long v;
	char line[256];
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f)) {
		if (strncmp(line, key, strlen(key)))
			continue;
		found = sscanf(line + strlen(key), "%llu", &v) == 1;
		if (found)
			*ret = v;
	}
	if (f)
		fclose(f);
	return found;
}

/* What the memory cgroups above us leave, v2 or v1: the maps are charged to their maker (5.11). */
static uint64_t cgroup_room(void)
{
	static const struct {
		const char *line, *mount, *max, *now;
	} kinds[] = {
		{"0::", "/sys/fs/cgroup", "memory.max", "memory.current"},
		{":memory:", "/sys/fs/cgroup/memory", "memory.limit_in_bytes",
		 "memory.usage_in_bytes"},
	};
	uint64_t room = UINT64_MAX, max, now;
	char line[512], file[1024], *path;
	FILE *f = fopen("/proc/self/cgroup", "re");

	while (f && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = 0;
		for (size_t k = 0; k < 2; k++) {
			path = strstr(line, kinds[k].line);
			if (!path || (k == 0 && path != line))
				continue;
			path += strlen(kinds[k].line);
			for (;;) {
				snprintf(file, sizeof(file), "%s%s/%s", kinds[k].mount, path,
					 kinds[k].max);
				if (read_number(file, "", &max)) {
					snprintf(file, sizeof(file), "%s%s/%s", kinds[k].mount,
						 path, kinds[k].now);
					now = 0;
					read_number(file, "", &now);
					if (max - (now < max ? now : max) < room)
						room = max - (now < max ? now : max);
				}
				if (!strrchr(path, '/'))
					break;
				*strrchr(path, '/') = 0;
			}
		}
	}
	if (f)
		fclose(f);
	return room;
}

int flows_fit(uint64_t bytes, uint64_t *ret_room)
{
	uint64_t available_kb, room = cgroup_room();

	if (read_number("/proc/meminfo", "MemAvailable:", &available_kb) &&
	    available_kb * 512 < room)
		room = available_kb * 512;
	*ret_room = room;
	return bytes > room ? -ENOMEM : 0;
}

int flows_make(int outer_fd, uint32_t slot, uint32_t sets)
{
	LIBBPF_OPTS(bpf_map_create_opts, o, .map_flags = BPF_F_INNER_MAP | BPF_F_MMAPABLE);
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "sq_flow_table", sizeof(uint32_t),
				sizeof(union sq_flow_set), SQ_FLOW_ELEMENTS(sets), &o);

	return fd < 0 ? fd : flows_put(outer_fd, slot, fd);
}

int flows_drop(int outer_fd, uint32_t slot)
{
	return bpf_map_delete_elem(outer_fd, &slot);
}

static int table_fd(int outer_fd, uint32_t slot)
{
	uint32_t id;
	int res = bpf_map_lookup_elem(outer_fd, &slot, &id);

	return res ? res : bpf_map_get_fd_by_id(id);
}

/* The table in our memory; *ret_sets and the head in front of them. */
static int map_table(int outer_fd, uint32_t slot, int prot, union sq_flow_set **ret,
		     uint32_t *ret_sets)
{
	int fd = table_fd(outer_fd, slot), res = 0;
	struct bpf_map_info info = {0};
	uint32_t len = sizeof(info);

	if (fd < 0)
		return fd;
	/* The slot may be another rule's by now: its own size counts. */
	if (bpf_obj_get_info_by_fd(fd, &info, &len) || !info.max_entries ||
	    info.value_size != sizeof(**ret)) {
		close(fd);
		return -EIO;
	}
	*ret_sets = flows_sets_in(info.max_entries);
	*ret = mmap(NULL, map_bytes(*ret_sets), prot, MAP_SHARED, fd, 0);
	if (*ret == MAP_FAILED)
		res = -errno;
	close(fd);
	return res;
}

static bool taken(union sq_flow_set *table, uint32_t sets, uint32_t set, int way)
{
	struct sq_flow_tags *tags = &table[SQ_FLOW_TAGS(sets, set)].tags[set % SQ_FLOW_LINES];

	return __atomic_load_n(&tags->tag[way], __ATOMIC_ACQUIRE) > SQ_FLOW_BUSY;
}

int flows_each_place(int outer_fd, uint32_t slot,
		     int (*fn)(const struct sq_flow *flow, uint32_t place, void *arg), void *arg)
{
	union sq_flow_set *set;
	uint32_t sets;
	int res = map_table(outer_fd, slot, PROT_READ, &set, &sets);

	if (res)
		return res;
	for (uint32_t i = 0; i < sets && !res; i++)
		for (int w = 0; w < SQ_FLOW_WAYS && !res; w++)
			if (taken(set, sets, i, w))
				res = fn(&set[1 + i].flow[w], i * SQ_FLOW_WAYS + w, arg);
	munmap(set, map_bytes(sets));
	return res;
}

struct plain {
	int (*fn)(const struct sq_flow *flow, void *arg);
	void *arg;
};

static int without_place(const struct sq_flow *flow, uint32_t place, void *arg)
{
	struct plain *p = arg;

	(void)place;
	return p->fn(flow, p->arg);
}

int flows_each(int outer_fd, uint32_t slot, int (*fn)(const struct sq_flow *flow, void *arg),
	       void *arg)
{
	struct plain p = {fn, arg};

	return flows_each_place(outer_fd, slot, without_place, &p);
}

/* Does a NAT still keep a port for it (RFC 4787, RFC 5382)? */
static bool keeps_port(const struct sq_flow *f, uint64_t now)
{
	const uint32_t both = SQ_FLOW_SEQ_UP | SQ_FLOW_SEQ_DOWN;
	uint64_t last = f->last_ns, after = SQ_FLOW_UDP_NS;

	if (f->proto == IPPROTO_TCP)
		after = (f->state & both) == both ? SQ_FLOW_TCP_NS : SQ_FLOW_OPENING_NS;
	return now < last || now - last <= after;
}

int flows_recount(int outer_fd, uint32_t slot, uint64_t now)
{
	int32_t was[SQ_MAX_CLAUSES], n[SQ_MAX_CLAUSES] = {0};
	union sq_flow_set *set;
	struct sq_flow_head *head;
	uint32_t sets;
	int res = map_table(outer_fd, slot, PROT_READ | PROT_WRITE, &set, &sets);

	if (res)
		return res;
	head = (void *)set;
	for (int c = 0; c < SQ_MAX_CLAUSES; c++)
		was[c] = __atomic_load_n(&head->held[c], __ATOMIC_ACQUIRE);
	for (uint32_t i = 0; i < sets; i++)
		for (int w = 0; w < SQ_FLOW_WAYS; w++) {
			struct sq_flow *f = &set[1 + i].flow[w];

			if (!taken(set, sets, i, w) || !(f->state & SQ_FLOW_HELD))
				continue;
			if (keeps_port(f, now)) {
				n[f->clause % SQ_MAX_CLAUSES]++;
				continue;
			}
			__atomic_store_n(&f->state, SQ_FLOW_ENDED | SQ_FLOW_REFUSED,
					 __ATOMIC_RELEASE);
			__atomic_fetch_add(&head->ended, 1, __ATOMIC_RELAXED);
		}
	/* What began or ended meanwhile makes the count worth nothing: the next one will do. */
	for (int c = 0; c < SQ_MAX_CLAUSES; c++)
		if (was[c] != n[c])
			__atomic_compare_exchange_n(&head->held[c], &was[c], n[c], false,
						    __ATOMIC_RELEASE, __ATOMIC_RELAXED);
	munmap(set, map_bytes(sets));
	return 0;
}

int flows_head(int outer_fd, uint32_t slot, struct sq_flow_head *ret)
{
	int fd = table_fd(outer_fd, slot), res;
	union sq_flow_set set;
	uint32_t zero = 0;

	if (fd < 0)
		return fd;
	res = bpf_map_lookup_elem(fd, &zero, &set);
	close(fd);
	if (!res)
		memcpy(ret, &set, sizeof(*ret));
	return res;
}
