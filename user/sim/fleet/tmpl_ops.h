// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a template is compiled to (tmpl.c) and rendered from (render.c): a list
 * of operations over one text. For these two files only.
 */
#ifndef SQUALL_SIM_TMPL_OPS_H
#define SQUALL_SIM_TMPL_OPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum op_kind {
	TEXT,
	SEQ,
	NOW_MS,
	SCHED_MS,
	NOW,
	THING,
	INDEX,
	TYPE,
	CLIENT,
	RAND,
	WALK,
	PICK,
	MARK,
	COLUMN
};

struct op {
	enum op_kind kind;
	uint32_t at, len; /* TEXT: in `text`; PICK: first word, number of words; COLUMN: which */
	double min, max, step;
	int digits; /* behind the point, of RAND and WALK */
	unsigned walk;
};

struct sim_tmpl {
	char *text; /* what ops refer to */
	size_t text_len;
	struct op *op;
	unsigned nops, nwalks;
	struct sim_word {
		uint32_t at, len;
	} * word; /* PICK's words, or a file's lines */
	unsigned nwords;
	bool lines, size, mark;
	bool has_seq;		       /* of a topic: {seq} is one of its words */
	struct sim_bulk *bulk;	       /* NULL, or what it is instead of operations */
	const struct sim_creds *creds; /* what COLUMN refers to */
	const struct sim_tmpl *client; /* what {client_id} is; another's */
};

/* Words of payloads: SIM_NPLAIN that stand alone, then those with arguments, which have no kind. */
struct sim_plain {
	const char *word;
	enum op_kind kind;
};
#define SIM_NPLAIN 9
extern const struct sim_plain sim_tmpl_plain[];
/* render.c: the word or column that `text`, behind two braces, begins with; NULL: none. */
const char *sim_tmpl_word_at(const struct sim_creds *creds, const char *text, size_t len);

#endif
