// SPDX-License-Identifier: GPL-2.0-only
/*
 * A rule from its JSON form. Strict: an unknown key, a wrong type or a value out
 * of range is an error that names the path.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <squall/units.h>
#include "lib/rule/parts.h"

/* An object being read: each key taken is counted, the rest is unknown. */
struct reader {
	const json_t *object;
	struct sq_error *err;
	int clause;
	const char *part; /* "up", "match", ... for the path */
};

static int refuse(const struct reader *r, const char *key, const char *got, const char *accepts)
{
	char field[FIELD_SIZE];

	field_name(field, r->clause, r->part, key);
	return sq_error_set(r->err, -EINVAL, field, "%s is not accepted: %s", got, accepts);
}

/* The value as it stood in the text, safe to show. */
static const char *shown(const json_t *v, char *buf, size_t size)
{
	switch (json_typeof(v)) {
	case JSON_STRING:
		return sq_quote(json_string_value(v), json_string_length(v), buf, size);
	case JSON_INTEGER:
		snprintf(buf, size, "%lld", (long long)json_integer_value(v));
		return buf;
	case JSON_REAL:
		snprintf(buf, size, "%.12g", json_real_value(v));
		return buf;
	case JSON_OBJECT:
		return "an object";
	case JSON_ARRAY:
		return "an array";
	case JSON_TRUE:
		return "true";
	case JSON_FALSE:
		return "false";
	default:
		return "null";
	}
}

static int refuse_value(const struct reader *r, const char *key, const json_t *v,
			const char *accepts)
{
	char buf[SQ_QUOTED];

	return refuse(r, key, shown(v, buf, sizeof(buf)), accepts);
}

static int check_keys(const struct reader *r, const char *const *known)
{
	char quoted[SQ_QUOTED], list[320] = "";
	const char *const *k;
	const char *key;
	size_t key_len;
	json_t *v;

	if (!json_is_object(r->object))
		return refuse_value(r, "", r->object, "an object");
	json_object_keylen_foreach((json_t *)r->object, key, key_len, v)
	{
		for (k = known; *k && (strlen(*k) != key_len || memcmp(*k, key, key_len)); k++)
			;
		if (*k)
			continue;
		for (k = known; *k; k++) {
			size_t len = strlen(list);

			snprintf(list + len, sizeof(list) - len, "%s%s", len ? ", " : "", *k);
		}
		sq_quote(key, key_len, quoted, sizeof(quoted));
		return refuse(r, "", quoted, netem_lacks(key) ? netem_lacks(key) : list);
	}
	return 0;
}

static const json_t *get(const struct reader *r, const char *key)
{
	return json_object_get(r->object, key);
}

static int read_u64(const struct reader *r, const char *key, uint64_t min, uint64_t max,
		    const char *accepts, __u64 *ret)
{
	const json_t *v = get(r, key);
	uint64_t n;

	if (!v)
		return 0;
	if (json_is_integer(v) && json_integer_value(v) >= 0) {
		n = (uint64_t)json_integer_value(v);
	} else if (json_is_real(v) && json_real_value(v) >= 0 && json_real_value(v) <= 9e15 &&
		   json_real_value(v) == (double)(uint64_t)json_real_value(v)) {
		n = (uint64_t)json_real_value(v); /* 1e9 is a whole number too */
	} else {
		return refuse_value(r, key, v, accepts);
	}
	if (n < min || n > max)
		return refuse_value(r, key, v, accepts);
	*ret = n;
	return 0;
}

static int read_pct(const struct reader *r, const char *key, uint32_t *ret)
{
	const json_t *v = get(r, key);

	if (!v)
		return 0;
	if (!json_is_number(v) || sq_percent_to_fraction(json_number_value(v), ret))
		return refuse_value(r, key, v, "a number from 0 to 100 (percent)");
	return 0;
}

