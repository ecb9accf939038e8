// SPDX-License-Identifier: GPL-2.0-only
/*
 * squall control: a panel for the terminal. One thread: draw, wait up to a
 * second for a key, act on it, ask squalld anew when a second has passed.
 * Nothing is kept here that squalld does not know, so leaving loses nothing.
 */
#include <curses.h>
#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <squall/units.h>
#include <squall/rule.h>
#include "squall/panel/panel.h"

static void say(struct panel *ui, bool bad, const char *text)
{
	snprintf(ui->message, sizeof(ui->message), "%s", text);
	ui->bad = bad;
}

/* A request whose error goes to the message line. */
static int ask(struct panel *ui, const char *method, const char *path, const json_t *body,
	       json_t **ret)
{
	struct sq_error err;
	int r = sq_client_request(ui->client, method, path, body, ret, &err);

	if (r)
		say(ui, true, err.text);
	return r;
}

static int ask_target(struct panel *ui, const char *method, const char *prefix, const char *suffix,
		      const json_t *body, json_t **ret)
{
	char *path = sq_client_path(prefix, ui->selected, suffix);
	int r = path ? ask(ui, method, path, body, ret) : -ENOMEM;

	free(path);
	return r;
}

static void select_row(struct panel *ui, size_t row)
{
	size_t n = panel_count(ui);

	if (!n)
		return;
	ui->row = row < n ? row : n - 1;
	snprintf(ui->selected, sizeof(ui->selected), "%s",
		 panel_text(panel_target(ui, ui->row), "target"));
}

static int by_name(const void *a, const void *b)
{
	return strcmp(panel_text(*(const json_t *const *)a, "target"),
		      panel_text(*(const json_t *const *)b, "target"));
}

static int faulted_first(const void *a, const void *b)
{
	bool x = panel_rule(*(const json_t *const *)a), y = panel_rule(*(const json_t *const *)b);

	return x == y ? by_name(a, b) : x ? -1 : 1;
}

/* What the search leaves of answer, sorted; the same object. */
static json_t *listed(const struct panel *ui, json_t *answer)
{
	const json_t *all = json_object_get(answer, "targets"), *t;
	json_t *list = json_array(), **sorted = calloc(json_array_size(all) + 1, sizeof(*sorted));
	size_t i, n = 0;

	if (!list || !sorted) {
		json_decref(list);
		free(sorted);
		return answer;
	}
	json_array_foreach(all, i, t) if (!*ui->search ||
					  strcasestr(panel_text(t, "target"), ui->search) ||
					  strcasestr(panel_text(panel_rule(t), "text"), ui->search))
		sorted[n++] = (json_t *)t;
	qsort(sorted, n, sizeof(*sorted), ui->faulted_first ? faulted_first : by_name);
	for (i = 0; i < n; i++)
		json_array_append(list, sorted[i]);
	free(sorted);
	json_object_set_new(answer, "targets", list);
	return answer;
}

static void refresh_data(struct panel *ui)
{
	json_t *answer = NULL;
	size_t i;

	if (ask(ui, "GET", "/api/v1/targets", NULL, &answer))
		return;
	json_decref(ui->targets);
	ui->targets = listed(ui, answer);
	for (i = 0; i < panel_count(ui); i++)
		if (!strcmp(panel_text(panel_target(ui, i), "target"), ui->selected))
			ui->row = i;
	/* One that is gone, if only while squalld starts, is not followed by another of its place:
	 * what is typed next would be done to that. */
	if (!*ui->selected)
		select_row(ui, ui->row);
	answer = NULL;
	if (ask(ui, "GET", "/api/v1/counters", NULL, &answer))
		return;
	json_decref(ui->before);
	ui->before = ui->counters;
	ui->counters = answer;
}

/* --- acting --------------------------------------------------------------------- */

static void done(struct panel *ui, const json_t *answer)
{
	char text[512];

	snprintf(text, sizeof(text), "%.200s: %s", ui->selected,
		 panel_text(json_object_get(answer, "rule"), "text"));
	say(ui, false, text);
	ui->mode = PICK;
	refresh_data(ui);
}

static void set_rule(struct panel *ui)
{
	json_t *body, *answer = NULL;
	struct sq_error err;
	struct sq_rule rule;

	if (sq_rule_from_text(ui->line, ui->len, &rule, &err)) {
		say(ui, true, err.text); /* and the line stays, to be mended */
		return;
	}
	body = sq_rule_to_json(&rule, 0);
	if (body && !ask_target(ui, "PUT", "/api/v1/rules/", "", body, &answer))
		done(ui, answer);
	json_decref(answer);
	json_decref(body);
}

