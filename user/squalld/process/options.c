// SPDX-License-Identifier: GPL-2.0-only
#include "squalld/process/options.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <squall/units.h>
#include "lib/hostname.h"

#define TEXT(n, field, a, init, ch, h)                                                             \
	{                                                                                          \
		.name = n, .arg = a, .kind = OPT_TEXT, .at = offsetof(struct options, field),      \
		.min = 1, .choices = ch, .def = init, .help = h                                    \
	}
#define LIST(n, field, a, h)                                                                       \
	{                                                                                          \
		.name = n, .arg = a, .kind = OPT_LIST, .at = offsetof(struct options, field),      \
		.size = offsetof(struct options, n_##field), .max = OPT_MAX_LIST, .help = h        \
	}
/* The flags and these few make no sense in a file. */
#define NOT_IN_FILE 1u
#define FLAG(n, l, field, h)                                                                       \
	{                                                                                          \
		.name = n, .letter = l, .kind = OPT_SWITCH, .at = offsetof(struct options, field), \
		.bit = NOT_IN_FILE, .help = h                                                      \
	}

static const struct opt table[] = {
	LIST("listen", listen, "ADDRESS:PORT",
	     "Serve HTTP here; repeatable; \"none\" for no TCP at all. Default 127.0.0.1:4080. "
	     "An address that is not loopback needs --token-file."),
	TEXT("socket", socket, "PATH", "/run/squall/squalld.sock", NULL,
	     "Serve HTTP on this unix socket, mode 0660; \"none\" for none."),
	TEXT("socket-group", socket_group, "GROUP", "squall", NULL,
	     "Group of the unix socket; root's if there is no such group."),
	TEXT("state-dir", state_dir, "DIR", "/var/lib/squall", NULL,
	     "Where rules, profiles and schedules are kept."),
	TEXT("pin-dir", pin_dir, "DIR", "/sys/fs/bpf/squall", NULL,
	     "Where maps and programs are pinned; on a bpf file system. One squalld per "
	     "directory."),
	{.name = "config",
	 .arg = "FILE",
	 .kind = OPT_TEXT,
	 .at = offsetof(struct options, config),
	 .min = 1,
	 .bit = NOT_IN_FILE,
	 .help = "Read options from FILE: lines \"name = value\" with the names of this list, # "
		 "for "
		 "comments. The command line wins."},
	LIST("iface", iface, "PATTERN",
	     "Attach to host interfaces that match this pattern only (fnmatch(3)); repeatable. "
	     "Default: all; lo as --lo says."),
	TEXT("lo", lo, "WHEN", "auto", "auto off",
	     "Attach to loopback: auto, to the lo of this host and of each container while a ruled "
	     "target lives there (the host's only if --iface names it, where --iface is given), or "
	     "off."),
	TEXT("lane", lane, "LANE", "auto", "auto fq tap",
	     "Where packets wait: auto, fq (needs sch_fq) or tap."),
	TEXT("lane-memory", lane_memory, "SIZE", "256mib", NULL,
	     "Bytes that may wait in all lanes together, 1mib to 4095mib; of one target half. What "
	     "is "
	     "over it is lost, and counted apart from the losses of rules. Each target with "
	     "packets "
	     "waiting takes up to 4 KiB more than they are."),
	TEXT("traffic", traffic, "WHEN", "auto", "auto on off",
	     "Count what each target sends and receives, also without a rule, for the panel's list "
	     "and GET /api/v1/traffic: auto, while somebody looks and there are at most 200 "
	     "targets; "
	     "on, always, up to 1000; or off."),
	TEXT("token-file", token_file, "FILE", NULL, NULL,
	     "Demand \"Authorization: Bearer TOKEN\" over TCP; a line of FILE is a token of at "
	     "least 16 characters and, if you like, a name for the log. SIGHUP reads it again."),
	TEXT("loopback", loopback, "WHO", "group", "group open",
	     "Who may ask over loopback without a token: group, which is root and the members of "
	     "--socket-group, or open, every user of this machine."),
	TEXT("tls-cert", tls_cert, "FILE", NULL, NULL,
	     "Serve TLS over TCP with this certificate (PEM)."),
	TEXT("tls-key", tls_key, "FILE", NULL, NULL, "The certificate's key (PEM)."),
	LIST("allow-host", allow_host, "NAME",
	     "Accept this name in the Host header; repeatable. IP addresses and localhost always "
	     "are."),
	LIST("docker-socket", docker_socket, "PATH",
	     "Unix socket of a Docker Engine, or of Podman; repeatable; \"none\" for cgroups only. "
	     "Default /var/run/docker.sock."),
	TEXT("docker-tc-direction", docker_tc_direction, "DIRECTION", "up", "up down both",
	     "Direction of docker-tc's labels and requests which name none: up, down or both."),
	TEXT("web-root", web_root, "DIR", NULL, NULL, "Serve the panel at /ui/ from DIR."),
	TEXT("log-format", log_format, "FORMAT", "text", "text json", "Log lines: text or json."),
	TEXT("log-level", log_level, "LEVEL", "info", "error warn info debug",
	     "Least important lines to log: error, warn, info or debug."),
	TEXT("probe-missing", probe_missing, "LIST", NULL, NULL,
	     "Treat these kernel features (comma-separated) as missing; for tests."),
	FLAG("foreground", 0, foreground, "Stay in the foreground. The default, and the only way."),
	FLAG("cleanup", 0, cleanup,
	     "Remove every filter, link, lane and pin of a squalld that is gone, and exit."),
	FLAG("help", 'h', help, "This list."),
	FLAG("man", 0, man, "With --help: the manual page, as roff."),
	{.name = "completion",
	 .arg = "SHELL",
	 .kind = OPT_TEXT,
	 .at = offsetof(struct options, completion),
	 .min = 1,
	 .bit = NOT_IN_FILE,
	 .choices = "bash zsh fish",
	 .help = "Completion for this shell, as a script."},
	FLAG("version", 'V', version, "The version."),
	{.name = NULL},
};

/* Of dockerd, haproxy, mosquitto, nginx and plain English. */
static const char *const synonyms[][2] = {
	{"bind", "listen"},
	{"port", "listen"},
	{"addr", "listen"},
	{"address", "listen"},
	{"host", "listen"},
	{"http", "listen"},
	{"unix", "socket"},
	{"sock", "socket"},
	{"group", "socket-group"},
	{"state", "state-dir"},
	{"data-dir", "state-dir"},
	{"datadir", "state-dir"},
	{"bpffs", "pin-dir"},
	{"config-file", "config"},
	{"conf", "config"},
	{"interface", "iface"},
	{"device", "iface"},
	{"dev", "iface"},
	{"memory", "lane-memory"},
	{"token", "token-file"},
	{"auth", "token-file"},
	{"cert", "tls-cert"},
	{"certfile", "tls-cert"},
	{"tlscert", "tls-cert"},
	{"key", "tls-key"},
	{"keyfile", "tls-key"},
	{"tlskey", "tls-key"},
	{"allowed-hosts", "allow-host"},
	{"server-name", "allow-host"},
	{"docker", "docker-socket"},
	{"docker-host", "docker-socket"},
	{"podman", "docker-socket"},
	{"podman-socket", "docker-socket"},
	{"direction", "docker-tc-direction"},
	{"ui", "web-root"},
	{"www", "web-root"},
	{"verbose", "log-level"},
	{"debug", "log-level"},
	{"quiet", "log-level"},
	{"loglevel", "log-level"},
	{"log", "log-level"},
	{"json", "log-format"},
	{"clean", "cleanup"},
	{"uninstall", "cleanup"},
	{"no-daemon", "foreground"},
	{NULL, NULL},
};

static void man_more(FILE *f)
{
	fputs(".SH SIGNALS\n.TP\n.B TERM, INT\nStop. Rules set with \"on\\-crash keep\" go on "
	      "until they expire; all else is detached.\n"
	      ".TP\n.B HUP\nRead the token file and the log level again.\n"
	      ".SH SEE ALSO\n.BR squall (8), tc\\-netem (8)\n",
	      f);
}

static const struct command commands[] = {
	{
		.object = "",
		.args = "[OPTION...]",
		.sets = {table},
		.summary = "Injects network faults into containers and cgroups, in the kernel, and "
			   "serves the HTTP API and the panel that control them.",
		.text = "Signals: TERM and INT stop it (rules set \"on-crash keep\" go on until "
			"they "
			"expire), HUP reads --token-file and the log level of --config again.",
		.examples = "squalld\n"
			    "# the unix socket, and 127.0.0.1:4080 for root and the group squall\n"
			    "squalld --listen 0.0.0.0:4080 --token-file /etc/squall/token\n"
			    "# other machines too\n"
			    "squalld --config /etc/squall/squalld.conf --log-level debug\n"
			    "squalld --cleanup\n"
			    "# after one that was killed\n",
	},
	{.object = NULL},
};

const struct cli_table squalld_table = {
	.name = "squalld",
	.section = 8,
	.summary = "injects network faults into containers and cgroups",
	.commands = commands,
	.about = "Loads the BPF programs, attaches them to interfaces, finds containers, keeps the "
		 "rules and serves the HTTP API (see docs/api.md) and the panel.",
	.exits = "0 stopped, 1 failure, 2 usage.",
	.man_more = man_more,
	.synonyms = synonyms,
	.global = NOT_IN_FILE,
};

static char *trim(char *s)
{
	char *end;

	s += strspn(s, " \t");
	end = s + strlen(s);
	while (end > s && strchr(" \t\r\n", end[-1]))
		*--end = 0;
	return s;
}

static int unknown_key(struct sq_error *err, const char *where, const char *key)
{
	struct suggestion s = {.word = key};
	const char *ours = opt_synonym(synonyms, key);

	for (const struct opt *o = table; o->name; o++)
		if (!(o->bit & NOT_IN_FILE))
			suggest_from(&s, o->name);
	if (ours)
		s.best = ours;
	if (s.best)
		return sq_bad(err, "%sunknown key \"%s\"; did you mean %s?", where, key, s.best);
	return sq_bad(err, "%sunknown key \"%s\"; `squalld --help` lists the names", where, key);
}

int options_parse_file(const char *path, struct options *o, struct sq_error *err)
{
	FILE *f = fopen(path, "re");
	char *line = NULL, where[300], key[64];
	struct sq_error why;
	size_t cap = 0, number = 0;
	int rc = 0;

	if (!f) {
		rc = -errno;
		return sq_error_set(err, rc, NULL, "--config: cannot read %s: %s", path,
				    strerror(-rc));
	}
	while (rc == 0 && getline(&line, &cap, f) >= 0) {
		char *name, *value, *copy;
		const struct opt *opt;
		size_t len;

		number++;
		name = trim(line);
		if (!*name || *name == '#')
			continue;
		snprintf(where, sizeof(where), "%.200s:%zu: ", path, number);
		len = strcspn(name, " \t=");
		snprintf(key, sizeof(key), "%.*s", (int)len, name);
		opt = opt_find(table, key);
		if (!opt || (opt->bit & NOT_IN_FILE)) {
			rc = unknown_key(err, where, key);
			break;
		}
		value = name + len + strspn(name + len, " \t");
		if (*value++ != '=') {
			rc = sq_bad(err, "%s%s: write \"%s = value\"", where, opt->name, opt->name);
			break;
		}
		copy = strdup(trim(value)); /* lives as long as the process */
		rc = copy ? opt_set(opt, o, copy, &why) : -ENOMEM;
		if (rc)
			sq_error_set(err, rc, NULL, "%s%s", where,
				     copy ? why.text : "out of memory");
	}
	free(line);
	fclose(f);
	return rc;
}

static int parse_args(int argc, char **argv, struct options *o, struct sq_error *err)
{
	struct opt_line line = {.table = &squalld_table, .command = commands, .base = {NULL, o}};
	struct sq_error why;
	int n = argc - 1;

	if (opt_take(&line, &n, argv + 1, &why))
		return sq_bad(err, "%s", why.text);
	if (n)
		return sq_bad(err, "unexpected \"%.80s\"; `squalld --help` lists the options",
			      argv[1]);
	return 0;
}

/* An address is accepted in the Host header anyway. */
static int check_names(const struct options *o, struct sq_error *err)
{
	char name[HOSTNAME_SIZE];
	struct in6_addr addr;

	for (size_t i = 0; i < o->n_allow_host; i++)
		if (!hostname_take(o->allow_host[i], name) &&
		    inet_pton(AF_INET, o->allow_host[i], &addr) != 1 &&
		    inet_pton(AF_INET6, o->allow_host[i], &addr) != 1)
			return sq_bad(
				err,
				"--allow-host: \"%.60s\" is not accepted: a name without port "
				"or scheme, as in squalld.example.com (" HOSTNAME_LABELS ")",
				o->allow_host[i]);
	return 0;
}

int options_parse(int argc, char **argv, struct options *ret, struct sq_error *err)
{
	struct options file = {0}, args = {0};
	int rc = parse_args(argc, argv, &args, err);

	if (rc < 0)
		return rc;
	if (args.config) {
		rc = options_parse_file(args.config, &file, err);
		if (rc < 0)
			return rc;
	}
	for (const struct opt *opt = table; opt->name; opt++) {
		char *a = (char *)&args, *f = (char *)&file;

		if (opt->kind == OPT_TEXT && !*(const char **)(a + opt->at)) {
			const char *v = *(const char **)(f + opt->at);

			*(const char **)(a + opt->at) = v ? v : opt->def;
		} else if (opt->kind == OPT_LIST && !*(size_t *)(a + opt->size)) {
			*(size_t *)(a + opt->size) = *(size_t *)(f + opt->size);
			memcpy(a + opt->at, f + opt->at, (OPT_MAX_LIST + 1) * sizeof(char *));
		}
	}
	if (!args.n_listen)
		args.listen[args.n_listen++] = "127.0.0.1:4080";
	if (!args.n_docker_socket)
		args.docker_socket[args.n_docker_socket++] = "/var/run/docker.sock";
	if (!args.tls_cert != !args.tls_key)
		return sq_bad(err, "--tls-cert and --tls-key go together: --%s is missing",
			      args.tls_cert ? "tls-key" : "tls-cert");
	if (sq_parse_size(args.lane_memory, &args.lane_bytes) < 0 || args.lane_bytes < 1u << 20 ||
	    args.lane_bytes > 4095ull << 20)
		return sq_bad(err,
			      "--lane-memory: \"%.60s\" is not accepted: a size from 1mib to "
			      "4095mib, such as 256mib",
			      args.lane_memory);
	rc = check_names(&args, err);
	if (rc < 0)
		return rc;
	log_level_from_text(args.log_level, &args.level);
	*ret = args;
	return 0;
}
