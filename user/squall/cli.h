/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The command line. One table of commands (commands.c) and one of options (table.c)
 * make the parser, the help, the completion and the man page, by lib/opt.
 */
#ifndef SQUALL_CLI_H
#define SQUALL_CLI_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <squall/client.h>
#include <squall/rule.h>
#include "lib/opt/opt.h"

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

#define OPT_JSON	   (1u << 0)
#define OPT_PRETTY	   (1u << 1)
#define OPT_URL		   (1u << 2)
#define OPT_SOCKET	   (1u << 3)
#define OPT_TOKEN_FILE	   (1u << 4)
#define OPT_CACERT	   (1u << 5)
#define OPT_HELP	   (1u << 6)
#define OPT_VERSION	   (1u << 7)
#define OPT_WATCH	   (1u << 8)
#define OPT_RAW		   (1u << 9)
#define OPT_QUIET	   (1u << 10)
#define OPT_EVERY	   (1u << 11)
#define OPT_COUNT	   (1u << 12)
#define OPT_PIN_DIR	   (1u << 13)
#define OPT_MAN		   (1u << 14)
#define OPT_DESCRIPTION	   (1u << 15)
#define OPT_PROFILE	   (1u << 16)
#define OPT_FOR		   (1u << 17)
#define OPT_CONTAINER	   (1u << 18)
#define OPT_KEEP_SCHEDULES (1u << 19)
#define OPT_WAIT	   (1u << 20)
#define OPT_MATCH	   (1u << 21)
#define OPT_ALL_ADDRESSES  (1u << 31)
#define OPT_GLOBAL	   (0xffu | OPT_ALL_ADDRESSES)

#define URLS_MAX 64

/* What a command's words are, for completion. */
enum {
	ARG_TARGET = ARG_OF_PROGRAM,
	ARG_TARGET_OR_ALL,
	ARG_RULE, /* the words of a rule, to the end */
	ARG_MAP,
	ARG_PROFILE,
	ARG_OTHER,
};

struct cli {
	const struct cli_table *table;
	uint32_t given;		    /* OPT_* */
	const char *urls[URLS_MAX]; /* --url, as often as it was given */
	int n_urls;
	const char *address; /* connect here, whatever the URL's name resolves to */
	const char *url, *socket, *token_file, *cacert, *pin_dir, *description;
	const char *profile, *for_time, *container, *match;
	int dashes;		    /* words before "--"; -1: there was none */
	unsigned every, timeout_ms; /* 0: default */
	uint64_t count;		    /* 0: no end */
	uint64_t wait_ns;	    /* --wait */
	bool json, pretty, color;
	const char
		*where; /* "FILE:3: " of a line of a batch, before what is complained of; or NULL */
	struct sq_client *client;
};

extern const struct cli_table squall_table; /* table.c */
/* commands.c */
extern const struct command squall_commands[];
extern const char *const squall_objects[][2];

/* options.c: for the table of options, which stores through them; base is the struct cli. */
int cli_set_pretty(void *base, const char *value, struct sq_error *err);
int cli_set_url(void *base, const char *value, struct sq_error *err);
int squall_main(const struct cli_table *t, int argc, char **argv);

/* help/completion.c */
void complete_word(const struct cli_table *t, struct opt_words *w, int kind, int n, char **words);

