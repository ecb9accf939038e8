// SPDX-License-Identifier: GPL-2.0-only
/*
 * squall run: a cgroup, a rule, a command, and nothing left of the first two.
 * The command waits in its cgroup until the rule is in force. A guardian
 * process holds the other end of a pipe: when squall ends without a word
 * (kill -9), it cleans up in its place.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <squall/units.h>
#include "lib/cgroup.h"
#include "squall/cli.h"
#include "squall/help/suggest.h"

struct run {
	struct cli *cli;
	char path[512];	  /* of the cgroup's directory; "" with --container */
	char target[512]; /* of the rule */
	json_t *body;	  /* of the request that sets it */
	pid_t child, guardian;
	int go;	   /* a byte here starts the command */
	int guard; /* a byte here lets the guardian go */
	int bad;   /* errno of an exec that failed comes from here */
};

static volatile pid_t the_child;

/* What the terminal sends goes to the command by itself: it is in our process group. */
static void pass_on(int sig, siginfo_t *info, void *context)
{
	(void)context;
	if (the_child > 0 && info->si_code != SI_KERNEL)
		kill(the_child, sig);
}

static void catch_signals(void)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2};
	struct sigaction sa = {.sa_sigaction = pass_on, .sa_flags = SA_SIGINFO | SA_RESTART};
	size_t i;

	for (i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaction(signals[i], &sa, NULL);
}

static int write_file(const char *dir, const char *name, const char *text)
{
	char path[600];
	ssize_t n;
	int fd, e;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = write(fd, text, strlen(text));
	e = n < 0 ? -errno : 0;
	close(fd);
	return e;
}

/* Kills what is left in the cgroup and removes it; its rule goes with it. */
static void remove_cgroup(const char *path)
{
	struct timespec pause = {.tv_nsec = 20 * 1000 * 1000};
	int i;

	for (i = 0; i < 250 && rmdir(path) && errno == EBUSY; i++) {
		write_file(path, "cgroup.kill", "1");
		nanosleep(&pause, NULL);
	}
}

static void delete_rule(struct run *run)
{
	char *path = sq_client_path("/api/v1/rules/", run->target, "");
	struct sq_error ignored; /* ended by itself, or its target is gone */

	if (path)
		sq_client_request(run->cli->client, "DELETE", path, NULL, NULL, &ignored);
	free(path);
}

static void guardian(struct run *run, int fd)
{
	char byte;

	/* Ctrl-C is for the command; who kills squall must not kill this by the same blow. */
	setsid();
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	if (read(fd, &byte, 1) == 1)
		_exit(0);
	if (*run->path)
		write_file(run->path, "cgroup.kill", "1");
	/* A connection of its own: squall's had two readers otherwise. */
	run->cli->client = NULL;
	if (!api_open(run->cli))
		delete_rule(run);
	if (*run->path)
		remove_cgroup(run->path);
	_exit(0);
}

static void command(const struct run *run, char **argv, int go, int bad)
{
	char byte;
	int e = 0;

	if (*run->path)
		e = -write_file(run->path, "cgroup.procs", "0");
	if (!e && read(go, &byte, 1) != 1)
		_exit(0); /* the rule was refused: told already */
	if (!e) {
		execvp(argv[0], argv);
		e = errno;
	}
	if (write(bad, &e, sizeof(e)) < 0)
		_exit(125);
	_exit(e == ENOENT ? 127 : 126);
}

/* Before there is anything to tidy up: squall may be killed at any moment. */
static int start_guardian(struct run *run)
{
	int guard[2];

	if (pipe2(guard, O_CLOEXEC))
		return complain_text(run->cli, EXIT_FAILED, "run: %s", strerror(errno));
	run->guardian = fork();
	if (!run->guardian) {
		close(guard[1]); /* its end must be felt */
		guardian(run, guard[0]);
	}
	close(guard[0]);
	run->guard = guard[1];
	if (run->guardian > 0)
		return 0;
	return complain_text(run->cli, EXIT_FAILED, "run: cannot start a process: %s",
			     strerror(errno));
}

static int start(struct run *run, char **argv)
{
	int go[2], bad[2];

	if (pipe2(go, O_CLOEXEC) || pipe2(bad, O_CLOEXEC))
		return -errno;
	run->child = fork();
	if (!run->child) {
		/* The others' ends must be felt by those who wait for them. */
		close(run->guard);
		close(go[1]);
		command(run, argv, go[0], bad[1]);
	}
	close(go[0]);
	close(bad[1]);
	run->go = go[1];
	run->bad = bad[0];
	the_child = run->child;
	return run->child < 0 ? -EAGAIN : 0;
}

static int name_cgroup(struct run *run)
{
	const char *mount = cgroup_mount();

	if (!mount)
		return complain_text(
			run->cli, EXIT_FAILED,
			"run: no cgroup v2 is mounted; mount it: mount -t cgroup2 none "
			"/sys/fs/cgroup/unified");
	snprintf(run->target, sizeof(run->target), "cgroup:/squall-run-%d", getpid());
	snprintf(run->path, sizeof(run->path), "%.400s/squall-run-%d", mount, getpid());
	return 0;
}

static int make_cgroup(struct run *run)
{
	int e;

	if (!mkdir(run->path, 0755))
		return 0;
	e = errno;
	complain_text(run->cli, EXIT_FAILED, "run: cannot make the cgroup %s: %s%s", run->path,
		      strerror(e), e == EACCES || e == EPERM ? "; run it as root" : "");
	*run->path = 0; /* not ours: it stays */
	return EXIT_FAILED;
}

