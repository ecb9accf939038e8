// SPDX-License-Identifier: GPL-2.0-only
/*
 * docker-tc's requests.
 *
 *   LIST    GET /                     every container, and what is set
 *   INSPECT GET /C                    what is set, in the shape of `tc qdisc show`
 *   SET     POST /C  rate=..&loss=..  replaces what is set
 *   IGNORE  DELETE /C                 clears it, and labels are not looked at again
 *   UNIGNORE PUT /C                   labels count again
 *
 * Answers are plain text. Unlike docker-tc, whatever did not happen is
 * answered with 4xx and the reason, and then the old rule is still in force.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <squall/units.h>
#include "squalld/base/log.h"
#include "squalld/dockertc/dockertc.h"
#include "squalld/control/book.h"
#include "squalld/control/members.h"
#include "squalld/kernel/kernel.h"

enum tc_direction dockertc_direction(const char *text)
{
	return strcmp(text, "down") == 0 ? TC_DOWN : strcmp(text, "both") == 0 ? TC_BOTH : TC_UP;
}

/* A line or more of text for the answer. */
struct text {
	char *buf;
	size_t len, cap;
};

static void add(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void add(struct text *t, const char *fmt, ...)
{
	va_list ap;
	char line[1024];
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (n >= (int)sizeof(line))
		n = sizeof(line) - 1;
	if (t->len + (size_t)n + 1 > t->cap) {
		size_t cap = (t->len + (size_t)n + 1) * 2;
		char *buf = realloc(t->buf, cap);

		if (!buf)
			return;
		t->buf = buf;
		t->cap = cap;
	}
	memcpy(t->buf + t->len, line, (size_t)n + 1);
	t->len += (size_t)n;
}

static enum MHD_Result answer(struct request *r, unsigned int status, struct text *t)
{
	enum MHD_Result result =
		reply_text(r, status, "text/plain; charset=utf-8", t->buf ? t->buf : "", t->len);

	free(t->buf);
	return result;
}

static enum MHD_Result refuse(struct request *r, unsigned int status, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static enum MHD_Result refuse(struct request *r, unsigned int status, const char *fmt, ...)
{
	char line[700];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line) - 1, fmt, ap);
	va_end(ap);
	if (n > (int)sizeof(line) - 2)
		n = sizeof(line) - 2;
	strcpy(line + n, "\n");
	return reply_text(r, status, "text/plain; charset=utf-8", line, strlen(line));
}

static enum MHD_Result refuse_problem(struct request *r, struct sq_error *p)
{
	const char *text = p->text;

	json_decref(p->candidates);
	p->candidates = NULL;
	if (strncmp(text, "target: ", 8) == 0)
		text += 8;
	return refuse(r, errno_to_status(p->code), "Error: %s", text);
}

/* --- what is set, in tc's words ------------------------------------------------------- */

static void add_percent(struct text *t, const char *word, uint32_t fraction, uint32_t corr)
{
	char a[32], b[32];

	add(t, " %s %s", word, sq_format_percent(fraction, a, sizeof(a)));
	if (corr)
		add(t, " %s", sq_format_percent(corr, b, sizeof(b)));
}

static void add_faults(struct text *t, const struct sq_faults *f, const char *direction)
{
	char a[32], b[32], c[32];
	bool netem = f->delay_ns || f->jitter_ns || f->loss_model || f->duplicate || f->corrupt ||
		     f->reorder || (f->flags & SQ_F_BLACKHOLE);

	if (netem) {
		add(t, "qdisc netem 1: root refcnt 2 limit 1000");
		if (f->delay_ns || f->jitter_ns)
			add(t, " delay %s", sq_format_time(f->delay_ns, a, sizeof(a)));
		if (f->jitter_ns)
			add(t, "  %s", sq_format_time(f->jitter_ns, a, sizeof(a)));
		if (f->jitter_ns && f->delay_corr)
			add(t, " %s", sq_format_percent(f->delay_corr, a, sizeof(a)));
		if (f->flags & SQ_F_BLACKHOLE)
			add(t, " loss 100%%");
		else if (f->loss_model == SQ_LOSS_RANDOM)
			add_percent(t, "loss", f->loss_p[0], f->loss_corr);
		else if (f->loss_model == SQ_LOSS_GEMODEL)
			add_percent(t, "loss gemodel p", f->loss_p[0], f->loss_p[1]);
		else if (f->loss_model == SQ_LOSS_STATE)
			add_percent(t, "loss state p13", f->loss_p[0], f->loss_p[1]);
		if (f->duplicate)
			add_percent(t, "duplicate", f->duplicate, f->duplicate_corr);
		if (f->reorder)
			add_percent(t, "reorder", f->reorder, f->reorder_corr);
		if (f->corrupt)
			add_percent(t, "corrupt", f->corrupt, f->corrupt_corr);
		if (f->gap)
			add(t, " gap %u", f->gap);
		add(t, " direction %s\n", direction);
	}
	if (f->rate_bps) {
		uint64_t burst = f->burst_bytes ? f->burst_bytes
						: f->burst_ns / 1000 * f->rate_bps / 8000000;

		add(t, "qdisc tbf %s rate %s burst %s lat %s direction %s\n",
		    netem ? "2: parent 1:" : "1: root refcnt 2",
		    sq_format_rate(f->rate_bps, a, sizeof(a)), sq_format_size(burst, b, sizeof(b)),
		    sq_format_time(f->limit_ns, c, sizeof(c)), direction);
	}
}

