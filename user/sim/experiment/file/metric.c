// SPDX-License-Identifier: GPL-2.0-only
/*
 * A threshold's grammar: [TYPE.][REQUEST.]METRIC{phase:P|fault:F} and OP VALUE,
 * or PROBE.METRIC. What this experiment could never measure is refused here.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "sim/experiment/file/node.h"

/* Of what a metric may be: a device type, a part of the run. */
enum { TYPED = 1, PARTED = 2, FAULT_ONLY = 4, FLEETLESS = 8 };

static const struct metric {
	const char *name;
	enum exp_unit unit;
	enum exp_what what;
	double quantile;
	unsigned of;
} metrics[] = {
	{"p50", EXP_TIME, EXP_QUANTILE, 0.5, TYPED | PARTED},
	{"med", EXP_TIME, EXP_QUANTILE, 0.5, TYPED | PARTED},
	{"p90", EXP_TIME, EXP_QUANTILE, 0.9, TYPED | PARTED},
	{"p95", EXP_TIME, EXP_QUANTILE, 0.95, TYPED | PARTED},
	{"p99", EXP_TIME, EXP_QUANTILE, 0.99, TYPED | PARTED},
	{"p99.9", EXP_TIME, EXP_QUANTILE, 0.999, TYPED | PARTED},
	{"avg", EXP_TIME, EXP_AVG, 0, TYPED | PARTED},
	{"min", EXP_TIME, EXP_MIN, 0, TYPED | PARTED},
	{"max", EXP_TIME, EXP_MAX, 0, TYPED | PARTED},
	{"errors", EXP_SHARE, EXP_ERRORS, 0, TYPED | PARTED},
	{"connect-errors", EXP_SHARE, EXP_CONNECT_ERRORS, 0, TYPED | PARTED},
	{"never-connected", EXP_SHARE, EXP_NEVER, 0, 0},
	{"disconnects", EXP_COUNT, EXP_DISCONNECTS, 0, TYPED | PARTED},
	{"unacked", EXP_COUNT, EXP_UNACKED, 0, TYPED | PARTED},
	{"lost", EXP_COUNT, EXP_LOST, 0, 0},
	{"duplicates", EXP_COUNT, EXP_DUPLICATES, 0, 0},
	{"scheduled", EXP_COUNT, EXP_SCHEDULED, 0, PARTED},
	{"acked", EXP_COUNT, EXP_ACKED, 0, PARTED},
	{"failed", EXP_COUNT, EXP_FAILED, 0, PARTED},
	{"connects", EXP_COUNT, EXP_CONNECTS, 0, PARTED},
	{"reconnects", EXP_COUNT, EXP_RECONNECTS, 0, PARTED},
	{"connected.min", EXP_SHARE, EXP_CONNECTED_MIN, 0, PARTED},
	{"rate", EXP_RATE, EXP_ACKED, 0, PARTED},
	{"recovery", EXP_TIME, EXP_RECOVERY, 0, PARTED | FAULT_ONLY | FLEETLESS},
	{"packets.seen", EXP_COUNT, EXP_PACKETS_SEEN, 0, PARTED | FAULT_ONLY | FLEETLESS},
	{"packets.struck", EXP_COUNT, EXP_PACKETS_STRUCK, 0, PARTED | FAULT_ONLY | FLEETLESS},
};
#define NMETRICS (sizeof(metrics) / sizeof(*metrics))

#define ACCEPTED                                                                                   \
	"accepted: [TYPE.][connect.|publish.|puback.|receive.]p50, p90, p95, p99, p99.9, avg, "    \
	"min, max; errors, connect-errors, disconnects, unacked, reconnects, acked, failed, rate " \
	"(docs/experiments.md has all)"

static int selector(const struct experiment *x, char *text, struct exp_threshold *t,
		    struct sq_error *err)
{
	char *open = strchr(text, '{'), *colon;
	size_t n = strlen(text);

