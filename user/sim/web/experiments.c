// SPDX-License-Identifier: GPL-2.0-only
/* A thread for the one that runs: it is the parent, hears what --progress says, and waits. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "lib/experiments/register.h"
#include "sim/web/experiments.h"

#define LINE_MAX_BYTES (2u << 20) /* a report of EXPREG_HTML and its quoting */
#define MAX_FILES      500
#define START_S	       20 /* until it says its first: it asks each squalld before, 5 s at most */

struct sim_exps {
	struct expreg *reg;
	char dir[PATH_MAX], path[PATH_MAX + 256];
	pthread_mutex_t lock; /* of all below */
	pthread_cond_t heard;
	pthread_t thread;
	bool joinable, running, told;
	pid_t pid;
	int code;      /* of the last one that never ran */
	char why[600]; /* its last words */
};

/* --- the run ---------------------------------------------------------------------------- */

/* Between fork and exec: nothing that takes a lock. */
static void become(const char *path, int out, int errors)
{
	static char name[] = "squall-sim", what[] = "experiment", how[] = "--progress";
	char *argv[] = {name, what, (char *)(uintptr_t)path, how, NULL};
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	sigset_t none;

	/* It ends in order when the page's program is killed. */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	dup2(null, 0);
	dup2(out, 1);
	dup2(errors, 2);
	syscall(SYS_close_range, 3u, ~0u, 0u);
	execv("/proc/self/exe", argv);
	_exit(127);
}

static void hear(struct sim_exps *s, const char *line, json_t **last)
{
	json_t *o = json_loads(line, 0, NULL), *told = json_object_get(o, "told"),
	       *report = json_object_get(o, "report");
	const char *id = json_string_value(json_object_get(o, "experiment"));
	struct sq_error why = {0};
	char stop[96] = "";
	int rc = 0;

	if (id && report)
		rc = expreg_put_report(s->reg, id, report, &why);
	else if (id && told)
		rc = expreg_put(s->reg, id, told, stop, sizeof(stop), &why);
	if (rc)
		fprintf(stderr, "squall-sim: experiment %s: %s\n", id, why.text);
	if (id && told) {
		json_decref(*last);
		*last = json_incref(o);
	}
	pthread_mutex_lock(&s->lock);
	if (*stop && s->pid > 0)
		kill(s->pid, SIGINT);
	s->told |= id && told;
	pthread_cond_broadcast(&s->heard);
	pthread_mutex_unlock(&s->lock);
	json_decref(o);
}

/* The last line that it wrote there. */
static void last_words(int fd, char *buf, size_t cap)
{
	char text[4096], *from;
	off_t end = lseek(fd, 0, SEEK_END),
	      at = end > (off_t)sizeof(text) - 1 ? end - (off_t)sizeof(text) + 1 : 0;
	ssize_t n = pread(fd, text, sizeof(text) - 1, at);

	text[n > 0 ? n : 0] = 0;
	for (size_t k = strlen(text); k && text[k - 1] == '\n'; k--)
		text[k - 1] = 0;
	from = strrchr(text, '\n');
	from = from ? from + 1 : text;
	snprintf(buf, cap, "%s", strncmp(from, "squall-sim: ", 12) ? from : from + 12);
}

/* It has ended. One that gave no verdict gets one, with its last words. */
static void bury(struct sim_exps *s, int status, int errors, const json_t *last)
{
	const json_t *told = json_object_get(last, "told");
	char why[500], stop[96];

	last_words(errors, why, sizeof(why));
	if (!*why && WIFSIGNALED(status))
		snprintf(why, sizeof(why), "ended by signal %d", WTERMSIG(status));
	if (told && !json_object_get(told, "verdict")) {
		json_t *over = json_deep_copy(told);
		struct sq_error err;

		json_object_set_new(over, "verdict", json_string("could not run"));
		json_object_set_new(over, "exit", json_integer(1));
		json_object_set_new(over, "why", json_string(why));
		expreg_put(s->reg, json_string_value(json_object_get(last, "experiment")), over,
			   stop, sizeof(stop), &err);
		json_decref(over);
	}
	pthread_mutex_lock(&s->lock);
	s->running = false;
	s->pid = 0;
	s->code = WIFEXITED(status) ? WEXITSTATUS(status) : 1;
	snprintf(s->why, sizeof(s->why), "%s", *why ? why : "it ended without a word");
	pthread_cond_broadcast(&s->heard);
	pthread_mutex_unlock(&s->lock);
}