/* base/print.c */
/* JSON as the user asked for it. */
void print_json(const struct cli *cli, const json_t *json);
/* "squall: FIELD: ..." on stderr; returns code. */
int complain(const struct cli *cli, int code, const struct sq_error *err);
int complain_text(const struct cli *cli, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
int done(const struct cli *cli, int r, json_t *answer, const char *name, const char *what);
/* Anything, for people: nested objects indented, arrays of objects as tables. */
void render(const json_t *json, FILE *f);
void print_safe(FILE *f, const char *text); /* no control characters reach the terminal */
const char *style(const struct cli *cli, const char *sgr); /* "" when there is no colour */

struct table;
struct table *table_new(void);
/* Cells of one row; the text is copied. right: align to the right. */
void table_cell(struct table *t, bool right, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void table_row(struct table *t);
void table_print(const struct table *t, FILE *f);
void table_free(struct table *t);

/* base/api.c: a request, with the client opened on first use. Prints the error. Returns an exit
 * code. */
int api(struct cli *cli, const char *method, const char *path, const json_t *body, json_t **ret);
int api_target(struct cli *cli, const char *method, const char *prefix, const char *target,
	       const char *suffix, const json_t *body, json_t **ret);
int api_open(struct cli *cli);
int api_client(struct cli *cli, struct sq_error *err); /* the same, but says nothing: -errno */

/* The list under `key` of what GET path answers: as JSON, or as a table of `head`'s columns (NULL
 * ends them; '>' in front aligns to the right) with the cells that row() adds. */
int api_list(struct cli *cli, const char *path, const char *key, const char *const *head,
	     void (*row)(struct table *t, const json_t *one));

/* fault.c: the rule that the words mean, as JSON to send; complains and returns an exit code. */
int rule_of_words(const struct cli *cli, int n, char **words, json_t **ret);
/* The same, as a rule's body that has its text only. */
int text_of_words(const struct cli *cli, int n, char **words, json_t **ret);
/* What is in force after a change (r: an exit code), unless -q asks for silence; takes the answer.
 */
int in_force(struct cli *cli, int r, json_t *answer);

/* show.c: waits --wait, then says what the target's rule has met meanwhile; with -j as "seen" of
 * entry. Returns an exit code. */
int wait_and_tell(struct cli *cli, const char *target, json_t *entry);

/* stats.c */
void counters_print(const json_t *answer, FILE *f);
extern volatile bool interrupted; /* SIGINT or SIGTERM came */
void catch_interrupts(void);

int cmd_doctor(struct cli *cli, int argc, char **argv);
int cmd_status(struct cli *cli, int argc, char **argv);
int cmd_target_list(struct cli *cli, int argc, char **argv);
int cmd_history(struct cli *cli, int argc, char **argv);
int cmd_explain(struct cli *cli, int argc, char **argv);
int cmd_target_show(struct cli *cli, int argc, char **argv);
int cmd_fault_set(struct cli *cli, int argc, char **argv);
int cmd_fault_show(struct cli *cli, int argc, char **argv);
int cmd_fault_del(struct cli *cli, int argc, char **argv);
int cmd_fault_check(struct cli *cli, int argc, char **argv);
int cmd_stats(struct cli *cli, int argc, char **argv);
int cmd_flows(struct cli *cli, int argc, char **argv);
int cmd_run(struct cli *cli, int argc, char **argv);
int cmd_trace(struct cli *cli, int argc, char **argv);
int cmd_map_list(struct cli *cli, int argc, char **argv);
int cmd_map_dump(struct cli *cli, int argc, char **argv);
int cmd_map_lookup(struct cli *cli, int argc, char **argv);
int cmd_profile_list(struct cli *cli, int argc, char **argv);
int cmd_profile_show(struct cli *cli, int argc, char **argv);
int cmd_profile_set(struct cli *cli, int argc, char **argv);
int cmd_profile_del(struct cli *cli, int argc, char **argv);
int cmd_profile_apply(struct cli *cli, int argc, char **argv);
int cmd_schedule_list(struct cli *cli, int argc, char **argv);
int cmd_schedule_show(struct cli *cli, int argc, char **argv);
int cmd_schedule_set(struct cli *cli, int argc, char **argv);
int cmd_schedule_del(struct cli *cli, int argc, char **argv);
int cmd_schedule_start(struct cli *cli, int argc, char **argv);
int cmd_schedule_stop(struct cli *cli, int argc, char **argv);
int cmd_batch(struct cli *cli, int argc, char **argv);
int cmd_control(struct cli *cli, int argc, char **argv);
int cmd_completion(struct cli *cli, int argc, char **argv);
int cmd_help(struct cli *cli, int argc, char **argv);

#endif
