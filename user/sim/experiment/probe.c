// SPDX-License-Identifier: GPL-2.0-only
/*
 * HTTP by libcurl, commands by posix_spawn in a process group of their own, so
 * that one which hangs goes with its children.
 */
#include <curl/curl.h>
#include <errno.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "sim/base/clock.h"
#include "sim/experiment/probe.h"

#define PAGE_MAX (1u << 20) /* of a page of metrics */
/* 100,000 answers are 28 hours of a probe per second; 2.4 MB. */
#define ANSWERS_MAX 100000

struct one {
	struct exp_probes *all;
	const struct exp_probe *p;
	pthread_t thread;
	bool running;
	struct exp_answer *answer;
	unsigned n, cap;
	char why[160];
};

struct exp_probes {
	const struct experiment *x;
	uint64_t start_ns;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool stop;
	struct one one[EXP_MAX_PROBES];
};

struct page {
	char *text;
	size_t len;
};

static size_t keep(char *data, size_t size, size_t n, void *ctx)
{
	struct page *p = ctx;
	char *grown;

	size *= n;
	if (!p || p->len + size > PAGE_MAX)
		return p ? 0 : size;
	grown = realloc(p->text, p->len + size + 1);
	if (!grown)
		return 0;
	p->text = grown;
	memcpy(grown + p->len, data, size);
	p->len += size;
	grown[p->len] = 0;
	return size;
}

static int stopping(void *ctx, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
	(void)a, (void)b, (void)c, (void)d;
	return __atomic_load_n(&((struct exp_probes *)ctx)->stop, __ATOMIC_RELAXED);
}

/* "name{labels} value" at a line's start. NAN: ret_why says why it is no number. */
static double metric_of(const char *text, const char *name, char *ret_why, size_t cap)
{
	size_t n = strlen(name);

	for (const char *s = text; s && *s; s = strchr(s, '\n') ? strchr(s, '\n') + 1 : NULL) {
		char *end;
		double v;

		if (strncmp(s, name, n) || (s[n] != ' ' && s[n] != '\t'))
			continue;
		s += n + strspn(s + n, " \t");
		v = strtod(s, &end);
		/* NaN and Inf are Prometheus' words for "none": a threshold cannot go by them. */
		if (end != s && isfinite(v) && strchr(" \t\r\n", *end))
			return v;
		snprintf(ret_why, cap, "%.80s is no number: %.*s", name, (int)strcspn(s, " \t\r\n"),
			 s);
		return NAN;
	}
	snprintf(ret_why, cap, "%.100s is not on the page", name);
	return NAN;
}

static void ask_http(struct one *o, struct exp_answer *a)
{
	const struct exp_probe *p = o->p;
	struct page page = {NULL, 0};
	char error[CURL_ERROR_SIZE] = "";
	CURL *c = curl_easy_init();
	uint64_t from = sim_now();
	long status = 0;
	CURLcode rc;

	if (!c)
		return;
	curl_easy_setopt(c, CURLOPT_URL, p->url);
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_PROXY, "");
	curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)(p->timeout_ns / 1000000));
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, keep);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, p->kind == EXP_PROMETHEUS ? &page : NULL);
	curl_easy_setopt(c, CURLOPT_ERRORBUFFER, error);
	curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, stopping);
	curl_easy_setopt(c, CURLOPT_XFERINFODATA, o->all);
	rc = curl_easy_perform(c);
	curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_cleanup(c);
	a->up = !rc && (p->expect ? status == (long)p->expect : status / 100 == 2);
	if (a->up && p->kind == EXP_PROMETHEUS) {
		a->value = metric_of(page.text, p->metric, o->why, sizeof(o->why));
		a->up = !isnan(a->value);
	} else if (a->up) {
		a->value = (double)(sim_now() - from) / 1e6;
	} else {
		if (rc)
			snprintf(o->why, sizeof(o->why), "%.150s",
				 *error ? error : curl_easy_strerror(rc));
		else
			snprintf(o->why, sizeof(o->why), "status %ld", status);
	}
	free(page.text);
}

bool exp_probe_can(const struct experiment *x, const struct exp_probe *p)
{
	const char *name = p->argv[0], *path = getenv("PATH"), *end;
	char full[1024];

	/* As posix_spawnp() looks for it, from the experiment's folder. */
	if (strchr(name, '/')) {
		snprintf(full, sizeof(full), "%s/%.700s", *name == '/' ? "" : x->dir, name);
		return !access(full, X_OK);
	}
	for (path = path ? path : "/bin:/usr/bin"; *path; path = end + (*end == ':')) {
		end = strchrnul(path, ':');
		snprintf(full, sizeof(full), "%.*s/%.255s", (int)(end - path), path, name);
		if (!access(full, X_OK))
			return true;
	}
	return false;
}

