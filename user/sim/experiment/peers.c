// SPDX-License-Identifier: GPL-2.0-only
/* Asking each fault's squalld: is it there, is its target, what is in force. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "sim/experiment/agent.h"
#include "sim/experiment/file/node.h"
#include "sim/experiment/peers.h"

static const struct exp_peer *peer_of(const struct experiment *x, unsigned i)
{
	return *x->fault[i].peer.url ? &x->fault[i].peer : &x->peer;
}

int exp_peer_open(const struct experiment *x, unsigned i, struct sq_client **ret,
		  struct sq_error *err)
{
	const struct exp_peer *p = peer_of(x, i);
	bool unix_socket = !strncmp(p->url, "unix:", 5);
	struct sq_client_options o = {
		.url = *p->url && !unix_socket ? p->url : NULL,
		.socket = unix_socket ? p->url + 5 : NULL,
		.token_file = *p->token_file ? p->token_file : NULL,
		.cacert = *p->cacert ? p->cacert : NULL,
		.timeout_ms = 5000,
	};

	return sq_client_open(&o, ret, err);
}

int exp_peer_rule(struct sq_client *c, const char *target, json_t **ret, struct sq_error *err)
{
	char *path = sq_client_path("/api/v1/rules/", target, "");
	json_t *o = NULL, *rule, *left;
	int rc = path ? sq_client_request(c, "GET", path, NULL, &o, err) : -ENOMEM;

	free(path);
	*ret = NULL;
	if (rc == -ENOENT)
		return 0;
	if (rc)
		return rc;
	rule = json_object_get(o, "rule");
	left = json_object_get(rule, "expires_in_ns");
	if (json_is_object(rule)) {
		*ret = json_copy(rule);
		/* The time it had left, not the time it was once given. */
		if (json_integer_value(left) > 0) {
			json_object_set_new(*ret, "for_ns", json_integer(json_integer_value(left)));
			json_object_del(*ret, "text");
		}
	}
	json_decref(o);
	return 0;
}

/* What was in force and had its own end gets what is left of its time. New reference, or NULL. */
static json_t *left_of(const json_t *prior, uint64_t ago_ns)
{
	json_int_t left = json_integer_value(json_object_get(prior, "for_ns"));
	json_t *o = json_copy((json_t *)prior);

	if (json_integer_value(json_object_get(prior, "expires_in_ns")) <= 0)
		return o;
	if (left > (json_int_t)ago_ns) {
		json_object_set_new(o, "for_ns", json_integer(left - (json_int_t)ago_ns));
		return o;
	}
	json_decref(o);
	return NULL;
}

int exp_peer_end(const struct experiment *x, unsigned i, struct sq_client *c, const char *etag,
		 const json_t *prior, uint64_t ago_ns, bool *ret_back, struct sq_error *err)
{
	const char *target = x->fault[i].target, *now;
	char *path = sq_client_path("/api/v1/rules/", target, "");
	/* Then the kernel may have ended it by itself. */
	bool over = ago_ns >= x->fault[i].for_ns + EXP_GRACE_NS;
	json_t *o = NULL, *back = left_of(prior, ago_ns);
	int rc = path ? sq_client_request(c, "GET", path, NULL, &o, err) : -ENOMEM;

	now = json_string_value(json_object_get(o, "etag"));
	if (!rc && now && strcmp(now, etag)) {
		rc = sq_error_set(err, -ESTALE, NULL,
				  json_is_false(json_object_get(o, "in_force"))
					  ? "%.150s is gone; its rule waits until its time is over"
					  : "%.150s has another rule by now, which is left alone",
				  target);
	} else if (rc == -ENOENT && !over) {
		rc = sq_error_set(err, -ESTALE, NULL, "the rule of %.150s was deleted meanwhile%s",
				  target, back ? ", so the one before it is not put back" : "");
	} else if (!rc || (rc == -ENOENT && back)) {
		rc = back ? sq_client_request(c, "PUT", path, back, NULL, err)
			  : sq_client_request(c, "DELETE", path, NULL, NULL, err);
		if (ret_back)
			*ret_back = back && !rc;
	}
	json_decref(back);
	json_decref(o);
	free(path);
	return rc == -ENOENT ? 0 : rc;
}

const char *exp_peer_url(const struct experiment *x, unsigned i)
{
	const char *url = peer_of(x, i)->url;

	return *url ? url : "unix:" SQ_SOCKET_DEFAULT;
}