static void apply_profile(struct panel *ui)
{
	const json_t *p = json_array_get(json_object_get(ui->profiles, "profiles"), ui->profile);
	json_t *body, *answer = NULL;

	if (!p)
		return;
	body = json_pack("{s:O}", "name", json_object_get(p, "name"));
	if (body && !ask_target(ui, "POST", "/api/v1/rules/", "/profile", body, &answer))
		done(ui, answer);
	json_decref(answer);
	json_decref(body);
}

/* With its schedule, which would bring a fault back. */
static void clear_rule(struct panel *ui)
{
	json_t *answer = NULL, *body = json_pack("{s:b,s:[{s:s,s:n}]}", "undo", 1, "rules",
						 "target", ui->selected, "rule");

	if (body && !ask(ui, "PUT", "/api/v1/rules", body, &answer)) {
		say(ui, false,
		    json_integer_value(json_object_get(answer, "schedules"))
			    ? "deleted, and its schedule stopped"
			    : "deleted");
		refresh_data(ui);
	}
	json_decref(answer);
	json_decref(body);
}

static void clear_all(struct panel *ui)
{
	ui->mode = PICK;
	if (ask(ui, "DELETE", "/api/v1/rules", NULL, NULL))
		return;
	say(ui, false, "all rules are deleted, all schedules stopped");
	refresh_data(ui);
}

static void start_edit(struct panel *ui)
{
	const char *text =
		json_string_value(json_object_get(panel_rule(panel_target(ui, ui->row)), "text"));

	snprintf(ui->line, sizeof(ui->line), "%s", text ? text : "up ");
	ui->len = ui->pos = strlen(ui->line);
	ui->mode = EDIT;
	say(ui, false,
	    "[up|down|both] loss 10% delay 100ms 20ms rate 1mbit duplicate corrupt reorder "
	    "mtu blackhole [match ...] [for 60s]");
}

static void edit_key(struct panel *ui, int key)
{
	switch (key) {
	case 27:
		ui->mode = PICK;
		say(ui, false, "");
		break;
	case '\n':
	case '\r':
	case KEY_ENTER:
		set_rule(ui);
		break;
	case KEY_LEFT:
		ui->pos -= ui->pos > 0;
		break;
	case KEY_RIGHT:
		ui->pos += ui->pos < ui->len;
		break;
	case KEY_HOME:
	case 1: /* ^A */
		ui->pos = 0;
		break;
	case KEY_END:
	case 5: /* ^E */
		ui->pos = ui->len;
		break;
	case 21: /* ^U */
		ui->len = ui->pos = 0;
		ui->line[0] = 0;
		break;
	case KEY_BACKSPACE:
	case 127:
	case 8:
		if (!ui->pos)
			break;
		memmove(ui->line + ui->pos - 1, ui->line + ui->pos, ui->len - ui->pos + 1);
		ui->pos--;
		ui->len--;
		break;
	case KEY_DC:
		if (ui->pos == ui->len)
			break;
		memmove(ui->line + ui->pos, ui->line + ui->pos + 1, ui->len - ui->pos);
		ui->len--;
		break;
	default: /* rules are printable ASCII */
		if (key < 0x20 || key > 0x7e || ui->len + 1 >= sizeof(ui->line))
			break;
		memmove(ui->line + ui->pos + 1, ui->line + ui->pos, ui->len - ui->pos + 1);
		ui->line[ui->pos++] = (char)key;
		ui->len++;
	}
}

static bool is_there(struct panel *ui)
{
	const json_t *t = panel_target(ui, ui->row);

	return t && !strcmp(panel_text(t, "target"), ui->selected);
}

static void search_key(struct panel *ui, int key)
{
	size_t n = strlen(ui->search);

	if (key == 27)
		*ui->search = 0;
	if (key == 27 || key == '\n' || key == '\r' || key == KEY_ENTER)
		ui->mode = PICK;
	else if ((key == KEY_BACKSPACE || key == 127 || key == 8) && n)
		ui->search[n - 1] = 0;
	else if (key == 21) /* ^U */
		*ui->search = 0;
	else if (key >= 0x20 && key <= 0x7e && n + 1 < sizeof(ui->search))
		snprintf(ui->search + n, sizeof(ui->search) - n, "%c", key);
	else
		return;
	refresh_data(ui);
	if (!is_there(ui))
		select_row(ui, 0);
}

