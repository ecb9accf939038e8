// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "sim/fleet/options.h"
#include "sim/fleet/tmpl.h"
#include "sim/fleet/tmpl_ops.h"
#include "sim/mqtt/mqtt.h"

#define MAX_OPS 4096

void sim_tmpl_free(struct sim_tmpl *t)
{
	if (!t)
		return;
	sim_bulk_put(t->bulk);
	free(t->text);
	free(t->op);
	free(t->word);
	free(t);
}

static struct op *add_op(struct sim_tmpl *t, enum op_kind kind)
{
	struct op *grown;

	if (t->nops == MAX_OPS)
		return NULL;
	if (!(t->nops & (t->nops - 1))) {
		grown = realloc(t->op, (t->nops ? t->nops * 2 : 1) * sizeof(*t->op));
		if (!grown)
			return NULL;
		t->op = grown;
	}
	t->op[t->nops] = (struct op){.kind = kind};
	return &t->op[t->nops++];
}

static int add_word(struct sim_tmpl *t, size_t at, size_t len)
{
	struct sim_word *grown;

	if (!(t->nwords & (t->nwords - 1))) {
		grown = realloc(t->word, (t->nwords ? t->nwords * 2 : 1) * sizeof(*t->word));
		if (!grown)
			return -ENOMEM;
		t->word = grown;
	}
	t->word[t->nwords++] = (struct sim_word){(uint32_t)at, (uint32_t)len};
	return 0;
}

static int add_text(struct sim_tmpl *t, size_t at, size_t len)
{
	struct op *o;

	if (!len)
		return 0;
	o = add_op(t, TEXT);
	if (!o)
		return -ENOMEM;
	o->at = (uint32_t)at;
	o->len = (uint32_t)len;
	return 0;
}

static int digits_of(const char *s)
{
	const char *point = strchr(s, '.');

	return point ? (int)strlen(point + 1) : 0;
}

static int decimal(const char *s, double *ret)
{
	char *end;
	double v;

	if (!*s || strspn(s, "+-.0123456789") != strlen(s))
		return -EINVAL;
	v = strtod(s, &end);
	if (*end || !isfinite(v) || fabs(v) > 1e15)
		return -EINVAL;
	*ret = v;
	return 0;
}

/* {{rand MIN MAX}}, {{walk MIN MAX STEP}} */
static int number_op(struct sim_tmpl *t, char *const *arg, unsigned n, const char *field,
		     struct sq_error *err)
{
	bool walk = *arg[0] == 'w';
	double v[3] = {0, 0, 0};
	int digits = 0;
	struct op *o;

	if (n != (walk ? 4 : 3))
		return sq_bad(err, "%s: accepted: {{%s}}", field,
			      walk ? "walk MIN MAX STEP" : "rand MIN MAX");
	for (unsigned i = 1; i < n; i++) {
		if (decimal(arg[i], &v[i - 1]))
			return sq_bad(err, "%s: '%.40s' in {{%s}} is not a number", field, arg[i],
				      arg[0]);
		if (digits_of(arg[i]) > digits)
			digits = digits_of(arg[i]);
	}
	if (v[0] > v[1] || v[2] < 0 || digits > 9)
		return sq_bad(err,
			      "%s: {{%s}} needs MIN <= MAX, a STEP >= 0 and at most "
			      "9 decimals",
			      field, arg[0]);
	o = add_op(t, walk ? WALK : RAND);
	if (!o)
		return sq_bad(err, "%s: more than %d parts", field, MAX_OPS);
	o->min = v[0];
	o->max = v[1];
	o->step = v[2];
	o->digits = digits;
	if (walk)
		o->walk = t->nwalks++;
	return 0;
}

/* {{pick A B ...}}; `start` is where the words began, and `at` where that stands in the text. */
static int pick_op(struct sim_tmpl *t, char *const *arg, unsigned n, const char *start, size_t at,
		   const char *field, struct sq_error *err)
{
	struct op *o;

	if (n < 2)
		return sq_bad(err, "%s: accepted: {{pick A B ...}}", field);
	o = add_op(t, PICK);
	if (!o)
		return sq_bad(err, "%s: more than %d parts", field, MAX_OPS);
	o->at = t->nwords;
	o->len = n - 1;
	for (unsigned i = 1; i < n; i++)
		if (add_word(t, at + (size_t)(arg[i] - start), strlen(arg[i])))
			return sq_bad(err, "%s: out of memory", field);
	return 0;
}

/* One {{...}}: `in` is its inside, already copied and NUL-terminated. `at` is where it lies. */
static int payload_op(struct sim_tmpl *t, char *in, size_t at, const char *field,
		      struct sq_error *err)
{
	const struct sim_plain *plain = sim_tmpl_plain;
	char *arg[68], *save = NULL;
	unsigned n = 0;
	struct op *o;
	const char *start = in;