static void add_rule(struct text *t, const struct rule_entry *e)
{
	bool any = false;

	for (uint32_t i = 0; e && i < e->rule.n_clauses && i < SQ_MAX_CLAUSES; i++) {
		for (int dir = 0; dir < SQ_DIRS; dir++) {
			if (!(e->rule.clause[i].faults[dir].flags & SQ_F_ACTIVE))
				continue;
			add_faults(t, &e->rule.clause[i].faults[dir], dir == SQ_UP ? "up" : "down");
			any = true;
		}
	}
	if (!any)
		add(t, "qdisc noqueue 0: root refcnt 2\n");
}

/* --- links --------------------------------------------------------------------------- */

/* A container in host mode has those of the host. */
static void host_interfaces(struct dockertc *tc, json_t *out)
{
	json_t *status = engine_status(tc->engine), *one;
	size_t i;

	json_array_foreach(json_object_get(status, "attachments"), i, one)
	{
		const char *role = json_string_value(json_object_get(one, "role"));

		if (json_is_true(json_object_get(one, "host")) && role && strcmp(role, "host") == 0)
			json_array_append(out, json_object_get(one, "name"));
	}
	json_decref(status);
}

static json_t *interfaces(struct dockertc *tc, uint64_t id)
{
	json_t *view = id ? engine_target_view(tc->engine, id) : NULL,
	       *list = json_object_get(view, "interfaces"), *out, *one;
	const char *mode = json_string_value(json_object_get(view, "mode"));
	size_t i;

	out = json_array();
	if (mode && strcmp(mode, "host") == 0 && !json_array_size(list))
		host_interfaces(tc, out);
	json_array_foreach(list, i, one)
	{
		/* A name, or an object that has one. */
		json_t *name = json_is_object(one) ? json_object_get(one, "name") : one;

		if (json_is_string(name))
			json_array_append(out, name);
	}
	json_decref(view);
	return out;
}

/* What 100 % is. A veth says 10 Gbit/s, a paravirtual NIC nothing. */
static uint64_t link_speed(struct dockertc *tc, const struct target *t)
{
	json_t *list = interfaces(tc, t->id);
	const char *name = json_string_value(json_array_get(list, 0));
	long mbit = -1;
	char path[128];
	bool found;
	FILE *f;

	snprintf(path, sizeof(path), "/sys/class/net/%.40s/speed", name ? name : "-");
	f = name && !strchr(name, '/') ? fopen(path, "re") : NULL;
	json_decref(list); /* and name with it */
	found = f;
	if (f) {
		if (fscanf(f, "%ld", &mbit) != 1)
			mbit = -1;
		fclose(f);
	}
	/* Not attached yet, or the interface is in the container's namespace: Docker gave it a
	 * veth. */
	if (mbit <= 0 && t->c && t->c->network_mode && strcmp(t->c->network_mode, "host") != 0 &&
	    !found)
		mbit = 10000;
	return mbit > 0 ? (uint64_t)mbit * 1000000u : 0;
}

/* --- labels --------------------------------------------------------------------------- */

void dockertc_labels(void *arg, struct container *c)
{
	struct dockertc *tc = arg;
	struct rule_entry *e = book_find(tc->book, c->name);
	struct sq_error p = {0};
	struct target t;
	struct sq_rule rule;
	bool enabled;
	int rc;

	if (e && !e->by && !strcmp(e->source, "label") && e->in_force &&
	    e->cgroup_id == c->cgroup_id)
		return; /* a container's labels do not change */
	target_of_container(c, &t);
	rc = dockertc_parse_labels(c->labels, tc->direction, link_speed(tc, &t), &rule, &enabled,
				   &p);
	/* What somebody asked for by name goes before the label. */
	if (e && !e->by && strcmp(e->source, "label") != 0)
		return;
	if (book_ignored(tc->book, c->name))
		return;
	if (rc == 0 && enabled) {
		rc = book_set(tc->book, &t, &rule, "label", NULL, &p);
		if (rc == 0)
			log_info("container %s: rule set by its labels", c->name);
	} else if (e) {
		book_delete(tc->book, c->name,
			    "deleted"); /* started anew without the label, or with a bad one */
	}
	if (rc < 0 && rc != -ENODATA) {
		/* This one has no rule; the others go on. */
		free(c->label_error);
		c->label_error = strdup(p.text);
		log_warn("container %s: labels not applied: %s", c->name, p.text);
	}
}