	t->part = EXP_WHOLE;
	if (!open)
		return 0;
	colon = strchr(open, ':');
	if (text[n - 1] != '}' || !colon)
		return sq_bad(err,
			      "threshold '%.100s': accepted: METRIC{phase:NAME} or "
			      "METRIC{fault:NAME}",
			      text);
	text[n - 1] = 0;
	*open++ = *colon++ = 0;
	colon += strspn(colon, " ");
	if (!strcmp(open, "fault")) {
		for (unsigned i = 0; i < x->nfaults; i++)
			if (!strcmp(x->fault[i].name, colon))
				t->part = EXP_PHASES + i;
		if (t->part != EXP_WHOLE)
			return 0;
		char have[256] = "";

		for (unsigned i = 0; i < x->nfaults; i++)
			snprintf(have + strlen(have), sizeof(have) - strlen(have), "%s%s",
				 i ? ", " : "", x->fault[i].name);
		return sq_bad(err, "threshold '%.80s': there is no fault '%.60s'; there %s: %s",
			      text, colon, x->nfaults ? "are" : "is", *have ? have : "none");
	}
	if (strcmp(open, "phase"))
		return sq_bad(err, "threshold '%.80s': '%.40s': accepted: phase, fault", text,
			      open);
	for (unsigned i = 0; i < EXP_WHOLE; i++)
		if (!strcmp(exp_phase_words[i], colon))
			t->part = i;
	if (t->part == EXP_WHOLE)
		return sq_bad(err,
			      "threshold '%.80s': phase '%.40s' is unknown; accepted: ramp, "
			      "before, fault, between, after",
			      text, colon);
	for (uint64_t at = 0; at < x->total_ns; at = exp_next_edge(x, at)) {
		uint32_t faults;
		enum exp_phase p = exp_phase_at(x, at, &faults);

		if (p == t->part)
			return 0;
	}
	return sq_bad(err, "threshold '%.80s': this experiment has no phase '%s'%s", text, colon,
		      t->part == EXP_BEFORE  ? "; give it a time with before:"
		      : t->part == EXP_AFTER ? "; give it a time with after:"
					     : "");
}

/* The longest metric that the text ends with; what is in front of it stays in text. */
static const struct metric *take_metric(char *text)
{
	const struct metric *m = NULL;
	size_t len = strlen(text), n;

	for (size_t i = 0; i < NMETRICS; i++) {
		n = strlen(metrics[i].name);
		if (n <= len && !strcmp(text + len - n, metrics[i].name) &&
		    (n == len || text[len - n - 1] == '.') && (!m || n > strlen(m->name)))
			m = &metrics[i];
	}
	if (m) {
		n = strlen(m->name);
		text[n == len ? 0 : len - n - 1] = 0;
	}
	return m;
}

static bool take_name(char *text, int *ret)
{
	size_t len = strlen(text), n;

	for (int i = 0; i < SIM_DISCONNECT; i++) {
		n = strlen(sim_name_text((enum sim_name)i));
		if (n > len || strcmp(text + len - n, sim_name_text((enum sim_name)i)) ||
		    (n < len && text[len - n - 1] != '.'))
			continue;
		*ret = i;
		text[n == len ? 0 : len - n - 1] = 0;
		return true;
	}
	return false;
}

/* What a probe must not be called, or nobody knows whom a threshold means. NULL: nothing. */
static const char *taken(const struct experiment *x, const char *name, const char *text)
{
	for (unsigned i = 0; i < x->fleet.ntypes; i++)
		if (!strcmp(x->fleet.type[i].name, name))
			return "device type";
	for (int i = 0; i < SIM_DISCONNECT; i++)
		if (!strcmp(sim_name_text((enum sim_name)i), name))
			return "request";
	for (size_t i = 0; i < NMETRICS; i++)
		if (!strcmp(metrics[i].name, text))
			return "metric";
	return NULL;
}

/* 1 when the text is of a probe, 0 when it is not. */
static int probe_metric(const struct experiment *x, const char *text, struct exp_threshold *t,
			struct sq_error *err)
{
	const char *dot = strchr(text, '.');

