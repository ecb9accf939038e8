// SPDX-License-Identifier: GPL-2.0-only
/* What the terminal shows of the panel's state: list above, counters or profiles below. */
#include <curses.h>
#include <string.h>
#include <time.h>
#include "lib/text.h"
#include "squall/panel/panel.h"

static void color(int pair, bool on)
{
	if (!has_colors())
		return;
	if (on)
		attron(COLOR_PAIR(pair));
	else
		attroff(COLOR_PAIR(pair));
}

/* Text at a place, cut to width, without anything that could drive the terminal. */
static void put(int y, int x, int width, const char *text)
{
	char safe[2048];

	if (width <= 0 || y >= LINES || x >= COLS)
		return;
	text_shown(safe, sizeof(safe), text, strlen(text));
	mvaddnstr(y, x, safe, width);
}

static void rule_line(int y)
{
	mvhline(y, 0, ACS_HLINE, COLS);
}

static void draw_targets(struct panel *ui, int y, int height)
{
	int name = COLS / 3 < 48 ? COLS / 3 : 48, i;

	attron(A_BOLD);
	put(y, 1, name, "TARGET");
	put(y, name + 2, 9, "SEEN");
	put(y, name + 12, COLS - name - 12, "RULE");
	attroff(A_BOLD);
	if (ui->row < ui->top)
		ui->top = ui->row;
	if (ui->row >= ui->top + (size_t)height - 1)
		ui->top = ui->row - (size_t)height + 2;
	for (i = 0; i < height - 1 && ui->top + (size_t)i < panel_count(ui); i++) {
		const json_t *t = panel_target(ui, ui->top + (size_t)i), *rule = panel_rule(t);
		bool here = ui->top + (size_t)i == ui->row;

		if (here)
			attron(A_REVERSE);
		mvhline(y + 1 + i, 0, ' ', COLS);
		put(y + 1 + i, 1, name, panel_text(t, "target"));
		put(y + 1 + i, name + 2, 9,
		    json_is_false(json_object_get(t, "running"))
			    ? "stopped"
			    : panel_text(json_object_get(t, "view"), "mode"));
		if (rule)
			color(FAULTY, true);
		put(y + 1 + i, name + 12, COLS - name - 12, panel_text(rule, "text"));
		color(FAULTY, false);
		if (here)
			attroff(A_REVERSE);
	}
	if (!panel_count(ui))
		put(y + 1, 1, COLS - 2,
		    *ui->search ? "nothing matches; / and Enter on an empty line show all"
				: "no cgroup and no container is there");
}

/* Per second since the answer before; NULL before: nothing to compare with. */
static void rate_text(const json_t *now, const json_t *before, double seconds, const char *key,
		      char *buf, size_t size)
{
	json_int_t a = panel_number(now, key), b = panel_number(before, key);

	if (!before || seconds <= 0)
		snprintf(buf, size, "-");
	else
		snprintf(buf, size, "%.0f", (double)(a >= b ? a - b : a) / seconds);
}

static void draw_counters(struct panel *ui, int y, int height)
{
	static const char *const keys[] = {"seen_pkts",	      "lost_pkts",	"delayed_pkts",
					   "duplicated_pkts", "corrupted_pkts", "reordered_pkts",
					   "over_limit_pkts"};
	static const char *const titles[] = {"seen",	"lost",	 "delayed", "dup",
					     "corrupt", "reord", "limit"};
	double seconds = (double)(panel_number(ui->counters, "time_ms") -
				  panel_number(ui->before, "time_ms")) /
			 1e3;
	char text[64], match[32];
	const json_t *row, *old;
	size_t i, j, k;
	int line = 0;

	attron(A_BOLD);
	put(y, 1, 18, "packets per second");
	for (k = 0; k < 7; k++)
		put(y, 24 + (int)k * 8, 8, titles[k]);
	attroff(A_BOLD);
	json_array_foreach(json_object_get(ui->counters, "counters"), i, row)
	{
		if (strcmp(panel_text(row, "target"), ui->selected) || ++line >= height)
			continue;
		old = NULL;
		json_array_foreach(json_object_get(ui->before, "counters"), j,
				   old) if (json_equal(json_object_get(old, "target"),
						       json_object_get(row, "target")) &&
					    json_equal(json_object_get(old, "clause"),
						       json_object_get(row, "clause")) &&
					    json_equal(json_object_get(old, "direction"),
						       json_object_get(row, "direction"))) break;
		if (j == json_array_size(json_object_get(ui->before, "counters")))
			old = NULL;
		snprintf(text, sizeof(text), "%s.%lld %s", panel_text(row, "direction"),
			 (long long)panel_number(row, "clause"),
			 sq_client_match(json_object_get(row, "match"), match, sizeof(match)));
		put(y + line, 1, 22, text);
		for (k = 0; k < 7; k++) {
			rate_text(row, old, seconds, keys[k], text, sizeof(text));
			put(y + line, 24 + (int)k * 8, 7, text);
		}
	}
	if (!line)
		put(y + 1, 1, COLS - 2, "no rule, nothing counted");
}

