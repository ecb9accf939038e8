// SPDX-License-Identifier: GPL-2.0-only
#include "squalld/process/options.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <squall/units.h>

enum opt_kind { OPT_TEXT, OPT_LIST, OPT_FLAG };
enum { IN_FILE = 1 };

struct opt {
	const char *name, *arg;
	enum opt_kind kind;
	unsigned int flags;
	size_t offset, count; /* of the value, and of a list's length, in struct options */
	const char *initial;
	const char *choices; /* "|a|b|": what is accepted, if it is that simple */
	const char *help;
};

#define TEXT(n, field, a, init, ch, h)                                                             \
	{                                                                                          \
		n, a, OPT_TEXT, IN_FILE, offsetof(struct options, field), 0, init, ch, h           \
	}
#define LIST(n, field, a, h)                                                                       \
	{                                                                                          \
		n, a, OPT_LIST, IN_FILE, offsetof(struct options, field),                          \
			offsetof(struct options, n_##field), NULL, NULL, h                         \
	}
#define FLAG(n, field, h)                                                                          \
	{                                                                                          \
		n, NULL, OPT_FLAG, 0, offsetof(struct options, field), 0, NULL, NULL, h            \
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
	{"config", "FILE", OPT_TEXT, 0, offsetof(struct options, config), 0, NULL, NULL,
	 "Read options from FILE: lines \"name = value\" with the names of this list, # for "
	 "comments. "
	 "The command line wins."},
	LIST("iface", iface, "PATTERN",
	     "Attach to host interfaces that match this pattern only (fnmatch(3)); repeatable. "
	     "Default: all; lo as --lo says."),
	TEXT("lo", lo, "WHEN", "auto", "|auto|off|",
	     "Attach to loopback: auto, to the lo of this host and of each container while a ruled "
	     "target lives there (the host's only if --iface names it, where --iface is given), or "
	     "off."),
	TEXT("lane", lane, "LANE", "auto", "|auto|fq|tap|",
	     "Where packets wait: auto, fq (needs sch_fq) or tap."),
	TEXT("lane-memory", lane_memory, "SIZE", "256mib", NULL,
	     "Bytes that may wait in all lanes together, 1mib to 4095mib; of one target half. What "
	     "is "
	     "over it is lost, and counted apart from the losses of rules."),
	TEXT("token-file", token_file, "FILE", NULL, NULL,
	     "Demand \"Authorization: Bearer TOKEN\" over TCP; the first line of FILE is the "
	     "token, at "
	     "least 16 characters. SIGHUP reads it again."),
	TEXT("loopback", loopback, "WHO", "group", "|group|open|",
	     "Who may ask over loopback without a token: group, which is root and the members of "
	     "--socket-group, or open, every user of this machine."),
	TEXT("tls-cert", tls_cert, "FILE", NULL, NULL,
	     "Serve TLS over TCP with this certificate (PEM)."),
	TEXT("tls-key", tls_key, "FILE", NULL, NULL, "The certificate's key (PEM)."),
	LIST("allow-host", allow_host, "NAME",
	     "Accept this name in the Host header; repeatable. IP addresses and localhost always "
	     "are."),
	TEXT("docker-socket", docker_socket, "PATH", "/var/run/docker.sock", NULL,
	     "Docker Engine's unix socket; \"none\" for cgroups only."),
	TEXT("docker-tc-direction", docker_tc_direction, "DIRECTION", "up", "|up|down|both|",
	     "Direction of docker-tc's labels and requests which name none: up, down or both."),
	TEXT("web-root", web_root, "DIR", NULL, NULL, "Serve the panel at /ui/ from DIR."),
	TEXT("log-format", log_format, "FORMAT", "text", "|text|json|", "Log lines: text or json."),
	TEXT("log-level", log_level, "LEVEL", "info", "|error|warn|info|debug|",
	     "Least important lines to log: error, warn, info or debug."),
	TEXT("probe-missing", probe_missing, "LIST", NULL, NULL,
	     "Treat these kernel features (comma-separated) as missing; for tests."),
	FLAG("foreground", foreground, "Stay in the foreground. The default, and the only way."),
	FLAG("cleanup", cleanup,
	     "Remove every filter, link, lane and pin of a squalld that is gone, and exit."),
	FLAG("help", help, "This list."),
	FLAG("man", man, "With --help: the manual page, as roff."),
	FLAG("version", version, "The version."),
};
#define N_OPTS (sizeof(table) / sizeof(table[0]))

static int complain(char *err, size_t size, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static int complain(char *err, size_t size, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(err, size, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

static const struct opt *find(const char *name, size_t len)
{
	for (size_t i = 0; i < N_OPTS; i++)
		if (strlen(table[i].name) == len && memcmp(table[i].name, name, len) == 0)
			return &table[i];
	return NULL;
}

static int assign(struct options *o, const struct opt *opt, const char *value, const char *where,
		  char *err, size_t size)
{
	char *base = (char *)o;

	if (opt->kind == OPT_FLAG) {
		*(bool *)(base + opt->offset) = true;
		return 0;
	}
	if (!*value)
		return complain(err, size, "%s%s: an empty value is not accepted", where,
				opt->name);
	if (opt->choices) {
		char want[64];

		snprintf(want, sizeof(want), "|%s|", value);
		if (strchr(value, '|') || !strstr(opt->choices, want)) {
			char list[64];
			size_t n = strlen(opt->choices) - 2;

			snprintf(list, sizeof(list), "%.*s", (int)n, opt->choices + 1);
			return complain(err, size, "%s%s: \"%.60s\" is not accepted: %s", where,
					opt->name, value, list);
		}
	}
	if (opt->kind == OPT_TEXT) {
		*(const char **)(base + opt->offset) = value;
		return 0;
	}
	size_t *n = (size_t *)(base + opt->count);

	if (*n >= OPT_MAX_LIST)
		return complain(err, size, "%s%s: given more than %d times", where, opt->name,
				OPT_MAX_LIST);
	((const char **)(base + opt->offset))[(*n)++] = value;
	return 0;
}

static char *trim(char *s)
{
	char *end;

	s += strspn(s, " \t");
	end = s + strlen(s);
	while (end > s && strchr(" \t\r\n", end[-1]))
		*--end = 0;
	return s;
}

int options_parse_file(const char *path, struct options *o, char *err, size_t size)
{
	FILE *f = fopen(path, "re");
	char *line = NULL, where[300];
	size_t cap = 0, number = 0;
	int rc = 0;

	if (!f) {
		rc = -errno;
		complain(err, size, "--config: cannot read %s: %s", path, strerror(-rc));
		return rc;
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
		opt = find(name, len);
		if (!opt || !(opt->flags & IN_FILE)) {
			rc = complain(err, size,
				      "%sunknown key \"%.*s\"; `squalld --help` lists the names",
				      where, (int)(len > 60 ? 60 : len), name);
			break;
		}
		value = name + len + strspn(name + len, " \t");
		if (*value++ != '=') {
			rc = complain(err, size, "%s%s: write \"%s = value\"", where, opt->name,
				      opt->name);
			break;
		}
		copy = strdup(trim(value)); /* lives as long as the process */
		rc = copy ? assign(o, opt, copy, where, err, size) : -ENOMEM;
	}
	free(line);
	fclose(f);
	return rc;
}

static int parse_args(int argc, char **argv, struct options *o, char *err, size_t size)
{
	for (int i = 1; i < argc; i++) {
		const char *name = argv[i], *eq, *value = NULL;
		const struct opt *opt;
		int rc;

		if (!strcmp(name, "-h"))
			name = "--help";
		if (strncmp(name, "--", 2) != 0 || !name[2])
			return complain(err, size,
					"unexpected \"%.80s\"; `squalld --help` lists the options",
					name);
		name += 2;
		eq = strchr(name, '=');
		opt = find(name, eq ? (size_t)(eq - name) : strlen(name));
		if (!opt)
			return complain(
				err, size,
				"unknown option \"%.80s\"; `squalld --help` lists the options",
				argv[i]);
		if (opt->kind == OPT_FLAG) {
			if (eq)
				return complain(err, size, "--%s takes no value", opt->name);
		} else if (eq) {
			value = eq + 1;
		} else {
			if (i + 1 >= argc)
				return complain(err, size, "--%s needs a value: --%s %s", opt->name,
						opt->name, opt->arg);
			value = argv[++i];
		}
		rc = assign(o, opt, value, "--", err, size);
		if (rc < 0)
			return rc;
	}
	return 0;
}

int options_parse(int argc, char **argv, struct options *ret, char *err, size_t size)
{
	struct options file = {0}, args = {0};
	int rc = parse_args(argc, argv, &args, err, size);

	if (rc < 0)
		return rc;
	if (args.config) {
		rc = options_parse_file(args.config, &file, err, size);
		if (rc < 0)
			return rc;
	}
	for (size_t i = 0; i < N_OPTS; i++) {
		const struct opt *opt = &table[i];
		char *a = (char *)&args, *f = (char *)&file;

		if (opt->kind == OPT_TEXT && !*(const char **)(a + opt->offset)) {
			const char *v = *(const char **)(f + opt->offset);

			*(const char **)(a + opt->offset) = v ? v : opt->initial;
		} else if (opt->kind == OPT_LIST && !*(size_t *)(a + opt->count)) {
			*(size_t *)(a + opt->count) = *(size_t *)(f + opt->count);
			memcpy(a + opt->offset, f + opt->offset,
			       (OPT_MAX_LIST + 1) * sizeof(char *));
		}
	}
	if (!args.n_listen)
		args.listen[args.n_listen++] = "127.0.0.1:4080";
	if (!args.tls_cert != !args.tls_key)
		return complain(err, size, "--tls-cert and --tls-key go together: --%s is missing",
				args.tls_cert ? "tls-key" : "tls-cert");
	if (sq_parse_size(args.lane_memory, &args.lane_bytes) < 0 || args.lane_bytes < 1u << 20 ||
	    args.lane_bytes > 4095ull << 20)
		return complain(err, size,
				"--lane-memory: \"%.60s\" is not accepted: a size from 1mib to "
				"4095mib, such as 256mib",
				args.lane_memory);
	log_level_from_text(args.log_level, &args.level);
	*ret = args;
	return 0;
}

/* Wraps at 78 columns, indented. */
static void wrap(const char *text, int indent)
{
	int column = indent;

	printf("%*s", indent, "");
	while (*text) {
		int n = (int)strcspn(text, " ");

		if (column + n > 78 && column > indent) {
			printf("\n%*s", indent, "");
			column = indent;
		}
		printf("%.*s", n, text);
		column += n;
		text += n;
		if (*text == ' ') {
			text++;
			if (column < 78)
				putchar(' ');
			column++;
		}
	}
	putchar('\n');
}

void options_help(void)
{
	puts("usage: squalld [--OPTION [VALUE]]...\n\n"
	     "Injects network faults into containers and cgroups, in the kernel, and serves\n"
	     "the HTTP API and the panel that control them.\n");
	for (size_t i = 0; i < N_OPTS; i++) {
		printf("  --%s%s%s", table[i].name, table[i].arg ? " " : "",
		       table[i].arg ? table[i].arg : "");
		if (table[i].initial)
			printf("  [%s]", table[i].initial);
		putchar('\n');
		wrap(table[i].help, 6);
	}
	puts("\nSignals: TERM and INT stop it (rules set \"on-crash keep\" go on until they\n"
	     "expire), HUP reads --token-file and the log level of --config again.\n"
	     "Exit: 0 stopped, 1 failure, 2 usage.");
}

static void roff(const char *text)
{
	for (; *text; text++) {
		if (*text == '-' || *text == '\\')
			putchar('\\');
		putchar(*text);
	}
}

void options_man(void)
{
	puts(".TH SQUALLD 8 \"\" \"squall " SQUALL_VERSION "\"\n.SH NAME\n"
	     "squalld \\- injects network faults into containers and cgroups\n"
	     ".SH SYNOPSIS\n.B squalld\n.RI [ option ...]\n.SH DESCRIPTION\n"
	     "Loads the BPF programs, attaches them to interfaces, finds containers, keeps the "
	     "rules and\n"
	     "serves the HTTP API (see docs/api.md) and the panel.\n.SH OPTIONS");
	for (size_t i = 0; i < N_OPTS; i++) {
		printf(".TP\n.B \\-\\-");
		roff(table[i].name);
		if (table[i].arg) {
			printf(" \\fI");
			roff(table[i].arg);
			printf("\\fR");
		}
		putchar('\n');
		roff(table[i].help);
		if (table[i].initial) {
			printf(" Default: ");
			roff(table[i].initial);
			putchar('.');
		}
		putchar('\n');
	}
	puts(".SH SIGNALS\n.TP\n.B TERM, INT\nStop. Rules set with \"on\\-crash keep\" go on until "
	     "they expire; "
	     "all else is detached.\n.TP\n.B HUP\nRead the token file and the log level again.\n"
	     ".SH EXIT STATUS\n0 stopped; 1 failure; 2 usage.\n"
	     ".SH SEE ALSO\n.BR squall (8), tc\\-netem (8)");
}
