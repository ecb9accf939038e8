/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the parts of the client share: client.c asks once, client_events.c listens;
 * client_unix.c carries what is asked over the socket, client_curl.c all else.
 */
#ifndef SQUALL_LIB_CLIENT_INTERNAL_H
#define SQUALL_LIB_CLIENT_INTERNAL_H

#include <squall/client.h>

struct client_buffer {
	char *data;
	size_t len, room, max;
};

#define TOKEN_MAX  4096
#define CONNECT_MS 5000

struct sq_client {
	char *base;    /* scheme://host:port, no slash at the end */
	char *socket;  /* NULL over TCP */
	char *address; /* NULL: where the URL says */
	char *peer;
	char *token;
	char *cacert;
	long timeout_ms, status;
	const char *condition;	  /* a header line of this request alone, or NULL */
	int fd;			  /* client_unix.c's connection, kept; -1: none */
	struct client_curl *curl; /* client_curl.c's; NULL: not needed yet */
};

/* -E2BIG beyond b->max; a NUL follows what is in it. */
int client_buffer_add(struct client_buffer *b, const char *data, size_t len);
/* One request, body may be NULL: c->status and the answer's body. */
int client_unix_ask(struct sq_client *c, const char *method, const char *path, const char *body,
		    struct client_buffer *answer, struct sq_error *err);
void client_unix_close(struct sq_client *c);
int client_curl_ask(struct sq_client *c, const char *method, const char *path, const char *body,
		    struct client_buffer *answer, struct sq_error *err);
void client_curl_close(struct sq_client *c);
int client_curl_check_url(const char *url, struct sq_error *err);
/* GET path as a stream: bytes() of each piece, 0 ends it; go_on() at least once a second. c->status
 * is the answer's from the first piece on. 1: ended by one of the two, 0: by squalld, or -errno. */
int client_curl_stream(struct sq_client *c, const char *path,
		       size_t (*bytes)(char *data, size_t size, size_t n, void *arg),
		       bool (*go_on)(void *arg), void *arg, struct sq_error *err);
/* Why squalld could not be connected to over the socket. */
int client_no_socket(const struct sq_client *c, int why, struct sq_error *err);
/* A problem detail (RFC 9457), or whatever else there is to say. */
int client_answer_error(const struct sq_client *c, const json_t *body, struct sq_error *err);

#endif
