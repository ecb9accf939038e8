// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where programs must sit.
 *
 * A scan looks at all processes (seen.c), then at the links of the host's namespace (host role: its
 * own sockets; and edge role where the far end of a veth is another namespace), then at those
 * namespaces of ruled targets that no veth leads to (awsvpc: the interface was moved inside). What
 * an event meant is never guessed: it asks for a scan. The host's links, of which there may be
 * hundreds, are looked at only after an event of links or filters, or when the processes told
 * something new; else 500 veths cost 3 % of a CPU once a second, and a first rule 70 ms. And each
 * half a minute, in case that an event was missed.
 */
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <net/if_arp.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "squall.skel.h"
#include "lib/cgroup.h"
#include "squalld/base/log.h"
#include "squalld/kernel/engine_internal.h"
#include "squalld/kernel/seen.h"

/* A full scan asks for each of its links. */
static struct attachment *attachment_of(struct engine *e, uint64_t ino, uint32_t ifindex)
{
	uint16_t i = e->now.first[slot_hash(ino, ifindex)];

	while (i && (e->atts[i].ino != ino || e->atts[i].att.ifindex != ifindex))
		i = e->now.next[i];
	return i ? &e->atts[i] : NULL;
}

int att_publish(struct engine *e, const struct attachment *a)
{
	uint32_t key = a - e->atts;

	return bpf_map_update_elem(bpf_map__fd(e->skel->maps.sq_att), &key, &a->att, BPF_ANY)
		       ? -errno
		       : 0;
}

static bool ours_to_remove(const struct engine *e, uint64_t ino, uint32_t ifindex)
{
	uint32_t key = slot_before(e, ino, ifindex);

	return key && (e->before[key].flags & SQ_A_CLSACT);
}

/* Slots are taken in turn, so that a packet which still waits for a slot's old
 * interface does not come out of another; and an interface gets the one again
 * which it had under a squalld before us, for what waited through the restart. */
static struct attachment *slot_take(struct engine *e, uint64_t ino, uint32_t ifindex)
{
	uint32_t before = slot_before(e, ino, ifindex);

	if (before && !e->atts[before].ino)
		return &e->atts[before];
	for (uint32_t i = 1; i < SQ_MAX_ATTACH; i++) {
		uint32_t k = e->next_att++ % (SQ_MAX_ATTACH - 1) + 1;

		if (!e->atts[k].ino && !e->before[k].ifindex)
			return &e->atts[k];
	}
	for (uint32_t k = 1; k < SQ_MAX_ATTACH; k++)
		if (!e->atts[k].ino)
			return &e->atts[k];
	return NULL;
}

static void slot_free(struct engine *e, struct attachment *a)
{
	uint16_t slot = a - e->atts, *at = &e->now.first[slot_hash(a->ino, a->att.ifindex)];

	while (*at != slot)
		at = &e->now.next[*at];
	*at = e->now.next[slot];
	memset(a, 0, sizeof(*a));
	att_publish(e, a);
}

/* Also notes which filters stand before ours; f: those of ingress and of egress. */
static bool note_filters(struct attachment *a, const struct nl_filters *f)
{
	for (int egress = 0; egress < 2; egress++)
		memcpy(a->front[egress].filter, f[egress].front, sizeof(f[egress].front));
	return a->there = f[0].ours && f[1].ours;
}

/* Both filters, which a squalld before us may have left. */
static int filters_set(struct engine *e, struct attachment *a, struct nl_filters *f)
{
	uint16_t classid = a - e->atts;
	int err = 0;

	for (int dir = 0; dir < 2 && !err; dir++) {
		enum program p = dir ? P_EGRESS : P_INGRESS;

		/* It is there, and first. */
		if (f[dir].ours && f[dir].prog_id == e->prog_id[p] && f[dir].classid == classid &&
		    !f[dir].front[0])
			continue;
		err = nl_filter_set(a->att.ifindex, dir, e->prog_fd[p], program_name(p), classid,
				    &f[dir]);
	}
	return err;
}

