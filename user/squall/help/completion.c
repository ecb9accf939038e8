// SPDX-License-Identifier: GPL-2.0-only
/* What completion offers for squall's own kinds of words: names are asked for at squalld. */
#include <stdlib.h>
#include <string.h>
#include <squall/maps.h>
#include "squall/cli.h"

static const char *const rule_words[] = {
	"up",		"down",	     "both",	     "loss",	 "random",    "gemodel",
	"state",	"delay",     "distribution", "uniform",	 "normal",    "pareto",
	"paretonormal", "duplicate", "corrupt",	     "reorder",	 "gap",	      "rate",
	"burst",	"limit",     "latency",	     "mtu",	 "each",      "flow",
	"address",	"flows",     "hang",	     "reset",	 "old",	      "idle",
	"after",	"blackhole", "match",	     "proto",	 "tcp",	      "udp",
	"icmp",		"any",	     "to",	     "dport",	 "sport",     "syn",
	"fin",		"rst",	     "port",	     "also",	 "except",    "for",
	"seed",		"on-crash",  "clear",	     "keep",	 "links",     "at",
	"connack",	"suback",    "puback",	     "pingresp", "max-flows", "dns",
	"nxdomain",	"servfail",  "timeout",	     "slow",	 "host",      NULL,
};

static const char *const map_names[] = {
	"sq_targets", "sq_rules", "sq_counters", "sq_cfg",    "sq_att", "sq_dist",
	"sq_scratch", "sq_lane",  "sq_waiting",	 "sq_events", NULL,
};

static void all(struct opt_words *w, const char *const *list)
{
	for (; *list; list++)
		opt_word(w, *list, NULL);
}

/* Every `key` of the list that squalld answers with; none if it does not answer in a second. */
static void ask(const struct cli_table *t, struct opt_words *w, int n, char **words,
		const char *path, const char *list, const char *key, const char *what)
{
	struct cli cli = {.table = t};
	struct opt_line line = {.table = t, .base = {&cli}};
	json_t *answer = NULL, *one;
	char **copy = calloc((size_t)n + 1, sizeof(*copy));
	struct sq_error err;
	size_t i;

	if (!copy)
		return;
	memcpy(copy, words, (size_t)n * sizeof(*copy));
	if (opt_take(&line, &n, copy, &err)) {
		free(copy);
		return;
	}
	struct sq_client_options o = {.url = cli.url,
				      .socket = cli.socket,
				      .token_file = cli.token_file,
				      .cacert = cli.cacert,
				      .timeout_ms = 1000};
	if (!sq_client_open(&o, &cli.client, &err) &&
	    !sq_client_request(cli.client, "GET", path, NULL, &answer, &err)) {
		json_array_foreach(json_object_get(answer, list), i, one)
		{
			const char *name = json_string_value(json_object_get(one, key));

			if (name)
				opt_word(w, name,
					 what ? json_string_value(json_object_get(one, what))
					      : NULL);
		}
	}
	json_decref(answer);
	sq_client_close(cli.client);
	free(copy);
}

void complete_word(const struct cli_table *t, struct opt_words *w, int kind, int n, char **words)
{
	switch (kind) {
	case ARG_TARGET:
		ask(t, w, n, words, "/api/v1/targets", "targets", "target", NULL);
		break;
	case ARG_TARGET_OR_ALL:
		opt_word(w, "all", "every rule");
		ask(t, w, n, words, "/api/v1/rules", "rules", "target", NULL);
		break;
	case ARG_PROFILE:
		ask(t, w, n, words, "/api/v1/profiles", "profiles", "name", "description");
		break;
	case ARG_RULE:
		all(w, rule_words);
		break;
	case ARG_MAP:
		all(w, map_names);
		break;
	}
}