static void ask_command(struct one *o, struct exp_answer *a)
{
	const struct exp_probe *p = o->p;
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t at;
	sigset_t none;
	uint64_t from = sim_now();
	struct pollfd pfd = {.events = POLLIN};
	int rc, status = 0;
	pid_t pid;

	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", 0, 0);
	posix_spawn_file_actions_addopen(&fa, 1, "/dev/null", 1, 0);
	posix_spawn_file_actions_addchdir_np(&fa, o->all->x->dir);
	posix_spawnattr_init(&at);
	sigemptyset(&none);
	posix_spawnattr_setsigmask(&at, &none);
	posix_spawnattr_setpgroup(&at, 0);
	posix_spawnattr_setflags(&at, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
	rc = posix_spawnp(&pid, p->argv[0], &fa, &at, p->argv, environ);
	posix_spawnattr_destroy(&at);
	posix_spawn_file_actions_destroy(&fa);
	if (rc) {
		snprintf(o->why, sizeof(o->why), "%.80s: %s", p->argv[0], strerror(rc));
		return;
	}
	pfd.fd = (int)syscall(SYS_pidfd_open, pid, 0);
	for (rc = 0; !rc && pfd.fd >= 0 && sim_now() - from < p->timeout_ns;) {
		uint64_t left = (p->timeout_ns - (sim_now() - from)) / 1000000 + 1;

		if (__atomic_load_n(&o->all->stop, __ATOMIC_RELAXED))
			break;
		rc = poll(&pfd, 1, left < 100 ? (int)left : 100);
	}
	if (rc <= 0)
		kill(-pid, SIGKILL);
	if (pfd.fd >= 0)
		close(pfd.fd);
	waitpid(pid, &status, 0);
	a->up = rc > 0 && WIFEXITED(status) && !WEXITSTATUS(status);
	a->value = a->up ? (double)(sim_now() - from) / 1e6 : NAN;
	if (rc <= 0)
		snprintf(o->why, sizeof(o->why), "no end within %gs", (double)p->timeout_ns / 1e9);
	else if (!a->up)
		snprintf(o->why, sizeof(o->why), "exit %d",
			 WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

static void note(struct one *o, const struct exp_answer *a)
{
	struct exp_answer *grown;

	if (o->n == o->cap && o->cap < ANSWERS_MAX) {
		grown = realloc(o->answer, (o->cap + 1024) * sizeof(*grown));
		if (!grown)
			return;
		o->answer = grown;
		o->cap += 1024;
	}
	if (o->n < o->cap)
		o->answer[o->n++] = *a;
}

static void *probe(void *arg)
{
	struct one *o = arg;
	struct exp_probes *all = o->all;
	uint64_t next = all->start_ns;
	char why[sizeof(o->why)];

	pthread_mutex_lock(&all->lock);
	while (!all->stop) {
		struct timespec ts = {(time_t)(next / EXP_NS), (long)(next % EXP_NS)};
		struct exp_answer a = {0, false, NAN};

		if (sim_now() < next) {
			pthread_cond_timedwait(&all->wake, &all->lock, &ts);
			continue;
		}
		pthread_mutex_unlock(&all->lock);
		a.at_ns = sim_now() - all->start_ns;
		memcpy(why, o->why, sizeof(why));
		if (o->p->kind == EXP_COMMAND)
			ask_command(o, &a);
		else
			ask_http(o, &a);
		pthread_mutex_lock(&all->lock);
		if (!all->stop)
			note(o, &a);
		else
			/* Cut off by the end of the run, which is no failure of it. */
			memcpy(o->why, why, sizeof(why));
		/* One that took longer than its time is not asked twice at once. */
		do
			next += o->p->every_ns;
		while (next < sim_now());
	}
	pthread_mutex_unlock(&all->lock);
	return NULL;
}

struct exp_probes *exp_probes_start(const struct experiment *x, uint64_t start_ns)
{
	struct exp_probes *p = x->nprobes ? calloc(1, sizeof(*p)) : NULL;
	pthread_condattr_t at;

	if (!p)
		return NULL;
	p->x = x;
	p->start_ns = start_ns;
	pthread_mutex_init(&p->lock, NULL);
	pthread_condattr_init(&at);
	pthread_condattr_setclock(&at, CLOCK_MONOTONIC);
	pthread_cond_init(&p->wake, &at);
	pthread_condattr_destroy(&at);
	for (unsigned i = 0; i < x->nprobes; i++) {
		p->one[i].all = p;
		p->one[i].p = &x->probe[i];
		p->one[i].running = !pthread_create(&p->one[i].thread, NULL, probe, &p->one[i]);
	}
	return p;
}

void exp_probes_stop(struct exp_probes *p)
{
	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	__atomic_store_n(&p->stop, true, __ATOMIC_RELAXED);
	pthread_cond_broadcast(&p->wake);
	pthread_mutex_unlock(&p->lock);
	for (unsigned i = 0; i < p->x->nprobes; i++)
		if (p->one[i].running)
			pthread_join(p->one[i].thread, NULL);
	for (unsigned i = 0; i < p->x->nprobes; i++)
		p->one[i].running = false;
}

void exp_probes_free(struct exp_probes *p)
{
	if (!p)
		return;
	exp_probes_stop(p);
	for (unsigned i = 0; i < p->x->nprobes; i++)
		free(p->one[i].answer);
	pthread_cond_destroy(&p->wake);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

struct exp_answer *exp_probe_answers(struct exp_probes *p, unsigned probe, unsigned *ret_n)
{
	struct exp_answer *a;

	*ret_n = 0;
	if (!p)
		return NULL;
	pthread_mutex_lock(&p->lock);
	a = malloc((p->one[probe].n + 1) * sizeof(*a));
	if (a && p->one[probe].n)
		memcpy(a, p->one[probe].answer, p->one[probe].n * sizeof(*a));
	*ret_n = a ? p->one[probe].n : 0;
	pthread_mutex_unlock(&p->lock);
	return a;
}

void exp_probe_why(struct exp_probes *p, unsigned probe, char *buf, size_t cap)
{
	snprintf(buf, cap, "%s", p ? p->one[probe].why : "");
}
