/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Options and commands as tables. What a user can type stands in a table once; the parser
 * (set.c, parse.c), --help (help.c), the manual page (man.c) and the completion of bash, zsh and
 * fish (complete.c, shells.c) of squall, squalld and squall-sim are all made of it, and so they
 * cannot disagree. Tables are read only and live as long as the program; nothing here keeps state
 * or takes a lock.
 *
 * Functions that can fail return 0 or a negative errno, mostly -EINVAL, and then fill *err with
 * one line for people: option, value, what is accepted.
 */
#ifndef SQUALL_OPT_H
#define SQUALL_OPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <squall/rule.h>

/* What a value is, and what it is stored as, `at` bytes into the base that goes with its table. */
enum opt_kind {
	OPT_FLAG,   /* bool; on the command line without a value. min 1: its opposite is stored */
	OPT_SWITCH, /* bool, true; a flag that takes no value anywhere */
	OPT_BIT,    /* the same, but nothing is stored: its bit in `given` says it all */
	OPT_TEXT,   /* const char *, borrowed; at least `min` bytes, one of `choices` if given */
	OPT_LIST, /* const char *[max], borrowed, and at `size` a size_t of how many; repeatable */
	OPT_STR,  /* char[size], a copy */
	OPT_CHOICE,  /* uint8_t, one of `choices` */
	OPT_U32,     /* uint32_t, min..max */
	OPT_U64,     /* uint64_t, min..max */
	OPT_SECONDS, /* uint32_t seconds, min..max */
	OPT_TIME,    /* uint64_t ns, min..max ns; needs a unit */
	OPT_PERCENT, /* uint32_t ppm; needs its sign */
	OPT_RATE,    /* uint64_t thousandths per second: "500/s" */
	OPT_CALL,    /* `call` stores it */
};

struct opt {
	const char *name;  /* --name, and the key of files; NULL ends a table */
	const char *arg;   /* shown in help: "DURATION"; NULL: a flag */
	const char *group; /* the heading it stands under in help; NULL: none */
	const char *help;
	enum opt_kind kind;
	size_t at, size;
	uint64_t min, max;
	const char *choices; /* "auto fq tap", and of OPT_CHOICE "word=number ..." */
	int (*call)(void *base, const char *value, struct sq_error *err);
	char letter;  /* 0: long only */
	uint32_t bit; /* only of commands whose `options` have it; 0: of all that have the table */
	const char *def; /* the default as text, for help */
};

/* The kinds of words that a command takes, for completion; programs go on from ARG_OF_PROGRAM. */
enum { ARG_NONE, ARG_SHELL, ARG_COMMAND, ARG_FILE, ARG_OF_PROGRAM };

/* What run() of a command gets: each program's own. */
struct cli;

struct command {
	const char *object;   /* "": the program is the command; NULL ends a table */
	const char *verb;     /* NULL: the object is the whole command */
	const char *args;     /* for people: "TARGET [up|down|both] FAULT..." */
	const char *summary;  /* one line, without a full stop */
	const char *text;     /* paragraphs, NULL if the summary says it all */
	const char *examples; /* lines "COMMAND\n" and "# what it does\n" */
	uint32_t options;     /* bits of the program's options, besides the global ones */
	int min, max;	      /* words after the command; max -1: any number */
	int kinds[3];	      /* ARG_*; with max -1 the last one is for all that follow */
	int (*run)(struct cli *cli, int argc, char **argv);
	const struct opt *sets[3]; /* option tables of this command alone; NULL: no more */
};

struct opt_words; /* of complete.c */

/* All that a user can type, and what is said about it. */
struct cli_table {
	const char *name;		  /* "squall" */
	int section;			  /* of the manual */
	const char *summary;		  /* one line */
	const char *usage;		  /* "[OPTION...] COMMAND [WORD...]" */
	const struct command *commands;	  /* ends with object NULL */
	const struct opt *options;	  /* of several commands, by bits; ends with name NULL */
	const char *const (*objects)[2];  /* name and summary; ends with NULL */
	uint32_t global;		  /* bits of the options that every command takes */
	const char *start;		  /* examples to begin with */
	const char *exits;		  /* "0 done, 1 failed." */
	const char *about;		  /* the manual's description, plain text */
	void (*man_more)(FILE *f);	  /* what follows in the manual, as roff; NULL: nothing */
	const char *const (*synonyms)[2]; /* other tools' options and ours; ends with NULL */
	const char *(*object_for)(const char *word); /* and their commands; these may be NULL */
	const char *(*verb_for)(const char *word);
	/* From here on a word that looks like an option but is none of ours is a word: "-1ms". */
	bool (*literal)(int n, char **words);
	/* Completes a word of one of the program's own kinds, with opt_word(). */
	void (*complete)(const struct cli_table *t, struct opt_words *w, int kind, int n,
			 char **words);
};