static int attach_link(struct engine *e, const struct space *s, const struct nl_link *link,
		       const struct sq_att *want)
{
	struct attachment *a = attachment_of(e, s->ino, link->ifindex);
	struct nl_filters f[2];
	int err;

	nl_filters(link->ifindex, false, &f[0]);
	nl_filters(link->ifindex, true, &f[1]);
	if (a) {
		uint32_t clsact = a->att.flags & SQ_A_CLSACT;
		struct sq_att next = *want;

		a->wanted = true;
		next.flags |= clsact;
		if (memcmp(&a->att, &next, sizeof(next))) {
			a->att = next;
			err = att_publish(e, a);
			if (err)
				return err;
		}
		if (note_filters(a, f))
			return 0;
	} else {
		a = slot_take(e, s->ino, link->ifindex);
		if (!a)
			return -ENOSPC;
		a->att = *want;
		a->ino = s->ino;
		a->wanted = true;
		memcpy(a->name, link->name, sizeof(a->name));
		slot_put(&e->now, a - e->atts, a->ino, link->ifindex);
		e->top_att = a - e->atts < e->top_att ? e->top_att : a - e->atts + 1;
	}
	/* Where both are, they hang on a clsact: none is given to anything else. */
	err = f[0].ours && f[1].ours ? -EEXIST : nl_clsact_add(link->ifindex);
	if (err && err != -EEXIST)
		goto fail;
	if (!err || ours_to_remove(e, s->ino, link->ifindex))
		a->att.flags |= SQ_A_CLSACT;
	err = att_publish(e, a);
	if (!err)
		err = filters_set(e, a, f);
	if (!err) {
		note_filters(a, f);
		return 0;
	}
fail:
	lo_restore(a->att.flags);
	slot_free(e, a);
	return err;
}

/* In the interface's namespace. */
static void detach(struct engine *e, struct attachment *a, bool link_gone)
{
	uint32_t ifindex = a->att.ifindex;
	bool in_use = true;

	if (!link_gone) {
		front_clean(ifindex);
		nl_filter_delete(ifindex, false);
		nl_filter_delete(ifindex, true);
		if ((a->att.flags & SQ_A_CLSACT) && !nl_clsact_in_use(ifindex, &in_use) && !in_use)
			nl_clsact_delete(ifindex);
		lo_restore(a->att.flags);
	}
	slot_free(e, a);
}

static bool named(const struct engine *e, const char *iface)
{
	for (char **p = e->ifaces; p && *p; p++)
		if (!fnmatch(*p, iface, 0))
			return true;
	return false;
}

/* The host's lo: while somebody under a rule lives, or may live, here; and as long as his packets
 * still wait, which come back to it. */
static bool lo_wanted(struct engine *e)
{
	if (e->lo_off || e->ifaces)
		return !e->lo_off && named(e, "lo");
	return e->host_users > 0 || (e->lo_there && e->lane_state->pages > 0);
}

static bool iface_wanted(struct engine *e, const struct space *s, const struct nl_link *link)
{
	if (!strncmp(link->name, OUR_LINKS, strlen(OUR_LINKS)))
		return false;
	if (link->arptype == ARPHRD_LOOPBACK)
		return s->host ? lo_wanted(e) : !e->lo_off;
	/* Others carry no Ethernet header, which lanes need. */
	return link->arptype == ARPHRD_ETHER && (!s->host || !e->ifaces || named(e, link->name));
}

/* lo is attached whole or not at all: what waits would be lost on its way back. */
static void lo_is_ill(struct engine *e, const char *why)
{
	__atomic_store_n(&e->lo_ill, why, __ATOMIC_RELAXED);
}

static int lo_attach(struct engine *e, struct space *s, const struct nl_link *k, struct sq_att *att)
{
	const struct attachment *a = attachment_of(e, s->ino, k->ifindex);
	uint32_t set = a ? a->att.flags : e->before[slot_before(e, s->ino, k->ifindex)].flags;
	int err = a ? 0 : lo_prepare(&set);

	att->flags |= SQ_A_LOOP | (set & (SQ_A_LO_ROUTE | SQ_A_LO_ACCEPT));
	if (!err)
		err = attach_link(e, s, k, att);
	else
		lo_restore(set);
	if (err && !e->lo_ill)
		log_warn("lo: not attached, so what is sent there passes: %s", strerror(-err));
	if (err)
		lo_is_ill(e, "squalld could not attach to it; its log says why");
	if (s->host)
		__atomic_store_n(&e->lo_there, !err, __ATOMIC_RELAXED);
	return 0;
}

