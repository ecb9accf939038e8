// SPDX-License-Identifier: GPL-2.0-only
/* What is attached where, for people and for health checks. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <bpf/libbpf.h>
#include "squall.skel.h"
#include "lib/cgroup.h"
#include "squalld/flows/flows.h"
#include "squalld/kernel/engine_internal.h"
#include "squalld/kernel/seen.h"

/* A namespace that processes of the target are in. */
struct home {
	uint64_t ino;
	int32_t nsid; /* as the host's namespace calls it, -1: it has no name for it */
};

struct view {
	struct engine *e;
	json_t *interfaces, *in_front;
	bool host, edge, inside;
	bool shared; /* with others that are not below it, so what has no socket is nobody's */
	const char *path;
	struct home *homes;
	size_t n, room;
};

/* Whose programs see packets of this interface before ours. */
static json_t *front_json(const struct attachment *a)
{
	json_t *list = json_array();

	for (int dir = 0; dir < 2; dir++)
		if (a->front[dir].who[0])
			json_array_append_new(list, json_sprintf("%s %s: %s", a->name,
								 dir ? "egress" : "ingress",
								 a->front[dir].who));
	return list;
}

static int view_pid(int pid, void *arg)
{
	struct view *v = arg;
	struct home at = {netns_of(pid), -1};
	char path[64];
	int fd;

	for (size_t i = v->n; i--;)
		if (v->homes[i].ino == at.ino)
			return 0;
	if (v->n == v->room) {
		size_t room = v->room ? 2 * v->room : 4;
		struct home *grown = at.ino ? reallocarray(v->homes, room, sizeof(*grown)) : NULL;

		if (!grown)
			return at.ino ? -ENOMEM : 0;
		v->homes = grown;
		v->room = room;
	}
	snprintf(path, sizeof(path), "/proc/%d/ns/net", pid);
	fd = at.ino ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	if (fd >= 0) {
		nl_nsid(fd, false, &at.nsid);
		close(fd);
	}
	if (at.ino)
		v->homes[v->n++] = at;
	return 0;
}

/* Where the packets of the processes of one namespace can be met. */
static void view_home(struct view *v, const struct home *at)
{
	const struct engine *e = v->e;
	const struct seen_space *sp = e->seen ? seen_find(e->seen, at->ino) : NULL;
	size_t len = strlen(v->path);
	json_t *front;

	if (at->ino == e->host_ino)
		v->host = true;
	if (sp && sp->several &&
	    (strncmp(sp->common, v->path, len) || (sp->common[len] && sp->common[len] != '/')))
		v->shared = true;
	for (uint32_t i = 1; i < SQ_MAX_ATTACH; i++) {
		const struct attachment *a = &e->atts[i];
		bool edge = a->ino == e->host_ino && (a->att.flags & SQ_A_EDGE) && at->nsid >= 0 &&
			    a->att.peer_nsid == at->nsid && at->ino != e->host_ino;

		if (!a->ino || !(edge || a->ino == at->ino))
			continue;
		if (at->ino != e->host_ino && (a->att.flags & SQ_A_LOOP))
			continue; /* not what makes a network; in_front cannot be inside */
		if (edge)
			v->edge = true;
		else if (at->ino != e->host_ino)
			v->inside = true;
		if (edge || at->ino != e->host_ino)
			json_array_append_new(v->interfaces, json_string(a->name));
		json_array_extend(v->in_front, front = front_json(a));
		json_decref(front);
	}
}

bool engine_on_host(struct engine *e, uint64_t cgroup_id, bool unless_known)
{
	struct netns_place p = netns_place(e->host_ino, cgroup_id);

	return p.here || (unless_known && !p.elsewhere);
}

const char *engine_lo_passes(struct engine *e, uint64_t cgroup_id, bool unless_known)
{
	struct netns_place p;
	const char *why =
		e->lo_off ? "squalld --lo off" : __atomic_load_n(&e->lo_ill, __ATOMIC_RELAXED);

	if (!why && (!e->ifaces || __atomic_load_n(&e->lo_there, __ATOMIC_RELAXED)))
		return NULL;
	p = netns_place(e->host_ino, cgroup_id);
	if (unless_known && !p.here && !p.elsewhere)
		p.here = p.elsewhere = true;
	if (why)
		return p.here || p.elsewhere ? why : NULL;
	return p.here ? "no --iface of squalld names it" : NULL;
}

const char *engine_late_resets(const struct engine *e)
{
	return e->features[F_DESTROY].available ? NULL : e->features[F_DESTROY].why;
}

