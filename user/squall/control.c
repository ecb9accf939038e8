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
#include "squall/cli.h"

enum mode { PICK, EDIT, PROFILES, CONFIRM_ALL };

struct ui {
	struct cli *cli;
	json_t *targets, *counters, *before; /* the API's answers */
	json_t *profiles;
	char selected[512]; /* by name: the list may change under us */
	size_t row, top, profile;
	enum mode mode;
	char line[2048];
	size_t len, pos;
	char message[512];
	bool bad; /* the message is an error */
};

enum { NORMAL, TITLE, GOOD, BAD, FAULTY };

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text && *text ? text : "-";
}

static json_int_t number_of(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

static void say(struct ui *ui, bool bad, const char *text)
{
	snprintf(ui->message, sizeof(ui->message), "%s", text);
	ui->bad = bad;
}

/* A request whose error goes to the message line. */
static int ask(struct ui *ui, const char *method, const char *path, const json_t *body,
	       json_t **ret)
{
	struct sq_error err;
	int r = sq_client_request(ui->cli->client, method, path, body, ret, &err);

	if (r)
		say(ui, true, err.text);
	return r;
}

static int ask_target(struct ui *ui, const char *method, const char *prefix, const char *suffix,
		      const json_t *body, json_t **ret)
{
	char *path = sq_client_path(prefix, ui->selected, suffix);
	int r = path ? ask(ui, method, path, body, ret) : -ENOMEM;

	free(path);
	return r;
}

static size_t n_targets(const struct ui *ui)
{
	return json_array_size(json_object_get(ui->targets, "targets"));
}

static const json_t *target_at(const struct ui *ui, size_t i)
{
	return json_array_get(json_object_get(ui->targets, "targets"), i);
}

/* A target's rule with all around it is under "rule", the rule itself under that one's. */
static const json_t *rule_of(const json_t *target)
{
	return json_object_get(json_object_get(target, "rule"), "rule");
}

static void select_row(struct ui *ui, size_t row)
{
	size_t n = n_targets(ui);

	if (!n)
		return;
	ui->row = row < n ? row : n - 1;
	snprintf(ui->selected, sizeof(ui->selected), "%s",
		 text_of(target_at(ui, ui->row), "target"));
}

static void refresh_data(struct ui *ui)
{
	json_t *answer = NULL;
	size_t i;

	if (ask(ui, "GET", "/api/v1/targets", NULL, &answer))
		return;
	json_decref(ui->targets);
	ui->targets = answer;
	for (i = 0; i < n_targets(ui); i++)
		if (!strcmp(text_of(target_at(ui, i), "target"), ui->selected))
			ui->row = i;
	if (!*ui->selected || ui->row >= n_targets(ui))
		select_row(ui, ui->row);
	answer = NULL;
	if (ask(ui, "GET", "/api/v1/counters", NULL, &answer))
		return;
	json_decref(ui->before);
	ui->before = ui->counters;
	ui->counters = answer;
}

/* --- drawing ------------------------------------------------------------------ */

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
	size_t n = 0;

	if (width <= 0 || y >= LINES || x >= COLS)
		return;
	for (; *text && n + 1 < sizeof(safe); text++)
		safe[n++] = (unsigned char)*text < 0x20 || *text == 0x7f ? '?' : *text;
	safe[n] = 0;
	mvaddnstr(y, x, safe, width);
}

static void rule_line(int y)
{
	mvhline(y, 0, ACS_HLINE, COLS);
}

static void draw_targets(struct ui *ui, int y, int height)
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
	for (i = 0; i < height - 1 && ui->top + (size_t)i < n_targets(ui); i++) {
		const json_t *t = target_at(ui, ui->top + (size_t)i), *rule = rule_of(t);
		bool here = ui->top + (size_t)i == ui->row;

		if (here)
			attron(A_REVERSE);
		mvhline(y + 1 + i, 0, ' ', COLS);
		put(y + 1 + i, 1, name, text_of(t, "target"));
		put(y + 1 + i, name + 2, 9,
		    json_is_false(json_object_get(t, "running"))
			    ? "stopped"
			    : text_of(json_object_get(t, "view"), "mode"));
		if (rule)
			color(FAULTY, true);
		put(y + 1 + i, name + 12, COLS - name - 12, text_of(rule, "text"));
		color(FAULTY, false);
		if (here)
			attroff(A_REVERSE);
	}
	if (!n_targets(ui))
		put(y + 1, 1, COLS - 2, "no cgroup and no container is there");
}

/* Per second since the answer before; NULL before: nothing to compare with. */
static void rate_text(const json_t *now, const json_t *before, double seconds, const char *key,
		      char *buf, size_t size)
{
	json_int_t a = number_of(now, key), b = number_of(before, key);

	if (!before || seconds <= 0)
		snprintf(buf, size, "-");
	else
		snprintf(buf, size, "%.0f", (double)(a >= b ? a - b : a) / seconds);
}

static void draw_counters(struct ui *ui, int y, int height)
{
	static const char *const keys[] = {"seen_pkts",	      "lost_pkts",	"delayed_pkts",
					   "duplicated_pkts", "corrupted_pkts", "reordered_pkts",
					   "over_limit_pkts"};
	static const char *const titles[] = {"seen",	"lost",	 "delayed", "dup",
					     "corrupt", "reord", "limit"};
	double seconds =
		(double)(number_of(ui->counters, "time_ms") - number_of(ui->before, "time_ms")) /
		1e3;
	char text[64];
	const json_t *row, *old;
	size_t i, j, k;
	int line = 0;

	attron(A_BOLD);
	put(y, 1, 18, "packets per second");
	for (k = 0; k < 7; k++)
		put(y, 22 + (int)k * 9, 9, titles[k]);
	attroff(A_BOLD);
	json_array_foreach(json_object_get(ui->counters, "counters"), i, row)
	{
		if (strcmp(text_of(row, "target"), ui->selected) || ++line >= height)
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
		snprintf(text, sizeof(text), "%s.%lld %s", text_of(row, "direction"),
			 (long long)number_of(row, "clause"), text_of(row, "match"));
		put(y + line, 1, 20, text);
		for (k = 0; k < 7; k++) {
			rate_text(row, old, seconds, keys[k], text, sizeof(text));
			put(y + line, 22 + (int)k * 9, 8, text);
		}
	}
	if (!line)
		put(y + 1, 1, COLS - 2, "no rule, nothing counted");
}

