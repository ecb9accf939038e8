// SPDX-License-Identifier: GPL-2.0-only
/* The terminal's side of a run. */
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include "lib/text.h"
#include "sim/experiment/live.h"

#define BAR 60 /* cells of the timeline */

/* Of the figures that stand beside it: at an edge the next phase has begun, and has none yet. */
static void phase_now(const struct exp_run *r, char *buf, size_t cap)
{
	snprintf(buf, cap, "%s", exp_phase_words[r->rec->now_phase]);
	for (unsigned i = 0; i < r->x->nfaults; i++)
		if (r->rec->now_faults & 1u << i)
			snprintf(buf + strlen(buf), cap - strlen(buf), "%s%s",
				 strchr(buf, ':') ? "+" : ":", r->x->fault[i].name);
}

static void line(FILE *f, const struct exp_run *r, const char *phase, const char *eol)
{
	const struct exp_record *o = r->rec;

	fprintf(f, "%6.1fs  %-20s", (double)o->last_ns / 1e9, phase);
	if (o->e) {
		fprintf(f, "  %u/%u connected  %.0f msgs/s", o->counts.connected, o->counts.target,
			o->now_rate);
		if (!isnan(o->now_p95))
			fprintf(f, "  p95 %.4g ms", o->now_p95);
		if (o->now_fail_rate > 0)
			fprintf(f, "  %.0f failed/s", o->now_fail_rate);
	}
	for (unsigned i = 0; i < r->x->nprobes; i++) {
		unsigned n;
		struct exp_answer *a = exp_probe_answers(r->probes, i, &n);

		if (n)
			fprintf(f, "  %s %s", r->x->probe[i].name, a[n - 1].up ? "up" : "DOWN");
		free(a);
	}
	fputs(eol, f);
}

/* Each cell is a part of the run: '.' calm, '#' a fault, and where we are. */
static void bar(FILE *f, const struct exp_run *r)
{
	for (unsigned i = 0; i < BAR; i++) {
		uint64_t at = r->x->total_ns / BAR * i, next = r->x->total_ns / BAR * (i + 1);
		uint32_t faults;
		enum exp_phase p = exp_phase_at(r->x, at, &faults);
		bool here = r->rec->last_ns >= at && r->rec->last_ns < next;

		fprintf(f, "%s%c%s",
			here		 ? "\033[7m"
			: p == EXP_FAULT ? "\033[31m"
					 : "",
			p == EXP_FAULT	  ? '#'
			: p == EXP_RAMP	  ? '/'
			: p == EXP_BEFORE ? '='
					  : '.',
			here || p == EXP_FAULT ? "\033[0m" : "");
	}
	fputs("\033[K\n", f);
}

void exp_live_second(struct exp_live *l, const struct exp_run *r)
{
	char phase[200];

	if (!l->f)
		return;
	phase_now(r, phase, sizeof(phase));
	if (!l->tty) {
		line(l->f, r, phase, "\n");
		fflush(l->f);
		return;
	}
	if (l->drawn)
		fprintf(l->f, "\033[%uA", l->drawn);
	bar(l->f, r);
	line(l->f, r, phase, "\033[K\n");
	for (unsigned i = 0; i < r->x->nthresholds; i++) {
		struct exp_verdict v;

		exp_judge(r, &r->x->threshold[i], &v);
		fprintf(l->f, "%s  %-40s %-12s %s\033[0m\033[K\n",
			!v.of  ? "\033[2m"
			: v.ok ? "\033[32m"
			       : "\033[31m",
			r->x->threshold[i].metric, r->x->threshold[i].limit, v.of ? v.said : "...");
	}
	l->drawn = 2 + r->x->nthresholds;
	fflush(l->f);
}

static const char *str(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

/* A line, of which a part was said by others: a squalld, an agent. */
__attribute__((format(printf, 2, 3))) static void say(FILE *f, const char *fmt, ...)
{
	char line[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	line[strcspn(line, "\n")] = 0;
	text_print(f, line);
	fputc('\n', f);
}

void exp_live_verdict(FILE *f, const json_t *doc)
{
	const json_t *o;
	size_t i;

	json_array_foreach(json_object_get(doc, "thresholds"), i, o)
		say(f, "%-8s %s %s: %s\n", str(o, "verdict"), str(o, "metric"), str(o, "limit"),
		    str(o, "said"));
	json_array_foreach(json_object_get(doc, "faults"), i, o)
	{
		if (*str(o, "note"))
			say(f, "note     fault %s: %s\n", str(o, "name"), str(o, "note"));
	}
	json_array_foreach(json_object_get(doc, "compare"), i, o)
		fprintf(f, "compared %s: %s%s%s%s%s\n", str(o, "metric"), str(o, "verdict"),
			*str(o, "was") ? ": was " : "", str(o, "was"),
			*str(o, "was") ? ", is " : "", *str(o, "was") ? str(o, "is") : "");
	say(f, "%s: %s%s%s\n", str(doc, "name"), str(doc, "verdict"), *str(doc, "why") ? ": " : "",
	    str(doc, "why"));
	fflush(f);
}
