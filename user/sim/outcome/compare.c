// SPDX-License-Identifier: GPL-2.0-only
/*
 * A report against an older one: better, worse, or within noise. Noise is what
 * repeated runs showed; of single runs, a tenth, or 5 ms.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "sim/outcome/outcome.h"

static void range(const json_t *t, double *ret_low, double *ret_high)
{
	const json_t *values = json_object_get(t, "values"), *v;
	double value = outcome_number(t, "value"), slack = fabs(value) / 10;
	size_t i;

	if (!strcmp(outcome_text(t, "unit"), "ms") && slack < 5)
		slack = 5;
	*ret_low = value - slack;
	*ret_high = value + slack;
	if (json_array_size(values) < 3)
		return;
	*ret_low = *ret_high = value;
	json_array_foreach(values, i, v)
	{
		double one = json_is_number(v) ? json_number_value(v) : INFINITY;

		*ret_low = one < *ret_low ? one : *ret_low;
		*ret_high = one > *ret_high ? one : *ret_high;
	}
}

static const char *verdict(const json_t *was, const json_t *now)
{
	bool had = json_is_number(json_object_get(was, "value"));
	bool has = json_is_number(json_object_get(now, "value"));
	const char *limit = outcome_text(now, "limit");
	double low, high, now_low, now_high, a, b, at;

	/* "never" and nothing are worse than any figure. */
	if (!had || !has)
		return had == has ? "within noise" : has ? "better" : "worse";
	range(was, &low, &high);
	range(now, &now_low, &now_high);
	if (now_low <= high && now_high >= low)
		return "within noise";
	a = outcome_number(was, "value");
	b = outcome_number(now, "value");
	at = strtod(limit + strspn(limit, "<>=! "), NULL);
	if (*limit == '<')
		return b < a ? "better" : "worse";
	if (*limit == '>')
		return b > a ? "better" : "worse";
	return fabs(b - at) < fabs(a - at) ? "better" : "worse";
}

void outcome_compare(const json_t *old, json_t *doc)
{
	json_t *list = json_array(), *now, *was;
	size_t i, k;

	json_array_foreach(json_object_get(doc, "thresholds"), i, now)
	{
		const json_t *found = NULL;

		json_array_foreach(json_object_get(old, "thresholds"), k,
				   was) if (!found && !strcmp(outcome_text(was, "metric"),
							      outcome_text(now, "metric"))) found =
			was;
		json_array_append_new(list, json_pack("{s:s,s:s,s:s,s:s}", "metric",
						      outcome_text(now, "metric"), "verdict",
						      found ? verdict(found, now) : "new", "was",
						      found ? outcome_text(found, "said") : "",
						      "is", outcome_text(now, "said")));
	}
	json_object_set_new(doc, "compare", list);
}
