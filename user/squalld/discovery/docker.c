// SPDX-License-Identifier: GPL-2.0-only
/*
 * One thread. It notes the time, lists all containers, then follows the event
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
#include "lib/cgroup.h"
#include "squalld/base/log.h"
#include "squalld/control/targets.h"
#include "squalld/kernel/kernel.h"

#define ANSWER_MAX (64u << 20)
#define LINE_MAX_  (1u << 20)
#define RETRY_MS   500

struct buffer {
	char *data;
	size_t len, cap, max;
};

struct docker {
	struct docker_uses use;
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
	curl_easy_setopt(c, CURLOPT_UNIX_SOCKET_PATH, k->use.socket);
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

static const char *text_at(const json_t *o, const char *a, const char *b)
{
	o = json_object_get(o, a);
	return json_string_value(b ? json_object_get(o, b) : o);
}

static void find_cgroup(struct container *c)
{
	char path[4096];
	struct sq_error err = {0};
	int rc = cgroup_of_pid(c->pid, path, sizeof(path));

	if (rc == -ENOENT || rc == -ESRCH) {
		if (access("/proc/self", F_OK) == 0 &&
		    asprintf(&c->why,
			     "its process %d cannot be seen from here: if "
			     "squalld runs in a container, run it with --pid=host",
			     c->pid) < 0)
			c->why = NULL;
		return;
	}
	if (rc == -ENODATA || (rc == 0 && strcmp(path, "/") == 0)) {
		c->why = strdup("it is in the root of cgroup v2, which all containers share on a "
				"host that uses cgroup v1 only: "
				"boot with systemd.unified_cgroup_hierarchy=1, or mount cgroup2 "
				"and restart the engine");
		return;
	}
	if (rc == 0 && strncmp(path, "/..", 3) == 0) {
		c->why = strdup("its cgroup lies outside of squalld's cgroup namespace: run "
				"squalld with --cgroupns=host");
		return;
	}
	if (rc < 0) {
		c->why = strdup(strerror(-rc));
		return;
	}
	rc = engine_cgroup_id(path, &c->cgroup_id, &err);
	if (rc < 0) {
		c->cgroup_id = 0;
		c->why = strdup(err.text);
		return;
	}
	c->cgroup = strdup(path);
}

/* "http://169.254.170.2/api/ID", which the ECS agent gives to each container: its ID, or NULL. */
static char *ecs_endpoint(const json_t *inspected)
{
	static const char *const names[] = {"ECS_AGENT_URI=", "ECS_CONTAINER_METADATA_URI_V4="};
	const json_t *env = json_object_get(json_object_get(inspected, "Config"), "Env"), *one;
	size_t i;

	json_array_foreach(env, i, one)
	{
		const char *s = json_string_value(one), *id;

		for (size_t k = 0; s && k < 2; k++) {
			if (strncmp(s, names[k], strlen(names[k])) != 0)
				continue;
			id = strrchr(s, '/');
			if (id && id[1])
				return strdup(id + 1);
		}
	}
	return NULL;
}

static struct container *from_inspect(const json_t *o)
{
	struct container *c = calloc(1, sizeof(*c));
	const char *id = text_at(o, "Id", NULL), *name = text_at(o, "Name", NULL), *mode;
	json_t *labels = json_object_get(json_object_get(o, "Config"), "Labels");
	json_t *state = json_object_get(o, "State");

	if (!c || !id || !name || strlen(id) >= sizeof(c->id)) {
		free(c);
		return NULL;
	}
	strcpy(c->id, id);
	mode = text_at(o, "HostConfig", "NetworkMode");
	c->name = strdup(name + (name[0] == '/'));
	c->image = strdup(text_at(o, "Config", "Image") ? text_at(o, "Config", "Image") : "");
	c->network_mode = strdup(!mode || strcmp(mode, "default") == 0 ? "bridge" : mode);
	c->labels = json_is_object(labels) ? json_incref(labels) : json_object();
	c->ecs_id = ecs_endpoint(o);
	c->running = json_is_true(json_object_get(state, "Running"));
	c->pid = (int)json_integer_value(json_object_get(state, "Pid"));
	if (!c->name || !c->image || !c->network_mode || !c->labels) {
		container_free(c);
		return NULL;
	}
	if (c->running && c->pid > 0)
		find_cgroup(c);
	return c;
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
	c = from_inspect(o);
	json_decref(o);
	if (!c)
		return -EPROTO;
	pthread_mutex_lock(k->use.lock);
	targets_put(k->use.targets, c);
	pthread_mutex_unlock(k->use.lock);
	return 0;
}

