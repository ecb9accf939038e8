// SPDX-License-Identifier: GPL-2.0-only
/*
 * --fail-if '[TYPE.][REQUEST.]METRIC OP VALUE', judged once, over the whole run
 * (docs/sim.md says what each metric is). A condition without a sample holds:
 * what was not measured has not passed.
 */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "sim/fleet/options.h"
#include "sim/report/report.h"

enum unit { TIME, SHARE, COUNT, RATE };
enum what {
	QUANTILE,
	AVG,
	MAX,
	ERRORS,
	CONNECT_ERRORS,
	NEVER,
	DISCONNECTS,
	UNACKED,
	LOST,
	DUP,
	PER_S
};

static const struct metric {
	const char *name;
	enum unit unit;
	enum what what;
	double quantile;
	bool per_type;
} metrics[] = {
	{"p50", TIME, QUANTILE, 0.5, true},
	{"p90", TIME, QUANTILE, 0.9, true},
	{"p95", TIME, QUANTILE, 0.95, true},
	{"p99", TIME, QUANTILE, 0.99, true},
	{"p99.9", TIME, QUANTILE, 0.999, true},
	{"avg", TIME, AVG, 0, true},
	{"max", TIME, MAX, 0, true},
	{"errors", SHARE, ERRORS, 0, true},
	{"connect-errors", SHARE, CONNECT_ERRORS, 0, true},
	{"never-connected", SHARE, NEVER, 0, false},
	{"disconnects", COUNT, DISCONNECTS, 0, true},
	{"unacked", COUNT, UNACKED, 0, true},
	{"lost", COUNT, LOST, 0, false},
	{"duplicates", COUNT, DUP, 0, false},
	{"rate", RATE, PER_S, 0, true},
};
#define NMETRICS (sizeof(metrics) / sizeof(*metrics))

struct threshold {
	const struct metric *m;
	char type[SIM_TYPE_NAME]; /* empty: all of them */
	int name;		  /* enum sim_name, -1: the main one */
	char op[3];
	bool percent;
	double value; /* ms, or as it is */
};

/* "TYPE.REQUEST.METRIC" from its end, since p99.9 and a type's name may hold points. */
static bool split(char *text, struct threshold *t)
{
	size_t len = strlen(text), n;

	if (*text == '.')
		return false;
	for (size_t i = 0; i < NMETRICS; i++) {
		n = strlen(metrics[i].name);
		if (n <= len && !strcmp(text + len - n, metrics[i].name) &&
		    (n == len || text[len - n - 1] == '.') && (!t->m || n > strlen(t->m->name)))
			t->m = &metrics[i];
	}
	if (!t->m)
		return false;
	n = strlen(t->m->name);
	text[n == len ? 0 : len - n - 1] = 0;
	len = strlen(text);
	for (int i = 0; t->m->unit == TIME && i < SIM_DISCONNECT; i++) {
		n = strlen(sim_name_text((enum sim_name)i));
		if (n > len || strcmp(text + len - n, sim_name_text((enum sim_name)i)) ||
		    (n < len && text[len - n - 1] != '.'))
			continue;
		t->name = i;
		text[n == len ? 0 : len - n - 1] = 0;
		break;
	}
	snprintf(t->type, sizeof(t->type), "%s", text);
	return strlen(text) < sizeof(t->type) && (!*text || t->m->per_type);
}

static bool parse_value(const char *value, struct threshold *t)
{
	uint64_t ns;
	uint32_t ppm;
	char *end;

	if (t->m->unit == TIME) {
		if (opt_parse_time(value, &ns) || !strcmp(value, "0"))
			return false;
		t->value = (double)ns / 1e6;
		return true;
	}
	if (strchr(value, '%')) {
		if (t->m->unit != SHARE || opt_parse_percent(value, &ppm))
			return false;
		t->percent = true;
		t->value = ppm / 1e4;
		return true;
	}
	t->value = strtod(value, &end);
	if (t->m->unit == RATE && !strcmp(end, "/s"))
		end += 2;
	return end != value && !*end && *value != '-' && isfinite(t->value);
}

/* 0 or -EINVAL. */
static int parse(const char *text, struct threshold *ret)
{
	size_t n = strcspn(text, "<>="), len = n, skip = strspn(text + n, "<>=");
	struct threshold t = {.name = -1};
	char copy[SIM_FAIL_IF_LEN], value[SIM_FAIL_IF_LEN];

	while (len && text[len - 1] == ' ')
		len--;
	if (!len || len >= sizeof(copy) || skip < 1 || skip > 2)
		return -EINVAL;
	memcpy(t.op, text + n, skip);
	if (strcmp(t.op, ">") && strcmp(t.op, "<") && strcmp(t.op, ">=") && strcmp(t.op, "<="))
		return -EINVAL;
	memcpy(copy, text, len);
	copy[len] = 0;
	text += n + skip;
	text += strspn(text, " ");
	snprintf(value, sizeof(value), "%s", text);
	for (len = strlen(value); len && value[len - 1] == ' ';)
		value[--len] = 0;
	if (!split(copy, &t) || !parse_value(value, &t))
		return -EINVAL;
	*ret = t;
	return 0;
}

