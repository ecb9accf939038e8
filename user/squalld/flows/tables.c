// SPDX-License-Identifier: GPL-2.0-only
/* Which rule has which table of flows: slots, memory, and tables whose rule is gone. */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <bpf/bpf.h>
#include "lib/clock.h"
#include "lib/error.h"
#include "squalld/flows/flows.h"
#include "squalld/flows/silent.h"
#include "squalld/flows/tables.h"

#define SWEEP_AT_ONCE 8		   /* some 120 ms of grace periods */
#define RETIRE_NS     100000000ull /* as the versions of rules */
#define RECOUNT_NS    5000000000ull

struct old_table {
	uint64_t when_ns, bytes;
	uint32_t slot;
	struct old_table *next;
};

struct tables {
	int outer_fd;
	pthread_mutex_t lock; /* of all below */
	bool used[SQ_FLOW_SLOTS];
	bool limited[SQ_FLOW_SLOTS]; /* max-flows: to be counted anew now and then */
	uint32_t n_limited;
	uint64_t recounted_ns;
	uint32_t n;
	uint64_t bytes;
	struct old_table *old;
	struct silent *silent; /* NULL: this kernel cannot */
};

struct tables *tables_new(int outer_fd, bool aborts)
{
	struct tables *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->outer_fd = outer_fd;
	pthread_mutex_init(&t->lock, NULL);
	t->silent = aborts ? silent_new(outer_fd) : NULL;
	return t;
}

void tables_free(struct tables *t)
{
	struct old_table *o;

	if (!t)
		return;
	silent_free(t->silent);
	while ((o = t->old)) {
		t->old = o->next;
		free(o);
	}
	pthread_mutex_destroy(&t->lock);
	free(t);
}

static uint32_t take_slot(struct tables *t, uint64_t bytes)
{
	uint32_t slot = 1;

	pthread_mutex_lock(&t->lock);
	while (slot < SQ_FLOW_SLOTS && t->used[slot])
		slot++;
	if (slot < SQ_FLOW_SLOTS) {
		t->used[slot] = true;
		t->n++;
		t->bytes += bytes;
	}
	pthread_mutex_unlock(&t->lock);
	return slot < SQ_FLOW_SLOTS ? slot : 0;
}

static void give_slot(struct tables *t, uint32_t slot, uint64_t bytes)
{
	pthread_mutex_lock(&t->lock);
	t->used[slot] = false;
	t->n_limited -= t->limited[slot];
	t->limited[slot] = false;
	t->n--;
	t->bytes -= bytes;
	pthread_mutex_unlock(&t->lock);
}

static void note_limit(struct tables *t, const struct sq_rule *rule, uint32_t slot)
{
	for (uint32_t i = 0; i < rule->n_clauses && !t->limited[slot]; i++)
		t->limited[slot] = rule->clause[i].ask.max_flows;
	t->n_limited += t->limited[slot];
}

int table_make(struct tables *t, struct sq_rule *rule, struct sq_error *err)
{
	uint32_t links = rule->links ? rule->links : SQ_LINKS, slot;
	uint64_t bytes, room;
	int res;

	rule->flow_slot = rule->flow_sets = 0;
	if (!(rule->flags & SQ_R_FLOWS))
		return 0;
	rule->flow_sets = flows_sets(links);
	bytes = flows_bytes(rule->flow_sets);
	if (flows_fit(bytes, &room))
		return sq_error_set(err, -ENOMEM, "links",
				    "a table of %u flows takes %llu MiB of kernel memory, and %llu "
				    "MiB can be had (half of what is free, within squalld's own "
				    "limits); ask for fewer, as in \"links 10000\"",
				    links, (unsigned long long)bytes >> 20,
				    (unsigned long long)room >> 20);
	slot = take_slot(t, bytes);
	res = slot ? flows_make(t->outer_fd, slot, rule->flow_sets) : -ENOSPC;
	if (res && slot)
		give_slot(t, slot, bytes);
	if (res)
		return sq_error_set(err, res, "links", "no table of %u flows (%llu MiB): %s", links,
				    (unsigned long long)bytes >> 20, strerror(-res));
	rule->flow_slot = slot;
	pthread_mutex_lock(&t->lock);
	note_limit(t, rule, slot);
	pthread_mutex_unlock(&t->lock);
	return 0;
}