static int list_all(struct docker *k)
{
	json_t *list = NULL, *version = NULL, *one;
	size_t i;
	int rc = get(k, "/version", &version);

	if (rc < 0)
		return rc;
	pthread_mutex_lock(&k->lock);
	snprintf(k->version, sizeof(k->version), "%s",
		 text_at(version, "Version", NULL) ? text_at(version, "Version", NULL) : "?");
	pthread_mutex_unlock(&k->lock);
	json_decref(version);
	rc = get(k, "/containers/json?all=1", &list);
	if (rc < 0)
		return rc;
	pthread_mutex_lock(k->use.lock);
	targets_sweep(k->use.targets, true);
	pthread_mutex_unlock(k->use.lock);
	json_array_foreach(list, i, one)
	{
		const char *id = text_at(one, "Id", NULL);

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
	targets_sweep(k->use.targets, false);
	pthread_mutex_unlock(k->use.lock);
	return 0;
}

/* --- the event stream --------------------------------------------------------------------- */

static void one_event(struct docker *k, const char *line, size_t len)
{
	json_t *o = json_loadb(line, len, JSON_ALLOW_NUL, NULL),
	       *actor = json_object_get(o, "Actor");
	const char *type = text_at(o, "Type", NULL), *action = text_at(o, "Action", NULL),
		   *id = text_at(actor, "ID", NULL);

	if (type && action && id) {
		if (strcmp(type, "network") == 0) {
			const char *container = text_at(actor, "Attributes", "container");

			/* An interface came or went: its target is looked at again. */
			engine_rescan(k->use.engine);
			if (container)
				look(k, container);
		} else if (strncmp(action, "exec_", 5) != 0 &&
			   strncmp(action, "health_status", 13) != 0 &&
			   strcmp(action, "top") != 0) {
			look(k, id);
		}
	}
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
		bool absent = access(k->use.socket, F_OK) < 0;
		int rc = absent && k->said_gone ? -ENOENT : list_all(k);

		if (rc == 0) {
			k->connected = true;
			k->said_gone = false;
			log_info("docker: connected to engine %s at %s", k->version, k->use.socket);
			follow(k, since);
			k->connected = false;
		}
		if (k->stop)
			break;
		if (!k->said_gone) {
			log_info(
				"docker: %s%s; cgroups are targets nevertheless, and I keep trying",
				absent ? "no engine at " : "the engine does not answer at ",
				k->use.socket);
			k->said_gone = true;
		}
		curl_multi_poll(k->multi, NULL, 0, RETRY_MS, NULL);
	}
	return NULL;
}

int docker_start(const struct docker_uses *uses, struct docker **ret)
{
	struct docker *k;

	if (strcmp(uses->socket, "none") == 0)
		return 0;
	k = calloc(1, sizeof(*k));
	if (!k)
		return -ENOMEM;
	k->use = *uses;
	pthread_mutex_init(&k->lock, NULL);
	curl_global_init(CURL_GLOBAL_DEFAULT);
	k->get = curl_easy_init();
	k->stream = curl_easy_init();
	k->multi = curl_multi_init();
	if (!k->get || !k->stream || !k->multi || pthread_create(&k->thread, NULL, watch, k) != 0) {
		curl_easy_cleanup(k->get);
		curl_easy_cleanup(k->stream);
		curl_multi_cleanup(k->multi);
		free(k);
		return -ENOMEM;
	}
	*ret = k;
	return 0;
}

void docker_stop(struct docker *k)
{
	if (!k)
		return;
	k->stop = true;
	curl_multi_wakeup(k->multi);
	pthread_join(k->thread, NULL);
	curl_easy_cleanup(k->get);
	curl_easy_cleanup(k->stream);
	curl_multi_cleanup(k->multi);
	free(k->lines.data);
	pthread_mutex_destroy(&k->lock);
	free(k);
}

json_t *docker_status(struct docker *k)
{
	json_t *o;

	if (!k)
		return json_pack("{s:b,s:b}", "enabled", 0, "connected", 0);
	pthread_mutex_lock(&k->lock);
	o = json_pack("{s:b,s:b,s:o,s:o,s:o}", "enabled", 1, "connected", (int)k->connected,
		      "socket", json_text(k->use.socket), "version", json_text(k->version), "error",
		      k->connected ? json_null() : json_text(k->error));
	pthread_mutex_unlock(&k->lock);
	return o;
}
