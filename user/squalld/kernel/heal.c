// SPDX-License-Identifier: GPL-2.0-only
/*
 * Clean-up scripts, network managers and other people's programs delete links, set them down,
 * replace qdiscs, remove filters and pins. Lanes are looked at after each netlink event of their
 * namespace, pins in each scan, and made right at once; what of a lane cannot be mended is taken
 * out of the attachments, so that packets pass it, and told in health.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "squall.skel.h"
#include "squalld/base/log.h"
#include "squalld/kernel/engine_internal.h"

/* Against somebody who undoes it each time, in a loop of both. */
#define MEND_EVERY_NS 100000000ull
/* Where no event told of anything. */
#define HEAL_EVERY_NS 10000000000ull

static void point_to(struct engine *e, const struct space *s, uint32_t seg, uint32_t lane)
{
	for (uint32_t i = 1; i < SQ_MAX_ATTACH; i++) {
		struct attachment *a = &e->atts[i];

		if (a->ino != s->ino || (a->att.seg_ifindex == seg && a->att.lane_ifindex == lane))
			continue;
		a->att.seg_ifindex = seg;
		a->att.flags &= ~(SQ_A_CUTS_NOW | SQ_A_STAMPS);
		a->att.flags |= space_flags(s);
		a->att.lane_ifindex = lane;
		att_publish(e, a);
	}
}

/* In the space's namespace. false: too early to mend. */
static bool heal(struct engine *e, struct space *s)
{
	char why[sizeof(s->ill)];
	bool seg, lane, was_broken, was_ill = s->ill[0];
	int err;

	nl_begin();
	was_broken = lane_broken(e, s, &seg, &lane, why, sizeof(why));
	nl_end();
	if (!was_broken) {
		s->ill[0] = 0;
		return true;
	}
	if (s->mended_ns + MEND_EVERY_NS > engine_now())
		return false;
	point_to(e, s, seg ? 0 : s->seg_ifindex, lane ? 0 : s->lane_ifindex);
	err = lane_ready(e, s);
	point_to(e, s, s->seg_ifindex, s->lane_ifindex);
	s->mended_ns = engine_now();
	if (err)
		snprintf(s->ill, sizeof(s->ill), "%.60s (%s)", why, strerror(-err));
	else
		s->ill[0] = 0;
	if (!err) {
		__sync_fetch_and_add(&e->lane_state->mended, 1);
		log_warn("lane: %s, by somebody else; made right again", why);
	} else if (!was_ill) {
		log_error("lane: %s, and cannot be made right: %s; packets pass without faults "
			  "that need it",
			  why, strerror(-err));
	}
	return true;
}

/* Of each change there is an event; looking all the same costs 1 us for each qdisc of the host's,
 * of which the kernel lists all. */
void lanes_heal(struct engine *e)
{
	pthread_mutex_lock(&e->att_lock);
	for (int i = 0; i < e->n_spaces; i++) {
		struct space *s = &e->spaces[i];

		if (!s->touched && !s->ill[0] && s->healed_ns + HEAL_EVERY_NS > engine_now())
			continue;
		if (!s->host && space_enter(s))
			continue;
		s->touched = !heal(e, s);
		s->healed_ns = engine_now();
		if (!s->host)
			space_leave(e);
	}
	pthread_mutex_unlock(&e->att_lock);
}

bool lane_ill(struct engine *e, char *why, size_t size)
{
	bool ill = false;

	pthread_mutex_lock(&e->att_lock);
	for (int i = 0; i < e->n_spaces && !ill; i++) {
		ill = e->spaces[i].ill[0];
		if (ill)
			snprintf(why, size, "%s", e->spaces[i].ill);
	}
	pthread_mutex_unlock(&e->att_lock);
	return ill;
}

/* How many were pinned again, or -errno. */
static int pin_heal(const struct engine *e, const char *path, int fd)
{
	char dir[512];

	if (!access(path, F_OK) || errno != ENOENT)
		return 0;
	snprintf(dir, sizeof(dir), "%s", e->pin_dir);
	*strrchr(dir, '/') = 0;
	mkdir(dir, 0700);
	mkdir(e->pin_dir, 0700);
	return bpf_obj_pin(fd, path) ? -errno : 1;
}

/* Without its pins, squalld's rules would not outlive it. */
void pins_heal(struct engine *e)
{
	struct bpf_map *map;
	char path[600];
	int n = 0, err = 0, res;

	bpf_object__for_each_map(map, e->skel->obj)
	{
		if (!bpf_map__pin_path(map))
			continue;
		res = pin_heal(e, bpf_map__pin_path(map), bpf_map__fd(map));
		n += res > 0;
		err = res < 0 ? res : err;
	}
	for (int p = 0; p < PROGRAMS; p++) {
		res = pin_heal(e, program_path(e, p, path, sizeof(path)), e->prog_fd[p]);
		n += res > 0;
		err = res < 0 ? res : err;
	}
	if (n)
		log_warn("pins: %d in %s were removed by somebody else; pinned again", n,
			 e->pin_dir);
	if (err && e->pin_error != err)
		log_error("pins: cannot pin again in %s: %s", e->pin_dir, strerror(-err));
	e->pin_error = err;
}