/* A correlation means nothing without its percentage. */
static int read_pct_corr(const struct reader *r, const char *key, const char *corr_key, uint32_t *p,
			 uint32_t *corr)
{
	char needs[96];
	int ret = read_pct(r, key, p);

	if (ret)
		return ret;
	if (get(r, corr_key) && !get(r, key)) {
		snprintf(needs, sizeof(needs), "it needs %s beside it", key);
		return refuse_value(r, corr_key, get(r, corr_key), needs);
	}
	return read_pct(r, corr_key, corr);
}

static int read_chain(const struct reader *up, const char *name, const char *const *keys, int n,
		      uint32_t *ret)
{
	char part[FIELD_SIZE];
	struct reader r = *up;
	int i, e;

	snprintf(part, sizeof(part), "%.30s.%s", up->part, name);
	r.part = part;
	r.object = get(up, name);
	e = check_keys(&r, keys);
	for (i = 0; i < n && !e; i++)
		e = read_pct(&r, keys[i], &ret[i]);
	if (!e && !get(&r, keys[0]))
		e = refuse(&r, keys[0], "no value", "a number from 0 to 100 (percent) is needed");
	return e;
}

static int read_loss(const struct reader *dir, struct sq_faults *f)
{
	static const char *const keys[] = {"pct", "corr_pct", "gemodel", "state", NULL};
	static const char *const ge[] = {"p_pct", "r_pct", "1-h_pct", "1-k_pct", NULL};
	static const char *const state[] = {"p13_pct", "p31_pct", "p32_pct",
					    "p23_pct", "p14_pct", NULL};
	char part[FIELD_SIZE];
	struct reader r = *dir;
	int e;

	if (!get(dir, "loss"))
		return 0;
	snprintf(part, sizeof(part), "%s.loss", dir->part);
	r.part = part;
	r.object = get(dir, "loss");
	e = check_keys(&r, keys);
	if (e)
		return e;
	if (get(&r, "gemodel") || get(&r, "state")) {
		if (json_object_size(r.object) != 1)
			return refuse(&r, "", "more than one model",
				      "one of pct (with corr_pct), gemodel, state");
		if (get(&r, "gemodel")) {
			e = read_chain(&r, "gemodel", ge, 4, f->loss_p);
			if (e)
				return e;
			r.object = get(&r, "gemodel");
			if (!get(&r, ge[1]))
				f->loss_p[1] = fraction_rest(f->loss_p[0]);
			if (!get(&r, ge[2]))
				f->loss_p[2] = SQ_ALWAYS;
			f->loss_model = SQ_LOSS_GEMODEL;
			return 0;
		}
		e = read_chain(&r, "state", state, 5, f->loss_p);
		if (e)
			return e;
		r.object = get(&r, "state");
		if (!get(&r, state[1]))
			f->loss_p[1] = fraction_rest(f->loss_p[0]);
		if (!get(&r, state[3]))
			f->loss_p[3] = SQ_ALWAYS;
		f->loss_model = SQ_LOSS_STATE;
		return 0;
	}
	if (!get(&r, "pct"))
		return refuse(&r, "pct", "no value", "a number from 0 to 100 (percent) is needed");
	f->loss_model = SQ_LOSS_RANDOM;
	return read_pct_corr(&r, "pct", "corr_pct", &f->loss_p[0], &f->loss_corr);
}

static int read_delay(const struct reader *r, struct sq_faults *f)
{
	static const char ns[] = "a whole number of nanoseconds, 0 or more";
	const json_t *v;
	int e, d;

	e = read_u64(r, "delay_ns", 0, INT64_MAX, ns, &f->delay_ns);
	if (!e)
		e = read_u64(r, "jitter_ns", 0, INT64_MAX, ns, &f->jitter_ns);
	if (!e)
		e = read_pct(r, "delay_corr_pct", &f->delay_corr);
	if (e)
		return e;
	v = get(r, "jitter_ns");
	if (v && !get(r, "delay_ns"))
		return refuse_value(r, "jitter_ns", v, "it needs delay_ns beside it");
	v = get(r, "distribution");
	if (!v)
		return 0;
	d = json_is_string(v) ? distribution_by_name(json_string_value(v)) : -1;
	if (d < 0 || strlen(json_string_value(v)) != json_string_length(v))
		return refuse_value(r, "distribution", v, distribution_accepts);
	if (!f->jitter_ns)
		return refuse_value(r, "distribution", v, "it needs jitter_ns beside it");
	f->distribution = (uint32_t)d;
	return 0;
}

