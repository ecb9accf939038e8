/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The experiments that run somewhere, as they tell it themselves, and the last of those that have
 * ended, with their reports. Both squalld and the page of squall-sim keep one.
 *
 * Who runs an experiment says every second what it does. Who says nothing for ttl_s is lost, as
 * after a kill -9 or on a network that is gone. Nothing here starts or ends anything: a wish that
 * one should stop goes back with the answer to what it says next.
 *
 * Ended ones lie in a directory, ID.json and ID.html, at most EXPREG_KEPT of them and EXPREG_BYTES;
 * the oldest go. Each file is whole or not there. Any thread may call; functions that write touch
 * the disk, so no lock of a caller's may be held.
 */
#ifndef SQUALL_LIB_EXPERIMENTS_REGISTER_H
#define SQUALL_LIB_EXPERIMENTS_REGISTER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "lib/error.h"

#define EXPREG_RUNNING 16
#define EXPREG_KEPT    100
#define EXPREG_BYTES   (32u << 20)
#define EXPREG_HTML    (1000u * 1000) /* of one page: with its quoting it fits a request of 1 MiB */
#define EXPREG_TOLD    (64u << 10)    /* of one announcement */
#define EXPREG_ID      80

/* A report was made elsewhere: no script of it may run, and it may ask nobody. */
#define EXPREG_CSP "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"

struct expreg;

/*
 * action: "started", "finished", "lost", "stopping", "deleted", or NULL: it goes on. Called without
 * a lock, by the thread that brought it about. experiment is borrowed, NULL when it is deleted.
 */
typedef void expreg_fn(void *arg, const char *action, const char *id, const json_t *experiment);

/* dir is made where it is missing; what is torn in it is removed. fn may be NULL. 0 or -errno. */
int expreg_open(const char *dir, expreg_fn *fn, void *arg, struct expreg **ret);
void expreg_free(struct expreg *g); /* accepts NULL */

/*
 * What an experiment says of itself: docs/api.md. It starts, goes on or, with a verdict, ends.
 * ret_stop: who wants it to stop, "" if nobody does. 0; -EINVAL: what is not accepted; -E2BIG;
 * -EBUSY: EXPREG_RUNNING run already, or this one has ended; -ENOSPC and others of the disk.
 */
int expreg_put(struct expreg *g, const char *id, const json_t *told, char *ret_stop, size_t cap,
	       struct sq_error *err);
/* {"html"}: its report, before the verdict. -ENOENT: no such experiment runs. */
int expreg_put_report(struct expreg *g, const char *id, const json_t *body, struct sq_error *err);
/* {"running": [...], "finished": [...]}, the newest first. New reference. */
json_t *expreg_list(struct expreg *g);
/* One of them. New reference, or NULL. */
json_t *expreg_get(struct expreg *g, const char *id);
/* Its report's page, to be freed. -ENOENT with err, or another errno. */
int expreg_html(struct expreg *g, const char *id, char **ret, size_t *ret_len,
		struct sq_error *err);
/* One that runs (NULL: all) is asked to stop, in the name of who. How many have been, 0: none. */
unsigned expreg_stop(struct expreg *g, const char *id, const char *who);
/* One that has ended is forgotten. -ENOENT, or -EBUSY: it runs. */
int expreg_delete(struct expreg *g, const char *id, struct sq_error *err);
/* Who has said nothing for too long is lost. Call it about once a second. */
void expreg_tick(struct expreg *g);

#endif
