// SPDX-License-Identifier: GPL-2.0-only
/*
 * Clear everything, or what some targets have, and the undo. What was ended is kept as the state
 * file would have it, with the times moved on by how long it was cleared.
 */
#include "squalld/control/clear.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "lib/clock.h"
#include "squalld/control/book.h"
#include "squalld/control/members.h"
#include "squalld/control/schedules.h"
#include "squalld/control/targets.h"

struct tally {
	bool keep_schedules;
	const json_t *only; /* names; NULL: all */
	struct cleared *to;
	json_t *labels;
};

static bool among(const json_t *only, const char *name)
{
	return !only || json_object_get(only, name);
}

static int count_one(struct rule_entry *e, void *arg)
{
	struct tally *t = arg;

	if (e->by || (t->keep_schedules && book_of_schedule(e)) || !among(t->only, e->name) ||
	    (t->only && json_is_true(json_object_get(t->only, e->name))))
		return 0;
	t->to->deleted++;
	t->to->waiting += !e->in_force && !e->members;
	return 0;
}

/* A label would set its rule again when the container is started again. */
static int ignore_label(struct rule_entry *e, void *arg)
{
	struct tally *t = arg;

	return strcmp(e->source, "label") == 0 && among(t->only, e->name) &&
			       json_array_append_new(t->labels, json_string(e->name))
		       ? -ENOMEM
		       : 0;
}

struct clear {
	struct book *book;
	struct schedules *schedules;
	json_t *last; /* what was ended last, for its undo */
};

int clear_new(struct book *book, struct schedules *schedules, struct clear **ret)
{
	struct clear *clear = calloc(1, sizeof(*clear));

	if (!clear)
		return -ENOMEM;
	clear->book = book;
	clear->schedules = schedules;
	*ret = clear;
	return 0;
}

void clear_free(struct clear *clear)
{
	if (!clear)
		return;
	json_decref(clear->last);
	free(clear);
}

/* The rules that are ended or replaced, as the state file would have them. */
static json_t *former_rules(struct book *book, bool keep_schedules, const json_t *only)
{
	json_t *rules = book_save(book), *one;
	size_t i;

	for (i = json_array_size(rules); i--;) {
		one = json_array_get(rules, i);
		/* A member comes back with its selector. */
		if (json_object_get(one, "by") ||
		    !among(only, json_string_value(json_object_get(one, "target"))) ||
		    (keep_schedules &&
		     !strcmp(json_string_value(json_object_get(one, "source")), "schedule")))
			json_array_remove(rules, i);
	}
	return rules;
}

static void end_rules(struct clear *clear, bool keep_schedules, json_t *only)
{
	const char *name;
	json_t *follows;

	if (!only)
		book_delete_all(clear->book, keep_schedules);
	json_object_foreach(only, name, follows) if (!json_is_true(follows))
		book_delete(clear->book, name, "deleted");
	members_look_all(clear->book); /* what is left may be a schedule's selector */
}

static int end(struct clear *clear, bool keep_schedules, json_t *only, struct cleared *ret)
{
	json_t *rules, *schedules = json_array(), *one;
	struct tally tally = {
		.keep_schedules = keep_schedules, .only = only, .to = ret, .labels = json_array()};
	uint64_t now = sq_mono_ns();
	size_t i;

	memset(ret, 0, sizeof(*ret));
	book_each(clear->book, count_one, &tally);
	/* Schedules first: a rule that belongs to one comes back with it, not by itself. */
	if (!keep_schedules)
		schedules_halt(clear->schedules, only, schedules);
	ret->schedules = (unsigned int)json_array_size(schedules);
	book_each(clear->book, ignore_label, &tally);
	json_array_foreach(tally.labels, i, one)
		book_ignore(clear->book, json_string_value(one), true);
	ret->labels = (unsigned int)json_array_size(tally.labels);
	rules = former_rules(clear->book, keep_schedules, only);
	end_rules(clear, keep_schedules, only);
	if (ret->deleted || ret->schedules || only) {
		/* Two of the same nanosecond cannot be: the lock is held. */
		json_decref(clear->last);
		clear->last = json_pack("{s:I,s:O?,s:O,s:O,s:O?}", "undo", (json_int_t)now, "rules",
					rules, "schedules", schedules, "labels", tally.labels,
					"set", only);
		ret->undo = clear->last ? now : 0;
	}
	json_decref(schedules);
	json_decref(tally.labels);
	json_decref(rules);
	return 0;
}

int clear_all(struct clear *clear, bool keep_schedules, struct cleared *ret)
{
	return end(clear, keep_schedules, NULL, ret);
}

int clear_some(struct clear *clear, json_t *names, struct cleared *ret)
{
	return end(clear, false, names, ret);
}

void clear_set(struct clear *clear, const char *name, uint64_t version)
{
	json_object_set_new(json_object_get(clear->last, "set"), name,
			    json_integer((json_int_t)version));
}

/* Takes away what was set in place of what comes back. */
static void take_back(struct clear *clear, json_t *set)
{
	const char *name;
	json_t *version;

	json_object_foreach(set, name, version)
	{
		const struct rule_entry *e = book_find(clear->book, name);

		if (e && !e->by && json_is_integer(version) &&
		    e->version == (uint64_t)json_integer_value(version))
			book_delete(clear->book, name, "deleted");
	}
}

static void failed(json_t *list, const char *target, struct sq_error *p)
{
	json_array_append_new(list, json_pack("{s:o,s:o}", "target", json_text(target), "why",
					      json_text(p->text)));
	json_decref(p->candidates);
}

int clear_undo(struct clear *clear, uint64_t undo, json_t **ret, struct sq_error *p)
{
	json_t *saved = clear->last, *one, *list = json_array();
	int rules = 0, schedules = 0;
	uint64_t gone;
	size_t i;

	if (!saved || (uint64_t)json_integer_value(json_object_get(saved, "undo")) != undo) {
		json_decref(list);
		return sq_error_set(
			p, -ENOENT, "undo",
			"this is not what was cleared last; it can be put back once, and "
			"until squalld ends");
	}
	clear->last = NULL;
	take_back(clear, json_object_get(saved, "set"));
	gone = sq_mono_ns() - undo;
	json_array_foreach(json_object_get(saved, "labels"), i, one)
		book_ignore(clear->book, json_string_value(one), false);
	json_array_foreach(json_object_get(saved, "rules"), i, one)
	{
		json_int_t ends = json_integer_value(json_object_get(one, "ends_ns"));
		struct sq_error why = {0};

		if (ends)
			json_object_set_new(one, "ends_ns", json_integer(ends + (json_int_t)gone));
		if (book_put_back(clear->book, one, &why) == 0)
			rules++;
		else
			failed(list, json_string_value(json_object_get(one, "target")), &why);
	}
	members_look_all(clear->book);
	json_array_foreach(json_object_get(saved, "schedules"), i, one)
	{
		struct sq_error why = {0};

		if (schedule_resume(clear->schedules, one, &why) == 0)
			schedules++;
		else
			failed(list, json_string_value(json_object_get(one, "target")), &why);
	}
	*ret = json_pack("{s:i,s:i,s:i,s:o}", "rules", rules, "schedules", schedules, "labels",
			 (int)json_array_size(json_object_get(saved, "labels")), "failed", list);
	json_decref(saved);
	return *ret ? 0 : sq_error_set(p, -ENOMEM, NULL, "out of memory");
}
