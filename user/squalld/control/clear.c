// SPDX-License-Identifier: GPL-2.0-only
/*
 * Clear everything, and its undo. What was ended is kept as the state file
 * would have it, with the times moved on by how long it was cleared.
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
	struct cleared *to;
};

static int count_one(struct rule_entry *e, void *arg)
{
	struct tally *t = arg;

	if (e->by || (t->keep_schedules && book_of_schedule(e)))
		return 0;
	t->to->deleted++;
	t->to->waiting += !e->in_force && !e->members;
	return 0;
}

/* A label would set its rule again when the container is started again. */
static int ignore_label(struct rule_entry *e, void *arg)
{
	json_t *names = arg;

	return strcmp(e->source, "label") == 0 && json_array_append_new(names, json_string(e->name))
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

/* The rules that clear_all() deletes, as the state file would have them. */
static json_t *deleted_rules(struct book *book, bool keep_schedules)
{
	json_t *saved = book_save(book, false), *rules = json_object_get(saved, "rules"), *one;
	size_t i;

	json_incref(rules);
	json_decref(saved);
	for (i = json_array_size(rules); i--;) {
		one = json_array_get(rules, i);
		/* A member comes back with its selector. */
		if (json_object_get(one, "by") ||
		    (keep_schedules &&
		     !strcmp(json_string_value(json_object_get(one, "source")), "schedule")))
			json_array_remove(rules, i);
	}
	return rules;
}

int clear_all(struct clear *clear, bool keep_schedules, struct cleared *ret)
{
	json_t *rules, *schedules = json_array(), *labels = json_array(), *one;
	struct tally tally = {.keep_schedules = keep_schedules, .to = ret};
	uint64_t now = sq_mono_ns();
	size_t i;

	memset(ret, 0, sizeof(*ret));
	book_each(clear->book, count_one, &tally);
	/* Schedules first: a rule that belongs to one comes back with it, not by itself. */
	if (!keep_schedules)
		schedules_halt(clear->schedules, schedules);
	ret->schedules = (unsigned int)json_array_size(schedules);
	book_each(clear->book, ignore_label, labels);
	json_array_foreach(labels, i, one) book_ignore(clear->book, json_string_value(one), true);
	ret->labels = (unsigned int)json_array_size(labels);
	rules = deleted_rules(clear->book, keep_schedules);
	book_delete_all(clear->book, keep_schedules);
	members_look_all(clear->book); /* what is left may be a schedule's selector */
	if (ret->deleted || ret->schedules) {
		/* Two of the same nanosecond cannot be: the lock is held. */
		json_decref(clear->last);
		clear->last = json_pack("{s:I,s:O?,s:o,s:o}", "undo", (json_int_t)now, "rules",
					rules, "schedules", schedules, "labels", labels);
		ret->undo = clear->last ? now : 0;
	} else {
		json_decref(schedules);
		json_decref(labels);
	}
	json_decref(rules);
	return 0;
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
