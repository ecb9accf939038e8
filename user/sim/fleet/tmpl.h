// SPDX-License-Identifier: GPL-2.0-only
/*
 * Templates: compiled once per shard, rendered per message without allocation.
 * Names and topics use {thing}; payloads use {{thing}}, so that JSON's own
 * braces need no escape.
 */
#ifndef SQUALL_SIM_TMPL_H
#define SQUALL_SIM_TMPL_H

#include "sim/fleet/bulk.h"
#include "sim/fleet/creds.h"
#include "sim/fleet/profile.h"

#define SIM_RENDER_MAX (256 * 1024) /* the longest message that is rendered */
#define SIM_MARK_LEN   44
#define SIM_NAME_MAX   255 /* bytes of a thing's name, and of a client identifier */

struct sim_tmpl; /* opaque */

/* What a render may refer to. `walk` has sim_tmpl_walks() places, NAN at first. */
struct sim_tmpl_ctx {
	const char *thing, *type;
	const char *client_id; /* where sim_tmpl_client() has not said better */
	uint32_t index, seq;
	uint32_t row; /* of --credentials */
	uint64_t *rng;
	double *walk;
	int64_t sched_ms; /* wall clock: when the message fell due */
	const char *mark; /* SIM_MARK_LEN bytes, or NULL */
};

/* {thing} {index} {type} {client_id} and the columns of `creds`, which may be NULL. */
int sim_tmpl_name(const char *text, const char *field, const struct sim_creds *creds,
		  struct sim_tmpl **ret, struct sq_error *err);
/* {seq} as well, as a message's topic may have it. */
int sim_tmpl_topic(const char *text, const char *field, const struct sim_creds *creds,
		   struct sim_tmpl **ret, struct sq_error *err);
/* Braces around anything but one of these words are part of the text. */
int sim_tmpl_password(const char *text, const char *field, const struct sim_creds *creds,
		      struct sim_tmpl **ret, struct sq_error *err);
/* A --payload argument: size, @FILE, lines:FILE or text with {{...}}. */
int sim_tmpl_payload(const char *arg, const char *field, const struct sim_creds *creds,
		     struct sim_tmpl **ret, struct sq_error *err);
/*
 * The same for a message: a size or a file may be longer than SIM_RENDER_MAX, up to all that
 * an MQTT packet can hold. Then it is no template, and nothing to render: sim_tmpl_bulk().
 */
int sim_tmpl_message(const char *arg, const char *field, const struct sim_creds *creds,
		     struct sim_tmpl **ret, struct sq_error *err);
/* What it is then; the template's own. NULL: it is rendered. */
struct sim_bulk *sim_tmpl_bulk(const struct sim_tmpl *t);
/* A template's word in it, which would be sent as it stands; NULL: none. */
const char *sim_tmpl_bulk_word(const struct sim_tmpl *t);
/* The path that such an argument would read, inside it; NULL when it names no file. */
const char *sim_tmpl_file(const char *arg);
/* From now on {client_id} in t is what `client` renders to; that must live as long. t may be NULL.
 */
void sim_tmpl_client(struct sim_tmpl *t, const struct sim_tmpl *client);
/* True when it is another text for each message of a device. */
bool sim_tmpl_per_message(const struct sim_tmpl *t);
/* Bytes written, or -EMSGSIZE; -ENOENT without a row of --credentials. */
long sim_tmpl_render(const struct sim_tmpl *t, struct sim_tmpl_ctx *c, char *buf, size_t cap);
unsigned sim_tmpl_walks(const struct sim_tmpl *t);
/* True when every device and every message gets the same text; then it is in *ret. */
bool sim_tmpl_fixed(const struct sim_tmpl *t, const char **ret, size_t *ret_len);
/* True when the text differs between devices. */
bool sim_tmpl_per_device(const struct sim_tmpl *t);
/* True when a column of --credentials is in it. */
bool sim_tmpl_has_column(const struct sim_tmpl *t);
/* A size payload, into which a mark may be written. */
bool sim_tmpl_is_size(const struct sim_tmpl *t);
bool sim_tmpl_has_mark(const struct sim_tmpl *t);
/* No text that it becomes is longer; a part may be shorter in all devices than it could be. */
size_t sim_tmpl_max(const struct sim_tmpl *t);
void sim_tmpl_free(struct sim_tmpl *t);

static inline uint64_t sim_rand(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15ull);

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

/* Uniform in [0, 1). */
static inline double sim_rand1(uint64_t *state)
{
	return (double)(sim_rand(state) >> 11) * 0x1p-53;
}

#endif