/* --- set.c ------------------------------------------------------------------ */

const struct opt *opt_find(const struct opt *opts, const char *name);
/* The same, and client_id means client-id too: Locust's names have underscores. */
const struct opt *opt_find_key(const struct opt *opts, const char *name);
/* Stores value in base; base is untouched on failure. */
int opt_set(const struct opt *o, void *base, const char *value, struct sq_error *err);

/* What is stored, with a blank before it: " 1.5s". "" where it is no single value, or nobody
 * else's to see. Returns buf. */
#define OPT_SHOWN 64
char *opt_show(const struct opt *o, const void *base, char buf[OPT_SHOWN]);

/* 0 or -EINVAL; *ret untouched on failure. A time needs its unit, but 0 needs none; a percentage
 * needs its sign; a rate is events per /s, /m or /h. */
int opt_parse_time(const char *s, uint64_t *ret_ns);
int opt_parse_percent(const char *s, uint32_t *ret_ppm);
int opt_parse_rate(const char *s, uint64_t *ret_milli);

/* --- parse.c ---------------------------------------------------------------- */

/* An option as the command line gave it; both live as long as table and argv. */
struct opt_given {
	const struct opt *o;
	const char *value;
};

struct opt_line {
	const struct cli_table *table;
	const struct command *command; /* NULL: options before it is known, so those of all */
	void *base[4];	/* of table->options, then of command->sets; NULL: accept and forget */
	uint32_t given; /* bits of what was given */
	int dashes;	/* words before "--"; -1: there was none */
	struct opt_given *each; /* what was given, in its order: room for argc; NULL: nobody asks */
	unsigned n_each;
};

/* Takes the options out of argv, wherever they stand, stores them and leaves the words: argv ends
 * with NULL then. An option that is not known is refused with the one that may have been meant. */
int opt_take(struct opt_line *l, int *argc, char **argv, struct sq_error *err);
/* The command that argv starts with, and how many words that is; NULL if none. */
const struct command *find_command(const struct cli_table *t, int argc, char **argv,
				   int *ret_words);
/* *err names the command that may have been meant. Always -EINVAL. */
int opt_no_command(const struct cli_table *t, int argc, char **argv, struct sq_error *err);
/* Are these options (bits) and this number of words right for the command? */
int opt_check(const struct cli_table *t, const struct command *c, uint32_t given, int argc,
	      char **argv, struct sq_error *err);

/* --- near.c: what somebody may have meant; only ever said, never done ---------- */

struct suggestion {
	const char *word; /* what was typed */
	const char *best; /* the nearest of the names seen so far; NULL: none is near. Borrowed. */
	size_t distance;
};
/* Sees one name that would be accepted. Slips of up to a third of the word count as near. */
void suggest_from(struct suggestion *s, const char *name);
/* Our word for theirs, capitals or not; NULL if the table {theirs, ours} has none. */
const char *opt_synonym(const char *const (*table)[2], const char *word);

/* --- help.c, man.c ------------------------------------------------------------ */

void help_top(const struct cli_table *t, FILE *f);
/* false, and nothing is said: no command begins with that word. */
bool help_object(const struct cli_table *t, FILE *f, const char *object);
void help_command(const struct cli_table *t, FILE *f, const struct command *c);
/* "help [COMMAND]": of the words, to stdout. */
int opt_help(const struct cli_table *t, int argc, char **argv, struct sq_error *err);
void man_page(const struct cli_table *t, FILE *f);
/* Plain text as roff shows it. */
void man_text(FILE *f, const char *text);

/* --- complete.c, shells.c -------------------------------------------------------- */

/* One accepted word; what it does may be NULL. Left out if the word typed does not begin it. */
void opt_word(struct opt_words *w, const char *word, const char *what);
/* What may stand in place of the last of these words, a line each: "word\twhat it does", or
 * ":files" for the names of files. */
void opt_complete(const struct cli_table *t, FILE *f, int n, char **words);
/* If the shell asks ("__complete" and the words so far), answers it: true, and all is done. */
bool opt_completed(const struct cli_table *t, int argc, char **argv);
/* The script that asks the program. shell: bash, zsh or fish. */
int opt_shell(const struct cli_table *t, FILE *f, const char *shell, struct sq_error *err);

#endif
