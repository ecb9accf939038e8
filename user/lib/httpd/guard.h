/* SPDX-License-Identifier: GPL-2.0-only */
/* Who may ask a server of ours for what it does not tell everybody. */
#ifndef SQUALL_LIB_HTTPD_GUARD_H
#define SQUALL_LIB_HTTPD_GUARD_H

#include <microhttpd.h>
#include <stdbool.h>
#include <stddef.h>
#include "lib/error.h"

#define HTTPD_WHY 320 /* room for a refusal */

#define HTTPD_TOKEN_NAME 32

struct httpd_guard;

/* Its strings outlive the guard. */
struct httpd_policy {
	const char *token_file;	       /* NULL: none; a line "TOKEN" or "TOKEN NAME" for each */
	const char *const *allow_host; /* names accepted in Host beside addresses and localhost */
	size_t n_allow_host;
	const char *host_remedy; /* ends the sentence about Host, "" or how to allow a name */
	/* Without a token: only root, or a member of the group (NULL: none), may ask. */
	bool only_group;
	const char *group;
};

struct httpd_ask {
	struct MHD_Connection *conn;
	const char *method;
	bool is_public;	   /* tells and changes nothing */
	const char *token; /* given elsewhere than in Authorization; NULL: none */
	char *ret_name;	   /* NULL, or HTTPD_TOKEN_NAME bytes: what the token is called */
};

/* A token file that cannot be read or is too short is refused. */
int httpd_guard_new(const struct httpd_policy *policy, struct httpd_guard **ret,
		    struct sq_error *err);
void httpd_guard_free(struct httpd_guard *g); /* accepts NULL */
/* Reads the token file anew; when that fails the old token stays. Any thread. */
int httpd_guard_reload(struct httpd_guard *g, struct sq_error *err);
/*
 * A token from elsewhere, as a line of the file would have it. Before the first request. 0, or
 * -EINVAL and err, whose text does not hold it and begins with what is wrong.
 */
int httpd_guard_set_token(struct httpd_guard *g, const char *token, struct sq_error *err);
bool httpd_guard_has_token(struct httpd_guard *g);

/*
 * Of a request over TCP: 0, or 401 or 403 and why. Any thread, in the network
 * namespace of the listener.
 */
unsigned int httpd_guard_check(struct httpd_guard *g, const struct httpd_ask *ask, char *why,
			       size_t size);

#endif
