// SPDX-License-Identifier: GPL-2.0-only
/* --credentials: a CSV file as a table in memory. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "lib/opt/opt.h"
#include "sim/fleet/creds.h"
#include "sim/mqtt/mqtt.h"

#define MAX_BYTES   (256u << 20)
#define MAX_COLUMNS 64

struct cell {
	uint32_t at, len;
};

struct sim_creds {
	struct sim_creds *next;
	char path[256], *text;
	unsigned ncols;
	uint32_t nrows, ncells, cap;
	struct cell name[MAX_COLUMNS], *cell; /* [row * ncols + column] */
	uint32_t *line;			      /* [row] */
	size_t longest[MAX_COLUMNS];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct sim_creds *list;

/* Where the reader is. */
struct reader {
	char *p, *end;
	uint32_t line;
	bool more; /* a field follows on this line */
	char said[256];
};

static int bad(const struct sim_creds *c, uint32_t line, const char *what, struct sq_error *err)
{
	return sq_bad(err, "credentials '%.180s' line %u: %.255s", c->path, line, what);
}

/* One field, unquoted in place and with a NUL behind it; NULL on success, else what is wrong. */
static const char *field(struct sim_creds *c, struct reader *r, struct cell *ret)
{
	char *from = r->p, *to = r->p;

	if (r->p < r->end && *r->p == '"') {
		for (r->p++;; r->p++) {
			if (r->p == r->end)
				return "a quote is never closed";
			if (*r->p == '"' && (++r->p == r->end || *r->p != '"'))
				break;
			r->line += *r->p == '\n';
			*to++ = *r->p;
		}
		if (r->p < r->end && (!*r->p || !strchr(",\r\n", *r->p)))
			return "something stands behind a closing quote";
	} else {
		for (; r->p < r->end && *r->p != ',' && *r->p != '\n'; r->p++) {
			if (*r->p == '"')
				return "a quote in the middle of a field: quote the whole, and "
				       "double the quotes in it";
			if (*r->p == '\r' && r->p + 1 < r->end && r->p[1] != '\n')
				return "a carriage return in the middle of a line";
			*to++ = *r->p;
		}
		if (to > from && to[-1] == '\r' && (r->p == r->end || *r->p == '\n'))
			to--;
	}
	if (r->p < r->end && *r->p == '\r')
		r->p++;
	if (r->p < r->end && *r->p != ',' && *r->p != '\n')
		return "a carriage return in the middle of a line";
	r->more = r->p < r->end && *r->p == ',';
	if (r->p < r->end)
		r->p++; /* the separator, where the NUL may go */
	*ret = (struct cell){(uint32_t)(from - c->text), (uint32_t)(to - from)};
	*to = 0;
	if (!mqtt_utf8_ok((uint8_t *)from, ret->len))
		return "not UTF-8, or a NUL";
	return NULL;
}

static const char *of_name(struct reader *r, const char *name, size_t len, const char *what)
{
	char quoted[SQ_QUOTED];

	snprintf(r->said, sizeof(r->said), "%s %s", what,
		 sq_quote(name, len, quoted, sizeof(quoted)));
	return r->said;
}

