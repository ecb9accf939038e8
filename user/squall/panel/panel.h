/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The panel for the terminal: its state, which is what squalld last said and
 * what the user is about to do, and the drawing of it.
 */
#ifndef SQUALL_PANEL_H
#define SQUALL_PANEL_H

#include <jansson.h>
#include <stdbool.h>
#include <squall/client.h>

enum mode { PICK, EDIT, PROFILES, CONFIRM, CONFIRM_ALL, SEARCH, HELP };

struct panel {
	struct sq_client *client;
	const volatile bool *stop; /* set by a signal: leave */
	json_t *targets;	   /* {"targets": [...]}: those listed, in their order */
	json_t *counters, *before; /* the API's answers */
	char search[64];	   /* listed are those whose name or rule has this in it */
	bool faulted_first;
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

static inline const char *panel_text(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text && *text ? text : "-";
}

static inline json_int_t panel_number(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

static inline size_t panel_count(const struct panel *ui)
{
	return json_array_size(json_object_get(ui->targets, "targets"));
}

static inline const json_t *panel_target(const struct panel *ui, size_t i)
{
	return json_array_get(json_object_get(ui->targets, "targets"), i);
}

/* A target's rule with all around it is under "rule", the rule itself under that one's. */
static inline const json_t *panel_rule(const json_t *target)
{
	return json_object_get(json_object_get(target, "rule"), "rule");
}

void panel_draw(struct panel *ui);
/*
 * Runs until q or *stop. client, targets (what /api/v1/targets answered, released
 * here) and stop are given; selected may name a target.
 */
void panel_run(struct panel *ui);

#endif