	for (char *w = strtok_r(in, " \t\n", &save); w; w = strtok_r(NULL, " \t\n", &save)) {
		if (n == 66)
			return sq_bad(err, "%s: more than 64 words in '{{%.40s ...}}'", field,
				      start);
		arg[n++] = w;
	}
	if (!n)
		return sq_bad(err, "%s: '{{}}' is empty", field);
	for (size_t i = 0; i < SIM_NPLAIN; i++) {
		if (strcmp(arg[0], plain[i].word))
			continue;
		if (n != 1)
			return sq_bad(err, "%s: '{{%s}}' takes no arguments", field, arg[0]);
		o = add_op(t, plain[i].kind);
		t->mark |= plain[i].kind == MARK;
		return o ? 0 : sq_bad(err, "%s: more than %d parts", field, MAX_OPS);
	}
	if (!strcmp(arg[0], "rand") || !strcmp(arg[0], "walk"))
		return number_op(t, arg, n, field, err);
	if (n == 1 && sim_creds_column(t->creds, arg[0], strlen(arg[0])) >= 0) {
		o = add_op(t, COLUMN);
		if (!o)
			return sq_bad(err, "%s: more than %d parts", field, MAX_OPS);
		o->at = (uint32_t)sim_creds_column(t->creds, arg[0], strlen(arg[0]));
		return 0;
	}
	if (!strcmp(arg[0], "pick"))
		return pick_op(t, arg, n, start, at, field, err);
	return sq_bad(
		err,
		"%s: '{{%.40s}}' is unknown; accepted: seq, now_ms, sched_ms, now, thing, index, "
		"type, client_id, mark, rand MIN MAX, walk MIN MAX STEP, pick A B ..., "
		"columns of --credentials",
		field, arg[0]);
}

static int name_op(struct sim_tmpl *t, const char *in, size_t len, const char *field,
		   struct sq_error *err)
{
	static const struct {
		const char *word;
		enum op_kind kind;
	} plain[] = {{"thing", THING},
		     {"index", INDEX},
		     {"type", TYPE},
		     {"client_id", CLIENT},
		     {"seq", SEQ}};
	int column = sim_creds_column(t->creds, in, len);
	char names[200];
	struct op *o;

	for (size_t i = 0; i < sizeof(plain) / sizeof(*plain) - !t->has_seq; i++)
		if (strlen(plain[i].word) == len && !memcmp(in, plain[i].word, len))
			return add_op(t, plain[i].kind) ? 0 : sq_bad(err, "%s: too long", field);
	if (column >= 0) {
		o = add_op(t, COLUMN);
		if (!o)
			return sq_bad(err, "%s: too long", field);
		o->at = (uint32_t)column;
		return 0;
	}
	sim_creds_names(t->creds, names, sizeof(names));
	return sq_bad(err,
		      "%s: '{%.*s}' is unknown; accepted: {thing} {index} {type} {client_id}%s%s",
		      field, (int)(len < 40 ? len : 40), in, t->has_seq ? " {seq}" : "", names);
}

static int parts(const char *field, struct sq_error *err)
{
	return sq_bad(err, "%s: more than %d parts", field, MAX_OPS);
}

/* A password: braces are text, but around a word of ours. */
static int compile_lenient(struct sim_tmpl *t, const char *field, struct sq_error *err)
{
	size_t at = 0, n = t->text_len;
	struct sq_error why;

	for (size_t i = 0; i < n; i++) {
		/* Double braces are as good. */
		size_t wide = t->text[i] == '{' && t->text[i + 1] == '{' ? 2 : 1, in = i + wide;
		const char *to =
			t->text[i] == '{' ? memmem(t->text + in, n - in, "}}", wide) : NULL;
		size_t len = to ? (size_t)(to - t->text) - in : 0;
		const char *near;
		struct op word;

		if (!to)
			continue;
		if (name_op(t, t->text + in, len, field, &why)) {
			near = sim_creds_near(t->creds, t->text + in, len);
			if (!near)
				continue;
			return sq_bad(err,
				      "%s: a word in braces is no column; did you mean {%s}? "
				      "accepted as part of it: braces around what is no slip of a "
				      "column's name",
				      field, near);
		}
		/* What stands in front of it comes first. */
		word = t->op[--t->nops];
		if (add_text(t, at, i - at) || !add_op(t, TEXT))
			return parts(field, err);
		t->op[t->nops - 1] = word;
		at = (size_t)(to - t->text) + wide;
		i = at - 1;
	}
	return add_text(t, at, n - at) ? parts(field, err) : 0;
}

