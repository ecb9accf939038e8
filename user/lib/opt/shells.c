// SPDX-License-Identifier: GPL-2.0-only
/* The scripts of bash, zsh and fish. NAME is the program's, FUNC the same as part of a function's.
 * They hold no word of any table: they ask the program. */
#include <errno.h>
#include <string.h>
#include "lib/error.h"
#include "lib/opt/opt.h"

static const char bash[] =
	"# bash completion for NAME; needs no bash-completion package\n"
	"_FUNC() {\n"
	"\tlocal line=${COMP_LINE:0:COMP_POINT} cur w what all\n"
	"\tCOMPREPLY=()\n"
	"\t# COMP_WORDS is cut at colons; take the line's own words instead.\n"
	"\tread -ra all <<<\"$line\"\n"
	"\tcase $line in *[[:space:]]) all+=('') ;; esac\n"
	"\tcur=${all[-1]}\n"
	"\twhile IFS=$'\\t' read -r w what; do\n"
	"\t\tif [ \"$w\" = :files ]; then\n"
	"\t\t\tcompopt -o filenames 2>/dev/null\n"
	"\t\t\tcase $cur in --*=*) what=${cur%%=*}= ;; *) what= ;; esac\n"
	"\t\t\twhile IFS= read -r w; do COMPREPLY+=(\"$what$w\"); done < \\\n"
	"\t\t\t\t<(compgen -f -- \"${cur#\"$what\"}\")\n"
	"\t\telif [ -n \"$w\" ]; then # a name may hold anything: it is quoted, never expanded\n"
	"\t\t\tCOMPREPLY+=(\"$(printf %q \"$w\")\")\n"
	"\t\tfi\n"
	"\tdone < <(NAME __complete \"${all[@]:1}\" 2>/dev/null)\n"
	"\t# bash replaces only what follows the last colon or equals sign.\n"
	"\tlocal i prefix=\n"
	"\tcase $COMP_WORDBREAKS in *:*) case $cur in *:*) prefix=${cur%\"${cur##*:}\"} ;; esac ;; "
	"esac\n"
	"\tcase $COMP_WORDBREAKS in *=*) case ${cur#\"$prefix\"} in *=*) "
	"prefix=${cur%\"${cur##*=}\"} ;; esac ;; esac\n"
	"\tfor i in \"${!COMPREPLY[@]}\"; do COMPREPLY[i]=${COMPREPLY[i]#\"$prefix\"}; done\n"
	"}\n"
	"complete -F _FUNC NAME\n";

static const char zsh[] =
	"#compdef NAME\n"
	"# zsh completion for NAME: as _NAME in a folder of $fpath, or sourced after compinit\n"
	"_FUNC() {\n"
	"\tlocal line w\n"
	"\tlocal -a words_before found\n"
	"\twords_before=(\"${(@Q)words[2,CURRENT-1]}\")\n"
	"\tfor line in \"${(@f)$(NAME __complete \"${words_before[@]}\" \"${(Q)PREFIX}\" "
	"2>/dev/null)}\"; do\n"
	"\t\t[[ -n $line ]] || continue\n"
	"\t\tif [[ $line == :files ]]; then\n"
	"\t\t\t[[ $PREFIX == --*=* ]] && compset -P '*='\n"
	"\t\t\t_files\n"
	"\t\t\treturn\n"
	"\t\tfi\n"
	"\t\tw=${line%%$'\\t'*}\n"
	"\t\tif [[ $line == *$'\\t'* ]]; then\n"
	"\t\t\tfound+=(\"${w//:/\\\\:}:${line#*$'\\t'}\")\n"
	"\t\telse\n"
	"\t\t\tfound+=(\"${w//:/\\\\:}\")\n"
	"\t\tfi\n"
	"\tdone\n"
	"\t_describe -t words 'NAME' found\n"
	"}\n"
	"if [[ ${funcstack[1]} == _NAME || ${funcstack[1]} == _FUNC ]]; then _FUNC \"$@\"; else "
	"compdef _FUNC NAME; fi\n";

static const char fish[] =
	"# fish completion for NAME\n"
	"function __FUNC_complete\n"
	"\tset -l before (commandline -opc)\n"
	"\tset -l cur (commandline -ct)\n"
	"\tset -e before[1]\n"
	"\tfor line in (NAME __complete $before \"$cur\" 2>/dev/null)\n"
	"\t\tif test \"$line\" = :files\n"
	"\t\t\tset -l option (string match -r -- '^--[^=]*=' \"$cur\")\n"
	"\t\t\tfor path in (__fish_complete_path (string replace -r -- '^--[^=]*=' '' \"$cur\"))\n"
	"\t\t\t\techo \"$option$path\"\n"
	"\t\t\tend\n"
	"\t\telse\n"
	"\t\t\techo \"$line\"\n"
	"\t\tend\n"
	"\tend\n"
	"end\n"
	"complete -c NAME -f -a '(__FUNC_complete)'\n";

static void put(const char *text, const char *name, FILE *f)
{
	while (*text) {
		if (!strncmp(text, "NAME", 4)) {
			fputs(name, f);
			text += 4;
		} else if (!strncmp(text, "FUNC", 4)) {
			for (const char *p = name; *p; p++)
				fputc(*p == '-' ? '_' : *p, f);
			text += 4;
		} else {
			fputc(*text++, f);
		}
	}
}

int opt_shell(const struct cli_table *t, FILE *f, const char *shell, struct sq_error *err)
{
	static const struct {
		const char *name, *script;
	} scripts[] = {{"bash", bash}, {"zsh", zsh}, {"fish", fish}};

	for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++) {
		if (!strcmp(scripts[i].name, shell)) {
			put(scripts[i].script, t->name, f);
			return 0;
		}
	}
	return sq_error_value(err, -EINVAL, "completion", shell, "bash, zsh, fish");
}