	for (unsigned i = 0; i < x->nprobes && dot; i++) {
		const struct exp_probe *p = &x->probe[i];
		const char *what = dot + 1;

		if (strlen(p->name) != (size_t)(dot - text) ||
		    strncmp(p->name, text, strlen(p->name)))
			continue;
		if (taken(x, p->name, text))
			return sq_bad(err,
				      "threshold '%.80s': '%s' is a probe and also a %s; give the "
				      "probe another name",
				      t->metric, p->name, taken(x, p->name, text));
		t->probe = (int)i;
		if (!strcmp(what, "up")) {
			t->unit = EXP_SHARE;
			t->what = EXP_PROBE_UP;
			return 1;
		}
		/* A probe's value is a count where Prometheus tells it, else the answer's time. */
		t->unit = p->kind == EXP_PROMETHEUS ? EXP_COUNT : EXP_TIME;
		if (!strcmp(what, "last") || !strcmp(what, "value")) {
			t->what = EXP_PROBE_LAST;
			return 1;
		}
		for (size_t k = 0; k < NMETRICS; k++) {
			if (metrics[k].unit != EXP_TIME || metrics[k].what > EXP_MAX ||
			    strcmp(metrics[k].name, what))
				continue;
			t->what = metrics[k].what;
			t->quantile = metrics[k].quantile;
			return 1;
		}
		return sq_bad(err,
			      "threshold '%.80s': of a probe accepted: up, last, p50, p90, p95, "
			      "p99, avg, min, max",
			      t->metric);
	}
	return 0;
}

static int limit(const char *text, struct exp_threshold *t)
{
	size_t n = strspn(text, "<>=!");
	uint64_t ns;
	char *end;

	if (n < 1 || n > 2)
		return -EINVAL;
	memcpy(t->op, text, n);
	t->op[n] = 0;
	if (strcmp(t->op, "<") && strcmp(t->op, ">") && strcmp(t->op, "<=") &&
	    strcmp(t->op, ">=") && strcmp(t->op, "==") && strcmp(t->op, "!="))
		return -EINVAL;
	text += n;
	text += strspn(text, " ");
	if (t->unit == EXP_TIME) {
		if (!strcmp(text, "0") || opt_parse_time(text, &ns))
			return -EINVAL;
		t->value = (double)ns / 1e6;
		return 0;
	}
	t->value = strtod(text, &end);
	if (end == text || !isfinite(t->value) || t->value < 0)
		return -EINVAL;
	if (t->unit == EXP_RATE && !strcmp(end, "/s"))
		end += 2;
	if (t->unit == EXP_SHARE && !strcmp(end, "%")) {
		t->percent = true;
		end++;
	}
	/* "up" is a share and nothing else. */
	if (t->what == EXP_PROBE_UP && !t->percent)
		return -EINVAL;
	return *end ? -EINVAL : 0;
}

static int of_fleet(const struct experiment *x, const struct metric *m, char *text,
		    struct exp_threshold *t, struct sq_error *err)
{
	bool e2e = false, known = !*text;

	if (!x->fleet.ntypes && !(m->of & FLEETLESS))
		return sq_bad(err, "threshold '%.80s': there is no fleet: to measure it by",
			      t->metric);
	for (unsigned i = 0; i < x->fleet.ntypes; i++) {
		known |= !strcmp(x->fleet.type[i].name, text);
		e2e |= x->fleet.type[i].e2e;
	}
	if (!known || (*text && !(m->of & TYPED)))
		return sq_bad(err,
			      "threshold '%.80s': there is no device type, request or probe "
			      "'%.60s'; " ACCEPTED,
			      t->metric, text);
	snprintf(t->type, sizeof(t->type), "%s", text);
	if ((m->what == EXP_LOST || m->what == EXP_DUPLICATES || t->name == SIM_RECEIVE) && !e2e)
		return sq_bad(err,
			      "threshold '%.80s': messages are followed to their receivers only "
			      "with e2e: true in the fleet",
			      t->metric);
	return 0;
}