/* A message to a $share group is for one of its members, whichever: who else lacks it lost nothing.
 */
static bool only_shared(const struct sim_fleet *f)
{
	bool shared = false;

	for (unsigned i = 0; i < f->ntypes; i++)
		for (unsigned k = 0; f->type[i].e2e && k < f->type[i].nsubs; k++) {
			if (strncmp(f->type[i].sub[k], "$share/", 7))
				return false;
			shared = true;
		}
	return shared;
}

/* What no run of this fleet could ever measure is refused before anything connects. */
static int check_fleet(const char *text, const struct threshold *t, const struct sim_fleet *f,
		       struct sq_error *err)
{
	bool e2e_needed = t->m->what == LOST || t->m->what == DUP || t->name == SIM_RECEIVE;
	bool known = !*t->type, e2e = false;
	char have[200] = "";

	for (unsigned i = 0; i < f->ntypes; i++) {
		const struct sim_profile *p = &f->type[i];

		known |= !strcmp(p->name, t->type);
		e2e |= p->e2e;
		snprintf(have + strlen(have), sizeof(have) - strlen(have), "%s%s", i ? ", " : "",
			 p->name);
	}
	if (!known)
		return sq_bad(err,
			      "fail-if '%.90s': there is no device type '%s'; there are: %s; see "
			      "--help for the words that need none",
			      text, t->type, have);
	if (e2e_needed && !e2e)
		return sq_bad(err,
			      "fail-if '%.90s': messages are followed to their receivers only "
			      "with --e2e: set it, or leave the condition out",
			      text);
	if (t->m->what == LOST && only_shared(f))
		return sq_bad(err,
			      "fail-if '%.90s': what a $share group lost is not known: subscribe "
			      "to the topic itself, or leave the condition out",
			      text);
	return 0;
}

/* "; did you mean p95?", or nothing. */
static void meant(const char *text, char *buf, size_t cap)
{
	char word[SIM_FAIL_IF_LEN];
	struct suggestion s = {.word = word};
	size_t n = strcspn(text, "<>= ");

	*buf = 0;
	if (n >= sizeof(word))
		return;
	for (size_t i = 0; i < n; i++)
		word[i] = (char)tolower((unsigned char)text[i]);
	word[n] = 0;
	for (size_t i = 0; i < NMETRICS; i++) {
		suggest_from(&s, metrics[i].name);
		if (!strcmp(word, metrics[i].name)) {
			s.best = metrics[i].name;
			break;
		}
	}
	if (s.best && (strlen(s.best) != n || strncmp(s.best, text, n)))
		snprintf(buf, cap, "did you mean '%s'? ", s.best);
}

/* No figure is below 0, and no share above all: a gate that is green whatever happens. */
static bool never_holds(const struct threshold *t)
{
	return (!strcmp(t->op, "<") && t->value <= 0) ||
	       (t->percent && !strcmp(t->op, ">") && t->value >= 100);
}

int sim_failif_check(const char *text, const struct sim_fleet *fleet, struct sq_error *err)
{
	struct threshold t;
	char near[48];

	meant(text, near, sizeof(near));
	if (parse(text, &t))
		return sq_bad(
			err,
			"fail-if '%.90s': %saccepted: "
			"[TYPE.][connect.|publish.|puback.|receive.]p50, "
			"p90, p95, p99, p99.9, avg, max with a time; [TYPE.]errors, "
			"[TYPE.]connect-errors, never-connected with a number or %%; "
			"[TYPE.]disconnects, [TYPE.]unacked, [TYPE.]rate, lost, duplicates with a "
			"number; and >, >=, <, <= between, e.g. 'p95>500ms'",
			text, near);
	if (never_holds(&t))
		return sq_bad(err,
			      "fail-if '%.90s': can never hold; accepted: a value that the figure "
			      "can pass, e.g. '%s'",
			      text, t.percent ? "errors>=100%" : "rate<1");
	return fleet ? check_fleet(text, &t, fleet, err) : 0;
}

/* The sums of one request, over all types or one. */
static void sum_of(struct sim_tally *t, int type, enum sim_name name, struct sim_row *ret)
{
	if (type < 0) {
		sim_tally_name(t, name, ret);
		return;
	}
	memset(ret, 0, sizeof(*ret));
	sim_row_add(ret, &t->row[(unsigned)type * SIM_NAMES + name]);
}

static uint64_t unacked(const struct sim_tally *t, int type)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < t->nerrors; i++)
		if ((type < 0 || t->error[i].type == (unsigned)type) &&
		    (!strcmp(t->error[i].kind, "no-puback") ||
		     !strcmp(t->error[i].kind, "no-pubcomp")))
			n += t->error[i].occurrences;
	return n;
}

