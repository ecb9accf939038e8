// SPDX-License-Identifier: GPL-2.0-only
/*
 * Templates at work: one message's text from the operations that tmpl.c made,
 * and what is known of a template before it is rendered.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "sim/fleet/tmpl.h"
#include "sim/fleet/tmpl_ops.h"

static size_t put_u64(char *buf, uint64_t v)
{
	char tmp[20];
	size_t n = 0;

	do {
		tmp[n++] = (char)('0' + v % 10);
		v /= 10;
	} while (v);
	for (size_t i = 0; i < n; i++)
		buf[i] = tmp[n - 1 - i];
	return n;
}

static size_t put_double(char *buf, size_t cap, double v, int digits)
{
	int n = snprintf(buf, cap, "%.*f", digits, v);

	return n < 0 ? 0 : (size_t)n;
}

static size_t put_now(char *buf, size_t cap)
{
	struct timespec ts;
	struct tm tm;
	size_t n;

	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	n = strftime(buf, cap, "%Y-%m-%dT%H:%M:%S", &tm);
	return n + (size_t)snprintf(buf + n, cap - n, ".%03ldZ", ts.tv_nsec / 1000000);
}

static double walk(const struct op *o, struct sim_tmpl_ctx *c)
{
	double v = c->walk[o->walk];

	if (isnan(v))
		v = o->min + (o->max - o->min) * sim_rand1(c->rng);
	else
		v += o->step * (2 * sim_rand1(c->rng) - 1);
	v = v < o->min ? o->min : v > o->max ? o->max : v;
	c->walk[o->walk] = v;
	return v;
}

static double uniform(const struct op *o, struct sim_tmpl_ctx *c)
{
	double unit = pow(10, -o->digits), cells;

	/* Both ends are as likely as what lies between. */
	cells = floor((o->max - o->min) / unit + 0.5) + 1;
	/* Nor one above it, where a double has no room for the decimals. */
	return fmin(o->max, o->min + unit * floor(cells * sim_rand1(c->rng)));
}

/* A text that stands somewhere already: *ret and *ret_len. False: there is none of that name, or
 * it is no such part (*ret is NULL then). */
static bool text_of(const struct sim_tmpl *t, const struct op *o, struct sim_tmpl_ctx *c,
		    const char **ret, size_t *ret_len)
{
	const struct sim_word *w;

	*ret = NULL;
	switch (o->kind) {
	case TEXT:
		*ret = t->text + o->at;
		*ret_len = o->len;
		return true;
	case PICK:
		w = &t->word[o->at + sim_rand(c->rng) % o->len];
		*ret = t->text + w->at;
		*ret_len = w->len;
		return true;
	case COLUMN:
		*ret = sim_creds_cell(t->creds, c->row, o->at, ret_len);
		return *ret;
	case MARK:
		*ret = c->mark ? c->mark : "";
		*ret_len = c->mark ? SIM_MARK_LEN : 0;
		return true;
	case THING: /* of a device that has no name yet */
		*ret = "";
		break;
	case TYPE:
		*ret = c->type;
		break;
	case CLIENT:
		*ret = c->client_id;
		break;
	default:
		return true;
	}
	*ret_len = *ret ? strlen(*ret) : 0;
	return true;
}

#define NUMBER_MAX 64

