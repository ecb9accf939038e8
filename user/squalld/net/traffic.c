// SPDX-License-Identifier: GPL-2.0-only
/*
 * Counting what cgroups send and receive: two programs at each, held by links,
 * which go with the last descriptor: a squalld that is killed leaves nothing.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "lib/cgroup.h"
#include "lib/error.h"
#include "squalld/net/traffic.h"
#include "traffic.skel.h"

struct counted {
	uint64_t id;
	struct bpf_link *up, *down;
};

struct traffic {
	struct traffic_bpf *skel;
	struct counted *list;
	size_t n, room;
	int cpus;
	struct traffic_count *values; /* of each CPU */
};

int traffic_open(struct traffic **ret, struct sq_error *err)
{
	struct traffic *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->cpus = libbpf_num_possible_cpus();
	t->values = calloc(t->cpus > 0 ? (size_t)t->cpus : 1, sizeof(*t->values));
	t->skel = t->values ? traffic_bpf__open_and_load() : NULL;
	if (!t->skel || t->cpus < 0) {
		int rc = errno ? -errno : -ENOMEM;

		sq_error_set(err, rc, NULL,
			     "this kernel does not count what cgroups send and receive "
			     "(CONFIG_CGROUP_BPF): %s",
			     strerror(-rc));
		traffic_close(t);
		return rc;
	}
	*ret = t;
	return 0;
}

static void let_go(struct counted *c)
{
	bpf_link__destroy(c->up);
	bpf_link__destroy(c->down);
}

void traffic_close(struct traffic *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->n; i++)
		let_go(&t->list[i]);
	free(t->list);
	free(t->values);
	traffic_bpf__destroy(t->skel);
	free(t);
}

static struct counted *find(const struct traffic *t, uint64_t id)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->list[i].id == id)
			return &t->list[i];
	return NULL;
}

int traffic_follow(struct traffic *t, const char *cgroup, uint64_t id)
{
	struct counted c = {.id = id};
	uint64_t is;
	int fd, rc;

	if (find(t, id))
		return 0;
	if (t->n == t->room) {
		size_t room = t->room ? t->room * 2 : 64;
		struct counted *list = reallocarray(t->list, room, sizeof(*list));

		if (!list)
			return -ENOMEM;
		t->list = list;
		t->room = room;
	}
	rc = cgroup_id_of(cgroup, &is, &fd);
	if (rc < 0)
		return rc;
	c.up = bpf_program__attach_cgroup(t->skel->progs.traffic_up, fd);
	rc = c.up ? 0 : -errno;
	if (rc == 0) {
		c.down = bpf_program__attach_cgroup(t->skel->progs.traffic_down, fd);
		rc = c.down ? 0 : -errno;
	}
	close(fd);
	if (rc < 0 || is != id) {
		let_go(&c);
		return rc < 0 ? rc : -ENOENT;
	}
	t->list[t->n++] = c;
	return 1;
}

void traffic_keep(struct traffic *t, bool (*keep)(uint64_t id, void *arg), void *arg)
{
	for (size_t i = t->n; i-- > 0;) {
		if (keep && keep(t->list[i].id, arg))
			continue;
		let_go(&t->list[i]);
		t->list[i] = t->list[--t->n];
	}
}

size_t traffic_followed(const struct traffic *t)
{
	return t->n;
}

int traffic_read(struct traffic *t, uint64_t id, struct traffic_count *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (bpf_map_lookup_elem(bpf_map__fd(t->skel->maps.traffic), &id, t->values) < 0)
		return -errno;
	for (int i = 0; i < t->cpus; i++) {
		ret->up_pkts += t->values[i].up_pkts;
		ret->up_bytes += t->values[i].up_bytes;
		ret->down_pkts += t->values[i].down_pkts;
		ret->down_bytes += t->values[i].down_bytes;
	}
	return 0;
}