void table_in_force(struct tables *t, const struct sq_rule *rule)
{
	silent_watch(t->silent, rule);
}

void table_retire(struct tables *t, const struct sq_rule *rule)
{
	struct old_table *o;

	if (!rule->flow_slot)
		return;
	silent_forget(t->silent, rule->flow_slot);
	o = malloc(sizeof(*o));
	if (!o)
		return; /* it goes when squalld starts anew */
	*o = (struct old_table){.when_ns = sq_mono_ns(),
				.slot = rule->flow_slot,
				.bytes = flows_bytes(rule->flow_sets)};
	pthread_mutex_lock(&t->lock);
	o->next = t->old;
	t->old = o;
	pthread_mutex_unlock(&t->lock);
}

/* A slot that is given to another rule meanwhile is at worst counted once too often. */
static void recount(struct tables *t, uint32_t left, uint64_t now)
{
	t->recounted_ns = now;
	for (uint32_t slot = 1; slot < SQ_FLOW_SLOTS && left; slot++) {
		bool limited;

		pthread_mutex_lock(&t->lock);
		limited = t->limited[slot];
		pthread_mutex_unlock(&t->lock);
		if (limited)
			flows_recount(t->outer_fd, slot, now);
		left -= limited;
	}
}

void tables_sweep(struct tables *t)
{
	struct old_table *due = NULL, **p, *o;
	uint64_t now = sq_mono_ns();
	uint32_t limited;
	int n = 0;

	pthread_mutex_lock(&t->lock);
	limited = t->n_limited;
	for (p = &t->old; *p && n < SWEEP_AT_ONCE;) {
		o = *p;
		if (o->when_ns + RETIRE_NS > now) {
			p = &o->next;
			continue;
		}
		*p = o->next;
		o->next = due;
		due = o;
		n++;
	}
	pthread_mutex_unlock(&t->lock);
	while ((o = due)) {
		due = o->next;
		flows_drop(t->outer_fd, o->slot);
		give_slot(t, o->slot, o->bytes);
		free(o);
	}
	if (limited && now - t->recounted_ns > RECOUNT_NS)
		recount(t, limited, now);
}

void table_adopt(struct tables *t, const struct sq_rule *rule)
{
	uint32_t slot = rule->flow_slot;

	if (!slot || slot >= SQ_FLOW_SLOTS || t->used[slot])
		return;
	t->used[slot] = true;
	note_limit(t, rule, slot);
	t->n++;
	t->bytes += flows_bytes(rule->flow_sets);
	silent_watch(t->silent, rule);
}

void tables_adopt_end(struct tables *t)
{
	uint32_t last = 0;

	/* Slots are taken from the lowest, so that one left behind is near those in use; should
	 * one lie beyond, it goes when its slot is taken. To ask for each of 32,767 is a grace
	 * period each before 6.12, ten minutes and more on 6.1. */
	for (uint32_t slot = 1; slot < SQ_FLOW_SLOTS; slot++)
		if (t->used[slot])
			last = slot;
	for (uint32_t slot = 1, id; slot < SQ_FLOW_SLOTS && slot <= last + SWEEP_AT_ONCE; slot++)
		if (!t->used[slot] && !bpf_map_lookup_elem(t->outer_fd, &slot, &id))
			flows_drop(t->outer_fd, slot);
}

void tables_usage(struct tables *t, uint32_t *ret_n, uint64_t *ret_bytes)
{
	pthread_mutex_lock(&t->lock);
	*ret_n = t->n;
	*ret_bytes = t->bytes;
	pthread_mutex_unlock(&t->lock);
}