static void *run(void *arg)
{
	struct sim_exps *s = arg;
	int fds[2] = {-1, -1}, errors = memfd_create("errors", MFD_CLOEXEC), status = 0x100;
	json_t *last = NULL;
	char *line = NULL;
	size_t room = 0;
	pid_t pid = -1;
	FILE *f = NULL;

	if (errors >= 0 && !pipe2(fds, O_CLOEXEC))
		pid = fork();
	if (!pid)
		become(s->path, fds[1], errors);
	if (fds[1] >= 0)
		close(fds[1]);
	pthread_mutex_lock(&s->lock);
	s->pid = pid;
	pthread_mutex_unlock(&s->lock);
	if (pid > 0)
		f = fdopen(fds[0], "r");
	while (f && getline(&line, &room, f) > 0 && strlen(line) <= LINE_MAX_BYTES)
		hear(s, line, &last);
	if (pid > 0) {
		/* Its words have ended: so does it, unless it has been stopped in the middle. */
		kill(pid, SIGTERM);
		waitpid(pid, &status, 0);
	}
	bury(s, status, errors, last);
	if (f)
		fclose(f);
	else if (fds[0] >= 0)
		close(fds[0]);
	if (errors >= 0)
		close(errors);
	json_decref(last);
	free(line);
	return NULL;
}

/* --- files ------------------------------------------------------------------------------ */

