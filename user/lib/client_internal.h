/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the two halves of the client share: client.c asks once, and
 * client_events.c listens.
 */
#ifndef SQUALL_LIB_CLIENT_INTERNAL_H
#define SQUALL_LIB_CLIENT_INTERNAL_H

#include <curl/curl.h>
#include <squall/client.h>

struct client_buffer {
	char *data;
	size_t len, room, max;
};

struct sq_client {
	CURL *curl;
	struct curl_slist *headers, *sse_headers;
	struct curl_slist *connect_to; /* NULL: where the URL says */
	char *base;		       /* scheme://host:port, no slash at the end */
	char *socket;		       /* NULL over TCP */
	char *peer;
	char *token;
	char *cacert;
	long timeout_ms, status;
	char curl_error[CURL_ERROR_SIZE];
};

/* -E2BIG beyond b->max; a NUL follows what is in it. */
int client_buffer_add(struct client_buffer *b, const char *data, size_t len);
/* What every request has; then SET() what is its own. */
CURLcode client_prepare(struct sq_client *c, const char *method, const char *url);
/* Why there was no answer, and what to do. */
int client_connection_error(const struct sq_client *c, CURLcode e, struct sq_error *err);
/* A problem detail (RFC 9457), or whatever else there is to say. */
int client_answer_error(const struct sq_client *c, const json_t *body, struct sq_error *err);

/* In a function with CURL *h and CURLcode e: the first failure stays. */
#define SET(opt, value)                                                                            \
	do {                                                                                       \
		if (!e)                                                                            \
			e = curl_easy_setopt(h, opt, value);                                       \
	} while (0)

#endif