static int compile(struct sim_tmpl *t, unsigned braces, const char *field, struct sq_error *err)
{
	size_t at = 0;

	while (at < t->text_len) {
		char *from = memmem(t->text + at, t->text_len - at, "{{", braces), *to;
		unsigned wide = braces;
		size_t in;
		int rc;

		if (!from)
			return add_text(t, at, t->text_len - at) ? parts(field, err) : 0;
		/* Names may have their words in either kind of braces. */
		if (from + 1 < t->text + t->text_len && from[1] == '{')
			wide = 2;
		if (add_text(t, at, (size_t)(from - t->text) - at))
			return parts(field, err);
		in = (size_t)(from - t->text) + wide;
		to = memmem(t->text + in, t->text_len - in, "}}", wide);
		if (!to)
			return sq_bad(err, "%s: '%.*s' at byte %zu is never closed", field,
				      (int)wide, "{{", in - wide + 1);
		if (braces == 2) {
			*to = 0; /* the inside becomes words; nothing reads the braces again */
			rc = payload_op(t, t->text + in, in, field, err);
		} else {
			rc = name_op(t, t->text + in, (size_t)(to - t->text) - in, field, err);
		}
		if (rc)
			return rc;
		at = (size_t)(to - t->text) + wide;
	}
	return 0;
}

static struct sim_tmpl *new_tmpl(const char *text, size_t len)
{
	struct sim_tmpl *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->text = malloc(len + 1);
	if (!t->text) {
		free(t);
		return NULL;
	}
	if (len)
		memcpy(t->text, text, len);
	t->text[len] = 0;
	t->text_len = len;
	return t;
}

static int of_name(const char *text, const char *field, const struct sim_creds *creds, bool seq,
		   bool lenient, struct sim_tmpl **ret, struct sq_error *err)
{
	struct sim_tmpl *t = new_tmpl(text, strlen(text));
	int rc;

	if (!t)
		return sq_bad(err, "%s: out of memory", field);
	t->creds = creds;
	t->has_seq = seq;
	rc = lenient ? compile_lenient(t, field, err) : compile(t, 1, field, err);
	if (rc) {
		sim_tmpl_free(t);
		return rc;
	}
	*ret = t;
	return 0;
}

int sim_tmpl_name(const char *text, const char *field, const struct sim_creds *creds,
		  struct sim_tmpl **ret, struct sq_error *err)
{
	return of_name(text, field, creds, false, false, ret, err);
}

int sim_tmpl_topic(const char *text, const char *field, const struct sim_creds *creds,
		   struct sim_tmpl **ret, struct sq_error *err)
{
	return of_name(text, field, creds, true, false, ret, err);
}

int sim_tmpl_password(const char *text, const char *field, const struct sim_creds *creds,
		      struct sim_tmpl **ret, struct sq_error *err)
{
	return of_name(text, field, creds, false, true, ret, err);
}

static int read_file(const char *path, const char *field, size_t max, char **ret, size_t *ret_len,
		     struct sq_error *err)
{
	int fd = sim_open_payload(path), rc = 0;
	struct stat st;
	size_t len = 0;
	ssize_t n;
	char *buf;

	if (fd < 0)
		return sq_bad(err, "%s: file '%.200s': %s", field, path, strerror(errno));
	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || (uint64_t)st.st_size > max) {
		close(fd);
		return sq_bad(err,
			      "%s: file '%.200s': accepted: a regular file of at most %zu "
			      "bytes",
			      field, path, max);
	}
	buf = malloc((size_t)st.st_size + 1);
	while (buf && len < (size_t)st.st_size) {
		n = read(fd, buf + len, (size_t)st.st_size - len);
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	if (!buf)
		rc = sq_bad(err, "%s: out of memory", field);
	close(fd);
	if (rc)
		return rc;
	*ret = buf;
	*ret_len = len;
	return 0;
}

/* Their words would be sent as they stand: lines are no templates. */
static int check_line(const char *line, size_t len, unsigned nth, const char *field,
		      const struct sim_creds *creds, struct sq_error *err)
{
	const char *word = NULL;

	for (const char *p = line; !word && (p = memmem(p, len - (size_t)(p - line), "{{", 2)); p++)
		word = sim_tmpl_word_at(creds, p + 2, len - (size_t)(p - line) - 2);
	return word ? sq_bad(err,
			     "%s: line %u has {{%s ...}} in it, and lines are sent as they are; "
			     "accepted: lines without a template's words, or @FILE, one template",
			     field, nth, word)
		    : 0;
}

static int from_lines(const char *path, const char *field, const struct sim_creds *creds,
		      struct sim_tmpl **ret, struct sq_error *err)
{
	struct sim_tmpl *t;
	char *buf = NULL;
	size_t len = 0, at = 0;
	unsigned nth = 0;
	int rc = read_file(path, field, 64u << 20, &buf, &len, err);

