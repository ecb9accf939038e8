// SPDX-License-Identifier: GPL-2.0-only
/* Bisection over runs. A run is noisy, so a value is what most of its runs say. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "sim/experiment/hunt.h"
#include "sim/outcome/outcome.h"
#include "sim/sim.h"

#define HALVINGS 5 /* to a 32nd of the range */

/* The rule with the word after each h->word replaced. Number of replacements, -1: too long. */
static int with_value(const char *rule, const struct exp_hunt *h, double v, char *buf, size_t cap)
{
	char copy[1024], *save = NULL;
	bool next = false;
	int n = 0;
	size_t len = 0;

	snprintf(copy, sizeof(copy), "%s", rule);
	for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
		char value[64];

		snprintf(value, sizeof(value), "%.6g%s", v, h->unit);
		len += (size_t)snprintf(buf + len, cap - len, "%s%s", len ? " " : "",
					next ? value : w);
		if (len >= cap)
			return -1;
		n += next;
		next = !next && !strcmp(w, h->word);
	}
	return n;
}

static int try_rule(const struct experiment *x, const struct exp_hunt *h, double v,
		    struct sq_error *err)
{
	struct sq_rule *r = malloc(sizeof(*r));
	struct sq_error why = {0};
	char rule[1024];
	int n = with_value(x->fault[h->fault].rule, h, v, rule, sizeof(rule));
	int rc = !r ? -ENOMEM : n > 0 ? sq_rule_from_text(rule, strlen(rule), r, &why) : -ENOENT;

	free(r);
	if (n <= 0)
		return sq_bad(err, "hunt: rule '%.150s' of fault '%s' has no '%s' with a value",
			      x->fault[h->fault].rule, x->fault[h->fault].name, h->word);
	return rc ? sq_bad(err, "hunt: %.6g%s: %.300s", v, h->unit, why.text) : 0;
}

int exp_hunt_parse(const struct experiment *x, const char *text, struct exp_hunt *h,
		   struct sq_error *err)
{
	char name[EXP_NAME], from[32], to[32], *end, *unit;
	int rc;

	memset(h, 0, sizeof(*h));
	if (sscanf(text, "%47[^.].rule.%31[a-z-] %31[0-9.a-zA-Z%%]", name, h->word, from) != 3 ||
	    !strstr(from, ".."))
		return sq_bad(err,
			      "hunt '%.80s': accepted: 'FAULT.rule.WORD FROM..TO', e.g. "
			      "'tunnel.rule.loss 0%%..50%%'",
			      text);
	snprintf(to, sizeof(to), "%s", strstr(from, "..") + 2);
	*strstr(from, "..") = 0;
	h->fault = x->nfaults;
	for (unsigned i = 0; i < x->nfaults; i++)
		if (!strcmp(x->fault[i].name, name))
			h->fault = i;
	if (h->fault == x->nfaults)
		return sq_bad(err, "hunt: there is no fault '%s' in %.100s", name, x->path);
	h->from = strtod(from, &unit);
	h->to = strtod(to, &end);
	snprintf(h->unit, sizeof(h->unit), "%s", end);
	if ((*unit && strcmp(unit, end)) || h->from >= h->to)
		return sq_bad(
			err,
			"hunt: '%s..%s': accepted: FROM is milder than TO, both with the same "
			"unit",
			from, to);
	/* Nothing at all is no rule, and what it would show is what `before` shows. */
	rc = h->from > 0 ? try_rule(x, h, h->from, err) : 0;
	return rc ? rc : try_rule(x, h, h->to, err);
}

/* 1 it breaks, 0 it holds, or negative with *ret_code: no verdict. */
static int value_breaks(struct experiment *x, const struct exp_cmd *c, const struct exp_hunt *h,
			double v, int sigfd, json_t *steps, json_t **ret_doc, int *ret_code,
			struct sq_error *err)
{
	struct exp_fault *f = &x->fault[h->fault];
	FILE *out = c->json || c->progress ? stderr : stdout;
	char was[sizeof(f->rule)], rule[sizeof(f->rule)];
	unsigned most = c->repeat ? c->repeat : 3, broke = 0, held = 0;