static size_t put_number(const struct op *o, struct sim_tmpl_ctx *c, char *buf)
{
	struct timespec ts;

	switch (o->kind) {
	case SEQ:
		return put_u64(buf, c->seq);
	case INDEX:
		return put_u64(buf, c->index);
	case NOW_MS:
		clock_gettime(CLOCK_REALTIME, &ts);
		return put_u64(buf, (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000);
	case SCHED_MS:
		return put_u64(buf, (uint64_t)c->sched_ms);
	case NOW:
		return put_now(buf, NUMBER_MAX);
	case RAND:
		return put_double(buf, NUMBER_MAX, uniform(o, c), o->digits);
	case WALK:
		return put_double(buf, NUMBER_MAX, walk(o, c), o->digits);
	default:
		return 0;
	}
}

/* A part that is neither text nor the thing's name: its length, or negative. */
static long put_part(const struct sim_tmpl *t, const struct op *o, struct sim_tmpl_ctx *c,
		     char *buf, size_t cap)
{
	char number[NUMBER_MAX];
	const char *s;
	size_t len;

	if (o->kind == CLIENT && t->client)
		return sim_tmpl_render(t->client, c, buf, cap);
	if (!text_of(t, o, c, &s, &len))
		return -ENOENT;
	if (!s) {
		s = number;
		len = put_number(o, c, number);
	}
	if (len > cap)
		return -EMSGSIZE;
	memcpy(buf, s, len);
	return (long)len;
}

long sim_tmpl_render(const struct sim_tmpl *t, struct sim_tmpl_ctx *c, char *buf, size_t cap)
{
	size_t n = 0;

	if (t->bulk)
		return -EMSGSIZE;
	if (t->lines) {
		const struct sim_word *w = &t->word[(c->index + c->seq) % t->nwords];

		if (w->len > cap)
			return -EMSGSIZE;
		memcpy(buf, t->text + w->at, w->len);
		return (long)w->len;
	}
	for (unsigned i = 0; i < t->nops; i++) {
		const struct op *o = &t->op[i];
		const char *s = t->text + o->at;
		size_t len = o->len;

		/* Most of all parts are these two. */
		if (o->kind == THING && c->thing) {
			s = c->thing;
			len = strlen(s);
		} else if (o->kind != TEXT) {
			long rc = put_part(t, o, c, buf + n, cap - n);

			if (rc < 0)
				return rc;
			n += (size_t)rc;
			continue;
		}
		if (len > cap - n)
			return -EMSGSIZE;
		memcpy(buf + n, s, len);
		n += len;
	}
	return (long)n;
}

void sim_tmpl_client(struct sim_tmpl *t, const struct sim_tmpl *client)
{
	if (t)
		t->client = client;
}

unsigned sim_tmpl_walks(const struct sim_tmpl *t)
{
	return t->nwalks;
}

bool sim_tmpl_fixed(const struct sim_tmpl *t, const char **ret, size_t *ret_len)
{
	if (t->bulk || t->lines || t->nops > 1 || (t->nops && t->op[0].kind != TEXT))
		return false;
	*ret = t->nops ? t->text + t->op[0].at : t->text;
	*ret_len = t->nops ? t->op[0].len : 0;
	return true;
}

bool sim_tmpl_per_device(const struct sim_tmpl *t)
{
	for (unsigned i = 0; i < t->nops; i++)
		if (t->op[i].kind == THING || t->op[i].kind == INDEX || t->op[i].kind == CLIENT ||
		    t->op[i].kind == COLUMN)
			return true;
	return false;
}

bool sim_tmpl_has_column(const struct sim_tmpl *t)
{
	for (unsigned i = 0; i < t->nops; i++)
		if (t->op[i].kind == COLUMN)
			return true;
	return false;
}

bool sim_tmpl_per_message(const struct sim_tmpl *t)
{
	for (unsigned i = 0; i < t->nops; i++)
		if (t->op[i].kind != TEXT && t->op[i].kind != THING && t->op[i].kind != INDEX &&
		    t->op[i].kind != CLIENT && t->op[i].kind != COLUMN && t->op[i].kind != TYPE)
			return true;
	return t->lines;
}

struct sim_bulk *sim_tmpl_bulk(const struct sim_tmpl *t)
{
	return t->bulk;
}

bool sim_tmpl_is_size(const struct sim_tmpl *t)
{
	return t->size;
}

bool sim_tmpl_has_mark(const struct sim_tmpl *t)
{
	return t->mark;
}

static size_t longest(const struct sim_tmpl *t, unsigned from, unsigned n)
{
	size_t most = 0;

	for (unsigned i = from; i < from + n; i++)
		if (t->word[i].len > most)
			most = t->word[i].len;
	return most;
}

/* The most bytes that a part can become. */
static size_t part_max(const struct sim_tmpl *t, const struct op *o)
{
	char low[NUMBER_MAX], high[NUMBER_MAX];
	size_t from, to;

	switch (o->kind) {
	case TEXT:
		return o->len;
	case PICK:
		return longest(t, o->at, o->len);
	case COLUMN:
		return sim_creds_longest(t->creds, o->at);
	case MARK:
		return SIM_MARK_LEN;
	case CLIENT:
		return t->client ? sim_tmpl_max(t->client) : SIM_NAME_MAX;
	case THING:
		return SIM_NAME_MAX;
	case TYPE:
		return SIM_TYPE_NAME - 1;
	case SEQ:
	case INDEX:
		return 10;
	case NOW:
		return 24;
	case RAND:
	case WALK:
		/* Nothing between them is wider than both. */
		from = put_double(low, sizeof(low), o->min, o->digits);
		to = put_double(high, sizeof(high), o->max, o->digits);
		return from > to ? from : to;
	case NOW_MS:
	case SCHED_MS:
		break;
	}
	return 20;
}

size_t sim_tmpl_max(const struct sim_tmpl *t)
{
	size_t n = 0;

	if (t->bulk)
		return sim_bulk_len(t->bulk);
	if (t->lines)
		return longest(t, 0, t->nwords);
	for (unsigned i = 0; i < t->nops; i++)
		n += part_max(t, &t->op[i]);
	return n;
}

const struct sim_plain sim_tmpl_plain[] = {{"seq", SEQ},
					   {"now_ms", NOW_MS},
					   {"sched_ms", SCHED_MS},
					   {"now", NOW},
					   {"thing", THING},
					   {"index", INDEX},
					   {"type", TYPE},
					   {"client_id", CLIENT},
					   {"mark", MARK},
					   /* Those with arguments are not looked up here. */
					   {"rand", TEXT},
					   {"walk", TEXT},
					   {"pick", TEXT}};
_Static_assert(sizeof(sim_tmpl_plain) / sizeof(*sim_tmpl_plain) == SIM_NPLAIN + 3,
	       "those with arguments last");

const char *sim_tmpl_word_at(const struct sim_creds *creds, const char *text, size_t len)
{
	size_t blank = 0, n;

	while (blank < len && text[blank] == ' ')
		blank++;
	for (size_t i = 0; i < SIM_NPLAIN + 3; i++) {
		n = strlen(sim_tmpl_plain[i].word);
		if (len - blank > n && !memcmp(text + blank, sim_tmpl_plain[i].word, n) &&
		    strchr(i < SIM_NPLAIN ? " }" : " ", text[blank + n]) && text[blank + n])
			return sim_tmpl_plain[i].word;
	}
	for (n = blank; n < len && text[n] != ' ' && text[n] != '}';)
		n++;
	return n < len ? sim_creds_name(creds, sim_creds_column(creds, text + blank, n - blank))
		       : NULL;
}

const char *sim_tmpl_bulk_word(const struct sim_tmpl *t)
{
	enum { BLOCK = 1 << 20, OVER = 64 };
	uint32_t n, len = t->bulk && !t->size ? sim_bulk_len(t->bulk) : 0;
	uint8_t *buf = len ? malloc(BLOCK) : NULL;
	const char *word = NULL;

	for (uint32_t at = 0; buf && !word; at += n - OVER) {
		const uint8_t *p = sim_bulk_read(t->bulk, at, BLOCK, buf, &n),
			      *end = buf + (p ? n : 0);
		bool last = !p || n <= OVER || at + n >= len;

		while (p && !word && (p = memmem(p, (size_t)(end - p), "{{", 2))) {
			word = sim_tmpl_word_at(t->creds, (const char *)p + 2,
						(size_t)(end - p) - 2);
			p++;
		}
		/* A word may lie across two blocks. */
		if (last)
			break;
	}
	free(buf);
	return word;
}