/* --- requests ------------------------------------------------------------------------- */

static enum MHD_Result list(struct dockertc *tc, struct request *r)
{
	struct text t = {0};

	pthread_mutex_lock(tc->lock);
	for (struct container *c = targets_containers(tc->targets); c; c = c->next) {
		if (!c->running)
			continue;
		add(&t, "# id=%.12s name=%.500s\n", c->id, c->name);
		add_rule(&t, book_find(tc->book, c->name));
	}
	pthread_mutex_unlock(tc->lock);
	return answer(r, 200, &t);
}

static void add_inspected(struct dockertc *tc, struct text *text, const struct target *t)
{
	json_t *links = interfaces(tc, t->id);
	size_t n = json_array_size(links);

	/* docker-tc prints the queues of each interface; ours are the same on all of them. */
	for (size_t i = 0; i < (n ? n : 1); i++)
		add_rule(text, book_find(tc->book, t->name));
	json_decref(links);
}

static enum MHD_Result inspect(struct dockertc *tc, struct request *r, struct target *t)
{
	struct text text = {0};

	add_inspected(tc, &text, t);
	return answer(r, 200, &text);
}

static void add_set(struct dockertc *tc, struct text *text, const char *echo,
		    const struct target *t)
{
	json_t *links = interfaces(tc, t->id), *link;
	size_t i;

	json_array_foreach(links, i, link)
	{
		add(text, "Set %s on %.40s\n", echo, json_string_value(link));
		add(text, "Controlling traffic of the container /%.500s on %.40s\n", t->name,
		    json_string_value(link));
	}
	json_decref(links);
}

static bool has_link(struct dockertc *tc, const struct target *t)
{
	json_t *links = interfaces(tc, t->id);
	bool any = json_array_size(links);

	json_decref(links);
	return any;
}

/* name: the target's, or a selector's that means it. */
static int set_form(struct dockertc *tc, struct request *r, const struct target *t,
		    const char *name, char echo[TC_ECHO_MAX], struct sq_error *p)
{
	const char *form = r->len ? r->body : r->query;
	struct sq_rule rule;
	int rc = dockertc_parse_form(form, r->len ? r->len : strlen(form), tc->direction,
				     link_speed(tc, t), &rule, echo, p);

	if (rc < 0)
		return p->code = -EINVAL;
	if (!has_link(tc, t))
		return sq_error_set(p, -EOPNOTSUPP, NULL,
				    "container %.200s has no network interface that could be "
				    "controlled (network mode %.100s)",
				    t->name, t->c->network_mode ? t->c->network_mode : "unknown");
	rc = rule_set(tc->book, name, &rule, "docker-tc", NULL, p);
	if (rc == 0)
		log_info("rule of %s: set to %s by docker-tc, by %s", name, echo, request_who(r));
	return rc;
}

static enum MHD_Result set(struct dockertc *tc, struct request *r, struct target *t)
{
	char echo[TC_ECHO_MAX];
	struct text text = {0};
	struct sq_error p = {0};

	if (set_form(tc, r, t, t->name, echo, &p) < 0)
		return refuse_problem(r, &p);
	add_set(tc, &text, echo, t);
	return answer(r, 200, &text);
}

static void mind_labels(struct dockertc *tc, struct request *r, struct container *c, bool ignore)
{

	log_info("labels of %s: %s, by %s", c->name,
		 ignore ? "ignored, and its rule deleted" : "count again", request_who(r));
	book_ignore(tc->book, c->name, ignore);
	if (ignore)
		book_delete(tc->book, c->name, "deleted");
	else
		dockertc_labels(tc, c);
}

/* Attached before it is ruled, without the lock. A target that cannot have a rule is not held: what
 * follows says why. */
static int hold(struct dockertc *tc, const char *name, uint64_t *ret_id, struct sq_error *p)
{
	struct sq_error ignored = {0};
	struct target t;
	int rc;

	pthread_mutex_lock(tc->lock);
	rc = target_resolve_container(tc->targets, name, &t, &ignored);
	if (rc == 0)
		rc = target_ready(&t, &ignored);
	pthread_mutex_unlock(tc->lock);
	json_decref(ignored.candidates);
	if (rc < 0)
		return 0;
	p->code = rc = engine_hold(tc->engine, t.id, t.cgroup, p);
	if (rc == 0)
		*ret_id = t.id;
	return rc;
}

enum method { INSPECT, SET, IGNORE, UNIGNORE, LIST, HEAD, NONE };

/* --- by the name that an ECS task definition gives ---------------------------------------- */

