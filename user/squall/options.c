// SPDX-License-Identifier: GPL-2.0-only
/* From argv to a command of the table. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "lib/error.h"
#include "squall/cli.h"
#include "squall/hosts/hosts.h"

int cli_set_pretty(void *base, const char *value, struct sq_error *err)
{
	struct cli *cli = base;

	(void)value;
	(void)err;
	cli->json = cli->pretty = true;
	return 0;
}

int cli_set_url(void *base, const char *value, struct sq_error *err)
{
	struct cli *cli = base;

	if (!*value)
		return sq_error_set(err, -EINVAL, NULL, "--url: an empty URL is not accepted");
	if (cli->n_urls == URLS_MAX)
		return sq_error_set(err, -EINVAL, NULL, "--url: at most %d are accepted", URLS_MAX);
	cli->urls[cli->n_urls++] = cli->url = value;
	return 0;
}

int cmd_help(struct cli *cli, int argc, char **argv)
{
	struct sq_error err;

	if (cli->given & OPT_MAN) {
		if (argc)
			return complain_text(cli, EXIT_USAGE,
					     "the man page is one for all commands");
		man_page(cli->table, stdout);
		return 0;
	}
	return opt_help(cli->table, argc, argv, &err) ? complain(cli, EXIT_USAGE, &err) : 0;
}

int cmd_completion(struct cli *cli, int argc, char **argv)
{
	struct sq_error err;

	(void)argc;
	return opt_shell(cli->table, stdout, argv[0], &err) ? complain(cli, EXIT_USAGE, &err) : 0;
}

struct call {
	struct cli *cli;
	const struct command *command;
	int argc;
	char **argv;
};

static int on_host(const struct host *h, void *arg)
{
	struct call *call = arg;
	struct cli *cli = call->cli;
	int r;

	cli->url = h->url;
	cli->address = *h->address ? h->address : NULL;
	cli->color = false;
	r = call->command->run(cli, call->argc, call->argv);
	sq_client_close(cli->client);
	return r;
}

/* What ends by itself and asks squalld one thing. */
static bool for_hosts(const struct cli *cli, const struct command *c)
{
	static const char *const objects[] = {"status",	 "doctor",   "target", "fault",
					      "profile", "schedule", "stats",  NULL};
	size_t i;

	for (i = 0; objects[i] && !(cli->given & OPT_WATCH); i++)
		if (!strcmp(objects[i], c->object))
			return true;
	return false;
}

static int on_hosts(struct call *call)
{
	static struct host hosts[HOSTS_MAX];
	struct cli *cli = call->cli;
	struct sq_error err;
	const char *env = getenv("SQUALL_URL");
	int n;

	if (cli->socket)
		return complain_text(cli, EXIT_USAGE, "--url and --socket exclude each other");
	if (!cli->n_urls && env && *env)
		cli->urls[cli->n_urls++] = env;
	if (!cli->n_urls)
		return complain_text(cli, EXIT_USAGE,
				     "--all-addresses goes with --url http://NAME:PORT");
	if (!for_hosts(cli, call->command))
		return complain_text(cli, EXIT_USAGE,
				     "%s%s asks one host at a time: one --url, without "
				     "--all-addresses",
				     call->command->object,
				     cli->given & OPT_WATCH ? " --watch" : "");
	n = hosts_of(cli->urls, cli->n_urls, cli->given & OPT_ALL_ADDRESSES, hosts, &err);
	if (n < 0)
		return complain(cli, n == -ENOENT ? EXIT_FAILED : EXIT_USAGE, &err);
	return hosts_run(hosts, n, cli->json, cli->pretty, on_host, call);
}

static int dispatch(struct cli *cli, int argc, char **argv)
{
	struct opt_line line = {.table = cli->table, .base = {cli}};
	const struct command *c;
	struct sq_error err;
	int words = 0;

	if (opt_take(&line, &argc, argv, &err))
		return complain(cli, EXIT_USAGE, &err);
	cli->given = line.given;
	cli->dashes = line.dashes;
	if (cli->given & OPT_VERSION) {
		puts("squall " SQUALL_VERSION);
		return 0;
	}
	c = find_command(cli->table, argc, argv, &words);
	/* Also behind a command's own words: "squall stats worker -h". */
	if (cli->given & OPT_HELP)
		return cmd_help(cli, c ? words : argc > 2 ? 2 : argc, argv);
	if (!argc) {
		help_top(cli->table, stderr);
		return EXIT_USAGE;
	}
	if (!c && argc == 1 && help_object(cli->table, stderr, argv[0]))
		return EXIT_USAGE;
	if (!c) {
		opt_no_command(cli->table, argc, argv, &err);
		return complain(cli, EXIT_USAGE, &err);
	}
	if (opt_check(cli->table, c, line.given, argc - words, argv + words, &err))
		return complain(cli, EXIT_USAGE, &err);
	if (cli->n_urls > 1 || cli->given & OPT_ALL_ADDRESSES)
		return on_hosts(&(struct call){cli, c, argc - words, argv + words});
	return c->run(cli, argc - words, argv + words);
}

int squall_main(const struct cli_table *t, int argc, char **argv)
{
	struct cli cli = {.table = t, .dashes = -1};
	const char *no_color = getenv("NO_COLOR");
	int r;

	if (opt_completed(t, argc, argv))
		return 0;
	cli.color = isatty(STDOUT_FILENO) && !(no_color && *no_color);
	r = dispatch(&cli, argc - 1, argv + 1);
	sq_client_close(cli.client);
	/* A full disk must not look like success. */
	if (fflush(stdout) || ferror(stdout)) {
		if (errno == EPIPE)
			return r;
		return complain_text(&cli, EXIT_FAILED, "cannot write the output: %s",
				     strerror(errno));
	}
	return r;
}