static int read_rate(const struct reader *r, struct sq_faults *f)
{
	static const char bytes[] = "a whole number of bytes from 1 to 4294967295";
	__u64 v = 0;
	int e;

	e = read_u64(r, "rate_bps", 8, 1000000000000000ull,
		     "a whole number of bits per second from 8 to 10^15", &f->rate_bps);
	if (!e)
		e = read_u64(r, "burst_bytes", 1, UINT32_MAX, bytes, &f->burst_bytes);
	if (!e)
		e = read_u64(r, "limit_bytes", 1, UINT32_MAX, bytes, &f->limit_bytes);
	if (!e)
		e = read_u64(r, "latency_ns", 1, INT64_MAX, "a whole number of nanoseconds above 0",
			     &f->limit_ns);
	if (!e)
		e = read_u64(r, "gap", 1, 65535, accepts_gap, &v);
	f->gap = (uint32_t)v;
	if (!e && get(r, "latency_ns"))
		f->flags |= SQ_F_LIMIT_TIME;
	return e;
}

static int read_bool(const struct reader *r, const char *key, uint32_t flag, uint32_t *flags)
{
	const json_t *v = get(r, key);

	if (v && !json_is_boolean(v))
		return refuse_value(r, key, v, "true or false");
	if (json_is_true(v))
		*flags |= flag;
	return 0;
}

static int read_mtu(const struct reader *r, struct sq_faults *f)
{
	__u64 v = 0;
	int e = read_u64(r, "mtu_bytes", 68, UINT16_MAX, "a whole number of bytes from 68 to 65535",
			 &v);

	f->mtu = (uint32_t)v;
	if (!e)
		e = read_bool(r, "mtu_icmp", SQ_F_MTU_ICMP, &f->flags);
	if (!e && (f->flags & SQ_F_MTU_ICMP) && !f->mtu)
		return refuse_value(r, "mtu_icmp", get(r, "mtu_icmp"),
				    "it needs mtu_bytes beside it");
	return e;
}

static int read_faults(const struct reader *up, const char *dir, struct sq_faults *f)
{
	static const char *const keys[] = {
		"loss",
		"delay_ns",
		"jitter_ns",
		"delay_corr_pct",
		"distribution",
		"duplicate_pct",
		"duplicate_corr_pct",
		"corrupt_pct",
		"corrupt_corr_pct",
		"reorder_pct",
		"reorder_corr_pct",
		"gap",
		"rate_bps",
		"burst_bytes",
		"limit_bytes",
		"latency_ns",
		"mtu_bytes",
		"mtu_icmp",
		"blackhole",
		NULL,
	};
	struct reader r = *up;
	int e;

	if (!get(up, dir))
		return 0;
	r.part = dir;
	r.object = get(up, dir);
	e = check_keys(&r, keys);
	if (!e)
		e = read_loss(&r, f);
	if (!e)
		e = read_delay(&r, f);
	if (!e)
		e = read_pct_corr(&r, "duplicate_pct", "duplicate_corr_pct", &f->duplicate,
				  &f->duplicate_corr);
	if (!e)
		e = read_pct_corr(&r, "corrupt_pct", "corrupt_corr_pct", &f->corrupt,
				  &f->corrupt_corr);
	if (!e)
		e = read_pct_corr(&r, "reorder_pct", "reorder_corr_pct", &f->reorder,
				  &f->reorder_corr);
	if (!e)
		e = read_rate(&r, f);
	if (!e)
		e = read_mtu(&r, f);
	if (!e)
		e = read_bool(&r, "blackhole", SQ_F_BLACKHOLE, &f->flags);
	return e;
}

