// SPDX-License-Identifier: GPL-2.0-only
/*
 * Whom to ask, and what the answer means; client_unix.c and client_curl.c carry both.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <squall/client.h>
#include "lib/client_internal.h"
#include "lib/error.h"
#include "lib/text.h"

#define ANSWER_MAX (64u << 20)
#define TIMEOUT_MS 30000

static const char *environment(const char *given, const char *name)
{
	const char *v = given ? given : getenv(name);

	return v && *v ? v : NULL;
}

/* The first line; it must be all there is, so that a wrong file is not sent around. */
static int read_token(const char *path, char **ret, struct sq_error *err)
{
	char text[TOKEN_MAX + 2], *end, *blank;
	size_t n;
	FILE *f;

	f = fopen(path, "re");
	if (!f)
		return sq_error_set(err, -errno, "token-file", "cannot read %s: %s", path,
				    strerror(errno));
	n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[n] = 0;
	end = text + strcspn(text, "\r\n");
	n = strlen(end);
	/* Behind it there may stand what squalld calls it. */
	blank = text + strcspn(text, " \t\r\n");
	if (blank == text || strspn(end, "\r\n") != n || strlen(text) > TOKEN_MAX)
		return sq_error_set(err, -EINVAL, "token-file",
				    "%s does not hold one line with a "
				    "token",
				    path);
	*blank = 0;
	*ret = strdup(text);
	return *ret ? 0 : sq_error_set(err, -ENOMEM, NULL, "out of memory");
}

static int check_token(const char *token, struct sq_error *err)
{
	const char *c;

	for (c = token; *c; c++)
		if (*c <= 0x20 || *c >= 0x7f)
			return sq_error_set(err, -EINVAL, "token",
					    "holds a byte that no header "
					    "may hold: printable ASCII without spaces is needed");
	return 0;
}

int sq_client_open(const struct sq_client_options *options, struct sq_client **ret,
		   struct sq_error *err)
{
	static const struct sq_client_options none;
	const struct sq_client_options *o = options ? options : &none;
	const char *url, *socket, *token, *token_file, *cacert;
	struct sq_client *c;
	size_t n;
	int r = -ENOMEM;

	/* An explicit socket must not lose against $SQUALL_URL. */
	url = o->socket && !o->url ? NULL : environment(o->url, "SQUALL_URL");
	socket = environment(o->socket, "SQUALL_SOCKET");
	token_file = environment(o->token_file, "SQUALL_TOKEN_FILE");
	token = o->token_file ? NULL : environment(NULL, "SQUALL_TOKEN");
	cacert = environment(o->cacert, "SQUALL_CACERT");
	if (url) {
		r = client_curl_check_url(url, err);
		if (r)
			return r;
	}
	c = calloc(1, sizeof(*c));
	if (!c)
		return sq_error_set(err, -ENOMEM, NULL, "out of memory");
	c->fd = -1;
	if (token)
		c->token = strdup(token);
	else if (token_file && (r = read_token(token_file, &c->token, err)))
		goto fail_said;
	if (c->token && (r = check_token(c->token, err)))
		goto fail_said;
	r = -ENOMEM;
	if (token && !c->token)
		goto fail;
	if (url) {
		c->base = strdup(url);
		c->peer = strdup(url);
		if (!c->base)
			goto fail;
		n = strlen(c->base);
		if (n && c->base[n - 1] == '/')
			c->base[n - 1] = 0;
	} else {
		c->socket = strdup(socket ? socket : SQ_SOCKET_DEFAULT);
		c->base = strdup("http://localhost");
		if (!c->socket || !c->base || asprintf(&c->peer, "unix:%s", c->socket) < 0)
			goto fail;
	}
	if (cacert && !(c->cacert = strdup(cacert)))
		goto fail;
	if (o->address && !(c->address = strdup(o->address)))
		goto fail;
	c->timeout_ms = o->timeout_ms ? (long)o->timeout_ms : TIMEOUT_MS;
	if (!c->peer)
		goto fail;
	*ret = c;
	return 0;
fail:
	sq_error_set(err, r, NULL, "out of memory");
fail_said:
	sq_client_close(c);
	return r;
}

void sq_client_close(struct sq_client *c)
{
	if (!c)
		return;
	client_curl_close(c);
	client_unix_close(c);
	if (c->token)
		explicit_bzero(c->token, strlen(c->token));
	free(c->token);
	free(c->base);
	free(c->socket);
	free(c->peer);
	free(c->cacert);
	free(c->address);
	free(c);
}

const char *sq_client_peer(const struct sq_client *c)
{
	return c->peer;
}

long sq_client_status(const struct sq_client *c)
{
	return c->status;
}

static int status_errno(long status)
{
	switch (status) {
	case 400:
	case 422:
		return -EINVAL;
	case 401:
		return -EACCES;
	case 403:
		return -EPERM;
	case 404:
		return -ENOENT;
	case 409:
		return -ENOTUNIQ;
	case 412:
		return -ESTALE;
	case 413:
		return -E2BIG;
	case 501:
		return -EOPNOTSUPP;
	case 503:
		return -EAGAIN;
	default:
		return -EPROTO;
	}
}

