// SPDX-License-Identifier: GPL-2.0-only
/*
 * One thread for each engine. It notes the time, lists all containers, then follows the event
 * stream from that time on: what happened in between comes twice rather than
 * not at all. An event is only a hint to look: the container is inspected and
 * what it is now replaces what was known, so neither order nor doubling of
 * events matters.
 */
#include "squalld/discovery/docker.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "squalld/base/log.h"
#include "squalld/control/targets.h"
#include "squalld/discovery/ecs_agent.h"
#include "squalld/discovery/inspect.h"
#include "squalld/kernel/kernel.h"

#define ANSWER_MAX (64u << 20)
#define LINE_MAX_  (1u << 20)
#define RETRY_MS   500

struct buffer {
	char *data;
	size_t len, cap, max;
};

struct docker {
	struct docker *next;
	struct docker_uses use;
	const char *socket;
	unsigned int engine; /* its number among those that there are, from 1 */
	struct ecs_agent *ecs;
	bool unasked; /* the service of some task is not known */
	time_t asked;
	CURL *get, *stream;
	CURLM *multi;
	struct buffer lines; /* of the event stream, not cut yet */
	pthread_t thread;
	atomic_bool stop, connected;
	pthread_mutex_t lock; /* of what status shows */
	char version[64], error[160];
	bool said_gone;
};

static size_t append(char *data, size_t one, size_t n, void *arg)
{
	struct buffer *b = arg;

	n *= one;
	if (b->len + n + 1 > b->cap) {
		size_t cap = (b->len + n + 1) * 2;
		char *p = cap > b->max + 1 ? NULL : realloc(b->data, cap);

		if (!p)
			return 0;
		b->data = p;
		b->cap = cap;
	}
	memcpy(b->data + b->len, data, n);
	b->len += n;
	b->data[b->len] = 0;
	return n;
}

static void common(struct docker *k, CURL *c, const char *path, struct buffer *b)
{
	char url[1024];

	snprintf(url, sizeof(url), "http://docker%s", path);
	curl_easy_setopt(c, CURLOPT_UNIX_SOCKET_PATH, k->socket);
	curl_easy_setopt(c, CURLOPT_URL, url);
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_PROXY, "");
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http");
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, append);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, b);
}

/* GET -> JSON. 0, -ENOENT (404), or another negative errno. */
static int get(struct docker *k, const char *path, json_t **ret)
{
	struct buffer b = {.max = ANSWER_MAX};
	long status = 0;
	json_error_t e;
	int rc;

	common(k, k->get, path, &b);
	curl_easy_setopt(k->get, CURLOPT_TIMEOUT_MS, 10000L);
	rc = curl_easy_perform(k->get);
	curl_easy_getinfo(k->get, CURLINFO_RESPONSE_CODE, &status);
	if (rc != CURLE_OK) {
		pthread_mutex_lock(&k->lock);
		snprintf(k->error, sizeof(k->error), "%s", curl_easy_strerror(rc));
		pthread_mutex_unlock(&k->lock);
		rc = -ENOTCONN;
	} else if (status == 404) {
		rc = -ENOENT;
	} else if (status != 200 || !(*ret = json_loadb(b.data, b.len, JSON_ALLOW_NUL, &e))) {
		pthread_mutex_lock(&k->lock);
		snprintf(k->error, sizeof(k->error), "GET %.80s: HTTP %ld", path, status);
		pthread_mutex_unlock(&k->lock);
		rc = -EPROTO;
	}
	free(b.data);
	return rc;
}

/* --- one container ---------------------------------------------------------------------- */

/* The Docker engine does not know the service of an ECS task. Its agent does. */
static void ask_service(struct docker *k, const char *id)
{
	const struct container *c;
	char *ecs_id = NULL, *service = NULL;

	pthread_mutex_lock(k->use.lock);
	c = target_by_id(k->use.targets, id);
	if (c && c->running && c->ecs_id && !c->ecs_service &&
	    json_object_get(c->labels, "com.amazonaws.ecs.task-arn"))
		ecs_id = strdup(c->ecs_id);
	pthread_mutex_unlock(k->use.lock);
	if (ecs_id && ecs_agent_service(k->ecs, ecs_id, &service) == 0) {
		pthread_mutex_lock(k->use.lock);
		target_set_service(k->use.targets, id, service);
		pthread_mutex_unlock(k->use.lock);
	} else if (ecs_id) {
		k->unasked = true;
	}
	free(service);
	free(ecs_id);
}