static bool is_name(const char *name)
{
	size_t n = strlen(name);

	return n > 5 && n < 200 && *name != '.' && !strchr(name, '/') &&
	       (!strcmp(name + n - 5, ".yaml") || !strcmp(name + n - 4, ".yml"));
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static json_t *files(struct sim_exps *s)
{
	json_t *list = json_array();
	char *name[MAX_FILES];
	DIR *d = opendir(s->dir);
	struct dirent *e;
	size_t n = 0;

	while (d && n < MAX_FILES && (e = readdir(d)))
		if (is_name(e->d_name) && (name[n] = strdup(e->d_name)))
			n++;
	if (d)
		closedir(d);
	qsort(name, n, sizeof(*name), by_name);
	for (size_t i = 0; i < n; i++) {
		json_array_append_new(list, json_string(name[i]));
		free(name[i]);
	}
	return json_pack("{s:s,s:o}", "folder", s->dir, "files", list);
}

/* 0, or the status of the refusal. */
static unsigned look_at(struct sim_exps *s, const char *name, struct sq_error *err)
{
	struct stat st;

	if (!is_name(name)) {
		sq_error_set(err, -EINVAL, "file", "accepted: the name of a .yaml of the folder");
		return 400;
	}
	snprintf(s->path, sizeof(s->path), "%s/%s", s->dir, name);
	if (lstat(s->path, &st) || !S_ISREG(st.st_mode)) {
		sq_error_set(err, -ENOENT, "file", "%.100s: no such file in the folder", name);
		return 404;
	}
	if (st.st_mode & S_IWOTH) {
		sq_error_set(err, -EPERM, "file",
			     "%.100s: everybody may write it, and it may start programs: chmod o-w",
			     name);
		return 403;
	}
	return 0;
}

/* Answers when it runs, or when it is known why it does not. */
static unsigned start(struct sim_exps *s, const char *name, struct sq_error *err)
{
	struct timespec until;
	unsigned status;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += START_S;
	pthread_mutex_lock(&s->lock);
	status = s->running ? 409 : look_at(s, name, err);
	if (status == 409)
		sq_error_set(err, -EBUSY, "file", "an experiment runs: stop it first");
	if (!status) {
		if (s->joinable)
			pthread_join(s->thread, NULL);
		s->told = false;
		s->joinable = s->running = !pthread_create(&s->thread, NULL, run, s);
		while (s->running && !s->told &&
		       !pthread_cond_timedwait(&s->heard, &s->lock, &until))
			;
		status = s->running || s->told ? 202 : s->code == 2 ? 400 : 500;
		if (status != 202)
			sq_error_set(err, -EINVAL, NULL, "%s", s->why);
	}
	pthread_mutex_unlock(&s->lock);
	return status;
}

/* --- asking ----------------------------------------------------------------------------- */

static unsigned allowed(struct sq_error *err, const char *methods)
{
	sq_error_set(err, -EINVAL, NULL, "accepted: %s", methods);
	return 405;
}

static unsigned file_ask(struct sim_exps *s, const char *method, const char *rest,
			 struct sim_exps_answer *ret, struct sq_error *err)
{
	const char *end = strchr(rest, '/');
	char name[256];

	if (!*rest) {
		if (strcmp(method, "GET"))
			return allowed(err, "GET");
		ret->json = files(s);
		return 200;
	}
	if (!end || strcmp(end, "/start") || end - rest >= (int)sizeof(name)) {
		sq_error_set(err, -ENOENT, "file", "no such path");
		return 404;
	}
	if (strcmp(method, "POST"))
		return allowed(err, "POST");
	snprintf(name, sizeof(name), "%.*s", (int)(end - rest), rest);
	ret->json = json_pack("{s:s}", "file", name);
	return start(s, name, err);
}

static unsigned one(struct sim_exps *s, const char *method, const char *id, const char *what,
		    struct sim_exps_answer *ret, struct sq_error *err)
{
	int rc = -ENOENT;

	sq_error_set(err, -ENOENT, "experiment", "there is none of that id");
	if (!strcmp(what, "/stop")) {
		if (strcmp(method, "POST"))
			return allowed(err, "POST");
		rc = expreg_stop(s->reg, id, "the page") ? 0 : -ENOENT;
		ret->json = rc ? NULL : expreg_get(s->reg, id);
		return rc ? 404 : 202;
	}
	if (!strcmp(what, "/report")) {
		if (strcmp(method, "GET"))
			return allowed(err, "GET");
		return expreg_html(s->reg, id, &ret->html, &ret->len, err) ? 404 : 200;
	}
	if (*what)
		return 404;
	if (!strcmp(method, "DELETE")) {
		rc = expreg_delete(s->reg, id, err);
		ret->json = json_object();
		return !rc ? 200 : rc == -EBUSY ? 409 : 404;
	}
	if (strcmp(method, "GET"))
		return allowed(err, "GET, DELETE");
	ret->json = expreg_get(s->reg, id);
	return ret->json ? 200 : 404;
}

unsigned sim_exps_ask(struct sim_exps *s, const char *method, const char *path,
		      struct sim_exps_answer *ret, struct sq_error *err)
{
	static const char files_at[] = "experiment-files", at[] = "experiments";
	const char *rest, *end;
	char id[EXPREG_ID + 1];

	*ret = (struct sim_exps_answer){NULL, NULL, 0};
	expreg_tick(s->reg);
	if (!strncmp(path, files_at, sizeof(files_at) - 1)) {
		rest = path + sizeof(files_at) - 1;
		return file_ask(s, method, *rest ? rest + 1 : rest, ret, err);
	}
	rest = path + sizeof(at) - 1;
	if (!*rest) {
		if (strcmp(method, "GET"))
			return allowed(err, "GET");
		ret->json = expreg_list(s->reg);
		return 200;
	}
	end = *rest == '/' ? strchrnul(rest + 1, '/') : NULL;
	if (!end || end - rest > EXPREG_ID) {
		sq_error_set(err, -ENOENT, "experiment", "there is none of that id");
		return 404;
	}
	snprintf(id, sizeof(id), "%.*s", (int)(end - rest - 1), rest + 1);
	return one(s, method, id, end, ret, err);
}

/* --- start and stop --------------------------------------------------------------------- */

int sim_exps_start(const char *dir, struct sim_exps **ret, struct sq_error *err)
{
	struct sim_exps *s = calloc(1, sizeof(*s));
	char reports[PATH_MAX + 16];
	struct stat st;
	int rc;

	if (!s)
		return sq_bad(err, "out of memory");
	if (!realpath(dir, s->dir) || stat(s->dir, &st)) {
		rc = sq_bad(err, "experiments '%.200s': %s", dir, strerror(errno));
	} else if (!S_ISDIR(st.st_mode)) {
		rc = sq_bad(err, "experiments '%.200s': accepted: a folder of experiments", dir);
	} else if (st.st_mode & S_IWOTH) {
		rc = sq_bad(err,
			    "experiments '%.200s': everybody may write there, and experiments may "
			    "start programs: chmod o-w",
			    dir);
	} else {
		snprintf(reports, sizeof(reports), "%s/reports", s->dir);
		rc = expreg_open(reports, NULL, NULL, &s->reg);
		if (rc)
			rc = sq_bad(err, "experiments: %.200s cannot be used: %s", reports,
				    strerror(-rc));
	}
	if (rc) {
		free(s);
		return rc;
	}
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->heard, NULL);
	*ret = s;
	return 0;
}

void sim_exps_stop(struct sim_exps *s)
{
	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	if (s->running && s->pid > 0)
		kill(s->pid, SIGINT);
	pthread_mutex_unlock(&s->lock);
	if (s->joinable)
		pthread_join(s->thread, NULL);
	expreg_free(s->reg);
	pthread_cond_destroy(&s->heard);
	pthread_mutex_destroy(&s->lock);
	free(s);
}
