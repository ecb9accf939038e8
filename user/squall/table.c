// SPDX-License-Identifier: GPL-2.0-only
/* The table of options, other tools' names for them, and what the program says of itself. */
#include <string.h>
#include "squall/cli.h"
#include "squall/help/suggest.h"

#define ROW(b, l, n, a, h) .bit = b, .letter = l, .name = n, .arg = a, .help = h
#define AT(field)	   .at = offsetof(struct cli, field)
#define TEXT(field)	   .kind = OPT_TEXT, .min = 1, AT(field)

static const struct opt options[] = {
	{ROW(OPT_JSON, 'j', "json", NULL, "print JSON"), .kind = OPT_SWITCH, AT(json)},
	{ROW(OPT_PRETTY, 'p', "pretty", NULL, "print indented JSON"), .kind = OPT_CALL,
	 .call = cli_set_pretty},
	{ROW(OPT_URL, 0, "url", "URL",
	     "talk to squalld at http://HOST:PORT or https://HOST:PORT "
	     "($SQUALL_URL); given again: to several hosts at once"),
	 .kind = OPT_CALL, .call = cli_set_url},
	{ROW(OPT_ALL_ADDRESSES, 0, "all-addresses", NULL,
	     "to every address that the URL's name has, or that the "
	     "hosts of its SRV records have, each a host"),
	 .kind = OPT_BIT},
	{ROW(OPT_SOCKET, 0, "socket", "PATH",
	     "talk to squalld over this unix socket "
	     "($SQUALL_SOCKET, " SQ_SOCKET_DEFAULT ")"),
	 TEXT(socket)},
	{ROW(OPT_TOKEN_FILE, 0, "token-file", "FILE",
	     "file with the token ($SQUALL_TOKEN_FILE; "
	     "$SQUALL_TOKEN holds the token itself)"),
	 TEXT(token_file)},
	{ROW(OPT_CACERT, 0, "cacert", "FILE",
	     "PEM file that signed squalld's certificate "
	     "($SQUALL_CACERT)"),
	 TEXT(cacert)},
	{ROW(OPT_HELP, 'h', "help", NULL, "show help for this command"), .kind = OPT_BIT},
	{ROW(OPT_VERSION, 'V', "version", NULL, "show the version"), .kind = OPT_BIT},
	{ROW(OPT_WATCH, 'w', "watch", NULL, "again each second, as rates per second"),
	 .kind = OPT_BIT},
	{ROW(OPT_RAW, 'r', "raw", NULL, "bytes in hex instead of names and units"),
	 .kind = OPT_BIT},
	{ROW(OPT_QUIET, 'q', "quiet", NULL, "print nothing when it worked"), .kind = OPT_BIT},
	{ROW(OPT_EVERY, 0, "every", "N", "sample one packet in N"), .kind = OPT_U32, AT(every),
	 .min = 1, .max = 1000000},
	{ROW(OPT_COUNT, 'n', "count", "N", "end after N"), .kind = OPT_U64, AT(count), .min = 1,
	 .max = 1000000000000000},
	{ROW(OPT_PIN_DIR, 0, "pin-dir", "DIR", "where squalld pins its maps (/sys/fs/bpf/squall)"),
	 TEXT(pin_dir)},
	{ROW(OPT_MAN, 0, "man", NULL, "print the man page squall(8)"), .kind = OPT_BIT},
	{ROW(OPT_PROFILE, 0, "profile", "NAME", "the rule of this profile, as in 3G"),
	 TEXT(profile)},
	{ROW(OPT_FOR, 0, "for", "TIME", "fault only this long; the command goes on"),
	 TEXT(for_time)},
	{ROW(OPT_CONTAINER, 0, "container", "NAME", "fault this container while the command runs"),
	 TEXT(container)},
	{ROW(OPT_DESCRIPTION, 0, "description", "TEXT", "say what the profile is"),
	 .kind = OPT_TEXT, AT(description)},
	{ROW(OPT_MATCH, 0, "match", "SELECTOR", "only those that it means, as in label:app=web"),
	 TEXT(match)},
	{ROW(OPT_KEEP_SCHEDULES, 0, "keep-schedules", NULL, "with all: running schedules go on"),
	 .kind = OPT_BIT},
	{ROW(OPT_WAIT, 0, "wait", "TIME", "then say what the rule has met so long, as in 2s"),
	 .kind = OPT_TIME, AT(wait_ns), .min = 1, .max = 3600000000000},
	{.name = NULL},
};

