// SPDX-License-Identifier: GPL-2.0-only
/* YAML nodes into C: where something stands, what was meant, plain values. */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include "lib/opt/opt.h"
#include "sim/experiment/file/node.h"

struct exp_mark exp_mark_of(const yaml_node_t *n)
{
	return (struct exp_mark){(unsigned)n->start_mark.line + 1,
				 (unsigned)n->start_mark.column + 1};
}

static int bad_v(const char *path, struct exp_mark m, struct sq_error *err, const char *fmt,
		 va_list ap) __attribute__((format(printf, 4, 0)));

static int bad_v(const char *path, struct exp_mark m, struct sq_error *err, const char *fmt,
		 va_list ap)
{
	char text[400];

	vsnprintf(text, sizeof(text), fmt, ap);
	return sq_bad(err, "%.100s:%u:%u: %s", path, m.line, m.column, text);
}

int exp_bad(const struct exp_file *f, const yaml_node_t *n, const char *fmt, ...)
{
	va_list ap;
	int rc;

	va_start(ap, fmt);
	rc = bad_v(f->path, exp_mark_of(n), f->err, fmt, ap);
	va_end(ap);
	return rc;
}

int exp_bad_at(const struct experiment *x, struct exp_mark m, struct sq_error *err, const char *fmt,
	       ...)
{
	va_list ap;
	int rc;

	va_start(ap, fmt);
	rc = bad_v(x->path, m, err, fmt, ap);
	va_end(ap);
	return rc;
}

yaml_node_t *exp_node(const struct exp_file *f, int index)
{
	return yaml_document_get_node(f->doc, index);
}

const char *exp_near(const char *word, const void *first, unsigned n, size_t stride)
{
	struct suggestion s = {.word = word};

	for (unsigned i = 0; i < n; i++)
		suggest_from(&s, *(const char *const *)((const char *)first + i * stride));
	return s.best;
}

static int unknown(struct exp_file *f, const yaml_node_t *key, const char *word,
		   const struct exp_key *keys, unsigned n, const char *what)
{
	const char *near = exp_near(word, keys, n, sizeof(*keys));
	char list[300] = "";

	if (near)
		return exp_bad(f, key, "%s: key '%.60s' is unknown; did you mean '%s'?", what, word,
			       near);
	for (unsigned i = 0; i < n; i++)
		snprintf(list + strlen(list), sizeof(list) - strlen(list), "%s%s", i ? ", " : "",
			 keys[i].name);
	return exp_bad(f, key, "%s: key '%.60s' is unknown; accepted: %s", what, word, list);
}

int exp_read_map(struct exp_file *f, yaml_node_t *map, const struct exp_key *keys, unsigned n,
		 void *into, const char *what)
{
	uint64_t seen = 0;

	if (!map || map->type != YAML_MAPPING_NODE)
		return map ? exp_bad(f, map, "%s: accepted: 'key: value' pairs", what)
			   : sq_bad(f->err, "%.200s:1:1: the file is empty", f->path);
	for (yaml_node_pair_t *i = map->data.mapping.pairs.start; i < map->data.mapping.pairs.top;
	     i++) {
		yaml_node_t *key = exp_node(f, i->key), *value = exp_node(f, i->value);
		const char *word = sim_yaml_scalar(key);
		unsigned k = 0;
		int rc;

		if (!word)
			return exp_bad(f, key, "%s: a key must be a word", what);
		while (k < n && strcmp(keys[k].name, word))
			k++;
		if (k == n)
			return unknown(f, key, word, keys, n, what);
		if (seen & 1ull << k)
			return exp_bad(f, key, "%s: '%s' stands twice", what, word);
		seen |= 1ull << k;
		rc = keys[k].size ? exp_read_text(f, value, word, (char *)into + keys[k].at,
						  keys[k].size)
				  : keys[k].read(f, value, into);
		if (rc)
			return rc;
	}
	return 0;
}

int exp_read_text(struct exp_file *f, yaml_node_t *v, const char *name, char *to, size_t size)
{
	const char *s = sim_yaml_scalar(v);

	if (!s || !*s || strlen(s) >= size)
		return exp_bad(f, v, "%s: accepted: a text of 1 to %zu bytes", name, size - 1);
	for (const char *c = s; *c && !strcmp(name, "name"); c++)
		if ((unsigned char)*c < ' ' || *c == 127)
			return exp_bad(f, v,
				       "name: accepted: one line, without control characters");
	snprintf(to, size, "%s", s);
	return 0;
}

int exp_read_time(struct exp_file *f, yaml_node_t *v, const char *name, uint64_t min, uint64_t max,
		  uint64_t *ret)
{
	const char *s = sim_yaml_scalar(v);
	uint64_t ns;

	if (!s || opt_parse_time(s, &ns) || ns < min || ns > max)
		return exp_bad(f, v,
			       "%s%s%.60s%s: accepted: a time with its unit, e.g. 500ms, 30s, 2m, "
			       "from %gs to %gs",
			       name, s ? " '" : "", s ? s : "", s ? "'" : "", (double)min / 1e9,
			       (double)max / 1e9);
	*ret = ns;
	return 0;
}

int exp_read_count(struct exp_file *f, yaml_node_t *v, const char *name, uint64_t max,
		   uint64_t *ret)
{
	const char *s = sim_yaml_scalar(v);
	char *end = NULL;

	errno = 0;
	*ret = s && *s >= '0' && *s <= '9' ? strtoull(s, &end, 10) : max + 1;
	if (*ret > max || errno || !end || *end)
		return exp_bad(f, v, "%s%s%.60s%s: accepted: a whole number from 0 to %llu", name,
			       s ? " '" : "", s ? s : "", s ? "'" : "", (unsigned long long)max);
	return 0;
}

int exp_read_name(struct exp_file *f, yaml_node_t *v, char to[EXP_NAME])
{
	const char *s = sim_yaml_scalar(v);

	if (!s || !*s || strlen(s) >= EXP_NAME ||
	    s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")])
		return exp_bad(f, v,
			       "name: accepted: 1 to %d letters, digits, '-' and '_', as "
			       "thresholds use it",
			       EXP_NAME - 1);
	snprintf(to, EXP_NAME, "%s", s);
	return 0;
}
