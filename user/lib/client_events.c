// SPDX-License-Identifier: GPL-2.0-only
/* squalld's events from the client's side: one answer that does not end, read line by line. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lib/client_internal.h"
#include "lib/error.h"

#define EVENT_MAX (1u << 20) /* one line, and one event */

/* Server-sent events: lines "event: X", "data: JSON" (several are joined), an empty line ends one.
 */
struct stream {
	struct client_buffer line, data;
	char event[64];
	int (*fn)(const char *event, const json_t *data, void *arg);
	void *arg;
	const volatile bool *stop;
	struct sq_client *client;
	struct client_buffer error; /* body of an answer that is no stream */
	int result;		    /* what fn said, or an errno */
};

static int stream_line(struct stream *s, char *line)
{
	json_t *json;
	char *value;

	if (!*line) {
		if (s->data.len) {
			json = json_loadb(s->data.data, s->data.len, JSON_ALLOW_NUL, NULL);
			/* Not JSON: not ours to understand. */
			if (json)
				s->result = s->fn(*s->event ? s->event : "message", json, s->arg);
			json_decref(json);
		}
		s->data.len = 0;
		s->event[0] = 0;
		return s->result;
	}
	value = strchr(line, ':');
	if (value == line) /* comment: keeps the connection alive */
		return 0;
	if (value) {
		*value++ = 0;
		if (*value == ' ')
			value++;
	} else {
		value = line + strlen(line);
	}
	if (!strcmp(line, "event"))
		snprintf(s->event, sizeof(s->event), "%s", value);
	else if (!strcmp(line, "data"))
		s->result = (s->data.len ? client_buffer_add(&s->data, "\n", 1) : 0)
				    ?: client_buffer_add(&s->data, value, strlen(value));
	return s->result;
}

static size_t stream_bytes(char *data, size_t size, size_t n, void *arg)
{
	struct stream *s = arg;
	size_t len = size * n, i, start = 0;

	if (s->client->status >= 400)
		return client_buffer_add(&s->error, data, len) ? 0 : len;
	for (i = 0; i < len; i++) {
		if (data[i] != '\n')
			continue;
		s->result = client_buffer_add(&s->line, data + start, i - start);
		if (s->result)
			return 0;
		if (s->line.len && s->line.data[s->line.len - 1] == '\r')
			s->line.data[--s->line.len] = 0;
		s->line.len = 0;
		if (stream_line(s, s->line.data))
			return 0;
		start = i + 1;
	}
	s->result = client_buffer_add(&s->line, data + start, len - start);
	return s->result ? 0 : len;
}

static bool go_on(void *arg)
{
	const struct stream *s = arg;

	return !s->stop || !__atomic_load_n(s->stop, __ATOMIC_RELAXED);
}

int sq_client_events(struct sq_client *c, const char *path,
		     int (*fn)(const char *event, const json_t *data, void *arg), void *arg,
		     const volatile bool *stop, struct sq_error *err)
{
	struct stream s = {
		.fn = fn,
		.arg = arg,
		.stop = stop,
		.client = c,
		.line.max = EVENT_MAX,
		.data.max = EVENT_MAX,
		.error.max = EVENT_MAX,
	};
	json_t *json;
	int r;

	r = client_curl_stream(c, path, stream_bytes, go_on, &s, err);
	if (s.result > 0 || (r > 0 && !go_on(&s))) {
		r = 0;
	} else if (s.result < 0) {
		r = sq_error_set(err, s.result, NULL, "an event of %s is too big", c->peer);
	} else if (r < 0) {
		; /* it is told */
	} else if (c->status >= 400) {
		json = s.error.len ? json_loadb(s.error.data, s.error.len, JSON_ALLOW_NUL, NULL)
				   : NULL;
		r = client_answer_error(c, json, err);
		json_decref(json);
	} else {
		r = sq_error_set(err, -EPIPE, NULL,
				 "squalld at %s ended the stream of events: it "
				 "may have been stopped",
				 c->peer);
	}
	free(s.line.data);
	free(s.data.data);
	free(s.error.data);
	return r;
}
