// SPDX-License-Identifier: GPL-2.0-only
/* What people and programs get to see. */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <squall/units.h>
#include "lib/text.h"
#include "squall/cli.h"

const char *style(const struct cli *cli, const char *sgr)
{
	return cli->color ? sgr : "";
}

/* Names come from containers and files: they must not drive the terminal. */
void print_safe(FILE *f, const char *text)
{
	text_print(f, text);
}

void print_json(const struct cli *cli, const json_t *json)
{
	json_dumpf(json, stdout,
		   SQ_JSON_FLAGS | JSON_ENCODE_ANY | (cli->pretty ? JSON_INDENT(2) : JSON_COMPACT));
	putchar('\n');
}

static int complain_line(const struct cli *cli, int code, const char *field, const char *text)
{
	json_t *json;

	fflush(stdout); /* keeps the order when both go to one place */
	if (cli->json) {
		json = json_pack("{s:{s:s,s:s+}}", "error", "field", field, "text",
				 cli->where ? cli->where : "", text);
		if (json) {
			json_dumpf(json, stderr, JSON_COMPACT);
			fputc('\n', stderr);
			json_decref(json);
			return code;
		}
	}
	fputs("squall: ", stderr);
	print_safe(stderr, cli->where ? cli->where : "");
	print_safe(stderr, text);
	fputc('\n', stderr);
	return code;
}

int complain(const struct cli *cli, int code, const struct sq_error *err)
{
	return complain_line(cli, code, err->field, err->text);
}

int complain_text(const struct cli *cli, int code, const char *fmt, ...)
{
	char text[1024];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	return complain_line(cli, code, "", text);
}

/* What a change did, unless it failed or -q asks for silence; takes the answer. */
int done(const struct cli *cli, int r, json_t *answer, const char *name, const char *what)
{
	if (!r && !(cli->given & OPT_QUIET)) {
		if (cli->json && answer) {
			print_json(cli, answer);
		} else if (!cli->json) {
			print_safe(stdout, name);
			printf(": %s\n", what);
		}
	}
	json_decref(answer);
	return r;
}

/* --- tables ---------------------------------------------------------------- */

#define COLUMNS_MAX 24

struct cell {
	char *text;
	bool right;
};

struct table {
	struct cell (*rows)[COLUMNS_MAX];
	size_t n, room;
	int column;
};

struct table *table_new(void)
{
	return calloc(1, sizeof(struct table));
}

static bool table_room(struct table *t)
{
	void *rows;

	if (t->n < t->room)
		return true;
	rows = realloc(t->rows, (t->room * 2 + 16) * sizeof(*t->rows));
	if (!rows)
		return false;
	t->rows = rows;
	t->room = t->room * 2 + 16;
	return true;
}

void table_cell(struct table *t, bool right, const char *fmt, ...)
{
	va_list args;
	char *text;

	if (!t || t->column == COLUMNS_MAX || !table_room(t))
		return;
	if (!t->column)
		memset(t->rows[t->n], 0, sizeof(*t->rows));
	va_start(args, fmt);
	if (vasprintf(&text, fmt, args) < 0)
		text = NULL;
	va_end(args);
	t->rows[t->n][t->column].text = text;
	t->rows[t->n][t->column].right = right;
	t->column++;
}

void table_row(struct table *t)
{
	if (t && t->column)
		t->n++;
	if (t)
		t->column = 0;
}

/* Columns on screen; good enough for UTF-8 without wide characters. */
static int width(const char *text)
{
	int n = 0;

	for (; text && *text; text++) {
		unsigned char c = (unsigned char)*text;

		n += c < 0x20 || c == 0x7f ? 4 : (c & 0xc0) != 0x80;
	}
	return n;
}

void table_print(const struct table *t, FILE *f)
{
	int widths[COLUMNS_MAX] = {0}, last, c;
	size_t r;

	for (r = 0; t && r < t->n; r++)
		for (c = 0; c < COLUMNS_MAX; c++)
			if (width(t->rows[r][c].text) > widths[c])
				widths[c] = width(t->rows[r][c].text);
	for (r = 0; t && r < t->n; r++) {
		for (last = COLUMNS_MAX - 1; last > 0 && !t->rows[r][last].text; last--)
			;
		for (c = 0; c <= last; c++) {
			const struct cell *cell = &t->rows[r][c];
			int pad = widths[c] - width(cell->text);

			if (c)
				fputs("  ", f);
			if (cell->right)
				fprintf(f, "%*s", pad, "");
			print_safe(f, cell->text ? cell->text : "");
			if (!cell->right && c < last)
				fprintf(f, "%*s", pad, "");
		}
		fputc('\n', f);
	}
}

void table_free(struct table *t)
{
	size_t r;
	int c;

	if (!t)
		return;
	for (r = 0; r < t->n + (t->column > 0); r++)
		for (c = 0; c < COLUMNS_MAX; c++)
			free(t->rows[r][c].text);
	free(t->rows);
	free(t);
}

/* --- any JSON, for people ---------------------------------------------------- */

static bool ends_with(const char *text, const char *tail)
{
	size_t n = strlen(text), m = strlen(tail);

	return n > m && !strcmp(text + n - m, tail);
}