static const char *header(struct sim_creds *c, struct reader *r)
{
	static const char letters[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";
	static const char *const taken[] = {"thing", "index", "type",	"client_id",
					    "seq",   "now",   "now_ms", "sched_ms",
					    "mark",  "rand",  "walk",	"pick"};

	do {
		struct cell *n = &c->name[c->ncols];
		const char *why, *s;

		if (c->ncols == MAX_COLUMNS)
			return "more than 64 columns";
		why = field(c, r, n);
		if (why)
			return why;
		s = c->text + n->at;
		if (!n->len || n->len > 63 || strspn(s, letters) != n->len)
			return of_name(r, s, n->len,
				       "names in the header, with commas between: letters, digits, "
				       "_ - and ., at most 63 of them; this one is");
		for (size_t i = 0; i < sizeof(taken) / sizeof(*taken); i++)
			if (!strcmp(s, taken[i]))
				return of_name(r, s, n->len,
					       "the header names a column as templates name "
					       "something else already:");
		if (sim_creds_column(c, s, n->len) >= 0)
			return of_name(r, s, n->len, "the header has a name twice:");
		c->ncols++;
	} while (r->more);
	return NULL;
}

static const char *row(struct sim_creds *c, struct reader *r)
{
	for (unsigned i = 0; i < c->ncols; i++) {
		struct cell *to = &c->cell[(size_t)c->nrows * c->ncols + i];
		const char *why = field(c, r, to);

		if (why)
			return why;
		if (to->len > c->longest[i])
			c->longest[i] = to->len;
		if (r->more != (i + 1 < c->ncols))
			return r->more ? "more fields than the header has"
				       : "fewer fields than "
					 "the header has";
	}
	return NULL;
}

static bool room(struct sim_creds *c)
{
	size_t cap = c->cap ? (size_t)c->cap * 2 : 64;
	struct cell *cell;
	uint32_t *line;

	if (c->nrows < c->cap)
		return true;
	assert(c->ncols); /* header() reads one at least */
	cell = realloc(c->cell, cap * c->ncols * sizeof(*cell));
	if (cell)
		c->cell = cell;
	line = realloc(c->line, cap * sizeof(*line));
	if (line)
		c->line = line;
	if (!cell || !line)
		return false;
	c->cap = (uint32_t)cap;
	return true;
}

static int parse(struct sim_creds *c, size_t len, struct sq_error *err)
{
	struct reader r = {.p = c->text, .end = c->text + len, .line = 1};
	uint32_t line = 1;
	const char *why;

	if (len >= 3 && !memcmp(c->text, "\xef\xbb\xbf", 3))
		r.p += 3; /* as spreadsheets write */
	if (r.p == r.end)
		return bad(c, 1, "the file is empty", err);
	why = header(c, &r);
	while (!why && r.p < r.end) {
		line = ++r.line;
		if (!strcspn(r.p, "\r\n") && r.p + strspn(r.p, "\r\n") >= r.end)
			break; /* an empty last line */
		if (!strcspn(r.p, "\r\n"))
			return bad(c, line, "an empty line; a row of one empty field is \"\"", err);
		if (!room(c))
			return sq_bad(err, "credentials: out of memory");
		c->line[c->nrows] = line;
		why = row(c, &r);
		if (!why)
			c->nrows++;
	}
	if (why)
		return bad(c, line, why, err);
	return c->nrows ? 0 : bad(c, 1, "a header and no row", err);
}

static void creds_free(struct sim_creds *c)
{
	free(c->text);
	free(c->cell);
	free(c->line);
	free(c);
}

static int read_all(struct sim_creds *c, size_t *ret_len, struct sq_error *err)
{
	int fd = open(c->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	size_t len = 0;
	ssize_t n = 1;

	if (fd < 0)
		return sq_bad(err, "credentials '%.180s': %s", c->path, strerror(errno));
	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || (uint64_t)st.st_size > MAX_BYTES) {
		close(fd);
		return sq_bad(err, "credentials '%.180s': accepted: a CSV file of at most %u MiB",
			      c->path, MAX_BYTES >> 20);
	}
	c->text = malloc((size_t)st.st_size + 1);
	while (c->text && n > 0 && len < (size_t)st.st_size) {
		n = read(fd, c->text + len, (size_t)st.st_size - len);
		len += n > 0 ? (size_t)n : 0;
	}
	if (c->text && n < 0)
		sq_bad(err, "credentials '%.180s': %s", c->path, strerror(errno));
	close(fd);
	if (!c->text)
		return sq_bad(err, "credentials: out of memory");
	if (n < 0)
		return -EINVAL;
	c->text[len] = 0;
	*ret_len = len;
	return 0;
}

int sim_creds_get(const char *path, const struct sim_creds **ret, struct sq_error *err)
{
	struct sim_creds *c;
	size_t len = 0;
	int rc = 0;

	*ret = NULL;
	if (!*path)
		return 0;
	pthread_mutex_lock(&lock);
	for (c = list; c && strcmp(c->path, path);)
		c = c->next;
	if (!c) {
		c = calloc(1, sizeof(*c));
		rc = c ? 0 : sq_bad(err, "credentials: out of memory");
		if (c) {
			snprintf(c->path, sizeof(c->path), "%s", path);
			rc = read_all(c, &len, err);
			rc = rc ? rc : parse(c, len, err);
		}
		if (!rc) {
			c->next = list;
			list = c;
		} else if (c) {
			creds_free(c);
		}
	}
	pthread_mutex_unlock(&lock);
	if (!rc)
		*ret = c;
	return rc;
}

uint32_t sim_creds_rows(const struct sim_creds *c)
{
	return c->nrows;
}

uint32_t sim_creds_line(const struct sim_creds *c, uint32_t row)
{
	return c->line[row];
}

int sim_creds_column(const struct sim_creds *c, const char *name, size_t len)
{
	for (unsigned i = 0; c && i < c->ncols; i++)
		if (c->name[i].len == len && !memcmp(c->text + c->name[i].at, name, len))
			return (int)i;
	return -1;
}

const char *sim_creds_name(const struct sim_creds *c, int column)
{
	return column < 0 ? NULL : c->text + c->name[column].at;
}

const char *sim_creds_near(const struct sim_creds *c, const char *word, size_t len)
{
	char copy[64];
	struct suggestion s = {.word = copy};

	if (!c || !len || len >= sizeof(copy))
		return NULL;
	memcpy(copy, word, len);
	copy[len] = 0;
	for (unsigned i = 0; i < c->ncols; i++)
		suggest_from(&s, c->text + c->name[i].at);
	return s.best;
}

void sim_creds_names(const struct sim_creds *c, char *buf, size_t cap)
{
	size_t at = 0;

	*buf = 0;
	for (unsigned i = 0; c && i < c->ncols && at + c->name[i].len + 4 < cap; i++)
		at += (size_t)snprintf(buf + at, cap - at, " {%s}", c->text + c->name[i].at);
}

const char *sim_creds_cell(const struct sim_creds *c, uint32_t row, unsigned column,
			   size_t *ret_len)
{
	const struct cell *k;

	if (row >= c->nrows)
		return NULL;
	k = &c->cell[(size_t)row * c->ncols + column];
	*ret_len = k->len;
	return c->text + k->at;
}

size_t sim_creds_longest(const struct sim_creds *c, unsigned column)
{
	return c->longest[column];
}
