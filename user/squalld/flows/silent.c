// SPDX-License-Identifier: GPL-2.0-only
/* Connections that a rule resets although nothing moves in them. */
#include "squalld/flows/silent.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>
#include "lib/cgroup.h"
#include "lib/clock.h"
#include "squalld/flows/flows.h"
#include "squalld/net/netns.h"
#include "squalld/net/sockdiag.h"

#define AT_ONCE	  4096	      /* flows; the rest with the next look, which follows */
#define SPACES	  16	      /* network namespaces of one target */
#define AGAIN_NS  10000000ull /* between two looks at one table */
#define REST	  19	      /* times as long as the look: 5 % of a CPU */
#define NEVER	  UINT64_MAX
#define BOTH_ENDS (SQ_FLOW_SEQ_UP | SQ_FLOW_SEQ_DOWN)
#define OVER_BITS (SQ_FLOW_HUNG | SQ_FLOW_RESET | SQ_FLOW_ENDED | SQ_FLOW_REFUSED)

struct watch {
	struct sq_rule rule;
	uint64_t ends_ns; /* atomic; 0: never */
	bool gone;	  /* atomic; the thread frees it */
	uint64_t look_ns; /* the thread's own from here on */
	/* last_ns of the flow in this place when its socket was asked for: once is enough. */
	uint64_t *tried;
	struct watch *next;
};

struct due {
	struct tcp_ends ends;
	uint32_t place;
	uint64_t last_ns;
};

struct silent {
	int outer_fd, home_fd;
	struct due due[AT_ONCE];
	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t wake;
	pthread_t thread;
	bool runs, stop;
	struct watch *list;
};

struct silent *silent_new(int outer_fd)
{
	struct silent *s = calloc(1, sizeof(*s));
	pthread_condattr_t attr;

	if (!s)
		return NULL;
	s->outer_fd = outer_fd;
	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&s->wake, &attr);
	pthread_condattr_destroy(&attr);
	return s;
}

static bool acts(const struct sq_flow_ask *ask)
{
	return ask->act == SQ_ACT_RESET && (ask->when == SQ_WHEN_IDLE || ask->when == SQ_WHEN_AGE);
}

bool silent_means(const struct sq_rule *rule)
{
	for (uint32_t i = 0; i < rule->n_clauses; i++)
		if (acts(&rule->clause[i].ask))
			return true;
	return false;
}

/* A clause about SYNs alone, before one that resets, is met by some of the flow's packets: the
 * next packet tells then. One that resets follows whole connections. */
int silent_clause(const struct sq_rule *rule, const struct sq_flow *flow)
{
	struct sq_ends ends = {.family = flow->family,
			       .proto = flow->proto,
			       .rport = flow->rport,
			       .lport = flow->lport};

	if (rule->n_hosts)
		return -1; /* which connections are a host's is learnt from packets */
	memcpy(ends.remote, flow->remote, sizeof(ends.remote));
	for (uint32_t i = 0; i < rule->n_excepts; i++)
		if (sq_match_meets(&rule->except[i], &ends))
			return -1;
	for (uint32_t i = 0; i < rule->n_clauses; i++)
		if (sq_match_meets(&rule->clause[i].match, &ends))
			return acts(&rule->clause[i].ask) ? (int)i : -1;
	return -1;
}

static uint64_t due_at(const struct sq_flow_ask *ask, const struct sq_flow *flow)
{
	return (ask->when == SQ_WHEN_IDLE ? flow->last_ns : flow->born_ns) + ask->value + 1;
}

/* --- a look at one table ---------------------------------------------------------- */

struct look {
	struct silent *s;
	struct watch *w;
	uint64_t now, next;
	size_t n;
};

static int look_at(const struct sq_flow *live, uint32_t place, void *arg)
{
	struct look *l = arg;
	struct sq_flow flow;
	struct due *d;
	uint64_t at;
	int c;

	/* What has not connected yet is not there to be reset: its SYN comes again, or it gives up.
	 */
	if (live->proto != IPPROTO_TCP || (live->state & OVER_BITS) ||
	    (live->state & BOTH_ENDS) != BOTH_ENDS)
		return 0;
	flow = *live;
	c = silent_clause(&l->w->rule, &flow);
	if (c < 0)
		return 0;
	at = due_at(&l->w->rule.clause[c].ask, &flow);
	if (at > l->now) {
		if (at < l->next)
			l->next = at;
		return 0;
	}
	if (l->w->tried[place] == flow.last_ns)
		return 0;
	d = &l->s->due[l->n++];
	*d = (struct due){.ends = {.family = flow.family, .lport = flow.lport, .rport = flow.rport},
			  .place = place,
			  .last_ns = flow.last_ns};
	memcpy(d->ends.local, flow.local, sizeof(flow.local));
	memcpy(d->ends.remote, flow.remote, sizeof(flow.remote));
	return l->n == AT_ONCE;
}