struct figure {
	double value;
	uint64_t of; /* samples it rests upon */
	const char *what;
};

static void time_figure(const struct sim_row *r, const struct metric *m, struct figure *f)
{
	f->of = r->requests - r->failures;
	f->value = !f->of	    ? 0
		   : m->what == AVG ? r->total_ms / (double)f->of
		   : m->what == MAX ? r->max_ms
				    : sim_hist_quantile(&r->hist, m->quantile);
}

/*
 * Of one type the figures are those of its rows. Each message goes through
 * publish (handed over, or failed before that) and at QoS 1 and 2 then through
 * puback, so publish alone has each of them once.
 */
static void count_figure(struct sim_tally *t, int type, const struct sim_row r[SIM_NAMES],
			 const struct metric *m, struct figure *f)
{
	const struct sim_row *pub = &r[SIM_PUBLISH], *ack = &r[SIM_PUBACK], *con = &r[SIM_CONNECT];
	const struct sim_totals *x = &t->tot;
	bool one = type >= 0;
	uint64_t n = 0, acked;

	switch (m->what) {
	case ERRORS:
		/* A connection that was refused is an error that somebody's device had. */
		n = one ? pub->failures + ack->failures + con->failures
			: x->failed + x->connect_failures;
		f->of = one ? pub->requests + con->requests
			    : x->scheduled + x->connects + x->connect_failures;
		f->what = "messages and connection attempts";
		break;
	case CONNECT_ERRORS:
		n = con->failures;
		f->of = con->requests;
		f->what = "connection attempts";
		break;
	case NEVER:
		n = sim_tally_never_connected(t);
		f->of = t->most_running;
		f->what = "devices";
		break;
	case DISCONNECTS:
		n = r[SIM_DISCONNECT].failures;
		f->of = con->requests - con->failures;
		f->what = "connections";
		break;
	case UNACKED:
		n = unacked(t, type);
		f->of = ack->requests;
		f->what = "messages with QoS 1 or 2";
		break;
	case LOST:
	case DUP:
		n = m->what == LOST ? x->lost : x->duplicates;
		f->of = x->unique + x->lost;
		f->what = "messages followed to a subscriber";
		break;
	default: /* PER_S */
		acked = one ? (ack->requests ? ack->requests - ack->failures
					     : pub->requests - pub->failures)
			    : x->acked;
		f->value = (double)acked / sim_tally_publishing_s(t);
		f->of = pub->requests + con->requests;
		f->what = "messages and connection attempts";
		return;
	}
	f->value = (double)n;
}

static int measure(struct sim_tally *t, const struct threshold *th, struct figure *f)
{
	struct sim_row *r = malloc(SIM_NAMES * sizeof(*r));
	enum sim_name name;
	int type = -1;

	if (!r)
		return -ENOMEM;
	for (unsigned i = 0; *th->type && i < sim_engine_types(t->e); i++)
		if (!strcmp(sim_engine_type_name(t->e, i), th->type))
			type = (int)i;
	for (unsigned i = 0; i < SIM_NAMES; i++)
		sum_of(t, type, (enum sim_name)i, &r[i]);
	/* A type's main request is its own: one of QoS 0 has no acknowledgements. */
	name = th->name >= 0		? (enum sim_name)th->name
	       : type < 0		? t->main
	       : r[SIM_PUBACK].requests ? SIM_PUBACK
					: SIM_PUBLISH;
	*f = (struct figure){.what = sim_name_text(name)};
	if (th->m->unit == TIME)
		time_figure(&r[name], th->m, f);
	else
		count_figure(t, type, r, th->m, f);
	if (th->percent && f->of)
		f->value = 100 * f->value / (double)f->of;
	free(r);
	return 0;
}

bool sim_failif_holds(struct sim_tally *t, const char *text, FILE *out)
{
	struct threshold th;
	struct figure f;
	bool hit;

	if (parse(text, &th) || measure(t, &th, &f)) {
		fprintf(out, "squall-sim: fail-if '%s' could not be judged, so it holds\n", text);
		return true;
	}
	if (!f.of) {
		fprintf(out, "squall-sim: fail-if '%s' holds: nothing to judge it by, 0 %s\n", text,
			th.m->unit == TIME ? "successful requests" : f.what);
		return true;
	}
	hit = !strcmp(th.op, ">")    ? f.value > th.value
	      : !strcmp(th.op, "<")  ? f.value < th.value
	      : !strcmp(th.op, ">=") ? f.value >= th.value
				     : f.value <= th.value;
	if (hit)
		fprintf(out, "squall-sim: fail-if '%s' holds: %.4g%s\n", text, f.value,
			th.m->unit == TIME   ? " ms"
			: th.percent	     ? " %"
			: th.m->unit == RATE ? " per second"
					     : "");
	return hit;
}