static void profiles_key(struct panel *ui, int key)
{
	size_t n = json_array_size(json_object_get(ui->profiles, "profiles"));

	if (key == 27 || key == 'q')
		ui->mode = PICK;
	else if (key == KEY_UP && ui->profile > 0)
		ui->profile--;
	else if (key == KEY_DOWN && ui->profile + 1 < n)
		ui->profile++;
	else if (key == '\n' || key == '\r' || key == KEY_ENTER)
		apply_profile(ui);
}

/* False: leave. */
static bool pick_key(struct panel *ui, int key)
{
	size_t page = LINES > 12 ? (size_t)LINES / 2 - 4 : 1;
	bool acts = key == KEY_ENTER || (key > 0 && key < 128 && strchr("ecp\n\r", key));

	if (acts && !is_there(ui)) {
		char text[sizeof(ui->message)];

		snprintf(text, sizeof(text), "%.400s is not listed now: pick another, or wait",
			 panel_count(ui) ? ui->selected : "no target");
		say(ui, true, text);
		return true;
	}
	switch (key) {
	case 'q':
		return false;
	case KEY_UP:
		select_row(ui, ui->row ? ui->row - 1 : 0);
		break;
	case KEY_DOWN:
		select_row(ui, ui->row + 1);
		break;
	case KEY_PPAGE:
		select_row(ui, ui->row > page ? ui->row - page : 0);
		break;
	case KEY_NPAGE:
		select_row(ui, ui->row + page);
		break;
	case 'e':
	case '\n':
	case '\r':
	case KEY_ENTER:
		if (panel_count(ui))
			start_edit(ui);
		break;
	case 'p':
		json_decref(ui->profiles);
		ui->profiles = NULL;
		if (panel_count(ui) && !ask(ui, "GET", "/api/v1/profiles", NULL, &ui->profiles)) {
			ui->profile = 0;
			ui->mode = PROFILES;
		}
		break;
	case 'c':
		if (panel_rule(panel_target(ui, ui->row)))
			ui->mode = CONFIRM;
		else
			say(ui, false, "there is no rule to clear");
		break;
	case '/':
		ui->mode = SEARCH;
		break;
	case 's':
		ui->faulted_first = !ui->faulted_first;
		refresh_data(ui);
		say(ui, false, ui->faulted_first ? "what is faulted first" : "by name");
		break;
	case '?':
		ui->mode = HELP;
		break;
	case 27:
		*ui->search = 0;
		refresh_data(ui);
		break;
	case 'C':
		ui->mode = CONFIRM_ALL;
		break;
	}
	return true;
}

static bool handle_key(struct panel *ui, int key)
{
	switch (ui->mode) {
	case EDIT:
		edit_key(ui, key);
		return true;
	case PROFILES:
		profiles_key(ui, key);
		return true;
	case CONFIRM:
	case CONFIRM_ALL: {
		bool all = ui->mode == CONFIRM_ALL;

		ui->mode = PICK;
		if (key == 'y' && all)
			clear_all(ui);
		else if (key == 'y')
			clear_rule(ui);
		return true;
	}
	case SEARCH:
		search_key(ui, key);
		return true;
	case HELP:
		ui->mode = PICK;
		return true;
	default:
		return pick_key(ui, key);
	}
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void start_screen(void)
{
	initscr();
	cbreak();
	noecho();
	keypad(stdscr, TRUE);
	set_escdelay(25);
	if (!has_colors())
		return;
	start_color();
	use_default_colors();
	init_pair(TITLE, COLOR_BLACK, COLOR_CYAN);
	init_pair(GOOD, COLOR_GREEN, -1);
	init_pair(BAD, COLOR_RED, -1);
	init_pair(FAULTY, COLOR_YELLOW, -1);
}

static void loop(struct panel *ui)
{
	int64_t next = now_ms() + 1000, left;
	int key;

	while (!*ui->stop) {
		panel_draw(ui);
		left = next - now_ms();
		timeout(left > 0 ? (int)left : 0);
		key = getch();
		if (key != ERR && key != KEY_RESIZE && !handle_key(ui, key))
			break;
		if (now_ms() < next)
			continue;
		refresh_data(ui);
		next = now_ms() + 1000;
	}
}

void panel_run(struct panel *ui)
{
	setlocale(LC_CTYPE, "");
	refresh_data(ui);
	start_screen();
	loop(ui);
	endwin();
	json_decref(ui->targets);
	json_decref(ui->counters);
	json_decref(ui->before);
	json_decref(ui->profiles);
}