/* --- the sockets of a target --------------------------------------------------------- */

struct sockets {
	struct silent *s;
	char path[PATH_MAX];
	size_t n;
	uint64_t ino[SPACES];
	struct mnl_socket *nl[SPACES];
	uint64_t cgroup; /* that was asked about last, and whether it is the target's */
	bool mine;
};

static int add_space(int pid, void *arg)
{
	struct sockets *k = arg;
	uint64_t ino = netns_of(pid);
	int fd;

	for (size_t i = 0; i < k->n; i++)
		if (k->ino[i] == ino)
			return 0;
	fd = ino ? netns_open(pid) : -1;
	if (fd < 0)
		return 0;
	if (!netns_enter(fd)) {
		k->nl[k->n] = sockdiag_open();
		netns_leave(k->s->home_fd);
		k->ino[k->n] = ino;
		k->n += !!k->nl[k->n];
	}
	close(fd);
	return k->n == SPACES;
}

/* In a network namespace that it shares with others, a port may be somebody else's by now. */
static bool is_mine(struct sockets *k, uint64_t cgroup)
{
	size_t n = strlen(k->path);
	char path[PATH_MAX];

	if (cgroup != k->cgroup) {
		k->cgroup = cgroup;
		k->mine = !cgroup_path_of(cgroup, path, sizeof(path)) &&
			  !strncmp(path, k->path, n) && (!path[n] || path[n] == '/');
	}
	return k->mine;
}

static void abort_one(struct sockets *k, const struct tcp_ends *ends)
{
	uint64_t cookie, cgroup;

	for (size_t i = 0; i < k->n; i++)
		if (!sockdiag_find(k->nl[i], ends, &cookie, &cgroup)) {
			if (is_mine(k, cgroup))
				sockdiag_abort(k->nl[i], ends, cookie);
			return;
		}
}

static bool in_force(const struct watch *w)
{
	uint64_t ends = __atomic_load_n(&w->ends_ns, __ATOMIC_ACQUIRE);

	return !__atomic_load_n(&w->gone, __ATOMIC_ACQUIRE) && (!ends || ends > sq_mono_ns());
}

static void abort_all(struct silent *s, struct watch *w, size_t n)
{
	struct sockets k = {.s = s};

	if (cgroup_path_of(w->rule.target, k.path, sizeof(k.path)))
		return;
	cgroup_each_pid(k.path, add_space, &k);
	for (size_t i = 0; i < n && in_force(w); i++) {
		abort_one(&k, &s->due[i].ends);
		w->tried[s->due[i].place] = s->due[i].last_ns;
	}
	for (size_t i = 0; i < k.n; i++)
		sockdiag_close(k.nl[i]);
}

/* --- the thread ------------------------------------------------------------------------ */