struct named {
	struct dockertc *tc;
	struct request *r;
	struct selector s;
	enum method method;
	struct target first;
	char echo[TC_ECHO_MAX];
	struct text text;
	int n;
};

static int find_named(const struct target *t, void *arg)
{
	struct named *x = arg;

	if (!t->id || !selector_matches(&x->s, t))
		return 0;
	x->first = *t;
	x->n++;
	return 1;
}

static int do_named(const struct target *t, void *arg)
{
	struct named *x = arg;

	if (!t->id || !selector_matches(&x->s, t))
		return 0;
	if (x->method == INSPECT)
		add_inspected(x->tc, &x->text, t);
	else if (x->method == SET)
		add_set(x->tc, &x->text, x->echo, t);
	else
		mind_labels(x->tc, x->r, t->c, x->method == IGNORE);
	return 0;
}

/*
 * ECS names a container ecs-FAMILY-REVISION-NAME-HEX, anew for each task; who asks for NAME means
 * all that have it now, and their successors: the selector's rule. False: nothing here has it.
 */
static bool serve_named(struct dockertc *tc, struct request *r, enum method method,
			enum MHD_Result *ret)
{
	struct named x = {.tc = tc, .r = r, .method = method};
	struct sq_error p = {0};
	char name[SELECTOR_MAX];

	if (snprintf(name, sizeof(name), "ecs:%s", r->seg[0]) >= (int)sizeof(name) ||
	    selector_parse(name, &x.s, &p) < 0)
		return false;
	targets_each(tc->targets, false, true, find_named, &x);
	if (!x.n)
		return false;
	if (method == SET && set_form(tc, r, &x.first, x.s.text, x.echo, &p) < 0) {
		*ret = refuse_problem(r, &p);
		return true;
	}
	if (method == IGNORE)
		book_delete(tc->book, x.s.text, "deleted");
	targets_each(tc->targets, false, true, do_named, &x);
	*ret = method == INSPECT || method == SET ? answer(r, 200, &x.text) : reply_empty(r, 200);
	return true;
}

/* The lock is held. */
static enum MHD_Result serve_one(struct dockertc *tc, struct request *r, enum method method)
{
	enum MHD_Result result;
	struct sq_error p = {0};
	struct target t;

	if (target_resolve_container(tc->targets, r->seg[0], &t, &p) < 0) {
		json_decref(p.candidates);
		p.candidates = NULL;
		if (p.code != -ENOENT)
			return refuse_problem(r, &p);
		if (serve_named(tc, r, method, &result))
			return result;
		return refuse(r, 404, "%.200s is not running", r->seg[0]);
	}
	if (!t.c->running)
		return refuse(r, 409, "%.200s is not running", r->seg[0]);
	if (target_ready(&t, &p) < 0)
		return refuse_problem(r, &p);
	if (method == INSPECT)
		return inspect(tc, r, &t);
	if (method == SET)
		return set(tc, r, &t);
	mind_labels(tc, r, t.c, method == IGNORE);
	return reply_empty(r, 200);
}

enum MHD_Result dockertc_serve(struct dockertc *tc, struct request *r)
{
	static const char *const names[][2] = {
		{"GET", "INSPECT"},  {"POST", "SET"},  {"DELETE", "IGNORE"},
		{"PUT", "UNIGNORE"}, {"LIST", "LIST"}, {"HEAD", "HEAD"},
	};
	struct sq_error p = {0};
	enum MHD_Result result;
	enum method method;
	uint64_t held = 0;

	for (method = INSPECT; method < NONE; method++)
		if (strcasecmp(names[method][0], r->method) == 0 ||
		    strcasecmp(names[method][1], r->method) == 0)
			break;
	if (method == HEAD)
		method = INSPECT;
	if (method == NONE) {
		snprintf(r->allow, sizeof(r->allow), "GET, POST, PUT, DELETE, LIST, SET, INSPECT");
		return refuse(r, 405,
			      "Error: method %.20s is not known; accepted: GET POST PUT DELETE "
			      "LIST SET INSPECT IGNORE "
			      "UNIGNORE",
			      r->method);
	}
	if (r->n_seg == 0 && (method == INSPECT || method == LIST))
		return list(tc, r);
	if (method == LIST)
		return refuse(r, 404, "Error: LIST is for /");
	if (r->n_seg == 0)
		return refuse(r, 404, "Error: name a container: /CONTAINER");
	if (r->n_seg > 1)
		return refuse(r, 404, "Error: there is nothing at this path");

	if (method == SET && hold(tc, r->seg[0], &held, &p) < 0)
		return refuse_problem(r, &p);
	pthread_mutex_lock(tc->lock);
	result = serve_one(tc, r, method);
	pthread_mutex_unlock(tc->lock);
	if (held)
		engine_release(tc->engine, held);
	return result;
}