/* Those whose agent did not answer. */
static void ask_again(struct docker *k)
{
	const struct container *c;
	char(*id)[72] = NULL;
	size_t n = 0;

	if (!k->unasked || time(NULL) - k->asked < 1)
		return;
	k->unasked = false;
	k->asked = time(NULL);
	pthread_mutex_lock(k->use.lock);
	for (c = targets_containers(k->use.targets); c; c = c->next)
		n += c->engine == k->engine;
	id = calloc(n + 1, sizeof(*id));
	n = 0;
	for (c = targets_containers(k->use.targets); id && c; c = c->next)
		if (c->engine == k->engine && c->ecs_id && !c->ecs_service)
			strcpy(id[n++], c->id);
	pthread_mutex_unlock(k->use.lock);
	for (size_t i = 0; i < n; i++)
		ask_service(k, id[i]);
	free(id);
}

static int look(struct docker *k, const char *id)
{
	struct container *c;
	char path[160];
	json_t *o = NULL;
	int rc;

	if (strspn(id, "0123456789abcdef") != strlen(id) || strlen(id) > 64 || !*id)
		return -EINVAL;
	snprintf(path, sizeof(path), "/containers/%s/json", id);
	rc = get(k, path, &o);
	if (rc == -ENOENT) {
		pthread_mutex_lock(k->use.lock);
		targets_remove(k->use.targets, id, true);
		pthread_mutex_unlock(k->use.lock);
		return 0;
	}
	if (rc < 0)
		return rc;
	c = container_from_inspect(o);
	json_decref(o);
	if (!c)
		return -EPROTO;
	c->engine = k->engine;
	pthread_mutex_lock(k->use.lock);
	targets_put(k->use.targets, c);
	pthread_mutex_unlock(k->use.lock);
	/* After it: what needs no service has its rule by now. */
	ask_service(k, id);
	return 0;
}

static int list_all(struct docker *k)
{
	json_t *list = NULL, *version = NULL, *one;
	const char *said;
	size_t i;
	int rc = get(k, "/version", &version);

	if (rc < 0)
		return rc;
	said = json_string_value(json_object_get(version, "Version"));
	pthread_mutex_lock(&k->lock);
	snprintf(k->version, sizeof(k->version), "%s", said ? said : "?");
	pthread_mutex_unlock(&k->lock);
	json_decref(version);
	rc = get(k, "/containers/json?all=1", &list);
	if (rc == 0 && !json_is_array(list)) {
		json_decref(list);
		rc = -EPROTO; /* and not: there are none any more */
	}
	if (rc < 0)
		return rc;
	pthread_mutex_lock(k->use.lock);
	targets_sweep(k->use.targets, true, k->engine);
	pthread_mutex_unlock(k->use.lock);
	json_array_foreach(list, i, one)
	{
		const char *id = json_string_value(json_object_get(one, "Id"));

		if (k->stop)
			break;
		rc = id ? look(k, id) : 0;
		if (rc == -ENOTCONN)
			break;
	}
	json_decref(list);
	if (rc == -ENOTCONN || k->stop)
		return rc;
	pthread_mutex_lock(k->use.lock);
	targets_sweep(k->use.targets, false, k->engine);
	pthread_mutex_unlock(k->use.lock);
	return 0;
}

/* --- the event stream --------------------------------------------------------------------- */

static void one_event(struct docker *k, const char *line, size_t len)
{
	json_t *o = json_loadb(line, len, JSON_ALLOW_NUL, NULL);
	bool network;
	const char *id = event_container(o, &network);
	struct container *made = container_from_event(o);

	if (made) {
		made->engine = k->engine;
		pthread_mutex_lock(k->use.lock);
		if (target_by_id(k->use.targets, made->id))
			container_free(made);
		else
			targets_put(k->use.targets, made);
		pthread_mutex_unlock(k->use.lock);
	}
	if (network)
		engine_rescan(k->use.engine); /* an interface came or went */
	if (id)
		look(k, id);
	json_decref(o);
}

static void cut_lines(struct docker *k)
{
	struct buffer *b = &k->lines;
	char *start = b->data, *end;

	while (b->len && (end = memchr(start, '\n', b->len))) {
		size_t n = (size_t)(end - start);

		if (n > 1)
			one_event(k, start, n);
		start = end + 1;
		b->len -= n + 1;
	}
	if (b->data && start != b->data)
		memmove(b->data, start, b->len);
}

