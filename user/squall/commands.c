// SPDX-License-Identifier: GPL-2.0-only
/*
 * The table of commands. Everything a user can type stands here and in table.c once: the parser,
 * --help, the completion and the man page are made of it, and a test compares them.
 */
#include "squall/cli.h"

const char *const squall_objects[][2] = {
	{"status", "is squalld well, what can this kernel do, where is it attached"},
	{"doctor", "what hinders this machine, and what to do about it"},
	{"target", "the cgroups and containers whose packets can be faulted"},
	{"fault", "the rules: what happens to a target's packets"},
	{"batch", "many commands at once, from a file"},
	{"explain", "why a fault has the effect that it has, or none"},
	{"history", "what happened: rules, schedules, lanes, health, and who asked"},
	{"stats", "counters per rule and direction"},
	{"flows", "the connections that a rule follows, and what was done to them"},
	{"run", "run a command on a bad network, and nothing else on it"},
	{"trace", "what was done to which packet, live"},
	{"map", "the kernel's own maps, also without squalld"},
	{"profile", "rules with a name: 3G, satellite, offline, your own"},
	{"schedule", "rules that follow each other in time"},
	{"control", "an interactive panel for the terminal"},
	{"completion", "completion for your shell"},
	{"help", "help on a command, and the man page"},
	{NULL, NULL},
};

#define TARGET_TEXT                                                                                \
	"TARGET is cgroup:/path/below/the/v2/mount, a cgroup id, a container's exact name, or "    \
	"at least 4 digits of its id that fit no other."

#define SELECTOR_TEXT                                                                              \
	"\n\nTARGET may be a selector: label:KEY=VALUE, name:GLOB, image:GLOB, compose:SERVICE, "  \
	"swarm:SERVICE, ecs:CONTAINER, ecs-service:NAME, ecs-family:NAME or cgroup:/PATH/*. Its "  \
	"rule acts on all that it means now and on each that comes, and is shown and deleted as "  \
	"one. A target's own rule goes before it, and a narrower selector before a wider one."

