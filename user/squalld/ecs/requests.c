// SPDX-License-Identifier: GPL-2.0-only
/* The bodies of the ECS fault endpoints, checked as the agent checks them, and as rules. */
#include "squalld/ecs/ecs.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *const go_names[] = {"NetworkLatencyRequest", "NetworkPacketLossRequest",
				       "NetworkBlackholePortRequest"};

enum kind { UINT64, UINT16, INT, STRING, STRINGS };
static const char *const go_kinds[] = {"uint64", "uint16", "int", "string", "[]*string"};

struct field {
	const char *name;
	enum kind kind;
	bool needed;
};

/* In the order in which the agent looks at them. */
static const struct field fields[][6] = {
	[ECS_LATENCY] = {{"DelayMilliseconds", UINT64, true},
			 {"JitterMilliseconds", UINT64, true},
			 {"Sources", STRINGS, true},
			 {"SourcesToFilter", STRINGS, false},
			 {"FlowsPercent", INT, false},
			 {0}},
	[ECS_LOSS] = {{"LossPercent", UINT64, true},
		      {"Sources", STRINGS, true},
		      {"SourcesToFilter", STRINGS, false},
		      {"FlowsPercent", INT, false},
		      {0}},
	[ECS_BLACKHOLE] = {{"Port", UINT16, true},
			   {"Protocol", STRING, true},
			   {"TrafficType", STRING, true},
			   {"SourcesToFilter", STRINGS, false},
			   {0}},
};

static json_t *say(char *text, size_t size, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static json_t *say(char *text, size_t size, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, size, fmt, ap);
	va_end(ap);
	return NULL;
}

/* Go's decoder takes a key whatever its case. */
static const json_t *value_of(const json_t *object, const char *name)
{
	const json_t *value, *found = NULL;
	const char *key;

	json_object_foreach((json_t *)object, key, value) if (strcasecmp(key, name) == 0) found =
		value;
	return json_is_null(found) ? NULL : found;
}

static bool fits(const json_t *v, enum kind kind)
{
	const json_t *one;
	size_t i;

	switch (kind) {
	case UINT64:
		return json_is_integer(v) && json_integer_value(v) >= 0;
	case UINT16:
		return json_is_integer(v) && json_integer_value(v) >= 0 &&
		       json_integer_value(v) <= UINT16_MAX;
	case INT:
		return json_is_integer(v);
	case STRING:
		return json_is_string(v);
	case STRINGS:
		if (!json_is_array(v))
			return false;
		json_array_foreach(v, i, one) if (!json_is_string(one)) return false;
		return true;
	}
	return false;
}

/* "number 1.5", as encoding/json has it. */
static void go_value(const json_t *v, char *buf, size_t size)
{
	if (json_is_number(v)) {
		char *number = json_dumps(v, JSON_ENCODE_ANY | JSON_REAL_PRECISION(12));

		snprintf(buf, size, "number %.40s", number ? number : "");
		free(number);
		return;
	}
	snprintf(buf, size, "%s",
		 json_is_string(v)   ? "string"
		 : json_is_array(v)  ? "array"
		 : json_is_object(v) ? "object"
				     : "bool");
}

static json_t *decode(const char *body, size_t len, char *text, size_t size)
{
	json_error_t error;
	json_t *o;
	size_t at = 0;

	while (at < len && isspace((unsigned char)body[at]))
		at++;
	if (at == len)
		return say(text, size, "required request body is missing");
	o = json_loadb(body, len, JSON_DISABLE_EOF_CHECK | JSON_DECODE_ANY, &error);
	if (json_is_null(o))
		return json_object(); /* to Go, null changes nothing of what it is read into */
	if (o)
		return o;
	if (json_error_code(&error) == json_error_premature_end_of_input)
		return say(text, size, "unexpected EOF");
	at = (size_t)error.position;
	return say(text, size, "invalid character '%c' looking for beginning of value",
		   body[at && at <= len ? at - 1 : 0]);
}

