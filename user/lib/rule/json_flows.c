// SPDX-License-Identifier: GPL-2.0-only
/* What a clause asks of flows, in the JSON form: {"each":"flow","flows_pct":30,"hang":{"old":true}}
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <squall/units.h>
#include "lib/rule/parts.h"

static int refuse(int clause, const char *part, const char *name, struct sq_error *err,
		  const char *accepts)
{
	char field[FIELD_SIZE];

	field_name(field, clause, part, name);
	return sq_error_set(err, -EINVAL, field, "this value is not accepted: %s", accepts);
}

static int read_act(const json_t *v, const char *name, int clause, struct sq_flow_ask *a,
		    struct sq_error *err)
{
	static const char accepts[] = "an object with one of old (true), idle_ns, after_ns, at, "
				      "after_bytes (which may have of beside it: up or down)";
	const json_t *of = json_object_get(v, "of"), *x;
	const char *key;
	size_t n = 0;

	if (!json_is_object(v))
		return refuse(clause, "", name, err, accepts);
	a->act = *name == 'h' ? SQ_ACT_HANG : SQ_ACT_RESET;
	json_object_foreach((json_t *)v, key, x)
	{
		if (x == of)
			continue;
		n++;
		if (!strcmp(key, "at")) {
			a->when = SQ_WHEN_MQTT;
			a->value = json_is_string(x) ? phase_by_name(json_string_value(x)) : 0;
			if (!a->value)
				return refuse(clause, name, key, err,
					      "connack, suback, puback or pingresp");
			continue;
		}
		if (!strcmp(key, "old") && json_is_true(x)) {
			a->when = SQ_WHEN_OLD;
			continue;
		}
		a->when = !strcmp(key, "idle_ns")	? SQ_WHEN_IDLE
			  : !strcmp(key, "after_ns")	? SQ_WHEN_AGE
			  : !strcmp(key, "after_bytes") ? SQ_WHEN_BYTES
							: SQ_WHEN_NONE;
		if (!a->when || !json_is_integer(x) || json_integer_value(x) <= 0)
			return refuse(clause, name, key, err, accepts);
		a->value = (uint64_t)json_integer_value(x);
	}
	if (n != 1 || (of && a->when != SQ_WHEN_BYTES))
		return refuse(clause, "", name, err, accepts);
	a->dirs = 1 << SQ_UP | 1 << SQ_DOWN;
	if (!of)
		return 0;
	if (!json_is_string(of) ||
	    (strcmp(json_string_value(of), "up") && strcmp(json_string_value(of), "down")))
		return refuse(clause, name, "of", err, "up or down");
	a->dirs = 1 << (*json_string_value(of) == 'u' ? SQ_UP : SQ_DOWN);
	return 0;
}

static int read_dns(const json_t *v, int clause, struct sq_flow_ask *a, struct sq_error *err)
{
	static const char accepts[] = "nxdomain, servfail, timeout, or an object with slow_ns";
	const json_t *slow = json_object_get(v, "slow_ns");
	int n = json_is_string(v) ? dns_by_name(json_string_value(v)) : -1;

	if (json_is_object(v) && json_object_size(v) == 1 && json_is_integer(slow) &&
	    json_integer_value(slow) > 0) {
		a->dns = SQ_DNS_SLOW;
		a->dns_ns = (uint64_t)json_integer_value(slow);
		return 0;
	}
	if (n < 0 || n == SQ_DNS_SLOW)
		return refuse(clause, "", "dns", err, accepts);
	a->dns = (uint8_t)n;
	return 0;
}

int ask_from_json(const json_t *o, int clause, struct sq_flow_ask *a, struct sq_error *err)
{
	const json_t *each = json_object_get(o, "each"), *share = json_object_get(o, "flows_pct");
	const json_t *hang = json_object_get(o, "hang"), *reset = json_object_get(o, "reset");
	const json_t *dns = json_object_get(o, "dns");
	const json_t *max = json_object_get(o, "max_flows");
	int n;

	if (each) {
		n = json_is_string(each) ? each_by_name(json_string_value(each)) : -1;
		if (n < 0)
			return refuse(clause, "", "each", err, accepts_each);
		a->each = (uint8_t)n;
	}
	if (share && (!json_is_number(share) ||
		      sq_percent_to_fraction(json_number_value(share), &a->share) || !a->share))
		return refuse(clause, "", "flows_pct", err,
			      "a number above 0 and up to 100 (percent)");
	if (max && (!json_is_integer(max) || json_integer_value(max) < 1 ||
		    json_integer_value(max) > SQ_LINKS_MAX))
		return refuse(clause, "", "max_flows", err, accepts_links);
	a->max_flows = max ? (uint32_t)json_integer_value(max) : 0;
	if (dns && read_dns(dns, clause, a, err))
		return -EINVAL;
	if (hang && reset)
		return refuse(clause, "", "reset", err, "hang or reset, one for each clause");
	if (hang)
		return read_act(hang, "hang", clause, a, err);
	return reset ? read_act(reset, "reset", clause, a, err) : 0;
}

static json_t *act_json(const struct sq_flow_ask *a)
{
	json_int_t v = (json_int_t)a->value;

	switch (a->when) {
	case SQ_WHEN_OLD:
		return json_pack("{s:b}", "old", 1);
	case SQ_WHEN_IDLE:
		return json_pack("{s:I}", "idle_ns", v);
	case SQ_WHEN_AGE:
		return json_pack("{s:I}", "after_ns", v);
	case SQ_WHEN_MQTT:
		return json_pack("{s:s}", "at", phase_name(a->value));
	default:
		if (a->dirs == 3)
			return json_pack("{s:I}", "after_bytes", v);
		return json_pack("{s:I, s:s}", "after_bytes", v, "of",
				 a->dirs & 1 << SQ_UP ? "up" : "down");
	}
}

int ask_to_json(json_t *o, const struct sq_flow_ask *a)
{
	double pct = sq_fraction_to_percent(a->share);
	int e = 0;

	if (a->each)
		e |= json_object_set_new(o, "each", json_string(each_name(a->each)));
	if (a->share)
		e |= json_object_set_new(o, "flows_pct",
					 pct == (double)(json_int_t)pct
						 ? json_integer((json_int_t)pct)
						 : json_real(pct));
	if (a->act)
		e |= json_object_set_new(o, a->act == SQ_ACT_HANG ? "hang" : "reset", act_json(a));
	if (a->dns == SQ_DNS_SLOW)
		e |= json_object_set_new(o, "dns",
					 json_pack("{s:I}", "slow_ns", (json_int_t)a->dns_ns));
	else if (a->dns)
		e |= json_object_set_new(o, "dns", json_string(dns_name(a->dns)));
	if (a->max_flows)
		e |= json_object_set_new(o, "max_flows", json_integer(a->max_flows));
	return e;
}
