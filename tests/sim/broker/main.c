// SPDX-License-Identifier: GPL-2.0-only
/* The parent: starts the workers, adds up what they count and reports it. */
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include "broker.h"

#define SERIES 7200

struct stats *st;
static struct stats *all_stats;

uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

void die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("sink: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	exit(2);
}

void *must(void *p)
{
	if (!p)
		die("out of memory");
	return p;
}

static struct stats sum(void)
{
	struct stats s = {0};

	for (uint32_t i = 0; i < opt.workers; i++) {
#define X(n) s.n += __atomic_load_n(&all_stats[i].n, __ATOMIC_RELAXED);
		COUNTERS(X)
#undef X
	}
	return s;
}

static void report(const struct stats *s, const uint64_t *series, uint32_t n)
{
	printf("{\"t_ns\":%llu", (unsigned long long)now_ns());
#define X(f) printf(",\"%s\":%lld", #f, (long long)s->f);
	COUNTERS(X)
#undef X
	if (series) {
		printf(",\"publishes_per_second\":[");
		for (uint32_t i = 0; i < n; i++)
			printf("%s%llu", i ? "," : "", (unsigned long long)series[i]);
		printf("],\"final\":true");
	}
	puts("}");
	fflush(stdout);
}

int main(int argc, char **argv)
{
	static uint64_t series[SERIES];
	uint64_t last = 0, next;
	uint32_t nseries = 0;
	struct rlimit rl;
	sigset_t set;
	SSL_CTX *ctx = NULL;
	pid_t pids[64];
	int max_fd;

	options(argc, argv);
	getrlimit(RLIMIT_NOFILE, &rl);
	rl.rlim_cur = rl.rlim_max;
	setrlimit(RLIMIT_NOFILE, &rl);
	max_fd = rl.rlim_cur > 1048576 ? 1048576 : rl.rlim_cur;
	signal(SIGPIPE, SIG_IGN);
	if (opt.cert)
		ctx = make_ctx();
	all_stats = mmap(NULL, sizeof(*all_stats) * opt.workers, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (all_stats == MAP_FAILED)
		die("mmap: %m");
	/* A worker may be stopped and continued by a test: that is not its end. */
	sigaction(SIGCHLD, &(struct sigaction){.sa_handler = SIG_DFL, .sa_flags = SA_NOCLDSTOP},
		  NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	for (uint32_t i = 0; i < opt.workers; i++) {
		int listener = make_listener();

		st = &all_stats[i];
		pids[i] = fork();
		if (pids[i] < 0)
			die("fork: %m");
		if (!pids[i])
			worker(listener, ctx, max_fd);
		close(listener);
	}
	printf("{\"listening\":%u}\n", opt.port);
	fflush(stdout);
	next = now_ns() + 1000000000;
	for (;;) {
		uint64_t t = now_ns();
		struct timespec ts = {0, next > t ? (next - t) % 1000000000 : 0};
		int sig = sigtimedwait(&set, NULL, &ts);
		struct stats s = sum();

		if (now_ns() >= next) {
			if (nseries < SERIES)
				series[nseries++] = s.publishes - last;
			last = s.publishes;
			next += 1000000000;
		}
		if (sig == SIGUSR1)
			report(&s, NULL, 0);
		if (sig == SIGCHLD)
			die("a worker ended unexpectedly");
		if (sig == SIGINT || sig == SIGTERM) {
			report(&s, series, nseries);
			for (uint32_t i = 0; i < opt.workers; i++)
				kill(pids[i], SIGKILL);
			return 0;
		}
	}
}