static void draw_profiles(struct panel *ui, int y, int height)
{
	const json_t *list = json_object_get(ui->profiles, "profiles"), *p;
	size_t first = ui->profile >= (size_t)height ? ui->profile - (size_t)height + 1 : 0;
	int i;

	for (i = 0; i < height; i++) {
		p = json_array_get(list, first + (size_t)i);
		mvhline(y + i, 0, ' ', COLS);
		if (!p)
			continue;
		if (first + (size_t)i == ui->profile)
			attron(A_REVERSE);
		put(y + i, 1, 24, panel_text(p, "name"));
		put(y + i, 26, COLS - 26, panel_text(p, "description"));
		attroff(A_REVERSE);
	}
}

static void draw_help(int y, int height)
{
	static const char *const lines[] = {
		"arrows, PgUp, PgDn  pick a target; below are its packets per second, by outcome",
		"e or Enter          edit its rule: [up|down|both] FAULT... [match ...] [for 5m]",
		"p                   a profile: arrows, Enter",
		"c                   delete its rule, stop its schedule (asks); C: all of them "
		"(asks)",
		"/                   list only what has this in its name or rule; Esc shows all",
		"s                   sort: by name, or what is faulted first",
		"q                   leave; rules stay. squall help fault set: all of a rule",
	};

	for (int i = 0; i < height && i < (int)(sizeof(lines) / sizeof(lines[0])); i++)
		put(y + i, 1, COLS - 2, lines[i]);
}

void panel_draw(struct panel *ui)
{
	int list = LINES / 2 - 2, bottom = LINES - 3;
	char title[640], clock[16];
	time_t now = time(NULL);
	struct tm tm;

	erase();
	localtime_r(&now, &tm);
	strftime(clock, sizeof(clock), "%T", &tm);
	snprintf(title, sizeof(title), "squall control  %s", sq_client_peer(ui->client));
	color(TITLE, true);
	mvhline(0, 0, ' ', COLS);
	put(0, 1, COLS - 12, title);
	put(0, COLS - 9, 9, clock);
	color(TITLE, false);
	if (LINES < 10 || COLS < 40) {
		put(2, 0, COLS, "the terminal is too small");
		refresh();
		return;
	}
	draw_targets(ui, 1, list);
	rule_line(list + 1);
	if (ui->mode == PROFILES)
		draw_profiles(ui, list + 2, bottom - list - 2);
	else if (ui->mode == HELP)
		draw_help(list + 2, bottom - list - 2);
	else
		draw_counters(ui, list + 2, bottom - list - 2);
	rule_line(bottom);
	color(ui->bad ? BAD : GOOD, true);
	put(LINES - 1, 1, COLS - 2, ui->message);
	color(ui->bad ? BAD : GOOD, false);
	curs_set(ui->mode == EDIT || ui->mode == SEARCH);
	switch (ui->mode) {
	case PICK:
		put(bottom + 1, 1, COLS - 2,
		    "e edit  p profile  c clear  C clear all  / search  s sort  ? help  q leave");
		break;
	case HELP:
		put(bottom + 1, 1, COLS - 2, "any key: back");
		break;
	case CONFIRM:
		snprintf(title, sizeof(title), "delete the rule of %s? y / n", ui->selected);
		put(bottom + 1, 1, COLS - 2, title);
		break;
	case SEARCH:
		put(bottom + 1, 1, 7, "search:");
		put(bottom + 1, 9, COLS - 10, ui->search);
		move(bottom + 1, 9 + (int)strlen(ui->search));
		break;
	case PROFILES:
		put(bottom + 1, 1, COLS - 2, "arrows and Enter: apply a profile   Esc: back");
		break;
	case CONFIRM_ALL:
		put(bottom + 1, 1, COLS - 2, "delete the rules of all targets? y / n");
		break;
	case EDIT: {
		int room = COLS - 8, from = (int)ui->pos > room ? (int)ui->pos - room : 0;

		put(bottom + 1, 1, 6, "rule:");
		put(bottom + 1, 7, room, ui->line + from);
		move(bottom + 1, 7 + (int)ui->pos - from);
		break;
	}
	}
	refresh();
}