	if (rc)
		return rc;
	t = new_tmpl(buf, len);
	free(buf);
	if (!t)
		return sq_bad(err, "%s: out of memory", field);
	t->lines = true;
	while (at < len) {
		char *nl = memchr(t->text + at, '\n', len - at);
		size_t end = nl ? (size_t)(nl - t->text) : len, next = end + 1;

		if (end > at && t->text[end - 1] == '\r')
			end--; /* as Windows ends them */
		rc = check_line(t->text + at, end - at, ++nth, field, creds, err);
		if (rc) {
			sim_tmpl_free(t);
			return rc;
		}
		if (end - at > SIM_RENDER_MAX) {
			sim_tmpl_free(t);
			return sq_bad(err, "%s: '%.200s': a line is longer than %d bytes", field,
				      path, SIM_RENDER_MAX);
		}
		if (end > at && add_word(t, at, end - at)) {
			sim_tmpl_free(t);
			return sq_bad(err, "%s: out of memory", field);
		}
		at = next;
	}
	if (!t->nwords) {
		sim_tmpl_free(t);
		return sq_bad(err, "%s: '%.200s' has no line that is not empty", field, path);
	}
	*ret = t;
	return 0;
}

static int from_size(uint64_t size, const char *field, struct sim_tmpl **ret, struct sq_error *err)
{
	struct sim_tmpl *t;
	char *buf;

	if (size > SIM_RENDER_MAX)
		return sq_bad(err, "%s: %llu bytes; accepted: 0 to %d", field,
			      (unsigned long long)size, SIM_RENDER_MAX);
	buf = malloc(size + 1);
	if (!buf)
		return sq_bad(err, "%s: out of memory", field);
	for (uint64_t i = 0; i < size; i++)
		buf[i] = (char)('a' + i % 26);
	t = new_tmpl(buf, size);
	free(buf);
	if (!t || add_text(t, 0, size)) {
		sim_tmpl_free(t);
		return sq_bad(err, "%s: out of memory", field);
	}
	t->size = true;
	*ret = t;
	return 0;
}

const char *sim_tmpl_file(const char *arg)
{
	if (!strncmp(arg, "lines:", 6))
		return arg + 6;
	if (*arg == '@')
		return arg + 1;
	return *arg == '/' || !strncmp(arg, "./", 2) ? arg : NULL;
}

int sim_tmpl_payload(const char *arg, const char *field, const struct sim_creds *creds,
		     struct sim_tmpl **ret, struct sq_error *err)
{
	struct sim_tmpl *t;
	char *buf = NULL;
	size_t len = 0;
	uint64_t size;
	int rc;

	if (!sim_parse_size(arg, &size))
		return from_size(size, field, ret, err);
	if (!strncmp(arg, "lines:", 6))
		return from_lines(arg + 6, field, creds, ret, err);
	if (sim_tmpl_file(arg)) {
		rc = read_file(sim_tmpl_file(arg), field, SIM_RENDER_MAX, &buf, &len, err);
		if (rc)
			return rc;
		t = new_tmpl(buf, len);
		free(buf);
	} else {
		t = new_tmpl(arg, strlen(arg));
	}
	if (!t)
		return sq_bad(err, "%s: out of memory", field);
	t->creds = creds;
	rc = compile(t, 2, field, err);
	if (!rc && sim_tmpl_max(t) > SIM_RENDER_MAX)
		rc = sq_bad(err, "%s: longer than %d bytes", field, SIM_RENDER_MAX);
	if (rc) {
		sim_tmpl_free(t);
		return rc;
	}
	*ret = t;
	return 0;
}

/* What is longer than a template may be is sent as it stands. */
int sim_tmpl_message(const char *arg, const char *field, const struct sim_creds *creds,
		     struct sim_tmpl **ret, struct sq_error *err)
{
	const char *path = sim_tmpl_file(arg);
	struct sim_bulk *b = NULL;
	struct sim_tmpl *t;
	struct stat st;
	uint64_t size;
	bool sized = !sim_parse_size(arg, &size);
	int rc;

	if (sized && size > MQTT_MAX_REMAINING)
		return sq_bad(err, "%s: %llu bytes; accepted: 0 to %u, all that a packet can hold",
			      field, (unsigned long long)size, MQTT_MAX_REMAINING);
	if (sized ? size <= SIM_RENDER_MAX
		  : !path || !strncmp(arg, "lines:", 6) || stat(path, &st) ||
			    st.st_size <= SIM_RENDER_MAX)
		return sim_tmpl_payload(arg, field, creds, ret, err);
	if (!sized) {
		rc = sim_bulk_file(path, field, &b, err);
		if (rc)
			return rc;
	} else {
		b = sim_bulk_size((uint32_t)size);
	}
	t = b ? new_tmpl("", 0) : NULL;
	if (!t) {
		sim_bulk_put(b);
		return sq_bad(err, "%s: out of memory", field);
	}
	t->bulk = b;
	t->creds = creds;
	t->size = sized;
	*ret = t;
	return 0;
}