static const struct seen_space *behind(const struct seen *seen, int32_t nsid)
{
	for (size_t i = 0; nsid >= 0 && i < seen->n; i++)
		if (seen->list[i].nsid == nsid)
			return &seen->list[i];
	return NULL;
}

/* Whose packets pass the link, as far as the link itself says. */
static struct sq_att att_of(struct space *s, const struct nl_link *k, const struct seen *seen)
{
	struct sq_att att = {.ifindex = k->ifindex,
			     .lane_ifindex = s->lane_ifindex,
			     .seg_ifindex = s->seg_ifindex,
			     .flags = SQ_A_HOST | space_flags(s),
			     .peer_nsid = -1,
			     .netns_ino = s->ino};
	const struct seen_space *owner = NULL;
	uint64_t chain[SQ_MAX_LEVELS] = {0};

	if (!s->host) {
		owner = seen_find(seen, s->ino);
	} else if (!strcmp(k->kind, "veth") && k->peer_nsid >= 0) {
		owner = behind(seen, k->peer_nsid);
		att.flags |= SQ_A_EDGE | (owner && owner->several ? SQ_A_SHARED : 0);
		att.peer_nsid = k->peer_nsid;
	}
	if (owner && seen_chain(owner->common, chain) > 0) {
		memcpy(att.owner, chain, sizeof(att.owner));
		att.flags |= s->host ? 0 : SQ_A_OWNED;
	}
	att.flags |= k->enslaved ? SQ_A_PORT : 0;
	return att;
}

/* Of a veth within a namespace: is its host end attached as an edge already? */
static bool edge_has(struct engine *e, struct space *s, const struct nl_link *k,
		     const struct seen *seen)
{
	const struct attachment *edge;
	const struct seen_space *here;

	if (s->host || strcmp(k->kind, "veth"))
		return false;
	edge = attachment_of(e, e->host_ino, k->peer_ifindex);
	here = seen_find(seen, s->ino);
	return edge && here && here->nsid >= 0 && edge->att.peer_nsid == here->nsid;
}

static int scan_row(struct engine *e, struct space *s, const struct seen *seen, bool only_lo)
{
	struct nl_link *links;
	size_t n;
	int err = only_lo ? nl_link_lo(&links, &n) : nl_links(&links, &n), first = 0;

	if (err)
		return err;
	for (uint32_t a = 1; a < e->top_att; a++)
		if (e->atts[a].ino == s->ino)
			e->atts[a].wanted = only_lo && !(e->atts[a].att.flags & SQ_A_LOOP);
	if (s->host)
		__atomic_store_n(&e->lo_there, false, __ATOMIC_RELAXED);
	for (size_t i = 0; i < n; i++) {
		const struct nl_link *k = &links[i];
		struct sq_att att;

		if (!iface_wanted(e, s, k) || edge_has(e, s, k, seen))
			continue;
		att = att_of(s, k, seen);
		err = k->arptype == ARPHRD_LOOPBACK ? lo_attach(e, s, k, &att)
						    : attach_link(e, s, k, &att);
		/* A link can go away under us; anything else is worth telling. */
		if (err && err != -ENODEV) {
			scan_failed(e, s->ino, att.peer_nsid, err, k->name);
			first = first ? first : err;
		}
	}
	/* Links that are gone: their filters went with them. */
	for (uint32_t a = 1; a < e->top_att; a++) {
		bool there = false;

		if (e->atts[a].ino != s->ino || e->atts[a].wanted)
			continue;
		for (size_t i = 0; i < n && !there; i++)
			there = links[i].ifindex == e->atts[a].att.ifindex;
		detach(e, &e->atts[a], !there);
	}
	free(links);
	return first;
}

/* 500 links are a thousand questions: 30 us each by sockets of their own. */
static int scan_links(struct engine *e, struct space *s, const struct seen *seen, bool only_lo)
{
	int err;

	nl_begin();
	err = scan_row(e, s, seen, only_lo);
	nl_end();
	return err;
}

static struct space *space_of(struct engine *e, uint64_t ino)
{
	for (int i = 0; i < e->n_spaces; i++)
		if (e->spaces[i].ino == ino)
			return &e->spaces[i];
	return NULL;
}

