/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * docker-tc's words: container labels, and requests with form or query
 * parameters on the same port. See docs/http-docker-tc.md for what is the
 * same, and where an answer differs because the old one was not true.
 */
#ifndef SQUALLD_DOCKERTC_H
#define SQUALLD_DOCKERTC_H

#include <pthread.h>
#include "squalld/http/http.h"
#include "squalld/control/targets.h"

struct book;
struct engine;

enum tc_direction { TC_UP = 1, TC_DOWN = 2, TC_BOTH = 3 };

#define TC_ECHO_MAX 1024

/*
 * "rate=1mbps&delay=100ms 20ms" -> a rule. link_bps is what 100 % means, 0 if
 * not known. ret_echo: "rate=1mbps, delay=100ms 20ms". -EINVAL with the field
 * and the reason; -ENODATA when no parameter was given. Both are pure
 * functions, which the fuzzer calls.
 */
int dockertc_parse_form(const char *form, size_t len, enum tc_direction direction,
			uint64_t link_bps, struct sq_rule *ret, char ret_echo[TC_ECHO_MAX],
			struct sq_error *err);
/* Labels of a container. *ret_enabled: com.docker-tc.enabled is "1". */
int dockertc_parse_labels(const json_t *labels, enum tc_direction direction, uint64_t link_bps,
			  struct sq_rule *ret, bool *ret_enabled, struct sq_error *err);

/* What requests and labels need; all of it outlives the last call. */
struct dockertc {
	enum tc_direction direction; /* where a request or label names none */
	pthread_mutex_t *lock;	     /* of targets and book; dockertc_serve() takes it */
	struct engine *engine;
	struct targets *targets;
	struct book *book;
};
/* "up", "down" or "both", as options.c has checked it. */
enum tc_direction dockertc_direction(const char *text);

/* A container has started: its labels become a rule, or the log says what is wrong with them. The
 * lock is held. arg: struct dockertc. */
void dockertc_labels(void *arg, struct container *c);

/* Any request outside /api, /ui, /metrics and /healthz. */
enum MHD_Result dockertc_serve(struct dockertc *tc, struct request *r);

#endif