static void draw_profiles(struct ui *ui, int y, int height)
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
		put(y + i, 1, 24, text_of(p, "name"));
		put(y + i, 26, COLS - 26, text_of(p, "description"));
		attroff(A_REVERSE);
	}
}

static void draw(struct ui *ui)
{
	int list = LINES / 2 - 2, bottom = LINES - 3;
	char title[640], clock[16];
	time_t now = time(NULL);
	struct tm tm;

	erase();
	localtime_r(&now, &tm);
	strftime(clock, sizeof(clock), "%T", &tm);
	snprintf(title, sizeof(title), "squall control  %s", sq_client_peer(ui->cli->client));
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
	else
		draw_counters(ui, list + 2, bottom - list - 2);
	rule_line(bottom);
	color(ui->bad ? BAD : GOOD, true);
	put(LINES - 1, 1, COLS - 2, ui->message);
	color(ui->bad ? BAD : GOOD, false);
	curs_set(ui->mode == EDIT);
	switch (ui->mode) {
	case PICK:
		put(bottom + 1, 1, COLS - 2,
		    "e edit the rule   p profile   c clear   C clear all   "
		    "arrows pick   q leave");
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

/* --- acting --------------------------------------------------------------------- */

static void done(struct ui *ui, const json_t *answer)
{
	char text[512];

	snprintf(text, sizeof(text), "%.200s: %s", ui->selected,
		 text_of(json_object_get(answer, "rule"), "text"));
	say(ui, false, text);
	ui->mode = PICK;
	refresh_data(ui);
}

static void set_rule(struct ui *ui)
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

static void apply_profile(struct ui *ui)
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

static void clear_rule(struct ui *ui)
{
	if (ask_target(ui, "DELETE", "/api/v1/rules/", "", NULL, NULL))
		return;
	say(ui, false, "deleted");
	refresh_data(ui);
}

static void clear_all(struct ui *ui)
{
	ui->mode = PICK;
	if (ask(ui, "DELETE", "/api/v1/rules", NULL, NULL))
		return;
	say(ui, false, "all rules are deleted");
	refresh_data(ui);
}

static void start_edit(struct ui *ui)
{
	const char *text =
		json_string_value(json_object_get(rule_of(target_at(ui, ui->row)), "text"));

	snprintf(ui->line, sizeof(ui->line), "%s", text ? text : "up ");
	ui->len = ui->pos = strlen(ui->line);
	ui->mode = EDIT;
	say(ui, false,
	    "[up|down|both] loss 10% delay 100ms 20ms rate 1mbit duplicate corrupt reorder "
	    "blackhole [match ...] [for 60s]");
}

static void edit_key(struct ui *ui, int key)
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

static void profiles_key(struct ui *ui, int key)
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
static bool pick_key(struct ui *ui, int key)
{
	size_t page = LINES > 12 ? (size_t)LINES / 2 - 4 : 1;

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
		if (n_targets(ui))
			start_edit(ui);
		break;
	case 'p':
		json_decref(ui->profiles);
		ui->profiles = NULL;
		if (n_targets(ui) && !ask(ui, "GET", "/api/v1/profiles", NULL, &ui->profiles)) {
			ui->profile = 0;
			ui->mode = PROFILES;
		}
		break;
	case 'c':
		if (n_targets(ui))
			clear_rule(ui);
		break;
	case 'C':
		ui->mode = CONFIRM_ALL;
		break;
	}
	return true;
}

static bool handle_key(struct ui *ui, int key)
{
	switch (ui->mode) {
	case EDIT:
		edit_key(ui, key);
		return true;
	case PROFILES:
		profiles_key(ui, key);
		return true;
	case CONFIRM_ALL:
		if (key == 'y')
			clear_all(ui);
		else
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

static void loop(struct ui *ui)
{
	int64_t next = now_ms() + 1000, left;
	int key;

	while (!interrupted) {
		draw(ui);
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

int cmd_control(struct cli *cli, int argc, char **argv)
{
	struct ui ui = {.cli = cli};
	json_t *target = NULL;
	int r;

	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		return complain_text(cli, EXIT_USAGE,
				     "control needs a terminal; \"squall fault\" and "
				     "\"squall stats\" do the same without one");
	cli->timeout_ms = 5000; /* somebody is looking */
	/* What is wrong now is said on the plain terminal. */
	r = api(cli, "GET", "/api/v1/targets", NULL, &ui.targets);
	if (!r && argc) {
		r = api_target(cli, "GET", "/api/v1/targets/", argv[0], "", NULL, &target);
		snprintf(ui.selected, sizeof(ui.selected), "%s", text_of(target, "target"));
		json_decref(target);
	}
	if (!r) {
		setlocale(LC_CTYPE, "");
		catch_interrupts();
		refresh_data(&ui);
		start_screen();
		loop(&ui);
		endwin();
	}
	json_decref(ui.targets);
	json_decref(ui.counters);
	json_decref(ui.before);
	json_decref(ui.profiles);
	return r;
}
