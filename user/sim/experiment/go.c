// SPDX-License-Identifier: GPL-2.0-only
/* A run of an experiment: what starts and ends in which order, and the clock between. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include "lib/clock.h"
#include "sim/experiment/announce.h"
#include "sim/experiment/doc.h"
#include "sim/experiment/file/node.h"
#include "sim/experiment/go.h"
#include "sim/experiment/live.h"
#include "sim/experiment/peers.h"
#include "sim/sim.h"
#include "sim/web/web.h"

#define TENTH (EXP_NS / 10)

struct run {
	struct exp_run r;
	struct experiment *x;
	struct sim_engine *e;
	struct sim_tally *t; /* what --metrics tells; NULL: nobody asks */
	struct sim_web *web;
	struct exp_live live;
	struct exp_announce *announce;
	uint64_t started_ms;
	int sigfd;
	unsigned stage;
	uint64_t stage_ns; /* when the next stage begins */
	bool allowed;
	enum exp_end end;
	char why[400];
};

/* A probe that can never start would be down all the time. */
static int commands(const struct experiment *x, struct sq_error *err)
{
	for (unsigned i = 0; i < x->nprobes; i++) {
		const struct exp_probe *p = &x->probe[i];

		if (p->kind == EXP_COMMAND && !exp_probe_can(x, p))
			return exp_bad_at(x, p->mark, err,
					  "probes: command '%.100s': no such program%s", p->argv[0],
					  strchr(p->argv[0], '/') ? "" : " in $PATH");
	}
	return 0;
}

int exp_prepare(struct experiment *x, struct sq_error *err)
{
	int rc = 0;

	if (*x->run.metrics && !x->fleet.ntypes)
		return sq_bad(err, "metrics: this experiment has no fleet: whose would they be?");
	x->run.devices = x->most;
	if (x->fleet.ntypes)
		rc = sim_run_check(&x->run, &x->fleet, x->count, err);
	if (!rc && !x->seed)
		x->seed = (uint32_t)(sq_real_ms() % 1000000000) + 1;
	rc = rc ? rc : commands(x, err);
	return rc ? rc : exp_peers_check(x, err);
}

/* --- load ----------------------------------------------------------------------------------- */

static bool listens(const struct experiment *x, unsigned type)
{
	const struct sim_profile *p = &x->fleet.type[type];

	return x->fleet.ntypes > 1 && p->nsubs && !*p->topic;
}

/* The stages that have begun by now. Those who listen are all there from the start. */
static void load(struct run *g, uint64_t now)
{
	struct experiment *x = g->x;

	while (g->stage < x->nstages && now >= g->stage_ns) {
		const struct exp_stage *s = &x->stage[g->stage];
		uint32_t share[SIM_MAX_TYPES];
		struct sim_counts c;
		/* Begun late, it still ends on time. */
		uint64_t over = g->stage_ns + s->over_ns > now ? g->stage_ns + s->over_ns - now : 0;
		bool same = g->stage && s->target == x->stage[g->stage - 1].target;

		sim_fleet_split(&x->fleet, s->target, share);
		/* Down before up, so that the sum never passes what the engine holds. */
		for (int up = 0; up < 2; up++) {
			for (unsigned i = 0; i < x->fleet.ntypes; i++) {
				bool first = listens(x, i);

				share[i] = first ? x->count[i] : share[i];
				sim_engine_counts(g->e, (int)i, &c);
				/* Who stays is let finish its ramp. */
				if ((share[i] > c.target) == up && !same)
					sim_engine_target(g->e, i, share[i], first ? 0 : over);
			}
		}
		g->stage_ns += s->over_ns;
		g->stage++;
	}
}

/* --- the clock ------------------------------------------------------------------------------ */

/* A threshold of `before` that is crossed, or NULL. */
static bool steady(struct run *g)
{
	for (unsigned i = 0; i < g->x->nthresholds; i++) {
		const struct exp_threshold *t = &g->x->threshold[i];
		struct exp_verdict v;

		if (t->part != EXP_BEFORE)
			continue;
		exp_judge(&g->r, t, &v);
		if (v.ok)
			continue;
		snprintf(g->why, sizeof(g->why), "%s %s: %s; nothing was broken", t->metric,
			 t->limit, v.said);
		return false;
	}
	return true;
}

