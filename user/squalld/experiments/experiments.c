// SPDX-License-Identifier: GPL-2.0-only
/* The register of lib/experiments over HTTP; what happens there goes to the history and the bus. */
#include "squalld/experiments/experiments.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lib/experiments/register.h"
#include "squalld/base/log.h"
#include "squalld/control/bus.h"
#include "squalld/control/history.h"

struct experiments {
	struct expreg *reg;
	struct bus *bus;
	struct history *history;
};

static const char *text(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

static void happened(void *arg, const char *action, const char *id, const json_t *experiment)
{
	struct experiments *e = arg;
	const char *name = *text(experiment, "name") ? text(experiment, "name") : id;
	json_t *o;

	if (action) {
		char said[800];
		bool over = !strcmp(action, "finished");

		snprintf(said, sizeof(said), "%s%s%s%s%s", name, over ? ": " : "",
			 over ? text(experiment, "verdict") : "",
			 *text(experiment, "why") ? ": " : "", text(experiment, "why"));
		log_info("experiment %s %s: %s", id, action, said);
		history_add(e->history, "experiment", action, NULL,
			    json_pack("{s:s,s:s}", "detail", said, "what", id));
	}
	if (!bus_wanted(e->bus))
		return;
	o = json_pack("{s:s,s:O?}", "id", id, "experiment", experiment);
	json_object_set_new(o, "what", action ? json_string(action) : json_null());
	bus_publish(e->bus, "experiment", o);
}

int experiments_open(const char *state_dir, struct bus *bus, struct history *history,
		     struct experiments **ret, struct sq_error *err)
{
	struct experiments *e = calloc(1, sizeof(*e));
	char dir[4096];
	int rc = e ? 0 : -ENOMEM;

	snprintf(dir, sizeof(dir), "%.4000s/experiments", state_dir);
	if (!rc)
		rc = expreg_open(dir, happened, e, &e->reg);
	if (rc) {
		free(e);
		return sq_error_set(err, rc, "--state-dir", "%.300s cannot be used: %s", dir,
				    strerror(-rc));
	}
	e->bus = bus;
	e->history = history;
	*ret = e;
	return 0;
}

void experiments_free(struct experiments *e)
{
	if (!e)
		return;
	expreg_free(e->reg);
	free(e);
}

void experiments_tick(struct experiments *e)
{
	expreg_tick(e->reg);
}

unsigned experiments_stop(struct experiments *e, const char *who)
{
	return expreg_stop(e->reg, NULL, who);
}

static enum MHD_Result put(struct experiments *e, struct request *r, const char *id, bool report)
{
	struct sq_error p = {0};
	json_t *body = request_json(r, &p);
	char stop[96] = "";
	int rc = body ? 0 : p.code;

	if (!rc)
		rc = report ? expreg_put_report(e->reg, id, body, &p)
			    : expreg_put(e->reg, id, body, stop, sizeof(stop), &p);
	json_decref(body);
	if (rc)
		return reply_problem(r, &p);
	if (report)
		return reply_empty(r, 204);
	return reply_json(r, 200,
			  json_pack("{s:o}", "stop", *stop ? json_text(stop) : json_null()));
}

static enum MHD_Result report(struct experiments *e, struct request *r, const char *id)
{
	struct MHD_Response *response;
	struct sq_error p = {0};
	char *html;
	size_t len;

	if (expreg_html(e->reg, id, &html, &len, &p))
		return reply_problem(r, &p);
	response = MHD_create_response_from_buffer(len, html, MHD_RESPMEM_MUST_FREE);
	if (!response) {
		free(html);
		return MHD_NO;
	}
	MHD_add_response_header(response, "Content-Type", "text/html; charset=utf-8");
	MHD_add_response_header(response, "Content-Security-Policy", EXPREG_CSP);
	MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
	return reply_response(r, 200, response);
}

static enum MHD_Result stop(struct experiments *e, struct request *r, const char *id)
{

	if (!expreg_stop(e->reg, id, request_who(r)))
		return reply_status(r, 404, "experiment", "experiment: none of that id runs");
	return reply_json(r, 202, expreg_get(e->reg, id));
}

enum MHD_Result experiments_serve(struct experiments *e, struct request *r, const char *id)
{
	const char *last = r->seg[r->n_seg - 1];
	bool is_report = r->n_seg == 5 && !strcmp(last, "report");
	struct sq_error p = {0};
	json_t *one;

	if (!id)
		return reply_json(r, 200, expreg_list(e->reg));
	if (!strcmp(r->method, "POST"))
		return stop(e, r, id);
	if (!strcmp(r->method, "PUT"))
		return put(e, r, id, is_report);
	if (!strcmp(r->method, "DELETE"))
		return expreg_delete(e->reg, id, &p) ? reply_problem(r, &p) : reply_empty(r, 204);
	if (is_report)
		return report(e, r, id);
	one = expreg_get(e->reg, id);
	return one ? reply_json(r, 200, one)
		   : reply_status(r, 404, "experiment",
				  "experiment: there is none of that id; GET /api/v1/experiments "
				  "lists them");
}