static int read_match(const struct reader *r, struct sq_rule *rule, struct sq_match *m)
{
	static const char *const keys[] = {"proto", "to",  "dport", "sport", "port",
					   "host",  "syn", "fin",   "rst",   NULL};
	char field[FIELD_SIZE], number[24];
	const char *text;
	uint32_t flags = 0;
	const json_t *v;
	int i, e;

	e = check_keys(r, keys);
	for (i = 0; keys[i] && !e; i++) {
		v = get(r, keys[i]);
		if (!v)
			continue;
		if (match_tcp_flag(keys[i])) {
			e = read_bool(r, keys[i], match_tcp_flag(keys[i]), &flags);
			continue;
		}
		field_name(field, r->clause, r->part, keys[i]);
		if (json_is_string(v) && strlen(json_string_value(v)) == json_string_length(v)) {
			text = json_string_value(v);
		} else if (i >= 2 && i < 5 && json_is_integer(v)) {
			snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(v));
			text = number;
		} else {
			return refuse_value(r, keys[i], v,
					    i == 0   ? match_proto_accepts
					    : i == 1 ? "a text with an address or prefix"
					    : i == 5 ? accepts_host
						     : "a port or a text with a range of ports");
		}
		if (i == 0)
			e = match_set_proto(m, text, field, r->err);
		else if (i == 1)
			e = match_set_addr(m, text, field, r->err);
		else if (i == 5)
			e = match_set_host(rule, m, text, field, r->err);
		else
			e = match_set_port(m,
					   i == 2   ? PORT_REMOTE
					   : i == 3 ? PORT_LOCAL
						    : PORT_EITHER,
					   text, field, r->err);
	}
	m->flags |= (uint8_t)flags;
	return e;
}

static int read_clauses(const json_t *array, struct sq_rule *rule, struct sq_error *err)
{
	static const char *const keys[] = {"up",   "down",  "match",	 "each", "flows_pct",
					   "hang", "reset", "max_flows", "dns",	 NULL};
	struct reader r = {.err = err, .part = ""}, m;
	const json_t *clause;
	size_t i;
	int e;

	if (!json_is_array(array))
		return refuse_value(&r, "clauses", array, "an array of clauses");
	if (json_array_size(array) > SQ_MAX_CLAUSES)
		return sq_error_set(err, -EINVAL, "clauses", "%zu are too many: at most %d",
				    json_array_size(array), SQ_MAX_CLAUSES);
	json_array_foreach(array, i, clause)
	{
		struct sq_clause *c = &rule->clause[i];

		r.clause = (int)i;
		r.object = clause;
		r.part = json_is_object(clause) ? "" : "clause";
		e = check_keys(&r, keys);
		if (!e)
			e = read_faults(&r, "up", &c->faults[SQ_UP]);
		if (!e)
			e = read_faults(&r, "down", &c->faults[SQ_DOWN]);
		if (!e)
			e = ask_from_json(clause, (int)i, &c->ask, err);
		if (e)
			return e;
		m = r;
		m.part = "match";
		m.object = get(&r, "match");
		if (m.object) {
			e = read_match(&m, rule, &c->match);
			if (e)
				return e;
		}
	}
	rule->n_clauses = (uint32_t)json_array_size(array);
	return 0;
}

static int read_excepts(const json_t *array, struct sq_rule *rule, struct sq_error *err)
{
	struct reader r = {.err = err, .part = "except"};
	char part[FIELD_SIZE];
	const json_t *m;
	size_t i;
	int e;

	if (!array)
		return 0;
	if (!json_is_array(array))
		return refuse_value(&r, "", array, "an array of filters");
	if (json_array_size(array) > SQ_MAX_EXCEPTS)
		return sq_error_set(err, -EINVAL, "except", "%zu are too many: at most %d",
				    json_array_size(array), SQ_MAX_EXCEPTS);
	json_array_foreach(array, i, m)
	{
		snprintf(part, sizeof(part), "except[%zu]", i);
		r.part = part;
		r.object = m;
		e = read_match(&r, rule, &rule->except[i]);
		if (e)
			return e;
	}
	rule->n_excepts = (uint32_t)json_array_size(array);
	return 0;
}