	snprintf(was, sizeof(was), "%s", f->rule);
	with_value(was, h, v, rule, sizeof(rule));
	memcpy(f->rule, rule, sizeof(rule));
	while (broke <= most / 2 && held <= most / 2) {
		json_t *doc = NULL;

		*ret_code = exp_once(x, c, sigfd, &doc, err);
		x->seed++;
		broke += *ret_code == SIM_EXIT_THRESHOLD;
		held += *ret_code == SIM_EXIT_OK;
		if (*ret_code == SIM_EXIT_THRESHOLD || (*ret_code && doc)) {
			json_decref(*ret_doc);
			*ret_doc = doc;
			doc = NULL;
		} else if (!*ret_doc) {
			*ret_doc = json_incref(doc);
		}
		json_decref(doc);
		if (*ret_code != SIM_EXIT_THRESHOLD && *ret_code != SIM_EXIT_OK)
			break;
	}
	memcpy(f->rule, was, sizeof(was));
	if (*ret_code != SIM_EXIT_THRESHOLD && *ret_code != SIM_EXIT_OK)
		return -1;
	json_array_append_new(steps,
			      json_pack("{s:f,s:b,s:i,s:i}", "value", v, "breaks", broke > held,
					"broke", (int)broke, "held", (int)held));
	fprintf(out, "hunt     %s %.6g%s: %s (%u of %u runs)\n", h->word, v, h->unit,
		broke > held ? "breaks" : "holds", broke > held ? broke : held, broke + held);
	fflush(out);
	return broke > held;
}

int exp_hunt(struct experiment *x, const struct exp_cmd *c, const struct exp_hunt *h, int sigfd,
	     json_t **ret_doc, struct sq_error *err)
{
	json_t *steps = json_array(), *o;
	double holds = h->from, breaks = h->to;
	struct exp_cmd quiet = *c;
	char said[160];
	int code = 0, high, low = 0;

	quiet.quiet = true;
	high = value_breaks(x, &quiet, h, h->to, sigfd, steps, ret_doc, &code, err);
	if (high > 0 && h->from > 0)
		low = value_breaks(x, &quiet, h, h->from, sigfd, steps, ret_doc, &code, err);
	for (unsigned i = 0; i < HALVINGS && high > 0 && !low; i++) {
		double mid = (holds + breaks) / 2;
		int b = value_breaks(x, &quiet, h, mid, sigfd, steps, ret_doc, &code, err);

		if (b < 0)
			high = b;
		else if (b)
			breaks = mid;
		else
			holds = mid;
	}
	if (high < 0 || low < 0) {
		json_decref(steps);
		return code;
	}
	if (!high)
		snprintf(said, sizeof(said), "not even %s %.6g%s breaks a threshold", h->word,
			 h->to, h->unit);
	else if (low)
		snprintf(said, sizeof(said), "already %s %.6g%s breaks a threshold", h->word,
			 h->from, h->unit);
	else
		snprintf(said, sizeof(said),
			 "%s %.6g%s holds, and %.6g%s is the mildest that was found to break",
			 h->word, holds, h->unit, breaks, h->unit);
	code = !high ? SIM_EXIT_FAIL : low ? SIM_EXIT_THRESHOLD : SIM_EXIT_OK;
	o = json_pack("{s:s,s:s,s:s,s:o,s:o,s:o}", "of", c->hunt, "unit", h->unit, "said", said,
		      "holds", !low ? json_real(high ? holds : h->to) : json_null(), "breaks",
		      high ? json_real(low ? h->from : breaks) : json_null(), "steps", steps);
	if (*ret_doc) {
		json_object_set_new(*ret_doc, "hunt", o);
		json_object_set_new(*ret_doc, "why", json_string(said));
		json_object_set_new(*ret_doc, "verdict",
				    json_string(!high ? "not found"
						: low ? "failed"
						      : "found"));
		json_object_set_new(*ret_doc, "exit", json_integer(code));
	} else {
		json_decref(o);
	}
	return code;
}