/* A recovery needs a band to come back into, and the time to stay there. */
static int of_fault(const struct experiment *x, const struct metric *m,
		    const struct exp_threshold *t, struct sq_error *err)
{
	const struct exp_fault *f;
	uint64_t end, next;

	if (!(m->of & FAULT_ONLY))
		return 0;
	if (t->part < EXP_PHASES)
		return sq_bad(err, "threshold '%.80s': of which fault? write %s{fault:NAME}",
			      t->metric, m->name);
	if (m->what != EXP_RECOVERY)
		return 0;
	f = &x->fault[t->part - EXP_PHASES];
	end = f->at_ns + f->for_ns;
	next = x->total_ns;
	for (unsigned i = 0; i < x->nfaults; i++)
		if (&x->fault[i] != f && x->fault[i].at_ns + x->fault[i].for_ns > f->at_ns &&
		    x->fault[i].at_ns < next && x->fault[i].at_ns >= f->at_ns)
			next = x->fault[i].at_ns;
	if (!x->before_ns)
		return sq_bad(err,
			      "threshold '%.80s': recovery is back to what was before: give "
			      "that a time with before:",
			      t->metric);
	if (next < end + x->stay_ns)
		return sq_bad(
			err,
			"threshold '%.80s': recovered is who stays so for %gs, and after this "
			"fault there are %gs",
			t->metric, (double)x->stay_ns / 1e9,
			next > end ? (double)(next - end) / 1e9 : 0);
	return 0;
}

int exp_threshold_parse(const struct experiment *x, const char *metric, const char *text,
			struct exp_threshold *t, struct sq_error *err)
{
	const struct metric *m = NULL;
	char copy[sizeof(t->metric)], *dot;
	int rc;

	if (!*metric || strlen(metric) >= sizeof(t->metric) || strlen(text) >= sizeof(t->limit))
		return sq_bad(err, "threshold '%.60s': accepted: up to %zu bytes, limit %zu",
			      metric, sizeof(t->metric) - 1, sizeof(t->limit) - 1);
	snprintf(t->metric, sizeof(t->metric), "%s", metric);
	snprintf(t->limit, sizeof(t->limit), "%s", text);
	snprintf(copy, sizeof(copy), "%s", metric);
	t->name = t->probe = -1;
	rc = selector(x, copy, t, err);
	if (!rc)
		rc = probe_metric(x, copy, t, err);
	if (rc < 0)
		return rc;
	if (!rc) {
		dot = strrchr(copy, '.');
		t->per_s = dot && !strcmp(dot, ".rate");
		if (dot && (t->per_s || !strcmp(dot, ".count")))
			*dot = 0;
		m = take_metric(copy);
		if (!m && !t->per_s) {
			dot = strrchr(copy, '.');
			const char *near =
				exp_near(dot ? dot + 1 : copy, metrics, NMETRICS, sizeof(*metrics));

			return sq_bad(err, "threshold '%.80s': there is no metric '%.60s'%s%s%s",
				      metric, copy, near ? "; did you mean '" : "; " ACCEPTED,
				      near ? near : "", near ? "'?" : "");
		}
		if (!m || (t->per_s && m->unit != EXP_COUNT))
			return sq_bad(err, "threshold '%.80s': '%.60s' has no rate", metric, copy);
		t->unit = t->per_s ? EXP_RATE : m->unit;
		t->what = m->what;
		t->quantile = m->quantile;
		if (m->unit == EXP_RATE)
			t->per_s = true;
		if (m->unit == EXP_TIME && m->what <= EXP_MAX)
			take_name(copy, &t->name);
		rc = of_fleet(x, m, copy, t, err);
		if (!rc && !(m->of & PARTED) && t->part != EXP_WHOLE)
			rc = sq_bad(err,
				    "threshold '%.80s': is known of the whole run only; leave "
				    "{...} out",
				    metric);
		if (!rc)
			rc = of_fault(x, m, t, err);
		if (rc)
			return rc;
	}
	if (limit(text, t))
		return sq_bad(err,
			      "threshold '%.80s': limit '%.40s': accepted: < <= > >= == != and %s",
			      metric, text,
			      t->what == EXP_PROBE_UP ? "a percentage, e.g. \">99%\""
			      : t->unit == EXP_TIME   ? "a time, e.g. \"<200ms\""
			      : t->unit == EXP_SHARE  ? "a number or a percentage, e.g. \"<1%\""
			      : t->unit == EXP_RATE   ? "a rate, e.g. \"<500/s\""
						      : "a number, e.g. \"==0\"");
	return 0;
}