const struct command squall_commands[] = {
	{
		.object = "status",
		.args = "",
		.run = cmd_status,
		.summary = "show whether squalld is well and what this kernel can do",
		.text = "Names the lane in which packets wait and why it was chosen, each fault "
			"that is available or the reason why it is not, and every interface that "
			"squalld is attached to.",
		.examples = "squall status\nsquall -p status\n# the same as JSON\n"
			    "squall --url https://worker1:4080 --token-file token status\n"
			    "# of another machine\n",
	},
	{
		.object = "doctor",
		.args = "",
		.run = cmd_doctor,
		.summary = "look for what hinders squalld here, with the remedy for each",
		.text = "Works with and without a running squalld: kernel, permissions, cgroups, "
			"what can be attached, the lane and why, clocks, squalld and its health, "
			"programs in front, Docker's engine, ports and descriptors. Each line "
			"says ok, note or bad, and behind an arrow what to do. As root the "
			"kernel's abilities are tried, in a network namespace of their own. "
			"With --url only what that squalld tells. The exit status is 1 if "
			"anything is bad.",
		.examples = "sudo squall doctor\nsquall -j doctor\n# for scripts\n",
	},
	{
		.object = "target",
		.verb = "list",
		.args = "",
		.run = cmd_target_list,
		.options = OPT_MATCH,
		.summary = "list what can be faulted",
		.text = TARGET_TEXT " The list shows how each target's packets can be seen: host, "
				    "bridge, netns, or none while it has no process.",
		.examples = "squall target list\n"
			    "squall target list --match label:app=web\n"
			    "# whom a rule of this selector would mean\n",
	},
	{
		.object = "target",
		.verb = "show",
		.args = "TARGET",
		.run = cmd_target_show,
		.min = 1,
		.max = 1,
		.kinds = {ARG_TARGET},
		.summary = "show one target with all that is known of it",
		.examples = "squall target show worker\nsquall target show cgroup:/demo\n",
	},
	{
		.object = "fault",
		.verb = "set",
		.run = cmd_fault_set,
		.options = OPT_QUIET | OPT_WAIT,
		.args = "TARGET [up|down|both] FAULT... [match MATCH...] [also ...] [OPTION...]",
		.min = 2,
		.max = -1,
		.kinds = {ARG_TARGET, ARG_RULE},
		.summary = "put a rule in force; it replaces the target's rule whole",
		.text = TARGET_TEXT SELECTOR_TEXT
		"\n\n"
		"FAULT is one of\n"
		"  loss PERCENT [CORRELATION]\n"
		"  loss gemodel P [R [1-H [1-K]]]\n"
		"  loss state P13 [P31 [P32 [P23 [P14]]]]\n"
		"  delay TIME [JITTER [CORRELATION]] [distribution NAME]\n"
		"  duplicate PERCENT [CORRELATION]\n"
		"  corrupt PERCENT [CORRELATION]\n"
		"  reorder PERCENT [CORRELATION] [gap N]\n"
		"  rate RATE [burst SIZE] [limit SIZE | latency TIME]\n"
		"  mtu BYTES [icmp]\n"
		"  blackhole\n"
		"  hang WHEN | reset WHEN   connections go silent, or both ends get a RST;\n"
		"                          WHEN is old, idle TIME, after TIME or\n"
		"                          after SIZE [up|down], or at connack, suback,\n"
		"                          puback or pingresp of MQTT, also in TLS\n"
		"  each flow | address     every connection, or address, its own link\n"
		"  flows PERCENT           only so many of the connections\n"
		"  max-flows N             so many may be open, more do not begin\n"
		"  dns nxdomain | servfail | timeout | slow TIME\n"
		"                          what comes of the queries for names\n\n"
		"They mean what tc-netem(8) and tc-tbf(8) mean, and any of them may be "
		"combined. up is what leaves the target, down what reaches it; without a "
		"direction faults act up. NAME is uniform, normal, pareto or "
		"paretonormal.\n\n"
		"MATCH is one or more of\n"
		"  proto tcp|udp|icmp|any\n"
		"  to ADDRESS[/PREFIX]     the remote address\n"
		"  host NAME               by DNS answers and TLS (SNI), as in host "
		"broker.example.com\n"
		"  dport PORT[-PORT]       the remote port\n"
		"  sport PORT[-PORT]       the local port\n"
		"  port PORT[-PORT]        either port\n"
		"  syn | fin | rst         TCP packets with one of these flags\n\n"
		"The most specific clause wins; also starts another clause.\n\n"
		"OPTION is one of\n"
		"  except MATCH...         never fault these packets\n"
		"  for TIME                end by itself, in the kernel\n"
		"  seed N                  the same losses again\n"
		"  on-crash clear|keep     when squalld dies (default: clear)\n"
		"  links N                 room for so many connections (default: 65536)\n\n"
		"Times: 100ms 1.5s 250us 2m 1h; a bare number is microseconds. Rates: "
		"500kbit 1mbit; mbps are megabytes per second, as in tc(8). Sizes: 5kb "
		"1500b. Prints the rule as the kernel has it. A rule that is refused "
		"changes nothing. With --wait 2s it says after two seconds what the rule has met.",
		.examples =
			"squall fault set worker loss 10%\n"
			"# lose one packet in ten of what the container worker sends\n"
			"squall fault set cgroup:/demo both delay 100ms 20ms distribution normal "
			"rate 1mbit\n# a slow link, both ways\n"
			"squall fault set worker up loss 5% match proto tcp dport 8883 for 60s\n"
			"# only MQTT over TLS, for a minute\n"
			"squall fault set worker blackhole except port 5557\n"
			"# nothing gets out but Locust's control channel\n"
			"squall fault set worker both rate 62kbit delay 800ms 200ms each flow\n"
			"# every connection its own NB-IoT link\n"
			"squall fault set worker hang old\n"
			"# connections that exist go silent for ever, new ones work\n"
			"squall fault set label:app=web up loss 5% for 10m\n"
			"# every container with that label, those that come too\n"
			"squall fault set worker up delay 80ms down delay 20ms also both loss 50% "
			"match to 10.1.0.0/16\n# another fate for one network\n",
	},
	{
		.object = "fault",
		.verb = "show",
		.args = "[TARGET]",
		.run = cmd_fault_show,
		.max = 1,
		.kinds = {ARG_TARGET},
		.summary = "show the rules in force, and how long they still act",
		.examples = "squall fault show\nsquall -j fault show worker\n",
	},
	{
		.object = "fault",
		.verb = "del",
		.args = "TARGET|all",
		.run = cmd_fault_del,
		.options = OPT_QUIET | OPT_KEEP_SCHEDULES,
		.min = 1,
		.max = 1,
		.kinds = {ARG_TARGET_OR_ALL},
		.summary = "delete a target's rule; all: every rule, running schedules too",
		.examples = "squall fault del worker\nsquall fault del label:app=web\n"
			    "squall fault del all\n",
	},
	{
		.object = "fault",
		.verb = "check",
		.run = cmd_fault_check,
		.args = "[up|down|both] FAULT... [match MATCH...] [also ...] [OPTION...]",
		.min = 1,
		.max = -1,
		.kinds = {ARG_RULE},
		.summary = "check a rule and print its canonical form, without squalld",
		.examples = "squall fault check loss 10% delay 100ms 20ms\n"
			    "squall -p fault check rate 1mbps\n"
			    "# as JSON: 1mbps turns out to be 8 Mbit/s\n",
	},
	{
		.object = "batch",
		.args = "FILE|-",
		.run = cmd_batch,
		.options = OPT_QUIET,
		.min = 1,
		.max = 1,
		.kinds = {ARG_OTHER},
		.summary = "run many commands, a line each, from a file or the standard input",
		.text = "A line is what follows \"squall\": of target, fault, profile, schedule, "
			"stats, status, explain, flows and history. Words are quoted as in a shell "
			"by \" or ', # begins a comment. All lines are understood before the first "
			"is run; the first that fails ends it, what the lines before it did stays, "
			"and the line is named. Over one connection, and rules that follow each "
			"other in one request: thousands a second.",
		.examples =
			"squall batch rules.txt\n"
			"for i in 1 2 3; do echo \"fault set cgroup:/demo/$i loss $i%\"; done | "
			"squall -q batch -\n",
	},
	{
		.object = "explain",
		.args = "TARGET",
		.run = cmd_explain,
		.min = 1,
		.max = 1,
		.kinds = {ARG_TARGET},
		.summary = "say where a target's packets are seen, what escapes its rule, and why",
		.text = "The answer to \"why has my fault no effect?\": the interfaces and "
			"directions in which its packets are met, how many since when, and each "
			"reason that is known why some are not: no process, connections over "
			"loopback, exempt or excepted ports, connections that no clause matches, "
			"a clause that has met nothing, a rule of a parent or child, a schedule "
			"in a gap, another program in front, ping in host mode. Each with what "
			"to do.",
		.examples = "squall explain worker\nsquall -p explain cgroup:/demo\n",
	},
	{
		.object = "history",
		.args = "[TARGET]",
		.run = cmd_history,
		.options = OPT_COUNT,
		.max = 1,
		.kinds = {ARG_TARGET},
		.summary = "show what happened, the newest last, and who asked for it",
		.text = "Rules set, replaced, expired, deleted and restored, steps of schedules, "
			"lanes and health: when, by whom, and what a version of a rule had done "
			"when it ended. The last 20 events, or -n of them (up to 1000); -j has "
			"all that is known of each. Kept over restarts, the last 100,000.",
		.examples = "squall history\nsquall history worker -n 100\n"
			    "squall -j history worker -n 1000\n",
	},
	{
		.object = "stats",
		.args = "[TARGET]",
		.run = cmd_stats,
		.options = OPT_WATCH | OPT_COUNT,
		.max = 1,
		.kinds = {ARG_TARGET},
		.summary = "show counters per rule and direction",
		.text = "Packets are those on the wire: a segment that the network card cuts into "
			"ten counts ten. Counters live as long as the target has a rule and "
			"survive its replacement. errors counts packets that passed unfaulted "
			"because the kernel refused a step.",
		.examples = "squall stats\nsquall stats worker -w\n# live, in packets per second\n"
			    "squall -j stats -w -n 10\n# ten lines of JSON\n",
	},
	{
		.object = "flows",
		.args = "TARGET",
		.run = cmd_flows,
		.options = OPT_WATCH | OPT_COUNT,
		.min = 1,
		.max = 1,
		.kinds = {ARG_TARGET},
		.summary = "show the connections of a target whose rule follows them",
		.text = "A rule with each, hang, reset or max-flows follows connections, and those "
			"of each address addresses. Shows those that have not ended, at most 1000, "
			"and "
			"what was counted since the rule was set: full are packets whose "
			"connection found no place and passed (links N is the room), evicted are "
			"silent connections that gave theirs to others, refused are packets that "
			"would have opened one beyond max-flows.",
		.examples = "squall flows worker\nsquall flows worker -w\n# each second\n"
			    "squall -j flows worker\n",
	},
	{
		.object = "run",
		.args = "[RULE...] -- COMMAND [WORD...]",
		.run = cmd_run,
		.options = OPT_PROFILE | OPT_FOR | OPT_CONTAINER | OPT_QUIET,
		.min = 1,
		.max = -1,
		.kinds = {ARG_RULE},
		.summary = "run a command whose packets are faulted, and clean up after it",
		.text = "Makes a cgroup, puts the rule on it and runs the command in it. At its "
			"end the counters go to the standard error, and rule, cgroup and whatever "
			"processes the command left behind are removed, also when squall itself "
			"is killed. The exit status is the command's, 128 and the signal that "
			"ended it, 126 or 127 where it cannot be run; signals are passed on. With "
			"--container the rule is on that container instead, as long as the command "
			"runs. Needs root, to make the cgroup. RULE is as in squall fault set.",
		.examples = "squall run both delay 100ms 20ms loss 2% -- make check\n"
			    "squall run --profile 3G -- sh\n# a shell on a bad network\n"
			    "squall run --container worker up loss 10% -- sleep 60\n",
	},
	{
		.object = "trace",
		.args = "[TARGET]",
		.run = cmd_trace,
		.options = OPT_EVERY | OPT_COUNT,
		.max = 1,
		.kinds = {ARG_TARGET},
		.summary = "show what is done to which packet, live",
		.text = "One line per faulted packet: time, target, direction, addresses, length, "
			"what was done, rule and clause. Several readers see all packets each. "
			"When nobody reads, tracing costs nothing.",
		.examples = "squall trace\nsquall trace worker -n 20\nsquall trace --every 100\n"
			    "# one packet in a hundred, on a busy link\n",
	},
	{
		.object = "map",
		.verb = "list",
		.args = "",
		.run = cmd_map_list,
		.options = OPT_PIN_DIR,
		.summary = "list squalld's BPF maps",
		.text = "Reads the maps pinned below --pin-dir, with or without a running squalld.",
		.examples = "squall map list\n",
	},
	{
		.object = "map",
		.verb = "dump",
		.args = "MAP",
		.run = cmd_map_dump,
		.options = OPT_PIN_DIR | OPT_RAW,
		.min = 1,
		.max = 1,
		.kinds = {ARG_MAP},
		.summary = "print all entries of a map, by name and with units",
		.examples = "squall map dump sq_rules\nsquall map dump sq_cfg\n"
			    "squall map dump sq_targets -r\n# bytes as the kernel has them\n",
	},
	{
		.object = "map",
		.verb = "lookup",
		.args = "MAP KEY",
		.run = cmd_map_lookup,
		.options = OPT_PIN_DIR | OPT_RAW,
		.min = 2,
		.max = 2,
		.kinds = {ARG_MAP, ARG_OTHER},
		.summary = "print one entry of a map",
		.text = "KEY is a number; for sq_targets also cgroup:/path/below/the/v2/mount.",
		.examples =
			"squall map lookup sq_targets cgroup:/demo\nsquall map lookup sq_cfg 0\n",
	},
	{
		.object = "profile",
		.verb = "list",
		.args = "",
		.run = cmd_profile_list,
		.summary = "list the profiles",
		.examples = "squall profile list\n",
	},
	{
		.object = "profile",
		.verb = "show",
		.args = "PROFILE",
		.run = cmd_profile_show,
		.min = 1,
		.max = 1,
		.kinds = {ARG_PROFILE},
		.summary = "show one profile: its rule and where the figures are from",
		.examples = "squall profile show 3G\n",
	},
	{
		.object = "profile",
		.verb = "set",
		.run = cmd_profile_set,
		.args = "PROFILE [up|down|both] FAULT... [match MATCH...] [also ...] [OPTION...]",
		.options = OPT_DESCRIPTION | OPT_QUIET,
		.min = 2,
		.max = -1,
		.kinds = {ARG_PROFILE, ARG_RULE},
		.summary = "save a rule under a name",
		.text = "The rule is written as for \"squall fault set\".",
		.examples = "squall profile set tunnel both blackhole for 20s\n",
	},
	{
		.object = "profile",
		.verb = "del",
		.args = "PROFILE",
		.run = cmd_profile_del,
		.options = OPT_QUIET,
		.min = 1,
		.max = 1,
		.kinds = {ARG_PROFILE},
		.summary = "delete a saved profile (shipped ones stay)",
		.examples = "squall profile del tunnel\n",
	},
	{
		.object = "profile",
		.verb = "apply",
		.args = "TARGET PROFILE [for TIME]",
		.run = cmd_profile_apply,
		.options = OPT_QUIET,
		.min = 2,
		.max = 4,
		.kinds = {ARG_TARGET, ARG_PROFILE, ARG_OTHER},
		.summary = "put a profile's rule in force for a target",
		.examples = "squall profile apply worker 3G\n"
			    "squall profile apply worker offline for 30s\n",
	},
	{
		.object = "schedule",
		.verb = "list",
		.args = "",
		.run = cmd_schedule_list,
		.summary = "list the schedules",
		.examples = "squall schedule list\n",
	},
	{
		.object = "schedule",
		.verb = "show",
		.args = "TARGET",
		.run = cmd_schedule_show,
		.min = 1,
		.max = 1,
		.kinds = {ARG_TARGET},
		.summary = "show a target's schedule and where it stands",
		.examples = "squall schedule show worker\n",
	},
	{
		.object = "schedule",
		.verb = "set",
		.run = cmd_schedule_set,
		.options = OPT_QUIET,
		.args = "TARGET at TIME RULE|none|profile PROFILE [at ...] length TIME [repeat N]",
		.min = 2,
		.max = -1,
		.kinds = {ARG_TARGET, ARG_OTHER},
		.summary = "write a timeline of rules for a target",
		.text = "Each step acts until the next. length is when the timeline ends, repeat "
			"how often it is run (default: once; 0: for ever). \"file FILE\" instead "
			"of the words reads the API's JSON, from the standard input for \"-\". "
			"\"squall schedule start TARGET\" starts it.",
		.examples = "squall schedule set worker at 0s none at 15s up loss 20% delay 200ms "
			    "at 35s none length 50s repeat 3\n"
			    "# healthy, faulty, healthy, three times\n"
			    "squall schedule set worker at 0s profile 3G at 60s profile offline "
			    "length 70s\nsquall schedule set worker file timeline.json\n",
	},
	{
		.object = "schedule",
		.verb = "del",
		.args = "TARGET",
		.run = cmd_schedule_del,
		.options = OPT_QUIET,
		.min = 1,
		.max = 1,
		.kinds = {ARG_TARGET},
		.summary = "stop and delete a schedule",
		.examples = "squall schedule del worker\n",
	},
	{
		.object = "schedule",
		.verb = "start",
		.args = "TARGET",
		.run = cmd_schedule_start,
		.options = OPT_QUIET,
		.min = 1,
		.max = 1,
		.kinds = {ARG_TARGET},
		.summary = "start a schedule from its beginning",
		.examples = "squall schedule start worker\n",
	},
	{
		.object = "schedule",
		.verb = "stop",
		.args = "TARGET",
		.run = cmd_schedule_stop,
		.options = OPT_QUIET,
		.min = 1,
		.max = 1,
		.kinds = {ARG_TARGET},
		.summary = "stop a schedule; the rule it set goes",
		.examples = "squall schedule stop worker\n",
	},
	{
		.object = "control",
		.args = "[TARGET]",
		.run = cmd_control,
		.max = 1,
		.kinds = {ARG_TARGET},
		.summary = "pick a target, watch its counters, set its faults",
		.text = "For a terminal. Arrow keys and Enter pick, e edits the rule, p applies a "
			"profile, c clears, C clears all, q leaves. Rules stay in force after "
			"leaving.",
		.examples = "squall control\n"
			    "squall --url http://worker1:4080 --token-file token control\n",
	},
	{
		.object = "completion",
		.args = "bash|zsh|fish",
		.run = cmd_completion,
		.min = 1,
		.max = 1,
		.kinds = {ARG_SHELL},
		.summary = "print completion for the shell",
		.text = "Packages and \"make install\" put it where each shell looks.",
		.examples = "source <(squall completion bash)\n"
			    "squall completion zsh >\"${fpath[1]}/_squall\"\n"
			    "squall completion fish >~/.config/fish/completions/squall.fish\n",
	},
	{
		.object = "help",
		.args = "[COMMAND]",
		.run = cmd_help,
		.options = OPT_MAN,
		.max = 2,
		.kinds = {ARG_COMMAND},
		.summary = "show help on squall or on a command",
		.examples = "squall help fault set\nsquall help --man | man -l -\n",
	},
	{.object = NULL},
};