static bool is_source(const char *s)
{
	unsigned char addr[16];
	char copy[64], *slash, *end;
	long bits = -1;
	int family;

	if (strlen(s) >= sizeof(copy))
		return false;
	strcpy(copy, s);
	slash = strchr(copy, '/');
	if (slash) {
		*slash = 0;
		if (!isdigit((unsigned char)slash[1]))
			return false;
		bits = strtol(slash + 1, &end, 10);
		if (*end)
			return false;
	}
	family = strchr(copy, ':') ? AF_INET6 : AF_INET;
	return inet_pton(family, copy, addr) == 1 && bits <= (family == AF_INET ? 32 : 128);
}

/* The parts that a value has to fit beyond its type. */
static bool accepted(const struct field *f, const json_t *v, char *bad, size_t size)
{
	const json_t *one;
	size_t i;

	if (f->kind == STRINGS) {
		json_array_foreach(v, i, one)
		{
			snprintf(bad, size, "%.64s", json_string_value(one));
			if (!is_source(json_string_value(one)))
				return false;
		}
		return true;
	}
	if (f->kind == STRING) {
		bool protocol = strcmp(f->name, "Protocol") == 0;

		snprintf(bad, size, "%.64s", json_string_value(v));
		return strcmp(bad, protocol ? "tcp" : "ingress") == 0 ||
		       strcmp(bad, protocol ? "udp" : "egress") == 0;
	}
	snprintf(bad, size, "%lld", (long long)json_integer_value(v));
	if (f->kind == INT || strcmp(f->name, "LossPercent") == 0)
		return json_integer_value(v) >= 1 && json_integer_value(v) <= 100;
	return true;
}

json_t *ecs_parse(enum ecs_type type, const char *body, size_t len, char *text, size_t size)
{
	json_t *o = decode(body, len, text, size), *ret;
	char bad[80];

	if (!o)
		return NULL;
	ret = json_object();
	if (!json_is_object(o)) {
		go_value(o, bad, sizeof(bad));
		say(text, size, "json: cannot unmarshal %s into Go value of type types.%s", bad,
		    go_names[type]);
		goto refuse;
	}
	for (const struct field *f = fields[type]; f->name; f++) {
		const json_t *v = value_of(o, f->name);

		if (!v || fits(v, f->kind))
			continue;
		go_value(v, bad, sizeof(bad));
		say(text, size, "json: cannot unmarshal %s into Go struct field %s.%s of type %s",
		    bad, go_names[type], f->name, go_kinds[f->kind]);
		goto refuse;
	}
	for (const struct field *f = fields[type]; f->name; f++) {
		const json_t *v = value_of(o, f->name);

		if (!v || (f->kind == STRINGS && !json_array_size(v))) {
			if (!f->needed)
				continue;
			say(text, size, "required parameter %s is missing", f->name);
			goto refuse;
		}
		if (!accepted(f, v, bad, sizeof(bad))) {
			say(text, size, "invalid value %s for parameter %s", bad,
			    f->kind == INT ? "flowsPercent" : f->name);
			goto refuse;
		}
		json_object_set(ret, f->name, (json_t *)v);
		if (strcmp(f->name, "JitterMilliseconds") == 0 && !json_integer_value(v) &&
		    !json_integer_value(json_object_get(ret, "DelayMilliseconds"))) {
			say(text, size,
			    "required either DelayMilliseconds or JitterMilliseconds to be "
			    "non-zero");
			goto refuse;
		}
	}
	json_decref(o);
	return ret;
refuse:
	json_decref(o);
	json_decref(ret);
	return NULL;
}

/* --- as a rule -------------------------------------------------------------------------- */