static void follow(struct docker *k, time_t since)
{
	char *filter = curl_easy_escape(k->stream, "{\"type\":[\"container\",\"network\"]}", 0),
	     path[512];
	int running = 1;

	snprintf(path, sizeof(path), "/events?since=%lld&filters=%s", (long long)since,
		 filter ? filter : "");
	curl_free(filter);
	k->lines.len = 0;
	k->lines.max = LINE_MAX_;
	common(k, k->stream, path, &k->lines);
	curl_multi_add_handle(k->multi, k->stream);
	while (!k->stop && running) {
		if (curl_multi_perform(k->multi, &running) != CURLM_OK)
			break;
		cut_lines(k);
		ask_again(k);
		if (running)
			curl_multi_poll(k->multi, NULL, 0, 1000, NULL);
	}
	curl_multi_remove_handle(k->multi, k->stream);
}

static void *watch(void *arg)
{
	struct docker *k = arg;

	pthread_setname_np(pthread_self(), "docker");
	while (!k->stop) {
		time_t since = time(NULL);
		/* Asking libcurl twice a second was a sixth of what an idle squalld does. */
		bool absent = access(k->socket, F_OK) < 0;
		int rc = absent && k->said_gone ? -ENOENT : list_all(k);

		if (rc == 0) {
			k->connected = true;
			k->said_gone = false;
			log_info("docker: connected to engine %s at %s", k->version, k->socket);
			follow(k, since);
			k->connected = false;
		}
		if (k->stop)
			break;
		if (!k->said_gone) {
			log_info(
				"docker: %s%s; cgroups are targets nevertheless, and I keep trying",
				absent ? "no engine at " : "the engine does not answer at ",
				k->socket);
			k->said_gone = true;
		}
		curl_multi_poll(k->multi, NULL, 0, RETRY_MS, NULL);
	}
	return NULL;
}

static void docker_free(struct docker *k)
{
	curl_easy_cleanup(k->get);
	curl_easy_cleanup(k->stream);
	curl_multi_cleanup(k->multi);
	ecs_agent_free(k->ecs);
	free(k->lines.data);
	pthread_mutex_destroy(&k->lock);
	free(k);
}

static int start_one(const struct docker_uses *uses, const char *socket, unsigned int engine,
		     struct docker **ret)
{
	struct docker *k = calloc(1, sizeof(*k));

	if (!k)
		return -ENOMEM;
	k->use = *uses;
	k->socket = socket;
	k->engine = engine;
	pthread_mutex_init(&k->lock, NULL);
	k->get = curl_easy_init();
	k->stream = curl_easy_init();
	k->multi = curl_multi_init();
	if (!k->get || !k->stream || !k->multi || ecs_agent_new(&k->ecs) < 0 ||
	    pthread_create(&k->thread, NULL, watch, k) != 0) {
		docker_free(k);
		return -ENOMEM;
	}
	*ret = k;
	return 0;
}

int docker_start(const struct docker_uses *uses, struct docker **ret)
{
	struct docker **end = ret;
	unsigned int n = 0;
	int rc = 0;

	*ret = NULL;
	curl_global_init(CURL_GLOBAL_DEFAULT);
	for (size_t i = 0; rc == 0 && uses->sockets[i]; i++) {
		if (strcmp(uses->sockets[i], "none") == 0)
			continue;
		rc = start_one(uses, uses->sockets[i], ++n, end);
		if (rc == 0)
			end = &(*end)->next;
	}
	return rc; /* those that run are stopped with the rest */
}

void docker_stop(struct docker *k)
{
	for (struct docker *one = k; one; one = one->next) {
		one->stop = true;
		curl_multi_wakeup(one->multi);
	}
	for (struct docker *next; k; k = next) {
		next = k->next;
		pthread_join(k->thread, NULL);
		docker_free(k);
	}
}

static json_t *status_of(struct docker *k)
{
	json_t *o;

	pthread_mutex_lock(&k->lock);
	o = json_pack("{s:b,s:o,s:o,s:o}", "connected", (int)k->connected, "socket",
		      json_text(k->socket), "version", json_text(k->version), "error",
		      k->connected ? json_null() : json_text(k->error));
	pthread_mutex_unlock(&k->lock);
	return o;
}

json_t *docker_status(struct docker *k)
{
	json_t *o, *all = json_array();

	if (!k)
		return json_pack("{s:b,s:b,s:o}", "enabled", 0, "connected", 0, "engines", all);
	/* At the top as it was when there was but one: the first of them. */
	o = status_of(k);
	for (; k; k = k->next)
		json_array_append_new(all, status_of(k));
	json_object_set_new(o, "enabled", json_true());
	json_object_set_new(o, "engines", all);
	return o;
}