static int space_add(struct engine *e, uint64_t ino, int fd, bool host)
{
	struct space *list = reallocarray(e->spaces, e->n_spaces + 1, sizeof(*list));
	struct space *s;
	int err;

	if (!list)
		return -ENOMEM;
	e->spaces = list;
	s = &list[e->n_spaces];
	*s = (struct space){.ino = ino,
			    .fd = fd,
			    .host = host,
			    .tap_fd = -1,
			    .listener_fd = -1,
			    .lock_fd = -1,
			    .monitor_fd = -1,
			    .wanted = true};
	if (host) {
		err = lane_open(e, s);
	} else {
		err = space_enter(s);
		if (err)
			return err;
		s->lock_fd = netns_lock();
		err = s->lock_fd < 0 ? s->lock_fd : lane_open(e, s);
		s->monitor_fd = err ? -1 : nl_monitor_open();
		if (err && s->lock_fd >= 0)
			close(s->lock_fd);
		space_leave(e);
	}
	if (!err)
		e->n_spaces++;
	return err;
}

static void space_close(struct space *s)
{
	close(s->fd);
	if (s->monitor_fd >= 0)
		close(s->monitor_fd);
	if (s->lock_fd >= 0)
		close(s->lock_fd);
	if (s->listener_fd >= 0)
		close(s->listener_fd);
}

static void space_drop(struct engine *e, struct space *s)
{
	struct nl_link *links;
	size_t n;

	if (s->host || !space_enter(s)) {
		if (nl_links(&links, &n)) {
			links = NULL;
			n = 0;
		}
		for (uint32_t a = 1; a < e->top_att; a++) {
			bool there = false;

			if (e->atts[a].ino != s->ino)
				continue;
			for (size_t i = 0; i < n && !there; i++)
				there = links[i].ifindex == e->atts[a].att.ifindex;
			detach(e, &e->atts[a], !there);
		}
		free(links);
		lane_close(e, s);
		if (!s->host)
			space_leave(e);
	}
	space_close(s);
	*s = e->spaces[--e->n_spaces];
}

/* Does the target's namespace have interfaces that the host's edges do not
 * show? Entering tells; a namespace without any stays unattached. */
static bool needs_inside(struct engine *e, const struct seen_space *sp, int fd)
{
	struct space probe = {.fd = fd};
	struct nl_link *links;
	bool needs = false;
	size_t n;

	if (space_enter(&probe))
		return false;
	if (!nl_links(&links, &n)) {
		for (size_t i = 0; i < n && !needs; i++) {
			const struct attachment *edge;

			if (links[i].arptype != ARPHRD_ETHER ||
			    !strncmp(links[i].name, OUR_LINKS, strlen(OUR_LINKS)))
				continue;
			edge = strcmp(links[i].kind, "veth")
				       ? NULL
				       : attachment_of(e, e->host_ino, links[i].peer_ifindex);
			needs = !(edge && sp->nsid >= 0 && edge->att.peer_nsid == sp->nsid);
		}
		free(links);
	}
	space_leave(e);
	return needs;
}

/* Nothing was said of it since the last look, and its edges tell of its processes. */
static bool quiet(struct space *s, const struct seen_space *sp, bool full)
{
	bool calm = !full && !s->changed && sp->nsid >= 0 &&
		    s->looked_ns + FULL_EVERY_NS > engine_now();

	if (!calm) {
		s->changed = false;
		s->looked_ns = engine_now();
	}
	return calm;
}

static int scan_inside(struct engine *e, struct seen *seen, bool full)
{
	int err = 0, res;

	for (size_t i = 0; i < seen->n; i++) {
		struct seen_space *sp = &seen->list[i];
		struct space *s = space_of(e, sp->ino);
		char path[64];
		int fd;

		/* Its lo went with its last rule. */
		if (!sp->ruled || (sp->edges && !s && !sp->newly))
			continue;
		if (!s) {
			snprintf(path, sizeof(path), "/proc/%d/ns/net", sp->pid);
			fd = open(path, O_RDONLY | O_CLOEXEC);
			if (fd < 0)
				continue; /* the process ended */
			sp->edges = !needs_inside(e, sp, fd);
			if (sp->edges && e->lo_off) {
				close(fd);
				continue;
			}
			res = space_add(e, sp->ino, fd, false);
			if (res) {
				close(fd);
				if (sp->edges) { /* only lo is missing */
					lo_is_ill(e, "squalld has no lane in its namespace");
					continue;
				}
				scan_failed(e, sp->ino, -1, res, SEG_OUT);
				err = err ? err : res;
				continue;
			}
			s = space_of(e, sp->ino);
		}
		s->wanted = true;
		if (quiet(s, sp, full))
			continue;
		res = space_enter(s);
		if (!res) {
			res = scan_links(e, s, seen, false);
			space_leave(e);
			if (res)
				s->looked_ns = 0; /* again, and told again, in the next scan */
		}
		err = err ? err : res;
	}
	return err;
}