json_t *engine_target_view(struct engine *e, uint64_t cgroup_id)
{
	char path[PATH_MAX] = "";
	struct view v = {
		.e = e, .interfaces = json_array(), .in_front = json_array(), .path = path};

	/* A target may have thousands of cgroups: nobody waits for att_lock meanwhile. */
	if (!cgroup_path_of(cgroup_id, path, sizeof(path)))
		cgroup_each_pid(path, view_pid, &v);
	pthread_mutex_lock(&e->att_lock);
	for (size_t i = 0; i < v.n; i++)
		view_home(&v, &v.homes[i]);
	pthread_mutex_unlock(&e->att_lock);
	free(v.homes);
	return json_pack("{s:s, s:o, s:o, s:b}", "mode",
			 v.inside ? "netns"
			 : v.edge ? "bridge"
			 : v.host ? "host"
				  : "none",
			 "interfaces", v.interfaces, "in_front", v.in_front, "shared", v.shared);
}

json_t *engine_no_ethernet(void)
{
	json_t *names = json_array();
	struct nl_link *links;
	size_t n = 0;

	if (nl_links(&links, &n))
		return names;
	for (size_t i = 0; i < n; i++)
		if ((links[i].flags & IFF_UP) && links[i].arptype != ARPHRD_ETHER &&
		    links[i].arptype != ARPHRD_LOOPBACK)
			json_array_append_new(names, json_string(links[i].name));
	free(links);
	return names;
}

json_t *attach_json(struct engine *e)
{
	json_t *list = json_array();

	pthread_mutex_lock(&e->att_lock);
	for (uint32_t i = 1; i < SQ_MAX_ATTACH; i++) {
		const struct attachment *a = &e->atts[i];
		const char *role = (a->att.flags & SQ_A_EDGE)	? "edge"
				   : (a->att.flags & SQ_A_LOOP) ? "loopback"
								: "host";

		if (a->ino)
			json_array_append_new(
				list,
				json_pack("{s:I, s:b, s:i, s:s, s:s, s:b, s:[ss], s:o}", "netns",
					  (json_int_t)a->ino, "host", a->ino == e->host_ino,
					  "ifindex", (int)a->att.ifindex, "name", a->name, "role",
					  role, "shared", !!(a->att.flags & SQ_A_SHARED), "hooks",
					  "ingress", "egress", "in_front", front_json(a)));
	}
	pthread_mutex_unlock(&e->att_lock);
	return list;
}

/* Seen once in a while under load: a dump that misses a filter which is there. Only what is missing
 * twice is. */
static bool filter_there(uint32_t ifindex, bool egress)
{
	if (nl_filter_present(ifindex, egress))
		return true;
	usleep(20000);
	return nl_filter_present(ifindex, egress);
}

static int check_filters(const struct attachment *a, struct sq_error *err)
{
	char name[IF_NAMESIZE];

	for (int egress = 0; egress < 2; egress++)
		if (!filter_there(a->att.ifindex, egress) &&
		    if_indextoname(a->att.ifindex, name)) /* else it went with its link */
			return sq_error_set(err, -ENOENT, "detached",
					    "somebody removed our %s filter from %s",
					    egress ? "egress" : "ingress", a->name);
	return 0;
}

#define JUST_NOW_NS 1000000000ull

/* Is every filter that should be there still there? Host's namespace only: the
 * caller is not the plumber. */
int attach_check(struct engine *e, bool ask, struct sq_error *err)
{
	const struct attachment *behind = NULL;
	int res = 0, dir = 0;
	uint64_t now;

	pthread_mutex_lock(&e->att_lock);
	now = engine_now();
	/* Unless the plumber has just looked, who is woken by a change; or if he does not look. */
	ask = (ask && e->links_ns + JUST_NOW_NS < now) || e->full_ns + 2 * FULL_EVERY_NS < now;
	nl_begin();
	for (uint32_t i = 1; i < SQ_MAX_ATTACH && !res; i++) {
		const struct attachment *a = &e->atts[i];

		if (a->ino != e->host_ino)
			continue;
		if (!behind && (a->front[0].who[0] || a->front[1].who[0])) {
			behind = a;
			dir = !a->front[0].who[0];
		}
		if (ask || !a->there)
			res = check_filters(a, err);
	}
	nl_end();
	if (!res && behind)
		res = sq_error_set(err, 1, "front",
				   "%s is in front of squalld at %s of %s, and may let packets "
				   "pass that a rule means",
				   behind->front[dir].who, dir ? "egress" : "ingress",
				   behind->name);
	pthread_mutex_unlock(&e->att_lock);
	return res;
}

/* --- status ------------------------------------------------------------------- */

static json_t *features_json(struct engine *e)
{
	json_t *list = json_array();

	for (int f = 0; f < F_FEATURES; f++)
		json_array_append_new(list, json_pack("{s:s, s:s, s:b, s:s}", "name",
						      feature_name(f), "text", feature_text(f),
						      "available", e->features[f].available, "why",
						      e->features[f].why));
	return list;
}