/* Of an ambiguous name: who is meant? As many as fit on the line. */
static void add_candidates(const json_t *body, struct sq_error *err)
{
	const json_t *list = json_object_get(body, "candidates"), *name;
	size_t i, len;

	json_array_foreach(list, i, name)
	{
		len = strlen(err->text);
		if (json_is_string(name) && len + json_string_length(name) + 8 < sizeof(err->text))
			snprintf(err->text + len, sizeof(err->text) - len, "%s%s", i ? ", " : " (",
				 json_string_value(name));
	}
	len = strlen(err->text);
	if (json_array_size(list) && len + 2 < sizeof(err->text))
		strcpy(err->text + len, ")");
}

/* A problem detail (RFC 9457), or whatever else there is to say. */
int client_answer_error(const struct sq_client *c, const json_t *body, struct sq_error *err)
{
	const char *detail = json_string_value(json_object_get(body, "detail"));
	const char *title = json_string_value(json_object_get(body, "title"));
	const char *field = json_string_value(json_object_get(body, "field"));
	int r = status_errno(c->status);
	char shown[sizeof(err->text)];

	if (!detail) /* the fault endpoints of the ECS agent */
		detail = json_string_value(json_object_get(body, "Error"));
	if (c->status == 401)
		return sq_error_set(err, r, NULL,
				    "squalld at %s wants a token%s: give --token-file FILE or "
				    "$SQUALL_TOKEN",
				    c->peer, c->token ? ", and not this one" : "");
	if (!err)
		return r;
	if (detail || title)
		sq_error_set(err, r, NULL, "%s", detail ? detail : title);
	else
		sq_error_set(err, r, NULL,
			     "%s gives no reason for its answer: is it squalld (and this "
			     "version, " SQUALL_VERSION ")?",
			     c->peer);
	add_candidates(body, err);
	/* Whoever answers there: its words drive no terminal that they come to. */
	text_shown(shown, sizeof(shown), err->text, strlen(err->text));
	snprintf(err->text, sizeof(err->text), "%s", shown);
	if (field)
		text_shown(err->field, sizeof(err->field), field, strlen(field));
	return r;
}

int sq_client_request(struct sq_client *c, const char *method, const char *path, const json_t *body,
		      json_t **ret, struct sq_error *err)
{
	struct client_buffer answer = {.max = ANSWER_MAX};
	json_error_t json_error;
	json_t *json = NULL;
	char *text = NULL;
	int r;

	c->status = 0;
	if (body && !(text = json_dumps(body, SQ_JSON_FLAGS | JSON_COMPACT)))
		return sq_error_set(err, -ENOMEM, NULL, "out of memory");
	r = (c->socket ? client_unix_ask : client_curl_ask)(c, method, path, text, &answer, err);
	if (r)
		goto out;
	if (answer.len)
		json = json_loadb(answer.data, answer.len, JSON_ALLOW_NUL, &json_error);
	if (c->status >= 400) {
		r = client_answer_error(c, json, err);
		goto out;
	}
	if (answer.len && !json) {
		r = sq_error_set(err, -EPROTO, NULL,
				 "%s does not answer in JSON (%s): is it "
				 "squalld?",
				 c->peer, json_error.text);
		goto out;
	}
	if (ret) {
		*ret = json;
		json = NULL;
	}
out:
	json_decref(json);
	free(answer.data);
	free(text);
	return r;
}

int sq_client_request_if(struct sq_client *c, const char *method, const char *path,
			 const char *condition, const json_t *body, json_t **ret,
			 struct sq_error *err)
{
	int r;

	c->condition = condition;
	r = sq_client_request(c, method, path, body, ret, err);
	c->condition = NULL;
	return r;
}

char *sq_client_path(const char *prefix, const char *segment, const char *suffix)
{
	static const char hex[] = "0123456789ABCDEF";
	size_t n = strlen(prefix) + 3 * strlen(segment) + strlen(suffix) + 1;
	char *path = malloc(n), *p;
	const char *c;

	if (!path)
		return NULL;
	p = stpcpy(path, prefix);
	for (c = segment; *c; c++) {
		unsigned char b = (unsigned char)*c;

		/* RFC 3986's unreserved; a lone "." or ".." as a segment would be
		 * folded away by some servers, so dots are encoded too. */
		if ((b >= '0' && b <= '9') || (b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z') ||
		    b == '-' || b == '_' || b == '~') {
			*p++ = *c;
		} else {
			*p++ = '%';
			*p++ = hex[b >> 4];
			*p++ = hex[b & 15];
		}
	}
	strcpy(p, suffix);
	return path;
}

char *sq_client_match(const json_t *match, char *buf, size_t size)
{
	FILE *f = fmemopen(buf, size, "w");
	const json_t *value, *word;
	const char *key;
	size_t i;

	snprintf(buf, size, "-");
	if (!f)
		return buf;
	json_object_foreach((json_t *)match, key, value)
	{
		fprintf(f, "%s%s", ftell(f) ? " " : "", key);
		if (json_is_integer(value))
			fprintf(f, " %lld", (long long)json_integer_value(value));
		else if (json_is_string(value))
			fprintf(f, " %s", json_string_value(value));
		json_array_foreach(value, i, word) fprintf(f, " %s", json_string_value(word));
	}
	if (ftell(f))
		fputc(0, f);
	fclose(f);
	buf[size - 1] = 0;
	if (!*buf)
		snprintf(buf, size, "-");
	return buf;
}