static int read_options(const struct reader *r, struct sq_rule *rule)
{
	__u64 links = 0;
	const json_t *v;
	int e;

	e = read_u64(r, "for_ns", 1, INT64_MAX, "a whole number of nanoseconds above 0",
		     &rule->for_ns);
	if (!e)
		e = read_u64(r, "seed", 0, INT64_MAX, accepts_seed, &rule->seed);
	if (!e)
		e = read_u64(r, "links", 1, SQ_LINKS_MAX, accepts_links, &links);
	if (e)
		return e;
	rule->links = links ? (uint32_t)links : rule->links;
	if (get(r, "seed"))
		rule->flags |= SQ_R_SEED_GIVEN;
	v = get(r, "on_crash");
	if (!v)
		return 0;
	if (json_is_string(v) && !strcmp(json_string_value(v), "keep"))
		rule->flags |= SQ_R_KEEP;
	else if (json_is_string(v) && !strcmp(json_string_value(v), "clear"))
		rule->flags &= ~(uint32_t)SQ_R_KEEP;
	else
		return refuse_value(r, "on_crash", v, accepts_on_crash);
	return 0;
}

static int from_text(const json_t *text, struct sq_rule *ret, struct sq_error *err)
{
	return sq_rule_from_text(json_string_value(text), json_string_length(text), ret, err);
}

int sq_rule_from_json(const json_t *json, struct sq_rule *ret, struct sq_error *err)
{
	static const char *const keys[] = {
		"clauses",
		"except",
		"for_ns",
		"seed",
		"on_crash",
		"links",
		"text",
		/* for reading only */
		"id",
		"target_id",
		"set_ms",
		"expires_in_ns",
		"drawn_seed",
		NULL,
	};
	struct reader r = {.object = json, .err = err, .part = ""};
	struct sq_rule rule = {0}, other;
	const json_t *text, *clauses;
	int e;

	if (!json_is_object(json))
		return sq_error_set(err, -EINVAL, "rule",
				    "must be an object, as in "
				    "{\"text\":\"up loss 10%%\"}");
	e = check_keys(&r, keys);
	if (e)
		return e;
	text = get(&r, "text");
	clauses = get(&r, "clauses");
	if (text && !json_is_string(text))
		return refuse_value(&r, "text", text, "a text, as in \"up loss 10%\"");
	if (!clauses) {
		if (!text)
			return sq_error_set(err, -EINVAL, "rule",
					    "needs clauses or text, as in "
					    "{\"text\":\"up loss 10%%\"}");
		if (get(&r, "except"))
			return sq_error_set(err, -EINVAL, "except",
					    "is not accepted beside text: "
					    "write it into the text, as in \"up loss 10%% except "
					    "port 5557\"");
		if (json_object_size(json) == 1) /* as all of a batch are */
			return from_text(text, ret, err);
		e = from_text(text, &rule, err);
		if (e)
			return e;
		/* What is said twice must not be said differently. */
		other = rule;
		e = read_options(&r, &rule);
		if (e)
			return e;
		if ((other.for_ns && other.for_ns != rule.for_ns) ||
		    ((other.flags & SQ_R_SEED_GIVEN) && other.seed != rule.seed) ||
		    ((other.flags & SQ_R_KEEP) && !(rule.flags & SQ_R_KEEP)))
			return sq_error_set(err, -EINVAL, "text",
					    "says otherwise than for_ns, "
					    "seed or on_crash beside it: give each once");
	} else {
		e = read_clauses(clauses, &rule, err);
		if (!e)
			e = read_excepts(get(&r, "except"), &rule, err);
		if (!e)
			e = read_options(&r, &rule);
		if (e)
			return e;
	}
	e = sq_rule_finish(&rule, err);
	if (e)
		return e;
	/* A text that was edited beside untouched clauses must not be dropped silently. */
	if (text && clauses) {
		e = from_text(text, &other, err);
		if (e)
			return e;
		if (!sq_rule_equal(&rule, &other))
			return sq_error_set(err, -EINVAL, "text",
					    "says otherwise than clauses, "
					    "except, for_ns, seed or on_crash beside it: send "
					    "text or clauses");
	}
	*ret = rule;
	return 0;
}