bool exp_by_agent(const struct experiment *x, unsigned i)
{
	return !strcmp(peer_of(x, i)->url, EXP_AGENT);
}

json_t *exp_peer_body(const struct experiment *x, unsigned i)
{
	const struct exp_fault *f = &x->fault[i];
	json_int_t ns = (json_int_t)(f->for_ns + EXP_GRACE_NS);

	if (*f->profile)
		return json_pack("{s:s,s:I}", "name", f->profile, "for_ns", ns);
	if (f->seeded)
		return json_pack("{s:s,s:I}", "text", f->rule, "for_ns", ns);
	/* Each fault draws its own: two with one seed would lose the same packets. */
	return json_pack("{s:s,s:I,s:I}", "text", f->rule, "for_ns", ns, "seed",
			 (json_int_t)x->seed + i);
}

/* Is that a cgroup which the fleet makes? Its path ends as the target's does. */
static bool of_fleet(const struct experiment *x, const char *target)
{
	const char *path = !strncmp(target, "cgroup:/", 8) ? target + 7 : NULL;

	for (unsigned i = 0; path && i < x->fleet.ntypes; i++) {
		const char *own = x->fleet.type[i].cgroup;
		size_t n = strlen(own), m = strlen(path);

		if (n > m && !strcmp(own + n - m, path))
			return true;
	}
	return false;
}

static int one(const struct experiment *x, unsigned i, json_t *names, struct sq_error *err)
{
	const struct exp_fault *f = &x->fault[i];
	struct sq_error why = {0};
	struct sq_client *c = NULL;
	json_t *o = NULL;
	char *path = NULL;
	int rc = exp_peer_open(x, i, &c, &why);

	if (!rc)
		rc = sq_client_request(c, "GET", "/api/v1/status", NULL, NULL, &why);
	if (rc) {
		exp_bad_at(x, f->mark, err, "fault '%s': squalld %.100s: %.240s", f->name,
			   c ? sq_client_peer(c) : peer_of(x, i)->url, why.text);
		goto out;
	}
	path = sq_client_path("/api/v1/targets/", f->target, "");
	rc = path ? sq_client_request(c, "GET", path, NULL, &o, &why) : -ENOMEM;
	if (rc == -ENOENT && of_fleet(x, f->target))
		rc = 0;
	if (rc) {
		exp_bad_at(x, f->target_mark, err, "target '%.80s': %.260s", f->target, why.text);
		goto out;
	}
	if (json_is_string(json_object_get(o, "target")))
		json_array_append(names, json_object_get(o, "target"));
	else
		json_array_append_new(names, json_string(f->target));
	if (*f->profile) {
		free(path);
		path = sq_client_path("/api/v1/profiles/", f->profile, "");
		rc = path ? sq_client_request(c, "GET", path, NULL, NULL, &why) : -ENOMEM;
		if (rc)
			exp_bad_at(x, f->mark, err, "profile '%.60s': %.260s", f->profile,
				   why.text);
	}
out:
	json_decref(o);
	free(path);
	sq_client_close(c);
	return rc ? -EINVAL : 0;
}

int exp_peers_check(const struct experiment *x, struct sq_error *err)
{
	json_t *names = json_array();
	bool asked = false;
	int rc = 0;

	for (unsigned i = 0; i < x->nfaults && !rc; i++) {
		const struct exp_fault *f = &x->fault[i];

		if (exp_by_agent(x, i)) {
			rc = exp_agent_can(x, i, err);
			/* Once: it takes one request of a kind in 5 s. */
			if (!rc && !asked)
				rc = exp_agent_there(x, i, err);
			asked = true;
			json_array_append_new(names, json_string(f->target));
		} else {
			rc = one(x, i, names, err);
		}
		for (unsigned k = 0; k < i && !rc; k++) {
			const struct exp_fault *g = &x->fault[k];

			if (strcmp(json_string_value(json_array_get(names, i)),
				   json_string_value(json_array_get(names, k))) ||
			    strcmp(peer_of(x, i)->url, peer_of(x, k)->url) ||
			    f->at_ns >= g->at_ns + g->for_ns + EXP_NS ||
			    g->at_ns >= f->at_ns + f->for_ns + EXP_NS)
				continue;
			rc = exp_bad_at(
				x, f->mark, err,
				"faults: '%s' and '%s' mean one target, %.100s, at one time",
				g->name, f->name, json_string_value(json_array_get(names, i)));
		}
	}
	json_decref(names);
	return rc;
}