void scan_failed(struct engine *e, uint64_t ino, int32_t peer_nsid, int error, const char *what)
{
	bool room = e->n_failed < SCAN_FAILURES;
	struct scan_failure *f = &e->failed[room ? e->n_failed++ : SCAN_FAILURES - 1];

	*f = (struct scan_failure){
		.ino = room ? ino : 0, .peer_nsid = room ? peer_nsid : -1, .error = error};
	snprintf(f->what, sizeof(f->what), "%s", what);
}

int attach_scan(struct engine *e, bool links_changed, bool waited)
{
	struct seen *seen = calloc(1, sizeof(*seen));
	int err = seen ? see_all(e, e->seen, seen) : -ENOMEM, res;
	bool full, all, lo;

	pthread_mutex_lock(&e->att_lock);
	e->n_failed = 0;
	if (err)
		goto out;
	all = links_changed || !e->seen || !seen_same(e->seen, seen) ||
	      e->links_ns + LINKS_EVERY_NS < engine_now();
	full = all || e->full_ns + FULL_EVERY_NS < engine_now();
	for (size_t i = 0; i < seen->n && !full; i++) {
		const struct seen_space *before = seen_find(e->seen, seen->list[i].ino);

		seen->list[i].edges = before && before->edges;
		seen->list[i].newly = seen->list[i].ruled && !(before && before->ruled);
	}
	/* A first rule wants lo: the others need not be asked for that, 60 ms where there are
	 * 2,000. */
	lo = all || lo_wanted(e) != e->lo_there;
	if (lo)
		lo_is_ill(e, NULL);
	/* What waits for an interface comes back to it before it is left. */
	for (int i = 0; i < e->n_spaces; i++)
		e->spaces[i].wanted = e->spaces[i].host || (e->lane_state->pages > 0 &&
							    seen_find(seen, e->spaces[i].ino));
	if (!e->n_spaces) {
		err = space_add(e, e->host_ino, dup(e->host_fd), true);
		if (err)
			goto out;
	}
	if (full)
		e->full_ns = engine_now();
	if (all)
		e->links_ns = engine_now();
	if (lo)
		err = scan_links(e, space_of(e, e->host_ino), seen, !all);
	front_watch(e, full ? NULL : seen, waited);
	res = scan_inside(e, seen, full);
	err = err ? err : res;
	for (int i = e->n_spaces - 1; i >= 0; i--)
		if (!e->spaces[i].wanted)
			space_drop(e, &e->spaces[i]);
out:
	if (err && !e->n_failed)
		scan_failed(e, 0, -1, err, "");
	/* Of the scan before: who was on his way then has been found in his namespace by now. */
	if (!err && e->seen)
		__atomic_store_n(&e->cfg->newest, SQ_CGROUP_SEQ(e->seen->newest), __ATOMIC_RELAXED);
	/* After a failure nothing is known, so the next scan is a full one. */
	seen_free(e->seen);
	e->seen = err ? NULL : seen;
	pthread_mutex_unlock(&e->att_lock);
	if (err)
		seen_free(seen);
	return err;
}

/* keep: the filters stay, so that `keep` rules go on. The host's lane stays too
 * (fq lives without us), those of other namespaces as well. */
void attach_stop(struct engine *e, bool keep)
{
	while (!keep && e->n_spaces)
		space_drop(e, &e->spaces[e->n_spaces - 1]);
	for (int i = 0; i < e->n_spaces; i++)
		space_close(&e->spaces[i]);
	free(e->spaces);
	e->spaces = NULL;
	e->n_spaces = 0;
	seen_free(e->seen);
	e->seen = NULL;
}