static bool aborted(struct run *g)
{
	uint64_t now = g->r.rec->last_ns;

	for (unsigned i = 0; i < g->x->nthresholds; i++) {
		const struct exp_threshold *t = &g->x->threshold[i];
		struct exp_verdict v;

		if (!t->abort || now < t->abort_delay_ns)
			continue;
		exp_judge(&g->r, t, &v);
		if (v.ok || !v.of)
			continue;
		snprintf(g->why, sizeof(g->why), "ended at %.1fs by %s %s: %s", (double)now / 1e9,
			 t->metric, t->limit, v.said);
		return true;
	}
	return false;
}

/* The edge between `before` and the first fault: shall anything be broken? */
static bool gate(struct run *g)
{
	uint32_t faults;

	if (g->allowed || exp_phase_at(g->x, g->r.rec->last_ns, &faults) <= EXP_BEFORE)
		return true;
	if (g->x->before_ns && !steady(g)) {
		g->end = EXP_UNSTEADY;
		return false;
	}
	g->allowed = true;
	exp_inject_allow(g->r.inject);
	return true;
}

/* What those who scrape see: since the last second, and where we are. */
static void tell(struct run *g)
{
	const struct experiment *x = g->x;
	uint32_t faults;
	enum exp_phase p = exp_phase_at(x, g->r.rec->last_ns, &faults);
	struct sim_tally *t = g->t;

	if (!t)
		return;
	sim_tally_update(t);
	pthread_mutex_lock(&t->lock);
	snprintf(t->experiment, sizeof(t->experiment), "%s", x->name);
	snprintf(t->phase, sizeof(t->phase), "%s", exp_phase_words[p]);
	*t->fault = 0;
	for (unsigned i = 0; i < x->nfaults; i++)
		if (faults & 1u << i)
			snprintf(t->fault + strlen(t->fault), sizeof(t->fault) - strlen(t->fault),
				 "%s%s", *t->fault ? "+" : "", x->fault[i].name);
	pthread_mutex_unlock(&t->lock);
}

static void watch(struct run *g)
{
	const struct experiment *x = g->x;
	uint64_t second = EXP_NS;
	struct sq_error err;
	char who[96];

	g->end = EXP_DONE;
	if (g->e)
		load(g, 0);
	tell(g);
	exp_announce_second(g->announce, &g->r, g->started_ms);
	for (;;) {
		uint64_t now = exp_record_now(g->r.rec), next = now / TENTH * TENTH + TENTH,
			 edge = exp_next_edge(x, g->r.rec->last_ns);
		struct timespec ts;
		struct pollfd fd = {g->sigfd, POLLIN, 0};

		next = edge < next ? edge : next;
		if (g->e && g->stage < x->nstages && g->stage_ns < next)
			next = g->stage_ns;
		next = next > now ? next - now : 0;
		ts = (struct timespec){(time_t)(next / EXP_NS), (long)(next % EXP_NS)};
		if (ppoll(&fd, 1, &ts, NULL) > 0) {
			struct signalfd_siginfo taken;

			/* A second one is for the drain. */
			(void)!read(g->sigfd, &taken, sizeof(taken));
			g->end = EXP_INTERRUPTED;
			snprintf(g->why, sizeof(g->why), "by a signal after %.1fs of %gs",
				 (double)exp_record_now(g->r.rec) / 1e9, (double)x->total_ns / 1e9);
			break;
		}
		if (g->e)
			load(g, exp_record_now(g->r.rec));
		exp_record_take(g->r.rec);
		if (!gate(g) || g->r.rec->last_ns >= x->total_ns)
			break;
		if (exp_inject_failed(g->r.inject, &err) ||
		    (g->e && sim_engine_health(g->e, &err))) {
			g->end = EXP_BROKEN;
			snprintf(g->why, sizeof(g->why), "%.390s", err.text);
			break;
		}
		if (g->r.rec->last_ns < second)
			continue;
		second += EXP_NS;
		tell(g);
		exp_live_second(&g->live, &g->r);
		exp_announce_second(g->announce, &g->r, g->started_ms);
		if (exp_announce_stopped(g->announce, who, sizeof(who))) {
			g->end = EXP_INTERRUPTED;
			snprintf(g->why, sizeof(g->why), "stopped by %s after %.1fs of %gs", who,
				 (double)g->r.rec->last_ns / 1e9, (double)x->total_ns / 1e9);
			break;
		}
		if (aborted(g)) {
			g->end = EXP_ABORTED;
			break;
		}
	}
}

