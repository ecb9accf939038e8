// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who runs before us, and how to run before them.
 *
 * A program that ends the chain (TC_ACT_OK, TCX_PASS) hides the packet from all
 * behind it: 0 % of `loss 100%` acted behind Cilium's. tcx (6.6) runs before clsact
 * and lets a program ask for the first place. Our own goes there only where somebody
 * else is, so that a packet of nobody's does not pay for it elsewhere; our clsact
 * filters stay, and what was judged in front is not judged again. Debian 12's libbpf
 * and headers know no tcx, so bpf(2) is called by hand.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "squall.skel.h"
#include "squalld/kernel/engine_internal.h"
#include "squalld/kernel/seen.h"

#define FRONT_NAME "squall_front_"
#define ATTACH_TCX 46	/* BPF_TCX_INGRESS; egress is the next */
#define TCX_BEFORE 0x8u /* BPF_F_BEFORE: without a neighbour named, before all */
#define MAX_PROGS  64
#define MAX_TRIES  5 /* two who both want to be first shall not fight for ever */

/* The parts of union bpf_attr that these commands read (uapi/linux/bpf.h, 6.6). */
struct tcx_query {
	uint32_t ifindex, type, query_flags, attach_flags;
	uint64_t ids;
	uint32_t count, pad;
	uint64_t prog_attach_flags, link_ids, link_attach_flags, revision;
};

struct tcx_change {
	uint32_t ifindex, prog_fd, type, flags, replace_fd, relative;
	uint64_t revision;
};

static int sys_bpf(int cmd, void *attr, size_t size)
{
	return syscall(__NR_bpf, cmd, attr, size) < 0 ? -errno : 0;
}

static int tcx_list(uint32_t ifindex, int dir, uint32_t *ids, uint32_t *ret_n)
{
	struct tcx_query q = {.ifindex = ifindex,
			      .type = ATTACH_TCX + dir,
			      .ids = (uintptr_t)ids,
			      .count = MAX_PROGS};
	int err = sys_bpf(BPF_PROG_QUERY, &q, sizeof(q));

	*ret_n = err ? 0 : q.count;
	return err;
}

static int tcx_attach(uint32_t ifindex, int dir, int fd)
{
	struct tcx_change c = {
		.ifindex = ifindex, .prog_fd = fd, .type = ATTACH_TCX + dir, .flags = TCX_BEFORE};

	return sys_bpf(BPF_PROG_ATTACH, &c, sizeof(c));
}

static int tcx_detach(uint32_t ifindex, int dir, int fd)
{
	struct tcx_change c = {.ifindex = ifindex, .prog_fd = fd, .type = ATTACH_TCX + dir};

	return sys_bpf(BPF_PROG_DETACH, &c, sizeof(c));
}

/* Returns the program's descriptor; name holds BPF_OBJ_NAME_LEN. */
static int prog_of(uint32_t id, char *name)
{
	struct bpf_prog_info info = {0};
	uint32_t len = sizeof(info);
	int fd = bpf_prog_get_fd_by_id(id);

	name[0] = 0;
	if (fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &len))
		snprintf(name, BPF_OBJ_NAME_LEN, "%s", info.name);
	return fd;
}

static bool is_front(const char *name)
{
	return !strncmp(name, FRONT_NAME, strlen(FRONT_NAME));
}

/* Takes away all of our programs but `keep`, also those of a squalld before us. */
static void front_remove(uint32_t ifindex, int dir, uint32_t keep)
{
	uint32_t ids[MAX_PROGS], n;
	char name[BPF_OBJ_NAME_LEN];

	if (tcx_list(ifindex, dir, ids, &n))
		return;
	for (uint32_t i = 0; i < n; i++) {
		int fd = ids[i] == keep ? -1 : prog_of(ids[i], name);

		if (fd >= 0 && is_front(name))
			tcx_detach(ifindex, dir, fd);
		if (fd >= 0)
			close(fd);
	}
}

void front_clean(uint32_t ifindex)
{
	for (int dir = 0; dir < 2; dir++)
		front_remove(ifindex, dir, 0);
}

int front_probe(uint32_t ifindex)
{
	uint32_t ids[MAX_PROGS], n;

	return tcx_list(ifindex, 0, ids, &n);
}

int front_init(struct engine *e)
{
	for (uint32_t dir = 0; dir < 2; dir++)
		if (bpf_map_update_elem(bpf_map__fd(e->skel->maps.sq_hooks), &dir,
					&e->prog_fd[P_INGRESS + dir], BPF_ANY))
			return -errno;
	return 0;
}

/* Of whose interface it is, which tcx does not say. */
static int tell_slot(struct engine *e, const struct attachment *a)
{
	uint32_t key = a->att.ifindex, slot = a - e->atts;

	return bpf_map_update_elem(bpf_map__fd(e->skel->maps.sq_front), &key, &slot, BPF_ANY)
		       ? -errno
		       : 0;
}

