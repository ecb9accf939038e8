/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * squalld's HTTP API (docs/api.md) from the client's side: JSON in, JSON out,
 * over the unix socket or TCP. libcurl is loaded (dlopen) for a URL and for events only.
 *
 * Functions return 0 or a negative errno and then fill struct sq_error with a
 * line for people that names the remedy. A client belongs to one thread at a
 * time; several clients may live side by side.
 */
#ifndef SQUALL_CLIENT_H
#define SQUALL_CLIENT_H

#include <jansson.h>
#include <stdbool.h>
#include <squall/rule.h>

#define SQ_SOCKET_DEFAULT "/run/squall/squalld.sock"

struct sq_client;

/* NULL or 0: from the environment ($SQUALL_URL, $SQUALL_SOCKET, $SQUALL_TOKEN,
 * $SQUALL_TOKEN_FILE, $SQUALL_CACERT), else the default. An explicit url or
 * socket here wins over both variables. */
struct sq_client_options {
	const char *url;	/* "http://host:4080", "https://host:4080" */
	const char *socket;	/* used when there is no url */
	const char *token_file; /* its first line is the bearer token */
	const char *cacert;	/* PEM file that signed the daemon's certificate */
	unsigned timeout_ms;	/* of a whole request; default 30 s */
	const char *address;	/* connect here (IPv4, or IPv6 without brackets), whatever the
				 * URL's name resolves to; Host and certificate are the name's */
};

int sq_client_open(const struct sq_client_options *options, struct sq_client **ret,
		   struct sq_error *err);
void sq_client_close(struct sq_client *client); /* accepts NULL */

/* "unix:/run/squall/squalld.sock" or the URL, for messages. */
const char *sq_client_peer(const struct sq_client *client);

/*
 * One request. path starts with '/' and is sent as it is (see
 * sq_client_path()). body may be NULL; *ret (which may be NULL) gets a new
 * reference, or NULL when the answer has no body. An answer of 400 or more is
 * an error: its problem detail is err->text, and the status picks the errno:
 *   400, 422 -EINVAL   401 -EACCES   403 -EPERM   404 -ENOENT   409 -ENOTUNIQ
 *   412 -ESTALE   413 -E2BIG   501 -EOPNOTSUPP   503 -EAGAIN   others -EPROTO
 * No daemon there: -ECONNREFUSED (also for a missing socket).
 */
int sq_client_request(struct sq_client *client, const char *method, const char *path,
		      const json_t *body, json_t **ret, struct sq_error *err);

/* The same, on one condition: "If-Match: \"ETAG\"" or "If-None-Match: *" (NULL: none). -ESTALE
 * when it does not hold. */
int sq_client_request_if(struct sq_client *client, const char *method, const char *path,
			 const char *condition, const json_t *body, json_t **ret,
			 struct sq_error *err);

/* Status of the last answer, 0 if there was none. */
long sq_client_status(const struct sq_client *client);

/*
 * Server-sent events until fn returns non-zero (then 0 is returned), *stop
 * becomes true (looked at once a second or more often, atomically, so another
 * thread or a signal may set it; stop may be NULL) or the connection ends (-EPIPE).
 */
int sq_client_events(struct sq_client *client, const char *path,
		     int (*fn)(const char *event, const json_t *data, void *arg), void *arg,
		     const volatile bool *stop, struct sq_error *err);

/* PREFIX and SEGMENT, percent-encoded as one path segment, and SUFFIX: to be
 * freed. NULL: out of memory. */
char *sq_client_path(const char *prefix, const char *segment, const char *suffix);

/* A clause's "match" as the API answers it, in the words of a rule ("proto tcp dport 8883"), "-"
 * for none. Returns buf. */
char *sq_client_match(const json_t *match, char *buf, size_t size);

#endif