static uint64_t now_of(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

/* Sets when to look again, and returns for how long to rest. */
static uint64_t look(struct silent *s, struct watch *w)
{
	/* The kernel judges by this clock, up to a tick (10 ms) behind: what is due by it is due
	 * for the RST too, or that would pass uncounted. */
	struct look l = {.s = s, .w = w, .now = now_of(CLOCK_MONOTONIC_COARSE)};
	uint64_t cost = now_of(CLOCK_THREAD_CPUTIME_ID), again;

	/* What begins after this look is due no sooner. */
	l.next = NEVER;
	for (uint32_t i = 0; i < w->rule.n_clauses; i++)
		if (acts(&w->rule.clause[i].ask) && l.now + w->rule.clause[i].ask.value < l.next)
			l.next = l.now + w->rule.clause[i].ask.value;
	if (!in_force(w)) {
		w->look_ns = l.next;
		return 0;
	}
	flows_each_place(s->outer_fd, w->rule.flow_slot, look_at, &l);
	cost = now_of(CLOCK_THREAD_CPUTIME_ID) - cost;
	if (l.n)
		abort_all(s, w, l.n);
	if (l.n == AT_ONCE)
		l.next = 0;
	again = sq_mono_ns() + AGAIN_NS;
	w->look_ns = l.next < again ? again : l.next;
	return cost * REST;
}

/* The one to be looked at next, or NULL; frees those that are gone. Lock held. */
static struct watch *next_watch(struct silent *s)
{
	struct watch **p = &s->list, *w, *first = NULL;

	while ((w = *p)) {
		if (w->gone) {
			*p = w->next;
			free(w->tried);
			free(w);
			continue;
		}
		if (!first || w->look_ns < first->look_ns)
			first = w;
		p = &w->next;
	}
	return first;
}

static void wait_until(struct silent *s, uint64_t ns)
{
	struct timespec t = {ns / 1000000000, (long)(ns % 1000000000)};

	pthread_cond_timedwait(&s->wake, &s->lock, &t);
}

static void *silent_main(void *arg)
{
	struct silent *s = arg;
	uint64_t rest_ns = 0, at;
	struct watch *w;

	prctl(PR_SET_NAME, "squall-silent");
	pthread_mutex_lock(&s->lock);
	while (!s->stop) {
		w = next_watch(s);
		if (!w) {
			pthread_cond_wait(&s->wake, &s->lock);
			continue;
		}
		at = w->look_ns > rest_ns ? w->look_ns : rest_ns;
		if (at > sq_mono_ns()) {
			wait_until(s, at);
			continue;
		}
		pthread_mutex_unlock(&s->lock);
		rest_ns = look(s, w);
		rest_ns += sq_mono_ns();
		pthread_mutex_lock(&s->lock);
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

/* Lock held. */
static bool start(struct silent *s)
{
	if (s->runs)
		return true;
	s->home_fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (s->home_fd < 0)
		return false;
	s->runs = !pthread_create(&s->thread, NULL, silent_main, s);
	if (!s->runs)
		close(s->home_fd);
	return s->runs;
}

/* --- from outside --------------------------------------------------------------------- */

static struct watch *watch_of(struct silent *s, uint32_t slot)
{
	struct watch *w = s->list;

	while (w && (w->gone || w->rule.flow_slot != slot))
		w = w->next;
	return w;
}

static struct watch *watch_new(const struct sq_rule *rule)
{
	struct watch *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->rule = *rule;
	w->tried = calloc((size_t)rule->flow_sets * SQ_FLOW_WAYS, sizeof(*w->tried));
	if (w->tried)
		return w;
	free(w);
	return NULL;
}

void silent_watch(struct silent *s, const struct sq_rule *rule)
{
	struct watch *w;

	if (!s || !silent_means(rule) || !rule->flow_slot)
		return;
	pthread_mutex_lock(&s->lock);
	w = watch_of(s, rule->flow_slot);
	if (w) {
		__atomic_store_n(&w->ends_ns, rule->expires_ns, __ATOMIC_RELEASE);
	} else if (start(s) && (w = watch_new(rule))) {
		w->ends_ns = rule->expires_ns;
		w->next = s->list;
		s->list = w;
	}
	pthread_cond_signal(&s->wake);
	pthread_mutex_unlock(&s->lock);
}

void silent_forget(struct silent *s, uint32_t slot)
{
	struct watch *w;

	if (!s || !slot)
		return;
	pthread_mutex_lock(&s->lock);
	w = watch_of(s, slot);
	if (w)
		__atomic_store_n(&w->gone, true, __ATOMIC_RELEASE);
	pthread_cond_signal(&s->wake);
	pthread_mutex_unlock(&s->lock);
}

void silent_free(struct silent *s)
{
	struct watch *w;

	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	s->stop = true;
	for (w = s->list; w; w = w->next)
		__atomic_store_n(&w->gone, true, __ATOMIC_RELEASE);
	pthread_cond_signal(&s->wake);
	pthread_mutex_unlock(&s->lock);
	if (s->runs) {
		pthread_join(s->thread, NULL);
		close(s->home_fd);
	}
	next_watch(s);
	pthread_cond_destroy(&s->wake);
	pthread_mutex_destroy(&s->lock);
	free(s);
}
