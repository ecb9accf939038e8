// SPDX-License-Identifier: GPL-2.0-only
/*
 * A child that waits on a pipe. It has a session of its own, so that Ctrl-C does
 * not reach it, and no standard streams, so that nobody waits for it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "sim/base/clock.h"
#include "sim/experiment/agent.h"
#include "sim/experiment/guard.h"
#include "sim/experiment/peers.h"

/* Every fault that is still ours: what was there before is put back. */
static void faults_off(const struct experiment *x, const struct exp_guarded *g)
{
	for (unsigned i = 0; i < x->nfaults; i++) {
		struct sq_error why;
		struct sq_client *c;
		json_t *prior;

		if (!__atomic_load_n(&g[i].set, __ATOMIC_ACQUIRE))
			continue;
		if (exp_by_agent(x, i)) {
			exp_agent_stop(x, i, &why);
			continue;
		}
		if (exp_peer_open(x, i, &c, &why))
			continue;
		prior = json_loads(g[i].prior, 0, NULL);
		exp_peer_end(x, i, c, g[i].etag, prior, sim_now() - g[i].set_ns, NULL, &why);
		json_decref(prior);
		sq_client_close(c);
	}
}

/* The fleet's processes die with their parent, but not in the same instant. */
static void remove_cgroups(const struct experiment *x, const bool *made)
{
	for (unsigned i = 0; i < x->fleet.ntypes; i++)
		for (unsigned k = 0; made[i] && k < 100; k++) {
			if (!rmdir(x->fleet.type[i].cgroup) || errno != EBUSY)
				break;
			usleep(50000);
		}
}

static void guard(const struct experiment *x, const struct exp_guarded *g, int fd, const bool *made)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	char word;
	ssize_t n;

	setsid();
	for (int i = 0; i < 3 && null >= 0; i++)
		dup2(null, i);
	(void)!chdir("/");
	do
		n = read(fd, &word, 1);
	while (n < 0 && errno == EINTR);
	/* After a word all is off, but for what the run could not end. */
	faults_off(x, g);
	remove_cgroups(x, made);
}

int exp_guard_start(const struct experiment *x, struct exp_guard *g)
{
	bool made[SIM_MAX_TYPES] = {false};
	struct stat st;
	int fds[2];

	for (unsigned i = 0; i < x->fleet.ntypes; i++)
		made[i] = *x->fleet.type[i].cgroup && stat(x->fleet.type[i].cgroup, &st);
	g->fault = mmap(NULL, EXP_MAX_FAULTS * sizeof(*g->fault), PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (g->fault == MAP_FAILED || pipe2(fds, O_CLOEXEC))
		return -errno;
	g->pid = fork();
	if (g->pid < 0)
		return -errno;
	if (!g->pid) {
		close(fds[1]);
		guard(x, g->fault, fds[0], made);
		_exit(0);
	}
	close(fds[0]);
	g->fd = fds[1];
	return 0;
}

void exp_guard_end(struct exp_guard *g)
{
	if (g->pid <= 0)
		return;
	if (write(g->fd, "", 1) != 1)
		errno = 0; /* it is dead already */
	close(g->fd);
	waitpid(g->pid, NULL, 0);
	munmap(g->fault, EXP_MAX_FAULTS * sizeof(*g->fault));
	g->pid = 0;
}
