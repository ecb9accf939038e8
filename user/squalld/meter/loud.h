/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Who is loud: packets and bytes per second of every target, with a rule or
 * without. Counted by net/traffic.c, apart from rules: nothing here is a
 * fault, is in the book, or is ended by Clear everything.
 *
 *   auto   while somebody looks (and a minute longer), up to LOUD_AUTO targets
 *   on     always, up to LOUD_MAX
 *   off    never
 */
#ifndef SQUALLD_LOUD_H
#define SQUALLD_LOUD_H

#include <jansson.h>
#include <stdint.h>
#include <squall/rule.h>

#define LOUD_AUTO      200
#define LOUD_MAX       1000
#define LOUD_MAX_BYTES (16u << 20) /* of their series */
#define LOUD_COLUMNS   4	   /* of their series: packets and bytes, up and down */

struct bus;
struct loud;
struct series;
struct targets;

/* mode: "auto", "on" or "off". Both outlive it. */
int loud_new(struct targets *targets, struct bus *bus, const char *mode, struct loud **ret);
void loud_free(struct loud *l); /* accepts NULL */
/* One more, or one less, looks. Any thread, no lock. */
void loud_want(struct loud *l, int more);
/* The lock of control/ is held, here and below. -EINVAL: what is no mode. */
int loud_set(struct loud *l, const char *mode, struct sq_error *p);
/* Once a second. Publishes "traffic", each other second, where somebody looks. */
void loud_tick(struct loud *l);
struct series *loud_series(struct loud *l);
/* {"mode", "counting", "why", "targets", "auto_max", "max", "time_ms", "traffic"}. */
json_t *loud_json(const struct loud *l);
/* {"time_ms", "traffic": {CGROUP ID: [packets up, bit/s up, packets down, bit/s down]}} per
 * second, silent ones left out. */
json_t *loud_rates(const struct loud *l);

#endif
