// SPDX-License-Identifier: GPL-2.0-only
#include "squalld/discovery/ecs_agent.h"

#include <curl/curl.h>
#include <errno.h>
#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lib/clock.h"

#define AGENT	   "http://169.254.170.2/v4/"
#define ANSWER_MAX (1u << 20)
#define WAIT_MS	   1000L
/* Where there is no agent, a container that says so costs nobody its time. */
#define PAUSE_MIN_NS 5000000000ull
#define PAUSE_MAX_NS 300000000000ull

struct ecs_agent {
	CURL *curl;
	uint64_t pause, not_before; /* after a failure */
	char *data;
	size_t len;
};

int ecs_agent_new(struct ecs_agent **ret)
{
	struct ecs_agent *agent = calloc(1, sizeof(*agent));

	if (!agent)
		return -ENOMEM;
	agent->curl = curl_easy_init();
	agent->data = malloc(ANSWER_MAX);
	if (!agent->curl || !agent->data) {
		ecs_agent_free(agent);
		return -ENOMEM;
	}
	*ret = agent;
	return 0;
}

void ecs_agent_free(struct ecs_agent *agent)
{
	if (!agent)
		return;
	curl_easy_cleanup(agent->curl);
	free(agent->data);
	free(agent);
}

static size_t append(char *data, size_t one, size_t n, void *arg)
{
	struct ecs_agent *agent = arg;

	n *= one;
	if (agent->len + n > ANSWER_MAX)
		return 0;
	memcpy(agent->data + agent->len, data, n);
	agent->len += n;
	return n;
}

static int ask(struct ecs_agent *agent, const char *url)
{
	long status = 0;

	agent->len = 0;
	curl_easy_setopt(agent->curl, CURLOPT_URL, url);
	curl_easy_setopt(agent->curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(agent->curl, CURLOPT_PROXY, "");
	curl_easy_setopt(agent->curl, CURLOPT_PROTOCOLS_STR, "http");
	curl_easy_setopt(agent->curl, CURLOPT_TIMEOUT_MS, WAIT_MS);
	curl_easy_setopt(agent->curl, CURLOPT_WRITEFUNCTION, append);
	curl_easy_setopt(agent->curl, CURLOPT_WRITEDATA, agent);
	if (curl_easy_perform(agent->curl) != CURLE_OK)
		return -EAGAIN;
	curl_easy_getinfo(agent->curl, CURLINFO_RESPONSE_CODE, &status);
	return status == 200 ? 0 : -EAGAIN;
}

int ecs_agent_service(struct ecs_agent *agent, const char *id, char **ret)
{
	const char *name;
	char url[256];
	json_t *task;

	if (strspn(id, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-") !=
		    strlen(id) ||
	    strlen(id) > 128)
		return -EINVAL;
	if (sq_mono_ns() < agent->not_before)
		return -EAGAIN;
	snprintf(url, sizeof(url), AGENT "%s/task", id);
	if (ask(agent, url) < 0) {
		agent->pause = agent->pause ? agent->pause * 2 : PAUSE_MIN_NS;
		if (agent->pause > PAUSE_MAX_NS)
			agent->pause = PAUSE_MAX_NS;
		agent->not_before = sq_mono_ns() + agent->pause;
		return -EAGAIN;
	}
	agent->pause = 0;
	task = json_loadb(agent->data, agent->len, JSON_ALLOW_NUL, NULL);
	name = json_string_value(json_object_get(task, "ServiceName"));
	*ret = strdup(name ? name : "");
	json_decref(task);
	return *ret ? 0 : -ENOMEM;
}