static long long number_of(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

/* Bits beyond the prefix are the agent's to overlook and ours to refuse: cut them. */
static void network(const char *source, char *buf, size_t size)
{
	unsigned char addr[16];
	char copy[64], *slash, name[INET6_ADDRSTRLEN];
	int family = strchr(source, ':') ? AF_INET6 : AF_INET, all = family == AF_INET ? 32 : 128;
	int bits = all;

	snprintf(copy, sizeof(copy), "%s", source);
	slash = strchr(copy, '/');
	if (slash) {
		*slash = 0;
		bits = atoi(slash + 1);
	}
	inet_pton(family, copy, addr);
	for (int i = bits; i < all; i++)
		addr[i / 8] &= (unsigned char)~(0x80 >> i % 8);
	inet_ntop(family, addr, name, sizeof(name));
	snprintf(buf, size, "%s/%d", name, bits);
}

struct clauses {
	FILE *f;
	int n;
};

static void begin(struct clauses *c)
{
	fprintf(c->f, "%s", c->n++ ? " also " : "");
}

/* What goes to a source: all of it, or one port of it, which is more than the wider clause says. */
static void blackhole(struct clauses *c, const json_t *b, const char *to)
{
	bool in = strcmp(json_string_value(json_object_get(b, "TrafficType")), "ingress") == 0;

	begin(c);
	fprintf(c->f, "%s blackhole match proto %s %s %lld", in ? "down" : "up",
		json_string_value(json_object_get(b, "Protocol")), in ? "sport" : "dport",
		number_of(b, "Port"));
	if (to)
		fprintf(c->f, " to %s", to);
}

static void blackholes(struct clauses *c, const json_t *all, const json_t *degraded)
{
	const json_t *b, *source;
	const char *key;
	char net[80];
	size_t i;

	json_object_foreach((json_t *)all, key, b)
	{
		blackhole(c, b, NULL);
		if (strncmp(key, "egress", 6) != 0)
			continue;
		/* The longest prefix decides (0.0.0.0/0 is longer than none), and dropped is
		 * dropped. */
		json_array_foreach(json_object_get(degraded, "Sources"), i, source)
		{
			network(json_string_value(source), net, sizeof(net));
			blackhole(c, b, net);
		}
	}
}

static void spared(FILE *f, const json_t *fault, const char *what)
{
	const json_t *source;
	char net[80];
	size_t i;

	json_array_foreach(json_object_get(fault, "SourcesToFilter"), i, source)
	{
		network(json_string_value(source), net, sizeof(net));
		fprintf(f, " except%s to %s", what, net);
	}
}

int ecs_rule(const json_t *faults, char *text, size_t size)
{
	const json_t *latency = json_object_get(faults, "latency"),
		     *loss = json_object_get(faults, "loss"), *either = latency ? latency : loss,
		     *holes = json_object_get(faults, "blackhole"), *b, *source;
	struct clauses c = {.f = fmemopen(text, size, "w")};
	const char *key;
	char net[80];
	size_t i;
	bool full;

	if (!c.f)
		return -ENOMEM;
	blackholes(&c, holes, either);
	json_array_foreach(json_object_get(either, "Sources"), i, source)
	{
		begin(&c);
		if (latency)
			fprintf(c.f, "up delay %lldms %lldms",
				number_of(latency, "DelayMilliseconds"),
				number_of(latency, "JitterMilliseconds"));
		else
			fprintf(c.f, "up loss %lld%%", number_of(loss, "LossPercent"));
		if (number_of(either, "FlowsPercent") && number_of(either, "FlowsPercent") < 100)
			fprintf(c.f, " flows %lld%%", number_of(either, "FlowsPercent"));
		network(json_string_value(source), net, sizeof(net));
		fprintf(c.f, " match to %s", net);
	}
	spared(c.f, either, "");
	json_object_foreach((json_t *)holes, key, b)
	{
		char what[64];

		snprintf(what, sizeof(what), " proto %s %s %lld",
			 json_string_value(json_object_get(b, "Protocol")),
			 strncmp(key, "egress", 6) == 0 ? "dport" : "sport", number_of(b, "Port"));
		spared(c.f, b, what);
	}
	fflush(c.f);
	full = (size_t)ftell(c.f) + 1 >= size;
	fclose(c.f);
	return full || c.n > SQ_MAX_CLAUSES ? -ENOSPC : 0;
}