/* fault set TARGET, fault check, profile set NAME, schedule set TARGET: a rule follows. */
static bool rule_follows(int n, char **words)
{
	return n >= 2 &&
	       (!strcmp(words[0], "fault") || !strcmp(words[0], "profile") ||
		!strcmp(words[0], "schedule")) &&
	       (!strcmp(words[1], "set") ? n >= 3 : !strcmp(words[1], "check"));
}

static const char *const option_synonyms[][2] = {
	{"output", "json"},
	{"yaml", "json"},
	{"host", "url"},
	{"addr", "url"},
	{"address", "url"},
	{"endpoint", "url"},
	{"unix", "socket"},
	{"token", "token-file"},
	{"ca", "cacert"},
	{"cafile", "cacert"},
	{"silent", "quiet"},
	{"follow", "watch"},
	{"interval", "watch"},
	{"number", "count"},
	{"limit", "count"},
	{"sample", "every"},
	{"hex", "raw"},
	{"duration", "for"},
	{"timeout", "for"},
	{"time", "for"},
	{"name", "container"},
	{"target", "container"},
	{"comment", "description"},
	{NULL, NULL},
};

static void man_more(FILE *f)
{
	fputs(".SH FILES\n"
	      ".TP\n\\fI/run/squall/squalld.sock\\fR\nsqualld's unix socket.\n"
	      ".TP\n\\fI/sys/fs/bpf/squall/v2/\\fR\nsqualld's pinned maps.\n"
	      ".SH ENVIRONMENT\n"
	      ".TP\n\\fBSQUALL_URL\\fR, \\fBSQUALL_SOCKET\\fR, \\fBSQUALL_TOKEN_FILE\\fR, "
	      "\\fBSQUALL_CACERT\\fR\nas the options of these names.\n"
	      ".TP\n\\fBSQUALL_TOKEN\\fR\nthe token itself.\n"
	      ".TP\n\\fBNO_COLOR\\fR\nno colour, also on a terminal.\n"
	      ".SH NOTES\n"
	      "A correlation r makes a decision repeat the previous one with probability r; the "
	      "rate that was asked for is kept: after a loss the next packet is lost with "
	      "p + r(1\\-p). (tc\\-netem's formula lowers the rate.)\n"
	      ".PP\nThese are never faulted unless a rule names their single port or their "
	      "address: DHCP, neighbour discovery, 169.254.169.254, 169.254.170.2, "
	      "fd00:ec2::254, squalld's own port and Locust's 5557. ARP is never faulted.\n"
	      ".SH SEE ALSO\n"
	      "\\fBtc\\-netem\\fR(8), \\fBtc\\-tbf\\fR(8), \\fBbpftool\\fR(8)\n",
	      f);
}

const struct cli_table squall_table = {
	.name = "squall",
	.section = 8,
	.summary = "real network faults for containers and cgroups, in the kernel",
	.usage = "[OPTION...] COMMAND [WORD...]",
	.commands = squall_commands,
	.options = options,
	.objects = squall_objects,
	.global = OPT_GLOBAL,
	.start = "squall target list\n"
		 "squall fault set worker up loss 10% delay 100ms for 60s\n"
		 "squall stats -w\n"
		 "squall fault del all\n",
	.exits = "0 done, 1 failed, 2 not understood, and nothing was changed.",
	.about = "squall speaks to squalld, which holds rules in the kernel: what shall happen to "
		 "the packets that a cgroup or container sends (up) or receives (down). Words are "
		 "exact and never abbreviated. Results go to the standard output, complaints to "
		 "the standard error.",
	.man_more = man_more,
	.synonyms = option_synonyms,
	.object_for = suggest_object,
	.verb_for = suggest_verb,
	.literal = rule_follows,
	.complete = complete_word,
};
