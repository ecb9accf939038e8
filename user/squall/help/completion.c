// SPDX-License-Identifier: GPL-2.0-only
/* Completion for bash, made of the table. Needs no bash-completion package. */
#include <string.h>
#include "squall/cli.h"

static void option_words(const struct cli_table *t, FILE *f, uint32_t bits)
{
	const struct option_def *o;
	const char *space = "";

	for (o = t->options; o->bit; o++) {
		if (!(o->bit & bits))
			continue;
		if (o->letter)
			fprintf(f, "%s-%c", space, o->letter), space = " ";
		fprintf(f, "%s--%s", space, o->name), space = " ";
	}
}

static const char *kind_name(enum arg_kind kind)
{
	switch (kind) {
	case ARG_TARGET:
		return "target";
	case ARG_TARGET_OR_ALL:
		return "target_or_all";
	case ARG_RULE:
		return "rule";
	case ARG_MAP:
		return "map";
	case ARG_PROFILE:
		return "profile";
	case ARG_SHELL:
		return "shell";
	case ARG_COMMAND:
		return "command";
	default:
		return "none";
	}
}

void completion_bash(const struct cli_table *t, FILE *f)
{
	const struct option_def *o;
	const struct command *c;
	const char *last = "";
	int i;

	fputs("# bash completion for squall(8), made by \"squall completion bash\"\n"
	      "_squall_names() { # KEY: the texts under it in JSON on stdin\n"
	      "\tgrep -o \"\\\"$1\\\":\\\"[^\\\"]*\\\"\" | cut -d'\"' -f4\n"
	      "}\n"
	      "_squall_kind() { # what comes after these words\n"
	      "\tcase $1 in\n",
	      f);
	for (c = t->commands; c->object; c++) {
		fprintf(f, "\t'%s%s%s') set -- \"$2\"", c->object, c->verb ? " " : "",
			c->verb ? c->verb : "");
		for (i = 0; i < 3; i++)
			fprintf(f, " %s", kind_name(c->kinds[i]));
		fputs(" ;;\n", f);
	}
	fputs("\t*) set -- 0 none ;;\n"
	      "\tesac\n"
	      "\tlocal n=$1 last\n"
	      "\tshift\n"
	      "\tif [ \"$n\" -ge $# ]; then last=${!#}; else n=$((n + 1)); last=${!n}; fi\n"
	      "\t[ \"$n\" -ge 1 ] && [[ \" $* \" == *\" rule \"* ]] && "
	      "[ \"$last\" = none ] && last=rule\n"
	      "\techo \"$last\"\n"
	      "}\n"
	      "_squall_options() {\n"
	      "\tcase $1 in\n",
	      f);
	for (c = t->commands; c->object; c++) {
		fprintf(f, "\t'%s%s%s') echo '", c->object, c->verb ? " " : "",
			c->verb ? c->verb : "");
		option_words(t, f, OPT_GLOBAL | c->options);
		fputs("' ;;\n", f);
	}
	fputs("\t*) echo '", f);
	option_words(t, f, OPT_GLOBAL);
	fputs("' ;;\n\tesac\n}\n"
	      "_squall_verbs() {\n\tcase $1 in\n",
	      f);
	for (c = t->commands; c->object; c++) {
		if (!c->verb)
			continue;
		if (!strcmp(last, c->object)) {
			fprintf(f, " %s", c->verb);
			continue;
		}
		fprintf(f, "%s\t%s) echo '%s", *last ? "' ;;\n" : "", c->object, c->verb);
		last = c->object;
	}
	fputs("' ;;\n\tesac\n}\n"
	      "_squall() {\n"
	      "\tlocal cur=${COMP_WORDS[COMP_CWORD]} line words=() w skip= kind args list\n"
	      "\tCOMPREPLY=()\n"
	      "\t# COMP_WORDS is cut at colons; take the line's own words instead.\n"
	      "\tline=${COMP_LINE:0:COMP_POINT}\n"
	      "\tlocal -a all\n"
	      "\tread -ra all <<<\"$line\"\n"
	      "\tcase $line in *[[:space:]]) all+=('') ;; esac\n"
	      "\tcur=${all[-1]}\n"
	      "\tunset 'all[-1]'\n"
	      "\tfor w in \"${all[@]:1}\"; do\n"
	      "\t\tif [ -n \"$skip\" ]; then skip=; continue; fi\n"
	      "\t\tcase $w in\n",
	      f);
	fputs("\t\t", f);
	last = "";
	for (o = t->options; o->bit; o++) {
		if (!o->arg)
			continue;
		if (o->letter)
			fprintf(f, "%s-%c|--%s", last, o->letter, o->name);
		else
			fprintf(f, "%s--%s", last, o->name);
		last = "|";
	}
	fputs(") skip=$w ;;\n"
	      "\t\t-*) ;;\n"
	      "\t\t*) words+=(\"$w\") ;;\n"
	      "\t\tesac\n"
	      "\tdone\n"
	      "\tcase $skip in\n"
	      "\t--socket|--token-file|--cacert|--pin-dir) COMPREPLY=($(compgen -f -- \"$cur\")); "
	      "return ;;\n"
	      "\t?*) return ;;\n"
	      "\tesac\n"
	      "\tlocal command=${words[0]-} n=${#words[@]}\n"
	      "\tif [ -n \"$command\" ] && [ -n \"$(_squall_verbs \"$command\")\" ]; then\n"
	      "\t\tcommand=\"$command ${words[1]-}\" n=$((n - 2))\n"
	      "\telse\n"
	      "\t\tn=$((n - 1))\n"
	      "\tfi\n"
	      "\tif [[ $cur == -* ]]; then\n"
	      "\t\tlist=$(_squall_options \"$command\")\n"
	      "\telif [ ${#words[@]} -eq 0 ]; then\n"
	      "\t\tlist='",
	      f);
	for (i = 0; t->objects[i][0]; i++)
		fprintf(f, "%s%s", i ? " " : "", t->objects[i][0]);
	fputs("'\n"
	      "\telif [ $n -lt 0 ]; then\n"
	      "\t\tlist=$(_squall_verbs \"${words[0]}\")\n"
	      "\telse\n"
	      "\t\tkind=$(_squall_kind \"$command\" \"$n\")\n"
	      "\t\tcase $kind in\n"
	      "\t\ttarget) list=$(squall -j target list 2>/dev/null | _squall_names target) ;;\n"
	      "\t\ttarget_or_all) list=$(echo all; squall -j fault show 2>/dev/null | "
	      "_squall_names target) ;;\n"
	      "\t\trule) list='up down both loss random gemodel state delay distribution uniform "
	      "normal pareto paretonormal duplicate corrupt reorder gap rate burst limit latency "
	      "mtu blackhole each flow address flows hang reset old idle after match proto tcp udp "
	      "icmp any to dport sport port syn fin rst also "
	      "except for seed "
	      "on-crash clear keep links' ;;\n"
	      "\t\tmap) list='sq_targets sq_rules sq_counters sq_cfg sq_att sq_dist sq_scratch "
	      "sq_lane sq_waiting "
	      "sq_events' ;;\n"
	      "\t\tprofile) list=$(squall -j profile list 2>/dev/null | _squall_names name) ;;\n"
	      "\t\tshell) list=bash ;;\n"
	      "\t\tcommand) if [ $n -eq 0 ]; then list='",
	      f);
	for (i = 0; t->objects[i][0]; i++)
		fprintf(f, "%s%s", i ? " " : "", t->objects[i][0]);
	fputs("'; else list=$(_squall_verbs \"${words[1]}\"); fi ;;\n"
	      "\t\tesac\n"
	      "\tfi\n"
	      "\t# Names may hold anything: they are compared and quoted, never expanded.\n"
	      "\tcase ${kind-} in target|target_or_all|profile) ;; *) list=${list// /$'\\n'} ;; "
	      "esac\n"
	      "\twhile IFS= read -r w; do\n"
	      "\t\t[[ -n $w && $w == \"$cur\"* ]] && COMPREPLY+=(\"$(printf %q \"$w\")\")\n"
	      "\tdone <<<\"$list\"\n"
	      "\t# bash replaces only what follows the last colon.\n"
	      "\tif [[ $cur == *:* && $COMP_WORDBREAKS == *:* ]]; then\n"
	      "\t\tlocal i prefix=${cur%\"${cur##*:}\"}\n"
	      "\t\tfor i in \"${!COMPREPLY[@]}\"; do\n"
	      "\t\t\tCOMPREPLY[i]=${COMPREPLY[i]#\"$prefix\"}\n"
	      "\t\tdone\n"
	      "\tfi\n"
	      "}\n"
	      "complete -F _squall squall\n",
	      f);
}