/* --- start and end ---------------------------------------------------------------------------- */

static int start(struct run *g, struct sq_error *err)
{
	struct experiment *x = g->x;
	struct sim_engine_opts o = {
		.shards = x->run.threads, .max_devices = x->most, .seed = x->seed};
	int rc = exp_inject_new(x, &g->r.inject, err);

	if (!rc && x->fleet.ntypes)
		rc = sim_engine_new(&x->fleet, &o, &g->e, err);
	if (!rc && g->e)
		rc = sim_engine_start(g->e, err);
	if (rc)
		return rc;
	if (*x->run.metrics && g->e) {
		g->t = sim_tally_new(g->e);
		rc = g->t ? sim_web_start(&x->run, &x->fleet, x->most, g->e, g->t, &g->web, err)
			  : sq_bad(err, "out of memory");
		if (rc)
			return rc;
	}
	g->r.rec = exp_record_new(x, g->e);
	if (!g->r.rec) {
		sq_bad(err, "out of memory");
		return -ENOMEM;
	}
	g->r.probes = exp_probes_start(x, g->r.rec->start_ns);
	return exp_inject_start(g->r.inject, g->r.rec->start_ns);
}

struct hurry {
	struct sim_engine *e;
	int sigfd, over;
};

static void *hurry(void *arg)
{
	struct hurry *h = arg;
	struct pollfd fds[] = {{h->sigfd, POLLIN, 0}, {h->over, POLLIN, 0}};

	while (poll(fds, 2, -1) < 0 && errno == EINTR)
		;
	/* Left where it is: it ends the runs that --repeat would begin as well. */
	if (fds[0].revents & POLLIN)
		sim_engine_hurry(h->e);
	return NULL;
}

/* What is in flight may come for so long, or until a signal. */
static void drain(struct run *g)
{
	struct hurry h = {g->e, g->sigfd, eventfd(0, EFD_CLOEXEC)};
	pthread_t thread;
	bool helped = h.over >= 0 && !pthread_create(&thread, NULL, hurry, &h);

	sim_engine_stop(g->e, g->x->drain_ns);
	if (helped) {
		eventfd_write(h.over, 1);
		pthread_join(thread, NULL);
	}
	if (h.over >= 0)
		close(h.over);
}

/* Faults off first: what is asked then is asked of a network that is whole. */
static void finish(struct run *g)
{
	exp_inject_stop(g->r.inject);
	exp_announce_end(g->announce);
	exp_probes_stop(g->r.probes);
	if (g->e)
		drain(g);
	exp_record_end(g->r.rec);
	/* What was measured then is not what was asked for, so it is no verdict. */
	if (g->end == EXP_DONE && exp_inject_cut(g->r.inject, g->why, sizeof(g->why)))
		g->end = EXP_BROKEN;
	if (g->end == EXP_DONE && g->e && g->r.rec->most_running && !g->r.rec->seen.connects) {
		g->end = EXP_BROKEN;
		snprintf(g->why, sizeof(g->why), "no device ever connected%s%s",
			 g->r.rec->nfailures ? ": " : "",
			 g->r.rec->nfailures ? g->r.rec->failure[0].e.text : "");
	}
}

int exp_once(struct experiment *x, const struct exp_cmd *c, int sigfd, json_t **ret_doc,
	     struct sq_error *err)
{
	struct run g = {.x = x, .r = {.x = x}, .sigfd = sigfd, .started_ms = sq_real_ms()};
	int rc = start(&g, err);

	g.live.f = c->quiet || c->progress ? NULL : c->json ? stderr : stdout;
	g.live.tty = g.live.f && isatty(fileno(g.live.f));
	if (!rc) {
		g.announce = exp_announce_start(x, c);
		watch(&g);
		finish(&g);
		*ret_doc = exp_doc(&g.r, c, g.end, g.why, g.started_ms, &rc);
	} else if (g.r.inject) {
		exp_inject_stop(g.r.inject);
	}
	sim_web_stop(g.web);
	sim_tally_free(g.t);
	exp_probes_free(g.r.probes);
	exp_record_free(g.r.rec);
	sim_engine_free(g.e);
	exp_inject_free(g.r.inject);
	return rc;
}