/* The rule or the profile's name as the body of its request. */
static int body_of(struct run *run, int n, char **words)
{
	const char *all[256];
	struct cli *cli = run->cli;
	struct sq_error err;
	struct sq_rule rule;
	int i, r;

	if (cli->profile && n)
		return complain_text(cli, EXIT_USAGE,
				     "run: a rule or --profile is accepted, not both");
	if (!cli->profile && !n)
		return complain_text(
			cli, EXIT_USAGE,
			"run: either a rule or --profile is needed, as in \"squall run up "
			"loss 5%% -- %.32s\"",
			words[n]);
	if (n > 250)
		return complain_text(cli, EXIT_USAGE,
				     "run: a rule of at most 250 words is accepted");
	for (i = 0; i < n; i++)
		all[i] = words[i];
	if (cli->for_time) {
		all[i++] = "for";
		all[i++] = cli->for_time;
	}
	if (cli->profile) {
		uint64_t ns = 0;

		if (cli->for_time && (sq_parse_duration(cli->for_time, &ns) || !ns))
			return complain_text(
				cli, EXIT_USAGE,
				"--for: \"%.32s\" is not accepted: a time above 0 with its "
				"unit, as in 60s",
				cli->for_time);
		run->body =
			ns ? json_pack("{s:s, s:I}", "name", cli->profile, "for_ns", (json_int_t)ns)
			   : json_pack("{s:s}", "name", cli->profile);
		return run->body ? 0
				 : complain_text(cli, EXIT_USAGE,
						 "--profile: only UTF-8 is accepted");
	}
	r = sq_rule_from_words(i, all, &rule, &err);
	if (r) {
		suggest_rule(n, words, &err);
		return complain(cli, r == -ENOMEM ? EXIT_FAILED : EXIT_USAGE, &err);
	}
	run->body = sq_rule_to_json(&rule, 0);
	return run->body ? 0 : complain_text(cli, EXIT_FAILED, "out of memory");
}

/* Waits for the command; its exit status as a shell would give it. */
static int outcome(struct run *run, char **argv)
{
	int status = 0, e = 0;

	while (waitpid(run->child, &status, 0) < 0 && errno == EINTR)
		;
	the_child = 0;
	if (read(run->bad, &e, sizeof(e)) == sizeof(e))
		return complain_text(run->cli, e == ENOENT ? 127 : 126, "run: %.200s: %s", argv[0],
				     strerror(e));
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void tell(struct run *run)
{
	json_t *answer = NULL;
	char *path = sq_client_path("/api/v1/counters/", run->target, "");
	struct sq_error ignored;

	if (path && !(run->cli->given & OPT_QUIET) &&
	    !sq_client_request(run->cli->client, "GET", path, NULL, &answer, &ignored)) {
		/* Standard output is the command's. */
		if (run->cli->json) {
			json_dumpf(answer, stderr,
				   SQ_JSON_FLAGS |
					   (run->cli->pretty ? JSON_INDENT(2) : JSON_COMPACT));
			fputc('\n', stderr);
		} else if (json_array_size(json_object_get(answer, "counters")))
			counters_print(answer, stderr);
		else
			fputs("squall: run: the rule ended before the command, its counters "
			      "with it\n",
			      stderr);
	}
	json_decref(answer);
	free(path);
}

static int run_it(struct run *run, char **argv)
{
	struct cli *cli = run->cli;
	int r = start(run, argv);

	if (r)
		return complain_text(cli, EXIT_FAILED, "run: cannot start a process: %s",
				     strerror(-r));
	catch_signals();
	r = cli->profile
		    ? api_target(cli, "POST", "/api/v1/rules/", run->target, "/profile", run->body,
				 NULL)
		    : api_target(cli, "PUT", "/api/v1/rules/", run->target, "", run->body, NULL);
	if (!r && write(run->go, "g", 1) != 1)
		r = complain_text(cli, EXIT_FAILED, "run: the command ended before it began");
	close(run->go);
	if (r) {
		outcome(run, argv);
		return r;
	}
	r = outcome(run, argv);
	tell(run);
	delete_rule(run);
	return r;
}

/* Its own rule would be replaced, counted in, and deleted at the end. */
static int ruled_already(struct run *run)
{
	char *path = sq_client_path("/api/v1/rules/", run->target, "");
	json_t *answer = NULL;
	struct sq_error ignored;
	bool there =
		path && !sq_client_request(run->cli->client, "GET", path, NULL, &answer, &ignored);

	json_decref(answer);
	free(path);
	return there ? complain_text(run->cli, EXIT_FAILED,
				     "run: %.200s has a rule, which would be lost: \"squall fault "
				     "show\" shows it, \"squall fault del\" deletes it",
				     run->target)
		     : 0;
}

int cmd_run(struct cli *cli, int argc, char **argv)
{
	struct run run = {.cli = cli, .go = -1, .guard = -1, .bad = -1};
	int n = cli->dashes - 1, r; /* "run" itself is before the dashes */

	if (cli->dashes < 0 || n >= argc)
		return complain_text(
			cli, EXIT_USAGE,
			"run: the command comes after \"--\", as in \"squall run up loss 5%% "
			"-- make check\"");
	r = body_of(&run, n, argv);
	if (!r)
		r = api_open(cli);
	if (!r && cli->container) {
		snprintf(run.target, sizeof(run.target), "%s", cli->container);
		r = ruled_already(&run);
	} else if (!r) {
		r = name_cgroup(&run);
	}
	if (!r)
		r = start_guardian(&run);
	if (!r && *run.path)
		r = make_cgroup(&run);
	if (!r)
		r = run_it(&run, argv + n);
	if (*run.path)
		remove_cgroup(run.path);
	if (run.guard >= 0 && write(run.guard, "d", 1) == 1)
		waitpid(run.guardian, NULL, 0);
	json_decref(run.body);
	return r;
}