/* To the first place of the interface's tcx programs. */
static int go_first(struct engine *e, struct attachment *a, int dir)
{
	int fd = e->prog_fd[P_FRONT + dir], err = tell_slot(e, a);

	if (err)
		return err;
	/* -EEXIST otherwise; the clsact filter judges meanwhile. */
	tcx_detach(a->att.ifindex, dir, fd);
	return tcx_attach(a->att.ifindex, dir, fd);
}

static void look(struct engine *e, struct attachment *a, int dir)
{
	uint32_t ids[MAX_PROGS], n = 0, others = 0, first = 0, stale = 0;
	uint32_t own = e->prog_id[P_FRONT + dir];
	char name[BPF_OBJ_NAME_LEN], first_name[BPF_OBJ_NAME_LEN] = "";
	struct front *f = &a->front[dir];
	bool mine = false;
	int err = e->features[F_TCX].available ? tcx_list(a->att.ifindex, dir, ids, &n) : -EINVAL;

	for (uint32_t i = 0; i < n && i < MAX_PROGS; i++) {
		int fd = ids[i] == own ? -1 : prog_of(ids[i], name);

		if (ids[i] == own) {
			mine = true;
			continue;
		}
		if (fd >= 0)
			close(fd);
		if (fd >= 0 && is_front(name)) {
			stale++;
		} else if (!others++ && !mine) {
			first = ids[i];
			memcpy(first_name, name, sizeof(first_name));
		}
	}
	f->who[0] = 0;
	if (err) {
		memcpy(f->who, f->filter, sizeof(f->who));
		return;
	}
	if (!others && !f->filter[0]) {
		if (mine || stale)
			front_remove(a->att.ifindex, dir, 0);
		f->tries = 0;
		return;
	}
	/* A squalld before us has put it there. */
	if (mine && !a->looked && tell_slot(e, a))
		mine = false;
	if ((first || !mine) && f->tries < MAX_TRIES) {
		f->tries++;
		err = go_first(e, a, dir);
		if (!err)
			first = 0;
		mine = !err;
	}
	if (stale && mine)
		front_remove(a->att.ifindex, dir, own);
	if (first)
		snprintf(f->who, sizeof(f->who), "tcx program \"%s\" (id %u)", first_name, first);
	else if (!mine)
		memcpy(f->who, f->filter, sizeof(f->who));
}

bool engine_in_front(struct engine *e)
{
	return __atomic_load_n(&e->behind, __ATOMIC_RELAXED);
}

/* Namespaces whose edges are asked now, by nsid in order. */
struct asked {
	size_t n;
	int32_t *nsid;
};

static int by_nsid(const void *a, const void *b)
{
	const int32_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Those with rules; waited: of them those that had none until now, which is what a rule waits for.
 * false: out of memory. */
static bool asked_of(const struct seen *seen, bool waited, struct asked *ret)
{
	ret->nsid = calloc(seen->n + 1, sizeof(*ret->nsid));
	for (size_t i = 0; ret->nsid && i < seen->n; i++) {
		const struct seen_space *sp = &seen->list[i];

		if ((waited ? sp->newly : sp->ruled) && sp->nsid >= 0)
			ret->nsid[ret->n++] = sp->nsid;
	}
	if (ret->nsid)
		qsort(ret->nsid, ret->n, sizeof(*ret->nsid), by_nsid);
	return ret->nsid;
}

/* Of the host's own interfaces there are few. */
static bool matters(const struct attachment *a, const struct asked *asked)
{
	return !(a->att.flags & SQ_A_EDGE) || !a->looked ||
	       bsearch(&a->att.peer_nsid, asked->nsid, asked->n, sizeof(*asked->nsid), by_nsid);
}

/* tcx tells nobody of a change, so it is asked, 1 us for each: once a second where a rule acts. Of
 * 2,000 containers without one all would be 0.4 % of a core. */
void front_watch(struct engine *e, const struct seen *seen, bool waited)
{
	struct asked asked = {0};
	bool behind = false, all = !seen || !asked_of(seen, waited, &asked);

	for (uint32_t i = 1; i < e->top_att; i++) {
		struct attachment *a = &e->atts[i];

		bool now = a->ino && (all || matters(a, &asked));

		for (int dir = 0; dir < 2 && a->ino; dir++) {
			if (now && a->ino == e->host_ino)
				look(e, a, dir);
			else if (now)
				memcpy(a->front[dir].who, a->front[dir].filter,
				       sizeof(a->front[dir].who));
			behind |= a->front[dir].who[0];
		}
		a->looked |= now;
	}
	free(asked.nsid);
	__atomic_store_n(&e->behind, behind, __ATOMIC_RELAXED);
}