/* "delay_ns": 1500000 is "delay 1.5ms". */
static void name_and_value(const char *key, const json_t *v, char *name, size_t name_size,
			   char *value, size_t value_size)
{
	char text[32];
	json_int_t n = json_integer_value(v);
	size_t cut = 0;

	*value = 0;
	if (json_is_integer(v) && n >= 0) {
		if (ends_with(key, "_ns")) {
			cut = 3;
			snprintf(value, value_size, "%s",
				 sq_format_time((uint64_t)n, text, sizeof(text)));
		} else if (ends_with(key, "_bps")) {
			cut = 4;
			snprintf(value, value_size, "%s",
				 sq_format_rate((uint64_t)n, text, sizeof(text)));
		} else if (ends_with(key, "_ms") && n > 1000000000000ll) {
			time_t seconds = (time_t)(n / 1000);
			struct tm tm;

			cut = 3;
			localtime_r(&seconds, &tm);
			strftime(value, value_size, "%F %T", &tm);
		}
	}
	snprintf(name, name_size, "%.*s", (int)(strlen(key) - cut), key);
	if (*value)
		return;
	switch (json_typeof(v)) {
	case JSON_STRING:
		snprintf(value, value_size, "%s", json_string_value(v));
		break;
	case JSON_INTEGER:
		snprintf(value, value_size, "%" JSON_INTEGER_FORMAT, n);
		break;
	case JSON_REAL:
		snprintf(value, value_size, "%.7g", json_real_value(v));
		break;
	case JSON_TRUE:
		snprintf(value, value_size, "yes");
		break;
	case JSON_FALSE:
		snprintf(value, value_size, "no");
		break;
	default:
		snprintf(value, value_size, "-");
	}
}

static bool is_scalar(const json_t *v)
{
	return !json_is_object(v) && !json_is_array(v);
}

/* "a b c", or NULL if there is more in it than scalars. */
static char *joined(const json_t *array)
{
	char name[8], value[512], *text = strdup("");
	const json_t *v;
	size_t i;

	json_array_foreach(array, i, v)
	{
		char *longer = NULL;

		if (!text || !is_scalar(v)) {
			free(text);
			return NULL;
		}
		name_and_value("", v, name, sizeof(name), value, sizeof(value));
		if (asprintf(&longer, "%s%s%s", text, *text ? " " : "", value) < 0)
			longer = NULL;
		free(text);
		text = longer;
	}
	return text;
}

static void render_at(const char *key, const json_t *v, int indent, FILE *f);

/* An array of objects: the keys of all of them are the columns. */
static void render_rows(const json_t *array, int indent, FILE *f)
{
	char name[128], value[1024], *list;
	json_t *keys = json_object();
	struct table *t = table_new();
	const char *key;
	json_t *row, *v;
	size_t i;

	json_array_foreach((json_t *)array, i, row) json_object_foreach(row, key, v)
		json_object_set_new(keys, key, json_true());
	table_cell(t, false, "%*s", indent, "");
	json_object_foreach(keys, key, v)
	{
		name_and_value(key, json_null(), name, sizeof(name), value, sizeof(value));
		table_cell(t, false, "%s", name);
	}
	table_row(t);
	json_array_foreach((json_t *)array, i, row)
	{
		table_cell(t, false, "%*s", indent, "");
		json_object_foreach(keys, key, v)
		{
			const json_t *cell = json_object_get(row, key);

			list = json_is_array(cell) ? joined(cell) : NULL;
			if (list) {
				table_cell(t, false, "%s", list);
			} else if (json_is_object(cell) || json_is_array(cell)) {
				char *dump = json_dumps(cell, JSON_COMPACT);

				table_cell(t, false, "%s", dump ? dump : "");
				free(dump);
			} else {
				name_and_value(key, cell ? cell : json_null(), name, sizeof(name),
					       value, sizeof(value));
				table_cell(t, json_is_number(cell), "%s", value);
			}
			free(list);
		}
		table_row(t);
	}
	table_print(t, f);
	table_free(t);
	json_decref(keys);
}

static bool all_objects(const json_t *array)
{
	const json_t *v;
	size_t i;

	json_array_foreach(array, i, v) if (!json_is_object(v)) return false;
	return json_array_size(array) > 0;
}

static void render_object(const json_t *object, int indent, FILE *f)
{
	const char *key;
	json_t *v;

	json_object_foreach((json_t *)object, key, v) render_at(key, v, indent, f);
}

static void render_at(const char *key, const json_t *v, int indent, FILE *f)
{
	char name[128], value[2048], *list = NULL;

	if (json_is_array(v))
		list = joined(v);
	if (is_scalar(v) || list) {
		if (list)
			snprintf(value, sizeof(value), "%s", *list ? list : "-");
		name_and_value(key, list ? json_null() : v, name, sizeof(name), list ? name : value,
			       list ? sizeof(name) : sizeof(value));
		if (list)
			snprintf(name, sizeof(name), "%s", key);
		fprintf(f, "%*s", indent, "");
		print_safe(f, name);
		fprintf(f, "%*s ", width(name) < 16 - indent ? 16 - indent - width(name) : 0, "");
		print_safe(f, value);
		fputc('\n', f);
		free(list);
		return;
	}
	fprintf(f, "%*s", indent, "");
	print_safe(f, key);
	fputc('\n', f);
	if (json_is_object(v)) {
		render_object(v, indent + 2, f);
	} else if (all_objects(v)) {
		render_rows(v, indent, f);
	} else {
		const json_t *item;
		size_t i;

		json_array_foreach(v, i, item) render_at("-", item, indent + 2, f);
	}
}

void render(const json_t *json, FILE *f)
{
	if (json_is_object(json))
		render_object(json, 0, f);
	else
		render_at("", json, 0, f);
}