static json_t *faults_json(struct engine *e)
{
	static const struct {
		const char *name;
		bool lane;
	} faults[] = {{"loss", false},	    {"delay", true},	{"jitter", true},
		      {"duplicate", false}, {"corrupt", false}, {"reorder", true},
		      {"rate", true},	    {"limit", true},	{"mtu", false},
		      {"hang", false},	    {"reset", false},	{"blackhole", false}};
	json_t *list = json_array();

	for (size_t i = 0; i < sizeof(faults) / sizeof(*faults); i++) {
		bool ok = !faults[i].lane || e->lane != SQ_LANE_NONE;

		json_array_append_new(list,
				      json_pack("{s:s, s:b, s:s}", "name", faults[i].name,
						"available", ok, "why", ok ? "" : e->lane_why));
	}
	return list;
}

static json_t *flows_json(struct engine *e)
{
	uint64_t bytes;
	uint32_t n;

	tables_usage(e->tables, &n, &bytes);
	return json_pack("{s:i, s:I}", "tables", (int)n, "bytes", (json_int_t)bytes);
}

static uint32_t flow_slot(struct engine *e, uint64_t cgroup_id)
{
	struct sq_rule rule;

	return engine_get_rule(e, cgroup_id, &rule) ? 0 : rule.flow_slot;
}

int engine_flow_counts(struct engine *e, uint64_t cgroup_id, struct sq_flow_head *ret)
{
	uint32_t slot = flow_slot(e, cgroup_id);

	return slot ? flows_head(bpf_map__fd(e->skel->maps.sq_flows), slot, ret) : -ENOENT;
}

int engine_flows(struct engine *e, uint64_t cgroup_id,
		 int (*fn)(const struct sq_flow *flow, void *arg), void *arg)
{
	uint32_t slot = flow_slot(e, cgroup_id);

	return slot ? flows_each(bpf_map__fd(e->skel->maps.sq_flows), slot, fn, arg) : -ENOENT;
}

json_t *engine_status(struct engine *e)
{
	struct utsname u;
	int rules;

	uname(&u);
	pthread_mutex_lock(&e->lock);
	rules = e->n_rules;
	pthread_mutex_unlock(&e->lock);
	return json_pack("{s:s, s:s, s:i, s:o, s:o, s:o, s:{s:i, s:i, s:i, s:i, s:i, s:i}, s:o, "
			 "s:o, s:{s:i, s:I, s:I}, s:i, s:I, s:s}",
			 "kernel", u.release, "machine", u.machine, "abi_version", SQ_ABI_VERSION,
			 "lane", lane_json(e), "features", features_json(e), "faults",
			 faults_json(e), "limits", "rules", SQ_MAX_RULES, "clauses", SQ_MAX_CLAUSES,
			 "excepts", SQ_MAX_EXCEPTS, "attachments", SQ_MAX_ATTACH - 1,
			 "cgroup_levels", SQ_MAX_LEVELS, "links", SQ_LINKS_MAX, "flows",
			 flows_json(e), "attachments", attach_json(e), "hosts", "known",
			 (int)e->hosts, "full", (json_int_t)e->cfg->hosts_full, "unparsed",
			 (json_int_t)e->cfg->hosts_unparsed, "rules", rules, "stranded_pkts",
			 (json_int_t)e->cfg->stranded_pkts, "pin_dir", e->pin_dir);
}

int engine_health(struct engine *e, bool ask, struct sq_error *err)
{
	uint64_t now = engine_now(), lease = __atomic_load_n(&e->cfg->lease_ns, __ATOMIC_ACQUIRE);
	uint64_t pacer = __atomic_load_n(&e->cfg->pacer_ns, __ATOMIC_ACQUIRE);
	char why[160];
	int scan_error;

	if (now > lease + SQ_LEASE_NS)
		return sq_error_set(err, -ETIME, "lease", "not renewed for %llu ms",
				    (unsigned long long)((now - lease) / 1000000));
	if (e->lane == SQ_LANE_TAP && now > pacer + SQ_PACER_LEASE_NS)
		return sq_error_set(err, -ETIME, "pacer", "silent for %llu ms",
				    (unsigned long long)((now - pacer) / 1000000));
	if (lane_ill(e, why, sizeof(why)))
		return sq_error_set(err, -ENODEV, "lane",
				    "%s: packets pass without faults that need it", why);
	pthread_mutex_lock(&e->att_lock);
	scan_error = e->n_failed ? e->failed[0].error : 0;
	if (scan_error)
		failure_text(&e->failed[0], why, sizeof(why));
	pthread_mutex_unlock(&e->att_lock);
	if (scan_error)
		return sq_error_set(err, scan_error == -ENOTUNIQ ? 1 : scan_error, "attach",
				    "the last scan failed: %s", why);
	return attach_check(e, ask, err);
}
